"""Wrap a function in one that tracks it, written for its signature.

The wrapper is generated source, as dataclasses are: with the function's own parameters, so the
interpreter binds the arguments and fills the defaults, several times faster than a wrapper that
takes `*args, **kwargs` and asks `inspect.signature` to bind them.
"""

from __future__ import annotations

import functools
import inspect
import time
from threading import get_ident
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from lineage.calls import SCALARS, begin, close, end, fail, resume
from lineage.flows import leave, take
from lineage.parameters import PLAIN, TEXT_CACHED
from lineage.recorder import numbers
from lineage.sites import Site
from lineage.steps import DONE, AsyncSteps, Steps
from lineage.stores.records import CALL, digest, encode
from lineage.tracker import current, scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.core import OperationType

_CALL = """\
{prefix}def tracked({signature}):
    _lineage_call = _lineage_begin(_lineage_site, ({values}){owner})
    if _lineage_call is None:
        return {wait}_lineage_function({arguments})
    try:
        _lineage_at.set(_lineage_call.inside)
        _lineage_result = {wait}_lineage_function({arguments})
    except _lineage_BaseException as _lineage_error:
        try:
            _lineage_fail(_lineage_site, _lineage_call, _lineage_error{again})
        except _lineage_RecursionError:  # there was no room to begin it
            _lineage_call.tracker.recorder.lost += 1
        raise
    else:
        try:
            _lineage_end(_lineage_site, _lineage_call, _lineage_result{again})
        except _lineage_RecursionError:  # there was no room to begin it
            _lineage_call.tracker.recorder.lost += 1
        return _lineage_result
    finally:
        {restore}
"""
_RESTORE = "_lineage_at.set(_lineage_call.outside)"
# A coroutine that is dropped ends in whatever context the garbage collector runs in.
_RESTORE_OWN = (
    "_lineage_at.get() is _lineage_call.inside and _lineage_at.set(_lineage_call.outside)"
)

# The same for a function of which only the arguments and the result tell what it reads and
# writes. For scalars all is done here, in one frame: what `calls.begin`, `calls.end` and
# `Recorder.record` do takes twice the time in frames of their own. Frames are taken by
# `flows.take` as they come in, and by `calls.close` as they go out.
_FAST_CALL = """\
def tracked({signature}):
    _lineage_tracker = {tracker}
    if _lineage_tracker is None:
        return _lineage_function({arguments})
    if _lineage_site.settings is not _lineage_tracker.settings:
        return _lineage_general({given})
    _lineage_inputs = []
    try:
        _lineage_outside = _lineage_at.get()
        _lineage_parent, _lineage_origin = _lineage_outside or _lineage_tracker.outermost
        _lineage_recorder = _lineage_tracker.recorder
        if _lineage_origin.prefix is not _lineage_recorder.prefix:
            _lineage_origin = _lineage_recorder.inside(_lineage_origin)
            _lineage_parent = _lineage_outside[1].operation_id(_lineage_parent)
        _lineage_number = _lineage_at.next()
        _lineage_parameters = ({taken})
        _lineage_start_ns, _lineage_started = _lineage_time_ns(), _lineage_clock()
    except _lineage_Exception:  # a secret, most often; left before the function is called
        _lineage_parameters = None
    if _lineage_parameters is None:
        if _lineage_inputs:
            _lineage_leave({where})
        return _lineage_general({given})
    try:
        _lineage_at.set((_lineage_number, _lineage_origin))
        if not _lineage_inputs:
            _lineage_result = _lineage_function({arguments})
        else:
            _lineage_result = _lineage_function({given})
    except _lineage_BaseException as _lineage_error:
        try:
            _lineage_fail(_lineage_site, _lineage_resume({where}, {failed}), _lineage_error)
        except _lineage_RecursionError:  # there was no room to begin it
            _lineage_recorder.lost += 1
        raise
    else:
        _lineage_duration = _lineage_clock() - _lineage_started
        try:
            _lineage_segment = _lineage_recorder.journal.segment
            _lineage_token = _lineage_segment.token
            if (
                _lineage_type(_lineage_result) in _lineage_SCALARS
                and not _lineage_inputs
                and _lineage_plain.token is _lineage_token
                and _lineage_origin.token is _lineage_token
                and _lineage_recorder.notify is None
            ):
                _lineage_payload = _lineage_at.encode((
                    _lineage_CALL, _lineage_plain.number, _lineage_origin.number,
                    _lineage_number, _lineage_parent, _lineage_thread(), _lineage_start_ns,
                    _lineage_duration, _lineage_parameters,
                ))
                _lineage_segment.write(
                    _lineage_at.encode((_lineage_digest(_lineage_payload), _lineage_payload))
                )
                _lineage_recorder.recorded += 1
                return _lineage_result
        except _lineage_Exception:  # no segment yet, or a full one: the long way opens the next
            pass
        except _lineage_BaseException as _lineage_error:
            _lineage_tracker.lose(_lineage_error)
            raise
        try:
            _lineage_close({where}, {began}, _lineage_result)
        except _lineage_RecursionError:  # there was no room to begin it
            _lineage_recorder.lost += 1
        return _lineage_result
    finally:
        _lineage_at.set(_lineage_outside)
"""
_WHERE = "(_lineage_site, _lineage_tracker, _lineage_origin, _lineage_number, _lineage_inputs)"
_BEGAN = "(_lineage_outside, _lineage_parameters, _lineage_start_ns, {duration})"
_TAKEN = """
            {0} if (_lineage_kind := _lineage_type({0})) in _lineage_PLAIN
            else _lineage_kind is _lineage_str and _lineage_len({0}) <= _lineage_TEXT_CACHED
            and _lineage_tracker.captor.texts.get({0}) or _lineage_take({0}, {1}, {2}),"""
# The wrapper lets go of an argument as it hands it over: what the function deletes is then freed at
# once. That takes 60 ns each, so that a call without frames is spared it.
_GIVEN = "({0}, {0} := None)[0]"

_STEPS = """\
{prefix}def tracked({signature}):
    _lineage_steps = _lineage_Steps(
        _lineage_site, ({values}), _lineage_function({arguments}){owner}
    )
    {drop}
    _lineage_items = [{wait}_lineage_steps.send(None)]  # what is yielded is the consumer's alone
    while _lineage_items[0] is not _lineage_DONE:
        try:
            _lineage_step, _lineage_sent = _lineage_steps.send, (yield _lineage_items.pop())
        except _lineage_BaseException as _lineage_error:
            _lineage_step, _lineage_sent = _lineage_steps.throw, _lineage_error
        try:  # outside of the handler, whose error would become the context of others
            _lineage_items.append({wait}_lineage_step(_lineage_sent))
        finally:
            del _lineage_sent  # or an error that goes on would refer to itself
    {result}
"""


def wrap(
    function: Callable[..., Any],
    operation_type: OperationType,
    prepare: Callable[[Site], None],
    *,
    has_owner: bool = False,
) -> Callable[..., Any]:
    """Give a function that behaves as another one and tracks its calls.

    Args:
        function: A function, coroutine function, generator function or async generator function.
        operation_type: What it does to data.
        prepare: Completes the site, which knows the function and its parameters by then.
        has_owner: If it is a method, its first parameter is the instance, whatever its name.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"only functions and methods can be tracked, not {function!r}")
    if not hasattr(function, "__qualname__"):
        raise TypeError(f"{function!r} has no name to be known by; wrap it in a function")
    parameters = _parameters(function)
    has_self = _has_self(function, parameters, any_name=has_owner)
    shown = parameters[1:] if has_self else parameters
    site = Site(function, operation_type, tuple(parameter.name for parameter in shown))
    site.kinds = tuple(parameter.kind for parameter in shown)
    prepare(site)
    site.settle()
    owner = parameters[0].name if has_self and site.repository is not None else None
    source = _source(site, parameters, shown, owner)
    general = _compile(source, site, {})
    _dress(general, function, parameters)
    if not _is_fast(site, parameters):
        return general
    fast = _compile(_fast_source(site, parameters, shown), site, {"_lineage_general": general})
    return _dress(fast, function, parameters)


def _parameters(function: Any) -> list[inspect.Parameter]:
    """List what a function takes, which need not be what its `__signature__` says."""
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType):
        found = _parameters(function.__func__)
        is_named = found[0].kind is not inspect.Parameter.VAR_POSITIONAL
        return found[1:] if is_named else found
    if isinstance(function, FunctionType):
        code, defaults, closure = function.__code__, function.__defaults__, function.__closure__
        bare = FunctionType(code, {}, function.__name__, defaults, closure)
        bare.__kwdefaults__ = function.__kwdefaults__
        found = list(inspect.signature(bare).parameters.values())
        return found if not any(p.name.startswith("_lineage_") for p in found) else _ANYTHING
    try:
        found = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not tell
        return _ANYTHING
    # The default that a builtin shows need not be what it takes when nothing is given.
    return found if all(p.default is p.empty for p in found) else _ANYTHING


_ANYTHING = [
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
]


def _has_self(
    function: Callable[..., Any], parameters: list[inspect.Parameter], *, any_name: bool
) -> bool:
    owner = function.__qualname__.rpartition(".")[0]
    is_method = bool(owner) and not owner.endswith("<locals>")
    if not parameters:
        return False
    first = parameters[0]
    if first.name in ("self", "cls"):  # a class may also be given functions from elsewhere
        return is_method or any_name
    is_positional = first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    return is_method and any_name and is_positional


def _source(
    site: Site,
    parameters: list[inspect.Parameter],
    shown: list[inspect.Parameter],
    owner: str | None,
) -> str:
    is_async_generator = inspect.isasyncgenfunction(site.function)
    is_generator = inspect.isgeneratorfunction(site.function)
    is_async = is_async_generator or inspect.iscoroutinefunction(site.function)
    values = "".join(f"{parameter.name}, " for parameter in shown)
    is_stepwise = is_generator or is_async_generator
    needs_again = not site.writes_only_frames
    return (_STEPS if is_stepwise else _CALL).format(
        prefix="async " if is_async else "",
        wait="await " if is_async else "",
        signature=_signature(parameters),
        arguments=", ".join(map(_argument if is_stepwise or needs_again else _given, parameters)),
        drop=f"del {', '.join(each.name for each in parameters)}" if parameters else "pass",
        values=values,
        owner=f", {owner}" if owner else "",
        again=f", ({values})" if needs_again else "",
        restore=_RESTORE_OWN if is_async else _RESTORE,
        result="return _lineage_steps.value" if is_generator else "",
    )


def _is_fast(site: Site, parameters: list[inspect.Parameter]) -> bool:
    is_plain = not (
        inspect.isasyncgenfunction(site.function)
        or inspect.isgeneratorfunction(site.function)
        or inspect.iscoroutinefunction(site.function)
    )
    has_stars = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
    is_simple = site.writes_only_frames and site.reads_only_frames
    return is_plain and is_simple and not (has_stars or site.repository or site.secrets)


def _fast_source(
    site: Site, parameters: list[inspect.Parameter], shown: list[inspect.Parameter]
) -> str:
    shared = "_lineage_at.scope.tracker"
    return _FAST_CALL.format(
        tracker=f"_lineage_site.tracker or {shared}" if site.tracker else shared,
        signature=_signature(parameters),
        arguments=", ".join(map(_argument, parameters)),
        given=", ".join(map(_given, parameters)),
        taken="".join(_TAKEN.format(each.name, at, _WHERE) for at, each in enumerate(shown)),
        where=_WHERE,
        failed=_BEGAN.format(duration="_lineage_clock() - _lineage_started"),
        began=_BEGAN.format(duration="_lineage_duration"),
    )


def _signature(parameters: list[inspect.Parameter]) -> str:
    pieces: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    for index, parameter in enumerate(parameters):
        kind = parameter.kind
        if kind is parameter.KEYWORD_ONLY and "*" not in "".join(pieces):
            pieces.append("*")
        stars = "*" * (kind is parameter.VAR_POSITIONAL) + "**" * (kind is parameter.VAR_KEYWORD)
        default = "" if parameter.default is parameter.empty else "=None"
        pieces.append(f"{stars}{parameter.name}{default}")
        is_last_positional = kinds[index + 1 : index + 2] != [parameter.POSITIONAL_ONLY]
        if kind is parameter.POSITIONAL_ONLY and is_last_positional:
            pieces.append("/")
    return ", ".join(pieces)


def _argument(parameter: inspect.Parameter) -> str:
    return _passed(parameter, parameter.name)


def _given(parameter: inspect.Parameter) -> str:
    return _passed(parameter, _GIVEN.format(parameter.name))


def _passed(parameter: inspect.Parameter, value: str) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"*{value}"
    if parameter.kind is parameter.VAR_KEYWORD:
        return f"**{value}"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{parameter.name}={value}"
    return value


def _compile(source: str, site: Site, more: dict[str, Any]) -> Callable[..., Any]:
    steps = AsyncSteps if inspect.isasyncgenfunction(site.function) else Steps
    names = {
        "site": site,
        "plain": site.plain,
        "function": site.called,
        "Steps": steps,
        **_RUNTIME,
    }
    variables = {f"_lineage_{name}": value for name, value in names.items()} | more
    exec(compile(source, f"<tracked {site.name}>", "exec"), variables)  # noqa: S102 - of names only, as dataclasses do
    made: Callable[..., Any] = variables["tracked"]
    return made


class _Here:
    """What a wrapper takes from the process that it is in, wherever it was pickled."""

    __slots__ = ("encode", "get", "next", "scope", "set")

    def __init__(self) -> None:
        self.get, self.set = current.get, current.set
        self.next, self.encode, self.scope = numbers.__next__, encode, scope

    def __reduce__(self) -> str:
        return "_here"


_here = _Here()
_RUNTIME: dict[str, Any] = {
    "BaseException": BaseException,
    "CALL": CALL,
    "DONE": DONE,
    "Exception": Exception,
    "RecursionError": RecursionError,
    "TEXT_CACHED": TEXT_CACHED,
    "PLAIN": PLAIN,
    "SCALARS": SCALARS,
    "at": _here,
    "begin": begin,
    "clock": time.perf_counter_ns,
    "close": close,
    "digest": digest,
    "end": end,
    "fail": fail,
    "leave": leave,
    "len": len,
    "resume": resume,
    "str": str,
    "take": take,
    "thread": get_ident,
    "time_ns": time.time_ns,
    "type": type,
}


def _dress(wrapper: Any, function: Any, parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    """Make a wrapper look like the function: name, document, defaults, annotations."""
    functools.update_wrapper(wrapper, function)
    optional = [p for p in parameters if p.default is not p.empty]
    keywords = {p.name: p.default for p in optional if p.kind is p.KEYWORD_ONLY}
    wrapper.__defaults__ = tuple(p.default for p in optional if p.name not in keywords) or None
    wrapper.__kwdefaults__ = keywords or None
    code = wrapper.__code__
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    wrapper.__code__ = code.replace(
        co_name=function.__name__,
        co_qualname=function.__qualname__,
        co_flags=code.co_flags | flags & inspect.CO_ITERABLE_COROUTINE,
    )
    dressed: Callable[..., Any] = wrapper
    return dressed

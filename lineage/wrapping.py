"""Wrap a function in one that tracks it, written for its signature.

The wrapper is generated source, as dataclasses are: with the function's own parameters, so the
interpreter binds the arguments and fills the defaults, several times faster than a wrapper that
takes `*args, **kwargs` and asks `inspect.signature` to bind them.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from lineage.calls import Site, begin, end, fail
from lineage.steps import DONE, AsyncSteps, Steps
from lineage.tracker import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.core import OperationType

_CALL = """\
{prefix}def tracked({signature}):
    _lineage_call = _lineage_begin(_lineage_site, ({values}){owner})
    if _lineage_call is None:
        return {wait}_lineage_function({arguments})
    try:
        _lineage_set(_lineage_call.inside)
        _lineage_result = {wait}_lineage_function({arguments})
    except BaseException as _lineage_error:
        _lineage_fail(_lineage_site, _lineage_call, _lineage_error{again})
        raise
    else:
        _lineage_end(_lineage_site, _lineage_call, _lineage_result{again})
        return _lineage_result
    finally:
        _lineage_set(_lineage_call.outside)
"""

_STEPS = """\
{prefix}def tracked({signature}):
    _lineage_steps = _lineage_Steps(
        _lineage_site, ({values}), _lineage_function({arguments}){owner_keyword}
    )
    _lineage_item = {wait}_lineage_steps.send(None)
    while _lineage_item is not _lineage_DONE:
        try:
            _lineage_sent = yield _lineage_item
        except GeneratorExit:
            {wait}_lineage_steps.close()
            raise
        except BaseException as _lineage_error:
            _lineage_item = {wait}_lineage_steps.throw(_lineage_error)
        else:
            _lineage_item = {wait}_lineage_steps.send(_lineage_sent)
    {result}
"""


def wrap(
    function: Callable[..., Any], operation_type: OperationType, prepare: Callable[[Site], None]
) -> Callable[..., Any]:
    """Give a function that behaves as another one and tracks its calls.

    Args:
        function: A function, coroutine function, generator function or async generator function.
        operation_type: What it does to data.
        prepare: Completes the site, which knows the function and its parameters by then.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"only functions and methods can be tracked, not {function!r}")
    if not hasattr(function, "__qualname__"):
        raise TypeError(f"{function!r} has no name to be known by; wrap it in a function")
    parameters = _parameters(function)
    has_self = _has_self(function, parameters)
    shown = parameters[1:] if has_self else parameters
    site = Site(function, operation_type, tuple(parameter.name for parameter in shown))
    site.kinds = tuple(parameter.kind for parameter in shown)
    prepare(site)
    site.settle()
    owner = parameters[0].name if has_self and site.repository is not None else None
    source = _source(function, parameters, [p.name for p in shown], owner, site)
    return _dress(_compile(source, function, site), function)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not tell
        return [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]


def _has_self(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> bool:
    owner = function.__qualname__.rpartition(".")[0]
    is_method = bool(owner) and not owner.endswith("<locals>")
    return is_method and bool(parameters) and parameters[0].name in ("self", "cls")


def _source(
    function: Callable[..., Any],
    parameters: list[inspect.Parameter],
    values: list[str],
    owner: str | None,
    site: Site,
) -> str:
    is_async_generator = inspect.isasyncgenfunction(function)
    is_generator = inspect.isgeneratorfunction(function)
    is_async = is_async_generator or inspect.iscoroutinefunction(function)
    tuple_of_values = "".join(f"{name}, " for name in values)
    needs_again = site.extract_outputs or site.output_sources or site.operation_type == "write"
    return (_STEPS if is_generator or is_async_generator else _CALL).format(
        prefix="async " if is_async else "",
        wait="await " if is_async else "",
        signature=_signature(parameters),
        arguments=", ".join(map(_argument, parameters)),
        values=tuple_of_values,
        owner=f", {owner}" if owner else "",
        owner_keyword=f", {owner}" if owner else "",
        again=f", ({tuple_of_values})" if needs_again else "",
        result="return _lineage_steps.value" if is_generator else "",
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
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"*{parameter.name}"
    if parameter.kind is parameter.VAR_KEYWORD:
        return f"**{parameter.name}"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{parameter.name}={parameter.name}"
    return parameter.name


def _compile(source: str, function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    is_async = inspect.isasyncgenfunction(function)
    scope: dict[str, Any] = {
        "__name__": __name__,
        "_lineage_begin": begin,
        "_lineage_end": end,
        "_lineage_fail": fail,
        "_lineage_set": current.set,
        "_lineage_site": site,
        "_lineage_function": function,
        "_lineage_Steps": AsyncSteps if is_async else Steps,
        "_lineage_DONE": DONE,
    }
    exec(compile(source, f"<tracked {site.name}>", "exec"), scope)  # noqa: S102 - of names only, as dataclasses do
    made: Callable[..., Any] = scope["tracked"]
    return made


def _dress(wrapper: Any, function: Any) -> Callable[..., Any]:
    """Make a wrapper look like the function: name, document, defaults, annotations."""
    functools.update_wrapper(wrapper, function)
    wrapper.__defaults__ = getattr(function, "__defaults__", None)
    wrapper.__kwdefaults__ = getattr(function, "__kwdefaults__", None)
    wrapper.__code__ = wrapper.__code__.replace(
        co_name=function.__name__, co_qualname=function.__qualname__
    )
    dressed: Callable[..., Any] = wrapper
    return dressed

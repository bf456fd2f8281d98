"""Wrapped functions look like, bind like and answer like the functions they wrap."""

import asyncio
import contextlib
import copy
import functools
import inspect
import io
import marshal
import pickle
import sys
import types
import typing
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage.decorators import set_global_tracker, track_lineage
from lineage.tracker import LineageTracker

DEFAULT = object()


def positional_only(a, b=DEFAULT, /):
    return a, b


def keyword_only(*, a, b=DEFAULT):
    return a, b


def every_kind(a, b=1, /, c=2, d=DEFAULT, *args, e, f=DEFAULT, **kwargs):
    return a, b, c, d, args, e, f, kwargs


def starred(*args, **kwargs):
    return args, kwargs


def named(type, fn, _call, exec, result, site, tracked, Exception=3, None_=4):
    return type, fn, _call, exec, result, site, tracked, Exception, None_


def same_as_ours(tracker, function, values, error, parameters, set, get, next, id):
    return tracker, function, values, error, parameters, set, get, next, id


def annotated(
    a: int, b: "list[str] | None" = None, *c: float, d: typing.Any = 1, **e: bytes
) -> dict:
    """Document."""
    return a


def self(self, cls):
    return self, cls


def unicode(größe, 数=1):  # noqa: PLC2401 - such names are the test
    return größe, 数


FUNCTIONS = [
    *(positional_only, keyword_only, every_kind, starred, named, same_as_ours, annotated, self),
    unicode,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_wrapper_looks_like_its_function(function):
    wrapped = track_lineage(function)
    own = inspect.signature(wrapped, follow_wrapped=False)
    assert inspect.signature(wrapped) == inspect.signature(function)
    assert list(own.parameters) == list(inspect.signature(function).parameters)
    for name, parameter in inspect.signature(function).parameters.items():
        assert own.parameters[name].kind is parameter.kind
        assert own.parameters[name].default is parameter.default
        assert own.parameters[name].annotation is parameter.annotation
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(wrapped, attribute) == getattr(function, attribute)
    assert wrapped.__code__.co_name == function.__name__
    assert wrapped.__wrapped__ is function
    assert typing.get_type_hints(wrapped) == typing.get_type_hints(function)
    assert inspect.getsource(wrapped) == inspect.getsource(function)
    assert inspect.isfunction(wrapped)


CALLS = [
    (positional_only, (1,), {}),
    (positional_only, (1, 2), {}),
    (keyword_only, (), {"a": 1}),
    (every_kind, (1,), {"e": 5}),
    (every_kind, (1, 2, 3, 4, 5, 6), {"e": 7, "f": 8, "a": 9, "b": 10}),
    (starred, (1, 2), {"self": 1, "args": 2}),
    (named, range(7), {}),
    (same_as_ours, range(9), {}),
    (annotated, (1, ["x"], 1.5), {"d": 2, "z": b""}),
    (self, (1, 2), {}),
    (unicode, (1,), {"数": 2}),
]


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_a_wrapper_binds_as_its_function(function, args, kwargs, is_on):
    tracker = LineageTracker() if is_on else None
    set_global_tracker(tracker)
    wrapped = track_lineage(function)
    for _ in range(2):  # the second call may take another way
        assert wrapped(*args, **kwargs) == function(*args, **kwargs)
    if tracker is not None:
        assert len(tracker.operations) == 2
        assert tracker.lost == 0


def test_defaults_are_the_same_objects(tracker):
    shared = []

    def append(value, to=shared, *, also=shared):
        to.append(value)
        return to, also

    result = track_lineage(append)(1)
    assert result[0] is shared
    assert result[1] is shared
    assert shared == [1]


def test_defaults_that_change_later_count(tracker):
    def function(a=1, *, b=2):
        return a, b

    wrapped = track_lineage(function)
    wrapped.__defaults__ = (5,)
    assert wrapped() == (5, 2)
    assert inspect.signature(wrapped, follow_wrapped=False).parameters["a"].default == 5


def test_kinds_of_functions_stay_what_they_are():
    async def coroutine():
        pass

    def generator():
        yield

    async def async_generator():
        yield

    for check in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        for function in (coroutine, generator, async_generator, every_kind):
            assert check(track_lineage(function)) is check(function)


def test_a_generator_that_is_a_coroutine_can_be_awaited(tracker):
    @types.coroutine
    def old_style(value):
        yield
        return value

    async def outer(function):
        return await function(7)

    def drive(coroutine):
        try:
            while True:
                coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    assert drive(outer(old_style)) == 7
    assert drive(outer(track_lineage(old_style))) == 7
    assert len(tracker.operations) == 1


@track_lineage
def at_module_level(value):
    return value * 2


def test_a_wrapper_is_pickled_by_its_name(tracker):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(at_module_level, protocol)) is at_module_level
    assert copy.copy(at_module_level) is at_module_level
    assert copy.deepcopy(at_module_level) is at_module_level


class ByValue(pickle.Pickler):
    """Pickle functions of this module as libraries do that send them to other processes."""

    def reducer_override(self, value):
        is_ours = isinstance(value, types.FunctionType) and value.__module__ == __name__
        if is_ours and value is not build:
            names = [name for name in value.__code__.co_names if name in value.__globals__]
            return build, (
                *(marshal.dumps(value.__code__), value.__name__, value.__defaults__),
                {name: value.__globals__[name] for name in names},
            )
        return NotImplemented


def build(code, name, defaults, variables):
    variables["__builtins__"] = __builtins__
    return types.FunctionType(marshal.loads(code), variables, name, defaults)


def one_by_one(value):
    yield value
    yield from (value, value)


@pytest.mark.parametrize("function", [at_module_level, track_lineage(one_by_one)])
def test_a_wrapper_that_is_pickled_by_value_records_where_it_arrives(tracker, function):
    own = LineageTracker()
    for source in (function, track_lineage(tracker=own)(function.__wrapped__)):
        source.__kwdefaults__ = None
        file = io.BytesIO()
        ByValue(file).dump(source)
        again = pickle.loads(file.getvalue())
        before = len(tracker.operations)
        results = [again(3), again(3)]
        if function is not at_module_level:
            results = [list(each) for each in results]
        assert results in ([6, 6], [[3, 3, 3]] * 2)
        assert again is not source
        # A tracker of its own stays where it is; the global one takes its place.
        assert len(tracker.operations) - before == 2
    assert len({each.operation_id for each in tracker.operations.values()}) == 4
    assert len(own.operations) == 0


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_wrapper_works_in_a_pool_of_processes(tracker, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
            assert list(pool.map(at_module_level, [1, 2])) == [2, 4]


def test_lambdas_and_nested_functions(tracker):
    assert track_lineage(lambda value: value + 1)(1) == 2

    def outer():
        closed = 3

        @track_lineage
        def inner(value):
            nonlocal closed
            closed += value
            return closed

        return inner

    assert outer()(1) == 4
    names = [operation.code_name for operation in tracker.operations.values()]
    assert names[0].endswith("<lambda>")
    assert names[1].endswith("outer.<locals>.inner")


def test_builtins(tracker):
    assert track_lineage(len)([1, 2]) == 2
    assert track_lineage(sorted)([3, 1], reverse=True) == [3, 1]
    assert track_lineage(sorted)([3, 1]) == [1, 3]
    assert track_lineage(max)(1, 2) == 2
    assert track_lineage(max)([], default=7) == 7
    assert track_lineage(int.from_bytes)(b"\x01", "big") == 1
    assert track_lineage({"a": 1}.get)("b") is None
    assert track_lineage({"a": 1}.pop)("a") == 1
    assert track_lineage("a-b".split)("-") == ["a", "b"]
    assert len(tracker.operations) == 9
    assert tracker.lost == 0


def test_what_is_no_function_is_refused():
    for thing in (int, object(), functools.partial(int), 7):
        with pytest.raises((TypeError, ValueError)):
            track_lineage("read")(thing)


def test_bound_methods_and_cached_functions(tracker):
    class Owner:
        def method(self, value, default=DEFAULT):
            return self, value, default

    owner = Owner()
    assert track_lineage(owner.method)(1) == (owner, 1, DEFAULT)

    calls = []

    @track_lineage
    @functools.cache
    def cached(value=5):
        calls.append(value)
        return value

    assert [cached(1), cached(1), cached()] == [1, 1, 5]
    assert calls == [1, 5]
    assert cached.__wrapped__.cache_info().hits == 1


def other_decorator(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("injected", *args, **kwargs)

    wrapper.__signature__ = inspect.signature(lambda value, more=3: None)
    return wrapper


def test_a_signature_that_another_decorator_declares(tracker):
    """What counts is what the function takes, not what it says that it takes."""

    @track_lineage
    @other_decorator
    def function(added, value, more=3, **rest):
        return added, value, more, rest

    assert function(1) == ("injected", 1, 3, {})
    assert function(1, 2, extra=4) == ("injected", 1, 2, {"extra": 4})
    assert str(inspect.signature(function)) == "(value, more=3)"
    assert len(tracker.operations) == 2


def test_stacked_decorators(tracker):
    @track_lineage("transform")
    @track_lineage("read")
    def function(value, other=DEFAULT):
        return value, other

    assert function(1) == (1, DEFAULT)
    inner, outer = tracker.operations.values()
    assert (inner.operation_type, outer.operation_type) == ("read", "transform")
    assert inner.parent_id == outer.operation_id


def test_attributes_go_along():
    def function():
        pass

    function.flag = [1]
    wrapped = track_lineage(function)
    assert wrapped.flag is function.flag


def test_a_recursive_function(tracker):
    @track_lineage
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(20) == 2432902008176640000
    assert factorial(30) > 2**64
    assert len(tracker.operations) == 52
    assert tracker.lost == 0


def test_names_of_ours_may_be_taken(tracker):
    def function(_lineage_site, _lineage_function, _lineage_set=3):
        return _lineage_site, _lineage_function, _lineage_set

    wrapped = track_lineage(function)
    assert wrapped(1, 2) == (1, 2, 3)
    assert wrapped(1, 2) == (1, 2, 3)


def test_mangled_names(tracker):
    class Owner:
        @track_lineage
        def method(self, __private, *, __other=2):
            return __private, __other

    assert Owner().method(1) == (1, 2)
    assert Owner().method(1, _Owner__other=3) == (1, 3)


def test_deleting_and_rebinding_arguments_is_the_functions_own_business(tracker):
    @track_lineage(input_sources=["value"])
    def function(value):
        del value
        return 1

    assert function([1]) == 1
    assert tracker.lost == 0


# --- generators ----------------------------------------------------------------------------------


def echo(log):
    received = None
    while True:
        try:
            received = yield received
        except ValueError as error:
            received = f"caught {error}"
        except GeneratorExit:
            log.append("closed")
            raise
        if received == "stop":
            return "done"


def test_generators_are_driven_as_they_are(tracker):
    for decorate in (lambda function: function, track_lineage):
        log = []
        steps = decorate(echo)(log)
        assert next(steps) is None
        assert steps.send(1) == 1
        assert steps.throw(ValueError("x")) == "caught x"
        with pytest.raises(StopIteration) as stopped:
            steps.send("stop")
        assert stopped.value.value == "done"
        steps = decorate(echo)(log)
        next(steps)
        steps.close()
        assert log == ["closed"]
    one, two = tracker.operations.values()
    assert not one.is_failed
    assert not two.is_failed


def test_a_generator_that_goes_on_after_a_caught_error_has_no_context(tracker):
    contexts = []

    def function():
        with contextlib.suppress(KeyError):
            yield 1
        raise ValueError

    for decorate in (lambda function: function, track_lineage):
        steps = decorate(function)()
        next(steps)
        try:
            steps.throw(KeyError())
        except ValueError as error:
            contexts.append(error.__context__)
    assert contexts == [None, None]


def test_a_generator_may_refuse_to_close_or_answer_it(tracker):
    def refuses():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    def answers():
        try:
            yield 1
        except GeneratorExit:
            return "bye"

    for decorate in (lambda function: function, track_lineage):
        steps = decorate(refuses)()
        next(steps)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            steps.close()
        steps = decorate(answers)()
        next(steps)
        expected = "bye" if sys.version_info >= (3, 13) else None
        assert steps.close() == expected


def test_async_generators_are_driven_as_they_are(tracker):
    async def numbers(log):
        try:
            received = yield 1
            while received != "stop":
                try:
                    received = yield received
                except ValueError as error:
                    received = f"caught {error}"
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def drive(decorate):
        log = []
        steps = decorate(numbers)(log)
        assert await anext(steps) == 1
        assert await steps.asend(2) == 2
        assert await steps.athrow(ValueError("x")) == "caught x"
        with pytest.raises(StopAsyncIteration):
            await steps.asend("stop")
        steps = decorate(numbers)(log)
        await anext(steps)
        await steps.aclose()
        assert log == ["closed", "closed"]

    asyncio.run(drive(lambda function: function))
    asyncio.run(drive(track_lineage))
    assert len(tracker.operations) == 2


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_async_generator_that_is_left_half_way(tracker, capfd, is_kept):
    problems = []
    plainly = left_half_way(lambda function: function, is_kept, problems)
    assert left_half_way(track_lineage, is_kept, problems) == plainly
    assert problems == []
    assert capfd.readouterr() == ("", "")
    (operation,) = tracker.operations.values()
    assert not is_kept or not operation.is_failed


def left_half_way(decorate, is_kept, problems):
    left = []

    @decorate
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0.01)
            left.append("closed")

    kept = []

    async def main():
        steps = numbers()
        assert await anext(steps) == 1
        if is_kept:
            kept.append(steps)

    async def watched():
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: problems.append(context)
        )
        await main()

    asyncio.run(watched())
    return left


def test_a_generator_that_is_collected_is_recorded(tracker):
    @track_lineage
    def numbers():
        yield 1
        yield 2

    next(numbers())
    (operation,) = tracker.operations.values()
    assert not operation.is_failed
    assert operation.record_count_out == 1


# --- any signature -------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "x1", "type", "value"])


@st.composite
def functions(draw):
    """Draw a function of any signature and a call that it takes, plain values only."""
    names = draw(st.lists(NAMES, unique=True, max_size=6))
    cuts = sorted(draw(st.lists(st.integers(0, len(names)), min_size=2, max_size=2)))
    only, both, keys = names[: cuts[0]], names[cuts[0] : cuts[1]], names[cuts[1] :]
    first_default = draw(st.integers(0, cuts[1]))
    pieces, optional = [], set()
    for index, name in enumerate(only + both):
        has_default = index >= first_default
        optional |= {name} if has_default else set()
        pieces.append(f"{name}=D[{name!r}]" if has_default else name)
        if only and index == len(only) - 1:
            pieces.append("/")
    has_args = draw(st.booleans())
    if has_args:
        pieces.append("*args")
    elif keys:
        pieces.append("*")
    for name in keys:
        has_default = draw(st.booleans())
        optional |= {name} if has_default else set()
        pieces.append(f"{name}=D[{name!r}]" if has_default else name)
    has_kwargs = draw(st.booleans())
    if has_kwargs:
        pieces.append("**kwargs")
    listed = names + ["args"] * has_args + ["kwargs"] * has_kwargs
    source = f"def function({', '.join(pieces)}):\n    return [{', '.join(listed)}]"
    plain = st.one_of(
        *(st.integers(), st.floats(allow_nan=False), st.text(max_size=300), st.none()),
        *(st.booleans(), st.lists(st.integers(), max_size=3), st.binary(max_size=5)),
        st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    )
    space = {"D": {name: draw(plain) for name in names}}
    exec(source, space)
    args = [draw(plain) for _ in range(draw(st.integers(len(only), cuts[1])))]
    if has_args and len(args) == cuts[1]:
        args += draw(st.lists(plain, max_size=2))
    kwargs = {
        name: draw(plain)
        for name in (only + both)[len(args) :] + keys
        if name not in only and (name not in optional or draw(st.booleans()))
    }
    if has_kwargs:
        kwargs |= {f"extra{n}": draw(plain) for n in range(draw(st.integers(0, 2)))}
    return space["function"], args, kwargs


VARYING = {
    *("operation_id", "timestamp", "recorded_at", "duration_ms", "parent_id", "code_line"),
}


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=functions())
def test_any_signature_binds_and_is_recorded_the_same_on_both_ways(drawn):
    function, args, kwargs = drawn
    tracker = LineageTracker()
    wrapped = track_lineage(tracker=tracker)(function)
    plainly = function(*args, **kwargs)
    for _ in range(2):
        result = wrapped(*args, **kwargs)
        assert list(map(type, result)) == list(map(type, plainly))
        assert result == plainly
    assert inspect.signature(wrapped) == inspect.signature(function)
    assert tracker.lost == 0
    general, fast = tracker.operations.values()
    for name in set(general.__slots__) - VARYING:
        assert getattr(fast, name) == getattr(general, name), name
    assert list(general.parameters) == list(inspect.signature(function).parameters)


def test_the_ways_are_two(tracker):
    """Otherwise the test above would compare one way with itself."""
    wrapped = track_lineage(positional_only)
    assert "_lineage_general" in wrapped.__globals__
    assert "_lineage_general" not in track_lineage(starred).__globals__

"""Nothing that goes wrong in tracking reaches the tracked program.

A matrix of what can go wrong over the kinds of calls. A tracked call gives the very object that
the plain call gives, or raises the very exception; and what could not be kept is counted.
"""

import asyncio
import gc
import io
import logging
import os
import subprocess
import sys
import textwrap
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lineage.errors import StoreError
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker, current, set_global_tracker
from tests import untouchable
from tests.kinds import KINDS, drive, plain, tracked

ROOT = Path(__file__).parents[1]


class FailingStore:
    """Take nothing."""

    def __init__(self, error):
        self.error = error

    def append(self, kind, rows):
        raise self.error

    def scan(self, kind, where=None):
        raise self.error

    def close(self):
        raise self.error


@pytest.fixture(params=list(KINDS))
def kind(request):
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def _nothing_is_printed(capfd):
    yield
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


@pytest.fixture(autouse=True)
def _nothing_is_touched():
    untouchable.touched.clear()
    yield
    untouchable.touched.clear()


def the_same(kind, body, argument, may_touch=frozenset()):
    """Call plainly and tracked; give what came out, of which both must be one object."""
    outcomes = []
    for decorate in (plain, tracked):
        function = kind(decorate, body)
        try:
            outcomes.append((True, function(argument)))
        except BaseException as error:
            outcomes.append((False, error))
    (plainly, one), (trackedly, other) = outcomes
    assert plainly is trackedly
    assert one is other
    assert set(untouchable.touched) <= may_touch
    assert current.get() is None
    return one


def recorded(tracker):
    return list(tracker.operations.values())


# --- hostile values ------------------------------------------------------------------------------

VALUES = {
    "hostile": untouchable.Hostile,
    "unhashable type": untouchable.Strange,
    "class without a module": untouchable.Nameless,
    "text": lambda: untouchable.HostileText("x"),
    "list": lambda: untouchable.HostileList([1]),
    "dictionary": lambda: untouchable.HostileDict(a=1),
    "path": untouchable.HostilePath,
    "error": untouchable.HostileError,
    "hostile in a list": lambda: [1, untouchable.Hostile(), 2],
    "hostile in a tuple": lambda: (untouchable.Strange(), untouchable.Hostile()),
    "hostile in a dictionary": lambda: {"a": untouchable.Hostile(), "b": untouchable.Strange()},
    "hostile key": lambda: {untouchable.HostileKey(): 1},
    "hostile key of a frame": lambda: {untouchable.HostileKey(): pd.DataFrame({"a": [1]})},
    "hostile in a frame": lambda: pd.DataFrame({"a": [untouchable.HostileError()]}, dtype=object),
    "hostile type": lambda: untouchable.Hostile,
    "unhashable type itself": lambda: untouchable.Strange,
    "huge integer": lambda: 10**400,
    "integers beyond 64 bits": lambda: [2**64, -(2**63) - 1],
    "lone surrogate": lambda: "\ud800",
    "lone surrogates within": lambda: {"\udcff": ["\ud800"]},
    "not a number": lambda: float("nan"),
    "infinities": lambda: [float("inf"), {"a": float("-inf")}],
    "null text": lambda: "a\0b",
    "itself": lambda: _ring(),
    "deep": lambda: _deep(5000),
    "frame": lambda: pd.DataFrame({"a": [1.5, 2.5]}),
    "frame with strange columns": lambda: pd.DataFrame({("a", 1): [1], "\ud800": [2], None: [3]}),
    "frame with equal columns": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "empty frame": pd.DataFrame,
    "series": lambda: pd.Series([1, 2], name=("a", 1)),
    "polars": lambda: pl.DataFrame({"a": [1]}),
    "polars series": lambda: pl.Series("a", [1]),
    "polars lazy": lambda: pl.LazyFrame({"a": [1]}),
    "arrow": lambda: pa.table({"a": [1]}),
    "arrow array": lambda: pa.array([1]),
    "array": lambda: np.zeros((3, 2)),
    "array without dimensions": lambda: np.array(5.0),
    "structured array": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "masked array": lambda: np.ma.masked_array([1, 2], [True, False]),
    "long double": lambda: np.longdouble(1),
    "numpy scalar": lambda: np.float32("nan"),
    "memory": lambda: memoryview(b"abc"),
    "module": lambda: sys,
    "lambda": lambda: lambda: None,
}


def _ring():
    ring = []
    ring.append(ring)
    return ring


def _deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", VALUES)
def test_a_value_goes_in_and_comes_out_untouched(kind, name, tracker):
    made = VALUES[name]()
    assert the_same(kind, lambda value: value, made) is made
    assert tracker.lost == 0
    untouchable.touched.clear()
    (operation,) = recorded(tracker)
    assert not operation.is_failed
    assert untouchable.touched == []


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_only_comes_out_is_untouched(kind, name, tracker):
    made = VALUES[name]()
    assert the_same(kind, lambda value: made, 1) is made
    assert tracker.lost == 0
    assert len(recorded(tracker)) == 1


@pytest.mark.parametrize("name", VALUES)
def test_a_value_in_the_durable_store(name, durable):
    made = VALUES[name]()
    assert the_same(KINDS["scalars"], lambda value: value, made) is made
    assert durable.lost == 0
    assert len(durable.store.load_operations()) == 1


def test_the_matrix_would_see_a_touch(tracker):
    def careless(function):
        def wrapper(value):
            with suppress(untouchable.TouchedError):
                str(value)
            return function(value)

        return wrapper

    assert KINDS["scalars"](careless, lambda value: 1)(untouchable.Hostile()) == 1
    assert untouchable.touched == ["__str__"]


# --- exceptions ----------------------------------------------------------------------------------

ERRORS = {
    "value": lambda: ValueError("x"),
    "hostile": untouchable.HostileError,
    "surrogate": lambda: ValueError("\ud800"),
    "group": lambda: ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    "interrupt": KeyboardInterrupt,
    "exit": lambda: SystemExit(3),
    "memory": MemoryError,
    "recursion": lambda: RecursionError("maximum recursion depth exceeded"),
    "store": lambda: StoreError("the user's own"),
    "overflow": lambda: OverflowError("the user's own"),
    "key": lambda: KeyError(untouchable.HostileKey()),
    "huge": lambda: ValueError("x" * 1_000_000),
    "base": lambda: BaseException("base"),
    "cancelled": lambda: asyncio.CancelledError("cancelled"),
    "frame": lambda: ValueError(pd.DataFrame({"a": [1]})),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_very_exception_goes_on(kind, name, tracker):
    error, cause, context = ERRORS[name](), ValueError("cause"), ValueError("context")

    def body(value):
        try:
            raise context
        except ValueError:
            raise error from cause

    # The text of an error is asked for, and nothing else of it.
    assert the_same(kind, body, 1, may_touch={"__str__", "key"}) is error
    assert error.__cause__ is cause
    assert error.__context__ is context
    assert cause.__context__ is context.__context__ is None
    assert tracker.lost == 0
    (operation,) = recorded(tracker)
    assert operation.is_failed
    assert operation.error_type.rpartition(".")[2] == type(error).__qualname__


def test_an_exception_without_a_context_gets_none(kind, tracker):
    error = ValueError("x")

    def body(value):
        raise error

    assert the_same(kind, body, pd.DataFrame({"a": [1]})) is error
    assert error.__context__ is None
    assert error.__cause__ is None


def test_wrong_arguments_raise_what_they_raise(tracker):
    def function(a, /, b, *, c):
        return a

    wrapped = tracked(function)
    for args, named in ((), {}), ((1, 2), {}), ((1, 2, 3), {"c": 1}), ((1,), {"a": 2, "c": 3}):
        with pytest.raises(TypeError) as plainly:
            function(*args, **named)
        with pytest.raises(TypeError) as trackedly:
            wrapped(*args, **named)
        assert str(trackedly.value) == str(plainly.value)
    assert len(recorded(tracker)) == tracker.lost == 0


def test_stopping_is_not_mistaken(tracker):
    """A StopIteration out of a plain function goes on; out of a generator it is an error."""
    error = StopIteration(1)

    def body(value):
        raise error

    assert the_same(KINDS["scalars"], body, 1) is error
    with pytest.raises(RuntimeError) as raised:
        KINDS["generator"](tracked, body)(1)
    assert raised.value.__cause__ is error


# --- failing stores ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        StoreError("full"),
        OSError(28, "No space left"),
        RuntimeError("x"),
        untouchable.HostileError(),
    ],
    ids=["store", "system", "runtime", "hostile"],
)
@pytest.mark.parametrize("argument", [1, "frame"])
def test_a_failing_store_is_counted_and_nothing_else(kind, error, argument):
    tracker = LineageTracker(FailingStore(error))
    set_global_tracker(tracker)
    made = pd.DataFrame({"a": [1]}) if argument == "frame" else argument
    assert the_same(kind, lambda value: value, made, may_touch={"__str__"}) is made
    assert tracker.lost == 1
    raised = ValueError("mine")

    def body(value):
        raise raised

    assert the_same(kind, body, made, may_touch={"__str__"}) is raised
    assert raised.__context__ is None
    assert tracker.lost == 2
    assert tracker.last_error
    assert len(tracker.operations) == 0
    tracker.recorder.lost = 0


def test_a_program_whose_logging_fails(kind):
    def refuse(record):
        raise ValueError("a filter of the program's own")

    tracker = LineageTracker(FailingStore(StoreError("no room")))
    set_global_tracker(tracker)
    logging.getLogger("lineage").addFilter(refuse)
    try:
        made = object()
        assert the_same(kind, lambda value: value, made) is made
    finally:
        logging.getLogger("lineage").removeFilter(refuse)
    assert tracker.lost == 1
    tracker.recorder.lost = 0


class Flaky:
    """Take every second append."""

    def __init__(self):
        self.rows, self.calls = [], 0

    def append(self, kind, rows):
        self.calls += 1
        if self.calls % 2:
            raise RuntimeError("not now")
        self.rows += [row["operation_id"] for row in rows]

    def scan(self, kind, where=None):
        return iter(())

    def close(self):
        pass


def test_what_is_lost_and_what_is_kept_add_up(kind):
    store = Flaky()
    tracker = LineageTracker(store)
    set_global_tracker(tracker)
    function = kind(tracked, lambda value: value)
    for number in range(20):
        function(number)
    gc.collect()
    assert len(store.rows) == len(set(store.rows))
    assert len(store.rows) + tracker.lost == 20
    assert len(tracker.operations) == len(store.rows)


def test_a_folder_that_cannot_be_made(kind, tmp_path):
    place = tmp_path / "file"
    place.write_text("a file stands where the store should be")
    tracker = LineageTracker(LineageMetadataRepository(place / "store"))
    set_global_tracker(tracker)
    made = object()
    assert the_same(kind, lambda value: value, made) is made
    assert tracker.lost == 1
    assert "store" in tracker.last_error
    tracker.recorder.lost = 0


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 1 MB, where this may be done."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip(
            "mounting a small tmpfs is not permitted here, so a full disk is only played by a "
            f"limit on the size of files (run as root to have both): {done.stderr.decode()}"
        )
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("kind_name", ["scalars", "coroutine", "generator", "threaded"])
def test_a_full_disk(kind_name, small_disk):
    repository = LineageMetadataRepository(small_disk / "store")
    tracker = LineageTracker(repository)
    set_global_tracker(tracker)
    function = KINDS[kind_name](tracked, lambda value: value)
    (small_disk / "ballast").write_bytes(b"x" * 700_000)
    text = "x" * 900
    for number in range(800):
        assert function([number, text])[0] == number
    kept = len(repository.load_operations())
    assert tracker.lost > 0
    assert kept > 0
    assert kept + tracker.lost == 800
    (small_disk / "ballast").unlink()
    before = tracker.lost
    assert function("room again") == "room again"
    assert tracker.lost == before
    tracker.recorder.lost = 0
    tracker.recorder.journal.close()


def run_script(text, *arguments, **options):
    code = textwrap.dedent(text)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=options.pop("cwd", None),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        **options,
    )


def test_a_limit_on_the_size_of_files(tmp_path):
    done = run_script(
        """
        import resource, sys
        from lineage import LineageTracker, LineageMetadataRepository, set_global_tracker
        from lineage import track_lineage
        repository = LineageMetadataRepository(sys.argv[1])
        tracker = LineageTracker(repository)
        set_global_tracker(tracker)

        @track_lineage
        def function(value):
            return value

        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for number in range(1000):
            assert function(number) == number
        kept = len(repository.load_operations())
        assert kept > 100, kept
        assert kept + tracker.lost == 1000, (kept, tracker.lost)
        print(kept, tracker.lost)
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) <= 1, done.stderr


def test_a_broken_store_is_said_once_at_the_end(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_script(
        """
        import sys, lineage
        lineage.init(sys.argv[1] + "/store")

        @lineage.track_lineage
        def function(value):
            return value

        for number in range(100):
            function(number)
        """,
        tmp_path / "file",
    )
    assert done.returncode == 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("lineage: 100 operations were not recorded: ")


# --- what the caller owns ------------------------------------------------------------------------


def _this_file():
    return Path(__file__).open("rb")


def _counter(start):
    yield from range(start, start + 3)


HELD = {
    "iterator": (lambda: iter([1, 2]), lambda held: list(held) == [1, 2]),
    "generator": (lambda: _counter(5), lambda held: list(held) == [5, 6, 7]),
    "map": (lambda: map(str, [1]), lambda held: list(held) == ["1"]),
    "zip": (lambda: zip([1], [2], strict=True), lambda held: list(held) == [(1, 2)]),
    "buffer": (lambda: io.BytesIO(b"abc"), lambda held: held.tell() == 0),
    "text buffer": (lambda: io.StringIO("abc"), lambda held: held.tell() == 0),
    "file": (_this_file, lambda held: held.tell() == 0 and not held.close()),
    "list": (lambda: [[1], {"a": 2}], lambda held: held == [[1], {"a": 2}]),
    "dictionary": (lambda: {"password": "p", 1: [2]}, lambda held: held["password"] == "p"),
    "set": (lambda: {1, 2}, lambda held: held == {1, 2}),
    "bytes": (lambda: bytearray(b"abc"), lambda held: held.append(1) is None),
    "frame": (
        lambda: pd.DataFrame({"a": [1]}),
        lambda held: held.attrs == {} and list(held.columns) == ["a"],
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_what_is_passed_is_neither_consumed_nor_moved_nor_changed(kind, name, tracker):
    make, is_as_it_was = HELD[name]
    held = make()
    assert kind(tracked, lambda value: value)(held) is held
    assert is_as_it_was(held)
    assert tracker.lost == 0


@pytest.mark.parametrize("is_failing", [False, True])
@pytest.mark.parametrize("where", ["memory", "durable"])
def test_nothing_is_kept_alive(kind, is_failing, where, tmp_path):
    store = LineageMetadataRepository(tmp_path / "store") if where == "durable" else None
    tracker = LineageTracker(store)
    set_global_tracker(tracker)

    class Thing:
        pass

    def body(value):
        if is_failing:
            raise ValueError(value)
        return [Thing(), value]

    function = kind(tracked, body)
    for make in (Thing, lambda: pd.DataFrame({"a": [1]}), lambda: np.zeros(3), set):
        assert left_of(function, make) == (["failed"] if is_failing else [])
    assert tracker.lost == 0
    assert len(recorded(tracker)) == 4
    tracker.close()


def left_of(function, make):
    """Call a function with a new thing, and say whether it failed and what is alive afterwards."""
    thing = make()
    weak = {} if type(thing) is set else {"argument": weakref.ref(thing)}
    left = []
    try:
        result = function(thing)
        weak["result"] = weakref.ref(result[0])
        del result
    except ValueError:
        left.append("failed")
    del thing
    gc.collect()
    return left + [name for name, what in weak.items() if what() is not None]


def test_the_check_would_see_what_is_kept_alive():
    kept = []

    class Thing:
        pass

    def keeps(value):
        kept.append([Thing(), value])
        return kept[-1]

    def keeps_its_error(value):
        kept.append(ValueError(value))
        raise kept[-1]

    assert left_of(keeps, Thing) == ["argument", "result"]
    assert left_of(keeps_its_error, Thing) == ["failed", "argument"]


def test_nothing_is_kept_alive_without_a_collection(tracker):
    """What a plain call would free at once, the tracked call frees at once."""

    class Thing:
        pass

    gc.disable()
    try:
        for name in ("scalars", "general", "method"):
            thing = Thing()
            weak = weakref.ref(thing)
            KINDS[name](tracked, lambda value: None)(thing)
            del thing
            assert weak() is None, name
    finally:
        gc.enable()


def _freed(value, *rest, **named):
    weak = weakref.ref(value)
    del value
    return weak() is None


def _freed_by_generator(value):
    weak = weakref.ref(value)
    del value
    yield weak() is None


async def _freed_by_coroutine(value):
    weak = weakref.ref(value)
    del value
    return weak() is None


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_secret", [True, False])
def test_a_frame_that_the_function_deletes_is_freed_at_once(tracker, is_first, is_secret):
    def keyword(*, frame, note=""):
        weak = weakref.ref(frame)
        del frame
        return weak() is None

    def plain(frame, note=""):
        weak = weakref.ref(frame)
        del frame
        return weak() is None

    note = "password=hunter2" if is_secret else ""
    calls = {
        "fast": lambda function: function(pd.DataFrame({"a": [1]}), note),
        "keyword": lambda function: function(frame=pd.DataFrame({"a": [1]}), note=note),
        "stars": lambda function: function(pd.DataFrame({"a": [1]}), note, more=note),
        "generator": lambda function: next(function(pd.DataFrame({"a": [1]}))),
        "coroutine": lambda function: asyncio.run(function(pd.DataFrame({"a": [1]}))),
    }
    functions = {
        "fast": plain,
        "keyword": keyword,
        "stars": _freed,
        "generator": _freed_by_generator,
        "coroutine": _freed_by_coroutine,
    }
    gc.disable()
    try:
        for name, call in calls.items():
            function = tracked(functions[name])
            if not is_first:
                call(function)
            is_freed, is_freed_too = call(functions[name]), call(function)
            assert is_freed, name
            # Python 3.11 keeps what it hands on as `*args` until the call returns.
            assert is_freed_too or (name == "stars" and sys.version_info < (3, 12)), name
    finally:
        gc.enable()


def test_what_is_yielded_is_the_consumers_alone(tracker):
    def generate():
        yield pd.DataFrame({"a": [1]})
        yield None

    async def agenerate():
        yield pd.DataFrame({"a": [1]})
        yield None

    async def first(items):
        try:
            return _weakly(await anext(items))
        finally:
            await items.aclose()

    def _weakly(item):
        return weakref.ref(item)

    gc.disable()
    try:
        items = tracked(generate)()
        weak = _weakly(next(items))  # not in the assertion, which keeps what it looks at
        assert weak() is None
        items.close()
        weak = asyncio.run(first(tracked(agenerate)()))
        assert weak() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind_of_call", ["fast", "general"])
@pytest.mark.parametrize("is_failing", [False, True])
def test_a_call_with_little_stack_left_ends_as_it_would(tracker, kind_of_call, is_failing):
    """Once the function has run, nothing that tracking lacks room for takes its outcome away."""
    frame, outcomes, ran = pd.DataFrame({"a": [1]}), [], []

    def body(value, *rest):
        error = KeyError(value)  # making it takes stack, too: it has run when that is done
        ran.append(value)
        if is_failing:
            raise error
        return frame

    def short(value):
        error = KeyError(value)
        ran.append(value)
        if is_failing:
            raise error
        return frame

    function = tracked(short if kind_of_call == "fast" else body)

    def deep(left):
        return function(1) if left == 0 else deep(left - 1)

    with suppress(KeyError):
        function(1)
    ran.clear()
    limit = sys.getrecursionlimit()
    for depth in range(limit - 150, limit):
        before = len(ran)
        try:
            outcome = deep(depth)
        except (KeyError, RecursionError) as error:
            outcome = type(error)
        if len(ran) > before:
            outcomes.append(outcome)
    assert outcomes
    assert all(outcome is (KeyError if is_failing else frame) for outcome in outcomes)
    # Those that had no room for the function itself have failed, or are lost, too.
    assert len(recorded(tracker)) + tracker.lost > len(outcomes)
    assert 0 < tracker.lost < 20
    assert "RecursionError" in tracker.last_error
    tracker.recorder.lost = 0


def test_a_failed_call_leaves_no_cycle(tracker):
    class OwnError(Exception):
        pass

    def body(value):
        raise OwnError

    gc.collect()
    gc.disable()
    try:
        for name in ("scalars", "general", "method", "generator", "repository_method"):
            function = KINDS[name](tracked, body)
            weak = None
            try:
                function(1)
            except OwnError as error:
                weak = weakref.ref(error)
            assert weak() is None, name
    finally:
        gc.enable()


# --- owners, repositories, callbacks -------------------------------------------------------------


def test_a_repository_that_tells_nothing(tracker):
    class Owner(untouchable.Hostile):
        load = untouchable.Hostile.__getattribute__

    from lineage.decorators import track_repository_operation

    def load(self, value):
        return value

    load.__qualname__ = "Owner.load"
    made = object()
    assert track_repository_operation("read")(load)(Owner(), made) is made
    assert len(recorded(tracker)) + tracker.lost == 1


@pytest.mark.parametrize(
    "error", [ValueError("x"), untouchable.HostileError()], ids=["value", "hostile"]
)
def test_extractors_that_fail(tracker, error):
    def extract(*_):
        raise error

    made = object()
    for keyword in ("extract_inputs", "extract_outputs"):
        before = len(recorded(tracker)) + tracker.lost
        assert tracked("transform", **{keyword: extract})(lambda value: value)(made) is made
        assert len(recorded(tracker)) + tracker.lost == before + 1
    tracker.recorder.lost = 0


def test_subscribers_that_fail(kind, tracker):
    def callback(operation):
        raise RuntimeError("mine")

    tracker.subscribe("operation.completed", callback)
    tracker.subscribe("operation.failed", callback)
    made = object()
    assert the_same(kind, lambda value: value, made) is made
    assert len(recorded(tracker)) == 1
    assert tracker.lost == 0


def test_a_subscriber_when_nothing_can_be_read_back(tmp_path):
    """A record is written once, also when the operation cannot be given to the subscribers."""

    class Unreadable(LineageMetadataRepository):
        def scan(self, kind, where=None):
            raise StoreError("cannot be read")

    repository = Unreadable(tmp_path / "store")
    tracker = LineageTracker(repository)
    set_global_tracker(tracker)
    tracker.subscribe("operation.completed", lambda operation: None)
    tracker.recorder.journal.take = lambda: None
    function = KINDS["scalars"](tracked, lambda value: value)
    for number in range(5):
        assert function(number) == number
    reader = LineageMetadataRepository(tmp_path / "store")
    assert len(reader.load_operations()) == 5
    assert tracker.lost == 0
    tracker.recorder.journal.close()


# --- interruptions -------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    """Keep the collector away: an interruption in one of its callbacks reaches nobody."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "place", ["scalars", "general", "method", "repository_method", "exhausted"]
)
def test_an_interruption_anywhere_leaves_no_parent(place, tracker, no_collector):
    """Interrupt a call wherever the interpreter looks for signals: behind each call in it."""
    function = KINDS[place](tracked, lambda value: value)
    function(1)
    seen = 0
    for nth in range(1, 200):
        counter = 0

        def interrupt(frame, event, _argument, nth=nth):
            nonlocal counter
            counter += event in ("call", "return", "c_return")
            if counter == nth and event != "c_call":
                sys.setprofile(None)
                raise KeyboardInterrupt

        sys.setprofile(interrupt)
        try:
            function(1)
        except KeyboardInterrupt:
            seen += 1
        finally:
            sys.setprofile(None)
        assert current.get() is None, f"interrupted at event {nth}"
        if counter < nth:
            break
    assert seen > 5
    ids = [operation.operation_id for operation in recorded(tracker)]
    assert len(ids) == len(set(ids))


def test_close_to_the_recursion_limit(durable):
    """Tracking takes frames of its own, and fails there in silence, not in the program."""

    def body(value):
        return value

    function = KINDS["scalars"](tracked, body)
    function(1)

    def deepest(call):
        def go(depth):
            return call(depth) if depth == 0 else go(depth - 1)

        low, high = 1, sys.getrecursionlimit()
        while low < high:
            middle = (low + high + 1) // 2
            try:
                go(middle)
            except RecursionError:
                high = middle - 1
            else:
                low = middle
        return low

    plainly = deepest(KINDS["scalars"](plain, body))
    trackedly = deepest(function)
    assert plainly - trackedly <= 3
    assert current.get() is None
    durable.recorder.lost = 0


def test_a_coroutine_dropped_elsewhere_leaves_that_context_alone(tracker):
    class Forever:
        def __await__(self):
            while True:
                yield

    @tracked
    async def waits():
        await Forever()

    async def main():
        left = waits()
        left.send(None)
        current.set(None)
        return left

    left = drive(main())
    current.set(None)

    @tracked
    def outer():
        nonlocal left
        inside = current.get()
        left = None
        gc.collect()
        assert current.get() is inside

    outer()


def test_generators_that_interleave_keep_their_parents(tracker):
    @tracked
    def inner(value):
        return value

    @tracked
    def steps(name):
        for number in range(2):
            inner(f"{name}{number}")
            yield number

    one, two = steps("a"), steps("b")
    assert [next(one), next(two), next(one), next(two)] == [0, 0, 1, 1]
    inner("outside")
    one.close()
    two.close()
    operations = recorded(tracker)
    names = {each.operation_id: each.code_name for each in operations}
    parents = {each.parameters["value"]: each.parent_id for each in operations if each.parent_id}
    assert len({parents["a0"], parents["a1"]}) == 1
    assert len({parents["b0"], parents["b1"]}) == 1
    assert parents["a0"] != parents["b0"]
    assert "outside" not in parents
    assert all(names[parent].endswith("steps") for parent in parents.values())

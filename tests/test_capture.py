"""Capture never changes what a program does: results, errors, warnings, lives and attributes."""

import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import sys
import threading
import tracemalloc
import warnings
import weakref
from collections import namedtuple
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from lineage.capture import pandas as capture
from lineage.capture import wrappers as wrapping
from lineage.capture.keeping import Keeper
from lineage.capture.kinds import Labels, kind_of, labels_of
from lineage.capture.pandas import PandasAdapter
from lineage.capture.patches import Patches
from lineage.capture.tape import MARK, Entry, Everywhere, Tape, Unknown, current, inside
from lineage.capture.warned import References


@contextmanager
def captured(tape=None):
    tape = Tape() if tape is None else tape
    capture.install()
    token = current.set(tape)
    try:
        yield tape
    finally:
        current.reset(token)
        capture.uninstall()


def outcome(function):
    """Give all that a program can see of a call: what it gives or raises, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, problem = function(), None
        except BaseException as error:
            # Where the stack ended, and with which text, is not for the program to know.
            text = "" if isinstance(error, RecursionError) else str(error)
            result, problem = None, (type(error), text, type(error.__cause__))
    seen = [(each.category, str(each.message), each.filename, each.lineno) for each in caught]
    return result, problem, seen


def same(one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other)
    else:
        assert pickle.dumps(one) == pickle.dumps(other)
    assert type(one) is type(other)


def assert_unchanged(function):
    """Assert that a call has the same outcome with capture on; gives the tape."""
    plain = outcome(function)
    with captured() as tape:
        noted = outcome(function)
    same(plain[0], noted[0])
    assert plain[1:] == noted[1:]
    assert not tape.missed, tape.last_error
    assert not inside.busy
    return tape


def frame(rows=6):
    return pd.DataFrame(
        {"k": [i % 3 for i in range(rows)], "a": range(rows), "b": np.linspace(0, 1, rows)}
    )


def names(tape):
    return [entry.name for entry in tape.entries]


# --- the attributes of pandas --------------------------------------------------------------------


def attributes():
    return [(owner, name, owner.__dict__.get(name)) for owner, name, _ in capture.wrappers()]


def assert_untouched(before):
    for owner, name, value in before:
        assert owner.__dict__.get(name) is value, (owner, name)
    assert Everywhere.tape is None


def test_every_attribute_is_the_same_object_after_the_last_stop():
    before = attributes()
    assert len(before) > 500
    one, other = PandasAdapter(), PandasAdapter()
    first, second, third = Tape(), Tape(), Tape()
    one.start(first)
    changed = [owner.__dict__.get(name) is not value for owner, name, value in before]
    assert all(changed)
    other.start(second)
    one.start(third)
    frame().sort_values("a")
    one.stop()
    frame().sort_values("b")
    one.stop()  # begun before `other`, which goes on
    frame().sort_values("k")
    other.stop()
    assert [names(each)[-1:] for each in (first, second, third)] == [
        [], ["sort_values"], ["sort_values"],
    ]  # fmt: skip
    assert [len(each.entries) for each in (second, third)] == [4, 2]
    other.stop()
    one.stop()
    assert_untouched(before)


def test_the_check_would_see_an_attribute_that_is_left():
    before = attributes()
    capture.install()
    with pytest.raises(AssertionError):
        assert_untouched(before)
    capture.uninstall()
    assert_untouched(before)


def test_a_tracker_with_a_tape_can_be_started_on():
    class Tracker:
        tape = Tape()

    adapter = PandasAdapter()
    adapter.start(Tracker())
    frame()
    adapter.stop()
    assert names(Tracker.tape) == ["DataFrame"]


def test_what_somebody_else_replaces_meanwhile_is_left_to_them():
    original = pd.DataFrame.__dict__["nlargest"]
    calls = []
    capture.install()
    wrapper = pd.DataFrame.__dict__["nlargest"]

    def theirs(self, *args, **kwargs):
        calls.append(args)
        return wrapper(self, *args, **kwargs)

    pd.DataFrame.nlargest = theirs
    capture.uninstall()
    assert pd.DataFrame.__dict__["nlargest"] is theirs
    same(frame().nlargest(2, "a"), frame()[::-1].head(2))
    with captured() as tape:
        frame().nlargest(2, "a")
    assert "nlargest" in names(tape)
    assert len(calls) == 2
    pd.DataFrame.nlargest = wrapper  # they take it back
    capture.install()
    capture.uninstall()
    assert pd.DataFrame.__dict__["nlargest"] is original


def test_what_somebody_else_has_replaced_before_is_called(monkeypatch):
    calls = []
    original = pd.DataFrame.nlargest

    def theirs(self, *args, **kwargs):
        calls.append(args)
        return original(self, *args, **kwargs)

    with captured():
        frame().nlargest(1, "a")
    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "nlargest", theirs)
        with captured() as tape:
            frame().nlargest(2, "a")
        assert pd.DataFrame.__dict__["nlargest"] is theirs
    assert calls == [(2, "a")]
    assert names(tape)[-1] == "nlargest"
    with captured() as tape:
        frame().nlargest(3, "a")
    assert len(calls) == 1


def test_patches_of_inherited_attributes_leave_nothing():
    class Parent:
        word = "parent"

    class Child(Parent):
        pass

    patches = Patches()
    patches.put(Child, "word", "patch")
    assert Child.word == "patch"
    patches.remove()
    assert "word" not in vars(Child)
    assert Child.word == "parent"


def test_wrappers_look_like_what_they_wrap():
    with captured():
        noted = {name: getattr(pd.DataFrame, name) for name in ("merge", "query", "pop", "assign")}
        for name, each in noted.items():
            plain = each.__wrapped__
            assert inspect.signature(each) == inspect.signature(plain)
            assert (each.__doc__, each.__qualname__, each.__module__) == (
                plain.__doc__, plain.__qualname__, plain.__module__,
            )  # fmt: skip
            assert each.__name__ == name
            assert inspect.getfullargspec(each) == inspect.getfullargspec(plain)
            assert inspect.getsource(each) == inspect.getsource(plain)


def test_functions_and_methods_can_be_pickled_while_they_are_wrapped():
    with captured():
        functions = [getattr(pd, name) for name in capture._FUNCTIONS]
        for each in (*functions, pd.DataFrame.merge, frame().head):
            assert pickle.loads(pickle.dumps(each)).__name__ == each.__name__


# --- results, errors and warnings ----------------------------------------------------------------


def chained():
    data = frame()
    data["a"][data["k"] > 0] = 9
    return data


def chained_update():
    data = frame()
    data["a"].update(pd.Series([7]))
    return data


def chained_in_place():
    data = frame()
    data["a"].replace(1, 5, inplace=True)
    return data


def chained_in_a_lambda():
    def change(group):
        copied = group.copy()
        copied["a"][copied["a"] > 1] = 0
        return copied["a"].sum()

    return frame().groupby("k").apply(change)


def plain_in_place():
    data = frame()
    data.drop(columns=["a"], inplace=True)
    data[["k"]].drop(columns=["k"], inplace=True)
    return data


def locations():
    data = frame()
    data.loc[data["a"] > 2, "b"] = -1
    data.iloc[0, 1] = 10
    data.at[1, "a"] = 11
    data.loc[data["a"] > 2]["b"] = 3
    return data


def queried():
    least = 1  # noqa: F841 - the queries name it
    data = frame()
    data = data.query("a > @least").eval("c = a + b + @least")

    def deeper(limit):
        return [data.query("c < @limit and a > @least") for _ in range(1)][0]  # noqa: RUF015

    return deeper(4)


def deprecated():
    return frame().reindex_like(frame(3), method="pad")


def grown():
    return frame().merge(frame(), on="k").groupby("k").agg({"a_x": "sum"}).reset_index()


def lambda_fails():
    return frame().assign(z=lambda data: data["a"] / 0, y=lambda data: data["missing"])


def apply_fails():
    return frame().apply(lambda row: 1 // 0, axis=1)


def interrupted():
    def stop(_):
        raise KeyboardInterrupt

    return frame().groupby("k").apply(stop)


def exits():
    return frame()["a"].map(sys.exit)


def unhashable():
    return frame()[{"a": []}]


def deep(depth=0):
    try:
        return deep(depth + 1)
    except RecursionError:
        pass
    data = frame()
    return data["a"] + 1 if depth < 50 else data


def recursive():
    def again(value):
        return pd.Series([value]).map(again)

    return again(1)


def dtypes():
    values = pd.Series([1, "x", None, 2.5])
    return values.astype(int)


def arithmetic():
    data = frame()
    data["a"] += 1
    data["c"] = np.log1p(data["b"]) / data["a"].mean()
    return pd.concat([data, data], ignore_index=True).T


def attribute():
    data = frame()
    data.a = data.a + 1
    data.new = 5
    data.columns = ["x", "y", "z"]
    return data


def applied_by_name():
    data = frame()
    return [data.apply(name, axis=1).tolist() for name in ("any", "sum", "max")]


def popped():
    data = frame()
    column = data.pop("a")
    del data["b"]
    data.insert(0, "c", column)
    return data


PROGRAMS = [
    chained, chained_update, chained_in_place, chained_in_a_lambda, plain_in_place, locations,
    queried, deprecated, grown, lambda_fails, apply_fails, interrupted, exits, unhashable,
    recursive, dtypes, arithmetic, attribute, applied_by_name, popped,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_has_the_same_outcome(program):
    assert_unchanged(program)


def test_the_programs_warn_and_fail_indeed():
    with_problem = {each.__name__ for each in PROGRAMS if outcome(each)[1]}
    assert with_problem >= {
        "lambda_fails", "apply_fails", "interrupted", "exits", "unhashable", "recursive", "dtypes",
    }  # fmt: skip
    warned = {each.__name__ for each in PROGRAMS if outcome(each)[2]}
    assert warned >= {"chained", "chained_update", "chained_in_place", "chained_in_a_lambda"}


def test_the_check_would_see_another_outcome():
    turns = iter([[1], [2]])
    with pytest.raises(AssertionError):
        assert_unchanged(lambda: next(turns))
    turns = iter([UserWarning, FutureWarning])
    with pytest.raises(AssertionError):
        assert_unchanged(lambda: warnings.warn("x", next(turns), stacklevel=1))


def test_a_wrapper_that_does_not_look_for_chains_would_be_seen(monkeypatch):
    monkeypatch.setattr(wrapping, "chain_of", lambda original: None)
    monkeypatch.setattr(capture, "references", lambda wrap: None)
    monkeypatch.setattr(capture, "_made", [])
    with pytest.raises(AssertionError):
        assert_unchanged(chained)


class Counting:
    """An object that counts the references to itself, as those of pandas 2 do."""

    def __init__(self, counter):
        self.counter = counter

    def count(self):
        return self.counter.getrefcount(self)

    def count_by_a_helper(self):
        return self._helper()

    def count_in_place(self, *, inplace):
        return self.counter.getrefcount(self)

    def _helper(self):
        return self.counter.getrefcount(self)

    __neg__ = count


def counted(counter):
    """Count the references to values that have no name, one name, and two."""
    one = Counting(counter)
    other = two = Counting(counter)
    return [
        *((made.count(), made.count_by_a_helper(), -made) for made in (one, two, other)),
        *(made.count_in_place(inplace=True) for made in (one, two, other)),
        Counting(counter).count(), Counting(counter).count_by_a_helper(), -Counting(counter),
        Counting(counter).count_in_place(inplace=True),
    ]  # fmt: skip


def test_references_are_counted_as_if_no_wrapper_held_one(monkeypatch):
    """pandas 2 takes what nobody else refers to to be an intermediate value."""
    plain = counted(sys)
    counter = References(wrapping.bare)
    assert counted(counter) == plain
    for name in ("count", "count_by_a_helper", "count_in_place", "__neg__"):
        inner = vars(Counting)[name]
        inner.__module__ = "pandas"
        monkeypatch.setattr(Counting, name, wrapping.bare(inner))
    assert counted(counter) == plain
    assert counted(sys) != plain
    assert counter.maxsize == sys.maxsize


def test_at_the_end_of_the_stack_nothing_is_raised_that_would_not_be():
    """A wrapper is one call more; what is noted takes several, and must not fail the user."""
    data = frame()
    limit = sys.getrecursionlimit()
    with captured() as tape:
        here = len(inspect.stack(0))
        for room in range(2, 30):
            try:
                sys.setrecursionlimit(here + room)
            except RecursionError:  # some versions want more room than that to set it
                continue
            try:
                try:
                    failed = None
                    data.items()  # makes a generator: no call of its own
                except RecursionError as problem:
                    failed = problem
            finally:
                sys.setrecursionlimit(limit)
            if failed is not None:
                last = failed.__traceback__
                while last.tb_next is not None:
                    last = last.tb_next
                file = last.tb_frame.f_code.co_filename
                assert "lineage" not in file, (room, file)
    assert tape.missed
    assert not inside.busy


# --- the user's objects --------------------------------------------------------------------------


class Touchy:
    """An object that nothing may be asked of."""

    def _refuse(self, *_):
        raise AssertionError("somebody has looked")

    __getattr__ = __len__ = __eq__ = __hash__ = __iter__ = __bool__ = __repr__ = __str__ = _refuse
    __contains__ = __getitem__ = __call__ = _refuse
    dtype = shape = ndim = name = func = columns = property(_refuse)


class Fragile(pd.DataFrame):
    """A frame that fails whoever asks it for what it does not have."""

    @property
    def _constructor(self):
        return Fragile

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None


class Geo(pd.DataFrame):
    """A subclass as GeoDataFrame is one: metadata and constructors of its own."""

    _metadata = ("crs",)

    @property
    def _constructor(self):
        return Geo

    @property
    def _constructor_sliced(self):
        return GeoSeries


class GeoSeries(pd.Series):
    _metadata = ("crs",)

    @property
    def _constructor(self):
        return GeoSeries

    @property
    def _constructor_expanddim(self):
        return Geo


def keep(value):
    return Keeper(lambda tape, met, where: "met").keep(Tape(), value, None)


def test_nothing_is_asked_of_an_object_of_the_users():
    kept = (None, "Touchy")
    assert keep(Touchy()) == kept
    assert keep([Touchy(), {1: Touchy()}]) == [kept, {1: kept}]
    data = frame()

    def use():
        with pytest.raises(AssertionError, match="looked"):
            data.isin(Touchy())
        data["o"] = pd.Series([Touchy()] * 6, dtype=object)
        return len(data)

    assert_unchanged(use)


def test_a_subclass_that_refuses_everything_is_noted():
    def use():
        made = Fragile({"a": [1, 2]})
        return made.rename(columns={"a": "b"}).sort_index()

    tape = assert_unchanged(use)
    assert names(tape)[-1] == "sort_index"


def test_iterators_are_not_advanced():
    def numbers():
        yield from range(3)

    def use():
        given = numbers()
        lent = iter([3, 4])
        made = [pd.DataFrame({"a": given}), pd.Series(lent), pd.concat(iter([frame(), frame()]))]
        made.append(frame().drop(columns=iter(["a"]), errors="ignore"))
        return [each.to_dict() for each in made]

    tape = assert_unchanged(use)
    kept = [each for entry in tape.entries for each in entry.args if type(each) is Unknown]
    assert {each.kind for each in kept} >= {"list_iterator"}
    untouched = iter("abc")
    assert keep(untouched) == ("str_ascii_iterator",) or keep(untouched).kind == "str_iterator"
    assert next(untouched) == "a"


def test_of_what_is_long_nothing_is_looked_at():
    class Counting(list):
        pass

    class Watched:
        pass

    assert keep([Watched()] * 257) == ("list",)
    assert keep(Counting("ab")) == ("Counting",)
    assert keep("x" * 5000) == ("str",)
    assert keep(10**400) == ("int",)
    assert keep({i: i for i in range(300)}) == ("dict",)
    nested = []
    nested.append(nested)
    deep = keep(nested)
    for _ in range(60):
        deep = deep[0] if isinstance(deep, list) else deep
    assert deep == ("list",)
    wide = keep([list(range(100)) for _ in range(100)])
    assert sum(len(each) for each in wide if isinstance(each, list)) <= 2000


def test_keys_and_labels_that_are_objects_are_not_held():
    class Key:
        pass

    key = Key()
    watch = weakref.ref(key)

    def use(key):
        data = pd.DataFrame({key: [1], "b": [2]})
        data[key] = 3
        data = data.rename(columns={key: "c"})
        made = pd.Series([1], name=(key, 1))
        return data, made * 2

    with captured() as tape:
        use(key)
    assert not tape.missed, tape.last_error
    assert tape.entries[0].labels == ("<Key>", "b")
    del key
    gc.collect()
    assert watch() is None


def test_callables_are_kept_as_code():
    def doubled(value, by=2):
        return value * by

    class Model:
        def predict(self, value):
            return value

    kept = keep([doubled, functools.partial(doubled, by=3), Model().predict, len, np.log, np.mean])
    assert [each.name for each in kept] == ["doubled", "doubled", "predict", "len", "log", "mean"]
    assert kept[0].code is kept[1].code is doubled.__code__
    assert kept[3].code is None
    assert keep(Model) == (None, "Model")


def test_a_named_aggregation_that_is_a_tuple_is_kept():
    """As it is in pandas 2, where it has no attributes of its own."""
    made = namedtuple("NamedAgg", ["column", "aggfunc"], module="pandas.core.groupby.generic")
    keeper = Keeper(lambda tape, frame, where: None)
    assert keeper.keep(Tape(), made("a", "sum"), None) == ("a", "sum")
    with captured() as tape:
        frame().groupby("k").agg(largest=pd.NamedAgg("a", "max"))
    assert not tape.missed
    assert tape.entries[-1].kwargs == {"largest": ("a", "max")}


def test_a_subclass_with_metadata_keeps_its_class_and_metadata():
    def use():
        made = Geo({"a": [1, 2], "b": [3, 4]})
        made.crs = "EPSG:4326"
        column = made["a"]
        chosen = made[made["a"] > 1].copy().sort_values("b")
        again = pickle.loads(pickle.dumps(chosen))
        return [type(each).__name__ for each in (column, chosen, again, chosen.T)] + [
            chosen.crs, again.crs,
        ]  # fmt: skip

    tape = assert_unchanged(use)
    assert "sort_values" in names(tape)


def test_copies_pickles_and_attributes_are_as_they_were():
    with captured() as tape:
        data = frame()
        data.attrs["unit"] = "m"
        groups = data.groupby("k")
        number = tape.number_of(groups)
        for again in (copy.copy(groups), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
            assert tape.number_of(again) is None or tape.number_of(again) != number
        assert data.attrs == {"unit": "m"}
        assert MARK not in data.columns
        assert MARK not in repr(data)
        assert pickle.loads(pickle.dumps(data)).attrs == {"unit": "m"}
    plain = frame()
    plain.attrs["unit"] = "m"
    assert pickle.dumps(plain) == pickle.dumps(data)


def test_views_share_and_copy_as_they_did():
    def use():
        data = frame()
        view = data[["a", "b"]]
        shared = np.shares_memory(data["a"].to_numpy(), view["a"].to_numpy())
        view.iloc[0, 0] = 100
        column = data["a"]
        column.iloc[1] = 50
        rows = data.head(3)
        still = np.shares_memory(rows["a"].to_numpy(), data["a"].to_numpy())
        array = data.to_numpy()
        return [shared, still, data.to_dict(), view.to_dict(), array.flags.writeable]

    assert_unchanged(use)


# --- lives ---------------------------------------------------------------------------------------


def test_no_frame_is_kept_alive():
    with captured() as tape:
        data = frame(1000)
        other = data[data["a"] > 3].assign(c=lambda each: each["a"] * 2)
        groups = other.groupby("k")
        total = groups.agg({"a": "sum"})
        array = total["a"].to_numpy()
        big = np.zeros(100_000)
        data["zeros"] = big[:1000]
        joined = pd.concat([data, other, pd.DataFrame({"big": big})])
        watched = [weakref.ref(each) for each in (data, other, groups, total, array, big, joined)]
        del data, other, groups, total, array, big, joined
        gc.collect()
        assert [each() for each in watched] == [None] * 7
        assert len(tape.entries) > 8


def test_the_check_would_see_a_frame_that_is_held(monkeypatch):
    held = []
    real = Tape.append
    monkeypatch.setattr(Tape, "mark", lambda self, value, number: held.append(value))
    with captured():
        data = frame()
        watch = weakref.ref(data)
        del data
        gc.collect()
        assert watch() is not None
    assert real is Tape.append


def test_frames_die_when_they_are_let_go_without_collecting():
    gc.disable()
    try:
        with captured():
            data = frame()
            watch = weakref.ref(data.sort_values("a"))
            assert watch() is None
            chained = weakref.ref(data)
            data = data[data["a"] > 1]
            assert chained() is None
    finally:
        gc.enable()


def test_labels_that_are_a_small_part_of_something_large_are_copied():
    large = pd.Series([f"label {i}" for i in range(50_000)])
    index = pd.Index(large[:3])
    found = labels_of(index)
    assert list(found) == ["label 0", "label 1", "label 2"]
    assert not (isinstance(found, Labels) and found._found.get_total_buffer_size() > 65_536)


def test_a_hundred_thousand_operations_in_bounded_memory():
    data = frame()
    with captured(Tape(most=2000)) as tape:
        for _ in range(1000):
            data["a"]
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(1500):
                data["a"]
            filled = tracemalloc.get_traced_memory()[0]
            for _ in range(97_500):
                data["a"]
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - filled
        finally:
            tracemalloc.stop()
    assert len(tape.entries) == 2000
    assert tape.missed == 98_001
    assert grown < 50_000


def test_wide_frames_do_not_fill_the_memory():
    tape = Tape()
    for number in range(400):
        tape.labels(pd.Index([f"{number}-{i}" for i in range(9000)]))
    assert tape._wide <= 2_009_000
    assert tape.labels(pd.Index([f"last-{i}" for i in range(90)])) is None


def pipeline(data):
    chosen = data[data["a"] > 10]
    chosen = chosen.assign(d=chosen["a"] * 2, e=lambda each: each["b"] + 1)
    chosen["f"] = chosen["d"] / chosen["e"]
    chosen = chosen.sort_values("f").rename(columns={"b": "weight"})
    groups = chosen.groupby("k").agg(total=("f", "sum"), best=("a", "max")).reset_index()
    joined = chosen.merge(groups, on="k", how="left")
    joined["share"] = joined["f"] / joined["total"]
    return joined.dropna(subset=["share"]).drop(columns=["e"])


def test_an_entry_of_a_pipeline_takes_at_most_400_bytes():
    import pyarrow as pa

    def in_use():
        gc.collect()
        return tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes()

    data, tape = frame(1000), Tape()
    tracemalloc.start()
    try:
        with captured(tape):
            for _ in range(100):
                pipeline(data)
        full, entries = in_use(), len(tape.entries)
        del tape  # what is free then is what it took
        each = (full - in_use()) / entries
    finally:
        tracemalloc.stop()
    print(f"{each:.0f} bytes an entry")
    assert 150 < each <= 400


# --- threads, processes and tasks ----------------------------------------------------------------


def test_threads_share_a_tape_without_mixing_their_frames():
    results, tape = {}, Tape()
    adapter = PandasAdapter()

    def work(number):
        wrong = 0
        for _ in range(60):
            data = pd.DataFrame({f"c{number}": [number]})
            made = data.rename(columns={f"c{number}": f"d{number}"})
            entry = tape.entries[tape.number_of(made)]
            before = tape.entries[entry.target]
            wrong += list(entry.labels) != [f"d{number}"] or list(before.labels) != [f"c{number}"]
        results[number] = wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    adapter.start(tape)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        adapter.stop()
        sys.setswitchinterval(interval)
    assert results == dict.fromkeys(range(6), 0)
    assert not tape.missed


def test_a_tape_finds_the_number_of_its_entry_when_others_append():
    class Racing(list):
        def append(self, entry):
            super().append(entry)
            super().append("of another thread")

    tape = Tape()
    tape.entries = Racing()
    here = (test_a_tape_finds_the_number_of_its_entry_when_others_append.__code__, 0)
    mine = [Entry(name, None, (), {}, "", None, (), here, None) for name in "ab"]
    assert [tape.append(each) for each in mine] == [0, 2]


def test_a_context_with_its_own_tape_writes_on_that_alone():
    adapter, everywhere = PandasAdapter(), Tape()
    adapter.start(everywhere)
    try:
        with captured() as own:
            frame().head(1)
        frame().tail(1)
    finally:
        adapter.stop()
    assert names(own) == ["DataFrame", "head"]
    assert names(everywhere) == ["DataFrame", "tail"]


def test_tasks_have_tapes_of_their_own():
    async def work(number):
        tape = Tape()
        token = current.set(tape)
        data = frame()
        for _ in range(number):
            await asyncio.sleep(0)
            data = data.head(5)
        current.reset(token)
        return names(tape)

    async def all_of_them():
        return await asyncio.gather(*(work(number) for number in range(4)))

    capture.install()
    try:
        found = asyncio.run(all_of_them())
    finally:
        capture.uninstall()
    assert found == [["DataFrame", *["head"] * number] for number in range(4)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_a_lock_is_held_goes_on():
    held, done = threading.Event(), threading.Event()

    def hold():
        with capture._lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    child = os.fork()
    if child == 0:
        try:
            adapter, tape = PandasAdapter(), Tape()
            adapter.start(tape)
            frame().head(2)
            adapter.stop()
            os._exit(0 if names(tape) == ["DataFrame", "head"] else 1)
        except BaseException:
            os._exit(2)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- when noting itself fails --------------------------------------------------------------------


def test_a_failure_of_our_own_is_counted_and_not_raised(monkeypatch):
    def fail(*_, **__):
        raise ValueError("password=hunter2 went wrong")

    monkeypatch.setattr("lineage.capture.noting.shape_of", fail)
    plain = outcome(grown)
    with captured() as tape:
        noted = outcome(grown)
    same(plain[0], noted[0])
    assert plain[1:] == noted[1:]
    assert tape.missed
    assert "went wrong" in tape.last_error
    assert "hunter2" not in tape.last_error


def test_a_hostile_error_of_our_own_is_counted(monkeypatch):
    class Hostile(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    tape = Tape()
    tape.lose(Hostile())
    assert (tape.missed, tape.last_error) == (1, "Hostile")


def test_an_interruption_leaves_nothing_busy():
    def stop(_):
        raise KeyboardInterrupt

    with captured() as tape:
        with pytest.raises(KeyboardInterrupt):
            frame()["a"].map(stop)
        frame().head(1)
    assert names(tape)[-1] == "head"


# --- what is noted -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:DataFrameGroupBy.apply:DeprecationWarning")  # of pandas 2
def test_what_is_not_of_the_user_is_not_noted():
    data = frame()
    with captured() as tape:
        data.describe()
        data.groupby("k").apply(lambda group: group["a"].sum() + group["b"].mean())
    assert names(tape) == ["<met>", "describe", "groupby", "apply"]


def test_kinds_of_subclasses_are_known_and_their_classes_not_held():
    made = type("Passing", (pd.DataFrame,), {})
    assert kind_of(made) == "frame"
    watch = weakref.ref(made)
    del made
    gc.collect()
    assert watch() is None
    assert kind_of(type("DataFrame", (), {})) == ""


def test_numbers_of_arrays_and_scalars_are_those_of_their_objects():
    with captured() as tape:
        data = frame()
        array = data["b"].to_numpy()
        mean = data["b"].mean()
        text = pd.Series(["x", "y"]).unique()
        for each in (array, mean, text):
            assert tape.entries[tape.number_of(each)].kind in ("array", "scalar")
        assert tape.number_of(array.copy()) is None
        assert tape.number_of(float(mean) + 0.0) is None
        assert tape.number_of(np.True_) is None

"""The behaviours of walatrack 0.0.5, one by one: those that hold here, as docs/conformance.md says.

Where one was replaced, its test asserts what takes its place. The tests below them are about its
defects, which must not happen here; docs/conformance.md has them by number.
"""

import gc
import importlib
import threading
import weakref

import numpy as np
import pandas as pd
import pytest

import lineage
from lineage import EventBus, LineageTracker, set_global_tracker, track_lineage
from lineage.captured import Capture


@pytest.fixture
def bus():
    return EventBus()


@pytest.fixture
def told():
    return []


@pytest.fixture
def tracker():
    made = LineageTracker()
    set_global_tracker(made)
    yield made
    made.close()
    set_global_tracker(None)


@pytest.fixture
def frame():
    """A frame that was there before the run."""
    return pd.DataFrame({"a": [1, 2, 2], "b": [4.0, None, 6.0]})


def on_frames(run, since=0):
    """Give the operations of a run whose results are frames, without those of frames it met."""
    found = [each for each in run.frame_operations()[since:] if each.kind == "frame"]
    return [each for each in found if each.name != "<met>"]


# --- the bus -------------------------------------------------------------------------------------


def test_b1_a_handler_gets_what_is_published(bus, told):
    bus.subscribe("ping", lambda **payload: told.append(payload))
    bus.publish("ping", value=42)
    assert told == [{"value": 42}]


def test_b2_the_function_that_subscribing_gives_stops_it(bus, told):
    stop = bus.subscribe("ping", told.append)
    stop()
    bus.publish("ping", 1)
    assert told == []


def test_b3_unsubscribing_a_handler_takes_it_off_every_event(bus, told):
    for event in ("one", "two", "three"):
        bus.subscribe(event, told.append)
    bus.unsubscribe(told.append, "one")
    bus.publish("one", 1)
    bus.publish("two", 2)
    bus.unsubscribe(told.append)
    bus.publish("two", 3)
    bus.publish("three", 4)
    assert told == [2]


def test_b4_publishing_to_nobody_does_nothing(bus):
    bus.publish("nobody", value=1)


def test_b5_what_a_handler_raises_reaches_who_publishes_on_a_bare_bus_only(bus, tracker):
    def handler(*_):
        raise ValueError("out of paper")

    bus.subscribe("ping", handler)
    with pytest.raises(ValueError, match="out of paper"):
        bus.publish("ping")
    tracker.subscribe("operation.completed", handler)
    assert track_lineage(len)("four") == 4
    assert tracker.undelivered == tracker.get_statistics()["undelivered_events"] == 1
    assert tracker.last_undelivered == "ValueError: out of paper"


def test_b6_the_end_of_the_context_clears_the_handlers(told):
    with EventBus() as bus:
        bus.subscribe("ping", told.append)
        bus.publish("ping", 1)
    bus.publish("ping", 2)
    assert told == [1]


def test_b7_reset_clears_the_handlers(bus, told):
    bus.subscribe("ping", told.append)
    bus.reset()
    bus.publish("ping", 1)
    assert told == []


def test_b8_each_of_several_handlers_is_told(bus, told):
    bus.subscribe("ping", told.append)
    bus.subscribe("ping", lambda value: told.append(value * 10))
    bus.publish("ping", 1)
    assert told == [1, 10]


# --- what is done to frames ----------------------------------------------------------------------


def test_a01_making_a_frame_is_one_operation(tracker):
    with lineage.track() as run:
        frame = pd.DataFrame({"a": [1, 2, 3]})
    (made,) = run.frame_operations()
    assert (made.name, made.shape, made.parents) == ("DataFrame", frame.shape, ())


def test_a02_the_end_of_the_last_run_restores_the_very_same_method(tracker):
    original = pd.DataFrame.__dict__["merge"]
    with lineage.track():
        assert pd.DataFrame.__dict__["merge"] is not original
    assert pd.DataFrame.__dict__["merge"] is original


RIGHT = pd.DataFrame({"a": [1, 2], "c": [10, 20]})
NAN = float("nan")
METHODS = {
    "a03_copy": (lambda f: f.copy(), {"a": [1, 2, 2], "b": [4.0, NAN, 6.0]}),
    "a04_fillna": (lambda f: f.fillna(0), {"a": [1, 2, 2], "b": [4.0, 0.0, 6.0]}),
    "a05_dropna": (lambda f: f.dropna(), {"a": [1, 2], "b": [4.0, 6.0]}),
    "a06_replace": (lambda f: f.replace({"a": {2: 9}}), {"a": [1, 9, 9], "b": [4.0, NAN, 6.0]}),
    "a07_rename": (
        lambda f: f.rename(columns={"a": "x"}),
        {"x": [1, 2, 2], "b": [4.0, NAN, 6.0]},
    ),
    "a08_assign": (
        lambda f: f.assign(d=lambda given: given.a * 2),
        {"a": [1, 2, 2], "b": [4.0, NAN, 6.0], "d": [2, 4, 4]},
    ),
    "a09_merge": (
        lambda f: f.merge(RIGHT, on="a", how="left"),
        {"a": [1, 2, 2], "b": [4.0, NAN, 6.0], "c": [10, 20, 20]},
    ),
    "a10_join": (
        lambda f: f.join(RIGHT[["c"]]),
        {"a": [1, 2, 2], "b": [4.0, NAN, 6.0], "c": [10.0, 20.0, NAN]},
    ),
    "a11_set_axis": (
        lambda f: f.set_axis(["x", "y"], axis=1),
        {"x": [1, 2, 2], "y": [4.0, NAN, 6.0]},
    ),
    "a12_reset_index": (
        lambda f: f.reset_index(),
        {"index": [0, 1, 2], "a": [1, 2, 2], "b": [4.0, NAN, 6.0]},
    ),
    "a13_pivot_table": (lambda f: f.pivot_table(index="a", values="b"), {"b": [4.0, 6.0]}),
    "a14___setitem__": (
        lambda f: f.__setitem__("z", 7),
        {"a": [1, 2, 2], "b": [4.0, NAN, 6.0], "z": [7, 7, 7]},
    ),
    "a15_insert": (
        lambda f: f.insert(0, "z", 7),
        {"z": [7, 7, 7], "a": [1, 2, 2], "b": [4.0, NAN, 6.0]},
    ),
    "a16_astype": (
        lambda f: f.astype({"a": "float64"}),
        {"a": [1.0, 2.0, 2.0], "b": [4.0, NAN, 6.0]},
    ),
    "a17_sort_values": (
        lambda f: f.sort_values("b", ascending=False),
        {"a": [2, 1, 2], "b": [6.0, 4.0, NAN]},
    ),
    "a18_reindex": (lambda f: f.reindex([0, 2]), {"a": [1, 2], "b": [4.0, 6.0]}),
    "a19_explode": (
        lambda f: f.explode("a"),
        {"a": [1, 2, 2], "b": [4.0, NAN, 6.0]},
    ),
    "a20_melt": (
        lambda f: f.melt(id_vars="a", value_vars="b"),
        {"a": [1, 2, 2], "variable": ["b", "b", "b"], "value": [4.0, NAN, 6.0]},
    ),
}


@pytest.mark.parametrize("case", METHODS)
def test_a03_to_a20_a_method_is_one_operation_of_its_shape(tracker, frame, case):
    method, expected = METHODS[case]
    with lineage.track() as run:
        before = len(run.frame_operations())
        result = method(frame)
        since = run.frame_operations()[before:]
    result = frame if result is None else result
    pd.testing.assert_frame_equal(
        result.reset_index(drop=True), pd.DataFrame(expected), check_dtype=False
    )
    if RIGHT.columns.isin(expected).sum() == 2 and case.startswith("a10"):
        since = [each for each in since if each.name != "__getitem__"]  # RIGHT[["c"]] is one, too
    named = [each for each in since if each.kind == "frame" and each.name != "<met>"]
    (operation,) = named
    assert operation.name == case[4:]
    assert operation.shape == result.shape
    assert operation.parents


def test_the_number_of_operations_is_that_of_the_calls(tracker, frame):
    """The control of the above: two calls are two, and none is none."""
    with lineage.track() as run:
        frame.copy()
        frame.copy()
    assert [each.name for each in on_frames(run)] == ["copy", "copy"]
    with lineage.track() as run:
        pass
    assert run.frame_operations() == []


# --- its defects, which do not happen here -------------------------------------------------------


def test_d01_the_program_goes_on_after_any_number_of_operations(frame):
    tracker = LineageTracker(settings=lineage.TrackerSettings(max_operations=10))
    set_global_tracker(tracker)

    @track_lineage
    def step(given):
        return given.assign(a=1)

    with lineage.track() as run:
        for _ in range(1_200):
            frame = step(frame)
    set_global_tracker(None)
    assert len(frame) == 3
    assert tracker.lost == 0
    assert sum(each.name == "assign" for each in on_frames(run)) == 1_200


def test_d02_a_diamond_is_a_diamond(tracker):
    with lineage.track() as run:
        top = pd.DataFrame({"k": [1, 2], "v": [3, 4]})
        left = top.rename(columns={"v": "left"})
        right = top.rename(columns={"v": "right"})
        left.merge(right, on="k")
    edges = [(parent, each.number) for each in run.frame_operations() for parent in each.parents]
    assert edges == [(0, 1), (0, 2), (1, 3), (2, 3)]  # and not 0 -> 1 -> 2 -> 3


def test_d03_all_parents_are_told_and_as_often_as_they_are_there(tracker):
    with lineage.track() as run:
        one = pd.DataFrame({"k": [1], "v": [1]})
        other = pd.DataFrame({"k": [1], "w": [2]})
        one.merge(one, on="k")
        pd.merge(one, other, on="k")
        one.join(other[["w"]])
        pd.concat([one, other, one])
        one.assign(w=other.w)
    names = {each.number: each.name for each in run.frame_operations()}
    found = [(each.name, each.parents) for each in on_frames(run)]
    assert found[2:4] == [("merge", (0, 0)), ("merge", (0, 1))]
    assert ("concat", (0, 1, 0)) in found
    (assigned,) = (each for each in run.frame_operations() if each.name == "assign")
    assert [names[each] for each in assigned.parents] == ["DataFrame", "__getitem__"]


def test_d04_operations_that_were_missed_are_told_under_their_names(tracker, frame, tmp_path):
    frame.to_csv(tmp_path / "a.csv", index=False)
    calls = {
        "__getitem__": lambda f: f[f.a > 1],
        "query": lambda f: f.query("a > 1"),
        "loc": lambda f: f.loc[0:1],
        "iloc": lambda f: f.iloc[0:1],
        "drop": lambda f: f.drop(columns="b"),
        "concat": lambda f: pd.concat([f, f]),
        "groupby": lambda f: f.groupby("a").sum(),
        "head": lambda f: f.head(1),
        "sample": lambda f: f.sample(1, random_state=0),
        "to_csv": lambda f: f.to_csv(tmp_path / "b.csv"),
        "read_csv": lambda f: pd.read_csv(tmp_path / "a.csv"),
        "stack": lambda f: f.stack(),
        "rolling": lambda f: f.rolling(2).mean(),
        "__array_ufunc__": lambda f: np.sqrt(f),
        "pop": lambda f: f.copy().pop("a"),
        "apply": lambda f: f.apply(lambda column: column * 2),
        "drop_duplicates": lambda f: f.drop_duplicates(),
        "set_index": lambda f: f.set_index("a"),
        "__add__": lambda f: f + 1,
        "clip": lambda f: f.clip(0, 1),
    }
    for name, call in calls.items():
        with lineage.track() as run:
            call(frame)
        found = [each.name for each in run.frame_operations()]
        times = 2 if name == "__getitem__" else 1  # the column that is asked for is one, too
        assert sum(name in each for each in found) == times, (name, found)


def test_d04_columns_are_known(tracker):
    with lineage.track():
        sales = lineage.source(pd.DataFrame({"qty": [1], "price": [2]}), "sales")
        total = sales.assign(total=sales.qty * sales.price)
    edges = lineage.column_lineage(total)
    assert {each.source_column for each in edges if each.output_column == "total"} == {
        "qty",
        "price",
    }


def test_d05_a_writer_can_be_made_without_anything_of_others(tracker, capsys):
    take_off = tracker.add_writer(lineage.ConsoleWriter("stdout"))
    track_lineage(len)("four")
    take_off()
    track_lineage(len)("four")
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert tracker.undelivered == 0


def test_d06_what_is_told_does_not_change_later(tracker, frame):
    arguments = {"columns": {"a": "x"}}
    with lineage.track() as run:
        renamed = frame.rename(**arguments)
    before = run.frame_operations()
    arguments["columns"]["a"] = "y"
    renamed["b"] = 0
    assert run.frame_operations() == before
    assert before[-1].parameters == '{"columns":{"a":"x"}}'
    with pytest.raises(AttributeError):
        before[-1].shape = ()


def test_d07_no_frame_is_kept_alive(tracker, told):
    """By neither the capture, nor the bus, nor a writer."""
    tracker.subscribe("operation.completed", told.append)
    tracker.add_writer(lineage.ConsoleWriter("stdout"))

    @track_lineage
    def double(given):
        return given * 2

    with lineage.track():
        frame = pd.DataFrame({"a": np.zeros(1000)})
        living = [weakref.ref(frame), weakref.ref(double(frame))]
        kept = frame.assign(b=1)
        del frame
        gc.collect()
        assert [each() for each in living] == [None, None]
        assert len(kept.columns) == 2  # the control: what the program keeps is there
    assert told


def test_d08_no_keyword_is_taken_from_the_program(tracker, frame):
    with lineage.track() as run:
        made = frame.assign(parents=1, operation=2, artifact=3, name=4, tape=5, event=6)
    assert list(made.columns[2:]) == ["parents", "operation", "artifact", "name", "tape", "event"]
    assert [each.name for each in on_frames(run)] == ["assign"]


def test_d09_two_buses_share_nothing(told):
    one, other = EventBus(), EventBus()
    one.subscribe("ping", told.append)
    other.publish("ping", 1)
    first, second = LineageTracker(), LineageTracker()
    first.subscribe("operation.completed", told.append)
    second.complete_operation(second.start_operation("read"))
    assert told == []
    first.complete_operation(first.start_operation("read"))
    assert len(told) == 1


def test_d10_arguments_that_differ_are_two_operations_and_failures_are_recorded(tracker):
    @track_lineage
    def use(values):
        return sum(values)

    one, other = list(range(5_000)), list(range(5_000))
    other[2_500] = -1
    use(one)
    use(other)
    with pytest.raises(TypeError):
        use(["a"])
    assert [each.status for each in tracker.operations.values()] == ["success"] * 2 + ["failed"]


def test_d10_captures_that_end_in_the_order_of_their_start_leave_nothing_patched():
    original = pd.DataFrame.__dict__["merge"]
    one, other = Capture(is_global=True), Capture(is_global=True)
    one.open()
    other.open()
    one.close()
    assert pd.DataFrame.__dict__["merge"] is not original
    other.close()
    assert pd.DataFrame.__dict__["merge"] is original


def test_d10_threads_lose_nothing(tracker, told):
    tracker.subscribe("operation.completed", told.append)
    record = track_lineage(abs)
    threads = [threading.Thread(target=lambda: [record(-1) for _ in range(100)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(told) == len(tracker.operations) == 400


def test_the_events_of_a_tracker_are_told_in_their_order(tmp_path):
    tracker, told = lineage.init(tmp_path), []

    class Told:
        def write(self, event, subject):
            told.append((event, type(subject).__name__))

    tracker.add_writer(lineage.SnapshotWriter("sales"))
    take_off = tracker.add_writer(Told())
    with lineage.track("nightly", capture=False):
        track_lineage(len)("four")
    tracker.close()
    assert told == [
        ("tracker.started", "LineageTracker"),
        ("run.started", "Run"),
        ("operation.completed", "DataOperation"),
        ("snapshot.created", "Snapshot"),
        ("run.ended", "Run"),
        ("tracker.stopped", "LineageTracker"),
    ]
    take_off()
    track_lineage(len)("four")
    assert len(told) == 6
    assert tracker.undelivered == 0
    tracker.close()
    set_global_tracker(None)


def test_a_writer_that_fails_is_counted_and_shown(tracker, frame):
    class Broken:
        def write(self, event, subject):
            raise OSError("no paper")

    tracker.add_writer(Broken())
    with lineage.track() as run:
        frame.copy()
    assert [each.name for each in on_frames(run)] == ["copy"]
    assert tracker.undelivered == 3  # tracker.started, run.started, run.ended
    assert tracker.last_undelivered == "OSError: no paper"


def test_every_behaviour_has_its_test():
    names = " ".join(dir(importlib.import_module(__name__))) + " ".join(METHODS)
    for number in range(1, 9):
        assert f"test_b{number}_" in names
    for number in range(1, 21):
        assert f"a{number:02}_" in names
    for number in range(1, 11):
        assert f"test_d{number:02}_" in names

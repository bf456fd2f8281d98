"""Repositories: classes whose saving and loading methods are tracked."""

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path

import pandas as pd
import pytest

from lineage import DataSource, TrackedRepository, set_global_tracker, track_repository_operation
from lineage.tracker import LineageTracker, TrackerSettings


def frame(rows=2):
    return pd.DataFrame({"a": range(rows)})


def operations(tracker):
    return list(tracker.operations.values())


def ids(sources):
    return [source.node_id for source in sources]


class Bars(TrackedRepository):
    dataset_name = "bars"

    def __init__(self, path="/data/bars"):
        self.base_path = path
        self.kept = {}

    def save(self, df, symbol=None):
        self.kept[symbol] = df.copy()

    def save_daily(self, df, symbol=None):
        self.save(df, symbol=symbol)

    def load(self, symbol=None):
        return self.kept[symbol].copy()

    def read_first(self):
        return self.load(next(iter(self.kept)))

    def write_note(self, text):
        self.note = text

    def count(self):
        return len(self.kept)

    @staticmethod
    def load_nothing():
        return None

    @property
    def loaded(self):
        return list(self.kept)


def test_saving_and_loading_methods_are_tracked_and_no_others(tracker):
    bars = Bars()
    bars.save(frame(), symbol="A")
    bars.load("A")
    bars.write_note("x")
    bars.count()
    bars.load_nothing()
    assert bars.loaded == ["A"]
    assert [each.operation_type for each in operations(tracker)] == ["write", "read", "write"]
    write, read, _ = operations(tracker)
    assert ids(write.outputs) == ids(read.inputs) == ["repository:bars"]
    assert write.record_count_in == 2
    assert read.record_count_out == 2
    assert write.outputs[0].location == "/data/bars"
    assert write.execution_context["repository"] == {
        **{"class": "Bars", "dataset_name": "bars", "base_path": "/data/bars"},
    }
    assert write.parameters["symbol"] == "A"
    assert "self" not in write.parameters


def test_one_method_that_calls_another_is_above_it(tracker):
    Bars().save_daily(frame(), symbol="A")
    inner, outer = operations(tracker)
    assert inner.parent_id == outer.operation_id
    assert inner.code_name == "Bars.save"


def test_load_transform_save_is_one_chain(tracker):
    class Clean(Bars):
        dataset_name = "clean"

    from lineage import track_lineage

    @track_lineage
    def double(data):
        return data * 2

    raw, clean = Bars(), Clean()
    raw.save(frame(), symbol="A")
    clean.save(double(raw.load("A")), symbol="A")
    path = tracker.get_lineage_path("repository:bars", "repository:clean")
    assert len(path) == 4


def test_what_subclasses_override_is_tracked_as_theirs(tracker):
    class Logged(Bars):
        def save(self, df, symbol=None):
            return super().save(df, symbol=symbol)

    Logged().save(frame(), symbol="A")
    inner, outer = operations(tracker)
    assert (inner.code_name.rpartition(".")[2], outer.parent_id) == ("save", None)
    assert inner.parent_id == outer.operation_id


def test_a_method_is_not_tracked_twice(tracker):
    class Own(TrackedRepository):
        dataset_name = "own"

        @track_repository_operation("read")
        def load(self):
            return frame()

    Own().load()
    assert len(operations(tracker)) == 1


def test_abstract_methods_stay_abstract():
    class Base(TrackedRepository, ABC):
        @abstractmethod
        def load(self): ...

    with pytest.raises(TypeError, match="abstract"):
        Base()


def test_coroutines_and_generators(tracker):
    class Own(TrackedRepository):
        dataset_name = "own"

        async def load(self):
            await asyncio.sleep(0)
            return frame(5)

        def read_pieces(self):
            yield frame(1)
            yield frame(2)

    own = Own()
    asyncio.run(own.load())
    assert len(list(own.read_pieces())) == 2
    assert [each.record_count_out for each in operations(tracker)] == [5, 3]
    assert all(ids(each.inputs) == ["repository:own"] for each in operations(tracker))


def test_keys_tell_data_sets_apart(tracker):
    class Keyed(Bars):
        lineage_key = ("symbol",)

    bars = Keyed()
    bars.save(frame(), symbol="A")
    bars.save(frame(), symbol="B")
    bars.write_note("none")
    assert [ids(each.outputs) for each in operations(tracker)] == [
        *(["repository:bars/A"], ["repository:bars/B"], ["repository:bars"]),
    ]


def test_the_name_may_come_from_the_class_and_the_place_from_the_path(tracker):
    class Own(TrackedRepository):
        dataset_path = Path("/data/own")

        def load(self):
            return None

    Own().load()
    (source,) = operations(tracker)[0].inputs
    assert (source.source_id, source.location) == ("Own", "/data/own")


def test_a_source_of_ones_own(tracker):
    class Own(TrackedRepository):
        def lineage_source(self, arguments):
            return DataSource("table", arguments["name"], "db")

        def load(self, name="t"):
            return None

    class Free:
        @track_repository_operation("write", source=lambda owner, given: DataSource("table", "f"))
        def put(self, df):
            return None

    Own().load()
    Free().put(frame())
    one, two = operations(tracker)
    assert ids(one.inputs) == ["table:t"]
    assert ids(two.outputs) == ["table:f"]


def test_the_owner_need_not_be_called_self(tracker):
    class Own:
        dataset_name = "own"

        @track_repository_operation("read")
        def load(this, key):
            return key

    assert Own().load(1) == 1
    (operation,) = operations(tracker)
    assert ids(operation.inputs) == ["repository:own"]
    assert operation.parameters == {"key": 1}


def test_secrets_in_the_place_of_a_repository(tracker):
    class Own(TrackedRepository):
        dataset_name = "own"
        base_path = "s3://key:canary@bucket/path"

        def load(self):
            return frame()

    Own().load()
    assert "canary" not in repr((operations(tracker), tracker.nodes))


def test_settings_of_repositories():
    settings = TrackerSettings(
        repository_settings={
            "bars": {"track_all_operations": False},
            "other": {"enable_volume_tracking": False},
        }
    )
    tracker = LineageTracker(settings=settings)
    set_global_tracker(tracker)

    class Other(Bars):
        dataset_name = "other"

    Bars().save(frame(), symbol="A")
    Other().save(frame(), symbol="A")
    (operation,) = operations(tracker)
    assert operation.record_count_in is None
    off = LineageTracker(settings=TrackerSettings(track_repositories=False))
    set_global_tracker(off)
    Bars().save(frame(), symbol="A")
    assert operations(off) == []


def test_an_owner_that_fails_to_tell_is_counted(tracker):
    class Own(TrackedRepository):
        @property
        def dataset_name(self):
            raise RuntimeError("no")

        def load(self):
            return 7

    assert Own().load() == 7
    assert len(operations(tracker)) + tracker.lost == 1
    tracker.recorder.lost = 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("save", "write"), ("save_all", "write"), ("saveAll", "write"), ("write2", "write")),
        *(("load", "read"), ("loadBars", "read"), ("read_csv", "read")),
        *(("ready", None), ("reader", None), ("loads", None), ("_load", None), ("reload", None)),
    ],
)
def test_the_first_word_says_whether_a_method_is_tracked(tracker, name, kind):
    known = {"TrackedRepository": TrackedRepository}
    exec(f"class Kept(TrackedRepository):\n    def {name}(self): return 7", known)
    assert getattr(known["Kept"](), name)() == 7
    assert [str(each.operation_type) for each in operations(tracker)] == ([kind] if kind else [])


def test_a_class_made_of_functions_from_elsewhere(tracker):
    made = type("Kept", (TrackedRepository,), {"load": lambda self: [1]})
    assert made().load() == [1]
    (operation,) = tracker.operations.values()
    assert [source.node_id for source in operation.inputs] == ["repository:Kept"]
    assert tracker.lost == 0

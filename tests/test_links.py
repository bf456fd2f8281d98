"""Frames are linked to what made them: load, transform and save make one chain."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lineage import LineageMetadataRepository, track_lineage
from lineage import links as links_module
from lineage.links import find, link, source
from lineage.query import LineageQueryEngine

ROOT = Path(__file__).parents[1]

LIBRARIES = {
    "pandas": (lambda: pd.DataFrame({"a": [1.0, 2.0]}), lambda frame: frame * 2),
    "series": (lambda: pd.Series([1.0, 2.0], name="a"), lambda frame: frame * 2),
    "polars": (lambda: pl.DataFrame({"a": [1.0, 2.0]}), lambda frame: frame * 2),
    "lazy": (lambda: pl.LazyFrame({"a": [1.0]}), lambda frame: frame.with_columns(b=pl.col("a"))),
    "arrow": (lambda: pa.table({"a": [1.0]}), lambda frame: frame.append_column("b", frame["a"])),
    "numpy": (lambda: np.zeros((2, 2)), lambda frame: frame + 1),
}


def operations(tracker):
    return list(tracker.operations.values())


def ids(sources):
    return [each.node_id for each in sources]


@track_lineage("read", input_sources=["file:/data/in"])
def load(make):
    return make()


@track_lineage("transform")
def change(frame, function):
    return function(frame)


@track_lineage("write", output_sources=["file:/data/out"])
def save(frame):
    return None


@pytest.mark.parametrize("library", LIBRARIES)
def test_load_transform_save_is_one_chain(tracker, library):
    make, function = LIBRARIES[library]
    save(change(load(make), function))
    path = tracker.get_lineage_path("file:/data/in", "file:/data/out")
    assert len(path) == 4
    assert [each.partition(":")[0] for each in path] == ["file", "dataframe", "dataframe", "file"]
    read, transform, write = operations(tracker)
    assert ids(transform.inputs) == ids(read.outputs)
    assert ids(write.inputs) == ids(transform.outputs)
    assert transform.inputs[0].version == read.operation_id


def test_a_second_process_continues_the_chain(tmp_path):
    code = """
        import sys, pandas as pd, lineage
        lineage.init(sys.argv[1], track_file_operations=True)

        @lineage.track_lineage("read")
        def load(path):
            return pd.read_csv(path)

        @lineage.track_lineage("write")
        def save(frame, path):
            frame.to_csv(path, index=False)

        start, end = sys.argv[2:]
        save(load(start), end)
    """
    names = [str(tmp_path / f"{name}.csv") for name in "abc"]
    Path(names[0]).write_text("x\n1\n")
    for start, end in (names[:2], names[1:]):
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "store"), start, end],
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    engine = LineageQueryEngine(LineageMetadataRepository(tmp_path / "store"))
    found = engine.trace_data_flow(f"file:{names[0]}", f"file:{names[2]}")
    assert found["path_found"]


def test_a_change_in_place(tracker):
    @track_lineage
    def in_place(frame):
        frame["b"] = 1
        return frame

    frame = load(lambda: pd.DataFrame({"a": [1]}))
    assert in_place(frame) is frame
    save(frame)
    _, changed, write = operations(tracker)
    assert ids(changed.inputs) != ids(changed.outputs)
    assert changed.inputs[0].schema_info != changed.outputs[0].schema_info
    assert ids(write.inputs) == ids(changed.outputs)


def test_the_same_frame_twice(tracker):
    @track_lineage
    def both(one, two):
        return None

    frame = load(lambda: pd.DataFrame({"a": [1, 2]}))
    both(frame, frame)
    operation = operations(tracker)[-1]
    assert len(operation.inputs) in (1, 2)
    assert len(set(ids(operation.inputs))) == 1
    assert len(tracker.nodes) == 2


def test_a_result_that_an_inner_call_made_stays_the_inner_ones(tracker):
    @track_lineage
    def inner(frame):
        return frame * 2

    @track_lineage
    def outer(frame):
        return inner(frame)

    result = outer(load(lambda: pd.DataFrame({"a": [1]})))
    save(result)
    _, one, two, write = operations(tracker)
    assert ids(one.outputs) == ids(two.outputs) == ids(write.inputs)
    assert "inner" in ids(write.inputs)[0]


def test_frames_in_lists_and_dictionaries(tracker):
    @track_lineage
    def split(frame):
        return {"low": frame[:1], "high": frame[1:]}

    @track_lineage
    def join(frames, more):
        return pd.concat([*frames, *more.values()])

    parts = split(load(lambda: pd.DataFrame({"a": [1, 2]})))
    join([parts["low"]], {"x": parts["high"]})
    _, cut, joined = operations(tracker)
    assert len(cut.outputs) == 2
    assert set(ids(joined.inputs)) == set(ids(cut.outputs))
    assert joined.record_count_in == 2
    assert len(tracker.get_lineage_path("file:/data/in", ids(joined.outputs)[0])) == 4


def test_a_declared_list_of_frames(tracker):
    @track_lineage(input_sources=["frames"])
    def join(frames):
        return pd.concat(frames)

    frame = load(lambda: pd.DataFrame({"a": [1, 2]}))
    join([frame, frame.copy()])
    (_, joined) = operations(tracker)
    assert ids(joined.inputs)[0] == ids(operations(tracker)[0].outputs)[0]
    assert joined.record_count_in == 4


def test_an_unknown_frame_is_named_once_and_kept(tracker):
    @track_lineage
    def use(frame):
        return None

    frame = pd.DataFrame({"a": [1]})
    use(frame)
    use(frame)
    one, two = operations(tracker)
    assert ids(one.inputs) == ids(two.inputs)
    assert one.inputs[0].version == two.inputs[0].version == one.operation_id


def test_nothing_is_left_on_the_object(tracker):
    frame = change(load(lambda: pd.DataFrame({"a": [1]})), lambda given: given * 2)
    assert frame.attrs == {}
    assert set(vars(frame)) == set(vars(pd.DataFrame({"a": [1]}) * 2))
    assert find(copy.deepcopy(frame)) is None
    assert find(pickle.loads(pickle.dumps(frame))) is None
    assert find(frame) is not None


def test_links_die_with_their_objects():
    made = source("file", "x")
    before = len(links_module._links)
    frame = pd.DataFrame({"a": [1]})
    weak = weakref.ref(frame)
    link(frame, (made, "v", 1))
    link(frame, (made, "w", 2))
    assert find(frame)[1] == "w"
    assert len(links_module._links) == before + 1
    del frame
    gc.collect()
    assert weak() is None
    assert len(links_module._links) == before


def test_recycled_ids_never_link():
    made = source("file", "x")
    for number in range(20_000):
        array = np.empty(1)
        assert find(array) is None
        link(array, (made, str(number), number))
        del array
    assert find(7) is None


def test_a_recycled_id_with_a_stale_entry_does_not_link():
    """What guards it: the weak reference has to give this very object."""
    one, two = np.empty(1), np.empty(1)
    link(one, (source("file", "x"), "v", 1))
    links_module._links[id(two)] = links_module._links[id(one)]
    assert find(two) is None
    del links_module._links[id(two)]
    gc.collect()


def test_what_takes_no_weak_reference_has_no_link():
    link([1], (source("file", "x"), "v", 1))
    assert find([1]) is None


def test_sources_are_interned_and_redacted():
    one = source("api", "http://me:canary@host/x", "http://me:canary@host/x")
    assert source("api", "http://me:canary@host/x", "http://me:canary@host/x") is one
    assert "canary" not in repr(one.fields)
    for number in range(10_050):
        source("file", str(number))
    assert len(links_module._sources) <= 10_000


def test_values_that_cannot_be_linked_are_shown_as_such(tracker):
    @track_lineage(input_sources=["values"])
    def total(values):
        return sum(values)

    total([1, 2])
    (node,) = tracker.nodes.values()
    assert node.data_source.source_type == "parameter"
    assert node.data_source.metadata == {"linked": False}


def test_frames_are_not_linked_when_that_is_off():
    from lineage import LineageTracker, TrackerSettings, set_global_tracker

    tracker = LineageTracker(settings=TrackerSettings(track_dataframes=False))
    set_global_tracker(tracker)
    change(load(lambda: pd.DataFrame({"a": [1]})), lambda given: given * 2)
    assert set(tracker.nodes) == {"file:/data/in"}


def test_a_script_is_named_after_its_file(monkeypatch):
    import types

    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setitem(sys.modules, "__mp_main__", main)
    assert links_module.module_name("package.module") == "package.module"
    assert links_module.module_name("__main__") == "__main__"
    main.__file__ = "/some/where/job.py"
    assert links_module.module_name("__main__") == "job"
    assert links_module.module_name("__mp_main__") == "job"
    main.__spec__ = types.SimpleNamespace(name="package.job.__main__")
    assert links_module.module_name("__main__") == "package.job"


def test_a_frame_beside_a_secret_is_of_the_operation_that_was_recorded(tracker):
    @track_lineage
    def ask(frame, query):
        return None

    ask(pd.DataFrame({"a": [1]}), "plain")  # from here on the wrapper takes frames by itself
    frame = pd.DataFrame({"a": [1]})
    ask(frame, "host=db password=hunter2")
    save(frame)
    _, asked, written = operations(tracker)
    assert asked.inputs[0].version == asked.operation_id
    assert written.inputs[0].version == asked.operation_id


def test_the_list_of_frames_goes_the_short_way_too(tracker):
    @track_lineage
    def join(frames, how):
        return pd.concat(frames)

    made = [load(lambda: pd.DataFrame({"a": [1]})) for _ in range(2)]
    for _ in range(2):
        join([*made, pd.DataFrame({"a": [1]})], "outer")
    *_, joined = operations(tracker)
    assert joined.record_count_in == 3
    assert ids(joined.inputs)[:2] == ["dataframe:tests.test_links.load[/data/in]#0"] * 2
    new = [each for each in joined.inputs if each.source_id.endswith("(frames[2])")]
    assert [each.version for each in new] == [joined.operation_id]

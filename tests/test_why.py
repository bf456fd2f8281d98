"""Why data are what they are: real files, renamed, copied, changed; steps back to their origin."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import lineage
from lineage import files, fingerprint, track_lineage
from lineage.analysis import why as reasons
from lineage.core import DataSource
from lineage.errors import ConfigError, NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.settings import TrackerSettings
from lineage.tracker import LineageTracker, set_global_tracker
from tests.test_git import committed, run


@track_lineage("read")
def load(path):
    return pd.read_csv(path)


@track_lineage("transform")
def clean(frame, threshold):
    return frame[frame.price > threshold].assign(total=lambda each: each.price * 2)


@track_lineage("write")
def save(frame, path):
    frame.to_csv(path, index=False)


@pytest.fixture
def folder(tmp_path, monkeypatch, durable):
    """A folder with an input, in which a pipeline has run."""
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("price,day\n1,a\n2,b\n5,c\n")
    # What changed within a tick of the clock before it is read is not known by its content.
    time.sleep(2 * files._TICK_NS / 1e9)
    pipeline(durable, threshold=1)
    return tmp_path


def pipeline(tracker, *, threshold, source="orders.csv", target="report.csv"):
    with lineage.Run(tracker, "nightly", {"threshold": threshold}) as made:
        save(clean(load(Path(source)), threshold=threshold), Path(target))
    return made.run_id


def functions(answer):
    return [each["step"]["code"]["function"].rpartition(".")[2] for each in answer["steps"]]


def test_each_step_back_to_the_file_that_came_from_outside(folder, durable):
    answer = LineageQueryEngine(durable).why("report.csv")
    assert functions(answer) == ["save", "clean", "load"]
    assert [each["depth"] for each in answer["steps"]] == [0, 1, 2]
    assert (answer["found_by"], answer["is_current"], answer["is_whole"]) == ("content", True, True)
    step = answer["steps"][1]["step"]
    assert step["parameters"]["threshold"] == 1
    assert step["run_name"] == "nightly"
    assert step["run_parameters"] == {"threshold": 1}
    assert step["code"]["file"] == __file__
    assert step["code"]["line"] == clean.__wrapped__.__code__.co_firstlineno
    assert step["code"]["hash"].startswith(sys.implementation.cache_tag)
    assert step["user"]
    assert step["host"]
    assert datetime.fromisoformat(step["timestamp"]) < datetime.now(UTC)
    assert (step["record_count_in"], step["record_count_out"]) == (3, 2)
    (origin,) = answer["origins"]
    assert origin["node_id"] == f"file:{folder}/orders.csv"
    assert origin["version"] == fingerprint.content_version("orders.csv")
    assert origin["reason"].startswith("from outside")


@pytest.mark.parametrize("move", [os.rename, shutil.copy])
def test_a_file_that_was_renamed_or_copied_is_known(folder, durable, move):
    Path("sub").mkdir()
    move("report.csv", "sub/other.csv")
    answer = LineageQueryEngine(durable).why("sub/other.csv")
    assert answer["node_id"] == f"file:{folder}/report.csv"
    assert "known by its content" in answer["message"]
    assert functions(answer) == ["save", "clean", "load"]


def test_by_the_path_alone_a_renamed_file_would_not_be_known(folder, durable, monkeypatch):
    """The control."""
    os.rename("report.csv", "other.csv")
    monkeypatch.setattr(fingerprint, "content_version", lambda *_, **__: None)
    with pytest.raises(NodeNotFoundError):
        LineageQueryEngine(durable).why("other.csv")


def test_a_copy_that_went_on_is_followed_to_what_it_is_a_copy_of(folder, durable):
    shutil.copy("report.csv", "copy.csv")
    pipeline(durable, threshold=2, source="copy.csv", target="final.csv")
    answer = LineageQueryEngine(durable).why("final.csv")
    assert functions(answer) == ["save", "clean", "load", "save", "clean", "load"]
    assert [origin["node_id"] for origin in answer["origins"]] == [f"file:{folder}/orders.csv"]


def test_a_file_that_was_changed_since_is_said_to_be(folder, durable):
    with Path("report.csv").open("a") as file:
        file.write("9,z,18\n")
    answer = LineageQueryEngine(durable).why("report.csv")
    assert (answer["found_by"], answer["is_current"]) == ("path", False)
    assert "changed since it was recorded" in answer["message"]
    assert functions(answer) == ["save", "clean", "load"]


def test_what_was_changed_by_hand_between_two_steps_is_said(folder, durable):
    Path("report.csv").write_text("price,day\n7,x\n")
    pipeline(durable, threshold=2, source="report.csv", target="final.csv")
    answer = LineageQueryEngine(durable).why("final.csv")
    assert functions(answer) == ["save", "clean", "load"]
    assert answer["origins"][0]["reason"].startswith("changed outside")


def test_a_file_that_is_gone_is_told_of(folder, durable):
    Path("report.csv").unlink()
    answer = LineageQueryEngine(durable).why("report.csv")
    assert "no such file now" in answer["message"]
    assert (answer["is_current"], answer["content"]) == (None, None)
    assert functions(answer) == ["save", "clean", "load"]


def test_of_two_writes_of_one_content_the_last_before_the_read_counts(folder, durable):
    pipeline(durable, threshold=1)  # the same again
    first, second = (
        each.run_id for each in durable.operations.values() if each.code_name == "save"
    )
    assert first != second
    answer = LineageQueryEngine(durable).why("report.csv")
    assert {each["step"]["run_id"] for each in answer["steps"]} == {second}


def test_a_file_rewritten_in_place_is_followed_version_by_version(folder, durable):
    for threshold in (2, 3):
        save(clean(load(Path("report.csv")), threshold=threshold), Path("report.csv"))
    answer = LineageQueryEngine(durable).why("report.csv")
    assert functions(answer) == ["save", "clean", "load"] * 3
    part = LineageQueryEngine(durable).why("report.csv", max_depth=2)
    assert (len(part["steps"]), part["is_whole"]) == (3, False)
    few = LineageQueryEngine(durable).why("report.csv", max_steps=2)
    assert (len(few["steps"]), few["is_whole"]) == (2, False)


def test_a_column_by_the_schemas(folder, durable):
    engine = LineageQueryEngine(durable)
    assert [each["column"] for each in engine.why("report.csv:total")["steps"]] == [
        "kept",
        "made",
        "absent",
    ]
    assert [each["column"] for each in engine.why("report.csv:price")["steps"]] == [
        "kept",
        "kept",
        "made",
    ]
    answer = engine.why("report.csv:nothing")
    assert {each["column"] for each in answer["steps"]} == {"absent"}
    assert answer["columns"] == ["day", "price", "total"]


def test_a_name_with_colons_is_taken_as_a_whole_first(folder, durable):
    save(load(Path("orders.csv")), Path("C:odd:name.csv"))
    engine = LineageQueryEngine(durable)
    assert engine.why("C:odd:name.csv")["column"] is None
    assert engine.why("C:odd:name.csv:day")["column"] == "day"
    assert engine.why(f"file:{folder}/report.csv")["column"] is None
    assert engine.why(f"file:{folder}/report.csv:total")["column"] == "total"
    with pytest.raises(NodeNotFoundError):
        engine.why("D:\\data\\no.csv")


def test_the_node_of_a_value(folder, durable):
    engine = LineageQueryEngine(durable)
    node = next(name for name in engine.nodes if "clean" in name)
    answer = engine.why(node)
    assert (answer["found_by"], functions(answer)) == ("name", ["clean", "load"])


def test_sources_that_are_declared_are_known_by_their_content(folder, durable):
    with lineage.Run(durable, "by hand", {}) as made:
        with made.operation("write", inputs=["file:orders.csv"], outputs=["file:copy.csv"]):
            shutil.copy("orders.csv", "copy.csv")

    @track_lineage("write", input_sources=["file:copy.csv"], output_sources=["file:last.csv"])
    def last():
        Path("last.csv").write_text("last\n")

    last()
    os.rename("last.csv", "renamed.csv")
    answer = LineageQueryEngine(durable).why("renamed.csv")
    assert [each["step"]["operation_type"] for each in answer["steps"]] == ["write", "write"]
    version = fingerprint.content_version("orders.csv")
    assert answer["origins"][0]["version"] == version


def test_an_input_that_changes_while_it_is_read_has_no_content(tmp_path, durable, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("a\n1\n")

    @track_lineage("read")
    def torn(path):
        path.write_text("a\n2\n")
        return pd.read_csv(path)

    torn(Path("in.csv"))
    with lineage.Run(durable, "by hand", {}) as made:
        with made.operation("read", inputs=["file:in.csv"]):
            Path("in.csv").write_text("a\n3\n")
    versions = [each.inputs[0].version for each in durable.operations.values()]
    assert versions[0].startswith("stat:")
    assert versions[1] is None


def test_a_large_file_is_known_by_its_stat_and_says_so(tmp_path, repository, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = LineageTracker(repository, TrackerSettings(fingerprint_max_bytes=10))
    set_global_tracker(tracker)
    Path("orders.csv").write_text("price,day\n1,a\n2,b\n5,c\n")
    pipeline(tracker, threshold=1)
    answer = LineageQueryEngine(tracker).why("report.csv")
    assert (answer["found_by"], functions(answer)) == ("stat", ["save", "clean", "load"])
    assert answer["version"].startswith("stat:")
    os.utime("report.csv")
    answer = LineageQueryEngine(tracker).why("report.csv")
    assert (answer["found_by"], answer["is_current"]) == ("path", None)
    assert "its content was not recorded" in answer["message"]
    tracker.close()


def test_as_of_a_time_it_is_as_it_was(folder, durable):
    between = datetime.now(UTC)
    first = Path("report.csv").read_text()
    pipeline(durable, threshold=2)
    engine = LineageQueryEngine(durable)
    assert engine.why("report.csv")["is_current"]
    before = engine.as_of(between)
    assert before.why("report.csv")["is_current"] is False
    Path("report.csv").write_text(first)
    assert before.why("report.csv")["is_current"]
    assert len(before.history("report.csv")["versions"]) == 1


def test_the_commit_of_each_step(tmp_path, monkeypatch):
    text = textwrap.dedent(
        """
        import lineage, sys
        from pathlib import Path

        @lineage.track_lineage("write")
        def save(path, text):
            path.write_text(text)

        with lineage.track("one"):
            save(Path("out.txt"), sys.argv[1])
        """
    )
    commit = committed(tmp_path, "main.py", text)
    surroundings = {name: value for name, value in os.environ.items() if "GIT" not in name}
    for argument in ("first", "second"):
        subprocess.run(
            [sys.executable, "main.py", argument], cwd=tmp_path, env=surroundings, check=True
        )
        (tmp_path / "main.py").write_text(text + "# changed\n")
    monkeypatch.chdir(tmp_path)
    engine = LineageQueryEngine(tmp_path / "lineage_data")
    code = engine.why("out.txt")["steps"][0]["step"]["code"]
    assert (code["commit"], code["changed_count"]) == (commit, 1)
    assert [line["commit"] for line in engine.blame("out.txt")] == [f"{commit[:8]}+", commit[:8]]
    assert run(tmp_path, "rev-parse", "HEAD") == commit


def test_cycles_end(durable):
    for read, written in (("a", "b"), ("b", "a"), ("a", "b")):
        operation = durable.start_operation("transform")
        durable.add_input(operation, DataSource("t", read, version="v"))
        durable.add_output(operation, DataSource("t", written, version="v"))
        durable.complete_operation(operation)
    answer = LineageQueryEngine(durable).why("t:b")
    assert len(answer["steps"]) <= 3
    assert answer["is_whole"]


def test_a_file_that_is_not_known_names_the_nodes_called_so(folder, durable):
    for node in ("orders", "old_orders", "orders/more"):
        operation = durable.start_operation("write")
        durable.add_output(operation, DataSource("repository", f"shop/{node}"))
        durable.complete_operation(operation)
    Path("orders.parquet").write_bytes(b"unknown")
    Path("other.parquet").write_bytes(b"unknown too")
    ask = LineageQueryEngine(durable).why
    with pytest.raises(NodeNotFoundError, match=r"; did you mean 'repository:shop/orders'\?$"):
        ask("orders.parquet")
    with pytest.raises(NodeNotFoundError, match=r"nor any file of its content \([^)]*\)$"):
        ask("other.parquet")


@pytest.mark.parametrize("method", ["why", "history", "blame"])
def test_bad_names(folder, durable, method):
    Path("unknown.bin").write_bytes(bytes(range(256)))
    os.mkfifo("pipe")
    ask = getattr(LineageQueryEngine(durable), method)
    with pytest.raises(NodeNotFoundError, match="did you mean"):
        ask("reprot.csv")
    with pytest.raises(NodeNotFoundError, match="nor any file of its content"):
        ask("unknown.bin")
    with pytest.raises(NodeNotFoundError, match="no regular file"):
        ask("pipe")
    with pytest.raises(ConfigError, match="is a folder"):
        ask(".")
    with pytest.raises(ConfigError, match="the name is empty; name a file"):
        ask("")
    for name in ("", ":", "a:", "\0", "x" * 5000):
        with pytest.raises((NodeNotFoundError, ConfigError)):
            ask(name)


def test_an_empty_store_knows_nothing(tmp_path, durable):
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(NodeNotFoundError):
        LineageQueryEngine(durable).why(str(tmp_path / "x.csv"))


def test_the_life_of_a_file(folder, durable):
    pipeline(durable, threshold=1)
    pipeline(durable, threshold=2)
    pipeline(durable, threshold=1)
    Path("report.csv").write_text("price,day\n8,q\n")
    load(Path("report.csv"))
    shutil.copy("report.csv", "copy.csv")
    load(Path("copy.csv"))
    life = LineageQueryEngine(durable).history("report.csv")
    events = [moment["event"] for moment in life["versions"]]
    assert events == ["written", "written again", "written", "restored", "changed outside"]
    rows = [moment["rows"] for moment in life["versions"]]
    assert rows == [2, 2, 1, 2, 1]
    sizes = [moment["size_bytes"] for moment in life["versions"]]
    assert sizes[-1] == Path("report.csv").stat().st_size
    assert life["versions"][1]["changes"] == ["same content"]
    assert "threshold: 1 -> 2" in life["versions"][2]["changes"]
    assert "rows 2 -> 1" in life["versions"][2]["changes"]
    assert "column total removed" in life["versions"][-1]["changes"]
    assert life["versions"][-1]["origin"] == [f"file:{folder}/copy.csv"]
    assert [moment["is_on_disk"] for moment in life["versions"]] == [*[False] * 4, True]
    (first, *_, last) = LineageQueryEngine(durable).blame("report.csv")
    assert (first["event"], first["function"]) == ("changed outside", "")
    assert last["function"].endswith("save")
    assert last["code"] == f"{__file__}:{save.__wrapped__.__code__.co_firstlineno}"


def test_answers_show_themselves(folder, durable):
    engine = LineageQueryEngine(durable)
    for answer in (engine.why("report.csv"), engine.history("report.csv")):
        assert "report.csv" in answer._repr_mimebundle_()["text/plain"]
        assert "report.csv" in answer._repr_mimebundle_()["text/html"]
        json.dumps(answer)
    frame = engine.why("report.csv").to_pandas()
    assert [name.rpartition(".")[2] for name in frame["function"]] == ["save", "clean", "load"]
    assert len(engine.blame("report.csv").to_pandas()) == 1
    assert len(engine.history("report.csv").to_pandas()) == 1


def test_a_walk_that_took_any_maker_would_be_caught(folder, durable, monkeypatch):
    """The control of the order in time: the first maker of a content is not the one that counts."""
    pipeline(durable, threshold=1)
    before = reasons._Walk._before
    monkeypatch.setattr(reasons._Walk, "_before", lambda *args: iter(list(before(*args))[::-1]))
    runs = {
        each["step"]["run_id"] for each in LineageQueryEngine(durable).why("report.csv")["steps"]
    }
    last = [each.run_id for each in durable.operations.values()][-1]
    assert runs != {last}


class Shop(lineage.TrackedRepository):
    """A repository that names a data set, and keeps each table in a file."""

    dataset_name = "shop"
    lineage_key = ("table",)

    def save(self, frame, table):
        frame.to_csv(f"{table}.csv", index=False)


class TestTheFileOfARepository:
    """No step names such a file as written; that its columns were told says who wrote it."""

    @pytest.fixture
    def engine(self, folder, durable):
        with lineage.track("weekly", tracker=durable):
            orders = pd.read_csv("orders.csv")
            Shop().save(orders.assign(net=orders.price / 2), "net")
            save(clean(load(Path("net.csv")), threshold=1), Path("board.csv"))
        durable.flush()
        return LineageQueryEngine(durable)

    @pytest.mark.parametrize("name", ["net.csv", "copy.csv"])
    def test_its_steps_are_those_of_the_data_set(self, engine, name):
        shutil.copy("net.csv", "copy.csv")
        answer = engine.why(name)
        assert functions(answer)[0] == "save"
        assert answer["node_id"] == "repository:shop/net"
        assert answer["message"].endswith(", which names it repository:shop/net")
        assert answer["steps"][0]["step"]["operation_id"] in answer["message"]
        assert answer["is_current"] is None
        assert [each["function"].rpartition(".")[2] for each in engine.blame(name)] == ["save"]

    def test_a_column_has_its_edges(self, engine):
        for name in ("net.csv:net", "repository:shop/net:net"):
            edges = [each["edge"] for each in engine.why(name)["column_edges"]]
            assert [(each.output_column, each.source_column) for each in edges] == [
                ("net", "price")
            ], name

    def test_where_a_step_read_it_the_reason_says_who_wrote_it(self, engine):
        (origin,) = engine.why("board.csv")["origins"]
        assert origin["node_id"].endswith("/net.csv")
        assert origin["reason"].endswith(", which names it repository:shop/net")

    def test_where_nothing_tells_its_columns_it_is_from_outside(self, engine):
        Path("bare.csv").write_text("a\n1\n")
        load(Path("bare.csv"))
        engine.refresh()
        answer = engine.why("bare.csv")
        assert answer["steps"] == []
        assert [each["reason"].partition(":")[0] for each in answer["origins"]] == ["from outside"]

    def test_without_what_columns_tell_it_would_seem_to_be_from_outside(self, engine, monkeypatch):
        monkeypatch.setattr("lineage.whys._named", lambda *_: {})
        assert engine.why("net.csv")["steps"] == []

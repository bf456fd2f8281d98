"""The `lineage` command: answers, exit codes, pipes, terminals."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lineage
from lineage.cli import app, main, output
from lineage.cli.moments import moment
from lineage.cli.progress import Bar, working
from lineage.cli.session import Session
from lineage.core import DataOperation, DataSource
from lineage.stores.base import open_store
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker

ROOT = Path(lineage.__file__).parent.parent
HOSTILE = "disk\nfull \x1b[31m\tred"

needs_visualizer = pytest.mark.skipif(
    find_spec("lineage.visualizer") is None, reason="lineage.visualizer is not there"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("cli") / "store"
    repository = LineageMetadataRepository(path)
    now = datetime.now(UTC)
    api = DataSource("api", "quotes", "https://example.org/quotes")
    raw = DataSource("dataframe", "raw", "memory", {"columns": {"price": "float64"}})
    clean = DataSource("dataframe", "clean", "memory")
    equity = DataSource("repository", "equity", "/data/equity")
    option = DataSource("repository", "option", "/data/option")
    steps = [
        ("aa01", "read", api, raw, 40, {"record_count_out": 1000, "parameters": {"day": HOSTILE}}),
        ("aa02", "transform", raw, clean, 39, {"record_count_in": 1000, "record_count_out": 900}),
        ("bb03", "write", clean, equity, 3, {"record_count_in": 900, "record_count_out": 900}),
        ("bb04", "write", clean, option, 2, {"record_count_in": 900, "record_count_out": 800}),
        ("cc05", "write", clean, option, 1, {"status": "failed", "error_info": HOSTILE}),
    ]
    for name, kind, source, target, hours, more in steps:
        repository.save_operation(
            DataOperation(
                name,
                kind,
                now - timedelta(hours=hours),
                [source],
                [target],
                duration_ms=5.5,
                code_module="demo",
                code_name=f"do_{kind}",
                **more,
            )
        )
    repository.close()
    return str(path)


@pytest.fixture(autouse=True)
def _clean(tmp_path, monkeypatch):
    for variable in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str, code: int = 0):
    result = run(*arguments, "--json", code=code)
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1
    return document["data"]


def lines(*arguments: str, code: int = 0) -> list[list[str]]:
    return [line.split("\t") for line in run(*arguments, code=code).stdout.splitlines()]


def process(*arguments: str, **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lineage", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


# Questions


def test_log_lists_the_newest_first(store):
    head, *rows = lines("log", "--store", store)
    assert head[:3] == ["time", "type", "operation"]
    assert [row[2] for row in rows] == ["cc05", "bb04", "bb03", "aa02", "aa01"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-n", "2"], ["cc05", "bb04"]),
        (["--type", "write"], ["cc05", "bb04", "bb03"]),
        (["--failed"], ["cc05"]),
        (["--since", "150m"], ["cc05", "bb04"]),
        (["--since", "1d", "--type", "read"], []),
    ],
)
def test_log_filters(store, options, expected):
    found = data("log", "--store", store, *options)
    assert [each["operation_id"] for each in found] == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--type", "publish"], "no operation of type 'publish'; there are read, write, transform"),
        (["--type", "read", "--failed"], "no operation of type 'read' fits the other options"),
        (["--since", "1m"], "no operations"),
    ],
)
def test_log_without_a_match_says_so_on_stderr(store, options, expected):
    result = run("log", "--store", store, *options)
    assert (result.stdout, result.stderr) == ("", f"{expected}\n")


def test_show_an_operation_by_the_start_of_its_id(store):
    found = data("show", "bb03", "--store", store)["operation"]
    assert found == data("show", "bb03", "--store", store)["operation"]
    assert found["inputs"][0]["node_id"] == "dataframe:clean"
    assert found["duration_ms"] == 5.5
    shown = run("show", "cc", "--store", store).stdout
    assert "operation_id\tcc05" in shown
    assert "reads\tdataframe:clean\tmemory" in shown
    assert r"day	disk\nfull \x1b[31m\tred" in run("show", "aa01", "--store", store).stdout


def test_show_a_node(store):
    found = data("show", "dataframe:clean", "--store", store)
    assert found["node"]["dependencies"] == ["dataframe:raw"]
    assert [each["operation_id"] for each in found["operations"]] == [
        "aa02",
        "bb03",
        "bb04",
        "cc05",
    ]
    shown = lines("show", "dataframe:raw", "--store", store)
    assert ["made from", "api:quotes"] in shown
    assert ["used by", "dataframe:clean"] in shown
    assert ["price", "float64"] in shown


def test_show_what_is_not_there_or_not_clear(store):
    result = run("show", "dataframe:claen", "--store", store, code=3)
    assert "did you mean 'dataframe:clean'" in result.stderr
    result = run("show", "aa", "--store", store, code=3)
    assert "2 operations begin with 'aa', such as aa01, aa02" in result.stderr
    assert "error: no operation" in run("show", "", "--store", store, code=3).stderr


def test_timeline(store):
    _, *rows = lines("timeline", "--hours", "30", "--store", store)
    assert [row[2] for row in rows] == ["bb03", "bb04", "cc05"]
    assert rows[2][-1] == "failed"
    assert data("timeline", "--store", store)["summary"]["failed_operations"] == 1
    assert run("timeline", "--hours", "0", "--store", store).stderr == (
        "no operations within 0 hours\n"
    )


def test_sources(store):
    assert len(data("sources", "--store", store)) == 5
    _, *rows = lines("sources", "--type", "repository", "--location", "opt", "--store", store)
    assert [row[:4] for row in rows] == [["repository:option", "/data/option", "0", "1"]]


def test_impact_lists_the_nearest_first(store):
    _, *rows = lines("impact", "api:quotes", "--store", store)
    assert [(row[0], row[1]) for row in rows] == [
        ("1", "dataframe:raw"),
        ("2", "dataframe:clean"),
        ("3", "repository:equity"),
        ("3", "repository:option"),
    ]
    assert data("impact", "api:quotes", "--store", store)["total_downstream_nodes"] == 4
    assert "nothing was made from" in run("impact", "repository:equity", "--store", store).stderr


def test_path(store):
    first, _, _, *rows = lines("path", "api:quotes", "repository:equity", "--store", store)
    assert first[0].split(" -> ")[1:3] == ["dataframe:raw", "dataframe:clean"]
    assert [row[3] for row in rows] == ["aa01", "aa02", "bb03"]
    found = data("path", "api:quotes", "repository:equity", "--store", store)
    assert found["transformation_operations"][0]["operation"]["operation_id"] == "aa01"


def test_no_path_is_not_found(store):
    assert not data("path", "repository:equity", "api:quotes", "--store", store, code=3)[
        "path_found"
    ]
    result = run("path", "api:quotes", "nowhere", "--store", store, code=3)
    assert result.stderr.startswith("error: no node 'nowhere'")


def test_path_lists_all_ways_and_says_when_it_stopped(tmp_path):
    store = str(diamond(tmp_path / "store"))
    header, *rows = lines("path", "t:a", "t:d", "--all", "--store", store)
    assert header == ["steps", "path"]
    assert sorted(rows) == [
        ["2", "t:a -> t:b -> t:d"],
        ["2", "t:a -> t:c -> t:d"],
        ["3", "t:a -> t:b -> t:c -> t:d"],
    ]
    assert len(lines("path", "t:a", "t:d", "--shortest", "--store", store)) == 3
    assert len(lines("path", "t:a", "t:d", "--all", "--depth", "2", "--store", store)) == 3
    cut = run("path", "t:a", "t:d", "--all", "-n", "2", "--store", store)
    assert "the first 2 paths; there are more" in cut.stderr
    assert not data("path", "t:a", "t:d", "--all", "-n", "2", "--store", store)["is_complete"]
    nothing = run("path", "t:d", "t:a", "--all", "--store", store, code=3)
    assert "No path found from t:d to t:a" in nothing.stderr
    run("path", "t:a", "t:d", "--all", "--shortest", "--store", store, code=2)
    run("path", "t:a", "t:d", "--depth", "2", "--store", store, code=2)


def test_how_the_graph_is_built(tmp_path):
    store = str(diamond(tmp_path / "store"))
    assert lines("common", "t:c", "t:d", "--store", store)[1:] == [
        ["t:b", "yes", ""],
        ["t:a", "no", ""],
    ]
    assert lines("levels", "--store", store)[1:] == [
        [str(at), f"t:{name}", ""] for at, name in enumerate("abcd")
    ]
    assert "no cycles" in run("cycles", "--store", store).stderr
    total, _, header, *rows = lines("critical", "t:d", "--store", store)
    assert total == ["9.0 ms in 3 steps"]
    assert header == ["from", "to", "mean ms", "share"]
    assert rows == [
        ["t:a", "t:b", "1", "11%"],
        ["t:b", "t:c", "3", "33%"],
        ["t:c", "t:d", "5", "56%"],
    ]
    assert "t:a is made of nothing" in run("critical", "t:a", "--store", store, code=3).stderr
    assert data("critical", "--store", store)["path_nodes"] == ["t:a", "t:b", "t:c", "t:d"]


def test_versions_of_a_node_and_one_of_them(tmp_path):
    store = str(diamond(tmp_path / "store"))
    header, *rows = lines("versions", "t:d", "--store", store)
    assert header[:3] == ["version", "time", "operation"]
    assert [(row[0], row[2]) for row in rows] == [("op3", "op3"), ("op4", "op4")]
    shown = run("versions", "t:c", "newest", "--store", store).stdout
    assert shown.startswith("t:c op2\n")
    assert "t:b\top0\tyes" in shown
    assert "t:d\t1" in shown
    assert data("versions", "t:c", "op1", "--store", store)["total_downstream_versions"] == 0
    assert "newest is 'op2'" in run("versions", "t:c", "x", "--store", store, code=3).stderr


def test_the_graph_as_it_was(tmp_path):
    store = str(diamond(tmp_path / "store"))
    assert "d (t)" not in run("graph", "--as-of", "2026-03-01T02:30", "--store", store).stdout
    assert "d (t)" in run("graph", "--store", store).stdout
    assert len(lines("log", "--as-of", "2026-03-01T02:30", "--store", store)) == 1 + 3
    impact = data("impact", "t:a", "--as-of", "2026-03-01T02:30", "--store", store)
    assert impact["total_downstream_nodes"] == 2
    early = run("graph", "--as-of", "2020-03-01", "--store", store)
    assert "nothing is recorded as of 2020-03-01" in early.stderr
    assert "the first operation began 2026-03-01" in early.stderr
    gone = run("impact", "t:a", "--as-of", "2020-03-01", "--store", store, code=3)
    assert "among 0 nodes as of 2020-03-01" in gone.stderr
    assert "nothing is recorded" in run("log", "--known-at", "2020-01-01", "--store", store).stderr
    run("graph", "--as-of", "sometime", "--store", store, code=2)
    run("seal", "--as-of", "2020-03-01", "--store", store, code=2)


def diamond(path: Path) -> Path:
    """Make a store with three ways from t:a to t:d."""
    repository = LineageMetadataRepository(path)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for at, (one, other) in enumerate(["ab", "ac", "bc", "bd", "cd"]):
        repository.save_operation(
            DataOperation(
                f"op{at}",
                "transform",
                start + timedelta(hours=at),
                [DataSource("t", one)],
                [DataSource("t", other)],
                duration_ms=at + 1.0,
            )
        )
    repository.close()
    return path


def test_stale_is_a_finding_and_limits_come_from_the_configuration(store, monkeypatch):
    _, *rows = lines("stale", "--store", store, code=1)
    assert [row[0] for row in rows] == ["api:quotes"]
    assert run("stale", "--hours", "50", "--store", store).stderr == "nothing is stale\n"
    monkeypatch.setenv("LINEAGE_FRESHNESS_HOURS", '{"repository:equity": 1, "api:*": 100}')
    found = data("stale", "--store", store, code=1)
    assert [each["node_id"] for each in found] == ["repository:equity"]


def test_stale_by_root_cause_and_by_days_that_count(store):
    head, *rows = lines("stale", "--by-cause", "--hours", "1", "--store", store, code=1)
    assert head[:2] == ["node", "late because of"]
    assert rows[0][:2] == ["api:quotes", ""]
    assert ["repository:equity", "api:quotes"] in [row[:2] for row in rows]
    (group,) = data("stale", "--by-cause", "--hours", "1", "--store", store, code=1)
    assert group["root_cause"]["node_id"] == "api:quotes"
    assert group["total_explained"] == len(group["explained"]) == len(rows) - 1
    today = datetime.now(UTC).date()
    every = ",".join(str(today - timedelta(days=day)) for day in range(-1, 9))
    quiet = run("stale", "--hours", "1", "--holidays", every, "--store", store)
    assert quiet.stderr == "nothing is stale\n"
    limit = f"api:*=1;weekdays=mon-sun;holidays={every};timezone=Asia/Tokyo"
    found = data("stale", "--hours", "99", "--limit", limit, "--store", store)
    assert found == []
    found = data("stale", "--hours", "99", "--limit", "api:*=1", "--store", store, code=1)
    assert [each["node_id"] for each in found] == ["api:quotes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--limit", "file:*"], "--limit 'file:*' cannot be used; give PATTERN=HOURS"),
        (["--limit", "file:*=0"], "with hours above 0"),
        (["--limit", "file:*=1.2.3"], "cannot be used"),
        (["--limit", "file:*=1;days=mon"], "the limit 'file:*' has the unknown key 'days'"),
        (["--limit", "file:*=1;weekdays=mony"], "weekdays has 'mony'"),
        (["--weekdays", "always"], "weekdays has 'always'"),
        (["--holidays", "soon"], "holidays has 'soon'"),
        (["--weekdays", "mon", "--timezone", "Mars/Base"], "time zone 'Mars/Base' is not known"),
    ],
)
def test_a_calendar_that_cannot_be_used_is_two(store, arguments, said):
    result = run("stale", *arguments, "--store", store, code=2)
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_stats_of_a_type_that_is_not_there_name_those_that_are(store):
    told = run("stats", "--type", "nope", "--store", store).stderr
    (line,) = (each for each in told.splitlines() if "nope" in each)
    assert line.startswith("no operation of type 'nope' was timed; there are ")
    assert "write" in line
    assert "derive" not in line


def test_stats_and_volume(store):
    found = data("stats", "--store", store)
    assert found["summary"]["basic_stats"]["total_operations"] == 5
    assert found["performance"]["failed_operations"] == 1
    shown = lines("stats", "--store", store)
    assert ["operations", "5"] in shown
    assert any(row[0] == "demo.do_write" and row[1:3] == ["3", "1"] for row in shown)
    assert any(row[0] == "write" and row[1:3] == ["3", "1"] for row in shown)
    few = run("stats", "--number", "1", "--by", "day", "--type", "write", "--store", store)
    assert "began\tcount\tfailed\tavg ms\tp50 ms\tp90 ms" in few.stdout
    assert "demo.do_write" in few.stdout
    found = data("volume", "--hours", "100", "--store", store)
    assert found["total_records_in"] == 2800
    assert found["flows"]
    few = run("volume", "--number", "1", "--hours", "100", "--store", store)
    assert few.stderr == f"{len(found['flows']) - 1} more flows: --number\n"
    assert ["write", "3", "1800", "1700"] in lines("volume", "--hours", "100", "--store", store)
    assert "no operations within 0 hours" in run("volume", "--hours", "0", "--store", store).stderr


# Documents


@needs_visualizer
@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("text", "equity (repository)"),
        ("dot", "digraph lineage"),
        ("svg", "<svg"),
        ("html", "<html"),
        ("json", '"edges":'),
        ("mermaid", "-->"),
    ],
)
def test_graph_forms(store, form, part, tmp_path):
    assert part in run("graph", "--format", form, "--store", store).stdout
    suffix = {"text": "txt", "mermaid": "mmd"}.get(form, form)
    file = tmp_path / f"graph.{suffix}"
    result = run("graph", "dataframe:clean", "--depth", "1", "-o", str(file), "--store", store)
    assert part in file.read_text()
    assert result.stdout == ""
    assert result.stderr.startswith(f"wrote {file} (")
    assert "api:quotes" not in file.read_text()


@needs_visualizer
@pytest.mark.parametrize(("form", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_graph_as_png_and_pdf(store, form, magic, tmp_path):
    file = tmp_path / f"graph.{form}"
    run("graph", "-o", str(file), "--store", store)
    assert file.read_bytes().startswith(magic)
    result = CliRunner().invoke(app, ["graph", "--format", form, "--store", store])
    assert result.stdout_bytes.startswith(magic)


@needs_visualizer
def test_graph_data(store):
    found = data("graph", "dataframe:clean", "--depth", "1", "--store", store)
    assert {"nodes", "edges", "metadata"} <= set(found)
    assert "no node" in run("graph", "nowhere", "--store", store, code=3).stderr


@needs_visualizer
@pytest.mark.parametrize("form", ["text", "md", "html", "json"])
def test_report_forms(store, form, tmp_path):
    begins = {"text": "=", "md": "# ", "html": "<!DOCTYPE html>", "json": '{\n  "basic_stats"'}
    shown = run("report", "--format", form, "--store", store).stdout
    assert shown.startswith(begins[form])
    assert "dataframe:clean" in shown
    file = tmp_path / f"report.{form}"
    run("report", "--format", form, "-o", str(file), "--store", store)
    assert file.read_text(encoding="utf-8").startswith(begins[form])


def test_report_data(store):
    assert data("report", "--store", store)["basic_stats"]["total_nodes"] == 5


@needs_visualizer
def test_a_report_calls_stale_what_the_settings_do(store, monkeypatch):
    def told(*options):
        return run("report", *options, "--store", store).stdout

    assert "Stale Sources: 1\n" in told()
    assert data("report", "--store", store)["freshness"]["stale_sources"] == 1
    monkeypatch.setenv("LINEAGE_FRESHNESS_HOURS", '{"api:*": 1000, "repository:*": 0.5}')
    assert "Stale Sources: 2\n" in told()
    assert "| Stale Sources | 2 |" in told("--format", "md")
    assert data("report", "--store", store)["freshness"]["stale_sources"] == 2


@needs_visualizer
def test_export_the_graph(store):
    assert {"nodes", "edges"} <= set(json.loads(run("export", "--store", store).stdout))
    assert {"nodes", "edges"} <= set(data("export", "--store", store))
    assert "digraph" in run("export", "--format", "dot", "--store", store).stdout


def test_export_operations(store, tmp_path):
    import pandas as pd

    result = CliRunner().invoke(app, ["export", "--format", "csv", "--store", store])
    frame = pd.read_csv(io.BytesIO(result.stdout_bytes))
    assert sorted(frame["operation_id"]) == ["aa01", "aa02", "bb03", "bb04", "cc05"]
    assert '["dataframe:clean"]' in set(frame["inputs"])
    file = tmp_path / "operations.parquet"
    found = data("export", "-o", str(file), "--store", store)
    assert found == {"file": str(file), "format": "parquet", "size_bytes": file.stat().st_size}
    assert len(pd.read_parquet(file)) == 5


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["export", "-o", "missing/x.csv"], "cannot write missing/x.csv"),
        (["export", "-o", "x.bmp"], "names no format"),
        (["export", "--format", "csv", "--json"], "leave --format out"),
        (["graph", "--format", "bmp"], "'bmp'"),
        (["graph", "--depth", "-1"], "--depth"),
        (["log", "--since", "yesterday"], "'yesterday' is no time"),
        (["log", "-n", "0"], "--number"),
        (["nosuch"], "nosuch"),
        (["impact"], "NODE"),
    ],
)
def test_wrong_usage_is_code_2(store, arguments, part):
    result = run("--store", store, *arguments, code=2)
    assert result.stdout == ""
    assert part in " ".join(result.stderr.split())


# The store


@pytest.mark.parametrize("command", [["log"], ["sources"], ["stats"], ["seal"], ["impact", "a:b"]])
def test_no_store_is_code_4(command, tmp_path):
    result = run(*command, "--store", "nowhere", code=4)
    assert result.stderr.startswith("error: no lineage store at nowhere; name one with --store")
    assert run(*command, "--store", str(tmp_path), code=4).stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_unknown_scheme_is_code_4():
    result = run("log", "--store", "nosuch://me:hunter2@host", code=4)
    assert "nosuch://" in result.stderr
    assert "hunter2" not in result.stderr


def test_store_by_variable_file_and_url(store, monkeypatch, tmp_path):
    assert len(data("log", "--store", f"parquet://{store}")) == 5
    assert len(data("log", "--store", f"file://{store}")) == 5
    monkeypatch.setenv("LINEAGE_STORE", store)
    assert len(data("log")) == 5
    monkeypatch.delenv("LINEAGE_STORE")
    (tmp_path / "lineage.toml").write_text(f'base_path = "{store}"\n')
    assert len(data("log")) == 5
    assert data("log", "--store", "memory://") == []


def test_a_bad_setting_is_code_2(monkeypatch):
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODES", "many")
    result = run("log", code=2)
    assert result.stderr.startswith("error: LINEAGE_MAX_GRAPH_NODES has the value 'many'")


def test_options_before_and_after_the_command_are_the_same(store):
    expected = run("log", "--store", store, "--json").stdout
    assert json.loads(expected)["command"] == "log"
    for arguments in (
        ["--store", store, "--json", "log"],
        ["--json", "log", "--store", store],
        ["--store", store, "log", "--json"],
        ["--store", "nowhere", "--json", "log", "--store", store],
    ):
        assert run(*arguments).stdout == expected


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["log"], 0),
        (["show", "aa01"], 0),
        (["timeline"], 0),
        (["sources"], 0),
        (["impact", "api:quotes"], 0),
        (["path", "api:quotes", "dataframe:raw"], 0),
        (["stale"], 1),
        (["stats"], 0),
        (["volume"], 0),
        (["report"], 0),
        (["seal"], 0),
        (["doctor"], 0),
        (["init"], 0),
        (["config", "show"], 0),
        (["config", "validate"], 0),
        (["config", "schema"], 0),
        (["config", "sample"], 0),
    ],
)
def test_every_command_writes_one_document(store, command, code):
    result = run("--json", "--store", store, *command, code=code)
    document = json.loads(result.stdout)
    assert set(document) == {"schema_version", "command", "data", "problems"}
    words = [word for word in command if word not in {"aa01", "api:quotes", "dataframe:raw"}]
    assert document["command"] == " ".join(words)


def test_seal_moves_what_is_pending_to_parquet(tmp_path):
    repository = LineageMetadataRepository(tmp_path / "store")
    repository.save_operation(DataOperation.create("read", inputs=[DataSource("file", "a", "/a")]))
    found = data("seal", "--store", str(tmp_path / "store"))
    assert found["rows"]["operations"] == 1
    assert list((tmp_path / "store").glob("lineage_operations/date=*/*.parquet"))
    assert run("seal", "--store", str(tmp_path / "store")).stderr == "nothing was pending\n"
    assert "nothing to seal" in run("seal", "--store", "memory://").stderr


def test_doctor_finds_a_damaged_part_and_questions_warn_of_it(tmp_path):
    path = tmp_path / "store"
    repository = LineageMetadataRepository(path)
    repository.save_operation(DataOperation.create("read", inputs=[DataSource("file", "a", "/a")]))
    repository.close()
    assert data("doctor", "--store", str(path))["findings"] == []
    (part,) = path.glob("lineage_operations/date=*/*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    (finding,) = data("doctor", "--store", str(path), code=1)["findings"]
    assert part.name in finding
    result = run("log", "--store", str(path))
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()] == ["no", "warning:"]
    assert part.name in result.stderr


def test_doctor_counts_segments_of_the_dead(tmp_path):
    code = (
        "import os, sys\n"
        "from lineage.core import DataOperation\n"
        "from lineage.stores.parquet import LineageMetadataRepository\n"
        "LineageMetadataRepository(sys.argv[1]).save_operation(DataOperation.create('read'))\n"
        "os._exit(9)\n"
    )
    path = str(tmp_path / "store")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, path], env=environment, check=False)
    found = data("doctor", "--store", path, code=1)
    assert found["facts"]["adoptable_segments"] == 1
    assert found["facts"]["pending_operations"] == 1
    assert "run: lineage seal" in found["findings"][0]
    run("seal", "--store", path)
    assert data("doctor", "--store", path)["facts"]["adoptable_segments"] == 0


def test_doctor_finds_segments_kept_for_their_damage(tmp_path):
    path = tmp_path / "store"
    repository = LineageMetadataRepository(path)
    repository.save_operation(DataOperation.create("read"))
    repository.close()
    (path / "_journal" / "1.seg.damaged").write_bytes(b"?")
    (finding,) = data("doctor", "--store", str(path), code=1)["findings"]
    assert finding == "1 damaged segments are kept in the journal"


def test_doctor_of_no_store_and_of_a_memory_store(monkeypatch):
    found = data("doctor", "--store", "nowhere", code=4)
    assert not found["facts"]["is_usable"]
    assert data("doctor", "--store", "memory://")["versions"]["pyarrow"]
    monkeypatch.setenv("LINEAGE_MAX_GRAPH_NODE", "3")
    assert "LINEAGE_MAX_GRAPH_NODE" in run("doctor", "--store", "memory://", code=1).stdout


def test_doctor_finds_an_unwritable_folder(store, monkeypatch):
    # Root may write anywhere, so the question itself is answered with no.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "not writable" in run("doctor", "--store", store, code=1).stdout


# Settings


def test_init_writes_a_configuration_and_says_what_is_next(tmp_path):
    result = run("init")
    assert result.stdout == "lineage.toml\n"
    assert "lineage.init()" in result.stderr
    assert "is there already" in run("init", code=2).stderr
    run("init", "--force")
    run("config", "sample", "other.yaml")
    assert (tmp_path / "other.yaml").read_text().startswith("enabled: true")
    assert "unknown format 'ini'" in run("config", "sample", "a.ini", code=2).stderr


def test_config_show_hides_secrets(monkeypatch):
    monkeypatch.setenv("LINEAGE_STORE", "sql://me:hunter2@host/db")
    assert "hunter2" not in run("config", "show").stdout
    assert "sql://" in data("config", "show")["store"]
    result = run("config", "validate", code=1)
    assert "unknown scheme 'sql'" in result.stdout
    assert "hunter2" not in result.stdout


def test_config_schema_is_that_of_the_code():
    from lineage.config import LineageConfig

    assert json.loads(run("config", "schema").stdout) == LineageConfig.json_schema()


# How it is written and how it ends


def test_times():
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert moment("90m", now) == datetime(2026, 5, 1, 10, 30, tzinfo=UTC)
    assert moment("1w", now) == datetime(2026, 4, 24, 12, tzinfo=UTC)
    assert moment("2026-05-01") == datetime(2026, 5, 1, tzinfo=UTC)
    assert moment("2026-05-01T12:00+02:00") == datetime(2026, 5, 1, 10, tzinfo=UTC)
    with pytest.raises(Exception, match="is no time"):
        moment("99999999999999w")


def test_help_and_version_need_no_heavy_library():
    code = (
        "import sys\nfrom lineage.cli import app\n"
        "for arguments in (['--help'], ['graph', '--help'], ['--version']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert not end.code\n"
        "heavy = {'pyarrow', 'pandas', 'numpy', 'networkx', 'scipy', 'graphviz', 'duckdb'}\n"
        "sys.stderr.write(repr(sorted(heavy & set(sys.modules))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]"
    assert f"lineage {lineage.__version__}" in done.stdout


def test_no_arguments_show_the_help():
    result = CliRunner().invoke(app, [])
    assert "Commands:" in result.output


def test_nothing_in_the_data_steers_a_terminal(store, monkeypatch):
    assert "\x1b" not in run("log", "--store", store).stdout
    assert "\x1b" not in run("log", "--store", store, "--json").stdout
    # The control: without the escapes, the same question lets the sequence through.
    monkeypatch.setattr(output, "printable", lambda text, **_: text)
    assert "\x1b" in run("log", "--store", store).stdout


@pytest.mark.parametrize(
    "command",
    [
        *(["log"], ["sources"], ["timeline"], ["stale"], ["volume"], ["stats"], ["graph"]),
        *(["graph", "--format", form] for form in ("dot", "svg", "html", "mermaid", "json")),
        *(["report"], ["report", "--format", "md"], ["report", "--format", "json"]),
        *(["export", "--format", form] for form in ("dot", "json")),
        *(["show", "{}"], ["impact", "{}"], ["path", "{}", "{}"]),
    ],
    ids=" ".join,
)
def test_no_name_turns_or_steers_what_is_written(command, tmp_path):
    name = "file:a\u202eb\x9b31m\u2066\x1b[31m.csv"
    with contextlib.closing(LineageMetadataRepository(tmp_path)) as repository:
        operation = DataOperation.create(
            "read", inputs=[DataSource.parse(name)], outputs=[DataSource.parse(f"{name}2")]
        )
        repository.save_operation(operation)
    words = [each.format(name if at == 1 else f"{name}2") for at, each in enumerate(command)]
    done = CliRunner().invoke(app, [*words, "--store", str(tmp_path)])
    assert done.exit_code in (0, 1)
    assert not {*"\u202e\u2066\x9b\x1b"} & {*done.stdout}


def test_a_pipe_gets_every_row_on_one_whole_line(store):
    for row in lines("log", "--store", store):
        assert len(row) == 9
    assert r"disk\nfull \x1b[31m\tred" in run("log", "--store", store).stdout


def on_a_terminal(*arguments: str, columns: str = "200") -> str:
    """Run with stdout and stderr on a pseudo-terminal, and give what it wrote."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": columns}
    child = subprocess.Popen(
        [sys.executable, "-m", "lineage", *arguments],
        env=environment,
        stdout=follower,
        stderr=follower,
        stdin=follower,
    )
    os.close(follower)
    written = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    child.wait()
    return written.decode()


def test_a_terminal_gets_a_table(store):
    shown = on_a_terminal("log", "--store", store)
    assert "─" in shown
    assert r"\x1b[31m" in shown
    assert "\x1b[31m" not in shown
    narrow = on_a_terminal("sources", "--store", store, columns="60")
    assert "…" not in narrow
    assert "parquet is no text" in on_a_terminal("export", "--format", "parquet", "--store", store)


def test_progress_shows_on_a_terminal_after_a_second():
    code = (
        "import time\nfrom lineage.cli.progress import working\n"
        "with working('counting'): time.sleep({})\n"
    )
    shown = []
    for seconds in ("1.5", "0.1"):
        leader, follower = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        subprocess.run(
            [sys.executable, "-c", code.format(seconds)], env=environment, stderr=follower
        )
        os.write(follower, b"end")
        shown.append(os.read(leader, 65536))
        os.close(leader)
        os.close(follower)
    assert b"counting" in shown[0]
    assert b"counting" not in shown[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_drawn_for_a_terminal_only(monkeypatch):
    table = output.Table(("node", "reads"), [("file:a", 3), (HOSTILE, None)], title="Sources")
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stdout", stream)
        output.write_part(table)
        assert ("─" in stream.getvalue()) is drawn
        assert ("\t" in stream.getvalue()) is not drawn
        assert "\x1b[31m" not in stream.getvalue()
        assert r"disk\nfull" in stream.getvalue()


def drawn(monkeypatch, width, *, error=None):
    """Give the lines of a table on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    at = datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC)
    row = (at, "e98e1de6cf53a255-15", "flights.Warehouse.save", 1_234_567, 1.36438, error)
    columns = ("time", "operation", "function", "in", "ms", "error")
    figures, spare = frozenset({"in", "ms"}), frozenset({"error"})
    output.write_part(output.Table(columns, [row], right=figures, spare=spare))
    text = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())
    return [line.split() for line in text.splitlines() if line.strip()]


def test_a_line_of_a_terminal_is_shared_among_the_columns(monkeypatch):
    head, _, first = drawn(monkeypatch, 120)
    assert head == ["time", "operation", "function", "in", "ms"]
    whole = ["2026-05-01", "12:30:15Z", "e98e1de6cf53a255-15", "flights.Warehouse.save"]
    assert first == [*whole, "1,234,567", "1.36"]
    assert drawn(monkeypatch, 120, error="KeyError")[0][-1] == "error"
    _, _, first, second, *_ = drawn(monkeypatch, 81)  # the time whole, texts in pieces
    assert first[:2] == ["2026-05-01", "12:30:15Z"]
    assert "1,234,567" in first
    assert not set(second) & {"2026-05-01", "12:30:15Z"}
    _, _, first, second, *_ = drawn(monkeypatch, 54)  # the time after its date
    assert first[0], second[0] == ("2026-05-01", "12:30:15Z")
    assert "1,234,567" in first
    assert drawn(monkeypatch, 30)  # not even that fits, and it is written still


def test_columns_of_one_name_and_of_none_are_all_written(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", Terminal())
    output.write_part(output.Table(("n", "n", ""), [("one", "two", "")]))
    assert sys.stdout.getvalue().split()[-2:] == ["one", "two"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0"), (0.0, "0"), (-1.5, "-1.50"), (999.96, "1,000"), (1e-12, "0.000000000")),
        *((1e15, "1,000,000,000,000,000"), (True, "yes"), (None, ""), (float("nan"), "nan")),
    ],
)
def test_figures_are_written_for_the_eye(value, shown):
    assert output.figure(value) == shown


def test_progress_ends_with_the_work(monkeypatch):
    monkeypatch.setattr("lineage.cli.progress.PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with working("counting"):
        time.sleep(0.3)
    shown = sys.stderr.getvalue()
    assert "counting" in shown
    time.sleep(0.3)
    assert sys.stderr.getvalue() == shown


def test_a_bar_counts_and_ends_with_the_work(monkeypatch):
    monkeypatch.setattr("lineage.cli.progress.PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with working("waiting") as bar:
        read, written = bar.counting("reading", "bytes"), bar.counting("writing", "operations")
        for count in range(1, 6):
            read(count * 1_000_000, 10_000_000)
            time.sleep(0.1)
        time.sleep(0.3)
        written(1_500, 3_000)
        time.sleep(0.3)
    shown = sys.stderr.getvalue()
    assert "5.0 MB of 10.0 MB" in shown
    assert "0:00:0" in shown
    assert "1,500 of 3,000 operations" in shown
    assert shown.endswith("\x1b[2K")  # the line is taken away again


def test_a_bar_that_came_to_its_end_says_no_count(monkeypatch):
    monkeypatch.setattr("lineage.cli.progress.PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with working("waiting") as bar:
        read = bar.counting("reading", "bytes")
        read(1_000_000, 2_000_000)
        time.sleep(0.2)
        read(3_000_000, 3_000_000)  # another file came to it
        time.sleep(0.3)
    shown = sys.stderr.getvalue()
    assert "1.0 MB of 2.0 MB" in shown
    assert "3.0 MB" not in shown


def test_a_notice_is_written_when_the_bar_is_gone(store, monkeypatch):
    told = []

    @contextlib.contextmanager
    def seen(*_, **__):
        yield Bar()
        told.append("the end of the bar")

    monkeypatch.setattr("lineage.cli.session.working", seen)
    monkeypatch.setattr("lineage.cli.session.note", told.append)
    run("graph", "--as-of", "2020-03-01", "--store", store)
    assert told[0] == "the end of the bar"
    assert told[1].startswith("nothing is recorded as of 2020-03-01")


@pytest.mark.parametrize("quiet", ["json", "pipe", "dumb"])
def test_a_bar_is_for_a_person_at_a_terminal_only(quiet, monkeypatch):
    monkeypatch.setattr("lineage.cli.progress.PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO() if quiet == "pipe" else Terminal())
    monkeypatch.setenv("TERM", "dumb" if quiet == "dumb" else "xterm")
    with Session("log", None, as_json=quiet == "json").working("waiting") as bar:
        bar.counting("reading", "bytes")(1, 2)
        time.sleep(0.2)
    assert sys.stderr.getvalue() == ""


def test_export_counts_operations(store, monkeypatch):
    told = []
    monkeypatch.setattr(Bar, "counting", lambda _, *what: lambda *now: told.append((*what, *now)))
    for form in ("csv", "parquet", "json"):
        told.clear()
        run("export", "--format", form, "--store", store)
        assert told[-1] == ("writing", "operations", 5, 5)
        (read,) = {each[0] for each in told} - {"writing"}
        assert read == "reading the store"


def test_main_runs_with_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lineage", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert capsys.readouterr().out == f"lineage {lineage.__version__}\n"


def test_an_interrupted_question_is_code_130(store, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lineage.cli.session.Session.ask", interrupt)
    assert run("log", "--store", store, code=130).stderr == ""


def test_progress_is_silent_in_a_pipe(capsys):
    with working("counting"):
        time.sleep(0)
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    child = process("config", "schema", stdout=write)
    os.close(write)
    _, errors = child.communicate(timeout=60)
    assert errors == ""
    assert child.returncode == 141


def test_an_interrupt_is_code_130_without_a_traceback(tmp_path, monkeypatch):
    fifo = tmp_path / "settings.toml"
    os.mkfifo(fifo)
    monkeypatch.setenv("LINEAGE_CONFIG", str(fifo))
    child = process("log", stdout=subprocess.PIPE)
    with fifo.open("w"):  # from here on it reads, and nothing comes
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert "Traceback" not in errors
    assert child.returncode == 130


def test_exit_codes_of_the_real_process(store):
    for arguments, code in (
        (["log", "--store", store], 0),
        (["stale", "--store", store], 1),
        (["log", "--nosuch"], 2),
        (["show", "zz", "--store", store], 3),
        (["log", "--store", "nowhere"], 4),
    ):
        child = process(*arguments, stdout=subprocess.PIPE)
        shown, errors = child.communicate(timeout=60)
        assert child.returncode == code, errors
        assert "Traceback" not in errors
        assert bool(shown) == (code < 2)


def test_an_error_of_the_system_is_code_4(store, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("lineage.stores.base.open_store", fail)
    assert "Permission denied" in run("log", "--store", store, code=4).stderr


def test_copy_into_a_database_and_back(store, tmp_path):
    url = f"sqlite:///{tmp_path}/lineage.db"
    first = data("copy", store, url)
    assert first["rows"]["operations"] == len(data("log", "--number", "1000", "--store", store))
    again = data("copy", store, url)
    assert not any(again["rows"].values())
    assert again["known"]["operations"] == first["rows"]["operations"]
    back = str(tmp_path / "back")
    header, *rows = lines("copy", url, back)
    assert header == ["kind", "copied", "there before"]
    assert ["operations", str(first["rows"]["operations"]), "0"] in rows
    assert data("sources", "--store", back) == data("sources", "--store", store)


def test_copy_tells_of_its_progress(store, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Bar, "counting", lambda _, *what: lambda *now: told.append((*what, *now)))
    copied = data("copy", store, str(tmp_path / "to"))["rows"]
    total = copied["operations"] + copied["schemas"] + copied.get("runs", 0)
    assert told[-1] == ("copying", "rows", total, total)
    assert "no lineage store" in run("copy", str(tmp_path / "no"), "x", code=4).stderr


def test_seal_and_doctor_of_a_tee_and_of_a_database(tmp_path):
    url = f"tee://{tmp_path}/a;sqlite:///{tmp_path}/b.db"
    tracker = LineageTracker(open_store(url))
    tracker.complete_operation(tracker.start_operation("read"))
    sealed = data("seal", "--store", url)
    folder, database = (each["rows"].get("operations", 0) for each in sealed["stores"])
    assert (folder, database) in {(1, 1), (1, 0)}  # the outbox may have been faster
    tracker.close()
    found = data("doctor", "--store", f"sqlite:///{tmp_path}/b.db")["facts"]
    assert found["operations_row_count"] == 1
    assert found["outbox_file_count"] == 0

"""Every question, of the engine and of the command line, over every input that is not as it should.

A question that is not in `METHODS` or `COMMANDS` fails `test_every_…_is_asked`: add it there with
arguments that are right for `GOOD`, and all bad inputs are tried on it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lineage import (
    ColumnEdge,
    ConfigError,
    DataOperation,
    DataSource,
    LineageError,
    LineageMetadataRepository,
    LineageQueryEngine,
    NodeNotFoundError,
    StoreError,
)
from lineage.cli import app
from lineage.codec import column_edge_row
from lineage.stores.manifest import Manifest, encode_manifest, manifest_path
from lineage.stores.memory import MemoryStore

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
KINDS = ("operations", "nodes", "relationships", "column_edges")

A, B, C = "table:a", "table:b", "table:c"
NO_NODE = "table:nowhere"

# Questions of nodes: the names are the last arguments.
OF_NODES = {
    "upstream": (lambda engine, a: engine.upstream(a), 1),
    "downstream": (lambda engine, a: engine.downstream(a), 1),
    "get_data_lineage": (lambda engine, a: engine.get_data_lineage(a), 1),
    "trace_data_flow": (lambda engine, a, b: engine.trace_data_flow(a, b), 2),
    "find_all_paths": (lambda engine, a, b: engine.find_all_paths(a, b), 2),
    "find_shortest_paths": (lambda engine, a, b: engine.find_shortest_paths(a, b), 2),
    "find_common_ancestors": (lambda engine, a, b: engine.find_common_ancestors(a, b), 2),
    "get_versions": (lambda engine, a: engine.get_versions(a), 1),
    "trace_version": (lambda engine, a: engine.trace_version(a), 1),
    "find_critical_path": (lambda engine, a: engine.find_critical_path(a), 1),
    "why": (lambda engine, a: engine.why(a), 1),
    "history": (lambda engine, a: engine.history(a), 1),
    "blame": (lambda engine, a: engine.blame(a), 1),
    "column_lineage": (lambda engine, a: engine.column_lineage(a), 1),
    "trace_column": (lambda engine, a: engine.trace_column(a, "x"), 1),
    "impact of a column": (lambda engine, a: engine.analyze_impact(a, "x"), 1),
    "analyze_impact": (lambda engine, a: engine.analyze_impact(a), 1),
    "analyze_data_freshness": (lambda engine, a: engine.analyze_data_freshness(a, now=NOW), 1),
}
OF_ALL = {
    "graph": lambda engine: engine.graph.edges(),
    "versions": lambda engine: engine.versions.edge_count,
    "column_edges": lambda engine: len(engine.column_edges),
    "nodes": lambda engine: dict(engine.nodes),
    "operations": lambda engine: engine.operations,
    "operations_between": lambda engine: engine.operations_between(end=NOW),
    "last_writes": lambda engine: engine.last_writes([A, NO_NODE]),
    "find_data_sources": lambda engine: engine.find_data_sources(),
    "get_runs": lambda engine: engine.get_runs(),
    "products": lambda engine: engine.products(),
    "find_cycles": lambda engine: engine.find_cycles(),
    "get_topological_levels": lambda engine: engine.get_topological_levels(),
    "find_critical_path": lambda engine: engine.find_critical_path(),
    "find_stale_data": lambda engine: engine.find_stale_data(now=NOW),
    "group_stale_data": lambda engine: engine.group_stale_data(now=NOW),
    "analyze_data_volume_flow": lambda engine: engine.analyze_data_volume_flow(None, now=NOW),
    "get_operation_performance_stats": lambda engine: engine.get_operation_performance_stats(),
    "find_anomalies": lambda engine: engine.find_anomalies(now=NOW),
    "build_lineage_summary": lambda engine: engine.build_lineage_summary(now=NOW),
    "get_recent_activity_summary": lambda engine: engine.get_recent_activity_summary(999, now=NOW),
    "get_timeline": lambda engine: engine.get_timeline(999, now=NOW),
    "sql": lambda engine: engine.sql("SELECT * FROM operations, nodes"),
    "to_networkx": lambda engine: list(engine.to_networkx().edges),
    "to_arrow": lambda engine: engine.to_arrow("nodes"),
    "to_pandas": lambda engine: engine.to_pandas(),
}
METHODS = {
    **OF_ALL,
    **{name: (lambda e, f=f, n=n: f(e, *(A, B)[:n])) for name, (f, n) in OF_NODES.items()},
}
AS_WELL = {"impact of a column"}
OF_RUNS = {"diff"}  # tests/test_difference.py asks for runs that are not there
OF_PRODUCTS = {"product", "recipe"}  # tests/test_products.py and tests/test_replay.py ask for them
NO_QUESTIONS = {"refresh", "as_of", "notice", "problems", "run_analysis"}

COMMANDS = {
    "log": ["log"],
    "runs": ["runs"],
    "show": ["show", A],
    "show op": ["show", "op-1"],
    "timeline": ["timeline", "--hours", "10000000"],
    "sources": ["sources"],
    "graph": ["graph", "--format", "mermaid"],
    "graph columns": ["graph", "--columns", "--format", "dot"],
    "graph column": ["graph", f"{B}:x", "--columns", "--format", "dot"],
    "graph node": ["graph", B, "--format", "mermaid"],
    "impact": ["impact", A],
    "impact column": ["impact", f"{A}:x"],
    "columns": ["columns", B],
    "columns column": ["columns", f"{B}:x"],
    "columns trace": ["columns", B, "--column", "x", "--trace"],
    "path": ["path", A, C],
    "path all": ["path", A, C, "--all"],
    "common": ["common", B, C],
    "levels": ["levels"],
    "cycles": ["cycles"],
    "critical": ["critical"],
    "critical node": ["critical", C],
    "versions": ["versions", B],
    "version": ["versions", B, "newest"],
    "why": ["why", B],
    "why column": ["why", f"{B}:x"],
    "history": ["history", B],
    "blame": ["blame", B],
    "stale": ["stale"],
    "stale groups": ["stale", "--by-cause"],
    "stats": ["stats"],
    "volume": ["volume", "--hours", "10000000"],
    "sql": ["sql", "SELECT count(*) FROM operations, nodes"],
    "check": ["check"],
    "report": ["report", "--format", "md"],
    "export": ["export"],
}
OF_UNKNOWN = {
    "show": ["show", NO_NODE],
    "graph": ["graph", NO_NODE, "--format", "mermaid"],
    "impact": ["impact", NO_NODE],
    "impact column": ["impact", A, "--column", "nowhere"],
    "columns": ["columns", NO_NODE],
    "columns column": ["columns", f"{A}:nowhere"],
    "columns trace": ["columns", NO_NODE, "--column", "x", "--trace"],
    "path from": ["path", NO_NODE, A],
    "path to": ["path", A, NO_NODE, "--all"],
    "common": ["common", A, NO_NODE],
    "critical": ["critical", NO_NODE],
    "versions": ["versions", NO_NODE],
    "version of": ["versions", NO_NODE, "newest"],
    "version": ["versions", B, "no such version"],
}
FOUND = {"stale", "stale groups"}


def operation(number, source, target):
    return DataOperation(
        f"op-{number}",
        "transform",
        NOW - timedelta(hours=50 - number),
        [DataSource(*source.split(":"))],
        [DataSource(*target.split(":"))],
        duration_ms=1.0 + number,
        record_count_in=3,
        record_count_out=3,
        code_module="jobs",
        code_name=f"step_{number}",
        run_id="run-1",
    )


def made(path, edges):
    repository = LineageMetadataRepository(path)
    for number, (source, target) in enumerate(edges):
        made = operation(number, source, target)
        repository.save_operation(made)
        edge = ColumnEdge("x", source, "x", operation="assign", call_site="jobs.py:7")
        named = {"output": target, "source": source, "operation_id": made.operation_id}
        repository.append(
            "column_edges", [column_edge_row(edge, run_id="run-1", at=made.timestamp, **named)]
        )
    repository.seal()
    repository.close()
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Make one store of each kind of bad input; a question changes none of them."""
    root = tmp_path_factory.mktemp("bad")
    good = made(root / "good", [(A, B), (B, C), (C, "table:d")])
    found = {"good": good}
    found["loops"] = made(root / "loops", [(A, B), (B, A), (B, C), (C, C)])
    for kind in KINDS:
        found[f"flipped {kind}"] = shutil.copytree(good, root / kind)
        for path in (root / kind / f"lineage_{kind}").rglob("*.parquet"):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0xFF
            path.write_bytes(content)
    found["flipped memo"] = shutil.copytree(good, root / "memo")
    for path in (root / "memo" / "_manifest").glob("*.bin"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    found["newer"] = shutil.copytree(good, root / "newer")
    manifest_path(found["newer"]).write_bytes(encode_manifest(Manifest(9, format_version=99)))
    found["other"] = root / "other"
    found["other"].mkdir()
    (found["other"] / "notes.txt").write_text("no store")
    (found["other"] / "data.parquet").write_bytes(b"PAR1 no rows PAR1")
    found["file"] = root / "file"
    found["file"].write_text("no folder")
    found["missing"] = root / "missing"
    found["empty"] = root / "empty"
    LineageMetadataRepository(found["empty"]).close()
    return found


@pytest.fixture(autouse=True)
def _clean(tmp_path, monkeypatch):
    for variable in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")


def looked_at(answer):
    """Look at all of an answer, what is made when looked at too."""
    if isinstance(answer, Mapping):
        return {name: looked_at(value) for name, value in answer.items()}
    if isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        return [looked_at(value) for value in answer]
    return answer


def asked(arguments, store, *options, code):
    """Run a command, and hold what holds of every command: no traceback, the codes, one answer."""
    result = CliRunner().invoke(app, [*arguments, "--store", str(store), *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    assert result.exit_code in code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1
    assert bool(result.stdout) or bool(result.stderr)
    return result


def without_format(arguments):
    """Leave out the format of a document, which `--json` has instead."""
    return arguments[: arguments.index("--format")] if "--format" in arguments else arguments


def test_every_method_is_asked():
    public = {name for name in dir(LineageQueryEngine) if not name.startswith("_")}
    assert public - NO_QUESTIONS - OF_RUNS - OF_PRODUCTS == set(METHODS) - AS_WELL


def test_every_command_is_asked():
    named = {words[0] for words in COMMANDS.values()}
    questions = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if "as_of" in command.callback.__annotations__
    }
    assert questions - OF_RUNS == named


class TestEngine:
    @pytest.mark.parametrize("name", OF_NODES)
    def test_an_unknown_node_is_named_with_those_like_it(self, stores, name):
        ask, count = OF_NODES[name]
        engine = LineageQueryEngine(stores["good"])
        wanted = "table:aa"
        for place in range(count):
            names = [A] * count
            names[place] = wanted
            with pytest.raises(
                NodeNotFoundError, match=r"no node 'table:aa'.*did you mean .*'table:a'"
            ):
                ask(engine, *names)

    @pytest.mark.parametrize("name", OF_NODES)
    @pytest.mark.parametrize("wanted", ["", "\x00", "a" * 10_000, "table:ä\n"])
    def test_an_odd_name_is_one_that_is_not_there(self, stores, name, wanted):
        ask, count = OF_NODES[name]
        said = "no node" if wanted else "no node|the name is empty"
        with pytest.raises((NodeNotFoundError, ConfigError), match=said):
            ask(LineageQueryEngine(stores["good"]), *[wanted] * count)

    @pytest.mark.parametrize("name", OF_ALL)
    @pytest.mark.parametrize("source", ["memory", "empty"])
    def test_an_empty_store_has_an_empty_answer(self, stores, name, source):
        engine = LineageQueryEngine(MemoryStore() if source == "memory" else stores[source])
        looked_at(OF_ALL[name](engine))
        assert engine.problems == []

    @pytest.mark.parametrize("name", OF_NODES)
    def test_an_empty_store_has_no_such_node(self, name):
        ask, count = OF_NODES[name]
        with pytest.raises(NodeNotFoundError, match="among 0 nodes; nothing is recorded here"):
            ask(LineageQueryEngine(MemoryStore()), *(A, B)[:count])

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("option", ["as_of", "known_at"])
    def test_before_the_first_record_it_is_said_when_that_was(self, stores, name, option):
        engine = LineageQueryEngine(stores["good"], **{option: LONG_AGO})
        assert "nothing is recorded" in engine.notice
        if name in OF_ALL:
            looked_at(OF_ALL[name](engine))
        if name in OF_NODES:
            ask, count = OF_NODES[name]
            with pytest.raises(NodeNotFoundError, match="2000-01-01"):
                ask(engine, *(A, B)[:count])

    @pytest.mark.parametrize("name", METHODS)
    def test_a_cycle_and_a_self_loop_are_data(self, stores, name):
        engine = LineageQueryEngine(stores["loops"])
        looked_at(METHODS[name](engine))
        if name in OF_NODES:
            ask, count = OF_NODES[name]
            for names in ([A, B], [B, A], [C, C], [A, C]):
                looked_at(ask(engine, *names[:count]))
        assert engine.problems == []

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_over_a_corrupt_part_the_engine_says_that_it_is_not_whole(
        self, stores, name, kind, caplog
    ):
        engine = LineageQueryEngine(stores[f"flipped {kind}"])
        whole = looked_at(METHODS[name](LineageQueryEngine(stores["good"])))
        caplog.clear()
        with caplog.at_level(logging.ERROR, "lineage"):
            try:
                found = looked_at(METHODS[name](engine))
            except NodeNotFoundError:
                found = None
        if not same(found, whole):
            (problem,) = engine.problems
            assert f"lineage_{kind}" in problem
            assert "is damaged" in problem
            assert "restore it from a backup" in problem
            assert problem in caplog.text

    @pytest.mark.parametrize("name", METHODS)
    def test_what_is_only_kept_beside_the_parts_may_be_damaged(self, stores, name):
        whole, engine = (LineageQueryEngine(stores[which]) for which in ("good", "flipped memo"))
        assert same(looked_at(METHODS[name](engine)), looked_at(METHODS[name](whole)))
        assert engine.problems == []

    def test_one_that_swallows_problems_would_be_seen(self, stores, monkeypatch):
        """The control: an answer over a corrupt part differs, so that silence would fail above."""
        for kind in KINDS:
            good, bad = (LineageQueryEngine(stores[which]) for which in ("good", f"flipped {kind}"))
            assert any(
                not same(looked_at(METHODS[name](bad)), looked_at(METHODS[name](good)))
                for name in OF_ALL
            )
            assert bad.problems != []

    @pytest.mark.parametrize("name", METHODS)
    def test_a_store_of_a_newer_version_asks_for_an_upgrade(self, stores, name):
        engine = LineageQueryEngine(stores["newer"])
        looked_at(METHODS[name](engine))
        (problem,) = engine.problems
        assert "has format 99" in problem
        assert "upgrade track-lineage" in problem

    @pytest.mark.parametrize("kind", ["other", "missing"])
    @pytest.mark.parametrize("name", OF_ALL)
    def test_a_folder_that_is_no_store_is_an_empty_one(self, stores, name, kind):
        engine = LineageQueryEngine(stores[kind])
        looked_at(OF_ALL[name](engine))
        assert not stores["missing"].exists()  # nothing is made by asking

    def test_a_file_is_no_store(self, stores):
        with pytest.raises(StoreError, match="file"):
            len(LineageQueryEngine(stores["file"]).graph)

    @pytest.mark.parametrize(
        ("ask", "said"),
        [
            (lambda engine: engine.upstream(A, -1), "max_depth is -1"),
            (lambda engine: engine.get_data_lineage(A, "sideways"), "sideways"),
            (lambda engine: engine.find_all_paths(A, C, max_paths=0), "max_paths is 0"),
            (lambda engine: engine.trace_version(B, "no such"), "no such"),
            (lambda engine: engine.find_stale_data(-1), "hours is -1"),
            (lambda engine: engine.analyze_data_freshness(A, hours_threshold=-1), "hours is -1"),
            (lambda engine: engine.analyze_data_volume_flow(-1), "-1"),
            (lambda engine: engine.get_timeline(float("nan")), "nan"),
            (lambda engine: engine.get_recent_activity_summary(-5), "-5"),
            (lambda engine: engine.find_anomalies(hours=0), "hours is 0"),
            (lambda engine: engine.find_anomalies(metrics=["mood"]), "no metric 'mood'"),
            (lambda engine: engine.sql("DROP TABLE operations"), "SELECT"),
            (lambda engine: engine.run_analysis("mood"), "no analysis 'mood'"),
            (lambda engine: engine.to_arrow("moods"), "moods"),
            (lambda engine: engine.to_pandas("moods"), "moods"),
        ],
    )
    def test_an_argument_that_cannot_be_is_named(self, stores, ask, said):
        with pytest.raises((LineageError, ValueError)) as caught:
            looked_at(ask(LineageQueryEngine(stores["good"])))
        assert said in str(caught.value)


def same(one, other):
    if hasattr(one, "equals"):
        return one.equals(other)
    return repr(one) == repr(other)


class TestCommands:
    @pytest.mark.parametrize("name", OF_UNKNOWN)
    def test_what_is_not_there_is_three_and_named(self, stores, name):
        result = asked(OF_UNKNOWN[name], stores["good"], code={3})
        assert result.stdout == ""
        assert result.stderr.startswith("error: no ")
        assert "nowhere" in result.stderr or "no such version" in result.stderr

    @pytest.mark.parametrize("name", COMMANDS)
    @pytest.mark.parametrize("kind", ["other", "missing", "empty", "file"])
    def test_no_store_is_four_and_says_how_to_name_one(self, stores, name, kind):
        result = asked(COMMANDS[name], stores[kind], code={4})
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert str(stores[kind]) in result.stderr
        assert "--store" in result.stderr
        assert not stores["missing"].exists()

    @pytest.mark.parametrize("name", COMMANDS)
    def test_before_the_first_record_it_is_said(self, stores, name):
        result = asked(COMMANDS[name], stores["good"], "--as-of", "2000-01-01", code={0, 3})
        assert "2000-01-01" in result.stderr
        assert "the first operation began 2026-06-18" in result.stderr

    @pytest.mark.parametrize("name", COMMANDS)
    def test_a_cycle_and_a_self_loop_are_answered(self, stores, name):
        result = asked(COMMANDS[name], stores["loops"], code={1} if name in FOUND else {0})
        assert "error" not in result.stderr

    @pytest.mark.parametrize("name", COMMANDS)
    @pytest.mark.parametrize("kind", [*KINDS, "newer"])
    def test_an_answer_that_is_not_whole_says_so(self, stores, name, kind):
        path = stores["newer" if kind == "newer" else f"flipped {kind}"]
        plain = asked(COMMANDS[name], path, code={0, 1, 3})
        written = asked(without_format(COMMANDS[name]), path, "--json", code={plain.exit_code})
        good = asked(COMMANDS[name], stores["good"], code={0, 1})
        warnings = [line for line in plain.stderr.splitlines() if line.startswith("warning: ")]
        if plain.stdout != good.stdout or kind == "newer":
            (warning,) = warnings
            assert str(path) in warning
            assert "restore it" in warning or "upgrade" in warning
        if written.stdout:  # which may hold more than the tables show, of more files
            problems = json.loads(written.stdout)["problems"]
            told = [line for line in written.stderr.splitlines() if line.startswith("warning: ")]
            assert [f"warning: {problem}" for problem in problems] == told
            assert set(warnings) <= set(told)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_an_answer_that_is_whole_says_so_too(self, stores, name):
        result = asked(without_format(COMMANDS[name]), stores["good"], "--json", code={0, 1})
        assert json.loads(result.stdout)["problems"] == []

    @pytest.mark.parametrize("time", ["soon", "2026-13-01", "-1h", ""])
    def test_a_time_that_is_none_is_two(self, stores, time):
        result = asked(["log"], stores["good"], "--as-of", time, code={2})
        assert "is no time" in result.stderr


def test_the_stores_were_not_changed(stores):
    """Asking writes nothing: run last or first, what is there is what was made."""
    assert sorted(path.name for path in Path(stores["other"]).iterdir()) == [
        "data.parquet",
        "notes.txt",
    ]
    assert not stores["missing"].exists()

"""A made-up store: equal for equal arguments, and all that it promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lineage import LineageQueryEngine, synth
from lineage.cli.command import app
from lineage.cli.progress import Bar
from lineage.codec import TABLES, from_json, schema_id
from lineage.stores.base import open_store
from lineage.stores.copying import copy_store
from lineage.stores.derive import derive, merge_nodes, merge_relationships
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.tables import checked, rows_of
from lineage.synth import synthesize

ROOT = Path(__file__).parents[1]
END = date(2026, 5, 31)
OPERATIONS = tuple(TABLES["operations"])


def made(count, *, seed=1, days=20, end=END):
    """Give the rows of each kind."""
    rows = {"operations": [], "runs": [], "schemas": []}
    for tables in synthesize(count, seed=seed, days=days, end=end):
        for kind, table in checked(tables).items():
            table.validate(full=True)
            rows[kind] += rows_of(table)
    return rows


def operations_of(rows):
    return [dict(zip(OPERATIONS, row, strict=True)) for row in rows["operations"]]


@pytest.fixture(scope="module")
def big():
    """Give 20,000 operations of 60 days."""
    return operations_of(made(20_000, days=60))


@given(
    count=st.integers(1, 500),
    seed=st.integers(),
    days=st.integers(1, 40),
    end=st.dates(date(1971, 1, 1), date(2199, 12, 31)),
)
@settings(max_examples=60)
def test_any_arguments(count, seed, days, end):
    rows = made(count, seed=seed, days=days, end=end)
    operations = operations_of(rows)
    assert len(operations) == count == len({each["operation_id"] for each in operations})
    first = datetime(end.year, end.month, end.day, tzinfo=UTC) - timedelta(days=days - 1)
    micros = int(first.timestamp()) * 1_000_000
    times = [each["timestamp"] for each in operations]
    assert times == sorted(times)
    assert micros <= times[0] <= times[-1] < micros + days * 86_400_000_000
    assert_versions(operations)
    assert_runs(operations, rows["runs"])
    assert_schemas(operations, rows["schemas"])


def assert_versions(operations):
    """What was read is the newest that was written by then, by whoever succeeded."""
    written = {}
    for each in operations:
        (output,) = each["outputs"]
        if each["status"] == "success":
            assert output[4] == each["operation_id"]
            ended = each["timestamp"] + round(each["duration_ms"] * 1000)
            written.setdefault(output[0], []).append((ended, each["operation_id"], output))
        else:
            assert output[4:] == (None, None, None)
    for versions in written.values():
        versions.sort(key=lambda version: version[0])
    for each in operations:
        assert 1 <= len({ref[0] for ref in each["inputs"]}) == len(each["inputs"]) <= 4
        for ref in each["inputs"]:
            known = [v for v in written.get(ref[0], ()) if v[0] <= each["timestamp"]]
            ends = [at for at, *_ in known]
            newest = [v for v in known if v[0] == max(ends)]
            assert ref[4] in {name for _, name, _ in newest} or (ref[4] is None and not newest)
            if newest:
                assert ref in [output for *_, output in newest]


def assert_runs(operations, runs):
    """Each operation is in the run of its pipeline and day, and each run has operations."""
    known = {
        row["run_id"]: row for row in (dict(zip(TABLES["runs"], r, strict=True)) for r in runs)
    }
    assert len(known) == len(runs)
    members = {}
    for each in operations:
        members.setdefault(each["run_id"], []).append(each)
    assert members.keys() == known.keys()
    for name, group in members.items():
        run = known[name]
        assert run["timestamp"] == group[0]["timestamp"]
        assert run["ended_at"] >= group[-1]["timestamp"]
        assert (run["status"], run["error_type"]) == (group[-1]["status"], group[-1]["error_type"])
        for column in ("host", "process_id", "user_info"):
            assert {each[column] for each in group} == {run[column]}
        assert {each["code_module"].partition(".")[0] for each in group} == {run["name"]}


def assert_schemas(operations, schemas):
    """What a date names is there with that date."""
    known = {(row[0], row[2] // 86_400_000_000) for row in schemas}
    for name, text, _ in schemas:
        assert schema_id(from_json(text)) == name
    for each in operations:
        day = each["timestamp"] // 86_400_000_000
        named = {ref[5] for ref in (*each["inputs"], *each["outputs"]) if ref[5]}
        assert all((name, day) in known for name in named)


def test_the_check_of_versions_sees_one_that_comes_later(monkeypatch):
    def broken(story, item, at, writes):
        return right(story, item, at + 86_400_000_000, writes)

    right = synth._Story._versions
    monkeypatch.setattr(synth._Story, "_versions", broken)
    with pytest.raises(AssertionError):
        assert_versions(operations_of(made(500)))


def test_the_check_of_versions_sees_one_that_failed(monkeypatch):
    right = synth._Story._writes

    def broken(story, day, done, schema):
        good = day._replace(error=np.full(len(day.job), -1))
        return right(story, good, done, schema)

    monkeypatch.setattr(synth._Story, "_writes", broken)
    with pytest.raises(AssertionError):
        assert_versions(operations_of(made(3000)))


def test_the_check_of_versions_sees_that_a_day_forgets_the_one_before(monkeypatch):
    right = synth._Story._reads

    def broken(story, day, writes):
        for values in story._newest[2:]:
            values[:] = -1
        return right(story, day, writes)

    monkeypatch.setattr(synth._Story, "_reads", broken)
    with pytest.raises(AssertionError):
        assert_versions(operations_of(made(500)))


@given(count=st.integers(1, 300), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_equal_arguments_give_equal_rows(count, seed):
    one, other = (list(synthesize(count, seed=seed, days=9, end=END)) for _ in range(2))
    assert one == other  # by Arrow: every column of every table


@pytest.mark.parametrize("other", [{"seed": 2}, {"days": 21}, {"end": date(2026, 5, 30)}])
def test_other_arguments_give_other_rows_and_ids(other):
    one, two = made(200), made(200, **other)
    assert one != two
    ids = [{row[0] for row in rows["operations"]} for rows in (one, two)]
    assert ids[0].isdisjoint(ids[1])


def test_a_large_day_comes_in_pieces(monkeypatch):
    whole = made(300, days=2)
    monkeypatch.setattr(synth, "MOST_ROWS", 40)
    pieces = list(synthesize(300, seed=1, days=2, end=END))
    assert max(piece["operations"].num_rows for piece in pieces) == 40
    assert made(300, days=2) == whole


@pytest.mark.parametrize(
    ("count", "days", "end"),
    [(0, 1, END), (1, 0, END), (1, 10, date(1970, 1, 5)), (1, 1, date(2200, 1, 1))],
)
def test_arguments_out_of_range(count, days, end):
    with pytest.raises(ValueError, match="day"):
        synthesize(count, days=days, end=end)


def test_the_days_when_nobody_says():
    (*_, last) = synthesize(10)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    at = last["operations"]["timestamp"][-1].as_py().date()
    assert yesterday - timedelta(days=7) <= at <= yesterday


# --- the model ---------------------------------------------------------------------------------


def test_failures_and_their_errors(big):
    failed = [each for each in big if each["status"] == "failed"]
    assert 0.012 < len(failed) / len(big) < 0.018
    assert len({each["error_type"] for each in failed}) >= 5
    for each in big:
        is_failed = each["status"] == "failed"
        assert is_failed == (each["error_type"] is not None) == (each["error_info"] is not None)
        assert is_failed == (each["record_count_out"] is None)


def reads_of(operations):
    return {each["outputs"][0][0]: {ref[0] for ref in each["inputs"]} for each in operations}


def test_datasets_and_their_jobs(big):
    reads = reads_of(big)
    assert len(reads) == 20_000 // 36
    functions = Counter(each["code_name"] for each in big)
    assert len(functions) == len(reads)  # each is written by one job
    layers = ["api", "raw", "staging", "core", "marts", "reports"]
    for output, inputs in reads.items():
        above = layers.index(output.partition(":")[2].partition("/")[0])
        for each in inputs - {output}:
            kind, _, name = each.partition(":")
            assert layers.index("api" if kind == "api" else name.partition("/")[0]) < above
    loops = sum(output in inputs for output, inputs in reads.items())
    assert loops == round(0.03 * len(reads))


def test_some_are_read_by_very_many(big):
    fans = Counter(name for names in reads_of(big).values() for name in names)
    of_data = sorted((n for name, n in fans.items() if not name.startswith("api:")), reverse=True)
    assert of_data[0] >= 20 * np.median(of_data)
    assert sum(of_data[: len(of_data) // 10]) > 0.4 * sum(of_data)


def test_the_check_of_hubs_sees_an_even_draw(monkeypatch):
    monkeypatch.setattr(
        synth.warehouse, "_by_zipf", lambda known, count, draw: draw.integers(known, size=count)
    )
    with pytest.raises(AssertionError):
        test_some_are_read_by_very_many(operations_of(made(20_000, days=60)))


def test_cadences(big):
    runs = Counter(each["code_name"] for each in big)
    share = Counter()
    for count in runs.values():
        for name, usual in (("hourly", 1440), ("daily", 60), ("weekly", 8.5)):
            if 0.8 * usual <= count <= 1.2 * usual:
                share[name] += count
    assert min(share[name] for name in ("hourly", "daily", "weekly")) > 0.1 * len(big)
    assert sum(share.values()) > 0.95 * len(big)


def flow_by_day(operations):
    days = Counter()
    runs = Counter(each["code_name"] for each in operations)
    for each in operations:
        if 55 <= runs[each["code_name"]] <= 61 and each["record_count_out"]:
            days[date.fromordinal(719_163 + each["timestamp"] // 86_400_000_000)] += each[
                "record_count_out"
            ]
    return days


def test_seasons_and_growth(big):
    days = flow_by_day(big)
    common = [at for at in days if 2 <= at.day <= 27]
    weekend = [days[at] for at in common if at.weekday() >= 5]
    week = [days[at] for at in common if at.weekday() < 5]
    assert np.median(weekend) < 0.8 * np.median(week)
    turns = [days[at] for at in days if at.day in (1, 30) and at.weekday() < 5]
    assert min(turns) > 1.1 * np.median(week)
    assert np.mean(week[-10:]) > np.mean(week[:10])


def test_durations_of_a_job_are_lognormal(big):
    spread, center = [], []
    logs = {}
    for each in big:
        if each["status"] == "success":
            logs.setdefault(each["code_name"], []).append(np.log(each["duration_ms"]))
    for values in logs.values():
        if len(values) > 50:
            spread.append(np.std(values))
            center.append(np.mean(values))
    assert 0.1 < min(spread) < max(spread) < 0.45
    assert np.std(center) > 0.5


def test_some_schemas_change_once(big):
    names = {}
    for each in big:
        ref = each["outputs"][0]
        if ref[5] and names.setdefault(ref[0], [ref[5]])[-1] != ref[5]:
            names[ref[0]].append(ref[5])
    changes = Counter(len(each) for each in names.values())
    assert changes.keys() == {1, 2}
    assert 0.03 < changes[2] / len(names) < 0.15


def test_records_and_parameters(big):
    for each in big[:2000]:
        known = [ref[6] for ref in each["inputs"] if ref[6] is not None]
        assert each["record_count_in"] == (sum(known) if known else None)
        day = datetime.fromtimestamp(each["timestamp"] / 1e6, UTC).date()
        assert from_json(each["parameters"])["day"] == str(day)
    assert len({each["parameters"] for each in big}) > 60 * 4


# --- in a store --------------------------------------------------------------------------------


def fill(store, count=400, days=4):
    for tables in synthesize(count, seed=3, days=days, end=END):
        store.insert_tables(tables)
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(LineageMetadataRepository(tmp_path_factory.mktemp("synth") / "store"))


def of(store, kind):
    return [row for table in store.scan(kind) for row in rows_of(table)]


def test_what_follows_is_what_derive_says(folder):
    operations = made(400, seed=3, days=4)["operations"]
    assert sorted(of(folder, "operations"), key=str) == sorted(operations, key=str)
    nodes, relationships = derive(operations)
    assert sorted(merge_nodes(of(folder, "nodes"))) == sorted(merge_nodes(nodes))
    found = merge_relationships(of(folder, "relationships"))
    assert sorted(found) == sorted(merge_relationships(relationships))
    folder.check()


def test_the_memory_and_a_database_hold_the_same(folder, tmp_path):
    for store in (MemoryStore(), open_store(f"sqlite:///{tmp_path}/lineage.db")):
        fill(store)
        done = copy_store(folder, store)
        assert not done.rows.total()
        assert done.known["operations"] == 400
        store.close()


def test_the_engine_answers(folder):
    engine = LineageQueryEngine(folder)
    rows = operations_of(made(400, seed=3, days=4))
    good = reads_of(each for each in rows if each["status"] == "success")
    fans = Counter(name for output, names in good.items() for name in names - {output})
    hub, count = fans.most_common(1)[0]
    assert len(engine.downstream(hub, max_depth=1) - {hub}) == count
    impact = engine.analyze_impact(hub)
    assert impact["total_downstream_nodes"] >= count
    assert engine.trace_data_flow(hub, max(engine.downstream(hub)))["path_found"]
    assert len(engine.operations) == 400


def test_plain_readers_count_it(folder):
    files = f"{folder.base_path}/lineage_operations/*/*.parquet"
    ((count, ids, versions),) = duckdb.sql(
        "SELECT count(*), count(DISTINCT operation_id), "
        "count(*) FILTER (list_contains([o.version FOR o IN outputs], operation_id)) "
        f"FROM read_parquet('{files}')"
    ).fetchall()
    assert (count, ids) == (400, 400)
    rows = operations_of(made(400, seed=3, days=4))
    assert versions == sum(each["status"] == "success" for each in rows)


# --- the command -------------------------------------------------------------------------------


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["synth", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_the_command_fills_a_new_store(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Bar, "counting", lambda _, *what: lambda *now: told.append((*what, *now)))
    arguments = ("-n", 200, "--seed", 3, "--days", 2, "--end", END, "--store", tmp_path / "new")
    result = run(*arguments)
    assert "operations\t200" in result.stdout
    assert "Next: lineage --store" in result.stderr
    assert told[-1] == ("writing operations", "operations", 200, 200)
    expected = made(200, seed=3, days=2)["operations"]
    assert of(LineageMetadataRepository(tmp_path / "new"), "operations") == expected


def test_a_kill_leaves_whole_days(tmp_path):
    arguments = ["-n", "4000", "--days", "40", "--seed", "1", "--end", str(END)]
    command = [sys.executable, "-m", "lineage", "synth", *arguments, "--store", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while len(list(tmp_path.glob("lineage_operations/date=*"))) < 3 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    store = LineageMetadataRepository(tmp_path)
    before = {row[0] for row in of(store, "operations")}
    store.seal()  # which completes a day that was about to be put in place
    found = of(store, "operations")
    assert before <= {row[0] for row in found}
    assert 0 < len(found) < 4000
    whole = {row[0] for row in made(4000, days=40)["operations"] if row[2] <= found[-1][2]}
    assert {row[0] for row in found} == whole
    store.check()
    _, derived = derive(found)
    assert sorted(merge_relationships(of(store, "relationships"))) == sorted(derived)


def test_a_store_with_operations_is_refused_unless_told(tmp_path):
    arguments = ("-n", 50, "--days", 2, "--end", END, "--store", tmp_path / "new")
    run(*arguments)
    assert "holds operations already" in run(*arguments, code=2).stderr
    assert "these very operations" in run(*arguments, "--append", code=2).stderr
    run(*arguments, "--append", "--seed", 9)
    assert len(of(LineageMetadataRepository(tmp_path / "new"), "operations")) == 100


def test_what_cannot_be_made_is_said(tmp_path):
    store = ("--store", tmp_path / "new")
    assert "is no date" in run("-n", 5, "--end", "soon", *store, code=2).stderr
    assert "1970 to 2199" in run("-n", 5, "--end", "2300-01-01", *store, code=2).stderr
    run("-n", 0, *store, code=2)
    assert "takes no tables" in run("-n", 5, "--store", "console:", code=4).stderr
    tee = f"tee://{tmp_path}/a;console:"
    assert "one by one" in run("-n", 5, "--store", tee, code=4).stderr
    assert not (tmp_path / "new").exists()


def test_a_tee_of_two_that_take_tables(tmp_path):
    run("-n", 40, "--days", 1, "--store", f"tee://{tmp_path}/a;sqlite:///{tmp_path}/b.db")
    for url in (f"{tmp_path}/a", f"sqlite:///{tmp_path}/b.db"):
        assert len(of(open_store(url), "operations")) == 40

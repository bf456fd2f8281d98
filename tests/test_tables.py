"""The analyses of operations against plain Python, over thousands of random sets of operations."""

import json
import math
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import duckdb
import narwhals as nw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineage import relations
from lineage.analysis import activity, lazy, performance, volume
from lineage.analysis.frames import has_failed, unfolded
from lineage.codec import TABLES, from_micros, to_micros
from lineage.query import LineageQueryEngine
from lineage.relations import Relations
from lineage.stores.base import open_store
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.reading import StoreReader
from lineage.stores.tables import table_from_rows
from tests.many import examples
from tests.tables import asking, reading

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = 3_600_000_000
NODES = ["file:a", "file:b", "table:t", "repository:r", "repository:s"]

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def reference(node_id, count=None):
    kind, _, name = node_id.partition(":")
    ref = dict.fromkeys(("location", "version", "schema_id"))
    return {"node_id": node_id, "source_type": kind, "source_id": name, **ref} | {
        "record_count": count
    }


counts = st.none() | st.integers(0, 5) | st.integers(0, 10**15)
references = st.builds(reference, st.sampled_from(NODES), counts)
sides = st.none() | st.lists(references, max_size=3)
lengths = st.none() | st.floats(0, 1e9) | st.sampled_from([0.0, 1.0, math.inf, math.nan])
hours = st.integers(-30, 400) | st.integers(0, 3)
functions = st.sampled_from([None, *"abcdefghijklmnopqrst"])


@st.composite
def operation_sets(draw):
    """Make rows of operations; many have equal times, some are of long ago."""
    return [
        {
            "operation_id": f"op{number}",
            "operation_type": draw(st.sampled_from(["read", "write", "publish"])),
            "timestamp": to_micros(START) + draw(hours) * HOUR,
            "duration_ms": draw(lengths),
            "status": draw(st.sampled_from(["success", "failed", None])),
            "code_module": draw(st.sampled_from(["m", None])),
            "code_name": draw(functions),
            "record_count_in": draw(counts),
            "record_count_out": draw(counts),
            "inputs": draw(sides),
            "outputs": draw(sides),
        }
        for number in range(draw(st.integers(0, 40)))
    ]


def quantile(ordered, share):
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def near(value):
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-6)


def figures(rows):
    """Say what the durations of some operations come to."""
    took = [row["duration_ms"] for row in rows]
    timed = sorted(each for each in took if each is not None and math.isfinite(each))
    levels = {name: quantile(timed, level) if timed else None for name, level in LEVELS.items()}
    known = {
        "avg_duration_ms": math.fsum(timed) / len(timed) if timed else None,
        "min_duration_ms": timed[0] if timed else None,
        "max_duration_ms": timed[-1] if timed else None,
        "total_duration_ms": math.fsum(timed) if timed else None,
        **levels,
    }
    return {
        "count": len(rows),
        "failed": sum(row["status"] == "failed" for row in rows),
        **{name: near(value) for name, value in known.items()},
    }


LEVELS = {f"p{share}_duration_ms": share / 100 for share in (50, 90, 95, 99)}


def grouped(rows, key):
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def check_performance(rows):
    """Compare the answer with what plain Python makes of the rows."""
    answer = performance.performance(reading(table_from_rows("operations", rows)), period="day")
    if not rows:
        assert "message" in answer
        return
    whole = figures(rows)
    assert answer["total_operations"] == len(rows)
    assert answer["failed_operations"] == whole["failed"]
    assert {name: answer.get(name) for name in (*LEVELS, "avg_duration_ms", "max_duration_ms")} == {
        name: whole[name] for name in (*LEVELS, "avg_duration_ms", "max_duration_ms")
    }
    expected = grouped(rows, lambda row: (row["code_module"], row["code_name"]))
    found = {(each["code_module"], each["code_name"]): each for each in answer["by_function"]}
    assert found.keys() == expected.keys()
    for name, own in expected.items():
        assert figures(own).items() <= found[name].items()
    averages = [each["avg_duration_ms"] for each in answer["by_function"]]
    known = [average for average in averages if average is not None]
    assert averages == sorted(known, reverse=True) + [None] * (len(averages) - len(known))
    kinds = grouped(rows, lambda row: row["operation_type"])
    assert answer["by_type"] == {name: figures(own) for name, own in kinds.items()}
    days = grouped(rows, lambda row: from_micros(row["timestamp"]).date())
    found = {datetime.fromisoformat(each["start"]).date(): each for each in answer["over_time"]}
    assert list(found) == sorted(days)
    for day, each in found.items():
        assert figures(days[day]).items() <= each.items()


def known_sum(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def first_known(*values):
    return next((value for value in values if value is not None), None)


def check_volume(rows):
    now, window = START + timedelta(hours=24), 24
    answer = volume.volume(
        reading(table_from_rows("operations", rows)),
        fetch=lambda found: found["operation_id"].to_pylist(),
        now=now,
        time_window_hours=window,
    )
    rows = [row for row in rows if row["timestamp"] >= to_micros(START)]
    done = [row for row in rows if row["status"] != "failed"]
    edges, stored = defaultdict(list), defaultdict(list)
    for row in done:
        into, out = row["record_count_in"], row["record_count_out"]
        for one in row["inputs"] or ():
            for other in row["outputs"] or ():
                if one["node_id"] != other["node_id"]:
                    pair = first_known(one["record_count"], into)
                    pair = pair, first_known(other["record_count"], out)
                    edges[one["node_id"], other["node_id"]].append(pair)
        for ref in row["outputs"] or ():
            amount = first_known(ref["record_count"], out, into)
            if ref["source_type"] == "repository" and amount is not None:
                stored[ref["source_id"]].append(amount)
    assert answer["total_operations"] == len(rows)
    assert answer["total_records_in"] == near(sum(row["record_count_in"] or 0 for row in done))
    assert answer["operations_without_counts"] == sum(
        row["record_count_in"] is None and row["record_count_out"] is None for row in done
    )
    assert answer["repository_volumes"] == {name: near(sum(each)) for name, each in stored.items()}
    assert list(answer["repository_volumes"].values()) == sorted(
        answer["repository_volumes"].values(), reverse=True
    )
    assert {(each["from_node"], each["to_node"]) for each in answer["flows"]} == edges.keys()
    for each in answer["flows"]:
        pairs = edges[each["from_node"], each["to_node"]]
        both = [pair for pair in pairs if None not in pair]
        total_in, total_out = (sum(pair[side] for pair in both) for side in (0, 1))
        assert each["operation_count"] == len(pairs)
        assert each["records_in"] == near(known_sum(pair[0] for pair in pairs))
        assert each["records_out"] == near(known_sum(pair[1] for pair in pairs))
        assert each["ratio"] == (near(total_out / total_in) if total_in else None)
    sizes = [max(each["records_in"] or 0, each["records_out"] or 0) for each in answer["flows"]]
    assert sizes == sorted(sizes, reverse=True)
    most = sorted(
        (row for row in done if row["record_count_in"]),
        key=lambda row: (-row["record_count_in"], row["timestamp"], row["operation_id"]),
    )
    assert answer["top_volume_operations"] == [
        (row["operation_id"], row["record_count_in"]) for row in most[: volume.TOP]
    ]
    kinds = Counter(row["operation_type"] for row in rows)
    assert {name: each["count"] for name, each in answer["operations_by_type"].items()} == kinds


def check_timeline(rows):
    now = START + timedelta(hours=48)
    answer = activity.timeline(asking(table_from_rows("operations", rows)), now=now, hours_back=48)
    expected = sorted(
        (row for row in rows if row["timestamp"] >= to_micros(START)),
        key=lambda row: (row["timestamp"], row["operation_id"]),
    )
    assert [each["id"] for each in answer["events"]] == [row["operation_id"] for row in expected]
    for each, row in zip(answer["events"], expected, strict=True):
        assert each["record_count_in"] == row["record_count_in"]
        assert [ref["node_id"] for ref in each["input_sources"]] == [
            ref["node_id"] for ref in row["inputs"] or ()
        ]
    failed = sum(row["status"] == "failed" for row in expected)
    assert answer["summary"]["failed_operations"] == failed
    kinds = Counter(row["operation_type"] for row in expected)
    assert Counter(answer["summary"]["operation_types"]) == kinds


CHECKS = {
    "performance": check_performance,
    "volume": check_volume,
    "timeline": check_timeline,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(rows=operation_sets())
@example(rows=[])
@settings(max_examples=examples(50))
def test_figures_are_those_of_plain_python(check, rows):
    check(rows)


def row(number, **fields):
    """Make a row of which most is not told."""
    told = {"operation_id": f"op{number}", "operation_type": "read", "timestamp": to_micros(START)}
    return dict.fromkeys(TABLES["operations"]) | told | {"status": "success"} | fields


SAMPLE = [
    row(0, duration_ms=1.0, inputs=[reference("file:a", 7)], outputs=[reference("file:a", 3)]),
    row(1, duration_ms=2.0, record_count_in=5, inputs=[reference("file:a")]),
    row(2, duration_ms=9.0, status=None, outputs=[reference("repository:r", 0)]),
    row(3, status="failed", record_count_in=10**6, inputs=[reference("file:b")]),
    row(
        4,
        duration_ms=math.inf,
        timestamp=to_micros(START) + 30 * HOUR,
        record_count_out=2,
        inputs=[reference("file:a"), reference("file:b", 4)],
        outputs=[reference("table:t"), reference("file:a", 9)],
    ),
]


def without_own_counts(frame, side, fields):
    """Unfold references, and forget what is said of them."""
    own = [name for name in fields if name.startswith("own")]
    return unfolded(frame, side, fields).with_columns(
        **{name: nw.lit(None, dtype=nw.Int64) for name in own}
    )


BROKEN = {
    "percentiles": ("performance", performance, "LEVELS", dict.fromkeys(performance.LEVELS, 0.5)),
    "failures": ("performance", performance, "has_failed", lambda: ~has_failed()),
    "days": ("performance", performance, "_WIDTHS", {"day": 48 * HOUR}),
    "failed flows": ("volume", volume, "has_failed", lambda: has_failed() & False),
    "own counts": ("volume", volume, "unfolded", without_own_counts),
    "order": ("timeline", activity, "by_time", lambda events: events.take([1, 0, 2, 3, 4])),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_comparison_finds_what_is_wrong(name, monkeypatch):
    check, module, attribute, broken = BROKEN[name]
    CHECKS[check](SAMPLE)
    monkeypatch.setattr(module, attribute, broken)
    with pytest.raises(AssertionError):
        CHECKS[check](SAMPLE)


@pytest.mark.parametrize("period", ["hour", "day", "week"])
def test_periods_begin_where_they_do_in_utc(period):
    times = [START + timedelta(hours=each) for each in (0, 1, 23, 24, 200, -30000)]
    rows = [row(number, timestamp=to_micros(at)) for number, at in enumerate(times)]
    answer = performance.performance(reading(table_from_rows("operations", rows)), period=period)
    whole = [at.replace(minute=0, second=0) for at in times]
    if period != "hour":
        whole = [at.replace(hour=0) for at in whole]
    if period == "week":
        whole = [at - timedelta(days=at.weekday()) for at in whole]
    found = {datetime.fromisoformat(each["start"]): each["count"] for each in answer["over_time"]}
    assert found == Counter(whole)


def test_an_unknown_period_names_the_known_ones():
    with pytest.raises(ValueError, match="'month'; it must be one of 'hour', 'day', 'week'"):
        performance.performance(reading(table_from_rows("operations", [])), period="month")


def record(store, number, hours=0, count=1):
    """Keep an operation of so many hours after the start."""
    inputs, outputs = [reference("file:a", 2)], [reference(f"file:b{number}")]
    fields = {"duration_ms": float(number), "inputs": inputs, "outputs": outputs}
    at = to_micros(START) + hours * HOUR
    rows = [row(number, timestamp=at, record_count_out=1, code_module="m", **fields)]
    store.append("operations", rows * count)


def answers(engine):
    """Ask all that is answered over tables."""
    now = START + timedelta(days=20)
    return {
        "performance": dict(engine.get_operation_performance_stats()),
        "volume": dict(engine.analyze_data_volume_flow(None, now=now)),
        "summary": dict(engine.build_lineage_summary(now=now)),
        "activity": dict(engine.get_recent_activity_summary(480, now=now)),
        "timeline": dict(engine.get_timeline(480, now=now)),
    }


@pytest.fixture
def folder(tmp_path):
    """A store of ten operations on as many dates, the last of them in no part yet."""
    store = LineageMetadataRepository(tmp_path / "it's")
    for number in range(10):
        record(store, number, hours=24 * number)
        if number % 3 == 2:
            store.seal()
    yield store
    store.close()


def test_all_stores_give_the_same(folder, tmp_path):
    expected = answers(LineageQueryEngine(folder))
    assert expected["performance"]["total_operations"] == 10
    assert len(expected["volume"]["flows"]) == 10
    for url in ("memory://", f"sqlite:///{tmp_path}/store.db"):
        store = open_store(url)
        for number in range(10):
            record(store, number, hours=24 * number)
        assert answers(LineageQueryEngine(store)) == expected
        store.close()


def test_an_engine_of_a_past_time_answers_of_it(folder):
    engine = LineageQueryEngine(folder).as_of(START + timedelta(days=3))
    assert engine.get_operation_performance_stats()["total_operations"] == 4
    assert len(engine.analyze_data_volume_flow(None)["flows"]) == 4


def test_only_files_of_the_time_are_read(folder, monkeypatch):
    read = []
    verify = StoreReader._verify
    monkeypatch.setattr(
        StoreReader, "_verify", lambda self, part: (read.append(part.date), verify(self, part))[1]
    )
    engine = LineageQueryEngine(folder)
    timeline = engine.get_timeline(24, now=START + timedelta(days=5))
    assert [each["id"] for each in timeline["events"]] == ["op4", "op5", "op6", "op7", "op8", "op9"]
    assert set(read) == {"2026-03-05", "2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"}


def test_a_damaged_part_is_left_out_and_named(folder):
    part = min((folder.base_path / "lineage_operations").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    engine = LineageQueryEngine(folder.base_path)
    assert engine.get_operation_performance_stats()["total_operations"] == 9
    assert len(engine.analyze_data_volume_flow(None)["flows"]) == 9
    (problem,) = engine._store.problems
    assert str(part) in problem


def doubled(folder):
    """Keep as many operations again, in parts of their own, and let go of the journal."""
    for number in range(9):
        record(folder, 20 + number, hours=24 * number)
    folder.close()
    folder.seal()


def test_files_that_a_compaction_sets_aside_are_read_there(folder):
    engine = LineageQueryEngine(folder.base_path)
    assert len(engine.nodes) == 11
    events = engine.get_timeline(480, now=START + timedelta(days=20))["events"]
    expected = answers(LineageQueryEngine(folder))
    doubled(folder)
    assert engine._current().relations._frozen.files("operations")
    assert folder.compact().parts_before > 20
    assert answers(engine) == expected
    assert [each["id"] for each in events] == [f"op{number}" for number in range(10)]
    assert events[0]["input_sources"] == [{"type": "file", "id": "a", "node_id": "file:a"}]
    assert not engine._store.problems


@pytest.mark.parametrize("step", ["_files", "_streamed"])
def test_files_that_move_after_they_were_checked_are_read_where_they_went(
    step, folder, monkeypatch
):
    now = START + timedelta(days=20)
    expected = dict(LineageQueryEngine(folder).analyze_data_volume_flow(None, now=now))
    doubled(folder)
    engine = LineageQueryEngine(folder.base_path)
    assert len(engine.nodes) == 20
    whole, moved = getattr(Relations, step), []

    def late(self, *arguments):
        found = whole(self, *arguments)
        if not moved:
            moved.append(folder.compact())
        return found

    monkeypatch.setattr(Relations, step, late)
    answer = engine.analyze_data_volume_flow(None, now=now)
    assert moved[0].parts_before > moved[0].parts_after
    assert answer["total_operations"] == expected["total_operations"] + 9
    assert len(answer["flows"]) == len(expected["flows"]) + 9
    assert not engine._store.problems


def test_answers_of_ordinary_size_are_plain_json(folder):
    engine = LineageQueryEngine(folder)
    now = START + timedelta(days=20)
    speed = json.loads(json.dumps(engine.get_operation_performance_stats()))
    assert speed["over_time"][0]["start"] == "2026-03-01T00:00:00+00:00"
    events = json.loads(json.dumps(engine.get_timeline(480, now=now)))["events"]
    assert [each["id"] for each in events] == [f"op{number}" for number in range(10)]


def test_of_very_many_events_the_sources_are_read_later(folder, monkeypatch):
    monkeypatch.setattr(lazy, "_FEW", 5)
    engine = LineageQueryEngine(folder)
    events = engine.get_timeline(480, now=START + timedelta(days=20))["events"]
    assert isinstance(events, lazy.LazySequence)
    assert len(events) == 10
    assert events[-1]["output_sources"][0]["node_id"] == "file:b9"
    assert isinstance(engine.get_operation_performance_stats()["by_function"], list)


def test_after_a_cleanup_the_answer_is_that_of_what_is_left(folder):
    engine = LineageQueryEngine(folder.base_path)
    assert engine.get_operation_performance_stats()["total_operations"] == 10
    folder.cleanup(timedelta(days=5, hours=12), now=START + timedelta(days=10))
    shutil.rmtree(folder.base_path / "_removed", ignore_errors=True)
    left = LineageQueryEngine(folder).get_operation_performance_stats()["total_operations"]
    assert left < 10
    assert engine.get_operation_performance_stats()["total_operations"] == left


def test_a_part_that_is_lost_is_a_problem_and_not_a_smaller_answer(folder):
    engine = LineageQueryEngine(folder.base_path)
    assert engine.get_operation_performance_stats()["total_operations"] == 10
    part = min((folder.base_path / "lineage_operations").rglob("*.parquet"))
    part.unlink()
    assert engine.get_operation_performance_stats()["total_operations"] == 9
    (problem,) = engine._store.problems
    assert str(part) in problem


def test_nothing_is_written_where_the_caller_works(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    answers(LineageQueryEngine(folder))
    assert sorted(tmp_path.iterdir()) == before


def test_many_threads_may_ask(folder):
    engine = LineageQueryEngine(folder)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: engine.get_operation_performance_stats(), range(16)))
    assert all(each == found[0] for each in found)


def test_no_answer_loads_pandas(folder):
    program = f"""
import sys
from lineage import LineageQueryEngine
engine = LineageQueryEngine({str(folder.base_path)!r})
engine.get_operation_performance_stats()
engine.analyze_data_volume_flow(None)
list(engine.get_timeline(24 * 10000)["events"])
engine.build_lineage_summary()
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_answers_are_tables_too(folder):
    engine = LineageQueryEngine(folder)
    speed = engine.get_operation_performance_stats()
    table = speed.to_arrow()
    assert table.num_rows == 1
    assert table["p90_duration_ms"].to_pylist() == [pytest.approx(8.1)]
    assert speed.to_pandas()["code_module"].tolist() == ["m"]
    flows = engine.analyze_data_volume_flow(None)
    assert flows.to_arrow().column_names == list(flows.to_pandas().columns)
    assert flows.to_arrow().to_pylist() == list(flows["flows"])


LONG = "SELECT count(DISTINCT i) AS n FROM range(3000000) t(i)"


def written_while_duckdb_works(store, capfd, monkeypatch):
    """Say what comes to stdout while a question takes longer than DuckDB's bar waits."""
    connect = duckdb.connect

    def impatient(*arguments):
        connection = connect(*arguments)
        connection.execute("SET progress_bar_time = 1")
        return connection

    monkeypatch.setattr(duckdb, "connect", impatient)
    store.append("operations", [row(1)])
    capfd.readouterr()  # a bar of before may come to its end late
    assert LineageQueryEngine(store).sql(LONG)[0]["n"] == 3_000_000
    return capfd.readouterr().out


def test_no_bar_is_written_into_what_a_program_prints(repository, capfd, monkeypatch):
    assert written_while_duckdb_works(repository, capfd, monkeypatch) == ""


def test_the_bar_would_be_seen(repository, capfd, monkeypatch):
    quiet = "enable_progress_bar = false"
    monkeypatch.setattr(relations, "_SETTINGS", [x for x in relations._SETTINGS if x != quiet])
    assert "%" in written_while_duckdb_works(repository, capfd, monkeypatch)

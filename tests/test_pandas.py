"""The analyses, and what is stale, against what one would write with pandas."""

from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lineage.analysis import activity, performance, volume
from lineage.codec import TABLES, operation_from_row, operation_rows, to_micros
from lineage.query import LineageQueryEngine
from lineage.stores.memory import MemoryStore
from lineage.stores.tables import table_from_rows
from tests.many import examples
from tests.tables import asking, reading
from tests.test_tables import HOUR, START, operation_sets, reference, row

LEVELS = {"p50_duration_ms": 0.5, "p90_duration_ms": 0.9, "p95_duration_ms": 0.95}
LIMIT = 48
NOW = START + timedelta(hours=100)


def near(value):
    return None if pd.isna(value) else pytest.approx(value, rel=1e-9, abs=1e-6)


def frame_of(rows):
    frame = pd.DataFrame(rows).astype({"record_count_in": "Int64", "record_count_out": "Int64"})
    known = pd.to_numeric(frame["duration_ms"]).astype(float)
    return frame.assign(duration_ms=known.where(known.abs() < float("inf")))


def table_of(rows):
    return table_from_rows("operations", rows)


def store_of(rows):
    store = MemoryStore()
    for each in rows:
        operation = operation_from_row(dict.fromkeys(TABLES["operations"]) | each, {})
        for kind, made in operation_rows(operation).items():
            store.append(kind, made)
    return store


def told(make, rows):
    """Give an analysis all of the rows; the control has it told of fewer."""
    return make(rows)


def function(row):
    return f"{row['code_module']}.{row['code_name']}"  # pandas has no groups of None


def check_performance(rows):
    answer = performance.performance(reading(told(table_of, rows)))
    frame = frame_of(rows)
    whole = frame.duration_ms
    assert answer["failed_operations"] == (frame.status == "failed").sum()
    for name, level in LEVELS.items():
        assert answer.get(name) == near(whole.quantile(level))
    groups = frame.groupby([function(row) for row in rows])
    figures = groups.duration_ms.quantile(list(LEVELS.values())).unstack()
    averages, counts = groups.duration_ms.mean(), groups.size()
    assert len(answer["by_function"]) == len(counts)
    for each in answer["by_function"]:
        key = function(each)
        assert each["count"] == counts[key]
        assert each["avg_duration_ms"] == near(averages[key])
        for name, level in LEVELS.items():
            assert each[name] == near(figures.loc[key, level])


def check_volume(rows):
    table = told(table_of, rows)
    answer = volume.volume(
        reading(table), fetch=pa.Table.to_pylist, now=NOW, time_window_hours=None
    )
    frame = frame_of(rows)
    done = frame[frame.status != "failed"]
    assert answer["total_records_in"] == near(done.record_count_in.astype(float).sum())
    flows = done.explode("inputs").explode("outputs").dropna(subset=["inputs", "outputs"])
    ends = {side: flows[side].str["node_id"] for side in ("inputs", "outputs")}
    amounts = {
        name: flows[side].str["record_count"].astype("Float64").fillna(flows[whole])
        for name, side, whole in (
            ("records_in", "inputs", "record_count_in"),
            ("records_out", "outputs", "record_count_out"),
        )
    }
    flows = pd.DataFrame(ends | amounts)
    flows = flows[flows.inputs != flows.outputs]
    groups = flows.groupby(["inputs", "outputs"])
    sums, counts = groups[list(amounts)].sum(min_count=1), groups.size()
    assert len(answer["flows"]) == len(counts)
    for each in answer["flows"]:
        key = each["from_node"], each["to_node"]
        assert each["operation_count"] == counts[key]
        for name in amounts:
            assert each[name] == near(sums.loc[key, name])


def check_timeline(rows):
    ask = asking(told(table_of, rows))
    events = activity.timeline(ask, now=NOW, hours_back=24)["events"]
    frame = frame_of(rows)
    since = frame[frame.timestamp >= to_micros(NOW) - 24 * HOUR]
    ordered = since.sort_values(["timestamp", "operation_id"])
    assert [each["id"] for each in events] == ordered.operation_id.tolist()


def check_stale(rows):
    """Compare what is stale, and its order, with the last use that pandas finds."""
    stale = LineageQueryEngine(told(store_of, rows)).find_stale_data(LIMIT, now=NOW)
    frame = frame_of(rows)
    met = pd.concat([frame.explode(side)[side].rename("node") for side in ("inputs", "outputs")])
    uses = (
        pd.DataFrame({"node": met.str["node_id"]})
        .join(frame[["timestamp", "status"]])
        .dropna(subset="node")
    )
    counted = uses.timestamp.where(uses.status != "failed")
    last = counted.groupby(uses.node).max()  # of what only failed nothing is known: it comes first
    late = last[~(last >= to_micros(NOW) - LIMIT * HOUR)]
    ordered = sorted(late.fillna(-1).items(), key=lambda each: (each[1], each[0]))
    assert [each["node_id"] for each in stale] == [name for name, _ in ordered]


CHECKS = {
    "performance": check_performance,
    "volume": check_volume,
    "timeline": check_timeline,
    "stale": check_stale,
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_comparison_finds_what_is_wrong(name, monkeypatch):
    """The control: an analysis that is told of one operation less is not taken for right."""
    some = {"duration_ms": 7.0, "code_module": "m", "record_count_in": 3, "record_count_out": 2}
    ends = {"inputs": [reference("file:a")], "outputs": [reference("file:b")]}
    rows = [
        row(0, **some, **ends, code_name="f"),
        row(1, **some, code_name="f", timestamp=to_micros(NOW) - HOUR, **ends),
    ]
    CHECKS[name](rows)

    monkeypatch.setattr("tests.test_pandas.told", lambda make, rows: make(rows[:-1]))
    with pytest.raises(AssertionError):
        CHECKS[name](rows)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@settings(max_examples=examples(30))
@given(rows=operation_sets().filter(bool))
def test_figures_are_those_of_pandas(check, rows):
    check(rows)

"""The analyses against plain-Python oracles, on tables and on dictionaries."""

import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import codec
from lineage.analysis import activity, freshness, nodes, performance, tables, volume
from lineage.analysis.impact import impact
from lineage.analysis.operations import OperationTable
from lineage.calendars import FreshnessLimit
from lineage.core import FAILED, DataOperation, DataSource, LineageNode
from lineage.graph import LineageGraph
from lineage.stores.tables import table_from_rows
from tests.tables import asking, reading

# The first call of a test may load a heavy library; time says nothing here.
settings.register_profile("untimed")
settings.load_profile("untimed")

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)


def hours(count):
    return timedelta(hours=count)


def node(node_id, **fields):
    return LineageNode(node_id, DataSource(*node_id.split(":", 1), f"/data/{node_id}"), **fields)


def operation(kind="transform", at=START, inputs=(), outputs=(), **fields):
    return DataOperation.create(
        kind,
        timestamp=at,
        inputs=[DataSource(*name.split(":")) for name in inputs],
        outputs=[DataSource(*name.split(":")) for name in outputs],
        **fields,
    )


def table_of(*operations, counts=None):
    rows = [codec.operation_rows(each)["operations"][0] for each in operations]
    for row in rows:
        for ref in [*row["inputs"], *row["outputs"]]:
            ref["record_count"] = (counts or {}).get(ref["node_id"])
    return table_from_rows("operations", rows)


def operations_of(table):
    """Give the function that makes operations of rows of a table."""
    rows = {row["operation_id"]: row for row in tables.times_as_integers(table).to_pylist()}
    return lambda found: [
        codec.operation_from_row(rows[each], {}) for each in found["operation_id"].to_pylist()
    ]


class TestImpact:
    GRAPH = LineageGraph.from_edges([("file:a", "table:b"), ("table:b", "table:c")], ["file:z"])

    def test_nodes_are_grouped_counted_and_measured(self):
        known = {
            "file:a": node("file:a", accessed_count=50),
            "table:b": node("table:b", accessed_count=11),
            "table:c": node("table:c", accessed_count=2),
        }
        answer = impact(self.GRAPH, "file:a", nodes=known)
        assert answer["target_node"]["node_id"] == "file:a"
        assert answer["total_downstream_nodes"] == answer["max_distance"] == 2
        assert [each["distance"] for each in answer["impact_by_source_type"]["table"]] == [1, 2]
        assert answer["impact_summary"] == {"critical": 1, "moderate": 1, "low": 0}

    @pytest.mark.parametrize(
        ("accesses", "group"),
        [(0, "low"), (1, "low"), (2, "moderate"), (10, "moderate"), (11, "critical")],
    )
    def test_the_limits_of_the_groups(self, accesses, group):
        known = {"table:b": node("table:b"), "table:c": node("table:c", accessed_count=accesses)}
        summary = impact(self.GRAPH, "table:b", nodes=known)["impact_summary"]
        assert summary == {"critical": 0, "moderate": 0, "low": 0} | {group: 1}

    def test_a_lonely_node_has_none(self):
        answer = impact(self.GRAPH, "file:z", nodes={"file:z": node("file:z")})
        assert answer["total_downstream_nodes"] == 0
        assert answer["impact_by_source_type"] == {}


KNOWN = {
    each.node_id: each
    for each in (
        node("file:never"),
        node("file:read", accessed_count=1, last_accessed=NOW - hours(30)),
        node("table:written", written_count=1, last_written=NOW - hours(1)),
        node("table:made", created_at=NOW - hours(40)),
        node("table:both", last_accessed=NOW - hours(90), last_written=NOW - hours(50)),
        node("dataframe:df", last_accessed=NOW - hours(90)),
    )
}


class TestFreshness:
    def stale(self, **options):
        found = freshness.find_stale(KNOWN, now=NOW, **options)
        return [each["node_id"] for each in found]

    def test_the_longest_rest_comes_first_and_writes_count(self):
        assert self.stale() == ["file:never", "table:both", "table:made", "file:read"]

    def test_values_in_memory_are_reported_on_request_or_by_a_limit(self):
        assert self.stale(include_in_memory=True)[1] == "dataframe:df"
        assert "dataframe:df" in self.stale(limits={"dataframe:*": 1})

    def test_reasons_are_words(self):
        found = freshness.find_stale(KNOWN, now=NOW, limits={"table:both": 48})
        assert [each["reason"] for each in found] == [
            "Never accessed",
            "Last written 50.0 hours ago, the limit is 48 hours",
            "Last written 40.0 hours ago, the limit is 24 hours",
            "Last accessed 30.0 hours ago, the limit is 24 hours",
        ]
        assert found[1]["node"] is KNOWN["table:both"]

    def test_an_exact_limit_counts_before_a_pattern_and_the_first_pattern_first(self):
        limits = {"table:*": 0.5, "table:m*": 1000, "table:both": 51}
        assert self.stale(limits=limits) == [
            "file:never",
            "table:made",
            "file:read",
            "table:written",
        ]
        assert "table:made" not in self.stale(limits={"table:m*": 1000, "table:*": 0.5})

    @pytest.mark.parametrize("bad", [-1, float("nan")])
    def test_a_limit_that_cannot_be_is_refused(self, bad):
        with pytest.raises(ValueError, match=r"the limit 'table:\*' cannot be used: hours is"):
            self.stale(limits={"table:*": bad})
        with pytest.raises(ValueError, match="hours_threshold"):
            self.stale(hours_threshold=bad)

    def test_the_clock_stands_still_on_days_that_do_not_count(self):
        # NOW is a Wednesday; 90 hours before it was Saturday, 50 hours before Sunday 22:00.
        limit = {"hours": 48, "weekdays": "mon-fri", "holidays": ["2026-03-10"]}
        found = freshness.find_stale(KNOWN, now=NOW, limits={"table:both": limit})
        assert "table:both" not in [each["node_id"] for each in found]
        limit = FreshnessLimit(20, "mon-fri", ["2026-03-10"])
        found = freshness.find_stale(KNOWN, now=NOW, limits={"table:*": limit})
        (both,) = [each for each in found if each["node_id"] == "table:both"]
        assert both["hours_counted"] == 24
        assert both["reason"] == (
            "Last written 50.0 hours ago, 24.0 of them on days that count, the limit is 20 hours"
        )
        graph = LineageGraph.from_edges([], KNOWN)
        answer = freshness.freshness(
            graph, "table:both", nodes=KNOWN, now=NOW, limits={"table:*": limit}
        )
        assert (answer["hours_counted"], answer["is_stale"]) == (24, True)
        usual = freshness.find_stale(KNOWN, now=NOW, hours_threshold=FreshnessLimit(49, "mon-fri"))
        assert [each["node_id"] for each in usual] == ["file:never"]  # of 50 hours 2 are Sunday's

    CHAIN = LineageGraph.from_edges(
        [
            ("table:both", "dataframe:df"),
            ("dataframe:df", "file:read"),
            ("file:read", "table:made"),
            ("table:made", "table:written"),
            ("table:written", "file:never"),
        ]
    )

    def test_what_is_late_because_its_upstream_is_says_so(self):
        found = freshness.find_stale(KNOWN, now=NOW, graph=self.CHAIN)
        told = {each["node_id"]: (each["late_because"], each["root_causes"]) for each in found}
        assert told == {
            "file:never": ([], []),  # what feeds it is fresh
            "table:both": ([], []),
            "file:read": (["table:both"], ["table:both"]),  # by way of a value in memory
            "table:made": (["file:read"], ["table:both"]),
        }
        reasons = {each["node_id"]: each["reason"] for each in found}
        assert reasons["file:read"].endswith("; upstream is late: table:both")
        assert reasons["table:made"].endswith(
            "; upstream is late: file:read; root cause: table:both"
        )

    def test_a_value_in_memory_that_is_judged_explains_too(self):
        found = freshness.find_stale(KNOWN, now=NOW, graph=self.CHAIN, include_in_memory=True)
        told = {each["node_id"]: each["late_because"] for each in found}
        assert told["file:read"] == ["dataframe:df"]
        assert told["dataframe:df"] == ["table:both"]

    def test_groups_have_each_stale_node_once(self):
        groups = freshness.group_stale(KNOWN, now=NOW, graph=self.CHAIN)
        assert [
            (
                each["root_cause"]["node_id"],
                each["total_explained"],
                [other["node_id"] for other in each["explained"]],
            )
            for each in groups
        ] == [("file:never", 0, []), ("table:both", 2, ["table:made", "file:read"])]

    def test_a_node_with_its_sources_two_steps_up(self):
        chain = ["file:never", "file:read", "table:written", "table:both"]
        graph = LineageGraph.from_edges(pairwise(chain))
        answer = freshness.freshness(graph, "table:both", nodes=KNOWN, now=NOW)
        assert answer["hours_since_last_access"] == 90
        assert answer["hours_since_last_write"] == 50
        assert answer["is_stale"]
        assert "hours_since_creation" not in answer
        upstream = answer["upstream_freshness"]
        assert [each["node_id"] for each in upstream] == ["table:written", "file:read"]
        assert not upstream[0]["is_stale"]
        made = freshness.freshness(
            LineageGraph.from_edges([], ["table:made"]), "table:made", nodes=KNOWN, now=NOW
        )
        assert made["hours_since_creation"] == 40


class TestPerformance:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["load", "clean", None]),
                st.none() | st.floats(0, 1e6),
                st.booleans(),
            ),
            min_size=1,
        )
    )
    def test_figures_are_those_of_the_oracle(self, calls):
        table = table_of(
            *(
                operation(
                    code_name=name,
                    code_module="m",
                    duration_ms=duration,
                    status=FAILED if failed else "success",
                )
                for name, duration, failed in calls
            )
        )
        answer = performance.performance(reading(table))
        timed = [duration for _, duration, _ in calls if duration is not None]
        assert answer["total_operations"] == len(calls)
        assert answer["operations_with_timing"] == len(timed)
        assert answer["failed_operations"] == sum(failed for *_, failed in calls)
        assert ("p50_duration_ms" in answer) == bool(timed)
        if timed:
            assert answer["p50_duration_ms"] == pytest.approx(statistics.median(timed))
            assert answer["p95_duration_ms"] == pytest.approx(quantile(timed, 0.95))
            assert answer["max_duration_ms"] == max(timed)
        functions = defaultdict(list)
        for name, duration, _ in calls:
            functions[name].append(duration)
        assert {each["code_name"] for each in answer["by_function"]} == set(functions)
        for each in answer["by_function"]:
            own = [duration for duration in functions[each["code_name"]] if duration is not None]
            assert each["count"] == len(functions[each["code_name"]])
            assert each["p99_duration_ms"] == (pytest.approx(quantile(own, 0.99)) if own else None)
        averages = [each["avg_duration_ms"] for each in answer["by_function"]]
        known = [average for average in averages if average is not None]
        assert averages == sorted(known, reverse=True) + [None] * (len(averages) - len(known))

    def test_the_oracle_tells_interpolation_from_picking(self):
        assert quantile([1.0, 2.0], 0.5) == 1.5 != sorted([1.0, 2.0])[2 // 2]

    def test_one_type_or_a_message(self):
        table = table_of(operation("read", duration_ms=1.0), operation("write", duration_ms=3.0))
        answer = performance.performance(reading(table), operation_type="write")
        assert answer["avg_duration_ms"] == 3
        message = performance.performance(reading(table), operation_type="join")
        assert message == {"message": "No operations of type 'join' found matching criteria"}
        assert "message" in performance.performance(reading(table_of()))

    def test_functions_of_one_name_in_two_modules_stay_apart(self):
        table = table_of(
            operation(code_module="a", code_name="f", duration_ms=1.0),
            operation(code_module="b", code_name="f", duration_ms=2.0),
        )
        found = performance.performance(reading(table))["by_function"]
        assert [(each["code_module"], each["count"]) for each in found] == [("b", 1), ("a", 1)]


def quantile(values, share):
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


names = st.sampled_from(["file:a", "file:b", "repository:r", "table:t"])
sides = st.lists(names, max_size=3, unique=True)
amounts = st.none() | st.integers(0, 1000)


class TestVolume:
    @given(st.lists(st.tuples(sides, sides, amounts, amounts, st.booleans()), max_size=12))
    def test_flows_are_those_of_the_oracle(self, calls):
        table = table_of(
            *(
                operation(
                    inputs=ins,
                    outputs=outs,
                    record_count_in=count_in,
                    record_count_out=count_out,
                    status=FAILED if failed else "success",
                )
                for ins, outs, count_in, count_out, failed in calls
            )
        )
        expected = defaultdict(list)
        into = defaultdict(list)
        for ins, outs, count_in, count_out, failed in calls:
            for one in () if failed else ins:
                for other in outs:
                    if one != other:
                        expected[one, other].append((count_in, count_out))
            if not failed and "repository:r" in outs:
                into["r"].append(count_in if count_out is None else count_out)
        answer = volume.volume(
            reading(table), fetch=operations_of(table), now=NOW, time_window_hours=None
        )
        assert len(answer["flows"]) == len(expected)
        for flow in answer["flows"]:
            pairs = expected[flow["from_node"], flow["to_node"]]
            assert flow["operation_count"] == len(pairs)
            assert flow["records_in"] == known_sum(pair[0] for pair in pairs)
            both = [pair for pair in pairs if None not in pair]
            total_in, total_out = (sum(pair[side] for pair in both) for side in (0, 1))
            assert flow["ratio"] == (pytest.approx(total_out / total_in) if total_in else None)
        assert answer["repository_volumes"].get("r") == known_sum(into["r"])
        done = [call for call in calls if not call[4]]
        assert answer["total_operations"] == len(calls)
        assert answer["total_records_in"] == sum(call[2] or 0 for call in done)
        assert answer["total_records_out"] == sum(call[3] or 0 for call in done)
        assert answer["operations_without_counts"] == sum(
            call[2] is None and call[3] is None for call in done
        )

    def test_the_count_of_a_reference_counts_before_that_of_its_operation(self):
        table = table_of(
            operation(
                inputs=["file:a", "file:b"],
                outputs=["repository:r"],
                record_count_in=30,
                record_count_out=10,
            ),
            counts={"file:a": 20, "repository:r": 5},
        )
        answer = volume.volume(reading(table), fetch=operations_of(table), now=START)
        flows = {flow["from_node"]: flow for flow in answer["flows"]}
        assert flows["file:a"]["ratio"] == 5 / 20
        assert flows["file:b"]["ratio"] == 5 / 30
        assert answer["repository_volumes"] == {"r": 5}

    def test_the_window_and_the_top(self):
        calls = [operation(at=NOW - hours(n), record_count_in=n) for n in range(30)]
        table = table_of(*calls)
        answer = volume.volume(
            reading(table), fetch=operations_of(table), now=NOW, time_window_hours=24
        )
        assert answer["total_operations"] == 25
        assert [count for _, count in answer["top_volume_operations"]] == list(range(24, 14, -1))
        assert answer["top_volume_operations"][0][0] == calls[24]
        assert answer["operations_by_type"]["transform"]["count"] == 25

    def test_a_window_that_cannot_be_is_refused_and_a_huge_one_is_all(self):
        with pytest.raises(ValueError, match="time window is -1"):
            volume.window_start(NOW, -1)
        assert volume.window_start(NOW, 1e9) is None


def known_sum(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


CALLED = table_of(
    operation("write", NOW - hours(1), ["dataframe:x"], ["file:a"], status=FAILED),
    operation("publish", NOW - hours(2)),
    operation("read", NOW - hours(48)),
)
TOUCHED = {
    each.node_id: each for each in (node("file:a", last_accessed=NOW - hours(3)), node("file:b"))
}


class TestActivity:
    def test_the_last_day(self):
        answer = activity.recent_activity(reading(CALLED), nodes=TOUCHED, now=NOW)
        assert answer["recent_operations_count"] == 2
        assert answer["recent_nodes_accessed_count"] == 1
        assert answer["operation_types"]["publish"] == 1
        assert answer["operation_types"]["read"] == 0
        narrow = activity.recent_activity(reading(CALLED), nodes=TOUCHED, now=NOW, hours=0.5)
        assert narrow["recent_operations_count"] == narrow["recent_nodes_accessed_count"] == 0

    def test_the_timeline_is_in_order(self):
        answer = activity.timeline(asking(CALLED), now=NOW)
        assert [event["type"] for event in answer["events"]] == ["publish", "write"]
        assert answer["events"][1]["has_error"]
        source = {"type": "file", "id": "a", "node_id": "file:a"}
        assert answer["events"][1]["output_sources"] == [source]
        assert answer["summary"]["failed_operations"] == 1
        assert answer["time_range"]["start"] == (NOW - hours(24)).isoformat()

    def test_an_endless_timeline_starts_at_the_first_operation(self):
        answer = activity.timeline(asking(CALLED), now=NOW, hours_back=1e9)
        assert answer["time_range"]["start"] == (NOW - hours(48)).isoformat()
        assert activity.timeline(asking(table_of()), now=NOW, hours_back=1e9)["events"] == []

    def test_the_summary(self):
        graph = LineageGraph.from_edges([("file:a", "file:b"), ("file:b", "file:b")])
        answer = activity.summary(reading(CALLED), graph=graph, nodes=TOUCHED, now=NOW)
        assert answer["basic_stats"]["source_types"] == {"file": 2}
        assert answer["graph_structure"] == {
            "nodes_with_dependencies": 1,
            "nodes_with_dependents": 1,
            "root_nodes_count": 1,
            "leaf_nodes_count": 1,
            "average_dependencies_per_node": 0.5,
        }
        top = answer["top_connected_nodes"]["most_dependents"][0]
        assert top == {"node_id": "file:a", "dependents": 1, "source_type": "file"}


def node_row(node_id, at, **fields):
    """Make a row of `nodes`; `at` and times in `fields` are microseconds."""
    row = codec.node_row(node(node_id)) | {"timestamp": at, "location": None}
    return row | fields


times = st.none() | st.integers(1, 50)
node_rows = st.builds(
    node_row,
    st.sampled_from(["file:a", "file:b", "file:c"]),
    st.integers(1, 50),
    location=st.sampled_from([None, "", "/x", "/y"]),
    version=st.sampled_from([None, "1", "2"]),
    metadata=st.sampled_from([None, "{}", '{"a":1}', '{"a":2,"b":3}']),
    accessed_count=st.none() | st.integers(0, 5),
    last_accessed=times,
    created_at=times,
    created_by=st.sampled_from(["o1", "o2"]),
)


def merged(rows, edges=()):
    relationships = [
        {"from_node_id": one, "to_node_id": other, "timestamp": 1} | extra
        for one, other, extra in edges
    ]
    return nodes.Merged.of_tables(
        table_from_rows("nodes", rows), table_from_rows("relationships", relationships)
    )


class TestMerging:
    @given(st.lists(node_rows, max_size=12))
    def test_nodes_are_those_of_the_oracle(self, rows):
        found = merged(rows).nodes
        assert set(found) == {row["node_id"] for row in rows}
        for node_id in found:
            own = sorted((r for r in rows if r["node_id"] == node_id), key=lambda r: r["timestamp"])
            each = found[node_id]
            assert each.accessed_count == sum(row["accessed_count"] or 0 for row in own)
            last = max((row["last_accessed"] or 0 for row in own), default=0)
            assert codec.to_micros(each.last_accessed) == (last or None)
            created = [row for row in own if row["created_at"]]
            first = min((row["created_at"] for row in created), default=None)
            assert codec.to_micros(each.created_at) == first
            makers = {row["created_by"] for row in created if row["created_at"] == first}
            assert each.created_by in (makers or {None})
            places = [row["location"] for row in own if row["location"]]
            assert each.data_source.location == (places[-1] if places else "")
            joined = {}
            for row in own:
                joined |= codec.from_json(row["metadata"])
            assert each.data_source.metadata == joined

    @given(st.lists(node_rows, max_size=8))
    def test_facts_are_those_of_the_nodes_also_without_a_table(self, rows):
        found = merged(rows).nodes
        plain = dict(found)
        assert list(nodes.facts_of(plain)) == list(nodes.facts_of(found))
        start = datetime(1970, 1, 1, microsecond=20, tzinfo=UTC)
        for at in (start, None):
            counts = [nodes.count_accessed_since(known, at) for known in (plain, found)]
            assert counts[0] == counts[1]

    def test_edges_are_summed_and_the_newest_operation_stands(self):
        edges = [
            ("file:a", "file:b", {"operation_id": "new", "timestamp": 9, "operation_count": 2}),
            ("file:a", "file:b", {"operation_id": "old", "timestamp": 3, "operation_count": 3}),
            ("file:b", "file:c", {"record_count": 7, "created_at": 5}),
            ("file:b", "file:c", {"record_count": 1, "created_at": 4}),
        ]
        whole = merged([node_row("file:z", 1)], edges)
        assert whole.graph.node_ids == ("file:z", "file:a", "file:b", "file:c")
        first, second = whole.edges.to_pylist()
        assert (first["operation_id"], first["operation_count"]) == ("new", 5)
        assert first["record_count"] is None
        assert second["record_count"] == 8
        assert codec.to_micros(second["created_at"]) == 4
        assert whole.nodes["file:b"].dependencies == {"file:a"}
        assert whole.nodes["file:b"].dependents == {"file:c"}

    def test_a_node_that_only_relationships_know_is_a_node(self):
        whole = merged([], [("odd", "file:b", {})])
        assert whole.nodes["odd"].data_source == DataSource("unknown", "odd")
        assert whole.nodes["file:b"].dependencies == {"odd"}
        assert not whole.nodes["file:b"].accessed_count

    def test_an_empty_store_has_an_empty_graph(self):
        whole = merged([])
        assert len(whole.graph) == len(whole.nodes) == len(whole.edges) == 0
        assert list(whole.nodes.facts()) == []
        assert whole.nodes.to_arrow().num_rows == 0
        assert repr(whole.nodes) == "<0 nodes>"

    def test_the_table_of_nodes_reads_back_as_the_same_nodes(self):
        rows = [
            node_row("file:a", 5, created_at=4, created_by="o", metadata='{"a":1}'),
            node_row("file:a", 6, accessed_count=3, last_accessed=6, location="/new"),
            node_row("file:b", 6),
        ]
        whole = merged(rows, [("file:a", "file:b", {})])
        again = nodes.Merged.of_tables(whole.nodes.to_arrow(), whole.edges)
        assert dict(again.nodes) == dict(whole.nodes)

    def test_a_missing_key_is_a_key_error_as_in_any_mapping(self):
        with pytest.raises(KeyError):
            merged([]).nodes["file:x"]


CALLS = [
    operation(at=START + hours(2), inputs=["file:a"], outputs=["file:b"]),
    operation(at=START + hours(1), inputs=["file:b"], outputs=["file:c"]),
    operation(at=START, inputs=["file:a"], outputs=["file:b"], status=FAILED),
    operation(at=START + hours(3), inputs=["file:a", "file:b"], outputs=["file:b"]),
]
CHAIN = LineageGraph.from_edges([("file:a", "file:b"), ("file:b", "file:c")], ["file:x"])


class TestOperationTable:
    def table(self):
        return OperationTable(table_of(*CALLS), CHAIN)

    def test_operations_come_by_time(self):
        found = self.table().operations
        assert list(found) == sorted(CALLS, key=lambda each: each.timestamp)
        assert found[-1] == CALLS[3]
        assert list(found[1:3]) == [found[1], found[2]]
        assert list(found[::-1]) == list(reversed(found)) == list(found)[::-1]
        assert found[::-1][1:][0] == found[2]
        assert repr(found) == "<4 items, made on access>"
        with pytest.raises(IndexError):
            found[4]

    def test_a_window_includes_its_ends(self):
        table = self.table()
        assert len(table) == 4
        assert list(table.between(START + hours(1), START + hours(2))) == CALLS[1::-1]
        assert len(table.between(None, None)) == 4

    def test_rows_by_node(self):
        table = self.table()
        assert table.touching(["file:c"]).tolist() == [1]
        assert table.touching(["file:a"]).tolist() == [2, 0, 3]
        assert table.reading(["file:b"]).tolist() == [1, 3]
        assert table.touching(["file:x"]).tolist() == []

    def test_a_failed_operation_carries_nothing(self):
        found = self.table().along(["file:a", "file:b", "file:c"])
        assert found.tolist() == [[0, 0], [3, 0], [1, 1]]

    def test_pages_join(self):
        calls = [operation(at=START + hours(n)) for n in range(1200)]
        found = OperationTable(table_of(*calls), CHAIN).operations
        assert [each.operation_id for each in found] == [each.operation_id for each in calls]

    def test_many_chunks_are_one_table(self):
        import pyarrow as pa

        chunks = pa.concat_tables([table_of(each) for each in CALLS])
        rows, refs = tables.flatten(chunks, "inputs")
        assert rows.tolist() == [0, 1, 2, 3, 3]
        assert refs.field("node_id").to_pylist()[-1] == "file:b"
        assert tables.flatten(chunks.slice(0, 0), "inputs")[0].tolist() == []

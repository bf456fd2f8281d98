"""All paths, common ancestors, levels, cycles and the critical path, by the engine's answers."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis import pairs
from lineage.analysis.pairs import pairs_of
from lineage.codec import operation_rows
from lineage.core import FAILED, DataOperation, DataSource
from lineage.errors import NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.stores.memory import MemoryStore

settings.register_profile("untimed")
settings.load_profile("untimed")

START = datetime(2026, 3, 1, tzinfo=UTC)
LETTERS = "abcdef"
some = st.lists(st.sampled_from(LETTERS), max_size=3)
steps = st.lists(st.tuples(some, some, st.none() | st.integers(0, 50), st.booleans()), max_size=12)


def engine_of(made):
    store = MemoryStore()
    for at, (read, written, duration, fails) in enumerate(made):
        operation = DataOperation(
            f"op{at}",
            "transform",
            START + timedelta(hours=at),
            [DataSource("t", each) for each in read],
            [DataSource("t", each) for each in written],
            duration_ms=duration,
            status=FAILED if fails else "success",
        )
        for kind, rows in operation_rows(operation).items():
            store.append(kind, rows)
    return LineageQueryEngine(store)


def plain(*chain, duration=1.0):
    return [([one], [other], duration, False) for one, other in chain]


class TestDurations:
    @given(made=steps)
    def test_they_are_the_means_of_what_carried_each_edge(self, made):
        engine = engine_of(made)
        expected = defaultdict(list)
        for read, written, duration, fails in made:
            for edge in {(one, other) for one in read for other in written if one != other}:
                if not fails and duration is not None:
                    expected[edge].append(duration)
        means = engine._current().operations.mean_durations()
        assert len(means) == engine.graph.edge_count
        for edge, mean in zip(engine.graph.edges(), means, strict=True):
            known = expected[edge[0][2:], edge[1][2:]]
            assert np.isnan(mean) if not known else mean == pytest.approx(np.mean(known))

    def test_failed_ones_would_be_seen(self):
        engine = engine_of([*plain("ab"), ([*"a"], [*"b"], 99, True)])
        assert engine.find_critical_path()["total_duration_ms"] == 1.0

    @given(
        reads=st.lists(st.integers(0, 9), max_size=30),
        writes=st.lists(st.integers(0, 9), max_size=30),
        most=st.integers(1, 20),
    )
    def test_pairs_are_those_of_one_operation_in_blocks(self, reads, writes, most):
        reads, writes = np.sort(np.array(reads, int)), np.sort(np.array(writes, int))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pairs, "_MOST_PAIRS", most)
            blocks = [(a.tolist(), b.tolist()) for a, b in pairs_of(reads, writes)]
        found = [pair for block in blocks for pair in zip(*block, strict=True)]
        assert found == [
            (i, j) for i in range(len(reads)) for j in range(len(writes)) if reads[i] == writes[j]
        ]
        largest = max((writes == row).sum() for row in range(10))
        assert all(len(block[0]) <= max(most, largest) for block in blocks)


class TestAnswers:
    def test_all_paths_and_where_they_were_cut(self):
        engine = engine_of(plain("ab", "ac", "bd", "cd", "bc"))
        answer = engine.find_all_paths("t:a", "t:d")
        assert answer["total_paths"] == len(answer["paths"]) == 3
        assert answer["is_complete"]
        assert "message" not in answer
        assert engine.find_shortest_paths("t:a", "t:d")["total_paths"] == 2
        cut = engine.find_all_paths(engine.nodes["t:a"], "t:d", max_paths=1)
        assert not cut["is_complete"]
        assert cut["message"] == "These are the first 1 paths; there are more"
        none = engine.find_all_paths("t:d", "t:a")
        assert none["message"] == "No path found from t:d to t:a"
        assert none["is_complete"]
        assert not none["path_found"]

    def test_common_ancestors_are_nodes(self):
        answer = engine_of(plain("ab", "bc", "bd")).find_common_ancestors("t:c", "t:d")
        assert [node.node_id for node in answer["nearest_common_ancestors"]] == ["t:b"]
        assert [node.node_id for node in answer["common_ancestors"]] == ["t:a", "t:b"]
        assert list(answer.to_pandas()["is_nearest"]) == [False, True]

    def test_cycles_and_levels(self):
        engine = engine_of(plain("ab", "bc", "cb", "cd"))
        assert engine.find_cycles() == [{"total_nodes": 2, "node_ids": ["t:b", "t:c"]}]
        answer = engine.get_topological_levels()
        assert answer["levels"] == [["t:a"], ["t:b", "t:c"], ["t:d"]]
        assert answer["total_levels"] == 3
        assert "t:b, t:c" in answer._repr_mimebundle_()["text/plain"]
        assert "1 cycles" in engine.find_cycles()._repr_mimebundle_()["text/plain"]

    def test_the_critical_path_names_its_steps(self):
        engine = engine_of(
            [*plain("ab", duration=2), *plain("ab", duration=4), *plain("bc", duration=None)]
        )
        answer = engine.find_critical_path()
        assert answer["path_nodes"] == ["t:a", "t:b", "t:c"]
        assert [step["mean_duration_ms"] for step in answer["steps"]] == [3.0, None]
        assert [step["share"] for step in answer["steps"]] == [1.0, 0.0]
        assert answer["total_duration_ms"] == 3.0
        assert engine.find_critical_path("t:b")["path_nodes"] == ["t:a", "t:b"]

    def test_nothing_has_no_critical_path(self):
        assert not engine_of([]).find_critical_path()["path_found"]
        with pytest.raises(NodeNotFoundError):
            engine_of(plain("ab")).find_critical_path("t:z")

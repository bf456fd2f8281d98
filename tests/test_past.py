"""What was known as of a time, against an engine over only the operations of that time."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import operation_rows, to_micros
from lineage.core import FAILED, DataOperation, DataSource
from lineage.errors import ConfigError, NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.stores.base import Filter, open_store
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.past import PastStore
from lineage.stores.tables import empty_table
from tests.many import examples

settings.register_profile("untimed")
settings.load_profile("untimed")

START = datetime(2026, 3, 1, tzinfo=UTC)
names = st.lists(st.sampled_from("abcde"), max_size=3)
# Hours from the first of March; some before 1970 and after 2199, which stores keep as one date.
hours = st.integers(0, 71) | st.sampled_from([-600_000, -500_000, 1_600_000])
made = st.lists(
    st.tuples(names, names, hours, st.none() | st.integers(0, 100), st.booleans()), max_size=12
)
moments = st.none() | st.integers(-10, 90) | st.sampled_from([-550_000, 1_700_000])


def operations_of(rows):
    return [
        DataOperation(
            f"op{at}",
            "transform",
            START + timedelta(hours=hour),
            [DataSource("t", each, f"/{at}", version=f"v{at}") for each in read],
            [DataSource("t", each, f"/{at}") for each in written],
            record_count_out=at,
            duration_ms=1.0,
            status=FAILED if fails else "success",
            recorded_at=None if late is None else START + timedelta(hours=hour + late),
        )
        for at, (read, written, hour, late, fails) in enumerate(rows)
    ]


def fill(store, operations):
    for operation in operations:
        for kind, rows in operation_rows(operation).items():
            store.append(kind, rows)
    return store


def then(hour):
    return None if hour is None else START + timedelta(hours=hour)


def is_of(operation, as_of, known_at):
    known = operation.recorded_at or operation.timestamp
    return (as_of is None or operation.timestamp <= as_of) and (
        known_at is None or known <= known_at
    )


def content(engine):
    tables = {}
    for kind, key in (("nodes", "node_id"), ("relationships", "to_node_id")):
        rows = engine.to_arrow(kind).to_pylist()
        tables[kind] = sorted(rows, key=lambda row, key=key: (row[key], str(row)))
    tables["operations"] = sorted(each.operation_id for each in engine.operations)
    tables["versions"] = sorted(engine.versions.edges())
    return tables


class TestProperty:
    @settings(max_examples=examples(100))
    @given(rows=made, at=moments, known=moments)
    def test_it_is_what_an_engine_over_only_those_says(self, rows, at, known):
        operations, as_of, known_at = operations_of(rows), then(at), then(known)
        engine = LineageQueryEngine(fill(MemoryStore(), operations), as_of=as_of, known_at=known_at)
        only = [each for each in operations if is_of(each, as_of, known_at)]
        assert content(engine) == content(LineageQueryEngine(fill(MemoryStore(), only)))

    def test_a_view_of_whole_dates_only_would_be_seen(self, monkeypatch):
        monkeypatch.setattr(PastStore, "_made", lambda self, kind, _: empty_table(kind))
        with pytest.raises(AssertionError):
            TestProperty.test_it_is_what_an_engine_over_only_those_says.hypothesis.inner_test(
                self, [(["a"], ["b"], hour, None, False) for hour in (1, 9)], 5, None
            )

    @pytest.mark.parametrize("kind", ["parquet", "sqlite"])
    def test_stores_that_rest_say_the_same(self, kind, tmp_path):
        rows = [
            ([*"abc"[at % 2 : at % 3]], [*"cde"[at % 3 :]], hour, at % 4 * 10, at % 7 == 0)
            for at, hour in enumerate([*range(0, 72, 3), 29, 31, -600_000, 1_600_000])
        ]
        operations = operations_of(rows)
        url = str(tmp_path / "store") if kind == "parquet" else f"sqlite:///{tmp_path}/store.db"
        store = open_store(url)
        for first in range(0, len(operations), 9):  # several parts a date, and a journal
            fill(store, operations[first : first + 9])
            if first < 18:
                store.seal()
        for at, known in ((30, None), (31, None), (47.99, None), (48, None), (None, 40), (50, 45)):
            as_of, known_at = then(at), then(known)
            engine = LineageQueryEngine(store, as_of=as_of, known_at=known_at)
            only = [each for each in operations if is_of(each, as_of, known_at)]
            assert content(engine) == content(LineageQueryEngine(fill(MemoryStore(), only))), at
        store.close()


class TestByHand:
    def test_what_was_saved_by_hand_counts_from_its_time(self, tmp_path):
        store = LineageMetadataRepository(tmp_path / "store")
        described = DataSource("t", "a", metadata={"owner": "desk"})
        step = DataOperation("op", "read", START + timedelta(hours=2), [described], [])
        fill(store, [step])
        row = {"node_id": "t:z", "source_type": "t", "source_id": "z", "accessed_count": 3}
        store.append("nodes", [row | {"timestamp": to_micros(START + timedelta(hours=4))}])
        store.seal()
        engine = LineageQueryEngine(store)
        later = engine.as_of(START + timedelta(hours=4))
        assert later.nodes["t:z"].accessed_count == 3
        assert later.nodes["t:a"].data_source.metadata == {"owner": "desk"}
        assert later.nodes["t:a"].accessed_count == 1
        earlier = engine.as_of(START + timedelta(hours=3))
        assert list(earlier.nodes) == ["t:a"]
        assert list(engine.as_of(known_at=START + timedelta(days=2)).nodes) == ["t:a"]
        store.close()


class TestEngine:
    @pytest.fixture
    def engine(self):
        rows = [(["a"], ["b"], 1, 0, False), (["b"], ["c"], 30, 0, False)]
        return LineageQueryEngine(fill(MemoryStore(), operations_of(rows)))

    def test_each_question_is_of_that_time(self, engine):
        past = engine.as_of(START + timedelta(hours=2))
        assert past.downstream("t:a") == {"t:b"}
        assert engine.downstream("t:a") == {"t:b", "t:c"}
        assert past.get_operation_performance_stats()["total_operations"] == 1
        assert past.build_lineage_summary()["basic_stats"]["total_operations"] == 1
        assert past.get_recent_activity_summary(24)["recent_operations_count"] == 1
        assert list(past.find_stale_data(5)) == []  # as of that time nothing was old
        assert past.notice == engine.notice == ""
        assert "as of 2026-03-01T02:00:00+00:00" in repr(past)
        with pytest.raises(NodeNotFoundError, match="among 2 nodes as of 2026-03-01T02"):
            past.upstream("t:c")

    def test_a_time_before_the_first_record_says_so(self, engine):
        past = engine.as_of(datetime(2020, 1, 1))
        told = r"as of 2020-01-01T00:00:00\+00:00 .the first operation began 2026-03-01T01:00"
        assert len(past.graph) == len(past.operations) == len(past.versions) == 0
        assert past.notice.startswith("nothing is recorded as of 2020")
        for ask in (past.upstream, past.get_versions, past.analyze_impact):
            with pytest.raises(NodeNotFoundError, match=told):
                ask("t:a")
        known = engine.as_of(known_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert "as known at 2020" in known.notice

    @pytest.mark.parametrize("time", ["2026-03-01", date(2026, 3, 1), 1_772_323_200])
    def test_what_is_no_time_is_refused_by_name(self, engine, time):
        with pytest.raises(ConfigError, match=r"^as_of is .*; give a datetime, such as"):
            engine.as_of(time)
        with pytest.raises(ConfigError, match=r"^known_at is "):
            engine.as_of(known_at=time)

    def test_what_was_filled_in_later_does_not_change_what_was_known(self):
        rows = [(["a"], ["b"], 1, 0, False), (["x"], ["b"], 0, 100, False)]  # recorded days later
        engine = LineageQueryEngine(fill(MemoryStore(), operations_of(rows)))
        day = START + timedelta(hours=24)
        assert engine.as_of(day).upstream("t:b") == {"t:a", "t:x"}
        assert engine.as_of(day, known_at=day).upstream("t:b") == {"t:a"}

    def test_a_past_takes_no_rows_and_closes_nothing(self):
        store = PastStore(MemoryStore(), as_of=START)
        with pytest.raises(NotImplementedError):
            store.append("nodes", [])
        store.close()
        assert next(store.scan("runs", Filter(end=START))).num_rows == 0
        assert store.first() is None

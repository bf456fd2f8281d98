"""What a reader remembers of a store, and what it leaves beside the manifest for the next one."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage import LineageQueryEngine
from lineage.core import DataOperation, DataSource
from lineage.settings import StoreSettings
from lineage.stores import gathering, memo
from lineage.stores.base import DERIVED
from lineage.stores.manifest import manifest_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.reading import StoreReader

START = datetime(2026, 5, 1, tzinfo=UTC)
OFF = StoreSettings(background_sealing=False)


@pytest.fixture(autouse=True)
def _little_is_worth_a_memo(monkeypatch):
    monkeypatch.setattr(gathering, "WORTH_ROWS", 1)
    monkeypatch.setattr(gathering, "_BATCH_ROWS", 8)


class Store:
    """A store that grows by operations on few nodes."""

    def __init__(self, folder):
        self.path = folder
        self.repository = LineageMetadataRepository(folder, settings=OFF)
        self.count = 0

    def write(self, *pairs, day=0):
        for one, other in pairs:
            self.count += 1
            operation = DataOperation.create(
                "transform",
                inputs=[DataSource("file", f"n{one}", f"/{self.count}")],
                outputs=[DataSource("file", f"n{other}", metadata={"made": self.count % 3})],
            )
            operation.timestamp = START + timedelta(days=day, seconds=self.count)
            self.repository.save_operation(operation)
        return self

    def seal(self, *pairs, day=0):
        self.write(*pairs, day=day).repository.seal()
        return self

    def engine(self):
        return LineageQueryEngine(str(self.path))

    @property
    def memo(self):
        return memo.memo_path(self.path)


def told(engine):
    """Say all that is known of nodes and edges, in its order."""
    nodes = engine.nodes
    return (
        engine.graph.node_ids,
        engine.graph.edges(),
        [nodes[name] for name in nodes],
        engine.to_arrow("nodes").to_pylist(),
        engine.to_arrow("relationships").to_pylist(),
        engine.graph.downstream("file:n0") if "file:n0" in engine.graph else None,
    )


def afresh(store):
    """Say the same of an engine that knows of no memo."""
    with patch.multiple(memo, **dict.fromkeys(("load", "save", "forget"), lambda *_: None)):
        return told(store.engine())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store").seal((0, 1), (1, 2)).seal((0, 2), (2, 3), day=1)


def test_a_memo_is_written_and_the_next_reader_opens_no_part(store):
    expected = afresh(store)
    store.memo.unlink()
    assert told(store.engine()) == expected
    assert store.memo.exists()
    with patch.object(StoreReader, "_part_tables", side_effect=AssertionError):
        engine = store.engine()
        assert engine.graph.downstream("file:n0") == {"file:n1", "file:n2", "file:n3"}
        assert engine.analyze_impact("file:n0")["total_downstream_nodes"] == 3
    assert told(store.engine()) == expected


def test_those_who_seal_and_compact_keep_it_up(store):
    assert store.memo.exists()
    store.memo.unlink()
    store.seal((3, 4), day=1)
    assert store.memo.exists()
    store.memo.unlink()
    store.repository.compact()
    assert store.memo.exists()


def test_a_program_that_ends_does_not(tmp_path):
    store = Store(tmp_path).write((0, 1))
    store.repository.close()
    assert not store.memo.exists()


def test_little_is_not_worth_one(store, monkeypatch):
    monkeypatch.setattr(gathering, "WORTH_ROWS", 1_000)
    store.memo.unlink()
    told(store.engine())
    store.seal((3, 4))
    store.repository.keep_up()
    assert not store.memo.exists()


def changes(store, engine, steps):
    """Change a store step by step, and tell whether an engine that goes on knows all that is so."""
    for what, one, other in steps:
        if what == "write":
            store.write((one, other), day=other)
        elif what == "seal":
            store.seal((one, other), (other, one), day=one)
        elif what == "compact":
            store.repository.compact()
        else:
            later = START + timedelta(days=one + 1, hours=1)
            store.repository.cleanup(0, now=later)
        engine.refresh()
        if told(engine) != afresh(store) or told(store.engine()) != afresh(store):
            return False
    return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "seal", "seal", "seal", "compact", "cleanup"]),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=6,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_an_engine_that_goes_on_answers_as_one_that_is_opened_anew(tmp_path_factory, steps):
    store = Store(tmp_path_factory.mktemp("store"))
    assert changes(store, store.engine(), steps)


FORGETFUL = [("seal", 0, 1), ("seal", 2, 3), ("cleanup", 0, 0), ("seal", 1, 2)]


def test_a_reader_that_takes_any_memo_for_its_own_would_be_caught(tmp_path):
    store = Store(tmp_path)
    with patch.object(memo.Gathered, "is_of", lambda *_: True):
        assert not changes(store, store.engine(), FORGETFUL)
    store = Store(tmp_path / "another")
    assert changes(store, store.engine(), FORGETFUL)


def test_a_refresh_reads_no_part_that_it_knows(store):
    engine = store.engine()
    told(engine)
    store.seal((3, 4), day=2)
    read = []
    whole = StoreReader._part_tables

    def noting(self, part, *arguments, **named):
        read.append(part.path)
        return whole(self, part, *arguments, **named)

    with patch.object(StoreReader, "_part_tables", noting):
        engine.refresh()
        assert "file:n4" in engine.downstream("file:n0")
    assert read
    assert all("date=2026-05-03" in path for path in read)


def test_a_refresh_of_what_has_not_changed_keeps_the_graph(store):
    engine = store.engine()
    graph = engine.graph
    engine.refresh()
    engine.refresh()
    assert engine.graph is graph
    store.write((3, 9))
    engine.refresh()
    assert engine.graph is not graph
    assert "file:n9" in engine.downstream("file:n0")


def test_a_memo_with_a_wrong_bit_is_passed_over(store):
    expected, whole = afresh(store), store.memo.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        store.memo.write_bytes(broken)
        assert told(store.engine()) == expected
        assert store.memo.read_bytes() != bytes(broken)
    for size in (0, 5, 50, len(whole) - 1):
        store.memo.write_bytes(whole[:size])
        assert told(store.engine()) == expected


def test_the_memo_of_another_version_is_passed_over(store):
    whole = store.memo.read_bytes()
    for old, new in (
        (b'"rows":', b'"roes":'),
        (b'"sizes":[', b'"sizes":["'),
        (b"location", b"locatiom"),
    ):
        content = whole[40:].replace(old, new)
        store.memo.write_bytes(whole[:8] + hashlib.sha256(content).digest() + content)
        assert content != whole[40:]
        assert told(store.engine()) == afresh(store)


class Alike:
    """A digest that takes everything for right."""

    def __init__(self, *_):
        pass

    def digest(self):
        return b"\0" * 32

    def hexdigest(self):
        return "0" * 64


def test_other_bytes_are_passed_over_and_would_be_believed_without_the_digest(store):
    expected = afresh(store)

    def tell_less():
        told(store.engine())
        parts = read_manifest(manifest_path(store.path)).parts
        known = memo.load(store.path, [part for part in parts if part.kind in DERIVED])
        digest = store.memo.read_bytes()[8:40]
        ends = tuple(each[1:] for each in known.distinct.ends)
        less = known.distinct._replace(ends=ends, edges=_Without(known.distinct.edges))
        memo.save(store.path, known._replace(distinct=less))
        data = store.memo.read_bytes()
        store.memo.write_bytes(data[:8] + digest + data[40:])

    tell_less()
    assert told(store.engine()) == expected
    with patch.object(memo, "sha256", Alike):
        memo.forget(store.path)
        tell_less()
        assert told(store.engine()) != expected


class _Without:
    """Rows of edges without the first."""

    kind = "relationships"

    def __init__(self, rows):
        self._rows = rows

    def __getitem__(self, name):
        return self._rows[name].slice(1)


def test_the_memo_of_another_store_is_passed_over(store, tmp_path):
    other = Store(tmp_path / "other").seal((7, 8))
    told(other.engine())
    store.memo.write_bytes(other.memo.read_bytes())
    assert told(store.engine()) == afresh(store)


def test_what_cleanup_removes_is_not_left_in_it(store):
    store.repository.cleanup(0, now=START + timedelta(days=2))
    assert not store.memo.exists()
    assert told(store.engine()) == afresh(store)


def test_a_part_that_is_damaged_is_told_and_kept_by_no_memo(store):
    store.memo.unlink()
    part = next(store.path.glob("lineage_relationships/date=2026-05-01/*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-9])
    repository = LineageMetadataRepository(store.path)
    engine = LineageQueryEngine(repository)
    assert ("file:n0", "file:n1") not in engine.graph.edges()
    assert any(str(part) in problem for problem in repository.problems)
    assert not store.memo.exists()
    part.write_bytes(whole)
    engine.refresh()
    assert told(engine) == afresh(store)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_read(store):
    store.memo.unlink()
    store.memo.parent.chmod(0o555)
    try:
        assert told(store.engine()) == afresh(store)
    finally:
        store.memo.parent.chmod(0o755)


def test_a_memo_that_cannot_be_written_is_no_problem(store):
    store.memo.unlink()
    with patch.object(memo, "save", side_effect=OSError(28, "No space left on device")):
        engine = store.engine()
        assert told(engine) == afresh(store)
    assert not store.memo.exists()


def test_dates_that_go_while_it_is_written_do_not_stay_in_it(store):
    store.memo.unlink()
    whole = memo.save

    def late(folder, gathered):
        store.repository.cleanup(0, now=START + timedelta(days=2))
        whole(folder, gathered)

    with patch.object(memo, "save", late):
        told(store.engine())
    assert not store.memo.exists()

"""Compaction and garbage: fewer files, and each row once, whatever crashes and in every order."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typer.testing import CliRunner

from lineage.cli.command import app
from lineage.core import DataOperation, DataSource
from lineage.errors import StoreError
from lineage.settings import StoreSettings
from lineage.stores import compaction, folder, garbage
from lineage.stores.compaction import compact_store
from lineage.stores.decoding import segment_paths
from lineage.stores.manifest import ASIDE, manifest_path, next_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sealing import seal_store

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
OFF = StoreSettings(background_sealing=False)


class Crash(BaseException):
    """The process ends here: no handler of the package may swallow it."""


def crash_at(number):
    left = [number]

    def step(name):
        if left[0] == 0:
            raise Crash(name)
        left[0] -= 1

    return step


def save(store, number, repository=None):
    writer = repository or LineageMetadataRepository(store, segment_bytes=4096, settings=OFF)
    source, target = (DataSource("file", name, f"/{name}") for name in "ab")
    at = T0 + timedelta(days=number % 2, seconds=number)
    writer.save_operation(
        DataOperation.create(
            "read", operation_id=f"op{number}", timestamp=at, inputs=[source], outputs=[target]
        )
    )
    return writer


def filled(store, count=8):
    for number in range(count):
        save(store, number).close()
    return [f"op{number}" for number in range(count)]


def ids(store):
    reader = LineageMetadataRepository(store)
    found = sorted((op.operation_id for op in reader.load_operations()), key=lambda i: int(i[2:]))
    assert reader.problems == []
    return found


def plain_ids(store):
    files = store.glob("lineage_operations/date=*/*.parquet")
    return sorted(
        name for file in files for name in pq.read_table(file)["operation_id"].to_pylist()
    )


def parts(store, kind="*"):
    return sorted(store.glob(f"lineage_{kind}/date=*/part-*.parquet"))


def assert_whole(store, names):
    assert ids(store) == names
    reader = LineageMetadataRepository(store)
    assert sum(row["operation_count"] for row in reader.load_relationships()) == len(names)
    accessed = [n.accessed_count for n in reader.load_nodes() if n.node_id == "file:a"]
    assert accessed == ([len(names)] if names else [])


def test_the_parts_of_a_date_become_one(tmp_path):
    names = filled(tmp_path)
    assert len(parts(tmp_path, "operations")) == 8
    done = LineageMetadataRepository(tmp_path).compact()
    assert (done.parts_before, done.parts_after, done.problems) == (24, 6, [])
    assert done.bytes_after < done.bytes_before
    assert len(parts(tmp_path)) == 6
    assert_whole(tmp_path, names)
    assert plain_ids(tmp_path) == sorted(names)
    LineageMetadataRepository(tmp_path).check()
    assert compact_store(tmp_path).parts_before == 0  # nothing is left to do


def test_nothing_to_compact(tmp_path):
    assert compact_store(tmp_path / "none").parts_after == 0
    assert not (tmp_path / "none").exists()


def test_parts_grow_to_so_many_rows(tmp_path):
    filled(tmp_path, 16)
    compact_store(tmp_path, rows=3)
    rows = [pq.read_metadata(file).num_rows for file in parts(tmp_path, "operations")]
    assert sorted(rows) == [2, 2, 3, 3, 3, 3]


def test_a_part_whose_segment_exists_stays(tmp_path):
    filled(tmp_path, 4)
    writer = save(tmp_path, 4)
    writer.seal()
    before = parts(tmp_path, "operations")
    compact_store(tmp_path)
    assert len(parts(tmp_path, "operations")) == len(before) - 2
    assert_whole(tmp_path, [f"op{n}" for n in range(5)])
    writer.journal.close()


def test_a_reader_that_began_before_stays_exact(tmp_path):
    names = filled(tmp_path)
    reader = LineageMetadataRepository(tmp_path)
    scan = reader.scan("operations")
    next(scan)
    compact_store(tmp_path)
    found = [name for table in scan for name in table["operation_id"].to_pylist()]
    assert sorted(found) == names
    assert reader.problems == []


def test_a_reader_would_miss_rows_if_they_were_deleted(tmp_path, monkeypatch):
    filled(tmp_path)
    scan = LineageMetadataRepository(tmp_path).scan("operations")
    next(scan)
    monkeypatch.setattr(folder, "ASIDE_S", -1.0)
    compact_store(tmp_path)
    compact_store(tmp_path)
    assert [table for table in scan if table.num_rows] == []


def test_what_was_set_aside_goes_after_an_hour(tmp_path, monkeypatch):
    filled(tmp_path)
    compact_store(tmp_path)
    assert len(list((tmp_path / ASIDE).iterdir())) == 24
    assert LineageMetadataRepository(tmp_path).collect_garbage().files == []
    now = time.time()
    monkeypatch.setattr(folder.time, "time", lambda: now + 4000)
    done = LineageMetadataRepository(tmp_path).collect_garbage()
    assert len(done.files) == 24
    assert done.size_bytes > 0
    assert list((tmp_path / ASIDE).iterdir()) == []


def test_a_damaged_part_is_named_and_stays(tmp_path):
    names = filled(tmp_path, 6)
    file = parts(tmp_path, "operations")[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-50] + bytes(50))
    done = compact_store(tmp_path)
    (problem,) = done.problems
    assert file.name in problem
    assert file.exists()
    file.write_bytes(whole)
    assert_whole(tmp_path, names)
    assert compact_store(tmp_path).parts_before == 3


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    filled(tmp_path, 4)
    shutil.rmtree(tmp_path / "_staging")
    (tmp_path / "_staging").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write to the store"):
        compact_store(tmp_path)
    (tmp_path / "_manifest").rename(tmp_path / "gone")
    (tmp_path / "_manifest").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write to the store"):
        garbage.collect_garbage(tmp_path)


@pytest.mark.parametrize("loses_manifest", [False, True])
def test_a_crash_at_any_step_leaves_each_row_once(tmp_path, loses_manifest):
    model = tmp_path / "model"
    names = filled(model, 3)
    for number in range(200):
        store = tmp_path / str(number)
        shutil.copytree(model, store)
        with suppress(Crash):  # unless it ends before that step
            compact_store(store, step=crash_at(number))
            break
        if loses_manifest:
            manifest_path(store).unlink()
            next_path(store).unlink(missing_ok=True)
            assert (
                sorted(op.operation_id for op in LineageMetadataRepository(store).load_operations())
                == names
            )
        else:
            assert_whole(store, names)
        seal_store(store)
        assert_whole(store, names)
        assert plain_ids(store) == names
        compact_store(store)
        assert_whole(store, names)
        assert plain_ids(store) == names
    else:
        pytest.fail("it never came to its end")
    assert number > 12


# --- garbage -------------------------------------------------------------------------------------


def test_garbage_goes_and_the_rest_stays(tmp_path):
    names = filled(tmp_path, 4)
    old = time.time() - 100
    litter = [
        tmp_path / "_staging" / "part-x.parquet",
        tmp_path / "_manifest" / ".manifest.json.12345678",
        tmp_path / "_journal" / ".00001-1-abc",
    ]
    for path in litter:
        path.write_bytes(b"x")
        os.utime(path, (old, old))
    young = tmp_path / "_journal" / ".00002-1-abc"
    young.write_bytes(b"x")
    foreign = parts(tmp_path)[0].with_name("part-foreign.parquet")
    foreign.write_bytes(b"x")
    unlisted = parts(tmp_path, "operations")[0].with_name("part-unlisted.parquet")
    shutil.copy(parts(tmp_path, "operations")[0], unlisted)
    (tmp_path / "lineage_runs" / "date=2020-01-01").mkdir(parents=True)
    done = LineageMetadataRepository(tmp_path).collect_garbage()
    assert sorted(done.files) == sorted(str(path.relative_to(tmp_path)) for path in litter)
    assert done.aside == [unlisted.relative_to(tmp_path).as_posix()]
    assert done.foreign == [foreign.relative_to(tmp_path).as_posix()]
    assert done.folders == 1
    assert young.exists()
    assert foreign.exists()
    assert not unlisted.exists()
    foreign.unlink()
    assert_whole(tmp_path, names)
    assert plain_ids(tmp_path) == names


def test_a_sealed_segment_of_the_dead_is_garbage(tmp_path):
    writer = save(tmp_path, 0)
    writer.seal()
    (path,) = segment_paths(tmp_path / "_journal")
    assert garbage.collect_garbage(tmp_path).files == []
    writer.journal.close()
    late = save(tmp_path, 1)
    assert garbage.collect_garbage(tmp_path).files == [f"_journal/{path.name}"]
    late.journal.close()
    assert garbage.collect_garbage(tmp_path).files == []  # it holds what is in no part
    assert_whole(tmp_path, ["op0", "op1"])


def test_the_segment_of_one_that_is_being_begun_is_none(tmp_path):
    import fcntl

    filled(tmp_path, 1)
    path = tmp_path / "_journal" / ".begun"
    path.write_bytes(b"")
    os.utime(path, (0, 0))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert garbage.collect_garbage(tmp_path).files == []
    assert garbage.collect_garbage(tmp_path / "none").files == []


def test_what_a_writer_takes_away_meanwhile_is_none(tmp_path):
    filled(tmp_path, 1)
    # As one that got its name after the folder was listed: there, and not to be found.
    (tmp_path / "_journal" / ".renamed").symlink_to(tmp_path / "gone")
    assert garbage.collect_garbage(tmp_path).files == []


def test_what_a_writer_takes_away_last_is_none(tmp_path, monkeypatch):
    filled(tmp_path, 1)
    (tmp_path / "_journal" / ".renamed").symlink_to(tmp_path / "gone")
    monkeypatch.setattr(garbage, "_is_young", lambda path: False)
    assert garbage.collect_garbage(tmp_path).files == []


# --- every order ---------------------------------------------------------------------------------


class EveryOrder(RuleBasedStateMachine):
    """Writers come, die and are adopted; seals, compactions and garbage runs crash anywhere."""

    def __init__(self):
        super().__init__()
        self.store = Path(tempfile.mkdtemp(prefix="lineage-order-"))
        self.writers = []
        self.names = []

    def teardown(self):
        for writer in self.writers:
            writer.journal.close()
        shutil.rmtree(self.store)

    @rule(which=st.integers(0, 1))
    def save(self, which):
        while len(self.writers) <= which:
            self.writers.append(
                LineageMetadataRepository(self.store, segment_bytes=4096, settings=OFF)
            )
        save(self.store, len(self.names), self.writers[which])
        self.names.append(f"op{len(self.names)}")

    @precondition(lambda self: self.writers)
    @rule()
    def die(self):
        self.writers.pop().journal.close()

    @rule(step=st.integers(0, 40), only_due=st.booleans())
    def seal(self, step, only_due):
        self._do(lambda: seal_store(self.store, only_due=only_due, step=crash_at(step)))

    @rule(step=st.integers(0, 60))
    def compact(self, step):
        self._do(lambda: compact_store(self.store, step=crash_at(step)))

    @rule()
    def collect(self):
        garbage.collect_garbage(self.store)

    @rule()
    def lose_the_manifest(self):
        if not next_path(self.store).exists() and self.writers:
            garbage.collect_garbage(
                self.store
            )  # else what a crash left aside would be a part again
            manifest_path(self.store).unlink(missing_ok=True)
            seal_store(self.store)

    def _do(self, work):
        try:
            work()
        except Crash:
            return
        plain = plain_ids(self.store)
        assert len(plain) == len(set(plain))

    @invariant()
    def each_row_is_there_once(self):
        assert ids(self.store) == self.names


EveryOrder.TestCase.settings = settings(
    max_examples=200 if os.environ.get("FAULTS") == "full" else 12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEveryOrder = EveryOrder.TestCase


def test_a_compaction_that_forgets_to_commit_is_caught(tmp_path, monkeypatch):
    """The negative control: the part in place, the manifest as it was."""
    names = filled(tmp_path, 4)

    def publish(store, new, step):
        for part in new:
            (store / "_staging" / Path(part.path).name).rename(store / part.path)

    monkeypatch.setattr(compaction, "publish", publish)
    monkeypatch.setattr(compaction, "set_aside", lambda *a: None)
    monkeypatch.setattr(compaction, "recover", lambda s, d, step: read_manifest(manifest_path(s)))
    compact_store(tmp_path)
    assert sorted(plain_ids(tmp_path)) != names


# --- the command ---------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_the_commands(tmp_path):
    filled(tmp_path, 4)
    result = run("compact", "--store", str(tmp_path))
    assert result.exit_code == 0
    assert "may count rows twice" in result.stderr
    assert "parts\t12\t6" in result.stdout
    result = run("gc", "--store", str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "no garbage\n")
    (tmp_path / "_staging" / "x").write_bytes(b"1")
    assert "_staging/x\tremoved" in run("gc", "--store", str(tmp_path)).stdout
    for command in ("compact", "gc"):
        assert run(command, "--store", "memory://").exit_code == 0
    save(tmp_path, 4).close()
    file = parts(tmp_path, "operations")[0]
    file.write_bytes(file.read_bytes()[:-9])
    result = run("compact", "--store", str(tmp_path))
    assert result.exit_code == 1
    assert file.name in result.stderr

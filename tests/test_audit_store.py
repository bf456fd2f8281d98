"""A store under its log: what is sealed, merged or removed is logged, other changes are found."""

import hashlib
import json
import logging
import os
import random
import shutil
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lineage import GitTrail
from lineage.audit.attestations import keep
from lineage.audit.auditing import _Audit, verify_store
from lineage.audit.entries import Head
from lineage.audit.envelope import seal, unseal
from lineage.audit.files import LogFiles
from lineage.audit.keys import key_path, save_key
from lineage.audit.ledger import Ledger, begin_log
from lineage.audit.log import AuditLog
from lineage.audit.lookup import find_record
from lineage.audit.pins import find_pin
from lineage.audit.proofs import prove, verify_proof
from lineage.audit.rows import part_records, records_of
from lineage.audit.snapshots import Snapshots
from lineage.audit.trail_leaves import lines_of
from lineage.audit.trail_records import Chain
from lineage.audit.verifying import verify_log
from lineage.cli import app
from lineage.codec import REF, TABLES
from lineage.core import DataOperation, DataSource
from lineage.errors import AuditError, StoreError
from lineage.stores import folder, memo
from lineage.stores.base import Filter
from lineage.stores.compaction import compact_store
from lineage.stores.manifest import (
    manifest_path,
    read_manifest,
    write_manifest,
)
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.parts import scan_part
from lineage.stores.sealing import seal_store
from lineage.stores.tables import coded_schema, rows_of, table_from_rows
from tests.audited import KEY, LOG_ID
from tests.trails import Place

DAY = 86_400_000_000
MAY = 1_777_600_000_000_000
ROW = {
    "operation_id": "a",
    "operation_type": "read",
    "timestamp": MAY,
    "duration_ms": 0.5,
    "inputs": [{"node_id": "file:x", "source_type": "file", "record_count": 3}],
    "outputs": [],
    "parameters": '{"b": 1}',
}


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


def operation(number, day=0):
    sources = [DataSource("file", f"in{number % 3}"), DataSource("file", f"out{number % 3}")]
    made = DataOperation.create(
        "transform", inputs=sources[:1], outputs=sources[1:], operation_id=f"op-{day}-{number}"
    )
    made.timestamp = datetime.fromtimestamp((MAY + day * DAY + number) / 1e6, UTC)
    return made


def write(store, numbers, day=0):
    repository = LineageMetadataRepository(store)
    for number in numbers:
        repository.save_operation(operation(number, day))
    repository.seal()
    repository.close()
    return repository


def audited(store, *, signs=True):
    """A store of two dates: the first sealed before its log began, three seals after it."""
    write(store, range(5))
    if signs:
        save_key(KEY, key_path(LOG_ID))
    begin_log(store, KEY, log_id=LOG_ID)
    for start in (5, 10, 15):
        write(store, range(start, start + 5))
        write(store, range(start, start + 5), day=1)
    return store


@pytest.fixture
def store(tmp_path):
    return audited(tmp_path / "store")


def ids(store):
    tables = LineageMetadataRepository(store).scan("operations", Filter(columns=("operation_id",)))
    return sorted(name for table in tables for name in table["operation_id"].to_pylist())


def kinds(store):
    return [Head.parse(line).kind for line in LogFiles(store / "_audit").lines()]


def parts_of(store, kind="operations"):
    return [part for part in read_manifest(manifest_path(store)).parts if part.kind == kind]


def found(store):
    return [each[:2] for each in verify_store(store).findings]


class TestChangesAreLogged:
    def test_a_seal_is_logged_row_by_row_and_signed(self, store):
        done = verify_store(store, pin=find_pin(LogFiles(store / "_audit")))
        assert done.is_sound
        rows = sum(part.rows for part in read_manifest(manifest_path(store)).parts)
        assert done.records == rows > 35
        assert done.unsigned_since is None  # each seal was signed, since the key is here
        assert done.pinned == done.size
        assert kinds(store) == ["init", "adoption", *["seal"] * 6]

    def test_compaction_only_puts_rows_together(self, store):
        before = ids(store)
        done = LineageMetadataRepository(store).compact()
        assert done.parts_after < done.parts_before
        assert verify_store(store).is_sound
        assert ids(store) == before
        write(store, range(20, 25))
        LineageMetadataRepository(store).compact()
        assert verify_store(store).is_sound
        listed = {Path(part.path).stem for part in read_manifest(manifest_path(store)).parts}
        assert {file.stem for file in (store / "_audit/rows").iterdir()} <= listed

    def test_a_cleanup_is_logged(self, store):
        LineageMetadataRepository(store).compact()
        now = datetime.fromtimestamp((MAY + 2 * DAY) / 1e6, UTC)
        cleaned = LineageMetadataRepository(store).cleanup(24, now=now)
        assert cleaned.rows["operations"] == 20
        done = verify_store(store)
        assert done.is_sound
        assert kinds(store)[-1] == "retention"
        assert ids(store) == sorted(f"op-1-{number}" for number in range(5, 20))

    @pytest.mark.parametrize("job", ["compact", "clean"])
    def test_what_is_removed_while_it_is_verified(self, store, job):
        def begin(self):
            real(self)
            _do(job, store, lambda _step: None)
            shutil.rmtree(store / "_removed", ignore_errors=True)

        real = _Audit.begin
        with (
            patch("lineage.audit.auditing.locked", lambda _store: nullcontext()),
            patch.object(_Audit, "begin", begin),
        ):
            done = verify_store(store)
        assert done.is_sound
        assert any("was removed meanwhile" in note for note in done.notes)
        assert verify_store(store).is_sound

    def test_inserted_tables_are_logged(self, store):
        rows = [
            {"operation_id": f"in-{at}", "operation_type": "read", "timestamp": MAY + at}
            for at in range(3)
        ]
        LineageMetadataRepository(store).insert_tables(
            {"operations": table_from_rows("operations", rows)}
        )
        assert verify_store(store).is_sound
        assert find_record(store, "in-1").head.kind == "seal"

    def test_what_is_not_sealed_is_told(self, store):
        (store / "_journal" / "products.known").write_bytes(b"who registers next reads it")
        assert not verify_store(store).notes
        repository = LineageMetadataRepository(store)
        repository.save_operation(operation(99))
        repository.journal.close()
        (note,) = verify_store(store).notes
        assert "bytes of the journal are not sealed" in note

    def test_who_has_not_the_key_appends_and_does_not_sign(self, tmp_path):
        store = audited(tmp_path / "store", signs=False)
        done = verify_store(store)
        assert done.is_sound
        assert done.checkpoint.size < done.size
        assert done.unsigned_since is not None

    def test_writers_at_once(self, store):
        code = (
            "import sys; from pathlib import Path; from tests.test_audit_store import write\n"
            "for at in range(5): write(Path(sys.argv[1]), range(at, at + 3), int(sys.argv[2]))"
        )
        root = Path(__file__).parents[1]
        running = [
            subprocess.Popen([sys.executable, "-c", code, str(store), str(day)], cwd=root)
            for day in (3, 4, 5)
        ]
        assert [each.wait(120) for each in running] == [0, 0, 0]
        done = verify_store(store)
        assert done.is_sound
        assert len(ids(store)) == 35 + 3 * 15

    def test_without_the_package_that_signs(self, store):
        with patch.dict(sys.modules, {"cryptography": None, "cryptography.exceptions": None}):
            write(store, range(30, 33))
        assert verify_store(store).is_sound

    def test_a_seal_that_is_not_logged_is_found(self, store, monkeypatch):
        """The control: the store goes on without its log."""
        monkeypatch.setattr(folder, "auditor_of", lambda _store: None)
        write(store, range(30, 33))
        monkeypatch.undo()
        assert ("edited", "_manifest/manifest.json") in found(store)
        assert "inserted" in [kind for kind, _ in found(store)]


VALUES = {
    "string": st.text(max_size=5),
    "json": st.sampled_from(["{}", '{"a": "é\\u0001"}', "[]", ""]),
    "int32": st.integers(0, 9),
    "int64": st.sampled_from([0, -1, 2**53 + 1]),
    "double": st.sampled_from([0.0, -0.0, 0.1, 1e300, 5e-324, float("nan"), float("inf")]),
    "time": st.integers(1, 2 * MAY),
}
VALUES["refs"] = st.lists(
    st.fixed_dictionaries(
        {"node_id": st.text(max_size=3)},
        optional={name: VALUES[word] for name, word in REF.items() if name != "node_id"},
    ),
    max_size=3,
)


def rows_of_kind(kind):
    """Rows with a first column, and any of the others or none."""
    (first, *_), words = TABLES[kind], TABLES[kind]
    others = {
        name: st.none() | VALUES[word] if word != "refs" else VALUES[word]
        for name, word in words.items()
        if name != first
    }
    return st.lists(
        st.fixed_dictionaries({first: st.text("abc", min_size=1)}, optional=others), max_size=4
    )


def plainly(kind, table):
    """Write rows as the page says, a dictionary at a time: slow, and plain to see."""
    names, refs = list(TABLES[kind]), sorted((name, at) for at, name in enumerate(REF))
    for row in rows_of(table):
        told = dict(sorted(zip(names, row, strict=True)))
        for name, word in TABLES[kind].items():
            if word == "refs":
                told[name] = [
                    {part: ref[at] for part, at in refs if ref[at] is not None}
                    for ref in told[name]
                ]
        kept = {name: value for name, value in told.items() if value is not None and value != []}
        yield msgspec.json.encode({kind: kept}), told["timestamp"] or 0, f"{kind} {row[0]}"


class TestRowsAsTheyAreLogged:
    @pytest.mark.parametrize("kind", TABLES)
    @given(data=st.data())
    @settings(max_examples=40, deadline=None)
    def test_any_row_is_written_as_it_would_be_plainly(self, kind, data):
        tables = [
            table_from_rows(kind, data.draw(rows_of_kind(kind))).slice(data.draw(st.integers(0, 2)))
            for _ in range(2)
        ]
        table = pa.concat_tables(tables)
        coded = pa.concat_tables([table.cast(coded_schema(kind))])
        expected = list(plainly(kind, table))
        assert [tuple(each) for each in records_of(kind, table)] == expected
        assert [tuple(each) for each in records_of(kind, coded)] == expected

    def test_the_text_of_a_row(self):
        (record,) = records_of("operations", table_from_rows("operations", [ROW]))
        assert record.data == (
            b'{"operations":{"duration_ms":0.5,"inputs":[{"node_id":"file:x","record_count":3,'
            b'"source_type":"file"}],"operation_id":"a","operation_type":"read",'
            b'"parameters":"{\\"b\\": 1}","timestamp":1777600000000000}}'
        )
        assert record[1:] == (MAY, "operations a")

    def test_it_is_the_same_by_any_way(self, store):
        rows = {
            record.data
            for part in read_manifest(manifest_path(store)).parts
            for record in part_records(store, part)
        }
        LineageMetadataRepository(store).compact()
        after = [
            record.data
            for part in read_manifest(manifest_path(store)).parts
            for record in part_records(store, part)
        ]
        assert set(after) == rows
        for text in after:
            ((_, row),) = json.loads(text).items()
            assert list(row) == sorted(row)
            assert None not in row.values()

    def test_a_proof_by_id(self, store):
        LineageMetadataRepository(store).compact()
        one = find_record(store, "op-0-7")
        proof = bytes(prove(LogFiles(store / "_audit"), one.head, one.leaf, one.record))
        told = verify_proof(proof, one.record.data, KEY.verifier)
        assert (told.kind, told.event_time) == ("seal", MAY + 7)
        with pytest.raises(AuditError, match="is not leaf"):
            verify_proof(proof, one.record.data.replace(b"op-0-7", b"op-0-8"), KEY.verifier)
        with pytest.raises(AuditError, match="nothing sealed has the id 'op-9'"):
            find_record(store, "op-9")


class TestSnapshotsAreLogged:
    @pytest.fixture
    def frozen(self, store):
        return Snapshots(store).create("flights", "daily")

    def test_each_is_a_record(self, store, frozen):
        Snapshots(store).create("flights", "daily")
        done = verify_store(store)
        assert done.is_sound
        assert done.unsigned_since is None
        assert kinds(store)[-2:] == ["snapshot", "snapshot"]
        one = find_record(store, frozen.id)
        proof = bytes(prove(LogFiles(store / "_audit"), one.head, one.leaf, one.record))
        assert verify_proof(proof, one.record.data, KEY.verifier).kind == "snapshot"

    def test_those_from_before_are_taken_over(self, tmp_path):
        store = tmp_path / "old"
        write(store, range(3))
        Snapshots(store).create("flights", "daily")
        begin_log(store, KEY, log_id=LOG_ID)
        assert verify_store(store).is_sound
        assert kinds(store) == ["init", "adoption", "snapshot"]

    def test_changes_of_one_are_found(self, store, frozen):
        (file,) = store.glob("_snapshots/*/0*.json")
        path, data = file.relative_to(store).as_posix(), file.read_bytes()
        file.write_bytes(data.replace(b"daily", b"dully"))
        assert found(store) == [("edited", path)]
        file.unlink()
        assert found(store) == [("deleted", path)]
        file.write_bytes(data)
        assert found(store) == []
        other = data.replace(b"daily", b"dully")
        name = f"00000002-{hashlib.sha256(other).hexdigest()}.json"
        file.with_name(name).write_bytes(other)
        assert found(store) == [("inserted", f"{path.rpartition('/')[0]}/{name}")]

    def test_one_that_a_crash_kept_from_the_log(self, store, frozen):
        with (
            patch.object(Ledger, "accept", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            Snapshots(store).create("flights", "daily")
        assert [kind for kind, _ in found(store)] == ["inserted"]
        Snapshots(store).create("flights", "daily")
        assert verify_store(store).is_sound
        assert kinds(store).count("snapshot") == 3


class TestAttestationsAreLogged:
    ENVELOPE = seal("text/plain", b"made of a", KEY)

    def test_each_is_a_record_once(self, store):
        known = keep(store, self.ENVELOPE)
        assert keep(store, self.ENVELOPE) == known
        assert keep(store, seal("text/plain", b"made of b", KEY)) != known
        assert verify_store(store).is_sound
        assert kinds(store)[-2:] == ["attestation", "attestation"]
        AuditLog(store / "_audit").checkpoint(KEY)
        one = find_record(store, known)
        proof = bytes(prove(LogFiles(store / "_audit"), one.head, one.leaf, one.record))
        assert verify_proof(proof, self.ENVELOPE, KEY.verifier).kind == "attestation"
        assert unseal(one.record.data, "text/plain", KEY.verifier) == b"made of a"

    def test_changes_of_one_are_found(self, store):
        path = f"_attestations/{keep(store, self.ENVELOPE)}.json"
        file = store / path
        file.write_bytes(self.ENVELOPE.replace(b"text", b"test"))
        assert found(store) == [("edited", path)]
        file.unlink()
        assert found(store) == [("deleted", path)]
        file.write_bytes(self.ENVELOPE)
        assert found(store) == []
        file.with_name("another.json").write_bytes(self.ENVELOPE)
        assert found(store) == [("inserted", "_attestations/another.json")]

    def test_a_crash_at_each_step(self, store):
        """What was not given out is no finding, or is one until the same is attested again."""
        states = []
        for where in ("make_folder", "write_durably", "locked", "auditor_of"):
            target = f"lineage.audit.attestations.{where}"
            with patch(target, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
                keep(store, self.ENVELOPE)
            states.append(found(store))
        for where in ("append", "_append"):
            with (
                patch.object(AuditLog, where, side_effect=KeyboardInterrupt),
                pytest.raises(KeyboardInterrupt),
            ):
                keep(store, self.ENVELOPE)
            states.append([kind for kind, _ in found(store)])
        assert states == [[], [], [], [], ["inserted"], ["inserted"]]
        (store / "_attestations/.x.json.1a2b").write_bytes(b"half")  # of one that was killed
        keep(store, self.ENVELOPE)
        assert found(store) == []
        assert len(os.listdir(store / "_attestations")) == 1

    def test_what_the_log_does_not_take_is_not_kept(self, store, tmp_path):
        heads = store / "_audit/heads"
        heads.write_bytes(heads.read_bytes()[:-20])
        (store / "_audit/hashes-0").write_bytes(b"")
        with pytest.raises(AuditError, match="is not given out"):
            keep(store, self.ENVELOPE)
        assert not os.listdir(store / "_attestations")
        with pytest.raises(AuditError, match="lineage audit init"):
            keep(tmp_path, self.ENVELOPE)

    def test_those_from_before_are_taken_over(self, store):
        keep(store, self.ENVELOPE)
        shutil.rmtree(store / "_audit")
        begin_log(store, KEY, log_id=LOG_ID)
        assert verify_store(store).is_sound
        assert kinds(store) == ["init", "adoption", "attestation"]


def rewrite(store, part, change):
    """Write a part anew, with its footer, as one with all rights does; the manifest agrees."""
    file = store / part.path
    footer = pq.read_metadata(file).metadata
    table = change(pq.read_table(file))
    with pq.ParquetWriter(file, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(footer)
    manifest = read_manifest(manifest_path(store))
    data = file.read_bytes()
    new = msgspec.structs.replace(
        part, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), rows=table.num_rows
    )
    others = [each for each in manifest.parts if each.path != part.path]
    write_manifest(store, msgspec.structs.replace(manifest, parts=(*others, new)))
    LineageMetadataRepository(store).check()  # the store itself sees nothing
    return new


def with_row(table, at, **values):
    rows = table.to_pylist()
    rows[at] |= values
    return pa.Table.from_pylist(rows, schema=table.schema)


class TestAttacksOnTheStore:
    def rewritten(self, store, change):
        part = next(part for part in parts_of(store) if part.rows == 5 and part.date > "2026-05-01")
        rewrite(store, part, change)
        return verify_store(store).findings

    def test_an_edited_value_is_named(self, store):
        LineageMetadataRepository(store).close()
        found = self.rewritten(store, lambda table: with_row(table, 2, user_info="me"))
        rows = [each for each in found if each.where.startswith("leaf")]
        assert [each.kind for each in rows] == ["edited"]
        assert "operations op-1-7" in rows[0].where

    def test_a_row_that_was_taken_out(self, store):
        found = self.rewritten(store, lambda table: table.slice(1))
        assert "deleted" in [each.kind for each in found]

    def test_a_row_that_was_put_in(self, store):
        def twice(table):
            return pa.concat_tables([table, with_row(table, 0, operation_id="new").slice(0, 1)])

        found = self.rewritten(store, twice)
        assert ("inserted", "record operations new") in [each[:2] for each in found]

    def test_a_time_that_was_changed(self, store):
        earlier = datetime.fromtimestamp((MAY + DAY) / 1e6, UTC)
        found = self.rewritten(store, lambda table: with_row(table, 0, timestamp=earlier))
        assert "edited" in [each.kind for each in found if "operations" in each.where]

    def test_rows_that_changed_places(self, store):
        found = self.rewritten(store, lambda table: table.take([1, 0, 2, 3, 4]))
        assert "reordered" in [each.kind for each in found]

    def test_a_part_that_is_gone(self, store):
        part = parts_of(store)[0]
        (store / part.path).unlink()
        assert ("deleted", part.path) in found(store)
        manifest = read_manifest(manifest_path(store))
        kept = tuple(each for each in manifest.parts if each.path != part.path)
        write_manifest(store, msgspec.structs.replace(manifest, parts=kept))
        assert {("deleted", part.path), ("edited", "_manifest/manifest.json")} <= {*found(store)}

    def test_a_part_beside_the_others(self, store):
        part = parts_of(store)[0]
        other = (store / part.path).with_name("part-more.parquet")
        shutil.copy(store / part.path, other)
        assert found(store) == [("inserted", other.relative_to(store).as_posix())]

    def test_a_part_in_the_manifest(self, store):
        part = parts_of(store)[0]
        other = part.path.replace("part-", "part-0")
        shutil.copy(store / part.path, store / other)
        manifest = read_manifest(manifest_path(store))
        more = (*manifest.parts, msgspec.structs.replace(part, path=other))
        write_manifest(store, msgspec.structs.replace(manifest, parts=more))
        assert ("inserted", other) in found(store)
        write(store, range(30, 33))  # who seals now does not make it good
        assert ("inserted", other) in found(store)
        assert any(
            "had been changed without the log" in each[2] for each in verify_store(store).findings
        )

    def test_the_counts_of_what_was_lost(self, store):
        manifest = read_manifest(manifest_path(store))
        write_manifest(store, msgspec.structs.replace(manifest, lost={"x": 0}))
        assert found(store) == [("edited", "_manifest/manifest.json")]

    def test_a_compaction_that_changes_a_row(self, store):
        """Anybody who can write can append; not what they like."""
        real = scan_part

        def changed(*arguments, **options):
            for table in real(*arguments, **options):
                yield (
                    with_row(table, 0, status="failed") if "status" in table.schema.names else table
                )

        with patch("lineage.stores.compaction.scan_part", changed):
            LineageMetadataRepository(store).compact()
        assert "edited" in [kind for kind, _ in found(store)]

    def test_a_compaction_that_leaves_a_row_out(self, store):
        with patch("lineage.stores.compaction.scan_part") as reader:
            reader.side_effect = lambda *a, **o: (t.slice(1) for t in scan_part(*a, **o))
            LineageMetadataRepository(store).compact()
        assert "edited" in [kind for kind, _ in found(store)]

    def test_what_spares_readers_work(self, store):
        repository = LineageMetadataRepository(store)
        with patch("lineage.stores.gathering.WORTH_ROWS", 1):
            repository.keep_up()
        assert memo.memo_path(store).exists()
        assert verify_store(store).is_sound
        parts = [
            each
            for each in read_manifest(manifest_path(store)).parts
            if each.kind in ("nodes", "relationships")
        ]
        kept = memo.load(store, parts)
        names = pa.array([f"x{name}" for name in kept.distinct.names.to_pylist()])
        memo.save(store, kept._replace(distinct=kept.distinct._replace(names=names)))
        assert found(store) == [("edited", "_manifest/distinct.bin")]


def changed_bytes(store):
    """Change a part, and give its path."""
    part = parts_of(store)[0]
    data = (store / part.path).read_bytes()
    (store / part.path).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    return part.path


def part_gone(store):
    part = parts_of(store)[0]
    (store / part.path).unlink()
    return part.path


def part_put_in(store):
    part = parts_of(store)[0]
    other = (store / part.path).with_name("part-more.parquet")
    shutil.copy(store / part.path, other)
    return other.relative_to(store).as_posix()


def manifest_changed(store):
    manifest = read_manifest(manifest_path(store))
    write_manifest(store, msgspec.structs.replace(manifest, lost={"x": 0}))
    return "_manifest/manifest.json"


def row_changed(store):
    return rewrite(store, parts_of(store)[0], lambda t: with_row(t, 0, user_info="me")).path


def snapshot_changed(store):
    (file,) = store.glob("_snapshots/*/0*.json")
    file.write_bytes(file.read_bytes().replace(b"daily", b"dully"))
    return file.relative_to(store).as_posix()


CHANGES = [changed_bytes, part_gone, part_put_in, manifest_changed, row_changed, snapshot_changed]


def audit(store, *arguments):
    return CliRunner().invoke(app, ["--store", str(store), "audit", *arguments])


class TestBeforeItIsSigned:
    """`checkpoint` and `rotate` look at every file; that they are not slow is that they stop there.

    Each change is made behind the log, which itself stays sound.
    """

    @pytest.fixture
    def whole(self, store):
        Snapshots(store).create("flights", "daily")
        LineageMetadataRepository(store).compact()
        return store

    @pytest.mark.parametrize("command", ["checkpoint", "rotate"])
    def test_what_is_whole_is_signed(self, whole, command):
        done = audit(whole, command)
        assert done.exit_code == 0, done.output
        assert verify_store(whole, rows=False).records is None

    @pytest.mark.parametrize("change", CHANGES)
    def test_nothing_is_signed_on_what_was_changed(self, whole, change):
        LineageMetadataRepository(whole).save_operation(operation(60))
        with patch.object(Ledger, "sign"):
            LineageMetadataRepository(whole).seal()  # so that there is something to sign
        where = change(whole)
        keys = sorted(key_path(LOG_ID).parent.iterdir())
        before = (whole / "_audit/checkpoint").read_bytes()
        for command in ("checkpoint", "rotate"):
            done = audit(whole, command)
            assert done.exit_code == 1, done.output
            assert where in "".join(done.stdout.split())
            assert "nothing is signed that does not verify" in done.stderr
        assert (whole / "_audit/checkpoint").read_bytes() == before
        assert sorted(key_path(LOG_ID).parent.iterdir()) == keys
        with patch("lineage.audit.auditing.verify_store", _only_the_log):  # the control
            assert audit(whole, "checkpoint").exit_code == 0
        assert (whole / "_audit/checkpoint").read_bytes() != before

    def test_what_it_does_not_look_at_is_found_by_verify(self, store):
        """Who can write merges parts, changes a row, and says that it is the leaf that it was."""

        def changed(*arguments, **options):
            for table in scan_part(*arguments, **options):
                yield (
                    with_row(table, 0, status="failed") if "status" in table.schema.names else table
                )

        def alike(record):
            return record.data.replace(b'"failed"', b'"success"')

        with (
            patch("lineage.stores.compaction.scan_part", changed),
            patch("lineage.audit.ledger._digest", alike),
        ):
            LineageMetadataRepository(store).compact()
        assert audit(store, "checkpoint").exit_code == 0
        assert "edited" in [kind for kind, _ in found(store)]

    def test_bits_that_are_flipped_in_a_part(self, whole):
        chosen, files = random.Random(3), [*whole.glob("lineage_*/**/*.parquet")]
        for _ in range(200):
            file = chosen.choice(files)
            data = file.read_bytes()
            bit = chosen.randrange(8 * len(data))
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(changed)
            assert not verify_store(whole, rows=False).is_sound
            file.write_bytes(data)
        assert verify_store(whole, rows=False).is_sound
        print("200 flipped bits in parts, all found by digests alone")


def _only_the_log(store, *, rows, **options):
    assert not rows
    return verify_log(store / "_audit", **options)


class TestFaults:
    @pytest.mark.parametrize("job", ["seal", "compact", "clean"])
    def test_a_crash_at_each_step(self, tmp_path, job):
        class CrashError(BaseException):
            pass

        def crash(name):
            nonlocal left
            left -= 1
            if left < 0:
                raise CrashError(name)

        whole = audited(tmp_path / "whole")
        repository = LineageMetadataRepository(whole)
        for number in range(50, 53):
            repository.save_operation(operation(number))
        repository.journal.close()
        known, steps, at = ids(whole), [], 0
        while True:
            store = tmp_path / "store"
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(whole, store)
            left = at
            try:
                _do(job, store, crash)
            except CrashError as error:
                steps.append(str(error))
            else:
                break
            LineageMetadataRepository(store).seal()
            done = verify_store(store)
            assert done.is_sound, (steps[-1], done.findings)
            assert {*ids(store)} >= {each for each in known if each.startswith("op-1")}
            if job != "clean":
                assert ids(store) == known, steps[-1]
            at += 1
        assert {"audit", "commit"} <= {*steps}
        print(f"{job}: {len(steps)} steps")

    def test_what_is_not_finished_is_said_to_be(self, store):
        def crash(name):
            if name == "commit":
                raise KeyboardInterrupt

        LineageMetadataRepository(store).save_operation(operation(60))
        with pytest.raises(KeyboardInterrupt):
            seal_store(store, step=crash)
        assert ("unfinished", "_manifest/next.json") in found(store)
        LineageMetadataRepository(store).seal()
        assert verify_store(store).is_sound
        assert kinds(store).count("seal") == 7

    def test_a_lost_manifest_is_made_again(self, store):
        manifest_path(store).unlink()
        write(store, range(60, 63))
        done = verify_store(store)
        assert done.is_sound
        assert any("was lost and made again" in note for note in done.notes)

    def test_a_damaged_log_stops_no_seal(self, store, caplog):
        heads = store / "_audit/heads"
        heads.write_bytes(heads.read_bytes()[:-20])
        (store / "_audit/hashes-0").write_bytes(b"")
        with caplog.at_level(logging.WARNING, "lineage"):
            write(store, range(60, 63))
        assert "its log cannot tell so" in caplog.text
        assert "op-0-60" in ids(store)
        assert not verify_store(store).is_sound

    def test_a_log_that_cannot_be_written_stops_it(self, store):
        with (
            patch("lineage.audit.log._write", side_effect=OSError(28, "No space left on device")),
            pytest.raises(StoreError, match="No space left"),
        ):
            write(store, range(60, 63))
        assert "op-0-60" in ids(store)  # in the journal
        LineageMetadataRepository(store).seal()
        assert verify_store(store).is_sound

    def test_flipped_bits(self, store, tmp_path):
        Snapshots(store).create("flights", "daily")
        keep(store, seal("text/plain", b"made of a", KEY))
        LineageMetadataRepository(store).compact()
        with patch("lineage.stores.gathering.WORTH_ROWS", 1):
            LineageMetadataRepository(store).keep_up()
        shutil.rmtree(store / "_removed")
        assert verify_store(store).is_sound
        files = [file for file in store.rglob("*") if file.is_file() and file.stat().st_size]
        chosen = random.Random(7)
        flips = 10_000 if os.environ.get("FAULTS") == "full" else 150
        silent = []
        for _ in range(flips):
            file = chosen.choice(files)
            data = file.read_bytes()
            bit = chosen.randrange(8 * len(data))
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(changed)
            if verify_store(store).is_sound:
                silent.append((file.name, bit))
            file.write_bytes(data)
        assert verify_store(store).is_sound
        print(f"{flips} flipped bits, {len(silent)} silent")
        assert silent == []


def _do(job, store, step):
    if job == "seal":
        seal_store(store, step=step)
    elif job == "compact":
        compact_store(store, step=step)
    else:
        with patch("lineage.stores.retention.no_step", step):
            now = datetime.fromtimestamp((MAY + 2 * DAY) / 1e6, UTC)
            LineageMetadataRepository(store).cleanup(24, now=now)


class TestTrailsAreLogged:
    @pytest.fixture
    def place(self, store, tmp_path):
        place = Place(tmp_path / "trail")
        for number in range(3):
            with GitTrail(place.repo, place.data, audit=store):
                (place.data / f"{number}.csv").write_text(str(number))
        return place

    def test_each_record_is_a_leaf(self, store, place):
        done = verify_store(store)
        assert done.is_sound
        heads = map(Head.parse, LogFiles(store / "_audit").lines())
        assert [head.count for head in heads if head.kind == "trail"] == [2, 1, 1, 1, 1, 1]

    def test_what_a_session_without_the_log_wrote_is_taken_by_the_next(self, store, place):
        with GitTrail(place.repo, place.data):
            pass
        with GitTrail(place.repo, place.data, audit=store):
            pass
        assert len(lines_of(place.data / "gittrail/records")) == 11
        heads = map(Head.parse, LogFiles(store / "_audit").lines())
        assert sum(head.count for head in heads if head.kind == "trail") == 11
        assert verify_store(store).is_sound

    def test_a_trail_that_was_written_anew_is_found(self, store, place):
        """With digests that fit: by itself it is as sound as the first."""
        file = place.data / "gittrail/records"
        records = Chain(file).read()
        file.unlink()
        chain = Chain(file)
        for record in records:
            chain.append(record | ({"branch": "other"} if record.get("session") == 1 else {}))
        assert len(Chain(file).read()) == len(records)
        assert {kind for kind, _ in found(store)} == {"edited"}

    def test_an_end_that_was_cut_off_is_found(self, store, place, caplog):
        file = place.data / "gittrail/records"
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-2]))
        assert [kind for kind, _ in found(store)] == ["deleted", "deleted"]
        (place.data / "2.csv").unlink()
        (place.data / "gittrail/0002.log").unlink()
        with (
            caplog.at_level(logging.WARNING, "lineage"),
            GitTrail(place.repo, place.data, audit=store),
        ):
            pass
        assert "the audit log did not take" in caplog.text
        assert {kind for kind, _ in found(store)} == {"edited"}

    def test_one_that_is_not_here(self, store, place):
        shutil.rmtree(place.data)
        done = verify_store(store)
        assert done.is_sound
        assert any("7 records of the trail" in note for note in done.notes)

    def test_a_store_without_a_log(self, tmp_path, place):
        with pytest.raises(AuditError, match="has no log to take a trail"):
            GitTrail(place.repo, place.data, audit=tmp_path)

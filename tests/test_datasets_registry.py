"""The registry of datasets and models: one contract, on every database and every kind of place."""

import hashlib
import importlib
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

import lineage.datasets
import lineage.server.tables
from lineage.datasets import leases, migrating, objects, place, uploads
from lineage.datasets.registry import Registry
from lineage.datasets.tables import contents, metadata, versions
from lineage.datasets.values import Artefact, Draft, Expected
from lineage.errors import (
    ChecksumError,
    CorruptStoreError,
    DraftError,
    IdempotencyError,
    MissingDependencyError,
    OffsetError,
    StoreError,
    UnknownArtefactError,
    UnknownUploadError,
    UnknownVersionError,
    VersionConflictError,
)

LATER = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "sqlite and s3"])
def where(request, tmp_path):
    """Give the arguments of a new registry of each kind."""
    if request.param == "sqlite and s3":
        return str(tmp_path / "registry"), request.getfixturevalue("bucket")
    if request.param == "sqlite":
        return str(tmp_path / "registry"), None
    server = request.getfixturevalue(request.param)
    return server.new_database(), str(tmp_path / "bytes")


@pytest.fixture
def registry(where):
    return Registry(*where)


@pytest.fixture
def local(tmp_path):
    return Registry(str(tmp_path / "registry"))


def save(registry, name="rows", version="1.0.0", content=b"a,b\n1,2\n", **options):
    upload = registry.stage(f"{name}.csv", [content], media_type="text/csv")
    key = options.pop("idempotency_key", None)
    draft = Draft(name, version, artefacts={"rows": upload}, **options)
    return registry.commit("dataset", draft, idempotency_key=key)


def bytes_of(registry, version, key="rows"):
    return b"".join(registry.read(version.artefacts[key]))


def same(one, other):
    """Say whether two uploads are one, whenever their lease ends."""
    return replace(one, expires_at=other.expires_at) == other


def kept(registry):
    """Give the keys of all bytes that are there."""
    inner = registry._place
    return inner.objects.keys(inner.staging) + inner.objects.keys(inner.contents)


# --- what is saved -------------------------------------------------------------------------------


def test_a_version_comes_back_as_it_was_saved(registry, where):
    content = bytes(range(256)) * 5000
    data = registry.stage("data/rows.bin", [content[:7], content[7:]])
    text = registry.stage(
        "read me.txt", ["Grüße\n".encode()], media_type="text/plain; charset=utf-8"
    )
    tree = {"owner": "Zoë 🦉", "limits": [1, 2.5, None, True], "nul": "\0"}
    draft = Draft("a/b", "1.0", "what it is\n", None, tree, {"rows": data, "läs": text})
    saved = registry.commit("dataset", draft, creator="ann")
    other = Registry(*where)
    assert other.get("dataset", saved.id) == other.find("dataset", "a/b", "1.0") == saved
    assert (saved.name, saved.version, saved.kind, saved.creator) == (
        "a/b",
        "1.0",
        "dataset",
        "ann",
    )
    assert saved.metadata == tree
    assert list(saved.artefacts) == ["rows", "läs"]
    sha256 = hashlib.sha256(content).hexdigest()
    octets = "application/octet-stream"
    assert saved.artefacts["rows"] == Artefact("rows", "data/rows.bin", octets, 1_280_000, sha256)
    assert bytes_of(other, saved) == content
    assert bytes_of(other, saved, "läs").decode() == "Grüße\n"
    assert abs(saved.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert registry.verify() == []


def test_a_part_of_the_bytes(registry):
    content = bytes(range(256)) * 40_000  # more than one range of a bucket
    one = save(registry, content=content).artefacts["rows"]
    for start, length in [(0, 5), (3, 0), (9_000_000, None), (8_388_600, 20), (5, 99_999_999)]:
        end = None if length is None else start + length
        assert b"".join(registry.read(one, start=start, length=length)) == content[start:end]
    assert b"".join(registry.read(one, start=99_999_999)) == b""
    with pytest.raises(DraftError, match="must not be negative"):
        registry.read(one, start=-1)


def test_nothing_is_content_too(registry):
    saved = save(registry, content=b"")
    assert bytes_of(registry, saved) == b""
    assert saved.artefacts["rows"].sha256 == hashlib.sha256(b"").hexdigest()
    assert registry.verify() == []


def test_the_same_content_is_kept_once_and_moves_no_byte_for_another_version(registry):
    first = save(registry)
    draft = Draft("rows", "1.0.1", parent=first.id, artefacts={"again": first.artefacts["rows"]})
    second = registry.commit("dataset", draft)
    save(registry, version="1.0.2", parent=second.id)
    assert bytes_of(registry, second, "again") == b"a,b\n1,2\n"
    assert second.parent == first.id
    assert len(kept(registry)) == 1


def test_a_version_that_exists_is_not_saved_again(registry):
    first = save(registry)
    with pytest.raises(VersionConflictError, match=r"has the version '1\.0\.0' already"):
        save(registry, content=b"other")
    assert bytes_of(registry, registry.find("dataset", "rows", "1.0.0")) == b"a,b\n1,2\n"
    model = registry.commit("model", Draft("rows", "1.0.0"))  # a name of its own
    assert model.id != first.id
    with pytest.raises(UnknownVersionError):
        registry.get("dataset", model.id)
    with pytest.raises(VersionConflictError):
        registry.commit("model", Draft("rows", "1.0.0"))


@pytest.mark.parametrize("pair", [("Rows", "rows"), ("rows", "röws"), ("a", "ä"), ("ss", "ß")])
def test_names_are_compared_letter_by_letter(registry, pair):
    for name in pair:
        registry.commit("dataset", Draft(name, "1"))
    assert [registry.find("dataset", name, "1").name for name in pair] == list(pair)


def test_an_idempotent_retry_gets_the_first_answer(registry):
    upload = registry.stage("rows.csv", [b"1"])
    draft = Draft("rows", "1", artefacts={"rows": upload.id})
    first = registry.commit("dataset", draft, idempotency_key="one")
    assert registry.commit("dataset", draft, idempotency_key="one") == first
    with pytest.raises(IdempotencyError, match="used to save something else"):
        registry.commit("dataset", Draft("rows", "2"), idempotency_key="one")
    with pytest.raises(VersionConflictError):
        registry.commit("dataset", draft, idempotency_key="two")
    staged_again = [save(registry, version="3", idempotency_key="three").id for _ in range(2)]
    assert len(set(staged_again)) == 1


def test_an_answer_is_forgotten_after_a_month(local):
    first = save(local, idempotency_key="one")
    local.collect_garbage(datetime.now(UTC) + timedelta(days=29))
    assert save(local, idempotency_key="one") == first
    local.collect_garbage(datetime.now(UTC) + timedelta(days=31))
    with pytest.raises(VersionConflictError):
        save(local, idempotency_key="one")


def test_parents_are_versions_of_the_same_tenant_and_kind(registry, where):
    model = registry.commit("model", Draft("m", "1"))
    foreign = save(Registry(*where, tenant="other"))
    deleted = save(registry, "gone")
    registry.delete("dataset", deleted.id)
    for parent in (model.id, foreign.id, deleted.id, "nobody", "\0"):
        with pytest.raises(DraftError, match="parent is no dataset that is here"):
            registry.commit("dataset", Draft("child", "1", parent=parent))
    assert registry.versions("dataset").items == []


# --- tenants -------------------------------------------------------------------------------------


def test_a_tenant_sees_nothing_of_another(registry, where):
    mine, other = save(registry, idempotency_key="k"), Registry(*where, tenant="other")
    theirs = save(other, idempotency_key="k", content=b"theirs")
    assert theirs.id != mine.id
    assert other.versions("dataset").items == [theirs]
    for ask in (
        lambda: other.get("dataset", mine.id),
        lambda: other.delete("dataset", mine.id),
    ):
        with pytest.raises(UnknownVersionError):
            ask()
    artefact = mine.artefacts["rows"]
    with pytest.raises(UnknownArtefactError):
        other.read(artefact)
    with pytest.raises(UnknownArtefactError):
        other.commit("dataset", Draft("stolen", "1", artefacts={"rows": artefact}))
    upload = registry.stage("x", [b"x"])
    for ask in (other.lease, other.finish, lambda each: other.append(each, 0, [b"x"])):
        with pytest.raises(UnknownUploadError):
            ask(upload.id)
    other.abandon(upload.id)
    other.collect_garbage(LATER)
    with pytest.raises(UnknownUploadError):
        other.commit("dataset", Draft("stolen", "1", artefacts={"x": upload.id}))
    registry.commit("dataset", Draft("kept", "1", artefacts={"x": upload}))
    assert registry.verify() == other.verify() == []


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "A", "é", "a" * 64, "a\0", "-a"])
def test_a_tenant_is_part_of_a_path_and_so_has_few_letters(tmp_path, tenant):
    with pytest.raises(DraftError, match="tenant must be"):
        Registry(str(tmp_path), tenant=tenant)


# --- lists ---------------------------------------------------------------------------------------


def test_lists_come_in_pages(registry):
    made = [registry.commit("dataset", Draft(f"n{n % 2}", str(n))).id for n in range(7)]
    registry.commit("model", Draft("n0", "0"))
    for order, wanted in (("oldest", made), ("newest", made[::-1])):
        found, after = [], None
        while True:
            page = registry.versions("dataset", after=after, limit=3, order=order)
            found += [each.id for each in page.items]
            after = page.after
            if after is None:
                break
        assert found == wanted
    odd = registry.versions("dataset", name="n1").items
    assert [each.id for each in odd] == made[1::2]
    child = registry.commit("dataset", Draft("child", "1", parent=made[0]))
    assert registry.versions("dataset", parent=made[0]).items == [child]
    assert registry.versions("dataset", name="'; DROP TABLE x; --").items == []


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1001}, {"order": "any"}, {"after": "x"}, {"after": "٣.a"}]
)
def test_a_list_that_cannot_be(local, options):
    with pytest.raises(DraftError, match=next(iter(options))):
        local.versions("dataset", **options)
    with pytest.raises(DraftError, match="kind must be one of dataset, model"):
        local.versions("table")


# --- deletion ------------------------------------------------------------------------------------


def test_a_deleted_version_is_gone_and_its_name_stays_taken(registry):
    first = save(registry)
    child = save(registry, version="2", content=b"2", parent=first.id)
    registry.delete("dataset", first.id)
    for ask in (registry.get, registry.delete):
        with pytest.raises(UnknownVersionError, match="or it was deleted"):
            ask("dataset", first.id)
    with pytest.raises(UnknownVersionError):
        registry.find("dataset", "rows", "1.0.0")
    with pytest.raises(VersionConflictError, match="had, before it was deleted"):
        save(registry)
    assert registry.versions("dataset").items == [child]
    assert registry.verify() == []


def test_garbage_is_what_no_version_has(registry):
    first = save(registry)
    save(registry, version="2")
    third = save(registry, version="3", content=b"3")
    assert registry.collect_garbage(LATER).contents == 0
    registry.delete("dataset", first.id)
    registry.delete("dataset", third.id)
    collected = registry.collect_garbage()
    assert (collected.contents, collected.size_bytes) == (1, 1)
    assert len(kept(registry)) == 1
    with pytest.raises(UnknownArtefactError, match="not here"):
        registry.read(third.artefacts["rows"])
    with pytest.raises(UnknownArtefactError, match=r"upload 'rows\.csv' again"):
        registry.commit("dataset", Draft("rows", "4", artefacts=third.artefacts))
    saved = save(registry, version="5", content=b"3")
    assert bytes_of(registry, saved) == b"3"
    assert registry.verify() == []


def test_uploads_are_collected_when_their_lease_has_ended(registry):
    waiting = registry.stage("a", [b"a"])
    begun = registry.begin("b")
    registry.append(begun.id, 0, [b"bb"])
    assert registry.collect_garbage().uploads == 0
    assert registry.collect_garbage(LATER).uploads == 2
    assert kept(registry) == []
    with pytest.raises(UnknownUploadError, match="upload the bytes again"):
        registry.commit("dataset", Draft("n", "1", artefacts={"a": waiting}))
    with pytest.raises(UnknownUploadError):
        registry.append(begun.id, 2, [b"b"])
    assert registry.versions("dataset").items == []


def test_what_no_row_knows_is_swept(registry):
    save(registry)
    upload, inner = registry.stage("kept", [b"kept"]), registry._place
    stray = [inner.staged("nobody", "1"), inner.content("ab" * 32, "1")]
    for key in stray:
        inner.objects.write(key, [b"stray"])
    collected = registry.collect_garbage()
    assert (collected.objects, collected.size_bytes) == (2, 10)
    assert not set(kept(registry)) & set(stray)
    assert same(registry.finish(upload.id), upload)
    assert registry.verify() == []


# --- uploads -------------------------------------------------------------------------------------


def cut_off(*chunks):
    yield from chunks
    raise ConnectionError("the line is dead")


def test_an_upload_that_was_cut_off_goes_on(registry):
    lease = registry.begin("big.bin", media_type="application/x-big")
    assert lease.offset == 0
    with pytest.raises(ConnectionError):
        registry.append(lease.id, 0, cut_off(b"abc", b"de"))
    assert registry.lease(lease.id).offset == 5
    for wrong in (0, 4, 6):
        with pytest.raises(OffsetError, match=f"goes on at byte 5, not at {wrong}") as error:
            registry.append(lease.id, wrong, [b"xx"])
        assert error.value.offset == 5
    with pytest.raises(ConnectionError):
        registry.append(lease.id, 5, cut_off())
    registry.append(lease.id, 5, [b"", b"fg"])
    upload = registry.finish(lease.id)
    assert (upload.size, upload.filename, upload.media_type) == (7, "big.bin", "application/x-big")
    assert upload.sha256 == hashlib.sha256(b"abcdefg").hexdigest()
    assert same(registry.finish(lease.id), upload)
    with pytest.raises(UnknownUploadError, match="takes no more bytes"):
        registry.append(lease.id, 7, [b"h"])
    saved = registry.commit("dataset", Draft("n", "1", artefacts={"rows": upload}))
    assert bytes_of(registry, saved) == b"abcdefg"
    assert len(kept(registry)) == 1


def test_two_who_append_at_once_do_not_mix_their_bytes(registry):
    lease = registry.begin("raced")
    other_has_written = threading.Event()

    def slow():
        yield b"aaaa"
        other_has_written.wait(30)
        yield b"aaaa"

    with ThreadPoolExecutor(1) as pool:
        slow_one = pool.submit(registry.append, lease.id, 0, slow())
        registry.append(lease.id, 0, [b"bb"])
        other_has_written.set()
        with pytest.raises(OffsetError):
            slow_one.result()
    upload = registry.finish(lease.id)
    saved = registry.commit("dataset", Draft("n", "1", artefacts={"rows": upload}))
    assert bytes_of(registry, saved) == b"bb"
    assert len(kept(registry)) == 1


def test_what_is_not_as_expected_is_not_kept(registry):
    right = hashlib.sha256(b"abc").hexdigest()
    registry.stage("x", [b"abc"], expected=Expected(3, right.upper()))
    for expected, said in (
        (Expected(size=4), "has 3 bytes, not 4"),
        (Expected(sha256="0" * 64), f"has the SHA-256 {right}, not '0"),
    ):
        before = kept(registry)
        with pytest.raises(ChecksumError, match=said):
            registry.stage("x", [b"abc"], expected=expected)
        assert kept(registry) == before


def test_nothing_is_kept_of_bytes_that_did_not_come_to_their_end(registry):
    with pytest.raises(ConnectionError):
        registry.stage("x", cut_off(b"abc"))
    assert kept(registry) == []
    lease = registry.begin("x")
    registry.append(lease.id, 0, [b"1"])
    registry.append(lease.id, 1, [b"2"])
    registry.abandon(lease.id)
    registry.abandon(lease.id)
    assert kept(registry) == []


def test_an_upload_that_is_not_finished_is_of_no_version(registry):
    lease = registry.begin("x")
    with pytest.raises(UnknownUploadError, match="not finished"):
        registry.commit("dataset", Draft("n", "1", artefacts={"x": lease.id}))


def test_a_lease_is_renewed_while_bytes_come(local, monkeypatch):
    hours = iter(range(1000))
    start = place.now_us()
    for module in (leases, uploads):
        monkeypatch.setattr(module, "now_us", lambda: start + next(hours) * 3_600_000_000)
    upload = local.stage("slow", (b"x" for _ in range(50)))
    assert upload.expires_at - datetime.now(UTC) > timedelta(hours=60)


def test_parts_that_were_changed_under_us_are_told(local, tmp_path):
    lease = local.begin("x")
    local.append(lease.id, 0, [b"1"])
    local.append(lease.id, 1, [b"2"])
    next((tmp_path / "registry/staging/default").iterdir()).unlink()
    with pytest.raises(ChecksumError, match="has 1 bytes where 2 had come"):
        local.finish(lease.id)


# --- names ---------------------------------------------------------------------------------------

BAD_NAMES = ["", "a\0b", "a\nb", " a", "a ", "e\u0301", "\ud800", "a\u202eb", "x" * 201, 7, "\x7f"]


def try_name(registry, field, bad):
    if field == "filename":
        registry.stage(bad * 2 if bad == "x" * 201 else bad, [b""])
    elif field == "key":
        upload = registry.stage("x", [b""])
        registry.commit("dataset", Draft("n", "1", artefacts={bad: upload}))
    else:
        registry.commit("dataset", Draft(**{"name": "n", "version": "1"} | {field: bad}))


@pytest.mark.parametrize("bad", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("field", ["name", "version", "key", "filename"])
def test_names_that_are_not_taken(local, field, bad):
    with pytest.raises(DraftError) as error:
        try_name(local, field, bad)
    assert len(error.value.fields) == 1
    assert next(iter(error.value.fields)).startswith("artefacts[" if field == "key" else field)
    assert "\0" not in str(error.value)


@pytest.mark.parametrize("bad", ["/etc/passwd", "../x", "a/../b", "a//b", "a/", "..", ".", "a\\b"])
def test_the_name_of_a_file_never_leaves_a_folder(local, bad):
    with pytest.raises(DraftError, match="filename must be a relative path"):
        local.stage(bad, [b""])
    one = save(local).artefacts["rows"]
    worse = Artefact("x", bad, one.media_type, one.size, one.sha256)
    with pytest.raises(DraftError, match="must be a relative path"):
        local.commit("dataset", Draft("n", "1", artefacts={"x": worse}))


@pytest.mark.parametrize(
    ("field", "bad", "said"),
    [
        ("description", "a\0", "description must have neither NUL"),
        ("description", "\ud800", "description must have neither NUL"),
        ("description", "x" * 65_537, "at most 65536 characters"),
        ("description", 1, "must be a text"),
        ("metadata", {"a": object()}, "metadata must have a form in JSON"),
        ("metadata", {"a": float("nan")}, "metadata must have a form in JSON"),
        ("metadata", {"a": "x" * (1 << 20)}, "at most 1048576 bytes"),
        ("artefacts", {"x": b"bytes"}, "must be an upload, its id or an artefact, not bytes"),
        ("metadata", 5, "metadata must have a form in JSON"),
        ("artefacts", {str(n): "x" for n in range(10_001)}, "at most 10000, not 10001"),
    ],
    ids=range(10),
)
def test_what_else_is_not_taken(local, field, bad, said):
    with pytest.raises(DraftError, match=said):
        local.commit("dataset", Draft(**{"name": "n", "version": "1", field: bad}))


@pytest.mark.parametrize("bad", ["", "text", "text/csv\r\nX-Evil: 1", "té/x", "a" * 300 + "/x"])
def test_types_that_could_not_be_a_header(local, bad):
    with pytest.raises(DraftError, match="media_type must be a type"):
        local.stage("x", [b""], media_type=bad)


def test_artefacts_of_nobody(local):
    one = save(local).artefacts["rows"]
    for sha256, size in (("x", 8), ("../../etc", 8), ("0" * 64, 8), (one.sha256, 9)):
        bad = Artefact("x", "x", "text/csv", size, sha256)
        with pytest.raises((DraftError, UnknownArtefactError)):
            local.commit("dataset", Draft("n", "1", artefacts={"x": bad}))
    with pytest.raises(UnknownUploadError):
        local.commit("dataset", Draft("n", "1", artefacts={"x": "../../etc/passwd"}))


def test_names_are_never_part_of_a_path(local, tmp_path):
    save(local, "Ünïque/näme")
    paths = [str(path) for path in tmp_path.rglob("*")]
    assert not [path for path in paths if "nïque" in path or "rows" in path]


@pytest.mark.parametrize("bad", ["\0", "\ud800", "'; DROP TABLE x; --"], ids=ascii)
def test_ids_that_nobody_has_are_unknown_on_every_database(registry, bad):
    asked = {
        UnknownVersionError: (
            lambda: registry.get("dataset", bad),
            lambda: registry.find("dataset", bad, "1"),
            lambda: registry.delete("dataset", bad),
        ),
        UnknownUploadError: (
            lambda: registry.lease(bad),
            lambda: registry.append(bad, 0, [b"x"]),
            lambda: registry.finish(bad),
            lambda: registry.commit("dataset", Draft("n", "1", artefacts={"x": bad})),
        ),
    }
    for error, asks in asked.items():
        for ask in asks:
            with pytest.raises(error):
                ask()
    registry.abandon(bad)
    assert registry.versions("dataset", name=bad, parent=bad).items == []


# --- what happens to bytes -----------------------------------------------------------------------


def only_file(tmp_path):
    return next(path for path in (tmp_path / "registry/blobs").rglob("*") if path.is_file())


def test_damage_is_found_when_all_is_read_and_by_verify(local, tmp_path):
    saved = save(local)
    only_file(tmp_path).write_bytes(b"a,b\n1,3\n")
    with pytest.raises(ChecksumError, match="not those that were saved"):
        bytes_of(local, saved)
    (problem,) = local.verify()
    assert (problem.kind, problem.versions) == ("damaged", (saved.id,))
    assert "'rows'" in problem.message
    only_file(tmp_path).write_bytes(b"a,b")
    with pytest.raises(ChecksumError):
        b"".join(local.read(saved.artefacts["rows"], start=1, length=5))
    only_file(tmp_path).unlink()
    with pytest.raises(UnknownArtefactError):
        bytes_of(local, saved)
    assert [each.kind for each in local.verify()] == ["missing"]
    other = save(local, version="2")  # the same content mends it
    assert bytes_of(local, saved) == bytes_of(local, other)
    assert local.verify() == []


def test_a_missing_parent_is_found(local):
    first = save(local)
    second = save(local, version="2", parent=first.id)
    with local._place.database.writing() as connection:
        connection.execute(sqlalchemy.delete(versions).where(versions.c.id == first.id))
    problems = {each.kind: each for each in local.verify()}
    assert problems["unknown_parent"].versions == (second.id,)
    assert problems["unknown_parent"].what == first.id


def test_a_reader_reads_on_while_its_bytes_are_collected(local):
    saved = save(local, content=b"x" * (3 << 20))
    chunks = local.read(saved.artefacts["rows"])
    first = next(chunks)
    local.delete("dataset", saved.id)
    assert local.collect_garbage().contents == 1
    assert len(first + b"".join(chunks)) == 3 << 20


def test_a_file_system_without_second_names_is_good_enough(local, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(objects.os, "link", refuse)
    assert bytes_of(local, save(local)) == b"a,b\n1,2\n"
    assert len(kept(local)) == 1
    assert local.verify() == []


def test_a_disk_that_takes_no_more_is_told(local, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    local.versions("dataset")
    monkeypatch.setattr(objects.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device; check that the disk has room"):
        local.stage("x", [b"1"])
    monkeypatch.undo()
    local.collect_garbage(LATER)
    assert kept(local) == []


def test_keys_are_ours(local):
    for key in ("/etc/passwd", "staging/../x", "a", "staging/default/../../x"):
        with pytest.raises(StoreError, match="is no key"):
            local._place.objects.write(key, [b""])


def test_streams_are_not_held_in_memory(local):
    import tracemalloc

    def stream():
        for _ in range(64):
            yield bytes(1 << 20)

    tracemalloc.start()
    saved = local.commit("dataset", Draft("n", "1", artefacts={"x": local.stage("x", stream())}))
    count = sum(map(len, local.read(saved.artefacts["x"])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 64 << 20
    assert peak < 16 << 20


# --- tables and places ---------------------------------------------------------------------------


def test_the_tables_are_those_that_the_migrations_make(registry):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    assert lineage.server.tables.metadata is metadata  # those of the server are there, too
    registry.versions("dataset")
    with registry._place.database.reading() as connection:
        options = {"version_table": migrating.REVISION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_a_migration_that_was_cut_off_goes_on(registry):
    with registry._place.database.writing() as connection:
        versions.create(connection)
        contents.create(connection)
        next(iter(contents.indexes)).drop(connection)
    assert bytes_of(registry, save(registry)) == b"a,b\n1,2\n"
    with registry._place.database.reading() as connection:
        found = sqlalchemy.inspect(connection).get_indexes(contents.name)
    assert "registry_contents_state" in {index["name"] for index in found}


def test_many_begin_at_once(where):
    registries = [Registry(*where) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda each: each.versions("dataset").items, registries))
    assert pages == [[]] * 8


def test_tables_of_a_newer_version_are_refused(registry, where):
    registry.versions("dataset")
    with registry._place.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {migrating.REVISION_TABLE} SET version_num = '9999'")
    with pytest.raises(CorruptStoreError, match="revision 9999"):
        Registry(*where).versions("dataset")


def test_the_newest_revision_is_the_one_that_is_asked_for(local):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "lineage/datasets/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == migrating.REVISION


@pytest.mark.parametrize("name", ["plain", "50% off", "with space", "ünï"])
def test_the_environment_says_where(tmp_path, monkeypatch, name):
    monkeypatch.setenv("LINEAGE_DATASETS", str(tmp_path / name))
    save(Registry())
    assert (tmp_path / name / "registry.db").is_file()
    assert (tmp_path / name / "blobs/default").is_dir()
    monkeypatch.setenv("LINEAGE_DATASETS", "")
    monkeypatch.chdir(tmp_path)
    save(Registry())
    assert (tmp_path / "lineage_datasets/registry.db").is_file()


@pytest.mark.parametrize(
    ("url", "blobs", "said"),
    [
        ("oracle://host/db", None, "use a folder, or one of mariadb"),
        ("parquet://x", None, "names no database"),
        ("postgresql://host", None, "names no database"),
        (None, "ftp://host/x", "neither a folder nor a bucket"),
        (None, "s3://key:secret@bucket", "holds credentials"),
    ],
)
def test_places_that_are_none(url, blobs, said):
    with pytest.raises(StoreError, match=said) as error:
        Registry(url, blobs)
    assert "secret" not in str(error.value)


def test_bytes_of_any_stream(local):
    stream = io.BytesIO(b"lines\nof\nit\n")
    upload = local.stage("x", stream)
    assert upload.size == 12


@pytest.mark.parametrize("package", ["sqlalchemy", "alembic"])
def test_a_package_that_is_missing_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"need {package}; pip install 'track-lineage\[datasets\]'"
    with pytest.raises(MissingDependencyError, match=said):
        importlib.reload(lineage.datasets)

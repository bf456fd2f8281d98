"""The upkeep of a bucket: fewer parts, no garbage, and each row once, whoever works meanwhile."""

import shutil
import threading
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lineage.cli.command import app
from lineage.core import DataOperation
from lineage.errors import CorruptStoreError
from lineage.stores import archive, delivery, parts, remote, upkeep
from lineage.stores.bucket import Bucket, parse
from lineage.stores.delivery import MANIFEST_KEY, BucketTarget
from lineage.stores.manifest import Manifest, Part, encode_manifest, next_path
from lineage.stores.parts import Seal
from lineage.stores.redo import Redo
from lineage.stores.upkeep import compact_bucket
from tests import buckets
from tests.test_delivery import (
    Blind,
    Killed,
    Killer,
    host,
    ids,
    manifest_of,
    operation,
    plain,
    save,
    seal,
)

DAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


def filled(bucket, tmp_path, count=4):
    """Let two hosts seal by turns; give both."""
    hosts = [host(bucket, tmp_path / name) for name in ("here", "there")]
    for number in range(count):
        save(hosts[number % 2], f"op{number}", day=1 + number // 4)
        hosts[number % 2].seal()
    return hosts


def target(store, kind=BucketTarget):
    return kind(store.base_path, Bucket(parse(store.url).url))


def parts_of(bucket, kind="operations"):
    return [part for part in manifest_of(bucket).parts if part.kind == kind]


def counted(store):
    """Give how many operations the relationships say that there were."""
    return sum(row["operation_count"] for row in store.load_relationships())


def test_the_parts_of_a_date_become_one(bucket, tmp_path):
    here, there = filled(bucket, tmp_path)
    done = here.compact()
    assert (done.parts_before, done.parts_after, done.problems) == (12, 3, [])
    assert done.bytes_after < done.bytes_before
    names = [f"op{number}" for number in range(4)]
    assert ids(here) == ids(there) == plain(bucket) == names
    assert counted(there) == 4
    assert len(parts_of(bucket)) == 1
    assert manifest_of(bucket).superseded == ()
    assert len(Bucket(bucket).list_keys("_removed/")) == 12
    there.check()
    assert there.compact().parts_before == 0
    save(there, "late")
    there.seal()
    assert ids(here) == plain(bucket) == ["late", *names]


def test_parts_grow_to_so_many_rows(bucket, tmp_path):
    here, _ = filled(bucket, tmp_path)
    done = compact_bucket(target(here), rows=2)
    assert done.parts_after > 0
    assert max(part.rows for part in parts_of(bucket)) == 2
    compact_bucket(target(here))  # of what was compacted
    assert len(parts_of(bucket)) == 1
    assert ids(here) == plain(bucket) == [f"op{number}" for number in range(4)]


def test_a_reader_that_began_before_stays_exact(bucket, tmp_path):
    here, there = filled(bucket, tmp_path)
    scan = there.scan("operations")
    next(scan)
    here.compact()
    found = [name for table in scan for name in table["operation_id"].to_pylist()]
    assert sorted(found) == [f"op{number}" for number in range(4)]
    assert there.problems == []


def test_a_reader_would_miss_rows_if_they_were_deleted_at_once(bucket, tmp_path, monkeypatch):
    here, there = filled(bucket, tmp_path)
    scan = there.scan("operations")
    next(scan)
    monkeypatch.setattr(upkeep, "ASIDE_S", -1.0)
    here.compact()
    assert [table for table in scan if table.num_rows] == []


def test_a_damaged_part_is_named_and_stays(bucket, tmp_path):
    here, there = filled(bucket, tmp_path)
    broken = parts_of(bucket)[0]
    objects = Bucket(bucket)
    data, tag = objects.get(broken.path)
    objects.put_if(broken.path, data[:-50] + bytes(50), tag)
    (problem,) = here.compact().problems
    assert f"{bucket}/{broken.path} is damaged" in problem
    objects.put_if(broken.path, data, objects.get(broken.path)[1])
    assert ids(there) == plain(bucket) == [f"op{number}" for number in range(4)]
    objects.delete(broken.path)
    (problem,) = here.compact().problems
    assert broken.path in problem


def killed_compaction(bucket, tmp_path, at, *, loses=False, kind=BucketTarget):
    """Kill a compaction before a step; give which it was, and what was wrong."""
    url = f"{bucket}/{at}"
    here, there = host(url, tmp_path / f"here{at}"), host(url, tmp_path / f"there{at}")
    for number, store in enumerate((here, there)):
        made = DataOperation.create("read", operation_id=f"op{number}", timestamp=DAY)
        store.save_operation(made)
        store.close()
    killer, wrong, names = Killer(at), [], ["op0", "op1"]
    with suppress(Killed):
        compact_bucket(target(here, kind), step=killer)
    wrong += [("killed", ids(there))] if ids(there) != names else []
    if loses:
        Bucket(url).delete(MANIFEST_KEY)
        wrong += [("lost", ids(here))] if ids(here) != names else []
    save(there, "new")
    there.seal()
    names = ["new", *names]
    wrong += [("meanwhile", ids(here))] if ids(here) != names else []
    again = host(url, here.base_path)
    again.compact()
    wrong += [("again", found) for found in (ids(again), plain(url)) if found != names]
    assert not next_path(again.base_path).exists()
    assert manifest_of(url).superseded == ()
    return killer.name, wrong


@pytest.mark.parametrize("loses", [False, True])
def test_a_compaction_may_be_killed_before_any_step(bucket, tmp_path, loses):
    steps = []
    for at in range(99):
        step, wrong = killed_compaction(bucket, tmp_path, at, loses=loses)
        assert wrong == [], (at, step)
        if step is None:
            break
        steps.append(step)
    for name in ("write next", "put operations", "offer manifest", "set aside"):
        assert name in steps
    assert "delete superseded" in steps


class Hasty(BucketTarget):
    """Takes the old parts away before the manifest lists the new one."""

    def _put(self, part):
        super()._put(part)
        redo, _ = self._read_redo()
        for path in redo.replaces:
            self.bucket.delete(path)


def test_old_parts_that_go_too_early_are_missed(bucket, tmp_path):
    found = [killed_compaction(bucket, tmp_path, at, kind=Hasty) for at in range(3, 6)]
    assert any(wrong for _, wrong in found)


def work_at_once(bucket, tmp_path, kind):
    """Let two hosts compact while three seal; give what is wrong."""
    hosts = [host(bucket, tmp_path / f"host{number}") for number in range(5)]
    for number in range(6):
        save(hosts[number % 3], f"old{number}")
        hosts[number % 3].seal()
    barrier = threading.Barrier(len(hosts))
    failed = []

    def work(number):
        barrier.wait(60)
        try:
            for turn in range(3):
                if number > 2:
                    compact_bucket(target(hosts[number], kind))
                else:
                    save(hosts[number], f"{number}-{turn}")
                    seal(hosts[number], target=kind)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(hosts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = sorted(
        [f"old{number}" for number in range(6)]
        + [f"{n}-{turn}" for n in range(3) for turn in range(3)]
    )
    return failed + [found for found in (ids(hosts[0]), plain(bucket)) if found != names]


def test_hosts_compact_and_seal_at_once(cloud, tmp_path):
    assert work_at_once(cloud, tmp_path, BucketTarget) == []


def test_without_conditions_on_googles_side_hosts_lose_rows(google_server, tmp_path, monkeypatch):
    for name, value in buckets.google_environment(google_server.address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(google_server, "heeds_conditions", False)
    assert work_at_once(buckets.make_google_bucket(google_server), tmp_path, BucketTarget) != []


def test_without_the_condition_on_the_manifest_they_lose_rows(bucket, tmp_path):
    assert work_at_once(bucket, tmp_path, Blind) != []


def test_old_dates_leave_what_was_compacted_too(bucket, tmp_path):
    hosts = filled(bucket, tmp_path, 8)
    for store in hosts:
        store.close()
    hosts[0].compact()
    now = datetime(2026, 5, 2, 1, tzinfo=UTC)
    assert hosts[1].cleanup(0, now=now).dates == ["2026-05-01"]
    assert ids(hosts[0]) == plain(bucket) == [f"op{number}" for number in range(4, 8)]
    manifest = manifest_of(bucket)
    assert (manifest.removed, manifest.superseded) == ((), ())


# --- a manifest that is lost ---------------------------------------------------------------------


def lose_manifest_after_compaction(bucket, tmp_path):
    """Compact what a writer that lives has sealed, lose the manifest, and let it go on."""
    writer, other = host(bucket, tmp_path / "writer"), host(bucket, tmp_path / "other")
    for number in range(3):
        writer.save_operation(operation(f"op{number}"))
        writer.seal()
    other.compact()
    Bucket(bucket).delete(MANIFEST_KEY)
    seen = ids(writer)
    writer.save_operation(operation("op3"))
    writer.close()
    return seen, ids(other), plain(bucket)


def test_a_compacted_part_says_what_was_sealed_of_a_journal(bucket, tmp_path):
    names = [f"op{number}" for number in range(4)]
    assert lose_manifest_after_compaction(bucket, tmp_path) == (names[:3], names, names)


def test_if_it_did_not_rows_would_be_doubled(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(
        upkeep, "_joint", lambda group, seals: Seal("x", 1, 1, {}, tuple(p.path for p in group))
    )
    _, seen, found = lose_manifest_after_compaction(bucket, tmp_path)
    assert seen == found
    assert len(found) > 4


def part_of(path):
    return Part("operations", path, "", 0, 1, 0, 0, "2026-05-01")


@st.composite
def histories(draw):
    """Make parts by compactions, some of which were not completed; give files, and their rows."""
    rows = {str(number): {number} for number in range(6)}
    holds: dict[str, set[str]] = {}
    listed, there = set(rows), set(rows)
    for number in range(draw(st.integers(0, 6))):
        if len(listed) < 2:
            break
        group = draw(st.lists(st.sampled_from(sorted(listed)), min_size=2, unique=True))
        name = f"m{number}"
        rows[name] = set().union(*(rows[path] for path in group))
        holds[name] = set(group).union(*(holds.get(path, set()) for path in group))
        there.add(name)
        if draw(st.booleans()):
            listed = listed - set(group) | {name}
            there -= set(draw(st.lists(st.sampled_from(sorted(group)), unique=True)))
    return there, holds, rows


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_of_compactions_that_hold_the_same_one_counts(history):
    there, holds, rows = history
    found = [(part_of(path), Seal(path, 1, 1, {}, tuple(holds.get(path, ())))) for path in there]
    kept = there - parts._replaced(found)
    assert sorted(row for path in kept for row in rows[path]) == list(range(6))


def test_if_all_counted_rows_would_be_doubled():
    holds = {"c": (), "half done": ("a", "b"), "done": ("b", "c")}
    there = {"a", "half done", "done"}
    found = [(part_of(path), Seal(path, 1, 1, {}, holds.get(path, ()))) for path in sorted(there)]
    assert there - parts._replaced(found) == {"a", "done"}
    assert there.difference(*holds.values()) == {"half done", "done"}  # which both hold b


# --- garbage -------------------------------------------------------------------------------------


def before(name):
    """Give a step that kills before the first of that name."""

    def step(reached):
        if reached == name:
            raise Killed(name)

    return step


def unlisted(bucket):
    """List the parts that the manifest does not."""
    listed = {part.path for part in manifest_of(bucket).parts}
    return [key for key in Bucket(bucket).list_keys() if "/part-" in key and key not in listed]


def test_garbage_goes_and_the_rest_stays(bucket, tmp_path, monkeypatch):
    here, there = filled(bucket, tmp_path)
    names = [f"op{number}" for number in range(4)]
    with pytest.raises(Killed):
        compact_bucket(target(there), step=before("offer manifest"))
    (half_done,) = unlisted(bucket)
    asleep = host(bucket, tmp_path / "asleep")
    save(asleep, "op9")
    with pytest.raises(Killed):
        seal(asleep, step=before("offer manifest"))
    unfinished = [key for key in unlisted(bucket) if key != half_done]
    objects = Bucket(bucket)
    foreign = "lineage_nodes/date=2026-05-01/part-foreign.parquet"
    objects.put_new(foreign, b"x")
    (here.base_path / "_staging" / "part-x.parquet").write_bytes(b"x")
    done = here.collect_garbage()
    assert done.files == ["_staging/part-x.parquet"]  # the others may be on their way
    assert (done.foreign, done.unfinished) == ([], [])
    monkeypatch.setattr(upkeep, "UNLISTED_S", -1.0)
    done = here.collect_garbage()
    assert done.files == [half_done]
    assert done.size_bytes > 0
    assert (done.foreign, done.unfinished) == ([foreign], unfinished)
    assert half_done not in objects.list_keys()
    assert objects.get(foreign)
    objects.delete(foreign)
    assert ids(here) == names
    asleep.seal()
    assert ids(here) == plain(bucket) == [*names, "op9"]
    there.compact()
    assert len(parts_of(bucket)) == 1
    assert half_done not in objects.list_keys()  # a key is used once
    assert ids(asleep) == plain(bucket) == [*names, "op9"]
    assert here.collect_garbage().files == []


def test_what_was_set_aside_goes_after_an_hour(bucket, tmp_path, monkeypatch):
    here, there = filled(bucket, tmp_path)
    here.compact()
    assert there.collect_garbage().files == []
    monkeypatch.setattr(upkeep, "ASIDE_S", -1.0)
    done = there.collect_garbage()
    assert len(done.files) == 12
    assert done.size_bytes > 0
    assert Bucket(bucket).list_keys("_removed/") == []
    assert ids(there) == plain(bucket) == [f"op{number}" for number in range(4)]


def test_parts_whose_rows_were_sealed_anew_are_garbage(bucket, tmp_path, monkeypatch):
    here, copy = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "copy")
    here.save_operation(operation("one"))
    shutil.copytree(tmp_path / "here", tmp_path / "copy")
    with pytest.raises(Killed):
        seal(copy, step=before("offer manifest"))
    litter = set(unlisted(bucket))
    here.seal()
    assert plain(bucket) == ["one", "one"]
    monkeypatch.setattr(upkeep, "UNLISTED_S", -1.0)
    assert litter <= set(here.collect_garbage().files)
    assert ids(here) == plain(bucket) == ["one"]


def overslept(bucket, tmp_path, monkeypatch):
    """Let a host sleep between putting a part and listing it, while its part is removed."""
    here, there = filled(bucket, tmp_path)
    monkeypatch.setattr(upkeep, "UNLISTED_S", -1.0)
    slept = []

    def step(name):
        if name == "offer manifest" and not slept:
            slept.append(here.collect_garbage().files)

    compact_bucket(target(there), step=step)
    assert len(slept[0]) == 1
    found = host(bucket, here.base_path)
    with suppress(CorruptStoreError):
        found.check()
        return ids(found) == plain(bucket) and counted(found) == 4
    return False


def test_a_host_that_slept_lists_nothing_that_was_removed(bucket, tmp_path, monkeypatch):
    assert overslept(bucket, tmp_path, monkeypatch)


def test_garbage_that_no_manifest_named_before_is_listed_and_missed(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "_remove", lambda target, keys: target.delete(keys))
    monkeypatch.setattr(BucketTarget, "tidy", lambda self, step: None)
    assert not overslept(bucket, tmp_path, monkeypatch)


# --- hosts that are gone -------------------------------------------------------------------------


def vanish(bucket, folder, count):
    """Let hosts come, seal and be gone for ever."""
    for number in range(count):
        store = host(bucket, folder / f"gone{number}")
        save(store, f"{folder.name}{number}")
        store.seal()


def test_the_manifest_does_not_grow_with_hosts_that_are_gone(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MANY_OFFSETS", 6)
    vanish(bucket, tmp_path, 20)
    manifest = manifest_of(bucket)
    assert 3 <= len(manifest.sealed) <= 7
    assert manifest.archived
    assert 3 <= len(Bucket(bucket).list_keys(archive.PREFIX)) <= 7
    assert len(plain(bucket)) == 20


def came_back(bucket, tmp_path, monkeypatch, loses=False):
    """Let a host be away between a commit and the deletion of its segment; give what is seen."""
    monkeypatch.setattr(archive, "MANY_OFFSETS", 6)
    late = host(bucket, tmp_path / "late")
    save(late, "late")
    with pytest.raises(Killed):
        seal(late, step=before("delete segment"))
    vanish(bucket, tmp_path / "op", 20)
    (segment,) = [path.name for path in late.journal.folder.glob("*.seg")]
    assert segment not in manifest_of(bucket).sealed
    if loses:
        host(bucket, tmp_path / "other").compact()
        Bucket(bucket).delete(MANIFEST_KEY)
    seen = ids(host(bucket, tmp_path / "late"))
    late.seal()
    assert not list(late.journal.folder.glob("*.seg"))
    return [seen, ids(late), plain(bucket)]


@pytest.mark.parametrize("loses", [False, True])
def test_a_host_that_comes_back_late_doubles_nothing(bucket, tmp_path, monkeypatch, loses):
    names = sorted(["late", *(f"op{number}" for number in range(20))])
    assert came_back(bucket, tmp_path, monkeypatch, loses) == [names] * 3


def test_without_what_was_moved_it_would(bucket, tmp_path, monkeypatch):
    for module in (delivery, remote):
        monkeypatch.setattr(module, "completed", lambda manifest, bucket, names: manifest)
    found = came_back(bucket, tmp_path, monkeypatch)
    assert [names.count("late") for names in found] == [2, 2, 2]


def test_a_writer_that_lives_on_is_found_among_those_that_are_gone(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MANY_OFFSETS", 6)
    writer = host(bucket, tmp_path / "writer")
    for turn in range(3):
        writer.save_operation(operation(f"live{turn}"))
        writer.seal()
        vanish(bucket, tmp_path / f"turn{turn}", 8)
        assert len([name for name in ids(writer) if name.startswith("live")]) == turn + 1
    writer.close()
    assert [name for name in plain(bucket) if name.startswith("live")] == [
        f"live{turn}" for turn in range(3)
    ]


def test_damage_of_what_was_moved_is_told(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MANY_OFFSETS", 6)
    late = host(bucket, tmp_path / "late")
    save(late, "late")
    vanish(bucket, tmp_path, 20)
    objects = Bucket(bucket)
    for key in objects.list_keys(archive.PREFIX):
        objects.put_if(key, b"{}", objects.get(key)[1])
    manifest = msgspec.structs.replace(manifest_of(bucket), archived=1 << 62)
    objects.put_if(MANIFEST_KEY, encode_manifest(manifest), objects.get(MANIFEST_KEY)[1])
    objects.put_new(f"{archive.PREFIX}0-{1 << 62}-x.json", b"{}")
    with pytest.raises(CorruptStoreError, match="is damaged or missing"):
        late.seal()


def test_what_segments_lost_that_are_gone_is_counted_together():
    redo = Redo((), {"c": (0, 9)}, {"c": 4})
    manifest = Manifest(sealed={"a": 1, "b": 2}, lost={"a": 3, "b": 5, "": 1})
    after = redo.added_to(manifest, forget={"a"})
    assert after.lost == {"b": 5, "c": 4, "": 4}
    assert after.sealed == {"b": 2, "c": 9}


def test_the_commands_serve_buckets(bucket, tmp_path):
    here, _ = filled(bucket, tmp_path)
    for command in ("compact", "gc"):
        url = f"{here.url}?outbox={here.base_path}"
        answer = CliRunner().invoke(app, [command, "--store", url])
        assert answer.exit_code == 0, answer.output
    assert len(parts_of(bucket)) == 1

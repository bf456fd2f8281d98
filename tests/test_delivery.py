"""What is recorded here is in the bucket once, whoever dies or fails on the way."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from urllib.parse import urlsplit

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

from lineage.core import DataOperation, DataSource
from lineage.errors import StoreError
from lineage.stores.background import seal_on
from lineage.stores.bucket import Bucket, parse
from lineage.stores.delivery import MANIFEST_KEY, BucketTarget
from lineage.stores.manifest import decode_manifest, next_path
from lineage.stores.remote import RemoteRepository
from lineage.stores.sealing import seal_store
from tests import buckets


def operation(name, *, day=1):
    return DataOperation.create(
        "transform",
        operation_id=name,
        timestamp=datetime(2026, 5, day, 12, tzinfo=UTC),
        inputs=[DataSource("file", "a", "/a")],
        outputs=[DataSource("file", "b", "/b")],
    )


def save(store, *names, day=1):
    for name in names:
        store.save_operation(operation(name, day=day))
    store.journal.close()


def ids(store):
    rows = [row for table in store.scan("operations") for row in table.to_pylist()]
    return sorted(row["operation_id"] for row in rows)


def plain(url):
    """Read the bucket as other programs do."""
    split = urlsplit(url)
    if split.scheme != "s3":
        there = Bucket(url)
        files = [there.get(key)[0] for key in there.list_keys("lineage_operations/")]
        tables = [pq.read_table(io.BytesIO(data)) for data in files]
        return sorted(name for table in tables for name in table["operation_id"].to_pylist())
    files = S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=os.environ["AWS_ENDPOINT_URL"],
        region="us-east-1",
        allow_bucket_creation=False,
    )
    place = f"{split.netloc}{split.path}/lineage_operations"
    table = ds.dataset(place, filesystem=files, partitioning="hive").to_table()
    return sorted(table["operation_id"].to_pylist())


def manifest_of(url):
    return decode_manifest(Bucket(url).get(MANIFEST_KEY)[0], url)


def host(url, folder):
    """Give the store as another host has it."""
    return RemoteRepository(f"{url}?outbox={folder}")


class Killed(BaseException):
    pass


class Killer:
    """Stop before the n-th step."""

    def __init__(self, at):
        self.left = at
        self.name = None

    def __call__(self, name):
        if not self.left:
            self.name = name
            raise Killed(name)
        self.left -= 1


def seal(store, *, step=lambda _name: None, target=BucketTarget):
    place = parse(store.url)
    return seal_store(target(store.base_path, Bucket(place.url)), step=step)


def test_what_is_sealed_is_seen_on_another_host_and_by_plain_readers(bucket, tmp_path):
    here, there = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "there")
    save(here, "one", "two")
    assert ids(here) == ["one", "two"]
    assert ids(there) == []
    done = here.seal()
    assert done.rows["operations"] == 2
    assert ids(here) == ids(there) == plain(bucket) == ["one", "two"]
    assert [node.node_id for node in there.load_nodes()] == ["file:a", "file:b"]
    there.check()


def test_duckdb_reads_the_bucket(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    store.seal()
    with duckdb.connect() as connection:
        try:
            connection.execute("LOAD httpfs")
        except duckdb.Error as error:
            pytest.skip(f"DuckDB's httpfs cannot be had here: {error}")
        connection.execute(
            "CREATE SECRET (TYPE s3, KEY_ID 'nobody', SECRET 'verySecretKey123456', "
            f"ENDPOINT '{urlsplit(os.environ['AWS_ENDPOINT_URL']).netloc}', USE_SSL false, "
            "URL_STYLE 'path', REGION 'us-east-1')"
        )
        query = f"SELECT operation_id FROM read_parquet('{bucket}/lineage_operations/*/*.parquet')"
        assert connection.execute(query).fetchall() == [("one",)]


def kill_at_every_step(bucket, tmp_path, target=BucketTarget, enough=99):
    """Kill a seal before each of its steps; give the names of the steps, and what was wrong."""
    steps, wrong = [], []
    for at in range(100):
        url = f"{bucket}/{at}"
        here, there = host(url, tmp_path / f"here{at}"), host(url, tmp_path / f"there{at}")
        save(there, "old")
        there.seal()
        save(here, "one", "two")
        killer = Killer(at)
        try:
            seal(here, step=killer, target=target)
        except Killed:
            steps.append(killer.name)
        save(there, "new")  # another host goes on meanwhile
        there.seal()
        expected = ["new", "old", "one", "two"]
        found = [ids(here)]
        again = host(url, tmp_path / f"here{at}")
        save(again, "four")
        seal(again, target=target)
        seal(again, target=target)
        later = sorted([*expected, "four"])
        found += [ids(again), ids(there), plain(url)]
        if found != [expected, later, later, later]:
            wrong.append((at, killer.name, found))
        assert not next_path(again.base_path).exists()
        if killer.name is None or len(wrong) >= enough:
            return steps, wrong
    raise AssertionError("it has no end")


def test_a_seal_may_be_killed_before_any_step(bucket, tmp_path):
    steps, wrong = kill_at_every_step(bucket, tmp_path)
    assert not wrong
    for name in ("write next", "put operations", "offer manifest", "committed", "delete next"):
        assert name in steps
    assert "delete segment" in steps


class Forgetful(BucketTarget):
    """Keeps no record of what it is about to do."""

    def _read_redo(self):
        return None, None


def test_without_a_record_of_what_was_begun_plain_readers_see_rows_twice(bucket, tmp_path):
    _, wrong = kill_at_every_step(bucket, tmp_path, Forgetful, enough=1)
    assert wrong[0][1].startswith(("put", "offer"))


class Blind(BucketTarget):
    """Replaces the manifest whatever it is by now."""

    def change(self, new, step):
        self._tag = self.bucket.get(MANIFEST_KEY)[1]
        return super().change(new, step)


def seal_at_once(bucket, tmp_path, target):
    """Let five hosts seal into one bucket, four times each; give what is missing or doubled."""
    hosts = [host(bucket, tmp_path / f"host{number}") for number in range(5)]
    barrier = threading.Barrier(len(hosts))

    def work(number):
        for turn in range(4):
            save(hosts[number], f"{number}-{turn}")
            barrier.wait(60)
            seal(hosts[number], target=target)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(hosts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(f"{number}-{turn}" for number in range(5) for turn in range(4))
    return [found for found in (ids(hosts[0]), plain(bucket)) if found != expected]


def test_hosts_seal_into_one_bucket_at_once(cloud, tmp_path):
    assert seal_at_once(cloud, tmp_path, BucketTarget) == []
    assert manifest_of(cloud).generation == 20


def test_without_the_condition_on_the_manifest_hosts_lose_what_others_sealed(bucket, tmp_path):
    assert seal_at_once(bucket, tmp_path, Blind) != []


class Faulty(Bucket):
    """Fails the n-th put; tells before or after it was done."""

    def __init__(self, url, at, *, after):
        super().__init__(url)
        self.left, self.after = at, after

    def put_if(self, key, data, tag):
        self.left -= 1
        if self.left == -1 and not self.after:
            raise StoreError("the network is down")
        done = super().put_if(key, data, tag)
        if self.left == -1:
            raise StoreError("the answer was lost")
        return done


@pytest.mark.parametrize("after", [False, True])
def test_a_put_that_fails_is_done_by_the_next_seal(bucket, tmp_path, after):
    for at in range(30):
        url = f"{bucket}/{at}"
        store = host(url, tmp_path / str(at))
        save(store, "one")
        faulty = Faulty(parse(url).url, at, after=after)
        try:
            seal_store(BucketTarget(store.base_path, faulty))
        except StoreError:
            assert ids(store) == ["one"]
        else:
            break
        seal(store)
        assert ids(store) == plain(url) == ["one"]
    assert at > 3
    assert not (store.base_path / "_staging").exists() or not any(
        (store.base_path / "_staging").iterdir()
    )


def kill_after_puts(store):
    steps = Steps()
    with pytest.raises(Killed):
        seal(store, step=steps)
    return json.loads(next_path(store.base_path).read_bytes())


class Steps:
    def __call__(self, name):
        if name == "offer manifest":
            raise Killed


def test_a_key_that_holds_other_bytes_is_told_and_not_replaced(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    redo = kill_after_puts(store)
    key = redo["parts"][0]["path"]
    there = Bucket(bucket)
    data, _ = there.get(key)
    there.delete(key)
    assert there.put_new(key, b"something else")
    with pytest.raises(StoreError, match=r"holds other bytes.*move that object away") as caught:
        store.seal()
    assert key in str(caught.value)
    assert str(store.base_path) in str(caught.value)
    assert there.get(key)[0] == b"something else"
    there.delete(key)
    store.seal()
    assert there.get(key) is None  # a key is used once
    assert data in [there.get(part.path)[0] for part in manifest_of(bucket).parts]
    assert ids(store) == plain(bucket) == ["one"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"garbage"])
def test_a_damaged_record_of_what_was_begun_doubles_nothing(bucket, tmp_path, damage):
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    kill_after_puts(store)
    assert plain(bucket) == ["one"]
    next_path(store.base_path).write_bytes(damage)
    done = store.seal()
    assert "is damaged" in done.problems[0]
    assert ids(store) == plain(bucket) == ["one"]


def test_staged_parts_that_are_gone_are_made_anew(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    redo = kill_after_puts(store)
    for file in (store.base_path / "_staging").iterdir():
        file.unlink()
    Bucket(bucket).delete(redo["parts"][0]["path"])
    store.seal()
    assert ids(store) == plain(bucket) == ["one"]


def test_a_copy_of_a_host_does_not_double_what_it_had(bucket, tmp_path):
    here = host(bucket, tmp_path / "here")
    save(here, "one")
    kill_after_puts(here)
    subprocess.run(["cp", "-r", tmp_path / "here", tmp_path / "copy"], check=True)
    copy = host(bucket, tmp_path / "copy")
    copy.seal()
    here.seal()
    assert ids(here) == ids(copy) == plain(bucket) == ["one"]


def test_a_copy_that_seals_anew_takes_nothing_twice(bucket, tmp_path):
    here, copy = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "copy")
    save(here, "one")
    subprocess.run(["cp", "-r", tmp_path / "here", tmp_path / "copy"], check=True)
    kill_after_puts(here)
    kill_after_puts(copy)
    copy.seal()
    here.seal()
    assert ids(here) == ids(copy) == plain(bucket) == ["one"]


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_a_manifest_that_is_lost_is_made_of_the_parts(bucket, tmp_path, damage):
    store, other = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "there")
    save(store, "one")
    store.seal()
    save(store, "two", day=2)
    kill_after_puts(store)
    there = Bucket(bucket)
    if damage == "missing":
        there.delete(MANIFEST_KEY)
    else:
        assert there.put_if(MANIFEST_KEY, b"garbage", there.get(MANIFEST_KEY)[1])
    assert ids(store) == ["one", "two"]
    assert store.problems
    assert "the next seal mends it" in store.problems[0]
    save(other, "three")
    other.seal()
    store.seal()
    expected = ["one", "three", "two"]
    assert ids(host(bucket, tmp_path / "here")) == ids(other) == plain(bucket) == expected


def test_parts_without_a_manifest_are_read_once(bucket, tmp_path, monkeypatch):
    store, read = host(bucket, tmp_path / "here"), []
    save(store, "one")
    store.seal()
    Bucket(bucket).delete(MANIFEST_KEY)
    get = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, key: (read.append(key), get(self, key))[1])
    assert [ids(store) for _ in range(3)] == [["one"]] * 3
    keys = [key for key in read if key.startswith("lineage_nodes")]
    assert len(keys) == 1


def test_a_manifest_of_a_newer_version_is_left_alone(bucket, tmp_path):
    import hashlib

    content = b'{"generation":1,"format_version":99}'
    envelope = {"sha256": hashlib.sha256(content).hexdigest(), "content": json.loads(content)}
    data = json.dumps(envelope, separators=(",", ":")).encode()
    Bucket(bucket).put_new(MANIFEST_KEY, data)
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    with pytest.raises(StoreError, match="upgrade track-lineage"):
        store.seal()
    assert Bucket(bucket).get(MANIFEST_KEY)[0] == data


def test_a_damaged_part_is_told(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    save(store, "one")
    store.seal()
    there = Bucket(bucket)
    (part,) = [part for part in manifest_of(bucket).parts if part.kind == "operations"]
    data, tag = there.get(part.path)
    there.put_if(part.path, data[:100] + bytes([data[100] ^ 1]) + data[101:], tag)
    assert ids(store) == []
    assert f"{bucket}/{part.path} is damaged" in store.problems[0]
    there.delete(part.path)
    fresh = host(bucket, tmp_path / "here")
    with pytest.raises(StoreError, match="is missing"):
        fresh.check()


def test_the_manifest_forgets_segments_that_are_gone(bucket, tmp_path):
    store, other = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "there")
    save(other, "other")
    other.seal()
    for number in range(4):
        save(store, f"op{number}")
        store.seal()
    assert len(manifest_of(bucket).sealed) == 2  # the last of each host


def test_a_living_writer_is_sealed_up_to_where_it_is(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    for number in range(4):
        store.save_operation(operation(f"op{number}"))
        store.seal()
    assert ids(store) == plain(bucket) == [f"op{number}" for number in range(4)]
    store.close()
    assert not list(store.journal.folder.glob("*.seg"))


def test_old_dates_are_removed_for_every_host(bucket, tmp_path):
    here, there = host(bucket, tmp_path / "here"), host(bucket, tmp_path / "there")
    for store, names in ((here, ("one", "two")), (there, ("three", "four"))):
        for day, name in enumerate(names, 1):
            made = operation(name, day=day)
            made.inputs[0] = DataSource("file", "a", "/a", {"columns": {"x": "int"}})
            store.save_operation(made)
        store.close()
    removed = here.cleanup(0, now=datetime(2026, 5, 2, 1, tzinfo=UTC))
    assert removed.dates == ["2026-05-01"]
    assert removed.rows["operations"] == 2
    assert ids(here) == ids(there) == plain(bucket) == ["four", "two"]
    assert not [key for key in Bucket(bucket).list_keys("lineage_operations/") if "05-01" in key]
    assert here.load_operations()[0].inputs[0].schema_info
    save(there, "five", day=3)
    there.seal()
    assert manifest_of(bucket).removed == ()
    assert here.cleanup(1e6).dates == []


def test_the_state_of_a_bucket_is_told(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    store.reach()
    save(store, "one")
    store.seal()
    stats = store.get_storage_stats()
    assert stats["operations_path"] == f"{bucket}/lineage_operations"
    assert (stats["operations_row_count"], stats["pending_operations"]) == (1, 0)


def test_a_killed_program_is_delivered_by_the_next(bucket, tmp_path):
    code = (
        "import lineage, os, signal, sys\n"
        "lineage.init(sys.argv[1])\n"
        "@lineage.track_lineage\n"
        "def double(x): return 2 * x\n"
        "for number in range(int(sys.argv[2])): double(number)\n"
        "sys.argv[3] == 'kill' and os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for way, status in (("kill", -signal.SIGKILL), ("end", 0)):
        command = [sys.executable, "-W", "error", "-c", code, bucket, "10", way]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == status, ended.stderr
        assert ended.stderr == ""
    assert len(set(plain(bucket))) == len(plain(bucket)) == 20


def test_a_bucket_that_hangs_is_not_waited_for_longer_than_said(tmp_path, monkeypatch):
    with buckets.server() as (address, process):
        for name, value in buckets.environment(address).items():
            monkeypatch.setenv(name, value)
        url = f"{buckets.make_bucket(address)}?outbox={tmp_path}/outbox"
        store = RemoteRepository(url)
        store.save_operation(operation("one"))
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreError, match="waits in"):
            store.close(timeout_s=1)
        process.send_signal(signal.SIGCONT)
        save(store, "two")
        store.close()
        assert ids(store) == plain(store.url) == ["one", "two"]


def test_the_sealer_in_the_background_seals_into_the_bucket(bucket, tmp_path):
    store = host(bucket, tmp_path / "here")
    save(store, *(f"op{number}" for number in range(20)))
    with (tmp_path / "here" / "_journal" / "99999999999999999999-1-x.seg").open("wb") as file:
        file.truncate(7 << 20)  # as much as makes parts
    seal_on(str(store.base_path), store.url, idle_s=0.1)
    assert len(plain(bucket)) == 20


def test_a_bucket_that_is_away_keeps_nothing_from_being_recorded(bucket, tmp_path, monkeypatch):
    address = os.environ["AWS_ENDPOINT_URL"]
    url = f"{bucket}?outbox={tmp_path}/outbox"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = RemoteRepository(url)
    store.save_operation(operation("one"))
    with pytest.raises(StoreError) as caught:
        store.close(timeout_s=5)
    text = str(caught.value)
    assert bucket in text
    assert f"waits in {tmp_path}/outbox" in text
    assert "check the bucket's name" in text
    assert "verySecretKey" not in text
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    again = RemoteRepository(url)
    again.save_operation(operation("two"))
    again.close()
    assert ids(again) == plain(bucket) == ["one", "two"]

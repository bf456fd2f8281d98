"""A bucket: keys made once, objects replaced by tag, errors that say what to check."""

import os
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest

from lineage.errors import MissingDependencyError, StoreError
from lineage.stores import bucket as module
from lineage.stores.base import open_store
from lineage.stores.bucket import Bucket, parse
from lineage.stores.remote import RemoteRepository


def test_a_key_is_made_once(cloud):
    there = Bucket(cloud)
    assert there.get("a") is None
    assert there.put_new("a", b"one")
    assert not there.put_new("a", b"two")
    assert there.get("a")[0] == b"one"
    assert there.list_keys() == ["a"]
    there.delete("a")
    there.delete("a")
    assert there.list_keys() == []


def test_an_object_is_replaced_by_its_tag(cloud):
    there = Bucket(cloud)
    tag = there.put_if("a", b"one", None)
    assert there.get("a") == (b"one", tag)
    assert there.find("a") == tag
    other = there.put_if("b", b"three", None)
    assert there.put_if("a", b"two", other) is None
    after = there.put_if("a", b"two", tag)
    assert after not in (None, tag)
    assert there.put_if("a", b"three", tag) is None
    assert there.get("a") == (b"two", after)


def test_an_object_is_copied_and_listed(cloud):
    there = Bucket(cloud)
    there.put_new("a/b", b"one")
    assert there.copy("a/b", "c/d")
    assert there.copy("a/b", "c/d")
    assert not there.copy("a/none", "c/e")
    assert there.find("c/e") is None
    assert there.get("c/d")[0] == b"one"
    assert there.list_keys() == ["a/b", "c/d"]
    assert there.list_keys("c/") == ["c/d"]
    assert there.list_objects("c/")["c/d"].size_bytes == 3


def test_of_many_who_replace_one_comes_first(cloud):
    there = Bucket(cloud)
    tag, won = there.put_if("a", b"", None), []

    def replace(number):
        if there.put_if("a", b"%d" % number, tag):
            won.append(number)

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert there.get("a")[0] == b"%d" % won[0]


@pytest.mark.parametrize("verb", ["get", "delete", "list_keys", "put_new", "copy"])
def test_a_bucket_that_does_not_exist_is_named(cloud, verb):
    if cloud.startswith("az:") and verb == "delete":
        pytest.skip("Azure answers a deletion as if there had been something")
    there = Bucket(f"{cloud.partition(':')[0]}://no-such-bucket/place")
    arguments = {"list_keys": (), "put_new": ("a", b"x"), "copy": ("a", "b")}.get(verb, ("a",))
    with pytest.raises(StoreError, match=r"://no-such-bucket/place.*check the bucket's name"):
        getattr(there, verb)(*arguments)


def test_a_bucket_that_cannot_be_reached_is_named_without_secrets(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"cannot read a of s3://.*the endpoint") as caught:
        Bucket(bucket, timeout_s=2).get("a")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_has_less_time_gets_a_bucket_of_his_own():
    there = Bucket("s3://b/p")
    assert there.within(None) is there
    assert there.within(100) is there
    assert there.within(1)._timeout_s == 1


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("az://container/a", "az://container/a"),
        (
            "abfs://container@account.dfs.core.windows.net/a",
            "abfs://container@account.dfs.core.windows.net/a",
        ),
    ],
)
def test_urls_name_buckets(url, plain):
    assert parse(url).url == plain
    assert parse(f"{url}?outbox=/somewhere").folder == Path("/somewhere")
    opened = open_store(url)
    assert isinstance(opened, RemoteRepository)
    assert opened.url == plain


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://key:hunter2hunter2@bucket/a", "credentials.*environment"),
        ("s3://AKIAIOSFODNN7EXAMPLE@bucket/a", "credentials.*environment"),
        ("s3://bucket/a?aws_secret_access_key=hunter2hunter2", "takes no option.*AWS_REGION"),
        ("s3:///a", "names no bucket"),
    ],
)
def test_urls_hold_no_secrets(url, told):
    with pytest.raises(StoreError, match=told) as caught:
        parse(url)
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


def test_each_store_has_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    one, two = parse("s3://bucket/a").folder, parse("s3://bucket/b").folder
    assert one.parent == two.parent == tmp_path / "track-lineage" / "outbox"
    assert one == parse("s3://bucket/a/").folder
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere")
    assert len({one, two, parse("s3://bucket/a").folder}) == 3


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'track-lineage\[s3\]'"):
        open_store("s3://bucket/a")


def _read(url, told):
    try:
        told.put(Bucket(url).get("a")[0])
    except StoreError as error:
        told.put(str(error))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_is_refused_and_does_not_hang(bucket):
    there = Bucket(bucket)
    there.put_new("a", b"one")
    for method, expected in (("fork", "forked"), ("spawn", b"one")):
        context = get_context(method)
        told = context.Queue()
        process = context.Process(target=_read, args=(bucket, told))
        process.start()
        assert expected in told.get(timeout=30)
        process.join(30)
        assert process.exitcode == 0

"""Whatever is done to a bucket may be killed at any moment: each row is there once."""

import os
import random
import shutil
from contextlib import suppress

import pytest

from lineage.core import DataOperation
from lineage.stores.bucket import Bucket, parse
from lineage.stores.manifest import next_path
from lineage.stores.upkeep import compact_bucket
from tests.killed import CLEANUP_AT, zygote
from tests.test_delivery import Killed, host, ids, manifest_of, operation, plain, save
from tests.test_upkeep import before, target

FULL = os.environ.get("FAULTS") == "full"
NEW = operation("new", day=3)


class Model:
    """A bucket and the folders of two hosts, to be copied for each death."""

    def __init__(self, url, folder, job):
        self.url, self.folder = url, folder
        here, there = self.hosts(url, folder)
        for number, store in enumerate((here, there)):
            day = operation("", day=1 + number if job == "cleanup" else 1).timestamp
            made = DataOperation.create("read", operation_id=f"op{number}", timestamp=day)
            store.save_operation(made)
            store.close()
        if "seal" in job:
            save(here, "one", "two")
        if job == "garbage":
            with suppress(Killed):
                compact_bucket(target(there), step=before("offer manifest"))
            compact_bucket(target(here))
            (here.base_path / "_staging" / "part-x.parquet").write_bytes(b"x")
        self.names = ids(here)

    def hosts(self, url, folder):
        return host(url, folder / "here"), host(url, folder / "there")

    def copy(self, number):
        # Beside the model, not in it, else each copy would hold the ones before.
        url, folder = f"{self.url.rpartition('/')[0]}/{number}", self.folder.with_name(str(number))
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("lock"))
        source, target = Bucket(self.url), Bucket(url)
        for key in source.list_keys():
            target.put_new(key, source.get(key)[0])
        return url, *self.hosts(url, folder)


def die(bucket, tmp_path, job, *, stride, begin=0, enough=99):
    """Have a job killed at its steps, all or some; give how many deaths, and what was wrong."""
    model, deaths, wrong = Model(f"{bucket}/model", tmp_path / "model", job), 0, []
    with zygote() as killed:
        for step in range(begin + random.randrange(stride), 9999, stride):
            url, here, there = model.copy(step)
            died = killed(job, f"{url}?outbox={here.base_path}", step)
            deaths += died
            found = wrong_after(job, url, here, there, model.names)
            wrong += [(step, *each) for each in found]
            shutil.rmtree(here.base_path.parent)
            if not died or len(wrong) >= enough:
                return deaths, wrong
    raise AssertionError("it has no end")


def wrong_after(job, url, here, there, names):
    """Compare what is seen after a death, while another host goes on, and after the next try."""
    old = ["op0"]
    if job == "cleanup":
        seen = ids(here)
        wrong = [] if seen in (names, sorted(set(names) - set(old))) else [("killed", seen)]
        here.cleanup(0, now=CLEANUP_AT)
        names = sorted(set(names) - set(old))
    else:
        wrong = [] if ids(here) == names else [("killed", ids(here))]
    there.save_operation(NEW)
    there.close()
    names = sorted([*names, "new"])
    again = host(url, here.base_path)
    wrong += [("meanwhile", ids(again))] if ids(again) != names else []
    again.seal()
    if "compaction" in job:
        again.compact()
    for found in (ids(again), ids(there), plain(url)):
        if found != names:
            wrong.append(("again", found))
    assert not next_path(again.base_path).exists()
    if job != "seal":
        assert manifest_of(url).superseded == ()
    return wrong


@pytest.mark.parametrize("job", ["seal", "compaction", "garbage", "cleanup"])
def test_each_row_is_there_once_when_a_process_is_killed(bucket, tmp_path, job):
    deaths, wrong = die(bucket, tmp_path, job, stride=1 if FULL else 7)
    print(f"{job} in a bucket: {deaths} deaths, {len(wrong)} wrong")
    assert wrong == []
    assert deaths > (10 if FULL else 0)


@pytest.mark.parametrize("job", ["forgetful seal", "hasty compaction"])
def test_the_deaths_find_what_is_wrong(bucket, tmp_path, job):
    _, wrong = die(bucket, tmp_path, job, begin=10, stride=2, enough=1)
    assert wrong


def test_the_url_of_a_job_names_its_folder(tmp_path):
    assert parse(f"s3://b/c?outbox={tmp_path}").folder == tmp_path

"""Snapshots under damage, kills, and many writers at once."""

import json
import os
import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from lineage import MemoryStore
from lineage.audit import snapshot_files
from lineage.audit.snapshot_files import SnapshotFolder, canonical, line_of
from lineage.audit.snapshot_versions import decode, project_uid
from lineage.audit.snapshots import Snapshots
from lineage.errors import CorruptStoreError, SnapshotError
from tests.test_snapshots_graph import DIAMOND, store_of

ROOT = Path(__file__).parents[1]
FLIPS = 10_000


@pytest.fixture
def snapshots(tmp_path):
    made = Snapshots(store_of(DIAMOND), folder=tmp_path / "frozen")
    for _ in range(3):
        made.create("p", "nightly", user_tag="t")
    return made


def flips(paths, count):
    """Yield files with one bit that is wrong, each restored when the next one comes."""
    chosen = random.Random(7)
    for _ in range(count):
        path = chosen.choice(paths)
        with path.open("r+b") as file:
            at = chosen.randrange(path.stat().st_size)
            whole = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([whole[0] ^ 1 << chosen.randrange(8)]), at)
            yield path
            os.pwrite(file.fileno(), whole, at)


# --- damage --------------------------------------------------------------------------------------


def test_no_flipped_bit_is_silent(snapshots):
    paths = sorted(snapshots.folder.rglob("*.json"))
    assert snapshots.verify() == (3, [])
    folder, silent = SnapshotFolder(snapshots.folder), 0
    stored = {each.path: each for each in folder.stored()}
    for number, path in enumerate(flips(paths, FLIPS)):
        try:
            folder.read(stored[path])  # as every reader does
            silent += 1
        except CorruptStoreError:
            pass
        if number % 100 == 0:
            assert [str(path)] == [each.path for each in snapshots.verify().findings]
    assert silent == 0
    assert snapshots.verify() == (3, [])


def test_the_schemas_alone_would_miss_some_of_them(snapshots):
    paths = sorted(snapshots.folder.rglob("*.json"))
    silent = 0
    for path in flips(paths, 500):
        try:
            decode(path.read_bytes())
            silent += 1
        except SnapshotError:
            pass
    assert silent


def renamed(path, data):
    """Put data in the place of a snapshot, under a name that fits them."""
    path.unlink()
    digest = snapshot_files.hashlib.sha256(data).hexdigest()
    new = path.with_name(f"{path.name[:9]}{digest}.json")
    new.write_bytes(data)
    return new


def forged(path):
    return renamed(path, path.read_bytes().replace(b"op1", b"op9"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda paths: paths[0].unlink(), "version 1 is missing"),
        (lambda paths: forged(paths[1]), "put in another's place"),
        (lambda paths: paths[0].rename(paths[0].with_name("x" + paths[0].name)), "no snapshot"),
        (lambda paths: (paths[0].parent / "more.json").write_text("{}"), "no snapshot"),
        (lambda paths: paths[2].write_bytes(b""), "was changed"),
        (lambda paths: paths[2].write_bytes(paths[2].read_bytes() + b"\n"), "was changed"),
        (lambda paths: renamed(paths[2], paths[2].read_bytes() + b"\n"), "canonical"),
        (
            lambda paths: paths[2].rename(paths[2].with_name("00000004" + paths[2].name[8:])),
            "another's name",
        ),
        (lambda paths: renamed(paths[2], b"{}"), "no snapshot"),
        (lambda paths: renamed(paths[2], paths[1].read_bytes()), "another's name"),
        (lambda paths: paths[0].parent.rename(paths[0].parent.with_name("0" * 32)), "another's"),
    ],
)
def test_what_else_is_done_to_files_is_found(snapshots, harm, told):
    harm(sorted(snapshots.folder.rglob("*.json")))
    found = snapshots.verify()
    assert not found.is_sound
    assert any(told in each.problem for each in found.findings), found


def test_what_is_not_promised_is_not_found(snapshots):
    """The newest version, forged or deleted together with its name; the docs say so."""
    newest = max(snapshots.folder.rglob("*.json"))
    data = newest.read_bytes()
    forged(newest)
    assert snapshots.verify().is_sound
    max(snapshots.folder.rglob("*.json")).unlink()
    assert snapshots.verify().is_sound
    newest.write_bytes(data)
    assert snapshots.verify().is_sound


def test_a_damaged_version_is_superseded_as_any_other(snapshots):
    newest = max(snapshots.folder.rglob("*.json"))
    newest.write_bytes(b"{")
    made = snapshots.create("p", "nightly")
    assert made.known["version"] == 4
    assert made.known["supersedes"] in newest.name
    with pytest.raises(CorruptStoreError):
        snapshots.get(newest.name[9:20])


# --- kills ---------------------------------------------------------------------------------------

WORK = """
import json, os, signal, sys
from lineage.audit import snapshot_files
from lineage.audit.snapshots import Snapshots
from lineage.stores import durable
from tests.test_snapshots_graph import DIAMOND, store_of

def tell(text):
    os.write(1, (text + "\\n").encode())

def torn(path, data):
    with path.open("wb") as file:
        file.write(data[:len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        file.write(data[len(data) // 2:])

def work(folder, left, is_torn):
    snapshots = Snapshots(store_of(DIAMOND), folder=folder)
    first = snapshots.create("p", "nightly")
    tell("acknowledged " + first.id)
    steps = []

    def step(name):
        steps.append(name)
        if len(steps) > left:
            tell("killed at " + name)
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):
        known = {"os.mkdir", "os.rename", "os.remove", "os.listdir", "os.scandir", "open"}
        if event in known and str(arguments[0]).startswith(folder):
            step(event)

    sync = os.fsync
    os.fsync = lambda file: (step("fsync"), sync(file))
    if is_torn:
        snapshot_files.write_durably = torn
    sys.addaudithook(hook)
    tell("acknowledged " + snapshots.create("p", "nightly").id)
    tell("steps " + " ".join(steps))

for line in sys.stdin:
    folder, left, is_torn = json.loads(line)
    child = os.fork()
    if child == 0:
        work(folder, left, is_torn)
        os._exit(0)
    os.waitpid(child, 0)
    tell("done")
"""


@pytest.fixture(scope="module")
def kill():
    """Give a function that makes two versions in a process killed before its n-th step."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WORK], env=environment, **pipes) as parent:

        def run(folder, left, *, is_torn=False):
            parent.stdin.write(json.dumps([str(folder), left, is_torn]) + "\n")
            parent.stdin.flush()
            told = []
            while (line := parent.stdout.readline().strip()) != "done":
                assert line
                told.append(line)
            return told

        yield run
        parent.stdin.close()


def after(told, what):
    return [line.removeprefix(f"{what} ") for line in told if line.startswith(what)]


def test_a_kill_at_any_step_leaves_whole_versions_and_all_that_were_acknowledged(tmp_path, kill):
    names, kept = [], set()
    for left in range(100):
        folder = tmp_path / str(left)
        told = kill(folder, left)
        snapshots = Snapshots(store_of(DIAMOND), folder=folder)
        assert snapshots.verify().is_sound, told
        found = {known["snapshot_id"]: known["version"] for known in snapshots.find()}
        assert set(after(told, "acknowledged")) <= set(found), told
        kept.add(len(found))
        made = snapshots.create("p", "nightly")
        assert made.known["version"] == len(found) + 1
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
        assert len(files) == len(found) + 1, "a killed writer's file is swept"
        assert snapshots.verify() == (len(found) + 1, [])
        if not after(told, "killed at"):
            break
        names += after(told, "killed at")
    assert kept == {1, 2}
    (steps,) = after(told, "steps")
    assert steps.split() == names
    written = names[names.index("os.rename") - 1 :]
    assert written[:4] == ["fsync", "os.rename", "open", "fsync"]


def test_a_write_in_place_would_be_seen(tmp_path, kill):
    sound = []
    for left in range(100):
        folder = tmp_path / str(left)
        told = kill(folder, left, is_torn=True)
        sound.append(Snapshots(MemoryStore(), folder=folder).verify().is_sound)
        if not after(told, "killed at"):
            break
    assert not all(sound)


def test_the_file_of_a_killed_writer_counts_for_nothing(snapshots):
    newest = max(snapshots.folder.rglob("*.json"))
    data = newest.read_bytes()
    left = newest.with_name(f".00000004-{'0' * 64}.json.0123abcd")
    for size in range(0, len(data), 97):
        left.write_bytes(data[:size])
        assert snapshots.verify() == (3, [])
        assert len(snapshots.find()) == 3


# --- many at once --------------------------------------------------------------------------------

MANY = """
import sys
from lineage.audit.snapshots import Snapshots
from tests.test_snapshots_graph import DIAMOND, store_of

snapshots = Snapshots(store_of(DIAMOND), folder=sys.argv[1])
sys.stdin.readline()
for _ in range(10):
    print(snapshots.create("p", "nightly").known["version"])
"""


def test_several_processes_make_versions_without_gaps(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", MANY, str(tmp_path / "_snapshots")]
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(told) == list(range(1, 41))
    snapshots = Snapshots(MemoryStore(), folder=tmp_path / "_snapshots")
    assert snapshots.verify() == (40, [])
    assert (tmp_path / "_manifest" / "lock").exists(), "the lock is that of the store"


def test_without_the_lock_a_version_would_be_given_twice(snapshots, monkeypatch):
    monkeypatch.setattr(snapshot_files, "locked", lambda _: nullcontext())
    folder, line = SnapshotFolder(snapshots.folder), line_of(project_uid("p"), "nightly")

    def make(owner):
        def data(newest):
            (path,) = snapshots.folder.rglob(f"*{newest.id}.json")
            document = json.loads(path.read_bytes())
            document |= {"version": newest.version + 1, "supersedes": newest.id}
            document["project"]["owner"] = owner
            if owner == "slow":
                folder.put(line, make("quick"))
            return canonical(document)

        return data

    folder.put(line, make("slow"))
    found = snapshots.verify().findings
    assert any("version 4 is there more than once" in each.problem for each in found)

"""The log: what it takes it keeps, whatever dies, whoever else appends; and its keys and proofs."""

import base64
import os
import random
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.audit import comparing
from lineage.audit import log as log_module
from lineage.audit.checkpoint import cosign, open_checkpoint
from lineage.audit.entries import Head, Record
from lineage.audit.files import LogFiles
from lineage.audit.handover import keys_of
from lineage.audit.keys import audit_folder, key_path, load_key, save_key
from lineage.audit.log import AuditLog
from lineage.audit.merkle import is_consistent, is_included, root_of
from lineage.audit.notes import SigningKey
from lineage.audit.pins import find_pin, save_pin
from lineage.audit.proofs import Proof, prove, verify_proof
from lineage.audit.verifying import verify_log
from lineage.errors import AuditError, StoreError
from lineage.stores.manifest import file_locked
from tests.audited import (
    KEY,
    LOG_ID,
    NEXT,
    ORIGIN,
    THIEF,
    WITNESS,
    Clock,
    copy_of,
    filled,
    new_log,
    records_of,
)
from tests.sumdb import GO_MISSING, sumdb

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("LINEAGE_SIGNING_KEY", raising=False)
    return tmp_path / "settings" / "lineage" / "audit"


def heads_of(log):
    return [Head.parse(line) for line in log.files.lines()]


def check(log, records, **options):
    """Verify a log with its records, and give how many fit; nothing may be wrong."""
    found = verify_log(log.files.folder, records=records, **options)
    assert found.findings == []
    assert found.records == len(records)
    return found


def test_what_is_appended_is_there(tmp_path):
    log, records = filled(tmp_path)
    found = check(log, records)
    assert found.size == 1 + 5 + len(records)
    assert (found.checkpoint.size, found.notes) == (found.size, [])
    heads = heads_of(log)
    assert [head.kind for head in heads] == ["init", *["operation"] * 5]
    times = [head.recorded_at for head in heads]
    assert times == sorted(times)
    leaves = log.files.hashes(0, 0, found.size)
    each = [leaves[at : at + 32] for at in range(0, len(leaves), 32)]
    assert root_of(each) == found.checkpoint.root


def test_it_says_what_it_was_not_given(tmp_path):
    """The control: records that were changed, left out or added do not fit."""
    log, records = filled(tmp_path)
    for wrong in (records[1:], [*records, Record(b"more")], [Record(b"x"), *records[1:]]):
        assert not verify_log(log.files.folder, records=wrong).is_sound


@given(st.lists(st.integers(0, 300), max_size=8), st.integers(0, 8))
@settings(max_examples=25)
def test_logs_of_any_appends(tmp_path_factory, sizes, signed):
    log, records = filled(tmp_path_factory.mktemp("log"), sizes, signed=(signed,))
    found = check(log, records)
    size = found.size
    tree = log.files.tree
    for index in {0, size // 2, size - 1}:
        leaf = log.files.hashes(0, index, 1)
        assert is_included(
            leaf, index, size, proof=tree.inclusion(index, size), root=tree.root(size)
        )
    proof = tree.consistency(size // 3, size)
    assert is_consistent(
        size // 3, size, old_root=tree.root(size // 3), root=tree.root(size), proof=proof
    )


def test_time_never_goes_back(tmp_path):
    times = iter([5_000_000, 9_000_000, 2_000_000, 9_500_000])
    AuditLog.create(tmp_path, KEY, log_id=LOG_ID, clock=lambda: next(times))
    log = AuditLog(tmp_path / "_audit", clock=lambda: next(times))
    taken = [log.append("operation", records_of([n])).recorded_at for n in range(3)]
    assert taken == [9_000, 9_000, 9_500]
    assert verify_log(log.files.folder).is_sound


def test_what_is_no_kind_is_refused(tmp_path):
    log = new_log(tmp_path)
    for kind in ("", "A", "a b", "a\nb", "x" * 41):
        with pytest.raises(ValueError, match="is no kind"):
            log.append(kind)
    with pytest.raises(TypeError):
        log.append("event", content={"when": object()})
    assert verify_log(log.files.folder).size == 1


def test_a_store_has_one_log(tmp_path):
    new_log(tmp_path)
    with pytest.raises(AuditError, match="is there already"):
        new_log(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["_audit"]
    with pytest.raises(AuditError, match="lineage audit init"):
        AuditLog(tmp_path / "other").append("event")


KILLED = """
import os, sys
from pathlib import Path
from lineage.audit.log import AuditLog
from tests.audited import KEY, LOG_ID

def step(name):
    if name == sys.argv[2]:
        os._exit(9)

AuditLog.create(Path(sys.argv[1]), KEY, log_id=LOG_ID, step=step)
"""


@pytest.mark.parametrize("at", ["write leaves", "write checkpoint", "put in place"])
def test_what_a_killed_init_has_left_is_cleaned_up(tmp_path, at):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, tmp_path, at]
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    (left,) = os.listdir(tmp_path)
    assert left.startswith("._audit-")
    with file_locked(tmp_path / left / "beginning"):  # the control: another is at it still
        log = new_log(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([left, "_audit"])
    with pytest.raises(AuditError, match="is there already"):
        new_log(tmp_path)
    assert os.listdir(tmp_path) == ["_audit"]
    assert verify_log(log.files.folder).is_sound


def test_what_is_none_of_its_files_is_told(tmp_path):
    log, records = filled(tmp_path)
    folder = log.files.folder
    assert check(log, records).notes == []
    names = ["hashes-0.bak", "hashes-8", ".seed.x", "history/1.bak", "history/notes", "more"]
    for name in names[:-1]:
        (folder / name).write_bytes(b"x")
    (folder / "more").mkdir()
    told = check(log, records).notes
    assert sorted(each.partition(" is none of the log's files")[0] for each in told) == sorted(
        names
    )
    log.append("event")
    log.checkpoint(KEY)
    assert verify_log(folder).is_sound


# --- many at once, and none of them for long ------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from lineage.audit.entries import Record
from lineage.audit.log import AuditLog

log = AuditLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    head = log.append("operation", [Record(f"{sys.argv[2]} {number}".encode())])
    print(head.first, sys.argv[2], number, flush=True)
"""


def test_many_processes_append_at_once(tmp_path):
    log = new_log(tmp_path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, log.files.folder, str(n), "40"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(5)
    ]
    told = [line.split() for each in writers for line in each.communicate()[0].splitlines()]
    assert {each.returncode for each in writers} == {0}
    told.sort(key=lambda each: int(each[0]))
    records = [Record(f"{name} {number}".encode()) for _, name, number in told]
    assert len(records) == 200
    check(log, records)


def test_threads_append_at_once(tmp_path):
    log, told = new_log(tmp_path), {}

    def work(name):
        for number in range(30):
            record = Record(f"{name} {number}".encode())
            told[log.append("operation", [record]).first] = record

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    check(log, [told[first] for first in sorted(told)])


def test_what_a_killed_process_was_told_is_there(tmp_path):
    log = new_log(tmp_path)
    for seed in range(6):
        worker = [sys.executable, "-c", WRITER, log.files.folder, f"w{seed}", "100000"]
        with subprocess.Popen(worker, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(5 + 7 * seed)]
            process.kill()
            lines += process.stdout.readlines()
        log.append("event")
        told = {int(line.split()[0]): line.split()[1:] for line in lines if line.endswith("\n")}
        there = {head.first: head for head in heads_of(log)}
        for first, (name, number) in told.items():
            expected = log_module.leaves_of(
                there[first], log.files.seed, [Record(f"{name} {number}".encode())]
            )
            assert log.files.hashes(0, first, 2) == expected
        assert verify_log(log.files.folder).is_sound


# --- crashes, all of them -------------------------------------------------------------------------


class Crash(BaseException):
    """What a step raises to stand for the death of the process."""


def crash_at(number, told=None):
    count = iter(range(10**6))

    def step(name):
        if told is not None:
            told.append(name)
        if next(count) == number:
            raise Crash(name)

    return step


def crashing(log, number, told=None):
    return AuditLog(log.files.folder, clock=Clock(2 * 10**18), step=crash_at(number, told))


def use(log, key):
    """Append and sign, as a process does that crashes somewhere; give what was acknowledged."""
    acknowledged = []
    for numbers in (range(500, 503), range(510, 800)):
        some = records_of(numbers)
        log.append("operation", some)
        acknowledged += some
    log.checkpoint(key)
    log.rotate(key, NEXT)
    return acknowledged


def test_a_crash_at_any_step_loses_nothing_acknowledged(tmp_path):
    base, records = filled(tmp_path / "base")
    told = []
    whole = AuditLog(copy_of(base, tmp_path / "whole"), step=crash_at(-1, told))
    use(whole, KEY)
    steps = {"write leaves", "write head", "write levels", "write level 1", "appended"}
    assert steps | {"write history", "write checkpoint"} <= set(told)
    for number in range(len(told)):
        log = AuditLog(copy_of(base, tmp_path / "crashed"), clock=Clock())
        more = []
        with pytest.raises(Crash):
            use(_noting(crashing(log, number), more), KEY)
        _check_survived(log, records, more)
    print(f"crashes: {len(told)} steps, all recovered")


def _noting(log, more):
    """Note what was acknowledged, as the caller of a process that dies would."""
    real = log.append

    def append(kind, records=(), content=None):
        head = real(kind, records, content)
        more.extend(records)
        return head

    log.append = append
    return log


def _check_survived(log, records, more):
    """The log opens, takes more, is consistent, can be signed, and has what was acknowledged."""
    last = log.append("operation", records_of([9999]))
    keys = keys_of(log.files.lines())
    log.checkpoint(NEXT if keys[-1].key == NEXT.verifier else KEY)
    there = [*records, *more]
    batches = [(range(500, 503)), (range(510, 800))]
    heads = heads_of(log)
    # An append that was whole on the disk may be there although nobody was told.
    counts = [head.count for head in heads if head.kind == "operation"]
    missing = sum(counts) - len(there) - 1
    assert missing in {0, 3, 290}
    unsaid = [records_of(each) for each in batches if len(each) == missing]
    there += [record for each in unsaid for record in each]
    assert heads[-1] == last
    check(log, [*there, *records_of([9999])])


def test_every_prefix_of_what_an_append_writes(tmp_path):
    """A head that is cut anywhere, with all of its leaves, some of them or none."""
    base, records = filled(tmp_path / "base")
    size, offset = verify_log(base.files.folder).size, base.files.heads.stat().st_size
    more = records_of(range(500, 503))
    base.append("operation", more)
    heads, leaves = base.files.heads.read_bytes(), base.files.level(0).read_bytes()
    cut_off = 0
    for end in range(offset, len(heads)):
        for kept in {0, 31, 32, 4 * 32} if end % 7 else {4 * 32}:
            log = AuditLog(copy_of(base, tmp_path / "torn"), clock=Clock(2 * 10**18))
            log.files.heads.write_bytes(heads[:end])
            log.files.level(0).write_bytes(leaves[: size * 32 + kept])
            log.append("operation", records_of([9999]))
            is_whole = end == len(heads) - 1 and kept == 4 * 32
            found = check(log, [*records, *(more if is_whole else []), *records_of([9999])])
            assert bool(found.notes) == (end > offset and not is_whole)
            cut_off += bool(found.notes)
    print(f"{cut_off} torn heads were cut off, each of them in an event")


def test_the_check_would_see_a_head_before_its_leaves(tmp_path, monkeypatch):
    """The control: heads are written first, and a crash leaves one without its leaves."""
    base, _ = filled(tmp_path / "base")
    real, order = log_module._write, []

    def write(file, data, offset):
        if file.name == "hashes-0":
            order.append((file, data, offset))
            return
        real(file, data, offset)
        if file.name == "heads":
            raise Crash

    monkeypatch.setattr(log_module, "_write", write)
    with suppress(Crash):
        AuditLog(base.files.folder).append("operation", records_of(range(3)))
    assert order
    assert not verify_log(base.files.folder).is_sound
    with pytest.raises(AuditError, match="has lost its end"):
        AuditLog(base.files.folder).append("event")


def test_levels_are_made_again(tmp_path):
    """A power cut may take what the last append added to a level, or leave zeros for it."""
    log, records = filled(tmp_path / "base", (600, 70, 300))
    whole = log.files.level(1).read_bytes()
    assert len(whole) == 3 * 32
    more = records_of([7000])
    for data in (b"", whole[:31], whole[:40], whole[:64] + bytes(32), whole + bytes(9)):
        again = AuditLog(copy_of(log, tmp_path / "copy"), clock=Clock(2 * 10**18))
        again.files.level(1).write_bytes(data)
        assert not verify_log(again.files.folder).is_sound
        again.append("operation", more)
        assert again.files.level(1).read_bytes() == whole
        check(again, [*records, *more])


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    """A limit on the size of files stands for it; a child has it."""
    log, records = filled(tmp_path, (3,) * 4)
    log.append("event", content={"why": "x" * 3000})
    code = """
import resource, signal, sys
from pathlib import Path
from lineage.audit.log import AuditLog
from lineage.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    AuditLog(Path(sys.argv[1])).append("event", content={"why": "x" * 300})
except StoreError as error:
    print(error)
"""
    heads = log.files.heads.stat().st_size
    leaves = log.files.level(0).stat().st_size
    assert leaves + 100 < heads
    for limit in (leaves + 5, heads + 50):
        done = subprocess.run(
            [sys.executable, "-c", code, log.files.folder, str(limit)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "free some space" in done.stdout
        assert log.files.heads.stat().st_size == heads
    log.append("operation", records_of([5000]))
    assert check(log, [*records, *records_of([5000])]).notes == []


def test_a_log_that_lost_its_end_takes_no_more(tmp_path):
    log, _ = filled(tmp_path)
    lines = log.files.heads.read_bytes().splitlines(keepends=True)
    log.files.heads.write_bytes(b"".join(lines[:-2]))
    for act in (lambda: log.append("event"), lambda: log.checkpoint(KEY)):
        with pytest.raises(AuditError, match="has lost its end"):
            act()


# --- keys -----------------------------------------------------------------------------------------


def test_only_the_key_of_the_log_signs(tmp_path):
    log, _ = filled(tmp_path)
    log.append("event")
    with pytest.raises(AuditError, match="is not the one of this log"):
        log.checkpoint(THIEF)
    log.checkpoint(KEY)


def test_nothing_is_signed_on_what_was_changed(tmp_path):
    log, _ = filled(tmp_path)
    data = bytearray(log.files.level(0).read_bytes())
    data[40] ^= 1
    log.files.level(0).write_bytes(data)
    log.append("event")
    with pytest.raises(AuditError, match="not those that were signed"):
        log.checkpoint(KEY)


def test_one_key_hands_over_to_the_next(tmp_path):
    log, records = filled(tmp_path)
    old = log.files.checkpoint.read_bytes()
    log.append("event")
    note = log.rotate(KEY, NEXT)
    assert [each.key for each in keys_of(log.files.lines())] == [KEY.verifier, NEXT.verifier]
    assert open_checkpoint(bytes(note), NEXT.verifier)
    assert open_checkpoint(old, KEY.verifier)
    log.append("event")
    with pytest.raises(AuditError, match="is not the one of this log"):
        log.checkpoint(KEY)
    log.checkpoint(NEXT)
    check(log, records, key=KEY.verifier)
    with pytest.raises(AuditError, match="of the same name"):
        log.rotate(NEXT, NEXT)
    with pytest.raises(AuditError, match="is not the one of this log"):
        log.rotate(THIEF, KEY)


def test_a_hand_over_needs_both_signatures(tmp_path):
    """One that the thief alone signs is refused, though the event is in the log."""
    log, _ = filled(tmp_path)
    size = verify_log(log.files.folder).size
    text = f"lineage.handover/1\n{size}\n{KEY.verifier}\n{THIEF.verifier}\n"
    for keys in ((THIEF,), (KEY,)):
        copy = AuditLog(copy_of(log, tmp_path / "copy"))
        forged = log_module.handover(KEY, THIEF, size)
        kept = tuple(each for each in forged.signatures for key in keys if each.is_of(key.verifier))
        note = type(forged)(text, kept)
        copy.append("key", content={"handover": bytes(note).decode()})
        assert not verify_log(copy.files.folder).is_sound
        with pytest.raises(AuditError, match="not signed by both"):
            copy.checkpoint(THIEF)


def test_keys_are_for_their_owner_alone(home, monkeypatch):
    save_key(KEY, key_path(LOG_ID))
    path = home / f"{LOG_ID}.key"
    assert key_path(LOG_ID) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert os.listdir(home) == [path.name]
    assert load_key(LOG_ID) == KEY
    with pytest.raises(AuditError, match="is there already"):
        save_key(NEXT, path)
    with pytest.raises(AuditError, match="who has it signs"):
        load_key("0" * 16)
    path.chmod(0o640)
    with pytest.raises(AuditError, match="chmod 600"):
        load_key(LOG_ID)
    path.chmod(0o600)
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", NEXT.text())
    assert load_key(LOG_ID) == NEXT
    assert load_key(LOG_ID, path) == KEY
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", str(path))
    assert load_key(LOG_ID) == KEY
    path.write_text("PRIVATE+KEY+none")
    with pytest.raises(AuditError, match="the signing key is none"):
        load_key(LOG_ID)


def test_without_cryptography_it_says_what_to_install():
    code = """
import sys
sys.modules["cryptography"] = sys.modules["cryptography.exceptions"] = None
from lineage.audit.notes import SigningKey
import lineage.audit.log, lineage.audit.verifying, lineage.audit.pins
try:
    SigningKey.generate("x")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "track-lineage[audit]" in done.stdout


def test_what_is_imported_waits_for_a_key():
    code = """
import sys
import lineage.audit.log, lineage.audit.verifying, lineage.audit.pins, lineage.audit.proofs
print([name for name in ("cryptography", "pyarrow", "pandas", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- pins and witnesses ---------------------------------------------------------------------------


def test_a_pin_remembers(tmp_path):
    log, records = filled(tmp_path / "store")
    assert find_pin(log.files) is None
    save_pin(log.files)
    pin = find_pin(log.files)
    assert check(log, records, pin=pin).pinned == verify_log(log.files.folder).size
    # The store moved: its id tells it. Another log in its place is not it.
    (tmp_path / "store").rename(tmp_path / "moved")
    moved = LogFiles(tmp_path / "moved" / "_audit")
    assert find_pin(moved) == pin
    other = AuditLog.create(
        _made(tmp_path / "store"), SigningKey(ORIGIN, bytes(32)), log_id="f" * 16
    )
    found = verify_log(other.files.folder, pin=find_pin(other.files))
    assert [each.kind for each in found.findings] == ["replaced"]
    next(audit_folder().glob("*.pin")).write_text("{}")
    with pytest.raises(AuditError, match=r"the pin .* cannot be read"):
        find_pin(log.files)


def _made(folder):
    folder.mkdir()
    return folder


def test_a_witness_is_remembered(tmp_path):
    log, records = filled(tmp_path)
    assert check(log, records, witnesses=[WITNESS.verifier]).witnessed is None
    note = cosign(log.checkpoint(KEY), WITNESS, 1_790_000_100)
    log.keep_cosignatures(bytes(note), [WITNESS.verifier])
    found = check(log, records, witnesses=[WITNESS.verifier])
    assert found.witnessed == found.checkpoint
    log.append("event")
    log.checkpoint(KEY)
    found = check(log, records, witnesses=[WITNESS.verifier])
    assert found.witnessed.size == found.checkpoint.size - 1
    with pytest.raises(AuditError, match="not the newest checkpoint"):
        log.keep_cosignatures(bytes(note), [WITNESS.verifier])
    with pytest.raises(AuditError, match="0 cosignatures"):
        log.keep_cosignatures(bytes(log.checkpoint(KEY)), [WITNESS.verifier])


# --- proofs ---------------------------------------------------------------------------------------


def proof_of(log, records, number):
    """Prove a record by its number among all."""
    count = 0
    for head in heads_of(log):
        if number < count + head.count:
            return prove(log.files, head, head.first + 1 + number - count, records[number])
        count += head.count
    raise AssertionError(number)


def test_a_stranger_verifies_a_proof(tmp_path):
    log, records = filled(tmp_path, (300, 40, 1), signed=(3,))
    for number in (0, 254, 255, 299, 300, 340):
        data = bytes(proof_of(log, records, number))
        assert bytes(Proof.parse(data)) == data
        found = verify_proof(data, records[number].data, KEY.verifier)
        assert (found.kind, found.event_time) == ("operation", records[number].event_time)
        assert found.recorded_at in {head.recorded_at for head in heads_of(log)}
        for key, record in ((THIEF.verifier, records[number].data), (KEY.verifier, b"other")):
            with pytest.raises(AuditError):
                verify_proof(data, record, key)
    with pytest.raises(AuditError, match="1 are needed"):
        verify_proof(data, records[340].data, KEY.verifier, quorum=1)


def test_what_cannot_be_proven(tmp_path):
    log, records = filled(tmp_path)
    head = heads_of(log)[1]
    with pytest.raises(AuditError, match="is not the record that was logged as leaf 2"):
        prove(log.files, head, 2, records[1])
    late = log.append("operation", records_of([77]))
    with pytest.raises(AuditError, match="came after the newest checkpoint"):
        prove(log.files, late, late.first + 1, records_of([77])[0])


@pytest.mark.parametrize("what", ["extra", "twice", "reversed", "short", "none", "ends"])
def test_what_is_no_proof(tmp_path, what):
    log, records = filled(tmp_path)
    data = bytes(proof_of(log, records, 3))
    lines = data.split(b"\n")
    changed = {
        "extra": lambda: [lines[0], b"extra ", *lines[2:]],
        "twice": lambda: [*lines[:4], lines[3], *lines[4:]],
        "reversed": lambda: [*lines[:3], lines[4], lines[3], *lines[5:]],
        "short": lambda: [*lines[:3], *lines[4:]],
        "none": lambda: [],
        "ends": lambda: [line + b"\r" for line in lines],
    }[what]()
    assert verify_proof(data, records[3].data, KEY.verifier)
    with pytest.raises(AuditError):
        verify_proof(b"\n".join(changed), records[3].data, KEY.verifier)


def test_tiles_are_exported(tmp_path):
    log, _ = filled(tmp_path / "store", (700,), signed=(1,))
    size = verify_log(log.files.folder).size
    assert log.files.export(tmp_path / "tiles", size) == 4
    there = {str(each.relative_to(tmp_path / "tiles")): each.read_bytes()
             for each in (tmp_path / "tiles").rglob("*") if each.is_file()}  # fmt: skip
    assert set(there) == {
        *("tile/0/000", "tile/0/001", "tile/0/002.p/190", "tile/1/000.p/2"),
    }
    leaves = b"".join(there[each] for each in sorted(there) if each.startswith("tile/0"))
    assert root_of([leaves[at : at + 32] for at in range(0, len(leaves), 32)]) == (
        log.files.tree.root(size)
    )


@pytest.mark.skipif(bool(GO_MISSING), reason=GO_MISSING or "it is there")
def test_go_agrees_on_proofs(tmp_path):
    """Go's `x/mod/sumdb/tlog` takes ours, and none of those with a flipped bit."""
    log, _ = filled(tmp_path / "store", (300, 40, 1), signed=(1, 3))
    files, size = log.files, verify_log(log.files.folder).size
    chosen = random.Random(5)

    def text(data):
        return base64.b64encode(data).decode()

    def flip(data):
        bit = chosen.randrange(256)
        return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]

    good, bad, older, forged = [], [], [], []
    for index in chosen.sample(range(size), 100):
        proof = files.tree.inclusion(index, size)
        one = {"Size": size, "Root": text(files.tree.root(size)), "Index": index}
        one |= {"Leaf": text(files.hashes(0, index, 1)), "Proof": [text(each) for each in proof]}
        good.append(one)
        at = chosen.randrange(len(proof))
        changed = [text(flip(each) if n == at else each) for n, each in enumerate(proof)]
        bad.append(one | {"Proof": changed})
    for old in chosen.sample(range(1, size), 100):
        proof = [text(each) for each in files.tree.consistency(old, size)]
        one = {"Size": size, "Root": text(files.tree.root(size)), "Old": old, "Proof": proof}
        older.append(one | {"OldRoot": text(files.tree.root(old))})
        forged.append(one | {"OldRoot": text(flip(files.tree.root(old)))})
    (tmp_path / "go").mkdir()
    told = sumdb(tmp_path / "go", {"Inclusions": good + bad, "Consistencies": older + forged})
    assert told["inclusions"] == [True] * 100 + [False] * 100
    assert told["consistencies"] == [True] * 100 + [False] * 100


def test_the_first_finding_names_the_record(tmp_path):
    log, records = filled(tmp_path, (200,), signed=(1,))
    moved = [*records[:50], records[60], *records[51:60], records[50], *records[61:]]
    changes = {
        "edited": [*records[:50], records[50]._replace(data=b"x"), *records[51:]],
        "deleted": [*records[:50], *records[51:]],
        "inserted": [*records[:50], Record(b"x", 0, "x"), *records[50:]],
        "reordered": moved,
    }
    for kind, some in changes.items():
        found = verify_log(log.files.folder, records=some).findings
        expected = "record x" if kind == "inserted" else "leaf 52"
        assert (found[0].kind, found[0].where[: len(expected)]) == (kind, expected)
        assert len(found) == (2 if kind == "reordered" and len(found) == 2 else 1)
    assert comparing._MOST_FOUND == 20
    assert len(verify_log(log.files.folder, records=[Record(b"x")] * 200).findings) == 20


def test_a_lock_is_waited_for(tmp_path):
    log = new_log(tmp_path)
    with log._turn():
        with pytest.raises(StoreError, match="held by another process"):
            AuditLog(log.files.folder, wait_s=0.05).append("event")
    log.append("event")

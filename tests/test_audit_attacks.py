"""Attacks on a log: what is promised is found, and what is not promised is not claimed.

Who attacks has all files and writes them anew as the log would, with every hash that follows; but
for the last two they have not the key. The control is the same rewriting without a change.
"""

import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from lineage.audit.checkpoint import Checkpoint, cosign, sign_checkpoint
from lineage.audit.entries import Head, Record, leaves_of
from lineage.audit.files import history_name
from lineage.audit.merkle import TILE, fold, root_of
from lineage.audit.proofs import prove, verify_proof
from lineage.audit.verifying import Pin, _Check, verify_log
from lineage.errors import AuditError
from tests.audited import KEY, WITNESS, copy_of, filled

TIMES = 1000
FLIPS = 9000
PROOF_FLIPS = 1000


@dataclass
class Forged:
    """A log as who attacks sees it: its appends, each with its records, and what is signed."""

    log: object
    appends: list  # of [head, records]

    @classmethod
    def of(cls, log, records):
        rest = iter(records)
        heads = [Head.parse(line) for line in log.files.lines()]
        return cls(log, [[head, [next(rest) for _ in range(head.count)]] for head in heads])

    def records(self):
        return [record for _, some in self.appends for record in some]

    def write(self):
        """Write heads, leaves and levels as if it had always been so."""
        files, first, leaves, lines = self.log.files, 0, b"", []
        for each in self.appends:
            head = replace(each[0], first=first, count=len(each[1]))
            leaves += leaves_of(head, files.seed, each[1])
            lines.append(head.line())
            first = head.end
        files.heads.write_bytes(b"".join(lines))
        level = 0
        while leaves:
            files.level(level).write_bytes(leaves)
            step = TILE * 32
            whole = len(leaves) // step * step
            leaves = b"".join(fold(leaves[at : at + step]) for at in range(0, whole, step))
            level += 1
        return first

    def sign(self, size, key):
        """Sign it with a key that was stolen, and leave no other checkpoint."""
        files = self.log.files
        data = files.hashes(0, 0, size)
        root = root_of(data[at : at + 32] for at in range(0, len(data), 32))
        for path in files.checkpoints():
            path.unlink()
        note = bytes(sign_checkpoint(Checkpoint(key.name, size, root), key))
        (files.history / history_name(size)).write_bytes(note)
        files.checkpoint.write_bytes(note)


def edit(forged, chosen):
    _, some = chosen.choice([each for each in forged.appends if each[1]])
    at = chosen.randrange(len(some))
    record = some[at]
    data = bytearray(record.data)
    data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    some[at] = record._replace(data=bytes(data))


def delete(forged, chosen):
    if chosen.random() < 0.3:
        del forged.appends[chosen.randrange(1, len(forged.appends))]
        return
    _, some = chosen.choice([each for each in forged.appends if each[1]])
    del some[chosen.randrange(len(some))]


def insert(forged, chosen):
    record = Record(b"operation that never was %d" % chosen.randrange(10**6), 10**15, "forged")
    head, some = chosen.choice(forged.appends[1:])
    if chosen.random() < 0.3:
        forged.appends.insert(chosen.randrange(1, len(forged.appends)), [head, [record]])
    else:
        some.insert(chosen.randrange(len(some) + 1), record)


def reorder(forged, chosen):
    if chosen.random() < 0.3:
        one, two = chosen.sample(range(1, len(forged.appends)), 2)
        forged.appends[one], forged.appends[two] = forged.appends[two], forged.appends[one]
        return
    some = chosen.choice([each for _, each in forged.appends if len(each) > 1])
    one, two = chosen.sample(range(len(some)), 2)
    some[one], some[two] = some[two], some[one]


def back_date(forged, chosen):
    if chosen.random() < 0.5:
        each = chosen.choice(forged.appends[1:])
        each[0] = replace(each[0], recorded_at=each[0].recorded_at - chosen.randrange(1, 10**9))
        return
    _, some = chosen.choice([each for each in forged.appends if each[1]])
    at = chosen.randrange(len(some))
    some[at] = some[at]._replace(event_time=some[at].event_time - chosen.randrange(1, 10**9))


def truncate(forged, chosen):
    kept = chosen.randrange(1, len(forged.appends))
    rest = forged.appends[kept][1][: chosen.randrange(len(forged.appends[kept][1]))]
    if rest:
        forged.appends[kept][1] = rest
        kept += 1
    del forged.appends[kept:]


ATTACKS = [edit, delete, insert, reorder, back_date, truncate]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("base"), (3, 4, 7, 5, 2), signed=(2, 5))


def copied(base, folder):
    log, records = base
    copy_of(log, folder / "_audit")
    return Forged.of(type(log)(folder / "_audit"), records)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_without_the_key_no_attack_goes_unseen(base, tmp_path, attack):
    """A third of them changes the records alone, one the log alone, one both."""
    chosen, seen, kinds = random.Random(attack.__name__), 0, Counter()
    untouched = copied(base, tmp_path)
    untouched.write()
    assert verify_log(untouched.log.files.folder, records=untouched.records()).is_sound
    for number in range(TIMES):
        forged = copied(base, tmp_path)
        attack(forged, chosen)
        records = forged.records()
        if number % 3 != 0:
            forged.write()
        if number % 3 == 1 and records != base[1]:
            records = base[1]
        if number % 3 == 0 and records == base[1]:
            forged.write()  # the records have not changed, so only the log tells
        found = verify_log(forged.log.files.folder, records=records).findings
        seen += bool(found)
        kinds[found[0].kind if found else "unseen"] += 1
    print(f"{attack.__name__}: {seen} of {TIMES} detected, first as {dict(kinds)}")
    assert seen == TIMES


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_the_check_would_see_a_verifier_that_asks_no_checkpoint(
    base, tmp_path, monkeypatch, attack
):
    """The control: without the signed roots, what was written anew is as good as the log."""
    monkeypatch.setattr(_Check, "_checkpoints", lambda self: None)
    chosen, unseen = random.Random(1), 0
    for _ in range(30):
        forged = copied(base, tmp_path)
        attack(forged, chosen)
        forged.write()
        found = verify_log(forged.log.files.folder, records=forged.records()).findings
        unseen += not [each for each in found if each.kind != "back-dated"]
    assert unseen > 20


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_who_edits_only_the_records_is_named(base, tmp_path, attack):
    """The first finding says what was done, as far as it can be told apart."""
    expected = {
        "edit": {"edited"},
        "delete": {"deleted"},
        "insert": {"inserted"},
        "reorder": {"reordered"},
        "back_date": {"edited"},
        "truncate": {"deleted"},
    }[attack.__name__]
    chosen, told = random.Random(2), Counter()
    for _ in range(100):
        forged = copied(base, tmp_path)
        attack(forged, chosen)
        records = forged.records()
        if records != base[1]:
            found = verify_log(base[0].files.folder, records=records).findings
            told[found[0].kind] += 1
    right = sum(told[kind] for kind in expected)
    print(f"{attack.__name__}: named {dict(told)}")
    assert right >= 0.95 * told.total() > 0


def test_a_roll_back_is_seen_by_who_remembers_and_nobody_else(base, tmp_path):
    """An older state, signed by the key itself, is whole: only a pin tells."""
    _roll(base, tmp_path, lambda forged, chosen: truncate(forged, chosen), is_signed_by_key=False)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_a_stolen_key_is_seen_by_who_remembers_and_nobody_else(base, tmp_path, attack):
    _roll(base, tmp_path, attack, is_signed_by_key=True)


def _roll(base, tmp_path, attack, *, is_signed_by_key):
    log, _ = base
    pin = Pin(str(KEY.verifier), log.files.checkpoint.read_bytes())
    chosen = random.Random(3)
    claimed = seen = unwitnessed = 0
    times = TIMES if not is_signed_by_key else -(-TIMES // len(ATTACKS))
    for _ in range(times):
        forged = copied(base, tmp_path)
        if is_signed_by_key:
            attack(forged, chosen)
            times_of = [head.recorded_at for head, _ in forged.appends]
            for each, time in zip(forged.appends, sorted(times_of), strict=True):
                each[0] = replace(each[0], recorded_at=time)
        else:
            del forged.appends[chosen.randrange(1, len(forged.appends)) :]
        forged.sign(forged.write(), KEY)
        folder, records = forged.log.files.folder, forged.records()
        alone = verify_log(folder, records=records)
        claimed += not alone.is_sound
        assert alone.pinned is alone.witnessed is None  # nothing vouches for it, and it says so
        seen += not verify_log(folder, records=records, pin=pin).is_sound
        asked = verify_log(folder, records=records, witnesses=[WITNESS.verifier], quorum=1)
        unwitnessed += [each.kind for each in asked.findings] == ["unwitnessed"]
    told = f"{seen} with a pin, {unwitnessed} for want of a witness"
    print(f"signed anew: {claimed} of {times} seen alone, {told}")
    assert (claimed, seen, unwitnessed) == (0, times, times)


# --- bits -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory):
    log, records = filled(tmp_path_factory.mktemp("witnessed"), (3, 250, 7, 5), signed=(2, 4))
    note = cosign(log.checkpoint(KEY), WITNESS, 1_790_000_100)
    log.keep_cosignatures(bytes(note), [WITNESS.verifier])
    return log, records


def test_no_flipped_bit_of_a_log_is_silent(witnessed, tmp_path):
    log, records = witnessed
    folder = copy_of(log, tmp_path / "_audit")
    options = {"records": records, "witnesses": [WITNESS.verifier], "quorum": 1}
    clean = verify_log(folder, **options)
    assert (clean.findings, clean.notes) == ([], [])
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.stat().st_size]
    assert {each.name for each in files} >= {"heads", "hashes-0", "hashes-1", "seed", "checkpoint"}
    chosen, silent, kinds = random.Random(4), [], Counter()
    for _ in range(FLIPS):
        file = chosen.choice(files)
        data = file.read_bytes()
        bit = chosen.randrange(8 * len(data))
        with file.open("r+b") as stream:
            stream.seek(bit // 8)
            stream.write(bytes([data[bit // 8] ^ 1 << bit % 8]))
        found = verify_log(folder, **options)
        with file.open("r+b") as stream:
            stream.seek(bit // 8)
            stream.write(data[bit // 8 : bit // 8 + 1])
        kinds[found.findings[0].kind if found.findings else "noted"] += 1
        if not found.findings and not found.notes:
            silent.append((file.name, bit))
    print(f"log: {FLIPS} bit flips in {len(files)} files, {len(silent)} silent, {dict(kinds)}")
    assert silent == []
    assert verify_log(folder, **options).is_sound


def test_no_flipped_bit_of_a_proof_is_silent(witnessed):
    log, records = witnessed
    head = [Head.parse(line) for line in log.files.lines()][2]
    data = bytes(prove(log.files, head, head.first + 6, records[8]))
    options = {"witnesses": [WITNESS.verifier], "quorum": 1}
    assert verify_proof(data, records[8].data, KEY.verifier, **options).index == head.first + 6
    bits = random.Random(5).sample(range(8 * len(data)), PROOF_FLIPS)
    silent = []
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            verify_proof(bytes(changed), records[8].data, KEY.verifier, **options)
        except AuditError:
            continue
        silent.append(bit)
    print(f"proofs: {len(bits)} bit flips, {len(silent)} silent")
    assert silent == []


def test_the_check_would_see_a_level_that_nobody_compares(witnessed, tmp_path, monkeypatch):
    """The control: what follows from the leaves is believed, and a flipped bit in it is silent."""
    log, records = witnessed
    folder = copy_of(log, tmp_path / "_audit")
    monkeypatch.setattr(_Check, "_levels", lambda self: None)
    monkeypatch.setattr(_Check, "_checkpoints", lambda self: None)
    data = bytearray((folder / "hashes-1").read_bytes())
    data[7] ^= 1
    (folder / "hashes-1").write_bytes(data)
    assert verify_log(folder, records=records).is_sound

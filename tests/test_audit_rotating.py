"""A new key in place of the old one: whole, and after a crash at every step."""

import os
import stat

import pytest

from lineage.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from lineage.audit.entries import Head
from lineage.audit.handover import handover, keys_from, keys_of
from lineage.audit.keys import key_path, load_key, save_key
from lineage.audit.log import AuditLog
from lineage.audit.notes import Note, SigningKey
from lineage.audit.proofs import prove, verify_proof
from lineage.audit.rotating import rotate
from lineage.audit.verifying import verify_log
from lineage.errors import AuditError
from tests.audited import KEY, LOG_ID, NEXT, THIEF, Clock, copy_of, filled, new_log, records_of

LAST = SigningKey(KEY.name, bytes(range(5, 37)))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("LINEAGE_SIGNING_KEY", raising=False)
    return tmp_path / "settings" / "lineage" / "audit"


class Crash(BaseException):
    """What a step raises to stand for the death of the process."""


def crash_at(number, told):
    count = iter(range(10**6))

    def step(name):
        told.append(name)
        if next(count) == number:
            raise Crash(name)

    return step


def test_the_new_key_takes_the_place_of_the_old_one(tmp_path, home):
    log, records = filled(tmp_path)
    old = log.files.checkpoint.read_bytes()
    save_key(KEY, key_path(LOG_ID))
    done = rotate(log)
    assert load_key(LOG_ID).verifier == done.key != KEY.verifier
    assert sorted(os.listdir(home)) == [done.path.name, done.former.name]
    assert load_key(LOG_ID, done.former) == KEY
    assert {stat.S_IMODE(each.stat().st_mode) for each in home.iterdir()} == {0o600}
    assert open_checkpoint(bytes(done.checkpoint), done.key).checkpoint.size == 1 + 5 + 18 + 1
    assert open_checkpoint(old, KEY.verifier)
    for key in (KEY.verifier, done.key):
        assert f"\n{key}\n" in done.handover
    with pytest.raises(AuditError, match="is not the one of this log"):
        log.checkpoint(KEY)
    log.append("event")
    log.checkpoint(load_key(LOG_ID))
    found = verify_log(log.files.folder, records=records, key=KEY.verifier)
    assert (found.findings, found.size) == ([], 1 + 5 + 18 + 2)
    again = rotate(log)
    assert again.key != done.key
    assert len(os.listdir(home)) == 3
    assert verify_log(log.files.folder, key=KEY.verifier).is_sound


def test_proofs_of_before_are_proofs_still(tmp_path):
    log, records = filled(tmp_path, (3,), signed=(1,))
    _, head = map(Head.parse, log.files.lines())
    before = bytes(prove(log.files, head, head.first + 1, records[0]))
    save_key(KEY, key_path(LOG_ID))
    done = rotate(log)
    after = bytes(prove(log.files, head, head.first + 1, records[0]))
    assert verify_proof(before, records[0].data, KEY.verifier)
    assert verify_proof(after, records[0].data, done.key)
    with pytest.raises(AuditError, match="not signed by"):
        verify_proof(after, records[0].data, KEY.verifier)


def handed_over_twice(tmp_path):
    """A log of three keys in turn; a record and its proof under each, and the hand-overs."""
    log, records = filled(tmp_path, (3,), signed=(1,))
    (record, *_), head = records, Head.parse(list(log.files.lines())[1])
    proofs, notes = [bytes(prove(log.files, head, head.first + 1, record))], []
    for old, new in ((KEY, NEXT), (NEXT, LAST)):
        log.append("event")
        notes.append(bytes(handover(old, new, log.files.last()[0].end)))
        log.rotate(old, new)
        assert notes[-1].decode() == log.files.last()[0].content["handover"]
        proofs.append(bytes(prove(log.files, head, head.first + 1, record)))
    return log, record.data, proofs, notes


def test_hand_overs_lead_from_the_first_key_to_the_last(tmp_path):
    log, record, proofs, notes = handed_over_twice(tmp_path)
    known = [each.key for each in keys_of(log.files.lines())]
    assert known == [KEY.verifier, NEXT.verifier, LAST.verifier]
    assert keys_from(KEY.verifier, notes) == keys_of(log.files.lines())
    for proof, key in zip(proofs, known, strict=True):
        for given in (notes, notes[::-1]):
            found = verify_proof(proof, record, KEY.verifier, handovers=given)
            assert (found.index, found.key) == (2, key)
    assert verify_proof(proofs[2], record, NEXT.verifier, handovers=notes[1:]).key == known[2]
    assert verify_proof(proofs[1], record, KEY.verifier, handovers=notes[:1]).key == known[1]


def test_hand_overs_that_lead_nowhere_are_refused(tmp_path):
    _, record, proofs, notes = handed_over_twice(tmp_path)
    one, two = notes
    others = SigningKey("another", bytes(range(32)))
    unsigned = Note.parse(one)
    for given, why in [
        ([], "not signed by"),
        ([one], "not signed by"),
        ([two], "is not by"),
        ([one, two, two], "two hand-overs"),
        ([one, bytes(handover(THIEF, LAST, 8))], "is not by"),
        ([bytes(handover(KEY, THIEF, 6)), two], "is not by"),
        ([bytes(Note(unsigned.text, unsigned.signatures[:1])), two], "begins no hand-over"),
        ([one, two.replace(b"handover/1", b"handover/2")], "begins no hand-over"),
        ([one, bytes(handover(NEXT, LAST, 7)), two], "is not by"),
        ([one, two + b"x"], "is no|not"),
        ([bytes(Note.parse(proofs[0].partition(b"\n\n")[2])), two], "begins no hand-over"),
        ([bytes(handover(others, SigningKey("another", bytes(32)), 6)), two], "is not by"),
    ]:
        with pytest.raises(AuditError, match=why):
            verify_proof(proofs[2], record, KEY.verifier, handovers=given)
    with pytest.raises(AuditError, match="is not leaf"):
        verify_proof(proofs[2], b"another", KEY.verifier, handovers=notes)


def test_who_has_the_hand_over_takes_nothing_more_by_the_key_before(tmp_path):
    """A stolen old key signs the log as it is after the hand-over: who was not told believes it."""
    log, record, proofs, notes = handed_over_twice(tmp_path)
    size = log.files.last()[0].end
    stolen = bytes(sign_checkpoint(Checkpoint(KEY.name, size, log.files.tree.root(size)), KEY))
    forged = proofs[2].partition(b"\n\n")[0] + b"\n\n" + stolen
    assert verify_proof(forged, record, KEY.verifier).key == KEY.verifier
    for given in (notes, notes[:1]):
        with pytest.raises(AuditError, match="not signed by"):
            verify_proof(forged, record, KEY.verifier, handovers=given)


def silent_flips(proof, record, notes):
    """Flip each bit of each hand-over; give how many, and how many of them are not noticed."""
    tried, silent = 0, []
    for number, whole in enumerate(notes):
        for bit in range(len(whole) * 8):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            given = [*notes[:number], bytes(changed), *notes[number + 1 :]]
            tried += 1
            try:
                verify_proof(proof, record, KEY.verifier, handovers=given)
            except AuditError:
                continue
            silent.append((number, bit))
    return tried, silent


def test_no_flipped_bit_of_a_hand_over_is_silent(tmp_path, monkeypatch):
    _, record, proofs, notes = handed_over_twice(tmp_path)
    tried, silent = silent_flips(proofs[2], record, notes)
    assert silent == []
    assert verify_proof(proofs[2], record, KEY.verifier, handovers=notes)
    print(f"hand-overs: {tried} flipped bits, none silent")
    monkeypatch.setattr(Note, "signed_by", lambda *_: True)  # the control: nobody looks
    assert len(silent_flips(proofs[2], record, notes)[1]) > 1_000


def test_files_and_variables_name_the_keys(tmp_path, monkeypatch):
    log = new_log(tmp_path / "store")
    one, two = tmp_path / "one.key", tmp_path / "two.key"
    save_key(KEY, one)
    done = rotate(log, one, new_path=two)
    assert (done.path, done.former, load_key("", one)) == (two, one, KEY)
    assert stat.S_IMODE(two.stat().st_mode) == 0o600
    with pytest.raises(AuditError, match="is the one that the log has"):
        rotate(log, two, new_path=two)
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", two.read_text())
    with pytest.raises(AuditError, match=r"name a file for the new key by --new-key"):
        rotate(log)
    three = tmp_path / "three.key"
    save_key(NEXT, three)
    assert (rotate(log, new_path=three).key, two.exists()) == (NEXT.verifier, True)
    link = tmp_path / "link.key"
    link.symlink_to(three)
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", str(link))
    done = rotate(log)
    assert (done.path, link.is_symlink()) == (three.resolve(), True)
    assert load_key("").verifier == done.key
    assert verify_log(log.files.folder, key=KEY.verifier).is_sound


def test_who_has_not_the_key_hands_nothing_over(tmp_path):
    log = new_log(tmp_path / "store")
    size = verify_log(log.files.folder).size
    for number, key in enumerate((THIEF, SigningKey("other", bytes(32)))):
        save_key(key, tmp_path / f"{number}.key")
        with pytest.raises(AuditError, match=r"not the one of this log|of the same name"):
            rotate(log, tmp_path / f"{number}.key", new_path=tmp_path / f"{number}.new")
    save_key(KEY, tmp_path / "log.key")
    save_key(SigningKey("other", bytes(32)), tmp_path / "other.key")
    with pytest.raises(AuditError, match="of the same name"):
        rotate(log, tmp_path / "log.key", new_path=tmp_path / "other.key")
    assert [each.key for each in keys_of(log.files.lines())] == [KEY.verifier]
    found = verify_log(log.files.folder)
    assert (found.findings, found.size) == ([], size)


def test_a_hand_over_by_another_key_is_refused(tmp_path):
    """Who can write puts it into the log: it counts for nothing, and `verify` says so."""
    for old, new in ((THIEF, NEXT), (NEXT, THIEF)):
        log, _ = filled(tmp_path / old.verifier.key_id.hex())
        size = verify_log(log.files.folder).size
        log.append("key", content={"handover": bytes(handover(old, new, size)).decode()})
        found = verify_log(log.files.folder)
        assert "is not signed by both" in found.findings[0].what
    log, _ = filled(tmp_path / "whole")  # the control: the same by the key of the log
    size = verify_log(log.files.folder).size
    log.append("key", content={"handover": bytes(handover(KEY, NEXT, size)).decode()})
    assert verify_log(log.files.folder).is_sound


def test_a_crash_at_any_step_is_gone_on_from(tmp_path, home):
    base, records = filled(tmp_path / "base")
    base.append("event")
    steps = []
    _crashed(base, tmp_path, home, -1, steps)
    assert {"write key", "write head", "write checkpoint", "set aside", "take the place"} <= {
        *steps
    }
    for number in range(len(steps)):
        folder = _crashed(base, tmp_path, home, number, [])
        found = verify_log(folder, records=records, key=KEY.verifier)
        assert {each.kind for each in found.findings} <= {"unfinished"}
        log = AuditLog(folder, clock=Clock(3 * 10**18))
        log.append("event")  # others go on meanwhile
        done = rotate(log)
        found = verify_log(folder, records=records, key=KEY.verifier)
        assert found.findings == []
        assert found.checkpoint.size == found.size
        assert [each.key for each in keys_of(log.files.lines())] == [KEY.verifier, done.key]
        assert load_key(LOG_ID).verifier == done.key
        assert load_key(LOG_ID, done.former) == KEY
        assert [each.name for each in home.glob("*.next")] == []
        assert log.append("event").first
        log.checkpoint(load_key(LOG_ID))
    print(f"rotation: a crash at each of {len(steps)} steps, all gone on from")


def _crashed(base, tmp_path, home, number, told):
    """Begin with the old key, and rotate until the crash; give the folder of the log."""
    for each in home.glob("*"):
        each.unlink()
    save_key(KEY, key_path(LOG_ID))
    folder = copy_of(base, tmp_path / "crashed")
    step = crash_at(number, told)
    log = AuditLog(folder, clock=Clock(2 * 10**18), step=step)
    try:
        rotate(log, step=step)
    except Crash:
        assert number >= 0
    return folder


def test_the_check_would_see_a_key_that_is_kept_too_late(tmp_path, home, monkeypatch):
    """The control: the log is handed over to a key that is in no file yet, and a crash loses it."""
    log, _ = filled(tmp_path)
    save_key(KEY, key_path(LOG_ID))
    log.rotate(KEY, SigningKey.generate(KEY.name))
    log.append("operation", records_of([1]))
    with pytest.raises(AuditError, match="is not the one of this log"):
        rotate(log)

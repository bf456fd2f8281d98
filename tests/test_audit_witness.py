"""Witnesses: what they answer, that they never go back, and that a stolen key does not help."""

import http.client
import multiprocessing
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256

import pytest

from lineage.audit import witness as witness_module
from lineage.audit.asking import have_cosigned
from lineage.audit.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from lineage.audit.log import AuditLog
from lineage.audit.merkle import EMPTY_ROOT
from lineage.audit.notes import COSIGNATURE, Note, SigningKey, sign
from lineage.audit.verifying import verify_log
from lineage.audit.witness import Witness, request_of
from lineage.audit.witness_drop import answer_drop, drop_request
from lineage.audit.witness_server import WitnessServer
from lineage.errors import AuditError, StoreError
from tests.audited import (
    KEY,
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
from tests.test_audit_attacks import ATTACKS, Forged

NOW = 1_790_000_500
OTHER = SigningKey("witness.example/two", bytes(range(3, 35)), COSIGNATURE)


def a_witness(folder, **options):
    options.setdefault("clock", lambda: NOW)
    return Witness(folder, WITNESS, [KEY.verifier], **options)


def grown(log, *sizes):
    """Append and sign so often; give the checkpoints, the first one among them."""
    notes = [log.files.checkpoint.read_bytes()]
    for size in sizes:
        log.append("operation", records_of(range(size)))
        notes.append(bytes(log.checkpoint(KEY)))
    return notes


def size_of(note):
    return Checkpoint.parse(Note.parse(note).text).size


def asked(log, old, note):
    return request_of(old, log.files.tree.consistency(old, size_of(note)), note)


@contextmanager
def serving(witness):
    with WitnessServer(("127.0.0.1", 0), witness) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def call(place, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(place.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


# --- the protocol ---------------------------------------------------------------------------------


def test_what_the_protocol_says(tmp_path):
    log = new_log(tmp_path / "store")
    first, second, third = grown(log, 3, 300)
    sizes = [size_of(each) for each in (first, second, third)]
    assert sizes == [1, 5, 306]
    with serving(a_witness(tmp_path / "witness")) as place:

        def add(data, expected):
            status, kind, body = call(place, "POST", "/add-checkpoint", data)
            assert (status, body) == (expected, body)
            assert kind == ("text/x.tlog.size" if status == 409 else "text/plain; charset=utf-8")
            return body

        origin_hash = sha256(ORIGIN.encode()).hexdigest()
        assert call(place, "GET", f"/{origin_hash}/checkpoint")[0] == 404
        line = add(asked(log, 0, first), 200)
        opened = open_checkpoint(first + line, KEY.verifier, witnesses=[WITNESS.verifier])
        assert opened.cosigned == {WITNESS.name: NOW}
        assert add(asked(log, 0, second), 409) == b"1\n"
        assert add(asked(log, 5, third), 409) == b"1\n"
        add(asked(log, 1, second), 200)
        assert add(asked(log, 1, second), 409) == b"5\n"
        add(asked(log, 5, second), 200)  # the same again has a newer time
        proof = log.files.tree.consistency(5, 306)
        add(request_of(5, proof[:-1], third), 422)
        add(request_of(5, [], third), 422)
        add(request_of(5, [*proof, bytes(32)], third), 422)
        another = bytes(sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), KEY))
        add(request_of(5, [], another), 422)
        add(request_of(6, [], second), 400)
        for wrong in (b"", b"old 5", b"old 05\n\n" + third, b"old -1\n\n" + third, third):
            add(wrong, 400)
        add(b"old 5\nAAAA\n\n" + third, 400)
        add(b"old 5\n" + b"\n".join([b"A" * 43 + b"="] * 64) + b"\n\n" + third, 400)
        add(request_of(5, proof, bytes(sign(Note.parse(third).text, THIEF))), 403)
        forged = third.replace(b"\n306\n", b"\n307\n")
        add(request_of(5, proof, forged), 403)
        stranger = SigningKey("example.com/other", bytes(32))
        theirs = bytes(sign_checkpoint(Checkpoint(stranger.name, 1, bytes(32)), stranger))
        add(request_of(0, [], theirs), 404)
        add(asked(log, 5, third), 200)
        status, _, newest = call(place, "GET", f"/{origin_hash}/checkpoint")
        found = open_checkpoint(newest, KEY.verifier, witnesses=[WITNESS.verifier], quorum=1)
        assert (status, found.checkpoint.size) == (200, 306)
        for method, path, status in [
            ("GET", "/", 404),
            ("GET", f"/{'0' * 64}/checkpoint", 404),
            ("GET", f"/{origin_hash}/../checkpoint", 404),
            ("POST", "/other", 404),
            ("PUT", "/add-checkpoint", 501),
        ]:
            assert call(place, method, path, b"x")[0] == status
        connection = http.client.HTTPConnection(place.removeprefix("http://"), timeout=30)
        for name, value, status in [
            ("Content-Length", "x", 411),
            ("Content-Length", str(1 << 21), 413),
            ("Transfer-Encoding", "chunked", 411),
        ]:
            connection.putrequest("POST", "/add-checkpoint")
            connection.putheader(name, value)
            connection.endheaders()
            assert connection.getresponse().status == status
            connection.close()


def test_a_connection_is_kept(tmp_path):
    log = new_log(tmp_path / "store")
    notes = grown(log, 3)
    with serving(a_witness(tmp_path / "witness")) as place:
        connection = http.client.HTTPConnection(place.removeprefix("http://"), timeout=30)
        for old, note in ((0, notes[0]), (1, notes[1])):
            connection.request("POST", "/add-checkpoint", asked(log, old, note))
            answer = connection.getresponse()
            assert (answer.status, answer.read()[:3]) == (200, "—".encode())
        connection.close()


def test_an_empty_log_has_one_root(tmp_path):
    witness = a_witness(tmp_path)
    for root, status in ((bytes(32), 422), (EMPTY_ROOT, 200)):
        note = bytes(sign_checkpoint(Checkpoint(ORIGIN, 0, root), KEY))
        assert witness.add_checkpoint(request_of(0, [], note)).status == status


def test_only_known_signatures_are_kept(tmp_path):
    log = new_log(tmp_path / "store")
    note = Note.parse(grown(log)[0])
    both = bytes(note.with_signatures(sign(note.text, SigningKey("x", bytes(32))).signatures))
    witness = a_witness(tmp_path / "witness")
    assert witness.add_checkpoint(request_of(0, [], both)).status == 200
    kept = Note.parse(witness.newest(sha256(ORIGIN.encode()).hexdigest()))
    assert [each.name for each in kept.signatures] == [ORIGIN, WITNESS.name]


def test_time_never_goes_back(tmp_path):
    times = iter([NOW, NOW - 1000, NOW + 1])
    log = new_log(tmp_path / "store")
    note = grown(log)[0]
    witness = a_witness(tmp_path / "witness", clock=lambda: next(times))
    seen = []
    for old in (0, 1, 1):
        line = witness.add_checkpoint(asked(log, old, note)).body
        opened = open_checkpoint(note + line, KEY.verifier, witnesses=[WITNESS.verifier])
        seen.append(opened.cosigned[WITNESS.name])
    assert seen == [NOW, NOW, NOW + 1]


def test_no_flipped_bit_of_a_request_is_cosigned(tmp_path):
    log = new_log(tmp_path / "store")
    first, second = grown(log, 300)
    witness = a_witness(tmp_path / "witness")
    assert witness.add_checkpoint(asked(log, 0, first)).status == 200
    data = asked(log, 1, second)
    statuses = set()
    for bit in random.Random(6).sample(range(8 * len(data)), 2000):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        statuses.add(witness.add_checkpoint(bytes(changed)).status)
    assert statuses <= {400, 403, 404, 409, 422}
    assert {403, 422} <= statuses
    assert witness.add_checkpoint(data).status == 200


def test_what_is_no_witness(tmp_path):
    with pytest.raises(AuditError, match="not one of a witness"):
        Witness(tmp_path, KEY, [KEY.verifier])
    with pytest.raises(AuditError, match="is not the key of a log"):
        Witness(tmp_path, WITNESS, [WITNESS.verifier])


# --- it never goes back ---------------------------------------------------------------------------


class Crash(BaseException):
    """What a step raises to stand for the death of the process."""


@pytest.mark.parametrize("at", ["write state", "answer"])
def test_a_crash_at_any_step_goes_not_back(tmp_path, at):
    log = new_log(tmp_path / "store")
    notes = grown(log, 3, 5)
    witness = a_witness(tmp_path / "witness")
    witness.add_checkpoint(asked(log, 0, notes[0]))

    def step(name):
        if name == at:
            raise Crash

    with pytest.raises(Crash):
        a_witness(tmp_path / "witness", step=step).add_checkpoint(asked(log, 1, notes[1]))
    again = a_witness(tmp_path / "witness")
    known = again.add_checkpoint(asked(log, 0, notes[0]))
    assert known == (409, b"5\n" if at == "answer" else b"1\n", "text/x.tlog.size")
    assert again.add_checkpoint(asked(log, int(known.body), notes[2])).status == 200


SERVER = """
import sys
from pathlib import Path
from lineage.audit.witness import Witness
from lineage.audit.witness_server import WitnessServer
from tests.audited import KEY, WITNESS

with WitnessServer(("127.0.0.1", 0), Witness(Path(sys.argv[1]), WITNESS, [KEY.verifier])) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


def test_what_a_killed_witness_has_cosigned_it_remembers(tmp_path):
    log = new_log(tmp_path / "store")
    notes = grown(log, *[1] * 24)
    cosigned = 0
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, tmp_path / "witness"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            place = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            told = call(place, "POST", "/add-checkpoint", asked(log, 0, notes[0]))
            assert (told[0], told[2]) == ((409, b"%d\n" % cosigned) if cosigned else (200, told[2]))
            cosigned = max(cosigned, 1)
            for note in notes[1 + 6 * round_ : 7 + 6 * round_]:
                assert call(place, "POST", "/add-checkpoint", asked(log, cosigned, note))[0] == 200
                cosigned = size_of(note)
            process.kill()
    assert cosigned == size_of(notes[-1])


def _race(folder, requests):
    """Send requests at the same moment, each by a witness of its own; give what was answered."""
    ready, told = threading.Barrier(len(requests)), []

    def work(data):
        witness = a_witness(folder)
        ready.wait()
        told.append(witness.add_checkpoint(data))

    threads = [threading.Thread(target=work, args=(data,)) for data in requests]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sorted(each.status for each in told)


def test_of_two_at_once_one_is_cosigned(tmp_path):
    """Two that both go on from what was seen, and not from one another."""
    log, other = new_log(tmp_path / "one"), None
    first = grown(log)[0]
    other = AuditLog(copy_of(log, tmp_path / "two"), clock=Clock(2 * 10**18))
    (_, one), (_, two) = grown(log, 3), grown(other, 4)
    for number in range(20):
        folder = tmp_path / f"witness-{number}"
        a_witness(folder).add_checkpoint(asked(log, 0, first))
        requests = [asked(log, 1, one), asked(other, 1, two)] * 3
        assert _race(folder, requests) == [200, 409, 409, 409, 409, 409]


def test_the_check_would_see_a_witness_without_a_lock(tmp_path, monkeypatch):
    """The control: both look before one of them writes, and two histories are cosigned."""
    log = new_log(tmp_path / "one")
    first = grown(log)[0]
    other = AuditLog(copy_of(log, tmp_path / "two"), clock=Clock(2 * 10**18))
    (_, one), (_, two) = grown(log, 3), grown(other, 4)
    a_witness(tmp_path / "witness").add_checkpoint(asked(log, 0, first))
    monkeypatch.setattr(witness_module, "file_locked", lambda *_, **__: nullcontext())
    both, real = threading.Barrier(2), witness_module.write_durably

    def write(path, data):
        both.wait(30)
        real(path, data)

    monkeypatch.setattr(witness_module, "write_durably", write)
    assert _race(tmp_path / "witness", [asked(log, 1, one), asked(other, 1, two)]) == [200, 200]


def _add_all(folder, requests, told):
    witness = a_witness(folder)
    told.put([witness.add_checkpoint(data).status for data in requests])


def test_processes_share_what_was_seen(tmp_path):
    log = new_log(tmp_path / "store")
    notes = grown(log, *[1] * 12)
    sizes = [0, *map(size_of, notes)]
    requests = [asked(log, old, note) for old, note in zip(sizes, notes, strict=False)]
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    workers = [
        context.Process(target=_add_all, args=(tmp_path / "witness", requests, told))
        for _ in range(3)
    ]
    for each in workers:
        each.start()
    statuses = [told.get(timeout=120) for _ in workers]
    for each in workers:
        each.join()
    assert {status for some in statuses for status in some} <= {200, 409}
    assert sum(some.count(200) for some in statuses) == len(requests)


def test_what_is_remembered_is_not_believed_when_it_is_damaged(tmp_path):
    log = new_log(tmp_path / "store")
    notes = grown(log, 3)
    witness = a_witness(tmp_path / "witness")
    witness.add_checkpoint(asked(log, 0, notes[0]))
    (state,) = (tmp_path / "witness").glob("*.checkpoint")
    whole = state.read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        state.write_bytes(bytes(changed))
        with pytest.raises(AuditError, match="is damaged"):
            witness.add_checkpoint(asked(log, 1, notes[1]))
    with serving(witness) as place:
        assert call(place, "POST", "/add-checkpoint", asked(log, 1, notes[1]))[0] == 500
    with pytest.raises(AuditError, match="is of another key"):
        Witness(tmp_path / "witness", OTHER, [KEY.verifier]).add_checkpoint(asked(log, 1, notes[1]))
    state.write_bytes(whole)
    with pytest.raises(StoreError, match="held by another process"):
        _held(state, lambda: a_witness(tmp_path / "witness", wait_s=0.05), log, notes)
    assert witness.add_checkpoint(asked(log, 1, notes[1])).status == 200


def _held(state, make, log, notes):
    from lineage.stores.manifest import file_locked

    with file_locked(state.with_suffix(".lock")):
        make().add_checkpoint(asked(log, 1, notes[1]))


# --- the log's side -------------------------------------------------------------------------------


def test_a_log_has_its_checkpoint_cosigned(tmp_path):
    log, records = filled(tmp_path / "store", signed=(2, 5))
    witnesses = [WITNESS.verifier, OTHER.verifier]
    other = Witness(tmp_path / "other", OTHER, [KEY.verifier], clock=lambda: NOW + 9)
    with serving(a_witness(tmp_path / "witness")) as one, serving(other) as two:
        for _ in range(3):
            have_cosigned(log, one, WITNESS.verifier)
            have_cosigned(log, f"{two}/", OTHER.verifier)
            found = verify_log(log.files.folder, records=records, witnesses=witnesses, quorum=2)
            assert (found.findings, found.witnessed) == ([], found.checkpoint)
            assert found.unwitnessed_since is None
            size = found.checkpoint.size
            assert found.cosigned == {WITNESS.name: (size, NOW), OTHER.name: (size, NOW + 9)}
            more = records_of(range(1000, 1005))
            records += more
            head = log.append("operation", more)
            found = verify_log(log.files.folder, witnesses=witnesses, quorum=2)
            assert found.unwitnessed_since == head.recorded_at
            assert found.witnessed.size == head.first
            log.checkpoint(KEY)
        # What is known here of what it saw may be lost: it says so itself.
        for path in log.files.checkpoints():
            note = Note.parse(path.read_bytes())
            own = tuple(line for line in note.signatures if line.is_of(KEY.verifier))
            path.write_bytes(bytes(Note(note.text, own)))
        have_cosigned(log, one, WITNESS.verifier)


def test_a_witness_that_is_not_the_known_one_does_not_count(tmp_path):
    log, _ = filled(tmp_path / "store")
    before = log.files.checkpoint.read_bytes()
    with serving(a_witness(tmp_path / "witness")) as place:
        with pytest.raises(AuditError, match="0 cosignatures"):
            have_cosigned(log, place, OTHER.verifier)
        mallory = SigningKey(WITNESS.name, bytes(32), COSIGNATURE)
        with pytest.raises(AuditError, match="0 cosignatures"):
            have_cosigned(log, place, mallory.verifier)
    assert log.files.checkpoint.read_bytes() == before
    with pytest.raises(AuditError, match="does not answer"):
        have_cosigned(log, place, WITNESS.verifier)
    with pytest.raises(AuditError, match="is no witness"):
        have_cosigned(log, str(tmp_path / "nowhere"), WITNESS.verifier)


def test_a_new_key_has_to_be_known(tmp_path):
    log, records = filled(tmp_path / "store")
    with serving(a_witness(tmp_path / "witness")) as place:
        have_cosigned(log, place, WITNESS.verifier)
        log.rotate(KEY, NEXT)
        with pytest.raises(AuditError, match="the one that signs now"):
            have_cosigned(log, place, WITNESS.verifier)
    knowing = Witness(tmp_path / "witness", WITNESS, [KEY.verifier, NEXT.verifier])
    with serving(knowing) as place:
        have_cosigned(log, place, WITNESS.verifier)
        log.append("event")
        log.checkpoint(NEXT)
        have_cosigned(log, place, WITNESS.verifier)
    found = verify_log(log.files.folder, records=records, witnesses=[WITNESS.verifier], quorum=1)
    assert (found.findings, found.witnessed) == ([], found.checkpoint)


# --- a stolen key ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("base"), (3, 4, 7, 5, 2), signed=(2, 5))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.__name__)
def test_a_witness_cosigns_no_second_history(base, tmp_path, attack):
    """With the key another history is as good as the log, until the witness is asked."""
    log, records = base
    witness = a_witness(tmp_path / "witness")
    note = log.files.checkpoint.read_bytes()
    assert witness.add_checkpoint(asked(log, 0, note)).status == 200
    chosen, times, alone, refused = random.Random(attack.__name__), 100, 0, 0
    for number in range(times):
        forged = Forged.of(AuditLog(copy_of(log, tmp_path / "forged" / "_audit")), records)
        attack(forged, chosen)
        moments = sorted(head.recorded_at for head, _ in forged.appends)
        for each, moment in zip(forged.appends, moments, strict=True):
            each[0] = replace(each[0], recorded_at=moment)
        if number % 2:  # as long as what was seen, or longer
            forged.appends += [[replace(forged.appends[-1][0], kind="event"), []]] * 30
        size = forged.write()
        forged.sign(size, KEY)
        alone += verify_log(forged.log.files.folder, records=forged.records()).is_sound
        statuses = set()
        for old in {0, size_of(note)} & {*range(size + 1)}:
            asking = asked(forged.log, old, forged.log.files.checkpoint.read_bytes())
            statuses.add(witness.add_checkpoint(asking).status)
        refused += not statuses & {200}
    print(f"{attack.__name__}: {alone} of {times} sound without a witness, {refused} refused by it")
    assert (alone, refused) == (times, times)
    assert witness.add_checkpoint(asked(log, size_of(note), note)).status == 200  # the control


def test_who_asks_is_told_why(tmp_path):
    """A log that was put back, and one that is as long and another."""
    log, _ = filled(tmp_path / "store", signed=(2, 5))
    with serving(a_witness(tmp_path / "witness")) as place:
        have_cosigned(log, place, WITNESS.verifier)
        older = AuditLog(copy_of(log, tmp_path / "older"), clock=Clock(2 * 10**18))
        split = AuditLog(copy_of(log, tmp_path / "split"), clock=Clock(2 * 10**18))
        log.append("event")
        log.checkpoint(KEY)
        have_cosigned(log, place, WITNESS.verifier)
        with pytest.raises(AuditError, match="was rolled back, or there are two of it"):
            have_cosigned(older, place, WITNESS.verifier)
        split.append("operation", records_of(range(9)))
        split.checkpoint(KEY)
        with pytest.raises(AuditError, match="so there are two of this log"):
            have_cosigned(split, place, WITNESS.verifier)
        # What trust.md says of it: alone both are sound, and an older state stays witnessed.
        for each in (older, split):
            found = verify_log(each.files.folder, witnesses=[WITNESS.verifier], quorum=1)
            assert (found.is_sound, found.witnessed.size) == (True, size_of(bytes_of(older)))
        have_cosigned(log, place, WITNESS.verifier)


def bytes_of(log):
    return log.files.checkpoint.read_bytes()


def test_the_check_would_see_a_witness_that_asks_for_no_proof(tmp_path, monkeypatch):
    """The control: it believes every checkpoint, and cosigns the second history."""
    log, _ = filled(tmp_path / "store")
    witness = a_witness(tmp_path / "witness")
    witness.add_checkpoint(asked(log, 0, bytes_of(log)))
    split = filled(tmp_path / "split", (30,), signed=(1,))[0]
    asking = request_of(size_of(bytes_of(log)), [], bytes_of(split))
    assert witness.add_checkpoint(asking).status == 422
    monkeypatch.setattr(witness_module, "is_consistent", lambda *_, **__: True)
    assert witness.add_checkpoint(asking).status == 200


# --- a folder -------------------------------------------------------------------------------------


def test_requests_in_a_folder_are_answered(tmp_path):
    log, _ = filled(tmp_path / "store")
    witness, drop = a_witness(tmp_path / "witness"), tmp_path / "drop"
    drop.mkdir()
    place = str(drop)
    with pytest.raises(AuditError, match="ask again later"):
        have_cosigned(log, place, WITNESS.verifier, wait_s=0)
    ((name, answer),) = answer_drop(witness, drop)
    assert (answer.status, sorted(os.listdir(drop))) == (200, [f"{name[:-8]}.answer", name])
    assert list(answer_drop(witness, drop)) == []
    have_cosigned(log, place, WITNESS.verifier, wait_s=0)
    assert os.listdir(drop) == []
    found = verify_log(log.files.folder, witnesses=[WITNESS.verifier], quorum=1)
    assert found.is_sound
    log.append("event")
    log.checkpoint(KEY)
    stop = threading.Event()

    def answering():
        while not stop.wait(0.02):
            list(answer_drop(witness, drop))

    thread = threading.Thread(target=answering)
    thread.start()
    try:
        have_cosigned(log, place, WITNESS.verifier)
        older = AuditLog(copy_of(filled(tmp_path / "older", (1,), signed=(1,))[0], tmp_path / "o"))
        with pytest.raises(AuditError, match="rolled back"):
            have_cosigned(older, place, WITNESS.verifier)
    finally:
        stop.set()
        thread.join()
    assert os.listdir(drop) == []


def test_what_others_put_into_the_folder(tmp_path):
    log, _ = filled(tmp_path / "store")
    witness, drop = a_witness(tmp_path / "witness"), tmp_path / "drop"
    drop.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(asked(log, 0, bytes_of(log)))
    (drop / f"{'a' * 32}.request").symlink_to(secret)
    os.mkfifo(drop / f"{'b' * 32}.request")
    (drop / f"{'c' * 32}.request").write_bytes(bytes(2 << 20))
    (drop / "other.request").write_bytes(secret.read_bytes())
    (drop / f"{'d' * 32}.request").write_bytes(b"nothing")
    (drop / f"{'e' * 32}.request").mkdir()
    assert [(name[0], told.status) for name, told in answer_drop(witness, drop)] == [("d", 400)]
    file = drop_request(drop, b"asked")
    file.write_bytes(b"what\n")
    assert drop_request(drop, b"asked") == file
    with pytest.raises(AuditError, match="cannot answer in"):
        list(answer_drop(witness, tmp_path / "nowhere"))


def test_a_key_of_a_witness_is_for_its_owner_alone(tmp_path):
    from typer.testing import CliRunner

    from lineage.cli import app

    folder = tmp_path / "witness"
    arguments = ["audit", "witness", "init", str(folder), "--name", "witness.example/one"]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, "witness.example/one+" in done.stdout) == (0, True)
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "is there already" in CliRunner().invoke(app, arguments).stderr
    shutil.rmtree(folder)

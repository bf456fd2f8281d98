"""`lineage audit`: init, checkpoint, prove, verify, pin, and what each of them owns up to."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lineage.audit.checkpoint import cosign
from lineage.audit.keys import load_key
from lineage.audit.log import AuditLog
from lineage.cli import app
from lineage.decorators import track_lineage
from lineage.stores.base import open_store
from lineage.tracker import LineageTracker
from tests.audited import WITNESS, records_of
from tests.pages import blocks

PAGE = Path(__file__).parents[1] / "docs" / "trust.md"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "settings" / "lineage" / "audit"


def lineage(*arguments, code=0):
    done = CliRunner().invoke(app, ["--store", "store", "audit", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def told(*arguments, code=0):
    done = CliRunner().invoke(app, ["--store", "store", "--json", "audit", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)["data"]


def opened():
    return AuditLog(Path("store/_audit"))


def signing():
    return load_key(opened().files.log_id)


def test_a_log_is_begun_with_a_key_of_its_own(home):
    done = lineage("init", "--name", "example.com/lineage")
    assert "example.com/lineage+" in done.stdout
    assert "exposure: 0 leaves are not signed" in done.stderr
    assert "seen by no known witness" in done.stderr
    log_id = opened().files.log_id
    assert sorted(os.listdir(home)) == [f"{log_id}.key", f"{log_id}.pin"]
    assert stat.S_IMODE((home / f"{log_id}.key").stat().st_mode) == 0o600
    inside = b"".join(each.read_bytes() for each in Path("store").rglob("*") if each.is_file())
    secret = signing().text()
    assert secret.rpartition("+")[2].encode() not in inside
    assert secret not in done.output
    assert "is there already" in lineage("init", code=2).stderr


def test_a_key_that_is_given_is_taken(home, monkeypatch):
    lineage("init", "--key", "log.key", "--name", "example.com/a")
    assert stat.S_IMODE(Path("log.key").stat().st_mode) == 0o600
    assert "cannot read the signing key" in lineage("checkpoint", code=2).stderr
    lineage("checkpoint", "--key", "log.key")
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", Path("log.key").read_text())
    opened().append("event")
    lineage("checkpoint")
    shutil.rmtree("store")
    assert "example.com/a+" in lineage("init").stdout
    assert "cannot be 'b'" in lineage("init", "--name", "b", code=2).stderr
    assert not list(home.glob("*.key"))


def test_what_is_not_signed_is_said():
    lineage("init")
    opened().append("operation", records_of(range(5)))
    done = lineage("verify")
    assert "the log is sound: 8 leaves" in done.stderr
    assert "exposure: 6 leaves since 20" in done.stderr
    assert "exposure: 8 leaves since 20" in done.stderr
    assert "the store is what was logged: 0 rows" in done.stderr
    assert told("verify")["exposure"]["unsigned_leaves"] == 6
    assert "\n8\n" in lineage("checkpoint").stdout
    assert "exposure: 0 leaves are not signed" in lineage("verify").stderr


def test_damage_is_named_and_never_signed():
    lineage("init")
    opened().append("operation", records_of(range(5)))
    lineage("checkpoint")
    heads = Path("store/_audit/heads")
    heads.write_bytes(heads.read_bytes().replace(b'"count":5', b'"count":4'))
    found = told("verify", code=1)
    assert not found["is_sound"]
    assert found["findings"][0]["kind"] == "edited"
    assert found["findings"][0]["where"] == "append 2, leaf 2"
    before = Path("store/_audit/checkpoint").read_bytes()
    for command in ("checkpoint", "pin"):
        assert "does not verify" in lineage(command, code=1).stderr
    assert Path("store/_audit/checkpoint").read_bytes() == before


def test_what_was_seen_is_remembered(home):
    lineage("init")
    shutil.copytree("store", "before")
    opened().append("operation", records_of(range(5)))
    lineage("checkpoint")
    lineage("pin", "-o", "seen")
    key = str(opened().files.key)
    shutil.rmtree("store")
    shutil.copytree("before", "store")
    assert told("verify", code=1)["findings"][0]["kind"] == "rolled back"
    (pinned,) = home.glob("*.pin")
    pinned.unlink()
    assert told("verify")["exposure"]["pinned_leaves"] is None  # nobody remembers, and it says so
    pinned.unlink()
    found = told("verify", "--pin", "seen", "--log-key", key, code=1)
    assert found["findings"][0]["kind"] == "rolled back"
    assert not list(home.glob("*.pin"))


def test_another_log_in_its_place_is_seen():
    lineage("init")
    key = str(opened().files.key)
    shutil.rmtree("store")
    os.environ["XDG_CONFIG_HOME"] += "2"
    lineage("init")
    os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CONFIG_HOME"][:-1]
    assert told("verify", code=1)["findings"][0]["kind"] == "replaced"
    assert told("verify", "--log-key", key, code=1)["findings"][0]["kind"] == "replaced"


def test_witnesses_count_when_they_are_known():
    lineage("init")
    log, key = opened(), str(WITNESS.verifier)
    assert "unwitnessed" in lineage("verify", "--witness", key, "--quorum", "1", code=1).stdout
    note = cosign(log.checkpoint(signing()), WITNESS, 1_790_000_000)
    log.keep_cosignatures(bytes(note), [WITNESS.verifier])
    done = lineage("verify", "--witness", key, "--quorum", "1")
    assert "exposure: 0 leaves were seen by no known witness" in done.stderr
    assert "is no Ed25519 key" in lineage("verify", "--witness", "who", code=2).stderr


def test_a_proof_is_made_and_verified_elsewhere():
    lineage("init")
    records = records_of(range(5))
    opened().append("operation", records)
    Path("record").write_bytes(records[2].data)
    arguments = ("prove", 5, "--record", "record", "--event-time", records[2].event_time)
    assert "run: lineage audit checkpoint" in lineage(*arguments, code=2).stderr
    lineage("checkpoint")
    assert told(*arguments, "-o", "it.tlog-proof")["leaf"] == 5
    for wrong in (2, 8):
        found = lineage("prove", wrong, "--record", "record", code=2)
        assert f"leaf {wrong} is no record" in found.stderr
    key = str(opened().files.key)
    shutil.rmtree("store")
    verified = ("verify", "--proof", "it.tlog-proof", "--record", "record")
    assert "--log-key KEY" in lineage(*verified, code=2).stderr
    found = told(*verified, "--log-key", key)
    assert (found["leaf"], found["kind"], found["witnesses"]) == (5, "operation", "none")
    assert "no witness saw this checkpoint" in lineage(*verified, "--log-key", key).stderr
    Path("record").write_bytes(b"another")
    assert "is not leaf 5" in lineage(*verified, "--log-key", key, code=2).stderr


def test_a_key_follows_another(home, monkeypatch):
    lineage("init", "--name", "example.com/lineage")
    first, before = str(opened().files.key), signing()
    opened().append("operation", records_of(range(5)))
    found = told("rotate", "-o", "handover")
    assert found["key"] == str(signing().verifier) != first
    assert Path("handover").read_text() == found["handover"]
    assert stat.S_IMODE(Path(found["signed by"]).stat().st_mode) == 0o600
    assert before.text() not in json.dumps(found)
    lineage("checkpoint")
    lineage("verify", "--log-key", first)
    assert "LINEAGE_SIGNING_KEY=new.key" in lineage("rotate", "--new-key", "new.key").stderr
    assert "run lineage audit rotate again" in lineage("checkpoint", code=2).stderr
    monkeypatch.setenv("LINEAGE_SIGNING_KEY", Path("new.key").read_text())
    lineage("checkpoint")
    assert "by --new-key" in lineage("rotate", code=2).stderr
    lineage("verify", "--log-key", first)
    heads = Path("store/_audit/heads")
    heads.write_bytes(heads.read_bytes().replace(b'"count":5', b'"count":4'))
    assert "does not verify" in lineage("rotate", "--new-key", "c.key", code=1).stderr
    assert not Path("c.key").exists()


def test_a_proof_of_after_a_rotation_is_verified_by_the_first_key():
    lineage("init", "--name", "example.com/lineage")
    first, records = str(opened().files.key), records_of(range(5))
    opened().append("operation", records)
    for name in ("one", "two"):
        key = told("rotate", "-o", name)["key"]
    Path("record").write_bytes(records[2].data)
    lineage("prove", 5, "--record", "record", "--event-time", records[2].event_time, "-o", "it")
    assert "goes with --proof" in lineage("verify", "--handover", "one", code=2).stderr
    shutil.rmtree("store")
    asked = ("verify", "--proof", "it", "--record", "record", "--log-key", first)
    found = told(*asked, "--handover", "two", "--handover", "one")
    assert (found["leaf"], found["signed by"]) == (5, key)
    assert "hand-overs of the log lead" in lineage(*asked, code=2).stderr
    assert "those in between" in lineage(*asked, "--handover", "two", code=2).stderr
    Path("two").write_text(Path("two").read_text().replace("handover/1\n", "handover/1\n1"))
    given = ("--handover", "one", "--handover", "two")
    assert "is not by its key" in lineage(*asked, *given, code=2).stderr


def test_a_witness_cosigns_by_a_folder(tmp_path, monkeypatch):
    lineage("init")
    log_key = str(opened().files.key)
    key = told("witness", "init", "w", "--name", "witness.example/one")["key"]
    for wrong in (("--witness", "drop"), ("--witness-key", key)):
        assert "by a --witness-key" in lineage("checkpoint", *wrong, code=2).stderr
    named = ("--witness", "drop", "--witness-key", log_key)
    assert "is not the key of a witness" in lineage("checkpoint", *named, code=2).stderr
    monkeypatch.setattr("lineage.audit.asking.have_cosigned.__kwdefaults__", {"wait_s": 0})
    Path("drop").mkdir()
    named = ("--witness", "drop", "--witness-key", key)
    opened().append("operation", records_of(range(5)))
    assert (
        "is signed, but the witness has not answered"
        in lineage("checkpoint", *named, code=2).stderr
    )
    answering = ("witness", "drop", "w", "drop", "--log", log_key)
    assert [each["status"] for each in told(*answering)] == [200]
    assert "nothing was asked" in lineage(*answering).stderr
    done = lineage("checkpoint", *named)
    assert "exposure: 0 leaves were seen by no known witness" in done.stderr
    assert "witness witness.example/one saw the first 8 leaves at 20" in done.stderr
    opened().append("event")
    asked = ("verify", "--witness", key, "--quorum", "1")
    assert "exposure: 1 leaves since 20" in lineage(*asked).stderr
    assert told(*asked)["exposure"]["cosigned"]["witness.example/one"]["leaves"] == 8
    assert told("verify")["exposure"]["cosigned"] == {}
    found = told("witness", "drop", "w", "drop", "--log", log_key)
    assert found == []


def test_a_witness_serves_until_it_is_ended(tmp_path):
    lineage("init")
    key = told("witness", "init", "w", "--name", "witness.example/one")["key"]
    command = [sys.executable, "-m", "lineage", "audit", "witness", "serve", "w"]
    command += ["--log", str(opened().files.key), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stderr.readline()
            assert key in first
            place = first.split()[-1]
            lineage("checkpoint", "--witness", place, "--witness-key", key)
            assert '"POST /add-checkpoint HTTP/1.1" 200' in process.stderr.readline()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
    asked = ("--witness", place, "--witness-key", key)
    assert "does not answer" in lineage("checkpoint", *asked, code=2).stderr
    assert "HOST:PORT" in lineage(*command[4:7], "--log", key, "--listen", "x", code=2).stderr


def test_a_database_is_proven_by_a_folder_with_a_log(tmp_path):
    database = f"sqlite:///{tmp_path}/lineage.db"
    lineage("init")
    tracker = LineageTracker(open_store(f"tee://store;{database}"))
    step = track_lineage(lambda number: number, tracker=tracker)
    for number in range(5):
        step(number)
    tracker.close()
    assert "lineage.db is the same" in lineage("verify", "--against", database).stderr
    with closing(sqlite3.connect(tmp_path / "lineage.db")) as opened_one:
        opened_one.execute("UPDATE lineage_operations SET duration_ms = 7 WHERE row_id = 3")
        opened_one.commit()
    done = lineage("verify", "--against", database, code=1)
    assert "lineage.db, operations" in " ".join(done.stdout.split())
    assert told("verify", "--against", database, code=1)["findings"][0]["kind"] == "edited"
    lineage("verify")
    assert "no lineage store at" in lineage("verify", "--against", "other", code=4).stderr


def test_only_a_folder_has_a_log():
    done = CliRunner().invoke(app, ["--store", "memory://", "audit", "verify"])
    assert done.exit_code == 2
    assert "only stores in a folder have an audit log" in done.stderr


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
def test_the_page_shows_a_stranger_how_to_verify():
    """The shell commands of docs/trust.md, as they stand there; and a changed text is refused."""
    lineage("init", "--name", "example.com/lineage")
    key = str(opened().files.key)
    shutil.copy("store/_audit/checkpoint", "checkpoint")
    page = PAGE.read_text(encoding="utf-8")
    (shell,) = [block.text for block in blocks(page) if "openssl" in block.text]

    def run():
        environment = {**os.environ, "KEY": key}
        done = subprocess.run(
            ["bash", "-eu", "-c", shell],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, output = run()
    assert (code, "Verified Successfully" in output) == (0, True), output
    note = Path("checkpoint").read_bytes()
    Path("checkpoint").write_bytes(note.replace(b"\n2\n", b"\n3\n"))
    assert run()[0] != 0

"""Attestations: what strangers' tools take, and refuse; and that they say what was recorded."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from typer.testing import CliRunner

from lineage.attesting import BUILD_TYPE, PAYLOAD_TYPE, PREDICATE
from lineage.audit.envelope import encoded, key_name, seal, unseal
from lineage.audit.files import LogFiles
from lineage.audit.keys import load_key
from lineage.cli import app
from lineage.errors import AuditError
from tests.audited import KEY, THIEF
from tests.pages import blocks

PAGE = Path(__file__).parents[1] / "docs" / "products.md"

PROGRAM = """
import csv, os
from pathlib import Path

import pandas as pd

import lineage

Path("raw.json").write_text("[3, 1, 2]")
Path("folder/deep").mkdir(parents=True)
Path("folder/deep/one").write_text("1")
Path("folder/two").write_text("2")
os.symlink("two", "folder/link")
Path("empty").mkdir()
lineage.init("store")
with lineage.track("nightly", day="2026-01-02") as run:
    run.register_data_product("raw", "1", path="raw.json")
    frame = pd.read_csv("in.csv")
    frame["b"] = 1
    frame.to_csv("out.csv", index=False)
    made = {"path": "out.csv", "parents": ["raw", "in.csv"]}
    run.register_data_product("result", "1.0", **made)
    run.register_data_product("several", "1", path="folder", parents=["result"])
    run.register_data_product("nothing", "1", path="empty")
    run.register_data_product("idea", "1")
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of products, made by a program in a process of its own."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "in.csv").write_text("a\n1\n")
    (folder / "make.py").write_text(PROGRAM)
    if shutil.which("git"):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        for arguments in (["init", "-q"], ["add", "make.py"], [*who, "commit", "-qm", "one"]):
            subprocess.run(["git", *arguments], cwd=folder, check=True)
    subprocess.run([sys.executable, "make.py"], cwd=folder, check=True)
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """The same, for one test to change, with a log; the files are not where they were recorded."""
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    lineage("init", "--name", "example.com/lineage")
    return made


def lineage(*arguments, code=0):
    done = CliRunner().invoke(app, ["--store", "store", "audit", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def attested(*arguments):
    """Attest, and give the envelope and the statement, once securesystemslib has accepted it."""
    told = json.loads(lineage("attest", *arguments).stdout)
    assert_taken(told)
    return told, json.loads(base64.b64decode(told["payload"]))


def stranger_key(key=None):
    key = key or LogFiles(Path("store/_audit")).key
    return SSlibKey(key_name(key), "ed25519", "ed25519", {"public": key.public.hex()})


def assert_taken(told, key=None):
    envelope = Envelope.from_dict(json.loads(json.dumps(told)))
    assert envelope.payload_type == PAYLOAD_TYPE
    assert envelope.verify([stranger_key(key)], 1)


def sha256_of(path):
    return {"sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


# --- the envelope ---------------------------------------------------------------------------------


def test_an_envelope_is_what_others_make_of_it():
    data = seal(PAYLOAD_TYPE, b'{"a": 1}', KEY)
    assert_taken(json.loads(data), KEY.verifier)
    other = Envelope(b'{"a": 1}', PAYLOAD_TYPE, {})
    assert other.pae() == encoded(PAYLOAD_TYPE, b'{"a": 1}')
    assert Envelope.from_dict(json.loads(data)).to_dict() == json.loads(data)
    assert unseal(data, PAYLOAD_TYPE, KEY.verifier) == b'{"a": 1}'


@pytest.mark.parametrize("what", ["payload", "payloadType", "sig", "key"])
def test_what_was_altered_is_refused(what):
    told, key = json.loads(seal(PAYLOAD_TYPE, b'{"a": 1}', KEY)), KEY.verifier
    if what == "payload":
        told["payload"] = base64.b64encode(b'{"a": 2}').decode()
    elif what == "payloadType":
        told["payloadType"] = "application/json"
    elif what == "sig":
        sig = bytearray(base64.b64decode(told["signatures"][0]["sig"]))
        sig[9] ^= 1
        told["signatures"][0]["sig"] = base64.b64encode(sig).decode()
    else:
        key = THIEF.verifier
        told["signatures"][0]["keyid"] = key_name(key)
    with pytest.raises(VerificationError):
        Envelope.from_dict(json.loads(json.dumps(told))).verify([stranger_key(key)], 1)
    with pytest.raises(AuditError, match=r"not signed by|the envelope holds"):
        unseal(json.dumps(told).encode(), PAYLOAD_TYPE, key)


def test_no_flipped_bit_of_an_envelope_alters_what_is_said():
    data = seal(PAYLOAD_TYPE, b'{"a": 1}', KEY)
    refused = 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:  # what is changed of the hint, or of a space, says the same
            assert unseal(bytes(changed), PAYLOAD_TYPE, KEY.verifier) == b'{"a": 1}'
        except AuditError:
            refused += 1
    print(f"envelope: {8 * len(data)} bit flips, {refused} refused, none said another thing")
    assert refused > 8 * len(data) / 2


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"payload": 1}', b"[" * 100_000, b"null"])
def test_what_is_no_envelope(data):
    with pytest.raises(AuditError, match="is no DSSE envelope"):
        unseal(data, PAYLOAD_TYPE, KEY.verifier)


# --- the statement --------------------------------------------------------------------------------


def check_rules(told):
    """Hold a statement to the fields of in-toto and SLSA: by their own messages, and as written."""
    message = ParseDict(told, StatementMessage())  # no field that it does not know
    Statement.copy_from_pb(message).validate()
    predicate = ParseDict(told["predicate"], Provenance())
    for each in predicate.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(each).validate()
        assert each.uri or each.digest or each.content
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert (told["predicateType"], predicate.build_definition.build_type) == (PREDICATE, BUILD_TYPE)
    names = [each["name"] for each in told["subject"]]
    assert len({*names}) == len(names) > 0
    assert all(set(each["digest"]) == {"sha256"} for each in told["subject"])
    for uri in [each.uri for each in predicate.build_definition.resolved_dependencies]:
        assert not uri or (urlsplit(uri).scheme.islower() and uri.isascii() and " " not in uri)
    assert urlsplit(predicate.run_details.builder.id).scheme
    metadata = told["predicate"]["runDetails"]["metadata"]
    assert all(metadata[each].endswith("Z") for each in ("startedOn", "finishedOn"))
    began, ended = (datetime.fromisoformat(metadata[each]) for each in ("startedOn", "finishedOn"))
    assert began <= ended
    assert metadata["invocationId"]


def test_a_file_is_attested(place):
    told, statement = attested("result", "--file", "out.csv")
    check_rules(statement)
    assert statement["subject"] == [{"name": "out.csv", "digest": sha256_of("out.csv")}]
    defined = statement["predicate"]["buildDefinition"]
    asked = defined["externalParameters"]
    assert (asked["product"], asked["version"], asked["run"]) == ("result", "1.0", "nightly")
    assert asked["parameters"] == {"day": "2026-01-02"}
    assert asked["command"]["argv"] == ["make.py"]
    needed = {each.get("name", each.get("uri")): each for each in defined["resolvedDependencies"]}
    assert needed["product:raw@1"]["digest"] == sha256_of("raw.json")
    read = needed["in.csv"]
    assert read["digest"] == sha256_of(place / "in.csv")
    assert read["annotations"]["recorded"].startswith("xxh3:4-")
    environment = next(each for name, each in needed.items() if name.startswith("environment "))
    identity = defined["internalParameters"]["environmentId"]
    assert environment["digest"]["sha256"].startswith(identity)
    assert any(uri.startswith("pkg:pypi/pandas@") for uri in needed)
    key = LogFiles(Path("store/_audit")).key
    assert told["signatures"][0]["keyid"] == f"example.com/lineage+{key.key_id.hex()}"
    assert unseal(json.dumps(told).encode(), PAYLOAD_TYPE, key) == base64.b64decode(told["payload"])


@pytest.mark.skipif(not shutil.which("git"), reason="git is not there")
def test_the_code_is_attested(place):
    _, statement = attested("result", "--file", "out.csv")
    code = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    asked = ["git", "-C", place, "rev-parse", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert (code["uri"], code["digest"]) == (f"git+{place.as_uri()}", {"gitCommit": commit})


def test_each_file_of_a_folder_is_attested(place):
    _, statement = attested("several", "--file", "folder")
    check_rules(statement)
    assert statement["subject"] == [
        {"name": "deep/one", "digest": sha256_of("folder/deep/one")},
        {"name": "two", "digest": sha256_of("folder/two")},
    ]


def test_what_is_not_what_was_recorded_is_refused(place):
    Path("out.csv").write_text("a,b\n1,2\n")
    done = lineage("attest", "result", "--file", "out.csv", code=2)
    assert "is not what was registered as product:result@1.0" in done.stderr
    Path("folder/two").write_text("3")
    assert (
        "is not what was registered"
        in lineage("attest", "several", "--file", "folder", code=2).stderr
    )
    assert "there is no file" in lineage("attest", "result", "--file", "gone", code=2).stderr
    assert "was registered without bytes" in lineage("attest", "idea", code=2).stderr
    assert (
        "a folder without files" in lineage("attest", "nothing", "--file", "empty", code=2).stderr
    )
    assert "no data product other" in lineage("attest", "other", code=3).stderr
    named = ("attest", "result", "--builder", "me")
    assert "'me' is no URI" in lineage(*named, code=2).stderr


def test_an_input_that_has_changed_since_has_no_digest(place):
    file = place / "in.csv"
    before = file.read_bytes()
    try:
        for expected in ("changed", "gone"):
            file.write_bytes(b"a\n2\n")
            if expected == "gone":
                file.unlink()
            _, statement = attested("result", "--file", "out.csv")
            check_rules(statement)
            needed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
            (read,) = [each for each in needed if each.get("name") == "in.csv"]
            assert ("digest" in read, read["annotations"]["now"]) == (False, expected)
    finally:
        file.write_bytes(before)


def test_only_the_key_of_the_log_attests(place):
    lineage("rotate")
    told = json.loads(lineage("attest", "result", "--file", "out.csv").stdout)
    with pytest.raises(VerificationError):
        assert_taken(told)  # which asks for the first key
    lineage("rotate", "--new-key", "new.key")
    refused = lineage("attest", "result", "--file", "out.csv", code=2)
    assert "is not the one of this log" in refused.stderr
    done = lineage("attest", "result", "--file", "out.csv", "--key", "new.key", "-o", "a.json")
    assert done.stdout == "a.json\n"
    assert hashlib.sha256(Path("out.csv").read_bytes()).hexdigest() in done.stderr


def test_what_was_attested_is_proven_to_be_in_the_log(place):
    lineage("rotate")
    lineage("rotate", "--new-key", "new.key")
    made = ("attest", "result", "--file", "out.csv", "--key", "new.key", "-o")
    done = lineage(*made, "a.json")
    assert Path("a.json").read_bytes() == lineage(*made[:-1]).stdout_bytes
    known = hashlib.sha256(Path("a.json").read_bytes()).hexdigest()
    assert f"lineage audit prove {known}" in done.stderr
    assert "exposure: 0 leaves are not signed" in lineage("verify").stderr
    lineage("prove", known, "-o", "a.tlog-proof")
    assert Path("a.json").read_bytes() == Path("store", f"_attestations/{known}.json").read_bytes()
    key = str(load_key("", Path("new.key")).verifier)
    shutil.rmtree("store")
    proven = ("verify", "--proof", "a.tlog-proof", "--record", "a.json", "--log-key", key)
    assert "attestation" in lineage(*proven).stdout
    Path("a.json").write_bytes(Path("a.json").read_bytes().replace(b"payload", b"Payload"))
    assert "is not leaf" in lineage(*proven, code=2).stderr


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
def test_the_page_shows_a_stranger_how_to_verify(place):
    """The commands of docs/products.md, as they stand there; and what was altered is refused."""
    lineage("attest", "result", "--file", "out.csv", "-o", "result.json")
    page = PAGE.read_text(encoding="utf-8")
    (shell,) = [block.text for block in blocks(page) if "openssl" in block.text]
    key = str(LogFiles(Path("store/_audit")).key)

    def run():
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", shell],
            env={**os.environ, "KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, output = run()
    assert code == 0, output
    assert "Verified Successfully" in output
    assert sha256_of("out.csv")["sha256"] in output
    whole = Path("result.json").read_bytes()
    told = json.loads(whole)
    told["payload"] = base64.b64encode(b"{}" + base64.b64decode(told["payload"])).decode()
    Path("result.json").write_text(json.dumps(told))
    assert run()[0] != 0
    Path("result.json").write_bytes(whole)
    key = str(THIEF.verifier)
    assert run()[0] != 0

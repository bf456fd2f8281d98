"""Notes and checkpoints: one form, no bit that can change, and what others say of them."""

import base64
import contextlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.audit.checkpoint import Checkpoint, cosign, open_checkpoint, sign_checkpoint
from lineage.audit.merkle import leaf_hash, root_of
from lineage.audit.notes import COSIGNATURE, Note, SigningKey, parse_vkey, sign
from lineage.errors import AuditError
from tests.sumdb import GO_MISSING, sumdb

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ORIGIN = "example.com/lineage/7"
LOG = SigningKey(ORIGIN, bytes(range(32)))
WITNESS = SigningKey("witness.example/one", bytes(range(1, 33)), COSIGNATURE)
OTHER = SigningKey("witness.example/two", bytes(range(2, 34)), COSIGNATURE)
ROOT = root_of([leaf_hash(b"a"), leaf_hash(b"b")])
TIME = 1_790_000_000


def signed(size=2, root=ROOT):
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG)


def opened(data, quorum=0):
    witnesses = [WITNESS.verifier, OTHER.verifier]
    return open_checkpoint(data, LOG.verifier, witnesses=witnesses, quorum=quorum)


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_the_examples_of_the_specifications():
    """The note and the key of https://c2sp.org/signed-note, byte for byte."""
    key = parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    text = (
        "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1Y"
        "Eq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    assert Note.parse(text.encode()).signed_by(key)
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDe"
        "OoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5O"
        "WXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    note = Note.parse(text.encode())
    assert [each.name for each in note.signatures][1] == "witness.example.com/w1"
    assert Checkpoint.parse(note.text).size == 20_852_163


def test_it_is_signed_and_cosigned():
    note = cosign(signed(), WITNESS, TIME)
    found = opened(bytes(note))
    assert (found.checkpoint.size, found.checkpoint.root) == (2, ROOT)
    assert found.cosigned == {"witness.example/one": TIME}
    both = cosign(note, OTHER, TIME + 5)
    assert opened(bytes(both), quorum=2).cosigned["witness.example/two"] == TIME + 5
    with pytest.raises(AuditError, match="1 cosignatures of known witnesses, and 2"):
        opened(bytes(note), quorum=2)


def test_only_its_own_key_and_origin_count():
    other = SigningKey(ORIGIN, bytes(32))
    with pytest.raises(AuditError, match="not signed by example"):
        opened(bytes(sign_checkpoint(Checkpoint(ORIGIN, 2, ROOT), other)))
    with pytest.raises(AuditError, match="is of 'example"):
        opened(bytes(sign(Checkpoint("example.org/x", 2, ROOT).text(), LOG)))
    with pytest.raises(AuditError, match="not signed by"):
        opened(bytes(sign(Checkpoint(ORIGIN, 2, ROOT).text(), WITNESS)))
    with pytest.raises(AuditError, match="is not one of a witness"):
        cosign(signed(), LOG, TIME)
    # A line by who is not known is passed over; one under a known name and id is not.
    unknown = cosign(signed(), SigningKey("witness.example/new", bytes(32), COSIGNATURE), TIME)
    assert opened(bytes(unknown)).cosigned == {}


def test_no_bit_of_a_checkpoint_can_change():
    """Each bit of a checkpoint with two witnesses; the untouched one is the control."""
    data = bytes(cosign(cosign(signed(20_852_163), WITNESS, TIME), OTHER, TIME))
    assert opened(data, quorum=2)
    silent = []
    for bit in range(8 * len(data)):
        try:
            opened(flipped(data, bit), quorum=2)
        except AuditError:
            continue
        silent.append(bit)
    assert silent == []
    print(f"checkpoint: {8 * len(data)} bit flips, 0 silent")


def test_the_check_would_see_a_lax_reader():
    """One that looks for the last word of a line does not see what is before it."""
    data = bytes(signed())
    silent = []
    for bit in range(8 * data.index(b"\n\n") + 16, 8 * len(data)):
        text, _, lines = flipped(data, bit).partition(b"\n\n")
        with contextlib.suppress(ValueError, IndexError):
            value = base64.b64decode(lines.split()[2])[4:]
            if LOG.verifier.is_signed(text + b"\n", value):
                silent.append(bit)
    assert silent


BAD_TEXTS = [
    *("", "a\n", "a\n1\n", "a\n01\nR\n", "a\n-1\nR\n", "a\n+1\nR\n", "a\n 1\nR\n", "a\n1 \nR\n"),
    *("a\n\u0661\nR\n", "a\n1\nR", "\n1\nR\n", "a\n1\nR\n\nmore\n", "a\n1\nR=\n", "a\n1\nAAAA\n"),
    *("a\n1e3\nR\n", "a\n10000000000000000000\nR\n", "a\n1\nR\r\n", "a\n1\n R\n"),
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_what_is_no_checkpoint(text):
    root = base64.b64encode(ROOT).decode()
    assert Checkpoint.parse(f"a\n1\n{root}\n").size == 1
    with pytest.raises(AuditError):
        Checkpoint.parse(text.replace("R", root))


def test_base64_has_one_form():
    """The last character of a root has two bits that say nothing: they must be zero."""
    root = base64.b64encode(ROOT).decode()
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = last.index(root[-2])
    same = f"{root[:-2]}{last[at + 1]}="
    assert base64.b64decode(same) == ROOT
    with pytest.raises(AuditError, match="base64"):
        Checkpoint.parse(f"a\n1\n{same}\n")


BAD_NOTES = {
    "no end": lambda data: data[:-1],
    "no blank line": lambda data: data.replace(b"\n\n", b"\n"),
    "no signature": lambda data: data[: data.index(b"\n\n") + 2],
    "return": lambda data: data.replace(b"\n", b"\r\n"),
    "zero": lambda data: b"\0" + data,
    "latin": lambda data: data.replace("\u2014".encode(), b"\x97"),
    "twice": lambda data: data + data[data.index(b"\n\n") + 2 :],
    "other dash": lambda data: data.replace("\u2014".encode(), "\u2013".encode()),
    "name with plus": lambda data: data.replace("\u2014 ex".encode(), "\u2014 +x".encode()),
    "wide space": lambda data: data.replace("\u2014 ex".encode(), "\u2014\u00a0ex".encode()),
    "more after it": lambda data: data + b"more\n",
    "too long": lambda data: b"x" * (1 << 20) + data,
    "short line": lambda data: data[: data.index(b"\n\n") + 2] + "\u2014 x AAAA\n".encode(),
}


@pytest.mark.parametrize("change", BAD_NOTES.values(), ids=BAD_NOTES)
def test_what_is_no_note(change):
    data = bytes(signed())
    assert opened(data)
    with pytest.raises(AuditError):
        opened(change(data))


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_what_is_written_is_read(origin, size, root):
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_an_error(data):
    with contextlib.suppress(AuditError):
        assert bytes(Note.parse(data)) == data


def test_keys_are_texts_and_do_not_show_themselves():
    key = SigningKey.generate("example.com/log")
    assert SigningKey.parse(key.text()) == key
    assert parse_vkey(str(key.verifier)) == key.verifier
    assert key.text().rpartition("+")[2] not in repr(key)
    secret = key.text()
    for bit in range(8 * len(secret)):
        text = flipped(secret.encode(), bit).decode("latin-1")
        with pytest.raises(AuditError) as error:
            SigningKey.parse(text)
        assert secret[-40:-10] not in str(error.value)
    for bit in range(8 * len(str(key.verifier))):
        with pytest.raises(AuditError):
            parse_vkey(flipped(str(key.verifier).encode(), bit).decode("latin-1"))
    for name in ("", "a b", "a+b", "a\nb", "a\u2003b"):
        with pytest.raises(AuditError, match="cannot be called"):
            SigningKey.generate(name)


# --- third parties --------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
def test_openssl_accepts_it_and_nothing_else(tmp_path):
    """As `docs/trust.md` shows it: the text, the 64 bytes, and the key as DER."""
    data, prefix = bytes(signed()), bytes.fromhex("302a300506032b6570032100")
    text, _, lines = data.partition(b"\n\n")
    (tmp_path / "text").write_bytes(text + b"\n")
    signature = base64.b64decode(lines.split()[2])[4:]
    (tmp_path / "signature").write_bytes(signature)
    (tmp_path / "key.der").write_bytes(prefix + LOG.verifier.public)
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in text"

    def is_good():
        done = subprocess.run(
            [*command.split(), "-sigfile", "signature"],
            cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0

    assert is_good()
    for name in ("text", "signature"):
        whole = (tmp_path / name).read_bytes()
        for bit in random.Random(7).sample(range(8 * len(whole)), 20):
            (tmp_path / name).write_bytes(flipped(whole, bit))
            assert not is_good()
        (tmp_path / name).write_bytes(whole)
    assert is_good()


@pytest.mark.skipif(bool(GO_MISSING), reason=GO_MISSING or "it is there")
def test_go_accepts_notes_and_keys(tmp_path):
    """Go's `x/mod/sumdb/note` opens ours, signs with our key text, and refuses each altered one."""
    good = bytes(signed())
    bits = random.Random(11).sample(range(8 * len(good)), 500)
    asked = [good, *(flipped(good, bit) for bit in bits)]
    tell = {
        "vkey": str(LOG.verifier),
        "key": LOG.text(),
        "notes": [base64.b64encode(each).decode() for each in asked],
        "text": signed(9).text,
    }
    told = sumdb(tmp_path, tell)
    assert told["notes"] == [True] + [False] * len(bits)
    assert opened(base64.b64decode(told["signed"])).checkpoint.size == 9
    assert json.dumps(told["name"]) == f'"{ORIGIN}"'
    assert Path(tmp_path / "go.mod").exists()

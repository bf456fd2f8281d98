"""The key of the user: made once, theirs alone, and never missed aloud in a program."""

import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lineage import keys
from lineage.cli import app


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings" / "lineage"


def test_it_is_made_at_its_first_use_and_stays(home):
    assert keys.problem() is None
    assert not home.exists()
    one = keys.key()
    assert len(one) == 32
    assert keys.key() == one
    assert keys.problem() is None
    file = home / "variables.key"
    assert file.read_bytes() == one
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert os.listdir(home) == ["variables.key"]


def test_values_are_known_by_a_hash_under_it():
    found = keys.hashed({"API": "hunter2", "B": "hunter2", "C": "hunter3"})
    name, _, digest = found["API"]["hmac"].partition(":")
    expected = hmac.new(keys.key(), b"hunter2", hashlib.sha256).hexdigest()[:32]
    assert (len(name), digest) == (8, expected)
    assert found["API"] == found["B"] != found["C"]
    # The control: without the key nobody comes to it.
    assert digest != hashlib.sha256(b"hunter2").hexdigest()[:32]


def test_another_key_is_another_hash(home):
    one = keys.hashed({"A": "x"})
    (home / "variables.key").unlink()
    other = keys.hashed({"A": "x"})
    assert one["A"]["hmac"][:8] != other["A"]["hmac"][:8]
    assert one["A"]["hmac"][9:] != other["A"]["hmac"][9:]


def test_values_and_names_of_any_kind():
    found = keys.hashed(
        {"A": "a\udcff\0", "LONG": "x" * (10 << 20), "N\udcff": "", "password=hunter2": "x"}
    )
    assert found["LONG"] == {"characters": 10 << 20}
    assert "N\\udcff" in found
    assert "password=<redacted>" in found
    assert len(keys.hashed({f"V{number}": "" for number in range(2000)})) == 1000


def test_without_a_folder_to_write_in_there_is_no_hash(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert keys.key() is None
    assert keys.hashed({"A": "x"}) == {"A": {}}
    assert "XDG_CONFIG_HOME" in keys.problem()
    done = CliRunner().invoke(app, ["--store", "memory://", "doctor", "--json"])
    assert done.exit_code == 1
    assert keys.problem() in json.loads(done.stdout)["data"]["findings"]


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_home_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert keys.key() is None
        assert "cannot be written" in keys.problem()
    finally:
        tmp_path.chmod(0o700)


def test_without_a_home_there_is_none(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")

    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(keys.Path, "home", fail)
    assert keys.key() is None
    assert "home directory" in keys.problem()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.chmod(0o644), "chmod 600"),
        (lambda file: file.write_bytes(b"short"), "no key of 32 bytes"),
        (lambda file: (file.unlink(), file.mkdir()), "not a file"),
        (lambda file: (file.unlink(), os.mkfifo(file, 0o600)), "not a file"),
    ],
)
def test_a_key_that_is_none_is_not_used(home, spoil, told):
    keys.key()
    spoil(home / "variables.key")
    assert keys.key() is None
    assert told in keys.problem()


def test_many_that_begin_at_once_have_one_key(home):
    program = "import sys; from lineage import keys; sys.stdout.write(keys.key().hex())"
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert len({each.communicate()[0] for each in started}) == 1
    assert os.listdir(home) == ["variables.key"]

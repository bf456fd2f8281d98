"""Replay, diff --prove and product from the shell over every kind of store.

What is asked is recorded once, into a folder, and copied into a new database of each kind. The
program is plain Python, so that it runs again quickly.
"""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from lineage import LineageQueryEngine
from lineage.cli import app
from lineage.errors import CorruptStoreError, ReplayError
from lineage.replay import obstacles, replay
from lineage.settings import REPLAY_VARIABLE
from lineage.stores.base import open_store
from lineage.stores.copying import copy_store
from tests.test_replay import ROOT, Project, verdicts

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
STORES = ("parquet", "sqlite", "postgres", "mariadb")
SECRET = "hunter2-and-more"
PROGRAM = f"""
import argparse, os
import lineage

parser = argparse.ArgumentParser()
parser.add_argument("names", nargs="+")
parser.add_argument("--data", default="data/in.csv")
parser.add_argument("--out", default="out")
parser.add_argument("--version", default="1")
parser.add_argument("--password")
parser.add_argument("--run", default="work")
words = parser.parse_args()
is_again = {REPLAY_VARIABLE!r} in os.environ

with lineage.track(words.run, capture=False) as run:
    with open(words.data) as file:
        lines = [line.split(",") for line in file.read().splitlines()[1:]]
    rows = [(key, float(value) * 2) for key, value in lines]
    for name in words.names:
        made = list(rows)
        if is_again and name == "shuffled":
            made = made[::-1]
        if is_again and name == "near":
            made = [(key, value * (1 + 1e-12)) for key, value in made]
        if is_again and name == "changed":
            made = [(key, value + (key in "ab")) for key, value in made]
        if name == "broken":
            raise ValueError("no column y")
        path = os.path.join(words.out, name + ".csv")
        with open(path, "w") as file:
            file.write("k,x\\n" + "".join(f"{{key}},{{value}}\\n" for key, value in made))
        run.register_data_product(name, words.version, path=path, parents=[words.data])
"""


class Recorded(Project):
    """What was asked of, in a folder; and in a copy of each kind, once it is asked for."""

    def __init__(self, folder):
        super().__init__(folder)
        self.folder = folder
        self.known = {"parquet": str(self.store)}

    def write(self, code):
        text = PROGRAM.replace("* 2)", f"* 2 {code})")
        (self.root / "make.py").write_text(text, encoding="utf-8")

    def fail(self, *words):
        with pytest.raises(AssertionError, match="no column y"):
            self.run(*words)

    def url(self, kind, request):
        if kind not in self.known:
            url = f"sqlite:///{self.folder}/lineage.db"
            if kind != "sqlite":
                url = request.getfixturevalue(kind).new_database()
            target = open_store(f"{url}?outbox={self.folder}/outbox-{kind}")
            copy_store(open_store(self.store), target)
            target.close()
            self.known[kind] = f"{url}?outbox={self.folder}/outbox-{kind}"
        return self.known[kind]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        made = Recorded(tmp_path_factory.mktemp("replayed"))
        (made.root / "out").mkdir()
        data, away = made.root / "data", made.folder / "away"
        away.mkdir()
        shutil.copy(data / "in.csv", data / "old.csv")
        made.run("same", "shuffled", "near", "changed", "--run", "scaling")
        made.run("hidden", "--password", SECRET)
        words = ("stale", "--password", SECRET, "--data", "data/old.csv", "--out", str(away))
        made.run(*words, TZ="Etc/GMT+3")
        (data / "old.csv").write_text("k,x\na,9\n", encoding="utf-8")
        made.fail("broken", "--run", "empty")
        made.fail("early", "broken", "--run", "broken")
        made.run("proof", "--version", "1", "--run", "first")
        made.write("- 5")
        made.run("dirty")
        made.write("+ 1")
        made.commit()
        made.run("proof", "--version", "2", "--run", "second")
        yield made


@pytest.fixture(params=STORES)
def url(request, recorded, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return recorded.url(request.param, request)


@pytest.fixture
def recipe(url):
    return LineageQueryEngine(url).recipe


def shell(url, *words, code=0):
    """Ask the command line, as a script does: nobody is there who could be asked."""
    done = CliRunner().invoke(app, [*words, "--store", url], env={"TERM": "dumb"})
    assert done.exit_code == code, done.output
    return done


def test_a_run_is_replayed_with_every_verdict(recipe):
    done = replay(recipe("scaling"))
    assert verdicts(done) == {
        "same@1": "identical",
        "shuffled@1": "reordered",
        "near@1": "close",
        "changed@1": "differs",
    }
    assert done.results["shuffled@1"].message == "equal up to the order of rows"
    found = done.results["changed@1"]
    assert found.message == "differs in x (2 of 4 rows, by 1 at most)"
    assert [(each.name, each.count) for each in found.columns] == [("x", 2)]
    assert not done.is_same


def test_a_product_is_replayed_with_a_secret_that_is_asked_for(recipe, monkeypatch):
    wanted = recipe("hidden")
    assert SECRET not in repr(wanted)
    (reason,) = obstacles(wanted)
    assert "set the variable LINEAGE_REPLAY_PASSWORD" in reason
    monkeypatch.setenv("LINEAGE_REPLAY_PASSWORD", SECRET)
    assert verdicts(replay(wanted)) == {"hidden@1": "identical"}


def test_what_was_changed_and_not_committed_comes_from_the_store(recipe):
    wanted = recipe("dirty")
    (code,) = wanted.codes
    assert "float(value) * 2 - 5" in code.diff
    assert verdicts(replay(wanted)) == {"dirty@1": "identical"}


def test_nothing_of_a_damaged_store_is_run(url, recorded, tmp_path):
    if "://" not in url:
        shutil.copytree(url, tmp_path / "outbox")
        damaged = str(tmp_path / "outbox")
    else:  # what waits for the database
        damaged = f"{url.partition('?')[0]}?outbox={tmp_path}/outbox"
        store = open_store(damaged)
        store.outbox.start = lambda: None
        store.append("runs", [{"run_id": "waiting", "status": "running", "timestamp": 1}])
        store.journal.close()
    path = next(iter((tmp_path / "outbox").rglob("*.seg")), None)
    path = path or next((tmp_path / "outbox" / "lineage_runs").rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptStoreError):
        LineageQueryEngine(damaged).recipe("same")
    assert LineageQueryEngine(url).recipe("same").made  # the control


def test_what_cannot_be_replayed_is_refused_with_every_reason(recipe, recorded):
    reasons = obstacles(recipe("stale"))
    for text, reason in zip(
        (
            "a secret was taken out",
            f"the input {recorded.root / 'data' / 'old.csv'} has changed since",
            f"it writes outside of its own folders: {recorded.folder / 'away' / 'stale.csv'};",
            "time zone Etc/GMT+3 then",
        ),
        reasons,
        strict=True,
    ):
        assert text in reason
    with pytest.raises(ReplayError) as found:
        replay(recipe("stale"))
    assert str(found.value).splitlines() == [
        "cannot replay 'stale':",
        *(f"- {reason}" for reason in reasons),
    ]


def test_a_run_that_failed_is_refused_and_says_why_it_did(recipe):
    with pytest.raises(ReplayError, match="with ValueError: no column y, and no operation"):
        recipe("empty")
    reason, *more = obstacles(recipe("broken"))
    assert reason.startswith("the run failed then, with ValueError: no column y; what it made is")
    assert more == []
    # The control: what was registered before is a product like any other, and so is another run.
    assert obstacles(recipe("early")) == obstacles(recipe("scaling")) == []


def run_ids(url):
    rows = LineageQueryEngine(url).sql("SELECT run_id, name FROM runs WHERE ended_at IS NOT NULL")
    return {row["name"]: row["run_id"] for row in rows}


def test_which_cause_moves_the_result_is_proven_from_the_shell(url):
    ids = run_ids(url)
    words = ("diff", "--prove", ids["first"], ids["second"])
    done = shell(url, *words, "--yes", "--json", code=1)
    data = json.loads(done.stdout)["data"]
    assert data["control"]["effect"] == "none"
    assert {each["cause"]: each["effect"] for each in data["trials"]} == {
        "code": "all",
        "command": "none",
    }
    assert data["causes"] == ["code"]
    assert "python make.py proof --version 1 --run first" in done.stderr
    unasked = shell(url, *words, code=2)
    assert "nothing was run: agree to what would run by --yes" in unasked.stderr


def test_replay_from_the_shell_of_what_was_recorded_straight_into_a_store(url, recorded, tmp_path):
    """And not only of what was copied into it."""
    own, version = f"direct {tmp_path.name}", tmp_path.name
    (recorded.root / "out" / version).mkdir()
    words = ("--run", own, "--version", version, "--out", f"out/{version}")
    recorded.run("direct", "changed", *words, LINEAGE_STORE=url)
    header, *lines = shell(url, "replay", own, "--yes", code=1).stdout.splitlines()
    assert header.split("\t") == ["product", "verdict", "what was found"]
    assert [line.split("\t") for line in lines] == [
        [f"direct@{version}", "identical", "identical in every byte"],
        [f"changed@{version}", "differs", "differs in x (2 of 4 rows, by 1 at most)"],
    ]
    refused = shell(url, "replay", "stale", "--yes", code=2)
    assert refused.stderr.count("\n- ") == 4
    planned = shell(url, "replay", "stale", "--dry-run", code=1).stdout
    assert planned.count("\nobstacle  ") == 4

"""What made a product runs again: at its commit, with its inputs, in a place of its own."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lineage import LineageQueryEngine, aside, checkouts, recipes, venvs, workplace
from lineage import replay as work
from lineage.aside import put_aside
from lineage.cli import app
from lineage.cli import replay as shown
from lineage.digests import content_of
from lineage.errors import CorruptStoreError, NodeNotFoundError, ReplayError
from lineage.proving import prove
from lineage.recipes import Code, Command, Made, Recipe
from lineage.replay import Terms, obstacles, replay

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
ROOT = Path(__file__).parents[1]
SCRIPT = """
import argparse, os, random
import pandas as pd
import lineage

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=float, default=2.0)
parser.add_argument("--out", default="out/scaled.parquet")
parser.add_argument("--password")
parser.add_argument("--version", default="1")
words = parser.parse_args()

with lineage.track("scaling", factor=words.factor) as run:
    frame = pd.read_csv("data/in.csv")
    frame["x"] = frame["x"] * words.factor {CODE}
    os.makedirs(os.path.dirname(words.out), exist_ok=True)
    frame.to_parquet(words.out)
    run.register_data_product("scaled", words.version, path=words.out, parents=["data/in.csv"])
"""


class Project:
    """A repository with a program, and the store of what it did."""

    def __init__(self, folder):
        self.root, self.store = folder / "project", folder / "store"
        (self.root / "data").mkdir(parents=True)
        pd.DataFrame({"k": list("abcd"), "x": [1.0, 2, 3, 4]}).to_csv(
            self.root / "data" / "in.csv", index=False
        )
        self.write("")
        (self.root / ".gitignore").write_text("data\nout\n", encoding="utf-8")
        self.git("init", "-q")
        self.commit()

    def write(self, code):
        text = SCRIPT.replace(" {CODE}", f"\n    {code}" if code else "")
        (self.root / "make.py").write_text(text, encoding="utf-8")

    def git(self, *words):
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", *names, "-C", str(self.root), *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "one step", "--allow-empty")

    def run(self, *words, script="make.py", cwd=None, **variables):
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("LINEAGE_")}
        done = subprocess.run(
            [sys.executable, script, *words],
            cwd=cwd or self.root,
            env=surroundings | {"LINEAGE_STORE": str(self.store), "PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def recipe(self, target="scaled"):
        return LineageQueryEngine(self.store).recipe(target)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Project(tmp_path)


def verdicts(done):
    return {name: each.verdict for name, each in done.results.items()}


def test_a_product_is_made_again_bit_by_bit(project):
    project.run("--factor", "3")
    before = sorted(str(path) for path in project.root.rglob("*") if ".git/" not in str(path))
    recipe = project.recipe()
    assert obstacles(recipe) == []
    done = replay(recipe)
    assert verdicts(done) == {"scaled@1": "identical"}
    assert done.is_same
    after = sorted(str(path) for path in project.root.rglob("*") if ".git/" not in str(path))
    assert before == after
    assert project.git("worktree", "list").count("\n") == 1
    assert project.git("status", "--porcelain") == ""


STEPS = [
    "import pandas as pd\ndata = pd.read_csv('data/in.csv')",
    "data.assign(x=data.x * 2).to_csv('out/scaled.csv', index=False)",
]


@pytest.mark.parametrize("name", ["work.py", "work.ipynb"])
def test_what_lineage_run_ran_is_made_again(project, name):
    cells = [{"cell_type": "code", "source": each, "metadata": {}} for each in STEPS]
    texts = {"work.ipynb": json.dumps({"cells": cells, "nbformat": 4}), "work.py": "\n".join(STEPS)}
    (project.root / name).write_text(texts[name], encoding="utf-8")
    (project.root / "out").mkdir()
    project.commit()
    program = Path(sysconfig.get_path("scripts")) / "lineage"
    project.run("run", name, script=str(program))
    (row,) = LineageQueryEngine(project.store).sql("SELECT DISTINCT run_id FROM runs")
    recipe = project.recipe(row["run_id"])
    assert [code.root for code in recipe.codes] == [str(project.root)]
    assert obstacles(recipe) == []
    assert verdicts(replay(recipe)) == {str(project.root / "out" / "scaled.csv"): "identical"}


def test_a_run_is_made_again_by_its_id_and_its_name(project):
    project.run()
    (row,) = LineageQueryEngine(project.store).sql("SELECT DISTINCT run_id FROM runs")
    for target in (row["run_id"], row["run_id"][:8], "scaling", "scaled@1"):
        assert [made.name for made in project.recipe(target).made] == ["scaled@1"]
    with pytest.raises(NodeNotFoundError, match="scaled"):
        project.recipe("scaledd")


def test_the_code_is_that_of_the_commit_however_it_goes_on(project, monkeypatch):
    project.run()
    project.write("frame['x'] += 1")
    project.commit()
    recipe = project.recipe()
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}
    # The control: with the code as it is now, another product comes out.
    head = project.git("rev-parse", "HEAD").strip()
    newer = replace(recipe, codes=tuple(replace(each, commit=head) for each in recipe.codes))
    found = replay(newer).results["scaled@1"]
    assert found.message == "differs in x (4 of 4 rows, by 1 at most)"


def test_what_was_changed_and_not_committed_is_applied(project):
    project.write("frame['x'] -= 5")
    project.run()
    project.git("checkout", "-q", "make.py")
    recipe = project.recipe()
    assert "frame['x'] -= 5" in recipe.codes[0].diff
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}
    without = replace(recipe, codes=(replace(recipe.codes[0], diff=None),))
    assert verdicts(replay(without)) == {"scaled@1": "differs"}


def asked(project, *words, code=0):
    """Give what `lineage replay` says, without the machine's paths."""
    command = ["replay", "scaled", *words, "--store", str(project.store)]
    done = CliRunner().invoke(app, command, env={"TERM": "dumb"})
    assert done.exit_code == code, done.output
    return done.output.replace(str(project.root), "PROJECT").splitlines()


def test_what_was_not_committed_is_shown_before_it_runs(project):
    project.run()
    assert not [line for line in asked(project, "--dry-run") if line.startswith("changed")]
    project.write("import helper; frame['x'] -= 5  # \x1b[2K\u2028spoof")
    (project.root / "helper.py").write_text("MORE = 1\n", encoding="utf-8")
    project.run("--version", "2")
    counts = ["changed   helper.py  +1 -0", "changed   make.py  +1 -0"]
    for words, code in ((["--dry-run"], 0), ([], 2)):  # planned; and where nobody can be asked
        said = asked(project, *words, code=code)
        assert sorted(line for line in said if line.startswith("changed")) == counts
        assert not [line for line in said if "-= 5" in line]
        said = asked(project, *words, "--show-diff", code=code)
        assert r"  +    import helper; frame['x'] -= 5  # \x1b[2K\u2028spoof" in said
        assert "  +MORE = 1" in said
    many = "".join(f"--- /dev/null\n+++ b/f{at}\n@@ -0,0 +1 @@\n+-- a\n" for at in range(12))
    listed = [*shown._change_lines(many, is_whole=False)]
    assert len(listed) == 11
    assert listed[-1].split() == ["and", "2", "more"]
    assert listed[0] == "changed   f0  +1 -0"


def test_changes_that_are_no_text_and_no_diff_are_told_as_such(project):
    binary = project.root / "logo.bin"
    binary.write_bytes(bytes(range(256)))
    project.commit()
    binary.write_bytes(bytes(255))
    diff = project.git("diff", "--binary", "--full-index")
    assert [*shown._change_lines(diff, is_whole=False)] == ["changed   logo.bin  no text"]
    (line,) = shown._change_lines("no diff at all", is_whole=False)
    assert "git apply failed" in line


def test_a_change_that_is_not_kept_is_a_reason_not_to_run(project):
    (project.root / "logo.bin").write_bytes(bytes(range(256)))
    project.commit()
    (project.root / "logo.bin").write_bytes(bytes(range(255, -1, -1)))
    project.run()
    (reason,) = obstacles(project.recipe())
    assert "not as committed" in reason
    with pytest.raises(ReplayError, match="cannot replay 'scaled'"):
        replay(project.recipe())


def test_an_input_that_has_changed_is_refused_or_brought_from_elsewhere(project):
    project.run()
    old = project.root / "data" / "in.csv"
    shutil.copy2(old, project.root / "data" / "kept.csv")
    old.write_text("k,x\na,9\n", encoding="utf-8")
    (reason,) = obstacles(project.recipe())
    assert f"{old} has changed since" in reason
    recipe = project.recipe()
    (wanted,) = recipe.inputs
    found = wanted._replace(others=(str(project.root / "data" / "kept.csv"),))
    assert verdicts(replay(replace(recipe, inputs=(found,)))) == {"scaled@1": "identical"}
    old.unlink()
    (reason,) = obstacles(recipe)
    assert "is gone" in reason


def test_a_program_that_is_left_to_chance_differs_by_column_and_count(project):
    project.write("frame.loc[0, 'x'] = os.getpid()")
    project.commit()
    project.run()
    done = replay(project.recipe())
    assert done.results["scaled@1"].columns[0].name == "x"
    assert done.results["scaled@1"].columns[0].count == 1
    assert not done.is_same


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("frame = frame.sample(frac=1, random_state=os.getpid() % 9973)", None),
        ("frame['x'] += random.random() * 1e-13", "close"),
    ],
)
def test_another_order_and_small_differences_are_told(project, code, verdict):
    project.write(code)
    project.commit()
    project.run()
    done = replay(project.recipe())
    assert done.is_same
    assert verdicts(done)["scaled@1"] in ((verdict,) if verdict else ("identical", "reordered"))


def test_secrets_are_named_and_taken_from_the_environment(project, monkeypatch):
    project.run("--password", "hunter2-and-more")
    recipe = project.recipe()
    assert "hunter2" not in json.dumps(recipe.command.argv)
    (reason,) = obstacles(recipe)
    assert "LINEAGE_REPLAY_PASSWORD" in reason
    monkeypatch.setenv("LINEAGE_REPLAY_PASSWORD", "hunter2-and-more")
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}


def test_what_lies_elsewhere_is_put_back(project, tmp_path):
    target = tmp_path / "elsewhere" / "scaled.parquet"
    project.run("--out", str(target))
    recipe = project.recipe()
    (reason,) = obstacles(recipe)
    assert str(target) in reason.split("--in-place")[0]
    before = target.read_bytes(), target.stat().st_mtime_ns
    terms = Terms(is_in_place=True)
    assert verdicts(replay(recipe, terms)) == {"scaled@1": "identical"}
    assert (target.read_bytes(), target.stat().st_mtime_ns) == before


CALLED = """
import pandas as pd
import lineage

@lineage.track_lineage
def scale(factor, columns=("x",)):
    with lineage.track("scaling") as run:
        frame = pd.read_csv("data/in.csv")
        frame[list(columns)] *= factor
        frame.to_csv("called.csv", index=False)
        run.register_data_product("called", "1", path="called.csv")
"""


def test_a_function_that_was_called_from_a_shell_is_called_again(project):
    (project.root / "jobs").mkdir()
    (project.root / "jobs" / "scaling.py").write_text(CALLED, encoding="utf-8")
    project.commit()
    call = "import lineage\nlineage.init()\nfrom jobs.scaling import scale\nscale(3, ['x'])\n"
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("LINEAGE_")}
    surroundings |= {"LINEAGE_STORE": str(project.store)}
    surroundings["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(project.root)))
    subprocess.run(
        [sys.executable, "-i"], input=call, cwd=project.root, env=surroundings, text=True,
        check=True, capture_output=True,
    )  # fmt: skip
    recipe = project.recipe("called")
    assert recipe.command.kind == "function"
    assert recipe.command.argv == ("jobs.scaling", "scale", '{"columns":["x"],"factor":3}')
    assert verdicts(replay(recipe)) == {"called@1": "identical"}
    other = replace(recipe.command, argv=(*recipe.command.argv[:2], '{"factor":4}'))
    assert verdicts(replay(replace(recipe, command=other))) == {"called@1": "differs"}


def test_what_is_put_aside_comes_back_after_a_failure(tmp_path):
    path, new = tmp_path / "a.csv", tmp_path / "b.csv"
    link, kept = tmp_path / "link.csv", []
    path.write_text("old", encoding="utf-8")
    link.symlink_to(path)

    def fail():
        with put_aside([str(link), str(new)], str(tmp_path / "s")) as aside:
            kept.append(aside)
            path.write_text("new", encoding="utf-8")
            new.write_text("new", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert link.is_symlink()
    assert not new.exists()
    for each in (link, new):
        assert Path(kept[0].new(str(each))).read_text(encoding="utf-8") == "new"


def test_what_cannot_be_put_back_is_not_removed_and_named(project, monkeypatch, tmp_path):
    target = tmp_path / "elsewhere" / "scaled.parquet"
    project.run("--out", str(target))
    before = target.read_bytes()
    recipe = project.recipe()
    whole = aside.copy

    def full(path, place):
        if place == str(target):
            raise OSError(28, "No space left on device")
        whole(path, place)

    monkeypatch.setattr(aside, "copy", full)
    with pytest.raises(aside.NotPutBackError, match="No space left on device") as found:
        replay(recipe, Terms(is_in_place=True))
    place = Path(str(found.value).partition(" is at ")[2])
    assert place.read_bytes() == before
    assert str(target) in (place.parents[2] / "list.txt").read_text(encoding="utf-8")


def test_what_is_put_aside_comes_back_when_the_process_is_told_to_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old", encoding="utf-8")
    script = f"""
import os, signal, time
from lineage.aside import put_aside
with put_aside([{str(path)!r}], {str(tmp_path / "s")!r}):
    open({str(path)!r}, "w").write("new")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 128 + 15
    assert path.read_text(encoding="utf-8") == "old"


def test_a_file_that_the_code_names_by_its_whole_path_is_put_back(project):
    target = project.root / "out" / "scaled.parquet"
    project.write(f"words.out = {str(target)!r}")
    project.commit()
    project.run()
    before = target.read_bytes(), target.stat().st_mtime_ns
    with pytest.raises(ReplayError, match="by an absolute path in its code"):
        replay(project.recipe())
    assert (target.read_bytes(), target.stat().st_mtime_ns) == before
    terms = Terms(is_in_place=True)
    assert verdicts(replay(project.recipe(), terms)) == {"scaled@1": "identical"}
    assert target.read_bytes() == before[0]


@pytest.mark.parametrize("is_plain", [False, True])
def test_an_input_that_the_code_names_by_its_whole_path_is_told(project, monkeypatch, is_plain):
    """The commit has it as it was, and is brought; the program reads it as it is now."""
    (project.root / ".gitignore").write_text("out\n", encoding="utf-8")
    data = project.root / "data" / "in.csv"
    text = data.read_text(encoding="utf-8")
    script = project.root / "make.py"
    named = f"open({str(data)!r})" if is_plain else repr(str(data))
    code = script.read_text(encoding="utf-8")
    code = code.replace('read_csv("data/in.csv")', f"read_csv({named})", 1)
    code = code.replace(', parents=["data/in.csv"]', "") if is_plain else code
    script.write_text(code, encoding="utf-8")
    project.commit()
    project.run()
    recipe = project.recipe()
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}  # it is what it was
    data.write_text("k,x\na,9\n", encoding="utf-8")
    assert obstacles(recipe) == []
    with pytest.raises(ReplayError, match="as it is now, by an absolute path") as found:
        replay(recipe)
    assert str(data) in str(found.value)
    # The controls: unseen, another product would come out and nobody would know why; and what is
    # there again, if only under another time, is no matter.
    with monkeypatch.context() as patch:
        patch.setattr(work, "read_as_it_is_now", lambda *_: [])
        assert verdicts(replay(recipe)) == {"scaled@1": "differs"}
    data.write_text(text, encoding="utf-8")
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}


def test_a_proof_by_an_input_that_is_read_as_it_is_now_is_none(project):
    """Else it would be said that this input moves nothing."""
    data = project.root / "data" / "in.csv"
    project.write(f"frame = pd.read_csv({str(data)!r})")
    script = project.root / "make.py"
    text = script.read_text(encoding="utf-8")
    script.write_text(
        text.replace(
            '    frame = pd.read_csv("data/in.csv")\n', "    frame = pd.DataFrame({'x': [1.0]})\n"
        ),
        encoding="utf-8",
    )
    project.commit()
    project.run("--version", "1")
    kept = shutil.copy2(data, project.root / "data" / "old.csv")
    first = project.recipe("scaled@1")
    data.write_text("k,x\na,9\n", encoding="utf-8")
    project.run("--version", "2")
    known = replace(first, inputs=(first.inputs[0]._replace(others=(str(kept),)),))
    proof = prove(known, project.recipe("scaled@2"), Terms())
    assert proof.control.effect == "none"
    (trial,) = [each for each in proof.trials if each.cause == f"input {data}"]
    assert trial.effect == "unknown"
    assert f"the program read {data} as it is now" in trial.message


def test_paths_behind_options_are_moved(project):
    project.run(f"--out={project.root / 'out' / 'scaled.parquet'}")
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}


def test_relative_paths_lead_out_of_the_repository_and_into_it(project, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.move(project.root / "data", folder / "data")
    project.run(cwd=folder, script="../project/make.py")
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}
    project.write("frame['x'] += len(pd.read_csv('../elsewhere/data/in.csv'))")
    project.commit()
    (project.root / "data").symlink_to(folder / "data")
    project.run("--version", "2")
    assert verdicts(replay(project.recipe())) == {"scaled@2": "identical"}


def test_the_code_is_that_of_the_commit_by_whatever_path_it_is_found(
    project, tmp_path, monkeypatch
):
    """A link to the repository, and PYTHONPATH, lead to the code as it is now."""
    (project.root / "src").mkdir()
    (project.root / "src" / "made_of.py").write_text("MORE = 1\n", encoding="utf-8")
    project.write("import made_of; frame['x'] += made_of.MORE")
    project.commit()
    (tmp_path / "link").symlink_to(project.root)
    path = os.pathsep.join((str(project.root / "src"), str(ROOT)))
    project.run(script=str(tmp_path / "link" / "make.py"), PYTHONPATH=path)
    project.write("frame['x'] += 20")
    (project.root / "src" / "made_of.py").write_text("MORE = 2\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", path)
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}


def test_a_program_that_goes_to_another_folder_starts_where_it_was_started(project, tmp_path):
    path = project.root / "make.py"
    path.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{path.read_text(encoding='utf-8')}")
    text = path.read_text(encoding="utf-8").replace(
        "words = parser.parse_args()",
        "words = parser.parse_args(); os.chdir(os.path.dirname(__file__))",
    )
    path.write_text(text, encoding="utf-8")
    (project.root / "sub").mkdir()
    project.commit()
    project.run(cwd=project.root / "sub", script="../make.py")
    assert project.recipe().command.cwd == str(project.root / "sub")
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}


@pytest.mark.parametrize("words", [["x" * 5000], ["x"] * 1001, [os.fsdecode(b"caf\xe9")]])
def test_a_command_that_is_not_kept_whole_is_a_reason(project, words):
    path = project.root / "make.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("parse_args()", "parse_args([])"), encoding="utf-8")
    project.commit()
    project.run(*words)
    (reason,) = obstacles(project.recipe())
    assert "its command is not kept whole" in reason


def test_a_worker_is_not_started_by_itself(project):
    project.run()
    spawn = Command(
        "code", ("from multiprocessing.spawn import spawn_main", "--multiprocessing-fork")
    )
    (reason,) = obstacles(replace(project.recipe(), command=spawn))
    assert "a worker of another program" in reason
    lost = replace(project.recipe().command, cwd="")
    (reason,) = obstacles(replace(project.recipe(), command=lost))
    assert reason == "the folder that it was started in is not recorded"


def test_a_store_that_the_code_names_takes_no_records_of_a_replay(project):
    path = project.root / "make.py"
    text = path.read_text(encoding="utf-8")
    named = f"lineage.init({str(project.store)!r})\nwith lineage.track("
    path.write_text(text.replace("with lineage.track(", named), encoding="utf-8")
    project.commit()
    project.run()
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}
    (row,) = LineageQueryEngine(project.store).sql("SELECT count(*) AS n FROM products")
    assert row["n"] == 1


def test_a_program_that_is_in_no_repository_is_refused(project, tmp_path):
    project.run()
    loose = tmp_path / "loose.py"
    loose.write_text("", encoding="utf-8")
    command = replace(project.recipe().command, argv=(str(loose),))
    (reason,) = obstacles(replace(project.recipe(), command=command))
    assert f"{loose} is in no git repository" in reason


def test_an_input_of_the_repository_is_as_the_commit_has_it(project):
    (project.root / ".gitignore").write_text("out\n", encoding="utf-8")
    project.commit()
    data = project.root / "data" / "in.csv"
    text = data.read_text(encoding="utf-8")
    project.run()
    data.write_text("k,x\na,9\n", encoding="utf-8")
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}
    # With a change that was not committed, too, as long as it is kept.
    data.write_text(f"{text}e,5\n", encoding="utf-8")
    project.run("--version", "2")
    data.write_text(text, encoding="utf-8")
    assert verdicts(replay(project.recipe())) == {"scaled@2": "identical"}
    recipe = project.recipe("scaled@1")
    other = tuple(each._replace(version="xxh3:5-0") for each in recipe.inputs)
    (reason,) = obstacles(replace(recipe, inputs=other))
    assert "has changed since" in reason


def test_a_folder_that_is_read_as_a_whole_is_as_it_was(project, tmp_path):
    script = project.root / "make.py"
    for number, folder in enumerate((project.root / "data", tmp_path / "elsewhere"), 1):
        parts = folder / "parts"
        frame = pd.DataFrame({"k": ["a", "b"], "x": [1.0, 2.0]})
        frame.to_parquet(parts, partition_cols=["k"])
        text = SCRIPT.replace('pd.read_csv("data/in.csv")', f"pd.read_parquet({str(parts)!r})")
        text = text.replace('"data/in.csv"', repr(str(parts))).replace(" {CODE}", "")
        relative = text.replace(str(project.root), ".")
        script.write_text(relative, encoding="utf-8")
        project.commit()
        project.run("--version", str(number))
        recipe = project.recipe()
        assert obstacles(recipe) == []
        assert len(recipe.inputs) == 2
        assert verdicts(replay(recipe)) == {f"scaled@{number}": "identical"}
        frame.to_parquet(parts, partition_cols=["k"])  # under other names, besides
    (reason,) = obstacles(project.recipe())
    assert "in a folder that it reads as a whole there is" in reason
    assert verdicts(replay(project.recipe("scaled@1"))) == {"scaled@1": "identical"}


def test_a_product_that_was_there_before_is_brought_and_told_as_such(project):
    script = project.root / "make.py"
    text = script.read_text(encoding="utf-8")
    first = "as run:\n    run.register_data_product('raw', words.version, path='data/in.csv')"
    script.write_text(text.replace("as run:", first), encoding="utf-8")
    project.commit()
    project.run()
    done = replay(project.recipe("scaling"))
    assert verdicts(done) == {"raw@1": "identical", "scaled@1": "identical"}
    assert done.results["raw@1"].message == "was there before, and is not made by it"
    assert done.results["scaled@1"].message == "identical in every byte"


def test_what_is_read_and_then_written_anew_is_an_input(project):
    data = project.root / "data" / "in.csv"
    project.write("frame.to_csv('data/in.csv'); words.out = 'data/in.csv'")
    script = project.root / "make.py"
    text = script.read_text(encoding="utf-8").replace("frame.to_parquet(words.out)", "")
    script.write_text(text.replace(', parents=["data/in.csv"]', ""), encoding="utf-8")
    project.commit()
    project.run()
    (reason,) = obstacles(project.recipe())
    assert f"the input {data} has changed since" in reason


def test_runs_of_another_process_of_the_same_number_are_not_its_own():
    def row(key, second):
        return {"host": "h", "process_id": 1, "process_key": key, "started_at": at(second)}

    def at(second):
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=second)

    processes = [row("a", 0), row("b", 60)]
    runs = [{"host": "h", "process_id": 1, "timestamp": at(each)} for each in (-0.01, 30, 59.9, 70)]
    mine = [recipes._is_of(run, "a", processes) for run in runs]
    assert mine == [True, True, False, False]
    assert not recipes._is_of({**runs[0], "host": "other"}, "a", processes)


def test_a_run_that_came_to_no_end_is_no_success():
    row = {"status": "running", "ended_at": None, "error_type": None, "error_info": None}
    assert "was killed, or is still running" in recipes._failure(row)
    assert recipes._failure(row | {"status": "success"}) is None
    failed = row | {
        "status": "failed",
        "ended_at": 1,
        "error_type": "OSError",
        "error_info": "a\nb",
    }
    assert recipes._failure(failed) == "the run failed then, with OSError: a"


def test_submodules_come_from_the_repository_at_their_commits(project, tmp_path):
    library = Project(tmp_path / "library")
    module = library.root / "made_of.py"
    module.write_text("MORE = 1\n", encoding="utf-8")
    library.commit()
    allowed = ("-c", "protocol.file.allow=always")
    project.git(*allowed, "submodule", "--quiet", "add", str(library.root), "part")
    project.write(
        "import sys; sys.path.insert(0, 'part'); import made_of; frame['x'] += made_of.MORE"
    )
    project.commit()
    project.run()
    assert project.recipe().codes[0].submodules
    # At another commit than the one that the repository names, too.
    own = project.root / "part" / "made_of.py"
    own.write_text("MORE = 2\n", encoding="utf-8")
    project.git("-C", "part", "commit", "-qam", "more")
    project.run("--version", "2")
    own.write_text("MORE = 9\n", encoding="utf-8")
    for version in ("1", "2"):
        done = replay(project.recipe(f"scaled@{version}"))
        assert verdicts(done) == {f"scaled@{version}": "identical"}
    project.run("--version", "9")
    (reason,) = obstacles(project.recipe())
    assert "was not as committed" in reason
    code = project.recipe("scaled@1").codes[0]
    with pytest.raises(ReplayError, match="is not within"):
        with checkouts.checked_out(
            code.root, code.commit, str(tmp_path / "new"), None, [("../up", code.commit)]
        ):
            pass


def test_a_module_that_git_does_not_know_is_part_of_the_changes(project):
    helper = project.root / "helper.py"
    project.write("import helper; frame['x'] += helper.MORE")
    project.commit()
    helper.write_text("MORE = 1\n", encoding="utf-8")
    project.run()
    helper.write_text("MORE = 2\n", encoding="utf-8")
    assert verdicts(replay(project.recipe())) == {"scaled@1": "identical"}


def test_what_is_kept_holds_the_files_and_no_repository(project, tmp_path):
    project.run()
    kept = tmp_path / "kept"
    assert replay(project.recipe(), Terms(keep=str(kept))).is_same
    (made,) = kept.rglob("scaled.parquet")
    assert made.read_bytes() == (project.root / "out" / "scaled.parquet").read_bytes()
    assert project.git("worktree", "list").count("\n") == 1
    with pytest.raises(ReplayError, match="it is there already; name a new folder"):
        replay(project.recipe(), Terms(keep=str(kept)))


def test_other_working_trees_of_the_repository_stay_known(project, tmp_path):
    """One on a disk that is away looks as if it were gone."""
    project.run()
    project.git("worktree", "add", "-q", str(tmp_path / "away"))
    shutil.move(tmp_path / "away", tmp_path / "unmounted")
    assert replay(project.recipe()).is_same
    assert str(tmp_path / "away") in project.git("worktree", "list")


def test_a_folder_that_the_program_makes_is_not_there_before(project):
    project.write("os.makedirs('more/deep'); frame.to_csv('more/deep/a.csv'); os.mkdir('out')")
    project.commit()
    project.run()
    recipe = project.recipe()
    root = project.root
    assert recipe.new_folders == tuple(str(root / each) for each in ("more", "more/deep", "out"))
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}
    # The control: of such a program, all folders would be there before it.
    with pytest.raises(ReplayError, match="FileExistsError"):
        replay(replace(recipe, new_folders=()))


def test_a_folder_that_the_program_finds_there_is_there_again(project):
    (project.root / "out").mkdir()
    project.write("shutil.rmtree('out'); os.mkdir('out')")
    script = project.root / "make.py"
    script.write_text(f"import shutil\n{script.read_text(encoding='utf-8')}", encoding="utf-8")
    project.commit()
    project.run()
    recipe = project.recipe()
    assert recipe.new_folders == ()
    assert verdicts(replay(recipe)) == {"scaled@1": "identical"}
    with pytest.raises(ReplayError, match="FileNotFoundError"):
        replay(replace(recipe, new_folders=(str(project.root / "out"),)))


def test_files_that_no_list_had_room_for_are_a_reason(project):
    for name in ("a", "b"):
        shutil.copy(project.root / "data" / "in.csv", project.root / "data" / f"{name}.csv")
    project.write(
        "import lineage.filed as f; f._MOST_FILES = 2; "
        "[pd.read_csv(f'data/{each}.csv') for each in 'ab']"
    )
    project.commit()
    project.run()
    recipe = project.recipe()
    assert recipe.left_out == {"read": 1, "written": 1}
    reasons = obstacles(recipe)
    assert [reason[: reason.index(":")] for reason in reasons] == [
        "it has read more files than are recorded, at least 1 more",
        "it has written more files than are recorded, at least 1 more",
    ]
    said = asked(project, "--dry-run", code=1)
    assert "not kept  more files that it has read, at least 1" in said
    (reason,) = obstacles(replace(recipe, left_out={"read": None}))
    assert reason.startswith("it has read more files than are recorded: nothing says")
    assert obstacles(replace(recipe, left_out={})) == []
    rows = [{"files": f'{{"left_out": {{"read": {count}}}}}'} for count in (3, 5, "null")]
    assert recipes._left_out([*rows[:2], {"files": None}]) == {"read": 5}
    assert recipes._left_out(rows) == {"read": None}


def test_what_a_program_leaves_running_does_not_outlive_it(project):
    child = "import time; time.sleep(2); open('out/late', 'w').write('late'); time.sleep(600)"
    project.write(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])")
    project.commit()
    recipe = left_running(project)
    assert verdicts(replay(recipe, Terms(timeout_s=100))) == {"scaled@1": "identical"}


def left_running(project):
    """Run a program that starts another, and end that; gives how it was made."""
    with subprocess.Popen(
        [sys.executable, "make.py"],
        cwd=project.root,
        env=os.environ | {"LINEAGE_STORE": str(project.store), "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        process.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
    return project.recipe()


def test_nothing_is_put_where_a_link_of_the_repository_leads_to(project, tmp_path):
    away = tmp_path / "away"
    shutil.move(project.root / "data", away)
    (project.root / "data").symlink_to(away)
    (project.root / ".gitignore").write_text("out\n", encoding="utf-8")
    project.commit()
    project.run()
    old, kept = away / "in.csv", tmp_path / "kept.csv"
    shutil.copy2(old, kept)
    old.write_text("k,x\na,9\n", encoding="utf-8")
    recipe = project.recipe()
    found = tuple(each._replace(others=(str(kept),)) for each in recipe.inputs)
    with pytest.raises(ReplayError, match="where a link of the repository leads to"):
        replay(replace(recipe, inputs=found))
    assert old.read_text(encoding="utf-8") == "k,x\na,9\n"


def test_a_damaged_store_runs_nothing(project, monkeypatch):
    project.run()
    monkeypatch.setattr(work, "_run", lambda *_: pytest.fail("it ran"))
    part = next(iter((project.store / "lineage_runs").rglob("*.parquet")), None)
    if part is None:
        part = next(iter((project.store / "_journal").glob("*.seg")))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0xFF
    part.write_bytes(data)
    with pytest.raises(CorruptStoreError):
        replay(project.recipe())


def test_a_program_that_fails_is_told_with_what_it_said(project):
    project.run()
    recipe = project.recipe()
    command = replace(recipe.command, argv=(*recipe.command.argv, "--unknown"))
    with pytest.raises(ReplayError, match="unrecognized arguments: --unknown"):
        replay(replace(recipe, command=command))
    with pytest.raises(ReplayError, match="did not end within"):
        replay(recipe, Terms(timeout_s=0.01))
    assert project.git("worktree", "list").count("\n") == 1


def test_every_reason_is_said_at_once(project):
    project.run()
    recipe = replace(
        project.recipe(),
        command=Command("interactive", ()),
        codes=(),
        environment={},
        inputs=(project.recipe().inputs[0]._replace(version=None),),
    )
    reasons = "\n".join(obstacles(recipe))
    for text in ("typed into a shell", "no git repository", "environment is not recorded",
                 "is not recorded"):  # fmt: skip
        assert text in reasons
    assert "how the program was started" in "\n".join(obstacles(replace(recipe, command=None)))


def test_another_environment_is_refused_and_named(project):
    project.run()
    recipe = project.recipe()
    packages = [["left-pad", "1.0"], *recipe.environment["packages"]]
    other = replace(recipe, environment={**recipe.environment, "packages": packages})
    (reason,) = obstacles(other)
    assert "left-pad 1.0 then, not there now" in reason
    assert verdicts(replay(other, Terms(environment="current"))) == {"scaled@1": "identical"}


def wheel(folder, name, version, text):
    """Write a wheel with one module."""
    info, path = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", text)
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        file.writestr(f"{info}/METADATA", told)
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def test_an_environment_is_built_with_its_packages_and_variables(tmp_path, monkeypatch):
    made = wheel(tmp_path, "ninepin", "1.5", "ANSWER = 9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    code = "open('out.txt', 'w').write(str(ninepin.ANSWER) + os.environ['MODE'])"
    script = f"import os, ninepin; {code}"
    target = tmp_path / "work" / "out.txt"
    target.parent.mkdir()
    target.write_text("9fast", encoding="utf-8")
    content = {
        "interpreter": {"name": f"CPython {platform.python_version()}"},
        "packages": [["ninepin", "1.5", {"url": made.as_uri()}]],
        "variables": [["MODE", "fast"]],
    }
    project = Project(tmp_path)
    head = project.git("rev-parse", "HEAD").strip()
    recipe = Recipe(
        "by hand",
        "key",
        Command("code", (script,), cwd=str(target.parent)),
        (Code(str(project.root), head),),
        content,
        "e1",
        made=(Made("out", str(target), content_of(str(target)).content),),
        written=(str(target),),
    )
    assert verdicts(replay(recipe, Terms(environment="build"))) == {"out": "identical"}
    with pytest.raises(ReplayError, match="No module named 'ninepin'"):
        replay(recipe, Terms(environment="current"))
    broken = {**content, "packages": [["ninepin", "1.5", {"url": f"{made.as_uri()}.gone"}]]}
    with pytest.raises(ReplayError, match="could not be built"):
        replay(replace(recipe, environment=broken), Terms(environment="build"))


def test_another_python_is_built_by_uv_alone(monkeypatch):
    monkeypatch.setattr(venvs.shutil, "which", lambda name: None)
    assert "it needs Python 2.7.1" in venvs.obstacle({"interpreter": {"name": "CPython 2.7.1"}})
    here = {"interpreter": {"name": f"CPython {platform.python_version()}"}}
    assert venvs.obstacle(here) is None
    assert "not recorded" in venvs.obstacle({})
    monkeypatch.setattr(venvs.shutil, "which", lambda name: "/usr/bin/uv")
    assert venvs.obstacle({"interpreter": {"name": "CPython 2.7.1"}}) is None


def test_a_cause_is_proven_by_trying_it(project):
    project.run("--factor", "2", "--version", "1")
    first = project.recipe("scaled@1")
    project.write("frame['x'] += 1")
    project.commit()
    project.run("--factor", "2.0", "--version", "2")
    second = project.recipe("scaled@2")
    proof = prove(first, second, Terms())
    assert proof.control.effect == "none"
    effects = {trial.cause: trial.effect for trial in proof.trials}
    assert effects == {"code": "all", "command": "none"}
    assert proof.causes == ["code"]


def test_an_input_is_proven_where_both_versions_are_known(project):
    project.run("--version", "1")
    data = project.root / "data" / "in.csv"
    kept = project.root / "data" / "old.csv"
    shutil.copy2(data, kept)
    first = project.recipe("scaled@1")
    data.write_text("k,x\na,9\n", encoding="utf-8")
    project.run("--version", "2")
    second = project.recipe("scaled@2")
    (wanted,) = first.inputs
    known = replace(first, inputs=(wanted._replace(others=(str(kept),)),))
    trials = {trial.cause: trial.effect for trial in prove(known, second, Terms()).trials}
    assert trials == {f"input {data}": "all", "command": "none"}
    unknown = {trial.cause: trial.effect for trial in prove(first, second, Terms()).trials}
    assert unknown[f"input {data}"] == "unknown"


def test_a_result_that_is_left_to_chance_proves_nothing(project):
    project.write("frame.loc[0, 'x'] = os.getpid()")
    project.commit()
    project.run("--version", "1")
    project.run("--version", "2")
    proof = prove(project.recipe("scaled@1"), project.recipe("scaled@2"), Terms())
    assert proof.trials == ()
    assert "does not come out as it was" in proof.control.message


def test_hooks_of_the_repository_do_not_run(project, tmp_path):
    project.run()
    hook = project.root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n", encoding="utf-8")
    hook.chmod(0o755)
    assert replay(project.recipe()).is_same
    assert not (tmp_path / "hooked").exists()
    project.git("worktree", "add", "-q", str(tmp_path / "control"))
    assert (tmp_path / "hooked").exists()


def test_a_commit_that_is_not_there_is_a_reason(project):
    project.run()
    recipe = project.recipe()
    gone = replace(recipe, codes=(replace(recipe.codes[0], commit="0" * 40),))
    (reason,) = obstacles(gone)
    assert "no repository with the commit 00000000" in reason
    with pytest.raises(ReplayError, match="git worktree failed"):
        with checkouts.checked_out(str(project.root), "0" * 40, str(project.root / "new")):
            pass


def test_a_place_maps_paths_of_its_rooms_alone():
    place = workplace.Workplace("/tmp/w", ["/home/p", "/home/p/in"])
    assert place.place_of("/home/p/in/x.csv") == "/tmp/w/files/home/p/in/x.csv"
    assert place.place_of("/home/p/x/../y.csv") == "/tmp/w/files/home/p/y.csv"
    assert place.place_of("/home/private/x.csv") == "/home/private/x.csv"
    moved = {
        "-x": "-x",
        "rel/y": "rel/y",
        "/home/p/z": "/tmp/w/files/home/p/z",
        "--out=/home/p/z": "--out=/tmp/w/files/home/p/z",
        "/home/p:/usr/p": "/tmp/w/files/home/p:/usr/p",
        "/home/p=q/z": "/home/p=q/z",
        "http://home/p": "http://home/p",
    }
    assert {word: place.moved(word) for word in moved} == moved


def test_what_is_installed_in_a_room_stays_where_it_is(monkeypatch):
    place = workplace.Workplace("/tmp/w", ["/home/p"])
    monkeypatch.setattr(workplace.sys, "prefix", "/home/p/.venv")
    assert place.moved("/home/p/.venv/bin/tool") == "/home/p/.venv/bin/tool"
    monkeypatch.setattr(workplace.sys, "prefix", "/home")  # the project is below the interpreter
    assert place.moved("/home/p/make.py") == "/tmp/w/files/home/p/make.py"

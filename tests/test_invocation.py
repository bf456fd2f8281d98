"""How a program was started, told by programs that are started in each way."""

import json
import os
import subprocess
import sys

import pytest

from lineage import invocation
from lineage.invocation import parsed

TELL = "import json; from lineage.invocation import command; print(json.dumps(command({})))"


def told(folder, *words, text=None, **variables):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | variables,
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs").mkdir()
    for name in ("main.py", "jobs/__main__.py", "jobs/daily.py"):
        (tmp_path / name).write_text(f"import sys; sys.argv[:] = ['changed']\n{TELL}\n")
    return tmp_path


def test_a_script(folder):
    found = told(folder, "-W", "error", "-X", "utf8", "main.py", "--day", "3")
    assert found == {
        "kind": "script",
        "argv": ["main.py", "--day", "3"],
        "options": ["-W", "error", "-X", "utf8"],
        "executable": sys.executable,
        "cwd": str(folder),
        "redacted": [],
    }


@pytest.mark.parametrize(
    ("words", "argv"),
    [(("-m", "jobs.daily", "-x"), ["jobs.daily", "-x"]), (("-mjobs",), ["jobs"])],
)
def test_a_module(folder, words, argv):
    found = told(folder, *words)
    assert (found["kind"], found["argv"]) == ("module", argv)


def test_code_and_standard_input(folder):
    found = told(folder, "-Bc", TELL, "a")
    assert (found["kind"], found["argv"]) == ("code", [TELL, "a"])
    assert found["options"] == ["-B"]
    assert told(folder, "-", text=TELL)["kind"] == "interactive"


def test_a_folder_that_is_gone(folder):
    text = f"import os; os.rmdir(os.getcwd()); {TELL}"
    (folder / "gone").mkdir()
    assert told(folder / "gone", "-c", text)["cwd"] is None


def test_secrets_are_taken_out_and_named(folder):
    words = ("main.py", "--password", "hunter2", "--api-key=hunter2", "-u", "x", "hunter2-17")
    words += (
        "https://me:hunter2@host/x",
        "--url=https://host/?token=hunter2",
        "DB_PASSWORD=hunter2",
    )
    found = told(folder, *words)
    assert "hunter2" not in json.dumps(found["argv"]).replace("hunter2-17", "")
    assert found["redacted"] == sorted(
        ["--password", "--api-key", "argv[7]", "--url", "DB_PASSWORD"]
    )
    clean, names = invocation.redact_words(["x", "hunter2-17"], {"hunter2-17": "MY_TOKEN"})
    assert (clean, names) == (["x", "<redacted>"], ["MY_TOKEN"])


@pytest.mark.parametrize(
    ("words", "argv", "expected"),
    [
        ([], [], ([], "interactive", [])),
        (["-i"], [""], (["-i"], "interactive", [])),
        (["-Werror", "x.py"], [], (["-Werror"], "script", ["x.py"])),
        (["-Wcm", "x.py"], [], (["-Wcm"], "script", ["x.py"])),
        (["--check-hash-based-pycs", "never", "x.py"], [],
         (["--check-hash-based-pycs", "never"], "script", ["x.py"])),
        (["-m"], [], ([], "module", [])),
        (["-W"], [], (["-W"], "interactive", [])),
    ],
)  # fmt: skip
def test_words_of_any_kind(words, argv, expected):
    assert parsed(words, argv) == expected


def test_a_program_that_holds_the_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "argv", [__file__, "a"])
    assert parsed([], sys.argv) == ([], "script", [__file__, "a"])


def shell(name, module, **names):
    kind = type(name, (), {"__module__": module, "user_ns": names})
    return type(sys)("IPython"), kind()


@pytest.mark.parametrize(
    ("modules", "names", "expected"),
    [
        (("ipykernel",), {"__vsc_ipynb_file__": "/x/a.ipynb"}, ("notebook", ["/x/a.ipynb"])),
        (("ipykernel",), {}, ("notebook", [])),
        ((), {}, ("interactive", [])),
    ],
)
def test_notebooks_and_shells(monkeypatch, modules, names, expected):
    ipython, running = shell("Shell", "IPython.terminal.interactiveshell", **names)
    ipython.get_ipython = lambda: running
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    for name in modules:
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    found = invocation.command({})
    assert (found["kind"], found["argv"]) == expected


def test_a_shell_that_fails(monkeypatch):
    ipython = type(sys)("IPython")
    ipython.get_ipython = lambda: 1 / 0
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert invocation.command({})["kind"] in {"script", "module", "code"}

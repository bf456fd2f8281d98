"""Scripts, modules and notebooks run in this process as Python runs them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest
import typer
from typer.testing import CliRunner

from lineage.capture.cells import run_notebook
from lineage.capture.running import ended, run_module, run_script
from lineage.cli import app as cli
from lineage.cli.command import options
from lineage.cli.run import register
from lineage.errors import LineageError
from lineage.stores.base import open_store


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(text, name="script.py"):
    with open(name, "w") as file:
        file.write(textwrap.dedent(text))
    return name


def notebook(*cells, name="notes.ipynb", **metadata):
    with open(name, "w") as file:
        found = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
        json.dump({"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, file)
    return name


def ran(function, *args):
    """Run something and end it; gives the exit code."""
    try:
        function(*args)
    except BaseException as problem:
        return ended(problem)
    return 0


def by_python(*args):
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


SCRIPTS = {
    "names": """
        import sys, os, __main__
        print(sys.argv, sys.path[0], __file__, __name__, __package__, __spec__)
        print(__loader__.name, __main__.__file__, sorted(set(globals()) - {"__annotations__"}))
        print(__main__.__dict__ is globals(), __builtins__.__name__, __doc__)
    """,
    "doc": '''
        """What it is about."""
        print(__doc__)
    ''',
    "exit": "import sys\nsys.exit(3)",
    "exit of text": "import sys\nsys.exit('no such day')",
    "exit of nothing": "import sys\nsys.exit()",
    "raise": """
        def f():
            raise ValueError("wrong")
        if __name__ == "__main__":
            f()
    """,
    "raise from": """
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError("later") from error
    """,
    "raise inside": """
        try:
            {}["a"]
        except KeyError:
            print(undefined)
    """,
    "syntax": "x = (1,\ny = 2\n",
    "hook": """
        import sys
        sys.excepthook = lambda kind, problem, found: print("hook", kind, problem, found.tb_lineno)
        1 / 0
    """,
    "thread": """
        import threading, time
        def work():
            time.sleep(0.05)
            print("done")
        threading.Thread(target=work).start()
        print("first")
    """,
    "dataclass and pickle": """
        import pickle
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        print(pickle.loads(pickle.dumps(Point(3))))
    """,
    "future": "x: nonsense = 1\nprint(__annotations__)" if sys.version_info < (3, 14) else "x = 1",
    "group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "import beside": "import beside\nprint(beside.x)",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_as_python_runs_it(name, folder, capfd):
    if "__annotations__" in SCRIPTS[name] and sys.version_info >= (3, 14):
        pytest.skip("annotations are made when they are asked for")
    (folder / "beside.py").write_text("x = 5\n")
    path = script(SCRIPTS[name])
    expected = by_python(path, "--day", "1")
    before = dict(sys.modules), list(sys.argv), list(sys.path), sys.excepthook
    code = ran(run_script, path, ["--day", "1"])
    sys.excepthook = before[3]
    out, err = capfd.readouterr()
    assert (code, out, err) == expected
    assert (sys.argv, sys.path) == before[1:3]
    assert sys.modules["__main__"] is before[0]["__main__"]
    sys.modules.pop("beside", None)


def test_an_interrupted_script_ends_like_one(capfd):
    assert ran(run_script, script("raise KeyboardInterrupt")) == 130
    assert "KeyboardInterrupt" in capfd.readouterr().err


def test_folders_and_archives_are_run(folder, capfd):
    import zipfile

    (folder / "app").mkdir()
    text = "import sys, other\nprint(sys.argv, other.x, __name__)\n"
    (folder / "app" / "__main__.py").write_text(text)
    (folder / "app" / "other.py").write_text("x = 1\n")
    with zipfile.ZipFile("app.zip", "w") as archive:
        for name in ("__main__.py", "other.py"):
            archive.write(folder / "app" / name, name)
    for path in ("app", "app.zip"):
        expected = by_python(path, "a")
        assert ran(run_script, path, ["a"]) == 0
        assert capfd.readouterr().out == expected[1]
        sys.modules.pop("other")


def test_modules_and_packages_are_run(folder, capfd):
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("print('init', __name__)\n")
    main = "import sys\nfrom . import part\nprint(sys.argv, __name__, __package__, __spec__.name)\n"
    (folder / "pack" / "__main__.py").write_text(main)
    (folder / "pack" / "part.py").write_text("import sys\nprint(__name__, sys.path[0])\n")
    for name in ("pack", "pack.part"):
        expected = by_python("-m", name, "a")
        assert ran(run_module, name, ["a"]) == 0
        assert capfd.readouterr().out == expected[1]
        for each in [each for each in sys.modules if each.partition(".")[0] == "pack"]:
            del sys.modules[each]


@pytest.mark.parametrize("name", ["nothing_of_this_name", "nothing.of.this", "json.nothing"])
def test_a_module_that_is_not_there_is_told(name):
    with pytest.raises(LineageError, match="there is no module"):
        run_module(name)


def test_a_script_that_is_not_there_is_told():
    with pytest.raises(LineageError, match=r"there is no file 'nothing.py' to run"):
        run_script("nothing.py")


def test_wrappers_are_in_no_traceback(folder, capfd):
    from tests.test_capture_files import captured

    path = script("""
        import pandas as pd
        def fail(value):
            raise ValueError(value)
        pd.Series([1]).map(fail)
    """)
    expected = by_python(path)
    with captured():
        assert ran(run_script, path) == 1
    assert capfd.readouterr().err == expected[2]


# Notebooks


def test_cells_share_names_and_are_files_of_their_own(capfd, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)  # a test of commands leaves its own
    path = notebook("x = 1\n", "", "def f():\n    return y\n", "y = x + 1\nprint(f())\n1 / 0\n")
    assert ran(run_notebook, path) == 1
    out, err = capfd.readouterr()
    assert out == "2\n"
    assert f'File "{os.path.abspath(path)}[4]", line 3' in err
    assert "1 / 0" in err
    assert "cells.py" not in err


def test_a_cell_that_is_python_is_left_as_it_is(capfd):
    run_notebook(notebook('x = (7\n% 4)\ntext = """\n%time\n!ls\n"""\nprint(x, text.split())'))
    assert capfd.readouterr().out == "3 ['%time', '!ls']\n"


def test_lines_and_cells_that_run_code_are_run(folder, capfd):
    script("import sys\nfound = sys.argv[1:]\n", "other.py")
    path = notebook(
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nx = 1",
        "%%time\nx += 1\n",
        "%time y = x + 1\n",
        "%env DAY=monday\n%run other.py a 'b c'\nname = 'echo'\nlines = !{name} $y\n",
        "print(found, lines)",
        "%%bash\necho from the shell\n",
        "%%writefile kept.txt\nkept\n",
        "if x:\n    !echo indented\nlist?\n?list\n",
        "%pip install nothing\n",
        "%%html\n<b>x</b>\n",
        "display(x)",
    )
    run_notebook(path)
    out, err = capfd.readouterr()
    assert out.splitlines() == ["['a', 'b c'] ['3']", "from the shell", "indented", "2"]
    assert err == "lineage: left out '%pip install nothing' of notes.ipynb[9]\n"
    assert (folder / "kept.txt").read_text() == "kept\n"
    assert os.environ.pop("DAY") == "monday"


def test_other_magics_are_those_of_ipython(capfd):
    pytest.importorskip("IPython")
    run_notebook(notebook("%alias_magic nothing_such time\n", "%nonsense\nprint(1)\n"))
    out, err = capfd.readouterr()
    assert out.endswith("1\n")
    assert "left out '%nonsense'" in err


def test_without_ipython_they_are_left_out(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "IPython.core.interactiveshell", None)
    run_notebook(notebook("%sql select 1\nprint(1)\n"))
    out, err = capfd.readouterr()
    assert out == "1\n"
    assert "left out '%sql select 1' of notes.ipynb[1]" in err


def test_a_cell_may_await(capfd):
    run_notebook(
        notebook(
            "import asyncio\nx = await asyncio.sleep(0, 5)\n", "print(await asyncio.sleep(0, x))"
        )
    )
    assert capfd.readouterr().out == "5\n"


def test_a_notebook_runs_in_its_folder(folder, capfd):
    (folder / "sub").mkdir()
    path = notebook("import os, sys\nprint(os.getcwd(), sys.argv)", name="sub/notes.ipynb")
    run_notebook(path, ["a"])
    assert capfd.readouterr().out == f"{folder / 'sub'} {[path, 'a']}\n"
    assert os.getcwd() == str(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no notebook of format 4"),
        ('{"worksheets": []}', "is no notebook of format 4"),
        ("[]", "is no notebook of format 4"),
        ('{"metadata": {"kernelspec": {"language": "R"}}, "cells": []}', "a notebook of R"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_notebook_is_told(text, message, folder):
    if text is not None:
        (folder / "bad.ipynb").write_text(text)
    with pytest.raises(LineageError, match=message):
        run_notebook("bad.ipynb")


# The command


@pytest.fixture
def command():
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(options)
    seen = []

    @contextmanager
    def capturing(name, session):
        seen.append((name, session.store))
        try:
            yield
        except BaseException as problem:
            seen.append(type(problem).__name__)
            raise

    register(app, capturing)

    def call(*args):
        hook = sys.excepthook
        try:
            return CliRunner().invoke(app, ["run", *args]), seen
        finally:
            sys.excepthook = hook

    return call


def test_options_behind_the_script_are_the_scripts(command):
    path = script("import sys\nprint(sys.argv[1:])\nsys.exit(4)")
    result, seen = command("--store", "here", path, "-m", "--store", "there", "--help")
    assert result.stdout == "['-m', '--store', 'there', '--help']\n"
    assert result.exit_code == 4
    assert seen == [(path, "here"), "SystemExit"]


def test_a_script_that_fails_ends_with_one(command):
    result, seen = command(script("raise ValueError('x')"))
    assert result.exit_code == 1
    assert seen[1:] == ["ValueError"]


def test_a_module_is_run_by_the_command(command):
    result, _ = command("-m", "calendar", "2026", "1")
    assert "January 2026" in result.stdout
    assert result.exit_code == 0


def test_a_notebook_is_run_by_the_command(command):
    result, _ = command(notebook("print(6 * 7)"))
    assert (result.stdout, result.exit_code) == ("42\n", 0)


def test_what_is_not_there_is_one_line(command):
    result, _ = command("nothing.py")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: there is no file 'nothing.py' to run")


@pytest.fixture
def lines():
    """What `lineage run` says of ours at the end of a script, in a process of its own."""

    def call(*args):
        code = "from lineage.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "--store", "store", "run", *args],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


REPORT = """
    import pandas
    with open("in.csv", "w") as file:
        file.write("a\\n1\\n2\\n")
    frame = pandas.read_csv("in.csv")
    frame["b"] = frame.a.case_when([(frame.a > 1, 5)])
    frame.to_csv("out.csv")
    open("note.txt", "w").close()
    print("done")
"""


def test_a_line_at_the_end_says_what_is_not_explained(lines, folder):
    path = script(REPORT)
    code, out, told = lines(path)
    assert (code, out) == (0, "done\n")
    assert told == (
        "lineage: 2 columns written: 1 exact, 1 unsure; no rule for case_when (script.py:6); "
        f"not explained: {folder / 'note.txt'} (written at script.py:8)\n"
    )
    assert lines("--quiet", path) == (0, "done\n", "")


def test_without_a_stderr_the_code_is_the_scripts(folder):
    code = "from lineage.cli import main; main()"
    args = [sys.executable, "-c", code, "--store", "store", "run", "--verify", script(REPORT)]
    done = subprocess.run(f"{shlex.join(args)} 2>&-", shell=True, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_script_that_does_nothing_to_data_has_no_line_at_its_end(lines):
    assert lines(script("print(6 * 7)")) == (0, "42\n", "")


def test_doctor_lists_in_another_process_what_runs_did_not_understand(lines, folder):
    path = script(REPORT)
    for _ in range(2):
        lines("-q", path)
    result = CliRunner().invoke(cli, ["--store", "store", "--json", "doctor"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["data"]
    assert found["findings"] == []
    assert found["facts"]["captured_runs"] == 2
    capture = found["capture"]
    assert capture["unknown"] == [
        {"name": "case_when", "times": 2, "runs": 2, "call_site": "script.py:6"}
    ]
    (file,) = capture["files"]
    assert (file["path"], file["mode"], file["runs"]) == (str(folder / "note.txt"), "w", 2)
    shown = CliRunner().invoke(cli, ["--store", "store", "doctor"]).stdout
    assert "case_when\t2\t2\tscript.py:6\n" in shown
    assert f"{folder / 'note.txt'}\tto write\t2\tscript.py:8\n" in shown


def test_doctor_finds_what_could_not_be_noted(folder):
    store = open_store("store")
    coverage = '{"missed":3,"last_error":"OSError: no room","left_out":{"files":7}}'
    rows = [
        {"run_id": "a", "coverage": coverage, "timestamp": 1},
        {"run_id": "b", "parent_run_id": "a", "coverage": coverage, "timestamp": 2},
        {"run_id": "c", "parent_run_id": "none", "coverage": None, "timestamp": 3},
    ]
    store.append("runs", rows)
    store.close()
    result = CliRunner().invoke(cli, ["--store", "store", "doctor"])
    assert result.exit_code == 1
    assert "3 operations of 1 runs could not be noted, the last because of OSError: no room" in (
        result.stdout
    )
    assert "and 7 more" in result.stdout


@pytest.mark.parametrize(
    "coverage", ["not json", "[1]", "7", '{"unknown":[1]}', '{"files":[{"path":"a"}]}', "null"]
)
def test_doctor_bears_what_other_programs_keep(coverage, folder):
    store = open_store("store")
    store.append("runs", [{"run_id": "a", "coverage": coverage, "timestamp": 1}])
    store.close()
    result = CliRunner().invoke(cli, ["--store", "store", "doctor"])
    assert result.exit_code == 1
    assert "the capture of 1 runs left open cannot be read" in result.stdout


def test_our_own_error_in_a_script_is_the_scripts(command):
    path = script("from lineage.errors import LineageError\nraise LineageError('mine')")
    result, _ = command(path)
    assert result.exit_code == 1
    assert "script.py" in result.stderr

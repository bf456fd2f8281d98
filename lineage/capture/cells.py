"""The cells of a notebook, run one after another without a kernel.

Plain cells run as they are, at the place `notebook.ipynb[3]`. Of the lines and cells that are no
Python, those that run code or a program are done; those that only change how things are shown are
left out; for the rest IPython is asked, when it is installed, and else the line is left out and
said to be.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import linecache
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lineage import codes
from lineage.capture.running import as_main, run_script
from lineage.errors import LineageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

_HELPER = "__notebook__"
_SPECIAL = re.compile(r"^(\s*)(?:([\w.,\s\[\]]+?)\s*=\s*)?([%!].*)$")
_RUN_CELL = frozenset({"time", "timeit", "capture", "prun", "lineage", "memit", "mprun", "debug"})
_RUN_LINE = frozenset({"time", "timeit", "prun", "memit"})
_SHELLS = frozenset({"bash", "sh", "script", "system", "sx", "!"})
_SHOWN = frozenset({
    "html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG", "matplotlib", "config",
    "load_ext", "reload_ext", "autoreload", "precision", "pylab", "who", "whos", "history", "pdb",
    "xmode", "colors", "lineage", "pinfo", "pdoc",
})  # fmt: skip


def run_notebook(path: str, args: Sequence[str] = ()) -> None:
    """Run the code cells of a notebook in order, in its folder.

    Args:
        path: The notebook, of format 4.
        args: What it finds in `sys.argv` behind its name.

    Raises:
        LineageError: It is no notebook, or one of another language.
        BaseException: Whatever a cell raises.
    """
    cells = _cells(path)
    file = os.path.abspath(path)
    codes.files.add(file)  # no code has it as its file: it is that of a cell
    with _in_folder(os.path.dirname(file)), as_main({}, [path, *args], "") as module:
        os.environ.setdefault("MPLBACKEND", "agg")  # as in a notebook, no window opens
        notebook = _Notebook(file, module)
        try:
            for number, cell in cells:
                notebook.run(cell, number)
        finally:
            notebook.close()


def _cells(path: str) -> list[tuple[int, str]]:
    """Give the code cells with their numbers among these, from 1."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        language = found.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        cells = [each for each in found["cells"] if each["cell_type"] == "code"]
        texts = ["".join(each["source"]) for each in cells]
    except OSError as error:
        raise LineageError(f"the notebook {path!r} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LineageError(
            f"{path!r} is no notebook of format 4; save it anew in Jupyter"
        ) from None
    if language != "python":
        raise LineageError(f"{path!r} is a notebook of {language}; only Python's are run")
    return [(number, text) for number, text in enumerate(texts, 1) if text.strip()]


@contextmanager
def _in_folder(path: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


class _Notebook:
    """Runs cells in one module."""

    def __init__(self, path: str, module: ModuleType) -> None:
        self._path = path
        self._names = vars(module)
        self._cell = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shell: Any = None
        self._names[_HELPER] = self._special
        self._names.setdefault("display", _display)

    def close(self) -> None:
        """End what was begun for the cells."""
        if self._loop is not None:
            self._loop.close()

    def run(self, cell: str, number: int) -> None:
        """Run a cell."""
        self._cell = name = f"{self._path}[{number}]"
        first, _, rest = cell.lstrip("\n").partition("\n")
        if first.startswith("%%"):
            magic, _, line = first[2:].partition(" ")
            if magic not in _RUN_CELL:
                self._cell_magic(magic, line, rest)
                return
            cell = f"\n{rest}"  # lines keep their numbers
        self._exec(_plain(cell), name)

    def _exec(self, text: str, name: str) -> None:
        lines = [f"{line}\n" for line in text.splitlines()]
        linecache.cache[name] = (len(text), None, lines, name)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(text, name, "exec", flags, dont_inherit=True)
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, self._names)  # noqa: S102 - to run it is what was asked for
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(eval(code, self._names))  # noqa: S307 - a cell with await

    def _cell_magic(self, magic: str, line: str, body: str) -> None:
        if magic in _SHELLS:
            _shell(body)
        elif magic in ("writefile", "file"):
            is_more = line.startswith("-a ")
            with open(line.removeprefix("-a ").strip(), "a" if is_more else "w") as file:
                file.write(body)
        elif magic not in _SHOWN:
            shell = self._ipython()
            if shell is not None and shell.find_cell_magic(magic) is not None:
                shell.run_cell_magic(magic, line, body)
            else:
                _left_out(f"%%{magic}", self._cell)

    def _special(self, text: str, *, is_kept: bool = False) -> Any:
        """Do a line that is no Python; gives what it gives."""
        if text.startswith("!"):
            return _shell(self._filled(text.lstrip("!")), is_kept=is_kept)
        magic, _, line = text.lstrip("%").partition(" ")
        line = line.strip()
        if magic in _RUN_LINE:
            self._exec(_plain(line), f"{self._cell}%")
        elif magic in _SHELLS:
            return _shell(self._filled(line), is_kept=is_kept)
        elif magic in _LINES:
            return _LINES[magic](self, line)
        elif magic not in _SHOWN:
            shell = None if magic in _INSTALLERS else self._ipython()
            if shell is not None and shell.find_line_magic(magic) is not None:
                return shell.run_line_magic(magic, line)
            _left_out(text, self._cell)
        return None

    def _cd(self, line: str) -> None:
        os.chdir(os.path.expanduser(self._filled(line) or "~"))

    def _env(self, line: str) -> None:
        key, mark, value = line.partition("=" if "=" in line else " ")
        if mark:
            os.environ[key.strip()] = self._filled(value.strip())

    def _run(self, line: str) -> None:
        script, *args = shlex.split(self._filled(line))
        self._names.update(_public(run_script(script, args)))

    def _filled(self, text: str) -> str:
        """Put the values of `{expressions}` and `$names` into a text."""

        def value(match: re.Match[str]) -> str:
            try:
                return str(eval(match[1] or match[2], self._names))  # noqa: S307 - the cell says it
            except Exception:  # noqa: BLE001 - it is the shell's, then
                return match[0]

        return re.sub(r"\{([^{}]+)\}|\$([A-Za-z_]\w*)", value, text)

    def _ipython(self) -> Any:
        """Give a shell of IPython that shares the names; None when it is not installed."""
        if self._shell is None:
            try:
                from IPython.core.interactiveshell import InteractiveShell
                from traitlets.config import Config
            except ImportError:
                return None
            quiet = Config()
            quiet.HistoryManager.enabled = False
            module = sys.modules["__main__"]
            made: Any = InteractiveShell
            self._shell = made(config=quiet, user_module=module, user_ns=self._names)
        return self._shell


_INSTALLERS = frozenset({"pip", "conda", "mamba", "uv"})
_LINES: dict[str, Any] = {
    "cd": _Notebook._cd,
    "env": _Notebook._env,
    "set_env": _Notebook._env,
    "run": _Notebook._run,
    "pwd": lambda *_: os.getcwd(),
}


def _plain(cell: str) -> str:
    """Give a cell as Python; one that is Python stays as it is, character by character."""
    try:
        ast.parse(cell)
    except SyntaxError:
        lines = cell.splitlines()
        return "\n".join(map(_plain_line, lines)) + "\n"
    return cell


def _plain_line(line: str) -> str:
    found = _SPECIAL.match(line)
    if found is not None:
        indent, target, text = found.groups()
        if target is None and text.startswith("%%"):
            return line
        if target is None:
            return f"{indent}{_HELPER}({text.strip()!r})"
        return f"{indent}{target} = {_HELPER}({text.strip()!r}, is_kept=True)"
    if re.match(r"^\s*(\?{1,2}[\w.]+|[\w.]+\?{1,2})\s*$", line):
        return re.sub(r"\S.*", "pass", line)
    return line


def _public(names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if not name.startswith("__")}


def _shell(command: str, *, is_kept: bool = False) -> list[str] | None:
    """Run a command of the shell; its output is shown, or given as lines."""
    if not is_kept:
        sys.stdout.flush()
        subprocess.run(command, shell=True, check=False)  # noqa: S602 - a line of the shell
        return None
    done = subprocess.run(command, shell=True, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S602 - a line of the shell
    return done.stdout.splitlines()


def _display(*values: Any) -> None:
    for value in values:
        sys.stdout.write(f"{value!r}\n")


def _left_out(text: str, name: str) -> None:
    sys.stderr.write(f"lineage: left out {text!r} of {os.path.basename(name)}\n")

"""An environment made again: a venv with the interpreter's version and the packages of a record.

By `uv` where it is installed, which gets any version of Python; else by `venv` and pip, with the
version of Python that runs here.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lineage import rebuilding
from lineage.errors import ReplayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_SAID = 2000


def python_of(content: Mapping[str, Any]) -> str | None:
    """Give the version of Python of an environment; None where it is not recorded.

    >>> python_of({"interpreter": {"name": "CPython 3.12.4"}})
    '3.12.4'
    """
    name = str((content.get("interpreter") or {}).get("name") or "")
    found = re.search(r"\d+\.\d+\.\d+\w*", name)
    return found[0] if found else None


def obstacle(content: Mapping[str, Any]) -> str | None:
    """Say why an environment cannot be made here; None if it can."""
    wanted = python_of(content)
    if wanted is None:
        return "which Python it was is not recorded, so that no environment can be built"
    if wanted == platform.python_version() or shutil.which("uv") is not None:
        return None
    return (
        f"it needs Python {wanted}, and this is {platform.python_version()}; start lineage with "
        "that one, or install uv, which gets it"
    )


def built(
    environment_id: str,
    content: Mapping[str, Any],
    folder: str,
    place_of: Callable[[str], str] = str,
) -> str:
    """Make a venv as an environment was; gives its interpreter.

    Args:
        environment_id: How the environment is called.
        content: What it has.
        folder: Where to make it.
        place_of: Gives where a folder is now that a package is to be installed from.

    Raises:
        ReplayError: It cannot be made; the message has what the installer said.
    """
    os.makedirs(folder, exist_ok=True)
    required = os.path.join(folder, "requirements.txt")
    lines = rebuilding.requirements(environment_id, content).splitlines()
    with open(required, "w", encoding="utf-8") as file:
        file.writelines(f"{_moved(line, place_of)}\n" for line in lines)
    venv = os.path.join(folder, "venv")
    python = os.path.join(venv, "Scripts" if os.name == "nt" else "bin", "python")
    uv = shutil.which("uv")
    wanted = ("--no-deps", "-r", required)
    if uv is not None:
        _run(uv, "venv", "--quiet", "--python", python_of(content) or "python3", venv)
        _run(uv, "pip", "install", "--quiet", "--python", python, *wanted)
    else:
        _run(sys.executable, "-m", "venv", venv)
        _run(python, "-m", "pip", "install", "--quiet", *wanted)
    return python


def variables_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Give the variables of an environment, with those by which libraries count their threads.

    >>> variables_of({"variables": [["LANG", "C"]], "threads": {"OMP_NUM_THREADS": "2"}})
    {'LANG': 'C', 'OMP_NUM_THREADS': '2'}
    """
    pairs = [*(content.get("variables") or ()), *(content.get("threads") or {}).items()]
    return {str(name): str(value) for name, value in pairs}


def _moved(line: str, place_of: Callable[[str], str]) -> str:
    """Let what is installed from a folder be installed from where that is now."""
    if not line.startswith("-e "):
        return line
    path, sign, note = line[3:].partition("  # ")
    return f"-e {place_of(path)}{sign}{note}"


def _run(*words: str) -> None:
    done = subprocess.run(  # noqa: S603 - no shell
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout)[-_MOST_SAID:].strip()
        raise ReplayError(f"the environment could not be built: {said}")

"""Run the program git to its end, when somebody asks for what it does; `git` only looks.

No hook of the repository runs, and no variable by which a caller points to another repository, as a
hook of git itself would, is handed on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.errors import LineageError

_QUIET = (
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false"),
    *("-c", "advice.detachedHead=false"),
)
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)


def run_git(
    root: str,
    *arguments: str,
    given: bytes | None = None,
    purpose: str,
    failed: type[LineageError],
) -> bytes:
    """Give what git writes.

    Args:
        root: The folder that it is run in.
        arguments: What it is asked.
        given: What it reads.
        purpose: What git is needed for, for the error when it is not here.
        failed: The error to raise.

    Raises:
        LineageError: As `failed`: git is not here, or it failed; the message has what it said.
    """
    program = shutil.which("git")
    if program is None:
        raise failed(f"the program git is not here; install it, so that {purpose}")
    surroundings = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    done = subprocess.run(  # noqa: S603 - an absolute path, and no shell
        [program, *_QUIET, "-C", root, *arguments],
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        env=surroundings | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise failed(f"git {arguments[0]} failed in {root}: {said}")
    return done.stdout

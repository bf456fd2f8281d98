"""The source of the functions that are tracked: a digest each, where it is known to be theirs.

A hash of code holds for one version of the interpreter; that of its text holds for all. What is on
the disk may be another text by now: only that of a file that did not change since this package was
loaded counts. Nothing is compiled, which could warn.
"""

from __future__ import annotations

import hashlib
import os
import textwrap
import time
from typing import TYPE_CHECKING, Any

from lineage import codes
from lineage.redact import kept

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_BYTES = 1 << 20
_MOST_TEXT = 4096
_DIGITS = 32


def sources(files: Iterable[str], *, timeout_s: float) -> dict[str, Any]:
    """Give what is known of some files of code.

    Args:
        files: Their paths; those without tracked functions have a digest alone.
        timeout_s: Most seconds to take; files that are left then are not told.

    Returns:
        `files`: the SHA-256 of each by its path; `functions`: the first 32 digits of that of each
        tracked function's source, by `path:line`.
    """
    end = time.monotonic() + timeout_s
    told: dict[str, dict[str, str]] = {"files": {}, "functions": {}}
    by_file: dict[str, set[int]] = {}
    for name, line in list(codes.lines):
        by_file.setdefault(os.path.realpath(name), set()).add(line)
    for path in files:
        if time.monotonic() > end:
            break
        found = _read(path)
        if found is None:
            continue
        data, changed_ns = found
        told["files"][kept(path, _MOST_TEXT)] = f"sha256:{hashlib.sha256(data).hexdigest()}"
        lines = data.decode("utf-8", "replace").splitlines(keepends=True)
        wanted = by_file.get(path, ()) if changed_ns < codes.loaded_ns else ()
        for line in wanted:
            if (digest := _digest(lines, line)) is not None:
                told["functions"][kept(f"{path}:{line}", _MOST_TEXT)] = digest
    return told


def _read(path: str) -> tuple[bytes, int] | None:
    """Read a file, and when it was changed last; None if it cannot be read, or is too long."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
            found = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    # The time of a change can be set, that of the status cannot.
    changed_ns = max(found.st_ctime_ns, found.st_mtime_ns)
    return (data, changed_ns) if len(data) <= _MOST_BYTES else None


def _digest(lines: list[str], line: int) -> str | None:
    """Give the digest of the function that begins in a line, however far it is indented."""
    import inspect

    try:
        block = inspect.getblock(lines[line - 1 :])
    except Exception:  # noqa: BLE001 - the tokenizer, of a text that is no longer code
        return None
    text = textwrap.dedent("".join(block)).strip()
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS] if text else None

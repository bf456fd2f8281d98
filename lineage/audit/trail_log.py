"""What a program logs within a session, into the session's file; nothing of it raises.

The file is locked for as long as the session lasts: whoever gets the lock knows that the process
is gone. A forked child writes to it too, until the session ends.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lineage.redact import redact_text

if TYPE_CHECKING:
    from pathlib import Path

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class SessionLog(logging.Handler):
    """Writes what reaches the root logger as `L<TAB>time<TAB>path:line<TAB>message`.

    Args:
        path: The file.
        level: The least level; None for what the root logger lets through.
    """

    def __init__(self, path: Path, level: int | None) -> None:
        super().__init__(level or logging.NOTSET)
        self.lost = 0
        self._level = level
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._is_open = mmap.mmap(-1, 1)  # shared with forked children
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks
            self.lost += 1

    def attach(self) -> None:
        """Begin to write what is logged."""
        self._is_open[0] = 1
        levels.push(self, self._level)
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Write no more; the file stays locked until it is closed."""
        logging.getLogger().removeHandler(self)
        levels.pop(self)
        self._is_open[0] = 0

    def end(self) -> None:
        """Close the file, and so give up its lock."""
        if self._file >= 0:
            with suppress(OSError):  # a forked child may hold it: closing would not release it
                fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = -1
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line, and those of its traceback."""
        if not self._is_open[0]:
            return
        try:
            at = datetime.fromtimestamp(record.created, UTC).strftime(TIME_FORMAT)
            text = redact_text(record.getMessage())
            if record.exc_info:
                text = f"{text}\n{redact_text(_traces.formatException(record.exc_info))}"
            place = f"{record.pathname}:{record.lineno}"
            line = f"{record.levelname[:1]}\t{at}\t{place}\t{text}\n"
            os.write(self._file, line.encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - an argument that cannot be written, a full disk
            self.lost += 1


class _Levels:
    """The level of the root logger: that of the session that asked for one last."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._asked: list[tuple[object, int]] = []
        self._outside = self._set = logging.NOTSET

    def push(self, token: object, level: int | None) -> None:
        if level is None:
            return
        root = logging.getLogger()
        with self._lock:
            if not self._asked:
                self._outside = root.level
            self._asked.append((token, level))
            self._apply(root, level)

    def pop(self, token: object) -> None:
        root = logging.getLogger()
        with self._lock:
            left = [each for each in self._asked if each[0] is not token]
            if len(left) == len(self._asked):
                return
            self._asked = left
            if root.level == self._set:  # else the program has set another, which stays
                self._apply(root, left[-1][1] if left else self._outside)

    def _apply(self, root: logging.Logger, level: int) -> None:
        root.setLevel(level)
        self._set = level


levels = _Levels()
_traces = logging.Formatter()


def is_held(path: Path) -> bool:
    """Tell whether the process of a session's file is there: it holds the file's lock."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it died before it made the file, or the file was deleted
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False

"""Sealing while a program runs: by another process, one at a time per store, which ends by itself.

A thread would take turns with the program for the interpreter, would stay in it when it forks, and
would bring Arrow's threads and memory into it. A child would be seen by a program that waits for
its own children. So a shell starts the sealer and ends at once, which leaves it to the system.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.errors import StoreError
from lineage.stores.manifest import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("lineage")

SEAL_BYTES = 8 << 20
"""How much of full segments makes parts that are worth their number: 20,000 to 80,000 rows."""
_AGAIN_S = 5.0
_IDLE_S = 2.0
_LOOK_S = 0.2
_NICE = 10
_DAY_S = 86_400
_DAY_IS_OVER_S = 3_600

_SHELL = "/bin/sh"
_SCRIPT = 'cd / && "$@" >/dev/null & echo $!'
_CODE = (
    "import os, sys; os.closerange(3, os.sysconf('SC_OPEN_MAX')); import json;"
    "path, *arguments = json.loads(sys.argv[1]); sys.path[:] = path;"
    "from lineage.stores.background import seal_on; seal_on(*arguments)"
)


class BackgroundSealer:
    """Start a process that seals what is full, when enough of it waits.

    Args:
        store: The store's folder.
        segment_bytes: How large its segments are.
        url: The bucket that its parts go to, if they do not stay there.
    """

    def __init__(self, store: Path, *, segment_bytes: int, url: str = "") -> None:
        self._store = store
        self._url = url
        self._segment_bytes = segment_bytes
        self._waiting = 0
        self._day = 0
        self._not_before = 0.0
        self._started: int | None = None

    def on_full(self) -> None:
        """Count a segment that became full, and start the process when it is time."""
        self._waiting += self._segment_bytes
        # A day is over for an hour before what waits of it is sealed in small parts.
        day = int(time.time() - _DAY_IS_OVER_S) // _DAY_S
        is_over, self._day = 0 < self._day < day, day
        if (self._waiting >= SEAL_BYTES or is_over) and self.start():
            self._waiting = 0

    def start(self) -> bool:
        """Start the process, if none seals this store; tells whether it did."""
        now = time.monotonic()
        if now < self._not_before or not can_start() or is_sealing(self._store):
            return False
        self._not_before = now + _AGAIN_S
        self._reap()
        try:
            self._started = _spawn(self._store, self._url)
        except (OSError, ValueError) as error:
            logger.info("nothing seals while the program runs: %s", error)
            return False
        return True

    def _reap(self) -> None:
        """Take the end of the last one, which is ours to take when this process is the system's."""
        if self._started is not None:
            with suppress(OSError):
                os.waitpid(self._started, os.WNOHANG)


def can_start() -> bool:
    """Tell whether there is a Python to start: not where one is embedded in another program."""
    name = os.path.basename(sys.executable or "")
    return name.lower().startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def is_sealing(store: Path) -> bool:
    """Tell whether a process seals a store in the background."""
    with _only_one(store) as is_free:
        return not is_free


def _spawn(store: Path, url: str) -> int:
    """Start the sealer by way of a shell that ends at once, and give its process id."""
    path = [os.path.abspath(place) for place in sys.path]
    home = str(Path(__file__).parents[2])
    arguments = json.dumps([[*path, home], str(store), url])
    command = [_SHELL, "-c", _SCRIPT, "sh", sys.executable, "-I", "-S", "-c", _CODE, arguments]
    reader, writer = os.pipe()
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        shell = os.posix_spawn(
            _SHELL,
            command,
            os.environ,
            file_actions=actions,
            setsid=True,
            setsigdef=[signal.SIGINT],
        )
        os.close(writer)
        writer = -1
        said = os.read(reader, 32)
        with suppress(ChildProcessError):  # a program that ignores its children's ends
            os.waitpid(shell, 0)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    return int(said)


@contextmanager
def _only_one(store: Path) -> Iterator[bool]:
    """Hold the place of a store's only sealer in the background; yields whether it was free."""
    try:
        path = store / FOLDER / "sealer"
        path.parent.mkdir(exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


def seal_on(place: str, url: str = "", *, idle_s: float = _IDLE_S) -> None:
    """Seal what is full, until nobody writes to the store or nothing is full for a while.

    This is what the process runs; `place` is the store's folder, `url` the bucket of its parts.
    """
    store = Path(place)
    os.nice(_NICE)
    with _only_one(store) as is_free:
        if not is_free:
            return
        from lineage.stores.bucket import Bucket
        from lineage.stores.delivery import BucketTarget
        from lineage.stores.reading import StoreReader
        from lineage.stores.sealing import seal_store  # takes a while: Arrow

        reader = StoreReader(store)
        target = BucketTarget(store, Bucket(url)) if url else store
        least_bytes = SEAL_BYTES * 3 // 4  # those that are full are so not to the brim
        last = time.monotonic()
        while time.monotonic() - last < idle_s:
            try:
                done = seal_store(target, only_due=True, least_bytes=least_bytes)
            except StoreError:  # it is told by whoever seals next and has someone to tell
                return
            if done.parts:
                last = time.monotonic()
                if not url:
                    reader.keep_up()
            elif not done.segments_live:
                return
            else:
                time.sleep(_LOOK_S)

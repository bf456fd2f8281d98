"""The files of a log, read by anyone at any time.

```
_audit/
  heads            a line per append; whole once its newline is there
  hashes-0         the hashes of all leaves: level 0 of the tiles, one after the other
  hashes-1 …       the levels above, which follow from it
  seed             what salts are made from
  checkpoint       the newest checkpoint; history/ has all of them, by size
  lock             held by who appends
```
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from lineage.audit.entries import SEED_BYTES, Head
from lineage.audit.merkle import HASH_BYTES, TILE, Tree, fold, tile_path, tiles_of
from lineage.audit.notes import VerifierKey, parse_vkey
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "_audit"
_NAMES = frozenset({"heads", "seed", "checkpoint", "history", "lock", "rows"})
_LEVEL = re.compile(r"hashes-[0-7]")
_BLOCK = 1 << 16


class LogFiles:
    """A log's files.

    Args:
        folder: The folder of the log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heads = folder / "heads"
        self.checkpoint = folder / "checkpoint"
        self.history = folder / "history"
        self.lock = folder / "lock"
        self.tree = Tree(self.hashes)

    def level(self, level: int) -> Path:
        """Say where the hashes of a level are."""
        return self.folder / f"hashes-{level}"

    def is_there(self) -> bool:
        """Whether there is a log."""
        return self.heads.exists()

    @cached_property
    def seed(self) -> bytes:
        """What the salts of this log are made from."""
        seed = self._read(self.folder / "seed")
        if len(seed) != SEED_BYTES:
            raise AuditError(f"{self.folder / 'seed'} has {len(seed)} bytes, and not {SEED_BYTES}")
        return seed

    @cached_property
    def first(self) -> Head:
        """The head of the event that began the log: its name, id and first key."""
        with self._open(self.heads) as file:
            head = Head.parse(file.readline())
        if head.kind != "init" or not {"log", "vkey", "seed"} <= head.content.keys():
            raise AuditError(f"{self.heads} does not begin as a log does")
        return head

    @property
    def log_id(self) -> str:
        """The id of the log, by which its key and its pins are kept."""
        return str(self.first.content["log"])

    @property
    def key(self) -> VerifierKey:
        """The key with which the log began."""
        return parse_vkey(str(self.first.content["vkey"]))

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of heads; the last may be one that was not written whole."""
        with self._open(self.heads) as file:
            yield from file

    def newest_lines(self) -> Iterator[bytes]:
        """Yield the whole lines of heads, the newest first.

        Raises:
            AuditError: The last of them is damaged.
        """
        start, rest = self.last()[1], b""
        with self._open(self.heads) as file:
            while start:
                size = min(start, _BLOCK)
                start -= size
                file.seek(start)
                rest, *lines = (file.read(size) + rest).split(b"\n")
                yield from (line + b"\n" for line in reversed(lines) if line)
        yield rest + b"\n"

    def last(self) -> tuple[Head, int, bytes]:
        """Give the last whole head, where its line ends, and what stands after that.

        Raises:
            AuditError: It is damaged.
        """
        with self._open(self.heads) as file:
            size = file.seek(0, 2)
            block = _BLOCK
            while True:
                start = max(0, size - block)
                file.seek(start)
                data = file.read(size - start)
                end = data.rfind(b"\n") + 1
                begin = data.rfind(b"\n", 0, max(0, end - 1)) + 1
                if begin or not start:
                    return Head.parse(data[begin:end]), start + end, data[end:]
                block *= 2

    def hashes(self, level: int, first: int, count: int) -> bytes:
        """Give hashes of a level; what a level lacks is made of the one below.

        Raises:
            AuditError: The leaves are not there.
        """
        file = self.level(level)
        data = b""
        if level == 0 or file.exists():
            with self._open(file) as stream:
                stream.seek(first * HASH_BYTES)
                data = stream.read(count * HASH_BYTES)
        there = len(data) // HASH_BYTES
        if there == count:
            return data
        if level == 0:
            raise AuditError(f"{file} ends before leaf {first + count}; the log is cut off")
        below = self.hashes(level - 1, (first + there) * TILE, (count - there) * TILE)
        step = TILE * HASH_BYTES
        made = [fold(below[at : at + step]) for at in range(0, len(below), step)]
        return data[: there * HASH_BYTES] + b"".join(made)

    def export(self, folder: Path, size: int) -> int:
        """Write the tiles of the first leaves as files of C2SP's tlog-tiles; say how many."""
        tiles = tiles_of(size)
        for level, number, width in tiles:
            file = folder / tile_path(level, number, width)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.hashes(level, number * TILE, width))
        return len(tiles)

    def checkpoints(self) -> list[Path]:
        """List the checkpoints that were made, the smallest first."""
        return sorted(each for each in self.history.glob("[0-9]*") if each.name.isdecimal())

    def foreign(self) -> list[Path]:
        """List what is none of the log's files, by path."""
        there = [*self.folder.glob("*"), *self.history.glob("*")]
        return sorted(each for each in there if not self._is_own(each))

    def _is_own(self, path: Path) -> bool:
        if path.parent == self.history:
            return path.name.isdecimal()
        return path.name in _NAMES or _LEVEL.fullmatch(path.name) is not None

    def _read(self, file: Path) -> bytes:
        with self._open(file) as stream:
            return stream.read()

    def _open(self, file: Path) -> BinaryIO:
        try:
            return file.open("rb")
        except OSError as error:
            raise AuditError(
                f"cannot read {file}: {error.strerror}; without it the log cannot be verified"
            ) from error


def history_name(size: int) -> str:
    """Name the file of the checkpoint of a size."""
    return f"{size:020d}"

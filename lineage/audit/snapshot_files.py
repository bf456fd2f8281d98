"""Where snapshots lie: one file each, named by its version and by the digest of its bytes.

```
FOLDER/<project and pipeline, 32 digits>/00000001-<SHA-256 of the file, 64 digits>.json
```

A file is written once: under a temporary name, synced, renamed, and the folder synced; nothing here
opens it for writing again. Its bytes are canonical JSON after RFC 8785 (of which fractions are left
out: no snapshot has any). So equal snapshots have equal bytes, and a reader sees any other byte by
the name. The version that comes next is found under a lock, so that each is given once.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.audit.snapshot_versions import decode
from lineage.errors import CorruptStoreError, SnapshotError
from lineage.stores.auditor import auditor_of
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.manifest import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lineage.audit.snapshot_shapes import Document

FOLDER = "_snapshots"
"""The folder in a store."""
SNAPSHOT = "snapshot"
"""What it is called in the log of a store."""
NAME = re.compile(r"([0-9]{8})-([0-9a-f]{64})\.json")
LINE = re.compile(r"[0-9a-f]{32}")
_MOST = 2**53 - 1


class Stored(NamedTuple):
    """A file that is named as a snapshot: what its name says of it."""

    path: Path
    version: int
    id: str


def canonical(value: Any) -> bytes:
    """Write JSON after RFC 8785: names in the order of their UTF-16 code units, no spaces.

    Raises:
        SnapshotError: There is a number in it that is no whole one of at most 2**53 - 1, or a text
            that is no Unicode.

    Examples:
        >>> canonical({"b": [1, "é"], "a": None}).decode()
        '{"a":null,"b":[1,"é"]}'
    """
    try:
        return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise SnapshotError(f"a text of it is no Unicode: {error}") from error


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        return {name: _ordered(item) for name, item in items}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _MOST):
        raise SnapshotError(f"{value!r} is no whole number of at most 2**53 - 1")
    return value


def line_of(project_uid: str, pipeline: str) -> str:
    """Name the folder of the versions of a pipeline of a project."""
    return hashlib.sha256(f"{project_uid}\0{pipeline}".encode()).hexdigest()[:32]


class SnapshotFolder:
    """A folder of snapshots; one in a store is written under the lock of the store.

    Args:
        path: The folder; it is made when the first one is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._locked_at = self.path.parent if self.path.name == FOLDER else self.path

    def stored(self) -> Iterator[Stored]:
        """Yield what is named as a snapshot, by pipeline and version."""
        for line in self._lines():
            yield from self._in_line(line)

    def others(self) -> Iterator[Path]:
        """Yield what is not: all but the file of a crashed writer, which counts for nothing."""
        if not self.path.is_dir():
            return
        for path in sorted(self.path.iterdir()):
            if not path.is_dir() or not LINE.fullmatch(path.name):
                if path.name != "_manifest":
                    yield path
                continue
            for file in sorted(path.iterdir()):
                if not NAME.fullmatch(file.name) and not _is_unfinished(file):
                    yield file

    def read(self, stored: Stored) -> tuple[bytes, Document]:
        """Read one and check it: its bytes by its name, its content by the schemas.

        Raises:
            CorruptStoreError: It is not what was written; says of which file.
        """
        data = stored.path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != stored.id:
            raise CorruptStoreError(
                f"{stored.path} was changed: its bytes have the digest {found[:12]}…; restore it "
                "from a copy"
            )
        try:
            document = decode(data)
        except SnapshotError as error:
            raise CorruptStoreError(f"{stored.path}: {error}") from error
        line = line_of(document.project.uid, document.pipeline_name)
        if stored.path.parent.name != line or stored.version != document.version:
            raise CorruptStoreError(f"{stored.path} lies under another's name; put it back")
        return data, document

    def put(self, line: str, make: Callable[[Stored | None], bytes]) -> Stored:
        """Write the next version of a pipeline; when this returns, it stays.

        This is the one place where a snapshot is accepted. The log of a store hears of it here, and
        of the one before, should a crash have kept that from it.

        Args:
            line: The name of its folder.
            make: Gives the bytes, told which version is the newest.

        Raises:
            StoreError: The folder cannot be written, or others held its lock all the time.
            SnapshotError: From `make`.
        """
        with locked(self._locked_at):
            newest = max(self._in_line(line), key=lambda stored: stored.version, default=None)
            data = make(newest)
            digest = hashlib.sha256(data).hexdigest()
            version = 1 if newest is None else newest.version + 1
            folder = self.path / line
            make_folder(folder)
            for file in folder.iterdir():
                if _is_unfinished(file):
                    file.unlink(missing_ok=True)
            path = folder / f"{version:08d}-{digest}.json"
            write_durably(path, data)
            auditor = auditor_of(self._locked_at)
            if auditor is not None:
                for file in ([newest.path] if newest else []) + [path]:
                    auditor.accept(SNAPSHOT, file)
                auditor.sign()
            return Stored(path, version, digest)

    def _lines(self) -> list[str]:
        if not self.path.is_dir():
            return []
        found = (path for path in self.path.iterdir() if path.is_dir())
        return sorted(path.name for path in found if LINE.fullmatch(path.name))

    def _in_line(self, line: str) -> Iterator[Stored]:
        folder = self.path / line
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = NAME.fullmatch(path.name)
            if match:
                yield Stored(path, int(match[1]), match[2])


def _is_unfinished(file: Path) -> bool:
    """Tell the temporary file of a writer, under way or killed."""
    name, _, _ = file.name[1:].rpartition(".")
    return file.name.startswith(".") and NAME.fullmatch(name) is not None

"""What the parts of a store come to, beside its manifest: quick to read, free to lose.

`_manifest/distinct.bin` holds the distinct nodes and edges of the first so many parts: `LINEAGE1`,
the SHA-256 of all that follows, the length of a header, the header (JSON), and three Arrow files
(names, nodes, edges). It names the parts by a digest of their own digests. Of other parts, of
another version, or damaged in one bit it is passed over and made again of the parts; so it needs
no lock, and no sync.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import msgspec
import numpy as np
import pyarrow as pa

from lineage.stores import columns
from lineage.stores.distinct import COLUMNS, Columns, Distinct, nothing
from lineage.stores.manifest import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lineage.stores.distinct import Integers
    from lineage.stores.manifest import Part

_MAGIC = b"LINEAGE1"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 4
_HEAD_BYTES = 1 << 10
_FILES = (("name",), ("node", *COLUMNS["nodes"]), ("source", "target", *COLUMNS["relationships"]))
_START = len(_MAGIC) + _DIGEST_BYTES + _LENGTH_BYTES


class Gathered(NamedTuple):
    """What the first `covered` of some parts come to; `key` says which parts those are.

    `least` is how many rows there were when they were last reduced, `added` how many have come
    since what is on the disk.
    """

    covered: int
    key: str
    distinct: Distinct
    least: int = 0
    added: int = 0

    def is_of(self, parts: Sequence[Part]) -> bool:
        """Say whether some parts begin with those."""
        return self.covered <= len(parts) and key_of(parts[: self.covered]) == self.key


class _Header(msgspec.Struct):
    covered: int
    key: str
    rows: int
    sizes: tuple[int, int, int]


def no_parts() -> Gathered:
    """Give what no parts come to."""
    return Gathered(0, key_of(()), nothing())


def key_of(parts: Sequence[Part]) -> str:
    """Name some parts by their paths and digests, in their order."""
    texts = "\n".join(f"{part.path} {part.sha256}" for part in parts)
    return sha256(texts.encode()).hexdigest()


def memo_path(store: Path) -> Path:
    """Say where it is."""
    return store / FOLDER / "distinct.bin"


def load(store: Path, parts: Sequence[Part]) -> Gathered | None:
    """Read what the first of some parts come to; None unless it is there, whole, and of those."""
    try:
        data = memo_path(store).read_bytes()
    except OSError:
        return None
    if not _is_whole(data):
        return None
    try:
        header = _header_of(data)
        found = Gathered(header.covered, header.key, nothing())
        return _filled(found, data, header.sizes) if found.is_of(parts) else None
    except (msgspec.DecodeError, pa.ArrowException, KeyError, ValueError):
        return None  # another version wrote it


def is_damaged(store: Path) -> bool:
    """Whether it is there and was changed since it was written, so that it is passed over."""
    try:
        return not _is_whole(memo_path(store).read_bytes())
    except OSError:
        return False


def _is_whole(data: bytes) -> bool:
    content = memoryview(data)[len(_MAGIC) + _DIGEST_BYTES :]
    told = data[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
    return data.startswith(_MAGIC) and sha256(content).digest() == told


def _filled(found: Gathered, data: bytes, sizes: tuple[int, int, int]) -> Gathered:
    buffer, cuts = pa.py_buffer(data), np.cumsum([len(data) - sum(sizes), *sizes]).tolist()
    names, nodes, edges = (
        _Rows(buffer.slice(start, end - start), columns_of)
        for (start, end), columns_of in zip(pairwise(cuts), _FILES, strict=True)
    )
    distinct = Distinct(
        names["name"].combine_chunks(),
        Columns("nodes", [nodes]),
        nodes.numbers("node"),
        Columns("relationships", [edges]),
        (edges.numbers("source"), edges.numbers("target")),
    )
    pa.default_memory_pool().release_unused()  # of 10M operations 17 MiB that were unpacked once
    return found._replace(distinct=distinct, least=distinct.rows)


def waiting(store: Path, parts: Sequence[Part]) -> tuple[int, int]:
    """Estimate how many rows of some parts are not in it, and say how many it has.

    Nothing is verified: it tells whether it is worth the work to read it.
    """
    covered = rows = 0
    with suppress(OSError, msgspec.DecodeError), memo_path(store).open("rb") as file:
        header = _header_of(file.read(_HEAD_BYTES))
        if Gathered(header.covered, header.key, nothing()).is_of(parts):
            covered, rows = header.covered, header.rows
    return sum(part.rows for part in parts[covered:]), rows


def save(store: Path, gathered: Gathered) -> None:
    """Put it on the disk in one step.

    Raises:
        OSError: It cannot be written.
    """
    known = gathered.distinct
    files = (
        _file(pa.table({"name": known.names})),
        _file(_table(known.nodes, {"node": known.node})),
        _file(_table(known.edges, {"source": known.ends[0], "target": known.ends[1]})),
    )
    sizes = (len(files[0]), len(files[1]), len(files[2]))
    header = msgspec.json.encode(_Header(gathered.covered, gathered.key, known.rows, sizes))
    content = b"".join((len(header).to_bytes(_LENGTH_BYTES, "little"), header, *files))
    path = memo_path(store)
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        beside.write_bytes(_MAGIC + sha256(content).digest() + content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def forget(store: Path) -> None:
    """Remove it, where that is allowed."""
    with suppress(OSError):
        memo_path(store).unlink()


class _Rows:
    """Rows in the bytes of an Arrow file, of which a column is read when it is asked for."""

    def __init__(self, data: pa.Buffer, names: tuple[str, ...]) -> None:
        self._data, self._names = data, names
        with pa.ipc.open_file(data) as file:
            if tuple(file.schema.names) != names:
                raise ValueError(f"columns {file.schema.names}, not {names}")
        self.num_rows = self[self._names[0]].length()

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        options = pa.ipc.IpcReadOptions(included_fields=[self._names.index(name)])
        with pa.ipc.open_file(self._data, options=options) as file:
            return file.read_all()[name]

    def numbers(self, name: str) -> Integers:
        """Give a column of numbers."""
        return columns.integers(self[name].combine_chunks(), -1)


def _header_of(data: bytes) -> _Header:
    length = int.from_bytes(data[_START - _LENGTH_BYTES : _START], "little")
    return msgspec.json.decode(data[_START : _START + length], type=_Header)


def _table(rows: Columns, numbers: dict[str, Integers]) -> pa.Table:
    numbered = {name: columns.numbers(each, pa.int32()) for name, each in numbers.items()}
    return pa.table(numbered | {name: rows[name] for name in COLUMNS[rows.kind]})


def _file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data

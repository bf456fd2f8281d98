"""`RemoteStore`: the operations of a server, as a store that a tracker writes and engines read.

What is recorded goes to an outbox on the local disk first, and from there to the server, a batch at
a time; each says how far the server had come before, so that none is kept twice, whatever is lost
on the way. Readers see what the server has, and what waits on this host.
"""

from __future__ import annotations

import io
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from lineage.client.answers import Lineage
from lineage.client.http import Http
from lineage.codec import TABLES, from_micros, to_micros
from lineage.errors import AccessError, DraftError, RegistryError, StoreError
from lineage.redact import redact_text
from lineage.stores.base import EVERYTHING, Filter, check_kind
from lineage.stores.carrying import MARKS_KEY, MEDIA_TYPE, pack, unpack
from lineage.stores.outbox import Carried, Mark
from lineage.stores.outgoing import OutgoingStore
from lineage.stores.refused import Refused, stretch_of
from lineage.stores.waiting import waiting_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import pyarrow as pa

    from lineage.stores.records import Tables

_TRIES = 100
_REST_S = 5.0
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""What a stream of Arrow ends with (Arrow Columnar Format, IPC Streaming Format)."""


def open_server(url: str) -> RemoteStore:
    """Open the operations of the server at `https://…` or `http://…`; `LINEAGE_API_KEY` opens it.

    Raises:
        StoreError: The URL holds what must not be in it.
        ConfigError: There is no key.
        MissingDependencyError: httpx is not installed.
    """
    split = urlsplit(url)
    options = dict(parse_qsl(split.query))
    outbox = options.pop("outbox", None)
    if split.username is not None or split.password is not None or options or split.fragment:
        raise StoreError(
            f"{redact_text(split._replace(query=urlencode(options)).geturl())!r} takes no option "
            "but ?outbox=/path, and no credentials; give the key by LINEAGE_API_KEY"
        )
    return RemoteStore(split._replace(query="").geturl(), outbox=outbox)


class RemoteStore(OutgoingStore):
    """Keep operations on a server; many threads, processes and hosts may use it at once.

    Args:
        base_url: Of the server; else `LINEAGE_SERVER_URL` says, or it is that of this machine.
        api_key: What opens it, a writer's to record; else `LINEAGE_API_KEY` says.
        outbox: Where records wait for the server; else in the user's folder for the state of
            programs.
        timeout_s: Most seconds to wait for an answer, or for the next bytes of one.
        http: The server, instead of what the others say.

    Raises:
        MissingDependencyError: httpx is not installed.
        ConfigError: There is no key, or what is given is none.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> store = RemoteStore("http://127.0.0.1:8080", api_key="lin_0", outbox=folder)
        >>> store.waiting()["outbox_file_count"]
        0
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        outbox: str | Path | None = None,
        timeout_s: float = 60.0,
        http: Http | None = None,
    ) -> None:
        self._http = http or Http(base_url, api_key, timeout_s)
        self.url = self._http.shown
        self.lineage = Lineage(self._http)
        waits = Path(outbox).expanduser().absolute() if outbox else None
        super().__init__(waits or waiting_folder(self._http.url, self.url), self.url)

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, at least one table, those that still wait here among them.

        Raises:
            StoreError: The server cannot be reached, or its answer broke off.
        """
        check_kind(kind)
        for _ in range(_TRIES):
            names = self.outbox.names()
            with closing(self._rows(kind, where, names)) as chunks:
                answer = _Answer(chunks)
                tails = self.outbox.tails(names, answer.marks)
                if tails is not None:
                    yield from _matching(kind, where, answer, [tail.table(kind) for tail in tails])
                    return
        raise StoreError(
            f"the outbox {self.outbox.folder} changed all the time while it was read; try again"
        )

    def get_storage_stats(self) -> dict[str, Any]:
        """Say how many rows of each kind the server has, and what waits for it."""
        stats: dict[str, Any] = self._ask("GET", "/operations/counts").json()
        return stats | self.waiting()

    def reach(self) -> None:
        """Make sure that the server answers, and that the key opens it; nothing is written.

        Raises:
            StoreError: It does not.
        """
        self._ask("GET", "/operations", params={"limit": 1})

    def close(self, timeout_s: float | None = None) -> None:
        """Deliver what this process has recorded; the next record opens the outbox again.

        Args:
            timeout_s: Most seconds to wait for the server; half a minute when None.

        Raises:
            StoreError: The server does not have it; says where it waits.
        """
        try:
            super().close(timeout_s)
        finally:
            # What is under way keeps its connection, as when the server has forgotten to answer.
            if self.outbox.rests(_REST_S):
                self._http.close()

    def marks(self, segments: Iterable[str]) -> dict[str, Mark]:
        """Say how far the server has each of these segments."""
        asked = {"segments": list(segments)}
        found = self._ask("POST", "/operations/marks", json=asked).json()
        return {name: Mark(*mark) for name, mark in found.items()}

    def accept(self, carried: Carried) -> bool:
        """Send rows and the new mark to the server, unless it has them.

        A row that it refuses is kept beside the outbox, and holds up none behind it.
        """
        try:
            return self._send(carried)
        except DraftError as error:
            sound, refused = _parted(carried.tables)
            if not refused:  # it knows less than we do: an older version, which can be upgraded
                raise StoreError(f"{self.url} takes no such rows: {error}") from error
        stretch = stretch_of(carried.segment, carried.before.position)
        self._set_aside(f"{stretch}.1", refused)
        return self._send(carried._replace(tables=sound))

    def finish(self, segments: Iterable[str]) -> None:
        """Let go of the marks of segments that are gone, a day later."""
        self._ask("POST", "/operations/finished", json={"segments": list(segments)})

    def _accept_again(self, name: str, attempt: int, rows: list[Refused]) -> None:
        tables: Tables = {}
        for row in rows:
            tables.setdefault(row.kind, []).append(tuple(row.cells.values()))
        sound, refused = _parted(tables)
        self._set_aside(f"{name}.{attempt + 1}", refused)
        self._send(Carried(f"{name}.{attempt}", Mark(), Mark(position=1), sound))

    def _send(self, carried: Carried) -> bool:
        headers = {"content-type": MEDIA_TYPE}
        body = pack(carried)
        answer = self._ask("POST", "/operations", content=body, headers=headers).json()
        # Of a batch whose answer was lost the second one says that it was there.
        return answer["is_new"] or self.marks([carried.segment]) == {carried.segment: carried.after}

    def _rows(self, kind: str, where: Filter, names: list[str]) -> Generator[bytes]:
        equal = {name: list(map(_plain, values)) for name, values in where.equal.items()}
        asked: dict[str, Any] = {"kind": kind, "equal": equal, "columns": list(where.columns)}
        asked |= {"start": _time(where.start), "end": _time(where.end), "segments": names}
        try:
            yield from self._http.stream("POST", "/operations/rows", json=asked)
        except (AccessError, RegistryError) as error:
            raise StoreError(str(error)) from error

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._http.ask(method, path, **options)
        except DraftError:
            raise
        except (AccessError, RegistryError) as error:
            raise StoreError(str(error)) from error


class _Answer:
    """A stream of Arrow as it comes; `marks` says how far segments have come in it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        import pyarrow as pa

        self._bytes = _Bytes(chunks)
        try:
            self._reader = pa.ipc.open_stream(io.BufferedReader(self._bytes))
            known = msgspec.json.decode((self._reader.schema.metadata or {})[MARKS_KEY])
        except (pa.ArrowInvalid, KeyError, msgspec.DecodeError) as error:
            raise StoreError(f"the answer is no rows of a server: {error}; check the URL") from None
        self.marks = {name: Mark(*mark) for name, mark in known.items()}

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows.

        Raises:
            StoreError: They broke off.
        """
        import pyarrow as pa

        try:
            for batch in self._reader:
                yield pa.Table.from_batches([batch])
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"the rows of the server are damaged: {error}; try again") from None
        if self._bytes.rest() != _END:
            raise StoreError("the rows of the server broke off; try again")


class _Bytes(io.RawIOBase):
    """Chunks as a file; the last bytes of it are kept."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left, self._last = chunks, b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._chunks, b"")
            self._last = (self._last + self._left)[-len(_END) :]
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)

    def rest(self) -> bytes:
        """Read to the end, and give the last bytes."""
        while self.read(1 << 20):
            pass
        return self._last


def _matching(
    kind: str, where: Filter, answer: _Answer, tails: list[pa.Table]
) -> Iterator[pa.Table]:
    from lineage.stores.tables import empty_table, matching

    yield matching(kind, empty_table(kind), where)
    for tail in tails:
        table = matching(kind, tail, where)
        if table.num_rows:
            yield table
    for table in answer.tables():
        yield matching(kind, table, Filter(columns=where.columns))


def _parted(tables: Tables) -> tuple[Tables, list[Refused]]:
    """Give the rows that a server of this version takes, and those that it does not."""
    sound: Tables = {}
    refused: list[Refused] = []
    for kind, rows in tables.items():
        sound[kind] = list(_sound(kind, rows, refused))
    return sound, refused


def _sound(kind: str, rows: list[tuple[Any, ...]], refused: list[Refused]) -> Iterator[Any]:
    try:
        unpack(pack(Carried("0", Mark(), Mark(), {kind: rows})))
    except DraftError as error:
        if len(rows) == 1:
            cells = dict(zip(TABLES[kind], rows[0], strict=True))
            refused.append(Refused(kind, str(error), cells))
            return
        half = len(rows) // 2
        yield from _sound(kind, rows[:half], refused)
        yield from _sound(kind, rows[half:], refused)
    else:
        yield from rows


def _plain(value: Any) -> Any:
    return to_micros(value) if isinstance(value, datetime) else value


def _time(at: datetime | None) -> str | None:
    known = from_micros(to_micros(at))
    return None if known is None else known.isoformat()

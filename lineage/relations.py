"""A view of a store as relations of one DuckDB connection: for the analyses, and for free SQL.

The connection reads the store's own files and nothing else: no other file, no network, no variable
of the caller's. Only files that may hold rows of the time in question are opened, and each is
compared with its digest before an answer counts on it.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from lineage.codec import REF, TABLES, to_micros
from lineage.errors import StoreError
from lineage.stores.base import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from lineage.analysis.frames import Frame, Read
    from lineage.view import View

T = TypeVar("T")

_NO_BAR = "enable_progress_bar = false"  # one is written to stdout, where a program's data go
_SETTINGS = (
    "TimeZone = 'UTC'",
    _NO_BAR,
    "parquet_metadata_cache = true",  # a frame binds its files at each step
    "python_enable_replacements = false",
)
_AHEAD = 2
"""How many files are decoded at once."""


class Relations:
    """The kinds of a view as relations.

    Args:
        view: What is read.

    Attributes:
        connection: What answers; for those who hold the lock.
        lock: Held while something is asked.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._read: set[Path] = set()
        self._rests: dict[str, pa.Table] = {}
        self._frozen = view.freeze()
        self.lock = threading.RLock()
        self.connection = _connect([] if self._frozen is None else self._frozen.paths)

    def ask(self, analyse: Callable[[Read], T]) -> T:
        """Have an analysis answer over the operations; once more if files moved meanwhile.

        Raises:
            StoreError: A file of the store is gone, or there is not enough memory.
        """
        import duckdb

        with self.lock:
            try:
                return analyse(self.operations)
            except duckdb.OutOfMemoryException as error:
                raise StoreError(
                    f"the answer needs more memory than there is: {str(error).splitlines()[0]}; "
                    "ask of less time"
                ) from error
            except (duckdb.Error, OSError) as error:
                if self.gone() is None:
                    raise StoreError(
                        f"the store cannot be read: {str(error).splitlines()[0]}"
                    ) from error
                # A compaction has set them aside, or `files` says that they are gone.
                return analyse(self.operations)

    def operations(self, columns: tuple[str, ...], start: datetime | None = None) -> Frame:
        """Give operations as a frame; see `analysis.frames.Read`."""
        return self.frame("operations", columns, start)

    def frame(self, kind: str, columns: tuple[str, ...], start: datetime | None = None) -> Frame:
        """Give rows of a kind as a frame, times in microseconds; each frame is to be used once."""
        import narwhals as nw

        words, names = TABLES[kind], tuple(dict.fromkeys(map(_column_of, columns)))
        needed = names if start is None else tuple(dict.fromkeys((*names, "timestamp")))
        where = Filter(start=start, columns=needed)
        if self._frozen is None:
            rows = self.connection.from_arrow(self._view.rows(kind, needed, start=start))
        elif any(words[name] == "refs" for name in names):
            rows = self.connection.from_arrow(self._streamed(kind, columns, where))
        else:
            rows = self.connection.sql(self.query(kind, where))
        if start is not None:
            rows = rows.filter(f"timestamp >= make_timestamp({to_micros(start)})::TIMESTAMPTZ")
        return nw.from_native(rows.project(", ".join(_in_frames(name, words) for name in names)))

    def query(self, kind: str, where: Filter) -> str:
        """Write the query of the rows in files and of those in none; what none has is null."""
        rest, files = f"rest_of_{kind}", self._files(kind, where)
        self.connection.register(rest, self._rest(kind))
        names = ", ".join(f'"{name}"' for name in where.columns or TABLES[kind])
        if not files:
            return f"SELECT {names} FROM {rest}"  # noqa: S608 - names of ours only
        return (
            f"SELECT {names} FROM (FROM read_parquet({_listed(files)}, union_by_name=true, "  # noqa: S608 - as above
            f"hive_partitioning=false) UNION ALL BY NAME FROM {rest})"
        )

    def gone(self) -> Path | None:
        """Name a file that was read and is no longer where it was."""
        return next((file for file in self._read if not file.exists()), None)

    def _files(self, kind: str, where: Filter) -> list[Path]:
        found = [] if self._frozen is None else self._frozen.files(kind, where)
        self._read.update(found)
        return found

    def _rest(self, kind: str) -> pa.Table:
        """Give the rows that are in no file, or all of them if the store has no files."""
        if kind not in self._rests:
            rest = None if self._frozen is None else self._frozen.rest(kind)
            self._rests[kind] = self._view.read(kind) if rest is None else rest
        return self._rests[kind]

    def _streamed(self, kind: str, columns: Sequence[str], where: Filter) -> pa.RecordBatchReader:
        """Read rows by Arrow, of lists of structs only the fields that are asked for.

        DuckDB would decode all fields of them, which takes five times as long.
        """
        import pyarrow as pa

        from lineage.stores.parts import fitted, read_leaves

        schema, files, rest = (
            _narrow(kind, columns, where),
            self._files(kind, where),
            self._rest(kind),
        )

        def batches() -> Iterator[pa.RecordBatch]:
            for tables in _ahead(lambda file: list(read_leaves(file, schema, where)), files):
                for table in tables:
                    yield from table.to_batches()
            yield from fitted(rest, schema).to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())


def _set(connection: duckdb.DuckDBPyConnection, setting: str) -> None:
    import duckdb

    try:
        connection.execute(f"SET {setting}")
    except duckdb.InvalidInputException:
        if setting != _NO_BAR:  # a notebook without widgets has no bar, and takes no such setting
            raise


def _connect(files: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(":memory:")
    spill = Path(tempfile.gettempdir()) / f"track-lineage-{uuid4().hex}"
    for setting in (
        *_SETTINGS,
        f"temp_directory = {_quoted(spill)}",  # made when it is needed; else in the working folder
        f"allowed_paths = {_listed(files)}",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        _set(connection, setting)
    return connection


def _ahead(read: Callable[[Path], T], files: Sequence[Path]) -> Iterator[T]:
    """Yield what is read of each file, in their order, while the next ones are being read."""
    with ThreadPoolExecutor(_AHEAD) as pool:
        waiting: deque[Future[T]] = deque()
        for file in files:
            waiting.append(pool.submit(read, file))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _narrow(kind: str, columns: Sequence[str], where: Filter) -> pa.Schema:
    """Give the schema of some columns; of lists of structs, with the fields that are named."""
    import pyarrow as pa

    from lineage.stores.tables import arrow_schema

    fields: list[Any] = []
    for name in where.columns:
        field = arrow_schema(kind).field(name)
        wanted = {column.partition(".")[2] for column in columns if _column_of(column) == name}
        if TABLES[kind][name] == "refs" and "" not in wanted:
            struct = field.type.value_type
            leaves = [struct.field(leaf) for leaf in REF if leaf in wanted]
            field = pa.field(name, pa.list_(pa.field("element", pa.struct(leaves))))
        fields.append(field)
    return pa.schema(fields)


def _column_of(name: str) -> str:
    return name.partition(".")[0]


def _in_frames(name: str, words: dict[str, str]) -> str:
    return f'epoch_us("{name}") AS "{name}"' if words[name] == "time" else f'"{name}"'


def _listed(files: Sequence[Path]) -> str:
    return "[" + ", ".join(map(_quoted, files)) + "]"


def _quoted(file: Path) -> str:
    return "'" + str(file).replace("'", "''") + "'"

"""A store in a folder: a journal that takes what happens, Hive-partitioned Parquet that keeps it.

```
lineage_operations/date=2026-05-01/part-….parquet   and so on for each kind; plain readers use these
_journal/    what is not in a part yet, visible to our readers on this host
_manifest/   which parts count, their digests, and how far each journal segment is sealed
_staging/    parts that are being written
```
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from lineage.codec import (
    TABLES,
    from_json,
    from_micros,
    node_from_row,
    node_row,
    operation_rows,
    relationship_rows,
    schema_row,
)
from lineage.errors import CorruptStoreError, StoreError
from lineage.redact import redact_row
from lineage.settings import StoreSettings
from lineage.stores.background import BackgroundSealer
from lineage.stores.base import EVERYTHING, KINDS, Filter, check_kind, path_of
from lineage.stores.decoding import lost_in, segment_paths
from lineage.stores.derive import merge_nodes, merge_relationships
from lineage.stores.journal import Journal
from lineage.stores.manifest import JOURNAL
from lineage.stores.reading import StoreReader
from lineage.stores.tails import waiting_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa

    from lineage.core import DataOperation, LineageNode
    from lineage.stores.compaction import Compacted
    from lineage.stores.distinct import Distinct
    from lineage.stores.garbage import Collected
    from lineage.stores.reading import Snapshot
    from lineage.stores.retention import Cleaned
    from lineage.stores.target import Sealed, Target

_DEFAULT = StoreSettings()


def open_parquet(url: str) -> LineageMetadataRepository:
    """Open the store in the folder that a path, `file://` or `parquet://` URL names."""
    return LineageMetadataRepository(path_of(url))


class LineageMetadataRepository:
    """Keep lineage in a folder; many threads, processes and objects may use it at once.

    What a method has saved survives the death of the process, and is seen at once by every reader
    on this host. The folder is made when something is saved first.

    Args:
        base_path: The store's folder.
        segment_bytes: Size at which a segment of the journal is full.
        settings: What a saved record survives, and when it is sealed.

    Examples:
        >>> import tempfile
        >>> from lineage.core import DataOperation, DataSource
        >>> repository = LineageMetadataRepository(tempfile.mkdtemp())
        >>> orders = DataSource("file", "orders", "/data/orders.csv")
        >>> repository.save_operation(DataOperation.create("read", inputs=[orders]))
        >>> [node.node_id for node in repository.load_nodes()]
        ['file:orders']
    """

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        *,
        segment_bytes: int = 2 << 20,
        settings: StoreSettings = _DEFAULT,
    ) -> None:
        self.base_path = Path(base_path).absolute()  # the program may change its directory
        self._sealer = BackgroundSealer(self.base_path, segment_bytes=segment_bytes)
        self.journal = Journal(self.base_path / JOURNAL, segment_bytes=segment_bytes)
        self.configure(settings)
        self._reader = self._new_reader()
        self._written_schemas: tuple[object, set[str]] = (None, set())

    def configure(self, settings: StoreSettings) -> None:
        """Keep from now on what is recorded as the settings say.

        Raises:
            StoreError: They ask that a call waits for a store elsewhere.
        """
        if settings.durability == "remote":
            raise StoreError(
                "the durability 'remote' waits for a database, which a store of Parquet files is "
                "not; choose 'power', on a disk that stays"
            )
        self.journal.durability = settings.durability
        self.journal.max_bytes = settings.max_journal_bytes
        self.journal.on_full = self._sealer.on_full if settings.background_sealing else None

    @property
    def problems(self) -> list[str]:
        """What could not be read so far: a text per problem that names the file."""
        return list(self._reader.problems)

    @property
    def progress(self) -> Callable[[int, int], None] | None:
        """Called with what is done and what there is: bytes when reading, steps when sealing."""
        return self._reader.meter.tell

    @progress.setter
    def progress(self, tell: Callable[[int, int], None] | None) -> None:
        self._reader.meter.tell = tell

    def save_operation(self, operation: DataOperation) -> None:
        """Save an operation, with the schemas and details of its sources.

        Raises:
            StoreError: The store cannot be written.
        """
        rows = redact_row(operation_rows(operation))
        self._save_schemas(rows.pop("schemas", []))
        self.append("nodes", rows.pop("nodes", []))
        self.append("operations", rows["operations"])

    def save_node(self, node: LineageNode) -> None:
        """Save what is known of a node; its counts are brought up to the node's, never down.

        What its saved operations say of it is known already, so that saving both counts once.
        """
        row = redact_row(node_row(node))
        where = Filter(equal={"node_id": (node.node_id,)})
        for known in merge_nodes(self._tuples("nodes", where)):
            stored = dict(zip(TABLES["nodes"], known, strict=True))
            for count in ("accessed_count", "written_count"):
                row[count] = max(0, row[count] - (stored[count] or 0))
        source = node.data_source
        if source.schema_info:
            self._save_schemas(redact_row([schema_row(source.schema_info, row["timestamp"])]))
        self.append("nodes", [row])

    def save_relationships(self, node: LineageNode, operation_id: str | None = None) -> None:
        """Save a node's dependencies and dependents."""
        self.append("relationships", redact_row(relationship_rows(node, operation_id)))

    def load_operations(
        self,
        start_date: date | datetime | None = None,
        end_date: date | datetime | None = None,
        operation_type: str | None = None,
    ) -> list[DataOperation]:
        """Load operations, oldest first, those not sealed yet among them.

        Args:
            start_date: The first day, or the first moment.
            end_date: The last day, or the last moment, inclusive.
            operation_type: Only operations of this type.
        """
        equal = {"operation_type": (str(operation_type),)} if operation_type else {}
        where = Filter(_moment(start_date, time.min), _moment(end_date, time.max), equal)
        import pyarrow as pa

        from lineage.stores.objects import operations_of

        tables = self._reader.scan("operations", where, coded=True)
        return operations_of(pa.concat_tables(tables), self._schemas)

    def load_nodes(self, source_type: str | None = None) -> list[LineageNode]:
        """Load the nodes, merged from all that is known of each, with their neighbours."""
        where = Filter(equal={"source_type": (source_type,)} if source_type else {})
        names = tuple(TABLES["nodes"])
        rows = [
            dict(zip(names, row, strict=True)) for row in merge_nodes(self._tuples("nodes", where))
        ]
        schemas = self._schemas({row["schema_id"] for row in rows})
        nodes = {row["node_id"]: node_from_row(row, schemas) for row in rows}
        for upstream, downstream, *_ in self._tuples("relationships", EVERYTHING):
            if downstream in nodes:
                nodes[downstream].add_dependency(upstream)
            if upstream in nodes:
                nodes[upstream].add_dependent(downstream)
        return [nodes[node_id] for node_id in sorted(nodes)]

    def load_relationships(self) -> list[dict[str, Any]]:
        """Load what depends on what, a dictionary per pair with the columns of the store."""
        names = tuple(TABLES["relationships"])
        rows = merge_relationships(self._tuples("relationships", EVERYTHING))
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for row in found:
            row["created_at"] = from_micros(row["created_at"])
            row["timestamp"] = from_micros(row["timestamp"])
        return found

    def get_storage_stats(self) -> dict[str, Any]:
        """Say where each kind lies, in how many files of how many bytes, and what is pending."""
        manifest, tails = self._reader.snapshot()
        stats: dict[str, Any] = {}
        for kind in KINDS:
            parts = [part for part in manifest.parts if part.kind == kind]
            stats[f"{kind}_path"] = str(self.base_path / f"lineage_{kind}")
            stats[f"{kind}_file_count"] = len(parts)
            stats[f"{kind}_total_size"] = sum(part.size_bytes for part in parts)
            stats[f"{kind}_row_count"] = sum(part.rows for part in parts)
        folder = self.journal.folder
        lost = {path.name: lost_in(path) for path in segment_paths(folder)}
        files = [path.stat().st_size for path in segment_paths(folder)]
        return stats | {
            "pending_operations": sum(tail.operations for tail in tails),
            "journal_path": str(folder),
            "journal_file_count": len(files),
            "journal_total_size": sum(files),
            "lost_operations": sum((manifest.lost | lost).values()),
            "journal_damaged_count": len(list(folder.glob("*.damaged"))),
        }

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind; when this returns they are visible to every reader.

        Raises:
            StoreError: The store cannot be written.
        """
        check_kind(kind)
        self.journal.append_rows(kind, rows)

    def insert_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Put tables straight into sealed parts, with what follows from their operations.

        For very many rows at once: no record is made of each. When this returns they survive a
        power cut, and other programs see them. All of them are there then, or none, unless a date
        has more than a million rows, which go in by the million.

        Args:
            tables: Rows by kind, with the columns of `codec.TABLES`.

        Raises:
            ValueError: There is no such kind, or a table has not the columns of its kind.
            StoreError: The store cannot be written, or its lock was not free in time.
        """
        from lineage.stores.sealing import insert_tables

        self._told(insert_tables(self._target(None), tables))

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, at least one table; `problems` tells what could not be read."""
        check_kind(kind)
        return self._reader.scan(kind, where)

    def freeze(self) -> Snapshot | None:
        """Give the files that hold the rows as of now, for whoever reads them by other means."""
        return self._reader.freeze()

    def distinct(self) -> Distinct:
        """Give the nodes and edges, each once: of what was read the last time, only what is new."""
        return self._reader.distinct()

    def check(self) -> None:
        """Read every file of the store again, from its first byte to its last.

        Raises:
            CorruptStoreError: Something is damaged, missing or newer: names every file.
        """
        reader = self._new_reader()
        reader.meter.tell = self.progress
        for kind in KINDS:
            for _ in reader.scan(kind):
                pass
        if reader.problems:
            raise CorruptStoreError("\n".join(reader.problems))

    def seal(self, *, force: bool = False) -> Sealed:
        """Put all that is pending into Parquet parts, where other programs can read it.

        Args:
            force: End the segments that other hosts began in a shared folder, too. Do so only when
                you know that their writers are gone: one that lives loses what it still writes.

        Raises:
            StoreError: The store cannot be written, or its lock was not free in time.
        """
        done = self._seal(force=force, progress=self.progress)
        self.keep_up()
        return done

    def keep_up(self) -> None:
        """Spare who asks next to read many parts: keep on the disk which nodes and edges they have.

        `seal` and `compact` do so, and who asks; worth a call after many insertions. Does nothing
        when little is new, or the store cannot be written.
        """
        self._reader.keep_up()

    def compact(self) -> Compacted:
        """Merge the visible parts of each date into few; readers of this package stay exact.

        A program that reads the Parquet folders itself may meanwhile count rows twice.

        Raises:
            StoreError: The store cannot be written, or its lock was not free in time.
        """
        from lineage.stores.compaction import compact_store

        done = compact_store(self.base_path)
        self.keep_up()
        return done

    def collect_garbage(self) -> Collected:
        """Remove files that killed processes left and nothing refers to.

        Raises:
            StoreError: The store cannot be written, or its lock was not free in time.
        """
        from lineage.stores.garbage import collect_garbage

        return collect_garbage(self.base_path)

    def waiting_segments(self) -> list[dict[str, Any]]:
        """Describe the segments of the journal: whose each is, and whether its writer lives.

        `state` is `live`, `dead` (the next seal adopts it) or `foreign` (of another host, whose
        writer cannot be seen from here: `seal(force=True)` adopts it).
        """
        return waiting_segments(self.journal.folder)

    def cleanup(self, older_than: timedelta | float, *, now: datetime | None = None) -> Cleaned:
        """Remove the dates that were over `older_than` ago (hours when a number), from all kinds.

        What is left is the lineage of the operations that are left. Says what it removed.
        """
        from lineage.stores.retention import cutoff_of, remove_older

        cutoff = cutoff_of(older_than, now)
        self.journal.close()
        self._seal(only_due=True, now=now)
        return remove_older(self.base_path, cutoff)

    def close(self, timeout_s: float | None = None) -> None:
        """Seal what this process has written and let go of it; the next save opens it again.

        What is written on a day that has 64 parts already waits until there is more of it, or
        the day is over.

        Args:
            timeout_s: Most seconds to take: what is not sealed by then stays in the journal. When
                None, half a minute for the store's lock, and as long as it takes for the rest.

        Raises:
            StoreError: The store cannot be written, or the time was over.
        """
        until = _Deadline(timeout_s)
        self.journal.close()
        own = f"-{os.getpid()}-"
        if any(own in path.name for path in segment_paths(self.journal.folder)):
            until("import")
            self._seal(only_due=True, wait_s=timeout_s, step=until)

    def _new_reader(self) -> StoreReader:
        return StoreReader(self.base_path)

    def _seal(self, **rules: Any) -> Sealed:
        from lineage.stores.sealing import seal_store

        return self._told(seal_store(self._target(rules.get("wait_s")), **rules))

    def _target(self, _wait_s: float | None) -> Path | Target:
        """Say where a seal puts its parts that may take so long."""
        return self.base_path

    def _told(self, done: Sealed) -> Sealed:
        for problem in done.problems:
            self._reader.note(problem)
        return done

    def _save_schemas(self, rows: list[dict[str, Any]]) -> None:
        """Save those that the open segment does not hold: only it is sure to be kept with it."""
        if not rows:
            return
        segment = self.journal.open().token
        token, known = self._written_schemas
        if token is not segment:
            known = set()
            self._written_schemas = (segment, known)
        new = [row for row in rows if row["schema_id"] not in known]
        self.append("schemas", new)
        known.update(row["schema_id"] for row in new)

    def _schemas(self, wanted: Iterable[str | None]) -> dict[str, Any]:
        ids = tuple(sorted({name for name in wanted if name}))
        if not ids:
            return {}
        rows = self._tuples("schemas", Filter(equal={"schema_id": ids}))
        return {name: from_json(text) for name, text, _ in rows}

    def _tuples(self, kind: str, where: Filter) -> list[tuple[Any, ...]]:
        from lineage.stores.tables import rows_of

        return [row for table in self.scan(kind, where) for row in rows_of(table)]


class _Deadline:
    """Refuse the steps of a seal that would begin too late, while nothing is left half done."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._until = None if timeout_s is None else monotonic() + timeout_s

    def __call__(self, step: str) -> None:
        if self._until is None or monotonic() < self._until:
            return
        if step == "import" or step.startswith(("read", "stage", "put", "offer")):
            raise StoreError(
                f"sealing took more than {self._timeout_s:.3g} s; what is not sealed stays in the "
                "journal, where every reader on this host finds it, and the next seal takes it"
            )


def _moment(at: date | datetime | None, of_day: time) -> datetime | None:
    if at is None or isinstance(at, datetime):
        return at
    return datetime.combine(at, of_day, UTC)

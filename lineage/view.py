"""A store as of one moment: what was read of it, each kind at its first need."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.analysis import versions
from lineage.analysis.column_edges import EdgeTable
from lineage.analysis.nodes import Merged
from lineage.analysis.operations import OperationTable
from lineage.analysis.tables import since, times_as_integers
from lineage.analysis.versions import VersionGraph
from lineage.codec import from_json, from_micros, operation_from_row
from lineage.errors import ConfigError
from lineage.questions import Questions
from lineage.relations import Relations
from lineage.stores.reading import MovedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.core import DataOperation
    from lineage.stores.base import Store
    from lineage.stores.reading import Snapshot

T = TypeVar("T")


class View:
    """What was read of a store, each kind at its first need.

    Args:
        store: What is read.
        revision: That of the store when the view was made; kept for who compares.
        scope: Says of which time the store is, when it is not of now.
        before: The view before this one, of the same store.
    """

    def __init__(
        self,
        store: Store,
        revision: Any,
        scope: Callable[[], str] = str,
        *,
        before: View | None = None,
    ) -> None:
        self._before = None if before is None else before.read_so_far()
        self._scope = scope
        self._store = store
        self.revision = revision

    def read_so_far(self) -> Merged | None:
        """Give the nodes and edges as they were read, here or before; None when they were not."""
        found: Merged | None = self.__dict__.get("merged", self._before)
        return found

    @cached_property
    def merged(self) -> Merged:
        """The nodes, and what was made from what."""
        distinct = getattr(self._store, "distinct", None)
        if distinct is not None:
            before, self._before = self._before, None
            return Merged(distinct(), lambda: self.schemas, scope=self._scope, before=before)
        tables = self.read("nodes"), self.read("relationships")
        return Merged.of_tables(*tables, schemas=lambda: self.schemas, scope=self._scope)

    @cached_property
    def schemas(self) -> dict[str, Any]:
        """The known schemas by id."""
        table = self.read("schemas")
        texts = dict(zip(table["schema_id"].to_pylist(), table["schema_info"], strict=True))
        return {name: from_json(text.as_py()) for name, text in texts.items()}

    @cached_property
    def operations(self) -> OperationTable:
        """All operations, all columns."""
        return OperationTable(self.read("operations"), self.merged.graph, lambda: self.schemas)

    @cached_property
    def questions(self) -> Questions:
        """What answers queries in SQL."""
        return Questions(self, self.relations)

    @cached_property
    def relations(self) -> Relations:
        """What the analyses of operations ask."""
        return Relations(self)

    @cached_property
    def versions(self) -> VersionGraph:
        """What was made from what, version by version."""
        return VersionGraph(self.columns(versions.COLUMNS), scope=self._scope)

    @cached_property
    def column_edges(self) -> EdgeTable:
        """The edges between columns, each once."""
        return EdgeTable(self.read("column_edges"))

    @cached_property
    def products(self) -> list[dict[str, Any]]:
        """The registrations of data products, a row each."""
        rows: list[dict[str, Any]] = self.read("products").to_pylist()
        return rows

    @cached_property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs by id, each as it was told last."""
        rows = self.read("runs").to_pylist()
        ended = sorted(rows, key=lambda row: row["ended_at"] is not None)
        return {row["run_id"]: row for row in ended if row["run_id"]}

    @cached_property
    def processes(self) -> dict[str, dict[str, Any]]:
        """The processes by what the ids of their operations begin with, as they were told last."""
        rows = self.read("processes").sort_by("timestamp").to_pylist()
        return {row["process_key"]: row for row in rows if row["process_key"]}

    @cached_property
    def environments(self) -> dict[str, dict[str, Any]]:
        """The environments by id, each as it was told last."""
        rows = self.read("environments").sort_by("timestamp").to_pylist()
        return {row["environment_id"]: row for row in rows if row["environment_id"]}

    def content(self, content_id: str | None) -> str | None:
        """Give a text that is kept by its digest; None where it is not kept."""
        if content_id is None:
            return None
        rows = self.read("contents", equal={"content_id": (content_id,)}).to_pylist()
        return rows[0]["text"] if rows else None

    def decode(self, rows: NDArray[np.integer[Any]]) -> list[DataOperation]:
        """Make the operations of some rows."""
        return self.operations.make(rows)

    def columns(self, names: tuple[str, ...], *, start: datetime | None = None) -> pa.Table:
        """Read some columns of the operations that began from `start` on; () for all columns."""
        if "operations" in self.__dict__:
            return since(self.operations.source, start)
        return self.read("operations", start=start, columns=names)

    def ask(self, analyse: Callable[..., T], **options: Any) -> T:
        """Have an analysis answer over the operations: a function of a `Read`, and of options.

        Raises:
            StoreError: A file of the store went away, and another when it was asked again.
        """
        try:
            return self.relations.ask(partial(analyse, **options))
        except MovedError:
            del self.relations
            self.__dict__.pop("questions", None)
            return self.relations.ask(partial(analyse, **options))

    def fetch(self, rows: pa.Table) -> list[DataOperation]:
        """Make the operations of rows with `operation_id` and `timestamp`, in their order."""
        ids, times = rows["operation_id"].to_pylist(), rows["timestamp"].to_pylist()
        start, end = from_micros(min(times)), from_micros(max(times))
        found = self.read("operations", start=start, end=end, equal={"operation_id": tuple(ids)})
        made = {row["operation_id"]: row for row in times_as_integers(found).to_pylist()}
        if gone := set(ids) - made.keys():
            raise MovedError(f"operations are gone, cleaned up meanwhile: {', '.join(gone)}")
        return [operation_from_row(made[each], self.schemas) for each in ids]

    def rows(self, kind: str, names: tuple[str, ...], *, start: datetime | None) -> pa.Table:
        """Read some columns of the rows of a kind that began from `start` on."""
        if kind == "operations":
            return self.columns(names, start=start)
        return self.read(kind, start=start, columns=names)

    def freeze(self) -> Snapshot | None:
        """Give the files of a store in a local folder as of now; None for any other store."""
        freeze = getattr(self._store, "freeze", None)
        return None if freeze is None else freeze()

    def problems(self) -> list[str]:
        """Say what of the store could not be read so far."""
        return list(getattr(self._store, "problems", ()))

    def read(self, kind: str, **where: Any) -> pa.Table:
        """Read the rows of a kind, with every column asked for.

        Raises:
            ConfigError: No such kind.
        """
        import pyarrow as pa

        from lineage.stores.base import KINDS, Filter
        from lineage.stores.tables import empty_table

        if kind not in KINDS:
            raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        empty = empty_table(kind)
        names = list(where.get("columns") or empty.column_names)
        tables = [empty.select(names), *self._store.scan(kind, Filter(**where))]
        return pa.concat_tables(tables, promote_options="default").select(names)


def store_of(source: Any) -> Store:
    """Give the store of a tracker, a store itself, or open the one at a path or URL.

    Raises:
        ConfigError: It is none of these.
        StoreError: The store cannot be opened.
    """
    if isinstance(source, str | Path):
        from lineage.stores.base import open_store

        return open_store(source)
    store = getattr(source, "store", source)
    if not hasattr(store, "scan"):
        raise ConfigError(
            f"cannot ask {type(source).__name__!r} for lineage; give a tracker, a store, "
            "or the path or URL of a store"
        )
    found: Store = store
    return found

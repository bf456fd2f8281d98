"""The rows of a store as the log knows them: one text per row, wherever the row lies.

A row is the JSON object `{KIND: {COLUMN: VALUE}}` in UTF-8: no blanks, columns by name, times in
microseconds since 1970, what is null or an empty list left out. So a row keeps its bytes when its
part is compacted, and when a later version adds columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lineage.audit.entries import Record
from lineage.codec import REF, TABLES
from lineage.stores.base import EVERYTHING
from lineage.stores.parts import scan_part
from lineage.stores.tables import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.manifest import Part

_REF_AT = sorted((name, at) for at, name in enumerate(REF))


def records_of(kind: str, table: pa.Table) -> Iterator[Record]:
    """Yield the records of a table's rows; the table has the columns of the kind, in order."""
    names = list(TABLES[kind])
    refs = {name for name, word in TABLES[kind].items() if word == "refs"}
    at_time, ordered = names.index("timestamp"), sorted((name, at) for at, name in enumerate(names))
    for row in rows_of(table):
        told: dict[str, Any] = {}
        for name, at in ordered:
            value = row[at]
            if name in refs:
                value = [_named(ref) for ref in value]
            if value is not None and value != []:
                told[name] = value
        yield Record(msgspec.json.encode({kind: told}), row[at_time] or 0, f"{kind} {row[0]}")


def part_records(store: Path, part: Part, data: bytes | None = None) -> Iterator[Record]:
    """Yield the records of a part's rows, in their order; `data` are the bytes of its file.

    Raises:
        CorruptStoreError: It is damaged, or a newer version wrote it.
    """
    for table in scan_part(store, part, EVERYTHING, data=data):
        yield from records_of(part.kind, table)


def _named(ref: tuple[Any, ...]) -> dict[str, Any]:
    return {name: ref[at] for name, at in _REF_AT if ref[at] is not None}

"""A record of a store by its id: its canonical bytes, and the leaf that it is."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.compute as pc

from lineage.audit.entries import Head, Record
from lineage.audit.files import LogFiles
from lineage.audit.holdings import FILES, holdings_of, leaves_of_part
from lineage.audit.rows import part_records
from lineage.codec import TABLES
from lineage.errors import AuditError
from lineage.stores.auditor import AUDIT
from lineage.stores.base import KINDS, Filter
from lineage.stores.manifest import read_bytes
from lineage.stores.parts import scan_part

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.audit.holdings import Held


class Found(NamedTuple):
    """A record, and where the log has it."""

    record: Record
    head: Head
    leaf: int


def find_record(store: Path, record_id: str) -> Found:
    """Find what is logged under an id: a snapshot, an attestation, an operation, a run and so on.

    Of several rows about one thing, such as of a run that ended, it is the newest that was logged.

    Args:
        store: The folder of the store.
        record_id: What the first column of its kind says.

    Raises:
        AuditError: Nothing sealed has that id, or the log is damaged.
        CorruptStoreError: A part cannot be read.
    """
    files = LogFiles(store / AUDIT)
    known = holdings_of(map(Head.parse, files.lines()))
    for head in known.heads:
        if head.kind in FILES and head.content["sha256"] == record_id:
            data = read_bytes(store / head.content["path"])
            if data is not None:
                return Found(Record(data, head.content["event_time"]), head, head.first + 1)
    for kind in KINDS:
        found = [
            (leaf, record)
            for held in known.parts.values()
            if held.part.kind == kind
            for leaf, record in _rows_of(store, held, record_id)
        ]
        if found:
            leaf, record = max(found, key=lambda each: each[0])
            return Found(record, known.head_of(leaf), leaf)
    raise AuditError(
        f"nothing sealed has the id {record_id!r}; what is not sealed is not in the log: run "
        "lineage seal"
    )


def _rows_of(store: Path, held: Held, record_id: str) -> list[tuple[int, Record]]:
    part = held.part
    name = next(iter(TABLES[part.kind]))
    places: list[int] = []
    seen = 0
    for table in scan_part(store, part, Filter(columns=(name,))):
        mask = pc.equal(table[name], record_id).fill_null(False)  # noqa: FBT003 - Arrow's own
        places += [seen + at for at in pc.indices_nonzero(mask).to_pylist()]
        seen += table.num_rows
    if not places:
        return []
    leaves = leaves_of_part(store / AUDIT, held)
    records = list(islice(part_records(store, part), places[-1] + 1))
    return [(int(leaves[at]), records[at]) for at in places]

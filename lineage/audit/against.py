"""Any store held against one that has a log: a database or a bucket is proven by that.

A row of a database has no bytes that stay as they are, so that it can have no log of its own; but
it can be the same as a row of a store in a folder, which has.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lineage.audit.verifying import Finding
from lineage.stores.differing import differences
from lineage.stores.parquet import LineageMetadataRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.stores.base import Store

_MOST_FOUND = 20
_SAID = {
    "edited": "it is not the row of the store with the log",
    "deleted": "the store with the log has it",
    "inserted": "the store with the log does not have it",
}


def verify_against(
    store: Path,
    other: Store,
    shown: str,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[Finding]:
    """Say in what another store is not the one that has a log; 20 findings at most.

    What the store with the log has not sealed yet is compared, too, and is as little proven as
    there. Who writes to one of them meanwhile makes a difference.

    Args:
        store: The folder of the store with the log, which is to be verified by itself.
        other: The store that is held against it.
        shown: What the other one is called in findings.
        progress: See `differences`.

    Raises:
        StoreError: One of them cannot be read.
    """
    one = LineageMetadataRepository(store)
    found = islice(differences(one, other, progress=progress), _MOST_FOUND)
    return [
        Finding(what, f"{shown}, {kind} {name}"[:300], _SAID[what]) for what, kind, name in found
    ]

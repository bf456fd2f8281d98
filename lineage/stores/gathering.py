"""What the parts of a store come to, brought on as there are more of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lineage.stores import memo
from lineage.stores.distinct import grown, reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.distinct import Distinct
    from lineage.stores.manifest import Part
    from lineage.stores.memo import Gathered

_log = logging.getLogger("lineage")

WORTH_ROWS = 100_000
"""Fewer new rows than this are read from their parts about as quickly as from a memo."""
_BATCH_ROWS = 200_000


class Gatherer:
    """Remember what the parts of a store come to, and read what is new.

    A memo on the disk spares the next reader the same. It is written anew when at least half as
    many rows as it has were read besides, so that of each row little is written however many there
    are.

    Args:
        store: The folder that has the manifest, or the journal when that is elsewhere.
        read: Gives the rows of a part, with the columns that are needed, and says whether these
            are all.
        now: Gives the parts of nodes and relationships as of now.
    """

    def __init__(
        self,
        store: Path,
        read: Callable[[Part], tuple[list[pa.Table], bool]],
        now: Callable[[], Sequence[Part]],
    ) -> None:
        self._store = store
        self._read = read
        self._now = now
        self._known = memo.no_parts()

    def keep_up(self, parts: Sequence[Part]) -> None:
        """Bring the memo on when parts have as many new rows as it has: for those who write."""
        new, kept = memo.waiting(self._store, parts)
        if new >= max(WORTH_ROWS, kept):
            self.gather(parts, is_kept=True)

    def gather(self, parts: Sequence[Part], *, is_kept: bool = False) -> Distinct:
        """Give what some parts of nodes and relationships come to.

        From one on that cannot be read whole, none is remembered: they are read again each time.

        Args:
            parts: The parts, in the order of the manifest.
            is_kept: Write the memo, however little is new.
        """
        known = self._known
        if not (known.covered and known.is_of(parts)):
            known = self._recalled(parts)
        batch: list[tuple[str, pa.Table]] = []
        for number in range(known.covered, len(parts)):
            tables, is_whole = self._read(parts[number])
            if not is_whole:
                self._known = known
                batch += [(parts[number].kind, table) for table in tables]
                return grown(known.distinct, [*batch, *self._others(parts[number + 1 :])])
            batch += [(parts[number].kind, table) for table in tables]
            if _rows_of(batch) > max(_BATCH_ROWS, 2 * known.least):
                known, batch = _reduced(_and(known, batch, parts[: number + 1])), []
        self._known = known = _and(known, batch, parts)
        if is_kept or known.added >= max(WORTH_ROWS, known.least // 2):
            self._known = known = self._kept(_reduced(known))
        elif known.distinct.rows - known.least > max(WORTH_ROWS, known.least // 2):
            self._known = known = _reduced(known)
        return known.distinct

    def _recalled(self, parts: Sequence[Part]) -> Gathered:
        found = memo.load(self._store, parts)
        if found is None:
            memo.forget(self._store)  # it tells of what is not there any more, or is damaged
        return found or memo.no_parts()

    def _others(self, parts: Sequence[Part]) -> list[tuple[str, pa.Table]]:
        return [(part.kind, table) for part in parts for table in self._read(part)[0]]

    def _kept(self, known: Gathered) -> Gathered:
        try:
            memo.save(self._store, known)
            if not known.is_of(self._now()):  # dates were removed meanwhile
                memo.forget(self._store)
        except OSError as error:
            _log.debug("what the parts of %s come to is not kept: %s", self._store, error)
        return known._replace(added=0)


def _rows_of(batch: list[tuple[str, pa.Table]]) -> int:
    return sum(table.num_rows for _, table in batch)


def _and(known: Gathered, batch: list[tuple[str, pa.Table]], parts: Sequence[Part]) -> Gathered:
    """Add rows, those of all parts that are not in yet."""
    return known._replace(
        covered=len(parts),
        key=memo.key_of(parts),
        distinct=grown(known.distinct, batch),
        added=known.added + _rows_of(batch),
    )


def _reduced(known: Gathered) -> Gathered:
    if known.distinct.rows == known.least:
        return known
    distinct = reduced(known.distinct)
    return known._replace(distinct=distinct, least=distinct.rows)

"""The recorder: what every way of tracking ends in, one record for one finished operation."""

from __future__ import annotations

import logging
import secrets
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

from lineage.errors import StoreError
from lineage.redact import redact_text
from lineage.stores.records import OPERATION, Origin, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lineage.links import Ref
    from lineage.stores.base import RecordJournal, RecordSegment
    from lineage.stores.records import Definition

logger = logging.getLogger("lineage")

Outcome = tuple[Any, ...]
"""The last elements of an OPERATION record: operation id, parent id, thread, start in ns since
1970, duration in ns, error as (type, text) or None, parameters, records in, records out."""


numbers = count(1)
_MOST_TEXT = 2000
_ATTEMPTS = 6
_MORE = 1 << 20
_ORIGINS = 1000


class Recorder:
    """Give operations their ids and write them to a journal; count what could not be written.

    Args:
        journal: Where records go.

    `notify`, when set, is called with (site, origin, (inputs, outputs), outcome) after each one. Of
    the `lost` operations, `gone` were written and then deleted by others, and the store knows of
    `noted`.
    """

    def __init__(self, journal: RecordJournal) -> None:
        self.journal = journal
        self.notify: Callable[..., None] | None = None
        self.prefixes: list[str] = []
        self.renew()

    def renew(self) -> None:
        """Start new ids and counts: a forked child must not go on with those of its parent."""
        self.lost = 0
        self.last_error: str | None = None
        self.recorded = 0
        self.gone = self.noted = 0
        self.prefix = f"{secrets.token_hex(8)}-"
        self.prefixes.append(self.prefix)
        self._origins: dict[str | None, Origin] = {}
        self._lock = threading.RLock()

    @property
    def revision(self) -> tuple[str, int]:
        """A value that changes with every operation recorded."""
        return self.prefix, self.recorded

    def next_id(self) -> tuple[str, int]:
        """Give a new operation id and its number; numbers grow as operations start."""
        number = next(numbers)
        return f"{self.prefix}{number}", number

    def origin(self, run_id: str | None) -> Origin:
        """Give the origin of the operations of a run, or of those that are in none."""
        known = self._origins.get(run_id)
        if known is None:
            if len(self._origins) >= _ORIGINS:
                self._origins.clear()
            known = self._origins[run_id] = Origin(self.prefix, run_id)
        return known

    def inside(self, origin: Origin) -> Origin:
        """Give the origin of the operations in the run of another recorder's, or of a parent's."""
        return origin if origin.prefix is self.prefix else self.origin(origin.run_id)

    def record(
        self,
        site: Definition,
        origin: Definition,
        inputs: Sequence[Ref],
        outputs: Sequence[Ref],
        outcome: Outcome,
    ) -> None:
        """Write one finished operation; when this returns the store has it.

        Raises:
            StoreError: It could not be written.
        """
        journal = self.journal
        segment = journal.segment or journal.open()
        payload = b""
        try:
            payload = _encode(segment, site, origin, inputs, outputs, outcome)
            segment.write(encode((digest(payload), payload)))
        except (StoreError, ValueError) as error:
            if type(error) is ValueError:
                journal.retire(segment, len(payload))
            if journal.segment is segment:
                raise
            # The segment is full, or took a part of the frame: once more, into the next one.
            self._write_on(site, origin, inputs, outputs, outcome)
        self.recorded += 1
        if self.notify is not None:
            try:
                self.notify(site, origin, (inputs, outputs), outcome)
            except Exception:
                # Not to the caller: the record is written, and must not be written again.
                logger.exception("telling the subscribers of an operation failed")

    def _write_on(self, *record: Any) -> None:
        for attempt in range(_ATTEMPTS):
            segment = self.journal.open()
            try:
                payload = _encode(segment, *record)
                segment.append(payload)
            except StoreError:
                if attempt == _ATTEMPTS - 1 or self.journal.segment is segment:
                    raise
                # Other threads have filled it, or it takes many large definitions: ask for more.
                self.journal.retire(segment, _MORE << attempt)
            else:
                return

    def lose(self, problem: BaseException, count: int = 1) -> None:
        """Count operations that could not be recorded or kept, and keep why for whoever asks."""
        with self._lock:
            self.lost += count
        try:
            self.last_error = redact_text(f"{type(problem).__name__}: {problem}"[:_MOST_TEXT])
        except Exception:  # noqa: BLE001 - the text of a hostile exception
            self.last_error = type(problem).__name__


def _encode(
    segment: RecordSegment,
    site: Definition,
    origin: Definition,
    inputs: Sequence[Ref],
    outputs: Sequence[Ref],
    outcome: Outcome,
) -> bytes:
    token = segment.token
    if site.token is not token:
        segment.define(site)
    if origin.token is not token:
        segment.define(origin)
    record = (
        OPERATION,
        site.number,
        origin.number,
        _numbered(segment, token, inputs) if inputs else (),
        _numbered(segment, token, outputs) if outputs else (),
    )
    payload = encode(record + outcome)
    if segment.token is token:
        return payload
    # Meanwhile other threads have made it forget what was defined.
    return _encode(segment, site, origin, inputs, outputs, outcome)


def _numbered(segment: RecordSegment, token: object, refs: Sequence[Ref]) -> Sequence[Any]:
    if len(refs) == 1:  # most often; the loop takes twice the time
        ((source, version, schema, rows),) = refs
        if source.token is token and schema is not None and schema.token is token:
            return ((source.number, version, schema.number, rows),)
    numbered = []
    for source, version, schema, rows in refs:
        if source.token is not token:
            segment.define(source)
        if schema is not None and schema.token is not token:
            segment.define(schema)
        known = None if schema is None else schema.number
        numbered.append((source.number, version, known, rows))
    return numbered

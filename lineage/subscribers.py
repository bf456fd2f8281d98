"""Who wants to hear of operations, runs and snapshots, and what they are told.

An operation is made of the very record that was written, on the thread that wrote it: nothing is
read back, and an event costs tens of microseconds whatever the store holds. No lock is held while
a subscriber runs, so that one that blocks keeps only its own thread.
"""

from __future__ import annotations

import logging
import threading
import traceback
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from lineage import codec
from lineage.events import EventBus
from lineage.redact import redact_text
from lineage.stores.records import OPERATION, SCHEMA, RecordDecoder, encode, process_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.core import DataOperation
    from lineage.links import Ref
    from lineage.stores.records import Definition

logger = logging.getLogger("lineage")

STARTED, STOPPED = "tracker.started", "tracker.stopped"
EVENTS = (
    *("operation.completed", "operation.failed", "run.started", "run.ended"),
    *("snapshot.created", STARTED, STOPPED),
)
_MOST_DEFINITIONS = 10_000
_MOST_TEXT = 500
_OPERATION, _REF = tuple(codec.TABLES["operations"]), tuple(codec.REF)


class Writer(Protocol):
    """What can be attached to a tracker: it writes somewhere what it is told."""

    def write(self, event: str, subject: Any) -> object:
        """Take an event, on the thread of the tracked call: quickly, without waiting."""


class Subscribers(EventBus):
    """Those who subscribed to the events of one tracker: what they raise goes no further.

    Args:
        tracker: Whose they are.

    Attributes:
        undelivered: How often one was not told, or failed when it was.
        last_error: Why, the last time that one failed; without secrets.
    """

    def __init__(self, tracker: object) -> None:
        super().__init__()
        self._tracker = weakref.ref(tracker)
        self.undelivered = 0
        self.last_error: str | None = None
        self._has_started = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child, with locks that no thread of the parent holds."""
        self.changing, self._telling = threading.RLock(), threading.local()
        self._echo = _Echo()

    def publish(self, event: str, *subjects: Any, **payload: Any) -> None:
        """Tell all who subscribed to an event; what one raises is logged and counted."""
        self._start()
        self._tell(event, *subjects, **payload)

    def stop(self) -> None:
        """Tell that the tracker is closed, if anyone heard that it had started."""
        with self.changing:
            has_started, self._has_started = self._has_started, False
        if has_started:
            self._tell(STOPPED, self._tracker())

    def _start(self) -> None:
        """Tell that the tracker has started, before the first of all that anyone is told."""
        if self._has_started or not any(self._handlers.values()):
            return
        with self.changing:
            has_started, self._has_started = self._has_started, True
        if not has_started:
            self._tell(STARTED, self._tracker())

    def _tell(self, event: str, *subjects: Any, **payload: Any) -> None:
        outside = getattr(self._telling, "now", False)
        for _, callback in self._handlers.get(event, ()):
            self._telling.now = True
            try:
                callback(*subjects, **payload)
            except KeyboardInterrupt:
                raise
            except BaseException as problem:  # noqa: BLE001 - told, but not with the secrets in its text
                self._miss(1, problem)
                trace = redact_text(traceback.format_exc())
                logger.error("a subscriber to %s failed\n%s", event, trace)
            finally:
                self._telling.now = outside

    def tell(
        self,
        site: Definition,
        origin: Definition,
        refs: tuple[Sequence[Ref], Sequence[Ref]],
        outcome: tuple[Any, ...],
    ) -> None:
        """Tell of an operation that was recorded just now.

        What a subscriber records itself is told to nobody, or it might never end; it is counted.
        """
        event = "operation.completed" if outcome[5] is None else "operation.failed"
        self._start()
        callbacks = self._handlers.get(event, ())
        if not callbacks:
            return
        if getattr(self._telling, "now", False):
            self._miss(len(callbacks))
            return
        try:
            operation = self._echo.operation(site, origin, refs, outcome)
        except Exception:
            self._miss(len(callbacks))
            raise
        self._tell(event, operation)

    def _miss(self, count: int, problem: BaseException | None = None) -> None:
        with self.changing:
            self.undelivered += count
        if problem is not None:
            try:
                self.last_error = redact_text(f"{type(problem).__name__}: {problem}"[:_MOST_TEXT])
            except Exception:  # noqa: BLE001 - the text of a hostile exception
                self.last_error = type(problem).__name__


class _Echo:
    """Make the operation of a record, as whoever reads it from the store will."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._decoder = RecordDecoder()
        self._decoder.header = process_header()
        self._known: set[int] = set()
        self._schemas: dict[str, Any] = {}

    def operation(
        self,
        site: Definition,
        origin: Definition,
        refs: tuple[Sequence[Ref], Sequence[Ref]],
        outcome: tuple[Any, ...],
    ) -> DataOperation:
        """Give the operation."""
        with self._lock:
            if len(self._known) > _MOST_DEFINITIONS:
                self._clear()
            known = self._number(site), self._number(origin)
            numbers = (OPERATION, *known, *map(self._numbers, refs))
            rows: list[tuple[Any, ...]] = []
            while not rows:  # a signal's handler that is tracked may have taken them
                tables = self._decoder.tables = {}
                self._decoder.feed(encode((*numbers, *outcome)))
                rows = [row for row in tables.get("operations", ()) if row[0] == outcome[0]]
            row = dict(zip(_OPERATION, rows[0], strict=True))
            for side in ("inputs", "outputs"):
                row[side] = [dict(zip(_REF, ref, strict=True)) for ref in row[side]]
            return codec.operation_from_row(row, self._schemas)

    def _numbers(self, refs: Sequence[Ref]) -> list[tuple[Any, ...]]:
        return [
            (self._number(source), version, None if schema is None else self._number(schema), rows)
            for source, version, schema, rows in refs
        ]

    def _number(self, definition: Definition) -> int:
        number = definition.number
        if number not in self._known:
            self._decoder.feed(encode((definition.tag, number, *definition.fields)))
            if definition.tag == SCHEMA:
                _, identity, info = definition.fields
                self._schemas[identity] = codec.from_json(info)
            self._known.add(number)
        return number

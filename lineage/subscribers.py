"""Who wants to hear of operations and runs as they finish, and what they are told.

An operation is made of the very record that was written, on the thread that wrote it: nothing is
read back, and an event costs tens of microseconds whatever the store holds. No lock is held while
a subscriber runs, so that one that blocks keeps only its own thread.
"""

from __future__ import annotations

import logging
import threading
import traceback
from typing import TYPE_CHECKING, Any

from lineage import codec
from lineage.redact import redact_text
from lineage.stores.records import OPERATION, SCHEMA, RecordDecoder, encode, process_header

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lineage.core import DataOperation
    from lineage.links import Ref
    from lineage.stores.records import Definition

    Callback = Callable[[Any], object]

logger = logging.getLogger("lineage")

EVENTS = ("operation.completed", "operation.failed", "run.started", "run.ended")
_MOST_DEFINITIONS = 10_000
_OPERATION, _REF = tuple(codec.TABLES["operations"]), tuple(codec.REF)


class Subscribers:
    """Those who subscribed to the events of one tracker."""

    def __init__(self) -> None:
        self._callbacks: dict[str, tuple[tuple[object, Callback], ...]] = {}
        self.undelivered = 0
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child, with locks that no thread of the parent holds."""
        self.changing, self._telling = threading.RLock(), threading.local()
        self._echo = _Echo()

    def add(self, event: str, callback: Callback) -> object:
        """Add a subscriber; gives a token for `remove`."""
        token = object()
        with self.changing:
            known = self._callbacks.get(event, ())
            self._callbacks[event] = (*known, (token, callback))
        return token

    def remove(self, event: str, token: object) -> bool:
        """Remove a subscriber, or do nothing if it is gone; tells whether any is left."""
        with self.changing:
            known = self._callbacks.get(event, ())
            self._callbacks[event] = tuple(each for each in known if each[0] is not token)
            return any(self._callbacks.values())

    def publish(self, event: str, subject: Any) -> None:
        """Tell all who subscribed to an event; what one raises is logged and counted."""
        outside = getattr(self._telling, "now", False)
        for _, callback in self._callbacks.get(event, ()):
            self._telling.now = True
            try:
                callback(subject)
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 - told, but not with the secrets in its text
                self._miss(1)
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
        callbacks = self._callbacks.get(event, ())
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
        self.publish(event, operation)

    def _miss(self, count: int) -> None:
        with self.changing:
            self.undelivered += count


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

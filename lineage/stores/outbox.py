"""An outbox: the journal of a store that is elsewhere, and what carries it there.

A tracked call appends to a segment on the local disk, as it does for a store in a folder, and
returns; a thread carries what is new to the store each second, a segment's rows and how far it
has come in one transaction of the store. So the store may hang or be away for as long as it
likes: nothing waits for it but that thread, and what could not be carried is carried by the next
process that uses the same outbox, once.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lineage.errors import StoreError
from lineage.stores.adoption import adopt
from lineage.stores.decoding import SegmentReader, segment_paths
from lineage.stores.journal import Journal
from lineage.stores.levels import ArrivingSegment
from lineage.stores.records import RecordDecoder
from lineage.stores.tails import Meter, TailReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lineage.stores.records import Tables
    from lineage.stores.segments import Segment
    from lineage.stores.tails import Tail

_log = logging.getLogger("lineage")

INTERVAL_S = 1.0
LONGEST_PAUSE_S = 30.0
WAIT_S = 30.0
ARRIVAL_S = 10.0
"""Most seconds that a call waits until what it recorded is in the store, at `remote`."""
_FORK_WAIT_S = 0.2
_OVERTAKEN = 10
_AGAIN = "the next program that uses this store, or by `lineage seal`"


class Mark(NamedTuple):
    """How far the store has a segment, and how many lost operations it knows of from it."""

    position: int = 0
    lost: int = 0


class Carried(NamedTuple):
    """A stretch of a segment on its way."""

    segment: str
    before: Mark
    after: Mark
    tables: Tables


class Sink(Protocol):
    """The store that an outbox is for."""

    def marks(self, segments: Iterable[str]) -> Mapping[str, Mark]:
        """Say how far the store has each of these segments, if it has something of them."""

    def accept(self, carried: Carried) -> bool:
        """Keep the rows and the new mark in one transaction.

        False, and nothing kept, when the mark is no more the one before: someone else came first.
        """

    def finish(self, segments: Iterable[str]) -> None:
        """Hear that segments are gone: their marks are needed no longer."""


@dataclass(slots=True)
class Delivered:
    """What a delivery did: rows kept, segments deleted, bytes that are no records, problems.

    Attributes:
        rows_refused: How many rows the store has refused, now or before, and has not taken yet.
        overtaken: Of how many segments another process was delivering as well, and was first.
    """

    rows: dict[str, int] = field(default_factory=dict)
    rows_refused: int = 0
    overtaken: int = 0
    segments_removed: int = 0
    damaged_bytes: int = 0
    problems: list[str] = field(default_factory=list)


class _OutboxJournal(Journal):
    """A journal that says when it opens a segment, and when it is full: there is much to carry."""

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        self._outbox = weakref.ref(outbox)
        super().__init__(folder, on_full=self._hasten)

    def open(self) -> Segment:
        is_new = self.segment is None
        segment = super().open()
        outbox = self._outbox()
        if is_new and outbox is not None:
            outbox.start()
        return segment

    def _create(self) -> Segment:
        segment = super()._create()
        if isinstance(segment, ArrivingSegment):
            segment.arrive = self._arrive
        return segment

    def _arrive(self) -> None:
        outbox = self._outbox()
        if outbox is not None:
            outbox.arrive()

    def _hasten(self) -> None:
        outbox = self._outbox()
        if outbox is not None:
            outbox.hasten()


class Outbox:
    """Keep records on the local disk until the store has them; threads may use it at once.

    Args:
        folder: Where the segments lie; made with the first one.
        sink: The store.
        shown: What the store is called in messages.
        again: Who delivers later what could not be, in messages.
    """

    def __init__(self, folder: Path, sink: Sink, shown: str, *, again: str = _AGAIN) -> None:
        self.folder = folder
        self.journal: Journal = _OutboxJournal(folder, self)
        self.problems: dict[str, None] = {}
        self.meter = Meter()
        self.unarrived = 0
        self._sink = sink
        self._shown = shown
        self._again = again
        self._new_locks()
        _outboxes.add(self)

    def _new_locks(self) -> None:
        self._delivering = threading.Lock()
        self._turned = threading.Condition(threading.RLock())
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._asked = self._answered = 0
        self._trouble: str | None = None
        self._is_away = False
        self._readers: dict[str, tuple[SegmentReader, RecordDecoder]] = {}
        self._tails = TailReader(self.folder, self.note, self.meter)

    def note(self, problem: str) -> None:
        """Remember a problem, and log it the first time."""
        if problem not in self.problems:
            self.problems[problem] = None
            _log.error("%s", problem)

    def names(self) -> list[str]:
        """List the segments that wait, those that are being written among them."""
        return [path.name for path in segment_paths(self.folder)]

    def tails(self, names: Iterable[str], marks: Mapping[str, Mark]) -> list[Tail] | None:
        """Give what the store lacks of some segments; None when one of them went away."""
        return self._tails.read({name: mark.position for name, mark in marks.items()}, names)

    # On the thread of whoever asks

    def deliver(self, *, others: bool = True, force: bool = False) -> Delivered:
        """Carry what waits to the store.

        Args:
            others: Also from the segments that other living processes write.
            force: Delete those of other hosts, too, when the store has them.

        Raises:
            StoreError: The store cannot be reached or written, or another thread is at it.
        """
        if not self._delivering.acquire(timeout=WAIT_S):
            raise StoreError(
                f"another delivery to {self._shown} has been going on for {WAIT_S:g} s; "
                "the database may hang"
            )
        try:
            return self._deliver(others=others, force=force)
        finally:
            self._delivering.release()

    def _deliver(self, *, others: bool, force: bool) -> Delivered:
        done = Delivered()
        finished: list[str] = []
        paths = segment_paths(self.folder)
        marks = self._sink.marks([path.name for path in paths]) if paths else {}
        for number, path in enumerate(paths):
            if others and self.meter.tell is not None:
                self.meter.tell(number, len(paths))
            with adopt(path, force=force) as is_dead:
                if is_dead or others or _is_own(path):
                    mark = marks.get(path.name, Mark())
                    is_whole = self._carry(path, mark, done)
                    if is_dead and is_whole:
                        self._remove(path, done)
                        finished.append(path.name)
        if finished:
            self._sink.finish(finished)
        self._readers = {
            name: known for name, known in self._readers.items() if known[0].path.exists()
        }
        return done

    def _carry(self, path: Path, mark: Mark, done: Delivered) -> bool:
        """Carry one segment; tells whether the store has all of it that could be read."""
        known = self._readers.pop(path.name, None)
        if known is None or known[0].end != mark.position:
            known = _begun(path)
        reader, decoder = known
        try:
            reader.read_on(emit_from=mark.position)
        except FileNotFoundError:
            return False
        except (StoreError, OSError) as error:
            self._tell(f"{path}: {error}", done)
            return False
        tables = decoder.take()
        after = Mark(max(reader.end, mark.position), int(reader.header.get("lost", 0)))
        if after != mark and not self._sink.accept(Carried(path.name, mark, after, tables)):
            done.overtaken += 1
            return False
        for kind, rows in tables.items():
            done.rows[kind] = done.rows.get(kind, 0) + len(rows)
        self._readers[path.name] = known
        return True

    def _remove(self, path: Path, done: Delivered) -> None:
        reader, _ = self._readers.pop(path.name)
        damaged = sum(length for _, length in reader.damaged) + reader.tail
        if damaged:
            aside = path.with_name(f"{path.name}.damaged")
            done.damaged_bytes += damaged
            self._tell(
                f"{path} had {damaged} bytes that are no records; its readable records are in the "
                f"store, the file is kept as {aside.name}",
                done,
            )
            path.rename(aside)
        else:
            path.unlink()
        done.segments_removed += 1

    def _tell(self, problem: str, done: Delivered) -> None:
        done.problems.append(problem)
        self.note(problem)

    # On a thread of its own

    def start(self) -> None:
        """Start the thread that carries, if there is none."""
        with self._turned:
            if self._thread is None:
                self._is_stopping = False
                arguments = (weakref.ref(self), self._wake)
                thread = threading.Thread(
                    target=_carry_on, args=arguments, name="lineage-outbox", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends: the next process carries it
                    return
                self._thread = thread

    def hasten(self) -> None:
        """Let the thread carry now, also if it had given up: there may be no room for more."""
        self.start()
        self._wake.set()

    def arrive(self) -> None:
        """Wait until the store has what was written so far, if it answers.

        When it does not, that is counted in `unarrived` and logged; nobody waits again before it
        has answered, and the records wait as ever. Threads that wait share a delivery.
        """
        self.start()
        with self._turned:
            if not self._is_away:
                self._asked += 1
                mine = self._asked
                self._wake.set()
                is_done = self._thread is not None and self._turned.wait_for(
                    lambda: self._answered >= mine, ARRIVAL_S
                )
                if is_done and not self._trouble:
                    return
                reason = self._trouble or f"it gave no answer within {ARRIVAL_S:g} s"
                self._is_away = True
                _log.error("%s has not got what was recorded: %s", self._shown, reason)
            self.unarrived += 1

    def settle(self, timeout_s: float | None = None) -> None:
        """Wait until the store has what this process recorded.

        Args:
            timeout_s: Most seconds to wait; half a minute when None.

        Raises:
            StoreError: It does not have it; says why, and where the records wait.
        """
        if not any(map(_is_own, segment_paths(self.folder))):
            return
        self.start()
        with self._turned:
            self._asked += 1
            mine = self._asked
            self._wake.set()
            wait_s = WAIT_S if timeout_s is None else timeout_s
            is_done = self._thread is not None and self._turned.wait_for(
                lambda: self._answered >= mine, wait_s
            )
            trouble = self._trouble if is_done else f"it gave no answer within {wait_s:g} s"
        if trouble:
            raise StoreError(
                f"{self._shown} has not got everything: {trouble}; what is missing waits in "
                f"{self.folder}, and is delivered by {self._again}"
            )

    def rests(self, timeout_s: float) -> bool:
        """Wait until nothing is being carried; tells whether that is so."""
        if not self._delivering.acquire(timeout=timeout_s):
            return False
        self._delivering.release()
        return True

    def turn(self, pause_s: float) -> float | None:
        """Carry what is new; gives the seconds until the next turn, None when there is none."""
        with self._turned:
            self._wake.clear()
            if self._is_stopping:
                self._thread = None
                return None
            asked = self._asked
            is_wanted = asked > self._answered
        trouble = None
        if is_wanted or self._has_news():
            try:
                # What another process took may end before what someone waits for here.
                for _ in range(_OVERTAKEN):
                    if not self.deliver(others=False).overtaken:
                        break
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread must go on
                trouble = str(error)
                if self._trouble is None:
                    _log.warning("records wait in %s: %s", self.folder, trouble)
        with self._turned:
            self._trouble, self._answered = trouble, asked
            self._is_away &= trouble is not None
            self._turned.notify_all()
            is_idle = self.journal.segment is None and self._asked == asked
            if self._is_stopping or (is_idle and (trouble or not self._has_own())):
                self._thread = None
                return None
        if trouble is None:
            return INTERVAL_S
        return min(LONGEST_PAUSE_S, 2 * pause_s)

    def _has_own(self) -> bool:
        return any(map(_is_own, segment_paths(self.folder)))

    def _has_news(self) -> bool:
        for path in filter(_is_own, segment_paths(self.folder)):
            known = self._readers.get(path.name)
            if known is None or path.name != _name_of(self.journal.segment):
                return True
            try:
                with path.open("rb") as file:
                    file.seek(known[0].end)
                    if file.read(1) not in {b"", b"\0"}:  # a mapped segment ends in zeros
                        return True
            except FileNotFoundError:
                continue
        return False

    # Around a fork

    def before_fork(self) -> None:
        """End the thread, unless it waits for the store, so that no child has half of its work."""
        with self._turned:
            thread, self._is_stopping = self._thread, True
            self._wake.set()
        self._has_paused = thread is not None
        if thread is not None:
            thread.join(_FORK_WAIT_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with self._turned:
            self._is_stopping = False
        if self._has_paused:
            self.start()

    def after_fork_in_child(self) -> None:
        """Begin anew: the thread is the parent's."""
        self._new_locks()


def _carry_on(outbox_of: weakref.ref[Outbox], wake: threading.Event) -> None:
    pause_s = INTERVAL_S
    while True:
        wake.wait(pause_s)
        outbox = outbox_of()
        if outbox is None:
            return
        pause = outbox.turn(pause_s)
        if pause is None:
            return
        pause_s = pause
        del outbox


def _begun(path: Path) -> tuple[SegmentReader, RecordDecoder]:
    decoder = RecordDecoder()
    return SegmentReader(path, decoder), decoder


def _is_own(path: Path) -> bool:
    return f"-{os.getpid()}-" in path.name


def _name_of(segment: Segment | None) -> str | None:
    return None if segment is None else segment.path.name


_outboxes: weakref.WeakSet[Outbox] = weakref.WeakSet()


def _each(method: str) -> Any:
    def call() -> None:
        for outbox in list(_outboxes):
            getattr(outbox, method)()

    return call


os.register_at_fork(
    before=_each("before_fork"),
    after_in_parent=_each("after_fork_in_parent"),
    after_in_child=_each("after_fork_in_child"),
)

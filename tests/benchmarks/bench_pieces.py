"""What pieces of a tracked call and of the store take, beside what could be in their place.

Run by `make bench`, or `python -m tests.benchmarks.bench_pieces`; docs/decisions.md refers to it.
Each piece is run many times in a row and compared with the other way to do the same, in turn; the
best round of each counts. A loop takes some nanoseconds itself, in both.
"""

from __future__ import annotations

import gc
import inspect
import tempfile
import time
import timeit
import weakref
from collections import OrderedDict
from contextvars import ContextVar
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lineage import fingerprint, links
from lineage.decorators import track_lineage
from lineage.parameters import Captor, encoded_form, frame_form
from lineage.settings import StoreSettings
from lineage.stores.batches import BatchDecoder
from lineage.stores.decoding import segment_paths
from lineage.stores.frames import frames
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.records import OPERATION, RecordDecoder, digest, encode
from lineage.stores.tables import table_from_tuples
from lineage.tracker import LineageTracker
from tests.benchmarks.bench_calls import pass_on, scale
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, TIMES = 200, 1_000
STORE_ROUNDS, OPERATIONS = 3, 100_000
NOTHING = "nothing"


class Named(NamedTuple):
    """A reference to a data source, if its parts had names."""

    source: str
    version: str | None
    schema: str | None
    rows: int | None


class Value:
    """What can be referred to weakly."""


class Known:
    """What is known of a value, with a callback of its own that takes it off the list."""

    __slots__ = ("made", "weak")

    def __init__(self, value: object, made: tuple[Any, ...], known: dict[int, Known]) -> None:
        key = id(value)
        self.made = made
        self.weak = weakref.ref(value, lambda _: known.pop(key, None))
        known[key] = self


def ways() -> dict[str, tuple[str, tuple[str, str]]]:
    """Give each piece: how it is done, what was done instead, and the code of both."""
    return {
        "arguments, bound by the interpreter": (
            "by inspect.signature",
            ("scale(1.5)", "bound = bind(1.5); bound.apply_defaults()"),
        ),
        "a reference, made": (
            "with names",
            ("('source', version, 'schema', rows)", "Named('source', version, 'schema', rows)"),
        ),
        "a reference, taken apart": (
            "with names",
            ("a, b, c, d = plain", "a, b, c, d = named"),
        ),
        "a weak reference that carries what it knows": (
            "one with a callback of its own",
            ("link(Value(), made)", "Known(Value(), made, known)"),
        ),
        "the plain form of a frame, encoded once": (
            "made and encoded each time",
            ("encoded_form(DataFrame, found)", "encode(frame_form(DataFrame, found))"),
        ),
        "a dictionary of two plain values, in one loop": (
            "by the general way, as one of another type",
            ("captor.capture(options)", "captor.capture(ordered)"),
        ),
        "looking at a frame: its shape, schema and link": (
            NOTHING,
            ("describe(frame); find(frame)", "pass"),
        ),
        "encoding a record and its frame": (
            NOTHING,
            ("payload = encode(record); encode((digest(payload), payload))", "pass"),
        ),
        "the context variable: read, set, set back": (
            NOTHING,
            ("outside = current.get(); current.set(inside); current.set(outside)", "pass"),
        ),
    }


def names() -> dict[str, Any]:
    """Give what the code of the pieces refers to."""
    frame = pd.DataFrame(np.zeros((100, 10)), columns=list("abcdefghij"))
    found = fingerprint.describe(frame)
    form = encoded_form(pd.DataFrame, found)
    made = (links.source("dataframe", "pipeline.step#0"), "0123456789abcdef-1", 1)
    links.link(frame, made)
    refs = ((1, made[1], 1, 100),)
    outcome = (made[1], None, 1, 10**18, 5000, None, [form], 100, 100)
    options = {"mode": "fast", "retry": 3}
    current: ContextVar[Any] = ContextVar("pieces", default=None)
    return {
        **{"Named": Named, "Known": Known, "Value": Value, "known": {}, "made": made},
        **{"version": made[1], "rows": 100},
        **{"scale": scale, "bind": inspect.signature(scale).bind},
        **{"plain": refs[0], "named": Named("source", made[1], "schema", 100)},
        **{"frame": frame, "found": found, "DataFrame": pd.DataFrame},
        **{"describe": fingerprint.describe, "find": links.find, "link": links.link},
        **{"captor": Captor(1000), "options": options, "ordered": OrderedDict(options)},
        **{"encoded_form": encoded_form, "frame_form": frame_form},
        **{"encode": encode, "digest": digest, "record": (OPERATION, 1, 1, refs, refs, *outcome)},
        **{"current": current, "inside": (made[1], None)},
    }


def best_of(timers: tuple[timeit.Timer, ...], times: int = TIMES) -> list[float]:
    """Give the shortest round of each in nanoseconds; they take turns."""
    best = [float("inf")] * len(timers)
    for _ in range(ROUNDS):
        for index, timer in enumerate(timers):
            best[index] = min(best[index], timer.timeit(times) / times * 1e9)
    return best


def whole_call() -> list[float]:
    """Give what a call with a frame in and a frame out takes, plain and tracked, in ns."""
    frame = pd.DataFrame(np.zeros((100, 10)), columns=list("abcdefghij"))
    with tempfile.TemporaryDirectory() as folder:
        tracker = LineageTracker(LineageMetadataRepository(Path(folder) / "store"))
        tracked = track_lineage(tracker=tracker)(pass_on)
        calls = [lambda: pass_on(frame), lambda: tracked(frame)]
        found = best_of(tuple(map(timeit.Timer, calls)), times=400)
        assert tracker.lost == 0
        tracker.close()
    return found


def main() -> None:
    """Print what the pieces take."""
    known, rows = names(), []
    gc.disable()
    for piece, (other, code) in ways().items():
        ours, theirs = best_of(tuple(timeit.Timer(each, globals=known) for each in code))
        beside = [NOTHING, "", ""] if other == NOTHING else _beside(other, ours, theirs)
        rows.append([piece, f"{ours:,.0f}", *beside])
    gc.enable()
    plain, tracked = whole_call()
    rows.append(["the whole call, over the plain one", f"{tracked - plain:,.0f}", NOTHING, "", ""])
    print_table(
        f"Pieces of a tracked call with a frame in and a frame out ({machine()})",
        ["piece", "ns", "in its place", "ns", "× ours"],
        rows,
    )
    _print_store()
    _print_ids()


def _print_store() -> None:
    """Show what decoding and reading back take with and without what makes them fast."""
    with tempfile.TemporaryDirectory() as folder:
        store = LineageMetadataRepository(folder, settings=StoreSettings(background_sealing=False))
        tracker = LineageTracker(store)
        tracked = track_lineage(tracker=tracker)(scale)
        for number in range(OPERATIONS):
            tracked(number, 2.5)
        tracker.recorder.journal.close()
        data = [path.read_bytes() for path in segment_paths(Path(folder) / "_journal")]
        payloads = [[payload for _, payload, _ in frames(each)] for each in data]
        store.seal()
        decoded = _best_cpu_s(lambda: _decode_by_batch(payloads), lambda: _decode_by_row(payloads))
        # The collector is kept away in the main thread only.
        read = _best_cpu_s(
            lambda: LineageMetadataRepository(folder).load_operations(),
            lambda: _in_a_thread(LineageMetadataRepository(folder).load_operations),
        )
    print_table(
        f"{OPERATIONS:,} operations with two scalars, CPU time ({machine()})",
        ["piece", "s", "in its place", "s", "× ours"],
        [
            ["decoded by the thousand", f"{decoded[0]:.2f}", *_beside("by the row", *decoded, 2)],
            ["as objects, no collector", f"{read[0]:.2f}", *_beside("with it", *read, 2)],
        ],
    )


def _decode_by_batch(payloads: list[list[bytes]]) -> None:
    for each in payloads:
        decoder = BatchDecoder()
        decoder.decode(each)
        decoder.take()


def _decode_by_row(payloads: list[list[bytes]]) -> None:
    for each in payloads:
        decoder = RecordDecoder()
        decoder.decode(each)
        for kind, rows in decoder.take().items():
            table_from_tuples(kind, rows)


def _in_a_thread(call: Callable[[], Any]) -> None:
    thread = Thread(target=call)
    thread.start()
    thread.join()


def _best_cpu_s(*calls: Callable[[], Any]) -> list[float]:
    best = [float("inf")] * len(calls)
    for _ in range(STORE_ROUNDS):
        for index, call in enumerate(calls):
            gc.collect()
            start = time.process_time()
            call()
            best[index] = min(best[index], time.process_time() - start)
    return best


def _print_ids() -> None:
    """Show what the ids of one process take in a part, by how they are encoded."""
    ids = pa.table({"id": [f"0123456789abcdef-{number}" for number in range(OPERATIONS)]})
    encodings: dict[str, dict[str, Any]] = {
        "by a dictionary": {"use_dictionary": True},
        "plain": {"use_dictionary": False},
        "by what they share with the one before": {
            "use_dictionary": False,
            "column_encoding": {"id": "DELTA_BYTE_ARRAY"},
        },
    }
    rows = []
    for name, options in encodings.items():
        sink = pa.BufferOutputStream()
        pq.write_table(ids, sink, compression="zstd", store_schema=False, **options)
        rows.append([name, f"{sink.getvalue().size / OPERATIONS:.2f}"])
    print_table(f"{OPERATIONS:,} operation ids of one process", ["encoded", "bytes each"], rows)


def _beside(other: str, ours: float, theirs: float, digits: int = 0) -> list[str]:
    return [other, f"{theirs:,.{digits}f}", f"{theirs / ours:.1f}"]


if __name__ == "__main__":
    main()

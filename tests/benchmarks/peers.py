"""What else records a call: this store and others, each as one starts it by its documentation.

Each peer starts in a folder and gives a function that is recorded there, one that waits for what
goes on behind the caller's back, and can be asked later what it kept. What is needed for a peer is
imported when it starts; the packages are the dependency group `peers`.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sqlite3
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lineage.decorators import track_lineage
from lineage.settings import StoreSettings
from lineage.stores.levels import OPENERS
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.segments import Segment
from lineage.tracker import LineageTracker
from tests.benchmarks.bench_calls import scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[[float, float], float]
    Started = tuple[Call, Callable[[], object]]

INSTALL = "make peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that records calls.

    Args:
        name: How the table calls it.
        promise: What a record survives once the call has returned.
        start: Give the recorded function, and what waits until all is done.
        kept: Count what a folder holds.
        module: What has to be there to import; None when nothing has.
        calls: How many make a round.
        every: In which rounds it takes part, for one that has to be waited for.
        many: How many are made in a row to see what is kept.
    """

    name: str
    promise: str
    start: Callable[[Path], Started]
    kept: Callable[[Path], int]
    module: str | None = None
    calls: int = 400
    every: int = 1
    many: int = 20_000

    @property
    def is_there(self) -> bool:
        """Tell whether it can be started here."""
        try:
            return self.module is None or find_spec(self.module) is not None
        except ModuleNotFoundError:  # not even the package that it is in
            return False


# This store


def _start_ours(folder: Path, *, durability: str) -> Started:
    # Sealing is another process's, and other benchmarks'.
    repository = LineageMetadataRepository(folder, settings=StoreSettings(background_sealing=False))
    repository.journal.durability = durability
    tracker = LineageTracker(repository)
    return track_lineage(tracker=tracker)(scale), repository.journal.close


def _kept_ours(folder: Path) -> int:
    return sum(table.num_rows for table in LineageMetadataRepository(folder).scan("operations"))


# By hand: the clock, the arguments, the outcome, one line or row per call


def _by_hand(record: Callable[[str, str, str, int, int], object]) -> Call:
    """Wrap the function so that what is known of a call is given to `record` behind it."""

    @functools.wraps(scale)
    def wrapper(*args: Any, **kwargs: Any) -> float:
        began, start = time.time_ns(), time.perf_counter_ns()
        result = scale(*args, **kwargs)
        spent = time.perf_counter_ns() - start
        record(uuid.uuid4().hex, scale.__qualname__, json.dumps([args, kwargs]), began, spent)
        return result

    return wrapper


def _start_lines(folder: Path) -> Started:
    logger = logging.Logger("peers", logging.INFO)  # its own: a program's handlers are not in it
    handler = logging.FileHandler(folder / "calls.jsonl", encoding="utf-8")
    logger.addHandler(handler)

    def record(name: str, function: str, arguments: str, began: int, spent: int) -> None:
        line = {"id": name, "function": function, "arguments": arguments}
        logger.info(json.dumps(line | {"began": began, "spent": spent, "status": "COMPLETED"}))

    return _by_hand(record), handler.flush


def _kept_lines(folder: Path) -> int:
    lines = (folder / "calls.jsonl").read_text("utf-8").splitlines()
    return len({json.loads(line)["id"] for line in lines})


def _start_sqlite(folder: Path, *, synchronous: str) -> Started:
    database = sqlite3.connect(folder / "calls.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute(
        "CREATE TABLE calls (id TEXT PRIMARY KEY, function TEXT, arguments TEXT, began INTEGER,"
        " spent INTEGER, status TEXT)"
    )
    insert = "INSERT INTO calls VALUES (?, ?, ?, ?, ?, 'COMPLETED')"

    def record(*values: Any) -> None:
        database.execute(insert, values)

    return _by_hand(record), lambda: None


def _count(database: Path, query: str) -> int:
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def _kept_sqlite(folder: Path) -> int:
    return _count(folder / "calls.db", "SELECT count(*) FROM calls")


# Packages


def _start_opentelemetry(folder: Path) -> Started:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a line per span that it drops
    counter = os.open(folder / "exported", os.O_RDWR | os.O_CREAT)
    exported = 0

    class NoExporter(SpanExporter):
        """Let go of what comes, and write down how much that was, once per batch."""

        def export(self, spans: Any) -> SpanExportResult:
            nonlocal exported
            exported += len(spans)
            os.pwrite(counter, exported.to_bytes(8, "little"), 0)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NoExporter()))
    tracer = provider.get_tracer("peers")

    @functools.wraps(scale)
    def wrapper(a: float, b: float = 2) -> float:
        with tracer.start_as_current_span("scale", attributes={"a": a, "b": b}):
            return scale(a, b)

    return wrapper, provider.force_flush


def _kept_opentelemetry(folder: Path) -> int:
    return int.from_bytes((folder / "exported").read_bytes(), "little")


def _start_openlineage(folder: Path) -> Started:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.uuid import generate_new_uuid

    config = FileConfig(log_file_path=str(folder / "events.jsonl"), append=True)
    client = OpenLineageClient(transport=FileTransport(config))
    job = Job(namespace="peers", name="scale")

    def emit(state: RunState, run: Run) -> None:
        now = datetime.now(UTC).isoformat()
        client.emit(RunEvent(eventType=state, eventTime=now, run=run, job=job, producer="peers"))

    @functools.wraps(scale)
    def wrapper(a: float, b: float = 2) -> float:
        run = Run(runId=str(generate_new_uuid()))
        emit(RunState.START, run)
        result = scale(a, b)
        emit(RunState.COMPLETE, run)
        return result

    return wrapper, lambda: None


def _kept_openlineage(folder: Path) -> int:
    lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    events = map(json.loads, lines)
    return len({each["run"]["runId"] for each in events if each["eventType"] == "COMPLETE"})


def _start_mlflow(folder: Path) -> Started:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a benchmark calls nobody
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("peers", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment(experiment_id=experiment)
    return mlflow.trace(scale), mlflow.flush_trace_async_logging


def _kept_mlflow(folder: Path) -> int:
    return _count(folder / "mlflow.db", "SELECT count(*) FROM trace_info WHERE status = 'OK'")


OPENERS["written"] = Segment
"""As `process`, where a folder's files may not be mapped: one call of `write` per record."""

_DEATH, _POWER, _QUEUED = "its process's death", "a power cut", "nothing: it waits in memory"


def _ours(name: str, promise: str, durability: str, **more: Any) -> Peer:
    start = functools.partial(_start_ours, durability=durability)
    return Peer(f"this store, {name}", promise, start, _kept_ours, **more)


def _sqlite(synchronous: str, promise: str, **more: Any) -> Peer:
    start = functools.partial(_start_sqlite, synchronous=synchronous)
    name = f"SQLite WAL, insert per call, synchronous={synchronous}"
    return Peer(name, promise, start, _kept_sqlite, **more)


PEERS = {
    "process": _ours("`process`, mapped", _DEATH, "process"),
    "written": _ours("`process`, `os.write`", _DEATH, "written"),
    "power": _ours("`power`", _POWER, "power", calls=10, many=2_000),
    "lines": Peer("JSON line, logging.FileHandler", _DEATH, _start_lines, _kept_lines),
    "sqlite-off": _sqlite("OFF", _DEATH),
    "sqlite-normal": _sqlite("NORMAL", _DEATH),
    "sqlite-full": _sqlite("FULL", _POWER, calls=10, many=2_000),
    "opentelemetry": Peer(
        "OpenTelemetry span, BatchSpanProcessor, no-op exporter",
        _QUEUED,
        _start_opentelemetry,
        _kept_opentelemetry,
        "opentelemetry.sdk",
    ),
    "openlineage": Peer(
        "openlineage-python, START and COMPLETE, file transport",
        _DEATH,
        _start_openlineage,
        _kept_openlineage,
        "openlineage.client",
        calls=20,
        many=2_000,
    ),
    "mlflow": Peer(
        "mlflow.trace, SQLite store",
        _QUEUED,
        _start_mlflow,
        _kept_mlflow,
        "mlflow",
        calls=20,
        every=10,
        many=2_000,
    ),
}
"""By the name under which each can be asked for on the command line."""

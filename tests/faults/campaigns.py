"""The fault campaigns: each gives the figures of its trials, and of a control that must fail.

`make test` runs them with reduced counts, `make faults` in full and prints their table.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow.parquet as pq

from lineage.analysis.nodes import Merged
from lineage.core import DataOperation, DataSource
from lineage.errors import LineageError
from lineage.settings import StoreSettings
from lineage.stores import frames as frames_module
from lineage.stores import gathering
from lineage.stores.base import KINDS, Filter
from lineage.stores.compaction import compact_store
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.frames import frames
from lineage.stores.journal import Journal
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sealing import seal_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("FAULTS") == "full"
OFF = StoreSettings(background_sealing=False)
T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Figures:
    """What a campaign found: how much was tried, and what went wrong."""

    trials: int = 0
    records: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def __str__(self) -> str:
        found = ", ".join(f"{count:,} {name}" for name, count in sorted(self.wrong.items()))
        return (found or "0") + (f" ({self.note})" if self.note else "")


class Zygote:
    """The process that forks and kills (see `tests.faults.zygote`)."""

    def __init__(self) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        # Arrow is loaded in it and has never run, so that a fork is safe.
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.faults.zygote"]
        self.process = subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)

    def ask(self, what: str, **order: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.process.stdin.write(json.dumps({"what": what, **order}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self.process.communicate()


@contextmanager
def zygote() -> Iterator[Zygote]:
    """Give one that ends with the block."""
    made = Zygote()
    try:
        yield made
    finally:
        made.close()


def plain(store: Path, column: str) -> list[Any]:
    """Read a column of all operations as a program does that lists the folders."""
    files = store.glob("lineage_operations/date=*/*.parquet")
    return [value for file in files for value in pq.read_table(file)[column].to_pylist()]


# --- kill -9 -------------------------------------------------------------------------------------


def kills(folder: Path, count: int, *, durability: str = "process") -> Figures:
    """Kill one writer, or four and one that seals, compacts and collects, at random moments."""
    chance, figures = random.Random(count), Figures()
    acknowledged: set[str] = set()
    store, turn = folder / "0", 0
    with zygote() as process:
        while figures.trials < count:
            turn += 1
            writers = [f"{turn}-{number}" for number in range(chance.choice((1, 4)))]
            answer = process.ask(
                "kills",
                store=str(store),
                writers=writers,
                keeps=chance.random() < 0.8,
                begun=chance.random() < 0.8,
                seconds=chance.uniform(0.1, 0.4),
                durability=durability,
            )
            figures.trials += answer["kills"]
            figures.wrong["failed"] += answer["failed"]
            acknowledged.update(answer["acknowledged"])
            if turn % 12 == 0 or figures.trials >= count:
                compare(store, acknowledged, figures)
                shutil.rmtree(store, ignore_errors=True)
                store, acknowledged = folder / str(turn), set()
    figures.wrong = +figures.wrong
    return figures


def compare(store: Path, acknowledged: set[str], figures: Figures) -> None:
    """Look for each acknowledged call, once as it lies there, after a seal and a compaction."""
    figures.records += len(acknowledged)
    lost: set[str] = set()
    for finish in (lambda: None, lambda: seal_store(store), lambda: compact_store(store)):
        finish()
        where = Filter(columns=("parameters",))
        rows = LineageMetadataRepository(store).scan("operations", where)
        found = Counter(
            json.loads(text)["mark"] for table in rows for text in table["parameters"].to_pylist()
        )
        figures.wrong["lost"] += len(acknowledged - found.keys() - lost)
        lost |= acknowledged - found.keys()
        figures.wrong["doubled"] += found.total() - len(found)
    seen = Counter(json.loads(text)["mark"] for text in plain(store, "parameters"))
    figures.wrong["lost to plain readers"] += len(acknowledged - seen.keys())
    figures.wrong["doubled to plain readers"] += seen.total() - len(seen)


# --- crash points --------------------------------------------------------------------------------


def model_store(store: Path) -> list[str]:
    """Make a store with parts of two dates, a dead writer's segment and one that is half sealed."""
    for number in range(6):
        writer = LineageMetadataRepository(store, segment_bytes=4096, settings=OFF)
        _save(writer, number)
        if number < 4:
            writer.close()
        elif number == 4:
            writer.seal()
            _save(writer, 6)
        writer.journal.close()
    return [f"op{number}" for number in range(7)]


def _save(writer: LineageMetadataRepository, number: int) -> None:
    source, target = (DataSource("file", name, f"/{name}", {"c": "int"}) for name in "ab")
    at = T0 + timedelta(days=number % 2, seconds=number)
    writer.save_operation(
        DataOperation.create(
            "read",
            operation_id=f"op{number}",
            timestamp=at,
            inputs=[source],
            outputs=[target],
            record_count_out=number,
        )
    )


def crash_points(
    folder: Path,
    job: str,
    *,
    every: int = 1,
    first: int = 0,
    broken: bool = False,
    until_wrong: bool = False,
) -> Figures:
    """Kill a job before each step that changes or syncs a file, and look at what it leaves.

    Args:
        folder: For the stores.
        job: What is done.
        every: How many steps to go on by.
        first: The first step.
        broken: Whether it is done as `tests.faults.broken` does it.
        until_wrong: Whether that is over when something was wrong.
    """
    figures, model = Figures(), folder / "model"
    whole = model_store(model)
    kept = [name for name in whole if int(name[2:]) % 2] if job == "cleanup" else whole
    if job == "cleanup":
        seal_store(model)
    with zygote() as process:
        for step in range(first, 10_000, every):
            store = folder / "crashed"
            shutil.copytree(model, store)
            answer = process.ask("crash", store=str(store), job=job, broken=broken, step=step)
            figures.trials += answer["died"]
            _look(store, whole, kept, figures)
            shutil.rmtree(store)
            if not answer["died"]:
                figures.wrong["failed"] += answer["failed"]
            if not answer["died"] or (until_wrong and +figures.wrong):
                break
    figures.wrong = +figures.wrong
    return figures


def _look(store: Path, whole: list[str], kept: list[str], figures: Figures) -> None:
    for finish in (lambda: None, lambda: seal_store(store), lambda: compact_store(store)):
        finish()
        try:
            reader = LineageMetadataRepository(store)
            found = sorted(operation.operation_id for operation in reader.load_operations())
            links = sum(row["operation_count"] for row in reader.load_relationships())
        except LineageError:
            figures.wrong["unreadable"] += 1
            return
        figures.records += len(found)
        figures.wrong["different"] += found not in (whole, kept) or links != len(found)
        figures.wrong["problems"] += len(reader.problems)
    figures.wrong["different to plain readers"] += sorted(plain(store, "operation_id")) != found


# --- the end of a journal ------------------------------------------------------------------------


def journal_ends(folder: Path, *, every: int = 1) -> tuple[Figures, Figures]:
    """Cut a journal at each byte, and put nothing, zeros or garbage behind the cut.

    The control reads the same records in frames of a length and a plain CRC-32.
    """
    writer = Journal(folder)
    names = [str(number) for number in range(60)]
    for name in names:
        writer.append_row("runs", {"run_id": name, "name": "x" * (int(name) % 7)})
    writer.close()
    del writer
    (path,) = segment_paths(folder)
    whole, chance = path.read_bytes(), random.Random(7)
    behind = [after for _, _, after in frames(whole)][1:]  # the first is the header
    payloads = [bytes(payload) for _, payload, _ in frames(whole)]
    naive = b"".join(_naive(payload) for payload in payloads)
    ours, control, cut = Figures(), Figures(), folder / "cut.seg"
    for size in range(0, len(whole) + 1, every):
        for tail in (b"", bytes(100), chance.randbytes(100), whole[size : size + 40] + bytes(9)):
            cut.write_bytes(whole[:size] + tail)
            found = [row[0] for row in read_segment(cut).tables.get("runs", ())]
            certain = sum(end <= size for end in behind)
            # A tail may hold the rest of the record that was cut, and even the next.
            is_right = found == names[: len(found)] and len(found) >= certain
            is_right &= len(found) <= sum(end <= size + len(tail) for end in behind)
            ours.trials += 1
            ours.records += len(found)
            ours.wrong["wrong records"] += not is_right
            if size <= len(naive):
                control.trials += 1
                read = _read_naive(naive[:size] + tail)
                control.wrong["wrong records"] += read != payloads[: len(read)]
    ours.wrong, control.wrong = +ours.wrong, +control.wrong
    return ours, control


def _naive(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


def _read_naive(data: bytes) -> list[bytes]:
    found, offset = [], 0
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        payload = data[offset + 8 : offset + 8 + size]
        if zlib.crc32(payload) != int.from_bytes(data[offset + 4 : offset + 8], "big"):
            break
        found.append(payload)
        offset += 8 + size
    return found


# --- flipped bits --------------------------------------------------------------------------------


def flips(
    folder: Path,
    count: int,
    *,
    seed: int = 5,
    choose: Callable[[Path], bool] | None = None,
    told: tuple[type[Exception], ...] = (LineageError, ValueError, OSError),
) -> Figures:
    """Flip one bit of one file of a store, and look for an answer that is silently different.

    Args:
        folder: For the store.
        count: Flips.
        seed: Of chance.
        choose: Whether a file is one of those that are flipped; all are when None.
        told: What may be raised instead of an answer.
    """
    figures, chance = Figures(), random.Random(seed)
    model_store(folder)
    compact_store(folder)
    with patch.object(gathering, "WORTH_ROWS", 1):
        LineageMetadataRepository(folder).keep_up()
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    files = [path for path in files if "_removed" not in path.parts and (choose or bool)(path)]
    truth = _answers(folder, ())
    assert truth is not None
    content = {path: path.read_bytes() for path in files}  # a reader removes a memo that is stale
    weights = list(map(len, content.values())) if choose is None else None
    for _ in range(count):
        path = chance.choices(files, weights)[0]
        whole = content[path]
        broken = bytearray(whole)
        broken[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        answer = _answers(folder, told)
        path.write_bytes(whole)
        figures.trials += 1
        figures.records += answer is None  # told
        figures.wrong["silently different"] += answer not in (None, truth)
    figures.wrong = +figures.wrong
    return figures


def _answers(store: Path, told: tuple[type[Exception], ...]) -> list[str] | None:
    """Give all rows of all kinds; None when a problem was told."""
    reader = LineageMetadataRepository(store)
    try:
        rows = [
            str(row) for kind in KINDS for table in reader.scan(kind) for row in table.to_pylist()
        ]
        merged = Merged(reader.distinct())
        rows += [str(merged.graph.node_ids), str(merged.nodes.to_arrow()), str(merged.edges)]
    except told:
        return None
    return None if reader.problems else sorted(rows)


class _Alike:
    """What equals anything."""

    __hash__ = None

    def __eq__(self, _other: object) -> bool:
        return True


def unverified_flips(folder: Path, count: int) -> Figures:
    """Do the same to the journal with a reader that takes every digest for right."""
    with patch.object(frames_module, "digest", lambda payload: _Alike()):
        journal: dict[str, Any] = {"choose": lambda path: path.suffix == ".seg"}
        return flips(folder, count, told=(Exception,), **journal)

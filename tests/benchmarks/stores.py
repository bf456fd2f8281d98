"""Made-up stores to measure on, made once and kept: `LINEAGE_BENCH_STORES` says where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lineage.stores.manifest import manifest_path, read_manifest

SEED = 1
ROOT = Path(__file__).parents[2]
_CODE = """
import json, resource, sys, time
from datetime import datetime
started = time.perf_counter(), time.process_time()
from lineage import LineageQueryEngine
loaded = time.perf_counter(), time.process_time()
engine, now = LineageQueryEngine(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
answer = {asked}
now = time.perf_counter(), time.process_time()
print(json.dumps({{
    "answer": answer,
    "import_s": loaded[1] - started[1],
    "s": now[0] - started[0],
    "cpu_s": now[1] - started[1],
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}}))
"""


def store_of(operations: int) -> Path:
    """Give the store of so many made-up operations, making it if it is not there."""
    home = Path.home() / ".cache" / "track-lineage-benchmarks"
    store = Path(os.environ.get("LINEAGE_BENCH_STORES") or home) / f"synth-{operations}"
    if not store.exists():
        store.parent.mkdir(parents=True, exist_ok=True)
        making = store.with_name(f".{store.name}.{os.getpid()}")
        options = ["--operations", str(operations), "--seed", str(SEED), "--store", str(making)]
        command = [sys.executable, "-m", "lineage", "synth", *options]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        making.rename(store)
    return store


def last_moment(store: Path) -> datetime:
    """Say when the last operation of a store began."""
    manifest = read_manifest(manifest_path(store))
    times = [part.last for part in manifest.parts if part.kind == "operations"]
    return datetime.fromtimestamp(max(times) / 1e6, UTC)


def asked(store: Path, code: str, *, runs: int = 3) -> dict[str, Any]:
    """Ask a store in processes of their own; of the least CPU time, what it took and gave.

    Args:
        store: The store.
        code: An expression of `engine`, whose value JSON can hold, and of `now`, which is when the
            last operation began.
        runs: How often.
    """
    now = last_moment(store).isoformat()
    command = [sys.executable, "-c", _CODE.format(asked=code), str(store), now]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
        for _ in range(runs)
    ]
    best: dict[str, Any] = min(found, key=lambda each: each["cpu_s"])
    return best | {"mib": max(each["mib"] for each in found)}

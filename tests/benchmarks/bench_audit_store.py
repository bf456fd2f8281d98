"""Print what a log costs a store: `python -m tests.benchmarks.bench_audit_store [OPERATIONS]`.

Of a made-up store (see `stores`), 100,000 operations when nothing is said. Logging is measured as
what `lineage audit init` does with a store that is there, which is what a seal does with its parts.
The last row reads the same store without its log, so that one sees what the log adds.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from lineage.audit.auditing import verify_store
from lineage.audit.ledger import begin_log
from lineage.audit.notes import SigningKey
from lineage.audit.verifying import verify_log
from lineage.stores.auditor import AUDIT
from lineage.stores.parquet import LineageMetadataRepository
from tests.benchmarks.stores import store_of
from tests.benchmarks.tables import machine, print_table


def timed(call):
    """Give CPU and wall seconds of a call, and what it gave."""
    start, cpu = time.perf_counter(), time.process_time()
    found = call()
    return time.process_time() - cpu, time.perf_counter() - start, found


def main(operations=100_000):
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(store_of(operations), store)
        key = SigningKey.generate("bench/log")
        logging = timed(lambda: begin_log(store, key, log_id="0" * 16))
        verifying = timed(lambda: verify_store(store))
        digests = timed(lambda: verify_store(store, rows=False))
        alone = timed(lambda: verify_log(store / AUDIT))
        reading = timed(LineageMetadataRepository(store).check)
        for done in (verifying, digests):
            assert done[2].is_sound, done[2].findings
        rows = verifying[2].records
        size = sum(file.stat().st_size for file in (store / AUDIT).rglob("*") if file.is_file())
    found = [
        (what, f"{cpu:.2f} s", f"{wall:.2f} s", f"{1e6 * cpu / rows:.1f} \u00b5s")
        for what, (cpu, wall, _) in {
            "logging": logging,
            "verifying the store and its log": verifying,
            "the same by the digests of files, as before a signature": digests,
            "verifying the log alone": alone,
            "reading the store, without the log": reading,
        }.items()
    ]
    print_table(
        f"A log of {operations:,} operations, {rows:,} rows, {size / rows:.1f} bytes of log each "
        f"({machine()})",
        ("what", "CPU", "time", "CPU per row"),
        found,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

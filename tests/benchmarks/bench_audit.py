"""Print what the audit log costs at a million records: `python -m tests.benchmarks.bench_audit`.

Appends are synced to the disk. The last row of the second table is a verifier that compares no
record, so that one sees what these cost.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from lineage.audit.entries import Head, Record
from lineage.audit.log import AuditLog
from lineage.audit.merkle import is_consistent, is_included
from lineage.audit.notes import SigningKey
from lineage.audit.proofs import prove, verify_proof
from lineage.audit.verifying import verify_log
from tests.benchmarks.tables import machine, print_table

_BATCH = 1000
_TARGETS = ("5 \u00b5s, 40 B", "700 B", "50 \u00b5s", "5 s")


def records_of(start, count):
    """Give records that are as long as canonical operations are."""
    return [Record(b'{"operation_id":"%032d"}' % n + b"x" * 360, n) for n in range(start, count)]


def median(call, arguments):
    """Give the median time of calls in microseconds."""
    times = []
    for each in arguments:
        start = time.perf_counter_ns()
        call(each)
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[len(times) // 2] / 1e3


def append_all(log, count, batch):
    """Append in batches; give CPU and wall seconds."""
    batches = [records_of(at, at + batch) for at in range(0, count, batch)]
    start, cpu = time.perf_counter(), time.process_time()
    for some in batches:
        log.append("operation", some)
    return time.process_time() - cpu, time.perf_counter() - start


def audit(log, records):
    """Verify from the first byte to the last; give CPU and wall seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    found = verify_log(log.files.folder, records=records)
    assert found.is_sound, found.findings
    return time.process_time() - cpu, time.perf_counter() - start


def proofs(log, key, count):
    """Give a row for each of: making, verifying, sizes."""
    files, size = log.files, log.files.last()[0].end
    root = files.tree.root(size)
    heads = {head.first: head for head in map(Head.parse, files.lines())}
    chosen = random.Random(1).sample(range(count), 500)
    places = [(n // _BATCH * (_BATCH + 1) + 1, n) for n in chosen]
    made = [
        prove(files, heads[first], first + 1 + n % _BATCH, records_of(n, n + 1)[0])
        for first, n in places
    ]
    whole = [
        (bytes(each), records_of(n, n + 1)[0].data) for each, n in zip(made, chosen, strict=True)
    ]
    steps = [(each.index, files.hashes(0, each.index, 1), each.hashes) for each in made]
    old = [(each, files.tree.root(each)) for each in chosen if each]
    ways = [(*each, files.tree.consistency(each[0], size)) for each in old]

    def included(step):
        index, leaf, path = step
        assert is_included(leaf, index, size, proof=path, root=root)

    def consistent(way):
        assert is_consistent(way[0], size, old_root=way[1], root=root, proof=way[2])

    lengths = [32 * len(each.hashes) for each in made]
    texts = [len(data) for data, _ in whole]
    return [
        ("inclusion proof, hashes", f"{min(lengths)} to {max(lengths)} B", _TARGETS[1]),
        ("as a .tlog-proof, with checkpoint", f"{min(texts):,} to {max(texts):,} B", ""),
        (
            "made",
            f"{median(lambda n: files.tree.inclusion(n, size), chosen):.0f} \u00b5s",
            "",
        ),
        ("verified, hashes", f"{median(included, steps):.0f} \u00b5s", _TARGETS[2]),
        (
            "verified, file with signature",
            f"{median(lambda each: verify_proof(*each, key.verifier), whole):.0f} \u00b5s",
            "",
        ),
        ("consistency proof", f"up to {max(32 * len(each[2]) for each in ways)} B", ""),
        ("verified", f"{median(consistent, ways):.0f} \u00b5s", ""),
    ]


def large_row(folder, key, count):
    """Give the row of appends that are ten times as large."""
    log = AuditLog.create(folder, key, log_id="1" * 16)
    cpu, wall = append_all(log, count, 10 * _BATCH)
    told = f"{1e6 * cpu / count:.1f} \u00b5s of CPU, {1e6 * wall / count:.1f} \u00b5s"
    return f"append, {10 * _BATCH:,} at once", told, _TARGETS[0]


def main(count=1_000_000):
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        key = SigningKey.generate("bench/log")
        log = AuditLog.create(Path(folder), key, log_id="0" * 16)
        cpu, wall = append_all(log, count, _BATCH)
        log.checkpoint(key)
        size = sum(each.stat().st_size for each in log.files.folder.rglob("*") if each.is_file())
        one = median(lambda _: log.append("event"), range(100))
        log.checkpoint(key)
        rows = [
            (
                f"append, {_BATCH:,} at once",
                f"{1e6 * cpu / count:.1f} \u00b5s of CPU, {1e6 * wall / count:.1f} \u00b5s, "
                f"{size / count:.1f} B each",
                _TARGETS[0],
            ),
            large_row(Path(folder) / "large", key, count),
            ("append one, synced", f"{one / 1e3:.2f} ms", ""),
            *proofs(log, key, count),
        ]
        print_table(f"A log of {count:,} records ({machine()})", ("what", "figure", "target"), rows)
        records = records_of(0, count)
        rows = [
            ("log and all records", *audit(log, records), _TARGETS[3]),
            ("log alone", *audit(log, None), ""),
        ]
        told = [(what, f"{cpu:.2f} s", f"{wall:.2f} s", aim) for what, cpu, wall, aim in rows]
        print_table("Full re-audit", ("what", "CPU", "time", "target"), told)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

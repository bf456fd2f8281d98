"""Logs to test on: small ones, whole, copied and changed."""

import shutil

from lineage.audit.entries import Record
from lineage.audit.log import AuditLog
from lineage.audit.notes import COSIGNATURE, SigningKey

ORIGIN = "lineage/0123456789abcdef"
LOG_ID = "0123456789abcdef"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NEXT = SigningKey(ORIGIN, bytes(range(9, 41)))
THIEF = SigningKey(ORIGIN, bytes(range(7, 39)))
WITNESS = SigningKey("witness.example/one", bytes(range(1, 33)), COSIGNATURE)


class Clock:
    """Nanoseconds since 1970, a millisecond on at each look."""

    def __init__(self, now=1_790_000_000_000_000_000):
        self.now = now

    def __call__(self):
        self.now += 1_000_000
        return self.now


def records_of(numbers, kind="operation"):
    return [Record(f"{kind} {n}".encode(), 10**15 + n, f"{kind}-{n}") for n in numbers]


def new_log(folder, **options):
    folder.mkdir(parents=True, exist_ok=True)
    return AuditLog.create(folder, KEY, log_id=LOG_ID, clock=Clock(), **options)


def filled(folder, sizes=(3, 1, 7, 5, 2), signed=(2, 5)):
    """A log of appends of these sizes, signed after so many of them; and its records."""
    log = new_log(folder)
    records, number = [], 0
    for count, size in enumerate(sizes, 1):
        some = records_of(range(number, number + size))
        number += size
        records += some
        log.append("operation", some, {"part": f"part-{count}"})
        if count in signed:
            log.checkpoint(KEY)
    return log, records


def copy_of(log, folder):
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(log.files.folder, folder)
    return folder

"""Change one byte of a copy of a store that has an audit log, and have it found.

    python examples/tampered.py .demo/lineage

The store needs a log: `lineage audit init`. The copy, `NAME-tampered`, is left to look at.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from lineage.audit.auditing import verify_store


def tamper(store: Path) -> Path:
    """Change the byte in the middle of the first part of operations; give the file."""
    part = min(store.glob("lineage_operations/date=*/part-*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    return part


def main() -> None:
    """Copy the store, change the copy, verify both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    store: Path = parser.parse_args().store
    copy = store.with_name(f"{store.name}-tampered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy)
    part = tamper(copy)

    before, after = verify_store(store), verify_store(copy)
    print(f"{store}: {before.records} rows are what was logged, {len(before.findings)} findings")
    print(f"one bit of {part} changed:")
    for finding in after.findings:
        print(f"  {finding.kind}  {finding.where}\n    {finding.what}")
    if not before.is_sound or after.is_sound:
        sys.exit("that is not what the log is for")


if __name__ == "__main__":
    main()

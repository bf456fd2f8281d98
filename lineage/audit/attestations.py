"""Attestations that were made of a store: each a file of its own, named by its SHA-256.

```
_attestations/<SHA-256 of the file, 64 digits>.json
```

A file is written once, before the log of the store takes it, and both before it is given out. What
a crash leaves between the two is taken when the same is attested again, which gives the same bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from lineage.errors import AuditError
from lineage.stores.auditor import auditor_of
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.manifest import locked, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "_attestations"
"""The folder in a store."""
ATTESTATION = "attestation"
"""What it is called in the log of a store."""


def keep(store: Path, envelope: bytes) -> str:
    """Keep an attestation in a store and its log, once however often; gives its id, its SHA-256.

    Raises:
        AuditError: The store has no log, or its log is damaged.
        StoreError: The folder cannot be written, or others held its lock all the time.
    """
    store = store.resolve()
    name = sha256(envelope).hexdigest()
    file = store / FOLDER / f"{name}.json"
    with locked(store):
        auditor = auditor_of(store)
        if auditor is None:
            raise AuditError(f"{store} has no log; run: lineage audit init")
        try:
            make_folder(file.parent)
            for other in file.parent.glob(".*"):  # of a writer that was killed
                other.unlink(missing_ok=True)
            write_durably(file, envelope)
        except OSError as error:
            raise unwritable(store, error) from error
        if not auditor.accept(ATTESTATION, file):
            file.unlink()
            raise AuditError(
                f"the log of {store} does not take the attestation, so it is not given out; see: "
                "lineage audit verify"
            )
    return name


def kept(store: Path) -> Iterator[Path]:
    """Yield the files among the attestations, but for one that is being written."""
    for file in sorted((store.resolve() / FOLDER).rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            yield file

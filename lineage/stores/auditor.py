"""Who keeps the audit log of a store in step with its manifest: nobody where there is no log.

The log is of a floor above; here is only what is asked of it, so that whoever opens a store that
has one seals, compacts and removes under it.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AUDIT = "_audit"
"""The folder of the log in the folder of a store."""

_LEDGER = EntryPoint("ledger", "lineage.audit.ledger:Ledger", "lineage")


class Auditor(Protocol):
    """Tells the log of a store what becomes of its parts; the caller has the store's lock."""

    def note(self, following: bytes, step: Callable[[str], None]) -> None:
        """Log what the next manifest changes: its parts are in place, and itself is not yet.

        Does nothing when the log has that already, as after a crash. A log that is damaged is
        told of and not appended to: what the store keeps is not lost for it.

        Raises:
            StoreError: The log cannot be written, or its lock was not free in time.
        """

    def accept(self, kind: str, file: Path) -> bool:
        """Log a file of the store that is written once and stays; whether the log has it.

        Raises:
            StoreError: The log cannot be written, or its lock was not free in time.
        """

    def sign(self) -> None:
        """Sign the log as it is now, where this user has its key."""


def auditor_of(store: Path) -> Auditor | None:
    """Give who keeps the log of a store; None when it has none."""
    if not (store / AUDIT).is_dir():
        return None
    auditor: Auditor = _LEDGER.load()(store)
    return auditor

"""What this user has seen of a log: its first key, and the newest checkpoint.

Who has the key of a log can write another history and sign it; only who remembers the old one
sees that. A pin is that memory, in the user's folder for settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lineage.audit.keys import audit_folder
from lineage.audit.verifying import Pin
from lineage.errors import AuditError
from lineage.stores.durable import make_folder, write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.audit.files import LogFiles

_FIELDS = {"checkpoint", "log", "store", "vkey"}


def save_pin(files: LogFiles) -> Path:
    """Remember the newest checkpoint of a log that was verified; give the file.

    Raises:
        AuditError: It cannot be written.
    """
    told = {
        "log": files.log_id,
        "store": str(files.folder.resolve()),
        "vkey": str(files.key),
        "checkpoint": files.checkpoint.read_text(encoding="utf-8"),
    }
    file = audit_folder() / f"{files.log_id}.pin"
    try:
        make_folder(file.parent)
        write_durably(file, json.dumps(told, indent=1, sort_keys=True).encode() + b"\n")
    except OSError as error:
        raise AuditError(f"cannot write the pin {file}: {error.strerror}") from error
    return file


def find_pin(files: LogFiles) -> Pin | None:
    """Give what was seen at a log's place before, or of a log of its id elsewhere.

    Raises:
        AuditError: A pin is damaged.
    """
    place = str(files.folder.resolve())
    found: Pin | None = None
    for file in sorted(audit_folder().glob("*.pin")):
        told = _read(file)
        pin = Pin(told["vkey"], told["checkpoint"].encode())
        if told["store"] == place:
            return pin
        if files.is_there() and file.stem == files.log_id:
            found = pin
    return found


def _read(file: Path) -> dict[str, str]:
    try:
        told = json.loads(file.read_bytes())
        if told.keys() != _FIELDS or not all(isinstance(each, str) for each in told.values()):
            raise ValueError
    except (OSError, ValueError, AttributeError) as error:
        raise AuditError(
            f"the pin {file} cannot be read; remove it only if you know that the log is the one "
            "that you saw"
        ) from error
    return dict(told)

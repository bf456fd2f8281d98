"""Where the key that signs is kept: never in the store, for its owner alone.

LINEAGE_SIGNING_KEY has the key itself or the path of its file; else it is in the user's folder for
settings, under the id of the log.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from lineage.audit.notes import SigningKey
from lineage.errors import AuditError
from lineage.keys import key_file
from lineage.stores.durable import make_folder, sync_folder

VARIABLE = "LINEAGE_SIGNING_KEY"
_BEGIN = "PRIVATE+KEY+"
_MOST_BYTES = 4096


def audit_folder() -> Path:
    """Give the user's folder of keys and pins of logs."""
    try:
        return key_file().with_name("audit")
    except RuntimeError as error:
        raise AuditError(f"no place for keys: {error}; set XDG_CONFIG_HOME") from error


def key_path(log_id: str) -> Path:
    """Say where the key of a log is kept when nothing else is said."""
    return audit_folder() / f"{log_id}.key"


def save_key(key: SigningKey, path: Path) -> None:
    """Write a key into a new file that only its owner can read, on the disk.

    Raises:
        AuditError: The file is there, or cannot be written.
    """
    begun = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if not path.parent.is_dir():
            make_folder(path.parent.parent)
            path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, f"{key.text()}\n".encode())
            os.fsync(descriptor)
            os.link(begun, path)
        finally:
            os.close(descriptor)
            begun.unlink()
        sync_folder(path.parent)
    except FileExistsError:
        raise AuditError(f"{path} is there already, and no key is written over another") from None
    except OSError as error:
        raise AuditError(f"cannot write the key {path}: {error.strerror}") from error


def load_key(log_id: str, path: Path | None = None) -> SigningKey:
    """Read the key of a log: from a path, else as LINEAGE_SIGNING_KEY says, else from its place.

    Raises:
        AuditError: There is none, or others can read it.
    """
    place = key_place(log_id, path)
    if place is None:
        return SigningKey.parse(os.environ[VARIABLE].strip())
    return SigningKey.parse(_read(place).removesuffix("\n"))


def key_place(log_id: str, path: Path | None = None) -> Path | None:
    """Say in which file `load_key` looks; None when LINEAGE_SIGNING_KEY has the key itself."""
    told = os.environ.get(VARIABLE, "").strip()
    if path is not None or not told:
        return path or key_path(log_id)
    return None if told.startswith(_BEGIN) else Path(told).expanduser()


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise AuditError(
            f"cannot read the signing key {path}: {error.strerror}; who has it signs, others "
            f"append; {VARIABLE} names another one"
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise AuditError(f"the signing key {path} is not a file of yours")
        if found.st_mode & 0o077:
            raise AuditError(f"the signing key {path} can be read by others; run: chmod 600 {path}")
        return os.read(descriptor, _MOST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)

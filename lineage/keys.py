"""A key of the user's own, so that values that are not kept can still be compared.

The value of a variable that nobody named is kept as its HMAC-SHA256 (RFC 2104) under this key,
which is in no store: whoever has the store alone cannot try out what the value may have been.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from lineage.redact import kept

_SIZE = 32
_DIGITS = 32
_MOST_HASHED = 1 << 20
_MOST_NAMES = 1000
_MOST_TEXT = 200


def key_file() -> Path:
    """Give the file of the key, in the user's folder for settings (XDG Base Directory).

    Raises:
        RuntimeError: The user has no home folder.
    """
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(folder) if os.path.isabs(folder) else Path.home() / ".config"
    return home / "lineage" / "variables.key"


def key() -> bytes | None:
    """Give the key, which is made at its first use; None where it cannot be kept."""
    try:
        file = key_file()
        if not file.exists():
            with suppress(FileExistsError):
                _make(file)
        return _read(file)
    except (OSError, ValueError, RuntimeError):
        return None


def problem() -> str | None:
    """Say why there is no key, and what to do; None when there is one, or it can be made."""
    try:
        file = key_file()
        if file.exists():
            _read(file)
            return None
        folder = next(each for each in file.parents if each.exists())
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return None
        reason = f"{folder} is not a folder that can be written"
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error)
    return (
        f"variables that are not named are kept without a hash of their value: {reason}; "
        "XDG_CONFIG_HOME names another folder for the key"
    )


def hashed(variables: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Give what is kept of variables whose values are not: `hmac` as `key:hash`, by name.

    The key is named by 8 digits, since hashes under two keys cannot be compared. A value of more
    than a mebibyte has only `characters`; without a key there is nothing but the name.
    """
    known = key() if variables else None
    told = {}
    for name, value in sorted(variables.items())[:_MOST_NAMES]:
        found: dict[str, Any] = {}
        if len(value) > _MOST_HASHED:
            found["characters"] = len(value)
        elif known is not None:
            digest = hmac.new(known, value.encode("utf-8", "surrogateescape"), hashlib.sha256)
            found["hmac"] = f"{_name_of(known)}:{digest.hexdigest()[:_DIGITS]}"
        told[kept(name, _MOST_TEXT)] = found
    return told


def _make(file: Path) -> None:
    """Make a key that is there whole or not at all, whoever else makes one now."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_SIZE))
        os.fsync(descriptor)
        os.link(begun, file)
    finally:
        os.close(descriptor)
        begun.unlink()


def _read(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ValueError(f"{file} is not a file of yours; remove it, and another is made")
        if found.st_mode & 0o077:
            raise ValueError(f"{file} can be read by others; run: chmod 600 {file}")
        text = os.read(descriptor, _SIZE + 1)
    finally:
        os.close(descriptor)
    if len(text) != _SIZE:
        raise ValueError(f"{file} is no key of {_SIZE} bytes; remove it, and another is made")
    return text


def _name_of(known: bytes) -> str:
    return hashlib.sha256(b"lineage" + known).hexdigest()[:8]

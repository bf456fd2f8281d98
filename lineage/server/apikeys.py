"""API keys: texts that are long enough not to be guessed and tell by themselves if one is mistyped.

A key is `lin_`, 32 letters and digits (190 random bits) and 6 of their CRC-32; scanners for leaked
secrets find it by that form. Only its SHA-256 is kept: it has too many random bits to need a slow
hash.
"""

from __future__ import annotations

import secrets
import string
import zlib
from hashlib import sha256

PREFIX = "lin_"
_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 32, 6


def new_key() -> str:
    """Give a new key."""
    body = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
    return PREFIX + body + _check(body)


def digest_of(key: str) -> str | None:
    """Give what is kept of a key; None when it is none, as when a letter of it is wrong.

    Examples:
        >>> digest_of("lin_0") is None, len(digest_of(new_key()))
        (True, 64)
    """
    text = key.removeprefix(PREFIX)
    body, check = text[:_RANDOM], text[_RANDOM:]
    if text == key or not text.isascii() or len(body) != _RANDOM or check != _check(body):
        return None
    return sha256(key.encode()).hexdigest()


def _check(body: str) -> str:
    number, found = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, place = divmod(number, len(_LETTERS))
        found = _LETTERS[place] + found
    return found

"""Signed notes (https://c2sp.org/signed-note): a text, and lines by which keys sign it.

What is read must be, byte for byte, what would be written: one text has one form.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lineage.errors import AuditError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519 = 1
COSIGNATURE = 4
"""The types of keys: one that signs the text, and a witness that adds the time."""

_SECRET = "PRIVATE+KEY+"  # noqa: S105 - the word before a key, as Go's x/mod/sumdb/note has it
_DASH = "\u2014 "
_MOST_BYTES = 1 << 20
_MOST_SIGNATURES = 64
_KEY_BYTES = 32
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_UNFIT = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name.

    Args:
        name: Whose it is.
        public: The 32 bytes of an Ed25519 key.
        kind: `ED25519` or `COSIGNATURE`.
    """

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signature lines name it."""
        told = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(told).digest()[:4]

    def __str__(self) -> str:
        """Give it as one line of text, a `vkey`."""
        told = b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{told}"

    def is_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether a signature of a message is by it."""
        crypto = _crypto()
        try:
            crypto.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (crypto.InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key under a name; it shows itself without what is secret."""

    name: str
    _seed: bytes
    kind: int = ED25519

    @classmethod
    def generate(cls, name: str, kind: int = ED25519) -> SigningKey:
        """Make a new key."""
        return cls(
            check_name(name), _crypto().Ed25519PrivateKey.generate().private_bytes_raw(), kind
        )

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read a key as `text` writes it.

        Raises:
            AuditError: It is none; the text is not told.
        """
        try:
            if not text.startswith(_SECRET):
                raise ValueError
            name, key_id, told = text.removeprefix(_SECRET).split("+", 2)
            data = from_base64(told)
            key = cls(check_name(name), data[1:], data[0])
            if len(data) != 1 + _KEY_BYTES or key.text() != text:
                raise ValueError
        except (ValueError, IndexError, AuditError):
            raise AuditError(
                f"the signing key is none: it begins with {_SECRET}, and has a name, an id and "
                "a key of 32 bytes after that; lineage audit init makes one"
            ) from None
        assert key_id  # it is part of the text that was compared
        return key

    def text(self) -> str:
        """Write the key as one line, as Go's `x/mod/sumdb/note` does."""
        told = b64encode(bytes([self.kind]) + self._seed).decode()
        return f"{_SECRET}{self.name}+{self.verifier.key_id.hex()}+{told}"

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        public = self._key().public_key().public_bytes_raw()
        return VerifierKey(self.name, public, self.kind)

    def sign(self, message: bytes) -> bytes:
        """Give the signature of a message, 64 bytes."""
        signature: bytes = self._key().sign(message)
        return signature

    def __repr__(self) -> str:
        """Show whose key it is, and nothing of it."""
        return f"SigningKey({self.name!r})"

    def _key(self) -> Any:
        return _crypto().Ed25519PrivateKey.from_private_bytes(self._seed)


@dataclass(frozen=True, slots=True)
class Signature:
    """A line: the name and the id of a key, and what it made of the text."""

    name: str
    key_id: bytes
    value: bytes

    def is_of(self, key: VerifierKey) -> bool:
        """Whether it says that it is by this key."""
        return self.name == key.name and self.key_id == key.key_id

    def __str__(self) -> str:
        """Write the line."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note strictly; nothing is verified yet.

        Raises:
            AuditError: It is none, or not in the one form that it has.
        """
        if len(data) > _MOST_BYTES:
            raise AuditError(
                f"a note of {len(data):,} bytes is too long; notes have {_MOST_BYTES:,}"
            )
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AuditError(f"the note is no UTF-8: {error.reason}") from None
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or _UNFIT.search(whole):
            raise AuditError("the note has no text, blank line and signatures after another")
        note = cls(f"{text}\n", tuple(map(_signature, lines[:-1].split("\n"))))
        if len(note.signatures) > _MOST_SIGNATURES:
            raise AuditError(f"the note has more than {_MOST_SIGNATURES} signatures")
        names = {(each.name, each.key_id) for each in note.signatures}
        if len(names) < len(note.signatures):
            raise AuditError("the note has two signatures by one key")
        if bytes(note) != data:
            raise AuditError("the note is not in the form that notes have")
        return note

    def __bytes__(self) -> bytes:
        """Write the note."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether a key has signed the text.

        Raises:
            AuditError: A line says so and is not true.
        """
        for each in self.signatures:
            if each.is_of(key):
                if not key.is_signed(self.text.encode(), each.value):
                    raise AuditError(f"the signature by {key.name} is not by its key")
                return True
        return False

    def with_signatures(self, more: Iterable[Signature]) -> Note:
        """Give it with more signatures; those that are there stay."""
        known = {(each.name, each.key_id) for each in self.signatures}
        new = (each for each in more if (each.name, each.key_id) not in known)
        return Note(self.text, (*self.signatures, *new))


def sign(text: str, *keys: SigningKey) -> Note:
    """Sign a text that ends with a newline."""
    signatures = (Signature(key.name, key.verifier.key_id, key.sign(text.encode())) for key in keys)
    return Note(text, tuple(signatures))


def parse_vkey(text: str) -> VerifierKey:
    """Read a public key as `str` writes it.

    Raises:
        AuditError: It is none.

    Examples:
        >>> told = "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
        >>> key = parse_vkey(f"example.com/foo+530d903a+{told}")
        >>> key.name, key.kind
        ('example.com/foo', 1)
    """
    name, _, rest = text.partition("+")
    _, _, told = rest.partition("+")
    data = from_base64(told)
    if len(data) != 1 + _KEY_BYTES or data[0] not in {ED25519, COSIGNATURE}:
        raise AuditError(f"{text!r} is no Ed25519 key; it has the form NAME+ID+KEY")
    key = VerifierKey(check_name(name), data[1:], data[0])
    if str(key) != text:
        raise AuditError(f"{text!r} is damaged: its id is not that of its key")
    return key


def check_name(name: str) -> str:
    """Refuse a name that a key cannot have, and give the others."""
    if not _NAME.fullmatch(name):
        raise AuditError(f"a key cannot be called {name!r}; leave out spaces and plus signs")
    return name


def from_base64(text: str) -> bytes:
    """Decode base64 in its one form.

    Raises:
        AuditError: It has another.
    """
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if b64encode(data).decode() != text:
        raise AuditError(f"{text[:60]!r} is no base64 as it is written here")
    return data


def _signature(line: str) -> Signature:
    name, _, told = line.removeprefix(_DASH).partition(" ")
    data = from_base64(told)
    if not line.startswith(_DASH) or len(data) < 5:
        raise AuditError(f"{line[:60]!r} is no signature")
    return Signature(check_name(name), data[:4], data[4:])


class _Crypto:
    """What is used of `cryptography`, loaded when a key is used first."""

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ImportError as error:
            raise MissingDependencyError(
                "signatures need cryptography; pip install 'track-lineage[audit]'"
            ) from error
        self.InvalidSignature = InvalidSignature
        self.Ed25519PrivateKey = ed25519.Ed25519PrivateKey
        self.Ed25519PublicKey = ed25519.Ed25519PublicKey


def _crypto() -> _Crypto:
    return _Crypto()

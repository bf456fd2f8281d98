"""What is signed in a DSSE envelope (https://github.com/secure-systems-lab/dsse, v1.0.2).

What is signed is the type of the payload and its bytes, each behind its length, so that nothing has
to be parsed before it is verified, and no signature of a checkpoint can be taken for one of these.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from lineage.audit.notes import from_base64
from lineage.errors import AuditError

if TYPE_CHECKING:
    from lineage.audit.notes import SigningKey, VerifierKey


def encoded(payload_type: str, payload: bytes) -> bytes:
    """Give the bytes that are signed.

    Examples:
        >>> encoded("http://example.com/HelloWorld", b"hello world")
        b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """Sign a payload; the envelope is one line of JSON."""
    signature = key.sign(encoded(payload_type, payload))
    told = {
        "payloadType": payload_type,
        "payload": b64encode(payload).decode(),
        "signatures": [{"keyid": key_name(key.verifier), "sig": b64encode(signature).decode()}],
    }
    return json.dumps(told).encode() + b"\n"


def unseal(data: bytes, payload_type: str, key: VerifierKey) -> bytes:
    """Give the payload of an envelope that a key has signed.

    Raises:
        AuditError: It is no envelope of this type, or the key has not signed it.
    """
    try:
        told = json.loads(data)
        payload, kind = from_base64(told["payload"]), str(told["payloadType"])
        signatures = [from_base64(each["sig"]) for each in told["signatures"]]
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError, AuditError):
        raise AuditError("that is no DSSE envelope") from None
    if kind != payload_type:
        raise AuditError(f"the envelope holds {kind[:80]!r}, and not {payload_type!r}")
    if not any(key.is_signed(encoded(kind, payload), each) for each in signatures):
        raise AuditError(f"the envelope is not signed by {key.name}")
    return payload


def key_name(key: VerifierKey) -> str:
    """Give the hint by which an envelope names a key."""
    return f"{key.name}+{key.key_id.hex()}"

"""Operations and answers as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Response

from lineage.codec import REF, TABLES, from_micros, json_default

_COLUMNS = TABLES["operations"]


def json_response(value: Any, *, headers: dict[str, str] | None = None) -> Response:
    """Give what an answer holds as JSON; a number that is not finite is null."""
    data = msgspec.json.encode(value, enc_hook=json_default)
    return Response(data, media_type="application/json", headers=headers)


def told(number: int, row: tuple[Any, ...]) -> dict[str, Any]:
    """Give an operation as it is shown: `number` says when it came."""
    shown: dict[str, Any] = {"number": number}
    for (name, word), value in zip(_COLUMNS.items(), row, strict=True):
        if word == "time":
            shown[name] = from_micros(value)
        elif word == "json":
            shown[name] = _parsed(value)
        elif word == "refs":
            shown[name] = [dict(zip(REF, ref, strict=True)) for ref in value or ()]
        else:
            shown[name] = value
    return shown


def _parsed(text: str | None) -> Any:
    try:
        return {} if not text else msgspec.json.decode(text)
    except msgspec.DecodeError:  # who wrote it meant a text
        return text

"""Times as a person types them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime | None = None) -> datetime:
    """Read a time: `30m`, `2h`, `3d`, `1w` ago, or an ISO 8601 date or time (UTC unless it says).

    >>> moment("2h", datetime(2026, 5, 1, 12, tzinfo=UTC)).hour
    10
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        at = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; use 30m, 2h, 3d or 1w, or a date such as 2026-05-01T12:00"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)

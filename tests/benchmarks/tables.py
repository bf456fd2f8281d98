"""Print benchmark tables with the machine and the date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def machine() -> str:
    """Say which machine this is, how busy, and the date."""
    load = os.getloadavg()[0]
    python = platform.python_version()
    today = datetime.now(UTC).date()
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {python}, load {load:.1f}, {today}"
    )


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for index, row in enumerate([header, *rows]):
        print("| " + " | ".join(f"{v:<{w}}" for v, w in zip(row, widths, strict=True)) + " |")
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")

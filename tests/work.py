"""How much work a call is: counted, so that no busy machine can make a test fail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def calls_of(work: Callable[..., Any], *arguments: Any) -> int:
    """Count the calls of Python and built-in functions that a call makes on this thread."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work(*arguments)
    finally:
        sys.setprofile(before)
    return count


def growth(work: Callable[..., Any], few: Any, many: Any) -> float:
    """Give how many times the calls of a little work a lot of work makes; warm from a first run."""
    work(few)
    return calls_of(work, many) / calls_of(work, few)

"""The garbage collector, kept from looking again and again through what is still being made."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> Iterator[None]:
    """Stop the collector while many objects are made of which none can be garbage yet.

    In the main thread only, which does nothing else meanwhile: a program that goes on beside a
    thread of ours keeps its collector.
    """
    if not gc.isenabled() or threading.current_thread() is not threading.main_thread():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

"""All that is captured, switched on and off together; what is not imported yet, when it is."""

from __future__ import annotations

import sys
import threading
from functools import partial
from importlib import import_module

from lineage.capture.arriving import Arrival

_ADAPTERS = {
    "sys": ("lineage.capture.touched", "lineage.capture.plain"),
    "pandas": ("lineage.capture.pandas", "lineage.capture.tables"),
    "numpy": ("lineage.capture.arrays",),
    "sklearn.compose": ("lineage.capture.transformers",),
    **dict.fromkeys(
        ("pyarrow.pandas_compat", "pyarrow.parquet", "pyarrow.csv", "pyarrow.json",
         "pyarrow.feather", "pyarrow.orc", "pyarrow.dataset"),
        ("lineage.capture.arrow",),
    ),
}  # fmt: skip
_lock = threading.RLock()
_arrivals: dict[str, Arrival] = {}
_installed: list[str] = []
_count = 0
problems: list[str] = []
"""What could not be installed as it came."""


def start() -> None:
    """Begin to note what is done by the libraries that are there, and by those that come."""
    global _count  # noqa: PLW0603 - what is patched is global as well
    with _lock:
        _count += 1
        if _count > 1:
            return
        for library, modules in _ADAPTERS.items():
            if library in sys.modules:
                _install(modules)
            else:
                arrival = _arrivals[library] = Arrival(library, partial(_arrived, modules))
                arrival.expect()


def stop() -> None:
    """End it, when everybody who began it has ended it."""
    global _count  # noqa: PLW0603 - what is patched is global as well
    with _lock:
        _count = max(0, _count - 1)
        if _count:
            return
        while _arrivals:
            _arrivals.popitem()[1].forget()
        while _installed:
            import_module(_installed.pop()).uninstall()


def _arrived(modules: tuple[str, ...]) -> None:
    with _lock:
        if _count:
            try:
                _install(modules)
            except Exception as problem:  # noqa: BLE001 - the user's import goes on
                problems.append(f"{modules[0]}: {type(problem).__name__}")


def _install(modules: tuple[str, ...]) -> None:
    for name in modules:
        import_module(name).install()
        _installed.append(name)

"""Objects that `pickle` and `json` read from files and write to them."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

from lineage.capture.patches import Patches
from lineage.capture.transfers import reader, writer

if TYPE_CHECKING:
    from collections.abc import Iterator

_patches = Patches()


def install() -> None:
    """Put the wrappers in place."""
    if _patches.is_empty:
        for owner, name, wrapper in wrappers():
            _patches.put(owner, name, wrapper)


def uninstall() -> None:
    """Put everything back."""
    _patches.remove()


def wrappers() -> Iterator[tuple[Any, str, Any]]:
    """Give what is replaced, as (module, name, wrapper)."""
    yield pickle, "load", reader(pickle.load, "pickle.load", "file")
    yield pickle, "dump", writer(pickle.dump, "pickle.dump", "file", "obj")
    yield json, "load", reader(json.load, "json.load", "fp")
    yield json, "dump", writer(json.dump, "json.dump", "fp", "obj")

"""What a program that ran again has read where it is now, and not where it was brought to.

Its own records tell: an absolute path in its code, or in what surrounds it, leads to the file as it
is now. That is no matter as long as this is what it was.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from lineage import fingerprint
from lineage.recipes import read_in
from lineage.view import View, store_of
from lineage.workplace import is_as_recorded

if TYPE_CHECKING:
    from lineage.recipes import Recipe
    from lineage.workplace import Workplace


def read_as_it_is_now(recipe: Recipe, place: Workplace) -> list[str]:
    """List the files that a program read where they are now, and that are not what they were then.

    Args:
        recipe: What ran.
        place: Where it ran, with what it has recorded.

    Raises:
        StoreError: What it has recorded cannot be read.
    """
    if not os.path.isdir(place.store):
        return []
    then = {
        form: each.version
        for each in recipe.inputs
        for form in (each.path, os.path.realpath(each.path))
    }
    with closing(store_of(place.store)) as store:
        found = read_in(View(store, None))
    astray = {path: version for path, version in found.items() if place.is_passed_by(path)}
    return [
        path
        for path, version in astray.items()
        if not _is_the_same(path, version, then.get(path)) and not _is_like(path, place)
    ]


def _is_the_same(path: str, version: str | None, then: str | None) -> bool:
    return then is not None and (version == then or is_as_recorded(path, then))


def _is_like(path: str, place: Workplace) -> bool:
    """Whether a file is the one that was brought, or that the commit has."""
    found = fingerprint.content_version(path)
    return found is not None and found == fingerprint.content_version(place.place_of(path))

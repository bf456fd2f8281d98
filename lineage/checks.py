"""What can only be seen at run time of settings: folders, URLs, variables that nobody reads."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from lineage.redact import redact_text
from lineage.settings import STORE_GROUP, STORES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def near(name: str, known: Iterable[str]) -> str:
    """Ask whether a similar name was meant; an empty text when none is similar."""
    found = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {', '.join(found)}?" if found else ""


def path_issues(name: str, path: Path) -> Iterator[str]:
    """Look at the path, or at the folder in which it would be made."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield f"{name}: {path} cannot be a folder, since {existing} is a file"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"{name}: {path} cannot be written, since {existing} is not writable"


def url_issues(scheme: str, url: str) -> Iterator[str]:
    """Open and close the store that is registered for the scheme, by its name."""
    ours = (EntryPoint(name, value, STORE_GROUP) for name, value in STORES.items())
    openers = {found.name: found for found in (*entry_points(group=STORE_GROUP), *ours)}
    shown = redact_text(url)
    if scheme not in openers:
        schemes = ", ".join(sorted(openers))
        yield f"store: {shown} has the unknown scheme {scheme!r}; known are {schemes}"
        return
    try:
        store = openers[scheme].load()(url)
        if hasattr(store, "reach"):  # opening a database does not ask it anything
            store.reach()
        store.close()
    except Exception as error:  # noqa: BLE001 - stores of others may raise anything; it is the answer
        reason = redact_text(f"{type(error).__name__}: {error}")
        yield f"store: {shown} cannot be reached: {reason}"


def variable_issues(known: Iterable[str], *, prefix: str) -> Iterator[str]:
    """Say which variables with the prefix are read by nobody."""
    for variable in sorted(os.environ):
        if variable.startswith(prefix) and variable not in known:
            # The prefix is alike in all of them, and would make any two names similar.
            rests = {name.removeprefix(prefix): name for name in known}
            found = get_close_matches(variable.removeprefix(prefix), rests, n=3)
            hint = ", ".join(rests[rest] for rest in found)
            told = f"did you mean {hint}?" if hint else "no setting has a similar name"
            yield f"environment variable {variable} is not read; {told}"

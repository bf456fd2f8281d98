"""Which packages are installed: each with its version and where it came from.

What is read of a package is the head of its metadata and its `direct_url.json` (PEP 610); none of
its code is run. A folder of `sys.path` is read once and again when it has changed: installing or
removing anything makes or removes a folder there.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Any

from lineage.codec import from_json, to_json
from lineage.redact import kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution

Origin = dict[str, Any]
"""What is known of where a package came from; see `origin_of`."""
Package = tuple[str, str | None, Origin | None]
"""A package: its name, its version, and its origin unless it is from an index."""

_HEAD = 1 << 12
_MOST_METADATA = 1 << 20
_MOST_TEXT = 200
_YOUNG_NS = 50_000_000
_known: dict[str, tuple[int, tuple[Package, ...]]] = {}
"""What a folder had, and when it had changed last."""
_last: list[tuple[tuple[tuple[Package, ...], ...], tuple[Package, ...]]] = []
"""The lists of all folders as they were last, and the whole one of them."""


def installed() -> tuple[Package, ...]:
    """List the installed packages, sorted by name; of those of one name the one that is imported.

    A package without metadata is told by the name of its folder, and its origin says so.
    """
    folders = [folder for folder in sys.path if isinstance(folder, str)]
    pieces = tuple(filter(None, map(_of_folder, folders)))
    for known, whole in tuple(_last):
        if len(known) == len(pieces) and all(map(is_, known, pieces)):
            return whole
    first: dict[str, Package] = {}
    for package in chain.from_iterable(pieces):
        first.setdefault(normal(package[0]), package)
    whole = tuple(sorted(first.values(), key=_order))
    _last[:] = [(pieces, whole)]  # in one step, for other threads
    return whole


def normal(name: str) -> str:
    """Give the name under which a package is known whatever way it is written (PEP 503).

    >>> normal("Flask_SQLAlchemy")
    'flask-sqlalchemy'
    """
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def origin_of(text: str | None) -> Origin | None:
    """Give what a `direct_url.json` tells, in one flat form and without credentials; None if none.

    `url`, and of `editable`, `vcs`, `commit`, `revision`, `hashes`, `subdirectory` what there is.

    >>> origin_of('{"url": "https://me:x@h/p.git", "vcs_info": {"vcs": "git", "commit_id": "a1"}}')
    {'url': 'https://<redacted>@h/p.git', 'vcs': 'git', 'commit': 'a1'}
    """
    if not text:
        return None
    try:
        told = from_json(text)
        vcs, archive = told.get("vcs_info") or {}, told.get("archive_info") or {}
        old = archive.get("hash") or ""  # one hash, as `algorithm=digits`
        hashes = archive.get("hashes") or (dict([old.split("=", 1)]) if "=" in old else None)
        found = {
            "url": told["url"],
            "editable": (told.get("dir_info") or {}).get("editable"),
            "vcs": vcs.get("vcs"),
            "commit": vcs.get("commit_id"),
            "revision": vcs.get("requested_revision"),
            "hashes": hashes,
            "subdirectory": told.get("subdirectory"),
        }
        return {name: _plain(value) for name, value in found.items() if value}
    except Exception:  # noqa: BLE001 - a file that anybody may have written
        return {"url": "<unreadable>"}


def _of_folder(folder: str) -> tuple[Package, ...]:
    try:
        at = os.stat(folder or os.curdir).st_mtime_ns
    except (OSError, ValueError):
        return ()
    known = _known.get(folder)
    if known is None or known[0] != at:
        # A folder that has just changed may change again without a later time.
        is_young = at > time.time_ns() - _YOUNG_NS
        known = _known[folder] = (-1 if is_young else at, tuple(_read(folder)))
    return known[1]


def _read(folder: str) -> Iterator[Package]:
    from importlib import metadata

    try:
        yield from filter(None, map(_told, metadata.distributions(path=[folder])))
    except Exception:  # noqa: BLE001 - a finder of somebody's; what was found until then is told
        return


def _told(each: Distribution) -> Package | None:
    try:
        return _package(each)
    except Exception:  # noqa: BLE001 - whatever a strange folder or finder does
        return None


def _package(each: Distribution) -> Package:
    folder = getattr(each, "_path", None)
    if not isinstance(folder, os.PathLike):  # of a zip file, or of somebody's own finder
        origin = origin_of(each.read_text("direct_url.json"))
        return _clean(each.metadata["Name"]), _clean(each.version), origin
    path = os.fspath(folder)
    name, version = _head(path)
    origin = origin_of(_text(os.path.join(path, "direct_url.json")))
    if name is None or version is None:
        base, _, rest = os.path.basename(path).rpartition(".")[0].partition("-")
        if name is None and not base:
            raise ValueError(path)
        name, version = name or base, version or rest.partition("-py")[0] or None
        origin = {**(origin or {}), "metadata": "incomplete"}
    return _clean(name), None if version is None else _clean(version), origin


def _head(path: str) -> tuple[str | None, str | None]:
    """Read the name and the version of a package, which stand at the head of its metadata."""
    for name in ("METADATA", "PKG-INFO", ""):
        for most in (_HEAD, _MOST_METADATA):
            text = _text(os.path.join(path, name) if name else path, most)
            if text is None:
                break
            head = text.partition("\n\n")[0]
            found = _field(head, "Name"), _field(head, "Version")
            if None not in found or len(text) < most:
                return found
    return None, None


def _field(head: str, name: str) -> str | None:
    for line in head.splitlines():
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip() or None
    return None


def _text(path: str, most: int = _MOST_METADATA) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return os.read(descriptor, most).decode("utf-8", "backslashreplace")
    except OSError:  # a folder
        return None
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(str(key)): _clean(str(text)) for key, text in value.items()}
    return value if isinstance(value, bool) else _clean(str(value))


def _clean(text: str) -> str:
    return kept(text, _MOST_TEXT)


def _order(package: Package) -> tuple[str, str, str]:
    return package[0], package[1] or "", to_json(package[2])

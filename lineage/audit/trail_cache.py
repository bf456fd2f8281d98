"""What a trail's records come to and when its files were read, kept so that neither is done again.

The file is free to lose: it holds nothing that the records and the data do not. It has a digest of
its own, and says up to which record it goes; what does not fit is not used.

A file that was left as it was read, which nearly all are, is in it once, and in memory there is one
text of its path and of its digest: of 100,000 files a third of the time went into making another.
"""

from __future__ import annotations

import array
import json
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from lineage.audit.trail_history import History
from lineage.audit.trail_records import Mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.audit.trail_files import Seen
    from lineage.audit.trail_history import Origin

NAME, NEW = "cache", "cache.new"
_MAGIC = b"track-lineage trail 2\n"
_DIGEST = 16
_NUMBERS = 4


@dataclass
class Cache:
    """What is known without reading: the history up to a mark, and the files as they were read.

    `head` is the commit whose history is known to have all commits of the sessions.
    """

    mark: Mark
    history: History
    seen: dict[str, Seen] = field(default_factory=dict)
    head: str = ""


def read(path: Path, log_name: Callable[[int], str]) -> Cache | None:
    """Read a cache; None if there is none that can be used."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    if data[: len(_MAGIC)] != _MAGIC or xxh3_128_digest(data[start:]) != data[len(_MAGIC) : start]:
        return None
    with suppress(ValueError, KeyError, TypeError, IndexError):  # of another version
        return _decoded(memoryview(data)[start:], log_name)
    return None


def write(path: Path, cache: Cache) -> None:
    """Put a cache in the place of the one before, under the lock; it need not reach the disk."""
    data = _encoded(cache)
    beside = path.with_name(NEW)
    try:
        beside.write_bytes(_MAGIC + xxh3_128_digest(data) + data)
        beside.replace(path)
    except OSError:  # a full disk: what is not kept is read again
        with suppress(OSError):
            beside.unlink()


def _encoded(cache: Cache) -> bytes:
    seen, known, shared = _ordered(cache)
    stats = chain.from_iterable(each[1] for each in seen.values() if each[1])
    rest = dict(islice(known.items(), shared, None))
    parts = [
        json.dumps(_head(cache) | {"shared": shared}).encode(),
        _texts(seen),
        _texts(each[0] for each in seen.values()),
        array.array("q", stats).tobytes(),
        _texts(rest),
        _texts(each[0] for each in rest.values()),
        array.array("q", [each[1] for each in known.values()]).tobytes(),
    ]
    sizes = array.array("q", [len(part) for part in parts])
    return sizes.tobytes() + b"".join(parts)


def _ordered(cache: Cache) -> tuple[dict[str, Seen], dict[str, Origin], int]:
    """Give what was seen and may be trusted, and what is known, in one order as far as they agree.

    The third says how many files that is: the first ones of both.
    """
    known = dict(cache.history.known)
    shared: dict[str, Origin] = {}
    first: dict[str, Seen] = {}
    rest: dict[str, Seen] = {}
    for path, each in cache.seen.items():
        if each[1]:
            origin = known.get(path)
            if origin is not None and origin[0] == each[0]:
                shared[path] = origin
                first[path] = each
                del known[path]
            else:
                rest[path] = each
    return first | rest, shared | known, len(shared)


def _head(cache: Cache) -> dict[str, Any]:
    history = cache.history
    return {
        "mark": cache.mark,
        "head": cache.head,
        "trail_id": history.trail_id,
        "count": history.count,
        "active": list(history.active.values()),
        "commits": history.commits,
        "gone": history.gone,
        "left": history.left,
        "forgotten": sorted(history.forgotten),
    }


def _decoded(data: memoryview, log_name: Callable[[int], str]) -> Cache:
    sizes = array.array("q", bytes(data[: 7 * 8]))
    parts, at = [], 7 * 8
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    head = json.loads(bytes(parts[0]))
    numbers = iter(array.array("q", bytes(parts[3])))
    stats: Any = zip(*[numbers] * _NUMBERS, strict=True)
    paths, digests, shared = _list(parts[1]), _list(parts[2]), head["shared"]
    seen = dict(zip(paths, zip(digests, stats, strict=True), strict=True))
    paths, digests = paths[:shared] + _list(parts[4]), digests[:shared] + _list(parts[5])
    origins = zip(digests, array.array("q", bytes(parts[6])), strict=True)
    history = History(
        log_name,
        trail_id=head["trail_id"],
        count=head["count"],
        active={each["session"]: each for each in head["active"]},
        commits=head["commits"],
        known=dict(zip(paths, origins, strict=True)),
        gone=head["gone"],
        left={path: (each[0], each[1]) for path, each in head["left"].items()},
        forgotten=set(head["forgotten"]),
    )
    return Cache(Mark(*head["mark"]), history, seen, head["head"])


def _texts(texts: Any) -> bytes:
    # No path has a zero byte in it; one that is not UTF-8 keeps its bytes.
    return "\0".join(texts).encode("utf-8", "surrogateescape")


def _list(data: memoryview) -> list[str]:
    return bytes(data).decode("utf-8", "surrogateescape").split("\0") if data else []

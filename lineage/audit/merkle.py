"""The Merkle tree of RFC 9162, section 2.1 (that of RFC 6962): hashes, roots, proofs.

Leaves and nodes are hashed by SHA-256, each with a prefix of its own. A tree is read by tiles of
256 hashes (https://c2sp.org/tlog-tiles): a hash at level L is that of 256**L leaves, all there.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HASH_BYTES = 32
TILE_BITS = 8
TILE = 1 << TILE_BITS
"""How many hashes a full tile has."""
EMPTY_ROOT = sha256(b"").digest()
_PAIRS = Struct(f"{2 * HASH_BYTES}s")
_begun = sha256(b"\x01").copy  # cheaper than to put the prefix before each pair

ReadHashes = Callable[[int, int, int], bytes]
"""Gives so many hashes of a level from an index on, one after the other."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry.

    Examples:
        >>> leaf_hash(b"").hex()[:16]
        '6e340b9cffb37a98'
    """
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash a node of two children."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """Give the root over a power of two of hashes, one after the other."""
    while len(hashes) > HASH_BYTES:
        above = []
        for (pair,) in _PAIRS.iter_unpack(hashes):
            node = _begun()
            node.update(pair)
            above.append(node.digest())
        hashes = b"".join(above)
    return hashes


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Give the root over the hashes of all leaves.

    Examples:
        >>> root_of([]) == EMPTY_ROOT
        True
    """
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, found = 1, leaf
        while peaks and peaks[-1][0] == size:
            found = node_hash(peaks.pop()[1], found)
            size *= 2
        peaks.append((size, found))
    if not peaks:
        return EMPTY_ROOT
    _, root = peaks.pop()
    while peaks:
        root = node_hash(peaks.pop()[1], root)
    return root


class Tree:
    """A tree whose hashes are read when they are needed.

    Args:
        read: Gives hashes of a level.
    """

    def __init__(self, read: ReadHashes) -> None:
        self._read = read

    def root(self, size: int) -> bytes:
        """Give the root over the first leaves."""
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Give what proves that a leaf is in the tree of a size: the siblings, lowest first.

        Raises:
            ValueError: There is no such leaf in it.
        """
        if not 0 <= index < size:
            raise ValueError(f"there is no leaf {index} among {size}; they count from 0")
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Give what proves that the tree of a size begins with that of an older one.

        Raises:
            ValueError: The older one is not the smaller one.
        """
        if not 0 <= old <= size:
            raise ValueError(f"a tree of {size} leaves does not begin with one of {old}")
        if old in {0, size}:
            return []
        path: list[bytes] = []
        start, end, is_whole = 0, size, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start, is_whole = middle, False
        if not is_whole:
            path.append(self._hash(start, end))
        return path[::-1]

    def _hash(self, start: int, end: int) -> bytes:
        size = end - start
        if size & (size - 1) == 0 and start % size == 0:
            level, rest = divmod(size.bit_length() - 1, TILE_BITS)
            return fold(self._read(level, start >> (TILE_BITS * level), 1 << rest))
        middle = start + _split(size)
        return node_hash(self._hash(start, middle), self._hash(middle, end))


def _split(size: int) -> int:
    """Give the largest power of two that is smaller."""
    return 1 << ((size - 1).bit_length() - 1)


def is_included(leaf: bytes, index: int, size: int, *, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows a leaf at an index of the tree of a size and a root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and found == root


def is_consistent(
    old: int, size: int, *, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that a tree of a size and a root begins with an older one.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old <= size or not _are_hashes(old_root, root, *proof):
        return False
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [*proof] if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    if not path:
        return False
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == root


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


def levels_of(size: int) -> list[int]:
    """Say how many hashes each level of a tree of so many leaves has, level 0 first.

    Examples:
        >>> levels_of(70_000)
        [70000, 273, 1]
    """
    found = []
    while size:
        found.append(size)
        size >>= TILE_BITS
    return found


def tile_path(level: int, number: int, width: int = TILE) -> str:
    """Name the file of a tile as C2SP's tlog-tiles does.

    Examples:
        >>> tile_path(0, 1234067), tile_path(1, 0, 17)
        ('tile/0/x001/x234/067', 'tile/1/000.p/17')
    """
    elements = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        elements.insert(0, f"x{number % 1000:03d}")
    partial = "" if width == TILE else f".p/{width}"
    return f"tile/{level}/{'/'.join(elements)}{partial}"


def tiles_of(size: int) -> list[tuple[int, int, int]]:
    """List the tiles of a tree of so many leaves: level, number, width."""
    return [
        (level, number, min(TILE, count - number * TILE))
        for level, count in enumerate(levels_of(size))
        for number in range(-(-count // TILE))
    ]

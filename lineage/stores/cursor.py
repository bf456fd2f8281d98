"""A cursor over many msgpack records at once: it reads the same element of each as one array.

Records of one tag have their elements in one order, so that what `msgspec` decodes record by
record is here a few operations on arrays per element. The leading bytes are those of the msgpack
specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NIL = 0xC0
_NEITHER = 255
_UNSIGNED = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_MOST = 1 << 62


def _widths() -> NDArray[np.uint8]:
    """Give the number of bytes that follow each leading byte of an integer that is not negative."""
    widths = np.full(256, _NEITHER, np.uint8)
    widths[:0x80] = 0
    for lead, width in _UNSIGNED.items():
        widths[lead] = width
    return widths


_WIDTHS = _widths()
_WIDTHS_OR_NIL = np.where(np.arange(256) == _NIL, 0, _WIDTHS).astype(np.uint8)


class Cursor:
    r"""The same place in each of many records.

    Args:
        records: Their bytes.
        head: What each begins with.

    Raises:
        ValueError: One begins otherwise.

    >>> cursor = Cursor([b"\x92\x05\x07", b"\x92\xcc\xff\xc0"], b"\x92")
    >>> cursor.integers().tolist(), cursor.integers(missing=-1).tolist()
    ([5, 255], [7, -1])
    """

    def __init__(self, records: Sequence[bytes], head: bytes) -> None:
        joined = b"".join((*records, bytes(9)))
        self._records = records
        self._bytes = np.frombuffer(joined, np.uint8)
        # The eight bytes from each offset on, as one number.
        self._words = np.ndarray(len(joined) - 7, ">u8", joined, strides=(1,))
        sizes = np.fromiter(map(len, records), np.int64, len(records))
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self._at = self._starts.copy()
        for byte in head:
            if bool((self._bytes[self._at] != byte).any()):
                raise ValueError(f"not all records begin with {head!r}")
            self._at += 1

    def integers(self, missing: int | None = None) -> NDArray[np.int64]:
        """Read an integer of each record and go on behind it.

        Args:
            missing: What stands for nil, where that may be.

        Raises:
            ValueError: One is no integer from 0 up to 2^62.
        """
        leads = self._bytes[self._at]
        widths = (_WIDTHS if missing is None else _WIDTHS_OR_NIL)[leads]
        widest = int(widths.max(initial=0))
        if widest == _NEITHER:
            raise ValueError("not all are integers that are not negative")
        found: NDArray[np.int64] = leads.astype(np.int64)
        if widest:
            words = self._words[self._at + 1].astype(np.uint64)
            wide = words >> ((8 - widths.astype(np.uint64)) * 8 & 63)
            if bool((wide[widths > 0] >= _MOST).any()):
                raise ValueError(f"not all integers are below {_MOST}")
            found = np.where(widths > 0, wide.astype(np.int64), found)
        if missing is not None:
            found[leads == _NIL] = missing
        self._at += 1 + widths
        return found

    def rests(self) -> list[bytes]:
        """Give what follows in each record.

        Raises:
            ValueError: One has ended before.
        """
        if bool((self._at > self._ends).any()):
            raise ValueError("a record has fewer elements")
        places = (self._at - self._starts).tolist()
        return [record[at:] for record, at in zip(self._records, places, strict=True)]

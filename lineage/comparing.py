"""Two files that should be the same: bit by bit, up to the order of rows, or nearly.

A table that is not the same in its bytes is read and compared by its rows. Nothing is unpickled:
what is in a pickle, a picture or any other file that is no table is compared by its bytes alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

Verdict = Literal["identical", "same rows", "reordered", "close", "differs"]
RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""How far apart two numbers may be that are taken for equal: of the larger one, and in all."""
_WAYS = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column in which two tables differ: in how many rows, and by how much at most."""

    name: str
    count: int
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found of two files.

    Args:
        verdict: `identical` in every byte; the `same rows` in the same order; `reordered`, the same
            rows in another; `close`, numbers within the tolerance; or it `differs`.
        message: The same in words.
        columns: Where they differ.
    """

    verdict: Verdict
    message: str
    columns: tuple[ColumnDifference, ...] = field(default=())

    @property
    def is_same(self) -> bool:
        """Whether the one may stand for the other."""
        return self.verdict != "differs"


def compare(
    old: str | Path, new: str | Path, *, rtol: float = RELATIVE, atol: float = ABSOLUTE
) -> Comparison:
    r"""Compare two files, or two folders of one table.

    Args:
        old: The file as it was.
        new: The file as it is now.
        rtol: How far apart numbers may be, as a part of the old one.
        atol: And in all.

    Raises:
        OSError: One of them cannot be read.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     one, other = Path(folder, "a.csv"), Path(folder, "b.csv")
        ...     _ = one.write_text("k,v\nx,1\ny,2\n"), other.write_text("k,v\ny,2\nx,1\n")
        ...     compare(one, other).message
        'equal up to the order of rows'
    """
    old, new = Path(old), Path(new)
    if _digests(old) == _digests(new):
        return Comparison("identical", "identical in every byte")
    reader = _reader(old)
    if reader is None or _reader(new) is None:
        what = old.suffix or "a file without a suffix"
        return Comparison("differs", f"differs in its bytes; {what} is not compared as a table")
    try:
        frames = reader(old), reader(new)
    except Exception as problem:  # noqa: BLE001 - whatever a reader raises of bytes that are none
        kind = type(problem).__name__
        return Comparison("differs", f"differs in its bytes; it cannot be read as a table: {kind}")
    return compare_frames(*frames, rtol=rtol, atol=atol)


def compare_frames(
    old: pd.DataFrame, new: pd.DataFrame, *, rtol: float = RELATIVE, atol: float = ABSOLUTE
) -> Comparison:
    """Compare two frames by their rows; the index is a column like the others.

    Examples:
        >>> import pandas
        >>> one = pandas.DataFrame({"v": [1.0, 2.0]})
        >>> compare_frames(one, one + 1e-13).verdict
        'close'
        >>> compare_frames(one, one.replace(2.0, 4.0)).message
        'differs in v (1 of 2 rows, by 2 at most)'
    """
    has_index = any(map(_is_labelled, (old, new)))
    old, new = _flat(old, has_index=has_index), _flat(new, has_index=has_index)
    shape = _shapes(old, new)
    if shape:
        return Comparison("differs", shape)
    if old.equals(new):
        return Comparison("same rows", "equal row by row; the files are written differently")
    sorted_old, sorted_new = _ordered(old), _ordered(new)
    if sorted_old.equals(sorted_new):
        return Comparison("reordered", "equal up to the order of rows")
    found = _differences(old, new, rtol, atol)
    if found:
        # Another order is looked for only where it explains more than a few values.
        found = min(found, _differences(sorted_old, sorted_new, rtol, atol), key=_weight)
    if not found:
        return Comparison("close", f"equal within a tolerance of {rtol:g} of each number")
    told = ", ".join(_told(each, len(old)) for each in found)
    return Comparison("differs", f"differs in {told}", tuple(found))


def _told(found: ColumnDifference, rows: int) -> str:
    most = "" if found.most is None else f", by {found.most:g} at most"
    return f"{found.name} ({found.count} of {rows} rows{most})"


def _weight(found: list[ColumnDifference]) -> int:
    return sum(each.count for each in found)


def _shapes(old: pd.DataFrame, new: pd.DataFrame) -> str:
    """Say what of columns and rows is not the same at all."""
    names = list(old.columns), list(new.columns)
    gone = [name for name in names[0] if name not in names[1]]
    more = [name for name in names[1] if name not in names[0]]
    told = [f"without {', '.join(gone)}"] if gone else []
    told += [f"with {', '.join(more)} besides"] if more else []
    if not told and names[0] != names[1]:
        told = ["its columns are in another order"]
    if len(old) != len(new):
        told.append(f"{len(old)} rows before, {len(new)} now")
    return f"differs: {'; '.join(told)}" if told else ""


def _differences(
    old: pd.DataFrame, new: pd.DataFrame, rtol: float, atol: float
) -> list[ColumnDifference]:
    found = []
    for place, name in enumerate(old.columns):
        one, other = old.iloc[:, place], new.iloc[:, place]
        count, most = _apart(one, other, rtol, atol)
        if count:
            found.append(ColumnDifference(str(name), count, most))
    return found


def _apart(one: pd.Series, other: pd.Series, rtol: float, atol: float) -> tuple[int, float | None]:
    """Count the places at which two columns are not equal, and how far they are apart there."""
    import numpy as np

    if all(each.dtype.kind in "iuf" for each in (one, other)):
        left, right = one.to_numpy(float, na_value=np.nan), other.to_numpy(float, na_value=np.nan)
        is_apart = ~np.isclose(right, left, rtol=rtol, atol=atol, equal_nan=True)
        known = np.abs(left - right)[is_apart]
        finite = known[np.isfinite(known)]
        return int(is_apart.sum()), float(finite.max()) if len(finite) else None
    same = [a is b or a == b or (a != a and b != b) for a, b in zip(one, other, strict=True)]  # noqa: PLR0124 - what is not equal to itself is missing
    return len(same) - sum(same), None


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Put rows in an order that depends on what they hold alone.

    Numbers count last and by their size, so that one that is nearly the same stays where it was.
    """
    import numpy as np
    from pandas.util import hash_pandas_object

    is_number = [kind.kind == "f" for kind in frame.dtypes]
    keys = [
        frame.iloc[:, place].to_numpy(float, na_value=np.nan)
        for place, found in enumerate(is_number)
        if found
    ]
    others = frame.loc[:, [not each for each in is_number]]
    if len(others.columns):
        keys.insert(0, hash_pandas_object(others, index=False).to_numpy())
    if not keys:
        return frame
    return frame.take(np.lexsort(keys[::-1])).reset_index(drop=True)


def _is_labelled(frame: pd.DataFrame) -> bool:
    """Whether the index does more than count."""
    import pandas as pd

    return not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None)


def _flat(frame: pd.DataFrame, *, has_index: bool) -> pd.DataFrame:
    """Make columns of the index, and texts of what cannot be compared."""
    if has_index:
        names = [str(name or f"index {at}") for at, name in enumerate(frame.index.names)]
        frame = frame.rename_axis(index=names).reset_index(allow_duplicates=True)
    flat = frame.copy()
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            texts = frame.iloc[:, place].map(_text, na_action="ignore")
            flat.isetitem(place, texts.array)
    return flat.reset_index(drop=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{type(value).__name__}:{value!r}"


def _reader(path: Path) -> Callable[[Path], Any] | None:
    """Give what reads a table of this name."""
    import pandas as pd

    if path.is_dir():
        return pd.read_parquet
    suffixes = [each.lower() for each in path.suffixes]
    packed = suffixes.pop() if len(suffixes) > 1 and suffixes[-1] in _WAYS else ""
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": pd.read_csv,
        ".tsv": lambda file: pd.read_csv(file, sep="\t"),
        ".json": pd.read_json,
        ".jsonl": lambda file: pd.read_json(file, lines=True),
    }
    if not packed:
        readers |= {".parquet": pd.read_parquet, ".feather": pd.read_feather}
        readers |= {".arrow": pd.read_feather, ".orc": pd.read_orc}
        readers |= {".xlsx": pd.read_excel}
    return readers.get(suffixes[-1] if suffixes else "")


def _digests(path: Path) -> Any:
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return [(each.relative_to(path).as_posix(), _digests(each)) for each in files]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

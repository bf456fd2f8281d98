"""Answers that show themselves: plain dictionaries and lists, with a table in a notebook."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from lineage.analysis.lazy import LazySequence, TableRows
from lineage.analysis.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import SupportsIndex

    import pandas as pd
    import pyarrow as pa

    from lineage.render.drawing import Drawing

    Draw = Callable[[], Drawing]

T = TypeVar("T")


def shown(answer: T, shape: str, draw: Draw | None = None) -> T:
    """Give an answer the ability to show itself; it stays what it is in every other respect.

    Args:
        answer: A dictionary, a list, or a `LazySequence`, which stays lazy.
        shape: What kind of answer it is: a name in `analysis.shapes.SHAPES`.
        draw: Makes the picture, when the answer is a piece of the graph; called when it is shown.
    """
    found: Any
    if isinstance(answer, dict):
        found = Answer(answer, shape=shape, draw=draw)
    elif isinstance(answer, list):
        found = Answers(answer, shape=shape)
    else:
        found = LazyAnswers(cast("Sequence[Any]", answer), shape=shape)
    return cast("T", found)


class _Shown:
    """What all answers can do besides being what they are."""

    __slots__ = ()
    shape: str

    def to_pandas(self) -> pd.DataFrame:
        """Give the answer as one pandas frame.

        Its rows are the nodes of a lineage or an impact, the operations along a path, the flows
        of a volume, the functions of a performance; of a summary, one row of its figures.
        """
        import pandas as pd

        shape = SHAPES[self.shape]
        found = shape.rows(self)
        if isinstance(found, TableRows):
            frame: pd.DataFrame = found.table.select(list(shape.columns)).to_pandas()
            return frame
        return pd.DataFrame(list(found), columns=list(shape.columns) or None)

    def to_arrow(self) -> pa.Table:
        """Give the answer as one Arrow table, of the same rows as `to_pandas`."""
        import pyarrow as pa

        shape = SHAPES[self.shape]
        found = shape.rows(self)
        if isinstance(found, TableRows):
            return found.table.select(list(shape.columns))
        rows = list(found)
        names = shape.columns or dict.fromkeys(chain.from_iterable(rows))
        return pa.table({name: [row.get(name) for row in rows] for name in names})

    def _picture(self) -> Drawing | None:
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the figures, the first rows of each table, and the piece of the graph if it is one.

        All names are shown as text.
        """
        from lineage.render.notebook import mimebundle
        from lineage.render.report import section_to_html, section_to_text

        shape = SHAPES[self.shape]
        title, content = shape.title(self), shape.sections(self)
        text, above = section_to_text(title, content), section_to_html(title, content)
        return mimebundle(text, self._picture(), above=above)


class Answer(_Shown, dict[str, Any]):
    """An answer: a dictionary that equals, pickles and unpacks as one, and shows itself.

    >>> answer = Answer({"message": "No operations found"}, shape="performance")
    >>> answer == {"message": "No operations found"}
    True
    >>> print(answer._repr_mimebundle_()["text/plain"])
    No operations found
    """

    __slots__ = ("_draw", "shape")

    def __init__(self, content: dict[str, Any], *, shape: str, draw: Draw | None = None) -> None:
        super().__init__(content)
        self.shape = shape
        self._draw = draw

    def _picture(self) -> Drawing | None:
        return None if self._draw is None else self._draw()

    def __copy__(self) -> Self:
        return type(self)(dict(self), shape=self.shape, draw=self._draw)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the picture, which would take the whole graph along.
        return _again, (type(self), dict(self), self.shape)


class Answers(_Shown, list[Any]):
    """An answer that is a list; a slice of it shows itself as well."""

    __slots__ = ("shape",)

    def __init__(self, content: Sequence[Any], *, shape: str) -> None:
        super().__init__(content)
        self.shape = shape

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Answers: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        return Answers(found, shape=self.shape) if isinstance(index, slice) else found

    def __copy__(self) -> Self:
        return type(self)(self, shape=self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), list(self), self.shape)


class LazyAnswers(_Shown, LazySequence[Any]):
    """An answer whose items are made when they are looked at; it pickles as a list.

    A slice of it shows itself as well.
    """

    def __init__(self, content: Sequence[Any], *, shape: str) -> None:
        super().__init__(lambda: content, list)
        self.shape = shape

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> LazyAnswers: ...
    def __getitem__(self, index: int | slice) -> Any:
        found = super().__getitem__(index)
        return LazyAnswers(found, shape=self.shape) if isinstance(index, slice) else found


def _again(kind: type[Answer | Answers], content: Any, shape: str) -> Answer | Answers:
    return kind(content, shape=shape)

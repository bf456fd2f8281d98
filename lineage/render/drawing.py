"""What every renderer draws: boxes, the arrows between them, and the colours of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

BoxKind = Literal["data", "operation"]
ArrowKind = Literal["dependency", "input", "output", "direct", "indirect"]


class Colours(NamedTuple):
    """The colours of one group of boxes: CSS names for `fill`, hexadecimal for the others."""

    fill: str
    stroke: str
    text: str


TEXT = "#16202c"
FAILURE = "#c62828"
PALETTE: dict[str, Colours] = {
    "repository": Colours("lightblue", "#4a90a8", TEXT),
    "dataframe": Colours("lightgreen", "#4c9a4c", TEXT),
    "file": Colours("lightyellow", "#b8a13a", TEXT),
    "api": Colours("lightcoral", "#b95151", TEXT),
    "parameter": Colours("lavender", "#857ab5", TEXT),
}
OTHER = Colours("lightgray", "#8a929c", TEXT)
FAILED = Colours("mistyrose", FAILURE, TEXT)
ARROW_STROKES: dict[ArrowKind, str] = {
    "dependency": "#64748b",
    "input": "#4878b0",
    "output": "#3f8f5f",
    "direct": "#2f6f9f",
    "indirect": "#9a6b1f",
}
DASHED: frozenset[ArrowKind] = frozenset(("indirect",))


@dataclass(frozen=True, slots=True)
class Box:
    """One thing of a drawing: a data source or an operation.

    Args:
        id: Its name within the drawing, unique.
        label: What is written on it; any text.
        kind: `data` or `operation`.
        group: The source type, or the operation type; it chooses the colour of a data source.
        details: What a click on it shows, in this order.
        is_root: Whether the drawing is about this box.
        has_error: Whether the operation failed, or for data, the last one that was to write it.
        rows: Names below its label, such as its columns, at which arrows may begin and end.
    """

    id: str
    label: str
    kind: BoxKind = "data"
    group: str = ""
    details: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_root: bool = False
    has_error: bool = False
    rows: tuple[str, ...] = ()

    @property
    def colours(self) -> Colours:
        """The colours of the box's group; operations and unknown groups are light grey.

        An operation that failed is red; data that an operation failed to write keeps its fill.

        Examples:
            >>> Box("a", "bars", group="repository").colours.fill
            'lightblue'
        """
        if self.kind == "data":
            return PALETTE.get(self.group, OTHER)
        return FAILED if self.has_error else OTHER

    @property
    def whole_name(self) -> str:
        """The label, and below it the id of a data source whose label leaves something out."""
        is_short = self.kind == "data" and self.id != self.label
        return f"{self.label}\n{self.id}" if is_short else self.label


@dataclass(frozen=True, slots=True)
class Arrow:
    """A directed connection from the box `source` to the box `target`, both given by id.

    `source_row` and `target_row` say from which of their rows it comes and to which it goes; None
    stands for the box as a whole.
    """

    source: str
    target: str
    kind: ArrowKind = "dependency"
    label: str = ""
    source_row: int | None = None
    target_row: int | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything a renderer needs to know of a picture.

    Args:
        title: What the picture shows.
        boxes: The things, each id once.
        arrows: The connections; both ends must be boxes. Loops and cycles are allowed.
        note: A remark under the picture, such as how many nodes were left out.

    Raises:
        ValueError: If an id occurs twice, or an arrow names a box, or a row, that is not there.
    """

    title: str
    boxes: tuple[Box, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", tuple(self.boxes))
        object.__setattr__(self, "arrows", tuple(self.arrows))
        rows: dict[str, int] = {}
        for box in self.boxes:
            if box.id in rows:
                raise ValueError(f"the box id {box.id!r} occurs twice; ids must be unique")
            rows[box.id] = len(box.rows)
        for arrow in self.arrows:
            for end, row in ((arrow.source, arrow.source_row), (arrow.target, arrow.target_row)):
                if end not in rows:
                    raise ValueError(
                        f"the arrow {arrow.source!r} -> {arrow.target!r} names {end!r}, "
                        "which is not a box; leave such arrows out"
                    )
                if row is not None and not 0 <= row < rows[end]:
                    raise ValueError(
                        f"the arrow {arrow.source!r} -> {arrow.target!r} names row {row} of "
                        f"{end!r}, which has {rows[end]}"
                    )

"""What columns are made from, as edges that can be shown and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lineage.columns.operation import as_frame
from lineage.columns.values import CONFIDENCES, DEFAULT, EXACT, INFERRED, OPAQUE, Deps, Frame, join
from lineage.core import ColumnEdge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lineage.columns.values import Atom, Value, Why

UNNAMED = "value"


def edges_of(value: Value) -> list[ColumnEdge]:
    """Give the edges of a value: one for each output column, source column and kind.

    The output columns of a frame are its columns and the named levels of its index; a series or a
    number has one, by its name or `value`.
    """
    found: dict[tuple[str, str, str, str], ColumnEdge] = {}
    for label, deps in outputs_of(value):
        for edge in _edges(label, deps):
            key = (edge.output_column, edge.source, edge.source_column, edge.kind)
            known = found.get(key)
            if known is None or _rank(edge) > _rank(known):
                found[key] = edge
    return list(found.values())


def outputs_of(value: Value) -> Iterator[tuple[str, Deps]]:
    """Give each output column with all that it depends on, the rows included."""
    frame = as_frame(value)
    for name, deps in frame.index:
        if name is not None:
            yield str(name), join((deps, frame.rows))
    for label, deps in zip(frame.labels, frame.columns, strict=True):
        yield UNNAMED if label is None else str(label), join((deps, frame.rows))


def _edges(label: str, deps: Deps) -> Iterator[ColumnEdge]:
    kinds: tuple[tuple[str, Mapping[Atom, Why]], ...] = (
        ("direct", deps.direct),
        ("indirect", deps.indirect),
    )
    for kind, influences in kinds:
        for (source, column), why in influences.items():
            yield ColumnEdge(
                label, source, column, kind, why.subtype, CONFIDENCES[why.confidence],
                why.operation, why.call_site,
            )  # fmt: skip


def _rank(edge: ColumnEdge) -> int:
    return CONFIDENCES.index(edge.confidence)


class UnknownOperation(NamedTuple):
    """An operation that no rule knows: how often it ran, and where it did first, as `file:line`."""

    name: str
    times: int
    call_site: str


class TouchedFile(NamedTuple):
    """A file that was opened and that nothing noted; the mode is `r` or `w`."""

    path: str
    mode: str
    call_site: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How well output columns are explained, and what capture did not see or understand.

    Args:
        columns: How many output columns there are.
        exact: How many of them are explained by rules and the tape alone.
        inferred: How many with the help of what was read in the code.
        unsure: How many by a guess: an operation that no rule knows, or a value of unknown origin.
        unexplained: How many have no source at all: made of constants, or the trail is lost.
        gaps: Where a value came in whose code is not at hand, as `file:line`.
        unknown: The operations that no rule knows.
        files: The files that were touched, and that no operation which was noted explains.
        problems: Where a rule has failed; what came out is taken to be made of all that went in.
        missed: How many operations could not be noted; with some, what is explained is not whole.
        last_error: Why the last of them could not; None when there was no room for them.
    """

    columns: int = 0
    exact: int = 0
    inferred: int = 0
    unsure: int = 0
    unexplained: int = 0
    gaps: tuple[str, ...] = ()
    unknown: tuple[UnknownOperation, ...] = ()
    files: tuple[TouchedFile, ...] = ()
    problems: tuple[str, ...] = ()
    missed: int = 0
    last_error: str | None = None


def coverage_of(frames: list[Frame]) -> Coverage:
    """Count the output columns of frames by how sure their edges are."""
    counts = {EXACT: 0, INFERRED: 0, DEFAULT: 0, OPAQUE: 0, None: 0}
    for frame in frames:
        for _, deps in outputs_of(frame):
            whys = [*deps.direct.values(), *deps.indirect.values()]
            counts[min((why.confidence for why in whys), default=None)] += 1
    return Coverage(
        sum(counts.values()), counts[EXACT], counts[INFERRED], counts[DEFAULT] + counts[OPAQUE],
        counts[None],
    )  # fmt: skip

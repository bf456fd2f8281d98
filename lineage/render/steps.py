"""The operations of a drawing: those that are alike are one box between the data."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from lineage.render.boxes import operation_box
from lineage.render.drawing import Arrow, Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lineage.core import DataOperation, DataSource

_LOOKED_AT = 20_000
"""Of more operations than this only the newest are drawn, so that a picture takes seconds."""


class Steps:
    """Join operations to the boxes of data.

    Alike are operations of the same function on the same sources with the same outcome. The
    newest stand first.

    Args:
        operations: By time, the newest last.
        data: The ids of the boxes of data; what is not among them gets no arrow.
    """

    def __init__(self, operations: Sequence[DataOperation], data: set[str]) -> None:
        self._data = data
        self._newest: dict[tuple[Any, ...], DataOperation] = {}
        self._times: Counter[tuple[Any, ...]] = Counter()
        self._unseen = max(0, len(operations) - _LOOKED_AT)
        for operation in islice(reversed(operations), _LOOKED_AT):
            ends = [self._ends(sources) for sources in (operation.inputs, operation.outputs)]
            if any(ends) or not (operation.inputs or operation.outputs):
                code = (operation.operation_type, operation.code_module, operation.code_name)
                key = (*code, operation.status, *map(tuple, ends))
                self._newest.setdefault(key, operation)
                self._times[key] += 1

    def boxes(self, room: int) -> list[Box]:
        """Draw the newest of them."""
        return [
            operation_box(operation, f"op_{operation.operation_id}", times=self._times[key])
            for key, operation in islice(self._newest.items(), room)
        ]

    def arrows(self, room: int) -> list[Arrow]:
        """Join them to the data; a failed operation has not written, and its arrow says so."""
        arrows = []
        for operation in islice(self._newest.values(), room):
            name = f"op_{operation.operation_id}"
            word = "not written" if operation.is_failed else ""
            arrows += [Arrow(end, name, "input") for end in self._ends(operation.inputs)]
            arrows += [Arrow(name, end, "output", word) for end in self._ends(operation.outputs)]
        return arrows

    def note(self, room: int) -> str:
        """Say what was left out."""
        groups = len(self._newest)
        notes = [
            f"Not drawn: {groups - room:,} of {groups:,} kinds of operations."
            if groups > room
            else "",
            f"Not looked at: {self._unseen:,} older operations." if self._unseen else "",
        ]
        return " ".join(filter(None, notes))

    def _ends(self, sources: Iterable[DataSource]) -> list[str]:
        return [
            node_id
            for node_id in dict.fromkeys(source.node_id for source in sources)
            if node_id in self._data
        ]

"""Rules of operations that bring frames together by their keys."""

from __future__ import annotations

from typing import Any

from lineage.columns.operation import Op, as_frame, labels_of
from lineage.columns.values import (
    JOIN,
    NOTHING,
    Deps,
    Frame,
    Items,
    Value,
    deciding,
    flat,
    join,
)

# Merges


def merged_method(op: Op) -> Value:
    """`frame.merge(right, …)`."""
    return _merge(op, op.frame, as_frame(op.value(0, "right")), 1)


def merged_function(op: Op) -> Value:
    """`pandas.merge(left, right, …)` and its ordered and as-of forms."""
    return _merge(op, as_frame(op.value(0, "left")), as_frame(op.value(1, "right")), 2)


def _merge(op: Op, left: Frame, right: Frame, place: int) -> Frame:
    how = str(op.literal(place, "how", default="inner"))
    if op.name in ("merge_asof", "merge_ordered"):
        how = "left" if op.name == "merge_asof" else str(op.literal(-1, "how", default="outer"))
        place = 1
    lefts, rights = _keys(op, left, right, place + 1)
    by = labels_of(op.literal(-1, "by")) or []
    lefts += [(label, left.named(label) or NOTHING) for label in by]
    rights += [(label, right.named(label) or NOTHING) for label in by]
    for side, keys, frame in (("left_by", lefts, left), ("right_by", rights, right)):
        more = labels_of(op.literal(-1, side)) or []
        keys += [(label, frame.named(label) or NOTHING) for label in more]
    decides = deciding(join(deps for _, deps in (*lefts, *rights)), JOIN, op.step)
    left, right, rows = _rows(left, right, how)
    return _joined(op, _Sides(left, right, how, dict(lefts), dict(rights)), join((rows, decides)))


def _rows(left: Frame, right: Frame, how: str) -> tuple[Frame, Frame, Deps]:
    """Give both sides and what decides on all rows: the other side's rows stay with its columns."""
    if how == "left":
        return left, _with_rows(right), left.rows
    if how == "right":
        return _with_rows(left), right, right.rows
    return left, right, join((left.rows, right.rows))


def _with_rows(frame: Frame) -> Frame:
    made = frame.each(lambda deps: join((deps, frame.rows)))
    made.rows = NOTHING
    return made


class _Sides:
    """Both frames of a merge, how they are merged, and their keys by name."""

    def __init__(
        self, left: Frame, right: Frame, how: str, lefts: dict[Any, Deps], rights: dict[Any, Deps]
    ) -> None:
        self.left, self.right, self.how = left, right, how
        self.lefts, self.rights = lefts, rights

    @property
    def common(self) -> set[Any]:
        """The names of keys that both sides have."""
        return {label for label in self.lefts if label in self.rights and label is not None}

    def key(self, label: Any) -> Deps:
        """What the column of a common key is made from."""
        if self.how in ("left", "asof"):
            return self.lefts[label]
        if self.how == "right":
            return self.rights[label]
        return join((self.lefts[label], self.rights[label]))


def _keys(
    op: Op, left: Frame, right: Frame, place: int
) -> tuple[list[tuple[Any, Deps]], list[tuple[Any, Deps]]]:
    on = labels_of(op.literal(place, "on"))
    if on is not None:
        return _of(left, on), _of(right, on)
    lefts = _side(op, left, "left", place + 1)
    rights = _side(op, right, "right", place + 2)
    how = op.literal(place - 1, "how", default="inner")
    if not lefts and not rights and how != "cross":
        common = [label for label in left.labels if label in right.labels]
        return _of(left, common), _of(right, common)
    return lefts, rights


def _side(op: Op, frame: Frame, side: str, place: int) -> list[tuple[Any, Deps]]:
    if op.literal(place + 2, f"{side}_index", default=False) is True:
        return [(name, deps) for name, deps in frame.index]
    named = op.arg(place, f"{side}_on")
    if named is None or named.literal is None:
        return []
    labels = labels_of(named.literal)
    if labels is not None:
        return _of(frame, labels)
    return [(None, flat(named.value))]


def _of(frame: Frame, labels: list[Any]) -> list[tuple[Any, Deps]]:
    return [(label, frame.named(label) or NOTHING) for label in labels]


def _joined(op: Op, sides: _Sides, rows: Deps) -> Frame:
    left, right = sides.left, sides.right
    suffixes = op.literal(-1, "suffixes", default=("_x", "_y"))
    ends = [
        op.literal(3, "lsuffix", default="") if op.name == "join" else suffixes[0] or "",
        op.literal(4, "rsuffix", default="") if op.name == "join" else suffixes[1] or "",
    ]
    overlap = set(left.labels) & set(right.labels) - sides.common
    if op.name == "join":
        overlap = set(left.labels) & set(right.labels)
    labels = op.labels
    if labels is None:
        labels = [f"{e}{ends[0]}" if e in overlap else e for e in left.labels]
        labels += [
            f"{e}{ends[1]}" if e in overlap else e for e in right.labels
            if e not in sides.common
        ]  # fmt: skip
    columns = [_column(label, sides, overlap, ends) for label in labels]
    names = op.index if op.index is not None else ()
    index = []
    if names:
        known = {**dict(right.index), **dict(left.index)}
        index = [(name, sides.key(name) if name in sides.common else known.get(name, NOTHING))
                 for name in names]  # fmt: skip
    elif op.name == "join":
        index = left.index
    return Frame(list(labels), columns, index, rows)


def _column(label: Any, sides: _Sides, overlap: set[Any], ends: list[str]) -> Deps:
    if label in sides.common:
        return sides.key(label)
    left, right = sides.left, sides.right
    if label not in overlap:
        for frame in (left, right):
            found = frame.column(label)
            if found is not None:
                return found
    for frame, end in ((left, ends[0]), (right, ends[1])):
        if isinstance(label, str) and (not end or label.endswith(end)):
            stem = label.removesuffix(end) if end else label
            found = next((frame.column(each) for each in overlap if str(each) == stem), None)
            if found is not None:
                return found
    return left.level(label) or right.level(label) or NOTHING


def joined(op: Op) -> Value:
    """`join`: by the index of the other frames, and the index or columns of this one."""
    left = op.frame
    other = op.value(0, "other")
    others = other.items if isinstance(other, Items) else [other]
    how = str(op.literal(2, "how", default="left"))
    on = labels_of(op.literal(1, "on"))
    result = left
    for each in others:
        right = as_frame(each)
        lefts = _of(result, on) if on is not None else list(result.index)
        rights = list(right.index)
        decides = deciding(join(deps for _, deps in (*lefts, *rights)), JOIN, op.step)
        result, right, own = _rows(result, right, how)
        rows = join((own, decides))
        part = op if len(others) == 1 else _unlabelled(op)
        sides = _Sides(result, right, how, dict(lefts) if on is None else {}, dict(rights))
        if on is not None:
            sides.rights = {}
        made = _joined(part, sides, rows)
        if on is None and how in ("outer", "right", "inner"):
            made.index = _index_of(made.index, lefts, rights, how)
        result = made
    return result


def _index_of(index: Any, lefts: Any, rights: Any, how: str) -> list[tuple[Any, Deps]]:
    if len(lefts) == len(rights) and len(index) == len(lefts):
        return [
            (name, b if how == "right" else join((a, b)))
            for (name, a), (_, b) in zip(lefts, rights, strict=True)
        ]
    return list(index)


def _unlabelled(op: Op) -> Op:
    return Op(op.name, op.target, op.args, op.kwargs, op.step, op.call, op.names)


# Concatenation

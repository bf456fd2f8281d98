"""Arrays that scikit-learn puts together of several columns: which block is made of which."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lineage.capture.identity import ByIdentity
from lineage.capture.noting import keep, record
from lineage.capture.patches import Patches, disguised
from lineage.capture.places import call_site
from lineage.capture.tape import Everywhere, Tape, current, inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_METHODS = ("fit", "fit_transform", "transform")
_patches = Patches()
_fitted = ByIdentity()


def install() -> None:
    """Put the wrappers in place."""
    from sklearn.compose import ColumnTransformer

    if _patches.is_empty:
        for name in _METHODS:
            original = vars(ColumnTransformer)[name]
            _patches.put(ColumnTransformer, name, _wrapper(original, name))


def uninstall() -> None:
    """Put everything back."""
    _patches.remove()


def _wrapper(original: Any, name: str) -> Callable[..., Any]:
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inside.busy or (tape := current.get() or Everywhere.tape) is None:
            return original(self, *args, **kwargs)
        inside.busy = True
        try:
            result = original(self, *args, **kwargs)
            data = args[0] if args else kwargs.get("X")
            _note(tape, name, (self, data), result, sys._getframe(1))
            return result
        finally:
            inside.busy = False

    return disguised(wrapper, original)


def _note(tape: Tape, name: str, what: tuple[Any, Any], result: Any, caller: FrameType) -> None:
    """Note what a transformer was fitted on, or the blocks of what it has made."""
    transformer, data = what
    try:
        if name != "transform":
            where = call_site(caller)
            _fitted.put(
                transformer, (tape.token, None if where is None else keep(tape, data, where))
            )
        if name == "fit":
            return
        token, number = _fitted.get(transformer) or (None, None)
        fitted = number if token == tape.token else None
        given = (data, blocks_of(transformer), fitted)
        record(tape, "transform_columns", None, (given, {}), result, caller)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def blocks_of(transformer: Any) -> list[tuple[list[Any], int, int, bool]] | None:
    """Give the columns of each block, where it begins and ends, and whether it is passed through.

    Args:
        transformer: A fitted `ColumnTransformer`.

    Returns:
        None when it was fitted on something without names.

    Examples:
        >>> import pandas
        >>> from sklearn.compose import ColumnTransformer
        >>> parts = ColumnTransformer([("kept", "passthrough", ["b"])]).fit(
        ...     pandas.DataFrame({"a": [1], "b": [2]})
        ... )
        >>> blocks_of(parts)
        [(['b'], 0, 1, True)]
    """
    names = getattr(transformer, "feature_names_in_", None)
    if names is None:
        return None
    labels = list(names)
    passed = {name for name, each, _ in transformer.transformers if _is_passed(each)}
    if _is_passed(transformer.remainder):
        passed.add("remainder")
    found = []
    for name, _, columns in transformer.transformers_:
        part = transformer.output_indices_.get(name)
        if part is not None and part.stop > part.start:
            chosen = _chosen(columns, labels)
            is_passed = name in passed and part.stop - part.start == len(chosen)
            found.append((chosen, part.start, part.stop, is_passed))
    return found


def _is_passed(transformer: Any) -> bool:
    return isinstance(transformer, str) and transformer == "passthrough"


def _chosen(columns: Any, labels: list[Any]) -> list[Any]:
    """Give the labels that names, places, a slice or a mask stand for."""
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            first = 0 if columns.start is None else labels.index(columns.start)
            last = len(labels) if columns.stop is None else labels.index(columns.stop) + 1
            return labels[first : last : columns.step]
        return labels[columns]
    items = [columns] if isinstance(columns, int) else list(columns)
    if items and all(isinstance(each, str) for each in items):
        return items
    if len(items) == len(labels) and all(
        type(each).__name__ in ("bool", "bool_") for each in items
    ):
        return [label for label, is_in in zip(labels, items, strict=True) if is_in]
    return [labels[int(each)] for each in items]

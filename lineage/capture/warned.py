"""Warnings of pandas, said as if no wrapper stood between it and the code that called it."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lineage.capture.places import NOTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

COUNTING = frozenset({"pandas.core.frame", "pandas.core.series", "pandas.core.generic"})
"""Modules of pandas 2 that count the references to an object whose method is called.

What reads and sets at labels counts those to the object of an indexer: a wrapper has none of these.
"""


class Warnings:
    """The module `warnings` as pandas sees it, but for whom a warning is said to be about.

    pandas counts how many calls lie between a warning and the user, in some places with a number
    that is written there; a wrapper is one more. A warning that would be about a wrapper is about
    who called it. All else is asked of the module itself.

    Examples:
        >>> Warnings().simplefilter is warnings.simplefilter
        True
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(
        self, message: Any, category: Any = None, stacklevel: int = 1, *args: Any, **kwargs: Any
    ) -> None:
        """Warn as `warnings.warn` does."""
        level = stacklevel + 1
        try:
            frame: FrameType | None = sys._getframe(stacklevel)
            while frame is not None and frame.f_code.co_filename.endswith(NOTED):
                level += 1
                frame = frame.f_back
        except (ValueError, TypeError):  # further out than there are calls
            pass
        warnings.warn(message, category, level, *args, **kwargs)


class Chain:
    """Whether an assignment to a value without a name is warned of, as pandas 3 does.

    pandas takes an object that is referred to once, and that the caller has no name for, to be an
    intermediate value; a wrapper is one more reference, and has a name for it. So a wrapper looks
    in its place.

    Attributes:
        few: How many references to its object a method has that is called on such a value.
        is_always: Whether it changes its object always, or only when it is asked to.

    Args:
        original: The method that looks for it.
    """

    def __init__(self, original: Any) -> None:
        # The stubs that describe pandas to type checkers have nothing of these.
        constants: Any = import_module("pandas.compat._constants")
        common: Any = import_module("pandas.core.common")
        texts: Any = import_module("pandas.errors.cow")
        errors: Any = import_module("pandas.errors")
        names = original.__code__.co_names
        is_item = original.__name__ == "__setitem__"
        self.is_always = is_item or original.__name__ == "update"
        self.few: int = getattr(constants, "REF_COUNT" if is_item else "REF_COUNT_METHOD")
        self._steps = getattr(common, "_SETITEM_OPCODES", None) if is_item else None
        text = next(name for name in names if name.startswith("_chained_assignment"))
        self._text = getattr(texts, text)
        self._category = errors.ChainedAssignmentError

    def warn(self, target: Any, caller: FrameType) -> None:
        """Warn, if the caller has no name for it."""
        if any(value is target for value in caller.f_locals.values()):
            return
        if self._steps and caller.f_code.co_code[caller.f_lasti] not in self._steps:
            return
        warnings.warn(self._text, self._category, stacklevel=3)


def chain_of(original: Any) -> Chain | None:
    """Give how a method warns of a chain of assignments; None when it does not."""
    names = original.__code__.co_names
    if "REF_COUNT" not in names and "REF_COUNT_METHOD" not in names:
        return None
    try:
        return Chain(original)
    except (ImportError, AttributeError, StopIteration):  # another pandas, which warns otherwise
        return None


class References:
    """The module `sys` as pandas 2 sees it, but for how many references there are to an object.

    Like pandas 3, it takes an object that nobody else refers to to be an intermediate value. The
    wrapper that has called its method refers to it as well, and does not count.

    Args:
        wrap: Makes the wrapper of a method, by which it is found out how many references one has.
    """

    def __init__(self, wrap: Callable[[Any], Any]) -> None:
        self._own = self._extra = self._extra_with_names = 0
        probe = _Probe()
        self._own = probe.ask(self) - probe.ask(sys)
        wrapped: Any = type("Wrapped", (), {"ask": wrap(_Probe.ask)})
        self._extra = wrapped().ask(self) - _Probe().ask(self)
        # Python 3.11 holds one more while it hands on arguments that are given by name.
        self._extra_with_names = wrapped().ask(counter=self) - _Probe().ask(counter=self)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def getrefcount(self, value: Any) -> int:
        """Count as `sys.getrefcount` does, without what a wrapper holds."""
        count = sys.getrefcount(value) - self._own
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_helper(frame.f_code.co_name):
            frame = frame.f_back
        below = None if frame is None else frame.f_back
        if frame is None or below is None or not below.f_code.co_filename.endswith(NOTED):
            return count
        has_names = "inplace" in frame.f_code.co_varnames  # which is always given by its name
        return count - (self._extra_with_names if has_names else self._extra)


class _Probe:
    def ask(self, counter: Any) -> int:
        count: int = counter.getrefcount(self)
        return count


def _is_helper(name: str) -> bool:
    """Whether a function of pandas is called by a public method, and counts for that."""
    return name.startswith("_") and not name.startswith("__")


def references(wrap: Callable[[Any], Any]) -> References | None:
    """Give what counts for pandas 2; None for another, for which `Chain` looks in its place."""
    constants: Any = import_module("pandas.compat._constants")
    return None if hasattr(constants, "REF_COUNT_METHOD") else References(wrap)

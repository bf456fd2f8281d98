"""Reading an expression once: what is known of it, and reading what is too deep by itself first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lineage.columns.memory import Memory, TooDeepError
from lineage.columns.operation import UNSAID
from lineage.columns.values import Const

if TYPE_CHECKING:
    import ast
    from collections.abc import Mapping

    from lineage.columns.syntax import File
    from lineage.columns.values import Value

_DEEPEST = 100


class Known(Protocol):
    """What the tape knows of expressions."""

    def given(self, node: ast.AST, before: int, at: ast.AST | None, file: File) -> Value | None:
        """What an expression gave, when it last ran before an entry."""

    def named(self, scope: ast.AST | None, name: str, before: int) -> tuple[int, Value] | None:
        """What a name last stood for as something was called on it, and in which entry."""

    def source(self, name: str, before: int) -> Value | None:
        """The frame that was last named so as a source."""

    def state(self, before: int) -> int | None:
        """What is known before an entry: None for all that is known by now."""

    def number_of(self, node: ast.AST, before: int) -> int | None:
        """The entry that an expression last made before another."""


@dataclass(frozen=True)
class Place:
    """Where code is read: the file, up to which entry, and what the names of a function are.

    `turn` is what names stand for in one turn of the loop or comprehension `around` it.
    """

    file: File
    before: int
    at: ast.AST | None = None
    caller: tuple[File, ast.AST] | None = None
    inner: ast.AST | None = None
    bound: Mapping[str, Value] = field(default_factory=dict)
    outer: Place | None = None
    kept: dict[Any, Value] | None = field(default=None, compare=False)
    turn: Mapping[str, Value] = field(default_factory=dict)
    around: ast.AST | None = None

    def is_in_turn(self, node: ast.AST) -> bool:
        """Whether a node is in the loop of which one turn is read."""
        return self.around is not None and self.around in self.file.ancestors(node)


class Remembering(ABC):
    """Read expressions, each of them once as long as nothing new is known.

    Args:
        known: What the tape knows of expressions.

    Attributes:
        memory: What was read.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self.memory = Memory()
        self._waiting: dict[tuple[Any, ...], dict[Any, Value]] = {}
        self._is_cut_short = False

    @abstractmethod
    def _read(self, node: ast.AST, place: Place) -> Value:
        """Read what an expression is made from."""

    def evaluate(self, node: ast.AST | None, place: Place) -> Value:
        """Give what an expression is made from."""
        if node is None:
            return Const(UNSAID)
        if self.memory.depth:
            return self._evaluated(node, place)
        return self._from_the_depth(node, place)

    def _from_the_depth(self, node: ast.AST, place: Place) -> Value:
        """Read what is too deep by itself first, which then is known; it may come back here."""
        key = self._key(node, place)
        self._waiting[key] = parts = {}
        try:
            while True:
                try:
                    found = self._evaluated(node, place)
                    break
                except TooDeepError as deep:
                    asked = self._key(*deep.asked)
                    if asked in parts or deep.asked[1].kept is not None:
                        raise
                    parts[asked] = self._from_the_depth(*deep.asked)
        finally:
            del self._waiting[key]
        if self._is_cut_short:  # all that was read on the way lacks what it came back to
            self.memory.forget()
            self.memory.put({key: found})
            for whole in self._waiting.values():
                self.memory.put(whole)
            self._is_cut_short = bool(self._waiting)
        return found

    def _key(self, node: ast.AST, place: Place) -> tuple[Any, ...]:
        caller = None if place.caller is None else place.caller[1]
        return node, place.at, caller, self._known.state(place.before)

    def _evaluated(self, node: ast.AST, place: Place) -> Value:
        memory = self.memory
        key = self._key(node, place)
        found = memory.known(key, place.kept)
        if found is not None:
            return found
        if memory.depth >= _DEEPEST:
            raise TooDeepError(node, place)
        if memory.depth and key in self._waiting and key != next(reversed(self._waiting)):
            self._is_cut_short = True
            return Const(UNSAID)
        outer = memory.enter()
        try:
            found = self._read(node, place)
            memory.keep(key, place.kept, found)
        finally:
            memory.leave(outer)
        return found

"""Functions that are marked as pure: what they were first called with, verified when all has run.

While somebody watches, a function that is decorated with `@pure` is wrapped, and copies of the
frames of its first call are kept; else it is left as it is. Verification calls it again and again,
with nothing recorded and nothing written to stdout and stderr.
"""

from __future__ import annotations

import functools
import inspect
import io
import os
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import lineage.tracker
from lineage import links
from lineage.capture.kinds import kind_of
from lineage.verifying import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = TypeVar("Function", bound="Callable[..., Any]")
MOST_ROWS = 500
MOST_SECONDS = 60.0
_LEAST_ROWS = 2
_MOST_TRIES = 20
_MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What came out for one function.

    Args:
        name: The function.
        call_site: Where it is defined, as `file:line`.
        rows: The frames that it was called with: how many rows of each were taken, of how many.
        found: What was claimed and seen; None when that cannot be said.
        problem: Why not.
    """

    name: str
    call_site: str
    rows: dict[str, tuple[int, int]]
    found: Verification | None
    problem: str = ""


class Watch:
    """Keeps the first call of each function that is marked as pure, from `open` to `close`.

    Of a frame up to `MOST_ROWS` rows are copied, at even distances.

    Examples:
        >>> watch = Watch()
        >>> watch.open()
        >>> import pandas
        >>> @pure
        ... def paid(sales):
        ...     return sales.assign(paid=sales.qty * 2)
        >>> _ = paid(pandas.DataFrame({"qty": [1, 2, 3]}))
        >>> watch.close()
        >>> [(each.name.rpartition(".")[2], each.found.is_right) for each in watch.verified()]
        [('paid', True)]
    """

    current: Watch | None = None

    def __init__(self) -> None:
        self._kept: dict[Any, _Call] = {}
        self._tries: dict[Any, int] = {}
        self._process = os.getpid()

    def open(self) -> None:
        """Wrap what is marked from now on."""
        Watch.current = self

    def close(self) -> None:
        """Wrap nothing more, and keep nothing more."""
        if Watch.current is self:
            Watch.current = None

    def keep(self, function: Callable[..., Any], given: tuple[Any, Any]) -> None:
        """Keep copies of the arguments of a call, if there is none yet with rows to change."""
        tries = self._tries.get(function, 0)
        if Watch.current is not self or tries >= _MOST_TRIES:
            return
        self._tries[function] = tries + 1
        try:
            call = self._kept[function] = _Call.of(function, given)
            if call.is_enough:
                self._tries[function] = _MOST_TRIES
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            self._kept[function] = _Call(
                function, _name_of(function), {}, {}, {}, type(problem).__name__
            )

    def verified(self, seconds: float = MOST_SECONDS) -> Iterator[Verified]:
        """Verify each function with what it was first called with, and let go of that.

        Args:
            seconds: Most seconds to take for each function.
        """
        while self._kept and self._process == os.getpid():
            kept = self._kept.pop(next(iter(self._kept)))
            with _alone():
                found = kept.verified(seconds)
            yield found


def pure(function: Function) -> Function:
    """Mark a function as pure: its result depends on its arguments alone, and it changes nothing.

    Nothing comes of it but when a script is run by `lineage run --verify`: then the function is
    called again with changed frames, to see whether all influences on its columns are known. It may
    stand above or below `@track_lineage`.

    Raises:
        TypeError: It is no function, or a generator or coroutine function.

    Examples:
        >>> @pure
        ... def double(sales):
        ...     return sales.assign(qty=sales.qty * 2)
    """
    name = getattr(function, "__qualname__", None)
    if not callable(function) or isinstance(function, type) or name is None:
        raise TypeError(f"@pure is for functions, and {function!r} is none")
    if (
        inspect.isgeneratorfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise TypeError(f"@pure is for functions that give a result when called, unlike {name}")
    watch = Watch.current
    if watch is None:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        watch.keep(function, (args, kwargs))
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # the same to whoever calls it


@dataclass(frozen=True, slots=True)
class _Call:
    """A call: the frames that it was given and what else, copied."""

    function: Callable[..., Any]
    name: str
    frames: dict[str, Any]
    others: dict[str, Any]
    rows: dict[str, tuple[int, int]]
    problem: str = ""

    @classmethod
    def of(cls, function: Callable[..., Any], given: tuple[Any, Any]) -> _Call:
        args, kwargs = given
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        frames, others, rows = {}, {}, {}
        for key, value in arguments.items():
            if kind_of(type(value)) == "frame":
                frames[key] = _sampled(value)
                rows[key] = len(frames[key]), len(value)
            else:
                others[key] = _copied(value)
        return cls(function, _name_of(function), frames, others, rows)

    @property
    def is_enough(self) -> bool:
        """Whether there is a frame with rows to change."""
        return any(taken >= _LEAST_ROWS for taken, _ in self.rows.values())

    def verified(self, seconds: float) -> Verified:
        """Compare what is claimed of this call with what is seen when its frames change."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        place = "" if code is None else (
            f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"
        )  # fmt: skip
        if self.problem:
            problem = f"its arguments could not be copied ({self.problem})"
        elif not self.frames:
            problem = "it was given no frame"
        elif not self.is_enough:
            problem = f"it was given no frame of {_LEAST_ROWS} rows or more"
        else:
            try:
                found = verify(self._call(), *self.frames.values(), seconds=seconds)
                return Verified(self.name, place, self.rows, found)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the function is the user's
                problem = f"{type(error).__name__}: {error}"
        return Verified(self.name, place, self.rows, None, problem)

    def _call(self) -> Callable[..., Any]:
        """Give a function of the frames alone, under the names of their parameters."""
        signature = inspect.signature(self.function)
        names = list(self.frames)

        def call(*frames: Any) -> Any:
            given = {**self.others, **dict(zip(names, frames, strict=True))}
            bound = inspect.BoundArguments(signature, given)
            return self.function(*bound.args, **bound.kwargs)

        kind = inspect.Parameter.POSITIONAL_ONLY
        vars(call)["__signature__"] = inspect.Signature(
            [inspect.Parameter(name, kind) for name in names]
        )
        call.__qualname__ = self.name
        return call


def _name_of(function: Callable[..., Any]) -> str:
    return f"{links.module_name(function.__module__)}.{function.__qualname__}"


def _sampled(frame: Any) -> Any:
    import numpy as np

    if len(frame) <= MOST_ROWS:
        return frame.copy()
    return frame.iloc[np.linspace(0, len(frame) - 1, MOST_ROWS).astype(int)].copy()


def _copied(value: Any, depth: int = 3) -> Any:
    """Copy what may be changed later: collections, and what of pandas and numpy is in them."""
    kind = type(value)
    if kind in (list, tuple, set) and depth and len(value) <= _MOST_ITEMS:
        return kind([_copied(each, depth - 1) for each in value])
    if kind is dict and depth and len(value) <= _MOST_ITEMS:
        return {key: _copied(each, depth - 1) for key, each in value.items()}
    is_array = kind.__module__.partition(".")[0] in ("pandas", "numpy") and hasattr(kind, "copy")
    return value.copy() if is_array else value


@contextmanager
def _alone() -> Iterator[None]:
    """Let nothing be recorded, and nothing be written to stdout and stderr."""
    scope = lineage.tracker.scope
    before = scope.tracker, scope.is_off
    lineage.tracker.set_global_tracker(None)
    try:
        with (
            redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            yield
    finally:
        scope.tracker, scope.is_off = before

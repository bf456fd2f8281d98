"""Run a script, a module or a notebook in this process, as Python would run it alone.

The code runs as `__main__`, with its own `sys.argv` and first entry of `sys.path`; what it raises
comes out as it was raised. `ended` says it as Python would, and gives the exit code.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import sys
import threading
import traceback
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from lineage.capture.places import NOTED, NOTED_APART
from lineage.errors import LineageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

_INTERRUPTED = 128 + 2
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
# Functions of what has run use its names until the process ends.
_kept: list[ModuleType] = []


def run_script(path: str, args: Sequence[str] = ()) -> dict[str, Any]:
    """Run a script, or the `__main__` of a folder or an archive.

    Args:
        path: The script.
        args: What it finds in `sys.argv` behind its name.

    Returns:
        The names of the script at its end.

    Raises:
        LineageError: There is no such file.
        BaseException: Whatever the script raises, SystemExit too.
    """
    if not os.path.exists(path):
        raise LineageError(f"there is no file {path!r} to run; the folder is {os.getcwd()!r}")
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        return _run_spec("__main__", os.path.abspath(path), (path, *args), search=path)
    file = os.path.abspath(path)
    names = {"__file__": file, "__loader__": SourceFileLoader("__main__", file)}
    with as_main(names, [path, *args], os.path.dirname(os.path.realpath(path))) as module:
        with io.open_code(file) as source:
            code = compile(source.read(), file, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - to run it is what was asked for
    return vars(module)


def run_module(name: str, args: Sequence[str] = ()) -> dict[str, Any]:
    """Run a module, or the `__main__` of a package, as `python -m` does.

    Args:
        name: The module.
        args: What it finds in `sys.argv` behind its file.

    Returns:
        The names of the module at its end.

    Raises:
        LineageError: There is no such module.
        BaseException: Whatever the module raises, SystemExit too.
    """
    return _run_spec(name, os.getcwd(), ("-m", *args))


def ended(problem: BaseException | None) -> int:
    """Tell how code has ended as Python tells it, without our frames; gives the exit code."""
    if problem is None:
        return 0
    if isinstance(problem, SystemExit):
        if problem.code is None or isinstance(problem.code, int):
            return int(problem.code or 0)
        sys.stderr.write(f"{problem.code}\n")
        return 1
    _clean(problem)
    try:
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(
                problem
            )  # it knows the lines of cells; the hook's code may not
        else:
            sys.excepthook(type(problem), problem, problem.__traceback__)
    except Exception:  # noqa: BLE001 - the hook is the user's
        traceback.print_exception(problem)
    return _INTERRUPTED if isinstance(problem, KeyboardInterrupt) else 1


@contextmanager
def as_main(names: Mapping[str, Any], argv: Sequence[str], first: str) -> Iterator[ModuleType]:
    """Stand a new module in the place of `__main__`, and wait for its threads as Python does.

    Args:
        names: What it holds from the beginning, besides what every module does.
        argv: The arguments.
        first: What modules are looked for in first.
    """
    module = ModuleType("__main__")
    vars(module).update(
        {"__builtins__": builtins, "__package__": None, "__cached__": None}, **names
    )
    _kept.append(module)
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    running = set(threading.enumerate())
    sys.modules["__main__"], sys.argv = module, list(argv)
    if not sys.flags.safe_path:
        sys.path[:1] = [first]
    try:
        yield module
        _wait(running)
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = before


def _wait(running: set[threading.Thread]) -> None:
    for thread in threading.enumerate():
        if thread not in running and not thread.daemon:
            thread.join()


def _run_spec(
    name: str, first: str, argv: Sequence[str], search: str | None = None
) -> dict[str, Any]:
    with as_main({}, argv, first) as module:
        spec = _find(name, search)
        code = getattr(spec.loader, "get_code", lambda _: None)(spec.name)
        if code is None:
            raise LineageError(f"{name!r} has no code to run; it is {spec.origin}")
        if search is None:
            sys.argv[0] = str(spec.origin)
        vars(module).update(
            __spec__=spec,
            __loader__=spec.loader,
            __file__=spec.origin,
            __cached__=spec.cached,
            __package__=spec.parent,
        )
        exec(code, vars(module))  # noqa: S102 - to run it is what was asked for
    return vars(module)


def _find(name: str, search: str | None) -> Any:
    """Find the module to run; of a package its `__main__`."""
    if search is not None:
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, [os.path.abspath(search)])
    else:
        try:
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.submodule_search_locations is not None:
                name = f"{name}.__main__"
                spec = importlib.util.find_spec(name)
        except (ModuleNotFoundError, ValueError) as error:
            raise LineageError(f"there is no module {name!r} to run: {error}") from None
    if spec is None:
        raise LineageError(
            f"there is no module {name!r} to run{f' in {search!r}' if search else ''}"
        )
    return spec


# Tracebacks


def _clean(problem: BaseException) -> None:
    """Take our frames out of the traceback of an exception and of those behind it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [problem]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _without_ours(each.__traceback__)
        waiting += [each.__cause__, each.__context__]


def _without_ours(found: TracebackType | None) -> TracebackType | None:
    """Give a traceback without the frames that began the code, and without wrappers."""
    every = []
    while found is not None:
        every.append(found)
        found = found.tb_next
    kept = every[_beginning([each.tb_frame for each in every]) :]
    following = None
    for each in reversed(kept):
        file = each.tb_frame.f_code.co_filename
        if file != NOTED_APART and not file.endswith(NOTED):
            following = TracebackType(following, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return following


def _beginning(frames: list[FrameType]) -> int:
    """Give the place of the first frame of what was run; behind ours, if it did not come to run."""
    for number, frame in enumerate(frames):
        if any(frame.f_globals is vars(module) for module in _kept):
            return number
    ours = [n for n, frame in enumerate(frames) if frame.f_code.co_filename.startswith(_OURS)]
    return ours[-1] + 1 if ours else 0

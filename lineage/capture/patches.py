"""Attributes of classes and modules, replaced for a while and put back as they were."""

from __future__ import annotations

import os
import sys
from functools import update_wrapper
from inspect import Signature
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lineage.capture.places import NOTED, NOTED_APART

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_MISSING = object()
# What a function says of its signature by itself; that goes on to its wrapper.
_TOLD = frozenset({"__wrapped__", "__signature__"})
_codes: dict[tuple[CodeType, bool], CodeType] = {}


class Patches:
    """Put attributes in place and take them out again, the last one first.

    What somebody else has replaced in the meantime is left as it is until that is taken back.

    Examples:
        >>> class Greeting:
        ...     text = "hello"
        >>> patches = Patches()
        >>> patches.put(Greeting, "text", "good day")
        >>> Greeting.text
        'good day'
        >>> patches.remove()
        >>> Greeting.text
        'hello'
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Any, str, Any, Any]] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in place."""
        return not self._kept

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute of a class or module; what it inherits comes back as inherited.

        A function is replaced as well where it says that it is from: pickle looks for it there.
        """
        original = vars(owner).get(name, _MISSING)
        if original is value:  # left in place beneath the patch of somebody else
            return
        self._replace(owner, name, original, value)
        if isinstance(owner, ModuleType):
            home, inner = home_of(original)
            if home is not None and vars(home).get(inner) is original:
                self._replace(home, inner, original, value)

    def _replace(self, owner: Any, name: str, original: Any, value: Any) -> None:
        self._kept.append((owner, name, original, value))
        setattr(owner, name, value)

    def remove(self) -> None:
        """Put all attributes back: the very same objects as before."""
        left = []
        while self._kept:
            owner, name, original, value = kept = self._kept.pop()
            if vars(owner).get(name, _MISSING) is not value:
                left.append(kept)
            elif original is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        self._kept = left[::-1]


def home_of(function: Any) -> tuple[ModuleType | None, str]:
    """Give the module that a function says it is from, if that is imported, and its name there.

    >>> import json
    >>> home_of(json.load) == (json, "load")
    True
    """
    module = getattr(function, "__module__", None)
    found = sys.modules.get(module) if isinstance(module, str) else None
    return found, str(getattr(function, "__qualname__", ""))


class LateSignature(Signature):
    """The signature of a function, found when somebody asks: few of many wrappers are asked.

    `inspect.getfullargspec` looks at a wrapper itself, not at what it wraps; so `frame.apply` does
    to see whether a method has an axis.
    """

    __slots__ = ("_function",)

    _function: Any

    @classmethod
    def of(cls, function: Callable[..., Any]) -> LateSignature:
        """Give the signature of a function that is not looked at yet."""
        made = cls.__new__(cls)
        made._function = function
        return made

    def __getattr__(self, name: str) -> Any:
        if name not in ("_parameters", "_return_annotation"):
            raise AttributeError(name)
        found = Signature.from_callable(self._function)
        Signature.__init__(
            self, tuple(found.parameters.values()), return_annotation=found.return_annotation
        )
        return object.__getattribute__(self, name)


def disguised(wrapper: Any, original: Any) -> Callable[..., Any]:
    """Let a wrapper look like what it wraps, and change no line that a warning names.

    A wrapper of pandas is one more frame of pandas, which pandas counts; any other is a frame that
    is passed over, as those of the import system are.
    """
    module = getattr(original, "__module__", None) or ""
    in_pandas = module.partition(".")[0] == "pandas"
    code = _codes.get((wrapper.__code__, in_pandas))
    if code is None:  # one for all of its kind
        file = _in_pandas() if in_pandas else NOTED_APART
        code = wrapper.__code__.replace(co_filename=file, co_name="noted")
        _codes[wrapper.__code__, in_pandas] = code
    made = FunctionType(code, wrapper.__globals__, closure=wrapper.__closure__)
    named: Callable[..., Any] = update_wrapper(made, original)
    if type(original) is FunctionType and not vars(original).keys() & _TOLD:
        vars(named)["__signature__"] = LateSignature.of(original)
    return named


def _in_pandas() -> str:
    import pandas

    folder = os.path.dirname(os.path.dirname(pandas.__file__))
    return os.path.join(folder, NOTED)

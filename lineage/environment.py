"""What ran a program: the interpreter, the platform, the packages, some variables.

An environment is known by the hash of exactly these: one package more is another environment. Only
the variables that are named are looked at, and none whose name or value tells a secret is kept.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Any

from lineage.codec import to_json
from lineage.redact import is_secret_name, redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_TEXT = 200


def interpreter() -> str:
    """Give the interpreter and its version, such as `CPython 3.12.4`."""
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name)
    version = ".".join(map(str, sys.version_info[:3]))
    level = sys.version_info.releaselevel
    return f"{name or sys.implementation.name} {version}{'' if level == 'final' else level}"


def platform() -> str:
    """Give the operating system, its release and the machine, such as `Linux 6.8.0 x86_64`."""
    if not hasattr(os, "uname"):
        return sys.platform
    found = os.uname()
    return f"{found.sysname} {found.release} {found.machine}"


def packages() -> dict[str, str]:
    """Give the versions of the packages that were imported, by the name of the module.

    Modules of the standard library and those without a version are left out. No code of a package
    is run for it.
    """
    names = {name.partition(".")[0] for name in list(sys.modules)}
    names -= sys.stdlib_module_names
    found = {name: _version_of(name) for name in sorted(names) if not name.startswith("_")}
    return {name: version for name, version in found.items() if version}


def variables(names: Iterable[str]) -> dict[str, str]:
    """Give those environment variables that are named, set, and tell no secret."""
    found = {name: os.environ[name] for name in names if name in os.environ}
    return {
        name: _clean(redact_text(value[: 2 * _MOST_TEXT])[:_MOST_TEXT])
        for name, value in sorted(found.items())
        if not is_secret_name(name)
    }


def identity(
    interpreter: str, platform: str, packages: dict[str, str], variables: dict[str, str]
) -> str:
    """Name an environment by its content: 32 hexadecimal digits.

    >>> identity("CPython 3.12.4", "Linux", {}, {}) == identity("CPython 3.12.4", "Linux", {}, {})
    True
    """
    text = to_json([interpreter, platform, packages, variables])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _version_of(name: str) -> str | None:
    from importlib import metadata

    try:
        version: Any = metadata.version(name)
    except Exception:  # noqa: BLE001 - no such distribution, or one in pieces
        # What a module says of itself, without asking it: a lazy one would begin to load.
        version = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")
    return _clean(redact_text(version[:_MOST_TEXT])) if type(version) is str else None


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

"""What ran a program: the interpreter, the platform, the packages, some variables.

An environment is known by the hash of exactly what it has: one package more is another one. What
makes it another: interpreter and its kind, operating system without its kernel, packages with
their origin, lock files, the variables that are named, locale, time zone, settings of threads.
What does not: host, user, paths, process, processor, memory, container.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lineage.codec import from_json, to_json
from lineage.redact import is_secret_name, kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lineage.codec import Row

_MOST_TEXT = 200
_MOST_VALUE = 1000
_SHORTEST_SECRET = 6
# Folders, which the shell calls so: no password.
_PLACES = frozenset({"PWD", "OLDPWD"})
_MOST_BYTES = 1 << 16
_MOST_LOCK = 1 << 24
_MOST_LISTED = 5000
_LOCKS = re.compile(
    r"(?:uv|poetry|pdm|pixi|conda-lock)\.(?:lock|yml)|Pipfile\.lock|environment\.ya?ml|"
    r"pylock(?:\.[^.]+)?\.toml|requirements.{0,100}\.txt"
)
THREADS = (
    *("BLIS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_CBWR", "MKL_DYNAMIC", "MKL_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "NUMEXPR_MAX_THREADS", "NUMEXPR_NUM_THREADS", "OMP_DYNAMIC"),
    *("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"),
    *("RAYON_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
"""The variables by which libraries are told how many threads to use."""
_digests: dict[tuple[str, int, int], str] = {}
_last: list[tuple[Any, Environment]] = []
"""What was found last, and the environment of it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment, with what it is known by.

    Args:
        environment_id: 32 hexadecimal digits of the SHA-256 of the content.
        interpreter: Its name and version.
        platform: The operating system.
        content: All that makes it what it is, as canonical JSON.
    """

    environment_id: str
    interpreter: str
    platform: str
    content: str

    @property
    def row(self) -> Row:
        """Its row of `environments`, without a time."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def environment_of(
    packages: Iterable[tuple[Any, ...]],
    variables: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    **facts: Any,
) -> Environment:
    """Make an environment of exactly these packages and variables.

    Args:
        packages: Names, versions and, where known, origins.
        variables: Names and values.
        **facts: Anything else that makes it another one; `interpreter` and `platform` have names.

    Examples:
        >>> one = environment_of([("numpy", "2.1.0")], {"TZ": "UTC"})
        >>> one == environment_of([("numpy", "2.1.0")], [("TZ", "UTC")])
        True
        >>> one.environment_id == environment_of([("numpy", "2.1.0")]).environment_id
        False
    """
    pairs = getattr(variables, "items", lambda: variables)()
    content = to_json(
        {
            "format": 1,
            "packages": _sorted(_without_none(each) for each in packages),
            "variables": _sorted(list(pair) for pair in pairs),
            **facts,
        }
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    names = [(facts.get(key) or {}).get("name", "") for key in ("interpreter", "platform")]
    return Environment(digest, names[0], names[1], content)


def capture(names: Iterable[str], folders: Iterable[str] = ()) -> Environment:
    """Give the environment of this process; what did not change since is not read again.

    Args:
        names: The variables that are kept.
        folders: Where to look for lock files.
    """
    from lineage.distributions import installed

    found = (
        installed(),
        variables(names),
        {
            "interpreter": _interpreter(),
            "platform": _platform(),
            "conda": _conda(),
            "lock_files": lock_files(folders),
            "locale": _locale(),
            "time_zone": _time_zone(),
            "threads": variables(THREADS),
        },
    )
    for known, made in tuple(_last):
        if known == found:
            return made
    made = environment_of(found[0], found[1], **found[2])
    _last[:] = [(found, made)]  # in one step, for other threads
    return made


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
    from lineage.distributions import installed, normal

    names = {name.partition(".")[0] for name in list(sys.modules)}
    names -= sys.stdlib_module_names
    known = {normal(name): version for name, version, _ in installed()}
    found = {
        name: known.get(normal(name)) or _told_version(name)
        for name in sorted(names)
        if not name.startswith("_")
    }
    return {name: version for name, version in found.items() if version}


def variables(names: Iterable[str]) -> dict[str, str]:
    """Give those environment variables that are named, set, and tell no secret."""
    found = {name: os.environ[name] for name in names if name in os.environ}
    return {
        name: _value(value) for name, value in sorted(found.items()) if not is_secret_name(name)
    }


def secrets() -> dict[str, str]:
    """Give the values of those variables that tell secrets by their names, with these names."""
    found = [(name, value) for name, value in os.environ.items() if name not in _PLACES]
    return {value: name for name, value in found if _is_known_by(value) and is_secret_name(name)}


def lock_files(folders: Iterable[str]) -> list[list[str | None]]:
    """List the lock files in some folders: their names, and `sha256:` of what they hold.

    Where they are makes no other environment; one that cannot be read has no digest.
    """
    return _sorted([kept(name, _MOST_TEXT), digest] for name, digest in _locks(folders))


def _locks(folders: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for _, entry in zip(range(_MOST_LISTED), entries, strict=False):
                    if _LOCKS.fullmatch(entry.name):
                        yield entry.name, _digest(entry.path)
        except (OSError, ValueError):
            continue


def _digest(path: str) -> str | None:
    """Give the digest of a file, read again only when its size or time is another one."""
    try:
        found = os.stat(path)
        key = path, found.st_size, found.st_mtime_ns
        if key not in _digests:
            if found.st_size > _MOST_LOCK or not os.path.isfile(path):
                return None
            with open(path, "rb") as file:
                _digests[key] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return _digests[key]
    except OSError:
        return None


def _is_known_by(value: str) -> bool:
    """Whether a secret is long enough to be looked for elsewhere, and short enough."""
    return _SHORTEST_SECRET <= len(value) <= _MOST_BYTES


def _value(value: str) -> str:
    """Give what is kept of a variable; of a long one its beginning, its length and a digest."""
    if len(value) <= _MOST_VALUE:
        return kept(value, _MOST_VALUE)
    told = kept(value[:_MOST_BYTES], _MOST_BYTES).encode()
    digest = hashlib.sha256(told).hexdigest()[:32]
    return f"{kept(value, _MOST_TEXT)}\u2026 <{len(value)} characters, sha256 {digest}>"


def _interpreter() -> dict[str, Any]:
    kind = "system" if sys.prefix == sys.base_prefix else "venv"
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = "conda"
    return {"name": interpreter(), "build": kept(sys.version, _MOST_TEXT), "kind": kind}


def _platform() -> dict[str, Any]:
    """Name the system, without the kernel's release: that is the host's."""
    found = os.uname() if hasattr(os, "uname") else None
    name = f"{found.sysname} {found.machine}" if found else sys.platform
    told = {"name": name, "distribution": _distribution(), "libc": _libc()}
    return {key: value for key, value in told.items() if value}


def _distribution() -> str | None:
    try:
        with open("/etc/os-release", encoding="utf-8", errors="backslashreplace") as file:
            told = dict(
                line.strip().partition("=")[::2] for line in file.read(_MOST_BYTES).split("\n")
            )
    except OSError:
        return None
    return kept(told.get("PRETTY_NAME", "").strip("\"'"), _MOST_TEXT) or None


def _libc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError, AttributeError):
        return None


def _conda() -> list[list[str]]:
    """List the packages of conda, those that are not of Python among them, with their builds."""
    try:
        names = os.listdir(os.path.join(sys.prefix, "conda-meta"))
    except OSError:
        return []
    found = (name.removesuffix(".json").rsplit("-", 2) for name in names if name.endswith(".json"))
    return _sorted([kept(part, _MOST_TEXT) for part in parts] for parts in found)


def _locale() -> str:
    from _locale import LC_ALL, setlocale

    return kept(setlocale(LC_ALL), _MOST_VALUE)


def _time_zone() -> str:
    """Name the time zone: by its variable, else by the file that the system's is a link to."""
    told = os.environ.get("TZ")
    if not told:
        _, found, told = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
        told = told if found else "/".join(time.tzname)
    return kept(told, _MOST_TEXT)


def _told_version(name: str) -> str | None:
    """Give what a module says of itself, without asking it: a lazy one would begin to load."""
    version = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")
    return kept(version, _MOST_TEXT) if type(version) is str else None


def _without_none(package: tuple[Any, ...]) -> list[Any]:
    return list(package[:2] if len(package) > 2 and package[2] is None else package)


def _sorted(pairs: Iterable[list[Any]]) -> list[list[Any]]:
    """Put lists into the order of their JSON, each once."""
    return [from_json(text) for text in sorted({to_json(pair) for pair in pairs})]

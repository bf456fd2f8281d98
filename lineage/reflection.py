"""Which environments a store knows: found by package or variable, matched exactly.

An environment matches another only when each has exactly what the other has; that is what its id
says, so that a match is one look-up.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from lineage.analysis.difference import find_run
from lineage.analysis.tables import iso_time
from lineage.codec import from_json, to_micros
from lineage.distributions import normal
from lineage.errors import ConfigError, OperationError
from lineage.stores.base import Filter
from lineage.view import View, store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lineage.codec import Row
    from lineage.environment import Environment

_SHOWN = 5
_OPERATORS = "<>=!~"


@dataclass(frozen=True)
class KnownEnvironment:
    """An environment of a store.

    Args:
        environment_id: What it is known by.
        interpreter: The interpreter and its version.
        platform: The operating system.
        content: All that it has.
        first_seen: When a process first had it, in ISO 8601; empty when none has.
        last_seen: When one last had.
        processes: The keys of the processes that had it.
        is_whole: Whether all installed packages are known; earlier versions of this package
            recorded only those that were imported.
    """

    environment_id: str
    interpreter: str
    platform: str
    content: Mapping[str, Any] = field(repr=False)
    first_seen: str
    last_seen: str
    processes: tuple[str, ...] = field(repr=False)
    is_whole: bool

    @cached_property
    def packages(self) -> list[tuple[str, str | None]]:
        """The names and versions of its packages."""
        return [(name, version) for name, version, *_ in self.content.get("packages") or ()]

    @cached_property
    def variables(self) -> list[tuple[str, str]]:
        """The names and values of its variables, those of threads among them."""
        told = [(name, value) for name, value in self.content.get("variables") or ()]
        threads = (self.content.get("threads") or {}).items()
        return [*told, *(pair for pair in threads if pair not in told)]


def environments(source: Any) -> list[KnownEnvironment]:
    """List the environments of a store, the one that ran last first.

    Args:
        source: A tracker, a store, or the path or URL of one.

    Examples:
        >>> from lineage.environment import environment_of
        >>> from lineage.stores.memory import MemoryStore
        >>> store = MemoryStore()
        >>> remember(store, environment_of([("numpy", "2.1.0")]))[1]
        True
        >>> [each.packages for each in environments(store)]
        [[('numpy', '2.1.0')]]
    """
    return _known(View(store_of(source), None))


def find_environments(
    source: Any,
    *,
    package: str | None = None,
    version: str | None = None,
    variable: str | None = None,
    value: str | None = None,
) -> list[KnownEnvironment]:
    """List the environments that have a package, in a version, and a variable, with a value.

    Args:
        source: A tracker, a store, or the path or URL of one.
        package: Its name, however it is written.
        version: One version exactly, or specifiers such as `>=1.26,<2` (PEP 440).
        variable: Its name.
        value: What it is.

    Raises:
        ConfigError: The specifiers cannot be read.
    """
    fits = _fitting(version)
    name = None if package is None else normal(package)
    return [
        each
        for each in environments(source)
        if (
            name is None
            or any(normal(known) == name and fits(text) for known, text in each.packages)
        )
        and (
            variable is None
            or any(known == variable and value in (None, text) for known, text in each.variables)
        )
    ]


def match_environment(source: Any, environment: Environment) -> KnownEnvironment | None:
    """Give the environment of a store that has exactly what this one has; None if there is none."""
    wanted = environment.environment_id
    return next((each for each in environments(source) if each.environment_id == wanted), None)


def remember(source: Any, environment: Environment) -> tuple[str, bool]:
    """Keep an environment in a store; gives its id, and whether it was not there before."""
    store = store_of(source)
    wanted = Filter(equal={"environment_id": (environment.environment_id,)})
    if any(len(table) for table in store.scan("environments", wanted)):
        return environment.environment_id, False
    row: Row = {**environment.row, "timestamp": time.time_ns() // 1000}
    store.append("environments", [row])
    return environment.environment_id, True


def process_of(source: Any, name: str) -> Row | None:
    """Give the row of a process by its key, or by a run in it; None if there is none such.

    Raises:
        OperationError: More than one run is called so.
    """
    view = View(store_of(source), None)
    if name in view.processes:
        return view.processes[name]
    names = {run_id: row.get("name") for run_id, row in view.runs.items()}
    if not any(name and each.startswith(name) for each in names) and name not in names.values():
        return None
    run_id = find_run(name, names, names)
    told = view.read("operations", equal={"run_id": (run_id,)}, columns=("operation_id",))
    keys = (each.rpartition("-")[0] for each in told["operation_id"].to_pylist())
    return next((view.processes[key] for key in keys if key in view.processes), None)


def get_environment(source: Any, name: str) -> KnownEnvironment:
    """Give an environment by its id or a start of it, or by a process or run that had it.

    Raises:
        OperationError: There is none, or more than one; the message names some.
    """
    known = environments(source)
    begin = [each for each in known if name and each.environment_id.startswith(name)]
    if len(begin) == 1:
        return begin[0]
    process = process_of(source, name) if not begin else None
    if process is not None:
        wanted = process.get("environment_id")
        for each in known:
            if each.environment_id == wanted:
                return each
    listed = ", ".join(each.environment_id for each in (begin or known)[:_SHOWN])
    if begin:
        raise OperationError(f"{len(begin)} environments begin with {name!r}: {listed}")
    hint = f"the last of {len(known)}: {listed}" if known else "the store has none"
    raise OperationError(f"no environment, process or run {name!r}; {hint}")


def _known(view: View) -> list[KnownEnvironment]:
    had: defaultdict[str, list[Row]] = defaultdict(list)
    for row in view.processes.values():
        if row["environment_id"]:
            had[row["environment_id"]].append(row)
    ids = dict.fromkeys((*view.environments, *had))
    found = [_made(each, view.environments.get(each), had.get(each) or []) for each in ids]
    return sorted(found, key=lambda each: (each.last_seen, each.environment_id), reverse=True)


def _made(identity: str, row: Row | None, processes: list[Row]) -> KnownEnvironment:
    times = [to_micros(each["timestamp"]) for each in processes]
    if row is not None and not times:
        times = [to_micros(row["timestamp"])]
    seen = sorted(at for at in times if at is not None)
    told = row or processes[-1]
    content = from_json(row["content"]) if row else _imported(told)
    return KnownEnvironment(
        identity,
        told["interpreter"] or "",
        told["platform"] or "",
        content,
        iso_time(seen[0]) if seen else "",
        iso_time(seen[-1]) if seen else "",
        tuple(each["process_key"] for each in processes),
        row is not None,
    )


def _imported(process: Row) -> dict[str, Any]:
    """Give what is known of an environment of which only a process tells."""
    variables = from_json(process.get("variables"))
    return {
        "is_whole": False,
        "interpreter": {"name": process.get("interpreter")},
        "platform": {"name": process.get("platform")},
        "packages": [[*pair] for pair in from_json(process.get("packages")).items()],
        "variables": [[name, text] for name, text in variables.items() if isinstance(text, str)],
    }


def _fitting(version: str | None) -> Any:
    """Give what tells whether a version is the one that is wanted."""
    if version is None:
        return lambda text: True
    if not version or version[0] not in _OPERATORS:
        return lambda text: text == version
    try:
        specifiers = SpecifierSet(version)
    except InvalidSpecifier:
        raise ConfigError(
            f"version is {version!r}; give one version, or specifiers such as '>=1.26,<2'"
        ) from None

    def fits(text: str | None) -> bool:
        try:
            return specifiers.contains(Version(text or ""), prereleases=True)
        except InvalidVersion:
            return False

    return fits

"""Settings by source or pattern; how unusual a figure must be to be reported, by metric too."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import translate
from re import compile as pattern_of
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T")

METRICS = ("records_in", "records_out", "duration", "failures", "schema", "freshness")
"""What is looked at: see `analysis.anomalies.find_anomalies`."""

DEFAULT_LIMIT = 4.0
"""Usual deviations; measured by `tests/benchmarks/bench_anomalies.py`."""

Limits: TypeAlias = "Mapping[str, float | Mapping[str, float]]"


class ByName(Generic[T]):
    """Settings by the name of what they hold for, or by a shell-style pattern of it.

    The exact name counts before a pattern, the first pattern that fits before later ones.

    >>> hours = ByName({"file:*": 24, "table:*": 48, "file:prices": 1})
    >>> [next(hours.fitting(name), None) for name in ("file:prices", "file:x", "api:x")]
    [1, 24, None]
    """

    def __init__(self, settings: Mapping[str, T]) -> None:
        self._exact = dict(settings)
        self._patterns = [(pattern_of(translate(key)).match, own) for key, own in settings.items()]

    def __bool__(self) -> bool:
        return bool(self._exact)

    def fitting(self, name: str) -> Iterator[T]:
        """Yield the settings that hold for a name, the one that counts first."""
        if name in self._exact:
            yield self._exact[name]
        for fits, own in self._patterns:
            if fits(name):
                yield own


class LimitTable:
    """The limits of a user: for a metric by its name, for subjects by a pattern.

    A key that is a metric holds for all subjects. Any other is a node id, the name of a function,
    `from -> to` of an edge, or a shell-style pattern of them; its value is one limit, or limits by
    metric. The exact name counts before a pattern, the first pattern that fits before later ones,
    and any of them before the metric's own limit.

    Raises:
        ConfigError: A limit is not a number above 0, or a metric is not known.

    >>> limits = LimitTable({"duration": 6, "file:*": {"records_out": 3}})
    >>> limits.of("duration", ["jobs.load"]), limits.of("records_out", ["file:a", "table:b"])
    ([6.0], [3.0, 4.0])
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._by_metric = dict.fromkeys(METRICS, DEFAULT_LIMIT)
        own: dict[str, dict[str, float]] = {}
        for key, value in (limits or {}).items():
            if key in METRICS:
                self._by_metric[key] = _number(key, value)
            else:
                own[key] = _by_metric(key, value)
        self._own = ByName(own)

    def of(self, metric: str, names: Sequence[str | tuple[str, str]]) -> list[float]:
        """Give the limit of a metric for each subject."""
        usual = self._by_metric[metric]
        if not self._own:
            return [usual] * len(names)
        return [
            next((own[metric] for own in self._own.fitting(shown(name)) if metric in own), usual)
            for name in names
        ]


def shown(name: str | tuple[str, str]) -> str:
    """Write the name of a subject; of an edge both ends."""
    return name if isinstance(name, str) else " -> ".join(name)


def check_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """Give the metrics back.

    Raises:
        ConfigError: One is not known.
    """
    found = tuple(metrics)
    for name in found:
        if name not in METRICS:
            raise ConfigError(f"no metric {name!r}; known are {', '.join(METRICS)}")
    return found


def _by_metric(key: str, value: float | Mapping[str, float]) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(METRICS, _number(key, value))
    check_metrics(value)
    return {metric: _number(f"{key}.{metric}", limit) for metric, limit in value.items()}


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"the limit of {key!r} is {value!r}; it must be a number above 0")
    return float(value)

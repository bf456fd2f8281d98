"""How unusual a figure must be to be reported: by metric, and by source."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import translate
from re import compile as pattern_of
from typing import TYPE_CHECKING, TypeAlias

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
METRICS = ("records_in", "records_out", "duration", "failures", "schema", "freshness")
"""What is looked at: see `analysis.anomalies.find_anomalies`."""

DEFAULT_LIMIT = 4.0
"""Usual deviations; measured by `tests/benchmarks/bench_anomalies.py`."""

Limits: TypeAlias = "Mapping[str, float | Mapping[str, float]]"


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
        self._exact: dict[str, dict[str, float]] = {}
        self._patterns: list[tuple[Callable[[str], object], dict[str, float]]] = []
        for key, value in (limits or {}).items():
            if key in METRICS:
                self._by_metric[key] = _number(key, value)
                continue
            own = _by_metric(key, value)
            self._exact[key] = own
            if any(sign in key for sign in "*?["):
                self._patterns.append((pattern_of(translate(key)).match, own))

    def of(self, metric: str, names: Sequence[str | tuple[str, str]]) -> list[float]:
        """Give the limit of a metric for each subject."""
        usual = self._by_metric[metric]
        if not self._exact:
            return [usual] * len(names)
        return [self._own(metric, shown(name), usual) for name in names]

    def _own(self, metric: str, name: str, usual: float) -> float:
        if metric in self._exact.get(name, ()):
            return self._exact[name][metric]
        fitting = (own for fits, own in self._patterns if metric in own and fits(name))
        return next(fitting, {metric: usual})[metric]


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

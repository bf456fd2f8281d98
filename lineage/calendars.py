"""How long a source may rest, and on which days that counts: weekdays, holidays, a time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from math import inf
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lineage.errors import ConfigError, LineageError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {name: number for names in (WEEKDAYS, _LONG) for number, name in enumerate(names)}
_CODE = re.compile(r"[A-Z][A-Z0-9]{1,3}(-[A-Za-z0-9]{1,8})?")
_LISTS = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
_HOURS: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0}
LIMIT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _HOURS,
        {
            "type": "object",
            "properties": {
                "hours": _HOURS,
                "weekdays": {"anyOf": _LISTS, "description": "Days it is expected on: mon-fri."},
                "holidays": {"anyOf": _LISTS, "description": "Dates, or codes such as DE-BY."},
                "timezone": {"type": "string", "description": "Such as Europe/Berlin."},
            },
            "required": ["hours"],
            "additionalProperties": False,
        },
    ]
}
"""A limit in a configuration file, as JSON Schema."""

_FORM = "give hours, or a table of hours, weekdays, holidays and timezone"


@dataclass(frozen=True, slots=True)
class FreshnessLimit:
    """How many hours a source may rest; the clock stands still on days that do not count.

    A day is one of the time zone, as long as it is there: 23 or 25 hours when the clocks change.

    Args:
        hours: How many hours, 0 or more.
        weekdays: On which days the source is expected: a text such as `mon-fri` or
            `mon,wed,sat-sun`, or a list of such; each day unless given.
        holidays: Days on which it is not: dates, and codes of a country (`DE`), of a part of one
            (`DE-BY`) or of a market (`XNYS`), of which the package `holidays` knows the dates.
        timezone: Whose days these are, by the name in the IANA database.

    Raises:
        ConfigError: A value cannot be used. Whether a code and a time zone are known is seen when
            they are needed, or by `issues`.

    Examples:
        >>> FreshnessLimit(24, weekdays="mon-fri", holidays=["2026-12-25"]).weekdays
        ('mon', 'tue', 'wed', 'thu', 'fri')
    """

    hours: float
    weekdays: Any = ()
    holidays: Any = ()
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        hours = self.hours
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not hours >= 0:
            raise ConfigError(f"hours is {hours!r}; it must be 0 hours or more")
        if not isinstance(self.timezone, str) or not self.timezone.strip():
            raise ConfigError(
                f"timezone is {self.timezone!r}; give a name such as 'Europe/Berlin' or 'UTC'"
            )
        days = sorted({number for text in _listed(self.weekdays) for number in _weekdays(text)})
        object.__setattr__(self, "weekdays", tuple(WEEKDAYS[number] for number in days))
        names = dict.fromkeys(_holiday(value) for value in _listed(self.holidays))
        object.__setattr__(self, "holidays", tuple(names))

    @classmethod
    def of(cls, value: object, name: str) -> FreshnessLimit:
        """Read a limit as settings have it: hours, or a table of what a limit has.

        Args:
            value: The hours, a table, or a limit, which is given back.
            name: Whose limit it is, for the error.

        Raises:
            ConfigError: It is none of these, or a value in it cannot be used.
        """
        if isinstance(value, cls):
            return value
        table = value if isinstance(value, Mapping) else {"hours": value}
        known = [field.name for field in fields(cls)]
        unknown = [key for key in table if key not in known]
        if unknown or "hours" not in table:
            what = f"has the unknown key {unknown[0]!r}" if unknown else "has no hours"
            raise ConfigError(f"the limit {name!r} {what}; {_FORM}")
        try:
            return cls(**table)
        except ConfigError as error:
            raise ConfigError(f"the limit {name!r} cannot be used: {error}") from None

    @property
    def is_plain(self) -> bool:
        """Whether all days count, so that hours are hours."""
        return not self.weekdays and not self.holidays

    def to_setting(self) -> float | dict[str, Any]:
        """Write it as settings have it: the hours alone where nothing else is said."""
        if self.is_plain and self.timezone == "UTC":
            return float(self.hours)
        written: dict[str, Any] = {"hours": float(self.hours)}
        if self.weekdays:
            written["weekdays"] = list(self.weekdays)
        if self.holidays:
            written["holidays"] = list(self.holidays)
        return written | {"timezone": self.timezone}

    def zone(self) -> ZoneInfo:
        """Give the time zone.

        Raises:
            ConfigError: This machine knows none of that name.
        """
        try:
            return ZoneInfo(self.timezone)
        except (ValueError, OSError, LookupError) as error:
            raise ConfigError(
                f"the time zone {self.timezone!r} is not known here; give a name of the IANA "
                "database such as 'Europe/Berlin', or install the package tzdata"
            ) from error

    def free_days(self, first: int, last: int) -> set[date]:
        """Give the holidays of some years, both included.

        Raises:
            ConfigError: A code is none that the package `holidays` knows.
            MissingDependencyError: There is a code and that package is not installed.
        """
        found: set[date] = set()
        for name in self.holidays:
            if _CODE.fullmatch(name):
                found |= _days_of(name, range(first, last + 1))
            else:
                found.add(date.fromisoformat(name))
        return found

    def counts_from(self, first: date, last: date) -> Iterator[bool]:
        """Say of each day from one to another, both included, whether it counts."""
        free = self.free_days(first.year, last.year)
        expected = {WEEKDAYS.index(name) for name in self.weekdays} or set(range(len(WEEKDAYS)))
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            yield day.weekday() in expected and day not in free

    def issues(self) -> Iterator[str]:
        """Say what can only be seen on this machine: a zone or a code that is not known."""
        for look in (self.zone, lambda: self.free_days(2026, 2026)):
            try:
                look()
            except LineageError as error:
                yield str(error)


def usable_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Write the limits of a configuration as settings have them.

    Raises:
        ConfigError: One cannot be used, or has no hours above 0.
    """
    found = {name: FreshnessLimit.of(value, name) for name, value in limits.items()}
    for name, limit in found.items():
        if not 0 < limit.hours < inf:
            raise ConfigError(f"the limit {name!r} has {limit.hours:g} hours; give more than 0")
    return {name: limit.to_setting() for name, limit in found.items()}


def _listed(value: Any) -> list[Any]:
    """Give the parts of a text with commas, or of a list; a single value as a list of one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        return [part for each in value for part in (_listed(each) if _is_text(each) else [each])]
    return [value]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _weekdays(text: Any) -> list[int]:
    """Read one weekday, or from one to another: over the end of the week if need be."""
    ends = [_NUMBERS.get(part.strip().lower()) for part in str(text).split("-")]
    first, last = ends[0], ends[-1]
    if first is None or last is None or len(ends) > 2:
        raise ConfigError(f"weekdays has {text!r}; give days such as mon or mon-fri, with commas")
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _holiday(value: Any) -> str:
    """Write a date as text, and give the code of a calendar as it is."""
    if isinstance(value, date):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    if _is_text(value) and _CODE.fullmatch(value):
        return str(value)
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise ConfigError(
            f"holidays has {value!r}; give dates such as 2026-12-25, or codes such as DE, DE-BY "
            "or XNYS"
        ) from None


def _days_of(code: str, years: range) -> set[date]:
    """Ask the package `holidays` for the days of a country, of a part of one, or of a market."""
    try:
        import holidays
    except ImportError as error:
        raise MissingDependencyError(
            f"the holidays of {code!r} need the package holidays; "
            "pip install 'track-lineage[holidays]', or list the dates"
        ) from error
    country, _, part = code.partition("-")
    try:
        return set(holidays.country_holidays(country, subdiv=part or None, years=years))
    except NotImplementedError as error:
        reason = str(error)
    try:
        return set(holidays.financial_holidays(code, years=years))
    except NotImplementedError:
        raise ConfigError(
            f"no holidays of {code!r} are known: {reason}; give a code of the package holidays "
            "such as DE, DE-BY or XNYS, or list the dates"
        ) from None

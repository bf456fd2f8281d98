"""What is known of an operation when someone asks where data came from: a step.

A step joins what the store keeps apart: the operation, its run, the process it ran in with the
commit and the packages, and the schemas of what it read and wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from lineage.codec import from_json, from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    Row = dict[str, Any]

Span = tuple[int, int]
_SHORT = 8
_DAY = 86_400_000_000
_LAST = 7_258_118_400_000_000  # the year 2200, up to which a store keeps dates apart
_MOST_SPANS = 20


class Code(TypedDict):
    """Which code ran: the function, where it stands, its hash, and the commit of its repository.

    `changed_count` is how many files differed from the commit; None when git was not asked.
    `source` is a digest of the function's text; None where it is not known to be that of the code.
    """

    function: str
    file: str | None
    line: int | None
    hash: str | None
    source: str | None
    commit: str | None
    changed_count: int | None


class Met(TypedDict):
    """A data source as an operation met it."""

    node_id: str
    version: str | None
    record_count: int | None
    columns: dict[str, str] | None


class Step(TypedDict):
    """An operation, with its run and the process that it ran in; its time as ISO 8601."""

    operation_id: str
    operation_type: str
    code: Code
    status: str
    error: str | None
    timestamp: str
    duration_ms: float | None
    run_id: str | None
    run_name: str | None
    run_parameters: dict[str, Any]
    parameters: dict[str, Any]
    reads: list[Met]
    writes: list[Met]
    record_count_in: int | None
    record_count_out: int | None
    user: str | None
    host: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows beside operations.

    Args:
        read: Gives rows of `operations` whose column has one of some values: by its name, the
            values, and spans of microseconds since 1970 in which they began; anywhere when there
            are none.
        schemas: The schemas by id.
        runs: The rows of `runs` by id.
        processes: The rows of `processes` by key.
        kept: Gives what a row of `environments` or of `contents` holds, by the kind and its id;
            None when there is none, or where nobody compares.
    """

    read: Callable[[str, tuple[str, ...], list[Span]], pa.Table]
    schemas: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, Row] = field(default_factory=dict)
    processes: Mapping[str, Row] = field(default_factory=dict)
    kept: Callable[[str, str], str | None] = field(default=lambda *_: None)
    _sources: dict[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def steps(self, began: Mapping[str, int]) -> dict[str, Step]:
        """Give the steps of some operations, by id; those that are not there are left out.

        Args:
            began: When each of them began, in microseconds since 1970.
        """
        if not began:
            return {}
        rows = self.read("operation_id", tuple(began), _spans(began.values())).to_pylist()
        return {row["operation_id"]: self.step(row) for row in rows}

    def steps_of_run(self, run_id: str) -> list[Step]:
        """Give the steps of a run as they ended."""
        run = self.runs.get(run_id, {})
        times = _micros(run.get("timestamp")), _micros(run.get("ended_at"))
        # One that was killed has no end, and a thread may go on after that of its run.
        end = _LAST if times[1] is None else times[1] + _DAY
        spans = [] if times[0] is None else [(times[0], end)]
        rows = self.read("run_id", (run_id,), spans).to_pylist()
        return [self.step(row) for row in sorted(rows, key=_ended)]

    def step(self, row: Row) -> Step:
        """Make a step of a row of `operations`."""
        run = self.runs.get(row["run_id"] or "", {})
        return {
            "operation_id": row["operation_id"],
            "operation_type": row["operation_type"],
            "code": self._code(row),
            "status": row["status"] or "success",
            "error": row["error_info"],
            "timestamp": _iso(row["timestamp"]),
            "duration_ms": row["duration_ms"],
            "run_id": row["run_id"],
            "run_name": run.get("name"),
            "run_parameters": from_json(run.get("parameters")),
            "parameters": from_json(row["parameters"]),
            "reads": [self._met(ref) for ref in row["inputs"] or ()],
            "writes": [self._met(ref) for ref in row["outputs"] or ()],
            "record_count_in": row["record_count_in"],
            "record_count_out": row["record_count_out"],
            "user": row["user_info"],
            "host": row["host"],
        }

    def process_of(self, operation_id: str) -> Row:
        """Give the row of the process that an operation ran in; an empty one when not known."""
        return self.processes.get(operation_id.rpartition("-")[0], {})

    def _code(self, row: Row) -> Code:
        process = self.process_of(row["operation_id"])
        commit, changed = process.get("commit_id"), process.get("changed_count")
        file = row["code_file"]
        for each in from_json(process.get("repositories")) or ():
            if file and file.startswith(f"{each.get('root')}/"):
                commit, changed = each.get("commit"), each.get("changed_count")
                break
        return {
            "function": ".".join(filter(None, (row["code_module"], row["code_name"]))),
            "file": file,
            "line": row["code_line"],
            "hash": row["code_hash"],
            "source": self._source(process, f"{file}:{row['code_line']}") if file else None,
            "commit": commit,
            "changed_count": changed,
        }

    def _source(self, process: Row, place: str) -> str | None:
        """Give the digest of a function's source, as its process told it."""
        identity = from_json(process.get("command")).get("sources") or ""
        if identity not in self._sources:
            told = from_json(self.kept("contents", identity)) if identity else {}
            self._sources[identity] = told.get("functions") or {}
        return self._sources[identity].get(place)

    def _met(self, ref: Row) -> Met:
        info = self.schemas.get(ref["schema_id"] or "")
        return {
            "node_id": ref["node_id"],
            "version": ref["version"] or None,
            "record_count": ref["record_count"],
            "columns": columns_of(info),
        }


def _spans(times: Iterable[int]) -> list[Span]:
    """Give the days in which times are, neighbours as one; all between if there are too many."""
    spans: list[Span] = []
    for day in sorted({at // _DAY for at in times}):
        if spans and spans[-1][1] == day * _DAY - 1:
            spans[-1] = spans[-1][0], (day + 1) * _DAY - 1
        else:
            spans.append((day * _DAY, (day + 1) * _DAY - 1))
    return spans if len(spans) <= _MOST_SPANS else [(spans[0][0], spans[-1][1])]


def columns_of(info: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Give the columns of a schema and their types; None where it tells none.

    >>> columns_of({"columns": [{"name": "day", "type": "date"}]}), columns_of({"dtype": "int64"})
    ({'day': 'date'}, None)
    """
    columns = (info or {}).get("columns")
    if isinstance(columns, dict):
        return {str(name): str(kind) for name, kind in columns.items()}
    if not isinstance(columns, list):
        return None
    named = [each if isinstance(each, dict) else {"name": each} for each in columns]
    return {str(each.get("name")): str(each.get("type") or "") for each in named}


def short(identity: str | None) -> str:
    """Give the start of a commit or a run's id, as people tell them.

    >>> short("5442d2313705200d21445d4ca6730abbf39a6a40")
    '5442d231'
    """
    return (identity or "")[:_SHORT]


def version_text(version: str | None) -> str:
    """Give a version as people tell it apart: without most of its digits.

    >>> version_text("xxh3:33-991d329cba00fcfcb32f29dd4e9c6ff3"), version_text(None)
    ('xxh3:991d329c', '?')
    """
    if not version:
        return "?"
    if version.startswith("xxh3:"):
        return f"xxh3:{short(version.rpartition('-')[2])}"
    return version


def commit_text(code: Code) -> str:
    """Give the commit of some code, with a plus when files were changed in it.

    >>> code = Code(function="f", file=None, line=None, hash=None, commit="a" * 40, changed_count=2)
    >>> commit_text(code)
    'aaaaaaaa+'
    """
    return short(code["commit"]) + ("+" if code["changed_count"] else "")


def place_text(code: Code) -> str:
    """Give where code stands, as `file:line`."""
    return f"{code['file']}:{code['line']}" if code["file"] else ""


def _iso(at: datetime | int | None) -> str:
    moment = from_micros(_micros(at))
    return moment.isoformat() if moment else ""


def _micros(at: datetime | int | None) -> int | None:
    return at if at is None or isinstance(at, int) else to_micros(at)


def _ended(row: Row) -> tuple[float, float, Sequence[Any]]:
    """Order by the end: what an operation reads was made by one that had ended."""
    began = _micros(row["timestamp"]) or 0
    return began + (row["duration_ms"] or 0) * 1000, -began, (row["operation_id"],)

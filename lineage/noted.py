"""What was done to frames, operation by operation, as the entries of a tape tell it.

Each operation names all that it was made from: what it was called on, and every frame, series or
number among its arguments, as often as it stands there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lineage import codec
from lineage.capture.tape import Code, Location, Ref, Unknown
from lineage.columns.entries import call_site, is_change
from lineage.parameters import Captor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lineage.capture.tape import Entry

_MOST_TEXT = 1000
_MOST_ITEMS = 100


@dataclass(frozen=True, slots=True)
class FrameOperation:
    """One operation on a frame, a series, or what was made of one.

    Args:
        number: Its place among those of the capture.
        name: What ran, such as `merge`; `<met>` for a frame that was there before.
        kind: What came out: `frame`, `series`, `group`, `scalar`, `array` or ``.
        shape: The shape of the frame or series, of the one that was changed where it was.
        parents: The numbers of all that it was made from.
        parameters: The plain ones among its arguments, as JSON, without secrets; those without a
            name are `0`, `1` and so on.
        call_site: Where it was called, `file:line`.
        operation_id: The operation of the tracker that told of it, if it read or wrote a file.
    """

    number: int
    name: str
    kind: str
    shape: tuple[int, ...]
    parents: tuple[int, ...]
    parameters: str
    call_site: str
    operation_id: str | None = field(default=None)


def noted(
    entries: Sequence[Entry], since: int, operation_ids: Mapping[int, str]
) -> list[FrameOperation]:
    """Give the operations that entries tell of, from one on."""
    entries = entries[:]
    steps, assigned = _steps(entries)
    captor = Captor(max_size=_MOST_TEXT)
    found = []
    for number in range(since, len(entries)):
        if number in steps:
            continue
        entry = entries[number]
        given: Any = assigned.get(number, (entry.args, entry.kwargs))
        parents = tuple(_resolved(_refs((entry.target, *given)), steps))
        found.append(
            FrameOperation(
                number,
                entry.name,
                entry.kind,
                _shape(entry, entries),
                parents,
                codec.to_json(captor.capture(_parameters(*given))),
                call_site(entry),
                operation_ids.get(number),
            )
        )
    return found


def _steps(entries: Sequence[Entry]) -> tuple[dict[int, tuple[int, ...]], dict[int, Any]]:
    """Find the steps of pandas within `assign`: a copy, and each column set.

    Returns:
        What each step stands for, and the arguments of each `assign` by its columns.
    """
    steps: dict[int, tuple[int, ...]] = {}
    assigned: dict[int, Any] = {}
    for number, entry in enumerate(entries):
        here = next(_refs(entry.args[1:]), None) if entry.name == "assign" else None
        if here is None:
            continue
        columns: dict[str, Any] = {}
        while here is not None and entries[here].name == "__setitem__":
            step = entries[here]
            columns[str(step.args[0])] = step.args[1]
            steps[here] = tuple(_refs((step.target, step.args[1])))
            here = step.target
        if here is not None and entries[here].name == "copy":
            steps[here] = tuple(_refs(entries[here].target))
            assigned[number] = ((), dict(reversed(columns.items())))
    return steps, assigned


def _resolved(refs: Iterator[int], steps: Mapping[int, tuple[int, ...]]) -> Iterator[int]:
    for ref in refs:
        if ref in steps:
            yield from _resolved(iter(steps[ref]), steps)
        else:
            yield ref


def _refs(value: Any) -> Iterator[int]:
    """Yield the entries that are named in a target or in arguments, however deep."""
    if isinstance(value, Ref):
        yield int(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _refs(each)


def _shape(entry: Entry, entries: Sequence[Entry]) -> tuple[int, ...]:
    if entry.shape or entry.target is None or not is_change(entry):
        return entry.shape
    before: tuple[int, ...] = entries[entry.target].shape
    return before


def _parameters(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    numbered = {str(place): each for place, each in enumerate(args)}
    return {name: _plain(each) for name, each in (numbered | kwargs).items()}


def _plain(value: Any) -> Any:
    """Give an argument as JSON may have it: other operations by number, code by name."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, Ref):
        return f"#{int(value)}"
    if isinstance(value, Code | Unknown | Location):
        return _named(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value[:_MOST_ITEMS]]
    return value


def _named(value: Code | Unknown | Location) -> str:
    if isinstance(value, Code):
        return value.name or (value.code.co_name if value.code else "")
    return f"<{value.kind}>" if isinstance(value, Unknown) else value.node_id

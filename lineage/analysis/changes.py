"""What differs between two steps, or two processes: by kind, with the value before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from lineage.analysis.provenance import short, version_text
from lineage.codec import from_json, to_json
from lineage.codes import are_comparable
from lineage.distributions import normal
from lineage.fingerprint import is_content, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lineage.analysis.provenance import Code, Met, Row, Step

Kind = Literal[
    "input", "parameter", "code", "commit", "environment", "schema", "rows", "output", "status"
]
CAUSES: tuple[Kind, ...] = ("input", "parameter", "code", "environment", "commit")
"""What may make a result another one, the surest first."""
EFFECTS: tuple[Kind, ...] = ("status", "schema", "rows", "output")
"""What shows that it is another one."""
_MOST_TEXT = 60
_MACHINE = ("cpu", "cpu_usable", "gpus", "gpu_driver")
"""What of a machine may change what is computed."""
_PARTS = {
    "packages": "",
    "conda": "conda ",
    "interpreter": "interpreter ",
    "platform": "platform ",
    "variables": "variable ",
    "lock_files": "lock file ",
}
"""The parts of an environment's content that have names, and how to tell them."""


class Change(TypedDict):
    """One thing that differs; what there was not is None."""

    kind: Kind
    subject: str
    before: Any
    after: Any
    message: str


def changes(before: Step, after: Step) -> list[Change]:
    """List what differs between two steps, causes before effects.

    Values in memory have no content that could be compared; what they are shows where they were
    made.
    """
    return [
        *_sources(before["reads"], after["reads"], "input"),
        *_parameters(before["parameters"], after["parameters"]),
        *_code(before, after),
        *_status(before, after),
        *_schemas(before["writes"], after["writes"]),
        *_rows(before, after),
        *_sources(before["writes"], after["writes"], "output"),
    ]


def process_changes(
    before: Row, after: Row, environments: Mapping[str, Row] | None = None
) -> list[Change]:
    """List what differs between two processes: command, commit, environment, machine, host.

    Args:
        before: A row of `processes`.
        after: Another.
        environments: The contents of environments by id. Where both are among them the whole
            environments are compared, else what was imported and which variables were named.
    """
    found: list[Change] = []
    commands = [from_json(row.get("command")) for row in (before, after)]
    if all("argv" in each for each in commands):
        texts = [" ".join(each["argv"]) for each in commands]
        found += _value("parameter", "command", *texts)
    one, other = before.get("commit_id"), after.get("commit_id")
    if one and other and one != other:
        told = (f"commit: {short(one)}", short(other))
        found.append(_change("commit", "commit", one, other, told))
    counts = before.get("changed_count"), after.get("changed_count")
    old, new = _changed_files(before), _changed_files(after)
    if None not in counts and old != new:
        names = [", ".join(each) or "none" for each in (old, new)]
        # The same files with another content differ no less.
        more = " (of other content)" if names[0] == names[1] else ""
        told = (f"uncommitted changes: {names[0]}", f"{names[1]}{more}")
        found.append(_change("commit", "uncommitted changes", [*old], [*new], told))
    found += _surroundings(before, after, environments or {})
    machines = [each.get("machine") or {} for each in commands]
    if all(machines):
        found += _mapping("environment", "", *({k: m.get(k) for k in _MACHINE} for m in machines))
    if before.get("host") and after.get("host"):
        found += _value("environment", "host", before["host"], after["host"])
    return found


def _surroundings(before: Row, after: Row, environments: Mapping[str, Row]) -> list[Change]:
    ids = before.get("environment_id"), after.get("environment_id")
    if ids[0] and ids[0] == ids[1]:
        return []
    known = [environments.get(each or "") or {} for each in ids]
    if all(known):
        return environment_changes(known[0], known[1])
    found: list[Change] = []
    for name in ("interpreter", "platform"):
        if before.get(name) and after.get(name):
            found += _value("environment", name, before[name], after[name])
    for column, what in (("packages", ""), ("variables", "variable ")):
        if before.get(column) and after.get(column):
            pairs = (_told(from_json(before[column])), _told(from_json(after[column])))
            found += _mapping("environment", what, *pairs)
    return found


def environment_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """List what differs between the contents of two environments, packages first."""
    found: list[Change] = []
    for part, what in _PARTS.items():
        pairs = (_by_name(before, part), _by_name(after, part))
        found += _mapping("environment", what, *pairs)
    for name in ("locale", "time_zone"):
        found += _value("environment", name.replace("_", " "), before.get(name), after.get(name))
    return found


def hidden_changes(before: Row, after: Row) -> list[Change]:
    """List the variables whose values are not kept and differ, by their hashes, of two processes.

    Where the hashes are under two keys, or one has none, nothing is known of them.
    """
    found: list[Change] = []
    sides = [from_json(row.get("variables")) for row in (before, after)]
    hidden = [{k: v for k, v in side.items() if isinstance(v, dict)} for side in sides]
    for name in dict.fromkeys((*hidden[0], *hidden[1])):
        is_set = [name in side for side in sides]
        texts = [str(side.get(name, {}).get("hmac") or "") for side in hidden]
        keys = [text.partition(":")[0] for text in texts]
        if not all(is_set):
            told = [("none", "set")[each] for each in is_set]
            found += _value("environment", f"variable {name}", told[0], told[1])
        elif all(texts) and keys[0] == keys[1] and texts[0] != texts[1]:
            found += _value("environment", f"variable {name}", "a value", "another one")
    return found


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out variables that are known by a hash: most of them are another in every shell."""
    return {name: value for name, value in values.items() if not isinstance(value, dict)}


def _by_name(content: Mapping[str, Any], part: str) -> dict[str, str]:
    """Give a part of an environment by name; packages are alike however their names are written."""
    found: dict[str, str] = {}
    for name, *rest in _pairs(content, part):
        key = normal(name) if part in {"packages", "conda"} else name
        told = " ".join(each if isinstance(each, str) else _text(each) for each in rest if each)
        found[key] = f"{found[key]}, {told}" if key in found else told or "of no version"
    return found


def _pairs(content: Mapping[str, Any], part: str) -> Iterator[Any]:
    for each in (part, "threads") if part == "variables" else (part,):
        told = content.get(each) or ()
        known = () if each == part else {name for name, _ in content.get(part) or ()}
        yield from (
            told
            if isinstance(told, list)
            else (pair for pair in getattr(told, "items", list)() if pair[0] not in known)
        )


def run_changes(before: Row, after: Row) -> list[Change]:
    """List which parameters differ between two runs."""
    return _parameters(from_json(before.get("parameters")), from_json(after.get("parameters")))


def schema_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """List the columns that were added, removed, or given another type."""
    found = []
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        if one is None:
            text = f"column {name} added"
        elif other is None:
            text = f"column {name} removed"
        else:
            text = f"column {name}: {one} -> {other}"
        found.append(Change(kind="schema", subject=name, before=one, after=other, message=text))
    if not found and [*before] != [*after]:
        texts = [", ".join(each) for each in (before, after)]
        found += _value("schema", "order of columns", *texts)
    return found


def _sources(before: list[Met], after: list[Met], kind: Kind) -> Iterator[Change]:
    old, new = ({met["node_id"]: met for met in side} for side in (before, after))
    gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
    # One that went away for one that came is another source in the same place.
    for one, other in zip(gone, come, strict=False):
        yield _change(kind, other, one, other, (one, other))
    for one in gone[len(come) :]:
        yield _change(kind, one, one, None, (one, "nothing"))
    for other in come[len(gone) :]:
        yield _change(kind, other, None, other, ("nothing", other))
    for node, met in old.items():
        if node not in new:
            continue
        versions = met["version"], new[node]["version"]
        if versions[0] != versions[1] and all(map(is_content, versions)):
            texts = tuple(map(_content_text, versions))
            yield _change(kind, node, *versions, (f"{node}: {texts[0]}", texts[1]))


def _content_text(version: str | None) -> str:
    return f"{version_text(version)} ({size_of(version)} bytes)"


def is_frame(value: Any) -> bool:
    """Tell whether a recorded parameter stands for a frame: what it is like is an effect.

    >>> is_frame({"type": "DataFrame", "shape": [2, 3]}), is_frame({"shape": "round"})
    (True, False)
    """
    return isinstance(value, dict) and isinstance(value.get("shape"), list) and "type" in value


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    frames = {name for side in (before, after) for name, value in side.items() if is_frame(value)}
    kept = [{k: v for k, v in side.items() if k not in frames} for side in (before, after)]
    return _mapping("parameter", "", *kept)


def _code(before: Step, after: Step) -> Iterator[Change]:
    one, other = before["code"], after["code"]
    if one["function"] != other["function"]:
        yield from _value("code", "function", one["function"], other["function"])
    elif _is_other_code(one, other):
        places = tuple(f"{each['file']}:{each['line']}" for each in (one, other))
        text = f"{one['function']} has other code ({places[1]})"
        is_hash = are_comparable(one["hash"], other["hash"])
        yield Change(
            kind="code",
            subject=one["function"],
            before=one["hash"] if is_hash else one["source"],
            after=other["hash"] if is_hash else other["source"],
            message=text,
        )


def _is_other_code(one: Code, other: Code) -> bool:
    """Tell by the hashes of the code, or of two interpreters by the text of the function."""
    if are_comparable(one["hash"], other["hash"]):
        return one["hash"] != other["hash"]
    sources = one.get("source"), other.get("source")
    return None not in sources and sources[0] != sources[1]


def _status(before: Step, after: Step) -> list[Change]:
    found = _value("status", "status", before["status"], after["status"])
    if not found and before["error"] != after["error"]:
        found = _value("status", "error", before["error"], after["error"])
    elif found and after["error"]:
        found[0]["message"] += f" ({after['error'][:_MOST_TEXT]})"
    return found


def _schemas(before: list[Met], after: list[Met]) -> Iterator[Change]:
    old = {met["node_id"]: met["columns"] for met in before}
    for met in after:
        columns = old.get(met["node_id"])
        if columns is not None and met["columns"] is not None:
            yield from schema_changes(columns, met["columns"])


def _rows(before: Step, after: Step) -> Iterator[Change]:
    for side, word in (("in", "read"), ("out", "written")):
        name = f"record_count_{side}"
        one, other = before[name], after[name]  # type: ignore[literal-required]  # both are keys
        if one is not None and other is not None:
            yield from _value("rows", f"rows {word}", one, other)


def _changed_files(process: Row) -> dict[str, str | None]:
    """Give the files that differed from the commit, with what is known of their content."""
    return {
        name: each.get("changed_hash")
        for each in from_json(process.get("repositories")) or ()
        for name in each.get("changed", ())
    }


def _mapping(
    kind: Kind, what: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Change]:
    names = dict.fromkeys((*before, *after))
    return [
        change
        for name in names
        for change in _value(kind, f"{what}{name}", before.get(name), after.get(name))
    ]


def _value(kind: Kind, subject: str, before: Any, after: Any) -> list[Change]:
    if before == after:
        return []
    texts = f"{subject}: {_text(before)}", _text(after)
    return [_change(kind, subject, before, after, texts)]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else to_json(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _change(kind: Kind, subject: str, before: Any, after: Any, texts: tuple[str, str]) -> Change:
    return Change(
        kind=kind, subject=subject, before=before, after=after, message=" -> ".join(texts)
    )

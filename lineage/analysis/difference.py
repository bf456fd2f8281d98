"""Two runs side by side: the first step that differs, and what most likely made it differ.

Steps are aligned by function and by what they read and wrote. Calls that repeat are matched in
their order; where one run has more of them, those with equal parameters first (the longest common
subsequence). Steps are in the order in which they ended, which is one in which data can flow.
"""

from __future__ import annotations

from collections import defaultdict
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, TypedDict

from lineage.analysis.changes import CAUSES, EFFECTS, changes, process_changes, run_changes
from lineage.analysis.provenance import commit_text
from lineage.analysis.tables import iso_time
from lineage.codec import from_json, to_json, to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lineage.analysis.changes import Change, Kind
    from lineage.analysis.provenance import Known, Row, Step

_MOST_COMPARED = 400
_UNEXPLAINED = (
    "inputs, parameters, code and environment are the same as far as they are recorded: something "
    "that is not (time, chance, the network, a helper function, an untracked input) differs"
)


class RunFacts(TypedDict):
    """A run of a comparison; its times as ISO 8601."""

    run_id: str
    name: str | None
    status: str | None
    started_at: str
    ended_at: str
    user: str | None
    host: str | None
    commit: str
    total_steps: int


class Pair(TypedDict):
    """Two steps that stand for one another, and what differs; one of them may be missing."""

    before: Step | None
    after: Step | None
    changes: list[Change]


class Cause(TypedDict):
    """What may have made the runs differ; `function` is empty for what concerns the whole run.

    `is_first` says that it is of the first step that differs, or of the whole run.
    """

    rank: int
    kind: Kind
    function: str
    message: str
    before: Any
    after: Any
    is_first: bool


class Difference(TypedDict):
    """Two runs side by side.

    `steps` are the pairs that differ, in the order of the flow; `first_step` is the first of them.
    """

    run_a: RunFacts
    run_b: RunFacts
    is_same: bool
    message: str
    first_step: Pair | None
    causes: list[Cause]
    steps: list[Pair]
    total_matched: int
    only_in_a: list[Step]
    only_in_b: list[Step]


def difference(known: Known, run_a: str, run_b: str) -> Difference:
    """Compare two runs.

    Args:
        known: What the store knows.
        run_a: The id of one run, the earlier one in what is said.
        run_b: That of the other.
    """
    before, after = known.steps_of_run(run_a), known.steps_of_run(run_b)
    pairs = list(align(before, after))
    differing = [pair for pair in pairs if pair["changes"]]
    first = differing[0] if differing else None
    whole = _of_the_whole(known, (run_a, run_b), (before, after))
    causes = list(_ranked(differing, whole))
    missing = [pair for pair in pairs if pair["before"] is None or pair["after"] is None]
    facts = [_facts(known, run_id, steps) for run_id, steps in ((run_a, before), (run_b, after))]
    return {
        "run_a": facts[0],
        "run_b": facts[1],
        "is_same": not differing and not whole,
        "message": _message(first, whole, len(pairs)),
        "first_step": first,
        "causes": causes,
        "steps": differing,
        "total_matched": len(pairs) - len(missing),
        "only_in_a": [pair["before"] for pair in missing if pair["before"] is not None],
        "only_in_b": [pair["after"] for pair in missing if pair["after"] is not None],
    }


def align(before: Sequence[Step], after: Sequence[Step]) -> Iterator[Pair]:
    """Match the steps of two runs, in the order of the flow; each of them is in one pair."""
    partner: dict[int, int] = {}
    for key, match in (
        (_whole_key, _matched), (_function_key, _matched), (_function_key, _in_order)
    ):  # fmt: skip
        rest_a = [at for at in range(len(before)) if at not in partner]
        taken = set(partner.values())
        rest_b = [at for at in range(len(after)) if at not in taken]
        groups: dict[Any, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, (steps, places) in enumerate(((before, rest_a), (after, rest_b))):
            for at in places:
                groups[key(steps[at])][side].append(at)
        for ours, theirs in groups.values():
            partner.update(match(before, after, ours, theirs))
    alone = iter(sorted(set(range(len(after))) - set(partner.values())))
    waiting = next(alone, None)
    for at, step in enumerate(before):
        other = partner.get(at)
        # What only the other run has stands before the first that came after it there.
        while waiting is not None and other is not None and waiting < other:
            yield _alone(None, after[waiting])
            waiting = next(alone, None)
        if other is None:
            yield _alone(step, None)
        else:
            yield {"before": step, "after": after[other], "changes": changes(step, after[other])}
    while waiting is not None:
        yield _alone(None, after[waiting])
        waiting = next(alone, None)


def _matched(
    before: Sequence[Step], after: Sequence[Step], ours: list[int], theirs: list[int]
) -> Iterable[tuple[int, int]]:
    """Match the places of repeated calls, in their order."""
    if len(ours) == len(theirs) or max(len(ours), len(theirs)) > _MOST_COMPARED:
        return zip(ours, theirs, strict=False)
    texts = [
        [to_json(steps[at]["parameters"]) for at in places]
        for steps, places in ((before, ours), (after, theirs))
    ]
    blocks = SequenceMatcher(None, texts[0], texts[1], autojunk=False).get_matching_blocks()
    found: list[tuple[int, int]] = []
    one = other = 0
    for block in blocks:
        found += zip(ours[one : block.a], theirs[other : block.b], strict=False)
        size = block.size
        found += zip(ours[block.a :][:size], theirs[block.b :][:size], strict=True)
        one, other = block.a + size, block.b + size
    return found


def _in_order(
    _before: Sequence[Step], _after: Sequence[Step], ours: list[int], theirs: list[int]
) -> Iterable[tuple[int, int]]:
    """Match what is left of a function on both sides, as calls with other parameters."""
    return zip(ours, theirs, strict=False)


def _whole_key(step: Step) -> Any:
    ends = tuple(tuple(met["node_id"] for met in step[side]) for side in ("reads", "writes"))
    return (*_function_key(step), ends)


def _function_key(step: Step) -> tuple[str, str]:
    return step["operation_type"], step["code"]["function"]


def _alone(before: Step | None, after: Step | None) -> Pair:
    step = after if before is None else before
    where = "second" if before is None else "first"
    assert step is not None
    name = step["code"]["function"]
    text = f"{name} ran only in the {where} run"
    ids = [None if each is None else each["operation_id"] for each in (before, after)]
    change: Change = {
        "kind": "status",
        "subject": name,
        "before": ids[0],
        "after": ids[1],
        "message": text,
    }
    return {"before": before, "after": after, "changes": [change]}


def _of_the_whole(
    known: Known, ids: tuple[str, str], sides: tuple[list[Step], list[Step]]
) -> list[Change]:
    """List what differs of the runs as such, and of the processes that they ran in."""
    rows = [known.runs.get(run_id, {}) for run_id in ids]
    processes = [_process(known, steps) for steps in sides]
    found = run_changes(rows[0], rows[1])
    named = filter(None, (row.get("environment_id") for row in processes))
    environments = {each: from_json(known.kept("environments", each)) for each in named}
    return found + process_changes(processes[0], processes[1], environments)


def _process(known: Known, steps: list[Step]) -> Row:
    found = (known.process_of(step["operation_id"]) for step in steps)
    return next((row for row in found if row), {})


def _ranked(differing: list[Pair], whole: list[Change]) -> Iterator[Cause]:
    """Put causes in order: those of the first step, of the whole, of later steps; then effects."""
    groups: list[tuple[str, bool, list[Change]]] = []
    told: set[tuple[str, str, str]] = set()
    for place, pair in enumerate(differing):
        step = pair["before"] or pair["after"]
        name = step["code"]["function"] if step else ""
        groups.append((name, place == 0, pair["changes"]))
    order: list[tuple[str, bool, Change]] = []
    for kinds in (CAUSES, EFFECTS):
        first = [(n, f, c) for n, f, all_of in groups if f for c in all_of if c["kind"] in kinds]
        later = [
            (n, f, c) for n, f, all_of in groups if not f for c in all_of if c["kind"] in kinds
        ]
        of_all = [("", True, change) for change in whole if change["kind"] in kinds]
        for part in (first, of_all, later):
            order += sorted(part, key=lambda each: kinds.index(each[2]["kind"]))
    for name, is_first, change in order:
        # The parameter of a run that a function was given is one cause; so is one in a loop.
        key = (change["kind"], change["subject"], change["message"])
        if key not in told:
            told.add(key)
            yield {
                "rank": len(told),
                "kind": change["kind"],
                "function": name,
                "message": change["message"],
                "before": change["before"],
                "after": change["after"],
                "is_first": is_first,
            }


def _message(first: Pair | None, whole: list[Change], total: int) -> str:
    if first is None:
        if not whole:
            return f"nothing differs in {total} steps"
        return f"no step differs of {total}; the runs differ in what is around them"
    step = first["before"] or first["after"]
    name = step["code"]["function"] if step else ""
    kinds = {change["kind"] for change in first["changes"]} | {each["kind"] for each in whole}
    is_alone = first["before"] is None or first["after"] is None
    if is_alone:
        return f"the first difference: {first['changes'][0]['message']}"
    reason = "" if kinds & set(CAUSES) else f"; {_UNEXPLAINED}"
    return f"the first step that differs is {name}{reason}"


def _facts(known: Known, run_id: str, steps: list[Step]) -> RunFacts:
    row = known.runs.get(run_id, {})
    times = [iso_time(_micros(row.get(name))) for name in ("timestamp", "ended_at")]
    code = next((step["code"] for step in steps if step["code"]["commit"]), None)
    first = steps[0] if steps else None
    return {
        "run_id": run_id,
        "name": row.get("name"),
        "status": row.get("status"),
        "started_at": times[0] or (first["timestamp"] if first else ""),
        "ended_at": times[1],
        "user": row.get("user_info") or (first["user"] if first else None),
        "host": row.get("host") or (first["host"] if first else None),
        "commit": commit_text(code) if code else "",
        "total_steps": len(steps),
    }


def _micros(at: Any) -> int | None:
    return at if at is None or isinstance(at, int) else to_micros(at)


def find_run(wanted: str, known: Iterable[str], names: dict[str, str | None]) -> str:
    """Find a run by its id, by a start of it that no other has, or by a name that no other has.

    Args:
        wanted: What it is called.
        known: The ids of all runs.
        names: The names of those that have one, by id.

    Raises:
        OperationError: There is none, or more than one; the message names near ones.
    """
    from lineage.errors import OperationError

    ids = list(dict.fromkeys(known))
    if wanted in ids:
        return wanted
    begins = [run_id for run_id in ids if wanted and run_id.startswith(wanted)]
    named = [run_id for run_id in ids if names.get(run_id) == wanted]
    for found in (begins, named):
        if len(found) == 1:
            return found[0]
    near = (begins or named or ids)[-5:]
    listed = ", ".join(f"{run_id} ({names.get(run_id) or 'no name'})" for run_id in near)
    if begins or named:
        raise OperationError(f"{len(begins or named)} runs are called {wanted!r}, such as {listed}")
    hint = f"the last of {len(ids)} runs: {listed}" if ids else "the store has no runs"
    raise OperationError(f"no run {wanted!r}; {hint}")

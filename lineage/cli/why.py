"""Why data are as they are, and what changed: why, blame, history, diff."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.analysis.changes import CAUSES, is_frame
from lineage.analysis.provenance import commit_text, short, version_text
from lineage.cli.columns import Column  # noqa: TC001 - typer reads the annotations
from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, cell, note, printable
from lineage.cli.replay import (
    Environment,
    InPlace,
    ShowDiff,
    Timeout,
    Tolerance,
    Yes,
    agree,
    show_proof,
    terms_of,
)
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.codec import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lineage.analysis.column_edges import ColumnStep
    from lineage.analysis.difference import Difference, RunFacts
    from lineage.analysis.lifetimes import Moment
    from lineage.analysis.provenance import Code, Met, Step
    from lineage.analysis.why import Reason, Why

_MOST_TEXT = 60
_NUMBERS = frozenset({"bytes", "rows", "reads", "#"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(why)
    command(app, is_question=True)(blame)
    command(app, is_question=True)(history)
    command(app, is_question=True)(diff)


File = Annotated[
    str, typer.Argument(metavar="FILE", help="A file, looked up by its content; or a node's id.")
]


def why(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:COLUMN]",
            help="A file, looked up by its content; or a node's id. With a column: what each step "
            "does to it, and from which columns it was computed.",
        ),
    ],
    *,
    column: Column = None,
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=0, help="How many steps back at most.", show_default=False),
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many at most.")] = 100,
) -> None:
    """Say which steps made a file what it is, back to where it came from."""
    limits: Any = {"max_depth": depth, "max_steps": number}
    answer = session.ask(lambda engine: engine.why(name, column=column, **limits))
    session.show(answer, "\n".join(map(printable, _why_lines(answer))))
    if not answer["is_whole"] and not session.as_json:
        note("there are more steps: more of them by --number, or --depth")


def blame(session: Session, name: File) -> None:
    """List who wrote each version of a file, when and with what, the newest first."""
    answer = session.ask(lambda engine: engine.blame(name))
    rows = [
        (
            _marked(version_text(line["version"]), is_on_disk=line["is_on_disk"]),
            line["timestamp"][:16].replace("T", " "),
            line["user"],
            line["function"] or f"({line['event']})",
            line["commit"],
            line["run_name"] or short(line["run_id"]),
            line["rows"],
        )
        for line in answer
    ]
    columns = ("version", "written", "by", "function", "commit", "run", "rows")
    session.show(answer, Table(columns, rows, empty=f"no version of {name}", right=_NUMBERS))


def history(session: Session, name: File) -> None:
    """List all versions of a file, the oldest first: what made each, and what that changed."""
    answer = session.ask(lambda engine: engine.history(name))
    lines = [_here(answer["node_id"]), *_indented([answer["message"]])]
    for moment in answer["versions"]:
        lines += ["", *_moment_lines(moment)]
    session.show(answer, "\n".join(map(printable, lines)))


def diff(
    session: Session,
    run_a: Annotated[
        str, typer.Argument(metavar="RUN_A", help="The id of a run, or the start of one.")
    ],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run to compare with it.")],
    *,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove",
            help="Run B again with one thing after the other taken from A, and say what moves it.",
            show_default=False,
        ),
    ] = False,
    yes: Yes = False,
    environment: Environment = "same",
    in_place: InPlace = False,
    tolerance: Tolerance = 1e-9,
    timeout: Timeout = None,
    show_diff: ShowDiff = False,
) -> None:
    """Compare two runs: the first step that differs, and what may have caused it.

    The exit code is 1 when they differ. The options after --prove are those of replay.
    """
    if prove:
        from lineage.proving import prove as tried

        terms = terms_of(environment, tolerance, timeout, in_place=in_place)
        first, second = session.ask(lambda engine: (engine.recipe(run_a), engine.recipe(run_b)))
        agree(first, second, is_agreed=yes, is_whole=show_diff)
        with session.working("running it again"):
            proof = tried(first, second, terms)
        show_proof(session, proof)
        if proof.causes:
            raise typer.Exit(FINDING)
        return
    answer = session.ask(lambda engine: engine.diff(run_a, run_b))
    runs = Table(
        ("", "run", "name", "started", "status", "commit", "steps"),
        [_run_row("A", answer["run_a"]), _run_row("B", answer["run_b"])],
    )
    session.show(answer, runs, *_difference_parts(answer))
    if not answer["is_same"]:
        raise typer.Exit(FINDING)


def _why_lines(answer: Why) -> Iterator[str]:
    yield f"{_here(answer['node_id'])}  {version_text(answer['version'])}"
    yield from _indented([answer["message"]])
    if answer["same_content"]:
        yield from _indented([f"the same content: {_listed(answer['same_content'])}"])
    if answer["column"] is not None:
        yield from _indented([_column_line(answer)])
    places = {each["step"]["operation_id"]: at for at, each in enumerate(answer["steps"], 1)}
    run: str | None = ""
    for reason in answer["steps"]:
        yield ""
        yield from _reason_lines(reason, places, answer, is_new=reason["step"]["run_id"] != run)
        run = reason["step"]["run_id"]
    if answer["column_edges"]:
        yield ""
        yield f"column {answer['column']} was computed from"
        yield from _indented(map(_edge_line, answer["column_edges"]))
    if answer["origins"]:
        yield ""
        yield "from outside"
        for origin in answer["origins"]:
            yield f"  {_here(origin['node_id'])}  {version_text(origin['version'])}"
            yield from _indented([origin["reason"]])


def _column_line(answer: Why) -> str:
    name = answer["column"]
    made = [each["step"] for each in answer["steps"] if each["column"] == "made"]
    basis = "(by the schemas of the steps)"
    if made:
        names = ", ".join(dict.fromkeys(step["code"]["function"] for step in made))
        return f"column {name} first appears in {names} {basis}"
    if any(each["column"] == "kept" for each in answer["steps"]):
        return f"column {name} was there from the start {basis}"
    known = f"; the columns are {', '.join(answer['columns'])}" if answer["columns"] else ""
    return f"no step has a column {name}{known}"


def _edge_line(step: ColumnStep) -> str:
    edge, far = step["edge"], "  " * step["depth"]
    how = f"{edge.kind} {edge.subtype.lower()}, {edge.confidence}"
    place = _here("  ".join(filter(None, (edge.operation, edge.call_site))))
    source = f"{_here(edge.source_node)}:{edge.source_column}"
    return "  ".join(filter(None, (f"{far}{edge.output_column} <- {source}", how, place)))


def _reason_lines(
    reason: Reason, places: Mapping[str, int], answer: Why, *, is_new: bool
) -> Iterator[str]:
    step = reason["step"]
    number = places[step["operation_id"]]
    column = "" if reason["column"] is None else f"  [{answer['column']}: {reason['column']}]"
    yield f"{number}. {step['code']['function']}  {step['operation_type']}{column}"
    yield from _indented(_who_lines(step, is_new=is_new), "   ")
    for met in step["reads"]:
        maker = places.get(reason["made_from"].get(met["node_id"], ""))
        yield f"   reads   {_met(met)}{f'  <- {maker}' if maker else ''}"
    for met in step["writes"]:
        yield f"   writes  {_met(met)}"


def _who_lines(step: Step, *, is_new: bool) -> Iterator[str]:
    """Say who ran a step, when, and as what; of its run only where that is another one."""
    who = f"{step['user'] or 'somebody'} on {step['host']}" if step["host"] else step["user"] or ""
    yield "  ".join(filter(None, (_time(step["timestamp"]), who, _milliseconds(step))))
    if step["run_id"] and is_new:
        run = f"run {step['run_name'] or ''} {short(step['run_id'])}"
        yield "  ".join(filter(None, (run, _parameters(step["run_parameters"]))))
    code = _code(step["code"])
    if code:
        yield f"code {code}"
    parameters = _parameters(step["parameters"])
    if parameters:
        yield f"with {parameters}"
    if step["error"]:
        yield f"failed: {step['error']}"


def _moment_lines(moment: Moment) -> Iterator[str]:
    version = version_text(moment["version"])
    marks = "  (on disk now)" if moment["is_on_disk"] else ""
    sizes = [
        _count(moment[key], word)  # type: ignore[literal-required]  # both are keys
        for key, word in (("size_bytes", "byte"), ("rows", "row"))
        if moment[key] is not None  # type: ignore[literal-required]  # as above
    ]
    told = ", ".join(sizes)
    yield f"{_time(moment['timestamp'])}  {moment['event']}  {version}{marks}"
    yield from _indented(filter(None, [told]))
    step = moment["step"]
    if step is not None:
        yield f"  by {step['code']['function']}  {_code(step['code'])}"
        run = f", run {step['run_name'] or ''} {short(step['run_id'])}" if step["run_id"] else ""
        yield f"  {step['user'] or 'somebody'} on {step['host']}{run}"
    if moment["origin"]:
        yield f"  the same content: {_listed(moment['origin'])}"
    yield from (f"  ~ {_here(change)}" for change in moment["changes"])


def _run_row(letter: str, run: RunFacts) -> tuple[Any, ...]:
    started = _time(run["started_at"])
    return (
        *(letter, short(run["run_id"]), run["name"], started, run["status"]),
        *(run["commit"], run["total_steps"]),
    )


def _difference_parts(answer: Difference) -> Iterator[str | Table]:
    yield f"\n{printable(answer['message'])}\n"
    for title, is_cause in (("likely causes", True), ("seen in", False)):
        causes = [
            (each["rank"], each["kind"], each["function"] or "(whole run)", _here(each["message"]))
            for each in answer["causes"]
            if (each["kind"] in CAUSES) is is_cause
        ]
        if causes:
            yield f"{title}:"
            yield Table(("#", "kind", "step", "what"), causes, right=_NUMBERS)
            yield ""
    alone = [("A", step) for step in answer["only_in_a"]]
    alone += [("B", step) for step in answer["only_in_b"]]
    if alone:
        rows = [(side, step["code"]["function"], _time(step["timestamp"])) for side, step in alone]
        yield Table(("only in", "step", "time"), rows)
        yield ""
    pairs = [
        (
            pair["before"]["code"]["function"],
            pair["before"]["duration_ms"],
            pair["after"]["duration_ms"],
        )
        for pair in answer["steps"]
        if pair["before"] is not None and pair["after"] is not None
    ]
    if pairs:
        yield "durations, which are never a cause:"
        yield Table(("step", "ms in A", "ms in B"), pairs, right=frozenset({"ms in A", "ms in B"}))


def _marked(version: str, *, is_on_disk: bool | None) -> str:
    """Write a version with a star when the file holds it now."""
    return ("*" if is_on_disk else " ") + version.removeprefix("xxh3:")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _indented(lines: Iterable[str], by: str = "  ") -> list[str]:
    return [f"{by}{line}" for line in lines if line]


def _time(text: str) -> str:
    """Write a time as all commands do."""
    from datetime import datetime

    return cell(datetime.fromisoformat(text)) if text else ""


def _milliseconds(step: Step) -> str:
    return "" if step["duration_ms"] is None else f"{step['duration_ms']:.3g} ms"


def _parameters(parameters: Any) -> str:
    if not isinstance(parameters, dict):
        return ""
    plain = {name: value for name, value in parameters.items() if not is_frame(value)}
    return ", ".join(f"{name}={_value(value)}" for name, value in plain.items())


def _value(value: Any) -> str:
    text = _here(value) if isinstance(value, str) else to_json(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _code(code: Code) -> str:
    place = _here(f"{code['file']}:{code['line']}") if code["file"] else ""
    commit = commit_text(code)
    files = f" ({_count(code['changed_count'], 'file')} changed)" if code["changed_count"] else ""
    return "  ".join(filter(None, (place, f"commit {commit}{files}" if commit else "")))


def _met(met: Met) -> str:
    rows = "" if met["record_count"] is None else f"  {_count(met['record_count'], 'row')}"
    version = met["version"] or ""
    told = f"  {version_text(version)}" if version.startswith("xxh3:") else ""
    return f"{_here(met['node_id'])}{told}{rows}"


def _listed(nodes: list[str]) -> str:
    further = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return ", ".join(map(_here, nodes[:3])) + further


def _here(text: str) -> str:
    """Write paths below this folder as seen from it."""
    folder = os.getcwd()
    return text.replace(f"{folder}{os.sep}", "") if len(folder) > 1 else text

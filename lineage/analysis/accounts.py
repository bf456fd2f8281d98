"""The rows of what made data and of what changed: steps, versions, causes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from lineage.analysis.provenance import commit_text, place_text
from lineage.analysis.rows import chosen, figures, listed, made
from lineage.codec import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = dict[str, Any]

REASON = (
    *("depth", "timestamp", "function", "code", "commit", "run", "user", "operation_id"),
    *("parameters", "reads", "writes", "record_count_in", "record_count_out"),
)
ORIGIN = ("node_id", "version", "reason")
MOMENT = (
    *("timestamp", "event", "version", "size_bytes", "rows", "function", "run", "total_reads"),
    *("changes", "origin", "is_on_disk"),
)
BLAMED = (
    *("timestamp", "version", "function", "code", "commit", "user", "run_name", "run_id", "rows"),
    *("size_bytes", "event", "is_on_disk", "operation_id"),
)
EDGE = (
    *("output_node", "output_column", "source_node", "source_column", "kind", "subtype"),
    *("confidence", "operation", "call_site", "operation_id", "run_id", "timestamp"),
)
COLUMN = ("direction", "kind", "distance", "node_id", "column", "confidence")
PRODUCT = (
    *("name", "version", "registered_at", "content", "size_bytes", "path", "parents"),
    *("total_registrations", "is_disputed", "product_id"),
)
REGISTRATION = (
    *("timestamp", "event", "version", "content", "size_bytes", "user", "function", "command"),
    *("commit", "environment_id", "run", "operation_id", "path"),
)
CAUSE = ("rank", "kind", "function", "message")


def _step_row(step: Mapping[str, Any]) -> Row:
    code = step["code"]
    return {
        **{name: step[name] for name in ("timestamp", "user", "operation_id")},
        "function": code["function"],
        "code": place_text(code),
        "commit": commit_text(code),
        "run": step["run_name"] or step["run_id"] or "",
        "parameters": to_json(step["parameters"]),
        "reads": listed([met["node_id"] for met in step["reads"]]),
        "writes": listed([met["node_id"] for met in step["writes"]]),
        "record_count_in": step["record_count_in"],
        "record_count_out": step["record_count_out"],
    }


def reason_row(reason: Mapping[str, Any]) -> Row:
    """Give the row of a step of `why`."""
    column = {} if reason["column"] is None else {"column": reason["column"]}
    return {"depth": reason["depth"], **column, **_step_row(reason["step"])}


def why(answer: Mapping[str, Any]) -> Row:
    """Give the figures and the tables of `why`; what is not known of it is not shown."""
    own = figures(answer, "asked")
    return {
        **{name: value for name, value in own.items() if value not in (None, "")},
        "steps": made(answer["steps"], reason_row),
        "origins": made(answer["origins"], chosen(ORIGIN)),
    }


def edge_row(edge: Any) -> Row:
    """Give the row of an edge between columns."""
    return {name: getattr(edge, name) for name in EDGE}


def column(answer: Mapping[str, Any]) -> Row:
    """Give the figures and the tables of a column that was followed."""
    return {
        **figures(answer, "node_id", "column"),
        "columns": column_rows(answer),
        "outdated": answer["outdated"],
    }


def column_rows(answer: Mapping[str, Any]) -> list[Row]:
    """List the columns up and down stream of one."""
    return [
        {"direction": direction, "kind": kind, **each}
        for direction in ("upstream", "downstream")
        for kind in ("direct", "indirect")
        for each in answer[direction][kind]
    ]


def moment_row(moment: Mapping[str, Any]) -> Row:
    """Give the row of a version of a file."""
    step = moment["step"]
    known = _step_row(step) if step else {"function": "", "run": ""}
    own = {**moment, **{name: known[name] for name in ("function", "run")}}
    own |= {name: "; ".join(moment[name]) for name in ("changes", "origin")}
    return {name: own[name] for name in MOMENT}


def _pair_row(pair: Mapping[str, Any]) -> Row:
    step = pair["before"] or pair["after"]
    told = "; ".join(change["message"] for change in pair["changes"])
    return {"function": step["code"]["function"], "differs": told}


def difference(answer: Mapping[str, Any]) -> Row:
    """Give the figures and the tables of two runs side by side."""
    return {
        **figures(answer, "message"),
        "causes": made(answer["causes"], chosen(CAUSE)),
        "steps": made(answer["steps"], _pair_row),
    }


def product_row(known: Mapping[str, Any]) -> Row:
    """Give the row of a version of a data product."""
    return {**chosen(PRODUCT)(known), "parents": listed(known["parents"])}


def product(answer: Mapping[str, Any]) -> Row:
    """Give the figures and the tables of a data product."""
    return {
        **product_row(answer),
        "metadata": to_json(answer["metadata"]),
        "hints": to_json(answer["hints"]),
        "children": [{"product_id": each} for each in answer["children"]],
        "versions": [{"product_id": each} for each in answer["versions"]],
        "history": made(answer["history"], registration_row),
    }


def registration_row(entry: Mapping[str, Any]) -> Row:
    """Give the row of a registration of a data product."""
    told = entry["invocation"]
    own = {**entry, **told, "run": told["run_name"] or told["run_id"] or ""}
    own |= {"command": command_text(told["command"])}
    return {name: own[name] for name in REGISTRATION}


def command_text(command: Mapping[str, Any]) -> str:
    """Write a command as a shell would take it.

    >>> command_text({"argv": ["make.py", "two words"]}), command_text({})
    ("make.py 'two words'", '')
    """
    return shlex.join(map(str, command.get("argv") or ()))

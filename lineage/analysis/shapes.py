"""What an answer is in words and tables: for a person who looks at it, and for pandas.

Each shape knows the dictionary of one analysis. Long sequences stay lazy: what is not looked at
is not made.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.analysis import accounts
from lineage.analysis.rows import MOST_NAMES
from lineage.analysis.rows import chosen as _chosen
from lineage.analysis.rows import figures as _figures
from lineage.analysis.rows import listed as _listed
from lineage.analysis.rows import made as _made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lineage.core import DataOperation, LineageNode

    Row = dict[str, Any]

_USE = ("accessed_count", "written_count", "last_accessed", "last_written")
_NODE = ("node_id", "source_type", "location", *_USE)
_OPERATION = (
    *("operation_id", "operation_type", "timestamp", "function", "record_count_in"),
    *("record_count_out", "duration_ms", "status"),
)
_STALE = (
    *("node_id", "reason", "last_accessed", "last_written", "access_count"),
    *("source_type", "location", "limit_hours", "hours_counted", "late_because", "root_causes"),
)
_STALE_GROUP = ("node_id", "reason", "total_explained", "explained")
_FRESH = (
    *("node_id", "source_type", "is_stale", "limit_hours", "last_accessed", "last_written"),
    *("created_at", "access_count", "hours_since_last_access", "hours_since_last_write"),
    "hours_since_creation",
)
_EVENT = (
    *("timestamp", "type", "id", "reads", "writes", "record_count_in", "record_count_out"),
    *("duration_ms", "has_error"),
)
_IMPACTED = ("distance", "node_id", "source_type", "location", "access_count", "last_accessed")
_FUNCTION = (
    *("code_module", "code_name", "count", "failed", "avg_duration_ms", "p50_duration_ms"),
    *("p90_duration_ms", "p95_duration_ms", "p99_duration_ms", "total_duration_ms"),
)
_MAKER = ("operation_id", "operation_type", "function", "timestamp", "run_id")
_RUN = ("run_id", "name", "status", "started_at", "ended_at", "user", "host")
_COUNTS = ("total_inputs", "total_uses")
_STEP = ("from_node", "to_node", "mean_duration_ms", "share")
_FINDING = (
    *("metric", "kind", "subject", "message", "since", "value", "expected", "usual_low"),
    *("usual_high", "score", "limit", "days", "function", "cause"),
)
_FLOW = ("from_node", "to_node", "operation_count", "records_in", "records_out", "ratio")


class Shape(NamedTuple):
    """How answers of one kind are shown.

    Attributes:
        title: Gives the heading of an answer.
        sections: Gives its figures and its tables by name, tables as sequences of rows.
        columns: The columns of the answer as one table.
        rows: Gives the rows of that table, all of them.
    """

    title: Callable[[Any], str]
    sections: Callable[[Any], Mapping[str, Any]]
    columns: tuple[str, ...]
    rows: Callable[[Any], Iterable[Row]]


def _node(node: LineageNode) -> Row:
    source = node.data_source
    use = {name: getattr(node, name) for name in _USE}
    own = {"source_type": source.source_type, "location": source.location}
    return {"node_id": node.node_id, **own, **use}


def _operation(operation: DataOperation) -> Row:
    module, name = operation.code_module, operation.code_name
    function = {"function": ".".join(filter(None, (module, name)))}
    return {
        key: function[key] if key in function else getattr(operation, key) for key in _OPERATION
    }


def _counted(counts: Mapping[str, int], name: str) -> list[Row]:
    return [{name: key, "count": count} for key, count in counts.items() if count]


def _lineage(answer: Mapping[str, Any]) -> Row:
    above, below = answer["upstream_dependencies"], answer["downstream_dependents"]
    return {
        **_node(answer["root_node"]),
        "made_from": _made(above, _node),
        "used_by": _made(below, _node),
        "operations": _made(answer["related_operations"], _operation),
    }


def _lineage_rows(answer: Mapping[str, Any]) -> Iterable[Row]:
    sides = (
        ("root", [answer["root_node"]]),
        ("upstream", answer["upstream_dependencies"]),
        ("downstream", answer["downstream_dependents"]),
    )
    return ({"direction": side, **_node(node)} for side, nodes in sides for node in nodes)


def _step(step: Mapping[str, Any]) -> Row:
    return {
        "from_node": step["from_node"],
        "to_node": step["to_node"],
        **_operation(step["operation"]),
    }


def _steps(answer: Mapping[str, Any]) -> Sequence[Row]:
    return _made(answer.get("transformation_operations", ()), _step)


def _path_title(answer: Mapping[str, Any]) -> str:
    nodes = answer.get("path_nodes")
    return f"Way from {nodes[0]} to {nodes[-1]}" if nodes else str(answer["message"])


def _path(answer: Mapping[str, Any]) -> Row:
    if not answer["path_found"]:
        return {}
    nodes = _made(answer["path_nodes"], lambda name: {"node_id": name})
    return {**_figures(answer), "nodes": nodes, "operations": _steps(answer)}


def _paths_title(answer: Mapping[str, Any]) -> str:
    ends = f"{answer['source_node']} to {answer['target_node']}"
    return f"{answer['total_paths']:,} ways from {ends}"


def _path_rows(answer: Mapping[str, Any]) -> Sequence[Row]:
    return _made(answer["paths"], lambda path: {"steps": len(path) - 1, "path": " -> ".join(path)})


def _ancestor_rows(answer: Mapping[str, Any]) -> Iterable[Row]:
    nearest = {node.node_id for node in answer["nearest_common_ancestors"]}
    for node in answer["common_ancestors"]:
        yield {"is_nearest": node.node_id in nearest, **_node(node)}


def _cycle(cycle: Mapping[str, Any]) -> Row:
    return {"total_nodes": cycle["total_nodes"], "nodes": _listed(cycle["node_ids"])}


def _level_rows(answer: Mapping[str, Any]) -> Iterable[Row]:
    for number, names in enumerate(answer["levels"]):
        for name in names:
            yield {"level": number, "node_id": name}


def _levels(answer: Mapping[str, Any]) -> Row:
    rows = [
        {"level": number, "total_nodes": len(names), "nodes": _listed(names)}
        for number, names in enumerate(answer["levels"])
    ]
    loops = [_cycle({"total_nodes": len(names), "node_ids": names}) for names in answer["cycles"]]
    return {**_figures(answer), "levels": rows, "cycles": loops}


def _impacted(answer: Mapping[str, Any]) -> Iterable[Row]:
    for kind, nodes in answer["impact_by_source_type"].items():
        for node in nodes:
            yield {"source_type": kind, **node}


def _impact(answer: Mapping[str, Any]) -> Row:
    groups = {
        f"{kind} nodes": _made(nodes, _chosen(_IMPACTED))
        for kind, nodes in answer["impact_by_source_type"].items()
    }
    summary = {f"{name} nodes": count for name, count in answer["impact_summary"].items()}
    operations = answer["affected_operations"]
    return {**_figures(answer), **summary, **groups, "affected_operations": operations}


def _freshness(answer: Mapping[str, Any]) -> Row:
    own = {name: answer[name] for name in _FRESH if name in answer}
    return {**own, "upstream": _made(answer["upstream_freshness"], _chosen(_FRESH))}


def _volume(answer: Mapping[str, Any]) -> Row:
    types = [{"type": name, **each} for name, each in answer["operations_by_type"].items()]
    top = [
        {"record_count": count, **_operation(each)}
        for each, count in answer["top_volume_operations"]
    ]
    stored = answer["repository_volumes"].items()
    return {
        **_figures(answer),
        "operations_by_type": types,
        "flows": answer["flows"],
        "top_volume_operations": top,
        "repository_volumes": [{"repository": name, "records": count} for name, count in stored],
    }


def _performance(answer: Mapping[str, Any]) -> Row:
    types = answer.get("by_type", {}).items()
    return {
        **_figures(answer, "message"),
        "by_function": answer.get("by_function", []),
        "by_type": [{"type": name, **each} for name, each in types],
        "over_time": answer.get("over_time", []),
    }


def _summary_figures(answer: Mapping[str, Any]) -> Row:
    recent = answer["recent_activity"]
    parts = (answer["basic_stats"], answer["graph_structure"], recent)
    return dict(chain.from_iterable(_figures(part).items() for part in parts))


def _summary(answer: Mapping[str, Any]) -> Row:
    basic = answer["basic_stats"]
    return {
        **_summary_figures(answer),
        "operation_types": _counted(basic["operation_types"], "type"),
        "source_types": _counted(basic["source_types"], "type"),
        **answer["top_connected_nodes"],
    }


def _recent(answer: Mapping[str, Any]) -> Row:
    return {**_figures(answer), "operation_types": _counted(answer["operation_types"], "type")}


def _names(sources: Sequence[Mapping[str, str]]) -> str:
    return _listed([source["node_id"] for source in sources])


def _stale(node: Mapping[str, Any]) -> Row:
    ends = {name: _listed(node[name]) for name in ("late_because", "root_causes")}
    return {name: ends[name] if name in ends else node[name] for name in _STALE}


def _stale_group(group: Mapping[str, Any]) -> Row:
    root, explained = group["root_cause"], group["explained"]
    further = len(explained) - MOST_NAMES
    names = [each["node_id"] for each in explained[:MOST_NAMES]]
    return {
        "node_id": root["node_id"],
        "reason": root["reason"],
        "total_explained": len(explained),
        "explained": ", ".join(names) + (f" and {further:,} more" if further > 0 else ""),
    }


def _event(event: Mapping[str, Any]) -> Row:
    ends = {"reads": _names(event["input_sources"]), "writes": _names(event["output_sources"])}
    return {name: ends[name] if name in ends else event[name] for name in _EVENT}


def _known_version(known: Mapping[str, Any]) -> Row:
    maker = known["made_by"] or dict.fromkeys(_MAKER)
    return {"version": known["version"], **_chosen(_COUNTS)(known), **_chosen(_MAKER)(maker)}


def _version(answer: Mapping[str, Any]) -> Row:
    return {
        **_figures(answer),
        "made_by": answer["made_by"],
        "made_from": answer["made_from"],
        "used_by": answer["used_by"],
        "downstream_by_node": [
            {"node_id": name, "versions": count}
            for name, count in answer["downstream_by_node"].items()
        ],
    }


def _version_rows(answer: Mapping[str, Any]) -> Iterable[Row]:
    for side in ("upstream", "downstream"):
        for each in answer[f"{side}_versions"]:
            yield {"direction": side, "node_id": each.node_id, "version": each.version}


def _finding(finding: Mapping[str, Any]) -> Row:
    cause = finding["likely_cause"]
    told = "" if cause is None else f"{cause['function'] or cause['subject']}: {cause['message']}"
    return {name: told if name == "cause" else finding[name] for name in _FINDING}


def _anomalies(answer: Mapping[str, Any]) -> Row:
    reasons = [
        {"reason": reason, "count": count}
        for reason, count in answer["not_judged_by_reason"].items()
    ]
    return {
        **_figures(answer),
        "findings": _made(answer["findings"], _finding),
        "not judged": reasons,
    }


def _timeline(answer: Mapping[str, Any]) -> Row:
    return {
        **answer["time_range"],
        **_figures(answer["summary"]),
        "events": _made(answer["events"], _event),
    }


def _list_of(noun: str, columns: tuple[str, ...], row: Callable[[Any], Row]) -> Shape:
    """Show a list as one table, a row for each."""
    return Shape(
        lambda answer: f"{len(answer):,} {noun}",
        lambda answer: {"": _made(answer, row)},
        columns,
        lambda answer: _made(answer, row),
    )


SHAPES: dict[str, Shape] = {
    "activity": Shape(
        lambda _: "Recent activity",
        _recent,
        ("type", "count"),
        lambda answer: _counted(answer["operation_types"], "type"),
    ),
    "ancestors": Shape(
        lambda answer: f"Common ancestors of {' and '.join(answer['node_ids'])}",
        lambda answer: {
            **_figures(answer),
            "nearest": _made(answer["nearest_common_ancestors"], _node),
            "all": _made(answer["common_ancestors"], _node),
        },
        ("is_nearest", *_NODE),
        _ancestor_rows,
    ),
    "critical": Shape(
        lambda answer: answer.get("message", "Critical path"),
        lambda answer: {**_figures(answer, "message"), "steps": answer["steps"]},
        _STEP,
        lambda answer: answer["steps"],
    ),
    "cycles": Shape(
        lambda answer: f"{len(answer):,} cycles",
        lambda answer: {"": _made(answer, _cycle)},
        ("total_nodes", "nodes"),
        lambda answer: _made(answer, _cycle),
    ),
    "anomalies": Shape(
        lambda answer: f"{len(answer['findings']):,} anomalies",
        _anomalies,
        _FINDING,
        lambda answer: _made(answer["findings"], _finding),
    ),
    "flow": Shape(_path_title, _path, ("from_node", "to_node", *_OPERATION), _steps),
    "freshness": Shape(
        lambda answer: f"Freshness of {answer['node_id']}",
        _freshness,
        _FRESH,
        lambda answer: map(_chosen(_FRESH), [answer, *answer["upstream_freshness"]]),
    ),
    "impact": Shape(
        lambda answer: f"Impact of {answer['target_node']['node_id']}",
        _impact,
        _IMPACTED,
        _impacted,
    ),
    "levels": Shape(
        lambda answer: f"{answer['total_levels']:,} levels",
        _levels,
        ("level", "node_id"),
        _level_rows,
    ),
    "lineage": Shape(
        lambda answer: f"Lineage of {answer['root_node'].node_id}",
        _lineage,
        ("direction", *_NODE),
        _lineage_rows,
    ),
    "nodes": Shape(
        lambda answer: f"{len(answer):,} data sources",
        lambda answer: {"": _made(answer, _node)},
        _NODE,
        lambda answer: _made(answer, _node),
    ),
    "operations": Shape(
        lambda answer: f"{len(answer):,} operations",
        lambda answer: {"": _made(answer, _operation)},
        _OPERATION,
        lambda answer: _made(answer, _operation),
    ),
    "paths": Shape(
        _paths_title,
        lambda answer: {**_figures(answer, "source_node", "target_node"), "": _path_rows(answer)},
        ("steps", "path"),
        _path_rows,
    ),
    "performance": Shape(
        lambda answer: answer.get("message", "Performance"),
        _performance,
        _FUNCTION,
        lambda answer: answer.get("by_function", ()),
    ),
    "stale groups": Shape(
        lambda answer: f"{len(answer):,} root causes of stale data",
        lambda answer: {"": _made(answer, _stale_group)},
        _STALE_GROUP,
        lambda answer: _made(answer, _stale_group),
    ),
    "stale": Shape(
        lambda answer: f"{len(answer):,} stale data sources",
        lambda answer: {"": _made(answer, _stale)},
        _STALE,
        lambda answer: _made(answer, _stale),
    ),
    "summary": Shape(
        lambda _: "Summary",
        _summary,
        (),
        lambda answer: [_summary_figures(answer)],
    ),
    "timeline": Shape(
        lambda _: "Timeline",
        _timeline,
        _EVENT,
        lambda answer: _made(answer["events"], _event),
    ),
    "version": Shape(
        lambda answer: f"Version {answer['version']} of {answer['node_id']}",
        _version,
        ("direction", "node_id", "version"),
        _version_rows,
    ),
    "runs": Shape(
        lambda answer: f"{len(answer):,} runs",
        lambda answer: {"runs": _made(answer, _chosen(_RUN))},
        _RUN,
        lambda answer: _made(answer, _chosen(_RUN)),
    ),
    "versions": _list_of("versions", ("version", *_COUNTS, *_MAKER), _known_version),
    "blame": _list_of("versions", accounts.BLAMED, _chosen(accounts.BLAMED)),
    "difference": Shape(
        lambda answer: str(answer["message"]),
        accounts.difference,
        accounts.CAUSE,
        lambda answer: _made(answer["causes"], _chosen(accounts.CAUSE)),
    ),
    "history": Shape(
        lambda answer: f"History of {answer['node_id']}",
        lambda answer: {
            **_figures(answer, "asked"),
            "versions": _made(answer["versions"], accounts.moment_row),
        },
        accounts.MOMENT,
        lambda answer: _made(answer["versions"], accounts.moment_row),
    ),
    "products": _list_of("versions of data products", accounts.PRODUCT, accounts.product_row),
    "product": Shape(
        lambda answer: f"Data product {answer['product_id']}",
        accounts.product,
        accounts.REGISTRATION,
        lambda answer: _made(answer["history"], accounts.registration_row),
    ),
    "column edges": _list_of("edges between columns", accounts.EDGE, accounts.edge_row),
    "column": Shape(
        lambda answer: f"Column {answer['column']} of {answer['node_id']}",
        accounts.column,
        accounts.COLUMN,
        accounts.column_rows,
    ),
    "why": Shape(
        lambda answer: f"Why {answer['asked']}",
        accounts.why,
        accounts.REASON,
        lambda answer: _made(answer["steps"], accounts.reason_row),
    ),
    "volume": Shape(
        lambda _: "Volume",
        _volume,
        _FLOW,
        lambda answer: answer["flows"],
    ),
}

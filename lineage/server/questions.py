"""Routes of lineage: what came from what, what breaks, what is stale, what is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from lineage.server.guard import Served, Viewer  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.told import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.query import LineageQueryEngine
    from lineage.server.service import Service

router = APIRouter(prefix="/lineage", tags=["lineage"])

_Node = Annotated[str, Query(min_length=1, description="A node's id.", examples=["file:orders"])]
_Hours = Annotated[float, Query(gt=0, le=1e6, description="After how long it is stale.")]
_Depth = Annotated[int | None, Query(ge=0, le=1_000_000, description="Steps away at most.")]


@router.get("", summary="What a node came from, and what came of it")
def lineage(
    node: _Node,
    who: Viewer,
    served: Served,
    direction: Literal["both", "upstream", "downstream"] = "both",
    depth: _Depth = None,
) -> Response:
    """Give a node with all it was made from and all that was made from it, and the operations."""
    return _asked(
        served, who.tenant, lambda engine: engine.get_data_lineage(node, direction, depth)
    )


@router.get("/nodes", summary="List data sources")
def nodes(
    who: Viewer, served: Served, source_type: str | None = None, location: str | None = None
) -> Response:
    """Give the nodes of a type, or with a text in their location, or both."""
    return _asked(
        served, who.tenant, lambda engine: engine.find_data_sources(source_type, location)
    )


@router.get("/impact", summary="What is affected when a node changes")
def impact(node: _Node, who: Viewer, served: Served, column: str | None = None) -> Response:
    """Give all that was made from a node, or from a column of it, and the operations that read."""
    return _asked(served, who.tenant, lambda engine: engine.analyze_impact(node, column))


@router.get("/freshness", summary="When a node was last read and written")
def freshness(node: _Node, who: Viewer, served: Served, hours: _Hours = 24.0) -> Response:
    """Say when a node and its near sources were last read and written, and what is stale."""
    return _asked(
        served,
        who.tenant,
        lambda engine: engine.analyze_data_freshness(node, hours_threshold=hours),
    )


@router.get("/stale", summary="What was neither read nor written for too long")
def stale(who: Viewer, served: Served, hours: _Hours = 24.0) -> Response:
    """List stale nodes, and which stale nodes upstream explain them."""
    return _asked(served, who.tenant, lambda engine: engine.find_stale_data(hours))


@router.get("/path", summary="How data went from one node to another")
def path(source: _Node, target: _Node, who: Viewer, served: Served) -> Response:
    """Give a shortest way, with the operations along it; `path_found` says whether there is one."""
    return _asked(served, who.tenant, lambda engine: engine.trace_data_flow(source, target))


@router.get("/performance", summary="How long operations take, and how many fail")
def performance(
    who: Viewer,
    served: Served,
    type: Annotated[str | None, Query(description="Only this type.")] = None,  # noqa: A002 - as the other routes call it
    period: Literal["hour", "day", "week"] = "day",
) -> Response:
    """Sum up durations and failures."""
    return _asked(
        served,
        who.tenant,
        lambda engine: engine.get_operation_performance_stats(type, period=period),
    )


@router.get("/summary", summary="What there is")
def summary(who: Viewer, served: Served) -> Response:
    """Sum up totals and the shape of the graph."""
    return _asked(served, who.tenant, lambda engine: engine.build_lineage_summary())


def _asked(served: Service, tenant: str, question: Callable[[LineageQueryEngine], Any]) -> Response:
    """Answer with `data` and `problems`: with any of these, the answer is not whole."""

    def whole(engine: LineageQueryEngine) -> Response:
        answer = {"data": question(engine), "problems": engine.problems}
        return json_response(answer)  # within: what is lazy is read here

    return served.recorded(tenant).ask(whole)

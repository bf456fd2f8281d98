"""`Client.lineage`: what a server knows of operations, and what it answers about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from lineage.codec import from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.client.http import Http

_log = logging.getLogger("lineage")


class Lineage:
    """The lineage that a server has; what it answers is JSON, with times in ISO 8601.

    For all other questions read its records: `LineageQueryEngine(client.store)`.

    Args:
        http: The server.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def operations(self, **asked: Any) -> Iterator[dict[str, Any]]:
        """Yield operations, the last that came first.

        Args:
            asked: `type`, `status`, `run_id`, `function`, `since` and `until` (times of their
                beginning).
        """
        path, query = "/operations", {"limit": 1_000} | _query(asked)
        while True:
            answer = self._http.ask("GET", path, params=query)
            yield from answer.json()
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            query = dict(parse_qsl(urlsplit(following).query))

    def operation(self, operation_id: str) -> dict[str, Any]:
        """Give an operation by its id.

        Raises:
            OperationError: There is none.
        """
        found: dict[str, Any] = self._http.ask("GET", f"/operations/{operation_id}").json()
        return found

    def follow(self, after: int | None = None, **asked: Any) -> Iterator[dict[str, Any]]:
        """Yield operations as they arrive, and wait for more; `number` says which one each is.

        Where the stream breaks off it goes on behind the last one.

        Args:
            after: The number of the last one that is known; those that come from now on when None.
            asked: Which; see `operations`.

        Raises:
            StoreError: The server cannot be reached, or ended.
        """
        return self._http.follow("/operations/stream", after, _query(asked))

    def of(self, node: str, *, direction: str = "both", depth: int | None = None) -> dict[str, Any]:
        """Give a node with all it was made from and all that was made from it.

        Raises:
            NodeNotFoundError: There is no such node.
        """
        return self._object("", node=node, direction=direction, depth=depth)

    def nodes(
        self, source_type: str | None = None, location: str | None = None
    ) -> list[dict[str, Any]]:
        """List the nodes of a type, or with a text in their location, or both."""
        return self._list("/nodes", source_type=source_type, location=location)

    def impact(self, node: str, column: str | None = None) -> dict[str, Any]:
        """Give all that is affected when a node, or a column of it, changes.

        Raises:
            NodeNotFoundError: There is no such node.
        """
        return self._object("/impact", node=node, column=column)

    def freshness(self, node: str, *, hours: float = 24.0) -> dict[str, Any]:
        """Say when a node and its near sources were last read and written.

        Raises:
            NodeNotFoundError: There is no such node.
        """
        return self._object("/freshness", node=node, hours=hours)

    def stale(self, hours: float = 24.0) -> list[dict[str, Any]]:
        """List what was neither read nor written for so many hours."""
        return self._list("/stale", hours=hours)

    def path(self, source: str, target: str) -> dict[str, Any]:
        """Give a shortest way of data from one node to another; `path_found` says if there is one.

        Raises:
            NodeNotFoundError: There is no such node.
        """
        return self._object("/path", source=source, target=target)

    def performance(self, type: str | None = None, *, period: str = "day") -> dict[str, Any]:  # noqa: A002 - as the server calls it
        """Sum up durations and failures, of one type or of all."""
        return self._object("/performance", type=type, period=period)

    def summary(self) -> dict[str, Any]:
        """Sum up totals and the shape of the graph."""
        return self._object("/summary")

    def _object(self, path: str, **asked: Any) -> dict[str, Any]:
        return dict(self._ask(path, asked))

    def _list(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        return list(self._ask(path, asked))

    def _ask(self, path: str, asked: dict[str, Any]) -> Any:
        answer = self._http.ask("GET", f"/lineage{path}", params=_query(asked)).json()
        for problem in answer["problems"]:
            _log.warning("the answer of %s is not whole: %s", self._http.shown, problem)
        return answer["data"]


def _query(asked: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in asked.items() if value is not None}
    return {name: _text(value) for name, value in known.items()}


def _text(value: Any) -> Any:
    at = from_micros(to_micros(value)) if hasattr(value, "tzinfo") else None
    return value if at is None else at.isoformat()

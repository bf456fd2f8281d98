"""Each request has an id, a line in the log, a count and a time; each answer has safe headers."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Histogram

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("lineage.server.access")
_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Watched:
    """An app around an app: `metrics` has its counts.

    Args:
        app: The one within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.metrics = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "lineage_http_requests", "Requests.", labels, registry=self.metrics
        )
        self._seconds = Histogram(
            "lineage_http_request_seconds",
            "Seconds of requests.",
            labels[:2],
            registry=self.metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(b"x-request-id", b"")
        name = asked if _ID.fullmatch(asked) else uuid4().hex.encode()
        begun, status = time.perf_counter(), 500

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {key for key, _ in message["headers"]}
                more = [(key, value) for key, value in _HEADERS if key not in there]
                message["headers"] = [*message["headers"], *more, (b"x-request-id", name)]
            await send(message)

        try:
            await self._app(scope, receive, tell)
        finally:
            self._note(scope, status, time.perf_counter() - begun, name.decode())

    def _note(self, scope: Scope, status: int, seconds: float, name: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if _log.isEnabledFor(logging.INFO):
            line = {"request_id": name, "method": method, "path": scope["path"][:500]}
            line |= {"route": route, "status": status, "ms": round(seconds * 1e3, 2)}
            _log.info("%s", json.dumps(line | scope.get("state", {}).get("caller", {})))


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

"""The app: its routes at the root, as Traintrack has them, and below `/v1`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from lineage.server import health, keyring, operations, questions, uploads
from lineage.server.given import COMPONENTS
from lineage.server.guard import PUBLIC, Guard
from lineage.server.problems import Problem, answer_problems
from lineage.server.service import Service
from lineage.server.settings import ServerSettings
from lineage.server.versions import router_of
from lineage.server.watching import Watched

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def create_app(service: Service | None = None) -> ASGIApp:
    """Make the app, for uvicorn or another ASGI server.

    Args:
        service: Where the data are; what the environment says by default.

    Raises:
        StoreError: The database or the place of bytes is none.
        MissingDependencyError: A package is missing; says how to install it.
    """
    service = service or Service(ServerSettings())
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, strict_content_type=False)
    routers = (
        *(router_of(kind) for kind in ("dataset", "model")),
        uploads.contents,
        *(each.router for each in (uploads, operations, questions, keyring, health)),
    )
    for router in routers:
        app.include_router(router, prefix="/v1")
        app.include_router(router, include_in_schema=False)
    answer_problems(app)
    _describe(app)
    _list_methods(app)
    watched = Watched(Guard(app, service))
    app.state.service, app.state.metrics = service, watched.metrics
    return watched


def _describe(app: FastAPI) -> None:
    """Serve the OpenAPI document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title="lineage", version="1", routes=app.routes)
            made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            problem = {"$ref": "#/components/schemas/Problem"}
            made["components"]["schemas"] |= COMPONENTS | {"Problem": _PROBLEM}
            for path, methods in made["paths"].items():
                for told in methods.values():
                    told["security"] = [] if path in PUBLIC else [{"key": []}]
                    told["responses"].pop("422", None)
                    told["responses"]["default"] = {
                        "description": "What went wrong",
                        "content": {"application/json": {"schema": problem}},
                    }
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way
    for prefix in ("", "/v1"):
        app.get(f"{prefix}/openapi.json", include_in_schema=False)(document)


def _list_methods(app: FastAPI) -> None:
    """Have a 405 say all methods of a path: the router within says those of one route."""

    @app.exception_handler(405)
    def refused(request: Request, _: Exception) -> Response:
        path = request.url.path.removeprefix("/v1")
        allowed = {
            method.upper()
            for known, methods in app.openapi()["paths"].items()
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", known.removeprefix("/v1")), path)
            for method in methods
        }
        return Problem(405, headers={"allow": ", ".join(sorted(allowed))}).response()


_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["code", "error", "reason"],
    "properties": {
        "code": {"type": "integer"},
        "error": {"type": "string"},
        "reason": {"type": "string"},
        "details": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "example": {"code": 404, "error": "Not found", "reason": "there is no dataset …"},
}

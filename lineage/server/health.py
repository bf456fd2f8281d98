"""Routes about the server itself."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from lineage.server.guard import Admin, Served  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.problems import Problem

router = APIRouter(tags=["server"])
_ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class OAuthConfig(BaseModel):
    """With whom programs log in."""

    name: str
    client_id: str
    auth_url: str


@router.api_route("/health", methods=_ANY, include_in_schema=False)
def health() -> PlainTextResponse:
    """Say that the process answers."""
    return PlainTextResponse("OK")


@router.get("/ready", summary="Whether the database answers")
def ready(served: Served) -> dict[str, str]:
    """Say that the database answers too; 503 when it does not."""
    served.access.list("default")
    return {"status": "ready"}


@router.get(
    "/metrics",
    summary="Counts and times, for Prometheus",
    response_class=PlainTextResponse,
)
def metrics(request: Request, _: Admin) -> Response:
    """Give what Prometheus asks for."""
    data = generate_latest(request.app.state.metrics)
    return Response(data, media_type=CONTENT_TYPE_LATEST)


@router.get("/.well-known/oauth-client-config", summary="With whom to log in")
def oauth_config(served: Served) -> OAuthConfig:
    """Give what a program needs to log in."""
    settings = served.settings
    known = (settings.auth_name, settings.auth_client_id, settings.auth_url)
    if not all(known):
        raise Problem(500, "this server has no identity provider; use an API key")
    name, client_id, auth_url = map(str, known)
    return OAuthConfig(name=name, client_id=client_id, auth_url=auth_url)

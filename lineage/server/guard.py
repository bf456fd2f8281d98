"""Who is not known comes no further than here, before a byte of a body is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from lineage.errors import LineageError
from lineage.server.access import Role
from lineage.server.problems import Problem, problem_of
from lineage.server.service import Caller, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = frozenset(
    f"{prefix}{path}"
    for prefix in ("", "/v1")
    for path in ("/health", "/ready", "/.well-known/oauth-client-config", "/openapi.json")
)
_NONE = "missing or invalid Authorization header"


class Guard:
    """An app around an app that lets nobody in without a key, and no body that is too large.

    Args:
        app: The one within.
        service: Who knows the keys.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if scope["path"] not in PUBLIC:
                await self._let_in(scope)
            limit = _Limit(self._most(scope))
            limit.check(dict(scope["headers"]).get(b"content-length", b""))
            await self._app(scope, limit.counted(receive), limit.unless_exceeded(send))
            if limit.is_exceeded:
                raise limit.problem
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def _let_in(self, scope: Scope) -> None:
        found = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, text = (found[0] if len(found) == 1 else b"").decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise _unknown(_NONE)
        try:
            key = await run_in_threadpool(self._service.access.who, text.strip())
        except LineageError as error:
            raise problem_of(error) from error
        if key is None:
            raise _unknown("invalid token: it is no key of this server, or not valid any more")
        caller = Caller(key.tenant, key.role, key.name, key.id)
        told = {"tenant": caller.tenant, "key": caller.key_id}
        scope.setdefault("state", {}).update(who=caller, caller=told)

    def _most(self, scope: Scope) -> int:
        settings, path = self._service.settings, scope["path"].removeprefix("/v1")
        is_upload = path == "/uploads" or path.startswith("/uploads/")
        if path == "/operations":
            return settings.max_batch_bytes
        return settings.max_upload_bytes if is_upload else settings.max_body_bytes


class _Limit:
    """What a body may have, whatever it says of its length; the app within may not even notice."""

    def __init__(self, most: int) -> None:
        self.problem = Problem(413, f"a body of at most {most} bytes is taken here")
        self.is_exceeded = False
        self._most, self._came = most, 0

    def check(self, told: bytes) -> None:
        """Refuse a body that says itself that it is too large."""
        if told.isdigit() and int(told) > self._most:
            raise self.problem

    def counted(self, receive: Receive) -> Receive:
        async def count() -> Message:
            message = await receive()
            self._came += len(message.get("body", b""))
            if self._came > self._most:
                self.is_exceeded = True
                raise self.problem
            return message

        return count

    def unless_exceeded(self, send: Send) -> Send:
        async def pass_on(message: Message) -> None:
            if not self.is_exceeded:
                await send(message)

        return pass_on


def caller(role: Role) -> Callable[[Request], Caller]:
    """Give a dependency: who asks, if that one may do this."""

    def allowed(request: Request) -> Caller:
        found: Caller = request.state.who
        if found.role < role:
            raise Problem(403, f"this needs the role {role.name}; the key has {found.role.name}")
        return found

    return allowed


def service(request: Request) -> Service:
    """Give the service of the app."""
    found: Service = request.app.state.service
    return found


Viewer = Annotated[Caller, Depends(caller(Role.viewer))]
Writer = Annotated[Caller, Depends(caller(Role.writer))]
Maintainer = Annotated[Caller, Depends(caller(Role.maintainer))]
Admin = Annotated[Caller, Depends(caller(Role.admin))]
Served = Annotated[Service, Depends(service)]


def _unknown(reason: str) -> Problem:
    return Problem(401, reason, headers={"www-authenticate": "Bearer"})

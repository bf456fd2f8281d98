"""What the server says when it does not do what was asked: one form for all, and no secrets.

`{"code": 404, "error": "Not found", "reason": "there is no dataset …", "details": {…}}`; `details`
only where it is said of single fields.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lineage import errors
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

_log = logging.getLogger("lineage.server")

_STATUS: dict[type[Exception], int] = {
    errors.DraftError: 400,
    errors.ChecksumError: 400,
    errors.UnknownUploadError: 404,
    errors.UnknownVersionError: 404,
    errors.UnknownArtefactError: 404,
    errors.UnknownKeyError: 404,
    errors.NodeNotFoundError: 404,
    errors.OperationError: 404,
    errors.ConfigError: 400,
    errors.VersionConflictError: 409,
    errors.IdempotencyError: 409,
    errors.OffsetError: 409,
    errors.StoreError: 503,
}
_MISSING = {"missing", "string_too_short"}


class Problem(Exception):  # noqa: N818 - it is an answer
    """An answer that is none of what was asked for.

    Args:
        code: Of HTTP.
        reason: Why, for readers.
        error: What, in two words; the phrase of the code when None.
        details: By field.
        headers: More headers.
    """

    def __init__(
        self,
        code: int,
        reason: str = "",
        *,
        error: str | None = None,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.code, self.reason, self.details = code, reason, details
        self.error = error or HTTPStatus(code).phrase.capitalize()
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Give it as the answer."""
        body: dict[str, Any] = {"code": self.code, "error": self.error, "reason": self.reason}
        if self.details:
            body["details"] = dict(self.details)
        return JSONResponse(body, self.code, self.headers)


def answer_problems(app: FastAPI) -> None:
    """Have an app answer all that goes wrong in this form."""

    @app.exception_handler(Problem)
    def told(_: Request, problem: Problem) -> JSONResponse:
        return problem.response()

    @app.exception_handler(errors.LineageError)
    def known(_: Request, error: errors.LineageError) -> JSONResponse:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(error).response()

    @app.exception_handler(Exception)
    def unknown(_: Request, error: Exception) -> JSONResponse:
        _log.error("a request failed: %s", type(error).__name__, exc_info=error)
        return Problem(500, "the server failed; its log says why").response()

    @app.exception_handler(ClientDisconnect)
    def gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        return Problem(400, "the body was cut off").response()

    @app.exception_handler(HTTPException)
    def plain(_: Request, error: HTTPException) -> JSONResponse:
        reason = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
        return Problem(error.status_code, reason, headers=error.headers).response()


def problem_of(error: errors.LineageError) -> Problem:
    """Give the answer to an error of ours."""
    code = next((_STATUS[each] for each in type(error).__mro__ if each in _STATUS), 500)
    reason = redact_text(str(error))
    if code >= 500:
        _log.error("%s", reason)
        reason = "the database or the bytes cannot be reached; try again later"
        headers = {"retry-after": "5"} if code == 503 else {}
        return Problem(code, reason, headers=headers)
    headers = {"x-error": type(error).__name__}
    if isinstance(error, errors.DraftError):
        return Problem(code, "bad input", details=error.fields, headers=headers)
    if isinstance(error, errors.OffsetError):
        headers["upload-offset"] = str(error.offset)
    return Problem(code, reason, headers=headers)


def _invalid(error: RequestValidationError) -> Problem:
    told = error.errors()
    broken = next((each for each in told if each["type"] == "json_invalid"), None)
    if broken is not None:
        why = broken.get("ctx", {}).get("error", "it is no JSON")
        return Problem(400, f"could not parse body: {why}")
    if any(each["loc"] == ("body",) and each["type"] == "missing" for each in told):
        return Problem(400, "could not parse body: EOF")
    details = {}
    for each in told:
        place = [str(part) for part in each["loc"] if part not in {"body", "query", "path"}]
        name = ".".join(place) or "body"
        is_missing = each["type"] in _MISSING
        details[name] = f"{name} is a required field" if is_missing else each["msg"]
    return Problem(400, "bad input", details=details)

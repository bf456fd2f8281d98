"""Requests to a server: tried again while that can help, and its errors as errors of ours.

A request is tried again when the server was not reached, or says 429, 502, 503 or 504: only such
requests are sent that may be sent twice.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from lineage import errors
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import httpx

URL_VARIABLE, KEY_VARIABLE = "LINEAGE_SERVER_URL", "LINEAGE_API_KEY"
_DEFAULT_URL = "http://127.0.0.1:8080"
_PAUSES_S = (0.1, 0.3, 1.0, 3.0)
_AGAIN = frozenset((429, 502, 503, 504))
_LONGEST_PAUSE_S = 30.0


class Http:
    """Requests to one server with one key; threads may use it at once.

    Args:
        base_url: Of the server; else `LINEAGE_SERVER_URL` or `TRAINTRACK_API_URL` say, or it is
            the server of this machine.
        api_key: What opens it; else `LINEAGE_API_KEY` says.
        timeout_s: Most seconds to wait for an answer, or for the next bytes of one.

    Raises:
        MissingDependencyError: httpx is not installed.
        ConfigError: There is no key, or what is given is none.
    """

    def __init__(self, base_url: str | None, api_key: str | None, timeout_s: float) -> None:
        if find_spec("httpx") is None:
            raise errors.MissingDependencyError(
                "Client needs httpx; pip install 'track-lineage[client]'"
            )
        named = (os.environ.get(name) for name in (URL_VARIABLE, "TRAINTRACK_API_URL"))
        self.url = (base_url or next(filter(None, named), _DEFAULT_URL)).rstrip("/")
        self.shown = redact_text(self.url)
        key = api_key or os.environ.get(KEY_VARIABLE, "")
        if not key.strip():
            raise errors.ConfigError(
                f"there is no API key for {self.shown}; give api_key=, or set "
                f"{KEY_VARIABLE}: an admin makes one by `lineage token create NAME`"
            )
        if not key.isascii() or not key.strip().isprintable():
            raise errors.ConfigError("the API key has letters that no key has; copy it once more")
        self._headers = {"authorization": f"Bearer {key.strip()}"}
        self._timeout_s = timeout_s
        self._clients: dict[int, httpx.Client] = {}

    def close(self) -> None:
        """Close the connections; another request opens new ones."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    @property
    def _client(self) -> httpx.Client:
        """The connections of this process: a forked child must not use its parent's."""
        client = self._clients.get(os.getpid())
        if client is None:
            import httpx

            url = f"{self.url}/v1"
            client = httpx.Client(base_url=url, headers=self._headers, timeout=self._timeout_s)
            client = self._clients.setdefault(os.getpid(), client)  # another thread may be first
        return client

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request that may be sent twice, and give its answer.

        Raises:
            StoreError: The server was not reached, or cannot answer now.
            RegistryError: It refuses; the type says why.
        """
        import httpx

        for pause_s in (*_PAUSES_S, None):
            try:
                answer = self._client.request(method, path, **options)
            except httpx.TransportError as error:
                if pause_s is None:
                    raise self._away(error) from error
                wait_s = pause_s
            else:
                if answer.status_code not in _AGAIN or pause_s is None:
                    return self._checked(answer)
                wait_s = max(pause_s, _asked_s(answer))
            time.sleep(wait_s * (0.5 + random.random()))  # noqa: S311 - no secret
        raise AssertionError  # the last pause is None

    def stream(self, method: str, path: str, **options: Any) -> Generator[bytes]:
        """Send a request once, and yield the bytes of its answer.

        Raises:
            StoreError: The server was not reached, or the bytes broke off.
            RegistryError: It refuses.
        """
        import httpx

        try:
            with self._client.stream(method, path, **options) as answer:
                if answer.status_code >= 400:
                    answer.read()
                self._checked(answer)
                yield from answer.iter_raw()
        except httpx.TransportError as error:
            raise self._away(error) from error

    def follow(
        self, path: str, after: int | None, query: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield what server-sent events say, and go on behind the last where a stream ends.

        Args:
            path: The stream.
            after: The number of the last event that is known.
            query: Of the request.

        Raises:
            StoreError: The server is not reached, in several tries.
            RegistryError: It refuses.
        """
        pauses = iter(_PAUSES_S)
        while True:
            headers = {} if after is None else {"last-event-id": str(after)}
            try:
                stream = self.stream("GET", path, params=query, headers=headers)
                with closing(stream) as chunks:
                    for number, data in _events(chunks):
                        after, pauses = number, iter(_PAUSES_S)
                        if data:
                            yield msgspec.json.decode(data)
                time.sleep(_PAUSES_S[0])
            except errors.StoreError:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
                time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - no secret

    def _away(self, error: Exception) -> errors.StoreError:
        said = redact_text(f"{type(error).__name__}: {error}")
        return errors.StoreError(
            f"the server {self.shown} does not answer: {said}; check its address, and that it runs"
        )

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code < 400:
            return answer
        try:
            told = dict(answer.json())
        except ValueError:  # it is no server of ours, or a proxy before it
            told = {}
        code, reason = answer.status_code, str(told.get("reason") or answer.reason_phrase)
        details = told.get("details")
        if code == 400 and isinstance(details, dict) and details:
            raise errors.DraftError({str(k): str(v) for k, v in details.items()})
        if code == 409 and "upload-offset" in answer.headers:
            raise errors.OffsetError(reason, int(answer.headers["upload-offset"]))
        kind = _NAMED.get(answer.headers.get("x-error", ""), _ERRORS.get(code))
        if kind is None:
            kind = errors.StoreError if code >= 500 else errors.RegistryError
        raise kind(f"{self.shown} says {code}: {reason}")


_ERRORS: dict[int, type[errors.LineageError]] = {
    401: errors.AccessError,
    403: errors.AccessError,
    404: errors.UnknownVersionError,
}
_NAMED: dict[str, type[errors.LineageError]] = {
    kind.__name__: kind
    for kind in (
        errors.ChecksumError,
        errors.IdempotencyError,
        errors.NodeNotFoundError,
        errors.OperationError,
        errors.UnknownArtefactError,
        errors.UnknownUploadError,
        errors.UnknownVersionError,
        errors.VersionConflictError,
    )
}
"""What the header `X-Error` of an answer may name."""


def _asked_s(answer: httpx.Response) -> float:
    """Give the seconds that a server asks to wait."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE_S) if text.isascii() and text.isdigit() else 0.0


def _events(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the data of server-sent events that end, as ours are written."""
    left = b""
    for chunk in chunks:
        *whole, left = (left + chunk).split(b"\n\n")
        for event in whole:
            fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line)
            if b"id" in fields:
                yield int(fields[b"id"]), fields.get(b"data", b"")

"""Speak to a Walacor backend: log in, submit envelopes, ask for rows.

What goes wrong is said by the status of the answer alone. Neither the password nor a token is in a
message: a backend may answer with what it was sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lineage.errors import ConfigError, MissingDependencyError, StoreError
from lineage.writers.walacor_schemas import SCHEMA_TYPE, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import httpx

Row = dict[str, Any]

_ANSWER_S = 10.0
_PAGE = 1000
_MOST_ASKED = 200
_REFUSED = frozenset({400, 404, 422})


class RefusedError(StoreError):
    """The backend will not take this, now or later."""


class WalacorClient:
    """A backend, as one user.

    Args:
        server: The address under which `auth/login` lies.
        username: Who logs in.
        password: It is held in memory only.

    Raises:
        ConfigError: The address cannot be used, or names a user.
        MissingDependencyError: httpx is not installed.
    """

    def __init__(self, server: str, username: str, password: str) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError("the address of the backend must be like https://host/api")
        if parts.username is not None or parts.password is not None or parts.query:
            raise ConfigError(
                f"the address of the backend at {parts.hostname} must hold no user and no query; "
                "give username= and password="
            )
        if find_spec("httpx") is None:
            raise MissingDependencyError(
                "WalacorWriter needs httpx; pip install 'track-lineage[walacor]'"
            )
        self.server = server.rstrip("/")
        self._credentials = {"userName": username, "password": password}
        self._http: httpx.Client | None = None
        self._token: str | None = None
        self._has_schemas = False

    def __repr__(self) -> str:
        return f"WalacorClient({self.server!r})"

    def submit(self, etid: int, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Store rows, those with a `UID` as new versions; gives their UIDs in the same order.

        Raises:
            RefusedError: The backend does not take them; it has none of them.
            StoreError: No answer, or none that says so: it may have them.
        """
        answer = self._ask("POST", "envelopes/submit", etid, {"Data": list(rows)})
        data = answer.get("data")
        uids = data.get("UID") if isinstance(data, dict) else None
        if not isinstance(uids, list) or len(uids) != len(rows):
            raise StoreError(f"{self.server} did not say under which UIDs it has {len(rows)} rows")
        return [str(uid) for uid in uids]

    def rows(self, etid: int, where: Mapping[str, Any] | None = None) -> list[Row]:
        """Give the rows of a type, each as it is now.

        Raises:
            StoreError: The backend cannot be asked.
        """
        found: dict[str, Row] = {}
        page = 1
        while True:
            path = f"query/get?fromSummary=true&pageNo={page}&pageSize={_PAGE}"
            rows = self._ask("POST", path, etid, dict(where or {})).get("data") or []
            for row in rows:
                before = found.get(row["UID"])
                if before is None or row.get("UpdatedAt", 0) >= before.get("UpdatedAt", 0):
                    found[row["UID"]] = row
            if len(rows) < _PAGE:
                return [row for row in found.values() if not row.get("IsDeleted")]
            page += 1

    def rows_in(self, etid: int, name: str, values: Iterable[str]) -> Iterator[Row]:
        """Yield the rows whose field has one of these values.

        Raises:
            StoreError: The backend cannot be asked.
        """
        wanted = list(dict.fromkeys(values))
        for start in range(0, len(wanted), _MOST_ASKED):
            yield from self.rows(etid, {name: {"$in": wanted[start : start + _MOST_ASKED]}})

    def ensure_schemas(self) -> None:
        """Make the schemas that the backend has not got.

        Raises:
            StoreError: It cannot be asked, or does not take one.
        """
        if self._has_schemas:
            return
        for schema in SCHEMAS:
            try:
                path = f"schemas/envelopeTypes/{schema.etid}/details"
                is_there = bool(self._ask("GET", path).get("data"))
            except RefusedError:
                is_there = False
            if not is_there:
                self._ask("POST", "schemas/", SCHEMA_TYPE, schema.body())
        self._has_schemas = True

    @contextmanager
    def session(self) -> Iterator[WalacorClient]:
        """Keep the connection from one request to the next, and close it at the end."""
        import httpx

        with httpx.Client(timeout=_ANSWER_S) as http:
            self._http = http
            try:
                yield self
            finally:
                self._http = None

    def _ask(self, method: str, path: str, etid: int | None = None, body: Any = None) -> Row:
        if self._token is None:
            self._log_in()
        answer = self._send(method, path, etid, body)
        if answer.status_code == 401:  # the token has run out: nothing was done
            self._log_in()
            answer = self._send(method, path, etid, body)
        return self._read(answer, path.partition("?")[0])

    def _log_in(self) -> None:
        self._token = None
        answer = self._send("POST", "auth/login", None, self._credentials)
        if answer.status_code >= 300:
            raise StoreError(f"{self.server} does not let this user in: {answer.status_code}")
        token = self._json(answer).get("api_token")
        if not isinstance(token, str) or not token:
            raise StoreError(f"{self.server} let this user in, but gave no token")
        self._token = token

    def _send(self, method: str, path: str, etid: int | None, body: Any) -> httpx.Response:
        import httpx

        headers = {} if self._token is None else {"Authorization": self._token}
        if etid is not None:
            headers |= {"ETId": str(etid)} | ({"SV": "1"} if etid == SCHEMA_TYPE else {})
        try:
            url = f"{self.server}/{path}"
            ask = httpx.request if self._http is None else self._http.request
            return ask(method, url, json=body, headers=headers, timeout=_ANSWER_S)
        except (httpx.HTTPError, ValueError) as error:
            # Its own text may hold what was sent.
            raise StoreError(f"{self.server} cannot be reached: {type(error).__name__}") from None

    def _read(self, answer: httpx.Response, path: str) -> Row:
        if answer.status_code in _REFUSED:
            raise RefusedError(f"{self.server} refused {path}: {answer.status_code}")
        if answer.status_code >= 300:
            raise StoreError(f"{self.server} answered {path} with {answer.status_code}")
        found = self._json(answer)
        if found.get("success") is False:
            raise RefusedError(f"{self.server} refused {path}")
        return found

    def _json(self, answer: httpx.Response) -> Row:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StoreError(f"{self.server} gave an answer that is no JSON object")
        return found

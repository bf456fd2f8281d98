"""Speak to a Walacor backend: log in, submit envelopes, ask for rows.

What goes wrong is said by the status of the answer alone. Neither the password nor a token is in a
message: a backend may answer with what it was sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from mimetypes import guess_type
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from lineage.errors import ConfigError, MissingDependencyError, StoreError
from lineage.writers.walacor_schemas import FILE, SCHEMA_TYPE, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import httpx

Row = dict[str, Any]

_ANSWER_S = 10.0
_FILE_S = 120.0
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

    def complex_rows(self, etid: int, pipeline: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Give what a pipeline comes to, over the newest version of each row.

        Raises:
            RefusedError: The backend does not take the pipeline.
            StoreError: The backend cannot be asked.
        """
        path = "query/getcomplex?fromSummary=true"
        found = self._ask("POST", path, etid, list(pipeline)).get("data")
        if not isinstance(found, list):
            raise StoreError(f"{self.server} gave no rows for the pipeline")
        return found

    def store_file(self, file: Path, name: str) -> Row:
        """Store a file if none has its content; gives its UID, and whether it is new.

        Raises:
            RefusedError: The backend does not take it.
            StoreError: It cannot be read, or there was no answer: it may be there.
        """
        answer = self._logged_in(lambda: self._upload(file, name))
        known = (
            self._json(answer).get("duplicateData") if answer.status_code in {200, 422} else None
        )
        if known is not None:
            return {"uid": self._uid_of(known), "is_new": False}
        checked = self._read(answer, "v2/files/verify").get("data")
        info = checked.get("fileInfo") if isinstance(checked, dict) else None
        if not isinstance(info, dict):
            raise StoreError(f"{self.server} did not say what it makes of {name!r}")
        stored = self._ask("POST", "v2/files/store", body={"fileInfo": info}).get("data")
        return {"uid": self._uid_of(stored), "is_new": True}

    def download(self, uid: str, target: Path) -> Path:
        """Fetch a file, under another name until it is whole.

        Raises:
            RefusedError: The backend has not got it.
            StoreError: It cannot be written, or did not come whole.
        """
        sizes = {row["UID"]: row.get("size") for row in self.rows(FILE, {"UID": uid})}
        if uid not in sizes:
            raise RefusedError(f"{self.server} has no file {uid!r}")
        beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
        try:
            self._read_into(beside, uid)
            there = beside.stat().st_size
            if sizes[uid] not in (None, there):
                raise StoreError(
                    f"{self.server} sent {there} bytes of {uid!r}, and has {sizes[uid]}; ask again"
                )
            beside.replace(target)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}") from error
        finally:
            beside.unlink(missing_ok=True)
        return target

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
        answer = self._logged_in(lambda: self._send(method, path, etid, json=body))
        return self._read(answer, path.partition("?")[0])

    def _logged_in(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send with a token that counts."""
        if self._token is None:
            self._log_in()
        answer = send()
        if answer.status_code == 401:  # the token has run out: nothing was done
            self._log_in()
            answer = send()
        return answer

    def _log_in(self) -> None:
        self._token = None
        answer = self._send("POST", "auth/login", json=self._credentials)
        if answer.status_code >= 300:
            raise StoreError(f"{self.server} does not let this user in: {answer.status_code}")
        token = self._json(answer).get("api_token")
        if not isinstance(token, str) or not token:
            raise StoreError(f"{self.server} let this user in, but gave no token")
        self._token = token

    def _upload(self, file: Path, name: str) -> httpx.Response:
        try:
            with file.open("rb") as stream:
                kind = guess_type(name)[0] or "application/octet-stream"
                content: Row = {"files": {"file": (name, stream, kind)}, "timeout": _FILE_S}
                return self._send("POST", "v2/files/verify", **content)
        except OSError as error:
            raise StoreError(f"cannot read {file}: {error.strerror}") from error

    def _read_into(self, path: Path, uid: str) -> None:
        import httpx

        def send() -> httpx.Response:
            headers = {"Authorization": self._token or ""}
            url, asked = f"{self.server}/v2/files/download", {"UID": uid}
            with (
                httpx.stream("POST", url, json=asked, headers=headers, timeout=_FILE_S) as answer,
                path.open("wb") as file,
            ):
                for some in answer.iter_bytes() if answer.status_code == 200 else ():
                    file.write(some)
            return answer

        try:
            answer = self._logged_in(send)
        except httpx.HTTPError as error:
            raise StoreError(f"{self.server} cannot be reached: {type(error).__name__}") from None
        self._check(answer, "v2/files/download")

    def _uid_of(self, told: Any) -> str:
        uids = told.get("UID") if isinstance(told, dict) else None
        if not isinstance(uids, list) or not uids:
            raise StoreError(f"{self.server} did not say under which UID it has the file")
        return str(uids[0])

    def _send(
        self, method: str, path: str, etid: int | None = None, **content: Any
    ) -> httpx.Response:
        import httpx

        headers = {} if self._token is None else {"Authorization": self._token}
        if etid is not None:
            headers |= {"ETId": str(etid)} | ({"SV": "1"} if etid == SCHEMA_TYPE else {})
        try:
            url = f"{self.server}/{path}"
            ask = httpx.request if self._http is None else self._http.request
            return ask(method, url, headers=headers, **{"timeout": _ANSWER_S, **content})
        except (httpx.HTTPError, ValueError) as error:
            # Its own text may hold what was sent.
            raise StoreError(f"{self.server} cannot be reached: {type(error).__name__}") from None

    def _check(self, answer: httpx.Response, path: str) -> None:
        if answer.status_code in _REFUSED:
            raise RefusedError(f"{self.server} refused {path}: {answer.status_code}")
        if answer.status_code >= 300:
            raise StoreError(f"{self.server} answered {path} with {answer.status_code}")

    def _read(self, answer: httpx.Response, path: str) -> Row:
        self._check(answer, path)
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

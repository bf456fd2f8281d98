"""A Walacor backend on this host, as its protocol is known, which can be made to misbehave."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "lena", "correct-horse-canary"


class WalacorServer:
    """What is stored, and how to disturb it.

    Attributes:
        schemas: By type, as they were made.
        versions: By type, every version of every row in the order of storing.
        requests: What was asked, as (method, path).
        is_away: Answer everything but nothing: 503.
        cut: How many envelopes to store and then cut the connection instead of answering.
        hang: Set, it is waited for before each answer.
    """

    def __init__(self, port: int = 0) -> None:
        self.schemas: dict[int, dict] = {}
        self.versions: dict[int, list[dict]] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.is_away = False
        self.cut = 0
        self.hang: threading.Event | None = None
        self.logins = 0
        self._lock = threading.Lock()
        self._count = 0
        server = self
        handler = type("Handler", (_Handler,), {"backend": server})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def lose_tokens(self) -> None:
        self.tokens.clear()

    def rows(self, etid: int) -> list[dict]:
        """Give the newest version of each row."""
        return list({row["UID"]: row for row in self.versions.get(etid, ())}.values())

    # What it does

    def login(self, body: dict) -> tuple[int, dict]:
        self.logins += 1
        if (body.get("userName"), body.get("password")) != (USER, PASSWORD):
            return 401, {"success": False, "error": body}  # one that tells what it was sent
        token = f"token-canary-{secrets.token_hex(8)}"
        self.tokens.add(token)
        return 200, {"success": True, "api_token": token}

    def make_schema(self, body: dict) -> tuple[int, dict]:
        schema = body["Schema"]
        if schema["ETId"] in self.schemas:
            return 422, {"success": False, "error": "it is there"}
        self.schemas[schema["ETId"]] = schema
        return 200, {"success": True, "data": {"ETId": 50, "SV": 1, "UID": [schema["TableName"]]}}

    def submit(self, etid: int, body: dict) -> tuple[int, dict]:
        schema = self.schemas.get(etid)
        if schema is None:
            return 422, {"success": False, "error": f"no schema {etid}"}
        with self._lock:
            known = {row["UID"]: row for row in self.rows(etid)}
            for row in body["Data"]:
                if reason := self._wrong(schema, row, known):
                    return 422, {"success": False, "error": reason}
            return 200, {"success": True, "data": self._store(etid, body["Data"], known)}

    def _wrong(self, schema: dict, row: dict, known: dict) -> str | None:
        fields = {field["FieldName"]: field for field in schema["Fields"]}
        if unknown := row.keys() - fields.keys() - {"UID"}:
            return f"unknown fields {sorted(unknown)}"
        if "UID" in row and row["UID"] not in known:
            return f"no row {row['UID']}"
        for name, field in fields.items():
            value = row.get(name)
            if value is None or value == "":
                if field["Required"]:
                    return f"{name} is required"
            elif field["DataType"] == "ARRAY":
                if not isinstance(value, list):
                    return f"{name} is no array"
            elif not isinstance(value, str) or len(value) > (field.get("MaxLength") or 1 << 20):
                return f"{name} is no text or too long"
        return None

    def _store(self, etid: int, rows: list[dict], known: dict) -> dict:
        envelope, uids = secrets.token_hex(8), []
        for row in rows:
            self._count += 1
            now = self._count
            before = known.get(row.get("UID"), {})
            uid = row.get("UID") or secrets.token_hex(16)
            system = {
                "SV": before.get("SV", 0) + 1,
                "UID": uid,
                "EId": envelope,
                "ORGId": "org",
                "CreatedAt": before.get("CreatedAt", now),
                "UpdatedAt": now,
                "LastModifiedBy": USER,
                "IsDeleted": False,
            }
            self.versions.setdefault(etid, []).append({**before, **row, **system})
            uids.append(uid)
        return {"EId": envelope, "ETId": etid, "ES": 10, "UID": uids}

    def query(self, etid: int, where: dict, asked: dict) -> tuple[int, dict]:
        if etid not in self.schemas:
            return 404, {"success": False, "error": f"no schema {etid}"}
        all_of = self.versions.get(etid, [])
        rows = self.rows(etid) if asked.get("fromSummary") == ["true"] else all_of
        found = [row for row in rows if matches(row, where)]
        page, size = int(asked.get("pageNo", ["1"])[0]), int(asked.get("pageSize", ["100"])[0])
        return 200, {"success": True, "data": found[(page - 1) * size : page * size]}


def matches(row: dict, where: dict) -> bool:
    for name, wanted in where.items():
        if name == "$or":
            if not any(matches(row, each) for each in wanted):
                return False
        elif isinstance(wanted, dict):
            if row.get(name) not in wanted["$in"]:
                return False
        elif row.get(name) != wanted:
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    backend: WalacorServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        backend, parts = self.backend, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = parts.path.removeprefix("/api/")
        backend.requests.append((method, path))
        if backend.hang is not None:
            backend.hang.wait(300)
        if backend.is_away:
            self._send(503, {"success": False})
            return
        status, answer = self._do(method, path, json.loads(body or b"{}"), parse_qs(parts.query))
        if path == "envelopes/submit" and status == 200 and backend.cut > 0:
            backend.cut -= 1
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(status, answer)

    def _do(self, method: str, path: str, body: dict, asked: dict) -> tuple[int, dict]:
        backend = self.backend
        if path == "auth/login":
            return backend.login(body)
        if self.headers.get("Authorization") not in backend.tokens:
            return 401, {"success": False}
        etid = int(self.headers.get("ETId") or 0)
        if (method, path) == ("POST", "envelopes/submit"):
            return backend.submit(etid, body)
        if (method, path) == ("POST", "query/get"):
            return backend.query(etid, body, asked)
        if (method, path) == ("POST", "schemas/"):
            right = (etid, self.headers.get("SV")) == (50, "1")
            return backend.make_schema(body) if right else (422, {"success": False})
        words = path.split("/")
        if method == "GET" and words[:2] == ["schemas", "envelopeTypes"]:
            found = backend.schemas.get(int(words[2]))
            return (200, {"success": True, "data": found}) if found else (404, {"success": False})
        return 404, {"success": False}

    def _send(self, status: int, answer: dict) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

"""A Walacor backend on this host, as its protocol is known, which can be made to misbehave."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import threading
from email import message_from_bytes
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
        cut: How many requests to do as asked and then cut the connection instead of answering.
        cut_at: Which requests these are.
        short: How many bytes of a file to leave out, as one that has lost its end.
        hang: Set, it is waited for before each answer.
    """

    def __init__(self, port: int = 0) -> None:
        self.schemas: dict[int, dict] = {}
        self.versions: dict[int, list[dict]] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.is_away = False
        self.cut = 0
        self.cut_at = "envelopes/submit"
        self.short = 0
        self.contents: dict[str, bytes] = {}
        self._staged: dict[str, tuple[dict, bytes]] = {}
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

    def aggregate(self, etid: int, pipeline: list[dict], asked: dict) -> tuple[int, dict]:
        """Answer `query/getcomplex`: over every version, or the newest ones."""
        is_summary = asked.get("fromSummary") == ["true"]
        rows = self.rows(etid) if is_summary else self.versions.get(etid, [])
        try:
            found = run_pipeline(self, [dict(row) for row in rows], pipeline)
        except (KeyError, TypeError, ValueError) as error:
            return 422, {"success": False, "error": str(error)}
        return 200, {"success": True, "data": found, "total": len(found)}

    def verify_file(self, name: str, kind: str, data: bytes) -> tuple[int, dict]:
        """Take a file in, or say which one has its content."""
        digest = hashlib.sha256(data).hexdigest()
        for row in self.rows(17):
            if row["FH"] == digest:
                told = {"EId": row["EId"], "UID": [row["UID"]], "DH": digest}
                signed = {"CreatedAt": row["CreatedAt"], "Signature": "s", "SignatureType": "RSA"}
                return 422, {"success": False, "duplicateData": told | signed}
        place = f"/tmp/{secrets.token_hex(8)}"
        file = {"name": name, "encoding": "7bit", "mimetype": kind, "TempFilePath": place}
        file |= {"size": len(data), "FolderName": "", "Status": "", "SL": "", "UID": "", "FH": ""}
        info = {"file": file, "fileSignature": "s", "fileHash": digest}
        info["totalEncryptedChunkFile"] = 1
        self._staged[place] = (info, data)
        return 200, {"success": True, "message": "verified", "data": {"fileInfo": info}}

    def store_file(self, body: dict) -> tuple[int, dict]:
        """Keep a file that was taken in, once it is told as it was."""
        info = body.get("fileInfo") or {}
        known, data = self._staged.pop(info.get("file", {}).get("TempFilePath"), (None, b""))
        if known != info or known is None:
            return 422, {"success": False, "error": "that was not verified"}
        file = info["file"]
        row = {"name": file["name"], "size": file["size"], "mimetype": file["mimetype"]}
        row |= {"FH": info["fileHash"], "SL": "L0", "Status": "received"}
        with self._lock:
            done = self._store(17, [row], {})
        self.contents[done["UID"][0]] = data
        return 200, {"success": True, "data": {"UID": done["UID"]}}

    def query(self, etid: int, where: dict, asked: dict) -> tuple[int, dict]:
        if etid not in {17, *self.schemas}:
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


def run_pipeline(server: WalacorServer, rows: list[dict], pipeline: list[dict]) -> list[dict]:
    """Carry out some of MongoDB's stages, and refuse the others."""
    for stage in pipeline:
        ((name, told),) = stage.items()
        if name == "$match":
            rows = [row for row in rows if matches(row, told)]
        elif name == "$sort":
            for field, way in reversed(told.items()):
                rows = sorted(rows, key=lambda row: row[field], reverse=way < 0)
        elif name in {"$skip", "$limit"}:
            rows = rows[told:] if name == "$skip" else rows[:told]
        elif name == "$group":
            rows = _grouped(rows, dict(told))
        elif name == "$lookup":
            tables = {schema["TableName"]: etid for etid, schema in server.schemas.items()}
            others = server.rows(tables[told["from"]])
            for row in rows:
                mine = row.get(told["localField"])
                row[told["as"]] = [each for each in others if each[told["foreignField"]] == mine]
        else:
            raise ValueError(f"no stage {name}")
    return rows


def _grouped(rows: list[dict], told: dict) -> list[dict]:
    def value(row: dict, wanted: object) -> object:
        if isinstance(wanted, dict):
            return {name: value(row, each) for name, each in wanted.items()}
        is_field = isinstance(wanted, str) and wanted.startswith("$")
        return row.get(wanted[1:]) if is_field else wanted

    by, found = told.pop("_id"), {}
    for row in rows:
        key = value(row, by)
        group = found.setdefault(json.dumps(key), {"_id": key})
        for name, each in told.items():
            ((way, what),) = each.items()
            if way == "$sum":
                group[name] = group.get(name, 0) + value(row, what)
            elif way in {"$first", "$last"}:
                group[name] = (
                    group.get(name, value(row, what)) if way == "$first" else value(row, what)
                )
            else:
                raise ValueError(f"no accumulator {way}")
    return list(found.values())


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
        if path == "v2/files/verify":
            status, answer = self._take_in(body)
        elif path == "v2/files/download":
            self._send_file(json.loads(body)["UID"])
            return
        else:
            told, asked = json.loads(body or b"{}"), parse_qs(parts.query)
            status, answer = self._do(method, path, told, asked)
        if path == backend.cut_at and status == 200 and backend.cut > 0:
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
        if (method, path) == ("POST", "query/getcomplex"):
            return backend.aggregate(etid, body, asked)
        if (method, path) == ("POST", "v2/files/store"):
            return backend.store_file(body)
        if (method, path) == ("POST", "schemas/"):
            right = (etid, self.headers.get("SV")) == (50, "1")
            return backend.make_schema(body) if right else (422, {"success": False})
        words = path.split("/")
        if method == "GET" and words[:2] == ["schemas", "envelopeTypes"]:
            found = backend.schemas.get(int(words[2]))
            return (200, {"success": True, "data": found}) if found else (404, {"success": False})
        return 404, {"success": False}

    def _take_in(self, body: bytes) -> tuple[int, dict]:
        if self.headers.get("Authorization") not in self.backend.tokens:
            return 401, {"success": False}
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = message_from_bytes(head + body).get_payload()
        if part.get_param("name", header="Content-Disposition") != "file":
            return 422, {"success": False}
        data = part.get_payload(decode=True)
        return self.backend.verify_file(part.get_filename(), part.get_content_type(), data)

    def _send_file(self, uid: str) -> None:
        backend = self.backend
        if self.headers.get("Authorization") not in backend.tokens:
            self._send(401, {"success": False})
            return
        if uid not in backend.contents:
            self._send(404, {"success": False})
            return
        data = backend.contents[uid]
        data = data[: len(data) - backend.short]
        (row,) = [row for row in backend.rows(17) if row["UID"] == uid]
        self.send_response(200)
        self.send_header("Content-Type", row["mimetype"])
        self.send_header("Content-Disposition", f'attachment; filename="{row["name"]}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send(self, status: int, answer: dict) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

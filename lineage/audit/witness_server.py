"""A witness over HTTP: `POST /add-checkpoint`, and `GET /ORIGIN-HASH/checkpoint` for who watches.

It speaks plain HTTP, as the standard library does; TLS is for what stands before it.
"""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from lineage.audit.witness import MOST_BYTES, Answer
from lineage.errors import LineageError

if TYPE_CHECKING:
    from lineage.audit.witness import Witness

_log = logging.getLogger("lineage.audit.witness")
_LONGEST_WAIT_S = 30.0


class WitnessServer(ThreadingHTTPServer):
    """Serve a witness until `shutdown`.

    Args:
        address: Where to listen: a host and a port; with port 0 one that is free.
        witness: What answers.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        super().__init__(address, _Handler)
        self.witness = witness

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection: as a rule, that the other side has left."""
        _log.info("the connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lineage-witness"
    timeout = _LONGEST_WAIT_S
    server: WitnessServer

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self._refuse(411, "say how long the request is by Content-Length")
        elif int(length) > MOST_BYTES:
            self._refuse(413, f"a request has at most {MOST_BYTES} bytes")
        elif self.path != "/add-checkpoint":
            self._refuse(404, "a checkpoint is added by POST /add-checkpoint")
        else:
            self._add(self.rfile.read(int(length)))

    def do_GET(self) -> None:
        origin_hash, _, rest = self.path.removeprefix("/").partition("/")
        found = self.server.witness.newest(origin_hash) if rest == "checkpoint" else None
        if found is None:
            self._tell(Answer(404, b"no checkpoint of that log was cosigned\n"))
        else:
            self._tell(Answer(200, found))

    def _add(self, data: bytes) -> None:
        try:
            answer = self.server.witness.add_checkpoint(data)
        except (LineageError, OSError) as error:
            _log.error("nothing was cosigned: %s", error)
            answer = Answer(500, b"the witness cannot answer; see its log\n")
        self._tell(answer)

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what was not read to its end, and read no more of it."""
        self.close_connection = True
        self._tell(Answer(status, f"{reason}\n".encode()))

    def _tell(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        _log.info(format, *args)

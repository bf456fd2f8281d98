"""A stand-in for Google Cloud Storage: objects in memory, behind the XML protocol of the real one.

The emulators that can be installed speak Google's JSON protocol or know no conditions; clients put
objects by the other one. This one is made after its reference
(https://cloud.google.com/storage/docs/xml-api/reference-headers): it keeps a generation per object
and heeds `x-goog-if-generation-match`. It shows that our conditions reach the wire and that its
answers are understood, not that Google's servers do what they say.
"""

import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Google(ThreadingHTTPServer):
    """The server; `heeds_conditions` is False for a control."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.buckets = {}
        self.generations = count(1_700_000_000_000_000)
        self.lock = threading.Lock()
        self.heeds_conditions = True
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self):
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        objects, key = self._place()
        if objects is None:
            return
        source = self.headers.get("x-goog-copy-source")
        condition = self.headers.get("x-goog-if-generation-match")
        with self.server.lock:
            if source:
                bucket, _, name = unquote(source).lstrip("/").partition("/")
                found = self.server.buckets.get(bucket, {}).get(name)
                if found is None:
                    self._refuse(404, "NoSuchKey")
                    return
                data = found[0]
            there = objects[key][1] if key in objects else 0
            if condition is not None and self.server.heeds_conditions and int(condition) != there:
                self._refuse(412, "PreconditionFailed")
                return
            generation = next(self.server.generations)
            objects[key] = (data, generation, formatdate(usegmt=True))
        body = b""
        if source:
            body = f'<CopyObjectResult><ETag>"{generation}"</ETag></CopyObjectResult>'.encode()
        self._send(200, body, self._described(objects[key]))

    def do_GET(self):
        objects, key = self._place()
        if objects is None:
            return
        if not key:
            self._list(objects)
        elif key in objects:
            self._send(200, objects[key][0], self._described(objects[key]))
        else:
            self._refuse(404, "NoSuchKey")

    do_HEAD = do_GET

    def do_DELETE(self):
        objects, key = self._place()
        if objects is None:
            return
        if objects.pop(key, None) is None:
            self._refuse(404, "NoSuchKey")
        else:
            self._send(204, b"")

    def log_message(self, *_):
        """Say nothing."""

    def _place(self):
        """Give the objects of the bucket that is asked, and the key."""
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        objects = self.server.buckets.get(bucket)
        if objects is None:
            self._refuse(404, "NoSuchBucket")
        return objects, key

    def _list(self, objects):
        query = parse_qs(urlsplit(self.path).query)
        prefix = unquote(query.get("prefix", [""])[0])
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Generation>{generation}</Generation>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{generation}&quot;"
            f"</ETag><Size>{len(data)}</Size></Contents>"
            for key, (data, generation, _) in sorted(objects.items())
            if key.startswith(prefix)
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    @staticmethod
    def _described(held):
        return {
            "ETag": f'"{held[1]}"',
            "x-goog-generation": str(held[1]),
            "Last-Modified": held[2],
        }

    def _refuse(self, status, code):
        self._send(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

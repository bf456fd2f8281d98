"""Telling a web address: real servers on this host, retries, time limits, private addresses."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from lineage.errors import ConfigError
from lineage.webhook import Webhook, WebhookError, is_public

SECRET = "T0-s3cret-token"


@contextmanager
def server(answer):
    """Serve POST on a free port of this host; `answer(handler, number)` answers each of them."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, self.headers, body))
            answer(self, len(taken))

        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}/hook/{SECRET}?key={SECRET}", taken
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def status(code, **headers):
    def answer(handler, _):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def then(*answers):
    return lambda handler, number: answers[min(number, len(answers)) - 1](handler, number)


def send(url, *, waits=None, allow_private=True, **options):
    hook = Webhook(url, allow_private=allow_private, **options)
    return hook.send({"text": "ü"}, sleep=(waits if waits is not None else []).append)


def failure(url, **options):
    with pytest.raises(WebhookError) as caught:
        send(url, **options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


class TestDelivery:
    def test_a_document_arrives_as_json(self):
        with server(status(204)) as (url, taken):
            done = send(url)
        assert (done.status, done.attempts) == (204, 1)
        ((path, headers, body),) = taken
        assert path == f"/hook/{SECRET}?key={SECRET}"
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body) == {"text": "ü"}

    def test_what_fails_first_is_tried_again_with_longer_waits(self):
        waits = []
        with server(then(status(503), status(500), status(429), status(200))) as (url, taken):
            assert send(url, waits=waits).attempts == 4
        assert len(taken) == 4
        assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0 <= waits[2] <= 2.0

    def test_it_keeps_to_retry_after_where_time_allows(self):
        waits = []
        with server(then(status(429, Retry_After="3"), status(200))) as (url, _):
            send(url, waits=waits)
        assert waits == [3.0]
        with server(status(429, Retry_After="3600")) as (url, taken):
            assert "tried 1 times" in failure(url)
        assert len(taken) == 1

    def test_after_five_tries_it_gives_up(self):
        with server(status(500)) as (url, taken):
            assert failure(url).endswith("answered 500 (tried 5 times)")
        assert len(taken) == 5

    def test_what_is_wrong_for_good_is_not_tried_again(self):
        with server(status(404)) as (url, taken):
            assert failure(url).endswith("answered 404")
        assert len(taken) == 1

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        assert "Connection refused" in failure(f"http://127.0.0.1:{port}/{SECRET}")

    def test_a_server_that_does_not_answer_is_left_in_time(self):
        released = threading.Event()
        with server(lambda *_: released.wait(20)) as (url, _):
            begin = time.monotonic()
            assert "no answer in time" in failure(url, total_s=1.0)
            took = time.monotonic() - begin
            released.set()
        assert took < 10

    def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(self):
        released = threading.Event()

        def drip(handler, _):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            try:
                while not released.wait(0.1):
                    handler.wfile.write(b".")
                    handler.wfile.flush()
            except OSError:
                pass

        with server(drip) as (url, _):
            begin = time.monotonic()
            assert "no answer in time" in failure(url, total_s=1.5)
            took = time.monotonic() - begin
            released.set()
        assert took < 10

    def test_what_is_no_http_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def talk():
                for _ in range(5):
                    other, _ = listening.accept()
                    with other:
                        other.sendall(b"SSH-2.0-OpenSSH\r\n")

            threading.Thread(target=talk, daemon=True).start()
            port = listening.getsockname()[1]
            assert "tried 5 times" in failure(f"http://127.0.0.1:{port}/{SECRET}")


class TestPrivate:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "10.1.2.3"])
    def test_private_addresses_are_refused_unless_allowed(self, host):
        message = failure(f"http://{host}:1/{SECRET}", allow_private=False)
        assert "private address" in message

    def test_nothing_is_sent_to_them(self):
        with server(status(200)) as (url, taken):
            failure(url, allow_private=False)
        assert taken == []

    @pytest.mark.parametrize(
        "address",
        [
            *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1"),
            *("192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
            *("::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:169.254.169.254"),
            *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"),
        ],
    )
    def test_what_is_not_public(self, address):
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
    def test_what_is_public(self, address):
        assert is_public(address)

    def test_a_name_is_resolved_once_and_connected_to_where_it_was_looked_at(self, monkeypatch):
        asked = []
        ask = socket.getaddrinfo

        def rebinding(host, *arguments, **options):
            if host != "rebind.example":
                return ask(host, *arguments, **options)
            asked.append(host)
            return ask("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        with server(status(200)) as (url, taken):
            send(url.replace("127.0.0.1", "rebind.example"))
        assert asked == ["rebind.example"]
        assert taken[0][1]["Host"].startswith("rebind.example:")

    def test_one_private_address_among_public_ones_is_enough_to_refuse(self, monkeypatch):
        def both(host, port, **_):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("8.8.8.8", "10.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert "private" in failure(f"http://two.example/{SECRET}", allow_private=False)


class TestRedirects:
    def test_one_that_keeps_the_method_is_followed(self):
        with (
            server(status(200)) as (target, taken),
            server(status(307, Location=target)) as (
                url,
                _,
            ),
        ):
            assert send(url).status == 200
        assert json.loads(taken[0][2]) == {"text": "ü"}

    def test_one_to_a_private_address_is_refused(self, monkeypatch):
        """The first address is taken for public here, as one of the internet would be."""
        public = is_public
        with server(status(200)) as (target, taken):
            inside = target.replace("127.0.0.1", "127.0.0.9")
            with server(status(307, Location=inside)) as (url, first):
                monkeypatch.setattr(
                    "lineage.webhook.is_public",
                    lambda address: address == "127.0.0.1" or public(address),
                )
                message = failure(url, allow_private=False)
        assert "127.0.0.9" in message
        assert "private address" in message
        assert len(first) == 1
        assert taken == []

    def test_one_that_would_lose_the_document_is_refused(self):
        with server(status(302, Location="https://example.org/")) as (url, _):
            assert "would lose the document" in failure(url)

    def test_one_to_no_web_address_is_refused(self):
        with server(status(308, Location="file:///etc/passwd")) as (url, _):
            assert "redirects elsewhere" in failure(url)

    def test_one_in_a_circle_ends(self):
        with server(status(308, Location="/again")) as (url, taken):
            assert "more than 3 times" in failure(url)
        assert len(taken) == 4


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            *("", "example.org", "ftp://example.org", "http://", "https://exa mple.org/"),
            *("https://example.org/\n", "https://example.org:99999/", "https://exämple.org/"),
        ],
    )
    def test_what_cannot_be_used_is_refused_without_showing_it(self, url):
        with pytest.raises(ConfigError, match="must be like https://host/path"):
            Webhook(url)

    def test_users_do_not_belong_into_it(self):
        with pytest.raises(ConfigError, match="must not name a user") as caught:
            Webhook(f"https://me:{SECRET}@example.org/")
        assert SECRET not in str(caught.value)

    def test_it_shows_its_host_alone(self):
        hook = Webhook(f"https://example.org:8443/{SECRET}?{SECRET}")
        assert str(hook) == "https://example.org:8443/…"
        assert SECRET not in repr(hook)

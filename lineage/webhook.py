"""Tell a web address of something: one JSON document by POST, with retries, in bounded time.

An address comes from a setting, and the program that reads it may stand inside a network that is
not open to whoever wrote it. So what is private is refused: the name is resolved once, each
address it has is looked at, and the connection goes to the address that was looked at, so that a
name that resolves otherwise a moment later changes nothing (DNS rebinding). A redirect is looked
at in the same way. What the address holds besides its host is never shown: that is where services
keep their secrets.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from lineage.errors import ConfigError, LineageError

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTEMPTS = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
_ATTEMPT_S = 10.0
_REDIRECTS = 3
_AGAIN = frozenset({408, 425, 429})
_SAME_METHOD = frozenset({307, 308})
_PORTS = {"http": 80, "https": 443}
# What `is_global` of Python 3.11 takes for public, though it leads to an IPv4 address or nowhere.
_LEADING_INSIDE = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)


class WebhookError(LineageError):
    """The address could not be told."""


class _TryAgainError(WebhookError):
    """It may work a little later."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a delivery went: the status of the answer, and how often it was tried."""

    status: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address to tell.

    Args:
        url: An address with `http` or `https`.
        allow_private: Whether it may lie in a private network or on this host.
        total_s: How long all tries take together at most.

    Raises:
        ConfigError: It is no such address, or names a user.

    >>> str(Webhook("https://hooks.example.org/services/T0/secret"))
    'https://hooks.example.org/…'
    """

    url: str
    allow_private: bool = False
    total_s: float = 30.0

    def __post_init__(self) -> None:
        _parts(self.url)

    def __str__(self) -> str:
        return _shown(_parts(self.url))

    def __repr__(self) -> str:
        return f"Webhook({str(self)!r})"

    def send(self, document: Any, *, sleep: Callable[[float], None] = time.sleep) -> Delivery:
        """Post a document.

        What cannot be reached, does not answer in time, or answers 408, 425, 429 or 5xx is tried
        again, after waits that double and are spread at random; `Retry-After` is kept to.

        Args:
            document: What JSON can hold.
            sleep: Waits for some seconds.

        Raises:
            WebhookError: It was refused, or not to be had within the time.
        """
        body = json.dumps(document, ensure_ascii=True).encode("ascii")
        deadline = time.monotonic() + self.total_s
        last: WebhookError = WebhookError(f"{self}: no time to try")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return Delivery(self._post(self.url, body, deadline), attempt)
            except _TryAgainError as error:
                last = error
                wait = error.wait_s
            if wait is None:
                longest = min(_FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S)
                wait = random.uniform(longest / 2, longest)  # noqa: S311 - spreads tries, hides nothing
            if attempt == _ATTEMPTS or time.monotonic() + wait >= deadline:
                break
            sleep(wait)
        raise WebhookError(f"{last} (tried {attempt} times)") from None

    def _post(self, url: str, body: bytes, deadline: float) -> int:
        """Post along redirects that keep the method, each of them looked at."""
        for _ in range(_REDIRECTS + 1):
            parts = _parts(url)
            answer = self._post_once(parts, body, deadline)
            status, location, wait_s = answer
            if status in _SAME_METHOD and location:
                following = urljoin(url, location)
                self._check_redirect(parts, following)
                url = following
                continue
            if 200 <= status < 300:
                return status
            message = f"{_shown(parts)} answered {status}"
            if status >= 500 or status in _AGAIN:
                raise _TryAgainError(message, wait_s)
            if 300 <= status < 400:
                message += ", a redirect that would lose the document; name the address it leads to"
            raise WebhookError(message)
        raise WebhookError(f"{_shown(_parts(self.url))} redirects more than {_REDIRECTS} times")

    def _check_redirect(self, before: SplitResult, url: str) -> None:
        try:
            after = _parts(url)
        except ConfigError as error:
            raise WebhookError(f"{_shown(before)} redirects elsewhere: {error}") from None
        if before.scheme == "https" and after.scheme != "https":
            raise WebhookError(f"{_shown(before)} redirects to {_shown(after)}, without TLS")

    def _post_once(
        self, parts: SplitResult, body: bytes, deadline: float
    ) -> tuple[int, str | None, float | None]:
        until = min(deadline, time.monotonic() + _ATTEMPT_S)
        address = self._address(parts, until)
        connection = _Pinned(parts, address, until)
        # A timeout of a socket is one of each wait: who sends a byte now and then is never late.
        watch = threading.Timer(max(until - time.monotonic(), 0.0), connection.cut)
        watch.daemon = True
        watch.start()
        try:
            headers = {"Content-Type": "application/json", "User-Agent": "track-lineage"}
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body=body, headers=headers)
            answer = connection.getresponse()
            answer.close()  # its status and headers are all that counts
            if connection.was_cut:  # which looks like the end of the headers
                raise TimeoutError
            wait_s = _seconds(answer.headers.get("Retry-After"))
            return answer.status, answer.headers.get("Location"), wait_s
        except (OSError, http.client.HTTPException, ValueError) as error:
            # The error's own text may hold the address.
            reason = getattr(error, "strerror", None) or type(error).__name__
            if isinstance(error, TimeoutError) or connection.was_cut:
                reason = "no answer in time"
            if isinstance(error, ssl.SSLCertVerificationError):
                raise WebhookError(f"{_shown(parts)}: its certificate is not trusted") from None
            raise _TryAgainError(f"{_shown(parts)}: {reason}") from None
        finally:
            watch.cancel()
            connection.close()

    def _address(self, parts: SplitResult, until: float) -> tuple[Any, ...]:
        """Resolve a name once; give the address to connect to."""
        port = parts.port or _PORTS[parts.scheme]
        found = _resolve(parts, port, max(until - time.monotonic(), 0.0))
        for *_, address in found:
            if not self.allow_private and not is_public(str(address[0])):
                raise WebhookError(
                    f"{_shown(parts)} is at a private address, which is refused; "
                    "allow it (webhook_allow_private, --allow-private) if it is meant"
                )
        family, _, _, _, address = found[0]
        return family, address


def is_public(address: str) -> bool:
    """Tell whether an IP address can be reached from anywhere.

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if any(found in network for network in _LEADING_INSIDE):
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was looked at, whatever its name leads to by now."""

    def __init__(self, parts: SplitResult, address: tuple[Any, ...], until: float) -> None:
        super().__init__(parts.hostname or "", parts.port or _PORTS[parts.scheme])
        self._family, self._address = address
        self._secure = parts.scheme == "https"
        self._until = until
        self.was_cut = False
        self._plain: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the address, and by TLS prove the name."""
        plain = socket.socket(self._family, socket.SOCK_STREAM)
        self.sock = self._plain = plain
        plain.settimeout(max(self._until - time.monotonic(), 0.01))
        plain.connect(self._address)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = self._plain = context.wrap_socket(plain, server_hostname=self.host)

    def close(self) -> None:
        """Close the connection, and the socket that the answer may have taken over."""
        super().close()
        if self._plain is not None:
            self._plain.close()

    def cut(self) -> None:
        """End whatever is under way."""
        self.was_cut = True
        plain = self._plain  # its own `sock` is gone once the answer has begun
        if plain is not None:
            with suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)


def _resolve(parts: SplitResult, port: int, timeout_s: float) -> list[Any]:
    """Ask for the addresses of a name, in a thread since the question itself has no time limit."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError("no such name"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_s)
    if asking.is_alive() or not found:
        reason = (failed[0].strerror or "no such name") if failed else "no answer in time"
        raise _TryAgainError(f"{_shown(parts)}: its name cannot be resolved: {reason}")
    return found


def _parts(url: str) -> SplitResult:
    """Split an address.

    Raises:
        ConfigError: It cannot be used; the message shows nothing of it that may be secret.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(
            "the address of the webhook cannot be used; it must be like https://host/path, in ASCII"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"the address of the webhook at {_shown(parts)} must not name a user")
    return parts


def _shown(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}/…"


def _seconds(text: str | None) -> float | None:
    """Read a `Retry-After` in seconds (RFC 9110, 10.2.3); a date in it is passed over."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else None

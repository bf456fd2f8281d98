"""Run a server until it is told to end; then what has begun is finished first."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import uvicorn

from lineage.errors import ConfigError
from lineage.server.app import create_app
from lineage.server.service import Service

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from types import FrameType

    from lineage.server.settings import ServerSettings

_ENDING_S = 30
_BACKLOG = 2_048


def serve(settings: ServerSettings, tell: Callable[[str], None]) -> None:
    """Serve; the first time, tell the key of an admin, once.

    Args:
        settings: Where to listen, and where the data are.
        tell: Hears a line of text.

    Raises:
        ConfigError: The address is taken, or none of this machine.
        StoreError: The database cannot be reached, or is of a newer version.
    """
    service = Service(settings)
    with _listening(settings) as listening:
        key = service.access.first("default", "first admin")
        if key is not None:
            tell(f"admin key (told once): {key}")
        tell(f"serving on http://{settings.host}:{listening.getsockname()[1]}")
        logging.getLogger("lineage.server.access").setLevel(logging.INFO)
        config = uvicorn.Config(
            create_app(service),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_ENDING_S,
            server_header=False,
            lifespan="off",
        )
        _Server(config, service.ending).run(sockets=[listening])


class _Server(uvicorn.Server):
    """One that has streams end that would go on."""

    def __init__(self, config: uvicorn.Config, ending: threading.Event) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self._ending.set()
        super().handle_exit(sig, frame)


def _listening(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    where = (settings.host, settings.port)
    try:
        listening = socket.create_server(where, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another "
            "--port"
        ) from None
    # asyncio does so only for sockets of which it is told that they are TCP; an answer in two
    # parts would wait 40 ms for what acknowledges the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening

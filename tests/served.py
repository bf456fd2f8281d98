"""A server in a thread of the tests, and clients of it."""

import asyncio
import socket
import threading
from contextlib import contextmanager
from uuid import uuid4

import httpx
import uvicorn

from lineage.server.access import Role
from lineage.server.app import create_app
from lineage.server.service import Service
from lineage.server.settings import ServerSettings


class Team:
    """A running server: `client` gives a client with a key of its own."""

    def __init__(self, service, url):
        self.service, self.url = service, url
        self._clients = []

    def client(self, role="admin", tenant="default", **key):
        text = self.service.access.create(tenant, f"{role} of {tenant}", Role[role], **key)[1]
        return self.plain({"authorization": f"Bearer {text}"})

    def tenant(self):
        """Give the address, and the key of an admin of a new tenant."""
        name = f"t{uuid4().hex}"
        return {"base_url": self.url, "api_key": self.key("admin", name)}

    def key(self, role="admin", tenant="default"):
        """Give the text of a new key."""
        return self.service.access.create(tenant, f"{role} of {tenant}", Role[role])[1]

    def plain(self, headers=None):
        """Give a client without a key."""
        self._clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=60))
        return self._clients[-1]

    def close(self):
        for client in self._clients:
            client.close()


@contextmanager
def served(**settings):
    """Serve on a free port until the end of the block."""
    service = Service(ServerSettings(**settings))
    with socket.socket() as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(create_app(service), log_config=None, ws="none", lifespan="off")
        server = uvicorn.Server(config)
        run = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
        )
        run.start()
        team = Team(service, f"http://127.0.0.1:{port}")
        try:
            yield team
        finally:
            team.close()
            service.ending.set()
            server.should_exit = True
            run.join(30)

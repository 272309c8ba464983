"""The server behind which the front door runs: a port, on the running event loop.

Owns: listening, and leaving nothing behind. Must not know: what is served. Unlike `uvicorn.run` it
takes no signals, no process and no log over; uvicorn gives the protocol and the pieces only.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection, Sequence

import uvicorn

from emulator.api.asgi import ASGIApp
from emulator.api.front import Front, Mount
from emulator.api.guard import Guard
from emulator.api.protocol import Connection, Connections
from emulator.api.runtime import ACCOUNT, REGION, Endpoints, Runtime

HOST = "127.0.0.1"

CLOSE_SECONDS = 1.5
"""How long closing waits for answers to be sent. Their requests have been answered before."""

KEEP_ALIVE_SECONDS = 75
"""Longer than the pools of AWS's clients keep an unused connection in practice: who closes first
makes the other one meet a reset.
"""

BACKLOG = 2048


class Server:
    """Serves one ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self.url = ""
        self._app = app
        self._listening: asyncio.Server | None = None
        self._connections: Connections | None = None

    async def start(self, port: int = 0, host: str = HOST) -> str:
        """Listens, and returns the URL; 0 takes a free port. Raises OSError when it is taken, or
        the host is none of this machine.
        """
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        loop = asyncio.get_running_loop()
        connections = Connections()
        listening = await loop.create_server(
            lambda: Connection(config, connections, {}, loop), host, port, backlog=BACKLOG
        )
        self._listening, self._connections = listening, connections
        self.url = f"http://{_reached(host)}:{listening.sockets[0].getsockname()[1]}"
        return self.url

    async def close(self) -> None:
        """May be called twice. What is not sent in CLOSE_SECONDS is cut off."""
        listening, self._listening = self._listening, None
        connections, self._connections = self._connections, None
        if listening is None or connections is None:
            return
        listening.close()
        try:
            for connection in list(connections.connections):
                connection.shutdown()
            async with asyncio.timeout(CLOSE_SECONDS):
                await connections.none_left.wait()
        except TimeoutError:
            pass
        finally:
            await _cut_off(connections)
        await listening.wait_closed()


async def _cut_off(connections: Connections) -> None:
    for connection in list(connections.connections):
        assert isinstance(connection, Connection)
        connection.abort()
    tasks = set(connections.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    await connections.none_left.wait()


def _reached(host: str) -> str:
    """Under which name a client here reaches what listens on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return HOST if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


class RuntimeServer:
    """SageMaker Runtime of endpoints, which may change while it runs, and what else is mounted
    beside it.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        region: str = REGION,
        account: str = ACCOUNT,
        mounts: Sequence[Mount] = (),
        host: str = HOST,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._host = host
        names = {name.lower() for name in (*allowed_hosts, host)}
        guard = Guard(everywhere=not _loopback(host), allowed_hosts=frozenset(names))
        runtime = Runtime(endpoints, region=region, account=account)
        self._server = Server(Front(runtime, mounts, guard=guard))

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self, port: int = 0) -> str:
        """Listens, and returns the URL for AWS_ENDPOINT_URL. Raises OSError when
        the port is taken.
        """
        return await self._server.start(port, self._host)

    async def close(self) -> None:
        """May be called twice. Close the endpoints before, and what is mounted: what is in flight
        is cut off.
        """
        await self._server.close()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

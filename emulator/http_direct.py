"""`Http` for the data plane: the same exchange as `AiohttpHttp`, with a third of its cost.

Owns: which connection a request takes. Must not know: what a request is for, containers, and how an
answer is read (`http_connection`). What needs more than a whole request and a whole answer, held
bodies and streams, is AiohttpHttp's.

A connection is used again only where that does not cost a request its answer: the container
promised it with `Connection: keep-alive`, the answer before was whole, half a second has not passed
(servers close after a second at the least), and at this moment it is open and quiet. After that it
is closed, so that a server which serves one connection at a time is free for its next caller.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict
from functools import lru_cache
from urllib.parse import urlsplit

from emulator.clock import Clock
from emulator.http import AiohttpHttp, Hold
from emulator.http_connection import Answered, Connection, Failed
from emulator.http_values import Outcome, Reply, Request

KEPT_SECONDS = 0.5

_WITH_LENGTH = ("POST", "PUT", "PATCH")


class DirectHttp(AiohttpHttp):
    """With `keep_alive` connections are used again. For a container whose requests come one after
    another only: one that serves a single connection at a time starves all callers but one.
    """

    def __init__(self, clock: Clock | None = None, *, keep_alive: bool = False) -> None:
        super().__init__(clock)
        self._keep_alive = keep_alive
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)

    async def send(
        self,
        base_url: str,
        request: Request,
        timeout_seconds: float,
        hold: Hold | None = None,
    ) -> Reply:
        if hold is not None:
            return await super().send(base_url, request, timeout_seconds, hold)
        started = self._clock.now()
        connection: Connection | None = None
        try:
            head = _head(base_url, request)
            async with asyncio.timeout(timeout_seconds):
                connection = self._quiet(base_url) or await _connect(base_url)
                told = await connection.exchange(head, request.body or b"")
        except TimeoutError:
            return self._ended(request, started, Failed(outcome=Outcome.TIMEOUT))
        except socket.gaierror as error:
            return self._ended(
                request, started, Failed(outcome=Outcome.REFUSED, detail=error.strerror or "")
            )
        except OSError as error:
            words = os.strerror(error.errno) if error.errno else str(error)
            return self._ended(request, started, Failed(outcome=Outcome.REFUSED, detail=words))
        except ValueError as error:
            return self._ended(request, started, Failed(outcome=Outcome.BROKEN, detail=str(error)))
        finally:
            if connection is not None:
                self._done_with(base_url, connection)
        return self._ended(request, started, told)

    def _ended(self, request: Request, started: float, told: Answered | Failed) -> Reply:
        return reply_of(request, told, self._clock.now() - started)

    def _quiet(self, base_url: str) -> Connection | None:
        idle = self._idle.get(base_url)
        while idle:
            connection = idle.pop()
            if connection.quiet():
                connection.kept(None)
                return connection
            connection.end()
        return None

    def _done_with(self, base_url: str, connection: Connection) -> None:
        if not (self._keep_alive and connection.reusable):
            connection.end()
            return
        idle = self._idle[base_url]
        idle.append(connection)

        def expire() -> None:
            connection.end()
            if connection in idle:
                idle.remove(connection)
            if not idle:
                self._idle.pop(base_url, None)

        connection.kept(asyncio.get_running_loop().call_later(KEPT_SECONDS, expire))

    async def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.kept(None)
                connection.end()
        self._idle.clear()
        await super().close()


async def _connect(base_url: str) -> Connection:
    host, port = _address(base_url)[:2]
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, host, port)
    return connection


@lru_cache(maxsize=256)
def _address(base_url: str) -> tuple[str, int, str]:
    """Host, port, and both as a `Host` header has them."""
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or 80, parts.netloc


def _head(base_url: str, request: Request) -> bytes:
    """Raises ValueError when it would not be one."""
    names = {name.lower() for name in request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {_address(base_url)[2]}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if "content-length" not in names and (
        request.body is not None or request.method in _WITH_LENGTH
    ):
        lines.append(f"Content-Length: {len(request.body or b'')}")
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise ValueError("a header of the request holds a line break or NUL")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def reply_of(request: Request, told: Answered | Failed, seconds: float) -> Reply:
    """What a connection told of an exchange, as a value."""
    if isinstance(told, Failed):
        return Reply(
            request=request,
            outcome=told.outcome,
            seconds=seconds,
            detail=told.detail,
            broken_status=told.status,
        )
    return Reply(
        request=request,
        outcome=Outcome.ANSWERED,
        seconds=seconds,
        status=told.status,
        headers=told.headers,
        body=told.body,
        body_bytes=told.body_bytes,
    )

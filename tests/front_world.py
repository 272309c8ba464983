"""A front door on a real socket, and bytes sent to it as they are.

Owns: what the tests of the front share. Must not know: what an answer should be.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.api.front import Mount
from emulator.api.server import RuntimeServer
from emulator.http import Outcome, Reply, Request
from emulator.loop import portal_options
from emulator.wire import Invoke, WireLimits

SECONDS = 20
PATH = "/endpoints/iris/invocations"


@dataclass(kw_only=True)
class Echo:
    """An endpoint that answers with the request's body and notes what came."""

    wire_limits: WireLimits = field(default_factory=lambda: WireLimits.of("serverless"))
    headers: Mapping[str, str] = field(default_factory=dict)
    came: list[Invoke] = field(default_factory=list)
    answered: int = 0
    hold: asyncio.Event | None = None

    async def invoke(self, invoke: Invoke) -> Reply:
        self.came.append(invoke)
        if self.hold is not None:
            await self.hold.wait()
        self.answered += 1
        return Reply(
            request=Request(method="POST", path="/invocations"),
            outcome=Outcome.ANSWERED,
            seconds=0.0,
            status=200,
            headers=self.headers,
            body=invoke.body,
            body_bytes=len(invoke.body),
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(kw_only=True)
class Front:
    """A server in a thread of its own."""

    url: str
    endpoint: Echo
    portal: BlockingPortal
    server: RuntimeServer

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host.strip("[]"), int(port)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=SECONDS)

    def say(self, raw: bytes, *, and_leave: bool = False) -> bytes:
        """What comes back until the server closes the connection: because it was asked to, or
        because the caller leaves.
        """
        with self.connect() as connection:
            connection.sendall(raw)
            if and_leave:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def post(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes = b"x",
        method: str = "POST",
        path: str = PATH,
    ) -> Answer:
        """One request, with `Host` and `Content-Length` unless they are given."""
        given = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        head = f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
        (answer,) = answers(self.say(head.encode("latin-1") + body))
        return answer


def read_all(connection: socket.socket) -> bytes:
    got = bytearray()
    try:
        while piece := connection.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return bytes(got)


def answers(raw: bytes) -> list[Answer]:
    """Every answer in what a server sent; fails on what is none."""
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        assert end, f"an answer without an end of its head: {head!r}"
        first, *lines = head.split(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]*", first)
        assert status, f"no first line of an answer: {first!r}"
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(b": ")
            assert colon, f"no header: {line!r}"
            assert re.fullmatch(rb"[A-Za-z0-9-]+", name), f"no header: {line!r}"
            key = name.decode().lower()
            assert key not in headers, f"{key} twice"
            headers[key] = value.decode("latin-1")
        length = int(headers["content-length"])
        assert len(raw) >= length, "the body is shorter than it says"
        body, raw = raw[:length], raw[length:]
        found.append(Answer(status=int(status[1]), headers=headers, body=body))
    return found


@contextmanager
def front(
    endpoint: Echo | None = None,
    *,
    mounts: Sequence[Mount] = (),
    host: str = "127.0.0.1",
    allowed_hosts: Collection[str] = (),
) -> Iterator[Front]:
    echo = endpoint or Echo()
    with start_blocking_portal(backend_options=portal_options()) as portal:
        server = RuntimeServer(
            {"iris": echo}, mounts=mounts, host=host, allowed_hosts=allowed_hosts
        )
        url = portal.call(server.start)
        try:
            yield Front(url=url, endpoint=echo, portal=portal, server=server)
        finally:
            portal.call(server.close)

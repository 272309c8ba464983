"""A started container as a check sees it: synchronous; what the container does is never raised.

Owns: the blocking view of one instance. Must not know: which containers a run starts (`target`),
pytest, verdicts. There is one implementation of starting, pinging, invoking and stopping
(`emulator.instance`); here it is reached through the target's portal to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contract_tests import raw_http
from contract_tests.check import Blocked
from contract_tests.diagnose import Finding
from contract_tests.raw_http import Turn
from contract_tests.settings import Payload
from emulator.engines import (
    Capability,
    EngineUnavailable,
    LogLine,
    Memory,
    Process,
    Socket,
    Stopped,
)
from emulator.http import Hold, Reply, Request
from emulator.instance import PING, PLATFORM_HEADERS, Instance, StartReport, invocation
from emulator.limits import Limits

if TYPE_CHECKING:
    from contract_tests.target import Target


class Subject:
    """A started container as a check sees it. Every method blocks, none raises for what the
    container does.
    """

    def __init__(
        self,
        target: Target,
        instance: Instance,
        start: StartReport,
        finding: Finding | None,
        first_invocation: Reply | None,
    ) -> None:
        self.target = target
        self.start = start
        self.finding = finding  # why it will never be ready, when that is certain
        self.first_invocation = first_invocation  # sent in the moment of the first 200
        self.stopped: Stopped | None = None
        self.ready_since = target.now()
        self.may_end = False  # a check does what may end it, and judges that itself
        self._instance = self.instance = instance

    @property
    def limits(self) -> Limits:
        return self._instance.limits

    @property
    def base_url(self) -> str:
        """Where its port is published on this machine."""
        return self._instance.container.base_url

    @property
    def ready(self) -> bool:
        return self.start.ready

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        return self.target.call(self._instance.send, request, timeout_seconds)

    def send_soon(self, request: Request, timeout_seconds: float) -> Future[Reply]:
        """The same in the background."""
        return self.target.portal.start_task_soon(self._instance.send, request, timeout_seconds)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """A GET with the platform's headers, or with others, in a health check's time."""
        request = Request(method="GET", path=path, headers=headers or PLATFORM_HEADERS)
        return self.send(request, self.limits.ping_seconds)

    def ping(self) -> Reply:
        return self.send(PING, self.limits.ping_seconds)

    def post(
        self, body: bytes, content_type: str | None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One invocation, with the platform's time limit."""
        return self.target.call(self._instance.invoke, body, content_type, headers)

    def invoke(self, payload: Payload) -> Reply:
        return self.post(payload.body, payload.content_type)

    def in_a_row(self, requests: Sequence[Request], timeout_seconds: float) -> list[Turn]:
        """On one connection, as long as the server lets it; see `raw_http.in_a_row`."""
        return self.target.call(
            raw_http.in_a_row, self.base_url, requests, timeout_seconds, self.target.clock
        )

    def invoke_soon(self, payload: Payload) -> Future[Reply]:
        """An invocation in the background."""
        return self.target.portal.start_task_soon(
            self._instance.invoke, payload.body, payload.content_type
        )

    @contextmanager
    def held(self, body: bytes, content_type: str) -> Iterator[Future[Reply]]:
        """An invocation of which half the body is sent. The block runs meanwhile; after it the
        rest is sent, and the future has the answer. Raises Blocked when it could not be begun.
        """
        hold = self.target.call(_new_hold)
        request = invocation(body, content_type)
        future = self.target.portal.start_task_soon(
            self._instance.send, request, self.limits.invocation_seconds, hold
        )
        try:
            begun = self.target.call(_begun, hold, self.limits.ping_seconds)
            if not begun:
                raise Blocked("a request could not be begun: the container took no connection")
            yield future
        finally:
            self.target.call(_release, hold)

    def exit_code(self) -> int | None:
        return self.target.call(self._instance.container.exit_code)

    def logs(self, tail: int = 50) -> str:
        return self.target.call(self._instance.container.logs, tail)

    def lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        """Its log later than that, with the engine's times; none when the engine gives none."""
        try:
            return self.target.call(self._instance.container.log_lines, after_nanoseconds)
        except EngineUnavailable:
            return []

    def processes(self) -> list[Process]:
        return self.target.call(self._instance.container.processes)

    def signal(self, pid: int, number: int) -> None:
        self.target.call(self._instance.container.signal, pid, number)

    def sockets(self) -> list[Socket]:
        return self.target.call(self._instance.container.sockets)

    def freeze(self) -> None:
        self.target.call(self._instance.container.freeze)

    def thaw_later(self, seconds: float) -> Future[None]:
        """In the background."""
        return self.target.portal.start_task_soon(self._thaw_later, seconds)

    async def _thaw_later(self, seconds: float) -> None:
        try:
            await self.target.clock.sleep(seconds)
        finally:
            await self._instance.container.thaw()

    def memory(self) -> Memory:
        return self.target.call(self._instance.container.memory)

    def cpu_seconds(self) -> float:
        return self.target.call(self._instance.container.cpu_seconds)

    def oom_kills(self) -> int:
        return self.target.call(self._instance.container.oom_kills)

    def changed_paths(self) -> list[str]:
        return self.target.call(self._instance.container.changed_paths)

    def written_bytes(self) -> int | None:
        return self.target.call(self._instance.container.written_bytes)

    def file_bytes(self, path: str) -> int | None:
        return self.target.call(self._instance.container.file_bytes, path)

    def accepts(self, timeout_seconds: float) -> bool:
        """Whether the server takes a connection in that time. Asked from inside the container's
        network where the engine can; else through the published port, which takes every
        connection and closes it at once when the server takes none.
        """
        container, port = self._instance.container, self._instance.spec.port
        if Capability.INSIDE in self.target.engine.capabilities:
            seconds = self.target.call(container.connect_inside, port, timeout_seconds)
            return seconds is not None
        return self.target.call(_stays_open, container.base_url, timeout_seconds)

    def received_bytes(self) -> int | None:
        """Over the network since its start; None when the engine does not tell."""
        try:
            return self.target.call(self._instance.container.received_bytes)
        except EngineUnavailable:
            return None

    def stop(self, grace_seconds: float | None = None) -> Stopped:
        """Once; later calls tell how it went."""
        if self.stopped is None:
            self.stopped = self.target.call(self._instance.stop, grace_seconds)
        return self.stopped

    def stop_soon(self) -> Future[Stopped]:
        """The platform's way of stopping, in the background."""
        return self.target.portal.start_task_soon(self._instance.stop)


async def _stays_open(base_url: str, seconds: float) -> bool:
    address = urlsplit(base_url)
    try:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return False
    try:
        # The server waits for a request; only a closed connection ends this read.
        await asyncio.wait_for(reader.read(1), seconds)
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.close()
    return False


async def _new_hold() -> Hold:
    return Hold()


async def _begun(hold: Hold, timeout_seconds: float) -> bool:

    try:
        await asyncio.wait_for(hold.halfway(), timeout_seconds)
    except TimeoutError:
        return False
    return True


async def _release(hold: Hold) -> None:
    hold.release()

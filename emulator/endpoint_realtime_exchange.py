"""One request on one real-time instance: sent, judged, and its place given back.

Owns: what an exchange means for its request and for its instance. Must not know: which instance a
request gets, who waits for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from emulator.clock import Clock
from emulator.endpoint_exchange import ran_out
from emulator.endpoint_instances import Instances
from emulator.endpoint_requests import too_large
from emulator.endpoint_slots import Slot, log_failure
from emulator.endpoint_state import Invocation
from emulator.http import Http, Outcome, Reply, StreamBroken, Streamed
from emulator.instance import invocation
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.runtime_errors import ModelStreamError, RuntimeFailure, StreamError
from emulator.wire import Invoke, WireLimits
from emulator.wire_answers import failure_of

Lost = Callable[[int, str], None]

AHEAD = 1
"""How many pieces wait for a caller who reads slower than the container writes."""


class Exchange:
    """The instance was told that it took the request; here it is told that it is over."""

    def __init__(
        self,
        slot: Slot,
        invoke: Invoke,
        told: Invocation,
        *,
        instances: Instances,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._slot, self._instances, self._told = slot, instances, told
        self._limits, self._clock = limits, clock
        self._request = invocation(invoke.body, None, invoke.container_headers())

    async def run(self, wire_limits: WireLimits, lost: Lost) -> Reply:
        """Raises RuntimeFailure for everything but a success."""
        instance = self._slot.instance
        assert instance is not None
        try:
            reply = await instance.send(self._request, self._limits.invocation_seconds)
            self._told.model_seconds = reply.seconds
            self._told.status, self._told.received_bytes = reply.status, reply.body_bytes
            await self._instances.meter.look(self._slot, reply.seconds)
            self._told.memory_bytes = self._slot.memory_bytes
            if failure := await self._failure(reply, wire_limits, lost):
                raise failure
            return reply
        finally:
            self._instances.rested(self._slot)

    async def _failure(
        self, reply: Reply, wire_limits: WireLimits, lost: Lost
    ) -> RuntimeFailure | None:
        if reply.outcome is Outcome.ANSWERED:
            failed = failure_of(reply, wire_limits)
            if failed is not None and reply.ok:
                self._told.detail = too_large(reply)
            return failed
        self._told.detail = str(reply)
        if reply.outcome is Outcome.TIMEOUT:  # its worker goes on (contract 3.13)
            return ModelError.timed_out()
        fate = await self._instances.fate(self._slot)
        if fate.died:
            lost(self._slot.number, f"its container ended: {reply}")
        if fate.out_of_memory:
            ran_out(self._told, self._slot)
            return ModelError.out_of_memory()
        if reply.broken_status is not None:
            return ModelError.unreadable(reply.broken_status)
        return ModelError.no_response()

    async def stream(
        self, http: Http, over: Callable[[Pump, Invocation, BaseException | None], None]
    ) -> Pump:
        """Returns when the head of a success came. Raises RuntimeFailure."""
        try:
            streamed = await self._opened(http)
        except BaseException:
            self._instances.rested(self._slot)
            raise

        def done(pump: Pump, error: BaseException | None) -> None:
            self._told.model_seconds = self._clock.now() - self._told.arrived
            self._told.received_bytes = pump.bytes
            self._instances.rested(self._slot)
            over(pump, self._told, error)

        return Pump(streamed, done, self._limits.stream_seconds)

    async def _opened(self, http: Http) -> Streamed:
        assert self._slot.instance is not None
        base_url = self._slot.instance.container.base_url
        streamed = await http.stream(base_url, self._request, self._limits.stream_seconds)
        self._told.status = streamed.reply.status
        failure = await _no_stream(streamed)
        if failure is not None:
            streamed.close()
            self._told.detail = str(streamed.reply)
            raise failure
        return streamed


async def _no_stream(streamed: Streamed) -> RuntimeFailure | None:
    reply = streamed.reply
    if reply.outcome is Outcome.TIMEOUT:
        return ModelError.timed_out()
    if reply.status is None:
        return ModelError.no_response()
    if reply.ok:
        return None
    body = bytearray()
    try:
        async for piece in streamed.parts:
            body += piece
    except StreamBroken:
        return ModelError.unreadable(reply.status)
    return ModelError.answered(reply.status, bytes(body))


class Pump:
    """Carries the pieces to whoever reads them, so that the request ends when the container's
    answer does, or when the reader leaves, whether or not he ever began to read.
    """

    def __init__(
        self,
        streamed: Streamed,
        done: Callable[[Pump, BaseException | None], None],
        patience_seconds: float,
    ) -> None:
        self.headers: Mapping[str, str] = streamed.reply.headers
        self.bytes = 0
        self._streamed, self._done = streamed, done
        self._patience = patience_seconds
        self._pieces: asyncio.Queue[bytes | RuntimeFailure | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(AHEAD)
        self.task = asyncio.create_task(self._pump())
        self.task.add_done_callback(log_failure)

    async def _pump(self) -> None:
        error: ModelStreamError | None = ModelStreamError(StreamError.BROKEN)
        try:
            async for piece in self._streamed.parts:
                self.bytes += len(piece)
                await asyncio.wait_for(self._room.acquire(), self._patience)
                self._pieces.put_nowait(piece)
            error = None
        except StreamBroken as broken:
            if broken.outcome is Outcome.TIMEOUT:
                error = ModelStreamError(StreamError.TIME_EXCEEDED)
        except TimeoutError:  # nobody reads
            pass
        finally:
            self._streamed.close()
            self._pieces.put_nowait(error)
            self._done(self, error)

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Raises ModelStreamError in place of the end when there is none."""
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, RuntimeFailure):
                    raise piece
                yield piece
                self._room.release()
        finally:
            self.task.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A container's answer while it comes. `parts` raises ModelStreamError."""

    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]


def note(told: Invocation, error: BaseException) -> None:
    told.error = error.code if isinstance(error, RuntimeFailure) else type(error).__name__


def answer(future: asyncio.Future[Reply], answer: Reply | BaseException) -> None:
    """The first answer counts."""
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)

"""One endpoint of one image, with a local SageMaker round it.

Owns: waiting for it, and its failure as an error. Must not know: how a local SageMaker is put
together (`plane`), threads, terminals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from emulator.clock import Clock
from emulator.endpoint_logs import InstanceLine
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import EndpointStatus
from emulator.engines import Engine
from emulator.plane import Listening, Plane, plane
from emulator.running import Running
from emulator.variant import Driver
from emulator.view import Board


class EndpointFailed(Exception):
    """The endpoint did not get InService; the text is AWS's FailureReason, what was seen, and the
    last lines that a container wrote.
    """

    def __init__(self, reason: str, log: Sequence[str] = ()) -> None:
        super().__init__(reason, log)
        self.reason = reason
        self.log = tuple(log)

    def __str__(self) -> str:
        if not self.log:
            return self.reason
        lines = "".join(f"\n  | {line}" for line in self.log)
        return f"{self.reason}\nThe container's last lines:{lines}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """An endpoint that can be reached."""

    running: Running
    plane: Plane

    @property
    def endpoint(self) -> Driver:
        return self.running.endpoint

    @property
    def setup(self) -> Setup:
        return self.running.setup

    @property
    def board(self) -> Board:
        return self.running.board

    @property
    def url(self) -> str:
        return self.plane.url

    @property
    def clock(self) -> Clock:
        return self.plane.clock

    @property
    def began(self) -> float:
        return self.plane.began

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return self.plane.environment

    async def log_lines(self, after: int = 0) -> list[InstanceLine]:
        """What its containers wrote since the line of that number, asked for now."""
        await self.endpoint.logs.collect()
        return self.endpoint.logs.lines(after)


@asynccontextmanager
async def live(setup: Setup, engine: Engine | None = None) -> AsyncIterator[Live]:
    """An endpoint for the length of the block, InService. May be cancelled at any moment; whichever
    way it ends, nothing of it is left. An engine that is given is closed with it.

    Raises EndpointFailed, Usage (also when the port is taken), ImageNotFound, EngineUnavailable.
    """
    async with plane(listening_of(setup), engine) as opened:
        yield await started(opened, setup)


def listening_of(setup: Setup) -> Listening:
    """Where a setup wants to be reached."""
    return Listening(host=setup.host, port=setup.port, allowed_hosts=setup.allowed_hosts)


async def started(opened: Plane, setup: Setup) -> Live:
    """Returns when the endpoint is InService. Raises as `live`."""
    endpoint = await opened.start(setup)
    await endpoint.settled()
    if endpoint.trouble is not None:
        raise endpoint.trouble
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        raise EndpointFailed(endpoint.failure_reason, endpoint.log)
    return Live(running=endpoint.variants[0].running, plane=opened)

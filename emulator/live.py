"""One endpoint with everything it needs, from the engine to the port, and the way back.

Owns: the order in which things open and close. Must not know: what may be asked for
(`endpoint_setup`), how an endpoint works, threads, terminals.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator import model_data, owner
from emulator.api.runtime import REGION
from emulator.api.server import RuntimeServer
from emulator.clock import Clock, SystemClock
from emulator.endpoint import Endpoint
from emulator.endpoint_logs import InstanceLine
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_setup import HOST, Setup
from emulator.endpoint_state import EndpointStatus
from emulator.engines import Engine, EngineUnavailable
from emulator.errors import Usage
from emulator.http import Http
from emulator.http_direct import DirectHttp
from emulator.limits import MIB
from emulator.live_mounts import max_concurrency, mounts
from emulator.view import Board

SERVICES = ("SAGEMAKER_RUNTIME", "CLOUDWATCH", "CLOUDWATCH_LOGS")
"""botocore's ids of the services that answer at the endpoint's URL."""


LAST_LINES = 20
"""Of a container that failed, told with the failure."""


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

    endpoint: Endpoint | RealtimeEndpoint
    setup: Setup
    url: str
    clock: Clock
    began: float
    board: Board

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return environment(self.url)

    async def log_lines(self, after: int = 0) -> list[InstanceLine]:
        """What its containers wrote since the line of that number, asked for now."""
        await self.endpoint.logs.collect()
        return self.endpoint.logs.lines(after)


def environment(url: str) -> dict[str, str]:
    """See `Live.environment`."""
    return {
        **{f"AWS_ENDPOINT_URL_{service}": url for service in SERVICES},
        "AWS_ACCESS_KEY_ID": "byoc",
        "AWS_SECRET_ACCESS_KEY": "byoc",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


@asynccontextmanager
async def live(
    setup: Setup, engine: Engine | None = None, *, begun: Callable[[Live], None] | None = None
) -> AsyncIterator[Live]:
    """An endpoint for the length of the block, InService. May be cancelled at any moment; whichever
    way it ends, nothing of it is left. An engine that is given is closed with it. `begun` is called
    when it listens, before its first instance starts.

    Raises EndpointFailed, Usage (also when the port is taken), ImageNotFound, EngineUnavailable.
    """
    clock = SystemClock()
    began = clock.now()
    async with AsyncExitStack() as stack:
        engine = engine or _docker_engine()
        stack.push_async_callback(engine.close)
        if reason := await engine.unavailable():
            raise EngineUnavailable(reason)
        await engine.sweep()
        await engine.image(setup.image)
        # A real-time container gets several requests at once: see DirectHttp.
        http = DirectHttp(clock, keep_alive=setup.profile == "serverless")
        stack.push_async_callback(http.close)
        endpoint = _endpoint(setup, _model_dir(setup.model_data, stack), engine, http, clock)
        board = Board(
            endpoint.journal,
            max_concurrency=lambda: max_concurrency(endpoint),
            memory_limit_bytes=setup.memory_mb * MIB,
        )
        aside = ExitStack()
        server = RuntimeServer(
            {setup.name: endpoint},
            mounts=mounts(
                endpoint,
                setup,
                board,
                clock=clock,
                environment=lambda: environment(server.url),
                stack=aside,
            ),
            host=setup.host,
            allowed_hosts=setup.allowed_hosts,
        )
        stack.push_async_callback(server.close)
        stack.callback(aside.close)
        stack.push_async_callback(endpoint.close)  # first: so callers in flight get an answer
        opened = Live(
            endpoint=endpoint,
            setup=setup,
            url=await _listen(server, setup),
            clock=clock,
            began=began,
            board=board,
        )
        if begun is not None:
            begun(opened)
        await endpoint.create()
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            last = endpoint.logs.lines()[-LAST_LINES:]
            raise EndpointFailed(endpoint.failure_reason, [line.text for line in last])
        yield opened


def _endpoint(
    setup: Setup, model_dir: Path | None, engine: Engine, http: Http, clock: Clock
) -> Endpoint | RealtimeEndpoint:
    spec = setup.spec(model_dir)
    if setup.profile == "realtime":
        return RealtimeEndpoint(
            setup.name,
            spec,
            engine=engine,
            http=http,
            clock=clock,
            limits=setup.limits,
            instance_count=setup.instance_count,
        )
    return Endpoint(
        setup.name,
        spec,
        setup.policy,
        engine=engine,
        http=http,
        clock=clock,
        limits=setup.limits,
        freeze=setup.freeze,
    )


async def _listen(server: RuntimeServer, setup: Setup) -> str:
    try:
        return await server.start(setup.port)
    except socket.gaierror as error:
        raise Usage(
            f"the host {setup.host!r} cannot be found ({error.strerror}); --host takes an address"
            " of this machine, as 127.0.0.1 or 0.0.0.0."
        ) from error
    except OSError as error:
        # asyncio wraps the system's words in its own.
        words = os.strerror(error.errno) if error.errno else str(error)
        where = f"port {setup.port}" + (f" of {setup.host}" if setup.host != HOST else "")
        raise Usage(
            f"{where} cannot be used ({words}); take another one with --port, or 0 for one that"
            " is free."
        ) from error


def _model_dir(source: Path | None, stack: AsyncExitStack) -> Path | None:
    if source is None or source.is_dir():
        return source
    temporary = owner.temporary_directory()
    stack.callback(temporary.close)
    model_data.unpack(source, temporary.path)
    return temporary.path


def _docker_engine() -> Engine:
    from emulator.engines.docker_engine import DockerEngine

    return DockerEngine()

"""A local SageMaker with everything it needs, from the engine to the port, and the way back.

Owns: the order in which things open and close. Must not know: how an endpoint lives, what a call
does, threads, terminals. Endpoints come by deploy calls, or by `Plane.start`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from emulator.adopting import bodies_of, order_of
from emulator.api.calls import Adopted, Calls
from emulator.api.control import Control
from emulator.api.deploying import Deploying, model_data
from emulator.api.moto_reset import Reset
from emulator.api.runtime import ACCOUNT, REGION
from emulator.api.server import RuntimeServer
from emulator.clock import Clock, SystemClock
from emulator.deployed import DeployedEndpoint
from emulator.deployed_variant import Version
from emulator.deployments import Deployments
from emulator.endpoint_setup import HOST, Setup
from emulator.engines import Engine, EngineUnavailable
from emulator.errors import Usage
from emulator.http import Http
from emulator.images import Images
from emulator.live_mounts import mounts
from emulator.registry import Registry
from emulator.running import Fleet
from emulator.variant import Numbers, Workshop

OWN_REGISTRY = ""
"""`Listening.registry`: one of our own, on a free port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a local SageMaker listens, and what it has beside. Raises Usage."""

    host: str = HOST
    port: int = 0  # a free one
    allowed_hosts: tuple[str, ...] = ()  # names that callers may use for this machine, besides
    registry: str | None = None  # OWN_REGISTRY, or the address of one; None: images of the engine
    stand_in: str | None = None  # an image of the engine for every ECR URI
    numbers: Numbers = field(default_factory=Numbers)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise Usage(f"a port is from 0 to 65535, not {self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A local SageMaker that can be reached."""

    url: str
    fleet: Fleet
    deployments: Deployments
    clock: Clock
    began: float
    registry: Registry | None
    _workshop: Workshop
    _calls: Calls
    _control: Control
    _reset: Reset

    async def reset(self) -> None:
        """Deletes every endpoint, and all that moto has: buckets, roles, stacks, models."""
        await self._reset()

    def warm(self) -> None:
        """Loads aside what deploy calls need, which takes seconds: the first one need not wait."""
        self._control.warm()

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return environment(self.url)

    async def start(self, setup: Setup) -> DeployedEndpoint:
        """An endpoint as deploy calls would make it: begins, and returns at once. Raises Usage,
        ImageNotFound, EngineUnavailable.
        """
        order = order_of(setup)
        prepared = await self._workshop.given(order, setup)
        bodies = bodies_of(setup, order)
        version = Version(configuration=setup.name, body=bodies["EndpointConfig"], orders=(order,))
        self._calls.adopt(Adopted(region=REGION, bodies=bodies))
        return self.deployments.create(setup.name, version, REGION, [prepared])


def environment(url: str) -> dict[str, str]:
    """One URL for all of AWS: a script whose S3 or ECR calls went elsewhere would do harm."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "byoc",
        "AWS_SECRET_ACCESS_KEY": "byoc",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


@asynccontextmanager
async def plane(
    listening: Listening | None = None,
    engine: Engine | None = None,
    fleet: Fleet | None = None,
    *,
    http: Http | None = None,
) -> AsyncIterator[Plane]:
    """A local SageMaker for the length of the block. May be cancelled at any moment; whichever way
    it ends, nothing of it is left. An engine that is given is closed with it; `http` is for one
    whose containers are reached in a way of their own.

    Raises Usage (the port is taken), EngineUnavailable.
    """
    listening, fleet = listening or Listening(), fleet or Fleet()
    clock = SystemClock()
    began = clock.now()
    async with AsyncExitStack() as stack:
        engine = engine or _docker_engine()
        stack.push_async_callback(engine.close)
        if reason := await engine.unavailable():
            raise EngineUnavailable(reason)
        await engine.sweep()
        registry = await _registry(listening.registry)
        if registry is not None:
            stack.push_async_callback(registry.close)
        images = Images(engine, registry, stand_in=listening.stand_in)
        aside = ExitStack()
        workshop = Workshop(engine, clock, images, model_data, listening.numbers, http=http)
        stack.push_async_callback(workshop.close)
        deployments = Deployments(workshop, fleet, clock)
        calls = Calls(deployments, fleet, images)
        control = Control(calls, deployments)
        reset = Reset(deployments.clear)
        deploy = Deploying(calls, registry)
        watched, *seen = mounts(
            fleet, clock=clock, environment=lambda: environment(server.url), stack=aside
        )
        server = RuntimeServer(
            deployments.find,
            account=ACCOUNT,
            # What is signed for a service is its own, also where a page has the same path: S3's
            # ListBuckets is GET /, a bucket may be called metrics.
            mounts=[control.mount, watched, *deploy.mounts, reset.mount, *seen],
            host=listening.host,
            allowed_hosts=listening.allowed_hosts,
        )
        stack.push_async_callback(server.close)
        stack.callback(aside.close)
        stack.push_async_callback(deployments.close)  # so callers in flight get an answer
        stack.push_async_callback(deploy.close)
        stack.callback(control.close)
        stack.callback(deploy.stop)  # first: no stack must make endpoints while all end
        url = await _listen(server, listening)
        yield Plane(
            url=url,
            fleet=fleet,
            deployments=deployments,
            clock=clock,
            began=began,
            registry=registry,
            _workshop=workshop,
            _calls=calls,
            _control=control,
            _reset=reset,
        )


async def _registry(wanted: str | None) -> Registry | None:
    if wanted is None:
        return None
    return await Registry.start() if wanted == OWN_REGISTRY else await Registry.at(wanted)


async def _listen(server: RuntimeServer, listening: Listening) -> str:
    try:
        return await server.start(listening.port)
    except socket.gaierror as error:
        raise Usage(
            f"the host {listening.host!r} cannot be found ({error.strerror}); --host takes an"
            " address of this machine, as 127.0.0.1 or 0.0.0.0."
        ) from error
    except OSError as error:
        # asyncio wraps the system's words in its own.
        words = os.strerror(error.errno) if error.errno else str(error)
        where = f"port {listening.port}"
        where += f" of {listening.host}" if listening.host != HOST else ""
        raise Usage(
            f"{where} cannot be used ({words}); take another one with --port, or 0 for one that"
            " is free."
        ) from error


def _docker_engine() -> Engine:
    from emulator.engines.docker_engine import DockerEngine

    return DockerEngine()

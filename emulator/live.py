"""One endpoint with everything it needs, from the engine to the port, and the way back.

Owns: what can be asked for (`Setup`), and the order in which things open and close. Must not know:
how an endpoint works, threads, terminals.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulator import model_data, owner
from emulator.api.runtime import REGION, RuntimeServer
from emulator.clock import SystemClock
from emulator.endpoint import Endpoint
from emulator.endpoint_state import EndpointStatus
from emulator.engines import ContainerSpec, Engine, EngineUnavailable
from emulator.errors import Usage
from emulator.http import AiohttpHttp
from emulator.instance import platform_environment
from emulator.limits import MEMORY_SIZES_MB, MIB, Limits, cpus
from emulator.policy_events import IDLE_SECONDS, PolicyConfig
from emulator.wire_members import ENDPOINT_NAME

MOST_CONCURRENCY = 200
"""ServerlessConfig.MaxConcurrency goes from 1 to here (contract 4.2,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html)."""


class EndpointFailed(Exception):
    """The endpoint did not get InService; the text is AWS's FailureReason and what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What an endpoint is to be. Raises Usage for what AWS would not take."""

    image: str
    name: str = ""  # of the image, when empty
    memory_mb: int = 2048
    max_concurrency: int = 5
    provisioned_concurrency: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    model_data: Path | None = None
    idle_seconds: float = IDLE_SECONDS
    port: int = 0  # a free one
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or default_name(self.image))
        if broken := list(ENDPOINT_NAME.broken_by(self.name, "endpointName")):
            raise Usage(f"this is no name of an endpoint: {broken[0]}")
        if self.memory_mb not in MEMORY_SIZES_MB:
            sizes = ", ".join(map(str, MEMORY_SIZES_MB))
            raise Usage(f"memory is one of {sizes} MB, not {self.memory_mb}")
        if not 1 <= self.max_concurrency <= MOST_CONCURRENCY:
            raise Usage(
                f"max_concurrency is from 1 to {MOST_CONCURRENCY}, not {self.max_concurrency}"
            )
        if not 0 <= self.port <= 65535:
            raise Usage(f"a port is from 0 to 65535, not {self.port}")
        if self.model_data is not None and not self.model_data.exists():
            raise Usage(f"model data {self.model_data} is not there")
        _ = self.policy  # looks at the rest

    @property
    def policy(self) -> PolicyConfig:
        config = PolicyConfig.of(
            self.limits,
            max_concurrency=self.max_concurrency,
            provisioned=self.provisioned_concurrency,
        )
        return dataclasses.replace(config, idle_seconds=self.idle_seconds)

    def spec(self, model_dir: Path | None) -> ContainerSpec:
        return ContainerSpec(
            image=self.image,
            environment={**platform_environment(), **self.environment},
            port=self.limits.port,
            memory_bytes=self.memory_mb * MIB,
            cpus=cpus(self.memory_mb),
            model_dir=model_dir,
            role="endpoint",
        )


def default_name(image: str) -> str:
    """A valid endpoint name out of an image's: the last part, without tag, `-` for the rest."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-")[:63].strip("-") or "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """An endpoint that is InService."""

    endpoint: Endpoint
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.url,
            "AWS_ACCESS_KEY_ID": "byoc",
            "AWS_SECRET_ACCESS_KEY": "byoc",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


@asynccontextmanager
async def live(setup: Setup, engine: Engine | None = None) -> AsyncIterator[Live]:
    """An endpoint for the length of the block. May be cancelled at any moment; whichever way it
    ends, nothing of it is left. An engine that is given is closed with it.

    Raises EndpointFailed, Usage (also when the port is taken), ImageNotFound, EngineUnavailable.
    """
    async with AsyncExitStack() as stack:
        engine = engine or _docker_engine()
        stack.push_async_callback(engine.close)
        if reason := await engine.unavailable():
            raise EngineUnavailable(reason)
        await engine.sweep()
        await engine.image(setup.image)
        http = AiohttpHttp()
        stack.push_async_callback(http.close)
        endpoint = Endpoint(
            setup.name,
            setup.spec(_model_dir(setup.model_data, stack)),
            setup.policy,
            engine=engine,
            http=http,
            clock=SystemClock(),
            limits=setup.limits,
        )
        server = RuntimeServer({setup.name: endpoint})
        stack.push_async_callback(server.close)
        stack.push_async_callback(endpoint.close)  # first: so callers in flight get an answer
        url = await _listen(server, setup.port)
        await endpoint.create()
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            raise EndpointFailed(endpoint.failure_reason)
        yield Live(endpoint=endpoint, url=url)


async def _listen(server: RuntimeServer, port: int) -> str:
    try:
        return await server.start(port)
    except OSError as error:
        # asyncio wraps the system's words in its own.
        words = os.strerror(error.errno) if error.errno else str(error)
        raise Usage(
            f"port {port} cannot be used ({words}); take another one with --port, or 0 for one that"
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

"""A serverless endpoint for synchronous programs: tests, notebooks, the command line.

Owns: the blocking view of one endpoint and its server. Must not know: how either works. Everything
runs on one event loop behind a portal.

    with ServerlessEndpoint(image="mymodel", memory_mb=2048, max_concurrency=4) as endpoint:
        client = endpoint.client()  # boto3's sagemaker-runtime
        client.invoke_endpoint(EndpointName=endpoint.name, Body=b"...", ContentType="text/csv")
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator import model_data, owner
from emulator.api.runtime import REGION, RuntimeServer
from emulator.clock import SystemClock
from emulator.endpoint import Endpoint
from emulator.endpoint_state import EndpointStatus, Invocation
from emulator.engines import ContainerSpec, Engine, EngineUnavailable
from emulator.errors import Usage
from emulator.http import AiohttpHttp
from emulator.instance import platform_environment
from emulator.limits import MEMORY_SIZES_MB, MIB, Limits, cpus
from emulator.policy_events import IDLE_SECONDS, PolicyConfig

MOST_CONCURRENCY = 200
"""ServerlessConfig.MaxConcurrency goes from 1 to here (contract 4.2,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html)."""


class EndpointFailed(Exception):
    """The endpoint did not get InService; the text is AWS's FailureReason and what was seen."""


class ServerlessEndpoint:
    """A live endpoint while the block runs; afterwards no container of it is left."""

    def __init__(
        self,
        image: str,
        *,
        name: str | None = None,
        memory_mb: int = 2048,
        max_concurrency: int = 5,
        provisioned_concurrency: int = 0,
        environment: Mapping[str, str] | None = None,
        model_data_path: Path | None = None,
        idle_seconds: float = IDLE_SECONDS,
        port: int = 0,
        engine: Engine | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises Usage for what AWS would not take. Nothing is started yet."""
        if memory_mb not in MEMORY_SIZES_MB:
            sizes = ", ".join(map(str, MEMORY_SIZES_MB))
            raise Usage(f"memory_mb is one of {sizes}, not {memory_mb}")
        if not 1 <= max_concurrency <= MOST_CONCURRENCY:
            raise Usage(f"max_concurrency is from 1 to {MOST_CONCURRENCY}, not {max_concurrency}")
        self.image = image
        self.name = name or default_name(image)
        self.memory_mb = memory_mb
        self.limits = limits or Limits()
        self.config = dataclasses.replace(
            PolicyConfig.of(
                self.limits, max_concurrency=max_concurrency, provisioned=provisioned_concurrency
            ),
            idle_seconds=idle_seconds,
        )
        self.url = ""
        self._environment = dict(environment or {})
        self._model_data = model_data_path
        self._port = port
        self._given_engine = engine
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> ServerlessEndpoint:
        """Returns when the endpoint is InService. Raises EndpointFailed, ImageNotFound,
        EngineUnavailable, OSError (the port is taken); then nothing is left.
        """
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        portal = self._portal = self._stack.enter_context(start_blocking_portal())
        engine = self._given_engine or _docker_engine()
        self._stack.callback(portal.call, engine.close)
        if reason := portal.call(engine.unavailable):
            raise EngineUnavailable(reason)
        portal.call(engine.sweep)
        portal.call(engine.image, self.image)
        http = AiohttpHttp()
        self._stack.callback(portal.call, http.close)
        spec = ContainerSpec(
            image=self.image,
            environment={**platform_environment(), **self._environment},
            port=self.limits.port,
            memory_bytes=self.memory_mb * MIB,
            cpus=cpus(self.memory_mb),
            model_dir=self._model_dir(),
            role="endpoint",
        )

        async def build() -> tuple[Endpoint, RuntimeServer]:
            endpoint = Endpoint(
                self.name,
                spec,
                self.config,
                engine=engine,
                http=http,
                clock=SystemClock(),
                limits=self.limits,
            )
            return endpoint, RuntimeServer({self.name: endpoint})

        endpoint, server = portal.call(build)
        self._endpoint = endpoint
        self._stack.callback(portal.call, endpoint.close)
        self._stack.callback(portal.call, server.close)
        self.url = portal.call(server.start, self._port)
        portal.call(endpoint.create)
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            raise EndpointFailed(endpoint.failure_reason)

    def _model_dir(self) -> Path | None:
        source = self._model_data
        if source is None or source.is_dir():
            return source
        temporary = owner.temporary_directory()
        self._stack.callback(temporary.close)
        model_data.unpack(source, temporary.path)
        return temporary.path

    @property
    def invocations(self) -> list[Invocation]:
        """What is known of every request so far."""
        return list(self._endpoint.invocations) if self._endpoint is not None else []

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

    def client(self) -> Any:
        """A boto3 client of SageMaker Runtime that talks to this endpoint. Needs boto3."""
        import boto3

        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="byoc",
            aws_secret_access_key="byoc",  # noqa: S106 - any are taken
        )


def default_name(image: str) -> str:
    """A valid endpoint name out of an image's: the last part, without tag, `-` for the rest."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-")[:63].strip("-") or "endpoint"


def _docker_engine() -> Engine:
    from emulator.engines.docker_engine import DockerEngine

    return DockerEngine()

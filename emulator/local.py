"""An endpoint for synchronous programs: tests, notebooks.

Owns: the blocking view of one endpoint. Must not know: how it works, or how it is put together
(`live`). Everything runs on one event loop in a thread of its own.

    import emulator

    with emulator.ServerlessEndpoint(image="mymodel", memory_mb=2048) as endpoint:
        client = endpoint.client()  # boto3's sagemaker-runtime
        client.invoke_endpoint(EndpointName=endpoint.name, Body=b"...", ContentType="text/csv")
        endpoint.client("cloudwatch").list_metrics()
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.api.runtime import REGION
from emulator.endpoint_setup import HOST, Setup
from emulator.endpoint_state import Invocation
from emulator.engines import Engine
from emulator.limits import IDLE_SECONDS, Limits, Profile
from emulator.live import EndpointFailed, Live, live
from emulator.loop import portal_options

__all__ = ["EndpointFailed", "ServerlessEndpoint"]


class ServerlessEndpoint:
    """A live endpoint while the block runs; afterwards no container of it is left."""

    def __init__(
        self,
        image: str,
        *,
        name: str | None = None,
        profile: Profile = "serverless",
        memory_mb: int = 2048,
        environment: Mapping[str, str] | None = None,
        model_data_path: Path | None = None,
        startup_seconds: float | None = None,
        max_concurrency: int = 5,
        provisioned_concurrency: int = 0,
        idle_seconds: float = IDLE_SECONDS,
        halving_seconds: float | None = None,
        max_age_seconds: float | None = None,
        freeze: bool = False,
        instance_count: int = 1,
        host: str = HOST,
        port: int = 0,
        allowed_hosts: Sequence[str] = (),
        engine: Engine | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`profile="realtime"` gives a real-time endpoint of `instance_count` instances; the
        settings from max_concurrency to freeze are serverless ones.

        Raises Usage for what AWS would not take.
        """
        self.setup = Setup(
            image=image,
            name=name or "",
            profile=profile,
            memory_mb=memory_mb,
            environment=dict(environment or {}),
            model_data=Path(model_data_path) if model_data_path is not None else None,
            startup_seconds=startup_seconds,
            max_concurrency=max_concurrency,
            provisioned_concurrency=provisioned_concurrency,
            idle_seconds=idle_seconds,
            halving_seconds=halving_seconds,
            max_age_seconds=max_age_seconds,
            freeze=freeze,
            instance_count=instance_count,
            host=host,
            port=port,
            allowed_hosts=tuple(allowed_hosts),
            limits=limits or Limits(),
        )
        self.name = self.setup.name
        self._engine = engine
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened: Future[Live] = Future()

    def __enter__(self) -> ServerlessEndpoint:
        """Returns when the endpoint is InService. Raises EndpointFailed, ImageNotFound,
        EngineUnavailable, Usage (the port is taken); then nothing is left. So it is when it is
        interrupted.
        """
        if self._portal is not None:
            raise RuntimeError("this endpoint is open already; make another one for a second")
        self._opened = Future()
        try:
            self._portal = self._stack.enter_context(
                start_blocking_portal(backend_options=portal_options())
            )
            self._portal.call(self._begin)
            self._opened.result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        portal, self._portal = self._portal, None
        try:
            if portal is not None:
                portal.call(self._end)
        finally:
            self._stack.close()

    async def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with live(self.setup, self._engine) as opened:
                self._opened.set_result(opened)
                await asyncio.Event().wait()  # until it is cancelled
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
                return
            raise

    async def _end(self) -> None:
        """What went wrong while closing is raised; what went wrong before was."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    @property
    def _live(self) -> Live:
        if self._portal is None:
            raise RuntimeError("the endpoint is there inside of its `with` block only")
        return self._seen

    @property
    def _seen(self) -> Live:
        """Also after the block: what was seen stays."""
        if not self._opened.done():
            raise RuntimeError("the endpoint has not been there yet: enter its `with` block first")
        return self._opened.result()

    @property
    def url(self) -> str:
        """For AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME, or a client's `endpoint_url`; a browser finds the
        endpoint's page there.
        """
        return self._live.url

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return self._live.environment

    @property
    def invocations(self) -> list[Invocation]:
        """What is known of the last thousand requests, oldest first."""
        return list(self._seen.endpoint.journal.last.copy())

    @property
    def errors(self) -> Mapping[str, int]:
        """How many requests were answered with which error, since the beginning."""
        return Counter(self._seen.endpoint.journal.errors)

    def logs(self) -> list[str]:
        """What its containers wrote, oldest first, those that are gone included."""
        if self._portal is None:
            return [line.text for line in self._seen.endpoint.logs.lines()]
        return [line.text for line in self._portal.call(self._live.log_lines, 0)]

    def client(self, service: str = "sagemaker-runtime", **settings: Any) -> Any:
        """A boto3 client that talks to this endpoint: of SageMaker Runtime, or "cloudwatch" for
        its metrics, or "logs" for what its containers wrote. `settings` go to boto3. Needs boto3.
        """
        import boto3

        defaults = {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": "byoc",
            "aws_secret_access_key": "byoc",  # any are taken
        }
        return boto3.client(service, **{**defaults, **settings})

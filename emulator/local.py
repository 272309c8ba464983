"""An endpoint, or a whole local SageMaker, for synchronous programs: tests, notebooks.

Owns: the blocking view of them. Must not know: how they work, or how they are put together (`live`,
`plane`), threads (`blocking`).

    import emulator

    with emulator.ServerlessEndpoint(image="mymodel", memory_mb=2048) as endpoint:
        client = endpoint.client()  # boto3's sagemaker-runtime
        client.invoke_endpoint(EndpointName=endpoint.name, Body=b"...", ContentType="text/csv")
        endpoint.client("cloudwatch").list_metrics()

    with emulator.LocalSageMaker() as aws:
        aws.client("sagemaker").create_model(...)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.api.runtime import REGION
from emulator.blocking import Blocking
from emulator.endpoint_setup import HOST, Setup
from emulator.endpoint_state import Invocation
from emulator.engines import Engine
from emulator.limits import IDLE_SECONDS, Limits, Profile
from emulator.live import EndpointFailed, Live, live
from emulator.plane import Listening, plane
from emulator.running import CallTold
from emulator.variant import Numbers

__all__ = ["EndpointFailed", "LocalSageMaker", "ServerlessEndpoint"]


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
        self._blocking = Blocking("endpoint", lambda: live(self.setup, engine))

    def __enter__(self) -> ServerlessEndpoint:
        """Returns when the endpoint is InService. Raises EndpointFailed, ImageNotFound,
        EngineUnavailable, Usage (the port is taken); then nothing is left. So it is when it is
        interrupted.
        """
        self._blocking.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._blocking.exit()

    @property
    def _live(self) -> Live:
        return self._blocking.now

    @property
    def _seen(self) -> Live:
        return self._blocking.seen

    @property
    def url(self) -> str:
        """For AWS_ENDPOINT_URL, or a client's `endpoint_url`; a browser finds the endpoint's page
        there.
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
        if not self._blocking.is_open:
            return [line.text for line in self._seen.endpoint.logs.lines()]
        return [line.text for line in self._blocking.call(self._live.log_lines, 0)]

    def client(self, service: str = "sagemaker-runtime", **settings: Any) -> Any:
        """A boto3 client that talks to this endpoint: of SageMaker Runtime, or of any other service
        that is there, as "cloudwatch" for its metrics, "logs" for what its containers wrote, and
        "sagemaker" to update it. `settings` go to boto3. Needs boto3.
        """
        return client(self.url, service, settings)


class LocalSageMaker:
    """A local SageMaker while the block runs, for code that deploys: its models, configurations and
    endpoints are made by boto3, the AWS CLI, CloudFormation. Afterwards no container of it is left.
    """

    def __init__(
        self,
        *,
        host: str = HOST,
        port: int = 0,
        allowed_hosts: Sequence[str] = (),
        registry: str | None = None,
        stand_in: str | None = None,
        startup_seconds: float | None = None,
        idle_seconds: float = IDLE_SECONDS,
        freeze: bool = False,
        engine: Engine | None = None,
    ) -> None:
        """`registry`: "" for one of its own that `docker push` goes to, or an address; without,
        images of the engine stand for what was pushed. `stand_in`: the image for every ECR URI.

        Raises Usage.
        """
        numbers = Numbers(startup_seconds=startup_seconds, idle_seconds=idle_seconds, freeze=freeze)
        listening = Listening(
            host=host,
            port=port,
            allowed_hosts=tuple(allowed_hosts),
            registry=registry,
            stand_in=stand_in,
            numbers=numbers,
        )
        self._blocking = Blocking("local SageMaker", lambda: plane(listening, engine))

    def __enter__(self) -> LocalSageMaker:
        """Raises EngineUnavailable, Usage (the port is taken); then nothing is left."""
        self._blocking.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._blocking.exit()

    @property
    def url(self) -> str:
        """For AWS_ENDPOINT_URL, or a client's `endpoint_url`; a browser finds a page there."""
        return self._blocking.now.url

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that unmodified AWS clients come here."""
        return self._blocking.now.environment

    def reset(self) -> None:
        """Deletes every endpoint, and all else that was made: for the next test."""
        self._blocking.call(self._blocking.now.reset)

    @property
    def calls(self) -> list[CallTold]:
        """The last 200 calls that created, updated or deleted something, or were refused."""
        return list(self._blocking.seen.fleet.calls)

    def client(self, service: str = "sagemaker", **settings: Any) -> Any:
        """A boto3 client of any service that is there. `settings` go to boto3. Needs boto3."""
        return client(self.url, service, settings)


def client(url: str, service: str, settings: Mapping[str, Any]) -> Any:
    """Of boto3; any credentials are taken."""
    import boto3

    defaults = {
        "endpoint_url": url,
        "region_name": REGION,
        "aws_access_key_id": "byoc",
        "aws_secret_access_key": "byoc",
    }
    return boto3.client(service, **{**defaults, **settings})

"""Pytest fixtures for tests of what calls a SageMaker endpoint, or deploys one: real containers
behind boto3.

Owns: how long endpoints live in a test run, and which one a call goes to. Must not know: how an
endpoint works (`local`). It is loaded by name, in `conftest.py` or in the test module, and needs
boto3:

    pytest_plugins = ["emulator.fixtures_plugin"]


    def test_the_flower_is_a_setosa(serverless_endpoint, sagemaker_runtime):
        endpoint = serverless_endpoint("byoc-reference:latest", memory_mb=2048, max_concurrency=4)
        answer = sagemaker_runtime.invoke_endpoint(
            EndpointName=endpoint.name, Body=b"5.1,3.5,1.4,0.2", ContentType="text/csv"
        )
        assert answer["Body"].read().startswith(b"setosa")

`serverless_endpoint` takes what `emulator.ServerlessEndpoint` takes. An endpoint lives to the
end of the run; asking for the same one again gives the one that runs. Code that makes its own
client finds the endpoint by `endpoint.environment`, as with `monkeypatch.setenv`. For code that
deploys there is `local_sagemaker`, an `emulator.LocalSageMaker`; `local_sagemaker.reset()` deletes
everything between tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict, Unpack
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest

from emulator.errors import Usage
from emulator.limits import Profile
from emulator.local import LocalSageMaker, ServerlessEndpoint

Running = dict[str, ServerlessEndpoint]


class Options(TypedDict, total=False):
    """What `ServerlessEndpoint` takes, besides the image."""

    name: str | None
    profile: Profile
    memory_mb: int
    environment: Mapping[str, str] | None
    model_data_path: Path | None
    startup_seconds: float | None
    max_concurrency: int
    provisioned_concurrency: int
    idle_seconds: float
    halving_seconds: float | None
    max_age_seconds: float | None
    freeze: bool
    instance_count: int
    host: str
    port: int
    allowed_hosts: Sequence[str]


class Endpoints:
    """Starts endpoints, each once. Called as `ServerlessEndpoint` is."""

    def __init__(self, stack: ExitStack) -> None:
        self.running: Running = {}
        self._stack = stack

    def __call__(self, image: str, **options: Unpack[Options]) -> ServerlessEndpoint:
        wanted = ServerlessEndpoint(image, **options)
        if running := self.running.get(wanted.name):
            if running.setup == wanted.setup:
                return running
            raise Usage(
                f"an endpoint {wanted.name!r} runs already, with other settings; give this one a"
                " name of its own: serverless_endpoint(..., name=...)"
            )
        started = self._stack.enter_context(wanted)
        self.running[wanted.name] = started
        return started


@pytest.fixture(scope="session")
def serverless_endpoint() -> Iterator[Endpoints]:
    """Starts a serverless endpoint of an image, and returns when it is InService."""
    with ExitStack() as stack:
        yield Endpoints(stack)


@pytest.fixture(scope="session")
def sagemaker_runtime(serverless_endpoint: Endpoints) -> Iterator[Any]:
    """A boto3 client of SageMaker Runtime, whose calls go to the endpoint that they name."""
    import boto3

    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url="http://127.0.0.1:9",  # nobody is there; each call is routed below
        region_name="us-east-1",
        aws_access_key_id="byoc",
        aws_secret_access_key="byoc",  # noqa: S106 - any are taken
    )
    client.meta.events.register(
        "before-sign.sagemaker-runtime", router(serverless_endpoint.running)
    )
    yield client
    client.close()


def router(running: Running) -> Callable[..., None]:
    """A handler of botocore's event: it turns a request to the endpoint that its path names. One
    that does not run is answered by any other, which says so in AWS's words.
    """

    def route(request: Any, **_: Any) -> None:
        if not running:
            raise Usage("no endpoint runs; start one with the fixture serverless_endpoint")
        path, query = urlsplit(request.url)[2:4]
        name = unquote(path.split("/")[2])
        there = running.get(name) or next(iter(running.values()))
        base = urlsplit(there.url)
        request.url = urlunsplit((base.scheme, base.netloc, path, query, ""))

    return route


@pytest.fixture(scope="session")
def local_sagemaker() -> Iterator[LocalSageMaker]:
    """A local SageMaker for code that deploys. Such code finds it by `local_sagemaker.environment`;
    `local_sagemaker.client("sagemaker")` gives a client of boto3.
    """
    with LocalSageMaker() as opened:
        yield opened

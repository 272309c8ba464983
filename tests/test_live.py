"""Owns: what may be asked of a local endpoint, and where the fixtures for users' tests send a call;
without a container.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import Usage
from emulator.fixtures_plugin import Endpoints, router
from emulator.live import Setup, default_name
from emulator.local import ServerlessEndpoint
from emulator.wire_members import ENDPOINT_NAME


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"memory_mb": 2000}, "memory is one of 1024, 2048"),
        ({"max_concurrency": 201}, "max_concurrency is from 1 to 200, not 201"),
        ({"max_concurrency": 2, "provisioned_concurrency": 3}, "provisioned is from 0 to"),
        ({"idle_seconds": 0}, "idle_seconds is more than 0"),
        ({"port": 99999}, "a port is from 0 to 65535, not 99999"),
        ({"name": "a_b"}, "no name of an endpoint.*a_b"),
        ({"model_data_path": Path("/no/such/model.tar.gz")}, "/no/such/model.tar.gz is not there"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_aws_would_not_take_is_refused_before_anything_starts(
    settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(Usage, match=text):
        ServerlessEndpoint("byoc-reference:latest", **settings)


def test_what_belongs_to_a_running_endpoint_is_not_there_before_it_runs() -> None:
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        _ = ServerlessEndpoint("byoc-reference:latest").url


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("iris", "iris"),
        ("registry:5000/team/iris_model:1.0", "iris-model"),
        ("iris@sha256:0123", "iris"),
        ("///", "endpoint"),
    ],
)
def test_an_endpoint_is_named_after_its_image(image: str, name: str) -> None:
    assert default_name(image) == name
    assert Setup(image=image).name == name


@given(st.text())
def test_every_image_gives_a_valid_name(image: str) -> None:
    assert list(ENDPOINT_NAME.broken_by(default_name(image), "endpointName")) == []


# The fixtures


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Endpoints that are there without a container."""
    monkeypatch.setattr(ServerlessEndpoint, "__enter__", lambda self: self)
    monkeypatch.setattr(ServerlessEndpoint, "__exit__", lambda self, *_: None)
    monkeypatch.setattr(ServerlessEndpoint, "url", property(lambda self: f"http://{self.name}:1"))
    with ExitStack() as stack:
        yield Endpoints(stack)


def test_the_same_settings_give_the_same_endpoint(endpoints: Endpoints) -> None:
    first = endpoints("iris:latest", environment={"A": "1"})
    assert endpoints("iris:latest", environment={"A": "1"}) is first
    assert endpoints("iris:latest", name="other") is not first


def test_one_name_with_other_settings_is_refused(endpoints: Endpoints) -> None:
    endpoints("iris:latest")
    with pytest.raises(Usage, match="'iris' runs already, with other settings"):
        endpoints("iris:latest", memory_mb=1024)


def test_a_call_goes_to_the_endpoint_that_it_names(endpoints: Endpoints) -> None:
    route = router(endpoints.running)
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    client.meta.events.register("before-sign.sagemaker-runtime", route)
    urls: list[str] = []

    def before_send(request: Any, **_: Any) -> AWSResponse:
        urls.append(request.url)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda **_: iter(())))

    client.meta.events.register("before-send.sagemaker-runtime", before_send)
    endpoints("iris:latest")
    endpoints("wine:latest")
    for name in ("iris", "wine", "none"):
        client.invoke_endpoint(EndpointName=name, Body=b"x")
    client.close()
    assert urls == [
        "http://iris:1/endpoints/iris/invocations",
        "http://wine:1/endpoints/wine/invocations",
        "http://iris:1/endpoints/none/invocations",
    ]


def test_a_call_before_any_endpoint_runs_says_what_to_do() -> None:
    with pytest.raises(Usage, match="start one with the fixture serverless_endpoint"):
        router({})(request=None)

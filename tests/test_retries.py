"""Owns: what botocore sends again, and what that does here: each attempt is a request of its own,
also when the caller stopped waiting for the one before. How many there are depends on our answer
alone, as it does against AWS.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.endpoint
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from emulator.local import ServerlessEndpoint
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    InternalFailure,
    ModelNotReady,
    NotEmulated,
    RuntimeFailure,
    ServiceUnavailable,
    Throttled,
    ValidationError,
)
from tests.clients import NAME, Served, answer, served
from tests.obedient_image import obedient


@pytest.fixture(scope="module")
def module_server() -> Iterator[Served]:
    with served() as running:
        yield running


class Waits:
    """Takes the place of botocore's `time`: how long it waits is its own business."""

    def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture
def server(module_server: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(botocore.endpoint, "time", Waits())
    module_server.endpoint.give(answer())
    yield module_server
    module_server.release()


def client(server: Served, **config: Any) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(**config),
    )


def attempts(server: Served) -> list[int]:
    """As the `amz-sdk-request` header of each request that came counts them."""
    return [invoke.attempt for invoke in server.endpoint.came]


def until_answered(server: Served, count: int) -> None:
    end = time.monotonic() + 10
    while server.endpoint.answered < count:
        assert time.monotonic() < end, "a request was not answered"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("failure", "legacy", "standard"),
    [
        (Throttled(), 5, 3),
        (ModelNotReady(), 5, 1),
        (InternalFailure("x"), 5, 3),
        (ServiceUnavailable("x"), 5, 3),
        (ModelError.timed_out(), 1, 1),
        (ModelError.answered(503, b"busy"), 1, 1),
        (ValidationError.endpoint_not_found(), 1, 1),
        (NotEmulated("this", "because."), 1, 1),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, RuntimeFailure) else "",
)
@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_it_is_sent_as_often_as_to_aws(
    server: Served, mode: str, failure: RuntimeFailure, legacy: int, standard: int
) -> None:
    made = client(server, retries={"mode": mode})
    server.endpoint.give(failure)
    with pytest.raises(ClientError):
        made.invoke_endpoint(EndpointName=NAME, Body=b"x")
    most = legacy if mode == "legacy" else standard
    assert attempts(server) == list(range(1, most + 1))
    made.close()


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_a_throttled_call_that_finds_a_place_later_is_a_success(server: Served, mode: str) -> None:
    made = client(server, retries={"mode": mode})
    server.endpoint.give(Throttled(), Throttled(), answer(b"at last"))
    got = made.invoke_endpoint(EndpointName=NAME, Body=b"x")
    assert got["Body"].read() == b"at last"
    assert got["ResponseMetadata"]["RetryAttempts"] == 2
    made.close()


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_a_read_timeout_is_followed_by_a_second_request_and_the_first_goes_on(
    server: Served, mode: str
) -> None:
    made = client(server, retries={"mode": mode}, read_timeout=0.3)
    server.endpoint.give(answer(b"late"), answer(b"second"), held=True)
    got = made.invoke_endpoint(EndpointName=NAME, Body=b"x")
    assert got["Body"].read() == b"second"
    assert [invoke.body for invoke in server.endpoint.came] == [b"x", b"x"]
    assert server.endpoint.answered == 1, "the first is still worked on"
    server.release()
    until_answered(server, 2)
    made.close()


def test_without_retries_a_read_timeout_is_the_callers_and_the_request_goes_on(
    server: Served,
) -> None:
    made = client(server, retries={"total_max_attempts": 1}, read_timeout=0.3)
    server.endpoint.give(answer(), held=True)
    with pytest.raises(ReadTimeoutError):
        made.invoke_endpoint(EndpointName=NAME, Body=b"x")
    assert (len(server.endpoint.came), server.endpoint.answered) == (1, 0)
    server.release()
    until_answered(server, 1)
    made.close()


@pytest.mark.docker
def test_callers_of_a_full_endpoint_get_their_answers_by_trying_again() -> None:
    with ServerlessEndpoint(obedient(), max_concurrency=4) as endpoint:
        client = endpoint.client()  # botocore's own settings

        def call(_: int) -> int:
            got = client.invoke_endpoint(EndpointName=endpoint.name, Body=b"sleep 0.1")
            assert got["Body"].read() == b"sleep 0.1"
            return int(got["ResponseMetadata"]["RetryAttempts"])

        with ThreadPoolExecutor(10) as threads:
            again = sum(threads.map(call, range(10)))
        client.close()
        assert again > 0
        assert endpoint.errors == {"ThrottlingException": again}
        assert len(endpoint.invocations) == 10 + again

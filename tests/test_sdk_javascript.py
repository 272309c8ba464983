"""Owns: what the AWS SDK for JavaScript v3 makes of the runtime's answers, when it is told nothing
but the environment: the members of a success, and each error as the class or name that a program
catches, with its fields and its retries.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from emulator.limits import MIB
from emulator.local import ServerlessEndpoint
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    InternalDependency,
    InternalFailure,
    InternalStreamFailure,
    ModelNotReady,
    ModelStreamError,
    NotEmulated,
    RuntimeFailure,
    ServiceUnavailable,
    StreamError,
    Throttled,
)
from tests.clients import ACCOUNT, JavaScript, RealTime, Served, answer, bare_environment, served

pytestmark = pytest.mark.clients

TYPED, BY_NAME = True, False
"""Whether the SDK has a class for it, as the service model has a shape."""

GROUP = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/iris"


@pytest.fixture(scope="module")
def module_server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def server(module_server: Served) -> Served:
    module_server.endpoint.give(answer())
    return module_server


@pytest.fixture(scope="module")
def sdk(module_server: Served) -> Iterator[JavaScript]:
    client = JavaScript(module_server.environment)
    yield client
    client.close()


# Successes


def test_it_gets_the_containers_answer_and_what_the_service_adds(
    server: Served, sdk: JavaScript
) -> None:
    server.endpoint.give(answer(b"\x00\xff", x_amzn_sagemaker_custom_attributes="trace=1"))
    told = sdk.call(body=b"5.1,3.5", ContentType="text/csv", CustomAttributes="trace=0")
    assert base64.b64decode(told["body"]) == b"\x00\xff"
    assert told["members"] == {
        "ContentType": "text/csv",
        "InvokedProductionVariant": "AllTraffic",
        "CustomAttributes": "trace=1",
    }
    assert (told["status"], told["attempts"]) == (200, 1)
    (invoke,) = server.endpoint.came
    assert invoke.body == b"5.1,3.5"
    assert invoke.container_headers()["Content-Type"] == "text/csv"
    assert invoke.container_headers()["X-Amzn-SageMaker-Custom-Attributes"] == "trace=0"


# Errors


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ModelError.timed_out(), ("ModelError", 424, "client", TYPED)),
        (ModelNotReady(), ("ModelNotReadyException", 429, "client", TYPED)),
        (InternalFailure("x"), ("InternalFailure", 500, "server", TYPED)),
        (ServiceUnavailable("x"), ("ServiceUnavailable", 503, "server", TYPED)),
        (InternalDependency("x"), ("InternalDependencyException", 530, "server", TYPED)),
        (Throttled(), ("ThrottlingException", 400, "client", BY_NAME)),
        (NotEmulated("this", "because."), ("NotEmulated", 501, "server", BY_NAME)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_failure_is_the_class_or_the_name_that_a_program_catches(
    server: Served, sdk: JavaScript, failure: RuntimeFailure, expected: tuple[object, ...]
) -> None:
    server.endpoint.give(failure)
    error = sdk.call(attempts=1)["error"]
    told = (error["name"], error["status"], error["fault"], error["typed"])
    assert told == expected
    assert error["service"], "it is a SageMakerRuntimeServiceException, at least"
    assert error["requestId"]


def test_a_model_error_has_the_containers_status_its_message_and_the_log_group(
    server: Served, sdk: JavaScript
) -> None:
    server.endpoint.give(ModelError.answered(503, b'{"why": "busy"}'))
    error = sdk.call()["error"]
    assert error["fields"] == {
        "OriginalStatusCode": 503,
        "OriginalMessage": '{"why": "busy"}',
        "LogStreamArn": GROUP,
        **{k: v for k, v in error["fields"].items() if k in {"Message", "ErrorCode"}},
    }
    assert error["message"].startswith(
        'Received server error (503) from primary with message "{"why": "busy"}". See https://'
    )


def test_an_unknown_endpoint_is_a_validation_error(server: Served, sdk: JavaScript) -> None:
    error = sdk.call(EndpointName="other")["error"]
    assert (error["name"], error["status"], error["attempts"]) == ("ValidationError", 400, 1)
    assert error["message"] == f"Endpoint other of account {ACCOUNT} not found."
    assert server.endpoint.came == []


def test_a_body_that_is_too_large_for_serverless_is_a_validation_error(
    server: Served, sdk: JavaScript
) -> None:
    error = sdk.call(body=b"x" * (4 * MIB + 1))["error"]
    assert (error["name"], error["attempts"]) == ("ValidationError", 1)
    assert error["message"] == f"Request {error['requestId']} has oversize body."


# Retries


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (Throttled(), 3),
        (ModelNotReady(), 3),
        (InternalFailure("x"), 3),
        (ServiceUnavailable("x"), 3),
        (ModelError.timed_out(), 1),
        (NotEmulated("this", "because."), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, RuntimeFailure) else "",
)
def test_it_retries_what_it_retries_on_aws_and_nothing_else(
    server: Served, sdk: JavaScript, failure: RuntimeFailure, sent: int
) -> None:
    server.endpoint.give(failure)
    error = sdk.call()["error"]
    assert (error["attempts"], len(server.endpoint.came)) == (sent, sent)


def test_a_throttled_call_that_finds_a_place_at_its_second_try_is_a_success(
    server: Served, sdk: JavaScript
) -> None:
    server.endpoint.give(Throttled(), answer())
    told = sdk.call()
    assert (told["status"], told["attempts"], len(server.endpoint.came)) == (200, 2, 2)


# Streams


STREAM = "InvokeEndpointWithResponseStream"


@pytest.fixture(scope="module")
def stream() -> Iterator[tuple[RealTime, JavaScript]]:
    endpoint = RealTime()
    with served(endpoint) as server:
        client = JavaScript(server.environment)
        yield endpoint, client
        client.close()


def test_a_stream_comes_part_by_part(stream: tuple[RealTime, JavaScript]) -> None:
    endpoint, sdk = stream
    endpoint.give(answer(x_amzn_sagemaker_custom_attributes="trace=1"))
    endpoint.parts = (b"one", b"\x00\xff", b"three")
    told = sdk.call(STREAM)
    assert [base64.b64decode(part) for part in told["parts"]] == [b"one", b"\x00\xff", b"three"]
    assert told["members"] == {
        "ContentType": "text/csv",
        "InvokedProductionVariant": "AllTraffic",
        "CustomAttributes": "trace=1",
    }


@pytest.mark.parametrize(
    ("failure", "fields"),
    [
        (ModelStreamError(StreamError.BROKEN), {"ErrorCode": "StreamBroken"}),
        (ModelStreamError(StreamError.TIME_EXCEEDED), {"ErrorCode": "ModelInvocationTimeExceeded"}),
        (InternalStreamFailure("x"), {}),
    ],
    ids=["broken", "timeout", "internal"],
)
def test_a_stream_that_fails_throws_the_typed_error_after_the_parts_that_came(
    stream: tuple[RealTime, JavaScript], failure: RuntimeFailure, fields: dict[str, str]
) -> None:
    endpoint, sdk = stream
    endpoint.give(answer())
    endpoint.parts = (b"half", failure)
    told = sdk.call(STREAM)
    assert [base64.b64decode(part) for part in told["parts"]] == [b"half"]
    error = told["error"]
    assert (error["name"], error["typed"]) == (failure.code, True)
    assert {name: error["fields"].get(name) for name in fields} == fields


def test_a_failure_before_the_first_part_is_an_error_of_the_call(
    stream: tuple[RealTime, JavaScript],
) -> None:
    endpoint, sdk = stream
    endpoint.give(ModelError.answered(500, b"no model"))
    error = sdk.call(STREAM)["error"]
    assert (error["name"], error["typed"], error["status"]) == ("ModelError", True, 424)
    assert error["fields"]["OriginalMessage"] == "no model"


def test_a_body_that_is_too_large_for_real_time_is_known_by_its_status_413_only(
    stream: tuple[RealTime, JavaScript],
) -> None:
    """AWS says it in a bare sentence (contract 3.35); the SDK takes it for JSON and throws what
    its parser throws.
    """
    endpoint, sdk = stream
    endpoint.give(answer())
    error = sdk.call(body=b"x" * (endpoint.wire_limits.payload_bytes + 1))["error"]
    assert (error["name"], error["status"], error["attempts"]) == ("SyntaxError", 413, 1)
    assert endpoint.came == []


def test_a_stream_is_refused_on_serverless(server: Served, sdk: JavaScript) -> None:
    error = sdk.call(STREAM)["error"]
    assert (error["name"], error["attempts"]) == ("NotEmulated", 1)
    assert STREAM in error["message"]


# Where it goes


def test_without_the_variable_it_would_go_to_aws_and_the_guard_of_these_tests_sees_it(
    server: Served,
) -> None:
    environment = server.environment
    del environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    client = JavaScript(environment)
    try:
        error = client.call(attempts=1)["error"]
    finally:
        client.close()
    assert error["message"].endswith("to connect to runtime.sagemaker.eu-west-1.amazonaws.com")
    assert server.endpoint.came == []


@pytest.mark.docker
def test_it_reaches_a_container() -> None:
    with ServerlessEndpoint("byoc-reference:latest") as endpoint:
        client = JavaScript({**bare_environment(), **endpoint.environment})
        try:
            csv = {"EndpointName": endpoint.name, "ContentType": "text/csv"}
            told = client.call(body=b"5.1,3.5,1.4,0.2\n", **csv)
            refused = client.call(body=b"no numbers", **csv)
        finally:
            client.close()
    assert base64.b64decode(told["body"]).startswith(b"setosa,")
    assert told["members"]["InvokedProductionVariant"] == "AllTraffic"
    assert refused["error"]["name"] == "ModelError"
    assert refused["error"]["fields"]["OriginalStatusCode"] == 400

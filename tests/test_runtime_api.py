"""Owns: what the HTTP server of SageMaker Runtime adds to the wire's forms: an unmodified boto3
reaches an endpoint and gets each of its answers. The endpoint here is a function.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.from_thread
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.api.server import RuntimeServer
from emulator.http import Outcome, Reply, Request
from emulator.limits import MIB
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    InternalDependency,
    InternalFailure,
    ModelNotReady,
    NotEmulated,
    RuntimeFailure,
    ServiceUnavailable,
    Throttled,
)
from emulator.wire import Invoke, WireLimits

SENT = Request(method="POST", path="/invocations")
ANSWER = Reply(
    request=SENT,
    outcome=Outcome.ANSWERED,
    seconds=0.0,
    status=200,
    headers={"content-type": "text/csv"},
    body=b"setosa,0.97\n",
    body_bytes=12,
)
Behaviour = Callable[[Invoke], Reply]


@dataclass(kw_only=True)
class Endpoint:
    """Answers with what `behaviour` returns or raises. With a `barrier` only when all are there."""

    wire_limits: WireLimits = field(default_factory=lambda: WireLimits.of("serverless"))
    behaviour: Behaviour = lambda invoke: ANSWER
    came: list[Invoke] = field(default_factory=list)
    barrier: int = 1
    all_there: asyncio.Event = field(default_factory=asyncio.Event)

    async def invoke(self, invoke: Invoke) -> Reply:
        self.came.append(invoke)
        if len(self.came) >= self.barrier:
            self.all_there.set()
        await self.all_there.wait()
        return self.behaviour(invoke)


@dataclass(kw_only=True)
class Served:
    """A server that runs in a thread of its own."""

    url: str
    endpoint: Endpoint
    boto3: Any

    def invoke(self, name: str = "iris", **members: Any) -> Any:
        return self.boto3.invoke_endpoint(EndpointName=name, **{"Body": b"1,2", **members})

    def error(self, name: str = "iris", **members: Any) -> dict[str, Any]:
        """The parsed error, with the name of its exception's class."""
        with pytest.raises(ClientError) as caught:
            self.invoke(name, **members)
        return {**caught.value.response, "class": type(caught.value).__name__}

    def plain(
        self, method: str, path: str, body: bytes | None = None, headers: Any = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Without a client that knows better."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, got, answer.read()
        finally:
            connection.close()


def make_client(url: str, **config: Any) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(
            retries={"total_max_attempts": 1}, max_pool_connections=50, read_timeout=20, **config
        ),
    )


@pytest.fixture(scope="module")
def module_served() -> Iterator[Served]:
    endpoint = Endpoint()
    with anyio.from_thread.start_blocking_portal() as portal:

        async def build() -> RuntimeServer:
            return RuntimeServer({"iris": endpoint}, region="eu-west-1", account="123456789012")

        server = portal.call(build)
        url = portal.call(server.start)
        client = make_client(url)
        try:
            yield Served(url=url, endpoint=endpoint, boto3=client)
        finally:
            client.close()
            portal.call(server.close)
            portal.call(server.close)


@pytest.fixture
def served(module_served: Served) -> Served:
    endpoint = module_served.endpoint
    endpoint.came, endpoint.behaviour, endpoint.barrier = [], lambda invoke: ANSWER, 1
    endpoint.all_there = asyncio.Event()
    return module_served


def raises(failure: RuntimeFailure) -> Behaviour:
    def behaviour(invoke: Invoke) -> Reply:
        raise failure

    return behaviour


# Successes


def test_boto3_gets_the_containers_answer_and_what_the_service_adds(served: Served) -> None:
    headers = {
        "content-type": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "trace=1",
        "x-model-version": "7",
        "set-cookie": "a=b",
    }
    served.endpoint.behaviour = lambda invoke: replace(ANSWER, headers=headers, status=201)
    got = served.invoke()
    assert got["Body"].read() == b"setosa,0.97\n"
    assert got["ContentType"] == "text/csv"
    assert got["InvokedProductionVariant"] == "AllTraffic"
    assert got["CustomAttributes"] == "trace=1"
    told = got["ResponseMetadata"]
    assert told["HTTPStatusCode"] == 200
    assert told["RequestId"]
    assert not {"x-model-version", "set-cookie"} & set(told["HTTPHeaders"])


def test_each_request_has_an_id_of_its_own(served: Served) -> None:
    ids = {served.invoke()["ResponseMetadata"]["RequestId"] for _ in range(3)}
    assert len(ids) == 3


def test_only_the_headers_that_aws_forwards_reach_the_endpoint(served: Served) -> None:
    served.invoke(
        Body=b"\x00\xff",
        ContentType="application/x-npy",
        Accept="application/json",
        CustomAttributes="trace=1",
        TargetVariant="AllTraffic",
        InferenceId="id-1",
    )
    (invoke,) = served.endpoint.came
    assert invoke.body == b"\x00\xff"
    assert invoke.container_headers() == {
        "Content-Type": "application/x-npy",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Inference-Id": "id-1",
    }


def test_a_compressed_body_reaches_the_endpoint_as_it_came(served: Served) -> None:
    served.plain(
        "POST", "/endpoints/iris/invocations", b"not really gzip", {"Content-Encoding": "gzip"}
    )
    assert [invoke.body for invoke in served.endpoint.came] == [b"not really gzip"]


def test_an_empty_body_is_a_request_too(served: Served) -> None:
    served.invoke(Body=b"")
    assert [invoke.body for invoke in served.endpoint.came] == [b""]


def test_a_name_may_be_percent_encoded(served: Served) -> None:
    status, _, _ = served.plain("POST", "/endpoints/%69r%69s/invocations", b"x")
    assert status == 200
    assert [invoke.endpoint for invoke in served.endpoint.came] == ["iris"]


def test_fifty_requests_run_at_the_same_time(served: Served) -> None:
    served.endpoint.barrier = 50
    served.endpoint.behaviour = lambda invoke: replace(ANSWER, body=invoke.body)
    start = threading.Barrier(50)

    def call(number: int) -> bool:
        start.wait()
        return bool(served.invoke(Body=str(number).encode())["Body"].read() == str(number).encode())

    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(call, range(50)))
    assert len(served.endpoint.came) == 50


# Errors


@pytest.mark.parametrize(
    ("failure", "status", "code", "class_name"),
    [
        (ModelError.answered(503, b"busy"), 424, "ModelError", "ModelError"),
        (ModelError.timed_out(), 424, "ModelError", "ModelError"),
        (ModelError.out_of_memory(), 424, "ModelError", "ModelError"),
        (Throttled(), 400, "ThrottlingException", "ClientError"),
        (ModelNotReady(), 429, "ModelNotReadyException", "ModelNotReadyException"),
        (InternalFailure("x"), 500, "InternalFailure", "InternalFailure"),
        (ServiceUnavailable("x"), 503, "ServiceUnavailable", "ServiceUnavailable"),
        (InternalDependency("x"), 530, "InternalDependencyException",
         "InternalDependencyException"),
        (NotEmulated("this", "because."), 501, "NotEmulated", "ClientError"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_each_failure_is_the_typed_exception_of_boto3(
    served: Served, failure: RuntimeFailure, status: int, code: str, class_name: str
) -> None:
    served.endpoint.behaviour = raises(failure)
    error = served.error()
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error["class"] == class_name


def test_a_model_error_names_the_endpoint_the_region_and_the_account(served: Served) -> None:
    served.endpoint.behaviour = raises(ModelError.answered(500, b"no model"))
    error = served.error()
    assert error["OriginalStatusCode"] == 500
    assert error["OriginalMessage"] == "no model"
    group = "log-group:/aws/sagemaker/Endpoints/iris"
    assert error["LogStreamArn"] == f"arn:aws:logs:eu-west-1:123456789012:{group}"


def test_a_throttled_call_has_no_message(served: Served) -> None:
    served.endpoint.behaviour = raises(Throttled())
    with pytest.raises(ClientError, match=r"\(ThrottlingException\).*: None$"):
        served.invoke()


def test_an_unexpected_exception_is_an_internal_failure_and_logged(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.endpoint.behaviour = lambda invoke: replace(ANSWER, nothing=1)
    error = served.error()
    assert error["Error"]["Code"] == "InternalFailure"
    assert "byoc failed, not the model" in error["Error"]["Message"]
    assert "TypeError" in caplog.text


def test_an_unknown_endpoint_is_a_validation_error(served: Served) -> None:
    error = served.error("other")
    assert error["Error"]["Code"] == "ValidationError"
    assert error["Error"]["Message"] == "Endpoint other of account 123456789012 not found."


def test_a_name_that_is_too_long_is_a_validation_error(served: Served) -> None:
    status, headers, body = served.plain("POST", f"/endpoints/{'x' * 64}/invocations", b"x")
    assert status == 400
    assert headers["x-amzn-errortype"] == "ValidationError"
    assert "length less than or equal to 63" in json.loads(body)["Message"]


@pytest.mark.parametrize(
    "name", ["a%2Fb", "..%2F..", "%00", "a%0d%0aSet-Cookie:x", "%ff", "a b%20"]
)
def test_a_name_that_is_none_is_a_validation_error(served: Served, name: str) -> None:
    path = f"/endpoints/{name.replace(' ', '%20')}/invocations"
    status, headers, _ = served.plain("POST", path, b"x")
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/iris/invocations"),
        ("PUT", "/endpoints/iris/invocations"),
        ("POST", "/"),
        ("POST", "/endpoints/iris"),
        ("POST", "/endpoints/iris/invocations/more"),
        ("POST", "/endpoints//invocations"),
        ("OPTIONS", "/endpoints/iris/invocations"),
    ],
)
def test_what_is_no_operation_is_unknown(served: Served, method: str, path: str) -> None:
    status, _, body = served.plain(method, path, b"x")
    assert (status, body) == (404, b"<UnknownOperationException/>\n")
    assert served.endpoint.came == []


def test_response_streaming_is_refused_on_serverless(served: Served) -> None:
    with pytest.raises(ClientError, match="byoc does not emulate InvokeEndpointWithResponseStream"):
        served.boto3.invoke_endpoint_with_response_stream(EndpointName="iris", Body=b"x")


def test_a_variant_that_is_not_there_is_a_validation_error(served: Served) -> None:
    error = served.error(TargetVariant="blue")
    assert error["Error"]["Code"] == "ValidationError"
    assert "Variant blue" in error["Error"]["Message"]


# Size


def test_a_body_at_the_limit_passes(served: Served) -> None:
    served.invoke(Body=b"x" * 4 * MIB)
    assert [len(invoke.body) for invoke in served.endpoint.came] == [4 * MIB]


@pytest.mark.parametrize("size", [4 * MIB + 1, 30 * MIB])
def test_a_body_over_the_limit_is_answered_and_not_reset(served: Served, size: int) -> None:
    error = served.error(Body=b"x" * size)
    assert error["Error"]["Code"] == "ValidationError"
    request_id = error["ResponseMetadata"]["RequestId"]
    assert error["Error"]["Message"] == f"Request {request_id} has oversize body."
    assert served.endpoint.came == []
    served.invoke()


def test_a_body_without_a_length_is_measured_as_it_comes(served: Served) -> None:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    pieces = (b"x" * MIB for _ in range(6))
    path = "/endpoints/iris/invocations"
    connection.request("POST", path, body=pieces, encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"has oversize body" in answer.read()
    connection.close()


@pytest.mark.parametrize("path", ["/nowhere", "/endpoints/other/invocations"])
def test_what_is_refused_without_a_look_at_its_body_is_answered_and_not_reset(
    served: Served, path: str
) -> None:
    status, _, _ = served.plain("POST", path, b"x" * 10 * MIB)
    assert status in (400, 404)


def test_a_body_that_breaks_off_reaches_nobody_and_is_no_failure_of_ours(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            b"POST /endpoints/iris/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 100\r\n\r\nonly this"
        )
    served.invoke()
    assert [invoke.body for invoke in served.endpoint.came] == [b"1,2"]
    assert caplog.text == ""


# The port


def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing(served: Served) -> None:
    async def try_it() -> None:
        server = RuntimeServer({})
        with pytest.raises(OSError, match="in use"):
            await server.start(int(served.url.rpartition(":")[2]))
        assert server.url == ""
        await server.close()

    asyncio.run(try_it())


def test_it_listens_on_the_loopback_only(served: Served) -> None:
    assert served.url.startswith("http://127.0.0.1:")


def test_closing_does_not_wait_for_clients_that_keep_their_connection() -> None:
    async def whole() -> float:
        loop = asyncio.get_running_loop()
        server = RuntimeServer({"iris": Endpoint()})
        url = await server.start()
        client = make_client(url)
        await asyncio.to_thread(lambda: client.invoke_endpoint(EndpointName="iris", Body=b"x"))
        began = loop.time()
        await server.close()
        took = loop.time() - began
        client.close()
        return took

    assert asyncio.run(whole()) < 1.0

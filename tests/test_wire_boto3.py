"""Owns: what an unmodified boto3 makes of the wire's answers, over real HTTP on 127.0.0.1. The
server is Python's own; everything that it says comes from the wire's modules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import botocore.endpoint
import botocore.session
import pytest
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from emulator import eventstream
from emulator.http import Outcome, Reply, Request
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    ContentTooLarge,
    InternalDependency,
    InternalFailure,
    InternalStreamFailure,
    ModelNotReady,
    ModelStreamError,
    Place,
    RuntimeFailure,
    ServiceUnavailable,
    StreamError,
    Throttled,
    ValidationError,
)
from emulator.wire import Invoke, WireLimits, parse_invoke
from emulator.wire_answers import Response, render_failure, render_stream, render_success

ACCOUNT = "123456789012"
GROUP = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/iris"
SEE = (
    "See https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
    f"#logEventViewer:group=/aws/sagemaker/Endpoints/iris in account {ACCOUNT} for more"
    " information."
)
PLACE = Place(endpoint="iris", request_id="r-1", region="eu-west-1", account=ACCOUNT)

Behaviour = Callable[[Invoke], Response]


@dataclass(kw_only=True)
class Runtime:
    """The server's side: what it does with an `Invoke`, and which ones came."""

    port: int = 0
    limits: WireLimits = field(default_factory=lambda: WireLimits.of("realtime"))
    behaviour: Behaviour | None = None
    came: list[Invoke] = field(default_factory=list)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Response:
        url = urlsplit(target)
        try:
            taken = parse_invoke(
                method, url.path, url.query, headers.items(), body, limits=self.limits
            )
            self.came.append(taken)
            assert self.behaviour is not None
            return self.behaviour(taken)
        except RuntimeFailure as failure:
            return render_failure(failure, PLACE)


@pytest.fixture(scope="module")
def server() -> Iterator[Runtime]:
    runtime = Runtime()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            response = runtime.answer(self.command, self.path, self.headers, body)
            self.send_response_only(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        runtime.port = httpd.server_address[1]
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield runtime
        httpd.shutdown()
        thread.join()


@pytest.fixture
def runtime(server: Runtime) -> Runtime:
    server.came.clear()
    server.behaviour = None
    server.limits = WireLimits.of("realtime")
    return server


def make_client(server: Runtime, retries: dict[str, Any]) -> Any:
    core = botocore.session.Session()
    core.set_config_variable("config_file", "/dev/null")
    core.set_config_variable("credentials_file", "/dev/null")
    return Session(botocore_session=core).client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries=retries),
    )


@pytest.fixture(scope="module")
def client(server: Runtime) -> Iterator[Any]:
    made = make_client(server, {"total_max_attempts": 1, "mode": "standard"})
    yield made
    made.close()


def fails_with(runtime: Runtime, failure: RuntimeFailure) -> None:
    def behaviour(taken: Invoke) -> Response:
        raise failure

    runtime.behaviour = behaviour


def caught(client: Any, **arguments: Any) -> ClientError:
    with pytest.raises(ClientError) as error:
        client.invoke_endpoint(**{"EndpointName": "iris", "Body": b"1,2", **arguments})
    return error.value


def reply(body: bytes, headers: dict[str, str]) -> Reply:
    return Reply(
        request=Request(method="POST", path="/invocations"),
        outcome=Outcome.ANSWERED,
        seconds=0.0,
        status=200,
        headers=headers,
        body=body,
        body_bytes=len(body),
    )


def test_a_success_has_the_fields_of_a_success(runtime: Runtime, client: Any) -> None:
    said = reply(
        b"\x93NUMPY\x00\xff",
        {
            "content-type": "application/x-npy",
            "x-amzn-sagemaker-custom-attributes": "trace=1",
            "x-amzn-sagemaker-new-session-id": "s-1; Expires=2030-01-01T00:00:00Z",
            "server": "nginx",
        },
    )
    runtime.behaviour = lambda _taken: render_success(said, "AllTraffic", "r-7")
    got = client.invoke_endpoint(EndpointName="iris", Body=b"1,2")
    assert got["Body"].read() == said.body
    assert got["ContentType"] == "application/x-npy"
    assert got["InvokedProductionVariant"] == "AllTraffic"
    assert got["CustomAttributes"] == "trace=1"
    assert got["NewSessionId"] == "s-1; Expires=2030-01-01T00:00:00Z"
    assert "ClosedSessionId" not in got
    metadata = got["ResponseMetadata"]
    assert (metadata["RequestId"], metadata["HTTPStatusCode"]) == ("r-7", 200)
    assert "server" not in metadata["HTTPHeaders"]


def test_every_argument_arrives_and_nothing_else_reaches_the_container(
    runtime: Runtime, client: Any
) -> None:
    runtime.behaviour = lambda _taken: render_success(reply(b"ok", {}), "AllTraffic", "r-1")
    got = client.invoke_endpoint(
        EndpointName="iris", Body=b"\x00\xff" * 3, ContentType="text/csv", Accept="text/csv",
        CustomAttributes="trace=1", TargetVariant="AllTraffic", InferenceId="id 1",
        SessionId="NEW_SESSION", PrefixAwareId="app",
    )  # fmt: skip
    got["Body"].close()
    (taken,) = runtime.came
    assert taken.body == b"\x00\xff" * 3
    assert taken.container_headers() == {
        "Content-Type": "text/csv",
        "Accept": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Inference-Id": "id 1",
        "X-Amzn-SageMaker-Session-Id": "NEW_SESSION",
        "X-Amzn-SageMaker-Prefix-Aware-Id": "app",
    }


def test_without_arguments_boto3_sends_nothing_that_reaches_the_container(
    runtime: Runtime, client: Any
) -> None:
    runtime.behaviour = lambda _taken: render_success(reply(b"ok", {}), "AllTraffic", "r-1")
    got = client.invoke_endpoint(EndpointName="iris", Body=b"")
    got["Body"].close()
    assert runtime.came[0].container_headers() == {}
    assert "ContentType" not in got


TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the"
    " latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


@pytest.mark.parametrize(
    ("failure", "original", "message"),
    [
        (
            ModelError.answered(500, "größe".encode()),
            "größe",
            f'Received server error (500) from primary with message "größe". {SEE}',
        ),
        (
            ModelError.answered(404, b'{"code": 404}'),
            '{"code": 404}',
            f'Received client error (404) from primary with message "{{"code": 404}}". {SEE}',
        ),
        (
            ModelError.timed_out(),
            TIMED_OUT,
            f'Received server error (0) from primary with message "{TIMED_OUT}". {SEE}',
        ),
    ],
    ids=["server", "client", "timeout"],
)
def test_a_model_error_is_typed_and_has_its_fields(
    runtime: Runtime, client: Any, failure: ModelError, original: str, message: str
) -> None:
    fails_with(runtime, failure)
    error = caught(client)
    assert type(error) is client.exceptions.ModelError
    assert str(error) == (
        "An error occurred (ModelError) when calling the InvokeEndpoint operation (reached max"
        f" retries: 0): {message}"
    )
    metadata = error.response["ResponseMetadata"]
    response = {key: value for key, value in error.response.items() if key != "ResponseMetadata"}
    assert response == {
        "Error": {"Code": "ModelError", "Message": message},
        "Message": message,
        "OriginalStatusCode": int(message.partition("(")[2].partition(")")[0]),
        "OriginalMessage": original,
        "LogStreamArn": GROUP,
    }
    assert (metadata["RequestId"], metadata["HTTPStatusCode"]) == ("r-1", 424)


def test_out_of_memory_is_found_as_awss_benchmark_looks_for_it(
    runtime: Runtime, client: Any
) -> None:
    fails_with(runtime, ModelError.out_of_memory())
    error = caught(client)
    assert error.response["Error"]["Code"] == "ModelError"
    assert "insufficient memory" in error.response["Error"]["Message"]


def test_a_throttle_is_a_client_error_that_says_none(runtime: Runtime, client: Any) -> None:
    fails_with(runtime, Throttled())
    error = caught(client)
    assert type(error) is ClientError
    assert error.response["Error"] == {"Code": "ThrottlingException", "Message": None}
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert str(error).startswith("An error occurred (ThrottlingException) when calling the")
    assert str(error).endswith(": None")


@pytest.mark.parametrize(
    ("failure", "name", "status"),
    [
        (ModelNotReady(), "ModelNotReadyException", 429),
        (InternalFailure("It broke."), "InternalFailure", 500),
        (ServiceUnavailable("Try again."), "ServiceUnavailable", 503),
        (InternalDependency("Another broke."), "InternalDependencyException", 530),
    ],
)
def test_a_modelled_error_is_its_modelled_class(
    runtime: Runtime, client: Any, failure: RuntimeFailure, name: str, status: int
) -> None:
    fails_with(runtime, failure)
    error = caught(client)
    assert type(error) is getattr(client.exceptions, name)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error.response["Error"] == {"Code": name, "Message": failure.message(PLACE)}


def test_an_unknown_endpoint_is_a_validation_error(runtime: Runtime, client: Any) -> None:
    fails_with(runtime, ValidationError.endpoint_not_found())
    error = caught(client)
    assert type(error) is client.exceptions.ValidationError
    assert error.response["Error"] == {
        "Code": "ValidationError",
        "Message": f"Endpoint iris of account {ACCOUNT} not found.",
    }


def test_a_bad_endpoints_name_is_a_validation_error(runtime: Runtime, client: Any) -> None:
    error = caught(client, EndpointName="my_iris/../x")
    assert type(error) is client.exceptions.ValidationError
    assert error.response["Error"]["Message"] == (
        "1 validation error detected: Value 'my_iris/../x' at 'endpointName' failed to satisfy"
        " constraint: Member must satisfy regular expression pattern:"
        " ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
    )
    assert runtime.came == []


def test_an_oversize_serverless_body_is_a_validation_error(runtime: Runtime, client: Any) -> None:
    runtime.limits = WireLimits.of("serverless")
    error = caught(client, Body=bytes(4 * 1024 * 1024 + 1))
    assert type(error) is client.exceptions.ValidationError
    assert error.response["Error"]["Message"] == "Request r-1 has oversize body."


def test_an_oversize_realtime_body_is_a_413_without_a_type(runtime: Runtime, client: Any) -> None:
    fails_with(runtime, ContentTooLarge(26214400))
    error = caught(client)
    assert type(error) is ClientError
    assert str(error) == (
        "An error occurred (413) when calling the InvokeEndpoint operation (reached max retries:"
        " 0): HTTP content length exceeded 26214400 bytes."
    )


def test_an_argument_that_is_not_emulated_is_refused_by_its_name(
    runtime: Runtime, client: Any
) -> None:
    error = caught(client, TargetContainerHostname="second")
    assert error.response["Error"]["Code"] == "NotEmulated"
    assert "TargetContainerHostname" in error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_an_asynchronous_invocation_is_refused_by_its_name(runtime: Runtime, client: Any) -> None:
    with pytest.raises(ClientError) as error:
        client.invoke_endpoint_async(EndpointName="iris", InputLocation="s3://bucket/key")
    assert error.value.response["Error"]["Code"] == "NotEmulated"
    assert "InvokeEndpointAsync" in error.value.response["Error"]["Message"]
    assert "X-Amzn-SageMaker-InputLocation" in error.value.response["Error"]["Message"]


def streams(runtime: Runtime, *events: bytes) -> None:
    head = render_stream({"content-type": "text/plain"}, "AllTraffic", "r-1")
    runtime.behaviour = lambda _taken: Response(
        status=head.status, headers=head.headers, body=b"".join(events)
    )


def test_a_stream_arrives_in_parts(runtime: Runtime, client: Any) -> None:
    streams(runtime, *eventstream.parts(b"one two", 4))
    got = client.invoke_endpoint_with_response_stream(
        EndpointName="iris", Body=b"x", ContentType="text/csv", Accept="text/plain"
    )
    assert [part["PayloadPart"]["Bytes"] for part in got["Body"]] == [b"one ", b"two"]
    assert (got["ContentType"], got["InvokedProductionVariant"]) == ("text/plain", "AllTraffic")
    assert runtime.came[0].container_headers() == {
        "Content-Type": "text/csv",
        "Accept": "text/plain",
    }


@pytest.mark.parametrize(
    "failure",
    [
        ModelStreamError(StreamError.TIME_EXCEEDED),
        ModelStreamError(StreamError.BROKEN),
        InternalStreamFailure("Try your request again."),
    ],
    ids=["timeout", "broken", "internal"],
)
def test_a_stream_that_fails_raises_after_the_parts_that_came(
    runtime: Runtime, client: Any, failure: RuntimeFailure
) -> None:
    streams(runtime, *eventstream.parts(b"half"), eventstream.failure(failure, PLACE))
    got = client.invoke_endpoint_with_response_stream(EndpointName="iris", Body=b"x")
    parts: list[bytes] = []
    with pytest.raises(EventStreamError) as error:
        parts.extend(part["PayloadPart"]["Bytes"] for part in got["Body"])
    assert parts == [b"half"]
    # botocore drops ErrorCode of an exception in a stream; that it is sent is in test_wire.py.
    assert error.value.response == {
        "Error": {"Code": failure.code, "Message": failure.message(PLACE)}
    }


def test_a_stream_is_refused_on_serverless(runtime: Runtime, client: Any) -> None:
    runtime.limits = WireLimits.of("serverless")
    with pytest.raises(ClientError, match="NotEmulated") as error:
        client.invoke_endpoint_with_response_stream(EndpointName="iris", Body=b"x")
    assert "InvokeEndpointWithResponseStream" in error.value.response["Error"]["Message"]


@pytest.mark.parametrize(("mode", "most"), [("legacy", 5), ("standard", 3)])
def test_botocore_repeats_a_throttle_and_never_a_model_error(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, mode: str, most: int
) -> None:
    # Its waits between attempts are its own business; the number of attempts is ours.
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _seconds: None))
    client = make_client(runtime, {"mode": mode})
    fails_with(runtime, Throttled())
    error = caught(client)
    assert [taken.attempt for taken in runtime.came] == list(range(1, most + 1))
    assert str(error).endswith(f"(reached max retries: {most - 1}): None")
    runtime.came.clear()
    fails_with(runtime, ModelError.answered(500, b"boom"))
    assert type(caught(client)) is client.exceptions.ModelError
    assert [taken.attempt for taken in runtime.came] == [1]
    client.close()

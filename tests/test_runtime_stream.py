"""Owns: that a container's stream reaches an unmodified boto3 piece by piece, with its errors. The
endpoint here is a function that gives pieces when a test says so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from anyio.from_thread import BlockingPortal
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from emulator.limits import MIB
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    InternalStreamFailure,
    ModelStreamError,
    RuntimeFailure,
    StreamError,
    Throttled,
)
from emulator.wire import Invoke, WireLimits
from tests.front_world import Echo, Front, front

PATH = "/endpoints/iris/invocations-response-stream"
Given = bytes | Exception | None


@dataclass(frozen=True, kw_only=True)
class Stream:
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]


@dataclass(kw_only=True)
class Streams(Echo):
    """Gives what is put into `pieces`, until None; an exception is raised."""

    wire_limits: WireLimits = field(default_factory=lambda: WireLimits.of("realtime"))
    first: RuntimeFailure | None = None
    pieces: asyncio.Queue[Given] = field(default_factory=asyncio.Queue)
    given: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    async def invoke_stream(self, invoke: Invoke) -> Stream:
        self.came.append(invoke)
        if self.first is not None:
            raise self.first
        headers = {
            "content-type": "text/event-stream",
            "x-amzn-sagemaker-custom-attributes": "trace=1",
            "set-cookie": "a=b",
        }
        return Stream(headers=headers, parts=self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self.pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                self.given += 1
                yield piece
        finally:
            self.closed.set()


@dataclass(kw_only=True)
class Client:
    front: Front
    endpoint: Streams
    portal: BlockingPortal
    boto3: Any

    def give(self, *pieces: Given) -> None:
        for piece in pieces:
            self.portal.call(self.endpoint.pieces.put, piece)

    def invoke(self, **members: Any) -> Any:
        return self.boto3.invoke_endpoint_with_response_stream(
            EndpointName="iris", **{"Body": b"1,2", **members}
        )


@pytest.fixture(scope="module")
def module_client() -> Iterator[Client]:
    endpoint = Streams()
    with front(endpoint) as opened:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=opened.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )
        yield Client(front=opened, endpoint=endpoint, portal=opened.portal, boto3=client)
        client.close()


@pytest.fixture
def client(module_client: Client) -> Client:
    endpoint = module_client.endpoint
    endpoint.came, endpoint.first, endpoint.given = [], None, 0
    endpoint.pieces, endpoint.closed = asyncio.Queue(), threading.Event()
    return module_client


def bytes_of(event: dict[str, Any]) -> bytes:
    return bytes(event["PayloadPart"]["Bytes"])


def test_each_piece_is_there_before_the_next_one_is_made(client: Client) -> None:
    client.give(b"first")
    events = iter(client.invoke()["Body"])
    assert bytes_of(next(events)) == b"first"
    client.give(b"second")
    assert bytes_of(next(events)) == b"second"
    client.give(None)
    assert list(events) == []


def test_the_head_has_what_the_container_said_and_what_the_service_adds(client: Client) -> None:
    client.give(None)
    got = client.invoke(ContentType="text/csv", Accept="text/event-stream", CustomAttributes="a=1")
    assert got["ContentType"] == "text/event-stream"
    assert got["CustomAttributes"] == "trace=1"
    assert got["InvokedProductionVariant"] == "AllTraffic"
    told = got["ResponseMetadata"]
    assert told["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"
    assert told["HTTPHeaders"]["x-amzn-requestid"] == told["RequestId"]
    assert "set-cookie" not in told["HTTPHeaders"]
    assert list(got["Body"]) == []
    (invoke,) = client.endpoint.came
    assert invoke.body == b"1,2"
    assert invoke.container_headers() == {
        "Content-Type": "text/csv",
        "Accept": "text/event-stream",
        "X-Amzn-SageMaker-Custom-Attributes": "a=1",
    }


def test_a_piece_longer_than_an_event_may_be_comes_in_several(client: Client) -> None:
    piece = bytes(range(256)) * 4096 * 30  # 30 MiB
    client.give(piece, None)
    events = [bytes_of(event) for event in client.invoke()["Body"]]
    assert len(events) == 2
    assert b"".join(events) == piece


def test_the_connection_serves_the_next_request_after_a_stream(client: Client) -> None:
    client.give(b"a", None, b"b", None)
    for piece in (b"a", b"b"):
        assert [bytes_of(event) for event in client.invoke()["Body"]] == [piece]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ModelStreamError(StreamError.BROKEN), "ModelStreamError"),
        (ModelStreamError(StreamError.TIME_EXCEEDED), "ModelStreamError"),
        (InternalStreamFailure("the engine is gone"), "InternalStreamFailure"),
        (LookupError("a mistake of ours"), "InternalStreamFailure"),
    ],
    ids=repr,
)
def test_a_failure_in_the_middle_is_the_last_event(
    client: Client, failure: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.give(b"first", failure)
    with closing(client.invoke()["Body"]) as body:
        events = iter(body)
        assert bytes_of(next(events)) == b"first"
        with pytest.raises(EventStreamError) as caught:
            next(events)
    assert caught.value.response["Error"]["Code"] == code
    assert ("a mistake of ours" in caplog.text) == isinstance(failure, LookupError)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(ModelError.answered(500, b"no model"), "ModelError"), (Throttled(), "ThrottlingException")],
    ids=repr,
)
def test_a_failure_before_the_first_byte_is_an_http_answer(
    client: Client, failure: RuntimeFailure, code: str
) -> None:
    client.endpoint.first = failure
    with pytest.raises(ClientError) as caught:
        client.invoke()
    assert caught.value.response["Error"]["Code"] == code


def test_an_oversize_body_is_refused_before_the_model_is_asked(client: Client) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke(Body=bytes(client.endpoint.wire_limits.payload_bytes + 1))
    assert caught.value.response["Error"]["Code"] == "413"
    assert client.endpoint.came == []


def test_an_endpoint_without_streams_says_so() -> None:
    with front(Echo(wire_limits=WireLimits.of("realtime"))) as opened:
        answer = opened.post(path=PATH)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (501, "NotEmulated")
    assert b"whole answers only" in answer.body


def test_a_caller_that_does_not_read_stops_the_container(client: Client) -> None:
    """Its pieces wait in the container, not in our memory."""
    many = 200
    with client.front.connect() as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        client.give(*[bytes(MIB)] * many)
        before = -1
        while before != client.endpoint.given:  # until nothing moves any more
            before = client.endpoint.given
            time.sleep(0.1)
        assert 0 < client.endpoint.given < many / 4
    assert client.endpoint.closed.wait(5)


def test_the_containers_stream_is_closed_when_the_caller_goes_away(client: Client) -> None:
    client.give(b"first")
    body = client.invoke()["Body"]
    assert bytes_of(next(iter(body))) == b"first"
    body.close()
    assert client.endpoint.closed.wait(5)
    client.endpoint.pieces = asyncio.Queue()
    client.give(b"next", None)
    assert [bytes_of(event) for event in client.invoke()["Body"]] == [b"next"]

"""Owns: that emulator/http_direct.py keeps every claim of emulator/http.py, and when it uses a
connection again.
"""

# ruff: noqa: F401 - the claims of another module are run here again

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from emulator.http_direct import KEPT_SECONDS, DirectHttp
from emulator.http_values import Outcome
from emulator.instance import invocation
from emulator.loop import run
from tests import test_http
from tests.test_http import (  # the same claims
    GET,
    LONG_ENOUGH,
    Serve,
    content_length,
    read_head,
    reset,
    serving,
    test_a_413_before_the_body_was_read_is_an_answer_or_a_reset,
    test_a_body_of_any_size_arrives_unchanged_and_without_a_warning,
    test_a_body_that_nobody_reads_is_cut_at_the_timeout_too,
    test_a_compressed_body_stays_compressed,
    test_a_hang_is_cut_at_the_timeout,
    test_a_header_keeps_its_spelling,
    test_a_held_body_comes_in_two_halves_with_its_whole_length_announced,
    test_a_large_answer_is_counted_whole_and_kept_up_to_the_cap,
    test_a_path_is_sent_as_it_is,
    test_a_ping_on_the_wire_is_the_platforms_and_nothing_else,
    test_a_port_on_which_nobody_listens_is_refused,
    test_a_redirect_is_not_followed,
    test_an_answer_is_read_however_it_is_framed,
    test_an_invocation_on_the_wire_is_the_platforms_and_a_length,
    test_closing_twice_is_closing_once_and_unused_is_fine,
    test_cookies_are_not_kept_for_the_next_request,
    test_each_request_has_a_connection_of_its_own,
    test_every_status_is_an_answer,
    test_large_headers_are_taken,
    test_nothing_is_added_but_host_and_lengths,
    test_proxy_variables_of_the_environment_are_ignored,
    test_repeated_headers_are_joined_under_their_lower_case_name,
    test_what_goes_wrong_is_told_not_raised,
    test_without_a_host_the_real_one_is_sent,
)

KEPT = (
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/csv\r\n"
    b"Content-Length: 2\r\n\r\nok"
)


@pytest.fixture
def direct(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    client = functools.partial(DirectHttp, keep_alive=request.param)
    monkeypatch.setattr(test_http, "AiohttpHttp", client)


both = pytest.mark.parametrize(
    "direct", [False, True], ids=["own connections", "kept ones"], indirect=True
)
"""For what asks with the client that the other module has; `with_client` has its own."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function.__module__ != __name__:
        metafunc.fixturenames.append("direct")
        metafunc.parametrize(*both.args, **both.kwargs)


Asks = Callable[[DirectHttp, str], Coroutine[Any, Any, None]]


def with_client(serve: Serve, asks: Asks, *, keep_alive: bool = True) -> None:
    async def whole() -> None:
        client = DirectHttp(keep_alive=keep_alive)
        try:
            async with serving(serve) as base_url:
                await asks(client, base_url)
        finally:
            await client.close()

    run(whole())


class Answering:
    """A server that says the same to each request; `seen` has the connection of each."""

    def __init__(self, said: bytes, then: Callable[[asyncio.StreamWriter], None] | None = None):
        self.said, self.then = said, then
        self.seen: list[int] = []
        self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                await reader.readexactly(content_length(await read_head(reader)))
                self.seen.append(id(writer))
                writer.write(self.said)
                await writer.drain()
                if self.then is not None:
                    self.then(writer)
        finally:
            self.open -= 1


async def twice(client: DirectHttp, base_url: str) -> None:
    for _ in range(2):
        assert (await client.send(base_url, invocation(b"1,2", "text/csv"), LONG_ENOUGH)).ok


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_ENOUGH):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_a_connection_that_the_container_promised_to_keep_is_used_again() -> None:
    server = Answering(KEPT)
    with_client(server, twice)
    assert len(set(server.seen)) == 1


def test_chunks_and_no_content_end_an_answer_too() -> None:
    keep = b"Connection: keep-alive\r\n"
    for said in (
        b"HTTP/1.1 200 OK\r\n" + keep + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n" + keep + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + KEPT,
    ):
        server = Answering(said)
        with_client(server, twice)
        assert len(set(server.seen)) == 1, said


@pytest.mark.parametrize(
    "said",
    [
        KEPT.replace(b"Connection: keep-alive\r\n", b""),
        KEPT.replace(b"keep-alive", b"close"),
        KEPT.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"keep-alive", b"close"),
        KEPT.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1, max=100\r\n\r\n"),
        KEPT + b"more",
        KEPT + KEPT,
    ],
    ids=["no promise", "close", "HTTP/1.0", "a short promise", "more bytes", "another answer"],
)
def test_without_a_promise_that_is_kept_each_request_has_its_own(said: bytes) -> None:
    server = Answering(said)
    with_client(server, twice)
    assert len(set(server.seen)) == 2


def test_unless_it_is_told_to_it_keeps_none() -> None:
    server = Answering(KEPT)
    with_client(server, twice, keep_alive=False)
    assert len(set(server.seen)) == 2


@pytest.mark.parametrize("end", [asyncio.StreamWriter.close, reset], ids=["closes", "resets"])
def test_a_server_that_breaks_its_promise_costs_no_request(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    server = Answering(KEPT, then=end)

    async def asks(client: DirectHttp, base_url: str) -> None:
        for _ in range(50):
            gone = len(server.seen)
            reply = await client.send(base_url, invocation(b"1,2", "text/csv"), LONG_ENOUGH)
            assert reply.ok
            await until(lambda: len(server.seen) > gone and server.open == 0)  # noqa: B023

    with_client(server, asks)
    assert len(set(server.seen)) > 1


def test_an_idle_connection_is_closed_soon() -> None:
    server = Answering(KEPT)

    async def asks(client: DirectHttp, base_url: str) -> None:
        await client.send(base_url, GET, LONG_ENOUGH)
        assert server.open == 1
        began = asyncio.get_running_loop().time()
        await until(lambda: server.open == 0)
        assert asyncio.get_running_loop().time() - began < KEPT_SECONDS * 3
        await twice(client, base_url)

    with_client(server, asks)
    assert len(server.seen) == 3


def test_closing_the_client_closes_what_it_kept() -> None:
    server = Answering(KEPT)

    async def asks(client: DirectHttp, base_url: str) -> None:
        await client.send(base_url, GET, LONG_ENOUGH)
        await client.close()
        await until(lambda: server.open == 0)

    with_client(server, asks)


def test_after_a_timeout_the_connection_is_gone_and_the_late_answer_with_it() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            await read_head(reader)
            asked += 1
            if asked == 2:
                await asyncio.sleep(0.1)
                writer.write(KEPT.replace(b"ok", b"no"))
            else:
                writer.write(KEPT)

    async def asks(client: DirectHttp, base_url: str) -> None:
        assert (await client.send(base_url, GET, LONG_ENOUGH)).body == b"ok"
        assert (await client.send(base_url, GET, 0.05)).outcome is Outcome.TIMEOUT
        for _ in range(20):
            assert (await client.send(base_url, GET, LONG_ENOUGH)).body == b"ok"
            await asyncio.sleep(0.01)

    with_client(serve, asks)


def test_a_caller_that_is_cancelled_leaves_no_connection() -> None:
    server = Answering(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\nhalf"
    )

    async def asks(client: DirectHttp, base_url: str) -> None:
        task = asyncio.create_task(client.send(base_url, GET, LONG_ENOUGH))
        await until(lambda: server.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.open == 0)

    with_client(server, asks)


def test_requests_at_the_same_time_never_share_a_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await reader.readexactly(content_length(await read_head(reader)))
            await asyncio.sleep(0.001)
            head = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(body) + body)

    async def asks(client: DirectHttp, base_url: str) -> None:
        async def one(number: int) -> None:
            body = b"%d" % number
            reply = await client.send(base_url, invocation(body, "text/csv"), LONG_ENOUGH)
            assert reply.body == body

        for start in range(0, 500, 50):
            await asyncio.gather(*(one(number) for number in range(start, start + 50)))

    with_client(serve, asks)


@pytest.mark.parametrize("header", [{"X": "a\r\nB: c"}, {"X\n": "a"}, {"X": "a\x00"}])
@pytest.mark.usefixtures("direct")
@both
def test_a_header_that_would_be_two_is_not_sent(header: dict[str, str]) -> None:
    reply = test_http.exchange(Answering(KEPT), invocation(b"", None, header))
    assert reply.outcome is Outcome.BROKEN
    assert "line break" in reply.detail


@pytest.mark.usefixtures("direct")
@both
def test_what_broke_off_after_its_head_says_which_status_it_had() -> None:
    said = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nonly this"
    reply = test_http.exchange(test_http.says(said))
    assert (reply.outcome, reply.status, reply.broken_status) == (Outcome.RESET, None, 201)


@pytest.mark.usefixtures("direct")
@both
def test_a_switch_of_protocols_that_nobody_asked_for_is_an_answer() -> None:
    said = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nwhatever"
    assert test_http.exchange(test_http.says(said)).status == 101

"""Owns: the claims of emulator/http.py on answers that come piece by piece, or break off. The peer
is a socket server of this test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from emulator.http import AiohttpHttp, Outcome, Request, StreamBroken, Streamed
from tests.test_http import exchange, says, serve_nothing, serving

ASK = Request(method="POST", path="/invocations", body=b"x")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def streaming(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    look: Callable[[Streamed], Awaitable[None]],
    *,
    seconds: float = 10.0,
) -> None:
    async def whole() -> None:
        client = AiohttpHttp()
        try:
            async with serving(serve) as base_url:
                streamed = await client.stream(base_url, ASK, seconds)
                await look(streamed)
                streamed.close()
                streamed.close()
        finally:
            await client.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", 200),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 500),
    ],
)
def test_of_an_answer_whose_body_breaks_off_the_status_is_told(answer: bytes, status: int) -> None:
    reply = exchange(says(answer))
    assert (reply.outcome, reply.status, reply.broken_status) == (Outcome.RESET, None, status)
    assert not reply.ok


def test_of_an_exchange_that_breaks_before_there_is_no_broken_status() -> None:
    assert exchange(says()).broken_status is None


def test_the_head_is_there_before_the_body() -> None:
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"3\r\none\r\n")
        await writer.drain()
        await go.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()

    async def look(streamed: Streamed) -> None:
        assert (streamed.reply.status, streamed.reply.body) == (200, b"")
        assert streamed.reply.headers["content-type"] == "text/plain"
        assert await anext(streamed.parts) == b"one"
        go.set()
        assert [part async for part in streamed.parts] == [b"two"]

    streaming(serve, look)


@pytest.mark.parametrize("status", [200, 204, 400, 503])
def test_every_status_has_its_parts(status: int) -> None:
    body = b"" if status == 204 else b"5\r\nwords\r\n0\r\n\r\n"
    head = b"HTTP/1.1 %d X\r\n" % status
    more = b"\r\n" if status == 204 else b"Transfer-Encoding: chunked\r\n\r\n"

    async def look(streamed: Streamed) -> None:
        assert streamed.reply.status == status
        parts = b"".join([part async for part in streamed.parts])
        assert parts == (b"" if status == 204 else b"words")

    streaming(says(head + more + body), look)


@pytest.mark.parametrize(
    ("serve", "outcome"),
    [(says(), Outcome.RESET), (says(b"SSH-2.0\r\n\r\n"), Outcome.BROKEN)],
    ids=["nothing", "other protocol"],
)
def test_without_a_head_there_are_no_parts(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    outcome: Outcome,
) -> None:
    async def look(streamed: Streamed) -> None:
        assert (streamed.reply.outcome, streamed.reply.status) == (outcome, None)
        assert [part async for part in streamed.parts] == []

    streaming(serve, look)


def test_a_head_that_does_not_come_is_a_timeout() -> None:
    async def look(streamed: Streamed) -> None:
        assert streamed.reply.outcome is Outcome.TIMEOUT

    streaming(serve_nothing, look, seconds=0.1)


def test_a_body_that_breaks_off_is_told_after_what_came() -> None:
    async def look(streamed: Streamed) -> None:
        assert await anext(streamed.parts) == b"one"
        with pytest.raises(StreamBroken) as raised:
            await anext(streamed.parts)
        assert raised.value.outcome is Outcome.RESET

    streaming(says(HEAD + b"3\r\none\r\n"), look)


def test_the_time_is_that_of_the_whole_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for _ in range(100):
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def look(streamed: Streamed) -> None:
        with pytest.raises(StreamBroken) as raised:
            _ = [part async for part in streamed.parts]
        assert raised.value.outcome is Outcome.TIMEOUT

    streaming(serve, look, seconds=0.2)


def test_closing_ends_the_connection() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"3\r\none\r\n")
        await writer.drain()
        await reader.read()
        ended.set()

    async def look(streamed: Streamed) -> None:
        assert await anext(streamed.parts) == b"one"
        streamed.close()
        await asyncio.wait_for(ended.wait(), 5.0)

    streaming(serve, look)

"""Owns: the claims of emulator/http.py, against small raw servers on 127.0.0.1 that say exactly the
bytes a test writes. No server library stands between, so what is on the wire is what is judged.
"""

from __future__ import annotations

import asyncio
import gzip
import shlex
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import http
from emulator.http import AiohttpHttp, Hold, Outcome, Reply, Request
from emulator.instance import PING, invocation

GET = Request(method="GET", path="/ping", headers={"Host": "model.aws.local:8080"})
LONG_ENOUGH = 10.0
"""Seconds that no exchange here needs; reached only when a test fails."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(kw_only=True)
class Server:
    base_url: str
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server whose connections are all closed before the test goes on."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def exchange(
    serve: Serve, request: Request = GET, timeout: float = LONG_ENOUGH, hold: Hold | None = None
) -> Reply:
    async def whole() -> Reply:
        client = AiohttpHttp()
        try:
            async with serving(serve) as base_url:
                return await client.send(base_url, request, timeout, hold)
        finally:
            await client.close()

    return asyncio.run(whole())


def says(*parts: bytes) -> Serve:
    """Reads the request's head and body, sends the parts, closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(content_length(await read_head(reader)))
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def wire(request: Request, hold: Hold | None = None) -> tuple[bytes, bytes]:
    """Head and body as they reach the server."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        seen.extend([head, await reader.readexactly(content_length(head))])
        writer.write(OK)

    reply = exchange(serve, request, hold=hold)
    assert reply.status == 200, reply
    return seen[0], seen[1]


def header_lines(head: bytes) -> list[str]:
    return head.decode("latin-1").strip().split("\r\n")[1:]


# Answers


@pytest.mark.parametrize(
    "parts",
    [
        (OK,),
        (OK[:9], OK[9:40], OK[40:]),
        (b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", b"{", b"}"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
            b"1\r\n}\r\n0\r\n\r\n",
        ),
    ],
    ids=["content-length", "in pieces", "http/1.0 without length", "chunked"],
)
def test_an_answer_is_read_however_it_is_framed(parts: tuple[bytes, ...]) -> None:
    reply = exchange(says(*parts))
    assert (reply.outcome, reply.status) == (Outcome.ANSWERED, 200)
    assert (reply.body, reply.body_bytes) == (b"{}", 2)
    assert reply.content_type == "application/json"
    assert reply.ok
    assert reply.request is GET


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 415, 500, 502, 503])
def test_every_status_is_an_answer(status: int) -> None:
    reply = exchange(says(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()))
    assert (reply.outcome, reply.status) == (Outcome.ANSWERED, status)
    assert reply.ok == (200 <= status < 300)


def test_a_redirect_is_not_followed() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_head(reader))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /ping/\r\nContent-Length: 0\r\n\r\n")

    reply = exchange(serve)
    assert (reply.status, reply.headers["location"]) == (302, "/ping/")
    assert len(asked) == 1
    assert "Location: /ping/" in str(reply)


def test_a_compressed_body_stays_compressed() -> None:
    packed = gzip.compress(b'{"predictions": []}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    reply = exchange(says(head.encode(), packed))
    assert reply.body == packed
    assert reply.headers["content-encoding"] == "gzip"


def test_repeated_headers_are_joined_under_their_lower_case_name() -> None:
    reply = exchange(says(b"HTTP/1.1 200 OK\r\nX-One: a\r\nx-one: b\r\nContent-Length: 0\r\n\r\n"))
    assert reply.headers["x-one"] == "a, b"
    assert all(name == name.lower() for name in reply.headers)


def test_cookies_are_not_kept_for_the_next_request() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")

    async def twice() -> None:
        client = AiohttpHttp()
        try:
            async with serving(serve) as base_url:
                # By name: a cookie jar takes no cookies from an address.
                named = base_url.replace("127.0.0.1", "localhost")
                await client.send(named, GET, LONG_ENOUGH)
                await client.send(named, GET, LONG_ENOUGH)
        finally:
            await client.close()

    asyncio.run(twice())
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


def test_each_request_has_a_connection_of_its_own() -> None:
    peers: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        while True:
            await read_head(reader)
            writer.write(OK)

    async def thrice() -> None:
        client = AiohttpHttp()
        try:
            async with serving(serve) as base_url:
                for _ in range(3):
                    assert (await client.send(base_url, GET, LONG_ENOUGH)).ok
        finally:
            await client.close()

    asyncio.run(thrice())
    assert len(set(peers)) == 3


def test_large_headers_are_taken() -> None:
    reply = exchange(
        says(b"HTTP/1.1 200 OK\r\nX-Shape: " + b"a" * 40_000 + b"\r\nContent-Length: 0\r\n\r\n")
    )
    assert reply.status == 200
    assert len(reply.headers["x-shape"]) == 40_000


@pytest.mark.parametrize("cap", [0, 1, 1000, 99_999, 100_000, 200_000])
def test_a_large_answer_is_counted_whole_and_kept_up_to_the_cap(
    monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    monkeypatch.setattr(http, "MAX_KEPT_BYTES", cap)
    body = bytes(range(250)) * 400
    reply = exchange(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", body))
    assert reply.body_bytes == 100_000
    assert reply.body == body[:cap]


# Failures


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    reset(writer)


async def serve_reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def serve_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (says(), Outcome.RESET),
        (serve_reset, Outcome.RESET),
        (serve_reset_at_once, Outcome.RESET),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), Outcome.RESET),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
            Outcome.RESET,
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Outcome.BROKEN),
        (says(b"\x15\x03\x01\x00\x02\x02\x16"), Outcome.BROKEN),
        (says(b"HTTP/1.1 abc OK\r\n\r\n"), Outcome.BROKEN),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), Outcome.BROKEN),
        (says(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n"), Outcome.BROKEN),
    ],
    ids=["empty reply", "reset", "reset at once", "cut body", "cut chunk", "other protocol", "TLS",
         "no status", "bad length", "endless header"],
)  # fmt: skip
def test_what_goes_wrong_is_told_not_raised(serve: Serve, expected: Outcome) -> None:
    reply = exchange(serve, timeout=2.0)
    assert (reply.outcome, reply.status) == (expected, None)
    assert not reply.ok
    assert expected.value in str(reply)


def test_a_port_on_which_nobody_listens_is_refused() -> None:
    async def whole() -> Reply:
        async with serving(serve_nothing) as base_url:
            pass
        client = AiohttpHttp()
        try:
            return await client.send(base_url, GET, LONG_ENOUGH)
        finally:
            await client.close()

    reply = asyncio.run(whole())
    assert (reply.outcome, reply.status) == (Outcome.REFUSED, None)
    assert str(reply).startswith("GET /ping: connection refused after 0.")


@pytest.mark.parametrize(
    "serve",
    [
        serve_nothing,
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"),
    ],
    ids=["says nothing", "stops in the middle"],
)
def test_a_hang_is_cut_at_the_timeout(serve: Serve) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        await reader.read()

    reply = exchange(hang, timeout=0.1)
    assert (reply.outcome, reply.status) == (Outcome.TIMEOUT, None)
    assert 0.09 <= reply.seconds < LONG_ENOUGH


def test_a_body_that_nobody_reads_is_cut_at_the_timeout_too() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    post = invocation(b"x" * 20_000_000, "text/csv")
    assert exchange(serve, post, timeout=0.2).outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("size", [10, 100_000, 6_000_000])
@pytest.mark.parametrize("with_reset", [False, True], ids=["closed", "reset"])
def test_a_413_before_the_body_was_read_is_an_answer_or_a_reset(
    size: int, with_reset: bool
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        if with_reset:
            reset(writer)

    reply = exchange(serve, invocation(b"x" * size, "text/csv"))
    assert (reply.outcome, reply.status) in (
        (Outcome.ANSWERED, 413),
        (Outcome.RESET, None),
    )


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 6_291_456, 26_214_400])
def test_a_body_of_any_size_arrives_unchanged_and_without_a_warning(size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    head, got = wire(invocation(body, "application/x-npy"))
    assert got == body
    assert content_length(head) == size
    assert b"transfer-encoding" not in head.lower()


# What is sent


def test_a_ping_on_the_wire_is_the_platforms_and_nothing_else() -> None:
    head, body = wire(PING)
    assert head.startswith(b"GET /ping HTTP/1.1\r\n")
    assert sorted(header_lines(head)) == ["Host: model.aws.local:8080", "User-Agent: AHC/2.0"]
    assert body == b""


def test_an_invocation_on_the_wire_is_the_platforms_and_a_length() -> None:
    head, body = wire(invocation(b"1,2\n", "text/csv"))
    assert head.startswith(b"POST /invocations HTTP/1.1\r\n")
    assert sorted(header_lines(head)) == [
        "Content-Length: 4",
        "Content-Type: text/csv",
        "Host: model.aws.local:8080",
        "User-Agent: AHC/2.0",
    ]
    assert body == b"1,2\n"


@pytest.mark.parametrize("body", [None, b"", b"{}", b"x" * 2_000_000], ids=["none", "0", "2", "2M"])
def test_nothing_is_added_but_host_and_lengths(body: bytes | None) -> None:
    head, _ = wire(Request(method="POST", path="/invocations", body=body))
    names = [line.partition(":")[0] for line in header_lines(head)]
    assert set(names) <= {"Host", "Content-Length"}
    assert len(names) == len(set(names))


def test_without_a_host_the_real_one_is_sent() -> None:
    head, _ = wire(Request(method="GET", path="/ping"))
    (line,) = header_lines(head)
    assert line.startswith("Host: 127.0.0.1:")


def test_a_header_keeps_its_spelling() -> None:
    head, _ = wire(
        Request(method="GET", path="/ping", headers={"Host": "h", "x-AMZN-sageMaker": "1"})
    )
    assert "x-AMZN-sageMaker: 1" in header_lines(head)


@pytest.mark.parametrize("path", ["/ping", "/ping?a=b&c=d", "/a//b", "/"])
def test_a_path_is_sent_as_it_is(path: str) -> None:
    head, _ = wire(Request(method="GET", path=path))
    assert head.split(b" ")[1].decode() == path


def test_proxy_variables_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert exchange(says(OK)).status == 200


# Hold


def test_a_held_body_comes_in_two_halves_with_its_whole_length_announced() -> None:
    body = b"first half,second half"
    before: list[bytes] = []
    after: list[bytes] = []
    heads: list[bytes] = []

    async def whole() -> Reply:
        hold = Hold()
        got_half = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await read_head(reader))
            before.append(await reader.readexactly(len(body) // 2))
            got_half.set()
            after.append(await reader.readexactly(len(body) - len(body) // 2))
            writer.write(OK)

        client = AiohttpHttp()
        try:
            async with serving(serve) as base_url:
                post = invocation(body, "text/csv")
                task = asyncio.ensure_future(client.send(base_url, post, LONG_ENOUGH, hold))
                await hold.halfway()
                await got_half.wait()
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not task.done()
                assert after == []
                hold.release()
                return await task
        finally:
            await client.close()

    reply = asyncio.run(whole())
    assert reply.status == 200
    assert (before, after) == ([b"first half,"], [b"second half"])
    assert content_length(heads[0]) == len(body)
    assert b"transfer-encoding" not in heads[0].lower()
    assert sum(line.lower().startswith("content-length") for line in header_lines(heads[0])) == 1


def test_a_hold_that_is_released_before_it_begins_holds_nothing() -> None:
    hold = Hold()
    hold.release()
    _, body = wire(invocation(b"1234", "text/csv"), hold)
    assert body == b"1234"


def test_a_hold_that_is_never_released_ends_with_the_timeout() -> None:
    reply = exchange(says(OK), invocation(b"1234", "text/csv"), timeout=0.1, hold=Hold())
    assert reply.outcome is Outcome.TIMEOUT


def test_a_server_that_dies_while_a_request_is_held_is_told() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(2)
        reset(writer)

    reply = exchange(serve, invocation(b"1234", "text/csv"), hold=Hold())
    assert (reply.outcome, reply.status) == (Outcome.RESET, None)


@given(st.binary(max_size=100))
def test_the_two_halves_are_the_body(body: bytes) -> None:
    async def whole() -> list[bytes]:
        hold = Hold()
        hold.release()
        return [part async for part in hold.parts(body)]

    parts = asyncio.run(whole())
    assert b"".join(parts) == body
    assert len(parts) == 2


# Values


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    headers=st.dictionaries(
        st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.text(max_size=30), max_size=4
    ),
    text=st.none() | st.text(max_size=80),
)
def test_a_shell_reads_the_curl_line_back(
    method: str, headers: dict[str, str], text: str | None
) -> None:
    body = None if text is None else text.encode("utf-8", errors="replace")
    request = Request(method=method, path="/invocations", headers=headers, body=body)
    words = shlex.split(request.curl("http://127.0.0.1:8080"))
    assert words[:3] == ["curl", "-sS", "-i"]
    assert words[-1] == "http://127.0.0.1:8080/invocations"
    given_headers = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-H"]
    assert given_headers[: len(headers)] == [f"{n}: {v}" for n, v in headers.items()]
    assert ("-X" in words[:6]) == (method != "GET")
    if body is not None:
        sent = words[words.index("--data-binary") + 1]
        assert sent in (text, f"@BODY_OF_{len(body)}_BYTES")


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"", True),
        (b'{"a": "it\'s"}', True),
        (b"x" * 400, True),
        (b"x" * 401, False),
        (b"a,b\n", False),
        (b"\x00\x01", False),
        (b"@secret.txt", False),
        ("\N{GREEK SMALL LETTER ALPHA}".encode(), True),
        (b"\xff\xfe", False),
    ],
)
def test_only_a_short_printable_body_is_quoted_in_the_curl_line(body: bytes, quoted: bool) -> None:
    words = shlex.split(invocation(body, "text/csv").curl("http://h"))
    sent = words[words.index("--data-binary") + 1]
    assert (sent == body.decode("utf-8", errors="replace")) is quoted
    assert quoted or sent == f"@BODY_OF_{len(body)}_BYTES"


def test_the_content_type_of_a_reply_has_no_parameters() -> None:
    reply = Reply(
        request=GET,
        outcome=Outcome.ANSWERED,
        seconds=0.0,
        status=200,
        headers={"content-type": "Application/JSON ; charset=utf-8"},
    )
    assert reply.content_type == "application/json"
    assert Reply(request=GET, outcome=Outcome.RESET, seconds=0.0).content_type == ""


@given(st.binary(max_size=3000), st.integers(min_value=1, max_value=400))
def test_a_replys_text_is_one_short_line(body: bytes, limit: int) -> None:
    reply = Reply(request=GET, outcome=Outcome.ANSWERED, seconds=0.0, status=200, body=body)
    text = reply.text(limit)
    assert len(text) <= limit
    assert len(text.splitlines()) <= 1


def test_a_reply_is_told_with_status_time_type_size_and_start_of_the_body() -> None:
    reply = Reply(
        request=GET,
        outcome=Outcome.ANSWERED,
        seconds=0.125,
        status=503,
        headers={"content-type": "text/plain"},
        body=b"not\nyet",
        body_bytes=7,
    )
    assert str(reply) == "GET /ping: HTTP 503 after 0.12 s, text/plain, 7 bytes: not yet"


def test_closing_twice_is_closing_once_and_unused_is_fine() -> None:
    async def whole() -> None:
        client = AiohttpHttp()
        await client.close()
        async with serving(says(OK)) as base_url:
            assert (await client.send(base_url, GET, LONG_ENOUGH)).ok
        await client.close()
        await client.close()

    asyncio.run(whole())

"""Owns: who may pass the front door, what stands behind it, and that a server leaves nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.api.asgi import Receive, Scope, Send
from emulator.api.front import Mount
from emulator.api.guard import Guard
from emulator.api.server import CLOSE_SECONDS
from tests.front_world import PATH, Front, answers, front, read_all

PORT = 4566


@pytest.fixture(scope="module")
def module_front() -> Iterator[Front]:
    with front() as opened:
        yield opened


@pytest.fixture
def opened(module_front: Front) -> Front:
    module_front.endpoint.came.clear()
    return module_front


def refusal(
    headers: dict[str, str], method: str = "POST", guard: Guard | None = None, port: int = PORT
) -> str:
    came = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return (guard or Guard()).refusal(method, came, port)


# Who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:4566"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil@127.0.0.1"},
        {"Host": "10.0.0.7"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "chrome-extension://abc"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
         "Sec-Fetch-Dest": "document"},
    ],
    ids=str,
)  # fmt: skip
def test_a_web_page_cannot_drive_it(opened: Front, headers: dict[str, str]) -> None:
    host = f"127.0.0.1:{opened.address[1]}"
    answer = opened.post({"Host": host, **headers})
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert "byoc refuses this request" in json.loads(answer.body)["Message"]
    assert opened.endpoint.came == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_its_own_page_passes(opened: Front, name: str, host: str) -> None:
    port = opened.address[1]
    headers = {"Host": f"{host}:{port}", "Origin": f"http://{name}:{port}"}
    assert opened.post(headers).status == 200


@pytest.mark.parametrize(
    "host", ["localhost:1", "127.0.0.1", "[::1]:8", "byoc.localhost", "127.1.2.3:9", "LOCALHOST"]
)
def test_every_name_of_the_loopback_is_good(host: str) -> None:
    assert refusal({"Host": host}) == ""
    assert refusal({"Host": host, "Origin": f"http://{host}"}) == ""


def test_the_page_behind_a_forwarded_port_is_its_own() -> None:
    assert refusal({"Host": "localhost:9000", "Origin": "http://localhost:9000"}) == ""
    assert refusal({"Host": "localhost:9000", "Origin": "http://localhost:9001"})


def test_a_default_port_need_not_be_written() -> None:
    assert refusal({"Host": "localhost", "Origin": "http://localhost:80"}) == ""
    assert refusal({"Host": "localhost:80", "Origin": "http://localhost"}) == ""


def test_a_link_may_be_followed_and_an_address_typed() -> None:
    visit = {"Host": "localhost:1", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for site in ("cross-site", "same-site", "none", "same-origin"):
        assert refusal({**visit, "Sec-Fetch-Site": site}, "GET") == ""
    framed = {**visit, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
    assert "cross-site" in refusal(framed, "GET")


def test_a_header_that_decides_must_not_come_twice() -> None:
    for name in (b"host", b"origin", b"sec-fetch-site"):
        came = [(b"host", b"localhost"), (name, b"localhost"), (name, b"localhost")]
        assert "twice" in Guard().refusal("POST", came, PORT)


def test_listening_elsewhere_any_address_is_good_but_no_name_that_was_not_told() -> None:
    guard = Guard(everywhere=True, allowed_hosts=frozenset({"gpu-box"}))
    for host in ("192.168.1.5:4566", "[fd00::1]", "gpu-box:4566", "localhost"):
        assert refusal({"Host": host}, guard=guard) == ""
        assert refusal({"Host": host, "Origin": f"http://{host}"}, guard=guard) == ""
    assert refusal({"Host": "evil.example:4566"}, guard=guard)


def test_listening_elsewhere_a_page_at_another_address_is_refused_even_with_our_port() -> None:
    headers = {"Host": f"127.0.0.1:{PORT}", "Origin": f"http://203.0.113.9:{PORT}"}
    assert "another origin" in refusal(headers, guard=Guard(everywhere=True))


@given(
    st.text(st.characters(max_codepoint=255)),
    st.none() | st.text(st.characters(max_codepoint=255)),
)
def test_the_question_who_asks_has_an_answer_for_any_header(host: str, origin: str | None) -> None:
    headers = {"Host": host} if origin is None else {"Host": host, "Origin": origin}
    if refusal(headers) == "":
        assert "localhost" in host.lower() or any(sign.isdigit() for sign in host)


# Where it listens


def test_told_to_listen_everywhere_it_does_and_says_where_to_reach_it() -> None:
    with front(host="0.0.0.0", allowed_hosts=["gpu-box"]) as opened:
        assert opened.url.startswith("http://127.0.0.1:")
        assert opened.post({"Host": "gpu-box"}).status == 200
        assert opened.post({"Host": "evil.example"}).status == 403


def test_it_can_listen_on_the_other_loopback() -> None:
    with front(host="::1") as opened:
        assert opened.url.startswith("http://[::1]:")
        assert opened.post({"Host": "[::1]:1"}).status == 200


# What stands behind it


async def greeting(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError(scope["path"])


MOUNTS = [
    Mount(matches=lambda scope: scope["path"] == "/", app=greeting),
    Mount(matches=lambda scope: scope["path"] in ("/", "/bad"), app=failing),
]


def test_the_first_mount_that_matches_answers_and_the_rest_is_the_runtimes() -> None:
    with front(mounts=MOUNTS) as opened:
        assert opened.post(method="GET", path="/").body == b"hi"
        assert opened.post().body == b"x"
        assert opened.post(path="/elsewhere").body == b"<UnknownOperationException/>\n"


def test_the_guard_stands_before_every_mount() -> None:
    with front(mounts=MOUNTS) as opened:
        assert opened.post({"Host": "evil.example"}, method="GET", path="/").status == 403


def test_a_mount_that_fails_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with front(mounts=MOUNTS) as opened:
        answer = opened.post(path="/bad")
    assert (answer.status, answer.body) == (500, b"byoc failed; its log has the traceback.\n")
    assert "LookupError: /bad" in caplog.text


# What an answer carries


def test_a_mount_that_fails_when_it_has_read_all_is_answered_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also on a connection that closes, where the rest of a body would be read before."""

    async def reads_and_fails(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await failing(scope, receive, send)

    mount = Mount(matches=lambda scope: True, app=reads_and_fails)
    with front(mounts=[mount]) as opened:
        assert opened.post().status == 500
    assert "byoc failed on POST /" in caplog.text


def test_an_answer_has_a_date_and_neither_a_servers_name_nor_a_type_of_its_own(
    opened: Front,
) -> None:
    headers = opened.post().headers
    assert headers["date"].endswith(" GMT")
    assert set(headers) == {
        "date", "content-length", "connection", "x-amzn-requestid",
        "x-amzn-invoked-production-variant",
    }  # fmt: skip


# Bodies that nobody wants


@pytest.mark.parametrize("closing", ["HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"])
def test_an_oversize_body_on_a_connection_that_closes_is_answered_and_not_reset(
    opened: Front, closing: str
) -> None:
    size = 20 * 1024 * 1024
    head = f"POST {PATH} {closing}Host: localhost\r\nContent-Length: {size}\r\n\r\n"
    with opened.connect() as connection:
        connection.sendall(head.encode() + bytes(size))
        (answer,) = answers(read_all(connection))
    assert answer.status == 400
    assert b"oversize" in answer.body
    assert opened.endpoint.came == []


def test_a_body_that_was_not_asked_for_is_never_taken_for_the_next_request(opened: Front) -> None:
    """A client that waits for 100 Continue and is refused sends its next request at once."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with opened.connect() as connection:
        connection.sendall(f"{head}Content-Length: 99999999\r\n\r\n".encode())
        (answer,) = answers(read_all(connection))
    assert (answer.status, answer.headers["connection"]) == (400, "close")


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(opened: Front) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with opened.connect() as connection:
        connection.sendall(f"{head}Content-Length: 3\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        (answer,) = answers(read_all(connection))
    assert answer.body == b"abc"


# Callers who go away


def test_the_request_of_a_caller_who_went_away_goes_on_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "byoc")
    with front() as opened:
        opened.endpoint.hold = opened.portal.call(make_event)
        with opened.connect() as connection:
            connection.sendall(request(b"abc"))
            wait_until(lambda: bool(opened.endpoint.came))
        wait_until(lambda: opened.portal.call(open_connections, opened) == 0)
        opened.portal.call(opened.endpoint.hold.set)
        wait_until(lambda: opened.endpoint.answered == 1)
        opened.endpoint.hold = None
        assert opened.post().status == 200
    assert caplog.text == ""


async def make_event() -> asyncio.Event:
    return asyncio.Event()


async def open_connections(opened: Front) -> int:
    connections = opened.server._server._connections
    assert connections is not None
    return len(connections.connections)


def request(body: bytes) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def wait_until(true: object, seconds: float = 5.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


# The end of a server


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await asyncio.Event().wait()


def test_closing_takes_two_seconds_at_most_whatever_is_open_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mounts = [Mount(matches=lambda scope: scope["path"] == "/events", app=endless)]
    with front(mounts=mounts) as opened:
        idle, new, stream, half, stuck = (opened.connect() for _ in range(5))
        idle.sendall(request(b"abc"))
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"text/event-stream" in stream.recv(1000)
        half.sendall(b"POST / HTTP/1.1\r\nHo")
        stuck.sendall(request(b"x" * 4_000_000))  # and never reads
        wait_until(lambda: len(opened.endpoint.came) == 2)
        began = time.monotonic()
        opened.portal.call(opened.server.close)
        took = time.monotonic() - began
        assert took < CLOSE_SECONDS + 0.5
        for connection in (idle, new, stream, half, stuck):
            with connection:
                read_all(connection)
        with pytest.raises(ConnectionRefusedError):
            opened.connect()
        assert opened.portal.call(tasks) <= 1
    assert caplog.text == ""


def test_closing_does_not_wait_for_idle_connections() -> None:
    with front() as opened, opened.connect() as idle:
        idle.sendall(request(b"abc"))
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        opened.portal.call(opened.server.close)
        assert time.monotonic() - began < 0.5
        assert idle.recv(1) == b""


def test_closing_lets_an_answer_that_is_due_be_sent() -> None:
    with front() as opened, opened.connect() as caller:
        opened.endpoint.hold = opened.portal.call(make_event)
        caller.sendall(request(b"abc"))
        wait_until(lambda: bool(opened.endpoint.came))
        closing = opened.portal.start_task_soon(opened.server.close)
        opened.portal.call(opened.endpoint.hold.set)
        (answer,) = answers(read_all(caller))
        closing.result(timeout=5)
    assert (answer.body, answer.headers["connection"]) == (b"abc", "close")


async def tasks() -> int:
    """Beside the one that asks."""
    return len(asyncio.all_tasks()) - 1


def test_a_port_is_free_again_at_once() -> None:
    with front() as opened:
        address = opened.address
    with socket.create_server(address):
        pass

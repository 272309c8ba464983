"""Owns: the claims of emulator/api/wsgi.py. The validator of the standard library reads over its
shoulder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.api import wsgi
from emulator.api.asgi import CallerGone, Message, Scope
from emulator.api.wsgi import TooLarge, body_of, call, environ_of

StartResponse = Callable[..., Any]


def scope(*headers: tuple[bytes, bytes], path: str = "/", query: bytes = b"") -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 50000),
    }


def received(*messages: Message) -> bytes:
    waiting = list(messages)

    async def receive() -> Message:
        return waiting.pop(0)

    return asyncio.run(body_of(receive))


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def echo(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("201 Created", [("Content-Type", environ["CONTENT_TYPE"]), ("X-A", "b")])
    yield from (body[:1], body[1:])


def test_an_application_is_called_by_the_letter_of_the_standard() -> None:
    environ = environ_of(scope((b"content-type", b"text/csv"), (b"host", b"x:1")), b"1,2")
    said = call(validator(echo), environ)
    assert (said.status, said.body) == (201, b"1,2")
    assert said.headers == (("Content-Type", "text/csv"), ("X-A", "b"))


def test_headers_and_path_are_told_as_wsgi_tells_them() -> None:
    environ = environ_of(
        scope(
            (b"x-amz-target", b"Logs.A"), (b"accept", b"a"), (b"accept", b"b"),
            (b"content-length", b"99"), (b"transfer-encoding", b"chunked"),
            path="/caf\xe9 1", query=b"a=1",
        ),
        b"four",
    )  # fmt: skip
    assert environ["HTTP_X_AMZ_TARGET"] == "Logs.A"
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert environ["CONTENT_LENGTH"] == "4"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/caf\xe9 1"
    assert environ["QUERY_STRING"] == "a=1"


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_hyphen() -> None:
    assert "HTTP_X_AMZ_TARGET" not in environ_of(scope((b"x_amz_target", b"Logs.A")), b"")


name = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(str.encode)
value = st.binary(max_size=20)


@given(st.lists(st.tuples(name, value), max_size=6), st.text(max_size=20), st.binary(max_size=50))
def test_no_request_breaks_the_standard(
    headers: list[tuple[bytes, bytes]], path: str, body: bytes
) -> None:
    path = "/" + path.encode("utf-8", "ignore").decode()
    said = call(validator(echo_length), environ_of(scope(*headers, path=path), body))
    assert said.body == str(len(body)).encode()


def echo_length(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(environ["wsgi.input"].read(10**6))).encode()]


def test_a_body_is_whole_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert received(part(b"a", more=True), part(b"b", more=False)) == b"ab"
    with pytest.raises(CallerGone):
        received(part(b"a", more=True), {"type": "http.disconnect"})
    monkeypatch.setattr(wsgi, "MOST_BYTES", 3)
    assert received(part(b"abc", more=False)) == b"abc"
    with pytest.raises(TooLarge):
        received(part(b"ab", more=True), part(b"cd", more=True))


def test_the_last_status_counts_and_what_was_written_comes_first() -> None:
    closed = []

    class Parts(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def changes_its_mind(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("500 Oops", [("A", "b")], (None, None, None))(b"written ")
        return Parts([b"returned"])

    said = call(changes_its_mind, environ_of(scope(), b""))
    assert (said.status, said.headers, said.body) == (500, (("A", "b"),), b"written returned")
    assert closed == [True]

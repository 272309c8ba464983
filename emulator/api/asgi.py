"""The few words of ASGI that the front door is written in.

Owns: the types, and how one whole answer is sent, whatever became of the request's body. Must not
know: paths, AWS, which server it is. Form: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from emulator.wire_answers import Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

DRAINED_BYTES = 64 * 1024 * 1024
"""Of a body that nobody wants, at most this is read before the answer; see `answer_unread`."""


WHOLE = "byoc.whole"
"""Set in the scope when the body was read to its end: after it, only the caller's leaving comes."""


class CallerGone(Exception):
    """The connection closed before the request was whole; nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> bytes:
    """The first of this (lower-case) name; empty when there is none."""
    found: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return found


def head(response: Response) -> Headers:
    return [(name.encode(), value.encode("latin-1")) for name, value in response.headers]


async def answer(send: Send, response: Response, *more: tuple[bytes, bytes]) -> None:
    """A whole answer to a request that was read to its end."""
    headers = head(response)
    headers.append((b"Content-Length", b"%d" % len(response.body)))
    headers.extend(more)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def answer_unread(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """A whole answer while the body may still be under way.

    On a connection that stays, the server reads and drops the rest after the answer, so that a
    client which sends first and reads then finds it. On one that closes, the rest must be read
    before: a close with data unread is a reset, and the answer is lost. A client that waits for
    "100 Continue" may never send its body, and what it sends next would be taken for it: there the
    connection ends.
    """
    if header(scope, b"expect"):
        await answer(send, response, (b"Connection", b"close"))
        return
    closes = scope["http_version"] == "1.0" or b"close" in header(scope, b"connection").lower()
    if closes and not scope.get(WHOLE):
        await _drain(receive)
    await answer(send, response)


async def _drain(receive: Receive) -> None:
    dropped = 0
    while dropped < DRAINED_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return

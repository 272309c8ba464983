"""Requests one after another on one connection, as a client that keeps its connections sends them.

Owns: when a connection may be used again, and what a server says that nobody asked for. Must not
know: verdicts, what the requests mean. Everywhere else each request has a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from emulator.clock import Clock
from emulator.http import Outcome, Reply, Request
from emulator.http_connection import Answered, Connection, Failed
from emulator.http_direct import reply_of

SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request of a row."""

    reply: Reply
    reused: bool  # sent on the connection of the one before
    unasked: str = ""  # what the server said before it was sent, or after its answer


class Line(Connection):
    """A connection that remembers what came without a question."""

    def __init__(self) -> None:
        super().__init__()
        self.persistent = False  # by HTTP's rules: 1.1 without `close`, or 1.0 with `keep-alive`
        self.unasked = b""

    async def exchange(self, head: bytes, body: bytes) -> Answered | Failed:
        self.persistent = False
        return await super().exchange(head, body)

    def data_received(self, data: bytes) -> None:
        if self._done:
            self.unasked += data[:SHOWN_BYTES]
        super().data_received(data)

    def on_message_begin(self) -> None:
        if self._done:
            self.unasked += b"(in one piece with the first)"
        super().on_message_begin()

    def on_message_complete(self) -> None:
        first = not self._done
        super().on_message_complete()
        if first:
            self.persistent = bool(self._parser.should_keep_alive())


async def in_a_row(
    base_url: str, requests: Sequence[Request], timeout_seconds: float, clock: Clock
) -> list[Turn]:
    """A connection is used as long as the server lets it; then the next one is opened. One that
    turns out to be closed when it is used again is no answer: the request is sent anew, as HTTP
    clients do. Ends early when a new connection fails, or an answer does not come in time.
    """
    turns: list[Turn] = []
    line: Line | None = None
    try:
        for request in requests:
            unasked = _text(line)
            reused = line is not None and line.persistent and line.quiet() and not unasked
            began = clock.now()
            told: Answered | Failed = Failed(outcome=Outcome.RESET)
            if reused and line is not None:
                told = await _ask(line, base_url, request, timeout_seconds)
            if not reused or _closed_before(told):
                _end(line)
                reused, line = False, await _open(base_url, timeout_seconds)
                told = (
                    Failed(outcome=Outcome.REFUSED)
                    if line is None
                    else await _ask(line, base_url, request, timeout_seconds)
                )
            reply = reply_of(request, told, clock.now() - began)
            turns.append(Turn(reply=reply, reused=reused, unasked=unasked))
            if reply.outcome in (Outcome.REFUSED, Outcome.TIMEOUT):
                return turns
        return turns
    finally:
        _end(line)


async def _open(base_url: str, timeout_seconds: float) -> Line | None:
    address = urlsplit(base_url)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            _, line = await loop.create_connection(Line, address.hostname or "", address.port or 80)
    except (OSError, ValueError):  # a TimeoutError is an OSError
        return None
    return line


async def _ask(
    line: Line, base_url: str, request: Request, timeout_seconds: float
) -> Answered | Failed:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await line.exchange(_head(base_url, request), request.body or b"")
    except TimeoutError:
        return Failed(outcome=Outcome.TIMEOUT)


def _closed_before(told: Answered | Failed) -> bool:
    return isinstance(told, Failed) and told.outcome is Outcome.RESET and told.status is None


def _head(base_url: str, request: Request) -> bytes:
    headers = {"Host": urlsplit(base_url).netloc, **request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _text(line: Line | None) -> str:
    return "" if line is None else line.unasked.decode("utf-8", "replace")[:SHOWN_BYTES]


def _end(line: Line | None) -> None:
    if line is not None:
        line.end()

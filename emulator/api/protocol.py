"""One connection, as uvicorn reads HTTP with httptools, held to what a front door needs.

Owns: the bounds on what is read, what is logged (nothing: what callers send is no event of ours),
and how a connection ends when the server does. Must not know: applications, who listens.
"""

from __future__ import annotations

import asyncio
import logging
from email.utils import format_datetime
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from emulator.clock import wall_clock

HEAD_BYTES = 64 * 1024
"""Of one request, what is not body: its head, and the framing of its chunks (`_overhead`)."""

CHUNK_OVERHEAD = 16
"""A chunk of one byte has five of framing; more than this per byte carries nothing."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class _Silent(logging.Logger):
    """uvicorn says there what callers did wrong, and again what the front has logged."""

    def __init__(self) -> None:
        super().__init__("byoc.uvicorn", logging.CRITICAL + 1)


class Connections(ServerState):
    """All connections of a server, and when the last one is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.none_left = asyncio.Event()
        self.none_left.set()
        self._second = ""

    def date(self) -> None:
        """Brings the `Date` of answers up to now."""
        now = wall_clock()
        second = f"{now:%S}"
        if second != self._second:
            self._second = second
            self.default_headers = [(b"date", format_datetime(now, usegmt=True).encode())]


class Connection(HttpToolsProtocol):
    """Its state beside uvicorn's: whether a request's head is still being read, and how much of the
    request so far was not body.
    """

    server_state: Connections

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger, self.access_log = _Silent(), False
        self._in_head = True
        self._body = self._overhead = 0
        self._begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.server_state.none_left.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.connections:
            self.server_state.none_left.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        before, self._begun = self._body, False
        unread = data
        try:
            while unread:
                unread = self._read(unread)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._begun:  # part of it belongs to the request before; the next read counts
            self._overhead = 0
            return
        self._overhead += len(data) - (self._body - before)
        if self._overhead > HEAD_BYTES + CHUNK_OVERHEAD * self._body:
            self._refuse(_TOO_LARGE)

    def _read(self, data: bytes) -> bytes:
        """What must be read again: httptools leaves off where a caller offers another protocol, as
        Java's client does with every request, and skips the body. Nobody here takes the offer, so
        the request is read as if it had not been made.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            return head + data[offer.args[0] :]
        return b""

    def _head_without_offer(self) -> bytes:
        method = self.scope["method"].encode()
        if method == b"CONNECT":
            raise httptools.HttpParserInvalidMethodError
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _should_upgrade(self) -> bool:
        """Asked by uvicorn only where there is an offer: it is not to be handled."""
        return True

    def on_message_begin(self) -> None:
        self._in_head = self._begun = True
        self._body = self._overhead = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is not forwarded by AWS, and would pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.server_state.date()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        text = msg.encode()
        length = b"%d" % len(text)
        self._refuse(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: " + length + b"\r\nconnection: close\r\n\r\n" + text
        )

    def _refuse(self, answer: bytes) -> None:
        """Ends the connection. An answer that is due to a request before must not be taken for this
        one's, nor this one's for that.
        """
        if self.transport.is_closing():
            return
        cycle = self.cycle
        due = cycle is not None and not cycle.response_complete
        if not due or (cycle.more_body and not cycle.response_started):
            self.transport.write(answer)
        self._leave()
        self.transport.close()

    def abort(self) -> None:
        """Cuts it off, whatever is under way."""
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

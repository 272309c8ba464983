"""One connection to a container: a whole request out, a whole answer in, read by httptools.

Owns: what the bytes that come back mean. Must not know: deadlines, who asks, when a connection may
be used again by somebody else (`http_direct`). Whatever the peer does becomes a value.
"""

from __future__ import annotations

import asyncio
import re
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools

from emulator import http
from emulator.http_values import Outcome

HEAD_BYTES = 128 * 1024
"""Of an answer; some servers put whole payload descriptions into a header."""

SHORT_KEEP_ALIVE = re.compile(r"timeout=[01](?![0-9])")
"""A promise that ends too soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    body_bytes: int  # the whole length, also when less was kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    outcome: Outcome
    detail: str = ""
    status: int | None = None  # of an answer that broke off


class Connection(asyncio.Protocol):
    """`exchange()` as long as it is `reusable`, then `end()`."""

    def __init__(self) -> None:
        self.reusable = False
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[Answered | Failed] | None = None
        self._lost = False
        self._why: Exception | None = None

    async def exchange(self, head: bytes, body: bytes) -> Answered | Failed:
        """Cancelled, it leaves a connection that must be ended."""
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        # What the world's servers get wrong and every client takes, aiohttp's among them.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._status: int | None = None
        self._head_bytes = self._body_bytes = 0
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._waiting = asyncio.get_running_loop().create_future()
        if self._lost or self._transport is None:
            return Failed(outcome=Outcome.RESET, detail=str(self._why or ""))
        self._transport.writelines([head, body] if body else [head])
        return await self._waiting

    def quiet(self) -> bool:
        """Open, and nothing came: neither bytes nor the end."""
        if self._lost or self._transport is None or self._transport.is_closing():
            return False
        return not _readable(self._descriptor)

    def kept(self, timer: asyncio.TimerHandle | None) -> None:
        """What ends it while it is idle, if anything does."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def end(self) -> None:
        """Idempotent. What is not sent by now, nobody reads."""
        self.reusable = False
        if self._transport is not None:
            if self._transport.get_write_buffer_size() or self._open:
                self._transport.abort()
            else:
                self._transport.close()

    @property
    def _open(self) -> bool:
        return self._waiting is not None and not self._done

    @property
    def _done(self) -> bool:
        return self._waiting is not None and self._waiting.done() and not self._waiting.cancelled()

    def _tell(self, told: Answered | Failed) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(told)

    # -- what the event loop calls -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self.end()  # nobody asked
            return
        if self._status is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._whole()
        except httptools.HttpParserError as error:
            self.reusable = False
            self._tell(Failed(outcome=Outcome.BROKEN, detail=str(error)[:200]))
        if self._status is None and self._head_bytes > HEAD_BYTES:
            self._tell(Failed(outcome=Outcome.BROKEN, detail=f"a head over {HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._why, self.reusable = True, exc, False
        if not self._open:
            return
        if self._status is None:
            self._tell(Failed(outcome=Outcome.RESET, detail=str(exc or "")[:200]))
        elif exc is None and not {"content-length", "transfer-encoding"} & set(self._headers):
            self._whole()  # the end of the connection is its end
        else:
            words = f"in the middle of it: {exc or 'the connection was closed'}"
            self._tell(Failed(outcome=Outcome.RESET, detail=words[:200], status=self._status))

    # -- what the parser calls -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._done:
            self.reusable = False  # it goes on talking

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._done or self._status is not None:
            return  # a trailer
        key = name.decode("utf-8", "surrogateescape").lower()
        text = value.decode("utf-8", "surrogateescape")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._done:
            return
        status = self._parser.get_status_code()
        if sum(map(len, self._headers.values())) > HEAD_BYTES:
            raise ValueError(f"a head over {HEAD_BYTES} bytes")
        if 100 <= status < 200 and status != 101:
            self._headers = {}  # only a sign of life; the answer comes
        else:
            self._status = status

    def on_body(self, body: bytes) -> None:
        if self._done:
            return
        if (room := http.MAX_KEPT_BYTES - self._body_bytes) > 0:
            self._pieces.append(body[:room])
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        if self._done or self._status is None:
            return
        self._whole()
        said = self._headers.get("connection", "").lower()
        assert self._transport is not None
        self.reusable = (
            "keep-alive" in said
            and self._parser.should_keep_alive()
            and not SHORT_KEEP_ALIVE.search(self._headers.get("keep-alive", ""))
            and not self._transport.get_write_buffer_size()
        )

    def _whole(self) -> None:
        pieces = self._pieces
        self._tell(
            Answered(
                status=self._status if self._status is not None else 0,
                headers=self._headers,
                body=pieces[0] if len(pieces) == 1 else b"".join(pieces),
                body_bytes=self._body_bytes,
            )
        )


def _readable(descriptor: int) -> bool:
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))

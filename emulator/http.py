"""One HTTP exchange with a container, told as a value instead of an exception.

Owns: the `Http` protocol and its aiohttp implementation; the values are in `http_values`. Must not
know: what a request is for, deadlines of the platform, containers. A transport failure is an answer
too ("connection reset after 0.02 s"): it is the container's doing, not ours.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any, Protocol

import aiohttp

from emulator.clock import Clock, SystemClock
from emulator.http_values import Outcome, Reply, Request, StreamBroken, Streamed

__all__ = [
    "AiohttpHttp", "Hold", "Http", "Outcome", "Reply", "Request", "StreamBroken", "Streamed",
]  # fmt: skip

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""A response body is read to its end, but no more than this is kept."""


IN_PIECES_BYTES = 512 * 1024


class Http(Protocol):
    """Sends one request on a connection of its own. Never raises for what the peer does."""

    async def send(
        self,
        base_url: str,
        request: Request,
        timeout_seconds: float,
        hold: Hold | None = None,
    ) -> Reply: ...

    async def stream(self, base_url: str, request: Request, timeout_seconds: float) -> Streamed:
        """Returns when the head came. The time is that of the whole exchange."""

    async def close(self) -> None: ...


class Hold:
    """Keeps a request unfinished: half of the body is sent, the rest after `release()`.

    While it is held the server is busy reading, which needs no slow model to provoke.
    """

    def __init__(self) -> None:
        self._halfway = asyncio.Event()
        self._released = asyncio.Event()

    async def halfway(self) -> None:
        """Returns when the first half was handed to the network."""
        await self._halfway.wait()

    def release(self) -> None:
        self._released.set()

    async def parts(self, body: bytes) -> AsyncIterator[bytes]:
        """The body in its two halves."""
        middle = max(1, len(body) // 2)
        yield body[:middle]
        self._halfway.set()
        await self._released.wait()
        yield body[middle:]


_SKIP = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class _OwnConnections(aiohttp.TCPConnector):
    """Closes every connection after its answer without saying so: aiohttp asks this property
    before it adds `Connection: close`, which the platform does not send.
    """

    def __init__(self) -> None:
        super().__init__(force_close=True, limit=0)

    @property
    def force_close(self) -> bool:
        return False


class AiohttpHttp:
    """`Http` over aiohttp: no redirects, no proxies, no cookies, no decompression."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_OwnConnections(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_SKIP,
                timeout=aiohttp.ClientTimeout(total=None),
                # Some servers put whole payload descriptions into a header; curl takes them too.
                max_line_size=64 * 1024,
                max_field_size=64 * 1024,
            )
        return self._session

    async def send(
        self,
        base_url: str,
        request: Request,
        timeout_seconds: float,
        hold: Hold | None = None,
    ) -> Reply:
        started = self._clock.now()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange(base_url, request, hold, started)
        except FAILURES as error:
            return self._failed(request, started, error)

    async def stream(self, base_url: str, request: Request, timeout_seconds: float) -> Streamed:
        started = self._clock.now()
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._open().request(**self._asked(base_url, request, None))
        except FAILURES as error:
            return Streamed(
                reply=self._failed(request, started, error), parts=_nothing(), close=lambda: None
            )
        reply = Reply(
            request=request,
            outcome=Outcome.ANSWERED,
            seconds=self._clock.now() - started,
            status=response.status,
            headers=_fold(response.headers.items()),
        )
        return Streamed(reply=reply, parts=_parts(response, deadline), close=response.close)

    async def _exchange(
        self, base_url: str, request: Request, hold: Hold | None, started: float
    ) -> Reply:
        async with self._open().request(**self._asked(base_url, request, hold)) as response:
            kept: list[bytes] = []
            total = 0
            try:
                async for chunk in response.content.iter_any():
                    kept.append(chunk[: max(0, MAX_KEPT_BYTES - total)])
                    total += len(chunk)
            except (aiohttp.ClientError, OSError) as error:
                broken = self._failed(request, started, error)
                return dataclasses.replace(broken, broken_status=response.status)
            return Reply(
                request=request,
                outcome=Outcome.ANSWERED,
                seconds=self._clock.now() - started,
                status=response.status,
                headers=_fold(response.headers.items()),
                body=b"".join(kept),
                body_bytes=total,
            )

    def _asked(self, base_url: str, request: Request, hold: Hold | None) -> dict[str, Any]:
        """The arguments of aiohttp's request."""
        headers = dict(request.headers)
        data: bytes | io.BytesIO | AsyncIterator[bytes] | None = request.body
        if request.body is not None and len(request.body) > IN_PIECES_BYTES:
            data = io.BytesIO(request.body)  # sent in pieces, so that the loop goes on meanwhile
        if hold is not None and request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            data = hold.parts(request.body)
        return {
            "method": request.method,
            "url": base_url + request.path,
            "headers": headers,
            "data": data,
            "allow_redirects": False,
        }

    def _failed(self, request: Request, started: float, error: Exception) -> Reply:
        outcome, detail = _told(error)
        seconds = self._clock.now() - started
        return Reply(request=request, outcome=outcome, seconds=seconds, detail=detail)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _fold(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined, as HTTP allows."""
    folded: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded


FAILURES = (TimeoutError, aiohttp.ClientError, OSError, ValueError)
"""What a peer can make aiohttp raise."""


def _told(error: Exception) -> tuple[Outcome, str]:
    """What it says of the exchange."""
    match error:
        case aiohttp.ClientConnectorError():
            return Outcome.REFUSED, error.strerror or ""
        case aiohttp.ServerDisconnectedError():
            return Outcome.RESET, ""
        case aiohttp.ClientPayloadError():
            return Outcome.RESET, f"in the middle of it: {error}"
        case TimeoutError():
            return Outcome.TIMEOUT, ""
        case aiohttp.ClientResponseError() | ValueError():
            return Outcome.BROKEN, str(error)[:200]
    return Outcome.RESET, str(error)[:200]


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""


async def _parts(response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[bytes, None]:
    """What was read so far, each time; backpressure reaches the peer. Ends with the connection."""
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                chunk = await response.content.readany()
            if not chunk:
                return
            yield chunk
    except FAILURES as error:
        raise StreamBroken(*_told(error)) from error
    finally:
        response.close()

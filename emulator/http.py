"""One HTTP exchange with a container, told as a value instead of an exception.

Owns: `Request`, `Reply`, the `Http` protocol and its aiohttp implementation. Must not know: what
a request is for, deadlines of the platform, containers. A transport failure is an answer too
("connection reset after 0.02 s"): it is the container's doing, not ours.
"""

from __future__ import annotations

import asyncio
import io
import shlex
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import aiohttp

from emulator.clock import Clock, SystemClock

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""A response body is read to its end, but no more than this is kept."""


IN_PIECES_BYTES = 512 * 1024


class Outcome(Enum):
    """How an exchange ended."""

    ANSWERED = "answered"
    REFUSED = "connection refused"
    RESET = "connection closed without an answer"
    TIMEOUT = "no answer"
    BROKEN = "an answer that is not HTTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. Header names keep their spelling; nothing is added but Host and lengths."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def curl(self, base_url: str) -> str:
        """A shell line that sends the same request; a large body is described, not quoted."""
        parts = ["curl", "-sS", "-i"]
        if self.method != "GET":
            parts += ["-X", self.method]
        for name, value in self.headers.items():
            parts += ["-H", f"{name}: {value}"]
        if self.body is not None:
            text = self.body.decode("utf-8", errors="replace")
            # curl takes a leading @ for a file's name, and a shell line holds text only.
            exact = text.encode("utf-8") == self.body and not text.startswith("@")
            short = exact and len(self.body) <= 400 and text.isprintable()
            if not any(name.lower() == "content-type" for name in self.headers):
                parts += ["-H", "Content-Type:"]  # curl would add one of its own
            parts += ["--data-binary", text if short else f"@BODY_OF_{len(self.body)}_BYTES"]
        return shlex.join([*parts, base_url + self.path])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `status` is None unless `outcome` is ANSWERED."""

    request: Request
    outcome: Outcome
    seconds: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    body_bytes: int = 0  # the whole length, also when less was kept
    detail: str = ""

    @property
    def ok(self) -> bool:
        """A 2xx: the only success that SageMaker knows (contract 3.9)."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def text(self, limit: int = 300) -> str:
        """The start of the body, on one line, for messages."""
        text = self.body[: limit * 4].decode("utf-8", errors="replace")
        text = " ".join(text.split())
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def __str__(self) -> str:
        what = f"{self.request.method} {self.request.path}"
        if self.status is None:
            why = f" ({self.detail})" if self.detail else ""
            return f"{what}: {self.outcome.value} after {self.seconds:.2f} s{why}"
        line = f"{what}: HTTP {self.status} after {self.seconds:.2f} s"
        if location := self.headers.get("location"):
            line += f", Location: {location}"
        if self.body:
            kind = self.content_type or "no Content-Type"
            line += f", {kind}, {self.body_bytes} bytes: {self.text(160)}"
        return line


class Http(Protocol):
    """Sends one request on a connection of its own. Never raises for what the peer does."""

    async def send(
        self,
        base_url: str,
        request: Request,
        timeout_seconds: float,
        hold: Hold | None = None,
    ) -> Reply: ...

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
        except TimeoutError:
            return self._failed(request, Outcome.TIMEOUT, started)
        except aiohttp.ClientConnectorError as error:
            return self._failed(request, Outcome.REFUSED, started, error.strerror or "")
        except aiohttp.ServerDisconnectedError:
            return self._failed(request, Outcome.RESET, started)
        except aiohttp.ClientPayloadError as error:
            return self._failed(request, Outcome.RESET, started, f"in the middle of it: {error}")
        except (aiohttp.ClientResponseError, ValueError) as error:
            return self._failed(request, Outcome.BROKEN, started, str(error)[:200])
        except (aiohttp.ClientError, OSError) as error:
            return self._failed(request, Outcome.RESET, started, str(error)[:200])

    async def _exchange(
        self, base_url: str, request: Request, hold: Hold | None, started: float
    ) -> Reply:
        headers = dict(request.headers)
        data: bytes | io.BytesIO | AsyncIterator[bytes] | None = request.body
        if request.body is not None and len(request.body) > IN_PIECES_BYTES:
            data = io.BytesIO(request.body)  # sent in pieces, so that the loop goes on meanwhile
        if hold is not None and request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            data = hold.parts(request.body)
        async with self._open().request(
            request.method,
            base_url + request.path,
            headers=headers,
            data=data,
            allow_redirects=False,
        ) as response:
            kept: list[bytes] = []
            total = 0
            async for chunk in response.content.iter_any():
                kept.append(chunk[: max(0, MAX_KEPT_BYTES - total)])
                total += len(chunk)
            return Reply(
                request=request,
                outcome=Outcome.ANSWERED,
                seconds=self._clock.now() - started,
                status=response.status,
                headers=_fold(response.headers.items()),
                body=b"".join(kept),
                body_bytes=total,
            )

    def _failed(
        self, request: Request, outcome: Outcome, started: float, detail: str = ""
    ) -> Reply:
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

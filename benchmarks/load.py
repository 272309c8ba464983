"""A client that costs little: prepared requests over connections that stay open.

Owns: sending, timing, counting. Must not know: whom it talks to. One request waits for its answer
on each connection, as with every client of AWS.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is sent; to one of these URLs per connection, in turn."""

    urls: tuple[str, ...]
    path: str
    body: bytes
    content_type: str = "application/json"

    @property
    def raw(self) -> bytes:
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        ).encode() + self.body


@dataclass(kw_only=True)
class Counted:
    """Any number of runs."""

    seconds: list[float] = field(default_factory=list)  # of each request
    took: float = 0.0
    errors: int = 0
    first_error: bytes = b""

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.took

    def percentile(self, of_hundred: int) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[of_hundred - 1]


async def send(call: Call, connections: int, requests: int, counted: Counted) -> None:
    """So many requests in all, shared by the connections as they are free."""
    left = iter(range(requests))
    opened = [await _open(call.urls[number % len(call.urls)]) for number in range(connections)]
    began = perf_counter()
    await asyncio.gather(
        *(
            _work(call, call.urls[number % len(call.urls)], pair, left, counted)
            for number, pair in enumerate(opened)
        )
    )
    counted.took += perf_counter() - began


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open(url: str) -> Pair:
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port, limit=16 * 1024 * 1024)


async def _work(call: Call, url: str, pair: Pair, left: object, counted: Counted) -> None:
    raw = call.raw
    reader, writer = pair
    for _ in left:  # type: ignore[attr-defined]
        began = perf_counter()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert length is not None, head
        body = await reader.readexactly(int(length[1]))
        counted.seconds.append(perf_counter() - began)
        if not head.startswith(b"HTTP/1.1 200 "):
            counted.errors += 1
            counted.first_error = counted.first_error or head + body[:300]
        if _CLOSE.search(head):  # nginx does so after a thousand requests
            writer.close()
            reader, writer = await _open(url)
    writer.close()

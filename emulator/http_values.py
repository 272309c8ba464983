"""What an HTTP exchange is made of, as values.

Owns: `Request`, `Reply`, `Streamed`, and how an exchange can end. Must not know: clients, servers,
deadlines.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum


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
    broken_status: int | None = None  # a status came, and then the body broke off: RESET

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


class StreamBroken(Exception):
    """A body that was under way did not come to its end: RESET, or TIMEOUT."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        self.outcome = outcome
        super().__init__(detail or outcome.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """An answer of which the head is there and the body comes. `reply` is without a body; when it
    is not ANSWERED there are no parts. `parts` raises StreamBroken. `close` ends the connection; it
    may be called twice, and is needed when the parts are not read to their end.
    """

    reply: Reply
    parts: AsyncGenerator[bytes, None]
    close: Callable[[], None]

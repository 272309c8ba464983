"""A WSGI application behind our ASGI door: one request at a time, whole bodies.

Owns: the words of PEP 3333, https://peps.python.org/pep-3333/. Must not know: which application it
is, paths, AWS.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulator.api.asgi import CallerGone, Receive, Scope

Environ = dict[str, Any]
WSGIApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

MOST_BYTES = 64 * 1024 * 1024
"""Of a request's body; above what any of AWS's JSON, query or CBOR calls takes."""


class TooLarge(Exception):
    """The body exceeds MOST_BYTES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the application said, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


async def body_of(receive: Receive) -> bytes:
    """Raises TooLarge, and CallerGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise TooLarge
        if not message.get("more_body", False):
            return b"".join(parts)


def environ_of(scope: Scope, body: bytes) -> Environ:
    """Headers with an underscore in their name are left out, as WSGI servers do: they would pass
    for those with a hyphen.
    """
    host, port = scope.get("server") or ("127.0.0.1", 80)
    query = scope["query_string"].decode("latin-1")
    raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        # Not in PEP 3333: the path as it was sent, for those who sign or split it themselves.
        "RAW_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = name.upper().replace("-", "_")
        if "_" in name or key in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            continue  # the body is whole: its length is known
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def call(app: WSGIApp, environ: Environ) -> Answer:
    """Runs it; belongs in a thread."""
    told: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], None]:
        del exc_info  # nothing has been sent yet: the later call counts
        told.append((status, headers))
        return written.append

    parts = app(environ, start_response)
    try:
        written.extend(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = told[-1]
    return Answer(
        status=int(status.split(" ", 1)[0]), headers=tuple(headers), body=b"".join(written)
    )

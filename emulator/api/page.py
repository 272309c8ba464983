"""The page of all endpoints, for a browser: GET / and what it asks for.

Owns: its paths and the headers that keep it what it is: one file, nothing from elsewhere, nothing
executed that a container or a caller printed. Must not know: what is told (`page_site`,
`page_feed`), who may talk to us (`guard`), endpoints.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from emulator.api.asgi import Message, Receive, Scope, Send, answer, head
from emulator.api.page_file import content_security_policy, html
from emulator.api.page_site import Choice, Site
from emulator.api.page_tab import Tab
from emulator.wire_answers import Response

PATHS = ("/", "/events", "/logs")

RETRY_MILLISECONDS = 1000
"""After how long a browser comes back when the connection is lost."""

SHOWN_LINES = 1000
"""Of an instance's log, the last."""

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
EVENTS = "text/event-stream"
COMMON = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def matches(scope: Scope) -> bool:
    """Whether a request is the page's: for the front's table."""
    return scope["path"] in PATHS and scope["method"] in ("GET", "HEAD")


class Page:
    """An ASGI application. `close()` ends its streams; do it before the server is closed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._html = html()
        self._policy = ("Content-Security-Policy", content_security_policy(self._html))

    def close(self) -> None:
        self._site.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/":
                await answer(send, _response(200, HTML, self._html, self._policy))
            case "/events" if scope["method"] == "GET":
                await self._events(scope, receive, send)
            case "/logs":
                status, text = await self._log(_query(scope))
                await answer(send, _response(status, TEXT, text.encode("utf-8", "replace")))
            case _:
                await answer(send, _response(404, TEXT, b"The page has no such path.\n"))

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        tab = self._site.open(_choice(_query(scope)))
        pump = asyncio.create_task(_pump(tab, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            # A reader that does not read is waited for in `send`; that it went away ends that, too.
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._site.leave(tab)
            ended = [task for task in (pump, gone) if not task.cancel()]
            await asyncio.wait({pump, gone})
        for task in ended:
            task.result()

    async def _log(self, query: Mapping[str, str]) -> tuple[int, str]:
        asked = query.get("instance", "")
        if not re.fullmatch(r"[0-9]{1,9}", asked):
            return 400, f"instance is a number, not {asked!r}: /logs?instance=1\n"
        logs = self._site.logs(_choice(query))
        if logs is None:
            return 404, "No such endpoint runs here.\n"
        await logs.collect()
        texts = [line.text for line in logs.lines() if line.instance == int(asked)]
        return 200, "".join(f"{text}\n" for text in texts[-SHOWN_LINES:])


def _query(scope: Scope) -> dict[str, str]:
    """The first of each name."""
    asked = parse_qs(scope["query_string"].decode("latin-1"))
    return {name: values[0] for name, values in asked.items()}


def _choice(query: Mapping[str, str]) -> Choice:
    return Choice(**{name: query.get(name, "") for name in ("endpoint", "variant", "region")})


async def _pump(tab: Tab, send: Send) -> None:
    start = head(_response(200, EVENTS, b""))
    await send({"type": "http.response.start", "status": 200, "headers": start})
    await send(_part(f"retry: {RETRY_MILLISECONDS}\n\n".encode()))
    async for message in tab.parts():
        await send(_part(message))
    await send({"type": "http.response.body"})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _response(status: int, kind: str, body: bytes, *headers: tuple[str, str]) -> Response:
    return Response(status=status, headers=(("Content-Type", kind), *headers, *COMMON), body=body)

"""Beginning anew: what moto's server does on `POST /moto-api/reset`, with the containers stopped.

Owns: that path, which test suites that use moto's server call between tests, and the order: first
the endpoints, then moto's state. Must not know: how an endpoint is deleted.
https://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from emulator.api.asgi import Receive, Scope, Send, answer_unread
from emulator.api.front import Mount
from emulator.api.moto_app import moto_lock
from emulator.wire_answers import Response

PATH = "/moto-api/reset"

Delete = Callable[[], Awaitable[None]]
"""All endpoints; returns when nothing of them runs."""


class Reset:
    """`await reset()`, or the path behind `mount`."""

    def __init__(self, delete: Delete) -> None:
        self._delete = delete

    @property
    def mount(self) -> Mount:
        return Mount(matches=lambda scope: scope["path"] == PATH, app=self.answer)

    async def __call__(self) -> None:
        await self._delete()
        await asyncio.to_thread(_forget_all)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As moto's server answers."""
        said, status = b'{"status": "ok"}', 200
        if scope["method"] == "POST":
            await self()
        else:
            said, status = b'{"message": "POST resets"}', 405
        headers = (("Content-Type", "application/json"),)
        await answer_unread(
            scope, receive, send, Response(status=status, headers=headers, body=said)
        )


def _forget_all() -> None:
    from moto.moto_api._internal.models import moto_api_backend

    with moto_lock:
        moto_api_backend.reset()

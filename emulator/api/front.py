"""The one door of an endpoint: the guard, then who answers.

Owns: what stands at which path, and that whoever is refused, or fails, gives one plain answer. Must
not know: what the mounted applications do, which server runs this.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emulator.api.asgi import (
    WHOLE,
    ASGIApp,
    CallerGone,
    Message,
    Receive,
    Scope,
    Send,
    answer_unread,
)
from emulator.api.guard import Guard
from emulator.wire_answers import ERROR_TYPE, REQUEST_ID, Response

log = logging.getLogger("byoc.front")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Another application behind the same door."""

    matches: Callable[[Scope], bool]
    app: ASGIApp


class Front:
    """An ASGI application: the first mount that matches answers, else SageMaker Runtime."""

    def __init__(
        self, runtime: ASGIApp, mounts: Sequence[Mount] = (), *, guard: Guard | None = None
    ) -> None:
        self._runtime = runtime
        self._mounts = tuple(mounts)
        self._guard = guard or Guard()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = (scope.get("server") or ("", 0))[1] or 0
        if why := self._guard.refusal(scope["method"], scope["headers"], port):
            await answer_unread(scope, receive, send, refused(why))
            return
        for mount in self._mounts:
            if mount.matches(scope):
                await _guest(mount.app, scope, receive, send)
                return
        await self._runtime(scope, receive, send)


def refused(why: str) -> Response:
    """As AWS denies access: to somebody who reads JSON, and to somebody who reads the status."""
    headers = (
        (REQUEST_ID, str(uuid.uuid4())),
        (ERROR_TYPE, "AccessDeniedException"),
        ("Content-Type", "application/json"),
        ("X-Content-Type-Options", "nosniff"),
    )
    text = f"byoc refuses this request: {why}"
    return Response(status=403, headers=headers, body=json.dumps({"Message": text}).encode())


async def _guest(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A mounted application's failure is ours to tell: its caller gets an answer, the log gets the
    traceback. After the first byte nothing can be told; the server ends the connection.
    """
    begun = False

    async def watched(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    async def read() -> Message:
        message = await receive()
        scope[WHOLE] = not message.get("more_body", False)
        return message

    try:
        await app(scope, read, watched)
    except CallerGone:
        pass
    except Exception:
        log.exception("byoc failed on %s %s", scope["method"], scope["path"])
        if not begun:
            headers = (("Content-Type", "text/plain"),)
            text = b"byoc failed; its log has the traceback.\n"
            await answer_unread(
                scope, receive, send, Response(status=500, headers=headers, body=text)
            )

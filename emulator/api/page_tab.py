"""One reader of the page's stream.

Owns: what waits for it, and what becomes of that when it does not read. Must not know: HTTP, what
the messages say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

WAITING = 20
"""Messages that wait for a tab, before it is told the whole story instead: two seconds of them."""


class Tab:
    """One reader. `parts()` is what it is sent, until it is closed."""

    def __init__(self, story: Callable[[], bytes]) -> None:
        self._story = story
        self._waiting: deque[bytes] = deque()
        self._stale = True  # the first that it is told is the whole story
        self._wake = asyncio.Event()
        self._closed = False

    async def parts(self) -> AsyncIterator[bytes]:
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._stale or self._waiting:
                if self._closed:
                    return
                yield self._next()
            if self._closed:
                return

    def _next(self) -> bytes:
        if self._stale:
            story = self._story()
            self._stale = False
            self._waiting.clear()
            return story
        return self._waiting.popleft()

    @property
    def behind(self) -> int | None:
        """Messages that wait for it; None: too many, and it will be told the whole story."""
        return None if self._stale else len(self._waiting)

    def put(self, message: bytes) -> None:
        if self._stale:
            return  # what is new is part of the story
        if len(self._waiting) >= WAITING:
            self.restart()
            return
        self._waiting.append(message)
        self._wake.set()

    def restart(self) -> None:
        """It is told the whole story, of whatever it looks at now."""
        self._waiting.clear()
        self._stale = True
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

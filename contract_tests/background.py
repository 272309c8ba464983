"""Work on the event loop that a run begins now and asks for later.

Owns: that it ends with the run, whatever it does then. Must not know: what it is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import Generic, TypeVar

from anyio.from_thread import BlockingPortal

Returned = TypeVar("Returned")


class Background(Generic[Returned]):
    """A coroutine function that runs. What it began it clears up when it is cancelled."""

    def __init__(self, portal: BlockingPortal, function: Callable[[], Awaitable[Returned]]) -> None:
        self._ended = threading.Event()

        async def run() -> Returned:
            try:
                return await function()
            finally:
                self._ended.set()

        self._future = portal.start_task_soon(run)

    def result(self) -> Returned:
        """Waits for it, and raises what it raised."""
        return self._future.result()

    def cancel(self) -> None:
        """Returns when it has ended. Nothing is raised for what became of it."""
        if not self._future.done():
            self._future.cancel()
            self._ended.wait()
        with contextlib.suppress(Exception, CancelledError):
            self._future.result()

"""From a thread to the event loop, and back with the result.

Owns: that nobody waits for ever when the loop's side ends. Must not know: what is done there.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopPortal:
    """Made on the loop; used from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    def close(self) -> None:
        """On the loop. Whoever waits gets CancelledError, also who comes later."""
        self._closed = True
        for future in tuple(self._waiting):
            future.cancel()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. Raises what it raises."""
        if self._closed:
            work.close()
            raise concurrent.futures.CancelledError
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._waiting.add(future)
        if self._closed:  # meanwhile; close() may not have seen it
            future.cancel()
        try:
            return future.result()
        finally:
            self._waiting.discard(future)

    def do(self, what: Callable[[], T]) -> T:
        """The same of a function, which must not take long."""

        async def run() -> T:
            return what()

        return self.run(run())

    def soon(self, what: Callable[..., object], *given: object) -> None:
        """Without waiting."""
        if not self._closed:
            self._loop.call_soon_threadsafe(what, *given)

"""Virtual time, for tests: minutes pass in milliseconds.

Owns: `FakeClock`. Must not know: what waits on it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SETTLE_ROUNDS = 64
"""Turns of the event loop after which everybody is taken to be waiting."""

QUIET_ROUNDS = 4
"""Turns in a row that had nothing to do, after which it is known earlier. One would do, were it not
for what comes from outside of the loop.
"""


class FakeClock:
    """Virtual time. `run(coroutine)` jumps to the next deadline whenever everything waits.

    Guarantees: `now()` never goes back; sleepers wake in the order of their deadlines.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    def jump(self, seconds: float) -> None:
        """Moves time forward and wakes who was due. Time cannot go backwards."""
        if seconds < 0:
            raise ValueError(f"time cannot go backwards (asked for {seconds} s)")
        self._advance(self._now + seconds)

    def _advance(self, to: float) -> None:
        self._now = max(self._now, to)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs to the end in virtual time. Raises RuntimeError when nothing can go on."""

        async def drive() -> T:
            task = asyncio.ensure_future(coroutine)
            # What the loop runs next; a loop that does not tell is never quiet.
            coming = getattr(asyncio.get_running_loop(), "_ready", (None,))
            while not task.done():
                quiet = 0
                for _ in range(SETTLE_ROUNDS):
                    await asyncio.sleep(0)
                    quiet = 0 if coming else quiet + 1
                    if task.done() or quiet == QUIET_ROUNDS:
                        break
                if not task.done():
                    while self._sleepers and self._sleepers[0][2].done():
                        heapq.heappop(self._sleepers)
                    if not self._sleepers:
                        task.cancel()
                        raise RuntimeError("everything waits and nobody sleeps: a deadlock")
                    self._advance(self._sleepers[0][0])
            return task.result()

        return asyncio.run(drive())

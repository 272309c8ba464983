"""One alarm on a clock.

Owns: that it never rings too late and that there is one at most. Must not know: what is due. One
that rings too early costs a look, which is less than a new timer for each request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from emulator.clock import Clock

log = logging.getLogger("byoc.endpoint")

RETRY_SECONDS = 1.0


class Alarm:
    """`ring` sets it again when there is a need; one that raises is called again."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0

    def by(self, due: float) -> None:
        """Rings then at the latest."""
        if self._task is None or due < self._due:
            self._set(due)

    def cancel(self) -> asyncio.Task[None] | None:
        """The task that ends, for who waits for it."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _set(self, due: float) -> None:
        self.cancel()
        self._due = due
        self._task = asyncio.create_task(self._wait(due))

    async def _wait(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.now()))
        self._task = None
        try:
            self._ring()
        except Exception:
            log.exception("the policy failed at its deadline; it is asked again")
            self._set(self._clock.now() + RETRY_SECONDS)

"""The health checks of a real-time variant after it is InService.

Owns: when a ready instance is asked for /ping, and after how many failures in a row it is given up.
Must not know: how instances are kept, what becomes of one that is given up. Serverless instances
are not asked again once they are ready (contract 2.9).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from emulator.clock import Clock
from emulator.endpoint_slots import Slot, log_failure
from emulator.http import Reply

log = logging.getLogger("byoc.endpoint")

EVERY_SECONDS = 5.0
"""How often AWS asks (contract 2.4,
https://github.com/aws/sagemaker-inference-toolkit/issues/70)."""

GIVEN_UP_AFTER = 5
"""How many failures in a row make an instance unhealthy. AWS replaces one that does not answer 200
but does not say after how many (contract 2.10); 15 s of failures were seen to do nothing, so more
than three. Only what fails while idle counts: a server with one worker cannot answer /ping while it
predicts, and such containers are known to run on AWS."""


class HealthChecks:
    """`ready` gives the instances that take requests; `unhealthy` is told of one once."""

    def __init__(
        self,
        clock: Clock,
        ready: Callable[[], Collection[Slot]],
        unhealthy: Callable[[int, str], None],
    ) -> None:
        self._clock, self._ready, self._unhealthy = clock, ready, unhealthy
        self._failures: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """To be called once, on the loop."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(log_failure)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        due = self._clock.now()
        while True:
            due = max(due, self._clock.now()) + EVERY_SECONDS
            await self._clock.sleep(due - self._clock.now())
            slots = {slot.number: slot for slot in self._ready()}
            self._failures = {n: times for n, times in self._failures.items() if n in slots}
            asked = await asyncio.gather(
                *(self._ask(slot) for slot in slots.values()), return_exceptions=True
            )
            for error in asked:
                if isinstance(error, Exception):
                    log.error("a health check failed; it is tried again", exc_info=error)

    async def _ask(self, slot: Slot) -> None:
        if slot.busy or slot.instance is None:
            self._failures.pop(slot.number, None)
            return
        reply = await slot.instance.ping()
        if slot.busy or reply.status == 200:
            self._failures.pop(slot.number, None)
            return
        self._count(slot, reply)

    def _count(self, slot: Slot, reply: Reply) -> None:
        times = self._failures.get(slot.number, 0) + 1
        self._failures[slot.number] = times
        log.debug("instance %s failed health check %s in a row: %s", slot.number, times, reply)
        if times >= GIVEN_UP_AFTER and slot in self._ready():
            self._unhealthy(slot.number, f"it failed {times} health checks in a row: {reply}")

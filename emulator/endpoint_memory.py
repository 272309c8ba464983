"""How much memory an instance has used, known when its request is answered.

Owns: when an engine is asked for it, so that no answer waits noticeably: right after the exchange
where the look is cheap, unless it has just been asked; beside the exchange and at most once a
second where it is not. Must not know: requests, cgroups, engines other than by their `memory()`.
"""

from __future__ import annotations

import asyncio
import logging
import math

from emulator.clock import Clock
from emulator.endpoint_slots import Slot, log_failure
from emulator.engines import Capability, Engine, EngineUnavailable

log = logging.getLogger("byoc.endpoint")

CHEAP_SECONDS = 0.0001
CHEAP_SHARE = 0.02
"""What a look may take while a caller waits for its answer: so much, or this share of the request's
own time, whichever is more.
"""

FRESH_SECONDS = 0.05
"""How long a cheap look counts: under load its 60 us are a good part of what byoc costs."""

EVERY_SECONDS = 1.0
"""How often a look is taken that takes longer."""


class MemoryMeter:
    """See the module. Whatever goes wrong costs the number only."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def began(self, slot: Slot) -> None:
        """A request goes to it: time for a look that is not cheap, or whose price is not known."""
        if (
            slot.memory_cost > CHEAP_SECONDS
            and slot.measuring is None
            and self._clock.now() - slot.measured >= EVERY_SECONDS
            and Capability.MEMORY in self._engine.capabilities
        ):
            slot.measuring = asyncio.create_task(self._beside(slot))
            slot.measuring.add_done_callback(log_failure)

    async def look(self, slot: Slot, seconds: float) -> None:
        """It has answered after that time: `slot.memory_bytes` is the most so far, if that is known
        cheaply.
        """
        now = self._clock.now()
        if (
            slot.memory_cost <= max(CHEAP_SECONDS, CHEAP_SHARE * seconds)
            and now - slot.looked >= FRESH_SECONDS
        ):
            slot.looked = now
            await self._measure(slot)

    async def _beside(self, slot: Slot) -> None:
        first = math.isinf(slot.measured)
        try:
            await self._measure(slot)
            if first:  # it costs more than those that follow
                await self._measure(slot)
        finally:
            slot.measuring = None

    async def _measure(self, slot: Slot) -> None:
        assert slot.instance is not None
        slot.measured = self._clock.now()
        try:
            memory = await slot.instance.container.memory()
        except EngineUnavailable:
            slot.memory_cost = math.inf
            return
        except Exception:
            log.exception("byoc failed to ask for the memory of instance %s", slot.number)
            slot.memory_cost = math.inf
            return
        slot.memory_cost = self._clock.now() - slot.measured
        slot.memory_bytes = max(memory.peak_bytes, slot.memory_bytes or 0)

"""Instances that a real-time variant has too many of: which go, and how.

Owns: the choice, and that requests in flight are answered first. Must not know: why there are too
many, how an instance is stopped.
"""

from __future__ import annotations

import asyncio

from emulator.endpoint_instances import Instances
from emulator.endpoint_slots import Slot
from emulator.endpoint_state import Invocation, Journal


def too_many(ready: dict[int, Slot], most: int) -> list[Slot]:
    """Takes out those that are over, the ones with the fewest requests first."""
    idle_first = sorted(ready.values(), key=lambda slot: slot.busy)
    gone = idle_first[: max(0, len(ready) - most)]
    for slot in gone:
        del ready[slot.number]
    return gone


async def left(slot: Slot, journal: Journal, instances: Instances) -> None:
    """It gets no new requests any more; when the last one is answered it is stopped."""
    answered = asyncio.Event()

    def heard(record: Invocation) -> None:  # noqa: ARG001
        answered.set()

    journal.listeners.append(heard)
    try:
        while slot.busy:
            answered.clear()
            await answered.wait()
    finally:
        journal.listeners.remove(heard)
    instances.stop(slot.number, why="fewer instances are wanted", at_once=False)

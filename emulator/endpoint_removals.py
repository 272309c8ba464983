"""The way out: instances that were told to stop, until nothing of them is left.

Owns: the grace, what the engine did not remove and the next try. Must not know: why an instance
stops, which ones live. No order raises and none is lost, whatever the engine does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from emulator.endpoint_freeze import settled
from emulator.endpoint_logs import LogBook
from emulator.endpoint_slots import Slot, log_failure
from emulator.engines import EngineUnavailable
from emulator.instance import Instance

log = logging.getLogger("byoc.endpoint")


class Removals:
    """`left_over` is told when a container could not be removed: somebody has to call `again()`."""

    def __init__(self, logs: LogBook, left_over: Callable[[], None]) -> None:
        self._logs = logs
        self._left_over = left_over
        self._under_way: dict[asyncio.Task[None], int] = {}  # with the version
        self._remains: list[Instance] = []

    @property
    def remains(self) -> bool:
        """Whether there are containers that the engine did not remove when it was told to."""
        return bool(self._remains)

    def stop(self, slot: Slot, *, at_once: bool) -> None:
        self._begin(self._stop(slot, at_once=at_once), slot.version)

    def again(self) -> None:
        """Tries once more what could not be removed."""
        left, self._remains = self._remains, []
        for instance in left:
            self._begin(self._remove(instance, at_once=True, again=True), 0)

    async def cleared(self, version: int) -> None:
        """Returns when every stop of that version that was ordered has been tried."""
        while tasks := [task for task, whose in self._under_way.items() if whose == version]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Waits for all, and tries once more what could not be removed."""
        while self._under_way:
            # wait, not gather: who gives up waiting must not take the stops along.
            await asyncio.wait(self._under_way)
        left, self._remains = self._remains, []
        for instance in left:
            await self._remove(instance, at_once=True, again=True)
        for instance in self._remains:
            await self._logs.ended(instance.container)
        if self._remains:
            names = ", ".join(instance.container.id[:12] for instance in self._remains)
            log.error("containers are left: %s. `byoc clean` removes them later.", names)

    def _begin(self, work: Coroutine[Any, Any, None], version: int) -> None:
        task = asyncio.create_task(work)
        self._under_way[task] = version
        task.add_done_callback(self._under_way.pop)
        task.add_done_callback(log_failure)

    async def _stop(self, slot: Slot, *, at_once: bool) -> None:
        if slot.start is not None and not slot.start.done():
            slot.start.cancel()  # the engine removes what it was creating
            await asyncio.wait({slot.start})
        await settled(slot)
        if slot.measuring is not None:
            await asyncio.wait({slot.measuring})
        if slot.instance is not None:
            await self._remove(slot.instance, at_once=at_once)

    async def _remove(self, instance: Instance, *, at_once: bool, again: bool = False) -> None:
        try:
            await instance.stop(0 if at_once else None)
        except EngineUnavailable as error:
            level = logging.DEBUG if again else logging.WARNING
            name = instance.container.id[:12]
            log.log(level, "container %s could not be removed yet: %s", name, error)
        except Exception:
            log.exception("byoc failed to remove container %s", instance.container.id[:12])
        else:
            await self._logs.ended(instance.container)
            return
        self._remains.append(instance)
        self._left_over()

"""The instances of one endpoint: started, watched, stopped, and none of them left.

Owns: what runs for each number that the policy gave. Must not know: the policy, requests, the wire.
What happens by itself (ready, failed, died) is told to a `Told`; what is ordered is done without
an answer. No order raises and none is lost, whatever the engine does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.clock import Clock
from emulator.engines import ContainerSpec, Engine, EngineUnavailable, ImageNotFound, StartRefused
from emulator.http import Http
from emulator.instance import PING, Instance, StartReport
from emulator.limits import Limits

log = logging.getLogger("byoc.endpoint")

WATCH_SECONDS = 1.0
"""How often instances that nobody uses are asked whether they still live."""

WATCHED_AT_ONCE = 8
"""How many of them are asked each time, in turn: 200 idle instances must not keep an engine busy.
One that died and was not asked yet refuses its next request, which is seen, too."""

SETTLE_SECONDS = 0.5
SETTLE_PING_SECONDS = 0.25
SETTLE_INTERVAL_SECONDS = 0.05
"""After a broken exchange: how long to find out whether the instance is dying. Its sockets close
before the engine knows of its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailure:
    """Why a start came to nothing. `error` is set when the container is not to blame."""

    words: str
    report: StartReport | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of an instance whose exchange broke."""

    died: bool
    out_of_memory: bool


class Told(Protocol):
    """Who hears what instances do by themselves."""

    def instance_ready(self, number: int, report: StartReport) -> None: ...

    def instance_failed(self, number: int, failure: StartFailure) -> None: ...

    def instance_gone(self, number: int) -> None: ...


@dataclass(slots=True, eq=False)
class Slot:
    """One number's container, from the order to start to the order to stop."""

    number: int
    start: asyncio.Task[None] | None = None
    instance: Instance | None = None
    ready: bool = False
    busy: bool = False
    kills: int = 0  # for memory, known already
    watched: int = 0  # the round in which it was asked last


class Instances:
    """See the module. Everything runs on one loop."""

    def __init__(
        self,
        spec: ContainerSpec,
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        limits: Limits,
        told: Told,
    ) -> None:
        self.spec, self.limits = spec, limits
        self._engine, self._http, self._clock, self._told = engine, http, clock, told
        self._slots: dict[int, Slot] = {}
        self._remains: list[Instance] = []
        """Containers that the engine did not remove when it was told to."""
        self._stops: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._round = 0
        self._closed = False

    def ready(self, number: int) -> Slot | None:
        """The slot of an instance that takes requests."""
        slot = self._slots.get(number)
        return slot if slot is not None and slot.ready else None

    # -- orders --------------------------------------------------------------------------------

    def start(self, number: int) -> None:
        slot = self._slots[number] = Slot(number)
        slot.start = asyncio.create_task(self._start(slot))
        slot.start.add_done_callback(log_failure)

    def stop(self, number: int, *, at_once: bool) -> None:
        slot = self._slots.pop(number, None)
        if slot is not None:
            self._stopping(self._stop(slot, at_once=at_once))

    async def close(self) -> None:
        """Stops everything, waits for it, and tries once more what could not be removed."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        for slot in list(self._slots.values()):
            self.stop(slot.number, at_once=not slot.ready)
        while self._stops:
            # wait, not gather: who gives up waiting must not take the stops along.
            await asyncio.wait(self._stops)
        left, self._remains = self._remains, []
        for instance in left:
            await self._remove(instance, at_once=True, again=True)
        if self._remains:
            names = ", ".join(instance.container.id[:12] for instance in self._remains)
            log.error("containers are left: %s. `byoc clean` removes them later.", names)

    # -- one start -----------------------------------------------------------------------------

    async def _start(self, slot: Slot) -> None:
        try:
            slot.instance = await Instance.start(
                self._engine, self.spec, clock=self._clock, http=self._http, limits=self.limits
            )
            report = await slot.instance.wait_ready()
        except StartRefused as error:
            self._failed(slot, StartFailure(words=str(error)))
        except (EngineUnavailable, ImageNotFound) as error:
            self._failed(slot, StartFailure(words=str(error), error=error))
        except Exception as error:
            log.exception("byoc failed to start instance %s", slot.number)
            self._failed(slot, StartFailure(words=f"byoc failed: {error!r}", error=error))
        else:
            if not report.ready:
                self._failed(slot, StartFailure(words=report.describe(), report=report))
            elif self._slots.get(slot.number) is slot:
                slot.ready = True
                self._told.instance_ready(slot.number, report)
                self.watch()

    def _failed(self, slot: Slot, failure: StartFailure) -> None:
        if self._slots.get(slot.number) is slot:  # else it was told to stop meanwhile
            self._told.instance_failed(slot.number, failure)

    # -- the end -------------------------------------------------------------------------------

    def _stopping(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)
        task.add_done_callback(log_failure)

    async def _stop(self, slot: Slot, *, at_once: bool) -> None:
        if slot.start is not None and not slot.start.done():
            slot.start.cancel()  # the engine removes what it was creating
            await asyncio.wait({slot.start})
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
            return
        self._remains.append(instance)
        self.watch()

    # -- what happens by itself ----------------------------------------------------------------

    def watch(self) -> None:
        """Goes on as long as there is something to look at."""
        if self._closed or (self._watcher is not None and not self._watcher.done()):
            return
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self._remains or self._unused():
            await self._clock.sleep(WATCH_SECONDS)
            try:
                await self._look()
            except EngineUnavailable:
                continue  # it says nothing of our instances; they may answer all the same
            except Exception:
                log.exception("looking after idle instances failed; it is tried again")

    def _unused(self) -> list[Slot]:
        return [slot for slot in self._slots.values() if slot.ready and not slot.busy]

    async def _look(self) -> None:
        self._round += 1
        left, self._remains = self._remains, []
        for instance in left:
            self._stopping(self._remove(instance, at_once=True, again=True))
        for slot in sorted(self._unused(), key=lambda one: one.watched)[:WATCHED_AT_ONCE]:
            slot.watched = self._round
            assert slot.instance is not None
            code = await slot.instance.container.exit_code()
            if code is not None and self._slots.get(slot.number) is slot and not slot.busy:
                log.warning("instance %s exited with code %s while idle", slot.number, code)
                self._told.instance_gone(slot.number)

    async def fate(self, slot: Slot) -> Fate:
        """Asked after a broken exchange. Takes at most a second, and no time when it is clear."""
        assert slot.instance is not None
        until = self._clock.now() + SETTLE_SECONDS
        try:
            while not (died := await slot.instance.container.exit_code() is not None):
                ping = await slot.instance.send(PING, SETTLE_PING_SECONDS)
                if ping.status is not None or self._clock.now() >= until:
                    break
                await self._clock.sleep(SETTLE_INTERVAL_SECONDS)
            before, slot.kills = slot.kills, await slot.instance.container.oom_kills()
        except EngineUnavailable:
            # An engine that is gone took its containers along, as far as can be seen.
            return Fate(died=True, out_of_memory=False)
        return Fate(died=died, out_of_memory=slot.kills > before)


def log_failure(task: asyncio.Task[None]) -> None:
    """Nobody waits for these tasks; what goes wrong in one must be seen all the same."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("byoc failed in %s", task.get_coro(), exc_info=error)

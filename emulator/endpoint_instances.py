"""The instances of one endpoint: started, watched, stopped, and none of them left.

Owns: what runs for each number that was given, and what is told of it. Must not know: the policy,
requests other than by their number, the wire. What happens by itself (ready, failed, died) is told
to a `Told`; what is ordered is done without an answer. No order raises and none is lost, whatever
the engine does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from emulator.clock import Clock
from emulator.endpoint_freeze import Freezer
from emulator.endpoint_logs import LogBook
from emulator.endpoint_memory import MemoryMeter
from emulator.endpoint_removals import Removals
from emulator.endpoint_slots import Fate, Slot, StartFailure, Told, log_failure
from emulator.endpoint_state import InstanceChange, InstanceState
from emulator.engines import ContainerSpec, Engine, EngineUnavailable, ImageNotFound, StartRefused
from emulator.http import Http
from emulator.instance import PING, Instance, PingAnswer
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


class Instances:
    """See the module. Everything runs on one loop. `specs` has that of every version."""

    def __init__(
        self,
        spec: ContainerSpec,
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        limits: Limits,
        told: Told,
        changed: Callable[[InstanceChange], None],
        logs: LogBook,
        freeze: bool = False,
    ) -> None:
        self.specs = {1: spec}
        self.limits = limits
        self.meter = MemoryMeter(engine, clock)
        self.freezer = Freezer(on=freeze, frozen=self._frozen)
        self._engine, self._http, self._clock, self._told = engine, http, clock, told
        self._changed, self._logs = changed, logs
        self._slots: dict[int, Slot] = {}
        self._removals = Removals(logs, left_over=self.watch)
        self._watcher: asyncio.Task[None] | None = None
        self._round = 0
        self._closed = False
        self._stopped = asyncio.Event()

    def ready(self, number: int) -> Slot | None:
        """The slot of an instance that takes requests."""
        slot = self._slots.get(number)
        return slot if slot is not None and slot.ready else None

    def known(self, slot: Slot) -> bool:
        """Whether it was not told to stop."""
        return self._slots.get(slot.number) is slot

    def said(self, number: int) -> str:
        """What /ping answered last while that instance started; empty when it answered nothing."""
        slot = self._slots.get(number)
        return slot.said if slot is not None else ""

    # -- orders --------------------------------------------------------------------------------

    def start(
        self,
        number: int,
        *,
        version: int = 1,
        provisioned: bool = False,
        request: int | None = None,
    ) -> None:
        slot = Slot(number, version=version, provisioned=provisioned, request=request)
        self._slots[number] = slot
        self._tell(slot, InstanceState.STARTING, request=request)
        slot.start = asyncio.create_task(self._start(slot))
        slot.start.add_done_callback(log_failure)

    def took(self, slot: Slot, request: int) -> None:
        """It works on that request from now on."""
        slot.busy += 1
        self._tell(slot, InstanceState.BUSY, request=request)
        self.meter.began(slot)

    def rested(self, slot: Slot) -> None:
        """One of its requests is over. Nothing happens when it was told to stop meanwhile."""
        slot.busy -= 1
        if self.known(slot) and not slot.busy:
            self._rest(slot)

    def stop(self, number: int, *, why: str, at_once: bool) -> None:
        slot = self._slots.pop(number, None)
        if slot is not None:
            self._tell(slot, InstanceState.GONE, why=why)
            self._removals.stop(slot, at_once=at_once)
            self._stopped.set()

    async def cleared(self, version: int) -> None:
        """Returns when what was told to stop of that version has stopped."""
        await self._removals.cleared(version)

    async def left(self, version: int) -> None:
        """Returns when nothing of that version is there any more."""
        while any(slot.version == version for slot in self._slots.values()):
            self._stopped.clear()
            await self._stopped.wait()
        await self._removals.cleared(version)

    async def close(self) -> None:
        """Stops everything, waits for it, and tries once more what could not be removed."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
        for slot in list(self._slots.values()):
            self.stop(slot.number, why="the endpoint is closed", at_once=not slot.ready)
        await self._removals.close()

    # -- one start -----------------------------------------------------------------------------

    async def _start(self, slot: Slot) -> None:
        spec = self.specs[slot.version]
        try:
            slot.instance = await Instance.start(
                self._engine, spec, clock=self._clock, http=self._http, limits=self.limits
            )
            self._logs.began(slot.number, slot.instance.container)
            if self.known(slot):
                self._tell(slot, InstanceState.STARTING, request=slot.request)
            report = await slot.instance.wait_ready(seen=partial(self._pinged, slot))
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
            elif self.known(slot):
                slot.ready = True
                self._told.instance_ready(slot.number, report)
                if self.known(slot) and not slot.busy:
                    self._rest(slot)

    def _pinged(self, slot: Slot, answer: PingAnswer) -> None:
        if answer.reply.status == 200 or not self.known(slot):
            return
        slot.said = str(answer.reply)
        self._tell(slot, InstanceState.STARTING, request=slot.request, why=slot.said)

    def _failed(self, slot: Slot, failure: StartFailure) -> None:
        if self.known(slot):
            self._told.instance_failed(slot.number, failure)

    # -- what is told --------------------------------------------------------------------------

    def _tell(
        self, slot: Slot, state: InstanceState, *, request: int | None = None, why: str = ""
    ) -> None:
        self._changed(
            InstanceChange(
                at=self._clock.now(),
                instance=slot.number,
                state=state,
                version=slot.version,
                provisioned=slot.provisioned,
                request=request,
                why=why,
                container=slot.container_id,
            )
        )

    def _rest(self, slot: Slot) -> None:
        self._tell(slot, InstanceState.IDLE)
        self.freezer.rested(slot)
        self.watch()

    def _frozen(self, slot: Slot) -> None:
        if self.known(slot) and not slot.busy:
            self._tell(slot, InstanceState.FROZEN)

    # -- what happens by itself ----------------------------------------------------------------

    def watch(self) -> None:
        """Goes on as long as there is something to look at."""
        if self._closed or (self._watcher is not None and not self._watcher.done()):
            return
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self._removals.remains or self._unused():
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
        self._removals.again()
        for slot in sorted(self._unused(), key=lambda one: one.watched)[:WATCHED_AT_ONCE]:
            slot.watched = self._round
            assert slot.instance is not None
            code = await slot.instance.container.exit_code()
            if code is not None and self.known(slot) and not slot.busy:
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

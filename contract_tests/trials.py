"""Starts under other conditions than the usual ones: each made once, some of them side by side.

Owns: making them, and what is seen of each. Must not know: which conditions (`sandbox`), verdicts,
pytest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope

from contract_tests.trial import Trial
from emulator import owner
from emulator.engines import Capability, ContainerSpec, EngineUnavailable, Process, StartRefused
from emulator.http import Reply
from emulator.instance import Instance, StartReport, StartState
from emulator.limits import MIB

if TYPE_CHECKING:
    from contract_tests.target import Target

SMALL_BYTES = 512 * MIB
"""Containers that hold more are started one after another: the machine may not have room."""

SETTLE_STEPS, SETTLE_STEP_SECONDS = 30, 0.5
QUIET_STEPS, SETTLED_GROWTH = 2, 1.02
"""Processes have settled when twice in a row they grew no more than that."""

PATIENCE, PATIENCE_SECONDS = 3.0, 10.0
"""A second start may take so many times the first one, and some seconds more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A trial to be made."""

    spec: ContainerSpec
    again: bool = False  # kill it when it served, and start it again with what it wrote
    seconds: float | None = None  # how long it is waited for, in place of the platform's window


class Trials:
    """Of one target. `close()` removes their temporary files."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._made: dict[str, Trial] = {}
        self._usual_number = 0  # of processes in the usual container; 0 while it is not known
        self._temporary: dict[str, owner.TemporaryDirectory] = {}

    def get(self, name: str, wanted: Wanted) -> Trial:
        """Once per name; the container is gone afterwards. Raises EngineUnavailable."""
        if name not in self._made:
            self._prepare()
            self._made[name] = self._target.call(self._make, wanted, self._usual())
        return self._made[name]

    def together(self, wanted: Mapping[str, Wanted], *, sure: bool = False) -> None:
        """Makes those that are not made yet, side by side where the machine surely has room. With
        `sure`, one that does not serve beside the others is not believed: containers may share
        what is outside of them.
        """
        todo = {name: each for name, each in wanted.items() if name not in self._made}
        self._prepare()
        if len(todo) < 2 or not self._small():
            for name, each in todo.items():
                self.get(name, each)
            return
        found = self._target.call(self._beside, list(todo.values()), self._usual())
        for name, trial in zip(todo, found, strict=True):
            # Who was only slow may have been so for the others' sake, and is asked alone.
            if trial.served or not (sure or trial.state is StartState.TIMED_OUT):
                self._made[name] = trial

    def directory(self, name: str) -> Path:
        """One per name, empty at first, that lives until `close`."""
        if name not in self._temporary:
            self._temporary[name] = owner.temporary_directory()
        return self._temporary[name].path

    def close(self) -> None:
        """May be called twice, and the trials used after it."""
        while self._temporary:
            self._temporary.popitem()[1].close()

    def _prepare(self) -> None:
        first = self._target.first  # the usual start comes first: others are compared with it
        able = Capability.PROCESSES in self._target.engine.capabilities
        if first is not None and first.ready and able and not self._usual_number:
            with suppress(EngineUnavailable):
                self._usual_number = len(first.processes())

    def _usual(self) -> Reply | None:
        first = self._target.first
        return first.first_invocation if first is not None else None

    def _small(self) -> bool:
        first, able = self._target.first, self._target.engine.capabilities
        if first is None or first.stopped is not None or Capability.MEMORY not in able:
            return False
        try:
            return self._target.call(first.instance.container.memory).used_bytes <= SMALL_BYTES
        except EngineUnavailable:
            return False

    async def _beside(self, wanted: list[Wanted], usual: Reply | None) -> list[Trial]:
        made = (self._make(each, usual) for each in wanted)
        # All are waited for, also when one fails: none may start a container after that.
        found = await asyncio.gather(*made, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if isinstance(each, Trial)]

    async def _make(self, wanted: Wanted, usual: Reply | None) -> Trial:
        target, limits = self._target, self._target.limits
        if wanted.seconds is not None:
            shorter = min(wanted.seconds, limits.startup_seconds)
            limits = replace(limits, startup_seconds=shorter)
        try:
            subject = await target.begin(wanted.spec, limits)
        except StartRefused as refused:
            return Trial(served=False, words=f"the engine cannot start it: {refused}", log="")
        try:
            trial = await self._seen(
                subject.instance, subject.start, subject.first_invocation, usual
            )
            if wanted.again and trial.served:
                trial = replace(
                    trial, again=await self._again(subject.instance, usual, subject.start.seconds)
                )
        finally:
            with CancelScope(shield=True):
                subject.stopped = await subject.instance.stop(0)
        return trial

    async def _again(self, instance: Instance, usual: Reply | None, before: float) -> Trial:
        try:
            await instance.restart()
        except StartRefused as refused:
            return Trial(served=False, words=f"the engine cannot start it again: {refused}", log="")
        # Nobody waits the whole window for one that was ready in seconds before.
        window = min(instance.limits.startup_seconds, PATIENCE * before + PATIENCE_SECONDS)
        instance.limits = replace(instance.limits, startup_seconds=window)
        start = await instance.wait_ready()
        reply = None
        if start.ready and self._target.settings.payload:
            payload = self._target.settings.payload[0]
            reply = await instance.invoke(payload.body, payload.content_type)
        return await self._seen(instance, start, reply, usual)

    async def _seen(
        self, instance: Instance, start: StartReport, reply: Reply | None, usual: Reply | None
    ) -> Trial:
        log = start.log_tail or await instance.container.logs()
        words, served = start.describe(), start.ready
        # Compared with the start without restrictions: what fails there too is another check's.
        if served and reply is not None and not reply.ok and usual is not None and usual.ok:
            words, served = f"ready, but its first answer was {reply}", False
        return Trial(
            served=served,
            words=words,
            log=log,
            state=start.state,
            reply=reply,
            processes=await self._processes(instance) if start.ready else (),
            kills=await self._kills(instance),  # after the processes have settled
        )

    async def _kills(self, instance: Instance) -> int:
        if Capability.OOM_EVENTS not in self._target.engine.capabilities:
            return 0
        try:
            return await instance.container.oom_kills()
        except EngineUnavailable:
            return 0

    async def _processes(self, instance: Instance) -> tuple[Process, ...]:
        """Settled, when there are more of them than usual: a server answers as soon as its first
        worker does, and the others are still growing then.
        """
        found = await self._listed(instance)
        if not self._usual_number or len(found) <= self._usual_number:
            return found
        quiet = 0
        for _ in range(SETTLE_STEPS):
            await self._target.clock.sleep(SETTLE_STEP_SECONDS)
            before, found = found, await self._listed(instance)
            quiet = quiet + 1 if _total(found) <= _total(before) * SETTLED_GROWTH else 0
            if quiet == QUIET_STEPS:
                break
        return found

    async def _listed(self, instance: Instance) -> tuple[Process, ...]:
        if Capability.PROCESSES not in self._target.engine.capabilities:
            return ()
        try:
            return tuple(await instance.container.processes())
        except EngineUnavailable:
            return ()


def _total(processes: tuple[Process, ...]) -> int:
    return sum(process.rss_bytes for process in processes)

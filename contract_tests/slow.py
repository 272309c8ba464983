"""A request that takes 55 seconds, in a container of its own, beside the other checks.

Owns: making a request slow, and what became of it. Must not know: verdicts, pytest.

How a request is made slow, for any server: the user's payload is made longer until it costs
seconds of processor time; when the container works on it, the container's share of the processor is
cut to what it needs to be still at it after 55 s; then it gets its share back and has to answer.
Everything in it goes on, only slowly: a server's other threads still say that they live, a proxy's
clock still runs. So what cuts this request cuts one of a model that is as slow.

Where it lies. What must react within a few seconds may be late on so small a share: uvicorn's
supervisor (--workers) kills a worker that is silent for 5 s, and a step that holds Python's lock,
as the encoding of a long JSON answer does, holds it for many seconds now. So a killed worker counts
only when gunicorn says that it is a sync one, which tells nothing while it works; of another server
when it happens twice, at the same age of the request in different steps of its work. A request
that waits for something else than the processor is not made slower, and a small one of which nobody
knows how to make it longer costs too little: then nothing is said.

Not used: stopping a worker (SIGSTOP) stops the thread by which a threaded server says that it
lives, which a slow model does not; freezing the container stops the supervisor as well, and what
is overdue after it was never late; holding the body back meets limits on receiving, and a proxy
keeps it from the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anyio import CancelScope

from contract_tests.gunicorn import says_that_it_lives
from contract_tests.slow_work import Search, Work, send
from emulator.engines import Capability, EngineUnavailable, Process, StartRefused
from emulator.http import Reply
from emulator.instance import Instance

if TYPE_CHECKING:
    from contract_tests.target import Target

SLOW_SECONDS = 55.0
"""Nearly the 60 s that the platform allows, and more than the 30 s that many servers do."""

BEGUN = (0.3, 0.15, 0.05)
"""At which part of its usual time the request is slowed down, if it was too quick the time before;
its body is there by then."""

BEGUN_LATER = (0.6, 0.3, 0.1)
"""For the second time. A server that is late on a small share is late in the same step of its work,
which then comes at another age of the request; a time limit comes at the same."""

LATE_WORDS = "on its small share of the processor it may have been late"

SURE = 0.7
"""So much of the processor time that the request took before it will take again."""

SPARE = 1.25
FULL = 1.0
PLANS = 11
"""How often the share is planned anew; requests differ, and so do machines."""

ANSWER_SECONDS = 20.0
"""For the answer, when it has its share again."""

TOO_EARLY = 1.2
"""An error in little more than the usual time is no time limit's doing."""

PLATFORM_SHARE = 60 / 55
"""What is cut later than the platform itself would have is not the container's doing: this machine
took too long for the rest."""

SETTLE_SECONDS = 1.0
LOG_LINES = 1000
AGAIN_SECONDS = 15.0
SAME_AGE, SAME_SECONDS = 0.1, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """What became of the slow request."""

    unknown: str = ""  # why nothing can be said
    request: str = ""
    reply: Reply | None = None
    gone: tuple[str, ...] = ()  # commands of processes that ended meanwhile
    commands: tuple[str, ...] = ()  # of all that ran before
    log: str = ""


def begin(target: Target) -> None:
    """In the background, once; `outcome` waits for it."""
    if "slow" not in target.notes and target.settings.payload:
        target.notes["slow"] = target.background(lambda: _trial(target))


def outcome(target: Target) -> Slow:
    begin(target)
    found = target.notes["slow"].result()
    assert isinstance(found, Slow)
    return found


async def _trial(target: Target) -> Slow:
    usual = target.spec
    instance = None
    try:
        instance = await Instance.start(
            target.engine,
            replace(usual, cpus=None, role="slow"),  # a fixed share could not be changed
            clock=target.clock,
            http=target.unobserved,
            limits=target.limits,
        )
        return await Trial(target, instance, usual.cpus or FULL).run()
    except (EngineUnavailable, StartRefused) as error:
        return Slow(unknown=str(error))
    finally:
        if instance is not None:
            with CancelScope(shield=True):
                await instance.stop(0)


class Trial:
    """One container, with its request."""

    def __init__(self, target: Target, instance: Instance, share: float) -> None:
        self._clock = target.clock
        self._container = instance.container
        self._instance = instance
        self._share = share
        self._seconds = target.slow_seconds
        self._payloads = target.settings.payload
        self._environment = {**target.image.environment, **target.settings.env}
        self._sees_processes = Capability.PROCESSES in target.engine.capabilities

    async def run(self) -> Slow:
        await self._container.throttle(self._share)
        start = await self._instance.wait_ready()
        if not start.ready:
            return Slow(unknown=f"a container of its own did not get ready: {start.describe()}")
        search = Search(self._instance, self._seconds)
        work = await search.costliest(self._payloads)
        if work is None:
            return Slow(unknown="no payload had a 2xx answer in a container of its own")
        if work.seconds >= self._seconds:
            return Slow(request=str(work), reply=work.reply)
        if problem := search.problem(work):
            return Slow(unknown=problem)
        if not await self._well_again(work):
            return Slow(unknown="after a longer request the usual one is not answered any more")
        first = await self._hold(work, self._seconds, BEGUN)
        if not first.gone or first.reply is None:
            return first
        match says_that_it_lives(first.commands, self._environment, first.log):
            case False:
                return first
            case True:
                return Slow(unknown=f"gunicorn killed a threaded worker: {LATE_WORDS}")
        return await self._seen_twice(work, first, first.reply.seconds)

    async def _seen_twice(self, work: Work, first: Slow, age: float) -> Slow:
        """A killed worker may have been late only for its small share."""
        if not await self._well_again(work):
            return replace(first, unknown="the container did not recover, so it was seen only once")
        seconds = min(self._seconds, age * (1 + SAME_AGE) + SAME_SECONDS)
        second = await self._hold(work, seconds, BEGUN_LATER)
        if second.reply is not None and second.gone:
            apart = abs(second.reply.seconds - age)
            if apart <= max(SAME_SECONDS, SAME_AGE * age):
                return first
        return Slow(
            unknown=f"a process ended after {age:.1f} s, but not so a second time: {LATE_WORDS}"
        )

    async def _well_again(self, work: Work) -> bool:
        deadline = self._clock.now() + AGAIN_SECONDS
        while self._clock.now() < deadline:
            if (await send(self._instance, work.payload, work.payload.body)).ok:
                return True
            await self._clock.sleep(SETTLE_SECONDS)
        return False

    async def _hold(self, work: Work, seconds: float, parts: Sequence[float]) -> Slow:
        """One request that is still worked on after so many seconds, unless it is cut."""
        before = await self._processes()
        for begun in parts:
            reply = await self._slowed(work, seconds, begun)
            if not reply.ok or reply.seconds >= work.seconds * 1.5 + SETTLE_SECONDS:
                break
        if reply.ok:
            early = reply.seconds < seconds
            return Slow(
                request=str(work),
                reply=reply,
                unknown=f"the request could be held for {reply.seconds:.1f} s only" * early,
            )
        if reply.seconds < min(TOO_EARLY * work.seconds, seconds):
            return Slow(unknown=f"the request failed before it was late: {reply}")
        if reply.seconds > PLATFORM_SHARE * self._seconds:
            return Slow(unknown=f"this machine is too slow for the rest of the request: {reply}")
        await self._clock.sleep(SETTLE_SECONDS)
        after = {process.pid for process in await self._processes() if not process.zombie}
        return Slow(
            request=str(work),
            reply=reply,
            gone=tuple(p.command for p in before if p.pid not in after and not p.zombie),
            commands=tuple(p.command for p in before),
            log=await self._container.logs(LOG_LINES),
        )

    async def _slowed(self, work: Work, seconds: float, begun: float) -> Reply:
        at_first = await self._container.cpu_seconds()
        began = self._clock.now()
        sent = asyncio.create_task(
            send(self._instance, work.payload, work.body, seconds + ANSWER_SECONDS)
        )
        try:
            await self._clock.sleep(work.seconds * begun)
            while not sent.done() and (left := began + seconds - self._clock.now()) > 0:
                used = await self._container.cpu_seconds() - at_first
                rest = max(SURE * work.cpu_seconds - used, 0.0)
                await self._container.throttle(rest / (left * SPARE))
                await self._until(sent, min(left, seconds / PLANS))
            await self._container.throttle(self._share)
            return await sent
        finally:
            sent.cancel()

    async def _until(self, sent: asyncio.Task[Reply], seconds: float) -> None:
        """The answer, or so much time."""
        sleeping = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait({sent, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    async def _processes(self) -> list[Process]:
        return await self._container.processes() if self._sees_processes else []

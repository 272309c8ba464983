"""A request that costs enough processor time to be made slow, found in a container of its own.

Owns: how long it has to be, and what it costs. Must not know: how it is made slow, verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from contract_tests.payload import Payload
from contract_tests.slow_body import grown
from emulator.http import Reply
from emulator.instance import Instance, invocation

AIM_SHARE = 0.03
"""Of a processor, for a request that lasts: 1.65 s of work in 55 s. What has to react beside it is
then late by tenths of a second."""

LEAST_SHARE = 0.002
"""With less it cannot last: the kernel gives a thousandth of a processor at least."""

MOST_BYTES = 8_000_000
MOST_WALL_SECONDS = 15.0
CHEAP_SECONDS, CHEAP_STEP, STEP = 0.01, 16, 4
"""How much longer at once: some models take the square of the length."""

ENOUGH = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A request, and what it costs at full speed."""

    payload: Payload
    body: bytes
    cpu_seconds: float
    reply: Reply

    @property
    def seconds(self) -> float:
        return self.reply.seconds

    def __str__(self) -> str:
        if len(self.body) == len(self.payload.body):
            return self.payload.name
        return f"{self.payload.name}, made longer ({len(self.body):,} bytes)"


async def send(
    instance: Instance, payload: Payload, body: bytes, seconds: float | None = None
) -> Reply:
    """An invocation, with the platform's time limit or another one."""
    request = invocation(body, payload.content_type)
    return await instance.send(request, seconds or instance.limits.invocation_seconds)


class Search:
    """For the costliest request, by what lasts so many seconds."""

    def __init__(self, instance: Instance, seconds: float) -> None:
        self._instance = instance
        self._aim = AIM_SHARE * seconds
        self._least = LEAST_SHARE * seconds

    def problem(self, work: Work) -> str:
        """Why it cannot be made slow; empty when it can."""
        if work.cpu_seconds >= self._least:
            return ""
        return (
            f"no request could be made slow: the costliest, {work}, takes {work.cpu_seconds:.3f} s"
            f" of processor time; at least {self._least:.2f} s are needed: give a --payload that is"
            " more work"
        )

    async def costliest(self, payloads: Sequence[Payload]) -> Work | None:
        """None when no payload has a 2xx answer."""
        found: list[Work] = []
        for payload in payloads:
            if (work := await self._grow(payload)) is not None:
                found.append(work)
                if self._enough(work):
                    break
        return max(found, key=lambda work: work.cpu_seconds, default=None)

    def _enough(self, work: Work) -> bool:
        return work.cpu_seconds >= ENOUGH * self._aim or work.seconds >= MOST_WALL_SECONDS

    async def _grow(self, payload: Payload) -> Work | None:
        await send(self._instance, payload, payload.body)  # the first one may load the model
        work = await self._measure(payload, payload.body)
        times = 1
        while work is not None and not self._enough(work):
            step = CHEAP_STEP if work.cpu_seconds < CHEAP_SECONDS else STEP
            missing = self._aim / max(work.cpu_seconds, 0.001)
            most = MOST_BYTES // max(1, len(payload.body))
            longer_by = min(math.ceil(times * min(missing, step)), most)
            if longer_by <= times or (body := grown(payload, longer_by)) is None:
                break
            times = longer_by
            longer = await self._measure(payload, body)
            if longer is None:
                break
            work = longer
        return work

    async def _measure(self, payload: Payload, body: bytes) -> Work | None:
        before = await self._instance.container.cpu_seconds()
        reply = await send(self._instance, payload, body)
        used = await self._instance.container.cpu_seconds() - before
        if not reply.ok:
            return None
        return Work(payload=payload, body=body, cpu_seconds=used, reply=reply)

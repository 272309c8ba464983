"""Owns: whatever happens in whatever order, each request is answered exactly once, what is told of
the instances is true, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emulator.endpoint_state import EndpointStatus, Invocation
from emulator.engines import EngineUnavailable
from emulator.errors import Usage
from emulator.http import Reply
from emulator.policy_events import PolicyConfig
from emulator.runtime_errors import RuntimeFailure
from emulator.testing import FakeImage
from tests.endpoint_world import SPEC, World, world


@dataclass(frozen=True, kw_only=True)
class Step:
    wait: float
    act: str
    seconds: float


STEPS = st.lists(
    st.builds(
        Step,
        wait=st.sampled_from([0.0, 0.01, 0.7, 3.0, 9.0, 70.0]),
        act=st.sampled_from(
            [
                "call",
                "call",
                "call",
                "die",
                "oom",
                "go away",
                "engine",
                "image",
                "burst",
                "update",
                "numbers",
                "freezing",
                "thawing",
                "logs",
            ]
        ),
        seconds=st.sampled_from([0.001, 0.5, 4.0, 59.9, 60.0, 61.0]),
    ),
    max_size=12,
)


class Story:
    """What happens to an endpoint, and what is true at every answer."""

    def __init__(self, it: World, healthy: FakeImage) -> None:
        self.it, self.healthy = it, healthy
        self.sent = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.lies: list[str] = []
        it.endpoint.journal.listeners.append(self._look)

    @property
    def calls(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.tasks if task.get_name() == "call"]

    def _look(self, _: Invocation) -> None:
        try:
            self.it.truthful()
        except AssertionError as error:  # a listener's exceptions are swallowed
            self.lies.append(str(error))

    def call(self, seconds: float) -> None:
        self.sent += 1
        call = self.it.call(str(seconds).encode(), self.sent)
        self.tasks.append(asyncio.create_task(call, name="call"))

    async def update(self, config: PolicyConfig) -> None:
        with contextlib.suppress(Usage, EngineUnavailable):
            await self.it.endpoint.update(replace(SPEC, environment={"V": "2"}), config)

    async def act(self, step: Step) -> None:
        engine, endpoint = self.it.engine, self.it.endpoint
        await self.it.clock.sleep(step.wait)
        alive = engine.running
        match step.act:
            case "call":
                self.call(step.seconds)
            case "burst":
                for _ in range(4):
                    self.call(step.seconds)
            case "die" | "oom" if alive:
                engine.memory_kills[alive[-1].id] += step.act == "oom"
                engine.die(alive[-1])
            case "go away" if any(not one.done() for one in self.calls):
                next(one for one in reversed(self.calls) if not one.done()).cancel()
            case "engine":
                engine.trouble = None if engine.trouble else EngineUnavailable("gone")
            case "freezing":
                engine.freeze_trouble = None if engine.freeze_trouble else EngineUnavailable("no")
            case "thawing":
                engine.thaw_trouble = None if engine.thaw_trouble else EngineUnavailable("no")
            case "image":
                broken = replace(self.healthy, listens_after=500.0, exits_after=step.seconds)
                now = engine.images["model"]
                engine.images = {"model": self.healthy if now is not self.healthy else broken}
            case "update":
                self.tasks.append(asyncio.create_task(self.update(endpoint.policy.config)))
            case "numbers":
                config = endpoint.policy.config
                with contextlib.suppress(Usage):
                    endpoint.update_config(replace(config, provisioned=1 - config.provisioned))
            case "logs":
                await endpoint.logs.collect()
        self.it.truthful()

    async def whole(self, steps: list[Step], end: float) -> None:
        await self.it.endpoint.create()
        assert self.it.endpoint.status is EndpointStatus.IN_SERVICE
        for step in steps:
            await self.act(step)
        await self.it.clock.sleep(end)
        self.it.engine.trouble = None
        await self.it.endpoint.close()
        if self.tasks:
            await asyncio.wait(self.tasks)
        self.it.gone()


@given(
    steps=STEPS,
    listens=st.sampled_from([0.0, 2.0, 170.0]),
    start=st.sampled_from([0.0, 1.5]),
    most=st.integers(1, 3),
    provisioned=st.integers(0, 1),
    end=st.sampled_from([0.0, 1.0, 300.0]),
    freeze=st.sampled_from([None, 0.0, 0.01, 1.0]),
)
def test_whatever_happens_every_request_is_answered_once_and_nothing_is_left(
    *,
    steps: list[Step],
    listens: float,
    start: float,
    most: int,
    provisioned: int,
    end: float,
    freeze: float | None,
) -> None:
    """Calls, deaths, memory kills, callers that leave, an engine that goes away and comes back or
    fails to freeze and to thaw, images that stop working, updates, in any order, and a close at any
    moment.

    Containers that were started and not told to stop never are more than max_concurrency, and those
    provisioned that are being replaced: the policy starts them beside what runs on demand. After
    an update the busy ones of the old version and those of the new one live side by side.
    """
    logging.disable(logging.CRITICAL)
    healthy = FakeImage(
        handler=lambda r, age: (float(r.body or 0.001), 200, b""), listens_after=listens
    )
    numbers: dict[str, Any] = {"max_concurrency": most, "provisioned": provisioned}
    it = world(healthy, freeze=freeze is not None, idle_seconds=8.0, **numbers)
    it.engine.start_seconds = start
    it.engine.freeze_seconds = it.engine.thaw_seconds = freeze or 0.0
    story = Story(it, healthy)
    try:
        it.clock.run(story.whole(steps, end))
    finally:
        logging.disable(logging.NOTSET)
    assert story.lies == []
    gone = sum(one.cancelled() for one in story.calls)
    answered = [number for number, _, _ in it.answers]
    assert len(set(answered)) == len(answered) == story.sent - gone
    journal = it.endpoint.journal
    assert journal.arrived == journal.answered
    assert len([a for *_, a in it.answers if not _not_found(a)]) <= journal.arrived
    assert len(it.endpoint._requests) == 0
    acts = {step.act for step in steps}
    over = provisioned + (most + 1) * ("update" in acts) + ("numbers" in acts)
    assert it.told.most_living <= most + over
    if freeze is None:  # a freeze that goes on puts the word to stop off
        assert it.engine.most_wanted <= most + over


def _not_found(answer: Reply | RuntimeFailure) -> bool:
    return isinstance(answer, RuntimeFailure) and answer.code == "ValidationError"

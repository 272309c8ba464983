"""Owns: the claims of other numbers of instances in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.errors import Usage
from emulator.http import Reply
from emulator.limits import Limits
from emulator.runtime_errors import ValidationError
from emulator.testing import FakeClock, FakeImage
from emulator.wire import Invoke
from emulator.wire_members import Operation
from tests.endpoint_world import SPEC, Engine, takes


class Realtime:
    def __init__(self, image: FakeImage, count: int = 1) -> None:
        self.clock = FakeClock()
        self.engine = Engine(self.clock, {"model": image})
        self.endpoint = RealtimeEndpoint(
            "iris",
            SPEC,
            engine=self.engine,
            http=self.engine,
            clock=self.clock,
            limits=Limits.of("realtime"),
            instance_count=count,
        )

    @property
    def running(self) -> int:
        return len(self.engine.running)

    async def ask(self) -> Reply:
        invoke = Invoke(operation=Operation.INVOKE, endpoint="iris", body=b"x")
        return await self.endpoint.invoke(invoke)

    def run(self, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            await self.endpoint.create()
            try:
                await story()
            finally:
                await self.endpoint.close()

        self.clock.run(whole())
        assert self.running == 0


def test_more_instances_are_there_when_it_returns() -> None:
    here = Realtime(FakeImage(listens_after=5))

    async def story() -> None:
        began = here.clock.now()
        await here.endpoint.resize(3)
        assert here.running == 3
        assert 5 <= here.clock.now() - began < 8, "they start together"

    here.run(story)


def test_fewer_instances_answer_what_they_have_first() -> None:
    here = Realtime(FakeImage(handler=takes(30)), count=3)

    async def story() -> None:
        waiting = [asyncio.ensure_future(here.ask()) for _ in range(3)]
        await here.clock.sleep(1)
        await here.endpoint.resize(1)
        assert here.running == 3, "each still works on a request"
        assert all(reply.ok for reply in await asyncio.gather(*waiting))
        await here.clock.sleep(5)
        assert here.running == 1
        assert (await here.ask()).ok

    here.run(story)


def test_an_instance_that_does_not_start_leaves_the_number_as_it_was() -> None:
    here = Realtime(FakeImage())

    async def story() -> None:
        here.engine.images = {"model": FakeImage(refuses="no room")}
        with pytest.raises(Usage, match="an instance did not start: no room"):
            await here.endpoint.resize(3)
        assert here.endpoint.instance_count == 1
        here.engine.images = {"model": FakeImage()}
        await here.clock.sleep(300)
        assert here.running == 1, "what failed is not tried again"
        await here.endpoint.resize(2)
        assert here.running == 2

    here.run(story)


def test_an_instance_that_is_lost_meanwhile_is_replaced() -> None:
    here = Realtime(FakeImage(), count=2)

    async def story() -> None:
        here.engine.die(here.engine.started[0])
        await here.endpoint.resize(3)
        await here.clock.sleep(10)
        assert len([one for one in here.engine.running if one.image.exits_after is None]) == 3

    here.run(story)


def test_who_waits_for_instances_does_not_wait_when_it_is_closed() -> None:
    here = Realtime(FakeImage())

    async def story() -> None:
        here.engine.images = {"model": FakeImage(listens_after=100)}
        waiting = asyncio.ensure_future(here.endpoint.resize(3))
        await here.clock.sleep(1)
        await here.endpoint.close()
        await waiting
        with pytest.raises(ValidationError):
            await here.endpoint.resize(2)

    here.run(story)

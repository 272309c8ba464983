"""Owns: that an instance stands still between requests when that was asked for, and that it costs
no request, whatever the engine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from emulator.engines import EngineUnavailable
from emulator.http import Reply
from emulator.policy_events import StopWhy
from emulator.testing import FakeImage
from tests.endpoint_world import World, run, takes, world
from tests.instance_automaton import BUSY, FROZEN, GONE, IDLE, STARTING

GONE_AWAY = EngineUnavailable("the engine went away")


def frozen(**numbers: Any) -> World:
    return world(FakeImage(handler=takes(2.0)), freeze=True, **numbers)


def test_an_instance_is_frozen_between_requests_and_thawed_for_them() -> None:
    it = frozen()
    it.engine.freeze_seconds = it.engine.thaw_seconds = 0.01

    async def story() -> None:
        await it.clock.sleep(1.0)
        assert it.engine.frozen == {"fake-0"}
        record = await it.good()
        assert it.engine.frozen == set(), "its answer comes first"
        assert record.model_seconds == pytest.approx(2.0)
        assert record.seconds == pytest.approx(2.01), "the thaw is overhead"
        await it.clock.sleep(1.0)
        assert it.engine.frozen == {"fake-0"}
        assert it.told.of(1) == [STARTING, IDLE, FROZEN, BUSY, IDLE, FROZEN]

    run(it, story)


def test_without_being_asked_for_nothing_is_frozen() -> None:
    it = world()

    async def story() -> None:
        await it.good()
        await it.clock.sleep(5.0)

    run(it, story)
    assert it.engine.asked["freeze"] == it.engine.asked["thaw"] == 0


def test_a_request_in_the_middle_of_a_freeze_waits_for_it_and_the_thaw() -> None:
    it = frozen()
    it.engine.freeze_seconds = 1.0

    async def story() -> None:
        await it.clock.sleep(0.4)
        record = await it.good()
        assert not record.cold
        assert record.seconds == pytest.approx(2.6)
        assert it.told.of(1) == [STARTING, IDLE, BUSY, IDLE], "it was not frozen for anybody"

    run(it, story)


def test_the_sixty_seconds_begin_before_the_thaw() -> None:
    it = world(FakeImage(handler=takes(59.5)), freeze=True)
    it.engine.thaw_seconds = 1.0

    async def story() -> None:
        await it.clock.sleep(1.0)
        began = it.clock.now()
        await it.failed("ModelError")
        assert it.clock.now() - began == pytest.approx(60.0)

    run(it, story)


def test_a_thaw_that_hangs_is_cut_at_sixty_seconds() -> None:
    it = frozen()

    async def story() -> None:
        await it.clock.sleep(1.0)
        it.engine.thaw_seconds = 70.0
        began = it.clock.now()
        await it.failed("ModelError")
        assert it.clock.now() - began == pytest.approx(60.0)
        await it.clock.sleep(20.0)
        assert [one for _, one in it.engine.requests if one.path == "/invocations"] == []
        it.engine.thaw_seconds = 0.0
        await it.good()

    run(it, story)


def test_a_freeze_that_fails_costs_nothing() -> None:
    it = frozen()
    it.engine.freeze_trouble = GONE_AWAY

    async def story() -> None:
        await it.clock.sleep(1.0)
        it.engine.thaw_trouble = GONE_AWAY
        record = await it.good()
        assert not record.cold
        assert FROZEN not in it.told.of(1)
        assert len(it.engine.started) == 1

    run(it, story)


def test_what_cannot_be_thawed_is_replaced_and_its_request_served() -> None:
    it = frozen()

    async def story() -> None:
        await it.clock.sleep(1.0)
        it.engine.thaw_trouble = GONE_AWAY
        record = await it.good()
        assert record.cold
        assert it.told.of(1)[-1] is GONE

    run(it, story)


def test_a_frozen_instance_that_died_is_noticed() -> None:
    it = frozen()

    async def story() -> None:
        await it.clock.sleep(1.0)
        it.engine.die(it.engine.started[0])
        await it.clock.sleep(3.0)
        assert it.told.of(1) == [STARTING, IDLE, FROZEN, GONE]
        assert it.told.last[1].why == StopWhy.DIED.value
        assert (await it.good()).cold

    run(it, story)


def test_a_request_for_a_frozen_instance_that_died_unnoticed_is_served_by_another() -> None:
    it = frozen()

    async def story() -> None:
        await it.clock.sleep(1.0)
        it.engine.die(it.engine.started[0])
        assert isinstance(await it.call(), Reply)

    run(it, story)


@pytest.mark.parametrize("freeze_seconds", [0.0, 1.0], ids=["frozen", "while it is being frozen"])
def test_scale_in_waits_for_a_freeze_and_stops_with_grace(freeze_seconds: float) -> None:
    it = frozen(idle_seconds=0.5)
    it.engine.freeze_seconds = freeze_seconds

    async def story() -> None:
        await it.clock.sleep(5.0)
        (container,) = it.engine.started
        assert container.stopped is not None
        assert not container.stopped.killed
        assert it.engine.frozen == set()

    run(it, story)


def test_closing_in_the_middle_of_a_freeze_leaves_nothing() -> None:
    it = frozen()
    it.engine.freeze_seconds = 1.0

    async def story() -> None:
        await it.clock.sleep(0.5)

    run(it, story)
    assert it.engine.frozen == set()


def test_every_instance_of_a_burst_is_frozen_after_it() -> None:
    it = frozen(max_concurrency=3, provisioned=1)

    async def story() -> None:
        await it.at_once(3)
        await it.clock.sleep(1.0)
        assert len(it.engine.frozen) == 3
        assert it.told.states() == {FROZEN: 3}

    run(it, story)


def test_an_engine_that_cannot_freeze_is_told_before_anything_starts() -> None:
    it = frozen()
    it.engine.capabilities = frozenset()

    async def story() -> None:
        with pytest.raises(EngineUnavailable, match="cannot freeze"):
            await it.endpoint.create()

    it.clock.run(_and_nothing_is_left(it, story()))
    assert it.engine.started == []


async def _and_nothing_is_left(it: World, story: Coroutine[Any, Any, None]) -> None:
    await story
    await asyncio.sleep(0)
    it.gone()

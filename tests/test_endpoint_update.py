"""Owns: that an update changes what serves only when the new version is ready, and that requests go
on meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from emulator.endpoint_state import EndpointStatus
from emulator.engines import ContainerSpec, EngineUnavailable, ImageNotFound
from emulator.errors import CANNOT_START, STARTUP_TIMEOUT, Usage
from emulator.policy_events import StopWhy
from emulator.testing import FakeImage
from tests.endpoint_world import World, run, takes, world
from tests.instance_automaton import GONE, IDLE

IN_SERVICE, UPDATING = EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING
NEW = ContainerSpec(image="new")


def old_and(new: FakeImage, *, takes_seconds: float = 1.0, provisioned: int = 0) -> World:
    it = world(
        FakeImage(handler=takes(takes_seconds, body=b"old")),
        max_concurrency=3,
        provisioned=provisioned,
    )
    it.engine.images = {**it.engine.images, "new": new}
    return it


def test_the_new_version_takes_over_when_it_is_ready_and_the_old_one_serves_until_then() -> None:
    it = old_and(FakeImage(handler=takes(1.0, body=b"new"), listens_after=20.0))

    async def story() -> None:
        update = asyncio.ensure_future(it.endpoint.update(NEW, it.endpoint.policy.config))
        await it.clock.sleep(5.0)
        assert it.endpoint.status is UPDATING
        assert (await it.good()).instance == 1
        began = it.clock.now()
        await update
        assert it.clock.now() - began == pytest.approx(14.0, abs=0.3)
        assert (it.endpoint.status, it.endpoint.failure_reason) == (IN_SERVICE, "")
        assert it.endpoint.spec is NEW
        record = await it.good()
        assert (record.instance, record.cold) == (2, False)
        assert it.told.last[1].why == StopWhy.DRAINED.value
        assert it.told.last[2].version == 2
        await it.clock.sleep(1.0)
        assert [c.spec.image for c in it.engine.running] == ["new"]

    run(it, story)


def test_a_request_that_the_old_version_works_on_is_finished_by_it() -> None:
    it = old_and(FakeImage(), takes_seconds=30.0)

    async def story() -> None:
        call = asyncio.ensure_future(it.good())
        await it.clock.sleep(1.0)
        await it.endpoint.update(NEW, it.endpoint.policy.config)
        assert not call.done()
        record = await call
        assert (record.instance, record.seconds) == (1, pytest.approx(30.0))
        assert it.told.last[1].why == StopWhy.DRAINED.value

    run(it, story)


def test_instances_that_are_started_later_are_of_the_version_that_serves() -> None:
    it = old_and(FakeImage(handler=takes(1.0)))

    async def story() -> None:
        await it.endpoint.update(NEW, it.endpoint.policy.config)
        await it.at_once(3)
        assert [c.spec.image for c in it.engine.running] == ["new"] * 3

    run(it, story)


@pytest.mark.parametrize(
    ("image", "text", "seen", "seconds"),
    [
        (FakeImage(refuses="exec format error"), CANNOT_START, "exec format error", 0.0),
        (FakeImage(exits_after=3.0, listens_after=9.0), STARTUP_TIMEOUT, "exited with code 1", 3.0),
        (FakeImage(handler=lambda r, a: (0.001, 503, b"")), STARTUP_TIMEOUT, "HTTP 503", 180.0),
    ],
    ids=["refused", "exited", "timed out"],
)
def test_a_version_that_is_never_ready_is_rolled_back_and_the_reason_kept(
    image: FakeImage, text: object, seen: str, seconds: float
) -> None:
    it = old_and(image)

    async def story() -> None:
        began, before = it.clock.now(), it.endpoint.spec
        await it.endpoint.update(NEW, it.endpoint.policy.config)
        assert it.clock.now() - began == pytest.approx(seconds, abs=0.5)
        assert it.endpoint.status is IN_SERVICE
        assert str(getattr(text, "text")) in it.endpoint.failure_reason  # noqa: B009
        assert seen in it.endpoint.failure_reason
        assert it.endpoint.spec is before
        assert [c.spec.image for c in it.engine.running] == ["model"]
        assert (await it.good()).instance == 1

    run(it, story)


def test_while_it_is_rolled_back_the_status_says_so_and_requests_go_on() -> None:
    it = old_and(FakeImage(listens_after=500.0))
    broken = FakeImage(listens_after=500.0, stop_seconds=None)

    async def story() -> None:
        it.engine.images = {**it.engine.images, "new": broken}
        config = replace(it.endpoint.policy.config, provisioned=2)
        update = asyncio.ensure_future(it.endpoint.update(NEW, config))
        await it.clock.sleep(1.0)
        it.engine.die(it.engine.running[-1])  # the other one is stopped with grace
        await it.clock.sleep(5.0)
        assert it.endpoint.status is EndpointStatus.ROLLING_BACK
        assert "exited with code 137" in it.endpoint.failure_reason
        await it.good()
        await update
        assert it.endpoint.status is IN_SERVICE
        assert [one.version for one in it.told.last.values() if one.state is IDLE] == [1]

    run(it, story)


@pytest.mark.parametrize("trouble", [EngineUnavailable("gone"), ImageNotFound("no image")])
def test_an_engines_failure_is_raised_and_the_old_version_stays(trouble: Exception) -> None:
    it = old_and(FakeImage())

    async def story() -> None:
        it.engine.trouble = trouble
        with pytest.raises(type(trouble)):
            await it.endpoint.update(NEW, it.endpoint.policy.config)
        it.engine.trouble = None
        assert it.endpoint.status is IN_SERVICE
        await it.endpoint.update(NEW, it.endpoint.policy.config)
        assert (it.endpoint.spec, it.endpoint.failure_reason) == (NEW, "")
        assert it.endpoint.policy.version == 3, "a version is never used again"

    run(it, story)


def test_one_update_at_a_time_and_only_of_an_endpoint_that_serves() -> None:
    it = old_and(FakeImage(listens_after=20.0))

    async def story() -> None:
        config = it.endpoint.policy.config
        update = asyncio.ensure_future(it.endpoint.update(NEW, config))
        await it.clock.sleep(1.0)
        with pytest.raises(Usage, match="cannot be updated while it is Updating"):
            await it.endpoint.update(NEW, config)
        with pytest.raises(Usage, match="cannot be updated while it is Updating"):
            it.endpoint.update_config(config)
        await update
        await it.endpoint.close()
        with pytest.raises(Usage, match="Deleting"):
            await it.endpoint.update(NEW, config)

    run(it, story)


def test_windows_that_are_not_the_platforms_are_refused_and_nothing_changes() -> None:
    it = old_and(FakeImage())

    async def story() -> None:
        config = replace(it.endpoint.policy.config, invocation_seconds=5.0)
        with pytest.raises(Usage, match="invocation_seconds"):
            await it.endpoint.update(NEW, config)
        assert it.endpoint.status is IN_SERVICE
        await it.endpoint.update(NEW, it.endpoint.policy.config)

    run(it, story)


@pytest.mark.parametrize("seconds", [0.5, 5.0], ids=["while it starts", "while it is pinged"])
def test_closing_in_the_middle_of_an_update_leaves_nothing(seconds: float) -> None:
    it = old_and(FakeImage(listens_after=500.0), provisioned=1)
    updates: list[asyncio.Future[None]] = []

    async def story() -> None:
        it.engine.start_seconds = 2.0
        config = it.endpoint.policy.config
        updates.append(asyncio.ensure_future(it.endpoint.update(NEW, config)))
        await it.clock.sleep(seconds)
        await it.endpoint.close()
        await updates[0]
        assert it.endpoint.status is EndpointStatus.DELETING

    run(it, story)


def test_closing_while_it_is_rolled_back_leaves_nothing() -> None:
    it = old_and(FakeImage(refuses="no"))

    async def story() -> None:
        it.endpoint.journal.watchers.append(
            lambda change: (
                closing.append(asyncio.ensure_future(it.endpoint.close()))
                if change.state is GONE and not closing
                else None
            )
        )
        closing: list[asyncio.Future[None]] = []
        await it.endpoint.update(NEW, it.endpoint.policy.config)
        await closing[0]
        assert it.endpoint.status is EndpointStatus.DELETING

    run(it, story)


def test_who_gives_up_waiting_does_not_end_the_update() -> None:
    it = old_and(FakeImage(listens_after=20.0))

    async def story() -> None:
        update = asyncio.ensure_future(it.endpoint.update(NEW, it.endpoint.policy.config))
        await it.clock.sleep(1.0)
        update.cancel()
        await it.clock.sleep(30.0)
        assert (it.endpoint.status, it.endpoint.spec) == (IN_SERVICE, NEW)

    run(it, story)


def test_other_numbers_are_in_place_at_once() -> None:
    it = old_and(FakeImage(), takes_seconds=1.0)

    async def story() -> None:
        config = it.endpoint.policy.config
        it.endpoint.update_config(replace(config, max_concurrency=4, provisioned=2))
        assert it.endpoint.status is IN_SERVICE
        await it.clock.sleep(1.0)
        assert sum(one.provisioned for one in it.told.last.values()) == 2
        answers = await it.at_once(5)
        assert sum(not isinstance(a, Exception) for a in answers) == 4
        it.endpoint.update_config(config)
        await it.clock.sleep(1.0)
        assert StopWhy.SURPLUS.value in {one.why for one in it.told.last.values()}
        assert it.endpoint.policy.version == 1

    run(it, story)

"""Owns: what a live endpoint does while all goes well, in virtual time and without an engine: it is
created, scaled, closed. What breaks is in test_endpoint_failures.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from emulator.endpoint_state import EndpointStatus
from emulator.engines import ContainerSpec, EngineUnavailable, ImageNotFound, Stopped
from emulator.errors import CANNOT_START, SERVE_NOT_FOUND, STARTUP_TIMEOUT
from emulator.runtime_errors import RuntimeFailure
from emulator.testing import FakeImage
from tests.endpoint_world import (
    PLACE,
    Engine,
    Handle,
    run,
    takes,
    world,
)

# Creating


def test_an_endpoint_is_in_service_when_its_first_instance_answers_ping() -> None:
    it = world(FakeImage(listens_after=7.0))

    async def story() -> None:
        assert 1007.0 <= it.clock.now() <= 1007.2
        assert len(it.engine.running) == 1
        assert not (await it.good()).cold, "an endpoint begins warm"

    run(it, story)


@pytest.mark.parametrize(
    ("image", "text", "seen"),
    [
        (FakeImage(refuses='exec: "serve": executable file not found in $PATH'),
         SERVE_NOT_FOUND, "executable file not found"),
        (FakeImage(refuses="exec format error"), CANNOT_START, "exec format error"),
        (FakeImage(exits_after=3.0, exit_code=2, listens_after=9.0),
         STARTUP_TIMEOUT, "exited with code 2 after 3."),
        (FakeImage(listens_after=500.0), STARTUP_TIMEOUT, "not ready after 180.0 s"),
        (FakeImage(handler=lambda request, age: (0.001, 500, b"no")),
         STARTUP_TIMEOUT, "/ping answers 500: no ("),
    ],
    ids=["no serve", "refused", "exited", "timed out", "ping is 500"],
)  # fmt: skip
def test_an_endpoint_fails_with_the_platforms_text_and_what_was_seen(
    image: FakeImage, text: Any, seen: str
) -> None:
    it = world(image)
    it.clock.run(it.endpoint.create())
    assert it.endpoint.status is EndpointStatus.FAILED
    assert it.endpoint.failure_reason.startswith(text.text)
    assert seen in it.endpoint.failure_reason
    assert it.engine.running == []


def test_a_failed_endpoint_is_not_found_by_its_callers() -> None:
    it = world(FakeImage(refuses="no"))
    it.clock.run(it.endpoint.create())
    fields = it.clock.run(it.failed("ValidationError"))
    assert fields["Message"] == "Endpoint iris of account 123456789012 not found."


@pytest.mark.parametrize("trouble", [EngineUnavailable("gone"), ImageNotFound("no image")])
def test_an_engines_failure_while_creating_is_raised_and_not_the_images(trouble: Exception) -> None:
    it = world()
    it.engine.trouble = trouble
    with pytest.raises(type(trouble), match=str(trouble)):
        it.clock.run(it.endpoint.create())
    assert it.engine.running == []


def test_an_endpoint_with_provisioned_instances_is_in_service_when_all_of_them_are() -> None:
    ages = iter([1.0, 5.0])

    class Staggered(Engine):
        async def start(self, spec: ContainerSpec) -> Handle:  # type: ignore[override]
            handle = await super().start(spec)
            self.started[-1].image = FakeImage(listens_after=next(ages))
            return handle

    it = world(provisioned=2, kind=Staggered)

    async def story() -> None:
        assert it.clock.now() >= 1005.0
        records = await asyncio.gather(it.good(), it.good())
        assert len(it.engine.started) == 2
        assert all(record.provisioned and not record.cold for record in records)

    run(it, story)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 100.0])
def test_closing_while_creating_ends_creating_and_leaves_nothing(seconds: float) -> None:
    it = world(FakeImage(listens_after=150.0))
    it.engine.start_seconds = 1.0

    async def story() -> None:
        creating = asyncio.ensure_future(it.endpoint.create())
        await it.clock.sleep(seconds)
        await it.endpoint.close()
        await creating

    it.clock.run(story())
    assert it.clock.now() == pytest.approx(1000.0 + seconds)
    assert it.endpoint.status is EndpointStatus.DELETING
    assert it.engine.running == []
    assert len(it.engine.started) == (seconds > 1.0)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_creating_that_is_cancelled_leaves_nothing(seconds: float) -> None:
    it = world(FakeImage(listens_after=150.0))
    it.engine.start_seconds = 1.0

    async def story() -> None:
        creating = asyncio.ensure_future(it.endpoint.create())
        await it.clock.sleep(seconds)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating

    it.clock.run(story())
    assert it.engine.running == []


# Concurrency


def test_calls_over_max_concurrency_are_throttled_at_once_and_the_others_served() -> None:
    it = world(FakeImage(handler=takes(5.0), listens_after=3.0), max_concurrency=4)

    async def story() -> None:
        began = it.clock.now()
        await it.at_once(16)
        throttled = [(at, a) for _, at, a in it.answers if isinstance(a, RuntimeFailure)]
        assert len(throttled) == 12
        assert {at for at, _ in throttled} == {began}
        assert all(a.fields(PLACE) == {"message": None} for _, a in throttled)
        assert {a.kind.status for _, a in throttled} == {400}
        assert len(it.engine.started) == 4
        assert it.endpoint.journal.errors == {"ThrottlingException": 12}

    run(it, story)


def test_every_step_up_in_concurrency_is_a_cold_start_and_no_repetition_is() -> None:
    it = world(FakeImage(handler=takes(1.0), listens_after=3.0), max_concurrency=3)

    async def story() -> None:
        for count in (1, 2, 3, 3):
            await it.at_once(count)
        records = list(it.endpoint.journal.last)
        assert [record.cold for record in records] == [False, False, True, *[False, False, True],
                                                       False, False, False]  # fmt: skip
        cold = [record for record in records if record.cold]
        assert all(3.0 <= record.setup_seconds <= 3.1 for record in cold)
        assert all(record.seconds == pytest.approx(record.setup_seconds + 1.0) for record in cold)
        assert it.endpoint.journal.cold == 2

    run(it, story)


def test_idle_instances_are_stopped_with_grace_and_the_next_call_is_cold() -> None:
    it = world(FakeImage(stop_seconds=2.0), idle_seconds=10.0)

    async def story() -> None:
        await it.good()
        await it.clock.sleep(9.0)
        assert len(it.engine.running) == 1
        await it.clock.sleep(4.0)
        assert it.engine.running == []
        (container,) = it.engine.started
        assert container.stopped == Stopped(exit_code=0, seconds=2.0, killed=False)
        assert (await it.good()).cold

    run(it, story)


def test_calls_beyond_the_provisioned_instances_spill_over() -> None:
    it = world(FakeImage(handler=takes(1.0)), provisioned=1, max_concurrency=2)

    async def story() -> None:
        await it.at_once(3)
        records = list(it.endpoint.journal.last)
        assert [(r.provisioned, r.cold) for r in records[:2]] == [(True, False), (False, True)]
        assert records[2].error == "ThrottlingException"

    run(it, story)


def test_a_provisioned_instance_that_died_is_replaced_by_itself() -> None:
    it = world(provisioned=1)

    async def story() -> None:
        it.engine.die(it.engine.started[-1])
        await it.clock.sleep(5.0)
        assert len(it.engine.running) == 1
        record = await it.good()
        assert record.provisioned
        assert not record.cold

    run(it, story)


# Callers that go away, and the end


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_a_caller_that_goes_away_costs_nobody_else_anything(seconds: float) -> None:
    it = world(FakeImage(handler=takes(3.0), listens_after=2.0), idle_seconds=5.0)

    async def story() -> None:
        await it.clock.sleep(10.0)
        caller = asyncio.ensure_future(it.call())
        await it.clock.sleep(seconds)  # while it waits for the start, and while it runs
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        await it.clock.sleep(6.0)
        assert sum(request.path == "/invocations" for _, request in it.engine.requests) == 1
        assert not (await it.good()).cold
        assert it.endpoint.journal.errors == {"CancelledError": 1}
        assert len(it.endpoint._requests) == 0

    run(it, story)


def test_closing_answers_what_is_in_flight_and_stops_everything() -> None:
    it = world(FakeImage(handler=takes(30.0), listens_after=1.0), max_concurrency=3)
    it.engine.start_seconds = 1.0

    async def story() -> None:
        calls = [asyncio.ensure_future(it.call()) for _ in range(2)]
        await it.clock.sleep(10.0)
        calls.append(asyncio.ensure_future(it.call()))  # this one waits for its start
        await it.clock.sleep(0.5)
        await asyncio.gather(it.endpoint.close(), it.endpoint.close())
        answers = await asyncio.gather(*calls)
        assert {a.code for a in answers if isinstance(a, RuntimeFailure)} == {"ModelError"}
        assert len(it.answers) == 3
        await it.failed("ValidationError")

    run(it, story)


class Careful(Engine):
    """Takes a second to clear up after a start that was given up."""

    cleared = 0

    async def start(self, spec: ContainerSpec) -> Handle:  # type: ignore[override]
        try:
            return await super().start(spec)
        except asyncio.CancelledError:
            await self.clock.sleep(1.0)
            self.cleared += 1
            raise


def test_closing_waits_until_a_start_that_was_given_up_is_cleared_away() -> None:
    it = world(kind=Careful)
    it.engine.start_seconds = 5.0

    async def story() -> None:
        creating = asyncio.ensure_future(it.endpoint.create())
        await it.clock.sleep(1.0)
        await it.endpoint.close()
        assert isinstance(it.engine, Careful)
        assert it.engine.cleared == 1
        await creating

    it.clock.run(story())


def test_closing_that_is_cancelled_goes_on() -> None:
    it = world(FakeImage(stop_seconds=10.0))

    async def story() -> None:
        await it.endpoint.create()
        closing = asyncio.ensure_future(it.endpoint.close())
        await it.clock.sleep(1.0)
        closing.cancel()
        await asyncio.wait({closing})
        await it.endpoint.close()
        assert it.engine.running == []

    it.clock.run(story())
    assert it.clock.now() == pytest.approx(1010.0, abs=0.1)

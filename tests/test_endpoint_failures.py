"""Owns: what a live endpoint answers and survives when containers, engines or byoc fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from emulator.endpoint_state import KEPT, Invocation
from emulator.engines import EngineUnavailable
from emulator.http import Hold, Outcome, Reply, Request
from emulator.testing import FakeImage
from tests.endpoint_world import (
    LIMITS,
    Engine,
    Resets,
    run,
    takes,
    world,
)

# What the container does


def test_an_invocation_is_cut_at_60_seconds_and_its_instance_replaced() -> None:
    it = world(FakeImage(handler=lambda r, age: (90.0 if r.body == b"slow" else 0.001, 200, b"")))

    async def story() -> None:
        began = it.clock.now()
        fields = await it.failed("ModelError", b"slow")
        assert it.clock.now() - began == pytest.approx(60.0)
        assert fields["OriginalStatusCode"] == 0
        assert fields["Message"].startswith(
            'Received server error (0) from primary with message "Your invocation timed out while'
            " waiting for a response from container primary."
        )
        record = await it.good()
        assert record.cold
        assert len(it.engine.started) == 2
        assert it.engine.started[0].stopped is not None
        assert it.engine.started[0].stopped.killed

    run(it, story)


def test_an_answer_at_the_last_moment_is_a_success() -> None:
    it = world(FakeImage(handler=takes(59.99)))

    async def story() -> None:
        await it.good()
        assert len(it.engine.started) == 1

    run(it, story)


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (415, "client"), (503, "server")])
def test_a_containers_error_is_a_model_error_with_its_words(status: int, side: str) -> None:
    it = world(FakeImage(handler=takes(0.001, status, b"no such column")))

    async def story() -> None:
        fields = await it.failed("ModelError")
        assert fields["OriginalStatusCode"] == status
        assert fields["OriginalMessage"] == "no such column"
        head = f'Received {side} error ({status}) from primary with message "no such column". See '
        assert fields["Message"].startswith(head)
        assert len(it.engine.running) == 1, "the instance goes on"

    run(it, story)


def test_a_response_over_the_limit_is_a_model_error() -> None:
    it = world(
        FakeImage(handler=takes(0.001, 200, b"x" * 11)), limits=replace(LIMITS, payload_bytes=10)
    )

    async def story() -> None:
        fields = await it.failed("ModelError")
        assert "11 bytes" in fields["Message"]

    run(it, story)


def test_an_instance_that_dies_idle_is_noticed_and_removed() -> None:
    it = world()

    async def story() -> None:
        await it.good()
        it.engine.die(it.engine.started[-1])
        await it.clock.sleep(2.0)
        assert it.engine.running == []
        assert (await it.good()).cold

    run(it, story)


def test_a_call_that_meets_a_dead_instance_is_served_by_another_one() -> None:
    it = world(FakeImage(handler=takes(1.0)), max_concurrency=2)

    async def story() -> None:
        await it.at_once(2)
        for container in it.engine.started:
            it.engine.die(container)
        record = await it.good()
        assert record.cold
        assert len(it.engine.started) == 3
        assert it.endpoint.journal.arrived == it.endpoint.journal.answered == 3

    run(it, story)


def test_the_request_of_an_instance_that_dies_busy_fails_and_the_next_one_works() -> None:
    it = world(FakeImage(handler=takes(10.0)))

    async def story() -> None:
        it.engine.die(it.engine.started[0], after=5.0)
        fields = await it.failed("ModelError")
        assert "could not get a response from the iris endpoint" in fields["Message"]
        assert fields["OriginalStatusCode"] == 0
        assert (await it.good()).cold

    run(it, story)


def test_an_instance_that_ran_out_of_memory_is_told_so() -> None:
    it = world(FakeImage(handler=takes(10.0)))

    async def story() -> None:
        (container,) = it.engine.started
        it.engine.die(container, after=5.0)
        it.engine.memory_kills[container.id] = 1
        fields = await it.failed("ModelError")
        assert "insufficient memory" in fields["Message"]
        assert it.endpoint.journal.last[-1].detail.endswith("; out of memory")
        await it.good()

    run(it, story)


class Lingers(Engine):
    """The connection of a dead container is noticed to be dead only seconds later."""

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        reply = await super().send(base_url, request, timeout_seconds, hold)
        if reply.outcome is Outcome.RESET:
            await self.clock.sleep(5.0)
        return reply


def test_a_busy_instance_that_died_is_judged_by_its_request_alone() -> None:
    it = world(FakeImage(handler=takes(10.0)), kind=Lingers)

    async def story() -> None:
        (container,) = it.engine.started
        it.engine.die(container, after=5.0)
        it.engine.memory_kills[container.id] = 1
        fields = await it.failed("ModelError")
        assert "insufficient memory" in fields["Message"]

    run(it, story)


class Refuses(Engine):
    """Containers that answer ping and end when they are asked for more."""

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        assert len(self.started) < 9, "it is started again and again"
        if request.path == "/invocations":
            self.die(self.started[int(base_url.removeprefix("fake://"))])
        return await super().send(base_url, request, timeout_seconds, hold)


def test_a_container_that_always_ends_is_not_started_again_and_again_for_one_request() -> None:
    it = world(kind=Refuses)

    async def story() -> None:
        await it.failed("ModelError")
        assert len(it.engine.started) == 2, "the warm one, and one that was started for the request"

    run(it, story)


def test_a_worker_that_dies_costs_its_request_and_not_the_instance() -> None:
    it = world(kind=Resets)

    async def story() -> None:
        began = it.clock.now()
        await it.failed("ModelError", b"reset")
        assert it.clock.now() - began < 0.1, "it answers ping, so it is not dying"
        assert not (await it.good()).cold
        it.engine.memory_kills[it.engine.started[0].id] = 2
        fields = await it.failed("ModelError", b"reset")
        assert "insufficient memory" in fields["Message"]
        fields = await it.failed("ModelError", b"reset")
        assert "insufficient memory" not in fields["Message"], "it was told once"

    run(it, story)


# Starts after InService


@pytest.mark.parametrize(
    ("image", "code", "after"),
    [
        (FakeImage(refuses="exec format error"), "ModelError", 0.0),
        (FakeImage(listens_after=99.0, exits_after=2.0), "ModelError", 2.0),
        (FakeImage(listens_after=500.0), "ModelNotReadyException", 180.0),
    ],
    ids=["refused", "exited", "timed out"],
)
def test_a_start_that_comes_to_nothing_answers_its_request_and_frees_its_place(
    image: FakeImage, code: str, after: float
) -> None:
    it = world(idle_seconds=5.0, max_concurrency=1)

    async def story() -> None:
        await it.clock.sleep(10.0)
        good, it.engine.images = it.engine.images, {"model": image}
        began = it.clock.now()
        await it.failed(code)
        assert it.clock.now() - began == pytest.approx(after, abs=0.3)
        await it.clock.sleep(0.1)
        assert it.engine.running == []
        it.engine.images = good
        await it.good()

    run(it, story)


def test_a_setup_is_cut_at_its_own_deadline_whatever_else_is_due_later() -> None:
    it = world(FakeImage(handler=takes(50.0)), idle_seconds=640.0)

    async def story() -> None:
        first = asyncio.ensure_future(it.good())
        await it.clock.sleep(0.1)
        it.engine.images = {"model": FakeImage(listens_after=500.0)}
        began = it.clock.now()
        await it.failed("ModelNotReadyException")
        assert it.clock.now() - began == pytest.approx(180.0)
        await first

    run(it, story)


def test_an_engine_that_is_gone_is_the_platforms_failure_and_is_survived() -> None:
    it = world(FakeImage(handler=takes(1.0)), kind=Resets)

    async def story() -> None:
        (container,) = it.engine.started
        it.engine.trouble = EngineUnavailable("the engine stopped answering")
        await it.good()  # the container itself still answers
        it.engine.die(container)
        await it.failed("ModelError", b"reset")
        fields = await it.failed("InternalFailure")
        assert "the engine stopped answering" in fields["Message"]
        it.engine.trouble = None
        assert (await it.good()).cold
        await it.clock.sleep(5.0)
        assert container.stopped is not None, "what could not be removed is removed later"

    run(it, story)


def test_containers_that_could_not_be_removed_are_removed_when_it_closes() -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        it.engine.stop_trouble = EngineUnavailable("no")
        await it.clock.sleep(20.0)
        assert len(it.engine.running) == 1
        it.engine.stop_trouble = None

    run(it, story)


def test_containers_that_are_left_for_good_are_named(caplog: pytest.LogCaptureFixture) -> None:
    it = world()

    async def story() -> None:
        await it.endpoint.create()
        it.engine.stop_trouble = EngineUnavailable("no")
        await it.endpoint.close()

    it.clock.run(story())
    assert "containers are left: fake-0" in caplog.text


# What is ours


class Fails(Engine):
    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        if request.body == b"bug":
            raise KeyError("a bug of ours")
        return await super().send(base_url, request, timeout_seconds, hold)


def test_a_failure_of_ours_is_logged_and_answered_as_the_platforms(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = world(kind=Fails, max_concurrency=1)

    async def story() -> None:
        await it.failed("InternalFailure", b"bug")
        assert (await it.good()).cold, "nobody knows what state its instance is in"

    run(it, story)
    assert "a bug of ours" in caplog.text


def test_an_unexpected_exception_in_a_start_is_logged_and_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        await it.clock.sleep(10.0)
        it.engine.trouble = ZeroDivisionError("a bug of ours")
        await it.failed("InternalFailure")
        it.engine.trouble = None
        await it.good()

    run(it, story)
    assert "a bug of ours" in caplog.text


def test_an_exception_in_a_task_that_nobody_awaits_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        monkeypatch.setattr(it.endpoint, "instance_failed", lambda *_: 1 / 0)
        await it.clock.sleep(10.0)
        it.engine.images = {"model": FakeImage(refuses="no")}
        await it.failed("ModelNotReadyException")  # by the policy's own deadline: not lost

    run(it, story)
    assert "ZeroDivisionError" in caplog.text


def test_a_listener_that_fails_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    it = world()
    seen: list[Invocation] = []
    it.endpoint.journal.listeners += [lambda record: int("x"), seen.append]

    async def story() -> None:
        await it.good()

    run(it, story)
    assert [record.answered for record in seen] == [True]
    assert "ValueError" in caplog.text


def test_the_past_is_counted_and_only_the_last_requests_are_kept() -> None:
    it = world()

    async def story() -> None:
        for _ in range(KEPT + 10):
            await it.good()
        journal = it.endpoint.journal
        assert (journal.arrived, journal.answered) == (KEPT + 10, KEPT + 10)
        assert [journal.last[0].request, len(journal.last)] == [11, KEPT]
        assert len(it.endpoint._requests) == 0

    run(it, story)


def test_an_engine_that_is_away_is_complained_about_once(caplog: pytest.LogCaptureFixture) -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        for _ in range(2):
            await it.clock.sleep(10.0)
            it.engine.trouble = EngineUnavailable("the engine went away")
            for _ in range(20):
                await it.failed("InternalFailure")
            it.engine.trouble = None
            await it.good()

    run(it, story)
    told = [one for one in caplog.records if "did not start" in one.message]
    assert [one.levelname for one in told].count("WARNING") == 2, "once per outage"

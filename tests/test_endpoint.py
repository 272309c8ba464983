"""Owns: what a live endpoint does, in virtual time and without an engine. One request is answered
exactly once, by AWS's rules, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.endpoint import Endpoint
from emulator.endpoint_state import KEPT, EndpointStatus, Invocation
from emulator.engines import ContainerSpec, EngineUnavailable, ImageNotFound, Stopped
from emulator.errors import CANNOT_START, SERVE_NOT_FOUND, STARTUP_TIMEOUT
from emulator.http import Hold, Outcome, Reply, Request
from emulator.limits import Limits
from emulator.policy_events import PolicyConfig
from emulator.runtime_errors import Place, RuntimeFailure
from emulator.testing import FakeClock, FakeContainer, FakeEngine, FakeImage, Handler
from emulator.wire import Invoke
from emulator.wire_members import Operation

PLACE = Place(endpoint="iris", request_id="r-1")
SPEC = ContainerSpec(image="model")
LIMITS = Limits()


class Engine(FakeEngine):
    """A fake that starts slowly, breaks, and sees memory kills. `trouble` is raised by whatever is
    asked of it, `stop_trouble` only by stops; its containers themselves go on meanwhile.
    """

    def __init__(self, clock: FakeClock, images: Mapping[str, FakeImage]) -> None:
        super().__init__(clock, images)
        self.trouble: Exception | None = None
        self.stop_trouble: Exception | None = None
        self.start_seconds = 0.0
        self.memory_kills: Counter[str] = Counter()
        self.told_to_stop: set[str] = set()
        self.most_wanted = 0

    async def start(self, spec: ContainerSpec) -> Handle:  # type: ignore[override]
        await self.clock.sleep(self.start_seconds)
        if self.trouble is not None:
            raise self.trouble
        container = await super().start(spec)
        wanted = {one.id for one in self.started} - self.told_to_stop
        self.most_wanted = max(self.most_wanted, len(wanted))
        return Handle(self, container)

    def die(self, container: FakeContainer, after: float = 0.0) -> None:
        ends = container.age + after
        container.image = replace(container.image, exits_after=ends, exit_code=137)


class Handle:
    """What the endpoint holds of a fake container: everything goes through the engine."""

    def __init__(self, engine: Engine, container: FakeContainer) -> None:
        self.id, self.base_url = container.id, container.base_url
        self._engine, self._container = engine, container

    def _ask(self, trouble: Exception | None = None) -> None:
        if error := trouble or self._engine.trouble:
            raise error

    async def exit_code(self) -> int | None:
        self._ask()
        return await self._container.exit_code()

    async def logs(self, tail: int = 50) -> str:
        self._ask()
        return await self._container.logs(tail)

    async def oom_kills(self) -> int:
        self._ask()
        return self._engine.memory_kills[self.id]

    async def stop(self, grace_seconds: float) -> Stopped:
        self._engine.told_to_stop.add(self.id)
        self._ask(self._engine.stop_trouble)
        return await self._container.stop(grace_seconds)


@dataclass(kw_only=True)
class World:
    """An endpoint with its clock and its engine."""

    clock: FakeClock
    engine: Engine
    endpoint: Endpoint
    answers: list[tuple[int, float, Reply | RuntimeFailure]] = field(default_factory=list)

    async def call(self, body: bytes = b"x", number: int = 0) -> Reply | RuntimeFailure:
        invoke = Invoke(operation=Operation.INVOKE, endpoint="iris", body=body)
        answer: Reply | RuntimeFailure
        try:
            answer = await self.endpoint.invoke(invoke)
        except RuntimeFailure as failure:
            answer = failure
        self.answers.append((number, self.clock.now(), answer))
        return answer

    async def failed(self, code: str, body: bytes = b"x") -> dict[str, Any]:
        """The fields of the error that the next call gets."""
        answer = await self.call(body)
        assert isinstance(answer, RuntimeFailure), answer
        assert answer.code == code, answer
        return answer.fields(PLACE)

    async def good(self, body: bytes = b"x") -> Invocation:
        """The record of the next call, which is a success."""
        answer = await self.call(body)
        assert isinstance(answer, Reply), answer
        return self.endpoint.journal.last[-1]

    async def at_once(self, count: int) -> list[Reply | RuntimeFailure]:
        return list(await asyncio.gather(*(self.call() for _ in range(count))))


def world(
    image: FakeImage | None = None,
    *,
    limits: Limits = LIMITS,
    kind: type[Engine] = Engine,
    **numbers: Any,
) -> World:
    clock = FakeClock()
    engine = kind(clock, {"model": image or FakeImage()})
    config = replace(PolicyConfig.of(limits, max_concurrency=2), **numbers)
    endpoint = Endpoint(
        "iris", SPEC, config, engine=engine, http=engine, clock=clock, limits=limits
    )
    return World(clock=clock, engine=engine, endpoint=endpoint)


def run(world: World, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The story of an endpoint that is InService; then it is closed, and nothing is left."""

    async def whole() -> None:
        await world.endpoint.create()
        assert world.endpoint.status is EndpointStatus.IN_SERVICE, world.endpoint.failure_reason
        try:
            await story()
        finally:
            await world.endpoint.close()
        assert world.engine.running == []
        assert [task for task in asyncio.all_tasks() if "endpoint" in str(task.get_coro())] == []

    world.clock.run(whole())


def takes(seconds: float, status: int = 200, body: bytes = b"ok") -> Handler:
    """An invocation takes that long, a ping no time."""

    def handler(request: Request, age: float) -> tuple[float, int, bytes]:
        return (seconds, status, body) if request.path == "/invocations" else (0.001, 200, b"")

    return handler


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
         STARTUP_TIMEOUT, "HTTP 500"),
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
    assert fields["Message"] == "Endpoint iris of account 000000000000 not found."


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


class Resets(Engine):
    """The connection breaks although the container lives, as when one of its workers dies."""

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        if request.body == b"reset":
            return Reply(request=request, outcome=Outcome.RESET, seconds=0.0)
        return await super().send(base_url, request, timeout_seconds, hold)


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


# Anything


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
            ["call", "call", "call", "die", "oom", "go away", "engine", "image", "burst"]
        ),
        seconds=st.sampled_from([0.001, 0.5, 4.0, 59.9, 60.0, 61.0]),
    ),
    max_size=12,
)


@given(
    steps=STEPS,
    listens=st.sampled_from([0.0, 2.0, 170.0]),
    start=st.sampled_from([0.0, 1.5]),
    most=st.integers(1, 3),
    provisioned=st.integers(0, 1),
    end=st.sampled_from([0.0, 1.0, 300.0]),
)
def test_whatever_happens_every_request_is_answered_once_and_nothing_is_left(
    *, steps: list[Step], listens: float, start: float, most: int, provisioned: int, end: float
) -> None:
    """Calls, deaths, memory kills, callers that leave, an engine that goes away and comes back, and
    images that stop working, in any order, and a close at any moment.

    Containers that were started and not told to stop never are more than max_concurrency, and those
    provisioned that are being replaced: the policy starts them beside what runs on demand.
    """
    logging.disable(logging.CRITICAL)
    healthy = FakeImage(
        handler=lambda r, age: (float(r.body or 0.001), 200, b""), listens_after=listens
    )
    it = world(healthy, max_concurrency=most, provisioned=provisioned, idle_seconds=8.0)
    it.engine.start_seconds = start
    sent = 0
    calls: list[asyncio.Task[Any]] = []

    def call(seconds: float) -> None:
        nonlocal sent
        sent += 1
        calls.append(asyncio.ensure_future(it.call(str(seconds).encode(), sent)))

    async def act(step: Step) -> None:
        nonlocal sent
        await it.clock.sleep(step.wait)
        alive = it.engine.running
        match step.act:
            case "call":
                call(step.seconds)
            case "burst":
                for _ in range(4):
                    call(step.seconds)
            case "die" | "oom" if alive:
                it.engine.memory_kills[alive[-1].id] += step.act == "oom"
                it.engine.die(alive[-1])
            case "go away" if any(not one.done() for one in calls):
                next(one for one in reversed(calls) if not one.done()).cancel()
            case "engine":
                gone = it.engine.trouble is None
                it.engine.trouble = EngineUnavailable("gone") if gone else None
            case "image":
                broken = replace(healthy, listens_after=500.0, exits_after=step.seconds)
                now = it.engine.images["model"]
                it.engine.images = {"model": healthy if now is not healthy else broken}

    async def story() -> None:
        await it.endpoint.create()
        assert it.endpoint.status is EndpointStatus.IN_SERVICE
        for step in steps:
            await act(step)
        await it.clock.sleep(end)
        it.engine.trouble = None
        await it.endpoint.close()
        await asyncio.wait(calls) if calls else None

    try:
        it.clock.run(story())
    finally:
        logging.disable(logging.NOTSET)
    gone = sum(one.cancelled() for one in calls)
    numbers = [number for number, _, _ in it.answers]
    assert len(set(numbers)) == len(numbers) == sent - gone
    journal = it.endpoint.journal
    in_service = [a for *_, a in it.answers if not _not_found(a)]
    assert journal.arrived == journal.answered
    assert len(in_service) <= journal.arrived
    assert len(it.endpoint._requests) == 0
    assert [c for c in it.engine.started if c.stopped is None] == []
    assert it.engine.most_wanted <= most + provisioned


def _not_found(answer: Reply | RuntimeFailure) -> bool:
    return isinstance(answer, RuntimeFailure) and answer.code == "ValidationError"

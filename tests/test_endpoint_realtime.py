"""Owns: the claims of emulator/endpoint_realtime.py, in virtual time on fake containers; streams
over real sockets, against a server of this test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web

from emulator.clock import SystemClock
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_state import EndpointStatus, InstanceState
from emulator.engines import ContainerSpec, EngineUnavailable, ImageNotFound
from emulator.http import AiohttpHttp, Reply, Request
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.runtime_errors import ModelStreamError, Place, RuntimeFailure, ValidationError
from emulator.testing import FakeClock, FakeContainer, FakeEngine, FakeImage, Handler
from emulator.wire import Invoke, Operation

LIMITS = Limits.of("realtime")
PLACE = Place(endpoint="iris", request_id="r-1")
INVOKE = Invoke(operation=Operation.INVOKE, endpoint="iris", body=b"x")
STREAM = Invoke(operation=Operation.STREAM, endpoint="iris", body=b"x")


@dataclass(kw_only=True)
class World:
    clock: FakeClock
    engine: FakeEngine
    endpoint: RealtimeEndpoint

    async def ask(self) -> Reply | RuntimeFailure:
        try:
            return await self.endpoint.invoke(INVOKE)
        except RuntimeFailure as failure:
            return failure

    def die(self, number: int, after: float = 0.0) -> None:
        container = self.engine.started[number]
        container.image = replace(container.image, exits_after=container.age + after)


def world(image: FakeImage | None = None, *, count: int = 1) -> World:
    clock = FakeClock()
    engine = FakeEngine(clock, {"model": image or FakeImage()})
    endpoint = RealtimeEndpoint(
        "iris",
        ContainerSpec(image="model"),
        engine=engine,
        http=engine,
        clock=clock,
        limits=LIMITS,
        instance_count=count,
    )
    return World(clock=clock, engine=engine, endpoint=endpoint)


def run(world: World, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        try:
            await world.endpoint.create()
            await story()
        finally:
            await world.endpoint.close()

    world.clock.run(whole())
    assert world.engine.running == []
    assert world.endpoint.journal.instances == {}


def takes(seconds: float, status: int = 200, body: bytes = b"ok") -> Handler:
    return lambda request, age: (
        (0.001, 200, b"") if request.path == "/ping" else (seconds, status, body)
    )


def test_it_is_in_service_when_all_of_its_instances_are() -> None:
    here = world(FakeImage(listens_after=30.0), count=3)

    async def story() -> None:
        assert here.endpoint.status is EndpointStatus.IN_SERVICE
        assert len(here.engine.running) == 3
        assert here.clock.now() - 1000.0 == pytest.approx(30.0, abs=0.5)

    run(here, story)


def test_a_container_that_is_never_ready_fails_after_eight_minutes_with_the_ping_text() -> None:
    here = world(FakeImage(listens_after=1e9))

    async def story() -> None:
        assert here.endpoint.status is EndpointStatus.FAILED
        assert here.clock.now() - 1000.0 == pytest.approx(480.0, abs=3.0)
        assert here.endpoint.failure_reason.startswith(
            "The primary container for production variant AllTraffic did not pass the ping health"
            " check. Please check CloudWatch logs for this endpoint."
        )
        assert isinstance(await here.ask(), ValidationError)

    run(here, story)


class Unwilling(FakeEngine):
    trouble: Exception

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        raise self.trouble


@pytest.mark.parametrize("trouble", [EngineUnavailable("gone"), ImageNotFound("no image")])
def test_an_engines_failure_while_creating_is_raised(trouble: Exception) -> None:
    here = world()
    engine = Unwilling(here.clock, {})
    engine.trouble = trouble
    endpoint = RealtimeEndpoint(
        "iris", ContainerSpec(image="model"),
        engine=engine, http=engine, clock=here.clock, limits=LIMITS,
    )  # fmt: skip
    with pytest.raises(type(trouble), match=str(trouble)):
        here.clock.run(endpoint.create())
    assert endpoint.status is EndpointStatus.FAILED


def test_requests_run_side_by_side_on_the_instance_with_the_fewest() -> None:
    here = world(FakeImage(handler=takes(10.0)), count=2)

    async def story() -> None:
        began = here.clock.now()
        answers = await asyncio.gather(*(here.ask() for _ in range(20)))
        assert all(isinstance(answer, Reply) and answer.ok for answer in answers)
        assert here.clock.now() - began == pytest.approx(10.0, abs=0.1)
        used = [one.instance for one in here.endpoint.journal.last]
        assert (used.count(1), used.count(2)) == (10, 10)
        assert not any(one.cold for one in here.endpoint.journal.last)

    run(here, story)


def test_an_invocation_is_cut_at_60_seconds_and_its_instance_stays() -> None:
    here = world(FakeImage(handler=takes(61.0)))

    async def story() -> None:
        began = here.clock.now()
        answer = await here.ask()
        assert here.clock.now() - began == pytest.approx(60.0, abs=0.01)
        assert isinstance(answer, ModelError)
        assert answer.original_status == 0
        assert "Your invocation timed out" in str(answer.message(PLACE))
        assert len(here.engine.started) == 1

    run(here, story)


@pytest.mark.parametrize("status", [400, 503])
def test_a_containers_error_is_a_model_error(status: int) -> None:
    here = world(FakeImage(handler=takes(0.1, status, b"no")))

    async def story() -> None:
        answer = await here.ask()
        assert isinstance(answer, ModelError)
        assert answer.original_status == status
        assert here.endpoint.journal.last[-1].status == status

    run(here, story)


def test_an_instance_that_dies_busy_fails_all_its_requests_and_is_replaced_once() -> None:
    here = world(FakeImage(handler=takes(10.0)))

    async def story() -> None:
        here.die(0, after=1.0)
        answers = await asyncio.gather(*(here.ask() for _ in range(3)))
        assert all(isinstance(answer, ModelError) for answer in answers)
        await here.clock.sleep(5.0)
        assert len(here.engine.started) == 2
        after = await here.ask()
        assert isinstance(after, Reply)
        assert after.ok

    run(here, story)


def test_an_instance_that_dies_idle_is_replaced_by_itself() -> None:
    here = world()

    async def story() -> None:
        here.die(0)
        await here.clock.sleep(10.0)
        assert len(here.engine.started) == 2
        assert isinstance(await here.ask(), Reply)
        gone = [c for c in here.endpoint.journal.changes if c.state is InstanceState.GONE]
        assert [change.instance for change in gone] == [1]

    run(here, story)


def test_a_replacement_that_does_not_start_is_tried_again_with_patience() -> None:
    here = world()

    async def story() -> None:
        here.engine.images = {"model": FakeImage(refuses="no such executable")}
        here.die(0)
        await here.clock.sleep(20.0)
        nobody = await here.ask()
        assert isinstance(nobody, ModelError)
        here.engine.images = {"model": FakeImage()}
        await here.clock.sleep(61.0)
        assert isinstance(await here.ask(), Reply)

    run(here, story)


def ails(after: float, until: float = 1e9, *, seconds: float = 1.0) -> Handler:
    """Its /ping answers 503 between those times."""

    def handler(request: Request, age: float) -> tuple[float, int, bytes]:
        if request.path == "/ping":
            return 0.001, 503 if after <= age < until else 200, b""
        return seconds, 200, b"ok"

    return handler


def test_an_instance_that_fails_its_health_checks_while_idle_is_replaced_in_order() -> None:
    here = world(FakeImage(handler=ails(12.0)))

    async def story() -> None:
        began = here.clock.now()
        while len(here.engine.started) == 1:
            await here.clock.sleep(0.5)
        # Every 5 s: healthy at 5 and 10, failing at 15, 20, 25, 30 and 35.
        assert here.clock.now() - began == pytest.approx(35.0, abs=0.6)
        await here.clock.sleep(1.0)
        stopped = here.engine.started[0].stopped
        assert stopped is not None
        assert not stopped.killed
        gone = [c for c in here.endpoint.journal.changes if c.state is InstanceState.GONE]
        assert "5 health checks in a row" in gone[0].why
        assert "HTTP 503" in gone[0].why
        assert isinstance(await here.ask(), Reply)

    run(here, story)


def test_an_instance_that_recovers_in_time_is_kept() -> None:
    here = world(FakeImage(handler=ails(12.0, until=32.0)))

    async def story() -> None:
        await here.clock.sleep(120.0)
        assert len(here.engine.started) == 1

    run(here, story)


def test_a_busy_instance_is_not_asked_for_its_health() -> None:
    here = world(FakeImage(handler=ails(1.0, until=58.0, seconds=59.0)))

    async def story() -> None:
        assert isinstance(await here.ask(), Reply)
        await here.clock.sleep(60.0)
        assert len(here.engine.started) == 1

    run(here, story)


def test_closing_answers_what_is_in_flight() -> None:
    here = world(FakeImage(handler=takes(30.0)))

    async def story() -> None:
        asked = [asyncio.ensure_future(here.ask()) for _ in range(3)]
        await here.clock.sleep(1.0)
        await here.endpoint.close()
        answers = await asyncio.gather(*asked)
        assert all(isinstance(answer, ModelError) for answer in answers)
        assert here.endpoint.journal.answered == 3

    run(here, story)


def test_a_caller_that_goes_away_leaves_its_request_running() -> None:
    here = world(FakeImage(handler=takes(10.0)))

    async def story() -> None:
        asked = asyncio.ensure_future(here.ask())
        await here.clock.sleep(1.0)
        asked.cancel()
        await here.clock.sleep(1.0)
        assert here.endpoint.journal.instances[1].state is InstanceState.BUSY
        await here.clock.sleep(10.0)
        assert here.endpoint.journal.instances[1].state is InstanceState.IDLE

    run(here, story)


# Streams, over sockets


class RealEngine(FakeEngine):
    """Its containers are one server on a socket."""

    url = ""

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        container = await super().start(spec)
        container.base_url = self.url
        return container


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], **limits: float
) -> AsyncIterator[RealtimeEndpoint]:
    async def ping(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/ping", ping)
    app.router.add_post("/invocations", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    engine = RealEngine(FakeClock(), {"model": FakeImage()})
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = AiohttpHttp()
    endpoint = RealtimeEndpoint(
        "iris",
        ContainerSpec(image="model"),
        engine=engine,
        http=http,
        clock=SystemClock(),
        limits=replace(LIMITS, **limits),
    )
    try:
        await endpoint.create()
        yield endpoint
    finally:
        await asyncio.gather(endpoint.close(), _finish(engine))
        await http.close()
        await runner.cleanup()


async def _finish(engine: FakeEngine) -> None:
    """Virtual seconds that a stop sleeps pass at once."""
    for _ in range(100):
        await asyncio.sleep(0)
        engine.clock.jump(1.0)


def test_each_piece_arrives_when_the_container_sent_it() -> None:
    go = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"one")
        await go.wait()
        await response.write(b"two")
        return response

    async def story() -> None:
        async with serving(answer) as endpoint:
            stream = await endpoint.invoke_stream(STREAM)
            assert stream.headers["content-type"] == "text/event-stream"
            parts = aiter(stream.parts)
            assert await anext(parts) == b"one"
            assert endpoint.journal.instances[1].state is InstanceState.BUSY
            go.set()
            assert [part async for part in parts] == [b"two"]
            record = endpoint.journal.last[-1]
            assert (record.answered, record.received_bytes, record.error) == (True, 6, "")
            assert endpoint.journal.instances[1].state is InstanceState.IDLE

    asyncio.run(story())


def test_an_error_before_the_first_piece_is_a_model_error_with_its_words() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=400, text="no such column")

    async def story() -> None:
        async with serving(answer) as endpoint:
            with pytest.raises(ModelError) as raised:
                await endpoint.invoke_stream(STREAM)
            assert raised.value.original_status == 400
            assert "no such column" in str(raised.value.message(PLACE))
            assert endpoint.journal.last[-1].error == "ModelError"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("seconds", "code"), [(0.3, "ModelInvocationTimeExceeded"), (60.0, "StreamBroken")]
)
def test_a_stream_without_an_end_ends_with_a_model_stream_error(seconds: float, code: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        if seconds > 1:
            request.transport.close()
        await asyncio.sleep(1.0)
        return response

    async def story() -> None:
        async with serving(answer, stream_seconds=seconds) as endpoint:
            stream = await endpoint.invoke_stream(STREAM)
            with pytest.raises(ModelStreamError) as raised:
                assert [part async for part in stream.parts] == [b"one"]
            assert raised.value.error_code == code
            assert endpoint.journal.last[-1].error == "ModelStreamError"

    asyncio.run(story())


@pytest.mark.parametrize("reads", [False, True])
def test_a_reader_who_leaves_ends_the_stream_and_frees_the_instance(*, reads: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    async def story() -> None:
        async with serving(answer, stream_seconds=0.5) as endpoint:
            stream = await endpoint.invoke_stream(STREAM)
            if reads:
                parts = aiter(stream.parts)
                await anext(parts)
                await parts.aclose()
            for _ in range(100):
                if endpoint.journal.answered:
                    break
                await asyncio.sleep(0.02)
            assert endpoint.journal.answered == 1
            assert endpoint.journal.instances[1].state is InstanceState.IDLE

    asyncio.run(story())

"""Owns: what an endpoint tells of its instances and of each request: states, the reasons of an end,
bytes, memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from emulator.endpoint_state import InstanceState, Invocation
from emulator.engines import EngineUnavailable
from emulator.http import Reply, Request
from emulator.limits import MIB
from emulator.policy_events import StopWhy
from emulator.runtime_errors import RuntimeFailure
from emulator.testing import FakeImage
from tests.endpoint_world import Resets, World, run, takes, world
from tests.instance_automaton import BUSY, GONE, IDLE, STARTING

WARM = [STARTING, IDLE]


def test_an_instance_is_told_from_its_start_to_its_end() -> None:
    it = world(FakeImage(handler=takes(2.0)), idle_seconds=5.0)

    async def story() -> None:
        await it.good()
        await it.clock.sleep(10.0)
        assert it.told.of(1) == [STARTING, IDLE, BUSY, IDLE, GONE]
        busy = next(one for one in it.told.changes if one.state is BUSY)
        assert (busy.request, busy.container, busy.version) == (1, "fake-0", 1)
        assert it.told.last[1].why == StopWhy.IDLE.value
        times = [one.at for one in it.told.changes if one.state in (BUSY, IDLE, GONE)][-3:]
        assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([2.0, 5.0])
        assert it.endpoint.journal.instances == {}

    run(it, story)


def test_a_start_tells_who_waits_the_container_and_what_ping_said() -> None:
    def handler(request: Request, age: float) -> tuple[float, int, bytes]:
        return 0.001, 503 if age < 2.0 and request.path == "/ping" else 200, b"loading"

    it = world(FakeImage(handler=handler, listens_after=1.0), idle_seconds=5.0)

    async def story() -> None:
        await it.clock.sleep(10.0)
        await it.good()
        begun, created, reset, loading, busy = [c for c in it.told.changes if c.instance == 2][:5]
        assert (begun.container, created.container) == ("", "fake-1")
        assert {one.request for one in (begun, created, reset, loading, busy)} == {1}
        assert "connection" in reset.why
        assert "503" in loading.why
        assert busy.state is BUSY, "the answer that ended the start is no reason to wait"

    run(it, story)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (FakeImage(refuses="exec format error"), "exec format error"),
        (FakeImage(listens_after=99.0, exits_after=2.0), "exited with code 1"),
        (
            FakeImage(handler=lambda r, age: (0.001, 503, b"loading")),
            f"{StopWhy.SETUP_TIMEOUT.value}; /ping said last: GET /ping: HTTP 503",
        ),
    ],
    ids=["refused", "exited", "timed out"],
)
def test_a_start_that_failed_is_gone_with_its_reason(image: FakeImage, why: str) -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        await it.clock.sleep(10.0)
        it.engine.images = {"model": image}
        assert isinstance(await it.call(), RuntimeFailure)
        assert it.told.of(2) == [STARTING, GONE]
        assert why in it.told.last[2].why

    run(it, story)


def test_an_instance_that_died_or_was_too_slow_is_gone_with_its_reason() -> None:
    it = world(FakeImage(handler=takes(61.0)))

    async def story() -> None:
        await it.failed("ModelError")
        assert it.told.of(1) == [*WARM, BUSY, GONE]
        assert it.told.last[1].why == StopWhy.INVOCATION_TIMEOUT.value
        it.engine.images = {"model": FakeImage()}
        await it.good()
        it.engine.die(it.engine.running[-1])
        await it.clock.sleep(3.0)
        assert it.told.last[2].why == StopWhy.DIED.value

    run(it, story)


def test_closing_tells_the_end_of_every_instance() -> None:
    it = world(FakeImage(handler=takes(30.0), listens_after=1.0))

    async def story() -> None:
        calls = [asyncio.ensure_future(it.call()) for _ in range(2)]
        await it.clock.sleep(0.5)
        assert it.told.states() == {BUSY: 1, STARTING: 1}
        await it.endpoint.close()
        await asyncio.wait(calls)
        assert {one.why for one in it.told.last.values()} == {"the endpoint is closed"}

    run(it, story)


def test_who_looks_on_and_fails_costs_no_request() -> None:
    it = world()
    it.endpoint.journal.watchers.append(lambda change: print(int(change.state.value)))

    async def story() -> None:
        await it.good()

    run(it, story)


# Requests


def test_a_record_has_the_bytes_the_status_and_the_memory() -> None:
    it = world(FakeImage(handler=takes(0.5, status=418, body=b"teapot")))
    it.engine.peaks["fake-0"] = 123 * MIB - 1

    async def story() -> None:
        assert isinstance(await it.call(b"four"), RuntimeFailure)
        record = it.endpoint.journal.last[-1]
        assert (record.sent_bytes, record.received_bytes, record.status) == (4, 6, 418)
        assert record.memory_bytes == 123 * MIB - 1
        assert record.line().endswith("  Memory: 123 MB  Instance: 1  ModelError  HTTP 418")

    run(it, story)


def test_what_was_wrong_is_told_where_the_code_of_the_error_tells_less() -> None:
    late = world(FakeImage(handler=takes(61.0)))
    large = world(FakeImage(handler=takes(0.1, body=b"x" * (4 * MIB + 1))))
    for it, words in (
        (late, "the container did not answer within the invocation window"),
        (large, "the answer has 4194305 bytes, more than pass"),
    ):

        async def story(it: World = it, words: str = words) -> None:
            await it.failed("ModelError")
            assert it.endpoint.journal.last[-1].detail == words
            assert words in it.endpoint.journal.last[-1].line()

        run(it, story)


def test_a_throttle_and_a_start_that_failed_tell_what_is_known() -> None:
    it = world(FakeImage(handler=takes(0.5)), max_concurrency=1, idle_seconds=5.0)

    async def story() -> None:
        await it.at_once(2)
        throttled = next(r for r in it.endpoint.journal.last if r.error == "ThrottlingException")
        assert (throttled.sent_bytes, throttled.status, throttled.memory_bytes) == (1, None, None)
        assert throttled.instance is None
        assert "Memory" not in throttled.line()
        await it.clock.sleep(10.0)
        it.engine.images = {"model": FakeImage(refuses="no")}
        await it.failed("ModelError")
        failed = it.endpoint.journal.last[-1]
        assert (failed.instance, failed.detail, failed.model_seconds) == (2, "no", 0.0)

    run(it, story)


def test_a_try_that_no_container_saw_leaves_nothing_in_the_record() -> None:
    it = world()

    async def story() -> None:
        it.engine.die(it.engine.started[0])
        it.engine.images = {"model": FakeImage(listens_after=500.0)}
        await it.failed("ModelNotReadyException")
        record = it.endpoint.journal.last[-1]
        waited = "the instance was not ready within the setup window"
        assert (record.model_seconds, record.detail) == (0.0, waited)
        assert record.seconds == pytest.approx(180.0)

    run(it, story)


def test_a_timeout_is_model_time() -> None:
    it = world(FakeImage(handler=takes(61.0)))

    async def story() -> None:
        await it.failed("ModelError")
        record = it.endpoint.journal.last[-1]
        assert record.model_seconds == pytest.approx(60.0, abs=0.01)
        assert record.memory_bytes is None, "it never answered, and was looked at before"

    it.engine.memory_trouble = EngineUnavailable("no")
    run(it, story)


def test_a_record_does_not_change_after_its_caller_went_away() -> None:
    it = world(FakeImage(handler=takes(3.0)))

    async def story() -> None:
        caller = asyncio.ensure_future(it.call())
        await it.clock.sleep(1.0)
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        record = it.endpoint.journal.last[-1]
        before = record.as_json()
        await it.clock.sleep(5.0)
        assert record.as_json() == before
        assert it.told.of(1) == [*WARM, BUSY, IDLE], "its request went on"

    run(it, story)


# Memory


def test_a_look_that_is_not_cheap_is_taken_beside_the_request_and_once_a_second() -> None:
    it = world(FakeImage(handler=takes(0.02)))
    it.engine.memory_seconds = 0.005

    async def story() -> None:
        records = [await it.good() for _ in range(100)]
        assert [record.seconds for record in records] == pytest.approx([0.02] * 100)
        assert all(record.memory_bytes for record in records)
        assert it.engine.asked["memory"] == pytest.approx(3, abs=1)

    run(it, story)


def test_the_most_memory_is_kept_and_a_cheap_look_follows_an_answer() -> None:
    it = world()

    async def story() -> None:
        await it.good()
        for megabytes in (100, 300, 200):
            await it.clock.sleep(0.1)
            it.engine.peaks["fake-0"] = megabytes * MIB
            await it.good()
        seen = [record.memory_bytes for record in it.endpoint.journal.last]
        assert seen[1:] == [100 * MIB, 300 * MIB, 300 * MIB]

    run(it, story)


def test_many_requests_a_second_do_not_make_as_many_looks() -> None:
    it = world()

    async def story() -> None:
        for _ in range(1000):
            await it.good()

    run(it, story)
    assert it.engine.asked["memory"] == pytest.approx(22, abs=2), "one each 50 ms, in 1 s"


@pytest.mark.parametrize("trouble", [EngineUnavailable("gone"), ValueError("a bug of ours")])
def test_memory_that_cannot_be_told_costs_the_number_only(trouble: Exception) -> None:
    it = world(kind=Resets)

    async def story() -> None:
        await it.good()
        known = (await it.good()).memory_bytes
        it.engine.memory_trouble = trouble
        assert (await it.good()).memory_bytes == known
        await it.failed("ModelError", b"reset")
        await it.clock.sleep(2.0)
        assert (await it.good()).memory_bytes == known

    run(it, story)


def test_an_engine_that_cannot_tell_memory_is_not_asked() -> None:
    it = world()
    it.engine.capabilities = frozenset()

    async def story() -> None:
        assert (await it.good()).memory_bytes is None

    run(it, story)
    assert it.engine.asked["memory"] == 0


def test_one_that_looks_on_sees_an_instance_idle_before_its_answer_is_told() -> None:
    it = world(FakeImage(handler=takes(1.0)))
    seen: list[InstanceState] = []

    def heard(_: Invocation) -> None:
        seen.append(it.told.last[1].state)

    it.endpoint.journal.listeners.append(heard)

    async def story() -> None:
        assert isinstance(await it.call(), Reply)
        assert seen == [IDLE]

    run(it, story)

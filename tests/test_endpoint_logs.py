"""Owns: that every line of every container is told once, in order, however its container ends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.endpoint_logs import LogBook
from emulator.endpoint_state import EndpointStatus
from emulator.engines import EngineUnavailable
from emulator.testing import FakeClock, FakeImage
from tests.endpoint_world import Engine, Handle, World, run, takes, world


def texts(it: World) -> list[str]:
    return [line.text for line in it.endpoint.logs.lines()]


def test_lines_are_read_when_somebody_asks_and_each_once() -> None:
    it = world()
    it.engine.log_seconds = 0.01

    async def story() -> None:
        logs, (container,) = it.endpoint.logs, it.engine.started
        it.engine.write(container, "one", "two")
        assert logs.lines() == []
        await logs.collect()
        await asyncio.gather(logs.collect(), logs.collect())
        first, second = logs.lines()
        assert (first.sequence, first.instance, first.container, first.text) == (
            1, 1, "fake-0", "one",
        )  # fmt: skip
        assert second.nanoseconds == first.nanoseconds + 1000
        it.engine.write(container, "three")
        await logs.collect()
        assert [line.text for line in logs.lines(second.sequence)] == ["three"]
        assert logs.lines(99) == []

    run(it, story)


def test_nobody_who_asks_costs_one_read_per_container() -> None:
    it = world()

    async def story() -> None:
        for _ in range(10):
            await it.good()
            await it.clock.sleep(5.0)
        assert it.engine.asked["log_lines"] == 0

    run(it, story)
    assert it.engine.asked["log_lines"] == 1


def test_no_line_is_lost_on_scale_in_death_and_close() -> None:
    it = world(idle_seconds=5.0)

    async def story() -> None:
        it.engine.write(it.engine.started[0], "of the one that scaled in")
        await it.endpoint.logs.collect()
        it.engine.write(it.engine.started[0], "and its last")
        await it.clock.sleep(10.0)
        await it.good()
        it.engine.write(it.engine.started[1], "of the one that died")
        it.engine.die(it.engine.started[1])
        await it.good()
        it.engine.write(it.engine.started[2], "of the one that was open at the end")

    run(it, story)
    assert texts(it) == [
        "of the one that scaled in",
        "and its last",
        "of the one that died",
        "of the one that was open at the end",
    ]
    assert [line.instance for line in it.endpoint.logs.lines()] == [1, 1, 2, 3]


def test_the_lines_of_an_endpoint_that_failed_are_there() -> None:
    it = world(FakeImage(exits_after=3.0, listens_after=9.0))

    async def story() -> None:
        creating = asyncio.ensure_future(it.endpoint.create())
        await it.clock.sleep(1.0)
        it.engine.write(it.engine.started[0], "Traceback")
        await creating
        assert it.endpoint.status is EndpointStatus.FAILED

    it.clock.run(story())
    assert texts(it) == ["Traceback"]


@pytest.mark.parametrize("trouble", [EngineUnavailable("gone"), ValueError("a bug of ours")])
def test_what_cannot_be_read_now_is_read_later(trouble: Exception) -> None:
    it = world()

    async def story() -> None:
        it.engine.write(it.engine.started[0], "one")
        it.engine.log_trouble = trouble
        await it.endpoint.logs.collect()
        assert texts(it) == []
        it.engine.log_trouble = None
        await it.endpoint.logs.collect()
        assert texts(it) == ["one"]

    run(it, story)


def test_lines_of_several_containers_are_in_the_order_of_their_times() -> None:
    it = world(FakeImage(handler=takes(1.0)))

    async def story() -> None:
        await it.at_once(2)
        for text in "abcd":
            it.engine.write(it.engine.started[ord(text) % 2], text)
            await it.clock.sleep(0.1)
        await it.endpoint.logs.collect()
        assert texts(it) == ["a", "b", "c", "d"]

    run(it, story)


def test_a_reader_who_gives_up_takes_no_lines_along() -> None:
    it = world()

    async def story() -> None:
        it.engine.write(it.engine.started[0], "one")
        it.engine.log_seconds = 1.0
        reading = asyncio.ensure_future(it.endpoint.logs.collect())
        await it.clock.sleep(0.5)
        reading.cancel()
        await it.endpoint.logs.collect()
        assert texts(it) == ["one"]

    run(it, story)


@given(
    kept=st.integers(1, 20),
    writes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.booleans()), max_size=15),
)
def test_each_line_is_told_once_in_order_and_only_the_last_are_kept(
    kept: int, writes: list[tuple[int, int, bool]]
) -> None:
    clock = FakeClock()
    engine = Engine(clock, {"model": FakeImage()})
    told: list[str] = []
    seen: list[str] = []

    async def story() -> None:
        logs = LogBook(kept)
        handles = [await _started(engine) for _ in range(3)]
        for number, handle in enumerate(handles):
            logs.began(number, handle)  # type: ignore[arg-type]
        last = 0
        for who, many, collects in writes:
            for _ in range(many):
                await clock.sleep(0.001)
                told.append(f"line {len(told)}")
                engine.write(engine.started[who], told[-1])
            if not collects:
                continue
            before = last
            await logs.collect()
            new = logs.lines(last)
            assert [line.sequence for line in new] == sorted(line.sequence for line in new)
            last = new[-1].sequence if new else last
            seen.extend(f"line {number}" for number in range(len(seen), len(told)))
            assert last == len(told), "none is missing and none is told twice"
            assert [line.text for line in new] == seen[before:][-kept:]
            assert len(logs.lines()) <= kept

    clock.run(story())


async def _started(engine: Engine) -> Handle:
    from tests.endpoint_world import SPEC

    return await engine.start(SPEC)

"""Owns: the claims of emulator/testing.py: the public fakes keep their word, and `check_engine()`
fails for every engine that breaks one of its clauses.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engines import (
    Capability,
    Container,
    ContainerSpec,
    Engine,
    ImageInfo,
    ImageNotFound,
    StartRefused,
    Stopped,
)
from emulator.http import Hold, Http, Outcome, Reply, Request
from emulator.instance import PING
from emulator.testing import FakeClock, FakeContainer, FakeEngine, FakeImage, check_engine

GOOD = ContainerSpec(image="good")
BROKEN = ContainerSpec(image="broken")
GET = Request(method="GET", path="/ping")


# FakeClock


def test_time_stands_still_while_nobody_sleeps() -> None:
    clock = FakeClock(start=5.0)

    async def work() -> float:
        for _ in range(10):
            await asyncio.sleep(0)
        return clock.now()

    assert clock.run(work()) == 5.0


def test_a_sleep_takes_exactly_its_time() -> None:
    clock = FakeClock(start=5.0)

    async def work() -> float:
        await clock.sleep(3600.0)
        return clock.now()

    assert clock.run(work()) == 3605.0


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=20))
def test_sleepers_wake_in_the_order_of_their_deadlines(delays: list[float]) -> None:
    clock = FakeClock(start=0.0)
    woken: list[tuple[float, float]] = []

    async def sleeper(delay: float) -> None:
        await clock.sleep(delay)
        woken.append((clock.now(), delay))

    async def everybody() -> None:
        await asyncio.gather(*map(sleeper, delays))

    clock.run(everybody())
    assert [delay for _, delay in woken] == sorted(delays)
    assert all(now == delay for now, delay in woken)


def test_sleepers_with_one_deadline_wake_in_the_order_they_lay_down() -> None:
    clock = FakeClock()
    woken: list[int] = []

    async def sleeper(name: int) -> None:
        await clock.sleep(1.0)
        woken.append(name)

    async def everybody() -> None:
        await asyncio.gather(*map(sleeper, range(10)))

    clock.run(everybody())
    assert woken == list(range(10))


@given(st.lists(st.floats(min_value=-5, max_value=1e6), max_size=20))
def test_time_never_goes_back(delays: list[float]) -> None:
    clock = FakeClock()
    seen: list[float] = []

    async def sleeper() -> None:
        for delay in delays:
            await clock.sleep(delay)
            seen.append(clock.now())

    async def both() -> None:
        await asyncio.gather(sleeper(), sleeper())

    clock.run(both())
    assert seen == sorted(seen)


def test_a_jump_back_is_refused_and_names_what_came() -> None:
    clock = FakeClock(start=7.0)
    with pytest.raises(ValueError, match=r"backwards \(asked for -1 s\)"):
        clock.jump(-1)
    assert clock.now() == 7.0


def test_a_jump_wakes_who_was_due_and_nobody_else() -> None:
    clock = FakeClock()
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await clock.sleep(delay)
        woken.append(delay)

    async def work() -> list[float]:
        tasks = [asyncio.ensure_future(sleeper(delay)) for delay in (1.0, 2.0, 3.0)]
        await asyncio.sleep(0)
        clock.jump(2.0)
        await asyncio.sleep(0)
        early = list(woken)
        await asyncio.gather(*tasks)
        return early

    assert clock.run(work()) == [1.0, 2.0]
    assert woken == [1.0, 2.0, 3.0]


def test_a_cancelled_sleeper_does_not_move_time() -> None:
    clock = FakeClock(start=0.0)

    async def work() -> float:
        long = asyncio.ensure_future(clock.sleep(1000.0))
        await asyncio.sleep(0)
        long.cancel()
        await clock.sleep(1.0)
        return clock.now()

    assert clock.run(work()) == 1.0


def test_a_deadlock_is_told_instead_of_hanging() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        FakeClock().run(forever())


def test_a_deadlock_after_a_cancelled_sleep_is_told_too() -> None:
    clock = FakeClock(start=0.0)

    async def work() -> None:
        long = asyncio.ensure_future(clock.sleep(1000.0))
        await asyncio.sleep(0)
        long.cancel()
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        clock.run(work())
    assert clock.now() == 0.0


def test_what_the_coroutine_raises_comes_out() -> None:
    async def fails() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        FakeClock().run(fails())


def test_a_clock_can_run_again_where_it_stood() -> None:
    clock = FakeClock(start=0.0)
    clock.run(clock.sleep(2.0))
    clock.run(clock.sleep(3.0))
    assert clock.now() == 5.0


# FakeEngine


def fake(**images: FakeImage) -> tuple[FakeClock, FakeEngine]:
    clock = FakeClock(start=0.0)
    return clock, FakeEngine(clock, images)


def test_the_fakes_are_what_the_seam_asks_for() -> None:
    clock, engine = fake(good=FakeImage())
    as_engine: Engine = engine
    as_http: Http = engine

    async def work() -> Container:
        return await as_engine.start(GOOD)

    assert clock.run(work()).base_url.startswith("fake://")
    assert as_http is engine
    assert engine.capabilities == frozenset(Capability)


def test_an_unknown_image_is_told_with_the_known_ones() -> None:
    clock, engine = fake(good=FakeImage(), other=FakeImage())
    for ask in (engine.start(ContainerSpec(image="missing")), engine.image("missing")):
        with pytest.raises(ImageNotFound, match="'missing'; known: good, other"):
            clock.run(ask)


def test_an_image_tells_what_it_was_given() -> None:
    info = ImageInfo(
        reference="good",
        id="sha256:0",
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=1,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="/",
        labels={},
        push_media_type="m",
        push_media_type_from="told",
    )
    clock, engine = fake(good=FakeImage(info=info))
    assert clock.run(engine.image("good")) is info


def test_a_fake_container_dies_when_it_was_told_to() -> None:
    clock, engine = fake(good=FakeImage(exits_after=5.0, exit_code=3))

    async def work() -> tuple[int | None, int | None]:
        container = await engine.start(GOOD)
        await clock.sleep(4.9)
        before = await container.exit_code()
        await clock.sleep(0.2)
        return before, await container.exit_code()

    assert clock.run(work()) == (None, 3)


def test_logs_are_the_last_lines_oldest_first() -> None:
    clock, engine = fake(good=FakeImage(log="one\ntwo\nthree"))

    async def work() -> str:
        return await (await engine.start(GOOD)).logs(tail=2)

    assert clock.run(work()) == "two\nthree"


@pytest.mark.parametrize(
    ("image", "grace", "expected"),
    [
        (FakeImage(stop_seconds=0.5), 30.0, Stopped(exit_code=0, seconds=0.5, killed=False)),
        (FakeImage(stop_seconds=None), 30.0, Stopped(exit_code=137, seconds=30.0, killed=True)),
        (FakeImage(stop_seconds=5.0), 2.0, Stopped(exit_code=137, seconds=2.0, killed=True)),
        (FakeImage(stop_seconds=0.5), 0.0, Stopped(exit_code=137, seconds=0.0, killed=True)),
        (FakeImage(exits_after=0.0), 30.0, Stopped(exit_code=1, seconds=0.0, killed=False)),
    ],
    ids=["obeys", "ignores SIGTERM", "too slow", "killed at once", "was dead"],
)
def test_a_fake_stop_is_told_as_it_was(image: FakeImage, grace: float, expected: Stopped) -> None:
    clock, engine = fake(good=image)

    async def work() -> tuple[Stopped, float]:
        container = await engine.start(GOOD)
        before = clock.now()
        return await container.stop(grace), clock.now() - before

    stopped, took = clock.run(work())
    assert stopped == expected
    assert took == expected.seconds
    assert engine.running == []


@pytest.mark.parametrize(
    ("image", "outcome", "status", "seconds"),
    [
        (FakeImage(), Outcome.ANSWERED, 200, 0.001),
        (FakeImage(listens_after=9.0), Outcome.RESET, None, 0.0),
        (FakeImage(exits_after=0.0), Outcome.REFUSED, None, 0.0),
        (FakeImage(handler=lambda r, a: (9.0, 200, b"")), Outcome.TIMEOUT, None, 2.0),
        (FakeImage(handler=lambda r, a: (2.0, 204, b"")), Outcome.ANSWERED, 204, 2.0),
        (
            FakeImage(exits_after=1.0, handler=lambda r, a: (1.5, 200, b"")),
            Outcome.RESET,
            None,
            1.0,
        ),
        (
            FakeImage(exits_after=1.0, handler=lambda r, a: (9.0, 200, b"")),
            Outcome.RESET,
            None,
            1.0,
        ),
    ],
    ids=["answers", "not listening", "dead", "hangs", "just in time", "dies", "hangs and dies"],
)
def test_a_fake_answer_takes_its_time(
    image: FakeImage, outcome: Outcome, status: int | None, seconds: float
) -> None:
    clock, engine = fake(good=image)

    async def work() -> tuple[Reply, float]:
        container = await engine.start(GOOD)
        before = clock.now()
        return await engine.send(container.base_url, GET, 2.0), clock.now() - before

    reply, took = clock.run(work())
    assert (reply.outcome, reply.status) == (outcome, status)
    assert took == pytest.approx(seconds)
    assert reply.seconds == pytest.approx(seconds)


def test_a_held_request_is_answered_only_after_its_release() -> None:
    clock, engine = fake(good=FakeImage())

    async def work() -> tuple[float, Reply]:
        container = await engine.start(GOOD)
        hold = Hold()
        post = Request(method="POST", path="/invocations", body=b"four")
        asked = asyncio.ensure_future(engine.send(container.base_url, post, 60.0, hold))
        await hold.halfway()
        await clock.sleep(10.0)
        assert not asked.done()
        hold.release()
        return clock.now(), await asked

    released, reply = clock.run(work())
    assert released == 10.0
    assert reply.outcome is Outcome.ANSWERED


def test_closing_a_fake_engine_leaves_nothing_running() -> None:
    clock, engine = fake(good=FakeImage(stop_seconds=None))

    async def work() -> None:
        await engine.start(GOOD)
        await engine.start(GOOD)
        await engine.close()

    clock.run(work())
    assert len(engine.started) == 2
    assert engine.running == []


# check_engine


class Variant(FakeEngine):
    """A fake engine whose answers can be replaced, to be wrong in one way each."""

    container: type[FakeContainer] = FakeContainer

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        made = await super().start(spec)
        made.__class__ = self.container
        return made


def conformance(engine: FakeEngine) -> None:
    async def wait() -> None:
        await engine.clock.sleep(0.5)

    engine.clock.run(check_engine(engine, GOOD, BROKEN, wait))


def images(**changes: Any) -> dict[str, FakeImage]:
    return {"good": FakeImage(), "broken": FakeImage(refuses="no serve in PATH"), **changes}


def test_the_fake_engine_conforms_and_is_left_empty() -> None:
    engine = FakeEngine(FakeClock(), images())
    conformance(engine)
    assert len(engine.started) == 1
    assert engine.running == []


class Absent(Variant):
    async def unavailable(self) -> str | None:
        return "no daemon; start it"


class HasNoIds(Variant):
    async def image_id(self, reference: str) -> str | None:
        return None


class HasEverything(Variant):
    async def image_id(self, reference: str) -> str | None:
        return reference


class KnowsNoId(Variant):
    async def image_id(self, reference: str) -> str | None:
        return f"id-of-{reference}" if reference == "good" else None


class NoAddress(Variant):
    class container(FakeContainer):  # noqa: N801
        def __getattribute__(self, name: str) -> Any:
            return "" if name == "base_url" else super().__getattribute__(name)


class BytesForLogs(Variant):
    class container(FakeContainer):  # noqa: N801
        async def logs(self, tail: int = 50) -> str:
            return b"raw"  # type: ignore[return-value]


class LogsDieToo(Variant):
    class container(FakeContainer):  # noqa: N801
        async def logs(self, tail: int = 50) -> str:
            return "" if self.stopped is None else None  # type: ignore[return-value]


class TimeGoesBack(Variant):
    class container(FakeContainer):  # noqa: N801
        async def cpu_seconds(self) -> float:
            self.asked = getattr(self, "asked", 0) + 1
            return 1.0 / self.asked


class StopsAnew(Variant):
    class container(FakeContainer):  # noqa: N801
        async def stop(self, grace_seconds: float) -> Stopped:
            first = self.stopped is None
            stopped = await super().stop(grace_seconds)
            return stopped if first else replace(stopped, seconds=stopped.seconds + 1)


class ForgetsTheCode(Variant):
    class container(FakeContainer):  # noqa: N801
        async def exit_code(self) -> int | None:
            return None if self.stopped is not None else await super().exit_code()


class RefusesWithoutAWord(Variant):
    async def start(self, spec: ContainerSpec) -> FakeContainer:
        try:
            return await super().start(spec)
        except StartRefused:
            raise StartRefused("") from None


@pytest.mark.parametrize(
    ("kind", "pictures", "clause"),
    [
        (Absent, images(), "a usable engine says so"),
        (HasNoIds, images(), "has an id"),
        (KnowsNoId, images(), "an id names its image"),
        (HasEverything, images(), "what is not held has no id"),
        (TimeGoesBack, images(), "processor time never goes back"),
        (NoAddress, images(), "has an address"),
        (Variant, images(good=FakeImage(exits_after=0.1)), "running container has no exit code"),
        (BytesForLogs, images(), "logs are text"),
        (StopsAnew, images(), "stopping twice is stopping once"),
        (ForgetsTheCode, images(), "a stopped container has an exit code"),
        (LogsDieToo, images(), "logs outlive the container"),
        (RefusesWithoutAWord, images(), "a refusal tells why"),
        (Variant, images(broken=FakeImage()), "a start that cannot work is refused"),
    ],
)
def test_an_engine_that_breaks_a_clause_is_told_which(
    kind: type[Variant], pictures: dict[str, FakeImage], clause: str
) -> None:
    engine = kind(FakeClock(), pictures)
    with pytest.raises(AssertionError, match=clause):
        conformance(engine)
    assert engine.running == [], "even a broken engine is left empty"


# Freezing, and what an engine tells of a container


def test_a_frozen_container_answers_when_it_is_thawed() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, {"model": FakeImage()})

    async def story() -> tuple[Reply, Reply]:
        container = await engine.start(ContainerSpec(image="model"))
        await container.freeze()
        late = await engine.send(container.base_url, PING, 2.0)
        waiting = asyncio.ensure_future(engine.send(container.base_url, PING, 60.0))
        await clock.sleep(30.0)
        await container.thaw()
        return late, await waiting

    late, answered = clock.run(story())
    assert (late.outcome, late.seconds) == (Outcome.TIMEOUT, 2.0)
    assert answered.status == 200
    assert clock.now() == pytest.approx(1032.001)


def test_what_a_container_wrote_is_told_once() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, {"model": FakeImage(log="one\ntwo")})

    async def story() -> list[list[str]]:
        container = await engine.start(ContainerSpec(image="model"))
        lines = await container.log_lines()
        rest = [await container.log_lines(line.nanoseconds) for line in lines]
        return [[line.text for line in found] for found in (lines, *rest)]

    assert clock.run(story()) == [["one", "two"], ["two"], []]

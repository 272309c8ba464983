"""Owns: the claims of emulator/instance.py, in virtual time: what a container is sent, when, and
how the wait for its first 200 ends. No sockets, no real second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engines import ContainerSpec, ImageNotFound, StartRefused, Stopped
from emulator.http import Hold, Outcome, Reply, Request
from emulator.instance import (
    DIAGNOSE_AFTER_SECONDS,
    PING,
    PLATFORM_HEADERS,
    Diagnosis,
    Instance,
    StartReport,
    StartState,
    invocation,
    not_listening,
    platform_environment,
)
from emulator.limits import Limits, Profile
from emulator.testing import FakeClock, FakeEngine, FakeImage

SPEC = ContainerSpec(image="model")
HANGS = 1e9
ANSWER_SECONDS = 0.001
ROUNDING = 1e-4
T = TypeVar("T")


class SlowEngine(FakeEngine):
    """Takes a while to create the container, as a real engine does."""

    create_seconds = 1.5

    async def start(self, spec: ContainerSpec) -> Any:
        await self.clock.sleep(self.create_seconds)
        return await super().start(spec)


def slow_engine(seconds: float) -> type[SlowEngine]:
    """An engine that takes that long; the wait begins late, and a test needs few pings."""
    return type("SlowEngine", (SlowEngine,), {"create_seconds": seconds})


class FixedHttp:
    """Answers each request with the next of the given outcomes; the last one stays."""

    def __init__(self, clock: FakeClock, *said: Outcome | int) -> None:
        self.clock = clock
        self.said = list(said)

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        await self.clock.sleep(ANSWER_SECONDS)
        what = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(what, int):
            return Reply(
                request=request, outcome=Outcome.ANSWERED, status=what, seconds=ANSWER_SECONDS
            )
        return Reply(request=request, outcome=what, seconds=ANSWER_SECONDS)

    async def close(self) -> None:
        return None


def run(
    image: FakeImage,
    work: Callable[[Instance], Awaitable[T]],
    *,
    profile: Profile = "serverless",
    limits: Limits | None = None,
    kind: type[FakeEngine] = FakeEngine,
    said: tuple[Outcome | int, ...] = (),
) -> tuple[T, FakeEngine]:
    """Starts one container of that image and does the work with it."""
    clock = FakeClock()
    engine = kind(clock, {"model": image})

    async def whole() -> T:
        instance = await Instance.start(
            engine,
            SPEC,
            clock=clock,
            http=FixedHttp(clock, *said) if said else engine,
            limits=limits or Limits.of(profile),
        )
        return await work(instance)

    return clock.run(whole()), engine


def wait(
    image: FakeImage,
    *,
    profile: Profile = "serverless",
    diagnosis: Diagnosis | None = None,
    kind: type[FakeEngine] = FakeEngine,
    said: tuple[Outcome | int, ...] = (),
) -> StartReport:
    report, _ = run(
        image,
        lambda instance: instance.wait_ready(diagnosis),
        profile=profile,
        kind=kind,
        said=said,
    )
    return report


def ready_at(seconds: float, before: int = 503) -> FakeImage:
    """Answers /ping at once, with `before` until it is ready."""
    return FakeImage(
        handler=lambda request, age: (ANSWER_SECONDS, 200 if age >= seconds else before, b"")
    )


def never(status: int = 503, takes: float = ANSWER_SECONDS) -> FakeImage:
    return FakeImage(handler=lambda request, age: (takes, status, b"still loading"))


def assert_between(low: float, value: float, high: float) -> None:
    assert low - ROUNDING <= value <= high + ROUNDING


def allowance(ready: float) -> float:
    """How late one that is ready may be seen, and what the answers before and after it take."""
    return max(0.025, ready / 100) + 2 * ANSWER_SECONDS


# Ready


@given(st.floats(min_value=0, max_value=2.5, exclude_max=True))
def test_an_early_container_is_seen_within_25_ms(ready: float) -> None:
    report = wait(ready_at(ready))
    assert report.ready
    assert_between(ready, report.seconds, ready + 0.025 + 2 * ANSWER_SECONDS)


@given(st.floats(min_value=2.5, max_value=165), st.floats(min_value=0, max_value=10))
def test_a_late_container_is_seen_within_one_percent(created: float, takes: float) -> None:
    report = wait(ready_at(takes), kind=slow_engine(created))
    ready = created + takes
    assert report.ready
    assert_between(ready, report.seconds, ready + allowance(ready))


def test_a_container_that_is_asked_for_minutes_is_seen_within_one_percent() -> None:
    report = wait(ready_at(171.3))
    assert_between(171.3, report.seconds, 171.3 + allowance(171.3))


@given(st.floats(min_value=0, max_value=465), st.floats(min_value=0, max_value=10))
def test_a_container_that_does_not_listen_yet_is_seen_as_soon(created: float, takes: float) -> None:
    image = FakeImage(listens_after=takes)
    report = wait(image, profile="realtime", kind=slow_engine(created))
    ready = created + takes
    assert report.ready
    assert_between(ready, report.seconds, ready + allowance(ready))


def test_a_container_that_is_ready_at_once_is_asked_once() -> None:
    report, engine = run(FakeImage(), lambda instance: instance.wait_ready())
    assert report.ready
    assert [request.path for _, request in engine.requests] == ["/ping"]
    assert report.exit_code is None
    assert report.log_tail == ""


@pytest.mark.parametrize(
    "before",
    [500, 502, 503, 404, 301, 201, 204, 299, Outcome.REFUSED, Outcome.RESET, Outcome.TIMEOUT,
     Outcome.BROKEN],
    ids=str,
)  # fmt: skip
def test_everything_but_200_means_starting(before: Outcome | int) -> None:
    report = wait(FakeImage(), said=(before, before, before, 200))
    assert report.ready
    assert [answer.times for answer in report.answers] == [3, 1]
    assert report.answers[0].reply.status == (before if isinstance(before, int) else None)


@pytest.mark.parametrize("status", [201, 204, 301, 404, 500, 502])
def test_no_other_status_ends_the_wait(status: int) -> None:
    report = wait(never(status))
    assert report.state is StartState.TIMED_OUT
    assert report.last is not None
    assert report.last.status == status


def test_equal_answers_are_told_once_with_when_they_began() -> None:
    image = FakeImage(
        listens_after=1.0,
        handler=lambda request, age: (ANSWER_SECONDS, 200 if age >= 2 else 502, b""),
    )
    report = wait(image)
    closed, gateway, good = report.answers
    assert closed.reply.outcome is Outcome.RESET
    assert (gateway.reply.status, good.reply.status) == (502, 200)
    assert closed.at_seconds == 0.0
    assert gateway.at_seconds == pytest.approx(1.0, abs=0.025)
    assert good.at_seconds == pytest.approx(2.0, abs=0.025)
    assert closed.times > 10
    assert good.times == 1
    assert report.last is good.reply


def test_the_time_to_create_the_container_counts() -> None:
    report = wait(ready_at(1.0), kind=SlowEngine)
    assert report.container_seconds == SlowEngine.create_seconds
    assert report.seconds == pytest.approx(2.5, abs=0.03)


# The window


@pytest.mark.parametrize(("profile", "window"), [("serverless", 180.0), ("realtime", 480.0)])
@pytest.mark.parametrize(
    "image",
    [never(), never(takes=HANGS), FakeImage(listens_after=1e9), never(takes=1.999)],
    ids=["503", "hangs", "does not listen", "slow 503"],
)
def test_the_window_ends_when_the_platform_ends_it(
    image: FakeImage, profile: Profile, window: float
) -> None:
    report = wait(image, profile=profile)
    assert report.state is StartState.TIMED_OUT
    # The last question, asked at the end, has a millisecond.
    assert_between(window, report.seconds, window + 0.001)
    assert report.exit_code is None


def test_the_window_counts_from_the_order_to_start() -> None:
    report = wait(never(), kind=SlowEngine)
    assert report.seconds == pytest.approx(180.0, abs=0.002)


@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_a_budget_of_the_user_is_the_window(seconds: float) -> None:
    report, _ = run(
        never(),
        lambda instance: instance.wait_ready(),
        limits=replace(Limits(), startup_seconds=seconds),
    )
    assert report.state is StartState.TIMED_OUT
    assert report.seconds == pytest.approx(seconds, abs=0.002)


def test_a_container_that_becomes_ready_after_the_window_is_not_ready() -> None:
    assert wait(ready_at(180.1)).state is StartState.TIMED_OUT


def test_who_becomes_ready_after_the_window_while_a_diagnosis_looks_is_not_ready() -> None:
    async def slow(instance: Instance, reply: Reply) -> None:
        await instance._clock.sleep(6.0)

    report = wait(ready_at(180.1), diagnosis=slow)
    assert report.state is StartState.TIMED_OUT
    assert 180.0 <= report.seconds <= 186.0


@pytest.mark.parametrize("created", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
def test_at_the_end_of_the_window_nobody_is_diagnosed(created: float) -> None:
    asked: list[float] = []

    async def diagnosis(instance: Instance, reply: Reply) -> None:
        asked.append(instance._clock.now() - instance._ordered)

    wait(never(takes=HANGS), diagnosis=diagnosis, kind=slow_engine(created))
    assert max(asked) < 180.0 - ROUNDING


def test_pings_are_asked_ever_less_often_but_once_a_second() -> None:
    _, engine = run(never(), lambda instance: instance.wait_ready())
    times = [at for at, _ in engine.requests]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps[:-1]) >= 0.02
    assert max(gaps) <= 1.0 + ANSWER_SECONDS + ROUNDING
    assert len(times) < 800


# Exit


@given(
    created=st.floats(min_value=0, max_value=165),
    lives=st.floats(min_value=0, max_value=10),
    code=st.integers(min_value=0, max_value=255),
    answer=st.sampled_from([ANSWER_SECONDS, HANGS]),
)
def test_an_exit_is_seen_within_a_second_with_code_and_log(
    created: float, lives: float, code: int, answer: float
) -> None:
    image = FakeImage(
        handler=lambda request, age: (answer, 503, b""),
        exits_after=lives,
        exit_code=code,
        log="Traceback\nModuleNotFoundError: flask",
    )
    report = wait(image, kind=slow_engine(created))
    assert report.state is StartState.EXITED
    dies = created + lives
    assert_between(dies, report.seconds, dies + 1.0 + 2 * ANSWER_SECONDS)
    assert report.exit_code == code
    assert report.log_tail.endswith("ModuleNotFoundError: flask")


def test_a_container_that_is_dead_from_the_start_is_told_in_a_moment() -> None:
    report = wait(FakeImage(exits_after=0.0, exit_code=127))
    assert (report.state, report.exit_code) == (StartState.EXITED, 127)
    assert report.seconds < 0.2


# Diagnosis


def test_a_diagnosis_is_not_asked_before_two_seconds_and_then_every_two() -> None:
    asked: list[float] = []

    async def diagnosis(instance: Instance, reply: Reply) -> str | None:
        asked.append(instance._clock.now() - instance._ordered)
        return None

    wait(never(), diagnosis=diagnosis)
    assert DIAGNOSE_AFTER_SECONDS == 2.0
    assert 2.0 <= asked[0] <= 2.03
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert min(gaps) >= 2.0
    assert max(gaps) <= 3.01


def test_a_diagnosis_ends_the_wait_with_its_reason_and_the_log() -> None:
    async def diagnosis(instance: Instance, reply: Reply) -> str | None:
        return f"it listens on 127.0.0.1 only ({reply.outcome.name})"

    image = FakeImage(listens_after=1e9, log="Listening at: http://127.0.0.1:8080")
    report = wait(image, diagnosis=diagnosis)
    assert report.state is StartState.GAVE_UP
    assert not report.ready
    assert report.seconds == pytest.approx(2.0, abs=0.03)
    assert report.gave_up_because == "it listens on 127.0.0.1 only (RESET)"
    assert report.log_tail == "Listening at: http://127.0.0.1:8080"


@pytest.mark.parametrize("image", [FakeImage(), ready_at(1.9), FakeImage(exits_after=1.5)])
def test_who_is_ready_or_dead_by_then_is_not_diagnosed(image: FakeImage) -> None:
    async def diagnosis(instance: Instance, reply: Reply) -> str | None:
        raise AssertionError("asked too early")

    assert wait(image, diagnosis=diagnosis).state in (StartState.READY, StartState.EXITED)


# What the report says


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (ready_at(0.0), "ready after 0.00 s"),
        (FakeImage(exits_after=0.0, exit_code=7), "exited with code 7 after 0."),
        (never(503), "/ping answers 503: still loading ("),
    ],
)
def test_a_report_tells_what_happened_in_one_sentence(image: FakeImage, words: str) -> None:
    report = wait(image)
    assert report.describe().startswith(words)
    assert "\n" not in report.describe()


def test_a_report_that_gave_up_tells_why_and_what_ping_said() -> None:
    async def diagnosis(instance: Instance, reply: Reply) -> str | None:
        return "another port"

    said = wait(never(404), diagnosis=diagnosis).describe()
    assert said.startswith("another port (found after 2.0 s); /ping said last: GET /ping: HTTP 404")


# What is sent


def test_a_ping_is_exactly_the_platforms() -> None:
    _, engine = run(FakeImage(), lambda instance: instance.ping())
    ((_, request),) = engine.requests
    assert request == Request(
        method="GET",
        path="/ping",
        headers={"Host": "model.aws.local:8080", "User-Agent": "AHC/2.0"},
        body=None,
    )
    assert request == PING


def test_who_looks_on_hears_of_each_new_kind_of_answer_once() -> None:
    seen: list[int | None] = []
    run(
        ready_at(3.0),
        lambda instance: instance.wait_ready(seen=lambda answer: seen.append(answer.reply.status)),
    )
    assert seen == [503, 200]


def test_the_pings_of_the_start_are_the_same_ping() -> None:
    _, engine = run(ready_at(3.0), lambda instance: instance.wait_ready())
    assert {id(request) for _, request in engine.requests} == {id(PING)}


@given(st.binary(max_size=200))
def test_an_invocation_is_exactly_the_platforms_and_the_body_unchanged(body: bytes) -> None:
    _, engine = run(FakeImage(), lambda instance: instance.invoke(body, "text/csv"))
    ((_, request),) = engine.requests
    assert request == Request(
        method="POST",
        path="/invocations",
        headers={
            "Host": "model.aws.local:8080",
            "User-Agent": "AHC/2.0",
            "Content-Type": "text/csv",
        },
        body=body,
    )


def test_without_a_content_type_none_is_sent() -> None:
    assert invocation(b"x", None).headers == PLATFORM_HEADERS


def test_further_headers_are_added_and_the_platforms_stay() -> None:
    request = invocation(b"x", "text/csv", {"Accept": "application/json"})
    assert request.headers == {
        **PLATFORM_HEADERS,
        "Content-Type": "text/csv",
        "Accept": "application/json",
    }
    assert "Content-Type" not in PLATFORM_HEADERS


def test_a_ping_is_cut_at_two_seconds() -> None:
    reply, _ = run(never(takes=HANGS), lambda instance: instance.ping())
    assert (reply.outcome, reply.seconds) == (Outcome.TIMEOUT, 2.0)


@pytest.mark.parametrize("profile", ["serverless", "realtime"])
def test_an_invocation_is_cut_at_60_seconds(profile: Profile) -> None:
    def after(seconds: float) -> Reply:
        image = FakeImage(handler=lambda request, age: (seconds, 200, b"late"))
        reply, _ = run(image, lambda instance: instance.invoke(b"", "text/csv"), profile=profile)
        return reply

    assert after(59.9).outcome is Outcome.ANSWERED
    cut = after(60.1)
    assert (cut.outcome, cut.seconds, cut.status) == (Outcome.TIMEOUT, 60.0, None)


def test_a_held_invocation_waits_for_its_release() -> None:
    async def work(instance: Instance) -> tuple[bool, Reply]:
        hold = Hold()
        task = asyncio.ensure_future(instance.invoke(b"body", "text/csv", hold=hold))
        await hold.halfway()
        await instance._clock.sleep(5.0)
        early = task.done()
        hold.release()
        return early, await task

    (early, reply), _ = run(FakeImage(), work)
    assert not early
    assert reply.ok


# Start and stop


def test_a_container_that_refuses_to_start_raises_with_the_engines_words() -> None:
    image = FakeImage(refuses='exec: "serve": executable file not found in $PATH')
    with pytest.raises(StartRefused, match=r"executable file not found in \$PATH"):
        run(image, lambda instance: instance.wait_ready())


def test_a_missing_image_is_not_the_containers_fault() -> None:
    clock = FakeClock()
    engine = FakeEngine(clock, {})
    with pytest.raises(ImageNotFound):
        clock.run(Instance.start(engine, SPEC, clock=clock, http=engine, limits=Limits()))


def test_starting_does_not_wait_for_readiness() -> None:
    async def work(instance: Instance) -> float:
        return instance._clock.now()

    now, engine = run(never(), work)
    assert now == engine.started[0].started
    assert engine.requests == []


@pytest.mark.parametrize(
    ("takes", "asked", "expected"),
    [
        (0.2, None, Stopped(exit_code=0, seconds=0.2, killed=False)),
        (29.9, None, Stopped(exit_code=0, seconds=29.9, killed=False)),
        (None, None, Stopped(exit_code=137, seconds=30.0, killed=True)),
        (30.1, None, Stopped(exit_code=137, seconds=30.0, killed=True)),
        (5.0, 2.0, Stopped(exit_code=137, seconds=2.0, killed=True)),
        (0.2, 0.0, Stopped(exit_code=137, seconds=0.0, killed=True)),
    ],
)
def test_a_stop_gives_the_platforms_30_seconds_or_what_was_asked(
    takes: float | None, asked: float | None, expected: Stopped
) -> None:
    stopped, engine = run(FakeImage(stop_seconds=takes), lambda instance: instance.stop(asked))
    assert stopped == expected
    assert engine.running == []


def test_stopping_twice_is_stopping_once() -> None:
    async def work(instance: Instance) -> tuple[Stopped, Stopped, float]:
        first = await instance.stop()
        before = instance._clock.now()
        return first, await instance.stop(), instance._clock.now() - before

    (first, second, took), _ = run(FakeImage(stop_seconds=None), work)
    assert first == second
    assert took == 0.0


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_refusal_or_a_close_says_that_nothing_listens(outcome: Outcome) -> None:
    reply = Reply(request=PING, outcome=outcome, seconds=0.0)
    assert not_listening(reply) == (outcome in (Outcome.REFUSED, Outcome.RESET))


def test_the_platforms_environment_names_the_region_and_no_dead_address() -> None:
    assert platform_environment("eu-west-1") == {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "SAGEMAKER_SAFE_PORT_RANGE": "21000-21999",
    }
    assert platform_environment()["AWS_REGION"] == "us-east-1"


def test_the_platforms_environment_is_a_new_one_each_time() -> None:
    platform_environment()["AWS_REGION"] = "changed"
    assert platform_environment()["AWS_REGION"] == "us-east-1"

"""The endpoint that checks look at, and what they make of what it showed. In virtual time."""

from __future__ import annotations

import dataclasses
import json
from itertools import count
from types import SimpleNamespace

import pytest

from contract_tests import test_endpoint as chapter
from contract_tests.check import Blocked, ContractViolation, NotApplicable
from contract_tests.endpoint import Thaw, by_instance, rehearsal
from contract_tests.progress import Progress
from contract_tests.rehearsal import AT_ONCE, IDLE_SECONDS, REPEATS, Answer, Rehearsal, Stage
from contract_tests.settings import Payload, Settings
from emulator.engines import ContainerSpec, EngineUnavailable
from emulator.http import Outcome, Reply, Request
from emulator.instance import invocation
from emulator.limits import Limits
from emulator.testing import FakeClock, FakeEngine, FakeImage

A = Payload(name="a.json", content_type="application/json", body=b'{"instances": [[1, 2]]}')
B = Payload(name="b.csv", content_type="text/csv", body=b"3,4\n")


class Engine(FakeEngine):
    """Each container gets a handler of its own; `make` is told its number, from 0."""

    def __init__(self, clock, make, **image):
        super().__init__(clock, {"x": FakeImage(**image)})
        self.make = make

    async def start(self, spec):
        handle = self.make(len(self.started))

        def handler(request, age):
            return (0.001, 200, b"") if request.path == "/ping" else handle(request)

        self.images = {"x": dataclasses.replace(self.images["x"], handler=handler)}
        return await super().start(spec)


def play(make, *, payloads=(A, B), at_once=AT_ONCE, limits=None, **image):
    """What a rehearsal sees of containers that behave like this, and the engine."""
    clock = FakeClock()
    engine = Engine(clock, make, **image)
    stage = Stage(
        ContainerSpec(image="x"),
        payloads,
        engine=engine,
        http=engine,
        clock=clock,
        limits=limits or Limits(),
        at_once=at_once,
    )
    seen = clock.run(stage.run())
    assert engine.running == []
    return seen, engine


def answer(request, seconds=0.01, status=200):
    return seconds, status, json.dumps({"asked": (request.body or b"").decode()}).encode()


def always(number):
    return answer


# -- what is played -------------------------------------------------------------------------------


def test_a_sound_container_goes_through_every_part():
    seen, engine = play(always, listens_after=0.5)
    assert seen.ended == ""
    assert all(one.ok for one in seen.answers)
    assert [one.payload for one in seen.fresh] == [A] * REPEATS
    assert {one.instance for one in seen.fresh} == {1}
    assert not any(one.cold for one in seen.fresh)
    assert [one.payload for one in seen.after] == [A, B, A, A]
    assert [len(one) for one in [seen.starting, *seen.rounds]] == [AT_ONCE] * 3
    # One that is there when the endpoint is, one after scale-in, two for the burst.
    assert len(engine.started) == 4


def test_the_first_request_after_scale_in_is_the_last_payload_on_a_new_instance():
    seen, _ = play(always, listens_after=0.5)
    (first,) = seen.first
    assert first.payload == B
    assert first.cold
    assert 0.5 <= first.setup_seconds <= first.seconds < 0.6
    assert {one.instance for one in seen.after} == {first.instance}


def test_a_burst_reaches_as_many_instances_as_it_has_requests():
    seen, _ = play(always)
    assert len({one.instance for one in seen.starting}) == AT_ONCE
    assert sum(one.cold for one in seen.starting) == AT_ONCE - 1
    for one in seen.rounds:
        assert len({answer.instance for answer in one}) == AT_ONCE


def test_one_at_a_time_leaves_the_bursts_out():
    seen, engine = play(always, at_once=1)
    assert (seen.starting, seen.rounds) == ([], [])
    assert len(engine.started) == 2


def test_a_slow_request_is_not_repeated_but_a_slow_first_one_is():
    seen, _ = play(lambda _: lambda request: answer(request, 30.0))
    assert len(seen.fresh) == 2
    assert "a.json takes 30.0 s" in seen.ended
    assert seen.first
    assert seen.after == []

    def lazy(number):
        times = count()
        return lambda request: answer(request, 0.01 if next(times) else 30.0)

    seen, _ = play(lazy)
    assert seen.ended == ""
    assert len(seen.rounds) == 2


def test_an_endpoint_that_does_not_get_in_service_is_told_in_aws_words():
    seen, _ = play(always, listens_after=9.0, exits_after=0.1)
    assert "did not get InService" in seen.ended
    assert seen.answers == []


def test_a_first_request_that_fails_is_tried_on_another_new_instance():
    seen, _ = play(lambda n: lambda request: answer(request, status=500 if n == 1 else 200))
    assert [one.ok for one in seen.first] == [False, True]
    assert len({one.instance for one in seen.first}) == 2


def test_a_failure_keeps_the_containers_status_and_words_without_the_address_of_the_log():
    seen, _ = play(lambda _: lambda request: (0.1, 503, b"<h1>\n not yet </h1>"))
    assert seen.fresh[0].status == 503
    assert str(seen.fresh[0]).startswith("a.json: ModelError, HTTP 503: <h1> not yet </h1> after")


def test_a_failure_of_byoc_is_never_the_containers():
    def breaks(request):
        raise RuntimeError("a mistake of ours")

    with pytest.raises(EngineUnavailable, match="not the container"):
        play(lambda number: breaks)


def test_a_burst_that_fails_once_is_repeated_to_tell_chance_from_habit():
    busy = count()

    def once(number):
        return lambda request: answer(request, status=409 if next(busy) == 14 else 200)

    seen, _ = play(once)
    assert sum(not one.ok for one in seen.answers) == 1
    assert len(seen.rounds) == 3


def test_an_instance_is_scaled_in_by_idleness_not_by_a_long_run():
    _, engine = play(always)
    first, second = engine.started[:2]
    assert IDLE_SECONDS <= second.started - first.started < 2 * IDLE_SECONDS


# -- what is made of it ---------------------------------------------------------------------------


def target(seen, *, profile="serverless", slow=False, **more):
    notes = {"rehearsal": seen, **more.pop("notes", {})}
    settings = Settings(profile=profile, payload=(A, B), slow=slow)
    first = SimpleNamespace(first_invocation=None)
    return SimpleNamespace(notes=notes, settings=settings, first=first, client_seconds=60.0, **more)


CHECKS = [
    chapter.test_any_request_may_come_first,
    chapter.test_cold_start_within_client_timeout,
    chapter.test_instances_work_side_by_side,
    chapter.test_no_traces_of_earlier_requests,
    chapter.test_instances_agree,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_container_passes(check):
    seen, _ = play(always)
    check(target(seen))


def _rng(seed):
    import random

    return random.Random(seed)


def _counter(number):
    times = count(1)
    return lambda request: (0.01, 200, b'{"p": 0.5, "served": %d}' % next(times))


def _seeded_sampling(number):
    rng = _rng(7)
    return lambda request: (0.01, 200, json.dumps({"p": rng.random()}).encode())


def _sampling(number):
    rng = _rng(number)
    return lambda request: (0.01, 200, json.dumps({"p": rng.random()}).encode())


def _writer(number):
    rng = _rng(3)
    return lambda request: (0.01, 200, " ".join(["word"] * rng.randint(1, 9)).encode())


def _own_name(number):
    return lambda request: (0.01, 200, json.dumps({"p": 0.5, "host": f"ip-{number}"}).encode())


def _warm_up(number):
    times = count()
    return lambda request: answer(request, 0.01 if next(times) else 1.5)


def _says_cold(number):
    times = count()
    return lambda request: (0.01, 200, json.dumps({"p": 0.5, "cold": not next(times)}).encode())


def _rounding(number):
    return lambda request: (0.01, 200, json.dumps({"p": 0.123456 + number * 1e-8}).encode())


def _same_for_all(number):
    return lambda request: (0.01, 200, b"ok")


SOUND = [
    _counter, _seeded_sampling, _sampling, _writer, _own_name, _warm_up, _says_cold, _rounding,
    _same_for_all,
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", SOUND, ids=lambda make: make.__name__)
def test_what_changes_by_nature_is_no_violation(make, check):
    seen, _ = play(make)
    try:
        check(target(seen))
    except NotApplicable as reason:
        assert str(reason)


def _needs_json_first(number):
    known = []

    def handle(request):
        if request.headers["Content-Type"] == A.content_type:
            known.append(1)
        return answer(request, status=200 if known else 500)

    return handle


def _remembers(number):
    rows = []

    def handle(request):
        rows.append(request.body.decode())
        return 0.01, 200, json.dumps({"predictions": rows}).encode()

    return handle


def _one_behind(number):
    last = []

    def handle(request):
        last.append(request.body)
        before = last[-2] if len(last) > 1 else request.body
        return 0.01, 200, before

    return handle


def _disagrees(number):
    return lambda request: (0.01, 200, json.dumps({"p": 0.1 + number / 10}).encode())


def _slow_together(number):
    return lambda request: answer(request, 45.0)


VIOLATIONS = [
    (_needs_json_first, chapter.test_any_request_may_come_first, "b.csv: 200"),
    (_remembers, chapter.test_no_traces_of_earlier_requests, "grows with every request"),
    (
        _one_behind,
        chapter.test_no_traces_of_earlier_requests,
        "right after b.csv it gets what that got: 3,4",
    ),
    (_disagrees, chapter.test_instances_agree, "$.p"),
    (_slow_together, chapter.test_cold_start_within_client_timeout, "of it for the start"),
]


@pytest.mark.parametrize(("make", "check", "words"), VIOLATIONS)
def test_a_violation_is_told_with_what_was_seen(make, check, words):
    seen, _ = play(make, listens_after=20.0)
    with pytest.raises(ContractViolation) as caught:
        check(target(seen))
    assert words in caught.value.actual
    assert caught.value.expected
    assert caught.value.reproduce.startswith("curl ")


def one(payload=A, instance=1, *, ok=True, status=0, cold=False):
    request = invocation(payload.body, payload.content_type)
    reply = Reply(request=request, outcome=Outcome.ANSWERED, seconds=0.1, status=200, body=b"1")
    return Answer(
        payload=payload, instance=instance, cold=cold, seconds=0.1, setup_seconds=0.0,
        reply=reply if ok else None, status=status, failure="" if ok else "ModelError: x",
    )  # fmt: skip


GOOD = [one(instance=n) for n in (1, 2, 3)]
REFUSED = [one(), one(instance=2, ok=False, status=500), one(instance=3, ok=False, status=409)]
SILENT = [one(), one(instance=2, ok=False), one(instance=3, ok=False)]


@pytest.mark.parametrize("rounds", [[REFUSED, REFUSED], [GOOD, REFUSED, REFUSED]])
def test_what_is_refused_again_and_again_side_by_side_is_a_violation(rounds):
    seen = Rehearsal(starting=GOOD, rounds=rounds)
    with pytest.raises(ContractViolation, match="4 of"):
        chapter.test_instances_work_side_by_side(target(seen))


@pytest.mark.parametrize(
    "rounds", [[GOOD, GOOD], [REFUSED, GOOD, GOOD], [SILENT, SILENT], [SILENT, REFUSED, GOOD]]
)
def test_one_refusal_or_silence_may_be_this_machines(rounds):
    chapter.test_instances_work_side_by_side(target(Rehearsal(starting=GOOD, rounds=rounds)))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Rehearsal(starting=SILENT), "this machine may be too small"),
        (Rehearsal(ended="a.json takes 9 s"), "takes 9 s"),
        (Rehearsal(), "--slow"),
    ],
)
def test_what_did_not_start_side_by_side_is_not_judged(seen, words):
    with pytest.raises(NotApplicable, match=words):
        chapter.test_instances_work_side_by_side(target(seen))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_endpoint_that_did_not_come_up_is_a_skip_with_the_reason(check):
    with pytest.raises(NotApplicable, match="did not get InService"):
        check(target(Rehearsal(ended="the endpoint did not get InService: x")))


def test_no_request_waits_for_a_start_on_instances():
    with pytest.raises(NotApplicable, match="on instances"):
        chapter.test_cold_start_within_client_timeout(target(Rehearsal(), profile="realtime"))


def test_real_time_instances_are_not_frozen():
    given = target(Rehearsal(), profile="realtime", engine=FakeEngine(FakeClock(), {}))
    with pytest.raises(NotApplicable, match="not frozen"):
        chapter.test_survives_freeze(given)


def thawed(status, ping, control=200):
    def reply(code, path="/invocations"):
        request = Request(method="POST", path=path)
        return Reply(request=request, outcome=Outcome.ANSWERED, seconds=0.1, status=code)

    thaw = Thaw(
        reply=reply(status), ping=reply(ping, "/ping"), log="its last line", control=reply(control)
    )
    return target(Rehearsal(), notes={"thaw": thaw}, engine=FakeEngine(FakeClock(), {}))


def test_a_container_that_works_after_the_thaw_passes():
    chapter.test_survives_freeze(thawed(200, 200))


@pytest.mark.parametrize(("status", "ping"), [(500, 200), (200, 503)])
def test_a_container_that_does_not_is_told_with_its_log(status, ping):
    with pytest.raises(ContractViolation) as caught:
        chapter.test_survives_freeze(thawed(status, ping))
    assert f"HTTP {max(status, ping)}" in caught.value.actual
    assert caught.value.log == "its last line"


def test_what_fails_without_a_freeze_as_well_is_not_the_freezes_doing():
    with pytest.raises(NotApplicable, match="not frozen does not work on either"):
        chapter.test_survives_freeze(thawed(500, 200, control=500))


def test_only_instances_that_answered_more_than_once_are_compared():
    seen = Rehearsal(fresh=[one(), one()], first=[one(B, 2)], after=[one(instance=2)])
    assert by_instance(seen, A) == {1: [b"1", b"1"]}


def test_what_went_wrong_is_told_once_and_then_only_blocks():
    def broken():
        raise EngineUnavailable("Docker went away.")

    given = SimpleNamespace(notes={}, container=broken, progress=Progress())
    with pytest.raises(EngineUnavailable):
        rehearsal(given)
    with pytest.raises(Blocked, match="Docker went away"):
        rehearsal(given)

"""The chapter slow without a container: how a request is made longer and slow, and what is said of
what became of it. Virtual time; the real thing runs in the fault matrix.
"""

from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.background import Background
from contract_tests.check import ContractViolation, NotApplicable
from contract_tests.gunicorn import DEFAULT_SECONDS, Workers, says_that_it_lives, workers
from contract_tests.payload import Payload
from contract_tests.slow import SLOW_SECONDS, Slow, Trial
from contract_tests.slow_body import grown
from contract_tests.slow_work import MOST_BYTES
from contract_tests.test_slow import (
    test_busy_worker_survives as busy_worker_survives,
)
from contract_tests.test_slow import (
    test_slow_request_answered as slow_request_answered,
)
from contract_tests.test_slow import (
    test_worker_timeout_leaves_room as worker_timeout_leaves_room,
)
from emulator.engines import Capability, ContainerSpec, Process
from emulator.http import Outcome, Reply, Request
from emulator.instance import Instance
from emulator.limits import Limits
from emulator.testing import FakeClock

JSON, CSV = "application/json", "text/csv"
ROWS = Payload(name="rows.csv", content_type=CSV, body=b"1,2,3,4\n")
OPAQUE = Payload(name="cat.png", content_type="image/png", body=b"\x89PNG")


# -- longer bodies --------------------------------------------------------------------------------

CELLS = st.lists(st.integers(), min_size=1, max_size=4)


@given(st.lists(CELLS, min_size=1, max_size=4), st.integers(1, 5), st.sampled_from(["", "\r\n"]))
def test_lines_are_repeated_whole(rows, times, end):
    body = "\n".join(",".join(map(str, row)) for row in rows) + end
    more = grown(Payload(name="x", content_type=CSV, body=body.encode()), times)
    found = list(csv.reader(io.StringIO(more.decode())))
    assert found == [[str(cell) for cell in row] for row in rows] * times


@given(st.lists(CELLS, min_size=1, max_size=4), st.integers(1, 5))
def test_rows_are_repeated_and_not_their_columns(rows, times):
    payload = Payload(
        name="x", content_type=JSON, body=json.dumps({"instances": rows, "n": 1}).encode()
    )
    assert json.loads(grown(payload, times)) == {"instances": rows * times, "n": 1}
    bare = Payload(name="x", content_type=JSON, body=json.dumps(rows).encode())
    assert json.loads(grown(bare, times)) == rows * times


def test_a_text_is_repeated_when_there_are_no_rows():
    body = json.dumps({"inputs": "good morning", "parameters": {"top_k": 1}}).encode()
    more = grown(Payload(name="x", content_type=JSON, body=body), 2)
    assert json.loads(more) == {
        "inputs": "good morning good morning",
        "parameters": {"top_k": 1},
    }


@pytest.mark.parametrize("body", [b"{", b"3", b"{}", b"[]", b'{"a": 1}', b'{"a": []}', b"\xff"])
def test_what_has_neither_rows_nor_text_is_not_made_longer(body):
    assert grown(Payload(name="x", content_type=JSON, body=body), 3) is None
    assert grown(OPAQUE, 3) is None


# -- gunicorn's command line ----------------------------------------------------------------------

MASTER = "/usr/bin/python3 /usr/bin/gunicorn "


@pytest.mark.parametrize(
    ("options", "timeout"),
    [
        ("app:app", DEFAULT_SECONDS),
        ("--timeout 60 app:app", 60),
        ("--timeout=61 app:app", 61),
        ("-t 62 app:app", 62),
        ("-t63 app:app", 63),
        ("--graceful-timeout 5 app:app", DEFAULT_SECONDS),
        ("--timeout 0 app:app", 0),
    ],
)
def test_the_time_limit_is_read_in_every_spelling(options, timeout):
    assert workers(MASTER + options, {}).timeout == timeout
    assert workers("python -m gunicorn " + options, {}).timeout == timeout


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ("app:app", "sync"),
        ("-k sync app:app", "sync"),
        ("--threads 1 app:app", "sync"),
        ("--threads 4 app:app", "gthread"),
        ("--worker-class=gthread app:app", "gthread"),
        ("-k gevent app:app", "gevent"),
        ("-k uvicorn.workers.UvicornWorker app:app", "uvicorn.workers.UvicornWorker"),
    ],
)
def test_the_kind_of_worker_is_the_one_that_gunicorn_takes(options, kind):
    assert workers(MASTER + options, {}).kind == kind


def test_the_command_line_has_the_last_word_over_the_variable():
    environment = {"GUNICORN_CMD_ARGS": "--timeout 90 --threads=4"}
    assert workers(MASTER + "app:app", environment).timeout == 90
    found = workers(MASTER + "-t 45 app:app", environment)
    assert (found.timeout, found.threads) == (45, 4)


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn: master [app:app]",
        "nginx: master process nginx",
        "",
        "/bin/sh -c cd x && exec serve",
        MASTER + "--timeout many app:app",
    ],
)
def test_nothing_is_guessed(command):
    assert workers(command, {}) is None


@pytest.mark.parametrize(
    ("commands", "log", "lives"),
    [
        ([MASTER + "app:app"], "", False),
        ([MASTER + "--threads 2 app:app"], "", True),
        ([MASTER + "-k gevent app:app"], "", None),
        ([MASTER + "-c conf.py app:app"], "", None),
        ([MASTER + "-c conf.py app:app"], "[INFO] Using worker: sync\nx", False),
        (["gunicorn: master [app:app]"], "[INFO] Using worker: gthread\nx", True),
        (["gunicorn: master [app:app]"], "[INFO] Using worker: threads\nx", True),
        (["node server.js"], "", None),
    ],
)
def test_a_sync_worker_cannot_say_that_it_lives_and_a_threaded_one_does(commands, log, lives):
    assert says_that_it_lives(commands, {}, log) is lives


@given(st.text(), st.text())
def test_no_command_line_breaks_the_reading(options, variable):
    found = workers(MASTER + options, {"GUNICORN_CMD_ARGS": variable})
    assert found is None or isinstance(found, Workers)


# -- worker-timeout-leaves-room -------------------------------------------------------------------


def container_of(*commands, files=()):
    return SimpleNamespace(
        processes=lambda: [
            Process(pid=n, parent=0, rss_bytes=1, command=command)
            for n, command in enumerate(commands, start=1)
        ],
        file_bytes=lambda path: 10 if path in files else None,
    )


def target_of(seconds=0.0, environment=None, **more):
    return SimpleNamespace(
        image=SimpleNamespace(environment=environment or {}, working_dir="/srv"),
        settings=SimpleNamespace(env={}, payload=(ROWS,)),
        notes={"answers": {"rows.csv": reply(200, seconds)}},
        slow_seconds=SLOW_SECONDS,
        **more,
    )


def reply(status=None, seconds=1.0):
    return Reply(
        request=Request(method="POST", path="/invocations"),
        outcome=Outcome.RESET if status is None else Outcome.ANSWERED,
        seconds=seconds,
        status=status,
    )


def test_a_request_near_the_default_limit_is_told_with_both_numbers():
    container = container_of("/bin/sh serve", MASTER + "app:app")
    with pytest.raises(ContractViolation) as told:
        worker_timeout_leaves_room(container, target_of(seconds=16.0))
    assert "half of 30 s" in told.value.expected
    assert "default" in told.value.expected
    assert "rows.csv took 16.0 s" in told.value.actual


def test_a_quick_model_may_have_the_default_limit():
    worker_timeout_leaves_room(container_of(MASTER + "app:app"), target_of(seconds=2.0))


@pytest.mark.parametrize(
    "container",
    [
        container_of("node server.js"),
        container_of(MASTER + "--threads 4 app:app"),
        container_of(MASTER + "--timeout 0 app:app"),
        container_of(MASTER + "-c conf.py app:app"),
        container_of(MASTER + "app:app", files=["/srv/gunicorn.conf.py"]),
    ],
)
def test_where_the_limit_is_not_certain_nothing_is_said(container):
    with pytest.raises(NotApplicable):
        worker_timeout_leaves_room(container, target_of(seconds=29.0))


# -- a slow request in virtual time ---------------------------------------------------------------

STEP_SECONDS = 0.1


class World:
    """A container with one worker, which gets the share of the processor that it is given."""

    base_url = "fake://0"

    def __init__(self, clock, *, cut=(), status=None, refuses_over=MOST_BYTES, **more):
        self.clock = clock
        self.cut = list(cut)  # ages at which slow requests end, one after another
        self.status = status  # of a proxy that ends them; None: the worker is killed
        self.refuses_over = refuses_over
        self.per_byte = more.get("per_byte", 1e-6)
        self.ready = more.get("ready", True)
        self.breaks_over = more.get("breaks_over", MOST_BYTES)
        self.broken, self.log = False, more.get("log", "the last line")
        self.share, self.shares, self.used, self.worker = 1.0, [], 0.0, 2

    async def throttle(self, cpus):
        self.share = cpus
        self.shares.append(cpus)

    async def cpu_seconds(self):
        return self.used

    async def processes(self):
        main = Process(pid=1, parent=0, rss_bytes=1, command="master")
        return [main, Process(pid=self.worker, parent=1, rss_bytes=1, command="worker")]

    async def logs(self, tail=50):
        return self.log

    async def exit_code(self):
        return None

    async def oom_kills(self):
        return 0

    async def sockets(self):
        return []

    async def connecting(self):
        return []

    async def send(self, base_url, request, timeout_seconds, hold=None):
        if request.method == "GET":
            await self.clock.sleep(0.001)
            return self.said(request, 200 if self.ready else 503, 0.001)
        began, size = self.clock.now(), len(request.body)
        self.broken = self.broken or size > self.breaks_over
        if self.broken or size > self.refuses_over:
            return self.said(request, 500 if self.broken else 413, 0.0)
        left = 0.0005 + size * self.per_byte
        while left > 0:
            step = min(STEP_SECONDS, left / self.share)
            await self.clock.sleep(step)
            left, self.used = left - step * self.share - 1e-9, self.used + step * self.share
            age = self.clock.now() - began
            if self.cut and age >= self.cut[0]:
                self.cut.pop(0)
                self.worker += self.status is None
                return self.said(request, self.status, age)
        return self.said(request, 200, self.clock.now() - began)

    def said(self, request, status, seconds):
        outcome = Outcome.RESET if status is None else Outcome.ANSWERED
        return Reply(request=request, outcome=outcome, seconds=seconds, status=status)


def slow(payload=ROWS, capabilities=frozenset(Capability), share=1.0, **how):
    clock = FakeClock()
    world = World(clock, **how)
    instance = Instance(
        world, spec=ContainerSpec(image="x"), clock=clock, http=world, limits=Limits()
    )
    target = SimpleNamespace(
        clock=clock,
        slow_seconds=SLOW_SECONDS,
        settings=SimpleNamespace(payload=(payload,), env={}),
        image=SimpleNamespace(environment={}),
        engine=SimpleNamespace(capabilities=capabilities),
    )
    return clock.run(Trial(target, instance, share).run()), world


def test_a_request_is_held_for_55_seconds_and_answered_when_it_has_its_share_again():
    seen, world = slow()
    assert not seen.unknown
    assert seen.reply.ok
    assert SLOW_SECONDS <= seen.reply.seconds < 60
    assert "made longer" in seen.request
    assert world.shares[-1] == 1.0
    assert 0.001 < min(world.shares) < 0.1


def test_a_worker_that_is_killed_at_the_same_age_twice_was_killed_for_it():
    seen, _ = slow(cut=[30.5, 31.4])
    assert seen.gone == ("worker",)
    assert seen.reply.seconds == pytest.approx(30.5, abs=1)
    assert seen.log == "the last line"
    assert not seen.unknown


def test_a_sync_worker_of_gunicorn_is_believed_at_once_and_a_threaded_one_never():
    seen, world = slow(cut=[30.5, 9.0], log="Using worker: sync")
    assert (seen.gone, seen.unknown, world.cut) == (("worker",), "", [9.0])
    seen, world = slow(cut=[30.5, 30.5], log="Using worker: gthread")
    assert "threaded worker" in seen.unknown
    assert world.cut == [30.5]


@pytest.mark.parametrize("cut", [[27.7, 12.0], [27.7], [5.0, 9.0]])
def test_a_worker_that_is_killed_now_and_then_may_only_have_been_late(cut):
    seen, _ = slow(cut=cut)
    assert "second time" in seen.unknown


def test_a_proxy_that_gives_up_is_believed_at_once():
    seen, world = slow(cut=[40.0], status=504)
    assert (seen.gone, seen.unknown, seen.reply.status) == ((), "", 504)
    assert world.cut == []


def test_who_cannot_see_processes_still_sees_the_cut():
    seen, _ = slow(cut=[30.0], capabilities=frozenset())
    assert (seen.gone, seen.unknown) == ((), "")
    assert not seen.reply.ok


def test_a_cheap_request_that_nobody_can_make_longer_says_nothing():
    seen, _ = slow(payload=OPAQUE)
    assert "processor time" in seen.unknown
    assert "cat.png" in seen.unknown


def test_a_costly_request_is_taken_as_it_is():
    seen, _ = slow(payload=OPAQUE, per_byte=0.2)
    assert seen.reply.ok
    assert seen.request == "cat.png"


def test_the_largest_request_that_is_taken_is_used():
    seen, _ = slow(refuses_over=300_000)
    assert seen.reply.ok
    assert SLOW_SECONDS <= seen.reply.seconds < 60


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"ready": False}, "did not get ready"),
        ({"refuses_over": 0}, "2xx"),
        ({"breaks_over": 100_000, "per_byte": 1e-5}, "not answered any more"),
        ({"cut": [1.8], "status": 500}, "before it was late"),
        ({"cut": [60.5], "status": 504, "share": 0.04}, "too slow"),
    ],
)
def test_what_is_not_a_time_limits_doing_is_not_held_against_it(how, words):
    seen, _ = slow(**how)
    assert words in seen.unknown


# -- what is said of it ---------------------------------------------------------------------------


def judged(check, seen):
    target = target_of()
    target.notes["slow"] = SimpleNamespace(result=lambda: seen)
    return check(SimpleNamespace(), target)


def test_a_good_end_is_no_news():
    seen = Slow(request="rows.csv", reply=reply(200, 55.4))
    assert judged(busy_worker_survives, seen) is None
    assert judged(slow_request_answered, seen) is None


def test_a_killed_worker_is_told_by_one_check_with_its_command_and_the_option():
    seen = Slow(
        request="rows.csv", reply=reply(None, 31.4), gone=("worker 1", "worker 2"),
        commands=(MASTER + "app:app",), log="WORKER TIMEOUT",
    )  # fmt: skip
    with pytest.raises(ContractViolation) as told:
        judged(busy_worker_survives, seen)
    assert "'worker 1' and 1 more" in told.value.actual
    assert "31.4 s" in told.value.actual
    assert "30 s now" in told.value.fix
    assert told.value.log == "WORKER TIMEOUT"
    with pytest.raises(NotApplicable, match="busy-worker-survives"):
        judged(slow_request_answered, seen)


@pytest.mark.parametrize(
    ("status", "commands", "named"),
    [
        (504, ("nginx: master process nginx", "python"), True),
        (504, ("python",), False),
        (500, ("nginx: master process nginx",), False),
    ],
)
def test_nginx_is_named_where_it_is_and_gave_up(status, commands, named):
    seen = Slow(request="rows.csv", reply=reply(status, 20.1), commands=commands)
    with pytest.raises(ContractViolation) as told:
        judged(slow_request_answered, seen)
    assert ("proxy_read_timeout" in told.value.fix) is named
    judged(busy_worker_survives, seen)


@pytest.mark.parametrize("check", [busy_worker_survives, slow_request_answered])
def test_what_is_not_known_is_not_judged(check):
    with pytest.raises(NotApplicable, match="too cheap"):
        judged(check, Slow(unknown="too cheap"))


# -- beside the checks ----------------------------------------------------------------------------


def test_what_runs_beside_is_asked_later_or_ended_with_the_run():
    import asyncio

    cleared = []

    async def forever():
        try:
            await asyncio.sleep(1000)
        finally:
            cleared.append(True)

    async def answer():
        return 42

    with start_blocking_portal() as portal:
        done = Background(portal, answer)
        assert done.result() == 42
        begun = Background(portal, forever)
        begun.cancel()
        begun.cancel()
        done.cancel()
    assert cleared == [True]

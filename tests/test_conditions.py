"""The checks of chapter conditions and the trials below them, on containers that are functions.
Real ones are in the fault matrix.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import test_conditions as checks
from contract_tests import test_filesystem, test_startup
from contract_tests.check import ContractViolation, NotApplicable
from contract_tests.conditions import (
    CACHES,
    MUCH_BYTES,
    Crowd,
    Downloads,
    bearing,
    copies_of,
    downloads_text,
    fetched,
    ours_bytes,
    waits,
)
from contract_tests.payload import Payload
from contract_tests.reproduce import run_line
from contract_tests.sandbox import CPUS_SHOWN, HOSTNAME, NO_DAC, VARIABLES, conditioned, sandbox
from contract_tests.settings import Settings
from contract_tests.target import Target
from contract_tests.trials import SMALL_BYTES
from emulator.clock import SystemClock
from emulator.engines import (
    Capability,
    ContainerSpec,
    EngineUnavailable,
    Memory,
    Process,
    StartRefused,
)
from emulator.engines.docker_engine import DockerEngine
from emulator.engines.docker_network import parse_received, received
from emulator.engines.docker_restart import port
from emulator.engines.docker_spec import configuration
from emulator.http import Outcome, Reply, Request
from emulator.instance import PingAnswer, StartReport, StartState
from emulator.limits import MIB
from emulator.testing import FakeEngine, FakeImage
from tests.fake_suite import InstantClock, info
from tests.test_docker_engine import python, server

PAYLOAD = Payload(name="one.json", content_type="application/json", body=b'{"instances": [1]}')
DIES = FakeImage(exits_after=0.0, exit_code=3, log="told why")
HOLDS = Memory(used_bytes=32 * MIB, peak_bytes=64 * MIB)


class Engine(FakeEngine):
    """Each container is what `of` makes of its specification, and `again` after a restart."""

    capabilities = frozenset(Capability) - {Capability.CHANGES}

    def __init__(self, clock, of, again=None, processes=None):
        super().__init__(clock, {"x:1": FakeImage(info=info("x:1"))})
        self.of, self.again, self.told = of, again, processes
        self.story = []

    async def start(self, spec):
        image = self.of(spec) or self.images["x:1"]
        container = await super().start(spec)
        container.image = image
        number = len(self.started)
        self.story.append(("start", number))
        stop, restart, processes = container.stop, container.restart, container.processes

        async def stopped(grace):
            self.story.append(("stop", number))
            return await stop(grace)

        async def restarted():
            await restart()
            self.story.append(("restart", number))
            if isinstance(self.again, Exception):
                raise self.again
            container.image = self.again or container.image

        async def listed():
            return self.told(spec) if self.told else await processes()

        container.stop, container.restart, container.processes = stopped, restarted, listed
        return container


@contextmanager
def opened(of=lambda spec: None, again=None, processes=None, **settings):
    clock = InstantClock()
    engine = Engine(clock, of, again, processes)
    known = Settings(payload=(PAYLOAD,), **settings)
    with start_blocking_portal() as portal:
        target = Target(info("x:1"), known, engine=engine, http=engine, clock=clock, portal=portal)
        try:
            yield SimpleNamespace(target=target, engine=engine, clock=clock)
        finally:
            target.close()
    assert engine.running == []


ALONE = {
    "starts-without-network": (test_startup.test_starts_without_network, lambda s: not s.network),
    "starts-without-shm": (test_filesystem.test_starts_without_shm, lambda s: not s.shm),
    "starts-without-dac-override": (
        test_filesystem.test_starts_without_dac_override,
        lambda s: s.drop_capabilities == NO_DAC,
    ),
    "starts-as-arbitrary-user": (
        test_filesystem.test_starts_as_arbitrary_user,
        lambda s: s.user is not None,
    ),
    "starts-with-read-only-root": (
        checks.test_starts_with_read_only_root,
        lambda s: s.read_only,
    ),
    "starts-with-platform-variables": (
        checks.test_starts_with_platform_variables,
        lambda s: "SAGEMAKER_NOT_KNOWN_YET" in s.environment,
    ),
    "workers-fit-more-cpus": (
        checks.test_workers_fit_more_cpus,
        lambda s: s.cpus_online is not None,
    ),
}


def violations(target):
    found = {}
    for name, (function, _) in ALONE.items():
        try:
            function(target, target.container())
        except ContractViolation as violation:
            found[name] = violation
        except NotApplicable:
            pass
    return found


# -- trials ---------------------------------------------------------------------------------------


def test_what_serves_under_all_conditions_is_started_three_times_and_once_more_after_a_kill():
    with opened() as seen:
        assert violations(seen.target) == {}
        checks.test_starts_again_after_crash(seen.target, seen.target.container())
        assert len(seen.engine.started) == 3
        assert sum(container.restarts for container in seen.engine.started) == 1


@pytest.mark.parametrize("name", ALONE)
def test_one_condition_that_it_cannot_bear_is_found_by_its_check_alone(name):
    _, meets = ALONE[name]
    with opened(lambda spec: DIES if meets(spec) else None) as seen:
        found = violations(seen.target)
        assert set(found) == {name}
        assert "exited with code 3" in found[name].actual
        assert found[name].log == "told why"
        assert found[name].reproduce.endswith("x:1 serve")
        checks.test_starts_again_after_crash(seen.target, seen.target.container())


def test_what_is_stopped_by_addresses_where_nothing_answers_is_not_blamed():
    with opened(lambda spec: DIES if set(VARIABLES) <= set(spec.environment) else None) as seen:
        with pytest.raises(NotApplicable, match="nothing answers here"):
            checks.test_starts_with_platform_variables(seen.target, seen.target.container())
        checks.test_workers_fit_more_cpus(seen.target, seen.target.container())


def test_the_users_own_variables_win_over_the_platforms():
    with opened(env={"SAGEMAKER_REGION": "mine"}) as seen:
        spec = conditioned(seen.target, "variables")
    assert spec.environment["SAGEMAKER_REGION"] == "mine"
    assert spec.hostname == HOSTNAME


def test_a_read_only_root_is_no_news_where_another_user_cannot_write_either():
    with (
        opened(lambda spec: DIES if spec.user or spec.read_only else None) as seen,
        pytest.raises(NotApplicable, match="starts-as-arbitrary-user"),
    ):
        checks.test_starts_with_read_only_root(seen.target, seen.target.container())


@pytest.mark.parametrize("again", [DIES, StartRefused("no such container")])
def test_a_container_that_does_not_start_again_is_told_so_by_a_start_without_conditions(again):
    with opened(again=again) as seen:
        with pytest.raises(ContractViolation) as failed:
            checks.test_starts_again_after_crash(seen.target, seen.target.container())
        assert [word for word, _ in seen.engine.story].count("restart") == 2
    assert "the first start served; the second one" in failed.value.actual
    assert "docker kill" in failed.value.reproduce
    assert "--rm" not in failed.value.reproduce


def test_a_start_that_is_never_ready_again_is_not_waited_for_minutes():
    with opened(again=FakeImage(listens_after=1e9)) as seen:
        container = seen.target.container()
        began = seen.clock.now()
        with pytest.raises(ContractViolation, match="not ready"):
            checks.test_starts_again_after_crash(seen.target, container)
        assert seen.clock.now() - began < seen.target.limits.startup_seconds


def test_a_slow_start_is_made_again_only_in_a_run_that_may_take_long():
    slow = FakeImage(listens_after=30.0)
    with opened(lambda spec: slow) as seen, pytest.raises(NotApplicable, match="--slow"):
        checks.test_starts_again_after_crash(seen.target, seen.target.container())
    with opened(lambda spec: slow, slow=True) as seen:
        checks.test_starts_again_after_crash(seen.target, seen.target.container())
        assert sum(container.restarts for container in seen.engine.started) == 1


def test_small_containers_are_tried_side_by_side():
    with opened() as seen:
        sandbox(seen.target, "network")
        words = [word for word, number in seen.engine.story if number > 1 and word != "restart"]
    assert words[:2] == ["start", "start"]


def test_large_containers_are_tried_one_after_another():
    large = FakeImage(memory=Memory(used_bytes=SMALL_BYTES + 1, peak_bytes=SMALL_BYTES + 1))
    with opened(lambda spec: large) as seen:
        sandbox(seen.target, "network")
        words = [word for word, number in seen.engine.story if number > 1 and word != "restart"]
    assert words == ["start", "stop", "start", "stop"]


def test_who_was_late_beside_others_is_tried_alone_before_it_is_judged():
    late = iter([FakeImage(listens_after=1e9)])
    with opened(lambda spec: next(late, None) if spec.user else None) as seen:
        assert sandbox(seen.target, "user").served
        assert len(seen.engine.started) == 4


def test_what_containers_share_outside_of_them_is_not_blamed_on_a_condition():
    with opened() as seen:

        def one_seat(spec):
            """Needs the network, and one that runs beside another trial finds the seat taken."""
            return DIES if not spec.network or len(seen.engine.running) > 1 else None

        seen.engine.of = one_seat
        assert not sandbox(seen.target, "network").served
        assert sandbox(seen.target, "dac").served
        assert sandbox(seen.target, "shm").served


def test_an_engine_that_fails_for_one_of_two_leaves_neither_running():
    def gone(spec):
        if spec.user:
            raise EngineUnavailable("Docker went away.")

    with opened(gone) as seen:
        with pytest.raises(EngineUnavailable, match="went away"):
            sandbox(seen.target, "network")
        assert len(seen.engine.running) == 1  # the usual one
        seen.engine.of = lambda spec: None
        assert sandbox(seen.target, "network").served


def test_a_closed_target_can_be_asked_again():
    with opened() as seen:
        sandbox(seen.target, "cpus")
        seen.target.close()
        path = conditioned(seen.target, "cpus").cpus_online
        assert path.read_text() == f"0-{CPUS_SHOWN - 1}\n"
    assert not path.exists()


# -- the other checks -----------------------------------------------------------------------------


def test_a_model_that_is_missing_must_not_be_called_ready(tmp_path):
    (tmp_path / "weights").write_text("1")

    def without(spec):
        missing = spec.model_dir != tmp_path
        return FakeImage(
            handler=lambda request, _: (0.01, 500 if missing and request.body else 200, b"")
        )

    with (
        opened(without, model_data=tmp_path) as seen,
        pytest.raises(ContractViolation, match="500") as failed,
    ):
        checks.test_not_ready_without_model(seen.target, seen.target.container())
    assert "an-empty-directory:/opt/ml/model:ro" in failed.value.reproduce


@pytest.mark.parametrize("late", [DIES, FakeImage(listens_after=1e9)])
def test_a_container_that_is_not_ready_without_its_model_is_as_it_should_be(tmp_path, late):
    with opened(lambda s: late if s.model_dir != tmp_path else None, model_data=tmp_path) as seen:
        container = seen.target.container()
        began = seen.clock.now()
        checks.test_not_ready_without_model(seen.target, container)
        assert seen.clock.now() - began < 10.0


def test_a_container_that_works_without_the_directory_has_its_model_elsewhere(tmp_path):
    with opened(model_data=tmp_path) as seen, pytest.raises(NotApplicable, match="elsewhere"):
        checks.test_not_ready_without_model(seen.target, seen.target.container())


def test_without_model_data_nothing_is_said_of_its_absence():
    with opened() as seen, pytest.raises(NotApplicable, match="--model-data"):
        checks.test_not_ready_without_model(seen.target, seen.target.container())


@pytest.mark.parametrize(("received", "told"), [(50_000, False), (8_000_000, True)])
def test_more_than_our_own_requests_is_a_download(received, told):
    with opened(lambda spec: FakeImage(received_bytes=received)) as seen:
        container = seen.target.container()
        if not told:
            checks.test_downloads_nothing_at_start(seen.target, container)
            return
        with pytest.raises(ContractViolation, match=r"8\.0 MB came in"):
            checks.test_downloads_nothing_at_start(seen.target, container)


@pytest.mark.parametrize("status", [200, 500])
def test_a_request_that_waits_for_the_network_is_found_whether_it_succeeds_or_not(status):
    def offline(spec):
        slow = 0.01 if spec.network else 6.0
        return FakeImage(
            handler=lambda request, _: (
                (slow, 200 if spec.network else status, b"") if request.body else (0.01, 200, b"")
            )
        )

    with opened(offline) as seen, pytest.raises(ContractViolation, match=r"after 6\.0"):
        checks.test_no_wait_for_network(seen.target, seen.target.container())


def test_a_request_that_fails_fast_without_a_network_does_not_wait():
    def offline(spec):
        status = 200 if spec.network else 500
        return FakeImage(handler=lambda request, _: (0.01, status if request.body else 200, b""))

    with opened(offline) as seen:
        checks.test_no_wait_for_network(seen.target, seen.target.container())


def workers(number, each):
    return lambda spec: (
        [process(1, 0, 20 * MIB)] + [process(2 + n, 1, each) for n in range(number(spec))]
    )


def test_copies_that_take_most_of_the_memory_are_told_with_their_sum():
    memory = Memory(used_bytes=1300 * MIB, peak_bytes=1300 * MIB)
    told = workers(lambda spec: 4, 320 * MIB)
    with (
        opened(lambda spec: FakeImage(memory=memory), processes=told) as seen,
        pytest.raises(ContractViolation, match="4 processes of about 320 MB each"),
    ):
        checks.test_one_copy_of_the_model(seen.target, seen.target.container())


def test_as_many_workers_as_processors_are_counted_up_to_a_larger_host():
    memory = Memory(used_bytes=900 * MIB, peak_bytes=900 * MIB)
    told = workers(lambda spec: 2 if spec.cpus_online is None else 6, 440 * MIB)
    with opened(lambda spec: FakeImage(memory=memory), processes=told) as seen:
        container = seen.target.container()
        checks.test_one_copy_of_the_model(seen.target, container)
        with pytest.raises(ContractViolation, match="6 x 440 MB = 2640 MB"):
            checks.test_workers_fit_more_cpus(seen.target, container)


def test_workers_that_still_grow_are_waited_for():
    sizes = itertools.chain([30, 200, 440, 440], itertools.repeat(440))

    def told(spec):
        each = 440 if spec.cpus_online is None else next(sizes)
        more = [] if spec.cpus_online is None else [process(9, 1, each * MIB)] * 5
        return [process(1, 0, 440 * MIB), *more]

    memory = Memory(used_bytes=440 * MIB, peak_bytes=440 * MIB)
    with (
        opened(lambda spec: FakeImage(memory=memory), processes=told) as seen,
        pytest.raises(ContractViolation, match="6 x 440 MB"),
    ):
        checks.test_workers_fit_more_cpus(seen.target, seen.target.container())


def test_small_workers_may_be_as_many_as_processors():
    told = workers(lambda spec: 2 if spec.cpus_online is None else 6, 12 * MIB)
    with opened(processes=told) as seen:
        checks.test_workers_fit_more_cpus(seen.target, seen.target.container())


@pytest.mark.parametrize(
    "function",
    [
        checks.test_one_copy_of_the_model,
        checks.test_workers_fit_more_cpus,
        checks.test_starts_with_read_only_root,
    ],
)
def test_what_is_true_of_serverless_alone_is_not_said_of_instances(function):
    with opened(profile="realtime") as seen, pytest.raises(NotApplicable, match="instances"):
        function(seen.target, seen.target.container())


def test_who_refuses_the_second_of_two_is_found_and_who_lets_it_wait_is_not():
    asked = itertools.count()

    def busy(request, _):
        # The first request and the one alone are answered, of the crowd every second one.
        number = next(asked) if request.body else 0
        return 0.05, 503 if number > 1 and number % 2 else 200, b""

    with opened(lambda spec: FakeImage(handler=busy), profile="realtime") as seen:
        container = seen.target.container()
        with pytest.raises(ContractViolation, match="503"):
            checks.test_requests_at_once(seen.target, container, (PAYLOAD,))
    with opened(profile="realtime") as seen:
        checks.test_requests_at_once(seen.target, seen.target.container(), (PAYLOAD,))


def test_serverless_sends_no_two_at_once():
    with opened() as seen, pytest.raises(NotApplicable, match="one request at a time"):
        checks.test_requests_at_once(seen.target, seen.target.container(), (PAYLOAD,))


# -- judging --------------------------------------------------------------------------------------


def process(pid, parent, rss, *, zombie=False):
    return Process(pid=pid, parent=parent, rss_bytes=rss, command="serve", zombie=zombie)


def reply(seconds=0.0, status=200, outcome=Outcome.ANSWERED, body=b""):
    request = Request(method="POST", path="/invocations", body=body)
    return Reply(request=request, outcome=outcome, seconds=seconds, status=status)


SECONDS = st.floats(min_value=0, max_value=60)


@given(SECONDS, SECONDS)
def test_only_seconds_more_and_twice_as_much_is_a_wait(usual, offline):
    waited = waits(reply(usual), reply(offline))
    assert not (waited and offline < usual + 5)
    assert not (waited and offline < 2 * usual)
    assert waits(reply(usual), reply(2 * usual + 5.1))


@given(st.lists(st.integers(min_value=1, max_value=900), min_size=1), st.integers(1, 9000))
def test_copies_are_at_least_one_and_no_larger_than_what_is_held(sizes, used):
    found = copies_of([process(n, 0, size) for n, size in enumerate(sizes)], used)
    assert 1 <= found.number <= len(sizes)
    assert found.each_bytes * found.number <= used
    assert not (found.number == 1 and found.too_much(1))


def test_forked_workers_that_share_one_model_are_no_copies():
    found = copies_of([process(n, 1, 700) for n in range(4)], used_bytes=800)
    assert found.number == 4
    assert not found.too_much(1000)
    assert copies_of([process(n, 1, 200) for n in range(4)], used_bytes=800).too_much(1000)


def test_the_dead_hold_nothing():
    assert bearing([process(1, 0, 5, zombie=True)]) == []
    assert copies_of([], 100) is None


def test_slowness_of_a_crowd_is_no_refusal():
    late = reply(60.0, None, Outcome.TIMEOUT)
    assert Crowd(replies=(reply(), late)).refused == []
    assert Crowd(replies=(late, reply(0, 502), reply(0, None, Outcome.RESET))).refused != []


def start(*times):
    answers = tuple(PingAnswer(at_seconds=0.0, reply=reply(), times=n) for n in times)
    return StartReport(state=StartState.READY, seconds=1.0, container_seconds=0.1, answers=answers)


@given(st.lists(st.integers(min_value=1, max_value=5000)), st.binary(max_size=2000))
def test_each_ping_and_the_request_are_counted_as_ours(times, body):
    ours = ours_bytes(start(*times), reply(body=body))
    assert ours >= 500 * sum(times) + len(body)
    assert not Downloads(received_bytes=ours + MUCH_BYTES, ours_bytes=ours).much
    assert Downloads(received_bytes=ours + MUCH_BYTES + 1, ours_bytes=ours).much


@pytest.mark.parametrize("cache", CACHES)
def test_what_a_package_manager_leaves_is_shown(cache):
    paths = fetched(["/var/log/app.log", f"/root{cache}x", f"/opt{cache[:-1]}"])
    assert paths == (f"/root{cache}x", f"/opt{cache[:-1]}")
    seen = Downloads(received_bytes=9_000_000, ours_bytes=0, paths=paths)
    assert f"/root{cache}x" in downloads_text(seen)


def test_the_line_to_repeat_says_each_condition(tmp_path):
    (tmp_path / "online").write_text("0-5\n")
    spec = ContainerSpec(
        image="x:1", read_only=True, hostname="h", cpus_online=tmp_path / "online", shm=False
    )
    line = run_line(spec)
    assert line.startswith("echo 0-5 > /tmp/cpus-online && docker run")
    for words in ("--read-only --tmpfs /tmp:exec", "--hostname h", "--ipc none", "x:1 serve"):
        assert words in line
    assert "cpu" not in run_line(ContainerSpec(image="x:1"))


# -- the engine -----------------------------------------------------------------------------------

DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo: 9999 10 0 0 0 0 0 0 9999 10 0 0 0 0 0 0
  eth0:{} 20 0 0 0 0 0 0 77 20 0 0 0 0 0 0
"""


@given(st.integers(min_value=0, max_value=2**63))
def test_what_came_over_the_loopback_is_not_received(number):
    assert parse_received(DEV.format(number)) == number


@given(st.text())
def test_any_text_is_read_as_a_table_of_interfaces_or_as_none(text):
    rows = [row for row in text.splitlines() if ":" in row]
    if not rows:
        assert parse_received(text) == 0


def test_a_container_that_died_at_once_is_published_nowhere():
    assert port({"NetworkSettings": {"Ports": {"8080/tcp": None}}}) == 0
    assert port({"NetworkSettings": {"Ports": {}}}) == 0
    assert port({"NetworkSettings": {"Ports": {"8080/tcp": [{"HostPort": "49153"}]}}}) == 49153


def test_mounts_of_all_kinds_stand_side_by_side(tmp_path):
    spec = ContainerSpec(
        image="x", models_dir=tmp_path, cpus_online=tmp_path / "online", model_read_only=True
    )
    mounts = configuration(spec, None, "a-volume")["HostConfig"]["Mounts"]
    assert len({mount["Target"] for mount in mounts}) == 3


@pytest.mark.docker
def test_a_container_starts_again_with_what_it_wrote_and_at_its_new_address(tmp_path):
    (tmp_path / "online").write_text("0-5\n")
    tmp_path.chmod(0o755)
    tells = (
        "import os, socket, time; print(os.cpu_count(), socket.gethostname(),"
        " os.path.exists('/kept'), flush=True); open('/kept', 'w').close();"
        " s = socket.create_server(('', 8080)); time.sleep(600)"
    )
    spec = python(tells, cpus_online=tmp_path / "online", hostname="model.aws.local")

    async def seen():
        engine, clock = DockerEngine(), SystemClock()
        assert await engine.unavailable() is None
        container = await engine.start(spec)
        try:
            while len((await container.logs()).splitlines()) < 1:
                await clock.sleep(0.05)
            await container.restart()
            while len((await container.logs()).splitlines()) < 2:
                await clock.sleep(0.05)
            assert await container.exit_code() is None
            assert await container.received_bytes() >= 0
            assert container.base_url.startswith("http://127.0.0.1:")
            return (await container.logs()).splitlines()
        finally:
            await container.stop(0)
            await engine.close()

    lines = asyncio.run(asyncio.wait_for(seen(), 60))
    assert lines == ["6 model.aws.local False", "6 model.aws.local True"]


@pytest.mark.docker
def test_with_a_read_only_root_only_tmp_can_be_written_and_run_from():
    tries = (
        "import os, subprocess\n"
        "for path in ('/x', '/tmp/x'):\n"
        "    try:\n"
        "        open(path, 'w').write('#!/bin/sh\\necho ran')\n"
        "        os.chmod(path, 0o755)\n"
        "        subprocess.run([path])\n"
        "    except OSError as error:\n"
        "        print(error.strerror, flush=True)\n"
    )

    async def seen():
        engine, clock = DockerEngine(), SystemClock()
        assert await engine.unavailable() is None
        container = await engine.start(replace(python(tries), read_only=True, user="993:990"))
        try:
            while await container.exit_code() is None:
                await clock.sleep(0.05)
            return (await container.logs()).splitlines()
        finally:
            await container.stop(0)
            await engine.close()

    assert asyncio.run(asyncio.wait_for(seen(), 60)) == ["Read-only file system", "ran"]


@pytest.mark.docker
def test_what_a_container_received_is_counted():
    async def seen():
        engine, clock = DockerEngine(), SystemClock()
        assert await engine.unavailable() is None
        container = await engine.start(server())
        try:
            while await container.connect_inside(8080, 1.0) is None:
                await clock.sleep(0.05)
            before = await container.received_bytes()
            address = container.base_url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(address[0], int(address[1]))
            writer.write(b"GET / HTTP/1.0\r\nX: " + b"x" * 30_000 + b"\r\n\r\n")
            await reader.read()
            writer.close()
            # A pid that is nobody's: then the engine itself is asked, as of another machine.
            told = await engine.ask(lambda: received(engine.api, container.id, 0))
            assert told >= 30_000
            return await container.received_bytes() - before
        finally:
            await container.stop(0)
            await engine.close()

    assert 30_000 <= asyncio.run(asyncio.wait_for(seen(), 60)) < 90_000

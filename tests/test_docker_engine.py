"""Owns: the claims of emulator/engines/docker_*.py, on the real engine; of pure parts without it.

Containers are of byoc-base:latest. Every engine that a test makes leaves nothing behind; the
fixture asserts it. Other runs share the engine, so nothing is said about what is not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

import docker
import docker.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import owner
from emulator.clock import SystemClock
from emulator.engines import (
    Capability,
    Container,
    ContainerSpec,
    EngineUnavailable,
    FileKind,
    ImageNotFound,
    Socket,
    StartRefused,
    docker_processes,
)
from emulator.engines.connect import connect
from emulator.engines.docker_engine import DockerEngine
from emulator.engines.docker_files import DockerImageFiles, file_kind
from emulator.engines.docker_image import SCHEMA_2, names_registry, push_media_type
from emulator.engines.docker_memory import counter_file, stamp
from emulator.engines.docker_network import parse_sockets
from emulator.engines.docker_processes import parse_stat
from emulator.engines.docker_spec import configuration, refusal
from emulator.engines.docker_sweep import sweep
from emulator.engines.docker_threads import Workers
from emulator.testing import check_engine

T = TypeVar("T")

IMAGE = "byoc-base:latest"
OCI = "application/vnd.oci.image.manifest.v1+json"
MIB = 1024 * 1024
PATIENCE_SECONDS = 20.0

SERVER = ("python3", "-m", "http.server", "8080")
SLEEPS = "import time; time.sleep(600)"
ENDS_ON_TERM = (
    "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(3));"
    " print('ready', flush=True); time.sleep(600)"
)
IGNORES_TERM = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True);"
    " time.sleep(600)"
)


def python(code: str, **more: Any) -> ContainerSpec:
    return ContainerSpec(image=IMAGE, command=("python3", "-c", code), **more)


def server(*options: str, **more: Any) -> ContainerSpec:
    return ContainerSpec(image=IMAGE, command=(*SERVER, *options), **more)


@pytest.fixture(scope="module")
def raw() -> Iterator[docker.DockerClient]:
    """The SDK itself, to look at the engine past the code under test."""
    client = connect()
    yield client
    client.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def engine(runner: asyncio.Runner, raw: docker.DockerClient) -> Iterator[DockerEngine]:
    engine = DockerEngine()
    assert runner.run(engine.unavailable()) is None
    yield engine
    runner.run(engine.close())
    assert left(raw, owner.me()) == []


def left(raw: docker.DockerClient, whose: str) -> list[str]:
    """What the engine holds of an owner."""
    filters = {"label": f"byoc.owner={whose}"}
    api: Any = raw.api
    found = [*api.containers(all=True, filters=filters), *api.networks(filters=filters)]
    return [str(each["Id"]) for each in found]


@pytest.fixture
def start(engine: DockerEngine, runner: asyncio.Runner) -> Iterator[Callable[..., Any]]:
    started: list[Container] = []

    def start(spec: ContainerSpec) -> Any:
        started.append(runner.run(engine.start(spec)))
        return started[-1]

    yield start
    for container in started:
        runner.run(container.stop(0))


async def until(question: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """Asks until the answer is enough; after some seconds it is the last one."""
    clock = SystemClock()
    deadline = clock.now() + PATIENCE_SECONDS
    while not enough(answer := await question()) and clock.now() < deadline:
        await clock.sleep(0.02)
    return answer


def log_with(runner: asyncio.Runner, container: Container, text: str) -> str:
    log = runner.run(until(container.logs, lambda log: text in log))
    assert text in log
    return log


def code_of(runner: asyncio.Runner, container: Container) -> int | None:
    return runner.run(until(container.exit_code, lambda code: code is not None))


def listening(runner: asyncio.Runner, container: Container) -> list[Socket]:
    return runner.run(until(container.sockets, bool))


def get(url: str) -> int:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=5) as answer:
        return int(answer.status)


# -- starting ------------------------------------------------------------------------------------


@pytest.mark.docker
def test_it_keeps_what_every_engine_must(engine: DockerEngine, runner: asyncio.Runner) -> None:
    async def wait() -> None:
        await SystemClock().sleep(0.05)

    broken = ContainerSpec(image=IMAGE, command=("no-such-program",))
    runner.run(check_engine(engine, server(), broken, wait))


@pytest.mark.docker
def test_the_published_port_answers_on_loopback_only(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(server())
    listening(runner, container)
    assert get(container.base_url) == 200
    ports = raw.containers.get(container.id).ports["8080/tcp"] or []
    assert [f"http://{port['HostIp']}:{port['HostPort']}" for port in ports] == [container.base_url]
    assert container.base_url.startswith("http://127.0.0.1:")


TELLS = """
import json, os
model = "/opt/ml/model/weights"
try: open(model, "w"); written = "yes"
except OSError as error: written = error.strerror
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "model": open(model).read(), "written": written, "user": [os.getuid(), os.getgid()],
    "shm": os.path.isdir("/dev/shm"), "environment": dict(os.environ), "pid": os.getpid(),
    "capabilities": status["CapBnd"].strip(),
}), flush=True)
"""


@pytest.mark.docker
def test_a_container_is_started_as_the_specification_says_and_with_nothing_else(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "weights").write_text("42")
    container = start(
        python(
            TELLS,
            environment={"A": "b=c d"},
            memory_bytes=300 * MIB,
            cpus=0.5,
            model_dir=tmp_path,
            shm=False,
            drop_capabilities=("DAC_OVERRIDE",),
            user="993:990",
            platform="linux/amd64",
            role="trial",
        )
    )
    assert code_of(runner, container) == 0
    told = json.loads(runner.run(container.logs()))
    assert told["model"] == "42"
    assert told["written"] == "Read-only file system"
    assert told["user"] == [993, 990]
    assert told["shm"] is False
    assert told["pid"] == 1
    assert not int(told["capabilities"], 16) & 1 << 1, "CAP_DAC_OVERRIDE is bit 1"
    assert told["environment"].pop("A") == "b=c d"
    assert set(told["environment"]) <= {"PATH", "HOSTNAME", "HOME", "LC_CTYPE"}
    attributes = raw.containers.get(container.id).attrs
    assert attributes["HostConfig"]["Memory"] == 300 * MIB
    assert attributes["HostConfig"]["MemorySwap"] == 300 * MIB
    assert attributes["HostConfig"]["NanoCpus"] == 500_000_000
    assert attributes["Config"]["Labels"]["byoc.role"] == "trial"
    assert attributes["Config"]["Labels"]["byoc.owner"] == owner.me()


@pytest.mark.docker
def test_a_plain_specification_keeps_the_images_own_user_shm_and_capabilities(
    start: Callable[..., Any], runner: asyncio.Runner, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_text("42")
    container = start(python(TELLS, model_dir=tmp_path))
    assert code_of(runner, container) == 0
    told = json.loads(runner.run(container.logs()))
    assert told["user"] == [0, 0]
    assert told["shm"] is True
    assert int(told["capabilities"], 16) & 1 << 1


@pytest.mark.docker
def test_the_images_own_model_directory_is_read_only_when_asked(
    engine: DockerEngine, runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    code = (
        "import os; os.makedirs('/opt/ml/model', exist_ok=True)\n"
        "try: open('/opt/ml/model/lock', 'w')\n"
        "except OSError as error: print(error.strerror)\n"
        "else: print('written')"
    )
    locked = runner.run(engine.start(python(code, model_read_only=True)))
    open_ = runner.run(engine.start(python(code)))
    try:
        assert code_of(runner, locked) == 0
        assert code_of(runner, open_) == 0
        assert runner.run(locked.logs()).strip() == "Read-only file system"
        assert runner.run(open_.logs()).strip() == "written"
        volumes: Any = raw.api
        ours = {"label": f"byoc.owner={owner.me()}"}
        assert len(volumes.volumes(filters=ours)["Volumes"]) == 1
    finally:
        for container in (locked, open_):
            runner.run(container.stop(0))
    runner.run(engine.close())
    assert not volumes.volumes(filters=ours)["Volumes"]


@pytest.mark.docker
def test_a_start_costs_three_requests(engine: DockerEngine, runner: asyncio.Runner) -> None:
    asked: list[str] = []
    send = engine.api.send

    def counted(request: Any, **options: Any) -> Any:
        path = request.path_url.partition("?")[0]
        asked.append(f"{request.method} {path.rpartition('/')[2]}")
        return send(request, **options)

    engine.api.send = counted
    container = runner.run(engine.start(server()))
    assert asked == ["POST create", "POST start", "GET json"]
    asked.clear()
    runner.run(container.stop(0))
    assert len(asked) <= 4, "it is killed by its removal, without a wait"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("serve",), 'exec: "serve": executable file not found in $PATH'),
        (("/etc/passwd",), "permission denied"),
    ],
)
def test_a_start_that_fails_tells_the_engines_words_and_leaves_nothing(
    command: tuple[str, ...],
    words: str,
    engine: DockerEngine,
    runner: asyncio.Runner,
    raw: docker.DockerClient,
) -> None:
    with pytest.raises(StartRefused) as refused:
        runner.run(engine.start(ContainerSpec(image=IMAGE, command=command)))
    assert words in str(refused.value)
    assert left(raw, owner.me()) == []


@pytest.mark.docker
def test_an_unknown_user_is_the_images_fault(engine: DockerEngine, runner: asyncio.Runner) -> None:
    with pytest.raises(StartRefused, match="unable to find user nobody-knows"):
        runner.run(engine.start(server(user="nobody-knows")))


@pytest.mark.docker
def test_an_image_that_is_not_there_is_not_pulled(
    engine: DockerEngine, runner: asyncio.Runner
) -> None:
    for call in (engine.start(ContainerSpec(image="byoc-no:1")), engine.files("byoc-no:1")):
        with pytest.raises(ImageNotFound, match=r"byoc-no:1.*docker images.*never pulls"):
            runner.run(call)


@pytest.mark.docker
def test_an_image_of_another_platform_is_refused_in_the_engines_words(
    engine: DockerEngine, runner: asyncio.Runner
) -> None:
    with pytest.raises(StartRefused, match=r"does not match the specified platform.*linux/arm64"):
        runner.run(engine.start(server(platform="linux/arm64")))


@pytest.mark.docker
def test_a_model_directory_that_is_not_there_is_an_error_and_is_not_made(
    engine: DockerEngine, runner: asyncio.Runner, tmp_path: Path
) -> None:
    with pytest.raises(EngineUnavailable, match="cannot see the model directory"):
        runner.run(engine.start(server(model_dir=tmp_path / "absent")))
    assert not (tmp_path / "absent").exists()


@pytest.mark.docker
@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.03, 0.1, 0.25])
def test_a_start_that_is_given_up_leaves_no_container(
    seconds: float, engine: DockerEngine, runner: asyncio.Runner
) -> None:
    async def give_up() -> None:
        starting = asyncio.create_task(engine.start(server()))
        await SystemClock().sleep(seconds)
        if starting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await starting
        else:
            await (await starting).stop(0)

    runner.run(give_up())  # that nothing is left is what the fixture asserts


@pytest.mark.docker
def test_many_containers_start_and_stop_at_once(
    engine: DockerEngine, runner: asyncio.Runner
) -> None:
    async def several() -> set[str]:
        started = await asyncio.gather(*(engine.start(server()) for _ in range(4)))
        await asyncio.gather(*(container.stop(0) for container in started))
        return {container.base_url for container in started}

    assert len(runner.run(several())) == 4


NO_WAY_OUT = """
import socket, sys, threading
from http.server import HTTPServer, SimpleHTTPRequestHandler
def reaches(address):
    try: socket.create_connection((address, 53), 0.5).close(); return True
    except OSError: return False
print("reached", [a for a in ("192.0.2.1", "198.51.100.1", "1.1.1.1") if reaches(a)], flush=True)
HTTPServer(("", 8080), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.docker
def test_a_container_without_a_network_is_reached_and_reaches_nothing(
    engine: DockerEngine,
    start: Callable[..., Any],
    runner: asyncio.Runner,
    raw: docker.DockerClient,
) -> None:
    container = start(python(NO_WAY_OUT, network=False))
    assert log_with(runner, container, "reached") == "reached []"
    listening(runner, container)
    assert get(container.base_url) == 200
    attributes = raw.containers.get(container.id).attrs
    assert attributes["HostConfig"]["Dns"] == ["192.0.2.1"]
    network = raw.networks.get(attributes["HostConfig"]["NetworkMode"])
    options = network.attrs["Options"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    second = start(server(network=False))
    again = raw.containers.get(second.id).attrs["HostConfig"]["NetworkMode"]
    assert again == network.id, "one network for all of an engine's"


# -- living and ending ---------------------------------------------------------------------------


@pytest.mark.docker
def test_a_running_container_has_no_exit_code(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    assert runner.run(start(python(SLEEPS)).exit_code()) is None


@pytest.mark.docker
def test_a_container_that_ended_by_itself_tells_its_code_and_its_log_also_when_stopped(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    code = "import sys, os; os.write(1, b'one\\n\\xff\\n'); os.write(2, b'two\\n'); sys.exit(7)"
    container = start(python(code))
    assert code_of(runner, container) == 7
    log = runner.run(container.logs())
    assert sorted(log.split("\n")) == ["one", "two", "\N{REPLACEMENT CHARACTER}"]
    stopped = runner.run(container.stop(5))
    assert (stopped.exit_code, stopped.killed) == (7, False)
    assert runner.run(container.logs()) == log
    assert runner.run(container.exit_code()) == 7


@pytest.mark.docker
def test_the_last_lines_of_the_log_come_oldest_first(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("for n in range(9): print(n)"))
    assert code_of(runner, container) == 0
    for _ in range(2):
        assert runner.run(container.logs(3)) == "6\n7\n8"
        assert runner.run(container.logs(0)) == ""
        runner.run(container.stop(0))


@pytest.mark.docker
def test_a_stop_is_a_sigterm_to_the_first_process_and_waits_no_longer_than_it_takes(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(ENDS_ON_TERM))
    log_with(runner, container, "ready")
    stopped = runner.run(container.stop(30))
    assert (stopped.exit_code, stopped.killed) == (3, False)
    assert stopped.seconds < 10


@pytest.mark.docker
def test_a_container_that_ignores_sigterm_is_killed_when_its_grace_ends(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(python(IGNORES_TERM))
    log_with(runner, container, "ready")
    stopped = runner.run(container.stop(0.5))
    assert (stopped.exit_code, stopped.killed) == (137, True)
    assert 0.5 <= stopped.seconds < 5
    with pytest.raises(docker.errors.NotFound):
        raw.containers.get(container.id)
    assert runner.run(container.logs()) == "ready"


@pytest.mark.docker
def test_no_grace_kills_at_once(start: Callable[..., Any], runner: asyncio.Runner) -> None:
    container = start(python(ENDS_ON_TERM))
    log_with(runner, container, "ready")
    stopped = runner.run(container.stop(0))
    assert (stopped.exit_code, stopped.killed) == (137, True)


@pytest.mark.docker
def test_stops_at_the_same_time_are_one_stop(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(ENDS_ON_TERM))
    log_with(runner, container, "ready")

    async def stops() -> list[Any]:
        return await asyncio.gather(*(container.stop(20) for _ in range(3)))

    first, *others = runner.run(stops())
    assert others == [first, first]
    assert runner.run(container.stop(0)) == first


@pytest.mark.docker
def test_who_cannot_wait_ends_the_grace_that_another_gave(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(IGNORES_TERM))
    log_with(runner, container, "ready")

    async def hurry() -> tuple[Any, Any]:
        patient = asyncio.create_task(container.stop(600))
        await SystemClock().sleep(0.1)
        return await container.stop(0), await patient

    at_once, patient = runner.run(hurry())
    assert at_once == patient
    assert (patient.exit_code, patient.killed) == (137, True)
    assert patient.seconds < 20


@pytest.mark.docker
def test_a_stop_whose_caller_gives_up_is_finished_all_the_same(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(ENDS_ON_TERM))
    log_with(runner, container, "ready")

    async def give_up() -> Any:
        stopping = asyncio.create_task(container.stop(20))
        await SystemClock().sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        return await container.stop(20)

    assert runner.run(give_up()).exit_code == 3


@pytest.mark.docker
def test_a_paused_container_is_removed_at_once_too(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(python(SLEEPS))
    raw.containers.get(container.id).pause()
    stopped = runner.run(container.stop(0))
    assert (stopped.exit_code, stopped.killed) == (137, True)


@pytest.mark.docker
def test_stopping_what_is_being_removed_is_no_error(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(python(SLEEPS))

    def remove() -> None:
        with contextlib.suppress(docker.errors.APIError):  # the one under test may be first
            raw.api.remove_container(container.id, force=True)

    other = threading.Thread(target=remove)
    other.start()
    stopped = runner.run(container.stop(0))
    other.join()
    assert stopped.exit_code in (-1, 137)


@pytest.mark.docker
def test_a_paused_container_takes_its_sigterm(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(python(ENDS_ON_TERM))
    log_with(runner, container, "ready")
    raw.containers.get(container.id).pause()
    stopped = runner.run(container.stop(20))
    assert (stopped.exit_code, stopped.killed) == (3, False)


@pytest.mark.docker
def test_a_container_that_somebody_else_removed_is_dead_and_its_log_says_why(
    start: Callable[..., Any], runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    container = start(server())
    raw.containers.get(container.id).remove(force=True)
    assert runner.run(container.exit_code()) == -1
    assert "removed by somebody else" in runner.run(container.logs())
    stopped = runner.run(container.stop(5))
    assert (stopped.exit_code, stopped.killed) == (-1, False)


@pytest.mark.docker
def test_a_dead_container_has_nothing_to_be_seen(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("print('over')"))
    assert code_of(runner, container) == 0
    for _ in range(2):
        assert runner.run(container.processes()) == []
        assert runner.run(container.sockets()) == []
        assert runner.run(container.connect_inside(8080, 1)) is None
        assert runner.run(container.ask_inside(8080, "/", {}, 1)) is None
        assert runner.run(container.oom_kills()) == 0
        runner.run(container.signal(1, signal.SIGTERM))
        runner.run(container.stop(0))
    with pytest.raises(EngineUnavailable, match="ask before it is stopped"):
        runner.run(container.changed_paths())


# -- seen inside ---------------------------------------------------------------------------------

FAMILY = """
import os, time
if not (worker := os.fork()):
    time.sleep(600)
if not os.fork():
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["from the host", "with the container's shell"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of looking inside; what an ordinary user has is the second."""
    if request.param != "from the host":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return str(request.param)


@pytest.mark.docker
@pytest.mark.usefixtures("way")
def test_processes_are_told_and_one_of_them_can_be_killed(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(FAMILY))
    log_with(runner, container, "ready")
    main, *others = runner.run(until(container.processes, lambda told: any(p.zombie for p in told)))
    assert main.parent == 0
    assert "python3" in main.command
    assert main.rss_bytes > MIB
    assert sorted((p.parent, p.zombie) for p in others) == [(main.pid, False), (main.pid, True)]
    (worker,) = (p for p in others if not p.zombie)
    runner.run(container.signal(worker.pid, signal.SIGKILL))

    def killed(told: list[Any]) -> bool:
        return all(p.zombie for p in told if p.pid == worker.pid)

    assert killed(runner.run(until(container.processes, killed)))
    runner.run(container.signal(main.pid, signal.SIGKILL))
    assert code_of(runner, container) == 137


@pytest.mark.docker
def test_a_process_that_is_not_the_containers_is_never_signalled(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(SLEEPS))
    with subprocess.Popen([sys.executable, "-c", SLEEPS]) as stranger:
        runner.run(container.signal(stranger.pid, signal.SIGKILL))
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.2)
        stranger.kill()
    assert runner.run(container.exit_code()) is None


@pytest.mark.docker
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])
def test_listening_sockets_are_told_and_others_are_not(
    address: str, start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    # On a network of ours Docker's own resolver listens too, in the container's namespace.
    container = start(server("--bind", address, network=False))
    assert listening(runner, container) == [Socket(address=address, port=8080)]


@pytest.mark.docker
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_connection_from_inside_is_made_wherever_the_server_listens(
    address: str, engine: DockerEngine, start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    assert Capability.INSIDE in engine.capabilities, "these tests run as root on the engine's host"
    before = Path("/proc/self/ns/net").readlink()
    container = start(server("--bind", address))
    listening(runner, container)
    seconds = runner.run(container.connect_inside(8080, 2))
    assert seconds is not None
    assert 0 <= seconds < 2
    assert runner.run(container.connect_inside(9, 2)) is None
    assert runner.run(container.ask_inside(8080, "/", {}, 2)) == 200
    assert runner.run(container.ask_inside(8080, "/absent", {}, 2)) == 404
    assert runner.run(container.ask_inside(9, "/", {}, 2)) is None
    assert Path("/proc/self/ns/net").readlink() == before


ECHO = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Asked(BaseHTTPRequestHandler):
    def do_GET(self):
        good = self.headers["Host"] == "model.aws.local:8080" and self.path == "/ping?x=1"
        self.send_response(204 if good else 400); self.end_headers()
HTTPServer(("", 8080), Asked).serve_forever()
"""


@pytest.mark.docker
def test_a_question_from_inside_is_sent_as_given(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(ECHO))
    listening(runner, container)
    headers = {"Host": "model.aws.local:8080"}
    assert runner.run(container.ask_inside(8080, "/ping?x=1", headers, 2)) == 204


@pytest.mark.docker
def test_an_ordinary_user_does_not_get_inside_and_is_told_so(
    engine: DockerEngine,
    start: Callable[..., Any],
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container = start(server())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert frozenset(Capability) - engine.capabilities == {Capability.INSIDE}
    with pytest.raises(EngineUnavailable, match="only by root"):
        runner.run(container.connect_inside(8080, 1))


@pytest.mark.docker
def test_without_a_shell_an_ordinary_user_is_told_what_is_needed(
    start: Callable[..., Any], runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = start(
        python("import os, time; os.remove('/bin/sh'); print('ok', flush=True);" + SLEEPS)
    )
    log_with(runner, container, "ok")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineUnavailable, match=r"run as root.*or have `sh`"):
        runner.run(container.processes())


GREEDY = """
import os, time
if not (child := os.fork()):
    hog = b"x" * (256 << 20)
_, status = os.waitpid(child, 0)
print("killed by", os.WTERMSIG(status), flush=True)
time.sleep(600)
"""


@pytest.mark.docker
@pytest.mark.usefixtures("way")
def test_the_memory_cap_kills_a_worker_and_the_kill_is_counted_though_the_main_process_lives(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(GREEDY, memory_bytes=64 * MIB))
    log_with(runner, container, "killed by 9")
    assert runner.run(container.exit_code()) is None
    assert runner.run(container.oom_kills()) == 1
    runner.run(container.stop(0))
    assert runner.run(container.oom_kills()) == 1


@pytest.mark.docker
def test_a_main_process_that_was_killed_for_memory_counts(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("hog = b'x' * (256 << 20)", memory_bytes=64 * MIB))
    assert code_of(runner, container) == 137
    assert runner.run(container.oom_kills()) == 1


@pytest.mark.docker
def test_what_a_container_wrote_is_listed(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("open('/opt/new', 'w'); import os; os.remove('/etc/passwd')"))
    assert code_of(runner, container) == 0
    assert {"/opt/new", "/etc/passwd"} <= set(runner.run(container.changed_paths()))


# -- images --------------------------------------------------------------------------------------


@pytest.mark.docker
def test_an_image_is_told_as_the_engine_has_it(
    engine: DockerEngine, runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    image = runner.run(engine.image(IMAGE))
    held: Any = raw.images.get(IMAGE)
    assert (image.reference, image.id) == (IMAGE, held.id)
    assert (image.os, image.architecture) == ("linux", "amd64")
    assert image.size_bytes == held.attrs["Size"] > 0
    assert image.environment["PATH"].startswith("/usr/local/sbin")
    assert image.digest is None
    assert image.push_media_type == SCHEMA_2
    assert image.push_media_type_from == "docker push from the classic image store"


@pytest.mark.docker
def test_an_image_that_is_not_there_names_near_ones(
    engine: DockerEngine, runner: asyncio.Runner
) -> None:
    with pytest.raises(ImageNotFound) as told:
        runner.run(engine.image("byoc-bse"))
    for words in ("'byoc-bse'", "Did you mean byoc-base", "`docker images`", "never pulls"):
        assert words in str(told.value)


@pytest.mark.docker
def test_what_is_no_reference_is_told_so(engine: DockerEngine, runner: asyncio.Runner) -> None:
    with pytest.raises(ImageNotFound, match=r"not an image reference.*name:tag"):
        runner.run(engine.image("Not An Image"))


class Registry(BaseHTTPRequestHandler):
    """A registry that has one OCI manifest under every name."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI,
            "layers": [],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": "sha256:" + "0" * 64,
                "size": 2,
            },
        }
        body = (
            b"{}" if self.path == "/v2/" or "blobs" in self.path else json.dumps(manifest).encode()
        )
        self.send_response(200)
        self.send_header("Content-Type", OCI if "manifests" in self.path else "application/json")
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()


@pytest.mark.docker
def test_a_reference_that_names_a_registry_is_judged_by_what_that_has(
    engine: DockerEngine, runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as registry:
        name = f"localhost:{registry.server_port}/byoc-test"
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        held: Any = raw.images.get(IMAGE)
        held.tag(name, "1")
        try:
            image = runner.run(engine.image(f"{name}:1"))
            assert image.push_media_type == OCI
            assert image.push_media_type_from == "the manifest in the registry"
            registry.shutdown()
            thread.join()
            registry.server_close()
            image = runner.run(engine.image(f"{name}:1"))
            assert image.push_media_type == SCHEMA_2
        finally:
            registry.shutdown()
            raw.images.remove(f"{name}:1")


@pytest.fixture
def files(engine: DockerEngine, runner: asyncio.Runner) -> Iterator[DockerImageFiles]:
    files = runner.run(engine.files(IMAGE))
    yield files
    runner.run(files.close())


@pytest.mark.docker
def test_single_paths_of_an_image_are_read_without_running_it(
    files: DockerImageFiles, runner: asyncio.Runner, raw: docker.DockerClient
) -> None:
    assert files._identity is not None
    holder = raw.containers.get(files._identity)
    long_name = "a" * 120  # more than a plain tar header holds
    big = os.urandom(3 * MIB)
    holder.put_archive(
        "/opt",
        archive(
            entry("big", content=big, mode=0o755),
            entry(long_name, content=b"long", mode=0o640),
            entry("empty", mode=0o600),
            entry("setuid", content=b"x", mode=0o4755),
            entry("loop", tarfile.SYMTYPE, target="loop"),
            entry("dangling", tarfile.SYMTYPE, target="absent"),
            entry("way", tarfile.SYMTYPE, target="/opt"),
            entry("pipe", tarfile.FIFOTYPE, mode=0o600),
        ),
    )

    def look(path: str) -> Any:
        return runner.run(files.lookup(path))

    found = look("/opt/big")
    assert (found.kind, found.mode, found.size_bytes) == (FileKind.FILE, 0o755, 3 * MIB)
    assert found.head == big[:4096]
    assert look(f"/opt/{long_name}").head == b"long"
    assert (look("/opt/empty").head, look("/opt/empty").size_bytes) == (b"", 0)
    assert look("/opt/setuid").mode == 0o755
    assert look("/opt/pipe").kind is FileKind.OTHER
    assert (look("/etc").kind, look("/etc").head) == (FileKind.DIRECTORY, b"")
    dangling = look("/opt/dangling")
    assert (dangling.kind, dangling.link_target) == (FileKind.SYMLINK, "/opt/absent")
    assert look("/bin/sh").kind is FileKind.SYMLINK
    assert look("/opt/way/empty").mode == 0o600, "a link on the way is followed"
    for absent in ("/absent", "/etc/passwd/below-a-file", "/opt/loop/below-a-loop"):
        assert look(absent) is None, absent
    assert holder.status == "created"
    runner.run(files.close())
    runner.run(files.close())
    with pytest.raises(ValueError, match="closed"):
        look("/etc")


def entry(
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    content: bytes = b"",
    mode: int = 0o777,
    target: str = "",
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, target, len(content)
    return info, content


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


# -- what is left, and what is lost --------------------------------------------------------------

KILLED_RUN = f"""
import asyncio, sys
from emulator import owner
from emulator.engines import ContainerSpec
from emulator.engines.docker_engine import DockerEngine
async def main():
    engine = DockerEngine()
    spec = ContainerSpec(image={IMAGE!r}, command=("sleep", "600"), network=False)
    container = await engine.start(spec)
    files = await engine.files({IMAGE!r})
    print(owner.me(), container.id, files._identity, flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


@pytest.mark.docker
@pytest.mark.quiet
def test_a_sweep_removes_what_a_killed_run_left_and_nothing_else(
    engine: DockerEngine,
    start: Callable[..., Any],
    runner: asyncio.Runner,
    raw: docker.DockerClient,
) -> None:
    foreign = raw.containers.create(IMAGE, ["sleep", "600"])
    elsewhere = raw.containers.create(
        IMAGE, ["sleep", "600"], labels={"byoc.owner": "elsewhere-1/1/5.00"}
    )
    mine = start(python(SLEEPS))
    try:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED_RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            whose, *identities = run.stdout.readline().split()
            assert len(left(raw, whose)) == 3, "a container, one that holds files, a network"
            runner.run(engine.sweep())
            assert len(left(raw, whose)) == 3, "its run lives"
            run.send_signal(signal.SIGKILL)
            run.wait()
            told = runner.run(engine.sweep())
        assert left(raw, whose) == []
        for identity in identities:
            with pytest.raises(docker.errors.NotFound):
                raw.containers.get(identity)
        assert sum(line.endswith(f" of {IMAGE}") for line in told) >= 2
        assert any(line.startswith("network byoc-no-way-out") for line in told)
        assert runner.run(mine.exit_code()) is None
        foreign.reload()
        elsewhere.reload()
    finally:
        foreign.remove(force=True)
        elsewhere.remove(force=True)


class Held:
    """An engine's API that holds labelled things, as far as a sweep asks."""

    def __init__(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        self.labels = dict(labels)

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [
            {"Id": name, "Names": [f"/{name}"], "Image": "i", "Labels": labels}
            for name, labels in self.labels.items()
        ]

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return []

    def volumes(self, **_: Any) -> dict[str, Any]:
        return {"Volumes": None}  # as Docker says that there is none

    def remove_container(self, identity: str, **_: Any) -> None:
        del self.labels[identity]


def test_a_sweep_of_everything_takes_all_that_is_labelled_and_only_that() -> None:
    everybody = {
        "mine": {"byoc.owner": owner.me()},
        "elsewhere": {"byoc.owner": "elsewhere-1/1/5.00"},
        "strange": {"byoc.owner": "?"},
        "foreign": {"some.label": "x"},
        "bare": {},
    }
    held = Held(everybody)
    assert sweep(held, everything=False) == []
    assert held.labels == everybody
    told = sweep(held, everything=True)
    assert told == [f"container {name} of i" for name in ("mine", "elsewhere", "strange")]
    assert set(held.labels) == {"foreign", "bare"}


class Relay(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A way to the engine that can be cut."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Relayed)
        self.open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"

    def cut(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Relayed(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect("/var/run/docker.sock")
            self.server.open |= {engine, self.request}
            back = threading.Thread(target=self.pump, args=(engine, self.request), daemon=True)
            back.start()
            self.pump(self.request, engine)
            back.join()
            self.server.open -= {engine, self.request}

    @staticmethod
    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.mark.docker
def test_an_engine_that_dies_is_told_as_such_whatever_was_asked(
    runner: asyncio.Runner, raw: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay()
    monkeypatch.setenv("DOCKER_HOST", relay.url)
    engine = DockerEngine()
    container = runner.run(engine.start(python(IGNORES_TERM)))

    async def cut_while_stopping() -> None:
        stopping = asyncio.create_task(container.stop(600))
        await SystemClock().sleep(0.3)
        relay.cut()
        with pytest.raises(EngineUnavailable, match="stopped answering"):
            await stopping

    try:
        log_with(runner, container, "ready")
        runner.run(cut_while_stopping())
        questions: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            container.exit_code,
            container.logs,
            container.oom_kills,
            container.changed_paths,
            lambda: container.stop(0),
            lambda: engine.start(server()),
            lambda: engine.image(IMAGE),
            lambda: engine.files(IMAGE),
            engine.version,
            engine.sweep,
        ]
        for question in questions:
            with pytest.raises(EngineUnavailable, match=r"stopped answering.*Start it again"):
                runner.run(question())
        assert "stopped answering" in str(runner.run(engine.unavailable()))
    finally:
        runner.run(engine.close())
        raw.containers.get(container.id).remove(force=True)
    assert left(raw, owner.me()) == []


def test_an_engine_that_is_not_there_is_unavailable_with_what_to_do(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    engine = DockerEngine()
    reason = runner.run(engine.unavailable())
    assert reason is not None
    assert "gone.sock" in reason
    assert "Start that engine" in reason
    with pytest.raises(EngineUnavailable, match=r"gone\.sock"):
        runner.run(engine.start(server()))
    runner.run(engine.close())
    runner.run(engine.close())


HANGING = """
import asyncio
from emulator.engines.docker_engine import DockerEngine
async def main():
    engine = DockerEngine()
    call = asyncio.create_task(engine.run(lambda: __import__("threading").Event().wait()))
    await asyncio.sleep(0.05)
    await engine.close()
    call.cancel()
asyncio.run(main())
"""


def test_a_call_that_hangs_keeps_neither_closing_nor_the_process_from_ending() -> None:
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=PATIENCE_SECONDS)


# -- the pure parts ------------------------------------------------------------------------------


def test_calls_run_at_once_up_to_the_limit_and_the_others_after_them() -> None:
    workers = Workers(2, "test")
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    first = [workers.submit(together.wait) for _ in range(2)]
    assert sorted(each.result(PATIENCE_SECONDS) for each in first) == [0, 1]
    names = [workers.submit(lambda: threading.current_thread().name) for _ in range(20)]
    assert {each.result(PATIENCE_SECONDS) for each in names} <= {"test-1", "test-2"}
    failing = workers.submit(lambda: 1 // 0)
    assert isinstance(failing.exception(PATIENCE_SECONDS), ZeroDivisionError)
    workers.close()
    with pytest.raises(RuntimeError, match="closed"):
        workers.submit(lambda: None)


def test_a_call_that_is_cancelled_before_its_turn_never_runs() -> None:
    workers = Workers(1, "test")
    gate = threading.Event()
    ran: list[str] = []
    blocking = workers.submit(lambda: gate.wait(PATIENCE_SECONDS))
    waiting = workers.submit(lambda: ran.append("waiting"))
    assert waiting.cancel()
    gate.set()
    assert blocking.result(PATIENCE_SECONDS)
    workers.submit(lambda: ran.append("last")).result(PATIENCE_SECONDS)
    assert ran == ["last"]
    workers.close()


def proc_address(address: IPv4Address | IPv6Address) -> str:
    packed = address.packed
    words = [packed[i : i + 4] for i in range(0, len(packed), 4)]
    return "".join((w[::-1] if sys.byteorder == "little" else w).hex().upper() for w in words)


def written(address: IPv4Address | IPv6Address) -> str:
    """As Python 3.13 writes it, and everybody else."""
    mapped = getattr(address, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(address)


addresses = st.ip_addresses().filter(lambda address: str(address) != "127.0.0.11")


@given(st.lists(st.tuples(addresses, st.integers(0, 65535), st.sampled_from(["01", "0A"]))))
def test_listening_sockets_are_read_from_proc_net_tcp(
    rows: list[tuple[IPv4Address | IPv6Address, int, str]],
) -> None:
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when"]
    lines += [
        f"{n:4}: {proc_address(address)}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:0"
        for n, (address, port, state) in enumerate(rows)
    ]
    wanted = {Socket(address=written(a), port=port) for a, port, state in rows if state == "0A"}
    found = parse_sockets("\n".join(lines))
    assert set(found) == wanted
    assert len(found) == len(wanted), "each is told once"


@given(st.text())
def test_any_other_text_has_no_sockets_and_no_process(text: str) -> None:
    assert parse_sockets(text) == []
    assert parse_sockets(f"0: {text}:1F90 0:0 0A") == [] or text.strip()
    told = parse_stat(text)
    assert told is None or text.strip()[0].isdigit()


def test_dockers_own_resolver_is_no_socket_of_the_container() -> None:
    line = f"0: {proc_address(IPv4Address('127.0.0.11'))}:B1C9 00000000:0000 0A 0:0 00:0"
    assert parse_sockets(line) == []


@given(
    st.integers(1, 4194304),
    st.integers(0, 4194304),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=15),
    st.sampled_from("RSDZT"),
    st.integers(0, 10**9),
)
def test_a_process_is_read_whatever_its_name_holds(
    pid: int, parent: int, name: str, state: str, pages: int
) -> None:
    told = parse_stat(f"{pid} ({name}) {state} {parent} {'0 ' * 19}{pages} 0 0")
    assert told is not None
    assert (told.pid, told.parent, told.command) == (pid, parent, name)
    assert (told.rss_bytes, told.zombie) == (pages * 4096, state == "Z")


def test_this_process_is_of_no_container() -> None:
    assert not docker_processes.on_host("0" * 64, os.getpid())
    assert not docker_processes.on_host("0" * 64, 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T10:20:30.123456789Z", "1769854830.123456789"),
        ("2026-01-31T10:20:30.5Z", "1769854830.500000000"),
        ("2026-01-31T10:20:30Z", "1769854830.000000000"),
        ("2026-01-31T12:20:30.000000001+02:00", "1769854830.000000001"),
    ],
)
def test_the_engines_time_is_given_back_to_it_exactly(text: str, seconds: str) -> None:
    assert stamp(text) == seconds


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("9:memory:/docker/abc", "/sys/fs/cgroup/memory/docker/abc/memory.oom_control"),
        (
            "0::/system.slice/docker-abc.scope",
            "/sys/fs/cgroup/system.slice/docker-abc.scope/memory.events",
        ),
        ("4:cpu,cpuacct:/docker/abc", None),
        ("1:name=systemd:/docker/abc", None),
    ],
)
def test_the_counter_of_kills_is_found_in_both_versions_of_cgroups(
    line: str, file: str | None
) -> None:
    assert counter_file(line) == (Path(file) if file else None)


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("model", False),
        ("model:1", False),
        ("me/model:1", False),
        ("localhost/model", True),
        ("localhost:5000/model", True),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1", True),
        ("registry:5000/me/model", True),
    ],
)
def test_a_registry_is_named_by_a_dot_a_port_or_localhost(reference: str, named: bool) -> None:
    assert names_registry(reference) is named


class Told:
    """An engine's API that tells only of its image store."""

    def __init__(self, *rows: tuple[str, str]) -> None:
        self.rows = rows

    def info(self) -> dict[str, Any]:
        return {"DriverStatus": [list(row) for row in self.rows]}


def test_the_type_of_a_push_is_what_the_image_store_holds() -> None:
    held = {"Descriptor": {"mediaType": OCI}}
    assert push_media_type(Told(), "docker", "m", held)[0] == OCI
    classic = Told(("Backing Filesystem", "extfs"))
    assert push_media_type(classic, "docker", "m", {})[0] == SCHEMA_2
    silent = Told(("driver-type", "io.containerd.snapshotter.v1"))
    assert push_media_type(silent, "docker", "m", {})[0] == "unknown"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (0o644, FileKind.FILE),
        (1 << 23 | 0o755, FileKind.FILE),  # setuid
        (1 << 31 | 0o755, FileKind.DIRECTORY),
        (1 << 31 | 1 << 20 | 0o777, FileKind.DIRECTORY),  # sticky
        (1 << 27 | 0o777, FileKind.SYMLINK),
        (1 << 25 | 0o600, FileKind.OTHER),  # a pipe
        (1 << 26 | 1 << 21 | 0o666, FileKind.OTHER),  # a device
    ],
)
def test_a_mode_of_go_is_understood(mode: int, kind: FileKind) -> None:
    assert file_kind(mode) is kind


def test_the_request_has_nothing_that_was_not_asked_for() -> None:
    config = configuration(ContainerSpec(image="m", command=()), None)
    assert config["HostConfig"] == {
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    }
    assert (config["Cmd"], config["Env"], "User" in config) == (None, [], False)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('exec: "serve": executable file not found in $PATH', StartRefused),
        ("exec format error", StartRefused),
        (
            "driver failed: Bind for 127.0.0.1:1 failed: port is already allocated",
            EngineUnavailable,
        ),
        ("write /var/lib/docker/x: no space left on device", EngineUnavailable),
        ("could not find an available, non-overlapping IPv4 address pool", EngineUnavailable),
        ("bind source path does not exist: /x", EngineUnavailable),
    ],
)
def test_only_the_images_own_fault_is_a_refusal(said: str, kind: type[Exception]) -> None:
    told = refusal(docker.errors.APIError("500", explanation=said), "m")
    assert type(told) is kind
    assert said in str(told)

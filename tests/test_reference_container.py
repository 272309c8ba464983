"""The reference image under everything that SageMaker may do to a container.

Owns: how the real image behaves, seen through Docker's SDK alone. Must not know: our emulator's
instance or the contract suite, which are tested with this image.
"""

from __future__ import annotations

import json
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import docker
import pytest
import requests
from docker.models.containers import Container

from emulator.clock import SystemClock
from emulator.engines.connect import connect
from emulator.owner import labels
from tests.early import _outcomes, early, outcome

pytestmark = pytest.mark.docker

__all__ = ["_outcomes", "outcome"]

REFERENCE = "byoc-reference:latest"
PAYLOAD = (Path(__file__).parent.parent / "fixtures" / "payloads" / "iris.json").read_bytes()
PATIENCE = 20.0
"""Far more than any of it takes on an idle machine; a wrong container never gets there."""

# Enough rows to keep the worker busy for a second or more.
MANY_ROWS = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]] * 150_000}).encode()

clock = SystemClock()
pause = Event().wait


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    made = connect()
    yield made
    made.close()


@pytest.fixture(scope="module")
def closed_network(client: docker.DockerClient) -> Iterator[str]:
    """A bridge without a way out, whose containers can publish ports all the same."""
    network = client.networks.create(
        "byoc-test-reference-closed",
        driver="bridge",
        options={"com.docker.network.bridge.enable_ip_masquerade": "false"},
        labels=labels("test"),
    )
    yield str(network.name)
    network.remove()


class Running:
    """One started reference container."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.statuses: list[int] = []
        container.reload()
        port = (container.ports["8080/tcp"] or [])[0]["HostPort"]
        self.url = f"http://127.0.0.1:{port}"

    def ping(self) -> int | None:
        """The status, None when nobody answers."""
        try:
            reply = requests.get(f"{self.url}/ping", timeout=5, allow_redirects=False)
        except requests.RequestException:
            return None
        self.statuses.append(reply.status_code)
        return reply.status_code

    def ready(self) -> Running:
        until(lambda: self.ping() == 200, self.said)
        return self

    def invoke(self, body: bytes = PAYLOAD) -> requests.Response:
        kind = {"Content-Type": "application/json"}
        return requests.post(f"{self.url}/invocations", body, headers=kind, timeout=PATIENCE)

    @contextmanager
    def begun(self, body: bytes) -> Iterator[HTTPConnection]:
        """A request that is sent and not answered yet."""
        with closing(HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)) as sent:
            sent.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            assert self.ping() == 200  # nginx takes connections in order: it has taken ours
            assert not answered(sent), "the request was too quick to be running"
            yield sent

    def labels(self) -> list[str]:
        reply = self.invoke()
        assert reply.status_code == 200, self.said()
        return [prediction["label"] for prediction in reply.json()["predictions"]]

    def end(self) -> tuple[int, float]:
        """Its exit code, and how long it took to come by it."""
        started = clock.now()
        code = self.container.wait(timeout=PATIENCE)["StatusCode"]
        return code, clock.now() - started

    def terminate(self) -> tuple[int, float]:
        self.container.kill(signal="SIGTERM")
        return self.end()

    def said(self) -> str:
        return str(self.container.logs().decode())

    def processes(self, parent: int) -> dict[int, str]:
        """Pid to command line of a process' children, as the container counts them."""
        script = (
            "import glob, json\n"
            "found = {}\n"
            "for path in glob.glob('/proc/[0-9]*'):\n"
            "    try:\n"
            "        parent = open(path + '/stat').read().rsplit(')', 1)[1].split()[1]\n"
            "        line = open(path + '/cmdline').read().replace('\\0', ' ')\n"
            "    except OSError:\n"
            "        continue\n"
            f"    if int(parent) == {parent} and line:\n"
            "        found[int(path[6:])] = line\n"
            "print(json.dumps(found))\n"
        )
        code, output = self.container.exec_run(["python3", "-c", script])
        assert code == 0, output
        assert isinstance(output, bytes)
        return {int(pid): line for pid, line in json.loads(output).items()}

    def child(self, name: str) -> int:
        """The pid of nginx or gunicorn."""
        (pid,) = (pid for pid, line in self.processes(1).items() if name in line)
        return pid

    def kill(self, pid: int) -> None:
        code, output = self.container.exec_run(["sh", "-c", f"kill -{signal.SIGKILL} {pid}"])
        assert code in (0, 137), output  # 137: the container ended before the command did


def answered(connection: HTTPConnection) -> bool:
    return bool(select.select([connection.sock], [], [], 0)[0])


def until(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = clock.now() + PATIENCE
    while not condition():
        assert clock.now() < deadline, f"not within {PATIENCE} s; the container said:\n{explain()}"
        pause(0.01)


@contextmanager
def started(
    client: docker.DockerClient, options: dict[str, Any] | None = None
) -> Iterator[Running]:
    container = client.containers.create(
        REFERENCE,
        ["serve"],
        labels=labels("test"),
        ports={"8080/tcp": ("127.0.0.1", 0)},
        **(options or {}),
    )
    try:
        container.start()
        yield Running(container)
    finally:
        container.remove(force=True)


def mounted(directory: Path) -> dict[str, Any]:
    directory.chmod(0o755)
    return {"volumes": {str(directory): {"bind": "/opt/ml/model", "mode": "ro"}}}


NO_DAC: dict[str, Any] = {"cap_drop": ["DAC_OVERRIDE", "DAC_READ_SEARCH"]}
STRANGER: dict[str, Any] = {"user": "993:990"}
NO_SHM: dict[str, Any] = {"ipc_mode": "none"}
READ_ONLY: dict[str, Any] = {"read_only": True, "tmpfs": {"/tmp": ""}}


def served_and_stopped(options: dict[str, Any]) -> Callable[[Path], tuple[Any, ...]]:
    def begin(directory: Path) -> tuple[Any, ...]:
        with closing(connect()) as client, started(client, options | mounted(directory)) as running:
            found = running.ready().labels()
            return found, *running.terminate(), running.said()

    return begin


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=early(served_and_stopped(options)))
        for case, options in {
            "as-root": {},
            "without-dac-override": NO_DAC,
            "as-a-user-without-a-passwd-entry": STRANGER,
            "without-shm": NO_SHM,
            "read-only-root": READ_ONLY,
            "all-at-once": NO_DAC | STRANGER | NO_SHM | READ_ONLY,
        }.items()
    ],
)
def test_it_serves_and_stops_in_order(case: str, outcome: tuple[Any, ...]) -> None:
    found, code, seconds, said = outcome
    assert found == ["setosa", "virginica"]
    assert (code, seconds < 10) == (0, True), said


def test_it_serves_without_a_network(client: docker.DockerClient, closed_network: str) -> None:
    with started(client, {"network": closed_network, "dns": ["192.0.2.1"]}) as running:
        assert running.ready().labels() == ["setosa", "virginica"]


def test_a_model_that_is_mounted_is_the_one_that_serves(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    model = {"labels": ["ours"], "mean": [0] * 4, "scale": [1] * 4, "weights": [[0] * 5]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    with started(client, mounted(tmp_path)) as running:
        assert running.ready().labels() == ["ours", "ours"]


def test_a_broken_model_is_told_by_503_and_not_by_dying(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "model.json").write_text("no JSON")
    with started(client, mounted(tmp_path)) as running:
        until(lambda: running.ping() is not None, running.said)
        assert running.ping() == 503
        assert running.invoke().status_code == 503
        assert "the model cannot be loaded" in running.said()


def test_no_502_is_seen_before_or_after_the_first_200(client: docker.DockerClient) -> None:
    with started(client) as running:
        running.ready()
        for _ in range(20):
            running.ping()
        assert set(running.statuses) == {200}


def test_the_log_has_a_line_per_invocation_and_none_per_ping(client: docker.DockerClient) -> None:
    with started(client) as running:
        running.ready().labels()
        running.invoke(b"{")
        running.ping()
        lines = [line for line in running.said().splitlines() if "/invocations" in line]
        assert lines == [
            "POST /invocations 200 2 rows",
            "POST /invocations 400 the body is not JSON",
        ]
        assert "/ping" not in running.said()


def test_ping_is_answered_while_a_request_runs(client: docker.DockerClient) -> None:
    with started(client) as running, running.ready().begun(MANY_ROWS) as slow:
        before = len(running.statuses)
        while not answered(slow):
            running.ping()
        assert slow.getresponse().status == 200
        assert len(running.statuses) - before >= 3
        assert set(running.statuses) == {200}


def test_sigterm_lets_a_running_request_finish(client: docker.DockerClient) -> None:
    with started(client) as running, running.ready().begun(MANY_ROWS) as slow:
        running.container.kill(signal="SIGTERM")
        until(lambda: running.ping() is None, running.said)
        assert not answered(slow)
        reply = slow.getresponse()
        assert (reply.status, len(reply.read()) > 1_000_000) == (200, True), running.said()
        code, seconds = running.end()
        assert (code, seconds < 10) == (0, True), running.said()


@pytest.mark.parametrize("name", ["nginx", "gunicorn"])
def test_when_a_half_dies_the_container_ends_with_an_error(
    client: docker.DockerClient, name: str
) -> None:
    with started(client) as running:
        running.ready().kill(running.child(name))
        code, seconds = running.end()
        assert (code, seconds < 10) == (1, True), running.said()
        assert f"serve: {name} ended by itself with -9" in running.said()


def test_a_killed_worker_is_replaced(client: docker.DockerClient) -> None:
    with started(client) as running:
        arbiter = running.ready().child("gunicorn")
        (worker,) = running.processes(arbiter)
        running.kill(worker)
        until(lambda: set(running.processes(arbiter)) - {worker} != set(), running.said)
        assert running.labels() == ["setosa", "virginica"]
        running.container.reload()
        assert running.container.status == "running"


def test_the_number_of_workers_can_be_set(client: docker.DockerClient) -> None:
    with started(client, {"environment": {"MODEL_SERVER_WORKERS": "2"}}) as running:
        arbiter = running.ready().child("gunicorn")
        until(lambda: len(running.processes(arbiter)) == 2, running.said)


def test_a_restarted_container_serves_again(client: docker.DockerClient) -> None:
    with started(client) as running:
        running.ready()
        running.container.kill(signal="SIGKILL")
        running.end()
        running.container.start()
        assert Running(running.container).ready().labels() == ["setosa", "virginica"]


def test_serve_that_cannot_start_gunicorn_ends_with_an_error(client: docker.DockerClient) -> None:
    with started(client, {"environment": {"MODEL_SERVER_WORKERS": "many"}}) as running:
        code, seconds = running.end()
        assert (code, seconds < 10) == (1, True), running.said()

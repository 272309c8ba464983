"""Owns: what a live endpoint answers when things break around it, on real containers: memory that
runs out, callers that go away, an engine that is killed, thousands of requests. Each request is
answered exactly once, with a result or with an error of AWS, and nothing of it is left.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator import owner
from emulator.local import ServerlessEndpoint
from tests.obedient_image import obedient
from tests.private_engine import PrivateEngine, impossible, private_engine
from tests.suite import left_by

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parent.parent

ANSWERS = {
    "ModelError",
    "ThrottlingException",
    "InternalFailure",
    "ServiceUnavailable",
    "InternalDependencyException",
}
"""What AWS may answer a request that was hit."""


@pytest.fixture(scope="module")
def image() -> str:
    return obedient()


@pytest.fixture(scope="module")
def endpoint(image: str) -> Iterator[ServerlessEndpoint]:
    with ServerlessEndpoint(image, memory_mb=1024, max_concurrency=1) as running:
        yield running


@contextmanager
def caller(endpoint: ServerlessEndpoint) -> Iterator[Callable[[str], str]]:
    """Sends a body once, and tells the answer's text or the error's code."""
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )

    def call(body: str) -> str:
        try:
            answer = client.invoke_endpoint(EndpointName=endpoint.name, Body=body.encode())
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return bytes(answer["Body"].read()).decode()

    try:
        yield call
    finally:
        client.close()


@pytest.fixture
def call(endpoint: ServerlessEndpoint) -> Iterator[Callable[[str], str]]:
    with caller(endpoint) as made:
        yield made


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


# Memory


def test_a_worker_that_runs_out_of_memory_is_a_model_error_and_the_instance_goes_on(
    endpoint: ServerlessEndpoint, call: Callable[[str], str]
) -> None:
    before = int(call("count"))
    assert call("lose 1500") == "ModelError"
    assert int(call("count")) == before + 2, "the same container answers"
    assert not endpoint.invocations[-1].cold


def test_a_container_that_runs_out_of_memory_is_a_model_error_and_is_replaced(
    endpoint: ServerlessEndpoint,
) -> None:
    client = endpoint.client()
    with pytest.raises(client.exceptions.ModelError, match="insufficient memory") as caught:
        client.invoke_endpoint(EndpointName=endpoint.name, Body=b"eat 1500")
    assert caught.value.response["OriginalStatusCode"] == 0
    answer = client.invoke_endpoint(EndpointName=endpoint.name, Body=b"count")
    assert answer["Body"].read() == b"0"
    assert endpoint.invocations[-1].cold
    client.close()


# Callers


def connect(endpoint: ServerlessEndpoint) -> socket.socket:
    host, _, port = endpoint.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head(endpoint: ServerlessEndpoint, length: int) -> bytes:
    return (
        f"POST /endpoints/{endpoint.name}/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_a_caller_that_goes_away_changes_nothing_for_its_request_nor_for_the_next_one(
    endpoint: ServerlessEndpoint, call: Callable[[str], str]
) -> None:
    before, arrived = int(call("count")), len(endpoint.invocations)
    with connect(endpoint) as connection:
        connection.sendall(head(endpoint, 9) + b"sleep 0.5")
        until(lambda: len(endpoint.invocations) == arrived + 1)
    assert call("count") == "ThrottlingException", "the request that nobody waits for goes on"
    until(lambda: call("echo") == "echo")
    assert not endpoint.invocations[-1].cold
    assert int(call("count")) == before + 3
    assert all(one.answered for one in endpoint.invocations)


def test_a_body_that_is_cut_short_reaches_no_container_and_counts_nowhere(
    endpoint: ServerlessEndpoint, call: Callable[[str], str]
) -> None:
    before, arrived = int(call("count")), len(endpoint.invocations)
    for _ in range(20):
        with connect(endpoint) as connection:
            connection.sendall(head(endpoint, 100) + b"only this")
    assert int(call("count")) == before + 1
    assert len(endpoint.invocations) == arrived + 1


# The engine


@pytest.fixture(scope="module")
def own_engine(image: str) -> Iterator[PrivateEngine]:
    if reason := impossible():
        pytest.skip(reason)
    with private_engine() as engine:
        engine.load(image)
        yield engine


# Docker's SDK leaves it to the garbage collector to close a socket that was refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_that_ends_under_load_and_starts_again_costs_the_requests_of_that_time_only(
    own_engine: PrivateEngine, image: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own_engine.url)
    told: list[tuple[float, str]] = []
    over = threading.Event()

    def load(endpoint: ServerlessEndpoint) -> None:
        with caller(endpoint) as call:
            while not over.is_set():
                answer = call("sleep 0.1")
                told.append((time.monotonic(), answer))
                over.wait(0 if answer == "sleep 0.1" else 0.05)

    with ServerlessEndpoint(image, max_concurrency=4) as endpoint:
        with ThreadPoolExecutor(4) as threads:
            callers = [threads.submit(load, endpoint) for _ in range(4)]
            try:
                until(lambda: len(told) > 20)
                killed = time.monotonic()
                own_engine.end(number)
                time.sleep(0.5)
                own_engine.start()
                back = time.monotonic()
                until(lambda: time.monotonic() > back + 2)
            finally:
                over.set()
        for done in callers:
            done.result()
        with caller(endpoint) as call:
            assert [call("echo") for _ in range(5)] == ["echo"] * 5
        assert all(one.answered for one in endpoint.invocations)
    answers = Counter(answer for _, answer in told)
    assert set(answers) <= {"sleep 0.1", *ANSWERS}, answers
    before = {answer for at, answer in told if at < killed}
    late = {answer for at, answer in told if at > back + 1.5}
    assert before == {"sleep 0.1"}
    assert late == {"sleep 0.1"}, answers
    client = own_engine.client()
    labels = [f"{owner.OWNER}={owner.me()}"]
    left = client.containers.list(all=True, filters={"label": labels})
    assert [(one.name, one.status, one.attrs["State"]) for one in left] == []
    client.close()


# Many


REQUESTS, WARM_UP, AT_ONCE = 4_000, 1_200, 8
LEAK_BYTES = 500
"""Of a request, at most; the journal's thousand are full after the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """What a process has open."""

    threads: int
    handles: int
    containers: int


class Serve:
    """`byoc serve` in a process of its own, which can be looked at from outside."""

    def __init__(self, image: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "emulator.cli", "serve", image, "--port", "0", "--json",
             "--name", "many", "--max-concurrency", str(AT_ONCE)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.process = psutil.Process(self.popen.pid)
        self.reports: Counter[str] = Counter()
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            told = json.loads(line)
            if told["event"] == "Invocation":
                self.reports[told["error"] or "answered"] += 1
            elif told["event"] == "InService":
                self.url = told["environment"]["AWS_ENDPOINT_URL"]
                self._ready.set()

    def wait(self) -> None:
        assert self._ready.wait(20), "it is not InService"

    def holds(self) -> Holds:
        return Holds(
            threads=self.process.num_threads(),
            handles=self.process.num_fds(),
            containers=len(left_by(self.popen.pid)),
        )

    def close(self) -> None:
        self.popen.terminate()
        self.popen.wait(40)
        self._reader.join()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


def send(url: str, count: int) -> Counter[str]:
    """So many requests, each with a body of its own, one after another on one connection."""
    told: Counter[str] = Counter()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for number in range(count):
        body = f"{threading.get_ident()} {number}".encode()
        connection.request("POST", "/endpoints/many/invocations", body=body)
        answer = connection.getresponse()
        told["echoed" if answer.read() == body else f"HTTP {answer.status}"] += 1
    connection.close()
    return told


def send_at_once(url: str, requests: int) -> Counter[str]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        shares = [threads.submit(send, url, requests // AT_ONCE) for _ in range(AT_ONCE)]
        return sum((share.result() for share in shares), Counter())


def test_thousands_of_requests_are_answered_once_each_and_leave_nothing(image: str) -> None:
    serve = Serve(image)
    try:
        serve.wait()
        assert send_at_once(serve.url, WARM_UP) == {"echoed": WARM_UP}
        before, memory = serve.holds(), serve.process.memory_info().rss
        assert send_at_once(serve.url, REQUESTS) == {"echoed": REQUESTS}
        after = serve.holds()
        grown = serve.process.memory_info().rss - memory
    finally:
        serve.close()
    assert after.containers == before.containers == AT_ONCE
    # A call to the engine may be under way; what leaks with each request would be thousands.
    assert after.threads <= before.threads + 8
    assert after.handles <= before.handles + 8
    assert grown < REQUESTS * LEAK_BYTES
    assert serve.popen.returncode == 0
    assert serve.reports == {"answered": REQUESTS + WARM_UP}
    assert left_by(serve.popen.pid) == []

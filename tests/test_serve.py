"""Owns: `byoc serve` as a process: what it prints, how it ends, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from botocore.config import Config

from emulator import owner

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "byoc-reference:latest"
SLOW_START = "byoc-fault-slow-start:latest"


class Process:
    """`byoc serve`, started."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "emulator.cli", "serve", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.owner = f"{owner.host()}/{self.popen.pid}/"

    def line(self, seconds: float = 20) -> str:
        """The next one on stdout, read unbuffered, so that waiting for it can time out."""
        assert self.popen.stdout is not None
        got = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            while not got.endswith(b"\n"):
                assert selector.select(seconds), f"no line within {seconds} s; so far: {got!r}"
                more = os.read(self.popen.stdout.fileno(), 1)
                assert more, f"it ended: {self.popen.communicate()}"
                got += more
        return got.decode().rstrip("\n")

    def ended(self, seconds: float = 20) -> tuple[int, str, str]:
        out, err = self.popen.communicate(timeout=seconds)
        return self.popen.returncode, out.decode(), err.decode()

    def containers(self, engine: docker.DockerClient) -> list[Any]:
        """Those that it started, the dead ones too."""
        found = engine.containers.list(
            all=True, filters={"label": owner.OWNER}, ignore_removed=True
        )
        return [one for one in found if one.labels[owner.OWNER].startswith(self.owner)]

    def wait_for_container(self, engine: docker.DockerClient) -> None:
        until = time.monotonic() + 20
        while not self.containers(engine):
            assert time.monotonic() < until, "no container was started"
            assert self.popen.poll() is None, self.popen.communicate()
            time.sleep(0.02)


@contextmanager
def serve(*arguments: str) -> Iterator[Process]:
    process = Process(arguments)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.terminate()
        process.popen.communicate(timeout=40)


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def invoke(environment: dict[str, str], name: str, body: bytes = b"5.1,3.5,1.4,0.2") -> bytes:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        answer = client.invoke_endpoint(EndpointName=name, Body=body, ContentType="text/csv")
        return bytes(answer["Body"].read())
    finally:
        client.close()


def exports(process: Process) -> dict[str, str]:
    lines = [process.line() for _ in range(5)]
    assert all(line.startswith("export ") for line in lines)
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def test_it_tells_what_to_export_and_reports_each_call(engine: docker.DockerClient) -> None:
    with serve(REFERENCE, "--port", "0", "--name", "iris", "--max-concurrency", "2") as process:
        head = process.line()
        environment = exports(process)
        url = environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
        assert head == f"endpoint iris is InService at {url}"
        assert invoke(environment, "iris").startswith(b"setosa")
        report = process.line()
        assert report.startswith("REPORT Request: 1  Duration: ")
        assert report.endswith("Instance: 1")
        with pytest.raises(Exception, match="ModelError"):
            invoke(environment, "iris", b"not numbers")
        assert process.line().endswith("ModelError")
        process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == (0, "", "")
        assert process.containers(engine) == []


def test_with_json_each_line_is_an_object() -> None:
    with serve(REFERENCE, "--port", "0", "--json") as process:
        ready = json.loads(process.line())
        assert (ready["event"], ready["endpoint"]) == ("InService", "byoc-reference")
        invoke(ready["environment"], "byoc-reference")
        told = json.loads(process.line())
        assert told["event"] == "Invocation"
        assert told["answered"]
        assert told["error"] == ""
        assert told["seconds"] >= told["model_seconds"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(engine: docker.DockerClient, number: signal.Signals) -> None:
    with serve(REFERENCE, "--port", "0") as process:
        process.line()
        process.popen.send_signal(number)
        code, _, errors = process.ended()
        assert (code, errors) == (0, "")
        assert process.containers(engine) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_it_is_in_service_ends_it_as_well(
    engine: docker.DockerClient, number: signal.Signals
) -> None:
    with serve(SLOW_START, "--port", "0") as process:
        process.wait_for_container(engine)
        began = time.monotonic()
        process.popen.send_signal(number)
        assert process.ended() == (0, "", "")
        assert time.monotonic() - began < 5
        assert process.containers(engine) == []


def test_signals_while_it_ends_change_nothing(engine: docker.DockerClient) -> None:
    with serve(SLOW_START, "--port", "0") as process:
        process.wait_for_container(engine)
        for _ in range(5):
            process.popen.send_signal(signal.SIGINT)
            process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == (0, "", "")
        assert process.containers(engine) == []


def test_a_call_in_flight_is_answered_when_it_ends(engine: docker.DockerClient) -> None:
    with serve("byoc-fault-slow-invocation:latest", "--port", "0", "--name", "slow") as process:
        process.line()
        url = exports(process)["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"].removeprefix("http://")
        host, _, port = url.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                b"POST /endpoints/slow/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: text/csv\r\nContent-Length: 15\r\n\r\n5.1,3.5,1.4,0.2"
            )
            time.sleep(0.5)
            process.popen.send_signal(signal.SIGTERM)
            assert connection.recv(4096).startswith(b"HTTP/1.1 424 ")
        assert process.ended(40)[0] == 0
        assert process.containers(engine) == []


def test_a_reader_that_stops_reading_does_not_keep_it_from_ending(
    engine: docker.DockerClient,
) -> None:
    with serve(REFERENCE, "--port", "0", "--json") as process:
        ready = json.loads(process.line())
        for _ in range(300):  # their reports are more than a pipe holds
            invoke(ready["environment"], ready["endpoint"])
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(20) == 0
        assert process.containers(engine) == []


# What cannot start


def test_a_port_that_is_taken_is_one_paragraph_and_exit_code_4(engine: docker.DockerClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve(REFERENCE, "--port", str(port)) as process:
            code, out, errors = process.ended()
            assert (code, out) == (4, "")
            assert errors == (
                f"byoc: port {port} cannot be used (Address already in use); take another one with"
                " --port, or 0 for one that is free.\n"
            )
            assert process.containers(engine) == []


def test_an_image_that_is_not_there_is_exit_code_4() -> None:
    with serve("byoc-no-such-image:latest", "--port", "0") as process:
        code, out, errors = process.ended()
        assert (code, out) == (4, "")
        assert errors.startswith("byoc: ")
        assert "byoc-no-such-image:latest" in errors
        assert errors.count("\n") == 1


def test_a_broken_image_is_exit_code_1_with_its_reason(engine: docker.DockerClient) -> None:
    with serve("byoc-fault-missing-module:latest", "--port", "0") as process:
        code, out, errors = process.ended()
        assert (code, out) == (1, "")
        assert errors.startswith("byoc: the endpoint failed. Unable to successfully stand up your")
        assert "exited with code" in errors
        assert process.containers(engine) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--memory", "2000"), "memory is one of"),
        (("--max-concurrency", "0"), "max_concurrency is from 1 to 200"),
        (("--env", "NOVALUE"), "--env 'NOVALUE' must be NAME=VALUE."),
        (("--port", "70000"), "a port is from 0 to 65535"),
        (("--port", "many"), "invalid int value"),
        (("--idle-seconds", "nan"), "idle_seconds is more than 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_exit_code_4_and_no_traceback(arguments: tuple[str, ...], text: str) -> None:
    with serve(REFERENCE, *arguments) as process:
        code, out, errors = process.ended()
        assert (code, out) == (4, "")
        assert text in errors
        assert "Traceback" not in errors


def test_an_engine_that_does_not_answer_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with serve(REFERENCE, "--port", "0") as process:
        code, out, errors = process.ended()
        assert (code, out) == (2, "")
        assert errors.startswith("byoc: ")
        assert "Traceback" not in errors

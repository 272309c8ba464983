"""Owns: `byoc serve` as a process: what it prints, how it ends, and that it leaves nothing."""

from __future__ import annotations

import fcntl
import json
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import docker
import pyte
import pytest
from botocore.config import Config

import emulator
from emulator import owner
from tests.obedient_image import obedient

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
        endpoint_url=environment["AWS_ENDPOINT_URL"],
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


def event(process: Process, *names: str) -> dict[str, Any]:
    """The next one of these, of what `--json` tells."""
    while True:
        told = json.loads(process.line())
        assert isinstance(told, dict)
        if told["event"] in names:
            return told


def test_it_tells_what_to_export_and_reports_each_call(engine: docker.DockerClient) -> None:
    with serve(REFERENCE, "--port", "0", "--name", "iris", "--max-concurrency", "2") as process:
        head = process.line()
        environment = exports(process)
        url = environment["AWS_ENDPOINT_URL"]
        assert head == f"endpoint iris is InService at {url}"
        assert invoke(environment, "iris").startswith(b"setosa")
        report = process.line()
        assert report.startswith("REPORT Request: 1  Duration: ")
        assert "Instance: 1" in report
        with pytest.raises(Exception, match="ModelError"):
            invoke(environment, "iris", b"not numbers")
        assert "ModelError  HTTP 400" in process.line()
        process.popen.send_signal(signal.SIGTERM)
        code, out, errors = process.ended()
        assert (code, errors) == (0, "")
        assert out.endswith("endpoint iris is gone\n")
        assert process.containers(engine) == []


def test_with_json_each_line_is_an_object_and_nothing_is_left_out() -> None:
    with serve(REFERENCE, "--port", "0", "--json", "--logs") as process:
        assert json.loads(process.line())["event"] == "Listening"
        assert event(process, "Creating")["endpoint"] == "byoc-reference"
        ready = event(process, "InService")
        assert ready["endpoint"] == "byoc-reference"
        invoke(ready["environment"], "byoc-reference")
        told = event(process, "Invocation")
        assert told["answered"]
        assert told["error"] == ""
        assert told["seconds"] >= told["model_seconds"] > 0
        line = event(process, "Log")
        assert (line["instance"], bool(line["text"])) == (1, True)
        process.popen.send_signal(signal.SIGTERM)
        code, out, _ = process.ended()
        rest = [json.loads(line) for line in out.splitlines()]
        assert code == 0
        assert rest[-1]["event"] == "Deleted"
        gone = [one for one in rest if one["event"] == "Instance" and one["state"] == "gone"]
        assert [one["instance"] for one in gone] == [1]


def test_with_logs_a_containers_lines_are_told_with_their_instance() -> None:
    with serve(REFERENCE, "--port", "0", "--logs") as process:
        process.line()
        invoke(exports(process), "byoc-reference")
        lines = (process.line() for _ in range(20))
        assert next(line for line in lines if line.startswith("[1] "))


# Without an image

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def deploy(
    environment: dict[str, str],
    image: str = f"{REPOSITORY}/byoc-reference:latest",
    name: str = "iris",
) -> None:
    """What a deploy script does, up to the waiter."""
    client = boto3.client(
        "sagemaker",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        client.create_model(ModelName=name, PrimaryContainer={"Image": image})
        serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
        variant = {"VariantName": "v", "ModelName": name, "ServerlessConfig": serverless}
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        client.get_waiter("endpoint_in_service").wait(EndpointName=name)
    finally:
        client.close()


def test_without_an_image_it_waits_for_deploy_calls_and_tells_them(
    engine: docker.DockerClient,
) -> None:
    with serve("--port", "0") as process:
        assert process.line().endswith("waiting for deploy calls")
        environment = exports(process)
        with pytest.raises(Exception, match="Using non-ECR image"):
            deploy(environment, "python:3.11")
        with pytest.raises(Exception, match="Failed"):
            deploy(environment, f"{REPOSITORY}/byoc-fault-missing-module", "broken")
        deploy(environment)
        assert invoke(environment, "iris").startswith(b"setosa")
        process.popen.send_signal(signal.SIGTERM)
        code, out, errors = process.ended()
        assert (code, errors) == (0, "")
        assert process.containers(engine) == []
    refused = out.index("CreateModel iris: refused: ValidationException: Using non-ECR image")
    assert "change: PrimaryContainer.Image: Push the image to ECR" in out[refused:]
    assert re.search(
        r"endpoint broken: Failed after [\d.]+ s: Unable to .* exited with code 1.*\n(  \|.*\n)*"
        r"  \| ModuleNotFoundError",
        out,
    )
    ready = re.search(r"endpoint iris: InService after [\d.]+ s", out)
    assert ready is not None
    assert refused < ready.start() < out.index("Request: 1  Duration") < out.index("iris is gone")


@pytest.mark.parametrize(
    "flags", [["--memory", "3072"], ["--name", "x"], ["--env", "A=1"], ["--instance-count", "2"]]
)
def test_a_flag_of_the_images_endpoint_means_nothing_without_one(flags: list[str]) -> None:
    with serve(*flags) as process:
        code, out, errors = process.ended()
    assert (code, out) == (4, "")
    assert f"{flags[0]} is for the endpoint of an image, and none was named" in errors


@pytest.mark.quiet
def test_killed_while_deployed_endpoints_run_the_next_one_removes_what_was_left(
    engine: docker.DockerClient,
) -> None:
    with serve("--port", "0") as process:
        process.line()
        deploy(exports(process))
        process.popen.kill()
        process.popen.wait(10)
        assert process.containers(engine)
        with serve("--port", "0") as following:
            following.line()
            assert process.containers(engine) == []


# Before a person's eyes

AT_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that its keys make signals
from emulator.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Terminal:
    """`byoc serve` on a pseudo-terminal, and the screen that it makes."""

    def __init__(self, *arguments: str, columns: int = 100, rows: int = 30) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        environment = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR")}
        self.popen = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, "serve", *arguments],
            cwd=ROOT, env={**environment, "TERM": "xterm-256color"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        self.slave = slave

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, *told: str, seconds: float = 20) -> str:
        """Reads on until all of these are on the screen."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            while not all(one in " ".join(self.text().split()) for one in told):
                assert time.monotonic() < until, f"{told} did not come:\n{self.text()}"
                if selector.select(0.1):
                    self._stream.feed(os.read(self.master, 65536))
        return self.text()

    def ended(self, seconds: float = 20) -> int:
        """Its exit code, when everything that it wrote is on the screen."""
        code = self.popen.wait(seconds)
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            while selector.select(0.1):
                self._stream.feed(os.read(self.master, 65536))
        return code

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(20)
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Any]:
    opened: list[Terminal] = []

    def start(*arguments: str, **size: int) -> Terminal:
        opened.append(Terminal(*arguments, **size))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_on_a_terminal_the_endpoint_stays_in_view_and_the_terminal_is_left_as_it_was(
    terminal: Any,
) -> None:
    seen = terminal(REFERENCE, "--port", "0", "--name", "iris", "--max-concurrency", "2")
    shown = seen.wait_for("InService", "concurrency", "0/2", "invocations 0", "Ctrl-C ends it")
    (url,) = re.findall(r"export AWS_ENDPOINT_URL=(\S+)", shown)
    environment = {
        "AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
    }  # fmt: skip
    invoke(environment, "iris")
    with pytest.raises(Exception, match="ModelError"):
        invoke(environment, "iris", b"not numbers")
    shown = seen.wait_for("REPORT Request: 2", "invocations 2", "errors 1 (ModelError 1)", "idle")
    assert shown.index("REPORT Request: 1") < shown.index("InService")
    assert re.search(r"^ +1  idle", shown, re.MULTILINE)
    assert not termios.tcgetattr(seen.slave)[3] & termios.ECHO
    assert os.get_blocking(seen.slave), "it is standard output as well, which must not fail"
    seen.press("l")
    seen.wait_for("l hides container logs", "[1] ")
    seen.press("\x03")  # as Ctrl-C comes: the terminal makes a signal of it
    seen.wait_for("endpoint iris is gone: 2 invocations, 0 cold starts, 0 throttles, 1 error")
    assert seen.ended() == 0
    assert "InService" not in seen.text(), "the frame is gone; the reports stay"
    assert "REPORT Request: 1" in seen.text()
    assert not seen.screen.cursor.hidden
    assert termios.tcgetattr(seen.slave) == seen.before


def test_while_creating_a_terminal_tells_what_is_waited_for(terminal: Any) -> None:
    seen = terminal(SLOW_START, "--port", "0", columns=80)
    seen.wait_for("Creating", "s of 180 s", "/ping said last")
    seen.press("\x03")
    assert seen.ended() == 0
    assert termios.tcgetattr(seen.slave) == seen.before


def test_a_failure_on_a_terminal_is_told_with_the_containers_last_lines(terminal: Any) -> None:
    seen = terminal("byoc-fault-missing-module:latest", "--port", "0")
    seen.wait_for("Unable to successfully stand up your model", "exited with code")
    seen.wait_for("| ModuleNotFoundError")
    assert seen.ended() == 1
    assert not seen.screen.cursor.hidden


# How it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(engine: docker.DockerClient, number: signal.Signals) -> None:
    with serve(REFERENCE, "--port", "0") as process:
        process.line()
        process.popen.send_signal(number)
        code, out, errors = process.ended()
        assert (code, errors) == (0, "")
        *_, ending, gone = out.splitlines()
        assert ending.startswith("endpoint byoc-reference is Deleting: SIGTERM to its containers")
        assert gone == "endpoint byoc-reference is gone"
        assert process.containers(engine) == []


def test_ctrl_c_while_it_is_still_being_loaded_is_no_traceback() -> None:
    code = (
        "import os, signal, sys; from emulator import cli;"
        "sys.meta_path.insert(0, type('Interrupts', (), {'find_spec': staticmethod(lambda name, *a:"
        " os.kill(os.getpid(), signal.SIGINT) if name == 'emulator.serve' else None)}));"
        f"sys.exit(cli.main(['serve', {REFERENCE!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_it_is_in_service_ends_it_as_well(
    engine: docker.DockerClient, number: signal.Signals
) -> None:
    with serve(SLOW_START, "--port", "0") as process:
        process.wait_for_container(engine)
        began = time.monotonic()
        process.popen.send_signal(number)
        code, out, errors = process.ended()
        assert (code, errors) == (0, "")
        assert out.endswith(" is gone\n")
        assert time.monotonic() - began < 5
        assert process.containers(engine) == []


def test_signals_while_it_ends_change_nothing(engine: docker.DockerClient) -> None:
    with serve(SLOW_START, "--port", "0") as process:
        process.wait_for_container(engine)
        for _ in range(5):
            process.popen.send_signal(signal.SIGINT)
            process.popen.send_signal(signal.SIGTERM)
        code, out, errors = process.ended()
        assert (code, errors) == (0, "")
        assert len(out.splitlines()) == 2, "it ends once"
        assert process.containers(engine) == []


def test_a_call_in_flight_is_answered_when_it_ends(engine: docker.DockerClient) -> None:
    with serve(obedient(), "--port", "0", "--name", "slow") as process:
        process.line()
        url = exports(process)["AWS_ENDPOINT_URL"].removeprefix("http://")
        host, _, port = url.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                b"POST /endpoints/slow/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: text/csv\r\nContent-Length: 8\r\n\r\nsleep 20"
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
        ready = event(process, "InService")
        for _ in range(300):  # their reports are more than a pipe holds
            invoke(ready["environment"], ready["endpoint"])
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(20) == 0
        assert process.containers(engine) == []


# In a program


def test_a_program_has_the_page_the_logs_and_what_to_export() -> None:
    with emulator.ServerlessEndpoint(image=REFERENCE, memory_mb=2048) as endpoint:
        invoke(endpoint.environment, endpoint.name)
        until = time.monotonic() + 10
        while not (lines := endpoint.logs()):  # it may write after it answered
            assert time.monotonic() < until
            time.sleep(0.02)
        assert lines == ["POST /invocations 200 1 rows"]
        with urllib.request.urlopen(endpoint.url, timeout=10) as answer:
            assert "text/html" in answer.headers["Content-Type"]
        with urllib.request.urlopen(f"{endpoint.url}/logs?instance=1", timeout=10) as answer:
            assert answer.read() == b"POST /invocations 200 1 rows\n"
        assert [one.error for one in endpoint.invocations] == [""]
        with urllib.request.urlopen(f"{endpoint.url}/metrics", timeout=10) as answer:
            assert b"byoc_" in answer.read()
        told = endpoint.client("cloudwatch").list_metrics(Namespace="AWS/SageMaker")["Metrics"]
        assert "Invocations" in {metric["MetricName"] for metric in told}
        group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
        events = endpoint.client("logs").filter_log_events(logGroupName=group)["events"]
        assert [event["message"] for event in events] == lines
    assert endpoint.logs()[: len(lines)] == lines, "what was seen stays"
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        _ = endpoint.url


def test_a_real_time_endpoint_is_asked_for_by_its_profile(engine: docker.DockerClient) -> None:
    flags = ("--profile", "realtime", "--instance-count", "2", "--memory", "1500", "--json")
    with serve(REFERENCE, "--port", "0", *flags) as process:
        ready = event(process, "InService")
        assert ready["profile"] == "realtime"
        assert len(process.containers(engine)) == 2
        invoke(ready["environment"], ready["endpoint"])
        assert event(process, "Invocation")["setup_seconds"] == 0


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
        (("--host", "no.such.host.invalid"), "the host 'no.such.host.invalid' cannot be found"),
        (("--host", "192.0.2.1", "--port", "0"), "port 0 of 192.0.2.1 cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_exit_code_4_and_no_traceback(arguments: tuple[str, ...], text: str) -> None:
    with serve(REFERENCE, *arguments) as process:
        code, out, errors = process.ended()
        assert (code, out) == (4, "")
        assert errors.startswith(f"byoc: {text}")
        assert errors.count("\n") == 1


def test_an_engine_that_does_not_answer_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with serve(REFERENCE, "--port", "0") as process:
        code, out, errors = process.ended()
        assert (code, out) == (2, "")
        assert errors.startswith("byoc: ")
        assert "Traceback" not in errors

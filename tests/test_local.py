"""Owns: a live endpoint with real containers, as a user's own test has it: boto3 finds it by one
variable, throttles and cold starts are real, containers may die, and none is left.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import emulator.fixtures_plugin
from emulator import owner
from emulator.endpoint_state import Invocation
from emulator.engines import ImageNotFound
from emulator.local import EndpointFailed, ServerlessEndpoint
from tests.obedient_image import obedient

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parent.parent
CSV = b"5.1,3.5,1.4,0.2\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def ours(engine: docker.DockerClient) -> list[Any]:
    """Containers of endpoints of this process, the dead ones too."""
    labels = [f"{owner.OWNER}={owner.me()}", f"{owner.ROLE}=endpoint"]
    return engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ServerlessEndpoint]:
    with ServerlessEndpoint("byoc-reference:latest", max_concurrency=4) as running:
        yield running


def once(endpoint: ServerlessEndpoint, **config: Any) -> Any:
    """A client that does not try again."""
    settings = Config(retries={"total_max_attempts": 1}, max_pool_connections=20, **config)
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=settings,
    )


def invoke(endpoint: ServerlessEndpoint, body: bytes = CSV) -> bytes:
    client = endpoint.client()
    answer = client.invoke_endpoint(
        EndpointName=endpoint.name, Body=body, ContentType="text/csv", Accept="text/csv"
    )
    told = answer["Body"].read()
    client.close()
    assert isinstance(told, bytes)
    return told


def last(endpoint: ServerlessEndpoint) -> Invocation:
    return endpoint.invocations[-1]


# As users have it


def test_the_example_in_the_fixtures_docstring_is_a_test_that_passes(tmp_path: Path) -> None:
    said = emulator.fixtures_plugin.__doc__ or ""
    example = said[said.index("    pytest_plugins") : said.index("`serverless_endpoint` takes")]
    test = tmp_path / "test_example.py"
    deploying = """
    def test_what_deploys_finds_a_sagemaker_of_its_own(local_sagemaker):
        assert local_sagemaker.client().list_models()["Models"] == []
        local_sagemaker.reset()
    """
    test.write_text(textwrap.dedent(example))
    assert len([line for line in test.read_text().splitlines() if line.strip()]) <= 10
    test.write_text(test.read_text() + textwrap.dedent(deploying))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", str(tmp_path), str(test)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_plain_boto3_needs_one_variable_only(
    endpoint: ServerlessEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    assert "AWS_ENDPOINT_URL" in endpoint.environment
    client = boto3.session.Session().client("sagemaker-runtime")
    answer = client.invoke_endpoint(EndpointName=endpoint.name, Body=CSV, ContentType="text/csv")
    assert answer["Body"].read().startswith(b"setosa,")
    assert answer["ContentType"].startswith("text/csv")
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    client.close()


def test_a_containers_refusal_is_a_model_error(endpoint: ServerlessEndpoint) -> None:
    client = once(endpoint)
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName=endpoint.name, Body=b"x", ContentType="image/png")
    assert caught.value.response["OriginalStatusCode"] == 415
    client.close()


def test_the_container_has_the_memory_and_the_cpu_share_of_its_size(
    endpoint: ServerlessEndpoint, engine: docker.DockerClient
) -> None:
    invoke(endpoint)
    settings = ours(engine)[0].attrs["HostConfig"]
    assert settings["Memory"] == settings["MemorySwap"] == 2048 * 1024 * 1024
    assert settings["NanoCpus"] == 1_160_000_000


# Seeing it


def test_a_frozen_endpoint_answers_and_tells_its_memory_and_its_lines(
    engine: docker.DockerClient,
) -> None:
    others = {container.id for container in ours(engine)}
    with ServerlessEndpoint("byoc-reference:latest", name="still", freeze=True) as still:
        (mine,) = [container for container in ours(engine) if container.id not in others]
        for _ in range(2):
            until = time.monotonic() + 5
            while mine.reload() or mine.status != "paused":
                assert time.monotonic() < until, f"it is not frozen but {mine.status}"
                time.sleep(0.05)
            assert invoke(still).startswith(b"setosa,")
        record = last(still)
        assert not record.cold
        assert (record.sent_bytes, record.status) == (len(CSV), 200)
        assert record.memory_bytes is not None
        assert 1 << 20 < record.memory_bytes < 2 << 30
        assert f"Memory: {-(-record.memory_bytes >> 20)} MB" in record.line()
        lines = still.logs()
        assert sum("POST /invocations 200" in line for line in lines) == 2, lines
        with pytest.raises(RuntimeError, match="open already"):
            still.__enter__()
    assert (len(still.invocations), still.logs()[: len(lines)]) == (2, lines), "what was seen stays"
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        still.client()
    assert {container.id for container in ours(engine)} <= others


# Death


@pytest.mark.parametrize("wait", [True, False], ids=["noticed", "at once"])
def test_after_a_kill_between_requests_the_next_call_works(
    endpoint: ServerlessEndpoint, engine: docker.DockerClient, wait: bool
) -> None:
    invoke(endpoint)
    for container in ours(engine):
        container.kill()
    until = time.monotonic() + 5
    while wait and ours(engine) and time.monotonic() < until:
        time.sleep(0.05)
    assert invoke(endpoint).startswith(b"setosa,")
    assert last(endpoint).cold


def test_a_kill_in_the_middle_of_a_request_is_a_model_error_and_the_next_call_works(
    engine: docker.DockerClient,
) -> None:
    with ServerlessEndpoint(obedient(), max_concurrency=1) as slow:
        client = once(slow)
        (container,) = [c for c in ours(engine) if obedient() in c.image.tags]
        killer = threading.Timer(0.5, container.kill)
        killer.start()
        began = time.monotonic()
        with pytest.raises(client.exceptions.ModelError, match="could not get a response"):
            client.invoke_endpoint(EndpointName=slow.name, Body=b"sleep 5")
        assert time.monotonic() - began < 3
        killer.join()
        assert invoke(slow, b"count") == b"0"
        assert last(slow).cold
        client.close()


# Scale


def test_sixteen_callers_of_four_places_are_four_answers_and_twelve_throttles(
    engine: docker.DockerClient,
) -> None:
    with ServerlessEndpoint(obedient(), max_concurrency=4) as slow:
        client = once(slow)
        together = threading.Barrier(16)

        def call(_: int) -> str:
            together.wait()
            try:
                client.invoke_endpoint(EndpointName=slow.name, Body=b"sleep 1.5")
            except ClientError as error:
                return str(error)
            return "answered"

        with ThreadPoolExecutor(16) as threads:
            told = Counter(threads.map(call, range(16)))
        throttled = (
            "An error occurred (ThrottlingException) when calling the InvokeEndpoint operation"
            " (reached max retries: 0): None"
        )
        assert told == {"answered": 4, throttled: 12}
        assert slow.errors == {"ThrottlingException": 12}
        assert len(ours(engine)) >= 4
        assert sum(one.cold for one in slow.invocations) == 3, "the first instance was warm"
        client.close()


def test_an_idle_endpoint_scales_to_nothing_and_the_next_call_is_a_cold_start(
    engine: docker.DockerClient,
) -> None:
    with ServerlessEndpoint(obedient(), name="idle", idle_seconds=1.5) as idle:
        mine = list(ours(engine))
        began = time.monotonic()
        while len(ours(engine)) >= len(mine):
            assert time.monotonic() - began < 8, "it was not stopped"
            time.sleep(0.1)
        assert time.monotonic() - began > 1
        assert invoke(idle, b"count") == b"0"
        assert last(idle).cold
        assert last(idle).setup_seconds > 0.1


# What cannot start


def test_a_broken_image_fails_in_seconds_with_its_reason_and_leaves_nothing(
    engine: docker.DockerClient,
) -> None:
    before = {container.id for container in ours(engine)}
    began = time.monotonic()
    with (
        pytest.raises(EndpointFailed, match=r"stand up your model.*exited with code"),
        ServerlessEndpoint("byoc-fault-missing-module:latest"),
    ):
        pytest.fail("it cannot be InService")
    assert time.monotonic() - began < 3
    assert {container.id for container in ours(engine)} <= before


def test_an_interrupted_start_leaves_nothing(engine: docker.DockerClient) -> None:
    """As when Ctrl-C stops a test run that waits for a container which is not ready."""
    program = textwrap.dedent("""
        import signal, threading, os, time
        from emulator.local import ServerlessEndpoint
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            with ServerlessEndpoint("byoc-fault-slow-start:latest"):
                print("InService?")
        except KeyboardInterrupt:
            from emulator import owner
            import docker
            client = docker.from_env()
            filters = {"label": f"{owner.OWNER}={owner.me()}"}
            print("interrupted", client.containers.list(all=True, filters=filters))
    """)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert ran.stdout == "interrupted []\n", ran.stdout + ran.stderr


def test_an_image_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ImageNotFound), ServerlessEndpoint("byoc-no-such-image:latest"):
        pytest.fail("it cannot be InService")

"""Owns: what a real engine's containers tell and do that only an endpoint asks: memory, freezing,
their log line by line.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.engines import Capability, EngineUnavailable
from emulator.engines.connect import connect
from emulator.engines.docker_engine import DockerEngine
from emulator.http import AiohttpHttp, Outcome
from emulator.instance import PING
from tests.test_docker_engine import ENDS_ON_TERM, IMAGE, MIB, python, server, until

pytestmark = pytest.mark.docker

FILLS = "import time; held = bytearray(64 * 2**20); print('ready', flush=True); time.sleep(600)"
WRITES = "import sys, time; print('one'); print('two', file=sys.stderr); print('three');"
KILLED = f"""
import asyncio, os
from emulator.engines import ContainerSpec
from emulator.engines.docker_engine import DockerEngine

async def main():
    container = await DockerEngine().start(ContainerSpec(image={IMAGE!r}, command=("sleep", "600")))
    await container.freeze()
    print(container.id, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner) -> Iterator[DockerEngine]:
    engine = DockerEngine()
    assert runner.run(engine.unavailable()) is None
    yield engine
    runner.run(engine.close())


@pytest.fixture
def start(engine: DockerEngine, runner: asyncio.Runner) -> Iterator[Callable[..., Any]]:
    started: list[Any] = []

    def start(spec: Any) -> Any:
        started.append(runner.run(engine.start(spec)))
        return started[-1]

    yield start
    for container in started:
        runner.run(container.stop(0))


def test_docker_can_freeze_and_measure(engine: DockerEngine) -> None:
    assert {Capability.FREEZE, Capability.MEMORY} <= engine.capabilities


def test_a_frozen_container_answers_nothing_and_goes_on_when_it_is_thawed(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container, http = start(server()), AiohttpHttp()

    async def story() -> list[Any]:
        async def ask(seconds: float) -> Any:
            return await http.send(container.base_url, PING, seconds)

        first = await until(lambda: ask(2.0), lambda reply: reply.status is not None)
        await container.freeze()
        await container.freeze()
        still = await ask(0.3)
        alive = await container.exit_code()
        await container.thaw()
        await container.thaw()
        after = await ask(5.0)
        await http.close()
        return [first.status, still.outcome, alive, after.status]

    assert runner.run(story()) == [404, Outcome.TIMEOUT, None, 404]


def test_a_frozen_container_that_is_stopped_ends_in_order(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(ENDS_ON_TERM))
    runner.run(until(container.logs, lambda log: "ready" in log))
    runner.run(container.freeze())
    stopped = runner.run(container.stop(10))
    assert (stopped.exit_code, stopped.killed) == (3, False)


def test_freezing_what_has_ended_is_nothing(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("pass"))
    runner.run(until(container.exit_code, lambda code: code is not None))
    for _ in range(2):
        runner.run(container.freeze())
        runner.run(container.thaw())
        runner.run(container.stop(0))


@pytest.mark.quiet
def test_a_frozen_leftover_of_a_killed_run_is_swept(
    engine: DockerEngine, runner: asyncio.Runner
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9, done.stderr
    identity = done.stdout.strip()
    client = connect()
    try:
        assert client.containers.get(identity).status == "paused"
        assert runner.run(engine.sweep()), "what was removed is told"
        assert not client.containers.list(all=True, filters={"id": identity})
    finally:
        client.close()


def test_memory_is_what_the_container_holds_now_and_at_most(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(FILLS, memory_bytes=256 * MIB))
    runner.run(until(container.logs, lambda log: "ready" in log))
    memory = runner.run(container.memory())
    assert 64 * MIB < memory.used_bytes <= memory.peak_bytes < 200 * MIB


def test_an_engine_elsewhere_tells_the_memory_too(
    start: Callable[..., Any], runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.engines.docker_memory.on_host", lambda identity, pid: False)
    container = start(python(FILLS, memory_bytes=256 * MIB))
    runner.run(until(container.logs, lambda log: "ready" in log))
    memory = runner.run(container.memory())
    assert 64 * MIB < memory.used_bytes <= memory.peak_bytes < 200 * MIB


def test_of_a_container_that_is_gone_no_memory_is_told(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python("pass"))
    runner.run(container.stop(0))
    with pytest.raises(EngineUnavailable):
        runner.run(container.memory())


def test_log_lines_come_once_each_before_and_after_the_end(
    start: Callable[..., Any], runner: asyncio.Runner
) -> None:
    container = start(python(f"{WRITES} sys.stdout.flush(); time.sleep(600)"))
    lines = runner.run(until(container.log_lines, lambda found: len(found) == 3))
    assert sorted(line.text for line in lines) == ["one", "three", "two"]
    assert runner.run(container.log_lines(lines[-1].nanoseconds)) == []
    assert runner.run(container.log_lines(lines[0].nanoseconds)) == lines[1:]
    runner.run(container.stop(0))
    assert runner.run(container.log_lines()) == lines
    assert runner.run(container.log_lines(lines[1].nanoseconds)) == lines[2:]

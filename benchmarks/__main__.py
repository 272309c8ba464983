"""`python -m benchmarks`: what byoc costs, beside the plainest way of doing the same.

Owns: the measurements and their table. Must not know: how anything works inside. Both sides of a
ratio run interleaved in one process on one machine, so that its noise hits both.

    start to first inference   byoc's Instance against docker-SDK run + poll + POST (goal 1.15)
    crash to its report        from the container's end to byoc's report of it (goal 1 s)
    the whole check run        `pytest contract_tests` on the reference image (goal 15 s)

What a call through an endpoint costs is measured by `python -m benchmarks.endpoint`, what a deploy
call costs by `python -m benchmarks.control`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import docker
import requests

from emulator.clock import SystemClock, wall_clock
from emulator.engines import ContainerSpec
from emulator.engines.docker_engine import DockerEngine
from emulator.http import AiohttpHttp
from emulator.instance import Instance
from emulator.limits import MIB, Limits

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "byoc-reference:latest"
CRASHING = "byoc-fault-missing-module:latest"
PAYLOAD = ROOT / "fixtures" / "payloads" / "iris.json"
BODY = PAYLOAD.read_bytes()
ROUNDS = 9
MEMORY = 2048 * MIB
POLL_SECONDS = 0.02


def plain(client: docker.DockerClient) -> float:
    """The floor: what a careful ten-line script does."""
    began = perf_counter()
    container = client.containers.create(
        REFERENCE,
        ["serve"],
        ports={"8080/tcp": ("127.0.0.1", None)},
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
    )
    try:
        container.start()
        container.reload()
        port = container.ports["8080/tcp"][0]["HostPort"]
        base = f"http://127.0.0.1:{port}"
        while True:
            try:
                if requests.get(f"{base}/ping", timeout=2).status_code == 200:
                    break
            except requests.RequestException:
                pass
            sleep(POLL_SECONDS)
        reply = requests.post(
            f"{base}/invocations",
            data=BODY,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        reply.raise_for_status()
        return perf_counter() - began
    finally:
        container.remove(force=True, v=True)


async def ours(engine: DockerEngine, http: AiohttpHttp) -> float:
    """The same through byoc."""
    clock = SystemClock()
    began = perf_counter()
    spec = ContainerSpec(image=REFERENCE, memory_bytes=MEMORY)
    instance = await Instance.start(engine, spec, clock=clock, http=http, limits=Limits())
    try:
        report = await instance.wait_ready()
        assert report.ready, report.describe()
        reply = await instance.invoke(BODY, "application/json")
        assert reply.ok, str(reply)
        return perf_counter() - began
    finally:
        await instance.stop(0)


async def crash(engine: DockerEngine, http: AiohttpHttp, client: docker.DockerClient) -> float:
    """From the container's own end, as the engine dates it, to the report in our hands."""
    spec = ContainerSpec(image=CRASHING, memory_bytes=MEMORY)
    instance = await Instance.start(engine, spec, clock=SystemClock(), http=http, limits=Limits())
    try:
        report = await instance.wait_ready()
        told = wall_clock()
        assert report.exit_code not in (None, 0), report.describe()
        assert report.log_tail, "the report holds the last lines"
        state = client.api.inspect_container(instance.container.id)["State"]
        ended = datetime.fromisoformat(state["FinishedAt"][:26].rstrip("Z")).replace(tzinfo=UTC)
        return (told - ended).total_seconds()
    finally:
        await instance.stop(0)


def whole_run() -> float:
    began = perf_counter()
    command = [sys.executable, "-m", "pytest", "contract_tests", "--image", REFERENCE]
    command += ["--payload", str(PAYLOAD), "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    seconds = perf_counter() - began
    assert done.returncode == 0, done.stdout
    return seconds


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "n": len(values),
    }


async def measure() -> dict[str, Any]:
    client = docker.from_env()
    engine, http = DockerEngine(), AiohttpHttp()
    floor: list[float] = []
    mine: list[float] = []
    crashes: list[float] = []
    try:
        for _ in range(ROUNDS):
            floor.append(await asyncio.to_thread(plain, client))
            mine.append(await ours(engine, http))
        for _ in range(ROUNDS):
            crashes.append(await crash(engine, http, client))
    finally:
        await http.close()
        await engine.close()
    runs = [await asyncio.to_thread(whole_run) for _ in range(3)]
    return {
        "start to first inference, plain SDK (s)": spread(floor),
        "start to first inference, byoc (s)": spread(mine),
        "ratio of the medians (goal 1.15)": round(
            statistics.median(mine) / statistics.median(floor), 3
        ),
        "crash to report (s, goal 1)": spread(crashes),
        "whole check run (s, goal 15)": spread(runs),
    }


def main(show: Callable[[str], None] = print) -> None:
    show(json.dumps(asyncio.run(measure()), indent=2))


if __name__ == "__main__":
    main()

"""Owns: the share of the processor that a running container gets, on a real engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from emulator.clock import SystemClock
from emulator.engines import Capability, EngineUnavailable
from emulator.engines.docker_engine import DockerEngine
from tests.test_docker_engine import python

pytestmark = pytest.mark.docker

BUSY = python("while True: pass")
WATCHED_SECONDS = 1.0


async def measured() -> tuple[float, float]:
    """Shares of the processor that a busy container used: throttled, and with its share again."""
    clock, engine = SystemClock(), DockerEngine()
    assert await engine.unavailable() is None
    container = await engine.start(replace(BUSY, cpus=None))

    async def share() -> float:
        before = await container.cpu_seconds()
        began = clock.now()
        await clock.sleep(WATCHED_SECONDS)
        return (await container.cpu_seconds() - before) / (clock.now() - began)

    try:
        await container.throttle(0.0)
        await clock.sleep(WATCHED_SECONDS)  # what it owes from before
        least = await share()
        await container.throttle(1.0)
        whole = await share()
        await container.stop(0)
        await container.throttle(1.0)  # of one that ended there is nothing to change
        limited = await engine.start(replace(BUSY, cpus=0.5))
        try:
            with pytest.raises(EngineUnavailable, match="processor time"):
                await limited.throttle(0.1)
        finally:
            await limited.stop(0)
    finally:
        await container.stop(0)
        await engine.close()
    assert Capability.THROTTLE in engine.capabilities
    return least, whole


def test_a_running_container_gets_next_to_nothing_and_its_share_again() -> None:
    least, whole = asyncio.run(measured())
    assert least < 0.05
    assert whole > 2 * least

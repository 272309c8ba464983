"""Owns: that an update of a live endpoint works with real containers, and that a bad one changes
nothing.
All else of updates is in test_endpoint_update, in virtual time.
"""

from __future__ import annotations

import asyncio

import pytest

from emulator.clock import SystemClock
from emulator.endpoint import Endpoint
from emulator.endpoint_state import EndpointStatus
from emulator.engines import ContainerSpec
from emulator.engines.docker_engine import DockerEngine
from emulator.http import AiohttpHttp, Reply
from emulator.limits import MIB, Limits
from emulator.policy_events import PolicyConfig
from emulator.wire import Invoke
from emulator.wire_members import Operation
from tests.instance_automaton import Automaton

pytestmark = pytest.mark.docker


def spec(image: str, **environment: str) -> ContainerSpec:
    return ContainerSpec(image=image, environment=environment, memory_bytes=512 * MIB)


async def invoked(endpoint: Endpoint) -> Reply:
    body = b"5.1,3.5,1.4,0.2\n"
    return await endpoint.invoke(
        Invoke(operation=Operation.INVOKE, endpoint="iris", body=body, content_type="text/csv")
    )


def test_an_update_takes_over_and_one_that_cannot_start_changes_nothing() -> None:
    async def story() -> None:
        limits, engine, http = Limits(), DockerEngine(), AiohttpHttp()
        endpoint = Endpoint(
            "iris",
            spec("byoc-reference:latest"),
            PolicyConfig.of(limits, max_concurrency=2),
            engine=engine,
            http=http,
            clock=SystemClock(),
            limits=limits,
        )
        told = Automaton()
        endpoint.journal.watchers.append(told)
        try:
            await endpoint.create()
            config = endpoint.policy.config
            updated = spec("byoc-reference:latest", VERSION="2")
            update = asyncio.create_task(endpoint.update(updated, config))
            answered = 0
            while not update.done():
                assert (await invoked(endpoint)).ok
                answered += 1
            await update
            assert answered > 1, "the old version serves meanwhile"
            assert endpoint.spec is updated
            assert (await invoked(endpoint)).ok
            assert endpoint.journal.last[-1].instance == 2

            await endpoint.update(spec("byoc-fault-missing-module:latest"), config)
            assert "exited with code" in endpoint.failure_reason
            assert endpoint.status is EndpointStatus.IN_SERVICE
            assert (await invoked(endpoint)).ok
            lines = [line for line in endpoint.logs.lines() if line.instance == 3]
            assert any("ModuleNotFoundError" in line.text for line in lines), "why it failed"
            assert endpoint.journal.errors == {}
        finally:
            await endpoint.close()
            await http.close()
            await engine.close()
        assert told.wrong == []
        assert {one.state.value for one in told.last.values()} == {"gone"}

    asyncio.run(asyncio.wait_for(story(), 60))

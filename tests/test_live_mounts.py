"""Owns: that everything which follows endpoints does so from the first moment to the last, and
leaves nothing on them; without a container, without a server.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

from emulator.api.cloudwatch_moto import installed
from emulator.api.front import Mount
from emulator.endpoint_logs import LogBook
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import EndpointStatus, Journal
from emulator.live_mounts import mounts
from emulator.metrics_table import INVOCATIONS, MEMORY
from emulator.running import CallTold, EndpointTold, Fleet, Running
from emulator.testing import FakeClock
from emulator.view import Board

MIB = 2**20


class World:
    """The mounts of a fleet."""

    def __init__(self, *already: Running) -> None:
        self.fleet, self.stack = Fleet(), ExitStack()
        for running in already:
            self.fleet.opened(running)
        cloudwatch, prometheus, page = mounts(
            self.fleet, clock=FakeClock(), environment=dict, stack=self.stack
        )
        self.moto, self.prometheus, self.page = (
            _app(one) for one in (cloudwatch, prometheus, page)
        )

    def metrics(self, region: str = "us-east-1") -> dict[tuple[str, ...], Any]:
        """What CloudWatch is told, by the dimensions: a snapshot."""
        hand_over = asyncio.run(self.moto._prepare("monitoring", region))
        hand_over()
        return {tuple(one.dimensions.values()): one for one in installed()._snapshots}

    def counted(self) -> list[str]:
        lines = self.prometheus.text().splitlines()
        return [line for line in lines if line.startswith("byoc_invocations_total{")]

    def shown(self) -> str:
        return str(self.page._site.message())


def _app(mount: Mount) -> Any:
    return mount.app


def running(name: str = "iris", variant: str = "AllTraffic", **more: Any) -> Running:
    policy = SimpleNamespace(config=SimpleNamespace(max_concurrency=4, provisioned=0))
    driver: Any = SimpleNamespace(
        status=EndpointStatus.IN_SERVICE, failure_reason="", journal=Journal(), logs=LogBook(),
        policy=policy,
    )  # fmt: skip
    return Running(
        region="us-east-1", endpoint_name=name, variant=variant, endpoint=driver,
        setup=Setup(image="iris", name=name, **more),
        board=Board(driver.journal, max_concurrency=4),
    )  # fmt: skip


def answer(one: Running, **more: Any) -> None:
    record = one.endpoint.journal.begin(0.0)
    record.status = 200
    for name, value in more.items():
        setattr(record, name, value)
    one.endpoint.journal.end(record, 1.0)


def test_each_variant_is_followed_from_its_first_request_on() -> None:
    before = running("before")
    world = World(before)
    both = [running("iris", variant) for variant in ("a", "b")]
    for one in both:
        world.fleet.opened(one)
    for one in (before, *both, both[1]):
        answer(one)
    told = {key: one.minutes for key, one in world.metrics().items()}
    counts = {
        key: sum(summary[INVOCATIONS].total for summary in minutes.values())
        for key, minutes in told.items()
    }
    assert counts == {("before", "AllTraffic"): 1, ("iris", "a"): 1, ("iris", "b"): 2}
    assert [line.rpartition(" ")[2] for line in world.counted()] == ["1", "1", "2"]
    assert all(f'"name":"{name}"' in world.shown() for name in ("before", "iris"))
    world.stack.close()


def test_one_that_is_gone_leaves_its_metrics_and_nothing_else() -> None:
    world, one = World(), running()
    world.fleet.opened(one)
    answer(one)
    world.fleet.closed(one)
    assert ("iris", "AllTraffic") in world.metrics()
    assert world.counted() == []
    assert '"name":"iris"' not in world.shown()
    world.stack.close()


def test_an_update_in_place_is_followed_once_with_its_new_memory() -> None:
    world, small = World(), running(memory_mb=1024)
    world.fleet.opened(small)
    listeners = len(small.endpoint.journal.listeners)
    answer(small, memory_bytes=512 * MIB)
    big = Running(
        region="us-east-1", endpoint_name="iris", variant="AllTraffic", endpoint=small.endpoint,
        setup=Setup(image="iris", memory_mb=2048), board=small.board,
    )  # fmt: skip
    world.fleet.opened(big)
    answer(big, memory_bytes=512 * MIB)
    assert len(small.endpoint.journal.listeners) == listeners
    (snapshot,) = world.metrics().values()
    shares = [summary[MEMORY] for summary in snapshot.minutes.values()]
    assert {value for summary in shares for value in summary.values} == {50.0, 25.0}
    world.stack.close()


def test_a_variant_of_unknown_memory_has_no_memory_metric() -> None:
    world, one = World(), running(profile="realtime", memory_mb=None)
    world.fleet.opened(one)
    answer(one, memory_bytes=512 * MIB)
    (snapshot,) = world.metrics().values()
    assert MEMORY not in snapshot.metrics()
    assert INVOCATIONS in snapshot.metrics()
    world.stack.close()


def test_when_all_closes_nothing_follows_the_fleet_any_more() -> None:
    world, one = World(), running()
    world.fleet.opened(one)
    world.stack.close()
    fleet = world.fleet
    assert len(one.endpoint.journal.listeners) == 2, "the board and the recorder, which are its own"
    assert (fleet.watchers, fleet.status_listeners, fleet.call_listeners) == ([], [], [])
    fleet.status(EndpointTold(region="us-east-1", name="iris", status=None))
    fleet.called(CallTold(operation="CreateModel", resource="m", region="us-east-1"))
    fleet.closed(one)

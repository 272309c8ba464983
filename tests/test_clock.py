"""Owns: the claims of emulator/clock.py on the real clock, without waiting for anything long."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from emulator.clock import Clock, SystemClock, wall_clock
from emulator.testing import FakeClock


def test_the_system_clock_never_goes_back() -> None:
    clock = SystemClock()
    seen = [clock.now() for _ in range(1000)]
    assert seen == sorted(seen)


def test_the_system_clock_measures_a_sleep() -> None:
    clock = SystemClock()
    before = clock.now()
    asyncio.run(clock.sleep(0.02))
    # A loop's timer may be early by the resolution of its clock, never by more.
    assert clock.now() - before >= 0.02 - time.get_clock_info("monotonic").resolution - 0.001


def test_a_sleep_lets_others_run() -> None:
    order: list[str] = []

    async def sleeper() -> None:
        await SystemClock().sleep(0.01)
        order.append("slept")

    async def other() -> None:
        order.append("other")

    async def both() -> None:
        await asyncio.gather(sleeper(), other())

    asyncio.run(both())
    assert order == ["other", "slept"]


def test_the_system_clock_does_not_follow_the_time_of_day() -> None:
    # A monotonic clock counts from an arbitrary point, so it must not be taken for a date.
    assert abs(SystemClock().now() - time.monotonic()) < 1
    assert abs(SystemClock().now() - time.time()) > 1


def test_the_wall_clock_is_the_time_of_day_in_utc() -> None:
    told = wall_clock()
    assert told.tzinfo is UTC
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)


def test_both_clocks_are_clocks() -> None:
    clocks: list[Clock] = [SystemClock(), FakeClock()]
    assert all(isinstance(clock.now(), float) for clock in clocks)

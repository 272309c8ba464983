"""Time: the only module that reads a clock or sleeps.

Owns: what "now" means. Must not know: containers, HTTP, SageMaker. Everything else takes a
`Clock` and stores deadlines, so a test can drive minutes of platform time in milliseconds
(`emulator.testing.FakeClock`).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds. Only differences mean anything."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def wall_clock() -> datetime:
    """The time of day in UTC, for reports and labels; never for measuring."""
    return datetime.now(UTC)

"""One number's container while the endpoint knows it, and what is told of it.

Owns: `Slot`, `StartFailure` and `Fate`, and the seam `Told`. Must not know: who starts and stops
what (`endpoint_instances`), the policy, requests.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.instance import Instance, StartReport

log = logging.getLogger("byoc.endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailure:
    """Why a start came to nothing. `error` is set when the container is not to blame."""

    words: str
    report: StartReport | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of an instance whose exchange broke."""

    died: bool
    out_of_memory: bool


class Told(Protocol):
    """Who hears what instances do by themselves."""

    def instance_ready(self, number: int, report: StartReport) -> None: ...

    def instance_failed(self, number: int, failure: StartFailure) -> None: ...

    def instance_gone(self, number: int) -> None: ...


@dataclass(slots=True, eq=False)
class Slot:
    """From the order to start to the order to stop."""

    number: int
    version: int = 1
    provisioned: bool = False
    request: int | None = None  # that waits for its start
    start: asyncio.Task[None] | None = None
    instance: Instance | None = None
    ready: bool = False
    busy: int = 0  # requests that it works on
    said: str = ""  # what /ping answered last while it started
    kills: int = 0  # for memory, known already
    watched: int = 0  # the round in which it was asked last
    freezing: asyncio.Task[bool] | None = None  # under way, or done and not thawed since
    memory_bytes: int | None = None  # the most that was seen
    memory_cost: float = math.inf  # seconds that the last look took
    measured: float = -math.inf
    looked: float = -math.inf  # right after an answer
    measuring: asyncio.Task[None] | None = None

    @property
    def container_id(self) -> str:
        return self.instance.container.id if self.instance is not None else ""


def log_failure(task: asyncio.Task[Any]) -> None:
    """Nobody waits for these tasks; what goes wrong in one must be seen all the same."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("byoc failed in %s", task.get_coro(), exc_info=error)

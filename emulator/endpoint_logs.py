"""What the containers of one endpoint wrote, living and gone.

Owns: which lines were read already, and how many are kept. Must not know: who reads them (the
terminal, the page, CloudWatch Logs), how an engine keeps logs. Nothing is read before somebody
asks, except once when a container is removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from emulator.engines import Container, EngineUnavailable, LogLine

log = logging.getLogger("byoc.endpoint")

KEPT_LINES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLine:
    """One line of one instance's container."""

    sequence: int  # from 1, without gaps
    instance: int
    container: str
    nanoseconds: int  # since 1970, UTC, by the engine's clock
    text: str


@dataclass(slots=True, eq=False)
class _Tail:
    """How far a container has been read."""

    instance: int
    container: Container
    after: int = 0


class LogBook:
    """Memory does not grow with use. Lines of one container are in their order; those of several
    that were read at once are in the order of their times.
    """

    def __init__(self, kept: int = KEPT_LINES) -> None:
        self._lines: deque[InstanceLine] = deque(maxlen=kept)
        self._last = 0
        self._tails: dict[str, _Tail] = {}
        self._reading = asyncio.Lock()

    def began(self, instance: int, container: Container) -> None:
        self._tails[container.id] = _Tail(instance, container)

    async def ended(self, container: Container) -> None:
        """It is stopped: what is left is read, for the last time. Raises nothing."""
        async with self._reading:
            tail = self._tails.pop(container.id, None)
            if tail is not None:
                await self._read([tail])

    async def collect(self) -> None:
        """Reads what is new. What cannot be read now is read the next time; raises nothing."""
        async with self._reading:
            await self._read(list(self._tails.values()))

    def lines(self, after: int = 0) -> list[InstanceLine]:
        """Those that were read and are kept, later than the line of that number."""
        if not self._lines:
            return []
        return list(islice(self._lines, max(0, after + 1 - self._lines[0].sequence), None))

    async def _read(self, tails: list[_Tail]) -> None:
        found = await asyncio.gather(*(_new(tail) for tail in tails))
        # No more waiting from here: what was read is kept as a whole, or not counted as read.
        for tail, lines in zip(tails, found, strict=True):
            if lines:
                tail.after = max(line.nanoseconds for line in lines)
        told = [(line, tail) for tail, lines in zip(tails, found, strict=True) for line in lines]
        if len(tails) > 1:
            told.sort(key=lambda one: one[0].nanoseconds)
        self._keep(told)

    def _keep(self, told: Iterable[tuple[LogLine, _Tail]]) -> None:
        for line, tail in told:
            self._last += 1
            self._lines.append(
                InstanceLine(
                    sequence=self._last,
                    instance=tail.instance,
                    container=tail.container.id,
                    nanoseconds=line.nanoseconds,
                    text=line.text,
                )
            )


async def _new(tail: _Tail) -> list[LogLine]:
    try:
        return await tail.container.log_lines(tail.after)
    except EngineUnavailable as error:
        log.debug("the log of instance %s could not be read: %s", tail.instance, error)
    except Exception:
        log.exception("byoc failed to read the log of instance %s", tail.instance)
    return []

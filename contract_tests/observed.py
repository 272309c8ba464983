"""What a run saw of an image beside its verdicts: the first start, and how long answers took.

Owns: collecting both, and their JSON form. Must not know: pytest, verdicts, how it is drawn. What
is looked at is never changed by it: a failed look is no look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contract_tests.report import printable
from emulator.clock import Clock
from emulator.engines import LogLine
from emulator.http import Hold, Http, Outcome, Reply, Request, Streamed
from emulator.instance import StartReport

MOST_LINES = 200
"""Of a container's log while it starts; what a server prints in its first seconds is less."""

MOST_CHARACTERS = 400
MOST_SERIES, MOST_ANSWERS = 8, 200
"""Per check, and per series: a check that sends generated requests must not swell the report."""

TIMED = (Outcome.ANSWERED, Outcome.TIMEOUT)
"""Of a refused or a broken connection the duration says nothing of the server's speed."""


def start_json(start: StartReport, lines: Sequence[LogLine], began: float) -> dict[str, Any]:
    """The container's start. Seconds count from the order to start, at `began` (of 1970)."""
    kept = [line for line in lines if line.text.strip()]
    return {
        "state": start.state.value,
        "seconds": round(start.seconds, 3),
        "container_seconds": round(start.container_seconds, 3),
        "exit_code": start.exit_code,
        "reason": "" if start.ready else start.describe(),
        "pings": [
            {
                "at": round(answer.at_seconds, 3),
                "times": answer.times,
                "outcome": answer.reply.outcome.value,
                "status": answer.reply.status,
                "text": _short(str(answer.reply)),
            }
            for answer in start.answers
        ],
        "log": [
            {"at": round(max(0.0, line.nanoseconds / 1e9 - began), 3), "text": _short(line.text)}
            for line in kept[:MOST_LINES]
        ],
        "log_lines_left_out": max(0, len(kept) - MOST_LINES),
    }


def refused_json(reason: str) -> dict[str, Any]:
    """The start that the engine refused."""
    return {
        "state": "refused", "seconds": 0.0, "container_seconds": 0.0, "exit_code": None,
        "reason": reason, "pings": [], "log": [], "log_lines_left_out": 0,
    }  # fmt: skip


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


@dataclass(slots=True)
class Series:
    """The answers to one kind of request that one check sent."""

    count: int = 0
    seconds: list[float] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)


class Observed:
    """`Http` that remembers how long answers took. One per image; which check asked is told by
    `ended`, when it has ended.
    """

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._now: dict[tuple[str, str], Series] = {}
        self._ended: dict[tuple[str, str, str], Series] = {}

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        reply = await self._http.send(base_url, request, timeout_seconds, hold)
        if hold is None and reply.outcome in TIMED:  # a held request takes as long as we hold it
            self._note(request, reply)
        return reply

    async def stream(self, base_url: str, request: Request, timeout_seconds: float) -> Streamed:
        return await self._http.stream(base_url, request, timeout_seconds)

    async def close(self) -> None:
        await self._http.close()

    def _note(self, request: Request, reply: Reply) -> None:
        key = (request.method, _short(request.path))
        if key not in self._now and len(self._now) >= MOST_SERIES:
            return
        series = self._now.setdefault(key, Series())
        series.count += 1
        if len(series.seconds) < MOST_ANSWERS:
            series.seconds.append(round(reply.seconds, 6))
            series.statuses.append(reply.status)

    def ended(self, check: str) -> None:
        """What was sent since the last call was this check's. A check may be told twice."""
        found, self._now = self._now, {}
        for (method, path), new in found.items():
            series = self._ended.setdefault((check, method, path), Series())
            room = MOST_ANSWERS - len(series.seconds)
            series.count += new.count
            series.seconds += new.seconds[:room]
            series.statuses += new.statuses[:room]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "check": check,
                "method": method,
                "path": path,
                "count": series.count,
                "seconds": series.seconds,
                "statuses": series.statuses,
            }
            for (check, method, path), series in self._ended.items()
        ]

"""What the page is told of all endpoints together.

Owns: the list of them, the last deploy calls, and how one that runs is shown. Must not know: who is
told, when, HTTP, the page.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emulator.api.page_feed import About
from emulator.clock import wall_clock
from emulator.endpoint_state import EndpointStatus, Journal
from emulator.running import CallTold, EndpointTold, Fleet, Running

SHOWN_CALLS = 30


@dataclass(slots=True, eq=False)
class Shown:
    """One variant that runs, for its feed. An update in place gives it another `running`."""

    running: Running
    fleet: Fleet

    @property
    def name(self) -> str:
        return self.running.endpoint_name

    @property
    def journal(self) -> Journal:
        return self.running.endpoint.journal

    @property
    def status(self) -> EndpointStatus:
        """The endpoint's, which may be another one than that of this variant's driver."""
        told = self._told
        return self.running.endpoint.status if told is None or not told.status else told.status

    @property
    def failure_reason(self) -> str:
        told = self._told
        return self.running.endpoint.failure_reason if told is None else told.failure_reason

    @property
    def _told(self) -> EndpointTold | None:
        return self.fleet.statuses.get((self.running.region, self.running.endpoint_name))

    def about(self) -> About:
        setup = self.running.setup
        return About(
            image=self.running.image,
            memory_mb=setup.memory_mb,
            profile=setup.profile,
            region=self.running.region,
            variant=self.running.variant,
        )


class Calls:
    """The last ones, with when they were told."""

    def __init__(self) -> None:
        self._calls: deque[tuple[float, CallTold]] = deque(maxlen=SHOWN_CALLS)

    def add(self, told: CallTold) -> None:
        self._calls.append((wall_clock().timestamp(), told))

    def as_json(self) -> list[dict[str, object]]:
        return [_call(at, told) for at, told in self._calls]


def fleet_message(
    fleet: Fleet, running: Iterable[Shown], calls: Calls, environment: Mapping[str, str]
) -> bytes:
    """Small enough to be told whole whenever something of it changes."""
    told = {
        "wall": wall_clock().timestamp(),
        "environment": dict(environment),
        "endpoints": _endpoints(fleet, running),
        "calls": calls.as_json(),
    }
    return f"event: fleet\ndata: {json.dumps(told, separators=(',', ':'))}\n\n".encode()


def _endpoints(fleet: Fleet, running: Iterable[Shown]) -> list[dict[str, object]]:
    """Those with a status and those that run; a failed one has no variant that runs."""
    found: dict[tuple[str, str], dict[str, object]] = {}
    variants: dict[tuple[str, str], list[str]] = {}
    for (region, name), told in fleet.statuses.items():
        found[region, name] = _endpoint(region, name, told.status, told.failure_reason)
    for shown in running:
        key = shown.running.region, shown.running.endpoint_name
        if key not in found:
            found[key] = _endpoint(*key, shown.status, shown.failure_reason)
        there = variants.setdefault(key, [])
        if shown.running.variant not in there:
            there.append(shown.running.variant)
    return [{**one, "variants": variants.get(key, [])} for key, one in found.items()]


def _endpoint(
    region: str, name: str, status: EndpointStatus | None, failure_reason: str
) -> dict[str, object]:
    return {
        "region": region,
        "name": name,
        "status": status.value if status else "",
        "failure_reason": failure_reason,
    }


def _call(at: float, told: CallTold) -> dict[str, object]:
    return {
        "at": at,
        "operation": told.operation,
        "resource": told.resource,
        "by": told.by,
        "refused": told.refused,
        "code": told.code,
        "message": told.message,
        "change": told.change,
        "ignored": told.ignored,
    }

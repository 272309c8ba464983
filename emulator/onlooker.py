"""Who is told what `byoc serve` sees, and how they come to hear of it.

Owns: the seam between a fleet and those who show it. Must not know: how it is shown (`serve_lines`,
`live_terminal`), who deploys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emulator.clock import Clock
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation
from emulator.limits import Limits
from emulator.live import EndpointFailed
from emulator.running import CallTold, EndpointTold, Fleet, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What `byoc serve` serves."""

    fleet: Fleet
    url: str
    environment: Mapping[str, str]  # to export
    clock: Clock
    host: str  # where it listens
    own: Setup | None = None  # of the endpoint of `byoc serve IMAGE`

    def names(self) -> list[str]:
        """The endpoints that have something to stop."""
        told = self.fleet.statuses.items()
        return [name for (_, name), one in told if one.status is not EndpointStatus.FAILED]

    def starting(self, region: str, name: str) -> Running | None:
        """The endpoint's variant that is waited for."""
        found = [
            one for one in self.fleet.running() if (one.region, one.endpoint_name) == (region, name)
        ]
        found.sort(key=lambda one: one.endpoint.status is not EndpointStatus.CREATING)
        return found[0] if found else None

    def setup(self, name: str, running: Running | None) -> Setup | None:
        """As far as it is known."""
        if running is not None:
            return running.setup
        return self.own if self.own is not None and self.own.name == name else None

    def grace_seconds(self) -> float:
        """How long containers have after SIGTERM."""
        own = [] if self.own is None else [self.own]
        setups = [*(one.setup for one in self.fleet.running()), *own]
        return max(
            (one.limits.stop_grace_seconds for one in setups), default=Limits().stop_grace_seconds
        )


class ContainerLine(Protocol):
    """A line of a container; `endpoint_logs` has them."""

    @property
    def sequence(self) -> int: ...
    @property
    def instance(self) -> int: ...
    @property
    def container(self) -> str: ...
    @property
    def nanoseconds(self) -> int: ...
    @property
    def text(self) -> str: ...


class Onlooker(Protocol):
    """Is told everything. No method waits."""

    def listening(self, served: Served) -> None:
        """Calls are answered from now on; nothing else was told before."""

    def status(self, told: EndpointTold) -> None:
        """An endpoint's status changed."""

    def call(self, told: CallTold) -> None:
        """A deploy call was judged."""

    def opened(self, running: Running) -> None:
        """A variant begins to run, or runs with another setup now."""

    def closed(self, running: Running) -> None:
        """Nothing of it is left."""

    def invocation(self, running: Running, record: Invocation) -> None: ...

    def instance(self, running: Running, change: InstanceChange) -> None: ...

    def log(self, running: Running, line: ContainerLine) -> None: ...

    def tick(self) -> None:
        """A little time went by."""

    def ending(self) -> None:
        """It was told to stop; what is in flight is answered, and instances stop."""

    def failed(self, error: EndpointFailed) -> None:
        """The endpoint of `byoc serve IMAGE` did."""

    def ended(self) -> None:
        """Nothing runs any more."""

    @property
    def logs(self) -> bool:
        """Whether what containers write is wanted now."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Followed:
    running: Running
    leave: Callable[[], None]
    seen: int = 0  # number of the last line that was told


class Watching:
    """Tells an onlooker what a fleet does, until it is closed."""

    def __init__(self, fleet: Fleet, onlooker: Onlooker) -> None:
        self._fleet, self._onlooker = fleet, onlooker
        self._followed: dict[int, _Followed] = {}  # by the driver's identity
        for running in fleet.running():
            self.opened(running)
        fleet.watchers.append(self)
        fleet.status_listeners.append(onlooker.status)
        fleet.call_listeners.append(onlooker.call)

    def close(self) -> None:
        self._fleet.watchers.remove(self)
        self._fleet.status_listeners.remove(self._onlooker.status)
        self._fleet.call_listeners.remove(self._onlooker.call)
        for followed in self._followed.values():
            followed.leave()
        self._followed.clear()

    def opened(self, running: Running) -> None:
        followed = self._followed.get(id(running.endpoint))
        if followed is None:
            self._followed[id(running.endpoint)] = self._follow(running)
        else:
            followed.running = running
        self._onlooker.opened(running)

    def closed(self, running: Running) -> None:
        followed = self._followed.pop(id(running.endpoint), None)
        if followed is not None:
            self._show(followed)
            followed.leave()
            self._onlooker.closed(running)

    async def collect(self) -> None:
        """Asks containers for what they wrote, and tells it."""
        following = list(self._followed.values())
        await asyncio.gather(*(one.running.endpoint.logs.collect() for one in following))
        for one in following:
            self._show(one)

    def _show(self, followed: _Followed) -> None:
        if not self._onlooker.logs:
            return
        for line in followed.running.endpoint.logs.lines(followed.seen):
            self._onlooker.log(followed.running, line)
            followed.seen = line.sequence

    def _follow(self, running: Running) -> _Followed:
        def answered(record: Invocation) -> None:
            self._onlooker.invocation(followed.running, record)

        def changed(change: InstanceChange) -> None:
            self._onlooker.instance(followed.running, change)

        def leave() -> None:
            journal.listeners.remove(answered)
            journal.watchers.remove(changed)

        journal = running.endpoint.journal
        followed = _Followed(running=running, leave=leave)
        journal.listeners.append(answered)
        journal.watchers.append(changed)
        return followed


@dataclass(slots=True)
class Names:
    """What variants are called among each other: no longer than it takes to tell them apart. What
    was told apart once is so for ever.
    """

    _seen: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def saw(self, running: Running) -> None:
        self._seen.setdefault((running.region, running.endpoint_name), set()).add(running.variant)

    def endpoint(self, region: str, name: str) -> str:
        regions = {region, *(region for region, _ in self._seen)}
        return f"{name} ({region})" if len(regions) > 1 else name

    def of(self, running: Running) -> str:
        variants = self._seen.get((running.region, running.endpoint_name), set())
        name = self.endpoint(running.region, running.endpoint_name)
        return f"{name}/{running.variant}" if len(variants) > 1 else name

    @property
    def several(self) -> bool:
        return sum(len(variants) for variants in self._seen.values()) > 1

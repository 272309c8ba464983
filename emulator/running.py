"""What runs at this moment: the variants of all endpoints, and the deploy calls that led there.

Owns: the list that onlookers (page, metrics, terminal) follow. Must not know: who deploys
(`deployments`), how an onlooker shows it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from emulator.endpoint import Endpoint
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import EndpointStatus
from emulator.view import Board

log = logging.getLogger("byoc.fleet")

CALLS_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One production variant, from its first instance's start until nothing of it is left. An
    update in place keeps it, with another `setup` in a new `Running` of the same `endpoint`.
    """

    region: str
    endpoint_name: str
    variant: str
    setup: Setup
    endpoint: Endpoint | RealtimeEndpoint
    board: Board
    ordered: str = ""  # the image's URI in the order

    @property
    def image(self) -> str:
        """As its user names it; the engine may know an image of an order by its id only."""
        known = self.setup.image
        return self.ordered if self.ordered and known.startswith("sha256:") else known


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTold:
    """An endpoint's status, which may be that of several variants together."""

    region: str
    name: str
    status: EndpointStatus | None  # None: it is gone
    failure_reason: str = ""
    at: float = 0.0  # the clock's
    log: tuple[str, ...] = ()  # the last lines of a container that did not serve


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTold:
    """One deploy call that was judged. `change` tells what to do about a refusal."""

    operation: str
    resource: str
    region: str
    by: str = "api"
    refused: bool = False
    code: str = ""
    message: str = ""
    rule: str = ""
    change: str = ""
    ignored: tuple[str, ...] = ()  # members that AWS would not look at
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)  # its body


class FleetWatcher(Protocol):
    """Called on the event loop; must return at once."""

    def opened(self, running: Running) -> None:
        """It was not there before, or its setup changed."""

    def closed(self, running: Running) -> None:
        """It is gone for good."""


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Follow it by appending to `watchers`, `status_listeners` and `call_listeners`; an onlooker
    that fails costs nobody anything.
    """

    watchers: list[FleetWatcher] = field(default_factory=list)
    status_listeners: list[Callable[[EndpointTold], None]] = field(default_factory=list)
    call_listeners: list[Callable[[CallTold], None]] = field(default_factory=list)
    calls: deque[CallTold] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    statuses: dict[tuple[str, str], EndpointTold] = field(default_factory=dict)
    _running: dict[tuple[str, str, str, int], Running] = field(default_factory=dict)
    _held: list[EndpointTold] | None = None

    def running(self) -> tuple[Running, ...]:
        """In the order in which they came; during an update both versions are there."""
        return tuple(self._running.values())

    def opened(self, running: Running) -> None:
        self._running[_key(running)] = running
        for watcher in self.watchers:
            _safely(watcher.opened, running)

    def closed(self, running: Running) -> None:
        if self._running.pop(_key(running), None) is not None:
            for watcher in self.watchers:
                _safely(watcher.closed, running)

    def status(self, told: EndpointTold) -> None:
        if told.status is None:
            self.statuses.pop((told.region, told.name), None)
        else:
            self.statuses[told.region, told.name] = told
        if self._held is not None:
            self._held.append(told)
            return
        for listener in self.status_listeners:
            _safely(listener, told)

    @contextmanager
    def statuses_held(self) -> Iterator[None]:
        """Listeners hear of statuses after the block only, whatever else they hear in it."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for told in held:
                for listener in self.status_listeners:
                    _safely(listener, told)

    def called(self, told: CallTold) -> None:
        self.calls.append(told)
        for listener in self.call_listeners:
            _safely(listener, told)


def _key(running: Running) -> tuple[str, str, str, int]:
    return running.region, running.endpoint_name, running.variant, id(running.endpoint)


def _safely(tell: Callable[[Any], None], what: object) -> None:
    try:
        tell(what)
    except Exception:
        log.exception("an onlooker failed on %r", what)

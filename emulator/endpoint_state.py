"""What an endpoint tells of itself: its status, its failure, one record per request, and what
becomes of its instances.

Owns: AWS's names for these, and how much of the past is kept. Must not know: how an endpoint works
(`endpoint`).
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum

from emulator.errors import CANNOT_START, PING_FAILED, SERVE_NOT_FOUND, STARTUP_TIMEOUT
from emulator.limits import MIB, Profile

log = logging.getLogger("byoc.endpoint")

KEPT = 1000
"""Records of requests that are kept; the counters go on."""


class EndpointStatus(Enum):
    """AWS's names (contract 6.20 to 6.28)."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"
    DELETING = "Deleting"


SERVING = (EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK)
"""Requests are answered (contract 6.22: the old version serves during an update)."""

LIVING = (EndpointStatus.CREATING, *SERVING)
"""The policy decides; afterwards instances are only stopped."""


@dataclass(slots=True, kw_only=True)
class Invocation:
    """What is known of one request while it is served, and after."""

    request: int
    arrived: float
    cold: bool = False
    provisioned: bool = False
    instance: int | None = None
    setup_seconds: float = 0.0  # waited for a start; AWS's ModelSetupTime
    model_seconds: float = 0.0  # the container's own; AWS's ModelLatency
    seconds: float = 0.0
    error: str = ""  # the code of the error it was answered with
    detail: str = ""  # what was seen, where AWS's words tell less
    sent_bytes: int = 0  # the caller's body
    received_bytes: int = 0  # the container's
    status: int | None = None  # the container's, when it answered
    memory_bytes: int | None = None  # the most that the instance has held so far, if known
    answered: bool = False

    def line(self) -> str:
        """As people know it from Lambda."""
        setup = f"  Setup: {self.setup_seconds * 1000:.0f} ms" if self.setup_seconds else ""
        where = f"  Instance: {self.instance}" if self.instance is not None else ""
        memory = (
            f"  Memory: {math.ceil(self.memory_bytes / MIB)} MB"
            if self.memory_bytes is not None
            else ""
        )
        error = f"  {self.error}" if self.error else ""
        if self.error and self.status is not None:
            error += f"  HTTP {self.status}"
        detail = f" [{' '.join(self.detail.split())}]" if self.detail else ""
        return (
            f"REPORT Request: {self.request}  Duration: {self.seconds * 1000:.2f} ms"
            f"  Model: {self.model_seconds * 1000:.2f} ms{setup}{memory}{where}{error}{detail}"
        )

    def as_json(self) -> dict[str, object]:
        return {"event": "Invocation", **asdict(self)}


class InstanceState(Enum):
    """What an instance does; the words are those on the page and in JSON."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    FROZEN = "frozen"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChange:
    """From now on the instance is in this state."""

    at: float  # the endpoint's clock
    instance: int
    state: InstanceState
    version: int = 1
    provisioned: bool = False
    request: int | None = None  # that it works on, or that waits for its start
    why: str = ""  # it is gone
    container: str = ""  # the engine's id, once there is one


Listener = Callable[[Invocation], None]
Watcher = Callable[[InstanceChange], None]


@dataclass(slots=True, kw_only=True)
class Journal:
    """Counters of all requests, the records of the last ones, and what instances do. Memory does
    not grow with use.
    """

    last: deque[Invocation] = field(default_factory=lambda: deque(maxlen=KEPT))
    changes: deque[InstanceChange] = field(default_factory=lambda: deque(maxlen=KEPT))
    instances: dict[int, InstanceChange] = field(default_factory=dict)  # the last of each living
    arrived: int = 0
    answered: int = 0
    cold: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # by their code
    listeners: list[Listener] = field(default_factory=list)  # of answered requests
    watchers: list[Watcher] = field(default_factory=list)  # of instances

    def begin(self, now: float) -> Invocation:
        self.arrived += 1
        record = Invocation(request=self.arrived, arrived=now)
        self.last.append(record)
        return record

    def end(self, record: Invocation, now: float) -> None:
        """It was answered; nothing of the record changes any more."""
        record.seconds = now - record.arrived
        record.answered = True
        self.answered += 1
        self.cold += record.cold
        if record.error:
            self.errors[record.error] += 1
        for listener in self.listeners:
            try:
                listener(record)
            except Exception:  # an onlooker must not cost a request its answer
                log.exception("a listener failed on request %s", record.request)

    def changed(self, change: InstanceChange) -> None:
        """An instance began, changed what it does, or is gone."""
        self.changes.append(change)
        if change.state is InstanceState.GONE:
            self.instances.pop(change.instance, None)
        else:
            self.instances[change.instance] = change
        for watcher in self.watchers:
            try:
                watcher(change)
            except Exception:  # nor an instance its end
                log.exception("a watcher failed on instance %s", change.instance)


def failure_reason(words: str, *, ran: bool, profile: Profile = "serverless") -> str:
    """What DescribeEndpoint would say (contract 1.2, contract 2.2, contract 4.20), and then what
    was seen. `ran`: the container started, and was not ready in time.
    """
    if ran:
        text = (STARTUP_TIMEOUT if profile == "serverless" else PING_FAILED).text
    elif "executable file not found" in words:
        text = SERVE_NOT_FOUND.text
    else:
        text = CANNOT_START.text
    return f"{text} [byoc: {words}]"

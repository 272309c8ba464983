"""What an endpoint tells of itself: its status, its failure, and one record per request.

Owns: AWS's names for these, and how much of the past is kept. Must not know: how an endpoint works
(`endpoint`).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum

from emulator.errors import CANNOT_START, SERVE_NOT_FOUND, STARTUP_TIMEOUT
from emulator.instance import StartReport

log = logging.getLogger("byoc.endpoint")

KEPT = 1000
"""Records of requests that are kept; the counters go on."""


class EndpointStatus(Enum):
    """AWS's names (contract 6.20 to 6.28)."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    FAILED = "Failed"
    DELETING = "Deleting"


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
    answered: bool = False

    def line(self) -> str:
        """As people know it from Lambda."""
        setup = f"  Setup: {self.setup_seconds * 1000:.0f} ms" if self.setup_seconds else ""
        where = f"  Instance: {self.instance}" if self.instance is not None else ""
        error = f"  {self.error}" if self.error else ""
        detail = f" [{' '.join(self.detail.split())}]" if self.detail else ""
        return (
            f"REPORT Request: {self.request}  Duration: {self.seconds * 1000:.2f} ms"
            f"  Model: {self.model_seconds * 1000:.2f} ms{setup}{where}{error}{detail}"
        )

    def as_json(self) -> dict[str, object]:
        return {"event": "Invocation", **asdict(self)}


Listener = Callable[[Invocation], None]


@dataclass(slots=True, kw_only=True)
class Journal:
    """Counters of all requests and the records of the last ones. Memory does not grow with use."""

    last: deque[Invocation] = field(default_factory=lambda: deque(maxlen=KEPT))
    arrived: int = 0
    answered: int = 0
    cold: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # by their code
    listeners: list[Listener] = field(default_factory=list)

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


def failure_reason(words: str, report: StartReport | None) -> str:
    """What DescribeEndpoint would say (contract 1.2 and contract 4.20), and then what was seen."""
    if report is not None:
        text = STARTUP_TIMEOUT.text
    elif "executable file not found" in words:
        text = SERVE_NOT_FOUND.text
    else:
        text = CANNOT_START.text
    return f"{text} [byoc: {words}]"

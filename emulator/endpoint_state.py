"""What an endpoint tells of itself: its status, its failure, and one record per request.

Owns: AWS's names for these. Must not know: how an endpoint works (`endpoint`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

from emulator.errors import CANNOT_START, SERVE_NOT_FOUND, STARTUP_TIMEOUT
from emulator.instance import StartReport


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
    answered: bool = False

    def line(self) -> str:
        """As people know it from Lambda."""
        setup = f"  Setup: {self.setup_seconds * 1000:.0f} ms" if self.cold else ""
        where = f"  Instance: {self.instance}" if self.instance is not None else ""
        error = f"  {self.error}" if self.error else ""
        return (
            f"REPORT Request: {self.request}  Duration: {self.seconds * 1000:.2f} ms"
            f"  Model: {self.model_seconds * 1000:.2f} ms{setup}{where}{error}"
        )

    def as_json(self) -> dict[str, object]:
        return {"event": "Invocation", **asdict(self)}


def failure_reason(words: str, report: StartReport | None) -> str:
    """What DescribeEndpoint would say (contract 1.2 and contract 4.20), and then what was seen."""
    if report is not None:
        text = STARTUP_TIMEOUT.text
    elif "executable file not found" in words:
        text = SERVE_NOT_FOUND.text
    else:
        text = CANNOT_START.text
    return f"{text} [byoc: {words}]"

"""What the scaling policy is told, what it orders, and the numbers it goes by.

Owns: `PolicyConfig`, the events (facts that a driver reports) and the actions (orders that it
carries out). Must not know: how one follows from the other (`policy`), containers, HTTP, time.
Requests and instances are numbers: the driver counts requests, the policy counts instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from emulator.errors import Usage
from emulator.limits import IDLE_SECONDS, Limits

RESTART_SECONDS = 1.0
RESTART_SECONDS_AT_MOST = 60.0
"""How long a provisioned instance that did not start waits for the next try, doubling from the
first to the second value. AWS says nothing; without it a broken image would be started in a
loop."""

_PLATFORM = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """One version's numbers. The two windows are the platform's and stay over an update."""

    max_concurrency: int
    provisioned: int = 0
    setup_seconds: float = _PLATFORM.startup_seconds
    invocation_seconds: float = _PLATFORM.invocation_seconds
    idle_seconds: float = IDLE_SECONDS  # math.inf keeps instances for ever
    halving_seconds: float | None = None  # in place of idle_seconds; SeBS found 380 on Lambda
    max_age_seconds: float | None = None  # Lambda: at most 2.05 h were seen

    def __post_init__(self) -> None:
        if self.max_concurrency < 1:
            raise Usage(f"max_concurrency is at least 1, not {self.max_concurrency}")
        if not 0 <= self.provisioned <= self.max_concurrency:
            raise Usage(
                f"provisioned is from 0 to max_concurrency ({self.max_concurrency}),"
                f" not {self.provisioned}"
            )
        for name in (
            "setup_seconds", "invocation_seconds", "idle_seconds", "halving_seconds",
            "max_age_seconds",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise Usage(f"{name} is more than 0, not {value}")

    @property
    def windows(self) -> tuple[float, float]:
        return self.setup_seconds, self.invocation_seconds

    @classmethod
    def of(cls, limits: Limits, *, max_concurrency: int, provisioned: int = 0) -> PolicyConfig:
        """The platform's windows, as a test may have shrunk them."""
        return cls(
            max_concurrency=max_concurrency,
            provisioned=provisioned,
            setup_seconds=limits.startup_seconds,
            invocation_seconds=limits.invocation_seconds,
        )


class Misuse(Exception):
    """The driver said what cannot be; the text names what to do instead."""


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeArrived:
    """A request came in. Its number may be used again once it was answered."""

    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReady:
    """A started instance answered /ping with 200."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFailed:
    """A start came to nothing: no container, or it exited before it was ready."""

    instance: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceGone:
    """An instance died after it was ready, idle or in the middle of a request."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeFinished:
    """The container answered, well or badly: the request has its answer, the instance is free."""

    instance: int
    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfigured:
    """An update. The version that serves now: its numbers change in place, and an update under
    way is called off. Another version: a new pool, which takes over when its first instance is
    ready.
    """

    version: int
    config: PolicyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time went on; due at `next_deadline()`."""


Event = (
    InvokeArrived
    | InstanceReady
    | InstanceFailed
    | InstanceGone
    | InvokeFinished
    | Reconfigured
    | Tick
)


# Actions


class FailWhy(Enum):
    """Why an accepted request gets an error from the platform."""

    SETUP_TIMEOUT = "the instance was not ready within the setup window"
    SETUP_FAILED = "the instance did not start"
    INVOCATION_TIMEOUT = "the container did not answer within the invocation window"
    INSTANCE_DIED = "the instance died during the request"


class StopWhy(Enum):
    """Why an instance is stopped, or its remains are removed."""

    IDLE = "idle for too long"
    AGE = "too old"
    SETUP_TIMEOUT = FailWhy.SETUP_TIMEOUT.value
    SETUP_FAILED = FailWhy.SETUP_FAILED.value
    INVOCATION_TIMEOUT = FailWhy.INVOCATION_TIMEOUT.value
    DIED = "it died"
    DRAINED = "a new version took over"
    SURPLUS = "provisioned concurrency was lowered"
    CALLED_OFF = "the update that started it failed or was called off"


FAIL = {
    StopWhy.SETUP_TIMEOUT: FailWhy.SETUP_TIMEOUT,
    StopWhy.SETUP_FAILED: FailWhy.SETUP_FAILED,
    StopWhy.INVOCATION_TIMEOUT: FailWhy.INVOCATION_TIMEOUT,
    StopWhy.DIED: FailWhy.INSTANCE_DIED,
}
"""What the request of an instance that was lost is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstance:
    """Start one. `request` waits for it; None is a start ahead of any request."""

    instance: int
    version: int
    provisioned: bool
    request: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Hand the request to the instance, which has until `deadline`."""

    request: int
    instance: int
    deadline: float
    cold: bool  # it waited for the instance's start
    provisioned: bool
    spilled: bool  # on demand although the endpoint has provisioned concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Refuse the request: ThrottlingException (contract 3.28)."""

    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailRequest:
    """Answer the request with an error; what its container says from now on is too late."""

    request: int
    instance: int
    why: FailWhy


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstance:
    """Stop it and remove what is left of it. Comes exactly once for every `StartInstance`, also
    for an instance that is dead already.
    """

    instance: int
    why: StopWhy


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFailed:
    """The new version did not start; the old one goes on serving."""

    version: int
    why: StopWhy


Action = StartInstance | Dispatch | Throttle | FailRequest | StopInstance | UpdateFailed

"""The scaling policy's books: which instances live, in which state, and what falls due next.

Owns: `Fleet`, `Pool` and `Instance`, the moves between starting, busy, idle and stopped, and the
orders that go with a move. Must not know: why a move is made (`policy`), what time is, what an
instance is.

Timers are kept in dictionaries whose order is that of their deadlines: a deadline is "now" plus a
constant of the platform or of the pool when it is entered. So there is no heap, nothing is left
behind to be skipped later, and a move costs the same however many instances there are.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from emulator.policy_events import (
    RESTART_SECONDS,
    RESTART_SECONDS_AT_MOST,
    Action,
    Dispatch,
    PolicyConfig,
    StartInstance,
    StopInstance,
    StopWhy,
)


@dataclass(slots=True, eq=False)
class Pool:
    """The instances of one version."""

    version: int
    config: PolicyConfig
    kept: OrderedDict[int, Instance] = field(default_factory=OrderedDict)  # idle, provisioned
    idle: OrderedDict[int, Instance] = field(default_factory=OrderedDict)  # idle, on demand
    young: OrderedDict[int, Instance] = field(default_factory=OrderedDict)  # not found too old yet
    provisioned: int = 0  # alive, in any state
    halved: float = -math.inf  # when idle ones were last halved
    failures: int = 0  # provisioned starts that failed in a row
    retry: float | None = None  # until when no provisioned one is started

    def scale_in_at(self) -> float:
        """When idle time is up next, for the least recently used or for half of them."""
        if not self.idle:
            return math.inf
        oldest = next(iter(self.idle.values())).since
        if self.config.halving_seconds is None:
            return oldest + self.config.idle_seconds
        return max(oldest, self.halved) + self.config.halving_seconds

    def ages_at(self) -> float:
        if self.config.max_age_seconds is None or not self.young:
            return math.inf
        return next(iter(self.young.values())).started + self.config.max_age_seconds

    def too_old(self, instance: Instance, now: float) -> bool:
        age = self.config.max_age_seconds
        return age is not None and instance.started + age <= now

    def holds_idle(self, instance: Instance) -> bool:
        return instance.id in self.idle or instance.id in self.kept

    def back_off(self, now: float) -> None:
        """A provisioned start failed; several that fail together count once."""
        if self.retry is None:
            wait = RESTART_SECONDS * 2 ** min(self.failures, 10)
            self.retry = now + min(wait, RESTART_SECONDS_AT_MOST)
            self.failures += 1


@dataclass(slots=True, eq=False)
class Instance:
    id: int
    pool: Pool
    provisioned: bool
    started: float
    request: int | None  # that it works on, or that waits for it
    since: float = math.nan  # idle since


class Fleet:
    """All instances of an endpoint. Orders are appended to `out`."""

    def __init__(self) -> None:
        self.instances: dict[int, Instance] = {}
        self.setups: OrderedDict[int, float] = OrderedDict()  # starting, until when
        self.runs: OrderedDict[int, float] = OrderedDict()  # busy, until when
        self.where: dict[int, Instance] = {}  # the instance of every request in flight
        self.last = 0
        self.provisioned_busy = 0
        self.out: list[Action] = []

    def orders(self) -> list[Action]:
        """A new list, for what is ordered from now on."""
        self.out = []
        return self.out

    def setup_ends_at(self) -> float:
        return self.setups[next(iter(self.setups))] if self.setups else math.inf

    def run_ends_at(self) -> float:
        return self.runs[next(iter(self.runs))] if self.runs else math.inf

    def first_setup(self) -> Instance:
        return self.instances[next(iter(self.setups))]

    def first_run(self) -> Instance:
        return self.instances[next(iter(self.runs))]

    def starting(self, pool: Pool) -> list[Instance]:
        """Those of a pool that nobody waits for, in the order of their start."""
        found = [self.instances[number] for number in self.setups]
        return [i for i in found if i.pool is pool and i.request is None]

    def spare(self, pool: Pool) -> list[Instance]:
        """Provisioned ones above their number: first what is not ready, then the least recently
        used. A busy one is left until its request is finished.
        """
        starting = [i for i in reversed(self.starting(pool)) if i.provisioned]
        over = max(0, pool.provisioned - pool.config.provisioned)
        return [*starting, *pool.kept.values()][:over]

    def of(self, pool: Pool) -> list[Instance]:
        return [i for i in self.instances.values() if i.pool is pool]

    def start(
        self, pool: Pool, now: float, *, request: int | None = None, provisioned: bool = False
    ) -> None:
        self.last = number = self.last + 1
        instance = Instance(number, pool, provisioned, now, request)
        self.instances[number] = pool.young[number] = instance
        self.setups[number] = now + pool.config.setup_seconds
        pool.provisioned += provisioned
        if request is not None:
            self.where[request] = instance
        self.out.append(
            StartInstance(
                instance=number, version=pool.version, provisioned=provisioned, request=request
            )
        )

    def run(self, instance: Instance, request: int, now: float, *, cold: bool) -> None:
        """Give it the request. It was taken out of `kept` or `idle`, or has just become ready."""
        config = instance.pool.config
        instance.request = request
        self.where[request] = instance
        self.runs[instance.id] = deadline = now + config.invocation_seconds
        self.provisioned_busy += instance.provisioned
        self.out.append(
            Dispatch(
                request=request,
                instance=instance.id,
                deadline=deadline,
                cold=cold,
                provisioned=instance.provisioned,
                spilled=config.provisioned > 0 and not instance.provisioned,
            )
        )

    def release(self, instance: Instance) -> None:
        """Its request has been answered."""
        assert instance.request is not None
        del self.where[instance.request]
        instance.request = None
        if self.runs.pop(instance.id, None) is not None:
            self.provisioned_busy -= instance.provisioned

    def rest(self, instance: Instance, now: float) -> None:
        """Idle from now on."""
        instance.since = now
        pool = instance.pool
        (pool.kept if instance.provisioned else pool.idle)[instance.id] = instance

    def stop(self, instance: Instance, why: StopWhy) -> None:
        """Whatever it was doing; a request of it has been released before."""
        pool, number = instance.pool, instance.id
        del self.instances[number]
        for place in (self.setups, pool.kept, pool.idle, pool.young):
            place.pop(number, None)
        pool.provisioned -= instance.provisioned
        self.out.append(StopInstance(instance=number, why=why))


class Counters:
    """What metrics may read of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and are not answered: waiting for a start, or running."""
        return len(self._fleet.where)

    @property
    def busy(self) -> int:
        return len(self._fleet.runs)

    @property
    def starting(self) -> int:
        return len(self._fleet.setups)

    @property
    def idle(self) -> int:
        return self.live - self.busy - self.starting

    @property
    def live(self) -> int:
        """Instances that were started and not stopped."""
        return len(self._fleet.instances)

    @property
    def provisioned_busy(self) -> int:
        return self._fleet.provisioned_busy

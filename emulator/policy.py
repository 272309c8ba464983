"""The serverless scaling policy: facts in, orders out. No clock, no input or output, no tasks.

Owns: which instance gets a request, when instances start and stop, who is throttled, whose time
is up. Must not know: what an instance is, how a request is sent, what time is (`now` is a number
that never goes back). The live endpoint, the planner and the tests drive the same object; its
books are in `policy_fleet`, what goes in and comes out is in `policy_events`.

The rules, with their evidence:

* One request per instance (contract 4.53); more than MaxConcurrency in flight are throttled at
  once and never queued (3.28).
* An arrival takes the most recently used idle instance, provisioned ones first; if none is idle,
  one is started for it (4.52), also when others are still starting.
* A request stays with the instance that was started for it, whoever becomes idle before (4.51:
  it is held through setup). In public Lambda logs of 2020 at least 10 of 91 such requests ran
  cold on their own instance although another had become idle meanwhile, and at most 2 instances
  were left to be used first by a later, warm request. AWS has said since (2023) that Lambda can
  use an environment that it initialized ahead; how often is not known, so it is not done here.
* 180 s for setup, then 60 s for the invocation; then the instance is stopped (4.20, 4.54).
* The endpoint begins warm (4.50): with its provisioned instances, or else with one on demand.
* Provisioned instances never idle out and are replaced when they are lost (4.26).
* An update's new pool takes over when its first instance is ready; the old one drains (4.57).

What is due by `now` is settled before an event is looked at, in the order in which it fell due. So
a late `Tick` changes no decision, and an answer that comes at its deadline is too late.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from emulator.policy_events import (
    FAIL,
    Action,
    Event,
    FailRequest,
    InstanceFailed,
    InstanceGone,
    InstanceReady,
    InvokeArrived,
    InvokeFinished,
    Misuse,
    PolicyConfig,
    Reconfigured,
    StopWhy,
    Throttle,
    Tick,
    UpdateFailed,
)
from emulator.policy_fleet import Counters, Fleet, Instance, Pool


class Policy(Counters):
    """One endpoint. `begin()` once, then `on()` for whatever happens, and a `Tick` at
    `next_deadline()`. Carry the actions out in their order.
    """

    def __init__(self, config: PolicyConfig, *, version: int = 1) -> None:
        super().__init__(Fleet())
        self._now: float | None = None
        self._serving = Pool(version, config)
        self._pending: Pool | None = None
        self.stale = 0
        """Reports that came too late to matter: of stopped instances, of answered requests."""

    @property
    def provisioned(self) -> int:
        """Provisioned instances of the serving version that live, in any state."""
        return self._serving.provisioned

    @property
    def config(self) -> PolicyConfig:
        """The serving version's."""
        return self._serving.config

    @property
    def version(self) -> int:
        """The version that gets new requests."""
        return self._serving.version

    @property
    def updating(self) -> int | None:
        """The version that is to take over."""
        return self._pending.version if self._pending else None

    def begin(self, now: float, *, warm: bool = True) -> list[Action]:
        """Starts what an endpoint has before its first request: the provisioned instances, or
        one on demand. `warm=False` leaves the latter out, for traces that begin cold.
        """
        if self._now is not None:
            raise Misuse("begin() was called before; make a new Policy for a new endpoint")
        self._now = now
        out = self._fleet.orders()
        self._open(self._serving, now, warm=warm)
        return out

    def on(self, event: Event, now: float) -> list[Action]:
        """What follows from an event. Raises Misuse, and then nothing has changed."""
        self._check(event, now)
        self._now = now
        out = self._fleet.orders()
        self._settle(now)
        if isinstance(event, InvokeArrived):
            self._arrived(event.request, now)
        elif isinstance(event, InvokeFinished):
            self._finished(event.instance, event.request, now)
        elif isinstance(event, InstanceReady):
            self._ready(event.instance, now)
        elif isinstance(event, InstanceFailed | InstanceGone):
            self._gone(event.instance, now)
        elif isinstance(event, Reconfigured):
            self._reconfigured(event.version, event.config, now)
            self._settle(now)
        return out

    def next_deadline(self) -> float | None:
        """When the next `Tick` is due if nothing happens before; None if there is no need."""
        due = self._due()[0]
        return due if due < math.inf else None

    # What falls due

    def _due(self) -> tuple[float, Callable[[float], None]]:
        fleet, pool = self._fleet, self._serving
        when, act = fleet.setup_ends_at(), self._setup_over
        if (due := fleet.run_ends_at()) < when:
            when, act = due, self._run_over
        if (due := pool.scale_in_at()) < when:
            when, act = due, self._scale_in
        if (due := pool.ages_at()) < when:
            when, act = due, self._aged
        if pool.retry is not None and pool.retry < when:
            when, act = pool.retry, self._retry
        return when, act

    def _settle(self, now: float) -> None:
        when, act = self._due()
        while when <= now:
            act(now)
            when, act = self._due()

    def _setup_over(self, now: float) -> None:
        self._lose(self._fleet.first_setup(), StopWhy.SETUP_TIMEOUT, now)

    def _run_over(self, now: float) -> None:
        self._lose(self._fleet.first_run(), StopWhy.INVOCATION_TIMEOUT, now)

    def _scale_in(self, now: float) -> None:  # noqa: ARG002 (one signature for what falls due)
        """The least recently used idle instance goes; with the halving rule half of them do
        (Copik et al., SeBS, 2021: of D after a burst, D / 2, D / 4 ... are left).
        """
        pool, count = self._serving, 1
        if pool.config.halving_seconds is not None:
            pool.halved = pool.scale_in_at()  # when it was due, however late this is
            count = max(1, len(pool.idle) // 2)
        for _ in range(count):
            self._fleet.stop(next(iter(pool.idle.values())), StopWhy.IDLE)

    def _aged(self, now: float) -> None:
        """Too old while idle; one that is starting or busy goes when it would become idle."""
        pool = self._serving
        _, instance = pool.young.popitem(last=False)
        if pool.holds_idle(instance):
            self._fleet.stop(instance, StopWhy.AGE)
            self._top_up(pool, now)

    def _retry(self, now: float) -> None:
        self._serving.retry = None
        self._top_up(self._serving, now)

    # Events

    def _check(self, event: Event, now: float) -> None:
        if self._now is None:
            raise Misuse("begin() comes first")
        if not self._now <= now < math.inf:
            raise Misuse(f"time went from {self._now} to {now}; pass what a monotonic clock says")
        if isinstance(event, InvokeArrived):
            if event.request in self._fleet.where:
                raise Misuse(f"request {event.request} is in flight; give each its own number")
        elif isinstance(event, Reconfigured):
            if event.config.windows != self._serving.config.windows:
                raise Misuse("an update keeps setup_seconds and invocation_seconds as they are")
        elif not isinstance(event, Tick) and not 0 < event.instance <= self._fleet.last:
            raise Misuse(
                f"instance {event.instance} was never started; report a number that a"
                " StartInstance gave"
            )

    def _arrived(self, request: int, now: float) -> None:
        fleet, pool = self._fleet, self._serving
        if len(fleet.where) >= pool.config.max_concurrency:
            fleet.out.append(Throttle(request=request))
        elif free := pool.kept or pool.idle:
            _, instance = free.popitem()
            fleet.run(instance, request, now, cold=False)
        else:
            fleet.start(pool, now, request=request)

    def _finished(self, number: int, request: int, now: float) -> None:
        instance = self._fleet.instances.get(number)
        if instance is None or instance.request != request or number not in self._fleet.runs:
            self.stale += 1
            return
        self._fleet.release(instance)
        self._rest(instance, now)

    def _ready(self, number: int, now: float) -> None:
        if self._fleet.setups.pop(number, None) is None:
            self.stale += 1
            return
        instance = self._fleet.instances[number]
        pool = instance.pool
        if takes_over := pool is self._pending:
            self._switch(pool)
        if instance.provisioned:
            pool.failures = 0
        if instance.request is None:
            self._rest(instance, now)
        else:
            self._fleet.run(instance, instance.request, now, cold=True)
        if takes_over:
            self._settle(now)  # its other instances may be too old already

    def _gone(self, number: int, now: float) -> None:
        instance = self._fleet.instances.get(number)
        if instance is None:
            self.stale += 1
            return
        why = StopWhy.SETUP_FAILED if number in self._fleet.setups else StopWhy.DIED
        self._lose(instance, why, now)

    def _reconfigured(self, version: int, config: PolicyConfig, now: float) -> None:
        if self._pending is not None:
            self._call_off(self._pending)
        pool = self._serving
        if version != pool.version:
            self._pending = Pool(version, config)
            self._open(self._pending, now, warm=True)
            return
        pool.config = config
        for instance in self._fleet.spare(pool):
            self._fleet.stop(instance, StopWhy.SURPLUS)
        self._top_up(pool, now)

    # Instances and pools

    def _rest(self, instance: Instance, now: float) -> None:
        """Idle from now on, unless there is a reason to stop it."""
        pool = instance.pool
        if pool is not self._serving:
            self._fleet.stop(instance, StopWhy.DRAINED)
        elif instance.provisioned and pool.provisioned > pool.config.provisioned:
            self._fleet.stop(instance, StopWhy.SURPLUS)
        elif pool.too_old(instance, now):
            self._fleet.stop(instance, StopWhy.AGE)
            self._top_up(pool, now)
        else:
            self._fleet.rest(instance, now)

    def _lose(self, instance: Instance, why: StopWhy, now: float) -> None:
        """It died, or its time is up; who waits for it is told so."""
        fleet, pool = self._fleet, instance.pool
        in_setup = instance.id in fleet.setups
        if instance.request is not None:
            failed = FailRequest(request=instance.request, instance=instance.id, why=FAIL[why])
            fleet.out.append(failed)
            fleet.release(instance)
        fleet.stop(instance, why)
        if pool is self._pending:
            self._call_off(pool)
            fleet.out.append(UpdateFailed(version=pool.version, why=why))
            return
        if in_setup and instance.provisioned:
            pool.back_off(now)
        self._top_up(pool, now)

    def _open(self, pool: Pool, now: float, *, warm: bool) -> None:
        self._top_up(pool, now)
        if warm and not pool.config.provisioned:
            self._fleet.start(pool, now)

    def _top_up(self, pool: Pool, now: float) -> None:
        """Provisioned instances up to their number, unless a failed start waits for its retry."""
        if pool is self._serving or pool is self._pending:
            while pool.retry is None and pool.provisioned < pool.config.provisioned:
                self._fleet.start(pool, now, provisioned=True)

    def _switch(self, new: Pool) -> None:
        old, self._serving, self._pending = self._serving, new, None
        unused = [*old.kept.values(), *old.idle.values(), *self._fleet.starting(old)]
        for instance in unused:
            self._fleet.stop(instance, StopWhy.DRAINED)

    def _call_off(self, pool: Pool) -> None:
        """An update's pool goes; none of its instances has had a request."""
        self._pending = None
        for instance in self._fleet.of(pool):
            self._fleet.stop(instance, StopWhy.CALLED_OFF)

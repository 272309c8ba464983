"""What there is to see of an endpoint at one moment: instances, concurrency, counts, latencies.

Owns: `Board`, which is fed by a `Journal`, and `Snapshot`, from which the terminal and the page are
drawn. Must not know: either of them, time (`now` is given), containers.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emulator.endpoint_state import KEPT, InstanceChange, InstanceState, Invocation, Journal

THROTTLED = "ThrottlingException"

PERCENTS = (50, 90, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """In milliseconds, by nearest rank: each is a value that was measured. None without any."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Percentiles:
        ordered = sorted(seconds)
        if not ordered:
            return cls()
        ranks = (math.ceil(percent * len(ordered) / 100) for percent in PERCENTS)
        p50, p90, p99 = (ordered[rank - 1] * 1000 for rank in ranks)
        return cls(p50=p50, p90=p90, p99=p99)

    def as_json(self) -> dict[str, float | None]:
        return {"p50": self.p50, "p90": self.p90, "p99": self.p99}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One living instance. `served` and `memory_bytes` are those seen since the board was made."""

    instance: int
    state: InstanceState
    since: float  # in this state
    started: float
    version: int = 1
    provisioned: bool = False
    request: int | None = None
    container: str = ""
    why: str = ""  # what a start still waits for
    served: int = 0
    memory_bytes: int | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "instance": self.instance,
            "state": self.state.value,
            "since": self.since,
            "started": self.started,
            "version": self.version,
            "provisioned": self.provisioned,
            "request": self.request,
            "container": self.container,
            "why": self.why,
            "served": self.served,
            "memory_bytes": self.memory_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The board at one moment. Times are the endpoint's clock."""

    now: float
    instances: Sequence[InstanceView]  # that live, by number
    concurrency: int  # requests that an instance works on, or starts for
    max_concurrency: int
    invocations: int  # answered ones, throttles and errors among them
    cold: int
    throttles: int
    errors: Mapping[str, int]  # by code, without throttles
    total: Percentiles  # from the arrival to the answer
    model: Percentiles  # the container's part: ModelLatency
    overhead: Percentiles  # the rest, cold starts included: OverheadLatency
    measured: int  # requests in the percentiles, at most the last 1000
    memory_limit_bytes: int | None = None

    def states(self) -> Counter[InstanceState]:
        """How many instances are in each state."""
        return Counter(one.state for one in self.instances)

    def as_json(self) -> dict[str, object]:
        return {
            "now": self.now,
            "instances": [one.as_json() for one in self.instances],
            **self.totals_as_json(),
        }

    def totals_as_json(self) -> dict[str, object]:
        """All but the instances, which are many."""
        return {
            "concurrency": self.concurrency,
            "max_concurrency": self.max_concurrency,
            "invocations": self.invocations,
            "cold": self.cold,
            "throttles": self.throttles,
            "errors": dict(self.errors),
            "total": self.total.as_json(),
            "model": self.model.as_json(),
            "overhead": self.overhead.as_json(),
            "measured": self.measured,
            "memory_limit_bytes": self.memory_limit_bytes,
        }


@dataclass(slots=True)
class _Seen:
    """What is remembered of a living instance."""

    last: InstanceChange
    started: float
    since: float
    served: int = 0
    memory_bytes: int | None = None


class Board:
    """Listens to a journal from now on, and takes over what the journal still has. Listening costs
    a request one append; everything else is worked out when a snapshot is asked for.

    The two limits may be functions, since an update may change them.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        max_concurrency: int | Callable[[], int],
        memory_limit_bytes: int | Callable[[], int | None] | None = None,
    ) -> None:
        self._journal = journal
        self._limit = max_concurrency
        self._memory_limit = memory_limit_bytes
        self._seen: dict[int, _Seen] = {}
        self._times: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._percentiles: tuple[Percentiles, Percentiles, Percentiles] | None = None
        for change in journal.changes:
            self._changed(change)
        for change in journal.instances.values():
            if change.instance not in self._seen:  # it has not changed for long
                self._changed(change)
        for record in journal.last:
            if record.answered:
                self._answered(record)
        journal.watchers.append(self._changed)
        journal.listeners.append(self._answered)

    def close(self) -> None:
        """Listens no more. May be called twice."""
        if self._changed in self._journal.watchers:
            self._journal.watchers.remove(self._changed)
            self._journal.listeners.remove(self._answered)

    def snapshot(self, now: float) -> Snapshot:
        journal = self._journal
        total, model, overhead = self._latencies()
        errors = {code: n for code, n in sorted(journal.errors.items()) if code != THROTTLED}
        return Snapshot(
            now=now,
            instances=tuple(_view(self._seen[number]) for number in sorted(self._seen)),
            concurrency=sum(seen.last.request is not None for seen in self._seen.values()),
            max_concurrency=self._limit() if callable(self._limit) else self._limit,
            invocations=journal.answered,
            cold=journal.cold,
            throttles=journal.errors.get(THROTTLED, 0),
            errors=MappingProxyType(errors),
            total=total,
            model=model,
            overhead=overhead,
            measured=len(self._times),
            memory_limit_bytes=limit() if callable(limit := self._memory_limit) else limit,
        )

    def _latencies(self) -> tuple[Percentiles, Percentiles, Percentiles]:
        if self._percentiles is None:
            self._percentiles = (
                Percentiles.of(total for total, _ in self._times),
                Percentiles.of(model for _, model in self._times),
                Percentiles.of(max(0.0, total - model) for total, model in self._times),
            )
        return self._percentiles

    def _answered(self, record: Invocation) -> None:
        if record.instance is None:
            return  # refused at once: it would make the latencies look better than they are
        self._times.append((record.seconds, record.model_seconds))
        self._percentiles = None
        seen = self._seen.get(record.instance)
        if seen is not None:
            seen.served += 1
            if record.memory_bytes is not None:
                seen.memory_bytes = max(record.memory_bytes, seen.memory_bytes or 0)

    def _changed(self, change: InstanceChange) -> None:
        if change.state is InstanceState.GONE:
            self._seen.pop(change.instance, None)
            return
        seen = self._seen.get(change.instance)
        if seen is None:
            self._seen[change.instance] = _Seen(change, started=change.at, since=change.at)
            return
        if change.state is not seen.last.state:
            seen.since = change.at
        seen.last = change


def _view(seen: _Seen) -> InstanceView:
    last = seen.last
    return InstanceView(
        instance=last.instance,
        state=last.state,
        since=seen.since,
        started=seen.started,
        version=last.version,
        provisioned=last.provisioned,
        request=last.request,
        container=last.container,
        why=last.why,
        served=seen.served,
        memory_bytes=seen.memory_bytes,
    )

"""GET /metrics: the endpoint for those who have Prometheus.

Owns: the names, and the text format
(https://prometheus.io/docs/instrumenting/exposition_formats/). Must not know: how things come
about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from emulator.api.asgi import Receive, Scope, Send, answer_unread
from emulator.api.front import Mount
from emulator.endpoint_state import InstanceChange, InstanceState, Invocation, Journal
from emulator.wire_answers import Response

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)
"""Seconds; up to the longest cold start with its invocation."""


@dataclass(slots=True)
class Histogram:
    """How many values are at most each bound, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        for number, bound in enumerate(BOUNDS):
            if value <= bound:
                self.counts[number] += 1


class Prometheus:
    """An ASGI application, fed by the journal."""

    def __init__(
        self, journal: Journal, *, endpoint: str, max_concurrency: Callable[[], int | None]
    ) -> None:
        self._journal = journal
        self._labels = {"endpoint": endpoint}
        self._max_concurrency = max_concurrency
        self._duration, self._model, self._setup = Histogram(), Histogram(), Histogram()
        self._memory: dict[int, int] = {}
        journal.listeners.append(self._answered)
        journal.watchers.append(self._changed)

    @property
    def mount(self) -> Mount:
        return Mount(matches=matches, app=self)

    def _answered(self, told: Invocation) -> None:
        if told.error == "ThrottlingException":
            return
        self._duration.add(told.seconds)
        if told.model_seconds:
            self._model.add(told.model_seconds)
        if told.cold:
            self._setup.add(told.setup_seconds)
        if told.memory_bytes is not None and told.instance in self._journal.instances:
            self._memory[told.instance] = told.memory_bytes

    def _changed(self, change: InstanceChange) -> None:
        if change.state is InstanceState.GONE:
            self._memory.pop(change.instance, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"))
        body = b"" if scope["method"] == "HEAD" else self.text().encode()
        await answer_unread(scope, receive, send, Response(status=200, headers=headers, body=body))

    def text(self) -> str:
        """The exposition, at this moment."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        journal, labels = self._journal, self._labels
        living = journal.instances
        states = Counter(change.state for change in living.values())
        working = sum(change.request is not None for change in living.values())
        yield from _family(
            "byoc_invocations_total",
            "counter",
            "Requests that were answered, throttled ones included.",
            [(labels, journal.answered)],
        )
        yield from _family(
            "byoc_errors_total",
            "counter",
            "Requests that were answered with an error, by its code.",
            [({**labels, "code": code}, many) for code, many in sorted(journal.errors.items())],
        )
        yield from _family(
            "byoc_cold_starts_total",
            "counter",
            "Requests that waited for an instance to start.",
            [(labels, journal.cold)],
        )
        yield from _family(
            "byoc_instances",
            "gauge",
            "Instances by what they do.",
            [
                ({**labels, "state": state.value}, states[state])
                for state in InstanceState
                if state is not InstanceState.GONE
            ],
        )
        yield from _family("byoc_concurrency", "gauge", "Requests in flight.", [(labels, working)])
        if (limit := self._max_concurrency()) is not None:
            yield from _family(
                "byoc_concurrency_limit", "gauge", "MaxConcurrency.", [(labels, limit)]
            )
        yield from _family(
            "byoc_instance_memory_bytes",
            "gauge",
            "The most that a living instance has held, when its last request ended.",
            [({**labels, "instance": str(n)}, held) for n, held in sorted(self._memory.items())],
        )
        for name, what, histogram in (
            ("byoc_invocation_seconds", "From arrival to answer.", self._duration),
            ("byoc_model_seconds", "The container's own time.", self._model),
            ("byoc_setup_seconds", "Waited for an instance to start.", self._setup),
        ):
            yield from _histogram(name, what, histogram, labels)


def matches(scope: Scope) -> bool:
    return scope["path"] == PATH and scope["method"] in ("GET", "HEAD")


def _family(
    name: str, kind: str, what: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labelled(labels)} {value}"


def _histogram(
    name: str, what: str, histogram: Histogram, labels: Mapping[str, str]
) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} histogram"
    for bound, count in zip(BOUNDS, histogram.counts, strict=True):
        yield f"{name}_bucket{_labelled({**labels, 'le': str(bound)})} {count}"
    yield f"{name}_bucket{_labelled({**labels, 'le': '+Inf'})} {histogram.count}"
    yield f"{name}_sum{_labelled(labels)} {histogram.total}"
    yield f"{name}_count{_labelled(labels)} {histogram.count}"


def _labelled(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

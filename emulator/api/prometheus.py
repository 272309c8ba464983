"""GET /metrics: the endpoints for those who have Prometheus.

Owns: the names, and what is counted when. Must not know: the text format (`prometheus_text`), how
things come about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from emulator.api.asgi import Receive, Scope, Send, answer_unread
from emulator.api.front import Mount
from emulator.api.prometheus_text import CONTENT_TYPE, Histogram, Labels, family, histograms
from emulator.endpoint_state import InstanceChange, InstanceState, Invocation, Journal
from emulator.wire_answers import Response

PATH = "/metrics"

Key = tuple[str, str, str]
"""Region, endpoint, variant."""


@dataclass(slots=True, kw_only=True, eq=False)
class Series:
    """What is counted of one variant, over all drivers that it has had without a pause: during an
    update there are two.
    """

    labels: Labels
    sources: list[Source] = field(default_factory=list)
    answered: int = 0
    cold: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    duration: Histogram = field(default_factory=Histogram)
    model: Histogram = field(default_factory=Histogram)
    setup: Histogram = field(default_factory=Histogram)


class Source:
    """Feeds a series from one journal."""

    def __init__(
        self, series: Series, journal: Journal, max_concurrency: Callable[[], int | None]
    ) -> None:
        self.journal, self.max_concurrency = journal, max_concurrency
        self.memory: dict[int, int] = {}
        self._series = series
        journal.listeners.append(self._answered)
        journal.watchers.append(self._changed)

    def close(self) -> None:
        self.journal.listeners.remove(self._answered)
        self.journal.watchers.remove(self._changed)

    def _answered(self, told: Invocation) -> None:
        series = self._series
        series.answered += 1
        series.cold += told.cold
        if told.error:
            series.errors[told.error] += 1
        if told.error == "ThrottlingException":
            return
        series.duration.add(told.seconds)
        if told.model_seconds:
            series.model.add(told.model_seconds)
        if told.cold:
            series.setup.add(told.setup_seconds)
        if told.memory_bytes is not None and told.instance in self.journal.instances:
            self.memory[told.instance] = told.memory_bytes

    def _changed(self, change: InstanceChange) -> None:
        if change.state is InstanceState.GONE:
            self.memory.pop(change.instance, None)


class Prometheus:
    """An ASGI application, fed by journals that come and go."""

    def __init__(self) -> None:
        self._series: dict[Key, Series] = {}

    @property
    def mount(self) -> Mount:
        return Mount(matches=matches, app=self)

    def add(
        self, key: Key, journal: Journal, *, max_concurrency: Callable[[], int | None]
    ) -> Callable[[], None]:
        """Returns what takes it out again. A variant's counts go with its last journal."""
        labels = dict(zip(("region", "endpoint", "variant"), key, strict=True))
        series = self._series.setdefault(key, Series(labels=labels))
        source = Source(series, journal, max_concurrency)
        series.sources.append(source)

        def remove() -> None:
            source.close()
            series.sources.remove(source)
            if not series.sources and self._series.get(key) is series:
                del self._series[key]

        return remove

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"))
        body = b"" if scope["method"] == "HEAD" else self.text().encode()
        await answer_unread(scope, receive, send, Response(status=200, headers=headers, body=body))

    def text(self) -> str:
        """The exposition, at this moment."""
        return "".join(f"{line}\n" for line in _lines(list(self._series.values())))


def matches(scope: Scope) -> bool:
    return scope["path"] == PATH and scope["method"] in ("GET", "HEAD")


def _lines(all_series: list[Series]) -> Iterator[str]:
    for name, kind, what, samples in FAMILIES:
        told = [
            ({**series.labels, **more}, value)
            for series in all_series
            for more, value in samples(series)
        ]
        yield from family(name, kind, what, told)
    for name, what, of in HISTOGRAMS:
        yield from histograms(name, what, [(series.labels, of(series)) for series in all_series])


Samples = Iterable[tuple[Mapping[str, str], float]]
"""Labels besides those of the series, and the value."""


def _errors(series: Series) -> Samples:
    return [({"code": code}, many) for code, many in sorted(series.errors.items())]


def _living(series: Series) -> Iterator[InstanceChange]:
    for source in series.sources:
        yield from source.journal.instances.values()


def _instances(series: Series) -> Samples:
    states = Counter(change.state for change in _living(series))
    shown = (state for state in InstanceState if state is not InstanceState.GONE)
    return [({"state": state.value}, states[state]) for state in shown]


def _limit(series: Series) -> Samples:
    """Of the newest; an update may change it."""
    limit = series.sources[-1].max_concurrency() if series.sources else None
    return [] if limit is None else [({}, limit)]


def _memory(series: Series) -> Samples:
    """Instances of two drivers may have one number: the one that holds more is told."""
    held: dict[int, int] = {}
    for source in series.sources:
        for number, memory in source.memory.items():
            held[number] = max(memory, held.get(number, 0))
    return [({"instance": str(number)}, memory) for number, memory in sorted(held.items())]


FAMILIES: tuple[tuple[str, str, str, Callable[[Series], Samples]], ...] = (
    (
        "byoc_invocations_total",
        "counter",
        "Requests that were answered, throttled ones included.",
        lambda series: [({}, series.answered)],
    ),
    (
        "byoc_errors_total",
        "counter",
        "Requests that were answered with an error, by its code.",
        _errors,
    ),
    (
        "byoc_cold_starts_total",
        "counter",
        "Requests that waited for an instance to start.",
        lambda series: [({}, series.cold)],
    ),
    ("byoc_instances", "gauge", "Instances by what they do.", _instances),
    (
        "byoc_concurrency",
        "gauge",
        "Requests in flight.",
        lambda series: [({}, sum(one.request is not None for one in _living(series)))],
    ),
    ("byoc_concurrency_limit", "gauge", "MaxConcurrency.", _limit),
    (
        "byoc_instance_memory_bytes",
        "gauge",
        "The most that a living instance has held, when its last request ended.",
        _memory,
    ),
)

HISTOGRAMS: tuple[tuple[str, str, Callable[[Series], Histogram]], ...] = (
    ("byoc_invocation_seconds", "From arrival to answer.", lambda series: series.duration),
    ("byoc_model_seconds", "The container's own time.", lambda series: series.model),
    ("byoc_setup_seconds", "Waited for an instance to start.", lambda series: series.setup),
)

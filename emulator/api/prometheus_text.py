"""The text format of Prometheus.

Owns: how a family of samples is written
(https://prometheus.io/docs/instrumenting/exposition_formats/). Must not know: which families there
are, endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)
"""Seconds; up to the longest cold start with its invocation."""

Labels = Mapping[str, str]


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


def family(
    name: str, kind: str, what: str, samples: Iterable[tuple[Labels, float]]
) -> Iterator[str]:
    """Its lines: each family has one HELP and one TYPE, however many samples it has."""
    yield from _head(name, kind, what)
    for labels, value in samples:
        yield f"{name}{_labelled(labels)} {value}"


def histograms(name: str, what: str, samples: Iterable[tuple[Labels, Histogram]]) -> Iterator[str]:
    """The lines of a family of histograms."""
    yield from _head(name, "histogram", what)
    for labels, histogram in samples:
        for bound, count in zip(BOUNDS, histogram.counts, strict=True):
            yield f"{name}_bucket{_labelled({**labels, 'le': str(bound)})} {count}"
        yield f"{name}_bucket{_labelled({**labels, 'le': '+Inf'})} {histogram.count}"
        yield f"{name}_sum{_labelled(labels)} {histogram.total}"
        yield f"{name}_count{_labelled(labels)} {histogram.count}"


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"


def _labelled(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

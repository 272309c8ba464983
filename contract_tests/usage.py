"""What a container uses while something is done to it: processor time, memory.

Owns: measuring, and what a row of measurements says. Must not know: verdicts, which request it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from contract_tests.settings import Payload
from contract_tests.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one of several times, on average."""

    cpu_seconds: float
    seconds: float


def cost(container: Subject, do: Callable[[], object], times: int) -> Cost:
    began, before = container.target.now(), container.cpu_seconds()
    for _ in range(times):
        do()
    used, took = container.cpu_seconds() - before, container.target.now() - began
    return Cost(cpu_seconds=used / times, seconds=took / times)


def idle(container: Subject, seconds: float) -> float:
    """The processor time that it takes in so many seconds without being asked."""
    return cost(container, lambda: container.target.pause(seconds), 1).cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a container held after so many requests."""

    requests: int
    used_bytes: int


SAMPLE_EVERY = 2
"""Requests."""

BINS = 5
"""A row of samples is cut into so many parts of equal length."""

FEWEST_REQUESTS = 2 * BINS * SAMPLE_EVERY
"""Fewer tell nothing."""


def row(
    container: Subject,
    payload: Payload,
    seconds: float,
    *,
    fewest: int = 0,
    until_grown: int | None = None,
) -> list[Sample]:
    """The same request again and again, one after another as on serverless, and what is held in
    between. Ends when the time is over and the fewest are sent; before that when one fails, or
    when it has grown by so many bytes.
    """
    end = container.target.now() + seconds
    samples = [Sample(requests=0, used_bytes=container.memory().used_bytes)]
    sent = 0
    while container.target.now() < end or sent < fewest:
        sent += 1
        if not container.invoke(payload).ok:
            break
        if sent % SAMPLE_EVERY == 0:
            samples.append(Sample(requests=sent, used_bytes=container.memory().used_bytes))
            grown = samples[-1].used_bytes - samples[0].used_bytes
            if until_grown is not None and sent >= FEWEST_REQUESTS and grown >= until_grown:
                break
    return samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Memory over a row of requests."""

    requests: int
    grown_bytes: int
    steady: bool  # each part of the row holds more than the one before, at its least

    @property
    def per_request(self) -> float:
        return self.grown_bytes / self.requests


def growth(samples: Sequence[Sample]) -> Growth | None:
    """Of at least twice as many samples as parts; None of fewer. By the least of each part, so
    that what a garbage collector takes back in between is no growth.
    """
    if len(samples) < 2 * BINS:
        return None
    edges = [len(samples) * part // BINS for part in range(BINS + 1)]
    parts = [samples[low:high] for low, high in pairwise(edges)]
    least = [min(part, key=lambda sample: sample.used_bytes) for part in parts]
    first, last = least[0], least[-1]
    return Growth(
        requests=max(1, last.requests - first.requests),
        grown_bytes=last.used_bytes - first.used_bytes,
        steady=all(a.used_bytes < b.used_bytes for a, b in pairwise(least)),
    )

"""Values of one metric over some time, as CloudWatch aggregates them.

Owns: count, sum, minimum and maximum, exactly; percentiles; and how little of the values is kept.
Must not know: metrics, time.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

DISTINCT = 250
"""How many different values are kept as they are. Beyond it they are rounded to steps of one
percent, so that memory has a bound and percentiles are within half a percent.
"""

_STEP = math.log(1.01)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Summary:
    """Values that were taken; 12 bytes for each different one."""

    count: int
    total: float
    least: float
    most: float
    values: array[float]  # different ones, ascending
    counts: array[int]

    @classmethod
    def of(cls, parts: Iterable[Summary]) -> Summary:
        """All of them as one."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        values: Counter[float] = Counter()
        for part in parts:
            for value, times in zip(part.values, part.counts, strict=True):
                values[value] += times
        return _summary(
            values,
            total=math.fsum(part.total for part in parts),
            least=min((part.least for part in parts), default=math.inf),
            most=max((part.most for part in parts), default=-math.inf),
        )

    def statistic(self, name: str) -> float | None:
        """By CloudWatch's names: Sum, Average, Minimum, Maximum, SampleCount, p0 to p100. None for
        all but Sum and SampleCount where there is no value. Raises ValueError for another name.
        """
        match name:
            case "SampleCount":
                return float(self.count)
            case "Sum":
                return self.total
            case "Average":
                return self.total / self.count if self.count else None
            case "Minimum":
                return self.least if self.count else None
            case "Maximum":
                return self.most if self.count else None
        return self._percentile(percentile(name))

    def _percentile(self, share: float) -> float | None:
        rank = max(1, math.ceil(share / 100 * self.count))
        for value, times in zip(self.values, self.counts, strict=True):
            rank -= times
            if rank <= 0:
                return min(max(value, self.least), self.most)
        return None


class Bucket:
    """Takes values."""

    __slots__ = ("_rounds", "_values", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least, self.most = math.inf, -math.inf
        self._values: Counter[float] = Counter()
        self._rounds = False

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)
        self._values[_rounded(value) if self._rounds else value] += 1
        if not self._rounds and len(self._values) > DISTINCT:
            self._rounds = True
            exact, self._values = self._values, Counter()
            for each, times in exact.items():
                self._values[_rounded(each)] += times

    def summary(self) -> Summary:
        """What was taken up to now."""
        return _summary(self._values, total=self.total, least=self.least, most=self.most)


def percentile(name: str) -> float:
    """50.0 of "p50". Raises ValueError."""
    share = float(name[1:]) if name[:1] == "p" and name[1:2].isdigit() else math.nan
    if not 0 <= share <= 100:
        raise ValueError(name)
    return share


def _summary(values: Counter[float], *, total: float, least: float, most: float) -> Summary:
    ordered = sorted(values.items())
    counts = array("I", (times for _, times in ordered))
    return Summary(
        count=sum(counts),
        total=total,
        least=least,
        most=most,
        values=array("d", (value for value, _ in ordered)),
        counts=counts,
    )


def _rounded(value: float) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    step = round(math.log(abs(value)) / _STEP)
    return math.copysign(math.exp(step * _STEP), value)

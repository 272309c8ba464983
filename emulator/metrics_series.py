"""One endpoint's metrics up to a moment, and what CloudWatch makes of a time range of them.

Owns: CloudWatch's rules for start, end and period
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html).
Must not know: how values come about, CloudWatch's API.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from emulator.metrics_bucket import Summary
from emulator.metrics_table import Metric

Minutes = Mapping[datetime, Mapping[Metric, Summary]]
"""By the minute that begins then, UTC."""


def whole_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """Nothing of it changes any more, so that another thread may read it."""

    dimensions: Mapping[str, str]
    minutes: Minutes

    def metrics(self) -> set[Metric]:
        """Those that have a value, whenever."""
        return {metric for summaries in self.minutes.values() for metric in summaries}

    def series(
        self, metric: Metric, *, start: datetime, end: datetime, period: int
    ) -> list[tuple[datetime, Summary]]:
        """Each period with a value, by when it begins, in order. The start is rounded down to the
        minute and belongs to the range, as its first period; the end does not belong to it.
        """
        start = whole_minute(start)
        found: defaultdict[int, list[Summary]] = defaultdict(list)
        for minute, summaries in self.minutes.items():
            if start <= minute < end and metric in summaries:
                found[int((minute - start).total_seconds() // period)].append(summaries[metric])
        return [
            (start + timedelta(seconds=number * period), Summary.of(parts))
            for number, parts in sorted(found.items())
        ]

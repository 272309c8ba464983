"""What CloudWatch answers about our endpoints.

Owns: which questions are about an endpoint that is open here, and the answers to them, as the
members of the API's shapes
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html and
API_GetMetricStatistics.html). Must not know: moto, HTTP, logs, how values come about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emulator.metrics_bucket import percentile
from emulator.metrics_series import Snapshot, whole_minute
from emulator.metrics_table import METRICS, NAMESPACES, Metric
from emulator.runtime_errors import OWN_WORDS

STATISTICS = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")
MOST_POINTS = 1440
"""Of one GetMetricStatistics."""

_BY_NAME = {(metric.namespace, metric.name): metric for metric in METRICS}


class Refused(Exception):
    """By the code and the message of an error of CloudWatch."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A metric that has a value."""

    metric: Metric
    dimensions: Mapping[str, str]


class Answers:
    """The snapshots that are told from: of whoever was asked last, since two endpoints of one name
    may be open in a process, each at its own URL.
    """

    def __init__(self) -> None:
        self._owner: object = None
        self._snapshots: Sequence[Snapshot] = ()

    def show(self, owner: object, snapshots: Sequence[Snapshot]) -> None:
        """Nothing but these is told."""
        self._owner, self._snapshots = owner, snapshots

    def forget(self, owner: object) -> None:
        if self._owner is owner:
            self.show(None, ())

    def listed(self) -> list[Listed]:
        """What ListMetrics has."""
        listed = []
        for snapshot in self._snapshots:
            there = snapshot.metrics()
            listed += [
                Listed(metric=metric, dimensions=snapshot.dimensions)
                for metric in METRICS
                if metric in there
            ]
        return listed

    def data(
        self, query: Mapping[str, Any], start: datetime, end: datetime, *, descending: bool = True
    ) -> dict[str, Any] | None:
        """A MetricDataResult; None when it is none of ours. Raises Refused."""
        asked = query.get("MetricStat") or {}
        found = self._find(asked.get("Metric") or {})
        if found is None:
            return None
        metric, snapshot = found
        if not start < end:
            raise Refused(
                "ValidationError",
                "The parameter StartTime must be less than the parameter EndTime.",
            )
        statistic, period = asked["Stat"], _period(asked)
        _known([statistic])
        series = snapshot.series(metric, start=start, end=end, period=period)
        if asked.get("Unit") not in (None, metric.unit):
            series = []
        if descending:
            series.reverse()
        return {
            "Id": query["Id"],
            "Label": query.get("Label") or metric.name,
            "Timestamps": [moment for moment, _ in series],
            "Values": [values.statistic(statistic) for _, values in series],
            "StatusCode": "Complete",
        }

    def points(
        self, asked: Mapping[str, Any], start: datetime, end: datetime
    ) -> list[dict[str, Any]] | None:
        """The Datapoints of GetMetricStatistics; None when they are none of ours. Raises
        Refused.
        """
        found = self._find(asked)
        if found is None:
            return None
        metric, snapshot = found
        if not start < end:
            raise Refused(
                "InvalidParameterValue",
                "The parameter StartTime must be less than the parameter EndTime.",
            )
        plain, extended = asked.get("Statistics") or [], asked.get("ExtendedStatistics") or []
        if not plain and not extended:
            raise Refused(
                "InvalidParameterCombination",
                "Must specify either Statistics or ExtendedStatistics",
            )
        _known([*plain, *extended])
        period = _period(asked)
        _bounded(start, end, period)
        if asked.get("Unit") not in (None, metric.unit):
            return []
        points = []
        for moment, values in snapshot.series(metric, start=start, end=end, period=period):
            point: dict[str, Any] = {"Timestamp": moment, "Unit": metric.unit}
            point |= {one: values.statistic(one) for one in plain}
            if extended:
                point["ExtendedStatistics"] = {one: values.statistic(one) for one in extended}
            points.append(point)
        return points

    def _find(self, asked: Mapping[str, Any]) -> tuple[Metric, Snapshot] | None:
        metric = _BY_NAME.get((asked.get("Namespace", ""), asked.get("MetricName", "")))
        wanted = {one["Name"]: one["Value"] for one in asked.get("Dimensions") or []}
        for snapshot in self._snapshots:
            if metric is not None and snapshot.dimensions == wanted:
                return metric, snapshot
        return None


def refuse_mathematics(queries: Iterable[Mapping[str, Any]], ours: Iterable[str]) -> None:
    """Metric math over our metrics, or a search for them. Raises Refused; an empty result would
    pass for no traffic.
    """
    ours = list(ours)
    for query in queries:
        expression = str(query.get("Expression") or "")
        if expression and (ours or any(namespace in expression for namespace in NAMESPACES)):
            raise Refused(
                "ValidationError",
                f"byoc evaluates no expressions (query {query['Id']}: {expression!r}); ask for the"
                f" metrics by MetricStat and compute with their values. {OWN_WORDS}",
            )


def _known(statistics: Iterable[str]) -> None:
    for statistic in statistics:
        if statistic in STATISTICS:
            continue
        try:
            percentile(statistic)
        except ValueError:
            raise Refused(
                "InvalidParameterValue",
                f"byoc knows no statistic {statistic!r}; it has {', '.join(STATISTICS)} and"
                f" percentiles such as p99 and p99.9. {OWN_WORDS}",
            ) from None


def _period(asked: Mapping[str, Any]) -> int:
    period = int(asked["Period"])
    if period <= 0 or period % 60:
        raise Refused(
            "InvalidParameterValue",
            f"Period is {period}; these metrics have one point a minute, so that it must be a"
            f" multiple of 60. {OWN_WORDS}",
        )
    return period


def _bounded(start: datetime, end: datetime, period: int) -> None:
    points = -int(-(end - whole_minute(start)).total_seconds() // period)
    if points > MOST_POINTS:
        raise Refused(
            "InvalidParameterCombination",
            f"You have requested up to {points:,} datapoints, which exceeds the limit of"
            f" {MOST_POINTS:,}. You may reduce the datapoints requested by increasing Period, or"
            " decreasing the time range.",
        )

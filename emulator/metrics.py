"""A recorder of what CloudWatch would know of an endpoint.

Owns: when each metric of `metrics_table` gets a value, and how long it is kept. Must not know:
CloudWatch's API, Prometheus, who looks. What AWS does not say is decided here: a throttled request
was not sent to the model, so no metric counts it; a request that the model did not answer is
neither a 4XX nor a 5XX.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from emulator.clock import wall_clock
from emulator.endpoint_state import InstanceChange, InstanceState, Invocation, Journal
from emulator.metrics_bucket import Bucket, Summary
from emulator.metrics_series import Snapshot, whole_minute
from emulator.metrics_table import (
    CLIENT_ERRORS,
    CONCURRENCY,
    INVOCATIONS,
    MEMORY,
    MODEL_LATENCY,
    MODEL_SETUP_TIME,
    OVERHEAD_LATENCY,
    PROVISIONED,
    PROVISIONED_INVOCATIONS,
    PROVISIONED_METRICS,
    PROVISIONED_SHARE,
    SERVER_ERRORS,
    SPILLOVER,
    Metric,
)

KEPT = timedelta(days=15)
"""As CloudWatch keeps points of one minute."""

MICROSECONDS = 1_000_000

SHOWN = (
    (INVOCATIONS, "Sum"), (CLIENT_ERRORS, "Sum"), (SERVER_ERRORS, "Sum"),
    (MODEL_LATENCY, "Average"), (MODEL_LATENCY, "p99"),
    (OVERHEAD_LATENCY, "Average"), (OVERHEAD_LATENCY, "p99"),
    (MODEL_SETUP_TIME, "Average"), (MODEL_SETUP_TIME, "Maximum"),
    (CONCURRENCY, "Maximum"), (MEMORY, "Maximum"),
    (PROVISIONED, "Maximum"), (PROVISIONED_SHARE, "Maximum"),
    (PROVISIONED_INVOCATIONS, "SampleCount"), (SPILLOVER, "SampleCount"),
)  # fmt: skip
"""The statistic that people look at first."""


class Recorder:
    """Listens to an endpoint's journal. Memory is bounded: 15 days of minutes, each bounded. A
    real-time endpoint has fewer metrics (`serverless=False`), and more on AWS, which are left out.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        endpoint: str,
        variant: str,
        max_concurrency: Callable[[], int],
        provisioned: Callable[[], int],
        memory_limit_bytes: int | None,
        serverless: bool = True,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.endpoint = endpoint
        self.dimensions = {"EndpointName": endpoint, "VariantName": variant}
        self._max_concurrency, self._provisioned = max_concurrency, provisioned
        self.memory_limit_bytes = memory_limit_bytes  # None: unknown; an update may change it
        self._serverless, self._now = serverless, now
        self._total: dict[Metric, Bucket] = {}  # since the beginning
        self._past: dict[datetime, dict[Metric, Summary]] = {}  # minutes that are over
        self._minute = whole_minute(now())
        self._buckets: dict[Metric, Bucket] = {}  # of this minute
        self._working: dict[int, bool] = {}  # instances with a request: whether provisioned
        journal.listeners.append(self._answered)
        if serverless:
            journal.watchers.append(self._changed)

    def snapshot(self) -> Snapshot:
        """Everything that is kept."""
        minutes = dict(self._past)
        if self._buckets:
            minutes[self._minute] = self._so_far()
        return Snapshot(dimensions=self.dimensions, minutes=minutes)

    def total(self, metric: Metric) -> Summary:
        """Since the endpoint began."""
        return self._total.get(metric, Bucket()).summary()

    def rows(self) -> list[tuple[str, str, str, float | None]]:
        """Name, unit, statistic and value since the endpoint began; None before the first one."""
        totals = {metric: bucket.summary() for metric, bucket in self._total.items()}
        return [
            (
                metric.name,
                metric.unit,
                statistic,
                totals[metric].statistic(statistic) if metric in totals else None,
            )
            for metric, statistic in SHOWN
            if self._applies(metric)
        ]

    def _applies(self, metric: Metric) -> bool:
        if metric in PROVISIONED_METRICS:
            return bool(self._provisioned())
        return self._serverless or metric not in (CONCURRENCY, MODEL_SETUP_TIME)

    # -- what happens --------------------------------------------------------------------------

    def _answered(self, told: Invocation) -> None:
        if told.error == "ThrottlingException":
            return
        self._turn()
        status = told.status or 0
        self._add(INVOCATIONS, 1)
        self._add(CLIENT_ERRORS, 400 <= status < 500)
        self._add(SERVER_ERRORS, 500 <= status < 600)
        if told.instance is not None and told.model_seconds:
            self._add(MODEL_LATENCY, told.model_seconds * MICROSECONDS)
        self._add(OVERHEAD_LATENCY, max(0.0, told.seconds - told.model_seconds) * MICROSECONDS)
        if told.cold:
            self._add(MODEL_SETUP_TIME, told.setup_seconds * MICROSECONDS)
        if self._provisioned():
            self._add(PROVISIONED_INVOCATIONS if told.provisioned else SPILLOVER, 1)
        if told.memory_bytes is not None and self.memory_limit_bytes:
            self._add(MEMORY, 100 * told.memory_bytes / self.memory_limit_bytes)

    def _changed(self, change: InstanceChange) -> None:
        before = len(self._working)
        if change.request is not None and change.state is not InstanceState.GONE:
            self._working[change.instance] = change.provisioned
        else:
            self._working.pop(change.instance, None)
        if len(self._working) == before:
            return
        self._turn()
        self._add(CONCURRENCY, len(self._working) / self._max_concurrency())
        if allocated := self._provisioned():
            used = sum(self._working.values())
            self._add(PROVISIONED, used)
            self._add(PROVISIONED_SHARE, used / allocated)

    def _add(self, metric: Metric, value: float) -> None:
        for where in (self._buckets, self._total):
            if (bucket := where.get(metric)) is None:
                bucket = where[metric] = Bucket()
            bucket.add(float(value))

    # -- minutes -------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Another minute may have begun. A wall clock also jumps back, into a minute that has
        values already.
        """
        minute = whole_minute(self._now())
        if minute == self._minute:
            return
        if self._buckets:
            self._past[self._minute] = self._so_far()
        self._minute, self._buckets = minute, {}
        for old in [one for one in self._past if one < minute - KEPT]:
            del self._past[old]

    def _so_far(self) -> dict[Metric, Summary]:
        summaries = dict(self._past.get(self._minute, {}))
        for metric, bucket in self._buckets.items():
            parts = [summaries[metric]] if metric in summaries else []
            summaries[metric] = Summary.of([*parts, bucket.summary()])
        return summaries

"""Owns: the claims of emulator/metrics.py and emulator/metrics_bucket.py."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.endpoint_state import InstanceChange, InstanceState, Invocation, Journal
from emulator.metrics import KEPT, Recorder
from emulator.metrics_bucket import DISTINCT, Bucket, Summary, percentile
from emulator.metrics_table import (
    CLIENT_ERRORS,
    CONCURRENCY,
    ENDPOINTS,
    INVOCATIONS,
    MEMORY,
    METRICS,
    MODEL_LATENCY,
    MODEL_SETUP_TIME,
    OVERHEAD_LATENCY,
    PROVISIONED,
    PROVISIONED_INVOCATIONS,
    PROVISIONED_SHARE,
    SAGEMAKER,
    SERVER_ERRORS,
    SPILLOVER,
    Metric,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIB = 1024 * 1024


class World:
    """A journal with a recorder, and a wall clock that is set."""

    def __init__(self, *, limit: int = 4, provisioned: int = 0, serverless: bool = True) -> None:
        self.journal = Journal()
        self.now = NOON
        self.limit, self.provisioned = limit, provisioned
        self.recorder = Recorder(
            self.journal,
            endpoint="iris",
            variant="AllTraffic",
            max_concurrency=lambda: self.limit,
            provisioned=lambda: self.provisioned,
            memory_limit_bytes=1024 * MIB,
            serverless=serverless,
            now=lambda: self.now,
        )

    def answered(self, seconds: float = 0.2, **fields: Any) -> None:
        told = self.journal.begin(0.0)
        told.instance, told.status, told.model_seconds = 1, 200, 0.1
        for name, value in fields.items():
            setattr(told, name, value)
        self.journal.end(told, seconds)

    def change(self, instance: int, state: InstanceState, request: int | None = None) -> None:
        self.journal.changed(
            InstanceChange(
                at=0.0, instance=instance, state=state, request=request,
                provisioned=instance <= self.provisioned,
            )
        )  # fmt: skip

    def values(self, metric: Metric) -> Summary:
        return self.recorder.total(metric)

    def minutes(self) -> list[datetime]:
        return sorted(self.recorder.snapshot().minutes)


def test_the_metrics_are_those_of_serverless_endpoints_and_no_others() -> None:
    assert {(metric.namespace, metric.name, metric.unit) for metric in METRICS} == {
        (SAGEMAKER, "Invocations", "None"),
        (SAGEMAKER, "Invocation4XXErrors", "None"),
        (SAGEMAKER, "Invocation5XXErrors", "None"),
        (SAGEMAKER, "ModelLatency", "Microseconds"),
        (SAGEMAKER, "OverheadLatency", "Microseconds"),
        (SAGEMAKER, "ModelSetupTime", "Microseconds"),
        (SAGEMAKER, "ServerlessConcurrentExecutionsUtilization", "None"),
        (SAGEMAKER, "ServerlessProvisionedConcurrencyExecutions", "Count"),
        (SAGEMAKER, "ServerlessProvisionedConcurrencyUtilization", "None"),
        (SAGEMAKER, "ServerlessProvisionedConcurrencyInvocations", "Count"),
        (SAGEMAKER, "ServerlessProvisionedConcurrencySpilloverInvocations", "Count"),
        (ENDPOINTS, "MemoryUtilization", "Percent"),
    }


def test_an_answer_is_an_invocation_with_its_latencies_in_microseconds() -> None:
    here = World()
    here.answered(seconds=0.25, model_seconds=0.1)
    assert here.values(INVOCATIONS).total == 1
    assert here.values(MODEL_LATENCY).total == pytest.approx(100_000)
    assert here.values(OVERHEAD_LATENCY).total == pytest.approx(150_000)
    assert here.values(MODEL_SETUP_TIME).count == 0


def test_only_a_cold_start_has_a_setup_time_and_the_overhead_includes_it() -> None:
    here = World()
    here.answered(seconds=3.1, model_seconds=0.1, cold=True, setup_seconds=2.9)
    here.answered()
    assert here.values(MODEL_SETUP_TIME).count == 1
    assert here.values(MODEL_SETUP_TIME).total == pytest.approx(2_900_000)
    assert here.values(OVERHEAD_LATENCY).most == pytest.approx(3_000_000)


@pytest.mark.parametrize(
    ("status", "client", "server"), [(200, 0, 0), (404, 1, 0), (500, 0, 1), (None, 0, 0)]
)
def test_errors_are_those_that_the_model_answered(
    status: int | None, client: int, server: int
) -> None:
    here = World()
    here.answered(status=status, error="" if status == 200 else "ModelError")
    assert (here.values(CLIENT_ERRORS).total, here.values(SERVER_ERRORS).total) == (client, server)
    assert here.values(CLIENT_ERRORS).count == here.values(SERVER_ERRORS).count == 1


def test_a_throttled_request_is_in_no_metric() -> None:
    here = World()
    here.answered(error="ThrottlingException", instance=None, status=None, model_seconds=0.0)
    assert here.recorder.snapshot().metrics() == set()
    assert {value for *_, value in here.recorder.rows()} == {None}


def test_memory_is_percent_of_the_endpoints_size() -> None:
    here = World()
    here.answered(memory_bytes=256 * MIB)
    assert here.values(MEMORY).total == pytest.approx(25.0)


def test_concurrency_counts_requests_that_wait_for_a_start_too() -> None:
    here = World(limit=4)
    here.change(1, InstanceState.STARTING)  # ahead of any request
    here.change(1, InstanceState.BUSY, 1)
    here.change(2, InstanceState.STARTING, 2)
    here.change(2, InstanceState.STARTING, 2)  # its container's name became known
    here.change(2, InstanceState.BUSY, 2)
    assert here.values(CONCURRENCY).most == pytest.approx(0.5)
    here.change(1, InstanceState.IDLE)
    here.change(2, InstanceState.GONE)
    assert here.values(CONCURRENCY).least == 0.0
    assert here.values(CONCURRENCY).count == 4


def test_the_provisioned_metrics_are_there_with_provisioned_concurrency_only() -> None:
    without, here = World(), World(limit=4, provisioned=2)
    for world in (without, here):
        world.change(1, InstanceState.BUSY, 1)
        world.change(3, InstanceState.BUSY, 2)
        world.answered(provisioned=world.provisioned > 0)
        world.answered()
    for metric in (PROVISIONED, PROVISIONED_SHARE, PROVISIONED_INVOCATIONS, SPILLOVER):
        assert without.values(metric).count == 0
    assert here.values(PROVISIONED).most == 1
    assert here.values(PROVISIONED_SHARE).most == pytest.approx(0.5)
    assert here.values(PROVISIONED_INVOCATIONS).count == here.values(SPILLOVER).count == 1


def test_a_real_time_endpoint_has_no_serverless_metrics() -> None:
    here = World(serverless=False)
    here.change(1, InstanceState.BUSY, 1)
    here.answered()
    names = {metric.name for metric in here.recorder.snapshot().metrics()}
    assert names == {
        "Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency",
        "OverheadLatency",
    }  # fmt: skip
    shown = {name for name, *_ in here.recorder.rows()}
    assert not {name for name in shown if name.startswith("Serverless")}


def test_the_past_is_kept_for_fifteen_days_and_no_longer() -> None:
    here = World()
    here.answered()
    here.now = NOON + KEPT
    here.answered()
    assert len(here.minutes()) == 2
    here.now += timedelta(minutes=1)
    here.answered()
    assert here.minutes() == [NOON + KEPT, NOON + KEPT + timedelta(minutes=1)]


def test_rows_have_a_value_after_the_first_request_and_none_before() -> None:
    here = World()
    assert {value for *_, value in here.recorder.rows()} == {None}
    here.answered()
    rows = {(name, statistic): value for name, _, statistic, value in here.recorder.rows()}
    assert rows["Invocations", "Sum"] == 1
    assert rows["ModelLatency", "p99"] == pytest.approx(100_000)
    assert rows["ModelSetupTime", "Average"] is None


records: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    seconds=st.floats(0.001, 300.0),
    model_seconds=st.floats(0.0001, 0.001),
    status=st.sampled_from([200, 200, 400, 500, None]),
    cold=st.booleans(),
    setup_seconds=st.floats(0.0, 0.0005),
    error=st.sampled_from(["", "", "ThrottlingException"]),
    minute=st.integers(0, 5),  # in any order: a wall clock may jump back
)


@given(st.lists(records, max_size=30))
def test_every_point_is_what_a_plain_recount_says(story: list[dict[str, Any]]) -> None:
    here = World()
    plain: defaultdict[tuple[str, datetime], list[float]] = defaultdict(list)
    for record in story:
        fields = dict(record)
        minute = NOON + timedelta(minutes=fields.pop("minute"))
        here.now = minute + timedelta(seconds=30)
        here.answered(**fields)
        if fields["error"]:
            continue
        seconds, status = fields.pop("seconds"), fields["status"]
        told = Invocation(request=0, arrived=0.0, **fields)
        plain["Invocations", minute].append(1)
        plain["Invocation4XXErrors", minute].append(status == 400)
        plain["Invocation5XXErrors", minute].append(status == 500)
        plain["ModelLatency", minute].append(told.model_seconds * 1e6)
        plain["OverheadLatency", minute].append(max(0, seconds - told.model_seconds) * 1e6)
        if told.cold:
            plain["ModelSetupTime", minute].append(told.setup_seconds * 1e6)
    points = {
        (metric.name, minute): summary
        for minute, summaries in here.recorder.snapshot().minutes.items()
        for metric, summary in summaries.items()
    }
    assert points.keys() == plain.keys()
    for key, values in plain.items():
        summary = points[key]
        assert summary.count == len(values)
        assert summary.total == pytest.approx(math.fsum(values))
        assert (summary.least, summary.most) == (min(values), max(values))
        assert summary.statistic("p50") == sorted(values)[(len(values) - 1) // 2]


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(InstanceState), st.booleans()), max_size=40
    )
)
def test_concurrency_is_what_a_plain_recount_says(
    story: list[tuple[int, InstanceState, bool]],
) -> None:
    """Instances 1 and 2 are provisioned."""
    here = World(limit=4, provisioned=2)
    working: set[int] = set()
    shares: list[float] = []
    provisioned: list[float] = []
    for instance, state, has_request in story:
        here.change(instance, state, 7 if has_request else None)
        now = working - {instance}
        if has_request and state is not InstanceState.GONE:
            now = working | {instance}
        if now != working:
            working = now
            shares.append(len(now) / 4)
            provisioned.append(len(now & {1, 2}))
    for metric, values in ((CONCURRENCY, shares), (PROVISIONED, provisioned)):
        summary = here.values(metric)
        assert summary.count == len(values)
        assert summary.total == pytest.approx(math.fsum(values))
        assert summary.statistic("Maximum") == max(values, default=None)


def test_a_snapshot_does_not_change_any_more() -> None:
    here = World()
    here.answered()
    before = here.recorder.snapshot()
    here.answered()
    here.now += timedelta(minutes=1)
    here.answered()
    assert [summaries[INVOCATIONS].total for summaries in before.minutes.values()] == [1]
    assert [s[INVOCATIONS].total for s in here.recorder.snapshot().minutes.values()] == [2, 1]


@given(
    offsets=st.lists(st.integers(0, 40), max_size=12, unique=True),
    start=st.integers(0, 20),
    seconds=st.integers(0, 59),
    length=st.integers(1, 25),
    period=st.sampled_from([60, 120, 300, 3600]),
)
def test_a_series_is_what_a_plain_count_says(
    offsets: list[int], start: int, seconds: int, length: int, period: int
) -> None:
    """The start is rounded down and belongs to it; the end does not."""
    here = World()
    for offset in offsets:
        here.now = NOON + timedelta(minutes=offset, seconds=59)
        here.answered()
    first = NOON + timedelta(minutes=start)
    end = first + timedelta(minutes=length)
    series = here.recorder.snapshot().series(
        INVOCATIONS, start=first + timedelta(seconds=seconds), end=end, period=period
    )
    plain: defaultdict[int, int] = defaultdict(int)
    for offset in offsets:
        if start <= offset < start + length:
            plain[(offset - start) * 60 // period] += 1
    assert [(moment, summary.total) for moment, summary in series] == [
        (first + timedelta(seconds=number * period), many) for number, many in sorted(plain.items())
    ]


# Buckets


def taken(values: list[float]) -> Summary:
    bucket = Bucket()
    for value in values:
        bucket.add(value)
    return bucket.summary()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=DISTINCT))
def test_statistics_are_exact(values: list[float]) -> None:
    summary = taken(values)
    assert summary.statistic("SampleCount") == len(values)
    assert summary.statistic("Sum") == pytest.approx(math.fsum(values), abs=1e-3)
    assert summary.statistic("Average") == pytest.approx(statistics.fmean(values), abs=1e-3)
    assert summary.statistic("Minimum") == min(values)
    assert summary.statistic("Maximum") == max(values)
    ordered = sorted(values)
    for share in (0, 1, 50, 90, 99, 99.9, 100):
        rank = max(1, math.ceil(share / 100 * len(values)))
        assert summary.statistic(f"p{share:g}") == ordered[rank - 1]


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=20), max_size=5))
def test_summaries_together_are_one_of_all_values(parts: list[list[float]]) -> None:
    whole = Summary.of([taken(values) for values in parts])
    together = taken([value for values in parts for value in values])
    for name in ("SampleCount", "Average", "Minimum", "Maximum", "p50", "p99"):
        assert whole.statistic(name) == pytest.approx(together.statistic(name))


@given(st.lists(st.floats(1e-3, 1e9), min_size=DISTINCT + 1, max_size=400, unique=True))
def test_many_values_have_percentiles_within_half_a_percent(values: list[float]) -> None:
    summary = taken(values)
    for share in (0, 10, 50, 99, 100):
        rank = max(1, math.ceil(share / 100 * len(values)))
        assert summary.statistic(f"p{share}") == pytest.approx(sorted(values)[rank - 1], rel=0.005)


def test_memory_has_a_bound_whatever_comes() -> None:
    """From a microsecond to four minutes, as latencies are."""
    summary = taken([float(number) for number in range(1, 240_000_000, 2399)])
    assert summary.count == 100_042
    assert len(summary.values) < 2000


def test_a_sign_is_not_lost_by_rounding() -> None:
    summary = taken([sign * 1.5**number for number in range(DISTINCT) for sign in (-1.0, 1.0)])
    assert summary.statistic("p50") == pytest.approx(-1.0, rel=0.005)
    assert summary.statistic("p0") == pytest.approx(summary.least, rel=0.005)


@pytest.mark.parametrize("name", ["median", "p", "p101", "p-1", "pp", "", "tm90", "pnan", "p 5"])
def test_an_unknown_statistic_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}$"):
        percentile(name)
    with pytest.raises(ValueError, match=rf"^{name}$"):
        taken([1.0]).statistic(name)


def test_nothing_has_a_sum_and_a_count_only() -> None:
    assert taken([]).statistic("Sum") == taken([]).statistic("SampleCount") == 0.0
    for name in ("Average", "Minimum", "Maximum", "p99"):
        assert taken([]).statistic(name) is None

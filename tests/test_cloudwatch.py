"""Owns: the claims of emulator/api/cloudwatch.py and emulator/api/moto_app.py: boto3's CloudWatch
and CloudWatch Logs, over HTTP, on a journal that this test fills. No container, no engine.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import RpcV2CBORParser

from emulator.api import cloudwatch, cloudwatch_logs
from emulator.api.cloudwatch import SERVICES, CloudWatch
from emulator.api.cloudwatch_answers import Answers
from emulator.api.cloudwatch_logs import keep_the_last
from emulator.api.moto_app import MotoApp, _served, service_of
from emulator.api.server import RuntimeServer
from emulator.api.wsgi import MOST_BYTES, environ_of
from emulator.endpoint_logs import LogBook
from emulator.endpoint_state import Journal
from emulator.engines import LogLine
from emulator.metrics import Recorder
from tests.clients import aws, bare_environment

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIMENSIONS = [
    {"Name": "EndpointName", "Value": "iris"},
    {"Name": "VariantName", "Value": "AllTraffic"},
]
GROUP = "/aws/sagemaker/Endpoints/iris"
LATER = START + timedelta(minutes=10)
SETUPS = {0: [1.0, 3.0, 2.0], 1: [4.0], 7: [0.5, 0.5]}
"""Seconds of the cold starts in each minute."""


@dataclass(eq=False)
class Written:
    """A container of which only the log is asked."""

    id: str = "c0ffee" * 10
    lines: list[LogLine] = field(default_factory=list)

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        return [line for line in self.lines if line.nanoseconds > after_nanoseconds]


@dataclass
class Stream:
    """As moto's, as far as we cut it."""

    events: list[int]


@dataclass(kw_only=True)
class Served:
    url: str
    journal: Journal
    container: Written

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id="byoc",
            aws_secret_access_key="byoc",
        )


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def served(portal: BlockingPortal) -> Iterator[Served]:
    journal, logs, container = Journal(), LogBook(), Written()
    now = [START]
    recorder = Recorder(
        journal,
        endpoint="iris",
        variant="AllTraffic",
        max_concurrency=lambda: 4,
        provisioned=lambda: 0,
        memory_limit_bytes=2**30,
        now=lambda: now[0],
    )
    for minute, setups in SETUPS.items():
        now[0] = START + timedelta(minutes=minute, seconds=20)
        for seconds in setups:
            told = journal.begin(0.0)
            told.cold, told.setup_seconds = True, seconds
            told.instance, told.status, told.model_seconds = 1, 200, 0.1
            told.memory_bytes = 2**28
            journal.end(told, seconds + 0.2)

    async def begin() -> tuple[RuntimeServer, MotoApp, CloudWatch]:
        logs.began(1, container)  # type: ignore[arg-type]
        watch = CloudWatch()
        watch.add("us-east-1", recorder, logs)
        moto = MotoApp(SERVICES, watch.prepare)
        server = RuntimeServer({}, mounts=[moto.mount])
        await server.start()
        return server, moto, watch

    server, moto, watch = portal.call(begin)
    yield Served(url=server.url, journal=journal, container=container)
    watch.close()
    moto.close()
    portal.call(server.close)


def ask(served: Served, stat: str, *, period: int = 60, start: datetime = START) -> dict[Any, Any]:
    """Minutes after START -> value, by GetMetricData."""
    answer = served.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "setup",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SageMaker",
                        "MetricName": "ModelSetupTime",
                        "Dimensions": DIMENSIONS,
                    },
                    "Period": period,
                    "Stat": stat,
                },
            }
        ],
        StartTime=start,
        EndTime=START + timedelta(minutes=10),
    )
    (result,) = answer["MetricDataResults"]
    assert result["StatusCode"] == "Complete"
    return {
        int((moment - START).total_seconds() // 60): value / 1e6
        for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
    }


EXPECTED: dict[str, Callable[[list[float]], float]] = {
    "Sum": sum, "Average": statistics.fmean, "Minimum": min, "Maximum": max, "SampleCount": len,
    "p50": lambda values: sorted(values)[(len(values) - 1) // 2],
    "p99": max,
}  # fmt: skip


@pytest.mark.parametrize("stat", EXPECTED)
def test_get_metric_data_has_every_statistic_of_every_minute(served: Served, stat: str) -> None:
    scale = 1e6 if stat == "SampleCount" else 1.0
    assert {minute: value * scale for minute, value in ask(served, stat).items()} == {
        minute: pytest.approx(EXPECTED[stat](values)) for minute, values in SETUPS.items()
    }


@pytest.mark.parametrize("stat", EXPECTED)
def test_a_longer_period_is_all_of_its_minutes(served: Served, stat: str) -> None:
    scale = 1e6 if stat == "SampleCount" else 1.0
    together = {0: SETUPS[0] + SETUPS[1], 5: SETUPS[7]}
    assert {minute: value * scale for minute, value in ask(served, stat, period=300).items()} == {
        minute: pytest.approx(EXPECTED[stat](values)) for minute, values in together.items()
    }


def test_a_start_time_is_rounded_down_to_the_minute(served: Served) -> None:
    late = START + timedelta(seconds=45)
    assert ask(served, "Sum", start=late) == ask(served, "Sum")


@pytest.mark.parametrize("period", [60, 300])
def test_get_metric_statistics_says_the_same(served: Served, period: int) -> None:
    answer = served.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelSetupTime",
        Dimensions=DIMENSIONS,
        StartTime=START,
        EndTime=START + timedelta(minutes=10),
        Period=period,
        Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"],
    )
    assert answer["Label"] == "ModelSetupTime"
    for stat in ("Sum", "Average", "Minimum", "Maximum"):
        found = {
            int((point["Timestamp"] - START).total_seconds() // 60): point[stat] / 1e6
            for point in answer["Datapoints"]
        }
        assert found == pytest.approx(ask(served, stat, period=period))
    assert {point["Unit"] for point in answer["Datapoints"]} == {"Microseconds"}


def test_other_dimensions_have_no_values(served: Served) -> None:
    answer = served.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": "EndpointName", "Value": "iris"}],
        StartTime=START,
        EndTime=START + timedelta(minutes=10),
        Period=60,
        Statistics=["Sum"],
    )
    assert answer["Datapoints"] == []


def test_list_metrics_has_what_was_recorded(served: Served) -> None:
    found = served.client("cloudwatch").list_metrics(Namespace="AWS/SageMaker")["Metrics"]
    assert {metric["MetricName"] for metric in found} == {
        "Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency",
        "OverheadLatency", "ModelSetupTime",
    }  # fmt: skip
    assert all(metric["Dimensions"] == DIMENSIONS for metric in found)


def test_another_region_has_neither_its_metrics_nor_its_logs(served: Served) -> None:
    client = served.client("cloudwatch", "eu-west-1")
    assert client.list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []
    logs = served.client("logs", "eu-west-1")
    assert logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"] == []


def test_what_a_container_wrote_is_in_its_log_stream_and_only_once(served: Served) -> None:
    logs = served.client("logs")
    group = GROUP
    now = int(datetime.now(UTC).timestamp() * 1e9)
    served.container.lines += [
        LogLine(nanoseconds=now + number, text=text) for number, text in enumerate(("one", "two"))
    ]
    for more in (["one", "two"], ["one", "two", "three"]):
        if len(more) == 3:
            served.container.lines.append(LogLine(nanoseconds=now + 10**6, text="three"))
        (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert found["logGroupName"] == group
        (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
        assert stream["logStreamName"] == "AllTraffic/" + served.container.id[:32]
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
        assert [event["message"] for event in events] == more
        assert events[0]["timestamp"] == now // 10**6
    matching = logs.filter_log_events(logGroupName=group, filterPattern="three")["events"]
    assert [event["message"] for event in matching] == ["three"]


def test_lines_that_came_out_of_order_are_put_in_order(served: Served) -> None:
    """Two threads of an engine stamp what was written to stdout and to stderr."""
    now = int(datetime.now(UTC).timestamp() * 1e9)
    served.container.lines = [
        LogLine(nanoseconds=now + 4 * 10**6, text="later"),
        LogLine(nanoseconds=now + 2 * 10**6, text="sooner"),
    ]
    events = served.client("logs").filter_log_events(logGroupName=GROUP, startTime=now // 10**6)
    assert [event["message"] for event in events["events"]] == ["sooner", "later"]


def test_a_log_group_that_was_deleted_comes_back_with_what_is_kept(served: Served) -> None:
    """As after moto was reset, which a caller's `mock_aws` does."""
    logs = served.client("logs")
    before = logs.filter_log_events(logGroupName=GROUP)["events"]
    logs.delete_log_group(logGroupName=GROUP)
    after = logs.filter_log_events(logGroupName=GROUP)["events"]
    assert before
    assert {event["message"] for event in before} <= {event["message"] for event in after}


def test_a_log_group_keeps_the_last_lines() -> None:
    streams = {name: Stream(list(range(size))) for name, size in (("a", 7), ("b", 5), ("c", 3))}
    keep_the_last(streams, most=6)
    assert {name: stream.events for name, stream in streams.items()} == {
        "b": [2, 3, 4], "c": [0, 1, 2],
    }  # fmt: skip
    keep_the_last(streams, most=2)
    assert {name: stream.events for name, stream in streams.items()} == {"c": [1, 2]}


def recorder_of(endpoint: str, journal: Journal, variant: str = "AllTraffic") -> Recorder:
    return Recorder(
        journal, endpoint=endpoint, variant=variant, max_concurrency=lambda: 1,
        provisioned=lambda: 0, memory_limit_bytes=1, now=lambda: START,
    )  # fmt: skip


def answered(journal: Journal, times: int = 1) -> None:
    for _ in range(times):
        told = journal.begin(0.0)
        told.instance, told.status, told.model_seconds = 1, 200, 0.1
        journal.end(told, 0.2)


def test_after_closing_the_metrics_are_gone() -> None:
    recorder = recorder_of("x", Journal())
    answers, owner = Answers(), object()
    answers.show(owner, [recorder.snapshot()])
    answers.forget(object())
    assert answers.data(query("Invocations", "Sum", endpoint="x"), START, LATER) is not None
    answers.forget(owner)
    assert answers.data(query("Invocations", "Sum", endpoint="x"), START, LATER) is None


# Endpoints come and go


@dataclass(kw_only=True)
class Fleet:
    """CloudWatch of endpoints that a test adds and takes away."""

    url: str
    watch: CloudWatch
    portal: BlockingPortal

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return Served(url=self.url, journal=Journal(), container=Written()).client(service, region)

    def endpoint(
        self, name: str, *texts: str, variant: str = "AllTraffic", region: str = "us-east-1"
    ) -> tuple[Journal, Callable[[], None]]:
        """Its journal, and what takes it away. Its container has written these lines."""
        journal, logs, container = Journal(), LogBook(), Written(id=f"{name}{variant}" * 9)
        now = int(datetime.now(UTC).timestamp() * 1e9)
        container.lines = [LogLine(nanoseconds=now + n, text=text) for n, text in enumerate(texts)]

        async def begin() -> Callable[[], None]:
            logs.began(1, container)  # type: ignore[arg-type]
            return self.watch.add(region, recorder_of(name, journal, variant), logs)

        remove = self.portal.call(begin)

        async def end() -> None:
            await logs.ended(container)  # type: ignore[arg-type]
            remove()

        return journal, lambda: self.portal.call(end)

    def invocations(self, name: str, variant: str = "AllTraffic") -> float:
        dimensions = [
            {"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant},
        ]  # fmt: skip
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=dimensions,
            StartTime=START, EndTime=LATER, Period=600, Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        return float(sum(point["Sum"] for point in points))

    def messages(self, name: str, region: str = "us-east-1") -> list[str]:
        events = self.client("logs", region).filter_log_events(
            logGroupName=f"/aws/sagemaker/Endpoints/{name}"
        )["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def fleet(portal: BlockingPortal) -> Iterator[Fleet]:
    async def begin() -> tuple[RuntimeServer, MotoApp, CloudWatch]:
        watch = CloudWatch()
        moto = MotoApp(SERVICES, watch.prepare)
        server = RuntimeServer({}, mounts=[moto.mount])
        await server.start()
        return server, moto, watch

    server, moto, watch = portal.call(begin)
    yield Fleet(url=server.url, watch=watch, portal=portal)
    watch.close()
    moto.close()
    portal.call(server.close)


def test_each_variant_has_its_own_dimensions_and_its_endpoints_log_group(fleet: Fleet) -> None:
    one, _ = fleet.endpoint("two-variants", "one", variant="blue")
    two, _ = fleet.endpoint("two-variants", "two", variant="green")
    other, _ = fleet.endpoint("other")
    answered(one)
    answered(two, 2)
    answered(other, 3)
    told = [
        fleet.invocations("two-variants", "blue"), fleet.invocations("two-variants", "green"),
        fleet.invocations("other"),
    ]  # fmt: skip
    assert told == [1, 2, 3]
    streams = fleet.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/Endpoints/two-variants"
    )["logStreams"]
    assert {stream["logStreamName"].partition("/")[0] for stream in streams} == {"blue", "green"}
    assert sorted(fleet.messages("two-variants")) == ["one", "two"]


def test_a_deleted_endpoint_keeps_its_metrics_and_its_logs(fleet: Fleet) -> None:
    journal, delete = fleet.endpoint("short-lived", "its only line")
    answered(journal, 2)
    delete()  # nobody has asked for anything before
    assert fleet.invocations("short-lived") == 2
    assert fleet.messages("short-lived") == ["its only line"]
    again, _ = fleet.endpoint("short-lived", "the next one's")
    answered(again, 3)
    assert fleet.invocations("short-lived") == 5
    assert fleet.messages("short-lived") == ["its only line", "the next one's"]
    fleet.client("logs").delete_log_group(logGroupName="/aws/sagemaker/Endpoints/short-lived")
    assert fleet.messages("short-lived") == ["the next one's"], "what lives comes back"


def test_an_update_has_both_versions_in_one_metric(fleet: Fleet) -> None:
    blue, end_blue = fleet.endpoint("updated")
    green, _ = fleet.endpoint("updated")
    answered(blue)
    answered(green, 2)
    assert fleet.invocations("updated") == 3
    end_blue()
    answered(green)
    assert fleet.invocations("updated") == 4
    metrics = fleet.client("cloudwatch").list_metrics(
        Dimensions=[{"Name": "EndpointName", "Value": "updated"}], MetricName="Invocations"
    )["Metrics"]
    assert len(metrics) == 1


def test_an_endpoint_is_seen_in_its_own_region_only(fleet: Fleet) -> None:
    fleet.endpoint("abroad", "hello", region="eu-west-1")
    assert fleet.messages("abroad", "eu-west-1") == ["hello"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        fleet.messages("abroad")


def test_what_is_kept_of_endpoints_that_are_gone_has_a_bound(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudwatch, "MOST_PAST", 2)
    monkeypatch.setattr(cloudwatch_logs, "MOST_LEFT", 5)
    for number in range(4):
        journal, delete = fleet.endpoint(f"bound-{number}", "one", "two")
        answered(journal)
        delete()
    assert [fleet.invocations(f"bound-{number}") for number in range(4)] == [0, 0, 1, 1]
    groups = fleet.client("logs").describe_log_groups(
        logGroupNamePrefix="/aws/sagemaker/Endpoints/bound-"
    )["logGroups"]
    assert [group["logGroupName"][-1] for group in groups] == ["2", "3"]


# What is asked differently


def query(
    name: str, stat: str, *, namespace: str = "AWS/SageMaker", endpoint: str = "iris", **more: Any
) -> dict[str, Any]:
    dimensions = [
        {"Name": "VariantName", "Value": "AllTraffic"},  # in another order than ours
        {"Name": "EndpointName", "Value": endpoint},
    ]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    stat_of = {"Metric": metric, "Period": 300, "Stat": stat, **more}
    return {"Id": f"id_{name.lower()}", "MetricStat": stat_of}


def get(served: Served, *queries: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = served.client("cloudwatch").get_metric_data(
        MetricDataQueries=list(queries), StartTime=START, EndTime=LATER, **more
    )
    results: list[dict[str, Any]] = answer["MetricDataResults"]
    return results


def test_results_are_in_the_order_of_the_queries_and_those_that_are_wanted(served: Served) -> None:
    hidden = {**query("Invocations", "Sum"), "ReturnData": False}
    named = {**query("ModelLatency", "Sum"), "Label": "model"}
    results = get(served, query("ModelSetupTime", "Sum"), hidden, named)
    assert [(one["Id"], one["Label"]) for one in results] == [
        ("id_modelsetuptime", "ModelSetupTime"), ("id_modellatency", "model"),
    ]  # fmt: skip


def test_values_come_newest_first_unless_asked_otherwise(served: Served) -> None:
    for scan in ({}, {"ScanBy": "TimestampDescending"}):
        (result,) = get(served, query("Invocations", "Sum"), **scan)
        assert result["Values"] == [2.0, 4.0]
    (result,) = get(served, query("Invocations", "Sum"), ScanBy="TimestampAscending")
    assert result["Values"] == [4.0, 2.0]


def test_memory_is_in_its_own_namespace_only(served: Served) -> None:
    name = "MemoryUtilization"
    (result,) = get(served, query(name, "Maximum", namespace="/aws/sagemaker/Endpoints"))
    assert result["Values"] == [25.0, 25.0]
    (result,) = get(served, query(name, "Maximum"))
    assert result["Values"] == []


def test_another_unit_has_no_values(served: Served) -> None:
    (result,) = get(served, query("ModelLatency", "Sum", Unit="Microseconds"))
    assert result["Values"]
    (result,) = get(served, query("ModelLatency", "Sum", Unit="Seconds"))
    assert result["Values"] == []


def test_extended_statistics_are_percentiles(served: Served) -> None:
    client = served.client("cloudwatch")
    asked = {
        "Namespace": "AWS/SageMaker", "MetricName": "ModelSetupTime", "Dimensions": DIMENSIONS,
        "StartTime": START, "EndTime": LATER, "Period": 600,
    }  # fmt: skip
    answer = client.get_metric_statistics(**asked, ExtendedStatistics=["p50", "p99.9"])
    (point,) = answer["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 1e6, "p99.9": 4e6}
    assert point["Timestamp"] == START
    assert "Sum" not in point
    with pytest.raises(ClientError, match="Must specify either Statistics or ExtendedStatistics"):
        client.get_metric_statistics(**asked)


REFUSALS = (
    ("InvalidParameterValue", "no statistic 'tm90'", {"Statistics": ["tm90"]}),
    ("InvalidParameterValue", "multiple of 60", {"Period": 90}),
    ("InvalidParameterValue", "StartTime must be less than", {"EndTime": START}),
    (
        "InvalidParameterCombination",
        "You have requested up to 1,441 datapoints, which exceeds the limit of 1,440",
        {"EndTime": START + timedelta(minutes=1440, seconds=1)},
    ),
)


@pytest.mark.parametrize(("code", "words", "asked"), REFUSALS)
def test_what_cannot_be_answered_is_refused_by_name(
    served: Served, code: str, words: str, asked: dict[str, Any]
) -> None:
    whole = {
        "Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": DIMENSIONS,
        "StartTime": START, "EndTime": LATER, "Period": 60, "Statistics": ["Sum"], **asked,
    }  # fmt: skip
    with pytest.raises(ClientError, match=words) as caught:
        served.client("cloudwatch").get_metric_statistics(**whole)
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    "expression",
    ["id_invocations * 2", "SEARCH('{AWS/SageMaker,EndpointName} ModelLatency', 'p99')"],
)
def test_metric_math_over_our_metrics_is_refused(served: Served, expression: str) -> None:
    computed = {"Id": "computed", "Expression": expression}
    for queries in ([query("Invocations", "Sum"), computed], [computed]):
        if "AWS/SageMaker" in expression or len(queries) == 2:
            with pytest.raises(ClientError, match="byoc evaluates no expressions"):
                get(served, *queries)


def test_metrics_of_others_are_motos(served: Served) -> None:
    client = served.client("cloudwatch")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    client.put_metric_data(
        Namespace="Mine",
        MetricData=[{"MetricName": "Invocations", "Value": 7.0, "Timestamp": now}],
    )
    metric = {"Namespace": "Mine", "MetricName": "Invocations"}
    mine = {"Id": "mine", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    later = now + timedelta(minutes=1)
    for queries in ([mine], [query("Invocations", "Sum"), mine]):
        answer = client.get_metric_data(MetricDataQueries=queries, StartTime=now, EndTime=later)
        assert answer["MetricDataResults"][-1]["Values"] == [7.0]
    (point,) = client.get_metric_statistics(
        **metric, StartTime=now, EndTime=later, Period=60, Statistics=["Sum"]
    )["Datapoints"]
    assert point["Sum"] == 7.0


# The wire


def test_requests_that_nobody_signed_are_answered(served: Served) -> None:
    for service, call, member in (
        ("cloudwatch", "list_metrics", "Metrics"), ("logs", "describe_log_groups", "logGroups"),
    ):  # fmt: skip
        client = boto3.client(
            service,
            endpoint_url=served.url,
            region_name="us-east-1",
            config=Config(signature_version=UNSIGNED),
        )
        assert getattr(client, call)()[member]


def test_the_query_protocol_of_older_clients_is_answered(served: Served) -> None:
    form = {
        "Action": "GetMetricStatistics", "Version": "2010-08-01", "Namespace": "AWS/SageMaker",
        "MetricName": "ModelSetupTime", "Period": "600",
        "StartTime": "2026-03-01T12:00:00Z", "EndTime": "2026-03-01T12:10:00Z",
        "Statistics.member.1": "Maximum", "ExtendedStatistics.member.1": "p50",
        "Dimensions.member.1.Name": "EndpointName", "Dimensions.member.1.Value": "iris",
        "Dimensions.member.2.Name": "VariantName", "Dimensions.member.2.Value": "AllTraffic",
    }  # fmt: skip
    request = urllib.request.Request(
        served.url,
        urllib.parse.urlencode(form).encode(),
        {"Authorization": SIGNED.format("monitoring").replace("eu-west-1", "us-east-1")},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        told = answer.read().decode()
    assert "<Maximum>4000000.0</Maximum>" in told
    assert "<key>p50</key><value>1000000.0</value>" in re.sub(r"\s", "", told)
    assert "<Unit>Microseconds</Unit>" in told


def test_requests_in_cbor_are_refused_in_cbor(served: Served) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    request = urllib.request.Request(
        served.url + path,
        b"\xa0",
        {"Authorization": SIGNED.format("monitoring"), "Content-Type": "application/cbor"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    told = {"body": caught.value.read(), "headers": caught.value.headers, "status_code": 501}
    parsed = RpcV2CBORParser().parse(told, None)
    assert parsed["Error"]["Code"] == "NotEmulated"
    assert f"byoc does not emulate {path}" in parsed["Error"]["Message"]


@pytest.mark.clients
def test_the_aws_cli_has_metrics_and_logs(served: Served, tmp_path: Path) -> None:
    environment = {
        **bare_environment(),
        "AWS_ENDPOINT_URL_CLOUDWATCH": served.url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": served.url,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    asked = (
        "cloudwatch get-metric-statistics --namespace AWS/SageMaker --metric-name ModelSetupTime"
        " --dimensions Name=VariantName,Value=AllTraffic Name=EndpointName,Value=iris"
        " --start-time 2026-03-01T12:00:00Z --end-time 2026-03-01T12:10:00Z --period 600"
        " --statistics Maximum --extended-statistics p50 --output json"
    )
    told = aws(environment, tmp_path, asked.split())
    assert told.stderr == ""
    (point,) = json.loads(told.stdout)["Datapoints"]
    assert (point["Maximum"], point["ExtendedStatistics"]) == (4e6, {"p50": 1e6})

    now = int(datetime.now(UTC).timestamp() * 1e9)
    served.container.lines = [
        LogLine(nanoseconds=now + number, text=f"line {number}") for number in range(3)
    ]
    # What `aws logs tail` of version 2 sends; pip has version 1 only. Page by page, as both read.
    since = ("--start-time", str(now // 10**6), "--interleaved", "--page-size", "2")
    told = aws(
        environment, tmp_path,
        ["logs", "filter-log-events", "--log-group-name", GROUP, *since, "--output", "json"],
    )  # fmt: skip
    assert told.stderr == ""
    events = json.loads(told.stdout)["events"]
    assert [event["message"] for event in events][:3] == ["line 0", "line 1", "line 2"]
    assert set((tmp_path / "hosts").read_text().split()) == {"127.0.0.1"}


def test_a_body_above_the_limit_is_refused(served: Served) -> None:
    where = urllib.parse.urlsplit(served.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
    headers = {"Authorization": SIGNED.format("logs")}
    connection.request("POST", "/", bytes(MOST_BYTES + 1), headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b"byoc takes at most 67108864 bytes here.\n")
    connection.close()


def test_many_callers_at_once_are_all_answered_while_values_come(
    served: Served, portal: BlockingPortal
) -> None:
    """moto was not made for threads, and a snapshot is taken on the loop."""
    client, logs = served.client("cloudwatch"), served.client("logs")

    def come() -> None:
        for _ in range(50):
            told = served.journal.begin(0.0)
            told.instance, told.status, told.model_seconds = 1, 200, 0.001 * told.request
            served.journal.end(told, 1.0)

    def ask_for(number: int) -> int:
        portal.call(come)
        if number % 2:
            return len(client.list_metrics(Namespace="AWS/SageMaker")["Metrics"])
        return len(logs.describe_log_streams(logGroupName=GROUP)["logStreams"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask_for, range(40))) == {6, 1}


def test_two_endpoints_of_a_process_never_have_moto_at_once() -> None:
    inside, together = threading.Semaphore(1), []

    def hand_over() -> None:
        alone = inside.acquire(blocking=False)
        together.append(not alone)
        threading.Event().wait(0.05)  # the other one would come meanwhile
        if alone:
            inside.release()

    def ask_moto(_: int) -> int:
        asked = {
            **scope(
                "/",
                authorization=SIGNED.format("logs"),
                x_amz_target="Logs_20140328.DescribeLogGroups",
            ),
            **REST_OF_A_SCOPE,
        }
        environ = environ_of(asked, b"{}")
        return _served(environ, "logs", "us-east-1", hand_over).status

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(ask_moto, range(4))) == {200}
    assert together == [False] * 4


# Whose request it is


REST_OF_A_SCOPE = {"method": "POST", "http_version": "1.1"}


def scope(path: str = "/", query: bytes = b"", **headers: str) -> dict[str, Any]:
    pairs = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return {"type": "http", "path": path, "query_string": query, "headers": pairs}


SIGNED = "AWS4-HMAC-SHA256 Credential=byoc/20260301/eu-west-1/{}/aws4_request, SignedHeaders=host"


def test_a_request_is_for_the_service_that_it_is_signed_for() -> None:
    assert service_of(scope(authorization=SIGNED.format("logs"))) == ("logs", "eu-west-1")
    assert service_of(scope(authorization=SIGNED.format("sagemaker"))) == ("sagemaker", "eu-west-1")
    query = b"X-Amz-Credential=x&Credential=byoc%2F20260301%2Feu-west-1%2Flogs%2Faws4_request"
    assert service_of(scope(query=query)) == ("logs", "eu-west-1")


def test_an_unsigned_request_is_known_by_its_target_or_path() -> None:
    assert service_of(scope(x_amz_target="Logs_20140328.GetLogEvents")) == ("logs", "us-east-1")
    rpc = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    assert service_of(scope(rpc)) == ("monitoring", "us-east-1")
    assert service_of(scope("/endpoints/iris/invocations")) is None


def test_moto_is_loaded_by_the_first_request_and_not_before() -> None:
    code = (
        "import sys; import emulator.api.cloudwatch, emulator.api.moto_app, emulator.live;"
        "print({name.split('.')[0] for name in sys.modules} & {'moto', 'boto3', 'flask'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""Owns: that CloudWatch and CloudWatch Logs tell of what a real endpoint did."""

from __future__ import annotations

import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emulator.local import ServerlessEndpoint

pytestmark = pytest.mark.docker

SECONDS = 15


def test_five_invocations_one_of_them_cold_are_in_cloudwatch_and_their_lines_in_the_logs() -> None:
    began = datetime.now(UTC)
    with ServerlessEndpoint(
        "byoc-reference:latest", name="told", max_concurrency=4, idle_seconds=2, memory_mb=2048
    ) as endpoint:
        scaled_in(endpoint)
        runtime = endpoint.client()
        for _ in range(5):
            runtime.invoke_endpoint(
                EndpointName="told", Body=b"5.1,3.5,1.4,0.2\n", ContentType="text/csv"
            )
        records = endpoint.invocations
        assert [one.cold for one in records] == [True, False, False, False, False]

        cloudwatch = endpoint.client("cloudwatch")
        asked = [
            query("Invocations", "Sum"), query("Invocation5XXErrors", "Sum"),
            query("ModelSetupTime", "SampleCount"), query("ModelSetupTime", "Maximum"),
            query("ModelLatency", "Sum"), query("OverheadLatency", "Maximum"),
            query("ServerlessConcurrentExecutionsUtilization", "Maximum"),
            query("MemoryUtilization", "Maximum", namespace="/aws/sagemaker/Endpoints"),
        ]  # fmt: skip
        results = cloudwatch.get_metric_data(
            MetricDataQueries=asked,
            StartTime=began,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
        )["MetricDataResults"]
        values = {one["Id"]: one["Values"][0] for one in results}
        setup = records[0].setup_seconds * 1e6
        assert values["invocations_sum"] == 5
        assert values["invocation5xxerrors_sum"] == 0
        assert values["modelsetuptime_samplecount"] == 1
        assert values["modelsetuptime_maximum"] == pytest.approx(setup)
        assert values["modellatency_sum"] == pytest.approx(
            sum(one.model_seconds for one in records) * 1e6
        )
        assert values["overheadlatency_maximum"] >= setup
        assert values["serverlessconcurrentexecutionsutilization_maximum"] == 0.25
        assert 0 < values["memoryutilization_maximum"] < 100

        logs, group = endpoint.client("logs"), "/aws/sagemaker/Endpoints/told"
        until = time.monotonic() + SECONDS
        while len(events := logs.filter_log_events(logGroupName=group)["events"]) < 5:
            assert time.monotonic() < until, f"{len(events)} lines only"
            time.sleep(0.05)  # a container may write after it answered
        assert [event["message"] for event in events] == endpoint.logs()
        (stream,) = {event["logStreamName"] for event in events}
        assert stream.startswith("AllTraffic/")
        for client in (runtime, cloudwatch, logs):
            client.close()


def query(name: str, stat: str, namespace: str = "AWS/SageMaker") -> dict[str, Any]:
    """An hour is one period, wherever in it the minutes change."""
    dimensions = [
        {"Name": "EndpointName", "Value": "told"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {
        "Id": f"{name}_{stat}".lower(),
        "MetricStat": {"Metric": metric, "Period": 3600, "Stat": stat},
    }


def scaled_in(endpoint: ServerlessEndpoint) -> None:
    """By its own metrics, as Prometheus has them."""
    until = time.monotonic() + SECONDS
    while True:
        with urllib.request.urlopen(f"{endpoint.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        if all(line.endswith(" 0") for line in lines if line.startswith("byoc_instances{")):
            return
        assert time.monotonic() < until, "it was not scaled in"
        time.sleep(0.1)

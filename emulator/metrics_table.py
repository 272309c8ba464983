"""The metrics of a serverless endpoint.

Owns: their names, namespaces, units and documented statistics. Serverless endpoints have exactly
these: contract 4.30 to 4.42,
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-monitoring.html. Must not know:
when one of them gets a value, who reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.sources import Source, contract

SAGEMAKER, ENDPOINTS = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
NAMESPACES = (SAGEMAKER, ENDPOINTS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One metric as CloudWatch lists it; two are the same when they are one object. `statistics`:
    those that AWS documents as meaningful.
    """

    name: str
    unit: str
    statistics: tuple[str, ...]
    source: Source
    namespace: str = SAGEMAKER


_LATENCY = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_SHARE = ("Average", "Maximum", "Minimum")


def _metric(name: str, unit: str, statistics: tuple[str, ...], source: Source) -> Metric:
    return Metric(name=name, unit=unit, statistics=statistics, source=source)


METRICS = (
    INVOCATIONS := _metric("Invocations", "None", ("Sum",), contract("4.30")),
    CLIENT_ERRORS := _metric("Invocation4XXErrors", "None", ("Average", "Sum"), contract("4.31")),
    SERVER_ERRORS := _metric("Invocation5XXErrors", "None", ("Average", "Sum"), contract("4.32")),
    MODEL_LATENCY := _metric("ModelLatency", "Microseconds", _LATENCY, contract("4.34")),
    OVERHEAD_LATENCY := _metric("OverheadLatency", "Microseconds", _LATENCY, contract("4.35")),
    MODEL_SETUP_TIME := _metric(
        "ModelSetupTime",
        "Microseconds",
        ("Average", "Minimum", "Maximum", "SampleCount", "p50", "p99"),
        contract("4.36"),
    ),
    CONCURRENCY := _metric(
        "ServerlessConcurrentExecutionsUtilization", "None", _SHARE, contract("4.38")
    ),
    PROVISIONED := _metric(
        "ServerlessProvisionedConcurrencyExecutions", "Count", _SHARE, contract("4.39")
    ),
    PROVISIONED_SHARE := _metric(
        "ServerlessProvisionedConcurrencyUtilization", "None", _SHARE, contract("4.40")
    ),
    PROVISIONED_INVOCATIONS := _metric(
        "ServerlessProvisionedConcurrencyInvocations", "Count", _SHARE, contract("4.41")
    ),
    SPILLOVER := _metric(
        "ServerlessProvisionedConcurrencySpilloverInvocations", "Count", _SHARE, contract("4.42")
    ),
    MEMORY := Metric(
        name="MemoryUtilization",
        namespace=ENDPOINTS,
        unit="Percent",
        statistics=("Average", "Maximum", "Minimum"),
        source=contract("4.37"),
    ),
)

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

PROVISIONED_METRICS = (PROVISIONED, PROVISIONED_SHARE, PROVISIONED_INVOCATIONS, SPILLOVER)
"""Of endpoints with provisioned concurrency only."""

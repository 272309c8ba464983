"""Owns: the claims of emulator/api/prometheus.py. Prometheus's own parser reads what is written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from emulator.api.prometheus import BOUNDS, Prometheus, matches
from emulator.endpoint_state import InstanceChange, InstanceState, Journal

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def world(name: str = "iris", limit: int | None = 4) -> tuple[Journal, Prometheus]:
    journal = Journal()
    return journal, Prometheus(journal, endpoint=name, max_concurrency=lambda: limit)


def read(exposition: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset({"endpoint": "iris", **labels}.items())]


def answer(journal: Journal, seconds: float, **fields: object) -> None:
    told = journal.begin(0.0)
    told.instance, told.model_seconds = 1, seconds / 2
    for name, value in fields.items():
        setattr(told, name, value)
    journal.end(told, seconds)


def test_requests_errors_and_cold_starts_are_counted() -> None:
    journal, prometheus = world()
    answer(journal, 2.0, cold=True, setup_seconds=1.0)
    answer(journal, 0.1, error="ModelError")
    answer(journal, 0.0, error="ThrottlingException")
    samples = read(prometheus.text())
    assert of(samples, "byoc_invocations_total") == 3
    assert of(samples, "byoc_cold_starts_total") == 1
    assert of(samples, "byoc_errors_total", code="ModelError") == 1
    assert of(samples, "byoc_errors_total", code="ThrottlingException") == 1
    assert of(samples, "byoc_setup_seconds_count") == 1
    assert of(samples, "byoc_invocation_seconds_count") == 2


def test_instances_are_counted_by_what_they_do_and_hold() -> None:
    journal, prometheus = world()
    for number, state, request in (
        (1, InstanceState.BUSY, 1), (2, InstanceState.IDLE, None), (3, InstanceState.STARTING, 2),
    ):  # fmt: skip
        journal.changed(InstanceChange(at=0.0, instance=number, state=state, request=request))
    answer(journal, 0.1, memory_bytes=1000)
    samples = read(prometheus.text())
    assert of(samples, "byoc_instances", state="busy") == 1
    assert of(samples, "byoc_instances", state="frozen") == 0
    assert (of(samples, "byoc_concurrency"), of(samples, "byoc_concurrency_limit")) == (2, 4)
    assert of(samples, "byoc_instance_memory_bytes", instance="1") == 1000
    journal.changed(InstanceChange(at=1.0, instance=1, state=InstanceState.GONE))
    assert "byoc_instance_memory_bytes{" not in prometheus.text()
    answer(journal, 0.1, memory_bytes=1000)  # the answer of one that is gone
    assert "byoc_instance_memory_bytes{" not in prometheus.text()


def test_without_a_limit_none_is_told() -> None:
    _, prometheus = world(limit=None)
    assert "byoc_concurrency_limit" not in prometheus.text()


@given(st.lists(st.floats(0.0, 400.0), max_size=50))
def test_a_histogram_is_what_a_plain_count_says(seconds: list[float]) -> None:
    journal, prometheus = world()
    for each in seconds:
        answer(journal, each)
    samples = read(prometheus.text())
    for bound in BOUNDS:
        counted = of(samples, "byoc_invocation_seconds_bucket", le=str(bound))
        assert counted == sum(each <= bound for each in seconds)
    assert of(samples, "byoc_invocation_seconds_bucket", le="+Inf") == len(seconds)


@given(st.text(max_size=20))
def test_any_name_is_read_back(name: str) -> None:
    _, prometheus = world(name)
    samples = read(prometheus.text())
    assert samples["byoc_concurrency", frozenset({("endpoint", name)})] == 0


def test_it_answers_for_its_path_only() -> None:
    assert matches({"path": "/metrics", "method": "GET"})
    assert not matches({"path": "/metrics", "method": "POST"})
    assert not matches({"path": "/endpoints/iris/invocations", "method": "GET"})

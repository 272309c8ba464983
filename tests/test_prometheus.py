"""Owns: the claims of emulator/api/prometheus.py. Prometheus's own parser reads what is written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from emulator.api.prometheus import Key, Prometheus, matches
from emulator.api.prometheus_text import BOUNDS
from emulator.endpoint_state import InstanceChange, InstanceState, Journal

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def key(endpoint: str = "iris", variant: str = "AllTraffic") -> Key:
    return "us-east-1", endpoint, variant


def world(name: str = "iris", limit: int | None = 4) -> tuple[Journal, Prometheus]:
    journal, prometheus = Journal(), Prometheus()
    prometheus.add(key(name), journal, max_concurrency=lambda: limit)
    return journal, prometheus


def read(exposition: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    given = {"region": "us-east-1", "endpoint": "iris", "variant": "AllTraffic", **labels}
    return samples[name, frozenset(given.items())]


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
    assert "byoc_concurrency_limit{" not in prometheus.text()


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
    assert of(samples, "byoc_concurrency", endpoint=name) == 0


def test_without_an_endpoint_there_are_no_samples() -> None:
    assert read(Prometheus().text()) == {}


def test_each_family_is_introduced_once_however_many_endpoints_there_are() -> None:
    prometheus, journals = Prometheus(), {}
    for endpoint, variant in (("iris", "a"), ("iris", "b"), ("wine", "a")):
        journals[endpoint, variant] = Journal()
        prometheus.add(
            key(endpoint, variant), journals[endpoint, variant], max_concurrency=lambda: 1
        )
    answer(journals["iris", "b"], 0.1)
    text = prometheus.text()
    introduced = [line for line in text.splitlines() if line.startswith("#")]
    assert len(introduced) == len(set(introduced)) == 2 * 10
    samples = read(text)
    told = {
        each: of(samples, "byoc_invocations_total", endpoint=each[0], variant=each[1])
        for each in journals
    }
    assert told == {("iris", "a"): 0, ("iris", "b"): 1, ("wine", "a"): 0}


def test_an_update_does_not_reset_the_counts_and_the_end_takes_them_away() -> None:
    """Blue and green are two drivers of one variant; the old one goes after the new one came."""
    prometheus, blue, green = Prometheus(), Journal(), Journal()
    remove_blue = prometheus.add(key(), blue, max_concurrency=lambda: 4)
    busy = InstanceChange(at=0.0, instance=1, state=InstanceState.BUSY, request=1)
    blue.changed(busy)
    answer(blue, 0.1, memory_bytes=1000)
    remove_green = prometheus.add(key(), green, max_concurrency=lambda: 8)
    green.changed(busy)
    answer(green, 0.1, memory_bytes=500)
    samples = read(prometheus.text())
    assert of(samples, "byoc_invocations_total") == 2
    assert (of(samples, "byoc_concurrency"), of(samples, "byoc_concurrency_limit")) == (2, 8)
    assert of(samples, "byoc_instance_memory_bytes", instance="1") == 1000
    remove_blue()
    assert (blue.listeners, blue.watchers) == ([], [])
    answer(green, 0.1)
    samples = read(prometheus.text())
    assert of(samples, "byoc_invocations_total") == 3
    assert of(samples, "byoc_concurrency") == 1
    assert of(samples, "byoc_invocation_seconds_count") == 3
    remove_green()
    assert read(prometheus.text()) == {}


def test_it_answers_for_its_path_only() -> None:
    assert matches({"path": "/metrics", "method": "GET"})
    assert not matches({"path": "/metrics", "method": "POST"})
    assert not matches({"path": "/endpoints/iris/invocations", "method": "GET"})

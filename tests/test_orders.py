"""Owns: the claims of what a configuration orders, and what later calls make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.control.instance_types import hardware
from emulator.control.orders import (
    Serverless,
    VariantOrder,
    adjusted,
    as_ordered,
    orders,
    retained,
)
from tests.control_world import IMAGE, configuration, model, variant

MODELS = {
    "m": model(),
    "full": {
        "ModelName": "full",
        "Containers": [
            {"Image": IMAGE, "Environment": {"A": "1"}, "ModelDataUrl": "s3://b/m.tar.gz"}
        ],
        "EnableNetworkIsolation": True,
    },
}
REAL = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 3}


def one(**members: Any) -> VariantOrder:
    (order,) = orders(configuration(variant(**members)), MODELS)
    return order


def test_a_serverless_variant_orders_its_numbers() -> None:
    order = one()
    assert order.serverless == Serverless(memory_mb=2048, max_concurrency=5)
    assert (order.name, order.image, order.weight) == ("AllTraffic", IMAGE, 1.0)
    assert order.serverless.body() == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    window = one(ContainerStartupHealthCheckTimeoutInSeconds=60).startup_seconds
    assert window is None, "it has no effect on serverless (contract 4.20)"


def test_a_variant_of_instances_orders_them() -> None:
    order = one(**REAL, InitialVariantWeight=0, ContainerStartupHealthCheckTimeoutInSeconds=60)
    assert (order.serverless, order.instance_type, order.instance_count) == (None, "ml.m5.large", 3)
    assert (order.weight, order.startup_seconds) == (0.0, 60.0)


def test_a_model_is_read_from_either_form() -> None:
    order = one(model="full")
    assert (order.image, order.environment, order.isolated) == (IMAGE, {"A": "1"}, True)
    assert order.model_data_url == "s3://b/m.tar.gz"
    with pytest.raises(KeyError):
        one(model="gone")


def test_retained_properties_go_on_to_hold_but_for_what_is_excluded() -> None:
    old = replace(one(**REAL), weight=0.5, instance_count=9)
    new = one(**REAL)

    def kept(**update: Any) -> tuple[float, int]:
        (order,) = retained([new], [old], update)
        return order.weight, order.instance_count

    def excluded(kind: str) -> list[dict[str, str]]:
        return [{"VariantPropertyType": kind}]

    everything = {"RetainAllVariantProperties": True}
    assert kept() == (1.0, 3)
    assert kept(**everything) == (0.5, 9)
    assert kept(
        **everything, ExcludeRetainedVariantProperties=excluded("DesiredInstanceCount")
    ) == (0.5, 3)
    assert kept(**everything, ExcludeRetainedVariantProperties=excluded("DesiredWeight")) == (
        1.0,
        9,
    )
    (other,) = retained([replace(new, name="b")], [old], everything)
    assert other.weight == 1.0
    (serverless,) = retained([one()], [old], everything)
    assert (serverless.weight, serverless.instance_count) == (0.5, 1)


WISHES = st.fixed_dictionaries(
    {},
    optional={
        "DesiredWeight": st.floats(0, 10),
        "ServerlessUpdateConfig": st.fixed_dictionaries(
            {}, optional={"MaxConcurrency": st.integers(5, 200),
                          "ProvisionedConcurrency": st.integers(1, 5)}
        ),
    },
)  # fmt: skip


@given(st.lists(WISHES, max_size=4))
def test_the_configuration_of_now_orders_what_runs_now(wishes: list[dict[str, Any]]) -> None:
    """Rules judge by it: it must be what a configuration made anew would be."""
    body = configuration(variant("a"), variant("b"))
    now = orders(body, MODELS)
    for wish in wishes:
        before = now
        now = adjusted(now, [{"VariantName": "a", **wish}])
        assert now[1] == before[1], "others stay as they are"
        assert orders(as_ordered(body, now), MODELS) == now


@pytest.mark.parametrize(
    ("kind", "memory_gib"),
    [("ml.m5.large", 8), ("ml.m5.24xlarge", 384), ("ml.c5.xlarge", 8), ("ml.t2.medium", 4),
     ("ml.g5.2xlarge", 32), ("ml.r5.4xlarge", 128)],
)  # fmt: skip
def test_memory_of_an_instance_is_awss(kind: str, memory_gib: int) -> None:
    assert hardware(kind).memory_mb == memory_gib * 1024


@pytest.mark.parametrize("kind", ["ml.p5.48xlarge", "ml.x9.large", "m5.large", "ml.m5.metal", ""])
def test_no_bound_is_invented_for_a_type_that_is_not_in_the_table(kind: str) -> None:
    assert hardware(kind).memory_mb is None

"""What an endpoint configuration orders: one value per production variant.

Owns: reading variants, models and updates of them into orders. Must not know: rules (what comes
here was accepted), engines, who carries an order out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.control.known import Body
from emulator.control.variants import is_serverless

RETAINED = ("DesiredInstanceCount", "DesiredWeight")
"""VariantPropertyType that this emulator knows; data capture is not emulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serverless:
    """ServerlessConfig."""

    memory_mb: int
    max_concurrency: int
    provisioned: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Serverless:
        return cls(
            memory_mb=int(config["MemorySizeInMB"]),
            max_concurrency=int(config["MaxConcurrency"]),
            provisioned=int(config.get("ProvisionedConcurrency") or 0),
        )

    def body(self) -> dict[str, int]:
        """As AWS tells it."""
        told = {"MemorySizeInMB": self.memory_mb, "MaxConcurrency": self.max_concurrency}
        return {**told, "ProvisionedConcurrency": self.provisioned} if self.provisioned else told


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOrder:
    """One production variant. `serverless` is None for one of instances."""

    name: str
    model: str
    image: str  # as CreateModel named it
    environment: Mapping[str, str] = field(default_factory=dict)
    model_data_url: str = ""
    isolated: bool = False  # EnableNetworkIsolation
    weight: float = 1.0
    serverless: Serverless | None = None
    instance_type: str = ""
    instance_count: int = 1
    startup_seconds: float | None = None  # ContainerStartupHealthCheckTimeoutInSeconds


def primary(model: Body) -> Mapping[str, Any]:
    """The one container of a model, which stands in either of two members."""
    containers = model.get("Containers") or ()
    one: Mapping[str, Any] = model.get("PrimaryContainer") or (containers[0] if containers else {})
    return one


def orders(configuration: Body, models: Mapping[str, Body]) -> tuple[VariantOrder, ...]:
    """Raises KeyError for a model that is not there."""
    return tuple(
        _order(variant, models[variant["ModelName"]])
        for variant in configuration["ProductionVariants"]
    )


def _order(variant: Mapping[str, Any], model: Body) -> VariantOrder:
    container = primary(model)
    serverless = Serverless.of(variant["ServerlessConfig"]) if is_serverless(variant) else None
    window = variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
    weight = variant.get("InitialVariantWeight")
    return VariantOrder(
        name=variant["VariantName"],
        model=variant["ModelName"],
        image=container.get("Image", ""),
        environment=dict(container.get("Environment") or {}),
        model_data_url=container.get("ModelDataUrl") or "",
        isolated=bool(model.get("EnableNetworkIsolation")),
        weight=1.0 if weight is None else float(weight),  # 0 is a weight (contract 6.6)
        serverless=serverless,
        instance_type=variant.get("InstanceType") or "",
        instance_count=int(variant.get("InitialInstanceCount") or 1),
        startup_seconds=float(window) if window and serverless is None else None,
    )


def as_ordered(configuration: Body, current: Iterable[VariantOrder]) -> Body:
    """The configuration with the numbers of now, which an update in place may have changed."""
    by_name = {order.name: order for order in current}
    return {
        **configuration,
        "ProductionVariants": [
            _with_numbers(variant, by_name[variant["VariantName"]])
            for variant in configuration["ProductionVariants"]
        ],
    }


def _with_numbers(variant: Mapping[str, Any], order: VariantOrder) -> Body:
    numbers: dict[str, Any] = {"InitialVariantWeight": order.weight}
    if order.serverless is not None:
        numbers["ServerlessConfig"] = order.serverless.body()
    else:
        numbers["InitialInstanceCount"] = order.instance_count
    return {**variant, **numbers}


def retained(
    new: Iterable[VariantOrder], old: Iterable[VariantOrder], update: Body
) -> tuple[VariantOrder, ...]:
    """UpdateEndpoint's RetainAllVariantProperties: what was changed since the configuration was
    made goes on to hold, but for what is excluded.
    """
    if not update.get("RetainAllVariantProperties"):
        return tuple(new)
    excluded = {
        one.get("VariantPropertyType")
        for one in update.get("ExcludeRetainedVariantProperties") or ()
    }
    before = {order.name: order for order in old}
    return tuple(
        _keeping(order, before[order.name], excluded) if order.name in before else order
        for order in new
    )


def _keeping(new: VariantOrder, old: VariantOrder, excluded: Collection[Any]) -> VariantOrder:
    if "DesiredInstanceCount" not in excluded and new.serverless is None and old.serverless is None:
        new = dataclasses.replace(new, instance_count=old.instance_count)
    if "DesiredWeight" not in excluded:
        new = dataclasses.replace(new, weight=old.weight)
    return new


def adjusted(
    old: Iterable[VariantOrder], wishes: Iterable[Mapping[str, Any]]
) -> tuple[VariantOrder, ...]:
    """UpdateEndpointWeightsAndCapacities (contract 4.19)."""
    wished = {wish["VariantName"]: wish for wish in wishes}
    return tuple(_adjusted(order, wished.get(order.name, {})) for order in old)


def _adjusted(order: VariantOrder, wish: Mapping[str, Any]) -> VariantOrder:
    if wish.get("DesiredWeight") is not None:
        order = dataclasses.replace(order, weight=float(wish["DesiredWeight"]))
    if wish.get("DesiredInstanceCount") is not None:
        order = dataclasses.replace(order, instance_count=int(wish["DesiredInstanceCount"]))
    config = wish.get("ServerlessUpdateConfig") or {}
    if config and order.serverless is not None:
        numbers = {**order.serverless.body(), **config}
        order = dataclasses.replace(order, serverless=Serverless.of(numbers))
    return order

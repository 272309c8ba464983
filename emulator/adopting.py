"""An endpoint that no call made, as deploy calls would have made it.

Owns: the order and the bodies that stand for a `Setup`. Must not know: who starts it, moto.
"""

from __future__ import annotations

from collections.abc import Mapping

from emulator.api.records import Kind
from emulator.api.runtime import ACCOUNT, REGION, VARIANT
from emulator.control.known import Body
from emulator.control.orders import Serverless, VariantOrder
from emulator.endpoint_setup import Setup

INSTANCE_TYPE = "ml.m5.large"


def order_of(setup: Setup) -> VariantOrder:
    """The one variant that a setup orders."""
    serverless = None
    if setup.profile == "serverless" and setup.memory_mb is not None:
        serverless = Serverless(
            memory_mb=setup.memory_mb,
            max_concurrency=setup.max_concurrency,
            provisioned=setup.provisioned_concurrency,
        )
    return VariantOrder(
        name=VARIANT,
        model=setup.name,
        image=ecr_uri(setup.image),
        environment=dict(setup.environment),
        serverless=serverless,
        instance_type="" if serverless else INSTANCE_TYPE,
        instance_count=setup.instance_count,
    )


def ecr_uri(image: str) -> str:
    """Where the image would be after the push."""
    last = image.rpartition("/")[2]
    tagged = image if ":" in last or "@" in last else f"{image}:latest"
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{tagged}"


def bodies_of(setup: Setup, order: VariantOrder) -> Mapping[Kind, Body]:
    """CreateModel's, CreateEndpointConfig's and CreateEndpoint's."""
    container: dict[str, object] = {"Image": order.image, "Mode": "SingleModel"}
    if order.environment:
        container["Environment"] = dict(order.environment)
    variant: dict[str, object] = {"VariantName": order.name, "ModelName": order.model}
    if order.serverless is not None:
        variant["ServerlessConfig"] = order.serverless.body()
    else:
        variant |= {
            "InstanceType": order.instance_type,
            "InitialInstanceCount": order.instance_count,
        }
    name = setup.name
    return {
        "Model": {"ModelName": name, "PrimaryContainer": container},
        "EndpointConfig": {"EndpointConfigName": name, "ProductionVariants": [variant]},
        "Endpoint": {"EndpointName": name, "EndpointConfigName": name},
    }

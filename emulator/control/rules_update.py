"""What the two updates of an endpoint refuse.

Owns: the rows of UpdateEndpoint and UpdateEndpointWeightsAndCapacities. Must not know: how an
update is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.control.known import Body
from emulator.control.rule import Breach, Call, Rule, is_set
from emulator.control.rules_endpoint import (
    BUSY,
    IN_PROGRESS,
    NO_CONFIGURATION,
    NO_MODEL,
    in_state,
    missing,
    model_missing,
)
from emulator.control.rules_model import DOCUMENTED
from emulator.control.variants import (
    by_name,
    is_serverless,
    is_serverless_configuration,
    variants,
)
from emulator.sources import Evidence, contract

UPDATE = ("UpdateEndpoint",)
CAPACITIES = ("UpdateEndpointWeightsAndCapacities",)


def _new(call: Call) -> Body:
    return call.known.configurations[call.body["EndpointConfigName"]]


def _current(call: Call) -> Body | None:
    return call.known.endpoints[call.body["EndpointName"]].configuration


def _to_serverless(call: Call) -> Breach | None:
    current = _current(call)
    if current is None or is_serverless_configuration(current):
        return None
    return {"at": "EndpointConfigName"} if is_serverless_configuration(_new(call)) else None


def _policies(call: Call) -> Breach | None:
    policies = ("BlueGreenUpdatePolicy", "RollingUpdatePolicy")
    deployment = call.body.get("DeploymentConfig") or {}
    both = all(is_set(deployment.get(name)) for name in policies)
    return {"at": "DeploymentConfig"} if both else None


def _guarded_serverless(call: Call) -> Breach | None:
    deployment = call.body.get("DeploymentConfig") or {}
    blue_green = deployment.get("BlueGreenUpdatePolicy") or {}
    shifting = (blue_green.get("TrafficRoutingConfiguration") or {}).get("Type", "ALL_AT_ONCE")
    rolling = is_set(deployment.get("RollingUpdatePolicy"))
    if not is_serverless_configuration(_new(call)) or (shifting == "ALL_AT_ONCE" and not rolling):
        return None
    return {"at": "DeploymentConfig", "way": "rolling" if rolling else shifting}


def _rolling_single(call: Call) -> Breach | None:
    deployment = call.body.get("DeploymentConfig") or {}
    if not is_set(deployment.get("RollingUpdatePolicy")):
        return None
    counts = [variant.get("InitialInstanceCount") for _, variant in variants(_current(call) or {})]
    return {"at": "DeploymentConfig.RollingUpdatePolicy"} if counts == [1] else None


def _desired(call: Call) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]]:
    """Each wish, where it stands, and the variant it is for, if that is known."""
    current = _current(call)
    for number, wish in enumerate(call.body["DesiredWeightsAndCapacities"], start=1):
        variant = None if current is None else by_name(current, wish["VariantName"])
        yield f"DesiredWeightsAndCapacities.{number}", wish, variant


def _no_variant(call: Call) -> Breach | None:
    for at, wish, variant in _desired(call):
        if variant is None and _current(call) is not None:
            return {"at": f"{at}.VariantName", "name": wish["VariantName"]}
    return None


def _other_kind(member: str, *, on_serverless: bool) -> Callable[[Call], Breach | None]:
    def breach(call: Call) -> Breach | None:
        for at, wish, variant in _desired(call):
            wished = variant is not None and wish.get(member) is not None
            if wished and variant is not None and is_serverless(variant) is on_serverless:
                return {"at": f"{at}.{member}", "name": wish["VariantName"]}
        return None

    return breach


def _provisioned(call: Call) -> Breach | None:
    for at, wish, variant in _desired(call):
        wished = wish.get("ServerlessUpdateConfig")
        if wished is None or variant is None or not is_serverless(variant):
            continue
        after = {**variant["ServerlessConfig"], **wished}
        if (after.get("ProvisionedConcurrency") or 0) > after["MaxConcurrency"]:
            return {
                "at": f"{at}.ServerlessUpdateConfig",
                "provisioned": str(after["ProvisionedConcurrency"]),
                "most": str(after["MaxConcurrency"]),
            }
    return None


RULES = (
    Rule(
        name="one-update-policy",
        operations=(*UPDATE, "CreateEndpoint"),
        says="DeploymentConfig has one update policy.",
        source=DOCUMENTED["DeploymentConfig"],
        text="DeploymentConfig takes BlueGreenUpdatePolicy or RollingUpdatePolicy; both came.",
        breach=_policies,
    ),
    Rule(
        name="endpoint-at-rest",
        operations=(*UPDATE, *CAPACITIES),
        says="An endpoint that is created, updated, rolled back or deleted cannot be changed.",
        source=contract("6.50"),
        text=IN_PROGRESS,
        words=Evidence.REPORTED,
        needs=True,
        breach=in_state(BUSY | {"Deleting"}),
    ),
    Rule(
        name="failed-only-deleted",
        operations=(*UPDATE, *CAPACITIES),
        says="A Failed endpoint can only be deleted.",
        source=contract("6.27"),
        text='Cannot update endpoint "<arn>" in status <status>; it can only be deleted.',
        needs=True,
        breach=in_state(frozenset({"Failed"})),
    ),
    Rule(
        name="new-configuration-found",
        operations=UPDATE,
        says="The endpoint configuration that is named exists.",
        source=contract("6.47"),
        text=NO_CONFIGURATION,
        words=Evidence.REPORTED,
        needs=True,
        breach=missing("EndpointConfig"),
    ),
    Rule(
        name="new-model-found",
        operations=UPDATE,
        says="Every model of the new configuration still exists.",
        source=contract("6.48"),
        evidence=Evidence.INFERRED,
        text=NO_MODEL,
        words=Evidence.REPORTED,
        needs=True,
        breach=model_missing,
    ),
    Rule(
        name="no-way-to-serverless",
        operations=UPDATE,
        says="An endpoint of instances cannot become serverless; the reverse is allowed.",
        source=contract("4.16"),
        text="An instance-based endpoint cannot be updated to a serverless one; create a new one.",
        needs=True,
        breach=_to_serverless,
    ),
    Rule(
        name="serverless-all-at-once",
        operations=UPDATE,
        says="Serverless endpoints are updated all at once.",
        source=contract("4.14"),
        text="Serverless endpoints are updated ALL_AT_ONCE, not <way> (<at>).",
        needs=True,
        breach=_guarded_serverless,
    ),
    Rule(
        name="rolling-needs-two",
        operations=UPDATE,
        says="A rolling update needs more than one instance.",
        source=contract("6.51"),
        text="Cannot update endpoint with single instance using RollingUpdatePolicy",
        words=Evidence.REPORTED,
        needs=True,
        breach=_rolling_single,
    ),
    Rule(
        name="variant-found",
        operations=CAPACITIES,
        says="The endpoint has the variant that is named.",
        source=contract("4.19"),
        evidence=Evidence.INFERRED,
        text="<at>: the endpoint has no variant <name>.",
        needs=True,
        breach=_no_variant,
    ),
    Rule(
        name="no-instances-on-serverless",
        operations=CAPACITIES,
        says="A serverless variant has no DesiredInstanceCount.",
        source=contract("4.19"),
        evidence=Evidence.INFERRED,
        text="<at> cannot be specified: variant <name> is serverless.",
        needs=True,
        breach=_other_kind("DesiredInstanceCount", on_serverless=True),
    ),
    Rule(
        name="no-concurrency-on-instances",
        operations=CAPACITIES,
        says="Only a serverless variant has ServerlessUpdateConfig.",
        source=contract("4.19"),
        evidence=Evidence.INFERRED,
        text="<at> cannot be specified: variant <name> is not serverless.",
        needs=True,
        breach=_other_kind("ServerlessUpdateConfig", on_serverless=False),
    ),
    Rule(
        name="updated-provisioned",
        operations=CAPACITIES,
        says="After the update ProvisionedConcurrency is not above MaxConcurrency.",
        source=contract("4.3"),
        text="<at>: ProvisionedConcurrency (<provisioned>) must be less than or equal to"
        " MaxConcurrency (<most>).",
        needs=True,
        breach=_provisioned,
    ),
)

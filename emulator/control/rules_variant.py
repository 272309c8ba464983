"""What CreateEndpointConfig refuses of a variant and of the configuration as a whole.

Owns: the rows that concern every kind of endpoint. Must not know: what only serverless endpoints
cannot do (`rules_serverless`), HTTP, who keeps models.
"""

from __future__ import annotations

from emulator.control.rule import Breach, Call, Rule, is_set
from emulator.control.rules_endpoint import NO_MODEL
from emulator.control.rules_model import CROSS_ACCOUNT, DOCUMENTED, other_account
from emulator.control.variants import is_serverless, model_names, variants
from emulator.sources import Evidence, Source, contract

CREATE = ("CreateEndpointConfig",)

_DUPLICATE_VARIANT = Source(
    row="user's report",
    url="https://github.com/mlflow/mlflow/pull/6486",
    evidence=Evidence.REPORTED,
)


def _names(call: Call) -> Breach | None:
    seen: set[str] = set()
    for at, variant in variants(call.body):
        name = variant["VariantName"]
        if name in seen:
            return {"at": f"{at}.VariantName", "name": name}
        seen.add(name)
    return None


def _shadows(call: Call) -> Breach | None:
    production = call.body["ProductionVariants"]
    shadows = call.body.get("ShadowProductionVariants") or []
    if shadows and (len(production), len(shadows)) != (1, 1):
        return {
            "at": "ShadowProductionVariants",
            "production": str(len(production)),
            "shadow": str(len(shadows)),
        }
    return None


def _without_model(call: Call) -> Breach | None:
    """A configuration with a role of its own may leave the models to inference components."""
    for at, variant in variants(call.body):
        pools = variant.get("InstancePools") or []
        named = is_set(variant.get("ModelName")) or any(
            is_set(pool.get("ModelNameOverride")) for pool in pools
        )
        if not named and not is_set(call.body.get("ExecutionRoleArn")):
            return {"at": f"{at}.ModelName"}
    return None


def _without_compute(call: Call) -> Breach | None:
    for at, variant in variants(call.body):
        if not is_serverless(variant) and not any(
            is_set(variant.get(name)) for name in ("InstanceType", "InstancePools")
        ):
            return {"at": f"{at}.InstanceType"}
    return None


def _without_count(call: Call) -> Breach | None:
    other = ("InitialInstanceCount", "InstancePools", "ManagedInstanceScaling")
    for at, variant in variants(call.body):
        counted = any(is_set(variant.get(name)) for name in other)
        if is_set(variant.get("InstanceType")) and not is_serverless(variant) and not counted:
            return {"at": f"{at}.InitialInstanceCount"}
    return None


def _cross_region(call: Call) -> Breach | None:
    both = is_set(call.body.get("CrossRegionTrafficConfig")) and is_set(
        call.body.get("AsyncInferenceConfig")
    )
    return {"at": "CrossRegionTrafficConfig"} if both else None


def _model_missing(call: Call) -> Breach | None:
    for at, name in model_names(call.body):
        if name not in call.known.models:
            return {"at": at, "arn": call.arn("Model", name)}
    return None


def _duplicate(call: Call) -> Breach | None:
    name = call.body["EndpointConfigName"]
    if name not in call.known.configurations:
        return None
    return {"at": "EndpointConfigName", "arn": call.arn("EndpointConfig", name)}


RULES = (
    Rule(
        name="variant-names-differ",
        operations=CREATE,
        says="No two variants have one name.",
        source=_DUPLICATE_VARIANT,
        text="<at>: another variant is called <name> already; names must differ.",
        breach=_names,
    ),
    Rule(
        name="one-shadow",
        operations=CREATE,
        says="With a shadow variant there is one production variant and one shadow.",
        source=contract("6.6"),
        text="A configuration with shadow variants takes one production variant and one shadow;"
        " <production> and <shadow> came.",
        breach=_shadows,
    ),
    Rule(
        name="variant-has-model",
        operations=CREATE,
        says="A variant names its model, unless the configuration has an ExecutionRoleArn and so"
        " leaves models to inference components.",
        source=contract("6.6"),
        evidence=Evidence.INFERRED,
        text="<at> is missing.",
        breach=_without_model,
    ),
    Rule(
        name="variant-has-compute",
        operations=CREATE,
        says="A variant has ServerlessConfig, InstanceType or InstancePools.",
        source=contract("6.6"),
        evidence=Evidence.INFERRED,
        text="<at>: a variant needs InstanceType, InstancePools or ServerlessConfig; none came.",
        breach=_without_compute,
    ),
    Rule(
        name="variant-has-count",
        operations=CREATE,
        says="A variant with an InstanceType tells how many: InitialInstanceCount, InstancePools or"
        " ManagedInstanceScaling.",
        source=contract("6.6"),
        evidence=Evidence.INFERRED,
        text="<at> is missing: a variant with InstanceType needs it.",
        breach=_without_count,
    ),
    Rule(
        name="cross-region-not-async",
        operations=CREATE,
        says="CrossRegionTrafficConfig does not go with AsyncInferenceConfig.",
        source=DOCUMENTED["CrossRegionTrafficConfig"],
        text="CrossRegionTrafficConfig cannot be specified with AsyncInferenceConfig.",
        breach=_cross_region,
    ),
    Rule(
        name="configuration-role-account",
        operations=CREATE,
        says="The configuration's role is of the caller's account; judged only where that account"
        " is told.",
        source=contract("6.52"),
        text=CROSS_ACCOUNT,
        words=Evidence.REPORTED,
        breach=other_account,
    ),
    Rule(
        name="variant-model-exists",
        operations=CREATE,
        says="Every model that a variant names exists.",
        source=contract("6.48"),
        text=NO_MODEL,
        words=Evidence.REPORTED,
        needs=True,
        breach=_model_missing,
    ),
    Rule(
        name="configuration-is-new",
        operations=CREATE,
        says="No endpoint configuration of this name exists.",
        source=contract("6.49"),
        text='Cannot create already existing endpoint configuration "<arn>".',
        words=Evidence.REPORTED,
        needs=True,
        breach=_duplicate,
    ),
)

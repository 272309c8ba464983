"""What CreateEndpointConfig refuses because a variant is serverless.

Owns: the rows. Must not know: other kinds of endpoints. `KmsKeyId` is accepted: whether AWS refuses
it is disputed; so are the timeouts of instances, which AWS is known to ignore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.control.rule import Breach, Call, Rule, is_set
from emulator.control.rules_model import DOCUMENTED, containers
from emulator.control.variants import is_serverless_configuration, serverless, variants
from emulator.limits import MEMORY_SIZES_MB
from emulator.sources import Evidence, Source, contract

CREATE = ("CreateEndpointConfig",)

OF_INSTANCES = (
    "InstanceType",
    "InitialInstanceCount",
    "InstancePools",
    "AcceleratorType",
    "VolumeSizeInGB",
    "ManagedInstanceScaling",
)
"""Members of a variant that size instances, of which a serverless variant has none."""


def _of_instances(call: Call) -> Breach | None:
    for at, variant in serverless(call.body):
        for name in OF_INSTANCES:
            if is_set(variant.get(name)):
                return {"at": f"{at}.{name}", "member": name}
    return None


def _memory(call: Call) -> Breach | None:
    for at, variant in serverless(call.body):
        size = variant["ServerlessConfig"]["MemorySizeInMB"]
        if size not in MEMORY_SIZES_MB:
            sizes = ", ".join(map(str, MEMORY_SIZES_MB))
            return {"at": f"{at}.ServerlessConfig.MemorySizeInMB", "size": str(size), "all": sizes}
    return None


def _provisioned(call: Call) -> Breach | None:
    for at, variant in serverless(call.body):
        config = variant["ServerlessConfig"]
        provisioned, most = config.get("ProvisionedConcurrency"), config["MaxConcurrency"]
        if provisioned is not None and provisioned > most:
            return {
                "at": f"{at}.ServerlessConfig.ProvisionedConcurrency",
                "provisioned": str(provisioned),
                "most": str(most),
            }
    return None


def _several(call: Call) -> Breach | None:
    several = len(list(variants(call.body))) > 1
    if several and is_serverless_configuration(call.body):
        shadows = is_set(call.body.get("ShadowProductionVariants"))
        return {"at": "ShadowProductionVariants" if shadows else "ProductionVariants"}
    return None


def _has(member: str) -> Callable[[Call], Breach | None]:
    """The breach of a serverless configuration that has this member."""

    def breach(call: Call) -> Breach | None:
        has = is_serverless_configuration(call.body) and is_set(call.body.get(member))
        return {"at": member} if has else None

    return breach


def _capture(call: Call) -> Breach | None:
    """EnableCapture is true where it is not said (its documentation in the service model)."""
    capture = call.body.get("DataCaptureConfig") or {}
    if not is_set(capture) or not is_serverless_configuration(call.body):
        return None
    on = capture.get("EnableCapture") is None or bool(capture["EnableCapture"])
    return {"at": "DataCaptureConfig"} if on else None


def _isolated(call: Call) -> Breach | None:
    isolated = call.body.get("EnableNetworkIsolation") is True
    if isolated and is_serverless_configuration(call.body):
        return {"at": "EnableNetworkIsolation"}
    return None


def _without_model(call: Call) -> Breach | None:
    for at, variant in serverless(call.body):
        if not is_set(variant.get("ModelName")):
            return {"at": f"{at}.ModelName"}
    return None


def _models(call: Call) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Models of serverless variants, as far as they are known."""
    for at, variant in serverless(call.body):
        name = variant.get("ModelName", "")
        if name in call.known.models:
            yield f"{at}.ModelName", name, call.known.models[name]


def _model(holds: Callable[[Mapping[str, Any]], bool]) -> Callable[[Call], Breach | None]:
    """The breach of a serverless variant whose model is so."""

    def breach(call: Call) -> Breach | None:
        for at, name, model in _models(call):
            if holds(model):
                return {"at": at, "model": name}
        return None

    return breach


def _container(holds: Callable[[Mapping[str, Any]], bool]) -> Callable[[Call], Breach | None]:
    """The same, of any of its containers."""
    return _model(lambda model: any(holds(container) for _, container in containers(model)))


def _is_private(container: Mapping[str, Any]) -> bool:
    return (container.get("ImageConfig") or {}).get("RepositoryAccessMode") == "Vpc"


_UNSUPPORTED = "Serverless endpoints do not support"


def _not_on_serverless(
    name: str,
    says: str,
    what: str,
    breach: Callable[[Call], Breach | None],
    *,
    source: Source | None = None,
) -> Rule:
    return Rule(
        name=f"serverless-{name}",
        operations=CREATE,
        says=f"A serverless configuration has no {says}.",
        source=source or contract("4.14"),
        text=f"{_UNSUPPORTED} {what} (<at>).",
        needs="<model>" in what,
        breach=breach,
    )


RULES = (
    Rule(
        name="serverless-or-instances",
        operations=CREATE,
        says=f"Next to ServerlessConfig there is no {', '.join(OF_INSTANCES)}.",
        source=contract("4.15"),
        text="<at>: <member> cannot be specified with ServerlessConfig.",
        breach=_of_instances,
    ),
    Rule(
        name="serverless-memory",
        operations=CREATE,
        says=f"MemorySizeInMB is one of {', '.join(map(str, MEMORY_SIZES_MB))}.",
        source=contract("4.1"),
        text="<at> must be one of <all>, not <size>.",
        breach=_memory,
    ),
    Rule(
        name="serverless-provisioned",
        operations=CREATE,
        says="ProvisionedConcurrency is not above MaxConcurrency.",
        source=contract("4.3"),
        text="<at> (<provisioned>) must be less than or equal to MaxConcurrency (<most>).",
        breach=_provisioned,
    ),
    Rule(
        name="serverless-model-named",
        operations=CREATE,
        says="A serverless variant names its model: inference components need instances.",
        source=contract("4.14"),
        evidence=Evidence.INFERRED,
        text="<at> is missing.",
        breach=_without_model,
    ),
    _not_on_serverless(
        "one-variant",
        "second variant, of whatever kind",
        "more than one variant",
        _several,
    ),
    _not_on_serverless("data-capture", "DataCaptureConfig that captures", "data capture", _capture),
    Rule(
        name="serverless-async",
        operations=CREATE,
        says="A serverless configuration has no AsyncInferenceConfig.",
        source=contract("4.14"),
        evidence=Evidence.INFERRED,
        text=f"{_UNSUPPORTED} asynchronous inference (<at>).",
        breach=_has("AsyncInferenceConfig"),
    ),
    _not_on_serverless("vpc", "VpcConfig", "a VPC", _has("VpcConfig")),
    _not_on_serverless("isolation", "EnableNetworkIsolation", "network isolation", _isolated),
    Rule(
        name="serverless-cross-region",
        operations=CREATE,
        says="A serverless configuration has no CrossRegionTrafficConfig.",
        source=DOCUMENTED["CrossRegionTrafficConfig"],
        text="CrossRegionTrafficConfig cannot be specified with serverless variants.",
        breach=_has("CrossRegionTrafficConfig"),
    ),
    _not_on_serverless(
        "model-vpc",
        "model with a VpcConfig",
        "a VPC, which model <model> has",
        _model(lambda model: is_set(model.get("VpcConfig"))),
    ),
    _not_on_serverless(
        "model-isolation",
        "model with EnableNetworkIsolation",
        "network isolation, which model <model> has",
        _model(lambda model: model.get("EnableNetworkIsolation") is True),
    ),
    _not_on_serverless(
        "pipeline",
        "model of several containers",
        "inference pipelines; model <model> has several containers",
        _model(lambda model: len(model.get("Containers") or ()) > 1),
    ),
    _not_on_serverless(
        "multi-model",
        "model in MultiModel mode",
        "multi-model endpoints; model <model> is in MultiModel mode",
        _container(lambda container: container.get("Mode") == "MultiModel"),
    ),
    _not_on_serverless(
        "private-registry",
        "model whose image is in a private registry",
        "private registries; the image of model <model> is in one",
        _container(_is_private),
    ),
    _not_on_serverless(
        "model-data-source",
        "model with a ModelDataSource",
        "ModelDataSource, which model <model> has; ModelDataUrl is supported",
        _container(lambda container: is_set(container.get("ModelDataSource"))),
        source=contract("4.13"),
    ),
)

"""What CreateModel refuses beyond the service model: containers, environment, model data, role.

Owns: the rows and their tests. Must not know: endpoints, HTTP, who looks images up.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.control.known import Body
from emulator.control.rule import Breach, Call, Rule, is_set
from emulator.sources import Evidence, Source, contract

CREATE = ("CreateModel",)
ENVIRONMENT_BYTES = 32 * 1024

CROSS_ACCOUNT = "RoleArn: Cross-account pass role is not allowed."

_REFERENCE = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_{}.html"
_PAGES = {
    "ContainerHostname": "ContainerDefinition",
    "CrossRegionTrafficConfig": "CreateEndpointConfig",
    "DeploymentConfig": "DeploymentConfig",
}
DOCUMENTED = {
    member: Source(
        row=f"service model, {member}",
        url=_REFERENCE.format(page),
        evidence=Evidence.DOCUMENTED,
    )
    for member, page in _PAGES.items()
}
"""Rules that stand in a member's own documentation."""

_MULTI_MODEL_PIPELINE = Source(
    row="user's report",
    url="https://github.com/OElesin/sagemaker-autopilot-step-functions/issues/10",
    evidence=Evidence.REPORTED,
)
_ASSUME_ROLE = Source(
    row="user's report",
    url="https://github.com/awslabs/predictive-maintenance-using-machine-learning/issues/3",
    evidence=Evidence.REPORTED,
)


def containers(model: Body) -> Iterator[tuple[str, Body]]:
    """Each container of a model and where it stands."""
    if is_set(model.get("PrimaryContainer")):
        yield "PrimaryContainer", model["PrimaryContainer"]
    for number, container in enumerate(model.get("Containers") or (), start=1):
        yield f"Containers.{number}", container


def _no_container(call: Call) -> Breach | None:
    return None if any(containers(call.body)) else {"at": "PrimaryContainer"}


def _both_forms(call: Call) -> Breach | None:
    both = is_set(call.body.get("PrimaryContainer")) and is_set(call.body.get("Containers"))
    return {"at": "Containers"} if both else None


def _without_image(call: Call) -> Breach | None:
    for at, container in containers(call.body):
        if not any(is_set(container.get(name)) for name in ("Image", "ModelPackageName")):
            return {"at": f"{at}.Image"}
    return None


def _hostname_missing(call: Call) -> Breach | None:
    pipeline = call.body.get("Containers") or []
    named = [is_set(container.get("ContainerHostname")) for container in pipeline]
    if any(named) and not all(named):
        return {"at": f"Containers.{named.index(False) + 1}.ContainerHostname"}
    return None


def _multi_model_pipeline(call: Call) -> Breach | None:
    modes = [container.get("Mode") for container in call.body.get("Containers") or ()]
    return {"at": "Containers"} if modes.count("MultiModel") > 1 else None


def _environment(call: Call) -> Breach | None:
    entries = [
        (str(name), str(value))
        for _, container in containers(call.body)
        for name, value in (container.get("Environment") or {}).items()
    ]
    size = sum(len((n + v).encode("utf-8", "surrogatepass")) for n, v in entries)
    if size <= ENVIRONMENT_BYTES:
        return None
    (first, _), *_ = containers(call.body)
    return {"at": f"{first}.Environment", "size": str(size), "most": str(ENVIRONMENT_BYTES)}


def _model_data(call: Call) -> Breach | None:
    for at, container in containers(call.body):
        url = container.get("ModelDataUrl", "")
        if is_set(url) and call.known.model_data(url) is False:
            role = call.body.get("ExecutionRoleArn") or ""
            return {
                "at": f"{at}.ModelDataUrl",
                "url": url,
                "role": role,
                "region": call.known.region,
            }
    return None


def other_account(call: Call) -> Breach | None:
    role = call.body.get("ExecutionRoleArn")
    if role is None or not call.known.account_is_told:
        return None
    return {"at": "ExecutionRoleArn"} if role.split(":")[4] != call.known.account else None


def _role(call: Call) -> Breach | None:
    role = call.body.get("ExecutionRoleArn")
    if role is None or call.known.role(role) is not False:
        return None
    return {"at": "ExecutionRoleArn", "role": role}


def _duplicate(call: Call) -> Breach | None:
    name = call.body["ModelName"]
    if name not in call.known.models:
        return None
    return {"at": "ModelName", "arn": call.arn("Model", name)}


RULES = (
    Rule(
        name="model-has-containers",
        operations=CREATE,
        says="A model has a PrimaryContainer or Containers.",
        source=contract("6.3"),
        evidence=Evidence.INFERRED,
        text="CreateModel needs PrimaryContainer or Containers; neither came.",
        breach=_no_container,
    ),
    Rule(
        name="model-has-one-form",
        operations=CREATE,
        says="A model has PrimaryContainer or Containers, not both.",
        source=contract("6.3"),
        evidence=Evidence.INFERRED,
        text="CreateModel takes PrimaryContainer or Containers; both came.",
        breach=_both_forms,
    ),
    Rule(
        name="container-has-image",
        operations=CREATE,
        says="A container names an Image or a ModelPackageName.",
        source=contract("6.3"),
        evidence=Evidence.INFERRED,
        text="<at>: a container needs Image or ModelPackageName; neither came.",
        breach=_without_image,
    ),
    Rule(
        name="pipeline-hostnames",
        operations=CREATE,
        says="Where one container of a pipeline has a ContainerHostname, every one has.",
        source=DOCUMENTED["ContainerHostname"],
        text="<at> is missing: where one container has ContainerHostname, every one needs it.",
        breach=_hostname_missing,
    ),
    Rule(
        name="one-multi-model-container",
        operations=CREATE,
        says="At most one container of a pipeline is in MultiModel mode.",
        source=_MULTI_MODEL_PIPELINE,
        text="More than one container in MultiModel mode is not supported with inference pipeline.",
        words=Evidence.REPORTED,
        breach=_multi_model_pipeline,
    ),
    Rule(
        name="environment-size",
        operations=CREATE,
        says="Names and values of all environment variables together have at most 32 KB.",
        source=contract("1.22"),
        text="The environment variables of all containers may have <most> bytes; <size> came.",
        breach=_environment,
    ),
    Rule(
        name="role-account",
        operations=CREATE,
        says="The role is of the caller's account; judged only where that account is told.",
        source=contract("6.52"),
        text=CROSS_ACCOUNT,
        words=Evidence.REPORTED,
        breach=other_account,
    ),
    Rule(
        name="role-assumable",
        operations=CREATE,
        says="The role exists and lets sagemaker.amazonaws.com assume it.",
        source=_ASSUME_ROLE,
        text="Could not assume role <role>. Please ensure that the role exists and allows principal"
        " 'sagemaker.amazonaws.com' to assume the role.",
        words=Evidence.REPORTED,
        needs=True,
        breach=_role,
    ),
    Rule(
        name="model-data-exists",
        operations=CREATE,
        says="The object that ModelDataUrl names is there and may be read.",
        source=contract("1.11"),
        text='Could not access model data at <url>. Please ensure that the role "<role>" exists and'
        ' that its trust relationship policy allows the action "sts:AssumeRole" for the service'
        ' principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject"'
        " permissions and that the object is located in <region>.",
        words=Evidence.REPORTED,
        needs=True,
        breach=_model_data,
    ),
    Rule(
        name="model-is-new",
        operations=CREATE,
        says="No model of this name exists.",
        source=contract("6.49"),
        text='Cannot create already existing model "<arn>".',
        words=Evidence.REPORTED,
        needs=True,
        breach=_duplicate,
    ),
)

"""Owns: the claim that a wrong deploy call gets AWS's code and text through the wire, whoever sends
it, and that nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.config import Config
from botocore.exceptions import ParamValidationError

from emulator.api import judging
from emulator.api.records import Kind, Records
from emulator.api.runtime import ACCOUNT
from emulator.control import not_emulated
from emulator.control.rules import refusal
from tests.control_calls import (
    KNOWN,
    REGION,
    ROLE,
    Body,
    configuration,
    container,
    endpoint,
    instances,
    model,
    pipeline,
    serverless,
    variant,
)
from tests.control_world import World, control_world
from tests.test_control_rules import CAPTURE, CONSTRAINTS, REFUSED, RIGHT, wishes

KINDS: tuple[Kind, ...] = ("Model", "EndpointConfig", "Endpoint")
WRONG = [
    *((name, body) for name, body, _ in CONSTRAINTS),
    *((name, body) for _, name, body, _ in REFUSED),
]


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """What is there is what the tables of wrong calls say, also states that an emulator has not."""
    with pytest.MonkeyPatch.context() as patch, control_world() as world:
        patch.setattr(judging, "MotoKnown", lambda *_, **__: KNOWN)
        yield world


def kept() -> dict[Kind, list[str]]:
    return {kind: Records(ACCOUNT, REGION).names(kind) for kind in KINDS}


@pytest.mark.parametrize(("operation", "body"), WRONG)
def test_a_wrong_call_gets_awss_code_and_text_from_boto3(
    here: World, operation: str, body: Body
) -> None:
    before, begun = kept(), len(here.engine.started)
    expected = refusal(operation, body, KNOWN)
    assert expected is not None
    told = here.refused(operation, region=REGION, **body)
    assert told == (expected.code, expected.message)
    assert kept() == before
    assert len(here.engine.started) == begun
    assert here.plane.deployments.all() == ()


def test_botocore_would_have_stopped_few_of_them(here: World) -> None:
    config = Config(retries={"total_max_attempts": 1})
    careful = here.session.client(
        "sagemaker", region_name=REGION, endpoint_url=here.url, config=config
    )
    stopped = 0
    for operation, body in WRONG:
        try:
            careful._make_api_call(operation, body)
        except ParamValidationError:
            stopped += 1
        except careful.exceptions.ClientError:
            pass
    assert 0 < stopped < len(WRONG) / 5


MANY = "with MultiModel: a container for many models"
SOURCE = {"S3Uri": "s3://b/m", "S3DataType": "S3Prefix", "CompressionType": "None"}
ROLLING = {
    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
    "WaitIntervalInSeconds": 0,
}
NOT_EMULATED: list[tuple[str, Body, str]] = [
    ("CreateModel", pipeline({}, {}), "Containers of CreateModel with more than one container"),
    ("CreateModel", container(Mode="MultiModel"), f"PrimaryContainer.Mode of CreateModel {MANY}"),
    ("CreateModel", pipeline({"Mode": "MultiModel"}), f"Containers.1.Mode of CreateModel {MANY}"),
    ("CreateModel", container(MultiModelConfig={"ModelCacheSetting": "Disabled"}),
     "PrimaryContainer.MultiModelConfig"),
    ("CreateModel", pipeline({"ImageConfig": {"RepositoryAccessMode": "Vpc"}}),
     "Containers.1.ImageConfig"),
    ("CreateModel", model(InferenceExecutionConfig={"Mode": "Direct"}), "InferenceExecutionConfig"),
    ("CreateModel",
     pipeline({"AdditionalModelDataSources": [{"ChannelName": "c", "S3DataSource": SOURCE}]}),
     "Containers.1.AdditionalModelDataSources"),
    ("CreateEndpointConfig", configuration(instances(), DataCaptureConfig=CAPTURE),
     "DataCaptureConfig"),
    ("CreateEndpointConfig",
     configuration(instances(), ShadowProductionVariants=[instances(VariantName="B")]),
     "ShadowProductionVariants"),
    ("CreateEndpointConfig", configuration(instances(ModelName=None), ExecutionRoleArn=ROLE),
     "ProductionVariants.1 of CreateEndpointConfig without ModelName"),
    ("CreateEndpointConfig", configuration(instances(AcceleratorType="ml.eia1.medium")),
     "ProductionVariants.1.AcceleratorType"),
    ("CreateEndpointConfig",
     configuration(variant(InstancePools=[{"InstanceType": "ml.m5.large", "Priority": 1}])),
     "ProductionVariants.1.InstancePools"),
    ("CreateEndpointConfig",
     configuration(instances(ManagedInstanceScaling={"Status": "ENABLED"})),
     "ProductionVariants.1.ManagedInstanceScaling"),
    ("UpdateEndpointWeightsAndCapacities", wishes("real", DesiredInstanceCount=0),
     "DesiredWeightsAndCapacities.1.DesiredInstanceCount"),
    ("UpdateEndpoint",
     endpoint("pair", "two", DeploymentConfig={"RollingUpdatePolicy": ROLLING}),
     "DeploymentConfig.RollingUpdatePolicy"),
    ("UpdateEndpoint",
     endpoint("pair", "two", ExcludeRetainedVariantProperties=[
         {"VariantPropertyType": "DataCaptureConfig"}]),
     "ExcludeRetainedVariantProperties.1.VariantPropertyType"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "body", "says"), NOT_EMULATED)
def test_what_is_not_emulated_is_refused_by_its_name(
    here: World, operation: str, body: Body, says: str
) -> None:
    assert refusal(operation, body, KNOWN) is None, "AWS takes it"
    code, text = here.refused(operation, region=REGION, **body)
    assert code == not_emulated.CODE
    assert text.startswith(f"byoc does not emulate {says}")
    assert all(not names for names in kept().values())


HARMLESS: list[tuple[str, Body]] = [
    ("CreateModel", container(ImageConfig={"RepositoryAccessMode": "Platform"})),
    ("CreateModel", pipeline({"ImageConfig": {"RepositoryAccessMode": "Platform"}})),
    ("CreateModel", model(InferenceExecutionConfig={"Mode": "Serial"})),
    ("CreateEndpointConfig", configuration(
        serverless(), DataCaptureConfig={**CAPTURE, "EnableCapture": False})),
    ("CreateEndpointConfig", configuration(instances(
        ManagedInstanceScaling={"Status": "DISABLED"}))),
    ("CreateEndpointConfig", configuration(serverless(), DataCaptureConfig=None)),
    ("CreateEndpointConfig", configuration(serverless(), ShadowProductionVariants=[])),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "body"), HARMLESS)
def test_what_is_switched_off_is_accepted(operation: str, body: Body) -> None:
    assert not_emulated.not_emulated(operation, body) is None


def test_every_value_that_is_refused_is_refused_above() -> None:
    for value in not_emulated.VALUES:
        name = value.member.rpartition(".")[2].removesuffix("[]")
        assert any(
            value.operation == operation and name in says for operation, _, says in NOT_EMULATED
        ), value


@pytest.mark.parametrize(("operation", "body"), RIGHT)
def test_what_aws_takes_is_done_or_refused_by_its_name(operation: str, body: Body) -> None:
    """Nothing in between: what comes through is what the operations can do."""
    why = not_emulated.not_emulated(operation, body)
    assert why is None or why.startswith("byoc does not emulate ")

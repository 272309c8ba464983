"""Owns: the claims of the control plane's rules: what AWS refuses, with its code and its words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.control.image_uri import ecr_image
from emulator.control.known import Inventory, KnownEndpoint
from emulator.control.rule import Call
from emulator.control.rules import ACCEPTED, RULES, broken_rule, ignored, refusal
from emulator.control.service_model import findings, input_shape, operation
from emulator.limits import MEMORY_SIZES_MB
from emulator.runtime_errors import OWN_WORDS
from emulator.sources import Evidence
from tests.control_calls import (
    ACCOUNT,
    ARN,
    CONFIGURATIONS,
    DATA,
    HOST,
    IMAGE,
    KNOWN,
    OCI,
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
from tests.control_values import valid

AFTER = "failed to satisfy constraint: Member must"
LONG = "a" * 64
NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
MODEL_NAME = r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
ROLE_PATTERN = r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
SERVERLESS = "productionVariants.1.member.serverlessConfig"


def one(sentence: str) -> str:
    return f"1 validation error detected: {sentence}"


CONSTRAINTS: list[tuple[str, Body, str]] = [
    ("CreateModel", model("my_model"),
     one(f"Value 'my_model' at 'modelName' {AFTER} satisfy regular expression pattern:"
         f" {MODEL_NAME}")),
    ("CreateModel", model("my-"),
     one(f"Value 'my-' at 'modelName' {AFTER} satisfy regular expression pattern: {MODEL_NAME}")),
    ("CreateModel", model(LONG),
     one(f"Value '{LONG}' at 'modelName' {AFTER} have length less than or equal to 63")),
    ("CreateModel", model(ExecutionRoleArn="Echo-Role-of-this-service"),
     one(f"Value 'Echo-Role-of-this-service' at 'executionRoleArn' {AFTER} satisfy regular"
         f" expression pattern: {ROLE_PATTERN}")),
    ("CreateModel", model(ExecutionRoleArn="arn:test"),
     ("2 validation errors detected: Value 'arn:test' at 'executionRoleArn' failed to satisfy"
     " constraint: Member must have length greater than or equal to 20; Value 'arn:test' at"
     f" 'executionRoleArn' {AFTER} satisfy regular expression pattern: {ROLE_PATTERN}")),
    ("CreateModel", container(Image="an image"),
     one(f"Value 'an image' at 'primaryContainer.image' {AFTER} satisfy regular expression"
         r" pattern: [\S]+")),
    ("CreateModel", container(ModelDataUrl="/opt/model.tar.gz"),
     one(f"Value '/opt/model.tar.gz' at 'primaryContainer.modelDataUrl' {AFTER} satisfy regular"
         " expression pattern: (https|s3)://([^/]+)/?(.*)")),
    ("CreateModel", container(Mode="Multi"),
     one(f"Value 'Multi' at 'primaryContainer.mode' {AFTER} satisfy enum value set: [SingleModel,"
         " MultiModel]")),
    ("CreateEndpointConfig", configuration(),
     one(f"Value '[]' at 'productionVariants' {AFTER} have length greater than or equal to 1")),
    ("CreateEndpointConfig", {"EndpointConfigName": "c"},
     one(f"Value null at 'productionVariants' {AFTER} not be null")),
    ("CreateEndpointConfig", configuration({"ModelName": "Echo"}),
     one(f"Value null at 'productionVariants.1.member.variantName' {AFTER} not be null")),
    ("CreateEndpointConfig", configuration(serverless(7168)),
     one(f"Value '7168' at '{SERVERLESS}.memorySizeInMB' {AFTER} have value less than or equal to"
         " 6144")),
    ("CreateEndpointConfig", configuration(serverless(999)),
     one(f"Value '999' at '{SERVERLESS}.memorySizeInMB' {AFTER} have value greater than or equal to"
         " 1024")),
    ("CreateEndpointConfig", configuration(serverless(most=201)),
     one(f"Value '201' at '{SERVERLESS}.maxConcurrency' {AFTER} have value less than or equal to"
         " 200")),
    ("CreateEndpointConfig", configuration(serverless(most=0)),
     one(f"Value '0' at '{SERVERLESS}.maxConcurrency' {AFTER} have value greater than or equal to"
         " 1")),
    ("CreateEndpointConfig", configuration(variant(ServerlessConfig={"MemorySizeInMB": 1024})),
     one(f"Value null at '{SERVERLESS}.maxConcurrency' {AFTER} not be null")),
    ("CreateEndpointConfig", configuration(instances(InitialVariantWeight=-1)),
     one(f"Value '-1' at 'productionVariants.1.member.initialVariantWeight' {AFTER} have value"
         " greater than or equal to 0")),
    ("CreateEndpointConfig", configuration(serverless(VariantName="all_traffic")),
     one(f"Value 'all_traffic' at 'productionVariants.1.member.variantName' {AFTER} satisfy regular"
         f" expression pattern: {NAME}")),
    ("CreateEndpoint", endpoint("my_endpoint"),
     one(f"Value 'my_endpoint' at 'endpointName' {AFTER} satisfy regular expression pattern:"
         f" {NAME}")),
    ("CreateEndpoint", {"EndpointName": "e"},
     one(f"Value null at 'endpointConfigName' {AFTER} not be null")),
    ("DeleteEndpoint", {}, one(f"Value null at 'endpointName' {AFTER} not be null")),
    ("UpdateEndpointWeightsAndCapacities",
     {"EndpointName": "Echo", "DesiredWeightsAndCapacities": []},
     one(f"Value '[]' at 'desiredWeightsAndCapacities' {AFTER} have length greater than or equal to"
         " 1")),
    ("ListModels", {"MaxResults": 101},
     one(f"Value '101' at 'maxResults' {AFTER} have value less than or equal to 100")),
    ("ListEndpoints", {"StatusEquals": "Ready"},
     one(f"Value 'Ready' at 'statusEquals' {AFTER} satisfy enum value set: [OutOfService, Creating,"
         " Updating, SystemUpdating, RollingBack, InService, Deleting, Failed,"
         " UpdateRollbackFailed]")),
    ("AddTags", {"ResourceArn": f"{ARN}:model/echo", "Tags": [{"Key": "", "Value": "v"}]},
     one(f"Value '' at 'tags.1.member.key' {AFTER} have length greater than or equal to 1")),
    ("ListTags", {"ResourceArn": "echo"},
     one(f"Value 'echo' at 'resourceArn' {AFTER} satisfy regular expression pattern:"
         " arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:.+")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "message"), CONSTRAINTS)
def test_a_broken_constraint_is_refused_in_aws_s_words(name: str, body: Body, message: str) -> None:
    refused = refusal(name, body, KNOWN)
    assert refused is not None
    assert (refused.status, refused.code) == (400, "ValidationException")
    assert refused.message == message
    assert refused.rule is None


NOT_ECR = "is not supported."
WITHOUT_VPC = "without Vpc repository access mode"
TAKEN = "Cannot create already existing"
BUSY = f'Cannot update in-progress endpoint "{ARN}:endpoint/'
WISH = {"VariantName": "AllTraffic"}
ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 0,
    }
}
CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}
    }
}
VPC = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
SLIP = f"{ACCOUNT}.dkr.ecr.{REGION}.amazon.com/echo:latest"  # the tutorial's own
ABROAD = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/echo:1"
CAPTURE = {
    "InitialSamplingPercentage": 10,
    "DestinationS3Uri": "s3://b/",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
CROSS = {"MaxInvocationsPerSecondPerInstance": 1, "MaxCrossRegionPercentPerEndpoint": 1}
ASYNC = {"OutputConfig": {"S3OutputPath": "s3://b/"}}


def wishes(name: str, **members: Any) -> Body:
    return {"EndpointName": name, "DesiredWeightsAndCapacities": [{**WISH, **members}]}


REFUSED: list[tuple[str, str, Body, str]] = [
    # CreateModel
    ("model-has-containers", "CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE}, ""),
    ("model-has-one-form", "CreateModel", model(Containers=[{"Image": IMAGE}]), ""),
    ("container-has-image", "CreateModel", model(PrimaryContainer={"ModelDataUrl": DATA}),
     "PrimaryContainer.Image: a container needs Image or ModelPackageName"),
    ("pipeline-hostnames", "CreateModel", pipeline({"ContainerHostname": "a"}, {}),
     "Containers.2.ContainerHostname is missing"),
    ("one-multi-model-container", "CreateModel",
     pipeline({"Mode": "MultiModel"}, {"Mode": "MultiModel"}),
     "More than one container in MultiModel mode is not supported with inference pipeline."),
    ("environment-size", "CreateModel",
     pipeline({"Environment": {f"K{n}": "v" * 1000 for n in range(20)}},
              {"Environment": {f"K{n}": "v" * 1000 for n in range(20)}}),
     "may have 32768 bytes; 40100 came"),
    ("image-in-ecr", "CreateModel", container(Image=SLIP),
     f'Using non-ECR image "{SLIP}" {WITHOUT_VPC} {NOT_ECR}'),
    ("image-in-ecr", "CreateModel", container(Image="echo:latest"),
     f'Using non-ECR image "echo:latest" {WITHOUT_VPC} {NOT_ECR}'),
    ("image-in-ecr", "CreateModel", container(Image="public.ecr.aws/team/echo:1"),
     f'Using non-ECR image "public.ecr.aws/team/echo:1" {WITHOUT_VPC} {NOT_ECR}'),
    ("image-name", "CreateModel", container(Image=f"{HOST}/Echo:1"),
     f'ECR image "{HOST}/Echo:1" is invalid.'),
    ("image-region", "CreateModel", container(Image=ABROAD),
     (f'Region of "{ABROAD}" does not match expected region of {REGION}. Cross region ECR image'
     " pulls are not allowed.")),
    ("image-exists", "CreateModel", container(Image=f"{HOST}/gone:1"),
     f"Requested image {HOST}/gone:1 not found."),
    ("manifest-media-type", "CreateModel", container(Image=f"{HOST}/oci:1"),
     (f"Unsupported manifest media type {OCI}manifest.v1+json for image {HOST}/oci:1. Ensure that"
     " valid manifest media type is used for specified image.")),
    ("manifest-media-type", "CreateModel", pipeline({}, {"Image": f"{HOST}/index:1"}),
     (f"Unsupported manifest media type {OCI}index.v1+json for image {HOST}/index:1. Ensure that"
     " valid manifest media type is used for specified image.")),
    ("role-account", "CreateModel", model(ExecutionRoleArn="arn:aws:iam::999999999999:role/Echo"),
     "RoleArn: Cross-account pass role is not allowed."),
    ("role-assumable", "CreateModel", model(ExecutionRoleArn=ROLE + "Gone"),
     (f"Could not assume role {ROLE}Gone. Please ensure that the role exists and allows principal"
     " 'sagemaker.amazonaws.com' to assume the role.")),
    ("model-data-exists", "CreateModel", container(ModelDataUrl="s3://bucket/gone.tar.gz"),
     ('Could not access model data at s3://bucket/gone.tar.gz. Please ensure that the role'
     f' "{ROLE}" exists and that its trust relationship policy allows the action'
     ' "sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also ensure that'
     ' the role has "s3:GetObject"'
     f" permissions and that the object is located in {REGION}.")),
    ("model-is-new", "CreateModel", model("Echo"), f'{TAKEN} model "{ARN}:model/echo".'),
    # CreateEndpointConfig
    ("variant-names-differ", "CreateEndpointConfig", configuration(instances(), instances()),
     "ProductionVariants.2.VariantName: another variant is called AllTraffic already"),
    ("one-shadow", "CreateEndpointConfig",
     configuration(instances(), instances(VariantName="B"),
                   ShadowProductionVariants=[instances(VariantName="C")]),
     "2 and 1 came"),
    ("variant-has-model", "CreateEndpointConfig", configuration(instances(ModelName=None)),
     "ProductionVariants.1.ModelName is missing."),
    ("serverless-model-named", "CreateEndpointConfig",
     configuration(serverless(ModelName=None), ExecutionRoleArn=ROLE),
     "ProductionVariants.1.ModelName is missing."),
    ("variant-has-compute", "CreateEndpointConfig", configuration(variant()),
     "ProductionVariants.1.InstanceType: a variant needs InstanceType"),
    ("variant-has-count", "CreateEndpointConfig",
     configuration(variant(InstanceType="ml.m5.large")),
     "ProductionVariants.1.InitialInstanceCount is missing"),
    ("cross-region-not-async", "CreateEndpointConfig",
     configuration(instances(), CrossRegionTrafficConfig=CROSS, AsyncInferenceConfig=ASYNC), ""),
    ("configuration-role-account", "CreateEndpointConfig",
     configuration(instances(), ExecutionRoleArn="arn:aws:iam::999999999999:role/Echo"),
     "RoleArn: Cross-account pass role is not allowed."),
    ("variant-model-exists", "CreateEndpointConfig", configuration(serverless(ModelName="Gone")),
     f'Could not find model "{ARN}:model/gone".'),
    ("configuration-is-new", "CreateEndpointConfig",
     configuration(serverless(), name="serverless"),
     f'{TAKEN} endpoint configuration "{ARN}:endpoint-config/serverless".'),
    # CreateEndpointConfig, serverless
    *(("serverless-or-instances", "CreateEndpointConfig", configuration(serverless(**{member: v})),
       f"{member} cannot be specified with ServerlessConfig.")
      for member, v in [("InstanceType", "ml.m5.large"), ("InitialInstanceCount", 1),
                        ("VolumeSizeInGB", 10), ("AcceleratorType", "ml.eia1.medium"),
                        ("ManagedInstanceScaling", {"Status": "ENABLED"})]),
    ("serverless-memory", "CreateEndpointConfig", configuration(serverless(1500)),
     "must be one of 1024, 2048, 3072, 4096, 5120, 6144, not 1500."),
    ("serverless-provisioned", "CreateEndpointConfig",
     configuration(variant(ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 5,
                                             "ProvisionedConcurrency": 6})),
     "(6) must be less than or equal to MaxConcurrency (5)."),
    ("serverless-one-variant", "CreateEndpointConfig",
     configuration(serverless(), serverless(VariantName="B")), "more than one variant"),
    ("serverless-one-variant", "CreateEndpointConfig",
     configuration(serverless(), instances(VariantName="B")), "more than one variant"),
    ("serverless-one-variant", "CreateEndpointConfig",
     configuration(serverless(), ShadowProductionVariants=[instances(VariantName="B")]),
     "more than one variant (ShadowProductionVariants)"),
    ("serverless-data-capture", "CreateEndpointConfig",
     configuration(serverless(), DataCaptureConfig=CAPTURE), "data capture"),
    ("serverless-async", "CreateEndpointConfig",
     configuration(serverless(), AsyncInferenceConfig=ASYNC), "asynchronous inference"),
    ("serverless-vpc", "CreateEndpointConfig", configuration(serverless(), VpcConfig=VPC), "VPC"),
    ("serverless-isolation", "CreateEndpointConfig",
     configuration(serverless(), EnableNetworkIsolation=True), "network isolation"),
    ("serverless-cross-region", "CreateEndpointConfig",
     configuration(serverless(), CrossRegionTrafficConfig=CROSS), "CrossRegionTrafficConfig"),
    *((f"serverless-{rule}", "CreateEndpointConfig", configuration(serverless(ModelName=name)),
       f"model {name}")
      for rule, name in [("model-vpc", "in-vpc"), ("model-isolation", "isolated"),
                         ("pipeline", "pipeline"), ("multi-model", "many"),
                         ("private-registry", "private"), ("model-data-source", "source")]),
    # CreateEndpoint
    ("endpointconfig-found", "CreateEndpoint", endpoint(config="Gone"),
     f'Could not find endpoint configuration "{ARN}:endpoint-config/gone".'),
    ("endpoint-model-found", "CreateEndpoint", endpoint(config="orphan"),
     f'Could not find model "{ARN}:model/gone".'),
    ("endpoint-is-new", "CreateEndpoint", endpoint("Echo"),
     f'{TAKEN} endpoint "{ARN}:endpoint/echo".'),
    ("endpoint-is-new", "CreateEndpoint", endpoint("ECHO"),
     f'{TAKEN} endpoint "{ARN}:endpoint/echo".'),
    # Describe, Delete
    ("model-found", "DescribeModel", {"ModelName": "Gone"},
     f'Could not find model "{ARN}:model/gone".'),
    ("model-found", "DeleteModel", {"ModelName": "Gone"},
     f'Could not find model "{ARN}:model/gone".'),
    ("endpointconfig-found", "DeleteEndpointConfig", {"EndpointConfigName": "Gone"},
     f'Could not find endpoint configuration "{ARN}:endpoint-config/gone".'),
    ("endpointconfig-found", "DescribeEndpointConfig", {"EndpointConfigName": "Gone"},
     f'Could not find endpoint configuration "{ARN}:endpoint-config/gone".'),
    ("endpoint-found", "DescribeEndpoint", {"EndpointName": "Gone"},
     f'Could not find endpoint "{ARN}:endpoint/gone".'),
    ("endpoint-found", "DeleteEndpoint", {"EndpointName": "Gone"},
     f'Could not find endpoint "{ARN}:endpoint/gone".'),
    *(("endpoint-at-rest-to-delete", "DeleteEndpoint", {"EndpointName": status},
       f'{BUSY}{status}".')
      for status in ("creating", "updating", "systemupdating", "rollingback")),
    # UpdateEndpoint
    ("endpoint-found", "UpdateEndpoint", endpoint("Gone"),
     f'Could not find endpoint "{ARN}:endpoint/gone".'),
    *(("endpoint-at-rest", "UpdateEndpoint", endpoint(status), f'{BUSY}{status}".')
      for status in ("creating", "updating", "systemupdating", "rollingback", "deleting")),
    ("failed-only-deleted", "UpdateEndpoint", endpoint("failed"),
     f'Cannot update endpoint "{ARN}:endpoint/failed" in status Failed; it can only be deleted.'),
    ("new-configuration-found", "UpdateEndpoint", endpoint("Echo", "Gone"),
     f'Could not find endpoint configuration "{ARN}:endpoint-config/gone".'),
    ("new-model-found", "UpdateEndpoint", endpoint("Echo", "orphan"),
     f'Could not find model "{ARN}:model/gone".'),
    ("no-way-to-serverless", "UpdateEndpoint", endpoint("real", "serverless"), "serverless"),
    ("one-update-policy", "UpdateEndpoint",
     endpoint("pair", "two", DeploymentConfig={**ROLLING, **CANARY}), "both came"),
    ("serverless-all-at-once", "UpdateEndpoint",
     endpoint("Echo", "larger", DeploymentConfig=CANARY), "ALL_AT_ONCE, not CANARY"),
    ("serverless-all-at-once", "UpdateEndpoint",
     endpoint("Echo", "larger", DeploymentConfig=ROLLING), "ALL_AT_ONCE, not rolling"),
    ("rolling-needs-two", "UpdateEndpoint", endpoint("real", "two", DeploymentConfig=ROLLING),
     "Cannot update endpoint with single instance using RollingUpdatePolicy"),
    # UpdateEndpointWeightsAndCapacities
    ("endpoint-found", "UpdateEndpointWeightsAndCapacities", wishes("Gone"),
     f'Could not find endpoint "{ARN}:endpoint/gone".'),
    ("endpoint-at-rest", "UpdateEndpointWeightsAndCapacities", wishes("updating"),
     f'{BUSY}updating".'),
    ("failed-only-deleted", "UpdateEndpointWeightsAndCapacities", wishes("failed"), "Failed"),
    ("variant-found", "UpdateEndpointWeightsAndCapacities", wishes("Echo", VariantName="B"),
     "the endpoint has no variant B."),
    ("no-instances-on-serverless", "UpdateEndpointWeightsAndCapacities",
     wishes("Echo", DesiredInstanceCount=2), "DesiredInstanceCount cannot be specified"),
    ("no-concurrency-on-instances", "UpdateEndpointWeightsAndCapacities",
     wishes("real", ServerlessUpdateConfig={"MaxConcurrency": 2}),
     "ServerlessUpdateConfig cannot be specified"),
    ("updated-provisioned", "UpdateEndpointWeightsAndCapacities",
     wishes("Echo", ServerlessUpdateConfig={"ProvisionedConcurrency": 6}),
     "(6) must be less than or equal to MaxConcurrency (5)."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "name", "body", "message"), REFUSED)
def test_a_broken_rule_is_refused_by_its_name(
    rule: str, name: str, body: Body, message: str
) -> None:
    refused = refusal(name, body, KNOWN)
    assert refused is not None
    assert refused.rule is not None
    assert refused.rule.name == rule
    assert (refused.status, refused.code) == (400, "ValidationException")
    if refused.rule.words is Evidence.INFERRED:
        assert message in refused.message
        assert refused.message.endswith(OWN_WORDS)
    else:
        assert refused.message == message
    assert refused.at


def test_enough_wrong_calls_are_tried() -> None:
    assert len(CONSTRAINTS) + len(REFUSED) > 100


LIMITS = {"serverless-endpoints", "serverless-concurrency"}


def test_every_rule_is_broken_by_a_call_above() -> None:
    assert {rule.name for rule in RULES} - LIMITS == {rule for rule, *_ in REFUSED}


RIGHT: list[tuple[str, Body]] = [
    ("CreateModel", model()),
    ("CreateModel", container(Image=f"{HOST}/echo")),  # no tag
    ("CreateModel", container(Image=f"{HOST}/echo:1@sha256:" + "0" * 64)),
    ("CreateModel", container(Image=f"{HOST}/list:1")),  # no refusal was ever captured
    ("CreateModel", container(Image=f"{ACCOUNT}.dkr.ecr-fips.{REGION}.amazonaws.com/echo:1")),
    ("CreateModel", container(Image=f"{ACCOUNT}.dkr-ecr.{REGION}.on.aws/echo:1")),
    ("CreateModel", container(Image=f"999999999999.dkr.ecr.{REGION}.amazonaws.com/echo:1")),
    ("CreateModel", container(Image="r.local/echo:1", ImageConfig={"RepositoryAccessMode": "Vpc"})),
    ("CreateModel", container(ModelDataUrl=DATA)),
    ("CreateModel", container(ModelDataUrl="s3://nobody/knows.tar.gz")),
    ("CreateModel", container(Environment={f"K{n:02}": "v" * 1020 for n in range(32)})),
    ("CreateModel", model(Containers=[])),
    ("CreateModel", {k: v for k, v in model().items() if k != "ExecutionRoleArn"}),
    ("CreateModel", model("echo")),  # "Echo" is there
    ("CreateModel", pipeline({"ContainerHostname": "a"}, {"ContainerHostname": "b"})),
    ("CreateModel", pipeline({"Mode": "MultiModel"}, {})),
    ("CreateModel", {**model(), "NoSuchMember": 1}),
    ("CreateEndpointConfig", configuration(serverless())),
    ("CreateEndpointConfig", configuration(serverless(), KmsKeyId="alias/key")),
    ("CreateEndpointConfig", configuration(serverless(ModelName="single"))),
    ("CreateEndpointConfig",
     configuration(serverless(ContainerStartupHealthCheckTimeoutInSeconds=60))),
    ("CreateEndpointConfig",
     configuration(serverless(), DataCaptureConfig={**CAPTURE, "EnableCapture": False})),
    ("CreateEndpointConfig", configuration(serverless(), EnableNetworkIsolation=False)),
    ("CreateEndpointConfig", configuration(instances(), DataCaptureConfig=CAPTURE)),
    ("CreateEndpointConfig", configuration(instances(), AsyncInferenceConfig=ASYNC)),
    ("CreateEndpointConfig", configuration(instances(), instances(VariantName="B"))),
    ("CreateEndpointConfig",
     configuration(instances(), ShadowProductionVariants=[instances(VariantName="B")])),
    ("CreateEndpointConfig", configuration(instances(ModelName=None), ExecutionRoleArn=ROLE)),
    ("CreateEndpointConfig", configuration(variant(
        InstancePools=[{"InstanceType": "ml.m5.large", "Priority": 1}]))),
    *(("CreateEndpointConfig", configuration(instances(ModelName=name)))
      for name in ("in-vpc", "isolated", "pipeline", "many", "private", "source")),
    *(("CreateEndpointConfig", configuration(serverless(size))) for size in MEMORY_SIZES_MB),
    *(("CreateEndpointConfig", configuration(instances(InstanceType=kind)))
      for kind in ("ml.g5.xlarge", "ml.m6i.large", "ml.c7i.large", "ml.inf2.xlarge")),
    ("CreateEndpoint", endpoint()),
    ("DeleteModel", {"ModelName": "Echo"}),  # in use
    ("DeleteEndpointConfig", {"EndpointConfigName": "serverless"}),  # in use
    *(("DeleteEndpoint", {"EndpointName": name})
      for name in ("Echo", "failed", "outofservice", "updaterollbackfailed", "deleting")),
    ("UpdateEndpoint", endpoint("Echo", "larger")),
    ("UpdateEndpoint", endpoint("Echo", "instances")),
    ("UpdateEndpoint", endpoint("real", "two")),
    ("UpdateEndpoint", endpoint("pair", "two", DeploymentConfig=ROLLING)),
    ("UpdateEndpoint", endpoint("updaterollbackfailed", "larger")),
    ("UpdateEndpointWeightsAndCapacities",
     wishes("Echo", ServerlessUpdateConfig={"MaxConcurrency": 9, "ProvisionedConcurrency": 9})),
    ("UpdateEndpointWeightsAndCapacities", wishes("real", DesiredInstanceCount=3)),
    ("ListModels", {}),
    ("AddTags", {"ResourceArn": f"{ARN}:model/echo", "Tags": [{"Key": "Größe", "Value": ""}]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), RIGHT)
def test_what_aws_accepts_is_accepted(name: str, body: Body) -> None:
    assert refusal(name, body, KNOWN) is None


# -- the order, and what is not a rule ------------------------------------------------------------


def test_types_come_before_constraints_and_constraints_before_rules() -> None:
    wrong = configuration(serverless(9999, 0, InstanceType="ml.m5.large"), Tags=1)
    first = refusal("CreateEndpointConfig", wrong, KNOWN)
    assert first is not None
    assert (first.status, first.code) == (400, "SerializationException")
    assert first.message == f"tags must be a list, not 1. {OWN_WORDS}"
    wrong["Tags"] = []
    second = refusal("CreateEndpointConfig", wrong, KNOWN)
    assert second is not None
    assert second.message.startswith("2 validation errors detected: Value '9999' at ")
    wrong["ProductionVariants"][0]["ServerlessConfig"] = {
        "MemorySizeInMB": 1500, "MaxConcurrency": 1}  # fmt: skip
    third = refusal("CreateEndpointConfig", wrong, KNOWN)
    assert third is not None
    assert third.rule is not None
    assert third.rule.name == "serverless-or-instances"


def test_an_operation_that_is_none_of_sagemaker_s_is_refused_by_name() -> None:
    refused = refusal("CreateEverything", {}, KNOWN)
    assert refused is not None
    assert refused.code == "UnknownOperationException"
    assert "CreateEverything" in refused.message


def test_an_unknown_member_is_told_but_not_refused() -> None:
    body = model(NoSuchMember=1)
    assert refusal("CreateModel", body, KNOWN) is None
    assert [unknown.path for unknown in ignored("CreateModel", body)] == ["noSuchMember"]
    assert ignored("CreateEverything", {}) == []


def test_accounts_are_compared_only_where_the_user_told_theirs() -> None:
    body = model(ExecutionRoleArn="arn:aws:iam::999999999999:role/Echo")
    assert refusal("CreateModel", body, replace(KNOWN, account_is_told=False)) is None


def test_an_empty_world_refuses_nothing_that_it_cannot_know() -> None:
    body = container(ModelDataUrl="s3://b/m.tar.gz")
    assert refusal("CreateModel", body, Inventory(region=REGION)) is None


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_an_arn_is_of_the_region_s_partition(region: str, partition: str) -> None:
    refused = refusal("DescribeModel", {"ModelName": "M"}, Inventory(region=region))
    assert refused is not None
    assert f'"arn:{partition}:sagemaker:{region}:123456789012:model/m"' in refused.message


# -- the account's limits -------------------------------------------------------------------------


def world(endpoints: int, most: int, concurrency: int = 1000) -> Inventory:
    there = KnownEndpoint(status="InService", configuration=CONFIGURATIONS["serverless"])
    real = KnownEndpoint(status="InService", configuration=CONFIGURATIONS["instances"])
    known = {f"e{number}": there for number in range(endpoints)} | {"real": real}
    return replace(
        KNOWN, endpoints=known, serverless_endpoints=most, serverless_concurrency=concurrency
    )


def test_an_account_s_endpoints_are_counted() -> None:
    assert refusal("CreateEndpoint", endpoint(), world(49, 50)) is None
    refused = refusal("CreateEndpoint", endpoint(), world(50, 50))
    assert refused is not None
    assert (refused.status, refused.code) == (400, "ResourceLimitExceeded")
    assert "is 50, with current utilization of 50 and a request delta of 1." in refused.message
    assert refusal("CreateEndpoint", endpoint(config="instances"), world(50, 50)) is None


def test_an_account_s_concurrency_is_counted() -> None:
    assert refusal("CreateEndpoint", endpoint(), world(1, 50, concurrency=10)) is None
    refused = refusal("CreateEndpoint", endpoint(), world(2, 50, concurrency=10))
    assert refused is not None
    assert refused.code == "ResourceLimitExceeded"
    assert "is 10, with current utilization of 10 and a request delta of 5." in refused.message
    assert refusal("CreateEndpoint", endpoint(config="instances"), world(2, 50, 10)) is None


# -- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_told_in_a_sentence_with_a_public_source(rule: Any) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert re.fullmatch(r"[A-Z].+\.", rule.says)
    assert rule.source.url.startswith("https://")
    assert all(operation(name) for name in rule.operations)
    assert OWN_WORDS not in rule.text
    assert rule.code in {"ValidationException", "ResourceLimitExceeded"}


def test_names_of_rules_differ() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(set(names))


def test_what_the_call_alone_tells_comes_before_what_is_there() -> None:
    needs = [rule.needs for rule in RULES]
    assert needs == sorted(needs)


@pytest.mark.parametrize("rule", [r for r in RULES if not r.needs], ids=lambda rule: rule.name)
def test_a_rule_that_needs_nothing_asks_nothing_of_what_is_there(rule: Any) -> None:
    class Nothing:
        region, account, account_is_told = REGION, ACCOUNT, True

    for wanted, name, body, _ in REFUSED:
        if wanted == rule.name:
            call = Call(operation=name, body=body, known=Nothing())  # type: ignore[arg-type]
            assert rule.breach(call) is not None


def test_what_is_accepted_on_purpose_is_told_with_its_reason() -> None:
    assert all(why.endswith(".") for _, why in ACCEPTED)


# -- everything that the service model allows ------------------------------------------------------

CREATING = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint",
            "UpdateEndpointWeightsAndCapacities")  # fmt: skip


@pytest.mark.ahead
@pytest.mark.parametrize("name", CREATING)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_valid_call_is_accepted_or_refused_by_one_named_rule(
    name: str, data: st.DataObject
) -> None:
    body = data.draw(valid(input_shape(name)))
    assert findings(name, body) == []
    refused = refusal(name, body, KNOWN)
    if refused is not None:
        assert refused.rule in RULES
        assert broken_rule(Call(operation=name, body=body, known=KNOWN)) == refused


SERVERLESS_VARIANTS = st.fixed_dictionaries(
    {"MemorySizeInMB": st.integers(1000, 6200) | st.sampled_from(MEMORY_SIZES_MB),
     "MaxConcurrency": st.integers(-1, 210)},
    optional={"ProvisionedConcurrency": st.integers(-1, 210)},
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(SERVERLESS_VARIANTS)
def test_exactly_the_documented_serverless_configurations_are_accepted(config: Body) -> None:
    most = config["MaxConcurrency"]
    right = (
        config["MemorySizeInMB"] in (1024, 2048, 3072, 4096, 5120, 6144)
        and 1 <= most <= 200
        and 1 <= config.get("ProvisionedConcurrency", 1) <= min(most, 200)
    )
    body = configuration(variant(ServerlessConfig=config))
    assert (refusal("CreateEndpointConfig", body, KNOWN) is None) is right


# -- addresses of images --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "repository", "tag"),
    [
        (IMAGE, "team/echo", "1"),
        (f"{HOST}/echo", "echo", None),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/echo:1", "echo", "1"),
    ],
)
def test_an_address_of_ecr_is_taken_apart(uri: str, repository: str, tag: str | None) -> None:
    image = ecr_image(uri)
    assert image is not None
    assert image.valid
    assert (image.repository, image.tag, image.digest) == (repository, tag, None)


@pytest.mark.parametrize(
    "uri",
    [
        "", "echo", "echo:1", "docker.io/team/echo", f"{HOST}", f"{HOST}:443/echo", f"x{HOST}/echo",
        "12345.dkr.ecr.eu-west-1.amazonaws.com/echo", f"https://{HOST}/echo",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/echo", SLIP,
    ],
)  # fmt: skip
def test_another_registry_is_none_of_ecr(uri: str) -> None:
    assert ecr_image(uri) is None


@pytest.mark.parametrize(
    "rest",
    ["", "/", "Echo", "a//b", "a/", "echo:", "echo:-x", "echo@", "echo@sha256:12", "echo:a:b",
     "-echo", "e" + "-" * 5000],
)  # fmt: skip
def test_what_ecr_cannot_have_is_no_valid_image(rest: str) -> None:
    image = ecr_image(f"{HOST}/{rest}")
    assert image is not None
    assert not image.valid

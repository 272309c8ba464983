"""The stacks of container/deploy/cdk: what they say, and that CloudFormation takes them.

Owns: the golden templates in fixtures/templates. Must not know: Docker, and the CDK but in the one
test that synthesizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fixtures.templates.synthesize import CDK, PYTHON, golden, models, synthesize
from tests.clients import ACCOUNT, REGION
from tests.deploy_world import PING_FAILED, World, deploy_world

pytestmark = pytest.mark.clients

GOLDEN = golden()
MODELS = {f"{row['name']}-endpoint": row for row in models()}
each_stack = pytest.mark.parametrize("stack", MODELS)
ORDER = ("AWS::IAM::Role", "AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig",
         "AWS::SageMaker::Endpoint")  # fmt: skip


def resource(stack: str, kind: str) -> tuple[str, dict[str, Any]]:
    """The one resource of this type, with its logical id."""
    (found,) = ((k, v) for k, v in GOLDEN[stack]["Resources"].items() if v["Type"] == kind)
    return found


def statements(stack: str) -> list[dict[str, Any]]:
    _, role = resource(stack, "AWS::IAM::Role")
    return [
        statement
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def resolved(value: object) -> Any:
    """As CloudFormation resolves it in this account: the functions that the stacks use."""
    if isinstance(value, dict) and "Fn::Join" in value:
        glue, parts = value["Fn::Join"]
        return str(glue).join(resolved(part) for part in parts)
    if isinstance(value, dict) and "Ref" in value:
        return {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }[value["Ref"]]
    return value


@pytest.mark.clients
def test_the_application_makes_the_golden_templates(tmp_path: Path) -> None:
    assert PYTHON.is_file(), f"{PYTHON} is not there: `scripts/setup.sh tests` makes it"
    again = "python -m fixtures.templates.synthesize"
    assert synthesize(tmp_path, models()) == GOLDEN, f"`{again}` writes them anew: look at the diff"


def test_the_application_s_own_table_is_the_first_of_the_golden_ones() -> None:
    context = json.loads((CDK / "cdk.json").read_text())["context"]
    assert context["models"] == [models()[0]]


def test_each_model_of_the_table_is_a_stack_of_its_own() -> None:
    assert set(GOLDEN) == set(MODELS)


@each_stack
def test_a_stack_has_four_resources_and_each_waits_for_the_one_before(stack: str) -> None:
    found = GOLDEN[stack]["Resources"]
    assert sorted(each["Type"] for each in found.values()) == sorted(ORDER)
    for before, after in pairwise(ORDER):
        assert resource(stack, after)[1]["DependsOn"] == [resource(stack, before)[0]]


@each_stack
def test_only_the_endpoint_has_a_name_so_that_everything_can_be_changed(stack: str) -> None:
    _, model = resource(stack, "AWS::SageMaker::Model")
    _, configuration = resource(stack, "AWS::SageMaker::EndpointConfig")
    _, endpoint = resource(stack, "AWS::SageMaker::Endpoint")
    assert "ModelName" not in model["Properties"]
    assert "EndpointConfigName" not in configuration["Properties"]
    assert endpoint["Properties"]["EndpointName"] == MODELS[stack]["name"]


@each_stack
def test_a_template_needs_no_bootstrapped_account(stack: str) -> None:
    assert not {"Parameters", "Rules", "Conditions", "Transform"} & set(GOLDEN[stack])


@each_stack
def test_everything_that_can_be_tagged_names_its_model(stack: str) -> None:
    for logical, each in GOLDEN[stack]["Resources"].items():
        tags = {tag["Key"]: tag["Value"] for tag in each["Properties"]["Tags"]}
        assert tags == {"model": MODELS[stack]["name"]}, logical


@each_stack
def test_only_sagemaker_takes_the_role(stack: str) -> None:
    _, role = resource(stack, "AWS::IAM::Role")
    (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert "ManagedPolicyArns" not in role["Properties"]


@each_stack
def test_the_role_reaches_this_model_and_nothing_else(stack: str) -> None:
    row = MODELS[stack]
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{row['name']}"
    repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{row['repository']}"
    wanted = {
        ("ecr:GetAuthorizationToken", "*"),
        ("ecr:BatchCheckLayerAvailability", repository),
        ("ecr:BatchGetImage", repository),
        ("ecr:GetDownloadUrlForLayer", repository),
        ("logs:CreateLogGroup", group),
        ("logs:CreateLogGroup", f"{group}:*"),
        ("logs:CreateLogStream", f"{group}:*"),
        ("logs:DescribeLogStreams", f"{group}:*"),
        ("logs:PutLogEvents", f"{group}:*"),
        ("cloudwatch:PutMetricData", "*"),
    }
    if url := row.get("model_data_url"):
        wanted.add(("s3:GetObject", url.replace("s3://", "arn:aws:s3:::")))
    allowed = set()
    for statement in statements(stack):
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            allowed.add((action, resolved(statement["Resource"])))
    assert allowed == wanted


@each_stack
def test_metrics_may_be_written_in_the_endpoints_own_namespaces_only(stack: str) -> None:
    (found,) = (s for s in statements(stack) if s["Action"] == "cloudwatch:PutMetricData")
    assert found["Condition"] == {
        "StringLike": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints*"}
    }


@pytest.fixture(scope="module")
def module_world() -> Iterator[World]:
    with deploy_world() as world:
        yield world


@pytest.fixture
def world(module_world: World) -> World:
    module_world.reset()
    return module_world


def deploy(world: World, stack: str) -> dict[str, str]:
    """The outputs of the stack."""
    cloudformation = world.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(GOLDEN[stack]),
        Capabilities=["CAPABILITY_IAM"],
    )
    (told,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    assert told["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in told["Outputs"]}


def test_both_stacks_deploy_through_cloudformation_and_leave_nothing(world: World) -> None:
    aws, cloudformation = world.client("sagemaker"), world.client("cloudformation")
    for stack, row in MODELS.items():
        outputs = deploy(world, stack)
        image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{row['repository']}:{row['tag']}"
        assert outputs == {
            "EndpointName": row["name"],
            "Image": image,
            "LogGroup": f"/aws/sagemaker/Endpoints/{row['name']}",
        }
        endpoint = aws.describe_endpoint(EndpointName=row["name"])
        assert endpoint["EndpointStatus"] == "InService"
        configuration = aws.describe_endpoint_config(
            EndpointConfigName=endpoint["EndpointConfigName"]
        )
        (variant,) = configuration["ProductionVariants"]
        assert variant["ServerlessConfig"] == {
            "MemorySizeInMB": row["memory"],
            "MaxConcurrency": row["max_concurrency"],
            **(
                {"ProvisionedConcurrency": row["provisioned_concurrency"]}
                if "provisioned_concurrency" in row
                else {}
            ),
        }
        container = aws.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
        assert container["Image"] == image
        assert container.get("ModelDataUrl") == row.get("model_data_url")
        assert container.get("Environment") == row.get("environment")
    assert {kind: len(found) for kind, found in world.names().items()} == {
        "models": 2,
        "configurations": 2,
        "endpoints": 2,
    }
    for stack in MODELS:
        cloudformation.delete_stack(StackName=stack)
    assert not any(world.names().values())
    assert world.client("iam").list_roles()["Roles"] == []


def test_the_reason_of_a_failure_is_found_under_the_endpoint_s_own_name(world: World) -> None:
    world.fails = PING_FAILED
    deploy(world, "iris-endpoint")
    told = world.client("sagemaker").describe_endpoint(EndpointName="iris")
    assert (told["EndpointStatus"], told["FailureReason"]) == ("Failed", PING_FAILED)
    world.client("cloudformation").delete_stack(StackName="iris-endpoint")

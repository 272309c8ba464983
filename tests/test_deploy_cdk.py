"""The stacks of container/deploy/cdk and of the article that byoc began with: what they say, and
that endpoints come of them, through CloudFormation and by the CDK's own command.

Owns: the golden templates in fixtures/templates, the stack of fixtures/seed. Must not know: how
CloudFormation works.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from fixtures.templates.synthesize import CDK, PYTHON, golden, models, synthesize
from tests.clients import ACCOUNT, REGION, SETUP
from tests.deploy_world import put_model_data
from tests.serving import REFERENCE, ROOT, Serving, tagged

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


# -- deployed --------------------------------------------------------------------------------------

CLI = ROOT / "tests" / "cdk_cli" / "node_modules" / ".bin" / "cdk"
SEED = ROOT / "fixtures" / "seed" / "stack.py"
BROKEN = "byoc-fault-missing-module:latest"
SEPALS_ONLY = {  # a model that can be told from the image's own
    "labels": ["narrow", "wide"],
    "mean": [0.0] * 4,
    "scale": [1.0] * 4,
    "weights": [[0.0] * 5, [-30.0, 0.0, 10.0, 0.0, 0.0]],
}


def image(server: Serving, stack: str) -> str:
    return server.uri(MODELS[stack]["repository"], MODELS[stack]["tag"])


@pytest.fixture(scope="module")
def server(local_sagemaker: Serving) -> Iterator[Serving]:
    with ExitStack() as until_the_end:
        names = (image(local_sagemaker, stack) for stack in MODELS)
        until_the_end.enter_context(tagged(*names, image=REFERENCE))
        broken = local_sagemaker.uri("iris", "broken")
        until_the_end.enter_context(tagged(broken, image=BROKEN))
        url = MODELS["iris-large-endpoint"]["model_data_url"]
        put_model_data(local_sagemaker.client("s3"), url, SEPALS_ONLY)
        yield local_sagemaker


@pytest.fixture(scope="session")
def by_the_cdk(
    local_sagemaker: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Serving]]:
    """The article's stack, on its way while others are tested, and looked at last: the command
    takes a dozen seconds, most of which it sleeps.
    """
    assert CLI.exists(), f"the CDK CLI is not installed: {SETUP}"
    there, directory = local_sagemaker.at("us-west-2"), tmp_path_factory.mktemp("cdk")

    def cdk(*words: str) -> None:
        ran = there.run(
            CLI, *words, "--app", f"{PYTHON} {SEED}", "--no-notices", "--no-color",
            directory=directory,
            HOME=str(directory),
            CI="true",
            SEED_ACCOUNT=ACCOUNT,
            SEED_REGION=there.region,
            SEED_IMAGE="byoc-reference",
            JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION="1",
            CDK_DISABLE_CLI_TELEMETRY="true",
            PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def deploy() -> Serving:
        cdk("bootstrap", f"aws://{ACCOUNT}/{there.region}")
        cdk("deploy", "--all", "--require-approval", "never")
        return there

    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(deploy)


def create(server: Serving, stack: str, template: dict[str, Any]) -> None:
    server.client("cloudformation").create_stack(
        StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )


def wait(server: Serving, until: str, stack: str) -> None:
    server.client("cloudformation").get_waiter(until).wait(StackName=stack)


def label(server: Serving, endpoint: str) -> str:
    """What it says of the first flower: 3.5 cm is wide."""
    answer = server.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType="text/csv", Body="5.1,3.5,1.4,0.2"
    )
    return str(answer["Body"].read().decode().split(",")[0])


def serverless_of(server: Serving, endpoint: str) -> dict[str, int]:
    """As the endpoint has it."""
    described = server.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    assert described["EndpointStatus"] == "InService"
    (variant,) = described["ProductionVariants"]
    return dict(variant["CurrentServerlessConfig"])


def wanted(stack: str, **change: int) -> dict[str, int]:
    row = {**MODELS[stack], **change}
    provisioned = row.get("provisioned_concurrency")
    return {
        "MemorySizeInMB": row["memory"],
        "MaxConcurrency": row["max_concurrency"],
        **({"ProvisionedConcurrency": provisioned} if provisioned else {}),
    }


@pytest.mark.docker
@pytest.mark.usefixtures("by_the_cdk")
def test_both_stacks_deploy_answer_are_updated_and_leave_nothing(server: Serving) -> None:
    aws, cloudformation = server.client("sagemaker"), server.client("cloudformation")
    for stack in MODELS:
        create(server, stack, GOLDEN[stack])
    for stack, row in MODELS.items():
        wait(server, "stack_create_complete", stack)
        (told,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        assert {output["OutputKey"]: output["OutputValue"] for output in told["Outputs"]} == {
            "EndpointName": row["name"],
            "Image": image(server, stack),
            "LogGroup": f"/aws/sagemaker/Endpoints/{row['name']}",
        }
        assert serverless_of(server, row["name"]) == wanted(stack)
        model = aws.describe_model(ModelName=model_of(server, row["name"]))
        assert model["PrimaryContainer"]["Image"] == image(server, stack)
        assert model["PrimaryContainer"].get("Environment") == row.get("environment")
    assert label(server, "iris") == "setosa"
    assert label(server, "iris-large") == "wide", "its model.tar.gz is not the image's model"
    before = server.names()
    assert {kind: len(found) for kind, found in before.items()} == {
        "models": 2,
        "configurations": 2,
        "endpoints": 2,
    }
    update(server, "iris-endpoint")
    after = server.names()
    assert len(after["configurations"]) == 2, "the former one is cleaned up"
    assert after["configurations"] != before["configurations"]
    assert {**after, "configurations": None} == {**before, "configurations": None}
    for stack in MODELS:
        cloudformation.delete_stack(StackName=stack)
    for stack in MODELS:
        wait(server, "stack_delete_complete", stack)
    assert not any(server.names().values())
    roles = server.client("iam").list_roles()["Roles"]
    assert not [role for role in roles if role["RoleName"].startswith("iris")]


def model_of(server: Serving, endpoint: str) -> str:
    aws = server.client("sagemaker")
    name = aws.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    (variant,) = aws.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    return str(variant["ModelName"])


def update(server: Serving, stack: str) -> None:
    """A new size, as after a change of the table and `cdk deploy`."""
    changed = copy.deepcopy(GOLDEN[stack])
    (configuration,) = (
        each
        for each in changed["Resources"].values()
        if each["Type"] == "AWS::SageMaker::EndpointConfig"
    )
    (variant,) = configuration["Properties"]["ProductionVariants"]
    variant["ServerlessConfig"]["MemorySizeInMB"] = 4096
    seen = len(server.events)
    server.client("cloudformation").update_stack(
        StackName=stack, TemplateBody=json.dumps(changed), Capabilities=["CAPABILITY_IAM"]
    )
    wait(server, "stack_update_complete", stack)
    name = MODELS[stack]["name"]
    assert serverless_of(server, name) == wanted(stack, memory=4096)
    assert label(server, name) == "setosa"
    assert server.statuses(name, after=seen) == ["Updating", "InService"]


@pytest.mark.docker
def test_a_stack_whose_endpoint_fails_says_why_and_is_rolled_back(server: Serving) -> None:
    template = json.loads(json.dumps(GOLDEN["iris-endpoint"]).replace("iris:1.0.0", "iris:broken"))
    assert template != GOLDEN["iris-endpoint"]
    create(server, "broken", template)
    with pytest.raises(WaiterError, match="ROLLBACK"):
        wait(server, "stack_create_complete", "broken")
    cloudformation = server.client("cloudformation")
    events = cloudformation.describe_stack_events(StackName="broken")["StackEvents"]
    (failed,) = (
        each
        for each in events
        if each["ResourceStatus"] == "CREATE_FAILED"
        and each["ResourceType"] == "AWS::SageMaker::Endpoint"
    )
    assert "Unable to successfully stand up your model" in failed["ResourceStatusReason"]
    (told,) = cloudformation.describe_stacks(StackName="broken")["Stacks"]
    assert told["StackStatus"] == "ROLLBACK_COMPLETE"
    assert not any(server.names().values())
    cloudformation.delete_stack(StackName="broken")


@pytest.mark.docker
@pytest.mark.slow
def test_the_cdk_s_own_command_deploys_the_article_s_stack_of_two_models(
    by_the_cdk: Future[Serving],
) -> None:
    there = by_the_cdk.result()
    assert there.names() == {
        "models": ["first-model", "second-model"],
        "configurations": ["first-endpoint-configuration", "second-endpoint-configuration"],
        "endpoints": ["first-endpoint", "second-endpoint"],
    }
    for endpoint in ("first-endpoint", "second-endpoint"):
        assert label(there, endpoint) == "setosa"
    there.client("cloudformation").delete_stack(StackName="app-sagemaker-stack")
    wait(there, "stack_delete_complete", "app-sagemaker-stack")
    assert not any(there.names().values())

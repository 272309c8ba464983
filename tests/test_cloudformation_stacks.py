"""Stacks as boto3 sees them, above a SageMaker that settles on command."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.stack_world import World, stack_world

TEMPLATES = Path(__file__).resolve().parent.parent / "fixtures" / "templates"
IAM = ["CAPABILITY_IAM"]
GOLDEN = json.loads((TEMPLATES / "iris-endpoint.template.json").read_text())


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    with stack_world() as world:
        yield world


@pytest.fixture
def world(served: World) -> Iterator[World]:
    served.calls.reset()
    yield served
    served.calls.reset()
    cfn = served.client("cloudformation")
    for stack in cfn.describe_stacks()["Stacks"]:
        cfn.delete_stack(StackName=stack["StackId"])
        cfn.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"])


def create(world: World, template: Any = GOLDEN, name: str = "iris", **more: Any) -> None:
    world.client("cloudformation").create_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=IAM, **more
    )


def wait(world: World, what: str, name: str = "iris") -> None:
    waiter = world.client("cloudformation").get_waiter(f"stack_{what}_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 3})


def status(world: World, name: str = "iris") -> str:
    (stack,) = world.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return str(stack["StackStatus"])


def events(world: World, name: str = "iris") -> list[tuple[str, str, str]]:
    told = world.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return [
        (e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", ""))
        for e in reversed(told)
    ]


def test_a_stack_says_that_it_is_in_progress_until_its_endpoint_is_in_service(
    world: World,
) -> None:
    world.calls.hold()
    create(world)
    assert world.calls.waiting.wait(10)
    assert status(world) == "CREATE_IN_PROGRESS"
    world.calls.let_go.set()
    wait(world, "create")
    assert status(world) == "CREATE_COMPLETE"
    assert world.calls.operations() == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]


def test_the_golden_template_makes_the_calls_that_its_author_would_make(world: World) -> None:
    create(world)
    wait(world, "create")
    model = world.calls.body("CreateModel")
    assert model["ExecutionRoleArn"].startswith("arn:aws:iam::123456789012:role/")
    assert model["PrimaryContainer"] == {
        "Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/iris:1.0.0"
    }
    assert model["Tags"] == [{"Key": "model", "Value": "iris"}]
    config = world.calls.body("CreateEndpointConfig")
    (variant,) = config["ProductionVariants"]
    assert variant["ModelName"] == model["ModelName"]
    assert variant["ServerlessConfig"] == {"MaxConcurrency": 5, "MemorySizeInMB": 2048}
    endpoint = world.calls.body("CreateEndpoint")
    assert endpoint["EndpointName"] == "iris"
    assert endpoint["EndpointConfigName"] == config["EndpointConfigName"]
    for name in (model["ModelName"], config["EndpointConfigName"]):
        assert name.startswith("iris-")
        assert len(name) <= 63


def test_outputs_resources_and_events_tell_what_was_made(world: World) -> None:
    create(world)
    wait(world, "create")
    client = world.client("cloudformation")
    (stack,) = client.describe_stacks(StackName="iris")["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert outputs["EndpointName"] == "iris"
    resources = client.describe_stack_resources(StackName="iris")["StackResources"]
    assert {r["ResourceStatus"] for r in resources} == {"CREATE_COMPLETE"}
    physical = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
    assert physical["Endpoint"] == "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/iris"
    assert [(n, s) for n, s, _ in events(world) if n in ("iris", "Endpoint")] == [
        ("iris", "CREATE_IN_PROGRESS"),
        ("Endpoint", "CREATE_IN_PROGRESS"),
        ("Endpoint", "CREATE_IN_PROGRESS"),
        ("Endpoint", "CREATE_COMPLETE"),
        ("iris", "CREATE_COMPLETE"),
    ]
    listed = client.list_stack_resources(StackName="iris")["StackResourceSummaries"]
    assert [r["LogicalResourceId"] for r in listed] == [r["LogicalResourceId"] for r in resources]
    one = client.describe_stack_resource(StackName="iris", LogicalResourceId="Endpoint")
    assert one["StackResourceDetail"]["ResourceStatus"] == "CREATE_COMPLETE"


def test_a_refused_call_fails_its_resource_and_the_stack_takes_all_of_it_back(
    world: World,
) -> None:
    template = changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=1500))
    create(world, template)
    with pytest.raises(WaiterError, match="ROLLBACK_COMPLETE"):
        wait(world, "create")
    told = {(name, state): reason for name, state, reason in events(world)}
    reason = told["EndpointConfig", "CREATE_FAILED"]
    assert "'productionVariants.1.member.serverlessConfig.memorySizeInMB'" in reason or (
        "MemorySizeInMB" in reason or "memory" in reason
    )
    assert "(Service: AmazonSageMaker; Status Code: 400; Error Code: ValidationException;" in reason
    assert told["iris", "ROLLBACK_IN_PROGRESS"] == (
        "The following resource(s) failed to create: [EndpointConfig]. Rollback requested by user."
    )
    assert ("Model", "DELETE_COMPLETE") in told
    assert ("ExecutionRole605A040B", "DELETE_COMPLETE") in told
    assert world.calls.models == {}
    assert world.client("iam").list_roles()["Roles"] == []


def test_an_endpoint_that_fails_is_told_by_its_own_reason_and_deleted(world: World) -> None:
    world.calls.fails["Model"] = "The primary container did not pass the ping health check."
    create(world)
    with pytest.raises(WaiterError):
        wait(world, "create")
    assert status(world) == "ROLLBACK_COMPLETE"
    assert ("Endpoint", "CREATE_FAILED", world.calls.fails["Model"]) in events(world)
    assert world.calls.operations()[-3:] == [
        "DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel",
    ]  # fmt: skip
    assert (world.calls.endpoints, world.calls.configurations) == ({}, {})


@pytest.mark.parametrize("asked", [{"OnFailure": "DO_NOTHING"}, {"DisableRollback": True}])
def test_a_failed_stack_stays_as_it_is_where_that_was_asked(
    world: World, asked: dict[str, Any]
) -> None:
    world.calls.refuses["CreateEndpoint"] = "No."
    create(world, **asked)
    with pytest.raises(WaiterError, match="CREATE_FAILED"):
        wait(world, "create")
    assert len(world.calls.models) == 1


def test_a_failed_stack_is_deleted_where_that_was_asked(world: World) -> None:
    world.calls.refuses["CreateEndpoint"] = "No."
    create(world, OnFailure="DELETE")
    wait(world, "delete")
    assert world.calls.models == {}


def test_deleting_a_stack_deletes_in_reverse_and_waits_for_the_endpoint(world: World) -> None:
    create(world)
    wait(world, "create")
    world.calls.hold()
    world.client("cloudformation").delete_stack(StackName="iris")
    assert world.calls.waiting.wait(10)
    assert status(world) == "DELETE_IN_PROGRESS"
    assert "DeleteEndpointConfig" not in world.calls.operations()
    world.calls.let_go.set()
    wait(world, "delete")
    assert world.calls.operations()[-3:] == [
        "DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel",
    ]  # fmt: skip
    with pytest.raises(ClientError, match="Stack with id iris does not exist"):
        status(world)


def test_a_stack_that_is_being_made_can_be_deleted(world: World) -> None:
    world.calls.hold()
    create(world)
    assert world.calls.waiting.wait(10)
    world.client("cloudformation").delete_stack(StackName="iris")
    world.calls.let_go.set()
    wait(world, "delete")
    assert (world.calls.endpoints, world.calls.models) == ({}, {})


def test_what_somebody_else_deleted_counts_as_deleted(world: World) -> None:
    create(world)
    wait(world, "create")
    world.calls.endpoints.clear()
    world.calls.models.clear()
    world.client("cloudformation").delete_stack(StackName="iris")
    wait(world, "delete")


def test_a_changed_configuration_is_a_new_one_and_the_endpoint_is_updated(world: World) -> None:
    create(world)
    wait(world, "create")
    (old,) = world.calls.configurations
    world.calls.made.clear()
    update(world, changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=4096)))
    wait(world, "update")
    assert world.calls.operations() == [
        "CreateEndpointConfig", "DescribeEndpoint", "UpdateEndpoint", "DeleteEndpointConfig",
    ]  # fmt: skip
    (new,) = world.calls.configurations
    assert new != old
    assert world.calls.endpoints["iris"]["config"] == new
    assert ("EndpointConfig", "DELETE_COMPLETE", "") in events(world)
    assert status(world) == "UPDATE_COMPLETE"


def test_a_changed_image_replaces_the_model_and_the_configuration(world: World) -> None:
    create(world)
    wait(world, "create")
    update(world, changed(lambda r: r["Model"]["Properties"].update(NEW_IMAGE)))
    wait(world, "update")
    (model,) = world.calls.models.values()
    assert model["PrimaryContainer"]["Image"].endswith("/iris:2")
    (configuration,) = world.calls.configurations.values()
    assert configuration["ProductionVariants"][0]["ModelName"] == model["ModelName"]


def test_a_failed_update_goes_back_to_what_was_there(world: World) -> None:
    create(world)
    wait(world, "create")
    before = (dict(world.calls.models), dict(world.calls.configurations))
    world.calls.refuses["UpdateEndpoint"] = "No."
    update(world, changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=4096)))
    with pytest.raises(WaiterError, match="UPDATE_ROLLBACK_COMPLETE"):
        wait(world, "update")
    assert (world.calls.models, world.calls.configurations) == before
    told = {(name, state): reason for name, state, reason in events(world)}
    assert told["Endpoint", "UPDATE_FAILED"].startswith("No. (Service: AmazonSageMaker;")
    assert told["iris", "UPDATE_ROLLBACK_IN_PROGRESS"].startswith(
        "The following resource(s) failed to update: [Endpoint]."
    )
    assert ("iris", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS") in told
    world.calls.refuses.clear()
    update(world, changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=3072)))
    wait(world, "update")
    (now,) = world.calls.configurations.values()
    assert now["ProductionVariants"][0]["ServerlessConfig"]["MemorySizeInMB"] == 3072


def test_an_endpoint_that_sagemaker_rolled_back_fails_the_update(world: World) -> None:
    create(world)
    wait(world, "create")
    (old,) = world.calls.configurations
    world.calls.fails["Model"] = "It did not answer."
    update(world, changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=4096)))
    with pytest.raises(WaiterError):
        wait(world, "update")
    assert ("Endpoint", "UPDATE_FAILED", "It did not answer.") in events(world)
    assert list(world.calls.configurations) == [old]
    assert world.calls.endpoints["iris"]["config"] == old
    assert world.calls.operations().count("UpdateEndpoint") == 1


@pytest.mark.parametrize("logical", ["Model", "EndpointConfig"])
def test_what_has_a_name_of_its_own_cannot_be_replaced(world: World, logical: str) -> None:
    def name(resources: dict[str, Any]) -> None:
        resources[logical]["Properties"][f"{logical}Name"] = "my-own"

    create(world, changed(name))
    wait(world, "create")
    world.calls.made.clear()

    def change(resources: dict[str, Any]) -> None:
        name(resources)
        resources["Model"]["Properties"].update(NEW_IMAGE)
        config(resources)["ServerlessConfig"].update(MemorySizeInMB=4096)

    update(world, changed(change))
    with pytest.raises(WaiterError):
        wait(world, "update")
    why = (
        "CloudFormation cannot update a stack when a custom-named resource requires replacing."
        " Rename my-own and update the stack again."
    )
    assert (logical, "UPDATE_FAILED", why) in events(world)
    assert status(world) == "UPDATE_ROLLBACK_COMPLETE"
    assert "UpdateEndpoint" not in world.calls.operations()


def test_another_endpoint_name_is_another_endpoint(world: World) -> None:
    create(world)
    wait(world, "create")
    update(world, changed(lambda r: r["Endpoint"]["Properties"].update(EndpointName="other")))
    wait(world, "update")
    assert set(world.calls.endpoints) == {"other"}


def test_changed_tags_change_only_tags(world: World) -> None:
    create(world)
    wait(world, "create")
    world.calls.made.clear()
    tags = [{"Key": "team", "Value": "flora"}]
    update(world, changed(lambda r: r["Endpoint"]["Properties"].update(Tags=tags)))
    wait(world, "update")
    endpoint = "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/iris"
    assert world.calls.made[:2] == [
        ("DeleteTags", {"ResourceArn": endpoint, "TagKeys": ["model"]}),
        ("AddTags", {"ResourceArn": endpoint, "Tags": tags}),
    ]
    assert "UpdateEndpoint" not in world.calls.operations()


def test_an_update_that_changes_nothing_is_refused(world: World) -> None:
    create(world)
    wait(world, "create")
    with pytest.raises(ClientError, match=r"ValidationError.*No updates are to be performed\."):
        update(world, GOLDEN)


def test_a_stack_that_is_busy_or_rolled_back_is_not_updated(world: World) -> None:
    world.calls.hold()
    create(world)
    assert world.calls.waiting.wait(10)
    other = changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=4096))
    with pytest.raises(ClientError, match="is in CREATE_IN_PROGRESS state and can not be updated"):
        update(world, other)
    world.calls.fails["Model"] = "No."
    world.calls.let_go.set()
    with pytest.raises(WaiterError):
        wait(world, "create")
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        update(world, other)
    with pytest.raises(ClientError, match=r"AlreadyExistsException.*Stack \[iris\] already exists"):
        create(world)


def test_a_stack_is_not_deleted_while_it_is_updated(world: World) -> None:
    create(world)
    wait(world, "create")
    world.calls.hold()
    update(world, changed(lambda r: config(r)["ServerlessConfig"].update(MemorySizeInMB=4096)))
    assert world.calls.waiting.wait(10)
    with pytest.raises(ClientError, match="cannot be deleted while in status UPDATE_IN_PROGRESS"):
        world.client("cloudformation").delete_stack(StackName="iris")
    world.calls.let_go.set()
    wait(world, "update")


def test_a_resource_that_the_template_drops_is_deleted_afterwards(world: World) -> None:
    template = copy.deepcopy(GOLDEN)
    template["Resources"]["Spare"] = copy.deepcopy(GOLDEN["Resources"]["Model"])
    create(world, template)
    wait(world, "create")
    assert len(world.calls.models) == 2
    update(world, GOLDEN)
    wait(world, "update")
    assert len(world.calls.models) == 1
    resources = world.client("cloudformation").describe_stack_resources(StackName="iris")
    assert "Spare" not in {r["LogicalResourceId"] for r in resources["StackResources"]}


def test_an_added_resource_is_taken_back_when_the_update_fails(world: World) -> None:
    create(world)
    wait(world, "create")
    template = copy.deepcopy(GOLDEN)
    template["Resources"]["Spare"] = copy.deepcopy(GOLDEN["Resources"]["Model"])
    template["Resources"]["Wrong"] = {
        "Type": "AWS::SageMaker::Model", "DependsOn": "Spare", "Properties": {"Modell": "x"},
    }  # fmt: skip
    update(world, template)
    with pytest.raises(WaiterError):
        wait(world, "update")
    assert any(
        name == "Wrong" and "Encountered unsupported property Modell" in why
        for name, _, why in events(world)
    )
    assert len(world.calls.models) == 1
    resources = world.client("cloudformation").describe_stack_resources(StackName="iris")
    assert {r["LogicalResourceId"] for r in resources["StackResources"]} == set(GOLDEN["Resources"])


def test_what_is_to_be_retained_is_left(world: World) -> None:
    create(world, changed(lambda r: r["Model"].update(DeletionPolicy="Retain")))
    wait(world, "create")
    world.client("cloudformation").delete_stack(StackName="iris")
    wait(world, "delete")
    assert len(world.calls.models) == 1
    assert world.calls.configurations == {}


def test_two_endpoints_start_at_the_same_time(world: World) -> None:
    template = copy.deepcopy(GOLDEN)
    for name in ("Model", "EndpointConfig", "Endpoint"):
        text = json.dumps(GOLDEN["Resources"][name])
        for other in ("Model", "EndpointConfig", "Endpoint"):
            text = text.replace(f'["{other}"', f'["Second{other}"')
        template["Resources"][f"Second{name}"] = json.loads(text)
    template["Resources"]["SecondEndpoint"]["Properties"]["EndpointName"] = "second"
    world.calls.hold()
    create(world, template)
    assert world.calls.waiting.wait(10)
    assert {name: one["status"] for name, one in world.calls.endpoints.items()} == {
        "iris": "Creating", "second": "Creating",
    }  # fmt: skip
    world.calls.let_go.set()
    wait(world, "create")


def test_a_failed_deletion_is_told_and_can_be_tried_again(world: World) -> None:
    create(world)
    wait(world, "create")
    world.calls.refuses["DeleteModel"] = "No."
    client = world.client("cloudformation")
    client.delete_stack(StackName="iris")
    with pytest.raises(WaiterError, match="DELETE_FAILED"):
        wait(world, "delete")
    (stack,) = client.describe_stacks(StackName="iris")["Stacks"]
    assert stack["StackStatusReason"] == "The following resource(s) failed to delete: [Model]."
    client.delete_stack(StackName="iris", RetainResources=["Model"])
    wait(world, "delete")


def test_iam_needs_a_capability(world: World) -> None:
    client = world.client("cloudformation")
    text = json.dumps(GOLDEN)
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]") as one:
        client.create_stack(StackName="iris", TemplateBody=text)
    assert one.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"
    named = changed(lambda r: r["ExecutionRole605A040B"]["Properties"].update(RoleName="iris"))
    with pytest.raises(ClientError, match=r"\[CAPABILITY_NAMED_IAM\]"):
        create(world, named)
    with pytest.raises(ClientError, match=r"\[CAPABILITY_IAM\]"):
        client.create_change_set(
            StackName="iris", ChangeSetName="x", ChangeSetType="CREATE", TemplateBody=text
        )
    assert client.describe_stacks()["Stacks"] == []


NEW_IMAGE = {
    "PrimaryContainer": {"Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/iris:2"}
}


def changed(change: Any) -> dict[str, Any]:
    template = copy.deepcopy(GOLDEN)
    change(template["Resources"])
    return template


def config(resources: dict[str, Any]) -> Any:
    return resources["EndpointConfig"]["Properties"]["ProductionVariants"][0]


def update(world: World, template: Any, name: str = "iris", **more: Any) -> None:
    world.client("cloudformation").update_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=IAM, **more
    )

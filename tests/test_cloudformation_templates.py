"""What CloudFormation makes of templates and change sets, as boto3 and the CDK see it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.clients import ACCOUNT
from tests.stack_world import REGION, World, stack_world

ROLE = f"arn:aws:iam::{ACCOUNT}:role/iris"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/iris:1"
MODEL: dict[str, Any] = {
    "Type": "AWS::SageMaker::Model",
    "Properties": {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
}


def configuration(model: Any = None, **serverless: Any) -> dict[str, Any]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model or {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialVariantWeight": 1,
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **serverless},
    }
    return {
        "Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]},
    }  # fmt: skip


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


def deployed(world: World, template: Any, name: str = "s", **more: Any) -> dict[str, Any]:
    """The stack when it has settled."""
    client = world.client("cloudformation")
    text = template if isinstance(template, str) else json.dumps(template)
    client.create_stack(StackName=name, TemplateBody=text, **more)
    return settled(world, name)


def settled(world: World, name: str = "s") -> dict[str, Any]:
    client = world.client("cloudformation")
    try:
        client.get_waiter("stack_create_complete").wait(
            StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 2}
        )
    except WaiterError as error:
        assert "FAILED" in str(error) or "ROLLBACK" in str(error) or "terminal" in str(error)
    stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
    return stack


def reasons(world: World, logical: str, name: str = "s") -> list[str]:
    told = world.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return [
        event["ResourceStatusReason"]
        for event in told
        if event["LogicalResourceId"] == logical and "ResourceStatusReason" in event
    ]


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def test_yaml_with_short_tags_conditions_and_texts_for_numbers(world: World) -> None:
    stack = deployed(
        world,
        f"""
Parameters:
  Memory: {{Type: Number, Default: 3072}}
  Many: {{Type: String, Default: "7"}}
  Tagged: {{Type: String, Default: "no"}}
Conditions:
  IsTagged: !Equals [!Ref Tagged, "yes"]
  IsNot: !Not [!Condition IsTagged]
Resources:
  Model:
    Type: AWS::SageMaker::Model
    Properties:
      ModelName: !Join ["-", [iris, !Select [1, [a, b]]]]
      ExecutionRoleArn: {ROLE}
      EnableNetworkIsolation: "false"
      PrimaryContainer:
        Image: !Sub "${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/iris:1"
        Environment: {{LIMIT: 3, FAST: true}}
      Tags: !If [IsTagged, [{{Key: a, Value: b}}], !Ref AWS::NoValue]
      VpcConfig: !If [IsNot, !Ref "AWS::NoValue", {{}}]
  Config:
    Type: AWS::SageMaker::EndpointConfig
    Properties:
      ProductionVariants:
        - VariantName: AllTraffic
          ModelName: {{"Fn::GetAtt": Model.ModelName}}
          InitialVariantWeight: "1.0"
          ServerlessConfig: {{MemorySizeInMB: !Ref Memory, MaxConcurrency: !Ref Many}}
        - !If [IsTagged, {{VariantName: other}}, !Ref "AWS::NoValue"]
  Never:
    Type: AWS::SageMaker::Model
    Condition: IsTagged
    Properties: {{}}
Outputs:
  Name: {{Value: !GetAtt Model.ModelName, Description: the model}}
  Arn: {{Value: !Ref Model}}
  Hidden: {{Value: !Ref Never, Condition: IsTagged}}
""",
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE", reasons(world, "Config")
    assert world.calls.body("CreateModel") == {
        "ModelName": "iris-b",
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": False,
        "PrimaryContainer": {"Image": IMAGE, "Environment": {"LIMIT": "3", "FAST": "true"}},
    }
    assert world.calls.body("CreateEndpointConfig")["ProductionVariants"] == [
        {
            "VariantName": "AllTraffic",
            "ModelName": "iris-b",
            "InitialVariantWeight": 1.0,
            "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 7},
        }
    ]
    assert outputs(stack) == {
        "Name": "iris-b", "Arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/iris-b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{", "Template format error"),
        ({"Parameters": {}}, "At least one Resources member must be defined"),
        (
            {"Resources": {"Model": {**MODEL, "DependsOn": "Nobody"}}},
            r"Unresolved resource dependencies \[Nobody\] in the Resources block",
        ),
        (
            {"Resources": {"A": {**MODEL, "DependsOn": "B"}, "B": {**MODEL, "DependsOn": "A"}}},
            r"Circular dependency between resources: \[A, B\]",
        ),
        (
            {"Resources": {"Model": MODEL}, "Parameters": {"P": {"Type": "String"}}},
            r"Parameters: \[P\] must have values",
        ),
        (
            {
                "Resources": {"Model": MODEL},
                "Parameters": {
                    "P": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/nowhere"}
                },
            },
            r"Unable to fetch parameters \[/nowhere\] from parameter store for this account",
        ),
        (
            {
                "Resources": {"Model": MODEL},
                "Outputs": {"O": {"Value": {"Fn::GetAtt": ["Model", "Size"]}}},
            },
            "does not support attribute type Size in Fn::GetAtt",
        ),
    ],
)
def test_a_template_that_cannot_be_is_refused_before_anything_is_made(
    world: World, template: Any, text: str
) -> None:
    client = world.client("cloudformation")
    body = template if isinstance(template, str) else json.dumps(template)
    with pytest.raises(ClientError, match=text) as refused:
        client.create_stack(StackName="s", TemplateBody=body)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert client.describe_stacks()["Stacks"] == []


def test_an_unknown_parameter_is_refused(world: World) -> None:
    with pytest.raises(ClientError, match=r"Parameters: \[Q\] do not exist in the template"):
        deployed(
            world,
            {"Resources": {"Model": MODEL}},
            Parameters=[{"ParameterKey": "Q", "ParameterValue": "1"}],
        )


def test_an_unknown_property_fails_its_resource(world: World) -> None:
    wrong = {"Type": MODEL["Type"], "Properties": {**MODEL["Properties"], "Sise": 1}}
    deep = configuration()
    deep["Properties"]["ProductionVariants"][0]["ServerlessConfig"]["Memory"] = 1
    stack = deployed(world, {"Resources": {"Model": wrong}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reasons(world, "Model")[0].startswith("Encountered unsupported property Sise")
    stack = deployed(world, {"Resources": {"Model": MODEL, "Config": deep}}, name="t")
    assert reasons(world, "Config", "t")[0].startswith("Encountered unsupported property Memory")


def test_a_model_that_is_named_without_waiting_for_it_is_not_found(world: World) -> None:
    template = {"Resources": {"Config": configuration("iris"), "Model": MODEL}}
    stack = deployed(world, template)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reasons(world, "Config")[0].startswith(
        f'Could not find model "arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/iris".'
    )


def test_what_a_synthesized_template_of_the_cdk_has_besides_does_no_harm(world: World) -> None:
    stack = deployed(
        world,
        {
            "Resources": {
                "Model": MODEL,
                "CDKMetadata": {
                    "Type": "AWS::CDK::Metadata",
                    "Properties": {"Analytics": "v2:deflate64:H4s"},
                    "Condition": "CDKMetadataAvailable",
                },
            },
            "Conditions": {
                "CDKMetadataAvailable": {"Fn::Equals": [{"Ref": "AWS::Region"}, REGION]}
            },
            "Parameters": {
                "BootstrapVersion": {
                    "Type": "AWS::SSM::Parameter::Value<String>",
                    "Default": "/cdk-bootstrap/hnb659fds/version",
                }
            },
            "Rules": {
                "CheckBootstrapVersion": {
                    "Assertions": [
                        {
                            "Assert": {
                                "Fn::Not": [{"Fn::Contains": [["1"], {"Ref": "BootstrapVersion"}]}]
                            }
                        }
                    ]
                }
            },
        },
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    (parameter,) = stack["Parameters"]
    assert parameter["ParameterValue"] == "/cdk-bootstrap/hnb659fds/version"
    assert int(parameter["ResolvedValue"]) >= 6
    assert reasons(world, "CDKMetadata") == ["Resource creation Initiated"]
    with pytest.raises(ClientError):  # for the CDK's own command it is not bootstrapped
        world.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")


def test_what_moto_does_not_have_is_named_and_does_not_stop_the_stack(world: World) -> None:
    template = {
        "Resources": {
            "Model": MODEL,
            "Odd": {"Type": "AWS::Odd::Thing", "Properties": {"Of": {"Ref": "Model"}}},
            "Hook": {"Type": "Custom::Hook", "Properties": {"ServiceToken": "arn:aws:lambda:x"}},
        }
    }
    stack = deployed(world, template)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert reasons(world, "Odd")[0] == (
        "byoc made nothing here: it does not emulate AWS::Odd::Thing."
    )
    assert "Custom::Hook" in reasons(world, "Hook")[0]
    template["Resources"]["Needs"] = {
        "Type": "AWS::SageMaker::Model",
        "Properties": {"ModelName": {"Fn::GetAtt": ["Odd", "Name"]}},
    }
    stack = deployed(world, template, name="t")
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "does not emulate the attribute" in reasons(world, "Needs", "t")[0]


def test_a_change_set_makes_a_stack_when_it_is_executed(world: World) -> None:
    client = world.client("cloudformation")
    for stack in ("s", "t"):  # the CDK gives all of them the same name
        client.create_change_set(
            StackName=stack,
            ChangeSetName="cdk-deploy-change-set",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps({"Resources": {f"Model{stack}": MODEL}}),
        )
    which = {"StackName": "s", "ChangeSetName": "cdk-deploy-change-set"}
    shown = client.describe_change_set(**which)
    assert shown["Changes"][0]["ResourceChange"]["LogicalResourceId"] == "Models"
    client.execute_change_set(**which)
    assert settled(world)["StackStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        client.execute_change_set(**which)
    (waiting,) = client.describe_stacks(StackName="t")["Stacks"]
    assert waiting["StackStatus"] == "REVIEW_IN_PROGRESS"
    with pytest.raises(ClientError, match="cannot be created again with the changeSet"):
        client.create_change_set(
            **which | {"ChangeSetName": "x"}, ChangeSetType="CREATE",
            TemplateBody=json.dumps({"Resources": {"Model": MODEL}}),
        )  # fmt: skip


def test_a_change_set_updates_with_previous_values(world: World) -> None:
    client = world.client("cloudformation")
    template = {
        "Parameters": {
            "Many": {"Type": "Number"},
            "Version": {
                "Type": "AWS::SSM::Parameter::Value<String>",
                "Default": "/cdk-bootstrap/hnb659fds/version",
            },
        },
        "Resources": {"Model": MODEL, "Config": configuration(MaxConcurrency={"Ref": "Many"})},
    }
    deployed(world, template, Parameters=[{"ParameterKey": "Many", "ParameterValue": "3"}])
    template["Resources"]["Config"]["Properties"]["Tags"] = [{"Key": "a", "Value": "b"}]
    previous = [{"ParameterKey": name, "UsePreviousValue": True} for name in template["Parameters"]]
    given = {"StackName": "s", "ChangeSetName": "two", "Parameters": previous}
    client.create_change_set(**given, ChangeSetType="UPDATE", TemplateBody=json.dumps(template))
    client.execute_change_set(StackName="s", ChangeSetName="two")
    client.get_waiter("stack_update_complete").wait(StackName="s")
    assert world.calls.operations()[-1] == "AddTags"
    (stack,) = client.describe_stacks(StackName="s")["Stacks"]
    values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert values == {"Many": "3", "Version": "/cdk-bootstrap/hnb659fds/version"}


def test_a_change_set_without_changes_says_so(world: World) -> None:
    client = world.client("cloudformation")
    template = json.dumps({"Resources": {"Model": MODEL}})
    deployed(world, template)
    which = {"StackName": "s", "ChangeSetName": "same"}
    client.create_change_set(**which, ChangeSetType="UPDATE", TemplateBody=template)
    shown = client.describe_change_set(**which)
    assert shown["Status"] == "FAILED"
    assert "didn't contain changes" in shown["StatusReason"]
    client.delete_change_set(**which)
    client.delete_change_set(**which)
    with pytest.raises(ClientError, match="ChangeSet"):
        client.describe_change_set(**which)


def test_a_template_in_our_own_bucket_is_found_however_its_url_is_written(world: World) -> None:
    s3, client = world.client("s3"), world.client("cloudformation")
    s3.create_bucket(Bucket="assets", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="assets", Key="t/x.json", Body=json.dumps({"Resources": {"Model": MODEL}}))
    hosts = (world.url, f"https://s3.{REGION}.127.0.0.1", f"https://s3.{REGION}.amazonaws.com")
    for number, host in enumerate(hosts):
        client.create_stack(StackName=f"s{number}", TemplateURL=f"{host}/assets/t/x.json")
        assert settled(world, f"s{number}")["StackStatus"] == "CREATE_COMPLETE"


def test_stacks_in_stacks_are_waited_for(world: World) -> None:
    s3 = world.client("s3")
    s3.create_bucket(Bucket="inner", CreateBucketConfiguration={"LocationConstraint": REGION})
    inner = {
        "Parameters": {"Image": {"Type": "String"}},
        "Resources": {
            "Model": {
                "Type": MODEL["Type"],
                "Properties": {
                    "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": {"Ref": "Image"}},
                },
            }
        },
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Model", "ModelName"]}}},
    }  # fmt: skip
    s3.put_object(Bucket="inner", Key="x.json", Body=json.dumps(inner))
    outer = {
        "Resources": {
            "Models": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {
                    "TemplateURL": f"{world.url}/inner/x.json",
                    "Parameters": {"Image": IMAGE},
                },
            },
            "Config": configuration({"Fn::GetAtt": ["Models", "Outputs.Name"]}),
        }
    }
    stack = deployed(world, outer)
    assert stack["StackStatus"] == "CREATE_COMPLETE", reasons(world, "Models")
    (variant,) = world.calls.body("CreateEndpointConfig")["ProductionVariants"]
    assert [variant["ModelName"]] == list(world.calls.models)
    world.calls.refuses["CreateModel"] = "No."
    stack = deployed(world, outer, name="t")
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    (told,) = [why for why in reasons(world, "Models", "t") if why.startswith("Embedded")]
    assert "was not successfully created: The following resource(s) failed to create: [Model]" in (
        told
    )


def test_exports_are_imported_and_unique(world: World) -> None:
    first = {
        "Resources": {"Model": MODEL},
        "Outputs": {
            "Name": {
                "Value": {"Fn::GetAtt": ["Model", "ModelName"]}, "Export": {"Name": "model"},
            }
        },
    }  # fmt: skip
    deployed(world, first)
    second = {"Resources": {"Config": configuration({"Fn::ImportValue": "model"})}}
    assert deployed(world, second, name="t")["StackStatus"] == "CREATE_COMPLETE"
    third = deployed(world, first, name="u")
    assert third["StackStatus"] == "ROLLBACK_COMPLETE"
    client = world.client("cloudformation")
    told = client.describe_stack_events(StackName="u")["StackEvents"]
    assert any("already exported by stack s" in e.get("ResourceStatusReason", "") for e in told)
    (export,) = client.list_exports()["Exports"]
    assert export["Value"] in world.calls.models


def test_somebody_who_is_no_waiter_is_never_held(world: World) -> None:
    world.calls.hold()
    template = {
        "Resources": {
            "Model": MODEL,
            "Config": configuration(),
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
                },
            },
        }
    }
    client = world.client("cloudformation")
    client.create_stack(StackName="s", TemplateBody=json.dumps(template))
    assert world.calls.waiting.wait(10)
    (stack,) = client.describe_stacks(StackName="s")["Stacks"]
    assert stack["StackStatus"] == "CREATE_IN_PROGRESS"
    assert "Outputs" not in stack
    resources = client.describe_stack_resources(StackName="s")["StackResources"]
    assert {r["LogicalResourceId"]: r["ResourceStatus"] for r in resources} == {
        "Model": "CREATE_COMPLETE", "Config": "CREATE_COMPLETE", "Endpoint": "CREATE_IN_PROGRESS",
    }  # fmt: skip
    threading.Timer(0.2, world.calls.let_go.set).start()
    # Its own delay would be 30 s.
    client.get_waiter("stack_create_complete").wait(StackName="s")


def test_a_protected_stack_is_not_deleted(world: World) -> None:
    deployed(world, {"Resources": {"Model": MODEL}}, EnableTerminationProtection=True)
    client = world.client("cloudformation")
    with pytest.raises(ClientError, match="cannot be deleted while TerminationProtection"):
        client.delete_stack(StackName="s")
    client.update_termination_protection(StackName="s", EnableTerminationProtection=False)


def test_a_type_is_not_changed(world: World) -> None:
    deployed(world, {"Resources": {"Model": MODEL}})
    with pytest.raises(ClientError, match=r"Update of resource type is not permitted.*\[Model\]"):
        world.client("cloudformation").update_stack(
            StackName="s", TemplateBody=json.dumps({"Resources": {"Model": configuration("x")}})
        )


def test_motos_own_resources_are_updated_and_taken_back(world: World) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "kept"}}
    deployed(world, {"Resources": {"Bucket": bucket}})
    client, s3 = world.client("cloudformation"), world.client("s3")
    bad = {"Type": MODEL["Type"], "Properties": {"Wrong": 1}, "DependsOn": "Queue"}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}
    client.update_stack(
        StackName="s",
        TemplateBody=json.dumps({"Resources": {"Bucket": bucket, "Queue": queue, "Bad": bad}}),
    )
    with pytest.raises(WaiterError):
        client.get_waiter("stack_update_complete").wait(StackName="s")
    assert "QueueUrls" not in world.client("sqs").list_queues()
    assert [one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"] == "kept"]
    client.delete_stack(StackName="s")
    client.get_waiter("stack_delete_complete").wait(StackName="s")
    assert "kept" not in [one["Name"] for one in s3.list_buckets()["Buckets"]]


def test_a_template_can_be_looked_at_without_being_deployed(world: World) -> None:
    client = world.client("cloudformation")
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}
    template = {
        "Description": "all",
        "Parameters": {"P": {"Type": "Number", "Default": 3}},
        "Resources": {"Role": role},
    }
    found = client.validate_template(TemplateBody=json.dumps(template))
    assert found["Parameters"] == [{"ParameterKey": "P", "NoEcho": False, "DefaultValue": "3"}]
    assert found["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    template["Resources"]["Role"]["DependsOn"] = "Nobody"  # type: ignore[index]
    with pytest.raises(ClientError, match="Unresolved resource dependencies"):
        client.validate_template(TemplateBody=json.dumps(template))


def test_names_that_aws_does_not_take_are_refused(world: World) -> None:
    with pytest.raises(ClientError, match="Value 'my_stack' at 'stackName' failed to satisfy"):
        deployed(world, {"Resources": {"Model": MODEL}}, name="my_stack")


def test_a_stacks_own_tags_are_those_of_its_resources_too(world: World) -> None:
    model = {"Type": MODEL["Type"], "Properties": {**MODEL["Properties"]}}
    model["Properties"]["Tags"] = [{"Key": "a", "Value": "own"}]
    given = [{"Key": "a", "Value": "stack"}, {"Key": "b", "Value": "stack"}]
    deployed(world, {"Resources": {"Model": model}}, Tags=given)
    assert world.calls.body("CreateModel")["Tags"] == [
        {"Key": "a", "Value": "own"},
        {"Key": "b", "Value": "stack"},
    ]


def test_the_cdk_looks_for_reasons_in_a_trail_that_is_empty(world: World) -> None:
    assert world.client("cloudtrail").lookup_events()["Events"] == []

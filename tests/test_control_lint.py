"""Owns: the claims of the linter: what it says of a template, what it leaves to the deployment."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.control.lint import lint
from emulator.control.problem import Problem, keys_of, report
from emulator.control.template import Place
from emulator.control.template_text import Template, parse, read
from emulator.errors import Usage
from emulator.runtime_errors import OWN_WORDS

Json = dict[str, Any]
IMAGE = {
    "Fn::Join": [
        "",
        [
            {"Ref": "AWS::AccountId"},
            ".dkr.ecr.",
            {"Ref": "AWS::Region"},
            ".",
            {"Ref": "AWS::URLSuffix"},
            "/echo:",
            {"Ref": "Tag"},
        ],
    ]
}
PRINCIPAL = {"Service": "sagemaker.amazonaws.com"}


def role(**statement: Any) -> Json:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": PRINCIPAL, **statement}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [allow]},
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"],
        },
    }


def stack() -> Json:
    """What CDK v2 synthesizes of a role, a model, a configuration and an endpoint."""
    return {
        "Parameters": {
            "BootstrapVersion": {
                "Type": "AWS::SSM::Parameter::Value<String>",
                "Default": "/cdk-bootstrap/hnb659fds/version",
            },
            "Tag": {"Type": "String", "Default": "1"},
        },
        "Resources": {
            "Role": role(),
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "ModelName": "echo-model",
                    "PrimaryContainer": {"Image": IMAGE, "Environment": {"WORKERS": 1}},
                },
                "DependsOn": ["Role"],
            },
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "EndpointConfigName": "echo-config",
                    "ProductionVariants": [
                        {
                            "VariantName": "AllTraffic",
                            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                            "InitialVariantWeight": "1.0",
                            "ServerlessConfig": {"MemorySizeInMB": "2048", "MaxConcurrency": 5},
                        }
                    ],
                },
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": "echo",
                    "EndpointConfigName": {"Fn::GetAtt": "Config.EndpointConfigName"},
                    "RetainAllVariantProperties": "true",
                },
            },
        },
    }


def changed(where: str, value: Any, template: Json | None = None) -> Json:
    """The template with one part replaced; None takes it out."""
    body = copy.deepcopy(template or stack())
    inner: Any = body["Resources"]
    *keys, last = [int(key) if key.isdecimal() else key for key in where.split("/")]
    for key in keys:
        inner = inner[key] if isinstance(inner, list) else inner.setdefault(key, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return body


def problems(body: Json, place: Place | None = None, **parameters: Any) -> list[Problem]:
    return lint(parse(json.dumps(body)), parameters, place=place)


MODEL = "Model/Properties"
VARIANT = "Config/Properties/ProductionVariants/0"
SERVERLESS = f"{VARIANT}/ServerlessConfig"
NO_VALUE = {"Ref": "AWS::NoValue"}


def test_a_right_template_has_no_problem() -> None:
    assert problems(stack()) == []
    assert problems(stack(), Place(region="eu-west-1", account="111122223333")) == []


WRONG: list[tuple[str, Any, str, str, str]] = [
    (f"{SERVERLESS}/MemorySizeInMB", "1500", "serverless-memory", "must be one of 1024",
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.MemorySizeInMB"),
    (f"{SERVERLESS}/MemorySizeInMB", 7168, "service-model",
     ("Value '7168' at 'productionVariants.1.member.serverlessConfig.memorySizeInMB' failed to"
     " satisfy constraint: Member must have value less than or equal to 6144"),
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.MemorySizeInMB"),
    (f"{SERVERLESS}/MemorySizeInMB", "two", "type", "must be a whole number of 32 bits, not 'two'.",
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.MemorySizeInMB"),
    (f"{SERVERLESS}/MaxConcurrency", None, "service-model", "Member must not be null",
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.MaxConcurrency"),
    (f"{SERVERLESS}/ProvisionedConcurrency", 6, "serverless-provisioned", "(6) must be less than",
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.ProvisionedConcurrency"),
    (f"{SERVERLESS}/MemorySize", 1024, "unsupported-property",
     "Encountered unsupported property MemorySize.",
     "Resources.Config.Properties.ProductionVariants[0].ServerlessConfig.MemorySize"),
    (f"{VARIANT}/InstanceType", {"Ref": "Kind"}, "dangling-reference",
     ("Template format error: Unresolved resource dependencies [Kind] in the Resources block of the"
     " template"), "Resources.Config"),
    (f"{VARIANT}/InstanceType", {"Fn::ImportValue": "kind"}, "serverless-or-instances",
     "InstanceType cannot be specified with ServerlessConfig.",
     "Resources.Config.Properties.ProductionVariants[0].InstanceType"),
    (f"{VARIANT}/VariantName", "all_traffic", "service-model", "regular expression pattern",
     "Resources.Config.Properties.ProductionVariants[0].VariantName"),
    (f"{VARIANT}/ModelName", {"Ref": "Model"}, "service-model",
     "Value 'arn:aws:sagemaker:us-east-1:123456789012:model/echo-model' at",
     "Resources.Config.Properties.ProductionVariants[0].ModelName"),
    (f"{VARIANT}/ModelName", "echo-model", "depends-on",
     'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/echo-model".',
     "Resources.Config.Properties.ProductionVariants[0].ModelName"),
    ("Endpoint/Properties/EndpointConfigName", "echo-config", "depends-on",
     ("Could not find endpoint configuration"
     ' "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/echo-config".'),
     "Resources.Endpoint.Properties.EndpointConfigName"),
    ("Endpoint/Properties/RetainAllVariantProperties", "perhaps", "type", "must be true or false",
     "Resources.Endpoint.Properties.RetainAllVariantProperties"),
    ("Endpoint/Properties/Wait", True, "unsupported-property", "property Wait.",
     "Resources.Endpoint.Properties.Wait"),
    (f"{MODEL}/PrimaryContainer/Image",
     {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazon.com/echo:latest"}, "image-in-ecr",
     ('Using non-ECR image "123456789012.dkr.ecr.us-east-1.amazon.com/echo:latest" without Vpc'
     " repository access mode is not supported."),
     "Resources.Model.Properties.PrimaryContainer.Image"),
    (f"{MODEL}/ExecutionRoleArn", {"Ref": "Role"}, "service-model", "Value 'Role' at",
     "Resources.Model.Properties.ExecutionRoleArn"),
    (f"{MODEL}/ModelName", "echo_model", "service-model", "Value 'echo_model' at 'modelName'",
     "Resources.Model.Properties.ModelName"),
    (f"{MODEL}/VpcConfig", {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
     "serverless-model-vpc", "model echo-model has",
     "Resources.Config.Properties.ProductionVariants[0].ModelName"),
    (f"{MODEL}/EnableNetworkIsolation", "true", "serverless-model-isolation", "network isolation",
     "Resources.Config.Properties.ProductionVariants[0].ModelName"),
    (f"{MODEL}/PrimaryContainer/Environment", {"1BAD": "x"}, "service-model", "Map keys must",
     "Resources.Model.Properties.PrimaryContainer.Environment"),
    ("Role", role(Principal={"Service": "lambda.amazonaws.com"}), "role-assumable",
     "Could not assume role arn:aws:iam::123456789012:role/Role.",
     "Resources.Model.Properties.ExecutionRoleArn"),
    ("Model/DependsOn", "Rolle", "dangling-reference", "[Rolle]", "Resources.Model"),
    ("Config/Properties", [], "type", "The body must be an object", "Resources.Config.Properties"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "rule", "text", "path"), WRONG)
def test_a_wrong_template_has_one_problem_with_aws_s_text(
    where: str, value: Any, rule: str, text: str, path: str
) -> None:
    found = problems(changed(where, value))
    ours = [problem for problem in found if problem.rule == rule]
    assert {problem.path for problem in ours} == {path}, found
    assert text in ours[0].text
    assert ours[0].change
    assert ours[0].line == 1
    assert {problem.rule for problem in found} <= {rule, "serverless-or-instances"}


LEFT_TO_THE_DEPLOYMENT: list[tuple[str, Any]] = [
    (f"{SERVERLESS}/MemorySizeInMB", {"Fn::ImportValue": "memory"}),
    (f"{SERVERLESS}/MemorySizeInMB", {"Ref": "BootstrapVersion"}),
    (f"{SERVERLESS}/ProvisionedConcurrency", {"Fn::ImportValue": "x"}),
    (SERVERLESS, {"Fn::ImportValue": "x"}),
    (f"{VARIANT}/InstanceType", NO_VALUE),
    (f"{VARIANT}/InstanceType", {"Fn::If": ["Unheard", "ml.m5.large", NO_VALUE]}),
    (f"{VARIANT}/ModelName", "a-model-of-the-account"),
    (f"{VARIANT}/ModelName", {"Fn::ImportValue": "model"}),
    (f"{MODEL}/PrimaryContainer/Image", {"Fn::ImportValue": "image"}),
    (f"{MODEL}/PrimaryContainer/Image", "123456789012.dkr.ecr.eu-north-1.amazonaws.com/echo:1"),
    (f"{MODEL}/PrimaryContainer", {"Fn::ImportValue": "x"}),
    (f"{MODEL}/EnableNetworkIsolation", {"Fn::ImportValue": "x"}),
    (f"{MODEL}/VpcConfig", {"Fn::If": ["Unheard", {"Subnets": ["s"]}, NO_VALUE]}),
    (f"{MODEL}/ExecutionRoleArn", "arn:aws:iam::999999999999:role/Echo"),
    (f"{MODEL}/ModelName", None),
    (f"{MODEL}/ModelName", {"Fn::GetAtt": ["Model", "ModelName"]}),
    (f"{MODEL}/Tags", [{"Key": "k", "Value": {"Fn::ImportValue": "x"}}]),
    (f"{MODEL}/Tags", {"Fn::If": ["Unheard", [{"Key": "", "Value": ""}], NO_VALUE]}),
    ("Endpoint/Properties/EndpointName", {"Fn::Sub": "${AWS::StackId}-echo"}),
    ("Endpoint/Properties/EndpointName", None),
    ("Config/Properties/DataCaptureConfig", NO_VALUE),
    ("Role", role(Principal={"Service": {"Fn::ImportValue": "x"}})),
    ("Role", role(Action=["sts:*"])),
    ("Role", role(Principal={"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]})),
    ("Unrelated", {"Type": "AWS::S3::Bucket", "Properties": {"Name": {"Ref": "AWS::StackName"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value"), LEFT_TO_THE_DEPLOYMENT)
def test_what_only_the_deployment_knows_is_no_problem(where: str, value: Any) -> None:
    assert problems(changed(where, value)) == []


def places(value: Any, before: str) -> list[str]:
    """Every place in a resource's properties."""
    found: list[str] = []
    if isinstance(value, dict) and not any(name.startswith(("Fn::", "Ref")) for name in value):
        for name, item in value.items():
            found += [f"{before}/{name}", *places(item, f"{before}/{name}")]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += [f"{before}/{number}", *places(item, f"{before}/{number}")]
    return found


EVERYWHERE = [
    place
    for logical, body in stack()["Resources"].items()
    for place in places(body["Properties"], f"{logical}/Properties")
]


@pytest.mark.parametrize("where", EVERYWHERE)
@pytest.mark.parametrize(
    "value",
    [{"Fn::ImportValue": "x"}, {"Ref": "BootstrapVersion"}, {"Fn::If": ["Unheard", "x", "y"]},
     {"Fn::If": ["Unheard", "x", NO_VALUE]}, {"Fn::GetAtt": ["Role", "RoleId"]}],
    ids=["import", "parameter", "if", "maybe", "attribute"],
)  # fmt: skip
def test_a_value_that_is_not_known_is_no_problem_wherever_it_stands(where: str, value: Any) -> None:
    assert problems(changed(where, value)) == []


def test_every_place_was_tried() -> None:
    assert len(EVERYWHERE) > 20


# -- parameters, conditions, places ---------------------------------------------------------------


def test_a_parameter_s_value_is_judged_and_without_one_its_default() -> None:
    body = changed(f"{SERVERLESS}/MemorySizeInMB", {"Ref": "Memory"})
    body["Parameters"]["Memory"] = {"Type": "Number"}
    assert problems(body) == []
    assert [p.rule for p in problems(body, Memory="1500")] == ["serverless-memory"]
    body["Parameters"]["Memory"]["Default"] = 1500
    assert [p.rule for p in problems(body)] == ["serverless-memory"]
    assert problems(body, Memory=1024) == []


def test_a_list_parameter_is_a_list() -> None:
    vpc = {"SecurityGroupIds": {"Ref": "Groups"}, "Subnets": ["subnet-1"]}
    body = changed("Config/Properties/VpcConfig", vpc)
    body["Parameters"]["Groups"] = {"Type": "CommaDelimitedList", "Default": "sg-1, sg_2"}
    (problem,) = problems(body)
    assert "Value '[sg-1, sg_2]' at 'vpcConfig.securityGroupIds' failed" in problem.text


CONDITIONS = {
    "Yes": {"Fn::Equals": [{"Ref": "Tag"}, "1"]},
    "No": {"Fn::Not": [{"Condition": "Yes"}]},
    "Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
    "Either": {"Fn::Or": [{"Condition": "Loop"}, {"Condition": "Yes"}]},
    "Loop": {"Fn::Not": [{"Condition": "Loop"}]},
    "Later": {"Fn::Equals": [{"Ref": "BootstrapVersion"}, "x"]},
}


@pytest.mark.parametrize(
    ("condition", "rules"),
    [("Yes", ["serverless-memory"]), ("No", []), ("Both", []), ("Either", ["serverless-memory"]),
     ("Loop", []), ("Later", [])],
)  # fmt: skip
def test_a_condition_chooses_the_value(condition: str, rules: list[str]) -> None:
    body = changed(f"{SERVERLESS}/MemorySizeInMB", {"Fn::If": [condition, 1500, 1024]})
    body["Conditions"] = CONDITIONS
    assert [p.rule for p in problems(body)] == rules


def test_a_resource_that_is_not_made_is_not_judged() -> None:
    body = changed(f"{SERVERLESS}/MemorySizeInMB", 1500)
    body["Conditions"] = CONDITIONS
    body["Resources"]["Config"]["Condition"] = "No"
    assert problems(body) == []
    body["Resources"]["Config"]["Condition"] = "Later"
    assert [p.rule for p in problems(body)] == ["serverless-memory"]


def test_regions_and_accounts_are_compared_only_where_they_are_told() -> None:
    body = changed(f"{MODEL}/PrimaryContainer/Image",
                   "111122223333.dkr.ecr.eu-west-1.amazonaws.com/echo:1")  # fmt: skip
    assert problems(body) == []
    assert problems(body, Place(region="eu-west-1")) == []
    (problem,) = problems(body, Place(region="us-west-2"))
    assert problem.rule == "image-region"
    assert "does not match expected region of us-west-2." in problem.text
    body = changed(f"{MODEL}/ExecutionRoleArn", "arn:aws:iam::111122223333:role/Echo")
    (problem,) = problems(body, Place(account="999999999999"))
    assert problem.text == "RoleArn: Cross-account pass role is not allowed."


@pytest.mark.parametrize(
    "image",
    [
        {"Fn::Sub": ["${Host}.amazon.com/echo:${Tag}", {"Host": "1.dkr.ecr.us-east-1"}]},
        {"Fn::Join": ["/", ["1.dkr.ecr.us-east-1.amazon.com",
                            {"Fn::Select": ["1", ["x", {"Fn::Sub": "echo:${Tag}"}]]}]]},
        {"Fn::FindInMap": ["Images", {"Ref": "AWS::Region"}, "echo"]},
        {"Fn::Join": ["", {"Fn::Split": ["|", "1.dkr.ecr.us-east-1.amazon.com|/echo:1"]}]},
    ],
)  # fmt: skip
def test_functions_are_done_before_the_value_is_judged(image: Any) -> None:
    body = changed(f"{MODEL}/PrimaryContainer/Image", image)
    body["Mappings"] = {"Images": {"us-east-1": {"echo": "1.dkr.ecr.us-east-1.amazon.com/echo:1"}}}
    (problem,) = problems(body)
    assert '"1.dkr.ecr.us-east-1.amazon.com/echo:1"' in problem.text


def test_two_resources_with_one_name_are_a_problem_of_both() -> None:
    body = stack()
    body["Resources"]["Other"] = copy.deepcopy(body["Resources"]["Model"])
    found = problems(body)
    assert {p.rule for p in found} == {"model-is-new"}
    assert {p.path for p in found} == {
        "Resources.Model.Properties.ModelName", "Resources.Other.Properties.ModelName"}  # fmt: skip


@pytest.mark.parametrize("after", [["Model"], "Model", ["Between"]])
def test_waiting_by_name_is_enough_also_through_another_resource(after: Any) -> None:
    body = changed(f"{VARIANT}/ModelName", "echo-model")
    body["Resources"]["Between"] = {"Type": "AWS::S3::Bucket", "DependsOn": "Model"}
    body["Resources"]["Config"]["DependsOn"] = after
    assert problems(body) == []


def test_the_problem_of_order_says_what_to_write() -> None:
    (problem,) = problems(changed(f"{VARIANT}/ModelName", "echo-model"))
    assert '{"Fn::GetAtt": ["Model", "ModelName"]}' in problem.change
    assert '"DependsOn": ["Model"] to Config' in problem.change


def test_a_transform_may_declare_what_is_not_seen() -> None:
    body = changed("Model/DependsOn", "Made")
    assert [p.rule for p in problems(body)] == ["dangling-reference"]
    body["Transform"] = "AWS::LanguageExtensions"
    assert problems(body) == []


@pytest.mark.parametrize("body", [{}, {"Resources": {}}, {"Resources": []}])
def test_a_template_without_resources_is_a_problem(body: Json) -> None:
    (problem,) = problems(body)
    assert problem.text == ("Template format error: At least one Resources member must be defined.")


# -- texts ----------------------------------------------------------------------------------------

YAML = """\
Parameters:
  Memory: {Type: Number, Default: 1500}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: sagemaker.amazonaws.com}
            Action: sts:AssumeRole
  Model:
    Type: AWS::SageMaker::Model
    Properties:
      ExecutionRoleArn: !GetAtt Role.Arn
      PrimaryContainer:
        Image: !Sub
          - "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${Host}/echo:1"
          - Host: amazon.com
  Config:
    Type: AWS::SageMaker::EndpointConfig
    Properties:
      ProductionVariants:
        - VariantName: AllTraffic
          ModelName: !GetAtt [Model, ModelName]
          ServerlessConfig:
            MaxConcurrency: 5
            MemorySizeInMB: !Ref Memory
"""


def test_yaml_with_short_tags_is_read_and_each_problem_names_its_line() -> None:
    found = lint(parse(YAML))
    assert [(problem.rule, problem.line) for problem in found] == [
        ("image-in-ecr", 18), ("serverless-memory", 29)]  # fmt: skip


def test_the_line_of_a_json_template_is_named_too() -> None:
    text = json.dumps(changed(f"{SERVERLESS}/MemorySizeInMB", 1500), indent=1)
    (problem,) = lint(parse(text))
    assert problem.line is not None
    assert text.splitlines()[problem.line - 1].strip().startswith('"MemorySizeInMB": 1500')


def test_the_line_of_what_is_missing_is_that_of_what_it_is_missing_in() -> None:
    text = json.dumps(changed(f"{SERVERLESS}/MaxConcurrency", None), indent=1)
    (problem,) = lint(parse(text))
    assert problem.line is not None
    assert text.splitlines()[problem.line - 1].strip() == '"ServerlessConfig": {'


@pytest.mark.parametrize("text", ["", "[]", "x", "{", "a: [", "- 1", "!Ref x: {", '"a'])
def test_what_is_no_template_is_a_usage_error_that_says_so(text: str) -> None:
    with pytest.raises(Usage, match="template"):
        parse(text)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="cannot be read"):
        read(tmp_path / "none.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(Usage, match="cannot be read"):
        read(tmp_path / "binary")
    (tmp_path / "right.json").write_text("\ufeff" + json.dumps(stack()))
    assert lint(read(tmp_path / "right.json")) == []


def test_the_report_is_for_a_terminal() -> None:
    found = problems(changed(f"{SERVERLESS}/MemorySizeInMB", 1500))
    assert report(found, "t.json") == (
        "t.json:1: Resources.Config.Properties.ProductionVariants[0].ServerlessConfig"
        ".MemorySizeInMB (serverless-memory)\n"
        "    ValidationException: ProductionVariants.1.ServerlessConfig.MemorySizeInMB must be one"
        f" of 1024, 2048, 3072, 4096, 5120, 6144, not 1500. {OWN_WORDS}\n"
        "    MemorySizeInMB is one of 1024, 2048, 3072, 4096, 5120, 6144.\n"
        "t.json: 1 problem found"
    )
    assert report([], "t.json") == "t.json: no problem found"
    assert report(found * 2, "t.json").endswith("t.json: 2 problems found")


@pytest.mark.parametrize(
    ("path", "keys"),
    [("", ()), ("containers.2.member.image", ("Containers", 1, "image")),
     ("Containers.9.Image", ("Containers", 8, "Image")), ("a.b.c", ("A", "B", "C"))],
)  # fmt: skip
def test_the_place_of_a_finding_is_found_by_the_names_that_are_there(
    path: str, keys: tuple[Any, ...]
) -> None:
    assert keys_of(path, {"Containers": [{}, {"image": "x"}]}) == keys


# -- no template makes it fail --------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers(-5, 5000) | st.sampled_from(
    ["", "Model", "Config", "Tag", "AWS::Region", "AWS::NoValue", "Model.ModelName", "${Model}",
     "1500", "true", "Yes", "${", "a|b"])  # fmt: skip
FUNCTIONS = st.sampled_from(
    ["Ref", "Fn::If", "Fn::Join", "Fn::Sub", "Fn::GetAtt", "Fn::Select", "Fn::Split",
     "Fn::FindInMap", "Fn::Nothing", "Condition", "VariantName", "Image"])  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FUNCTIONS, inner, max_size=2),
    max_leaves=8,
)
PLACES = sorted(
    {where for where, *_ in WRONG}
    | {"Role", "Model", "Config", MODEL, VARIANT, "Model/Condition", "Config/Type",
       "Role/Properties",
       "Role/Properties/AssumeRolePolicyDocument", "Config/Properties/ProductionVariants"}
)  # fmt: skip


@pytest.mark.ahead
@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_no_template_makes_the_linter_fail(changes: list[tuple[str, Any]]) -> None:
    body = stack()
    body["Conditions"] = CONDITIONS
    for where, value in changes:
        try:
            body = changed(where, value, body)
        except (KeyError, TypeError, IndexError, AttributeError):
            continue  # an earlier change took the place away
    for problem in lint(Template(body=body)):
        assert problem.path
        assert problem.text


@pytest.mark.ahead
@settings(deadline=None, max_examples=100)
@given(VALUES)
def test_no_section_makes_the_linter_fail(value: Any) -> None:
    for section in ("Parameters", "Mappings", "Conditions", "Resources", "Transform"):
        assert isinstance(lint(Template(body={**stack(), section: value})), list)
    for section in ("Parameters", "Mappings", "Conditions"):
        body = {**stack(), section: {"Tag": value, "Yes": value, 1: value}}
        assert isinstance(lint(Template(body=body)), list)

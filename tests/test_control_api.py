"""Owns: the claims of SageMaker's control plane as clients meet it: boto3 and plain HTTP before the
front, a fake engine behind it.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import waiter
from botocore.exceptions import ClientError, WaiterError

from emulator.api import wsgi
from emulator.api.runtime import ACCOUNT, REGION
from emulator.runtime_errors import OWN_WORDS
from tests.control_world import (
    HOST,
    IMAGE,
    ROLE,
    Body,
    World,
    configuration,
    control_world,
    endpoint,
    model,
    variant,
)
from tests.deployed_world import archive, image

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
NUMBERS = itertools.count()
REGIONS = iter(["eu-north-1", "eu-west-3", "sa-east-1"])
MISSING = "Could not find"
WAITS = "Boto3/1.43 m/B,Z"
"""A User-Agent of botocore's waiters."""


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with control_world(
        slow=image("slow", listens_after=0.3),
        never=image("never", listens_after=99999.0),
        refuses=image("refuses", refuses="exec format error"),
        lingers=image("lingers", stop_seconds=0.5),
    ) as world:
        world.done("CreateModel", model())
        world.done("CreateEndpointConfig", configuration())
        yield world


@pytest.fixture
def name() -> str:
    """That nobody else has."""
    return f"n{next(NUMBERS)}"


@pytest.fixture
def region() -> str:
    """That nobody else is in."""
    return next(REGIONS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter of botocore that sleeps fails."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"it would sleep {seconds} s")

    monkeypatch.setattr(waiter.time, "sleep", sleep)


def stands(here: World, name: str, tag: str = "good:1", **members: Any) -> None:
    """Model, configuration and endpoint of this name; the endpoint has settled."""
    begin(here, name, tag, **members)
    here.settled(name)


def begin(here: World, name: str, tag: str = "good:1", **members: Any) -> None:
    here.done("CreateModel", model(name, tag))
    here.done("CreateEndpointConfig", configuration(variant(model=name, **members), name=name))
    here.done("CreateEndpoint", endpoint(name, name))


# the whole way


@pytest.mark.usefixtures("impatient")
def test_a_script_goes_from_a_model_to_an_answer_and_back(here: World) -> None:
    client, runtime = here.client(), here.client("sagemaker-runtime")
    made = client.create_model(**model("way"))
    assert made["ModelArn"] == f"{ARN}:model/way"
    made = client.create_endpoint_config(**configuration(variant(model="way"), name="way-1"))
    assert made["EndpointConfigArn"] == f"{ARN}:endpoint-config/way-1"
    made = client.create_endpoint(EndpointName="Way", EndpointConfigName="way-1")
    assert made["EndpointArn"] == f"{ARN}:endpoint/way"
    client.get_waiter("endpoint_in_service").wait(EndpointName="Way")
    reply = runtime.invoke_endpoint(EndpointName="Way", Body=b"\x00\xff")
    assert reply["Body"].read() == b"good"
    assert reply["InvokedProductionVariant"] == "AllTraffic"

    client.create_model(**model("way-2", "better:1"))
    client.create_endpoint_config(**configuration(variant(model="way-2"), name="way-2"))
    client.update_endpoint(EndpointName="Way", EndpointConfigName="way-2")
    client.get_waiter("endpoint_in_service").wait(EndpointName="Way")
    assert runtime.invoke_endpoint(EndpointName="Way", Body=b"x")["Body"].read() == b"better"

    client.delete_endpoint(EndpointName="Way")
    client.get_waiter("endpoint_deleted").wait(EndpointName="Way")
    client.delete_endpoint_config(EndpointConfigName="way-2")
    client.delete_model(ModelName="way-2")
    for operation, member in (
        ("DescribeEndpoint", {"EndpointName": "Way"}),
        ("DescribeEndpointConfig", {"EndpointConfigName": "way-2"}),
        ("DescribeModel", {"ModelName": "way-2"}),
    ):
        code, text = here.refused(operation, **member)
        assert code == "ValidationException"
        assert text.startswith(MISSING)
    with pytest.raises(ClientError, match="Endpoint Way of account 123456789012 not found"):
        runtime.invoke_endpoint(EndpointName="Way", Body=b"x")


# what Describe tells


def described(here: World, operation: str, **members: str) -> Body:
    answer: Body = here.done(operation, members)
    now = datetime.now(UTC).timestamp()
    for told in ("CreationTime", "LastModifiedTime"):
        if told in answer:
            assert now - 60 < answer.pop(told) <= now
    return answer


def test_a_model_is_described_by_what_was_set(here: World, name: str) -> None:
    container = {"Image": IMAGE, "Environment": {"A": "", "B": "ü"}, "Mode": "SingleModel"}
    bodies: list[Body] = [
        {"ModelName": f"{name}-1", "PrimaryContainer": container, "ExecutionRoleArn": ROLE},
        {"ModelName": f"{name}-2", "Containers": [container]},
        {
            "ModelName": f"{name}-3",
            "PrimaryContainer": container,
            "EnableNetworkIsolation": True,
            "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        },
    ]
    for body in bodies:
        tags = [{"Key": "team", "Value": "a"}]
        here.done("CreateModel", {**body, "Tags": tags})
        assert described(here, "DescribeModel", ModelName=body["ModelName"]) == {
            "EnableNetworkIsolation": False,
            **body,
            "ModelArn": f"{ARN}:model/{body['ModelName']}",
        }


def test_a_configuration_is_described_by_what_was_set(here: World, name: str) -> None:
    real = variant(
        InstanceType="ml.g6.xlarge",
        InitialInstanceCount=2,
        VolumeSizeInGB=30,
        ContainerStartupHealthCheckTimeoutInSeconds=600,
        RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        InitialVariantWeight=0.0,
    )
    body = configuration(real, name=name, KmsKeyId="alias/key")
    here.done("CreateEndpointConfig", body)
    assert described(here, "DescribeEndpointConfig", EndpointConfigName=name) == {
        **body,
        "EndpointConfigArn": f"{ARN}:endpoint-config/{name}",
        "EnableNetworkIsolation": False,
    }
    here.done("CreateEndpointConfig", configuration(name=f"{name}-serverless"))
    (told,) = described(here, "DescribeEndpointConfig", EndpointConfigName=f"{name}-serverless")[
        "ProductionVariants"
    ]
    assert told == {**variant(), "InitialVariantWeight": 1.0}


def test_an_endpoint_is_described_as_it_is(here: World, name: str) -> None:
    stands(here, name)
    answer = described(here, "DescribeEndpoint", EndpointName=name)
    (told,) = answer["ProductionVariants"]
    (deployed,) = told.pop("DeployedImages")
    assert deployed.pop("ResolutionTime") > 0
    assert deployed == {
        "SpecifiedImage": IMAGE,
        "ResolvedImage": f"{HOST}/good@sha256:good",
    }
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert answer == {
        "EndpointName": name,
        "EndpointArn": f"{ARN}:endpoint/{name}",
        "EndpointConfigName": name,
        "EndpointStatus": "InService",
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentServerlessConfig": config,
                "DesiredServerlessConfig": config,
            }
        ],
    }


def test_an_endpoint_that_is_created_tells_what_is_to_come(here: World, name: str) -> None:
    begin(here, name, "never:1", InstanceType="ml.m5.large", InitialInstanceCount=2)
    answer = described(here, "DescribeEndpoint", EndpointName=name)
    assert answer["EndpointStatus"] == "Creating"
    (told,) = answer["ProductionVariants"]
    assert (told["CurrentInstanceCount"], told["DesiredInstanceCount"]) == (0, 2)
    assert told["VariantStatus"][0]["Status"] == "Creating"
    pending = answer["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == name
    assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert pending["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    here.portal.call(here.plane.deployments.get(name, REGION).delete)  # type: ignore[union-attr]


def test_an_endpoint_that_failed_tells_why_and_nothing_of_variants(here: World, name: str) -> None:
    stands(here, name, "refuses:1")
    answer = described(here, "DescribeEndpoint", EndpointName=name)
    assert answer["EndpointStatus"] == "Failed"
    assert "variant AllTraffic starts correctly" in answer["FailureReason"]
    assert "ProductionVariants" not in answer
    assert "PendingDeploymentSummary" not in answer
    code, text = here.refused("UpdateEndpoint", EndpointName=name, EndpointConfigName="c")
    assert (code, "Failed" in text) == ("ValidationException", True)
    here.done("DeleteEndpoint", {"EndpointName": name})
    assert here.settled(name) == ""


def test_an_update_tells_old_and_new_until_it_is_done(here: World, name: str) -> None:
    stands(here, name, InstanceType="ml.m5.large")
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
        "Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}}  # fmt: skip
    here.done("CreateModel", model(f"{name}-never", "never:1"))
    new = variant("new", f"{name}-never", InstanceType="ml.m5.xlarge")
    here.done("CreateEndpointConfig", configuration(new, name=f"{name}-2"))
    here.done("UpdateEndpoint", {**endpoint(name, f"{name}-2"), "DeploymentConfig": policy})
    answer = described(here, "DescribeEndpoint", EndpointName=name)
    assert answer["EndpointStatus"] == "Updating"
    assert answer["EndpointConfigName"] == name, "it serves until the new one does"
    assert answer["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    assert answer["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Updating"
    assert answer["PendingDeploymentSummary"]["EndpointConfigName"] == f"{name}-2"
    assert "LastDeploymentConfig" not in answer
    for operation in ("UpdateEndpoint", "CreateEndpoint"):
        assert here.refused(operation, **endpoint(name, name))[0] == "ValidationException"
    _, text = here.refused("DeleteEndpoint", EndpointName=name)
    assert text == f'Cannot update in-progress endpoint "{ARN}:endpoint/{name}".'
    here.portal.call(here.plane.deployments.get(name, REGION).delete)  # type: ignore[union-attr]


def test_the_last_deployment_config_is_told_and_may_be_kept(here: World, name: str) -> None:
    stands(here, name)
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}

    def updated(**members: Any) -> Body | None:
        here.done("UpdateEndpoint", {**endpoint(name, name), **members})
        assert here.settled(name) == "InService"
        told: Body | None = described(here, "DescribeEndpoint", EndpointName=name).get(
            "LastDeploymentConfig"
        )
        return told

    assert updated() is None
    assert updated(DeploymentConfig=policy) == policy
    assert updated(RetainDeploymentConfig=True) == policy
    assert updated() is None


# numbers in place


def adjusted(here: World, name: str, *wishes: Body) -> list[Body]:
    """The variants afterwards."""
    body = {"EndpointName": name, "DesiredWeightsAndCapacities": list(wishes)}
    assert here.done("UpdateEndpointWeightsAndCapacities", body) == {
        "EndpointArn": f"{ARN}:endpoint/{name}"
    }
    assert here.settled(name) == "InService"
    told: list[Body] = here.done("DescribeEndpoint", {"EndpointName": name})["ProductionVariants"]
    return told


def test_concurrency_changes_in_place_and_is_what_the_next_call_is_judged_by(
    here: World, name: str
) -> None:
    stands(here, name)
    more = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 20}}
    (told,) = adjusted(here, name, more)
    assert told["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 20}
    some = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"ProvisionedConcurrency": 9}}
    (told,) = adjusted(here, name, some)
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 20, "ProvisionedConcurrency": 9}
    assert told["CurrentServerlessConfig"] == told["DesiredServerlessConfig"] == config
    less = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 5}}
    body: Body = {"EndpointName": name, "DesiredWeightsAndCapacities": [less]}
    _, text = here.refused("UpdateEndpointWeightsAndCapacities", **body)
    assert "ProvisionedConcurrency (9) must be less than or equal to MaxConcurrency (5)" in text


def test_weights_and_counts_change_in_place_and_may_be_retained(here: World, name: str) -> None:
    here.done("CreateModel", model(name))
    two = [variant(one, name, InstanceType="ml.m5.large") for one in ("a", "b")]
    here.done("CreateEndpointConfig", configuration(*two, name=name))
    here.done("CreateEndpoint", endpoint(name, name))
    here.settled(name)
    weightless = {"VariantName": "a", "DesiredWeight": 0.0, "DesiredInstanceCount": 2}
    a, b = adjusted(here, name, weightless)
    assert (a["CurrentWeight"], a["DesiredInstanceCount"]) == (0.0, 2)
    assert (b["CurrentWeight"], b["DesiredInstanceCount"]) == (1.0, 1)
    runtime = here.client("sagemaker-runtime")
    asked = [runtime.invoke_endpoint(EndpointName=name, Body=b"") for _ in range(10)]
    assert {one["InvokedProductionVariant"] for one in asked} == {"b"}
    one = runtime.invoke_endpoint(EndpointName=name, Body=b"", TargetVariant="a")
    assert one["InvokedProductionVariant"] == "a"
    with pytest.raises(ClientError, match="Variant zz"):
        runtime.invoke_endpoint(EndpointName=name, Body=b"", TargetVariant="zz")

    def updated(**members: Any) -> tuple[float, int]:
        here.done("UpdateEndpoint", {**endpoint(name, name), **members})
        assert here.settled(name) == "InService"
        told = here.done("DescribeEndpoint", {"EndpointName": name})["ProductionVariants"][0]
        return told["CurrentWeight"], told["CurrentInstanceCount"]

    assert updated(RetainAllVariantProperties=True) == (0.0, 2)
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    assert updated(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded) == (
        1.0,
        2,
    )
    assert updated() == (1.0, 1)


# lists

LISTS = (
    ("list_models", "Models", "ModelName"),
    ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    ("list_endpoints", "Endpoints", "EndpointName"),
)


@pytest.fixture(scope="module")
def many(here: World) -> str:
    """A region with 23 of each, named a00 to a22 in the order of their creation."""
    region = "ap-south-1"
    for number in range(23):
        name = f"a{number:02}"
        uri = IMAGE.replace(REGION, region)
        container = {"Image": uri}
        here.done("CreateModel", model(name, PrimaryContainer=container), region=region)
        body = configuration(variant(model=name), name=name)
        here.done("CreateEndpointConfig", body, region=region)
        here.done("CreateEndpoint", endpoint(name, name), region=region)
        here.settled(name, region)
    return region


def names(rows: list[Body], member: str) -> list[str]:
    return [row[member] for row in rows]


@pytest.mark.parametrize(("operation", "rows", "member"), LISTS)
def test_lists_come_in_pages_of_ten_newest_first(
    here: World, many: str, operation: str, rows: str, member: str
) -> None:
    client = here.client(region=many)
    pages = list(client.get_paginator(operation).paginate())
    assert [len(page[rows]) for page in pages] == [10, 10, 3]
    told = [name for page in pages for name in names(page[rows], member)]
    assert told == [f"a{number:02}" for number in reversed(range(23))]
    by_name = client.get_paginator(operation).paginate(
        SortBy="Name", SortOrder="Ascending", MaxResults=7
    )
    told = [name for page in by_name for name in names(page[rows], member)]
    assert told == [f"a{number:02}" for number in range(23)]


@pytest.mark.parametrize(("operation", "rows", "member"), LISTS)
def test_lists_are_filtered(here: World, many: str, operation: str, rows: str, member: str) -> None:
    client = here.client(region=many)
    call = getattr(client, operation)

    def told(**query: Any) -> list[str]:
        return sorted(names(call(MaxResults=100, **query)[rows], member))

    assert told(NameContains="a1") == [f"a{number}" for number in range(10, 20)]
    assert told(NameContains="zz") == []
    row = next(row for row in call(MaxResults=100)[rows] if row[member] == "a11")
    at = row["CreationTime"]
    assert told(CreationTimeAfter=at)[0] == "a11", "greater than or equal"
    assert told(CreationTimeBefore=at)[-1] == "a10"
    assert told(CreationTimeAfter=datetime.now(UTC) + timedelta(hours=1)) == []
    if operation == "list_endpoints":
        assert len(told(StatusEquals="InService")) == 23
        assert told(StatusEquals="Failed") == []
        modified = row["LastModifiedTime"]
        assert told(LastModifiedTimeAfter=modified)[0] == "a12"
        assert told(LastModifiedTimeBefore=modified)[-1] == "a10"
        by_status = call(SortBy="Status", MaxResults=5)
        assert len(call(SortBy="Status", NextToken=by_status["NextToken"])[rows]) == 10


def test_who_deletes_what_a_page_told_misses_nothing(here: World, region: str) -> None:
    for number in range(25):
        body = model(f"m{number}", PrimaryContainer={"Image": IMAGE.replace(REGION, region)})
        here.done("CreateModel", body, region=region)
    query: Body = {}
    while True:
        page = here.done("ListModels", query, region=region)
        for row in page["Models"]:
            here.done("DeleteModel", {"ModelName": row["ModelName"]}, region=region)
        if "NextToken" not in page:
            break
        query = {"NextToken": page["NextToken"]}
    assert here.done("ListModels", region=region) == {"Models": []}


@pytest.mark.parametrize("token", ["x", "WyJieW9jIl0=", "WyJieW9jIiwgMSwgMl0=", "bm9uZQ==", "ü"])
def test_a_token_that_no_list_gave_is_refused(here: World, token: str) -> None:
    for operation in ("ListModels", "ListEndpointConfigs", "ListEndpoints"):
        code, text = here.refused(operation, NextToken=token)
        assert code == "ValidationException"
        assert text == f"Invalid NextToken: {token}. {OWN_WORDS}"


def test_a_row_of_a_list_is_that_of_aws(here: World, many: str) -> None:
    arn = ARN.replace(REGION, many)
    (row,) = here.done("ListModels", {"NameContains": "a07"}, region=many)["Models"]
    assert set(row) == {"ModelName", "ModelArn", "CreationTime"}
    assert row["ModelArn"] == f"{arn}:model/a07"
    (row,) = here.done("ListEndpoints", {"NameContains": "a07"}, region=many)["Endpoints"]
    told = here.done("DescribeEndpoint", {"EndpointName": "a07"}, region=many)
    assert row == {name: told[name] for name in row}
    assert set(row) == {
        "EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus",
    }  # fmt: skip


# tags


def test_tags_are_added_replaced_listed_in_pages_and_removed(here: World, name: str) -> None:
    client = here.client()
    tags = [{"Key": f"k{number:03}", "Value": "1"} for number in range(120)]
    body = configuration(variant(), name=name.upper(), Tags=tags[:1])
    arn = client.create_endpoint_config(**body)["EndpointConfigArn"]
    assert arn.endswith(f"/{name}"), "AWS writes names in small letters there"
    for some in (tags[1:51], tags[51:101], tags[101:]):
        told = client.add_tags(ResourceArn=arn, Tags=some)["Tags"]
    assert told == tags
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "k001", "Value": "2"}])
    told = client.get_paginator("list_tags").paginate(
        ResourceArn=arn.replace(name, name.upper()), PaginationConfig={"PageSize": 50}
    )
    pages = [page["Tags"] for page in told]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert pages[0][1] == {"Key": "k001", "Value": "2"}
    for first in (2, 52, 102):
        keys = [tag["Key"] for tag in tags[first : first + 50]]
        assert client.delete_tags(ResourceArn=arn, TagKeys=keys)
    client.delete_tags(ResourceArn=arn, TagKeys=["none"])
    left = client.list_tags(ResourceArn=arn)["Tags"]
    assert [tag["Key"] for tag in left] == ["k000", "k001"]


@pytest.mark.parametrize(
    "arn",
    [f"{ARN}:model/none", f"{ARN}:training-job/m", ARN.replace(REGION, "eu-west-1") + ":model/m"],
)
def test_what_is_not_there_has_no_tags(here: World, arn: str) -> None:
    for operation, members in (
        ("ListTags", {}),
        ("AddTags", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("DeleteTags", {"TagKeys": ["a"]}),
    ):
        code, text = here.refused(operation, ResourceArn=arn, **members)
        assert code == "ValidationException"
        assert text == f"Could not find resource {arn}. {OWN_WORDS}"


# waiters


@pytest.mark.usefixtures("impatient")
def test_a_waiter_is_answered_when_there_is_something_to_tell(here: World, name: str) -> None:
    client = here.client()
    begin(here, name, "slow:1")
    assert client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    client.get_waiter("endpoint_in_service").wait(EndpointName=name)
    begin(here, f"{name}-bad", "refuses:1")
    with pytest.raises(WaiterError, match="Failed") as failed:
        client.get_waiter("endpoint_in_service").wait(EndpointName=f"{name}-bad")
    assert "starts correctly" in failed.value.last_response["FailureReason"]
    begin(here, f"{name}-gone", "lingers:1")
    client.get_waiter("endpoint_in_service").wait(EndpointName=f"{name}-gone")
    client.delete_endpoint(EndpointName=f"{name}-gone")
    assert client.describe_endpoint(EndpointName=f"{name}-gone")["EndpointStatus"] == "Deleting"
    client.get_waiter("endpoint_deleted").wait(EndpointName=f"{name}-gone")


@pytest.mark.parametrize("agent", [WAITS, "AWS-SageMaker-Python-SDK/2.257 Python/3.11 m/Z"])
def test_a_held_call_holds_up_nobody_else(here: World, name: str, agent: str) -> None:
    begin(here, name, "never:1")
    with ThreadPoolExecutor() as pool:
        held = pool.submit(_post, here, "DescribeEndpoint", {"EndpointName": name}, agent)
        for _ in range(20):
            assert here.done("DescribeModel", {"ModelName": "m"})
        assert not held.done()
        here.portal.call(here.plane.deployments.get(name, REGION).delete)  # type: ignore[union-attr]
        assert held.result().status == 400


def _post(here: World, operation: str, body: Body, agent: str) -> Any:
    """On a connection of its own."""
    other = World(url=here.url, engine=here.engine, plane=here.plane, portal=here.portal)
    try:
        return other.post(operation, body, agent=agent)
    finally:
        other.close()


def test_a_waiter_for_what_is_not_there_is_answered_at_once(here: World) -> None:
    began = time.perf_counter()
    bodies: list[Any] = [{"EndpointName": "none"}, {"EndpointName": 3}, {}, [], None, "x"]
    for body in bodies:
        assert here.post("DescribeEndpoint", body, agent=WAITS).status == 400
    assert time.perf_counter() - began < 5


# names that are being freed


def test_an_endpoint_that_is_being_deleted_is_listed_and_its_name_is_taken(
    here: World, name: str
) -> None:
    stands(here, name, "lingers:1")
    here.done("DeleteEndpoint", {"EndpointName": name})
    assert here.done("DeleteEndpoint", {"EndpointName": name}) == {}
    (row,) = here.done("ListEndpoints", {"NameContains": name})["Endpoints"]
    assert row["EndpointStatus"] == "Deleting"
    _, text = here.refused("CreateEndpoint", **endpoint(name.upper(), name))
    assert text == f'Cannot create already existing endpoint "{ARN}:endpoint/{name}".'
    _, text = here.refused("UpdateEndpoint", **endpoint(name, name))
    assert text == f'Cannot update in-progress endpoint "{ARN}:endpoint/{name}".'
    assert here.settled(name) == ""
    assert here.done("ListEndpoints", {"NameContains": name}) == {"Endpoints": []}
    here.done("CreateEndpoint", endpoint(name, name))
    assert here.settled(name) == "InService"


def test_models_and_configurations_in_use_may_be_deleted(here: World, name: str) -> None:
    stands(here, name)
    here.done("DeleteModel", {"ModelName": name})
    _, text = here.refused("UpdateEndpoint", **endpoint(name, name))
    assert text == f'Could not find model "{ARN}:model/{name}".'
    here.done("DeleteEndpointConfig", {"EndpointConfigName": name})
    _, text = here.refused("UpdateEndpoint", **endpoint(name, name))
    assert text == f'Could not find endpoint configuration "{ARN}:endpoint-config/{name}".'
    assert here.done("DescribeEndpoint", {"EndpointName": name})["EndpointStatus"] == "InService"


# the wire


def test_errors_have_the_form_of_awss_json_protocol(here: World) -> None:
    answer = here.post("DescribeModel", {"ModelName": "none"})
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    assert answer.refusal == (
        "ValidationException",
        f'Could not find model "{ARN}:model/none".',
    )


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "The body is no JSON"),
        (b"\xff\xfe{", "The body is no JSON"),
        (b"[" * 100_000, "The body is no JSON"),
        (b'{"ModelName": "a", }', "The body is no JSON"),
        (b"[]", "The body must be an object, not []"),
        (b'"x"', "The body must be an object, not 'x'"),
        (b"null", "The body must be an object, not None"),
        (b'{"ModelName": 3}', "modelName must be a string, not 3"),
        (b'{"ModelName": {}}', "modelName must be a string, not {}"),
        (b'{"ModelName": 1' + b"0" * 5000 + b"}", "The body is no JSON"),
    ],
)
def test_what_cannot_be_read_is_told_so(here: World, raw: bytes, says: str) -> None:
    code, text = here.post("DescribeModel", raw=raw).refusal
    assert code == "SerializationException"
    assert text.startswith(says)
    assert text.endswith(OWN_WORDS)


def test_no_body_is_as_good_as_an_empty_one(here: World) -> None:
    assert here.post("ListEndpoints", raw=b"", region="eu-west-1").body == {"Endpoints": []}
    _, text = here.post("DescribeModel", raw=b" \n").refusal
    assert text.endswith("Value null at 'modelName' failed to satisfy constraint: Member must not"
                         " be null")  # fmt: skip


def test_operations_that_there_are_not_are_told_apart(here: World) -> None:
    answer = here.post("CreateModels")
    assert (answer.status, answer.refusal[0]) == (400, "UnknownOperationException")
    assert here.post("Createmodel").refusal[0] == "UnknownOperationException"
    answer = here.post("ListTrainingJobs")
    assert (answer.status, answer.refusal[0]) == (501, "NotEmulated")
    assert "byoc does not emulate ListTrainingJobs" in answer.refusal[1]
    assert here.post("CreateTrainingJob").refusal[0] == "ValidationException", "AWS is asked first"
    assert here.post("").status == 404, "without X-Amz-Target"


def test_a_request_that_is_too_large_is_told_so(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi, "MOST_BYTES", 1000)
    answer = here.post("CreateModel", raw=b" " * 1001)
    assert (answer.status, answer.refusal[0]) == (413, "RequestEntityTooLarge")
    assert here.done("DescribeModel", {"ModelName": "m"})


def test_nobody_need_sign(here: World) -> None:
    answer = here.post("DescribeModel", {"ModelName": "m"}, region=None)
    assert answer.body["ModelArn"] == f"{ARN}:model/m"


def test_regions_are_apart(here: World, name: str) -> None:
    for region, partition in (
        ("us-east-1", "aws"),
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
    ):
        host = HOST.replace(REGION, region) + (".cn" if partition == "aws-cn" else "")
        body = model(name, PrimaryContainer={"Image": f"{host}/good:1"})
        made = here.done("CreateModel", body, region=region)["ModelArn"]
        assert made == f"arn:{partition}:sagemaker:{region}:{ACCOUNT}:model/{name}"
        listed = here.done("ListModels", {"NameContains": name}, region=region)["Models"]
        assert names(listed, "ModelArn") == [made]
        assert here.done("ListTags", {"ResourceArn": made}, region=region) == {"Tags": []}


def test_a_region_that_aws_does_not_have_is_told_so(here: World) -> None:
    code, text = here.post("ListModels", region="moon-1").refusal
    assert (code, text) == ("ValidationException", f"SageMaker is in no region moon-1. {OWN_WORDS}")


def test_null_and_members_nobody_knows_are_as_good_as_none(here: World, name: str) -> None:
    body = configuration(
        variant(
            AcceleratorType=None,
            Colour="red",
            ServerlessConfig={
                "MemorySizeInMB": 2048.0,
                "MaxConcurrency": 5,
                "ProvisionedConcurrency": None,
            },
        ),
        name=name,
        Tags=None,
        KmsKeyId=None,
    )
    body["ProductionVariants"][0]["InstanceType"] = None
    here.done("CreateEndpointConfig", body)
    raw = here.post("DescribeEndpointConfig", {"EndpointConfigName": name}).raw.decode()
    assert json.loads(raw)["ProductionVariants"] == [{**variant(), "InitialVariantWeight": 1.0}]
    assert "2048.0" not in raw
    assert "null" not in raw
    begun = here.calls[-1]
    here.portal.call(lambda: None)
    assert [one for call in (begun, here.calls[-1]) for one in call.ignored if "olour" in one]


def test_calls_at_the_same_time_do_not_mix(here: World, name: str) -> None:
    def one(number: int) -> list[int]:
        other = World(url=here.url, engine=here.engine, plane=here.plane, portal=here.portal)
        try:
            shared = other.post("CreateModel", model(f"{name}-shared")).status
            for round_ in range(10):
                own = f"{name}-{number}-{round_}"
                other.done("CreateModel", model(own))
                told = other.done("DescribeModel", {"ModelName": own})
                assert told["ModelName"] == own
                other.done("DeleteModel", {"ModelName": own})
            return [shared]
        finally:
            other.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for told in pool.map(one, range(8)) for status in told]
    assert sorted(statuses) == [200, *[400] * 7], "one of them made it"
    assert len(here.done("ListModels", {"NameContains": name})["Models"]) == 1


# what is told to onlookers


def test_calls_that_change_something_are_told_and_no_others(here: World, name: str) -> None:
    before = len(here.calls)
    here.done("CreateModel", model(name))
    here.done("DescribeModel", {"ModelName": name})
    here.done("ListModels")
    here.refused("CreateModel", **model(name))
    here.refused("CreateModel", **model(f"{name}-x", "nothing:1"))
    here.done("DeleteModel", {"ModelName": name})
    here.portal.call(lambda: None)
    made, taken, missing, gone = here.calls[before:]
    assert (made.operation, made.resource, made.region) == ("CreateModel", name, REGION)
    assert (made.by, made.refused, made.code, made.change) == ("api", False, "", "")
    assert (taken.refused, taken.code, taken.rule) == (True, "ValidationException", "model-is-new")
    assert "Cannot create already existing model" in taken.message
    assert "new name" in taken.change
    assert missing.rule == "image-exists"
    assert "docker tag YOUR_IMAGE nothing:1" in missing.change
    assert (gone.operation, gone.refused) == ("DeleteModel", False)


def test_a_call_is_told_before_the_status_that_comes_of_it(here: World, name: str) -> None:
    heard: list[str] = []
    fleet = here.plane.fleet
    fleet.call_listeners.append(lambda told: heard.append(told.operation))
    fleet.status_listeners.append(lambda told: heard.append(str(told.status and told.status.value)))
    stands(here, name)
    here.done("UpdateEndpoint", endpoint(name, name))
    here.settled(name)
    here.done("DeleteEndpoint", {"EndpointName": name})
    here.settled(name)
    del fleet.call_listeners[-1], fleet.status_listeners[-1]
    assert heard == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "Creating", "InService",
        "UpdateEndpoint", "Updating", "InService", "DeleteEndpoint", "Deleting", "None",
    ]  # fmt: skip


# beside other services


def test_model_data_comes_from_the_same_url(here: World, name: str) -> None:
    storage = here.client("s3")
    storage.create_bucket(Bucket="models-of-control")
    url = f"s3://models-of-control/{name}/model.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": url}
    code, text = here.refused("CreateModel", **model(name, PrimaryContainer=container))
    assert code == "ValidationException"
    assert text.startswith(f"Could not access model data at {url}.")
    storage.put_object(
        Bucket="models-of-control", Key=f"{name}/model.tar.gz", Body=archive(weights="1,2")
    )
    here.done("CreateModel", model(name, PrimaryContainer=container))
    here.done("CreateEndpointConfig", configuration(variant(model=name), name=name))
    here.done("CreateEndpoint", endpoint(name, name))
    assert here.settled(name) == "InService"
    (directory,) = {c.spec.model_dir for c in here.running() if c.spec.model_dir is not None}
    assert (directory / "weights").read_text() == "1,2"


# the end


def test_who_waits_for_an_image_when_byoc_ends_gets_an_answer() -> None:
    began = threading.Event()
    with ThreadPoolExecutor() as pool, control_world() as here:
        here.done("ListModels")

        async def forever(reference: str) -> str | None:
            began.set()
            await here.plane.clock.sleep(3600)
            return reference

        here.engine.image_id = forever  # type: ignore[method-assign]
        names = ("waits", "waits-too")
        answers = [pool.submit(_post, here, "CreateModel", model(n), "any") for n in names]
        assert began.wait(10)
    for answer in answers:
        told = answer.result()
        assert (told.status, told.refusal[0]) == (503, "ServiceUnavailable"), told.body


def test_nothing_is_left_in_moto(here: World) -> None:
    from moto.sagemaker.models import FakeEndpointConfig, sagemaker_backends

    with control_world() as other:
        other.done("CreateModel", model("left", PrimaryContainer={
            "Image": IMAGE.replace(REGION, "eu-south-1")}), region="eu-south-1")  # fmt: skip
        assert list(sagemaker_backends[ACCOUNT]["eu-south-1"]._models) == ["left"]
    assert list(sagemaker_backends[ACCOUNT]["eu-south-1"]._models) == []
    with pytest.raises(Exception, match=r"ml\.g6\.xlarge"):
        FakeEndpointConfig(  # type: ignore[abstract]
            account_id=ACCOUNT,
            region_name=REGION,
            endpoint_config_name="c",
            production_variants=[variant(InstanceType="ml.g6.xlarge")],
            async_inference_config={},
            data_capture_config={},
            tags=[],
            kms_key_id="",
        )

"""Owns: a local SageMaker as programs use it, over an engine that is none: what it opens, leaves,
and forgets, and the services beside SageMaker.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

import emulator
from emulator.errors import Usage
from emulator.local import LocalSageMaker
from emulator.plane import Listening
from emulator.testing import FakeClock, FakeEngine, FakeImage

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def engine() -> FakeEngine:
    return FakeEngine(FakeClock(), {"model:1": FakeImage()})


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalSageMaker]:
    with LocalSageMaker(engine=engine()) as opened:
        yield opened


@functools.cache
def client(aws: LocalSageMaker, service: str = "sagemaker") -> Any:
    """Made once: it takes long."""
    return aws.client(service)


def a_model(aws: LocalSageMaker, name: str = "iris", **more: Any) -> None:
    container = {"Image": f"{REPOSITORY}/model:1", **more}
    client(aws).create_model(ModelName=name, PrimaryContainer=container)


@pytest.mark.clients  # a service's first request takes moto and boto3 a while
def test_one_url_answers_for_every_service_that_a_deployment_needs(aws: LocalSageMaker) -> None:
    aws.reset()
    assert client(aws, "sts").get_caller_identity()["Account"] == "123456789012"
    client(aws, "s3").create_bucket(Bucket="models")
    client(aws, "s3").put_object(Bucket="models", Key="model.tar.gz", Body=b"\x00\xff" * 100_000)
    assert "models" in [one["Name"] for one in client(aws, "s3").list_buckets()["Buckets"]]
    there = client(aws, "s3").get_object(Bucket="models", Key="model.tar.gz")
    assert there["Body"].read() == b"\x00\xff" * 100_000
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    client(aws, "iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    client(aws, "ecr").create_repository(repositoryName="model")
    assert client(aws, "cloudformation").describe_stacks()["Stacks"] == []
    assert client(aws, "cloudwatch").list_metrics(Namespace="AWS/SageMaker")["Metrics"] == []
    assert client(aws, "logs").describe_log_groups()["logGroups"] == []
    assert client(aws, "ssm").describe_parameters()["Parameters"] == []


@pytest.mark.clients  # a service's first request takes moto and boto3 a while
def test_amazon_sagemaker_full_access_can_be_attached(aws: LocalSageMaker) -> None:
    aws.reset()  # another test of this process may have had an IAM without AWS's policies
    iam = client(aws, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="sm", AssumeRolePolicyDocument=json.dumps(document))
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName="sm", PolicyArn=policy)
    attached = iam.list_attached_role_policies(RoleName="sm")["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == [policy]


def test_model_data_must_be_in_the_local_s3(aws: LocalSageMaker) -> None:
    url = "s3://trained/m.tar.gz"
    with pytest.raises(Exception, match=f"Could not access model data at {re.escape(url)}"):
        a_model(aws, "trained", ModelDataUrl=url)
    client(aws, "s3").create_bucket(Bucket="trained")
    client(aws, "s3").put_object(Bucket="trained", Key="m.tar.gz", Body=b"x")
    a_model(aws, "trained", ModelDataUrl=url)
    told = client(aws).describe_model(ModelName="trained")
    assert told["PrimaryContainer"]["ModelDataUrl"] == url


def test_a_refused_call_is_told_with_its_cure(aws: LocalSageMaker) -> None:
    with pytest.raises(Exception, match="Using non-ECR image"):
        client(aws).create_model(ModelName="m", PrimaryContainer={"Image": "python:3.11"})
    told = aws.calls[-1]
    assert (told.operation, told.resource, told.refused) == ("CreateModel", "m", True)
    assert told.rule == "image-in-ecr"
    assert told.change.startswith("PrimaryContainer.Image: Push the image to ECR")


def test_what_moto_does_not_have_is_refused_by_name(aws: LocalSageMaker) -> None:
    with pytest.raises(ClientError) as json_error:
        client(aws, "ssm").describe_inventory_deletions()
    with pytest.raises(ClientError) as xml_error:
        client(aws, "iam").list_policies_granting_service_access(
            Arn="arn:aws:iam::123456789012:role/any", ServiceNamespaces=["s3"]
        )
    for error, what in (
        (json_error, "DescribeInventoryDeletions of ssm"),
        (xml_error, "ListPoliciesGrantingServiceAccess of iam"),
    ):
        assert error.value.response["Error"]["Code"] == "NotEmulated"
        assert what in str(error.value)
        assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.clients  # a service's first request takes moto and boto3 a while
def test_reset_leaves_nothing(aws: LocalSageMaker) -> None:
    a_model(aws)
    client(aws, "s3").create_bucket(Bucket="forgotten")
    aws.reset()
    assert client(aws).list_models()["Models"] == []
    assert client(aws, "s3").list_buckets()["Buckets"] == []
    assert client(aws, "s3").list_buckets()["Buckets"] == []
    a_model(aws)
    request = urllib.request.Request(f"{aws.url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert json.loads(reply.read()) == {"status": "ok"}
    assert client(aws).list_models()["Models"] == []
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"{aws.url}/moto-api/reset", timeout=10)


def test_what_was_made_ends_with_the_block() -> None:
    with LocalSageMaker(engine=engine()) as first:
        a_model(first, "ends-with-it")
    with LocalSageMaker(engine=engine()) as second:
        # The module's own one lives in the same process, with what is in it.
        names = [model["ModelName"] for model in second.client().list_models()["Models"]]
        assert "ends-with-it" not in names


def test_it_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with LocalSageMaker(engine=engine()) as opened:
        a_model(opened)
        opened.client("s3").list_buckets()
        opened.client("cloudformation").describe_stacks()
    left = {one for one in threading.enumerate() if one not in before and one.is_alive()}
    for one in left:
        one.join(5)
    assert not [one for one in left if one.is_alive()]


def test_before_and_after_the_block_there_is_nothing() -> None:
    made = emulator.LocalSageMaker(engine=engine())
    with pytest.raises(RuntimeError, match="there inside of its `with` block only"):
        _ = made.url
    with made:
        assert made.environment["AWS_ENDPOINT_URL"] == made.url
        with pytest.raises(RuntimeError, match="this local SageMaker is open already"):
            made.__enter__()
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        made.client()


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(Usage, match="a port is from 0 to 65535, not 70000"):
        Listening(port=70000)

"""The same deploy calls to bare moto and to our front: what each says, and where they differ.

Owns: the cases, both sides, and how an answer is written down. Must not know: which differences are
right (`emulator.control.differences`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sagemaker.models import sagemaker_backends
from werkzeug.test import Client

from emulator.api.moto_app import moto_lock
from emulator.api.runtime import ACCOUNT
from emulator.deployed import DeployedEndpoint
from tests.control_world import AUTHORIZATION, World

MOTO, OURS = "us-west-1", "us-west-2"
"""Regions apart, since both keep what they know in the same process."""

IMAGE = "123456789012.dkr.ecr.REGION.amazonaws.com/good:1"
ROLE = "arn:aws:iam::123456789012:role/Any"

Body = dict[str, Any]
Step = tuple[str, Body]


def model(**members: Any) -> Step:
    return "CreateModel", {
        "ModelName": "m",
        "PrimaryContainer": {"Image": IMAGE},
        "ExecutionRoleArn": ROLE,
        **members,
    }


def container(**members: Any) -> Step:
    return model(PrimaryContainer={"Image": IMAGE, **members})


def config(*variants: Body, **members: Any) -> Step:
    body = {"EndpointConfigName": "c", "ProductionVariants": list(variants) or [serverless()]}
    return "CreateEndpointConfig", {**body, **members}


def serverless(memory: Any = 2048, most: Any = 5, **members: Any) -> Body:
    numbers = {"MemorySizeInMB": memory, "MaxConcurrency": most}
    kept = {name: value for name, value in numbers.items() if value is not None}
    provisioned = members.pop("ProvisionedConcurrency", None)
    if provisioned is not None:
        kept["ProvisionedConcurrency"] = provisioned
    return {"VariantName": "v", "ModelName": "m", "ServerlessConfig": kept, **members}


def instances(**members: Any) -> Body:
    body = {
        "VariantName": "v",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}


def endpoint(name: str = "e", **members: Any) -> Step:
    return "CreateEndpoint", {"EndpointName": name, "EndpointConfigName": "c", **members}


def called(operation: str, **members: Any) -> Step:
    return operation, members


def tagged(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:REGION:123456789012:{kind}/{name}"


DESCRIBED = called("DescribeEndpoint", EndpointName="e")
WISH = {"VariantName": "v"}
STANDS = (model(), config(), endpoint())
REAL = (model(), config(instances(InitialVariantWeight=0.0)), endpoint())
TAG = {"Key": "a", "Value": "1"}


def adjusted(**wish: Any) -> Step:
    return called(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="e",
        DesiredWeightsAndCapacities=[{**WISH, **wish}],
    )


CASES: dict[str, tuple[Step, ...]] = {
    # Only the answer of the last call is compared; the endpoint has settled before each.
    "CreateModel": (model(),),
    "CreateModel, capitals": (model(ModelName="M"),),
    "CreateModel, twice": (model(), model()),
    "CreateModel, bad name": (model(ModelName="my_model"),),
    "CreateModel, long name": (model(ModelName="m" * 64),),
    "CreateModel, no container": (called("CreateModel", ModelName="m"),),
    "CreateModel, both forms": (model(Containers=[{"Image": IMAGE}]),),
    "CreateModel, no image": (model(PrimaryContainer={"ModelDataUrl": "s3://b/m"}),),
    "CreateModel, image of Docker Hub": (container(Image="python:3"),),
    "CreateModel, image of another region": (
        container(Image=IMAGE.replace("REGION", "eu-west-1")),
    ),
    "CreateModel, image that is not there": (container(Image=IMAGE.replace("good", "gone")),),
    "CreateModel, role that is none": (model(ExecutionRoleArn="a-role-of-this-account"),),
    "CreateModel, environment": (container(Environment={"1BAD": "x"}),),
    "CreateModel, model data of this machine": (container(ModelDataUrl="/opt/m.tar.gz"),),
    "CreateModel, model data that is not there": (container(ModelDataUrl="s3://b/m.tar.gz"),),
    "CreateModel, pipeline": (
        called("CreateModel", ModelName="m", Containers=[{"Image": IMAGE}, {"Image": IMAGE}]),
    ),
    "CreateModel, wrong type": (model(ModelName=3),),
    "DescribeModel": (model(), called("DescribeModel", ModelName="m")),
    "DescribeModel, isolated": (
        model(EnableNetworkIsolation=True, InferenceExecutionConfig={"Mode": "Serial"}),
        called("DescribeModel", ModelName="m"),
    ),
    "DescribeModel, no role": (
        called("CreateModel", ModelName="m", PrimaryContainer={"Image": IMAGE}),
        called("DescribeModel", ModelName="m"),
    ),
    "DescribeModel, one of several": (
        called("CreateModel", ModelName="m", Containers=[{"Image": IMAGE}], ExecutionRoleArn=ROLE),
        called("DescribeModel", ModelName="m"),
    ),
    "DescribeModel, missing": (called("DescribeModel", ModelName="M"),),
    "DeleteModel": (model(), called("DeleteModel", ModelName="m")),
    "DeleteModel, in use": (*STANDS, called("DeleteModel", ModelName="m")),
    "DeleteModel, missing": (called("DeleteModel", ModelName="m"),),
    "ListModels": (model(), called("ListModels")),
    "ListModels, pages": (
        model(), model(ModelName="m2"), called("ListModels", MaxResults=1, SortOrder="Ascending"),
    ),
    "ListModels, by name": (
        model(), model(ModelName="m2"), called("ListModels", NameContains="2"),
    ),
    "ListModels, too many": (called("ListModels", MaxResults=101),),
    "ListModels, newest first": (model(), model(ModelName="a"), called("ListModels")),
    "ListModels, bad token": (called("ListModels", NextToken="x"),),
    "CreateEndpointConfig": (model(), config()),
    "CreateEndpointConfig, twice": (model(), config(), config()),
    "CreateEndpointConfig, bad name": (model(), config(EndpointConfigName="my_config")),
    "CreateEndpointConfig, no model": (config(),),
    "CreateEndpointConfig, no variants": (called("CreateEndpointConfig", EndpointConfigName="c"),),
    "CreateEndpointConfig, variant without a model": (
        model(), config({"VariantName": "v", "InstanceType": "ml.m5.large",
                         "InitialInstanceCount": 1}),
    ),
    "CreateEndpointConfig, memory 1500": (model(), config(serverless(1500))),
    "CreateEndpointConfig, memory 7168": (model(), config(serverless(7168))),
    "CreateEndpointConfig, memory as text": (model(), config(serverless("2048"))),
    "CreateEndpointConfig, no memory": (model(), config(serverless(None))),
    "CreateEndpointConfig, concurrency 201": (model(), config(serverless(most=201))),
    "CreateEndpointConfig, no concurrency": (model(), config(serverless(most=None))),
    "CreateEndpointConfig, provisioned above the most": (
        model(), config(serverless(most=5, ProvisionedConcurrency=6)),
    ),
    "CreateEndpointConfig, serverless and instances": (
        model(), config(serverless(InstanceType="ml.m5.large")),
    ),
    "CreateEndpointConfig, two serverless variants": (
        model(), config(serverless(), serverless(VariantName="w")),
    ),
    "CreateEndpointConfig, variants of one name": (model(), config(instances(), instances())),
    "CreateEndpointConfig, variant's bad name": (model(), config(instances(VariantName="a_b"))),
    "CreateEndpointConfig, 11 variants": (
        model(), config(*(instances(VariantName=f"v{n}") for n in range(11))),
    ),
    "CreateEndpointConfig, negative weight": (model(), config(instances(InitialVariantWeight=-1))),
    "CreateEndpointConfig, no count": (model(), config(instances(InitialInstanceCount=None))),
    "CreateEndpointConfig, newer instances": (
        model(), config(instances(InstanceType="ml.g6.xlarge")),
    ),
    "CreateEndpointConfig, unknown instances": (
        model(), config(instances(InstanceType="ml.x9.big")),
    ),
    "CreateEndpointConfig, neither kind": (
        model(), config({"VariantName": "v", "ModelName": "m"}),
    ),
    "CreateEndpointConfig, isolated serverless model": (
        model(EnableNetworkIsolation=True), config(),
    ),
    "CreateEndpointConfig, data capture": (
        model(),
        config(instances(), DataCaptureConfig={
            "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b/",
            "CaptureOptions": [{"CaptureMode": "Input"}]}),
    ),
    "DescribeEndpointConfig": (
        model(), config(KmsKeyId="alias/key"),
        called("DescribeEndpointConfig", EndpointConfigName="c"),
    ),
    "DescribeEndpointConfig, members that are kept": (
        model(), config(instances(), ExecutionRoleArn=ROLE, EnableNetworkIsolation=True),
        called("DescribeEndpointConfig", EndpointConfigName="c"),
    ),
    "DescribeEndpointConfig, missing": (called("DescribeEndpointConfig", EndpointConfigName="c"),),
    "DeleteEndpointConfig": (
        model(), config(), called("DeleteEndpointConfig", EndpointConfigName="c"),
    ),
    "DeleteEndpointConfig, in use": (
        *STANDS, called("DeleteEndpointConfig", EndpointConfigName="c"),
    ),
    "DeleteEndpointConfig, missing": (called("DeleteEndpointConfig", EndpointConfigName="c"),),
    "ListEndpointConfigs": (model(), config(), called("ListEndpointConfigs")),
    "ListEndpointConfigs, pages": (
        model(), config(), config(EndpointConfigName="c2"),
        called("ListEndpointConfigs", MaxResults=1, SortOrder="Ascending"),
    ),
    "ListEndpointConfigs, by name": (
        model(), config(), config(EndpointConfigName="d"),
        called("ListEndpointConfigs", NameContains="d"),
    ),
    "ListEndpointConfigs, newest first": (
        model(), config(), config(EndpointConfigName="a"), called("ListEndpointConfigs"),
    ),
    "CreateEndpoint": STANDS,
    "CreateEndpoint, capitals": (model(), config(), endpoint("E")),
    "CreateEndpoint, twice": (*STANDS, endpoint()),
    "CreateEndpoint, twice in other letters": (*STANDS, endpoint("E")),
    "CreateEndpoint, bad name": (model(), config(), endpoint("my_endpoint")),
    "CreateEndpoint, no configuration": (endpoint(),),
    "CreateEndpoint, its model is gone": (
        model(), config(), called("DeleteModel", ModelName="m"), endpoint(),
    ),
    "DescribeEndpoint": (*STANDS, DESCRIBED),
    "DescribeEndpoint, weight 0": (*REAL, DESCRIBED),
    "DescribeEndpoint, at once": (
        container(Image=IMAGE.replace("good", "never")), config(), endpoint(), DESCRIBED,
    ),
    "DescribeEndpoint, container that does not start": (
        container(Image=IMAGE.replace("good", "refuses")), config(), endpoint(), DESCRIBED,
    ),
    "DescribeEndpoint, missing": (called("DescribeEndpoint", EndpointName="E"),),
    "DeleteEndpoint": (*STANDS, called("DeleteEndpoint", EndpointName="e")),
    "DeleteEndpoint, while Creating": (
        container(Image=IMAGE.replace("good", "never")), config(), endpoint(),
        called("DeleteEndpoint", EndpointName="e"),
    ),
    "DeleteEndpoint, missing": (called("DeleteEndpoint", EndpointName="e"),),
    "UpdateEndpoint": (
        *STANDS, called("UpdateEndpoint", EndpointName="e", EndpointConfigName="c"),
    ),
    "UpdateEndpointWeightsAndCapacities": (*REAL, adjusted(DesiredWeight=2.0)),
    "UpdateEndpointWeightsAndCapacities, told": (
        *REAL, adjusted(DesiredWeight=2.0, DesiredInstanceCount=2), DESCRIBED,
    ),
    "UpdateEndpointWeightsAndCapacities, serverless": (
        *STANDS, adjusted(ServerlessUpdateConfig={"MaxConcurrency": 9}), DESCRIBED,
    ),
    "UpdateEndpointWeightsAndCapacities, instances of serverless": (
        *STANDS, adjusted(DesiredInstanceCount=2),
    ),
    "UpdateEndpointWeightsAndCapacities, unknown variant": (
        *REAL, adjusted(VariantName="w", DesiredWeight=1.0),
    ),
    "UpdateEndpointWeightsAndCapacities, missing": (adjusted(DesiredWeight=1.0),),
    "ListEndpoints": (*STANDS, called("ListEndpoints")),
    "ListEndpoints, pages": (
        *STANDS, endpoint("e2"), called("ListEndpoints", MaxResults=1, SortOrder="Ascending"),
    ),
    "ListEndpoints, by name": (
        *STANDS, endpoint("f"), called("ListEndpoints", NameContains="f"),
    ),
    "ListEndpoints, by status": (*STANDS, called("ListEndpoints", StatusEquals="Failed")),
    "ListEndpoints, no status": (called("ListEndpoints", StatusEquals="Ready"),),
    "ListEndpoints, newest first": (*STANDS, endpoint("a"), called("ListEndpoints")),
    "AddTags": (model(), called("AddTags", ResourceArn=tagged("model", "m"), Tags=[TAG])),
    "AddTags, same key": (
        model(Tags=[TAG]),
        called("AddTags", ResourceArn=tagged("model", "m"), Tags=[{"Key": "a", "Value": "2"}]),
        called("ListTags", ResourceArn=tagged("model", "m")),
    ),
    "AddTags, missing": (called("AddTags", ResourceArn=tagged("model", "m"), Tags=[TAG]),),
    "ListTags, endpoint": (
        *STANDS[:2], endpoint(Tags=[TAG]), called("ListTags", ResourceArn=tagged("endpoint", "e")),
    ),
    "ListTags, configuration": (
        model(), config(Tags=[TAG]),
        called("ListTags", ResourceArn=tagged("endpoint-config", "c")),
    ),
    "ListTags, capitals": (
        model(ModelName="M", Tags=[TAG]), called("ListTags", ResourceArn=tagged("model", "m")),
    ),
    "DeleteTags": (
        model(Tags=[TAG, {"Key": "b", "Value": ""}]),
        called("DeleteTags", ResourceArn=tagged("model", "m"), TagKeys=["a"]),
        called("ListTags", ResourceArn=tagged("model", "m")),
    ),
    "ListTrainingJobs": (called("ListTrainingJobs"),),
    "An operation that there is not": (called("CreateModels"),),
    "A body that is no JSON": (("DescribeModel", {"": "no JSON"}),),
}  # fmt: skip


@dataclass(kw_only=True)
class Sides:
    moto: Client
    world: World

    def differences(self, case: str) -> set[str]:
        """Where they differ: `error` when only one of them does it, else parts of the answer."""
        said = [self._moto(CASES[case]), self._ours(CASES[case])]
        if len({"error" in one for one in said}) > 1:
            return {"done or refused"}
        moto, ours = (dict(_flat(one)) for one in said)
        differs = {place for place in {*moto, *ours} if moto.get(place) != ours.get(place)}
        return {_part(place) for place in differs}

    def clear(self) -> None:
        deployments = self.world.plane.deployments
        for one in deployments.all(OURS):
            self.world.portal.call(one.delete)
        with moto_lock:
            for region in (MOTO, OURS):
                backend = sagemaker_backends[ACCOUNT][region]
                for kept in (backend._models, backend.endpoint_configs, backend.endpoints):
                    kept.clear()

    def _moto(self, steps: tuple[Step, ...]) -> Any:
        for operation, body in steps:
            said = self._asked(operation, body)
        return said

    def _asked(self, operation: str, body: Body) -> Any:
        try:
            reply = self.moto.post("/", data=_sent(body, MOTO), headers=_headers(operation, MOTO))
        except Exception as error:  # noqa: BLE001 - its server answers with status 500 then
            return {"error": f"500, a page of HTML: {error!r}"}
        return _said(reply.status_code, reply.data, MOTO)

    def _ours(self, steps: tuple[Step, ...]) -> Any:
        for operation, body in steps:
            said = self._answered(operation, body)
            for one in self.world.plane.deployments.all(OURS):
                self._rests(one)
        return said

    def _answered(self, operation: str, body: Body) -> Any:
        answer = self.world.post(operation, raw=_sent(body, OURS), region=OURS)
        return _said(answer.status, answer.raw, OURS)

    def _rests(self, endpoint: DeployedEndpoint) -> None:
        if "never" not in endpoint.version.orders[0].image:
            self.world.settled(endpoint.name, OURS)
            return

        async def begun() -> None:
            while not endpoint.variants:
                await self.world.plane.clock.sleep(0.001)

        self.world.portal.call(begun)


def _sent(body: Body, region: str) -> bytes:
    return b"{" if "" in body else json.dumps(body).replace("REGION", region).encode()


def _headers(operation: str, region: str) -> dict[str, str]:
    return {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"SageMaker.{operation}",
        "Authorization": AUTHORIZATION.format(region=region),
    }


def _said(status: int, raw: bytes, region: str) -> Any:
    text = raw.decode().replace(region, "REGION")
    if status == 200:
        return json.loads(text) if text.strip() else {}
    if not text.startswith("{"):
        return {"error": f"{status}, a page of HTML"}
    said = json.loads(text)
    words = said.get("message") or said.get("Message")
    return {"error": f"{status} {said['__type']}: {words}"}


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Each place that holds a value, and the value as text."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value, start=1):
            yield from _flat(inner, f"{place}.{number}")
    elif place.endswith(("Time", "Token")):
        yield place, "there"
    else:
        yield place, json.dumps(value)


def _part(place: str) -> str:
    """The member; of a variant, its member."""
    names = [name for name in place.split(".") if not name.isdecimal()]
    return ".".join(names[:2]) if names[0] == "ProductionVariants" else names[0]


def sides(world: World) -> Sides:
    """Bare moto is its own application, as its server runs it, without the sockets."""
    return Sides(moto=Client(DomainDispatcherApplication(create_backend_app)), world=world)

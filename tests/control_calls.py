"""Owns: calls of the control plane that are right, the world they are made in, and how a wrong one
differs from them.
"""

from __future__ import annotations

from typing import Any

from emulator.control.known import Inventory, KnownEndpoint, KnownImage

REGION, ACCOUNT = "eu-west-1", "111122223333"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/echo:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/Echo"
DATA = "s3://bucket/model.tar.gz"
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"

Body = dict[str, Any]


def model(name: str = "Fresh", **members: Any) -> Body:
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": IMAGE},
        "ExecutionRoleArn": ROLE,
        **members,
    }


def container(**members: Any) -> Body:
    return model(PrimaryContainer={"Image": IMAGE, **members})


def pipeline(*containers: Body) -> Body:
    body = model(Containers=[{"Image": IMAGE, **c} for c in containers])
    del body["PrimaryContainer"]
    return body


def variant(**members: Any) -> Body:
    merged = {"VariantName": "AllTraffic", "ModelName": "Echo", **members}
    return {name: value for name, value in merged.items() if value is not None}


def serverless(memory: int = 2048, most: int = 5, **members: Any) -> Body:
    config = {"MemorySizeInMB": memory, "MaxConcurrency": most}
    return variant(ServerlessConfig=config, **members)


def instances(**members: Any) -> Body:
    return variant(**{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, **members})


def configuration(*variants: Body, name: str = "fresh", **members: Any) -> Body:
    return {"EndpointConfigName": name, "ProductionVariants": list(variants), **members}


def endpoint(name: str = "fresh", config: str = "serverless", **members: Any) -> Body:
    return {"EndpointName": name, "EndpointConfigName": config, **members}


CONFIGURATIONS = {
    "serverless": configuration(serverless(), name="serverless"),
    "larger": configuration(serverless(4096, 20), name="larger"),
    "instances": configuration(instances(), name="instances"),
    "two": configuration(instances(), instances(VariantName="B"), name="two"),
    "orphan": configuration(serverless(ModelName="Gone"), name="orphan"),
}

MODELS = {
    "Echo": model("Echo"),
    "in-vpc": model("in-vpc", VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
    "isolated": model("isolated", EnableNetworkIsolation=True),
    "pipeline": {**pipeline({}, {}), "ModelName": "pipeline"},
    "single": {**pipeline({}), "ModelName": "single"},
    "many": {**container(Mode="MultiModel"), "ModelName": "many"},
    "source": {
        **container(
            ModelDataSource={
                "S3DataSource": {
                    "S3Uri": "s3://b/m/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            }
        ),
        "ModelName": "source",
    },
    "private": {
        **container(ImageConfig={"RepositoryAccessMode": "Vpc"}),
        "ModelName": "private",
    },
}

ENDPOINTS = {
    "Echo": KnownEndpoint(status="InService", configuration=CONFIGURATIONS["serverless"]),
    "real": KnownEndpoint(status="InService", configuration=CONFIGURATIONS["instances"]),
    "pair": KnownEndpoint(status="InService", configuration=CONFIGURATIONS["two"]),
    **{
        status.lower(): KnownEndpoint(status=status)
        for status in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting",
                       "Failed", "OutOfService", "UpdateRollbackFailed")
    },
}  # fmt: skip

HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
OCI = "application/vnd.oci.image."
KNOWN = Inventory(
    region=REGION,
    account=ACCOUNT,
    account_is_told=True,
    models=MODELS,
    configurations=CONFIGURATIONS,
    endpoints=ENDPOINTS,
    images={
        f"{HOST}/gone:1": None,
        f"{HOST}/oci:1": KnownImage(media_type=OCI + "manifest.v1+json"),
        f"{HOST}/index:1": KnownImage(media_type=OCI + "index.v1+json"),
        f"{HOST}/list:1": KnownImage(
            media_type="application/vnd.docker.distribution.manifest.list.v2+json"
        ),
    },
    objects={DATA: True, "s3://bucket/gone.tar.gz": False},
    roles={ROLE: True, ROLE + "Gone": False},
)

"""What becomes of each member of each control-plane call.

Owns: the table. Must not know: who emulates it, how a page is laid out. Every member of the service
model has a row or stands under one; a test sees to it, so a member that a new botocore brings is
noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from botocore.model import ListShape, Shape, StructureShape

from emulator.control.service_model import input_shape


class Standing(Enum):
    """What is done with a member that was judged."""

    EMULATED = "emulated"
    STORED = "accepted and stored"
    REFUSED = "refused"


_E, _S, _R = Standing.EMULATED, Standing.STORED, Standing.REFUSED
Members = Mapping[str, Standing]

_CONTAINER: Members = {
    "ContainerHostname": _E,
    "Image": _E,
    "ImageConfig": _R,
    "Mode": _E,
    "ModelDataUrl": _E,
    "ModelDataSource": _R,
    "AdditionalModelDataSources": _R,
    "Environment": _E,
    "ModelPackageName": _R,
    "InferenceSpecificationName": _R,
    "MultiModelConfig": _R,
    "ContainerMetricsConfig": _S,
}

_VARIANT: Members = {
    "VariantName": _E,
    "ModelName": _E,
    "InitialInstanceCount": _E,
    "InstanceType": _E,
    "InstancePools": _R,
    "VariantInstanceProvisionTimeoutInSeconds": _S,
    "InitialVariantWeight": _E,
    "AcceleratorType": _R,
    "CoreDumpConfig": _S,
    "ServerlessConfig": _E,
    "VolumeSizeInGB": _S,
    "ModelDataDownloadTimeoutInSeconds": _S,
    "ContainerStartupHealthCheckTimeoutInSeconds": _E,
    "EnableSSMAccess": _S,
    "ManagedInstanceScaling": _R,
    "RoutingConfig": _S,
    "InferenceAmiVersion": _S,
    "CapacityReservationConfig": _S,
    "AcceleratorPartitionLayouts": _R,
}

_LIST: Members = {
    "SortBy": _E,
    "SortOrder": _E,
    "NextToken": _E,
    "MaxResults": _E,
    "NameContains": _E,
    "CreationTimeBefore": _E,
    "CreationTimeAfter": _E,
}


def _under(parent: str, members: Members) -> Members:
    return {f"{parent}.{name}": standing for name, standing in members.items()}


TABLE: Mapping[str, Members] = {
    "CreateModel": {
        "ModelName": _E,
        **_under("PrimaryContainer", _CONTAINER),
        **_under("Containers[]", _CONTAINER),
        "InferenceExecutionConfig": _R,
        "ExecutionRoleArn": _S,
        "Tags": _S,
        "VpcConfig": _S,
        "EnableNetworkIsolation": _E,
    },
    "DescribeModel": {"ModelName": _E},
    "ListModels": _LIST,
    "DeleteModel": {"ModelName": _E},
    "CreateEndpointConfig": {
        "EndpointConfigName": _E,
        **_under("ProductionVariants[]", _VARIANT),
        "DataCaptureConfig": _R,
        "Tags": _S,
        "KmsKeyId": _S,
        "AsyncInferenceConfig": _R,
        "ExplainerConfig": _R,
        "ShadowProductionVariants": _R,
        "ExecutionRoleArn": _S,
        "VpcConfig": _S,
        "EnableNetworkIsolation": _S,
        "MetricsConfig": _S,
        "CrossRegionTrafficConfig": _S,
    },
    "DescribeEndpointConfig": {"EndpointConfigName": _E},
    "ListEndpointConfigs": _LIST,
    "DeleteEndpointConfig": {"EndpointConfigName": _E},
    "CreateEndpoint": {
        "EndpointName": _E,
        "EndpointConfigName": _E,
        "DeploymentConfig": _S,
        "Tags": _S,
    },
    "DescribeEndpoint": {"EndpointName": _E},
    "ListEndpoints": {
        **_LIST,
        "LastModifiedTimeBefore": _E,
        "LastModifiedTimeAfter": _E,
        "StatusEquals": _E,
    },
    "UpdateEndpoint": {
        "EndpointName": _E,
        "EndpointConfigName": _E,
        "RetainAllVariantProperties": _E,
        "ExcludeRetainedVariantProperties": _E,
        "DeploymentConfig.BlueGreenUpdatePolicy": _S,
        "DeploymentConfig.RollingUpdatePolicy": _R,
        "DeploymentConfig.AutoRollbackConfiguration": _S,
        "RetainDeploymentConfig": _S,
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": _E,
        "DesiredWeightsAndCapacities": _E,
    },
    "DeleteEndpoint": {"EndpointName": _E},
    "AddTags": {"ResourceArn": _E, "Tags": _E},
    "ListTags": {"ResourceArn": _E, "NextToken": _E, "MaxResults": _E},
    "DeleteTags": {"ResourceArn": _E, "TagKeys": _E},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One member, or several that are treated alike."""

    operation: str
    member: str
    stands: str
    holds: tuple[str, ...] = ()


def rows() -> Iterator[Row]:
    """The table, with the members that stand under each row."""
    for operation, members in TABLE.items():
        for member, standing in members.items():
            shape = _shape(input_shape(operation), member)
            yield Row(
                operation=operation,
                member=member,
                stands=standing.value,
                holds=tuple(paths(shape)),
            )


def paths(shape: Shape, before: str = "") -> Iterator[str]:
    """Every member under a shape that holds no further ones: `A.B[].C`."""
    if isinstance(shape, ListShape):
        if isinstance(shape.member, StructureShape):
            yield from paths(shape.member, f"{before}[]")
    elif isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            path = f"{before}.{name}" if before else name
            inner = list(paths(member, path))
            yield from inner or [path]


def _shape(shape: Shape, member: str) -> Shape:
    for name in member.split("."):
        shape = shape.members[name.removesuffix("[]")]
        if name.endswith("[]"):
            shape = shape.member
    return shape

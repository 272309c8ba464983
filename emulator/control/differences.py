"""Where SageMaker differs from moto, which keeps the records of this emulator.

Owns: the answers that differ, with the reason. Must not know: who compares. A test sends the same
calls to bare moto and to the front: each difference stands here, and nothing that does not differ.
Calls that one of them refuses are in `differences_refused`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.sources import Evidence, Source, contract

_SERVICE_MODEL = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_{}.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`cases` are calls of the comparison, each with the part of the answer where it shows."""

    what: str
    moto: str
    aws: str
    source: Source
    cases: Sequence[str]


def documented(page: str) -> Source:
    """What a page of the API reference says of a member."""
    return Source(
        row=f"API reference, {page}",
        url=_SERVICE_MODEL.format(page),
        evidence=Evidence.DOCUMENTED,
    )


ANSWERS: Sequence[Difference] = (
    Difference(
        what="Names in ARNs",
        moto="as they were written",
        aws="in small letters",
        source=Source(
            row="users' reports",
            url="https://github.com/aws/amazon-sagemaker-examples/issues/293",
            evidence=Evidence.REPORTED,
        ),
        cases=(
            "CreateModel, capitals: ModelArn",
            "CreateEndpoint, capitals: EndpointArn",
            "ListTags, capitals: done or refused",
        ),
    ),
    Difference(
        what="Members that nobody set",
        moto="told empty: `[]`, `{}`, a role `arn:test`",
        aws="not told",
        source=documented("DescribeModel"),
        cases=(
            "DescribeModel: Containers",
            "DescribeModel: VpcConfig",
            "DescribeModel, isolated: Containers",
            "DescribeModel, isolated: VpcConfig",
            "DescribeModel, no role: Containers",
            "DescribeModel, no role: ExecutionRoleArn",
            "DescribeModel, no role: VpcConfig",
            "DescribeModel, one of several: PrimaryContainer",
            "DescribeModel, one of several: VpcConfig",
            "DescribeEndpointConfig: DataCaptureConfig",
            "DescribeEndpointConfig, members that are kept: DataCaptureConfig",
            "DescribeEndpoint: DataCaptureConfig",
            "DescribeEndpoint, weight 0: DataCaptureConfig",
            "DescribeEndpoint, at once: DataCaptureConfig",
            "DescribeEndpoint, container that does not start: DataCaptureConfig",
            "UpdateEndpointWeightsAndCapacities, told: DataCaptureConfig",
            "UpdateEndpointWeightsAndCapacities, serverless: DataCaptureConfig",
        ),
    ),
    Difference(
        what="Members that were set",
        moto="some are dropped; EnableNetworkIsolation is always false",
        aws="kept and told",
        source=documented("DescribeEndpointConfig"),
        cases=(
            "DescribeModel, isolated: EnableNetworkIsolation",
            "DescribeModel, isolated: InferenceExecutionConfig",
            "DescribeEndpointConfig: EnableNetworkIsolation",
            "DescribeEndpointConfig, members that are kept: EnableNetworkIsolation",
            "DescribeEndpointConfig, members that are kept: ExecutionRoleArn",
        ),
    ),
    Difference(
        what="A variant's weight",
        moto="not told unless it was set, nor when it is 0",
        aws="told; 1.0 where it was not set",
        source=contract("6.6"),
        cases=(
            *(
                f"{case}: ProductionVariants.InitialVariantWeight"
                for case in (
                    "DescribeEndpointConfig",
                    "DescribeEndpointConfig, members that are kept",
                )
            ),
            *(
                f"{case}: ProductionVariants.{which}Weight"
                for case in (
                    "DescribeEndpoint",
                    "DescribeEndpoint, weight 0",
                    "DescribeEndpoint, at once",
                    "UpdateEndpointWeightsAndCapacities, serverless",
                )
                for which in ("Current", "Desired")
            ),
        ),
    ),
    Difference(
        what="Which image runs",
        moto="not told",
        aws="DeployedImages, by digest",
        source=contract("6.10"),
        cases=tuple(
            f"{case}: ProductionVariants.DeployedImages"
            for case in (
                "DescribeEndpoint",
                "DescribeEndpoint, weight 0",
                "DescribeEndpoint, at once",
                "UpdateEndpointWeightsAndCapacities, told",
                "UpdateEndpointWeightsAndCapacities, serverless",
            )
        ),
    ),
    Difference(
        what="How an endpoint comes to life",
        moto="InService in the same moment, whatever its container does",
        aws="Creating first, with what is to come; then InService, or Failed with a FailureReason"
        " and no variants",
        source=contract("6.20"),
        cases=(
            "DescribeEndpoint, at once: EndpointStatus",
            "DescribeEndpoint, at once: PendingDeploymentSummary",
            "DescribeEndpoint, at once: ProductionVariants.VariantStatus",
            *(
                f"DescribeEndpoint, container that does not start: {part}"
                for part in (
                    "EndpointStatus",
                    "FailureReason",
                    "ProductionVariants.CurrentServerlessConfig",
                    "ProductionVariants.DesiredServerlessConfig",
                    "ProductionVariants.VariantName",
                )
            ),
        ),
    ),
    Difference(
        what="ServerlessUpdateConfig",
        moto="accepted and ignored",
        aws="changes concurrency in place",
        source=contract("4.19"),
        cases=tuple(
            f"UpdateEndpointWeightsAndCapacities, serverless: ProductionVariants.{which}"
            for which in ("CurrentServerlessConfig", "DesiredServerlessConfig")
        ),
    ),
    Difference(
        what="ListModels with MaxResults or a filter",
        moto="all models, always",
        aws="pages, and what was asked for",
        source=documented("ListModels"),
        cases=(
            "ListModels, pages: Models",
            "ListModels, pages: NextToken",
            "ListModels, by name: Models",
        ),
    ),
    Difference(
        what="The order of lists",
        moto="as they were created",
        aws="newest first, unless the call says otherwise",
        source=documented("ListEndpoints"),
        cases=(
            "ListModels, newest first: Models",
            "ListEndpointConfigs, newest first: EndpointConfigs",
            "ListEndpoints, newest first: Endpoints",
        ),
    ),
    Difference(
        what="A tag whose key is there",
        moto="is there twice",
        aws="gets the new value",
        source=documented("AddTags"),
        cases=("AddTags, same key: Tags",),
    ),
)

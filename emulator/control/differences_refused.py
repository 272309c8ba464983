"""Calls that SageMaker and moto do not both do, or refuse in other words.

Owns: these rows. Must not know: who compares. See `differences`.
"""

from __future__ import annotations

from collections.abc import Sequence

from emulator.control.differences import Difference, documented
from emulator.control.not_emulated import CODE
from emulator.sources import contract

DONE = "done or refused"

_CONSTRAINTS = (
    "CreateModel, bad name",
    "CreateModel, long name",
    "CreateModel, role that is none",
    "CreateModel, environment",
    "CreateModel, model data of this machine",
    "ListModels, too many",
    "CreateEndpointConfig, bad name",
    "CreateEndpointConfig, concurrency 201",
    "CreateEndpointConfig, no concurrency",
    "CreateEndpointConfig, variant's bad name",
    "CreateEndpointConfig, 11 variants",
    "CreateEndpointConfig, negative weight",
    "CreateEndpoint, bad name",
    "ListEndpoints, no status",
)
_SERVERLESS = (
    "CreateEndpointConfig, serverless and instances",
    "CreateEndpointConfig, two serverless variants",
    "CreateEndpointConfig, isolated serverless model",
)


def _refused(*cases: str) -> tuple[str, ...]:
    return tuple(f"{case}: {DONE}" for case in cases)


def _worded(*cases: str) -> tuple[str, ...]:
    return tuple(f"{case}: error" for case in cases)


REFUSALS: Sequence[Difference] = (
    Difference(
        what="Names that are taken",
        moto="the new one replaces the old one",
        aws="`Cannot create already existing ...`",
        source=contract("6.49"),
        cases=_refused(
            "CreateModel, twice", "CreateEndpointConfig, twice", "CreateEndpoint, twice"
        ),
    ),
    Difference(
        what="Endpoints whose names differ in the case of letters",
        moto="two endpoints",
        aws="`Cannot create already existing endpoint ...`",
        source=contract("6.8"),
        cases=_refused("CreateEndpoint, twice in other letters"),
    ),
    Difference(
        what="Lengths, patterns, ranges and enumerations of members",
        moto="not checked",
        aws="`1 validation error detected: Value ... at ... failed to satisfy constraint: ...`",
        source=documented("CreateEndpointConfig"),
        cases=_refused(*_CONSTRAINTS),
    ),
    Difference(
        what="Values of another type",
        moto="taken",
        aws="SerializationException",
        source=documented("CreateModel"),
        cases=_refused("CreateModel, wrong type", "CreateEndpointConfig, memory as text"),
    ),
    Difference(
        what="A model without a container, with both forms, or with a container without an image",
        moto="done",
        aws="ValidationException",
        source=contract("6.3"),
        cases=_refused(
            "CreateModel, no container", "CreateModel, both forms", "CreateModel, no image"
        ),
    ),
    Difference(
        what="An image that is in no ECR repository",
        moto="done",
        aws="`Using non-ECR image ... without Vpc repository access mode is not supported.`",
        source=contract("5.7"),
        cases=_refused("CreateModel, image of Docker Hub"),
    ),
    Difference(
        what="An image in ECR of another region",
        moto="done",
        aws="`Region of ... does not match expected region of ...`",
        source=contract("5.6"),
        cases=_refused("CreateModel, image of another region"),
    ),
    Difference(
        what="An image that is not there",
        moto="done",
        aws="`Requested image ... not found.`",
        source=contract("5.8"),
        cases=_refused("CreateModel, image that is not there"),
    ),
    Difference(
        what="Model data that is not there",
        moto="done",
        aws="`Could not access model data at ...`",
        source=contract("1.11"),
        cases=_refused("CreateModel, model data that is not there"),
    ),
    Difference(
        what="ProvisionedConcurrency above MaxConcurrency",
        moto="done",
        aws="ValidationException",
        source=contract("4.3"),
        cases=_refused("CreateEndpointConfig, provisioned above the most"),
    ),
    Difference(
        what="What serverless endpoints do not support",
        moto="done; with an InstanceType the memory is not even looked at",
        aws="ValidationException",
        source=contract("4.14"),
        cases=_refused(*_SERVERLESS),
    ),
    Difference(
        what="Two variants of one name; a variant with an InstanceType and no count",
        moto="done",
        aws="ValidationException",
        source=contract("6.6"),
        cases=_refused(
            "CreateEndpointConfig, variants of one name", "CreateEndpointConfig, no count"
        ),
    ),
    Difference(
        what="Newer instance types, as ml.g6.xlarge",
        moto="refused: its list is old",
        aws="done",
        source=documented("ProductionVariant"),
        cases=_refused("CreateEndpointConfig, newer instances"),
    ),
    Difference(
        what="An endpoint whose model is gone",
        moto="done",
        aws="`Could not find model ...`",
        source=contract("6.48"),
        cases=_refused("CreateEndpoint, its model is gone"),
    ),
    Difference(
        what="DeleteEndpoint while it is Creating",
        moto="done: it is never Creating",
        aws="`Cannot update in-progress endpoint ...`",
        source=contract("6.50"),
        cases=_refused("DeleteEndpoint, while Creating"),
    ),
    Difference(
        what="UpdateEndpoint",
        moto="HTTP 500 with a page of HTML: not implemented",
        aws="done, blue/green with roll-back",
        source=contract("6.22"),
        cases=_refused("UpdateEndpoint"),
    ),
    Difference(
        what="DesiredInstanceCount of a serverless variant",
        moto="done",
        aws="ValidationException",
        source=contract("4.19"),
        cases=_refused("UpdateEndpointWeightsAndCapacities, instances of serverless"),
    ),
    Difference(
        what="A NextToken that no list gave",
        moto="ignored by ListModels",
        aws="ValidationException",
        source=documented("ListModels"),
        cases=_refused("ListModels, bad token"),
    ),
    Difference(
        what="Inference pipelines and data capture",
        moto="stored",
        aws=f"done; byoc cannot, and refuses it by its name ({CODE})",
        source=documented("CreateModel"),
        cases=_refused("CreateModel, pipeline", "CreateEndpointConfig, data capture"),
    ),
    Difference(
        what="All other operations of SageMaker",
        moto="some are stored",
        aws=f"done; byoc refuses them by their name ({CODE})",
        source=documented("Operations_Amazon_SageMaker_Service"),
        cases=_refused("ListTrainingJobs"),
    ),
    Difference(
        what="Text of what could not be found",
        moto="the ARN in single quotes, or only the name",
        aws="the ARN in double quotes",
        source=contract("6.46"),
        cases=_worded(
            "DescribeModel, missing",
            "DeleteModel, missing",
            "CreateEndpointConfig, no model",
            "DescribeEndpointConfig, missing",
            "DeleteEndpointConfig, missing",
            "CreateEndpoint, no configuration",
            "DescribeEndpoint, missing",
            "DeleteEndpoint, missing",
        ),
    ),
    Difference(
        what="Memory sizes, instance types and kinds of variants that there are not",
        moto="refused in words of its own, which do not tell the place",
        aws="refused with the member's path; of sizes within the range the words are not known",
        source=contract("4.1"),
        cases=_worded(
            "CreateEndpointConfig, memory 1500",
            "CreateEndpointConfig, memory 7168",
            "CreateEndpointConfig, unknown instances",
            "CreateEndpointConfig, neither kind",
            "UpdateEndpointWeightsAndCapacities, unknown variant",
        ),
    ),
    Difference(
        what="What moto does not expect",
        moto="HTTP 500 with a page of HTML, which clients try again",
        aws="HTTP 400 with a code",
        source=documented("CommonErrors"),
        cases=_worded(
            "CreateEndpointConfig, no variants",
            "CreateEndpointConfig, variant without a model",
            "CreateEndpointConfig, no memory",
            "AddTags, missing",
            "An operation that there is not",
        ),
    ),
    Difference(
        what="A body that is no JSON",
        moto="as good as an empty one",
        aws="SerializationException",
        source=documented("CommonErrors"),
        cases=_worded("A body that is no JSON"),
    ),
)

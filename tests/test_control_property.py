"""Owns: the claim that the door accepts exactly what the rules accept and this emulator can do, for
calls made of botocore's service model; and what is true of every call that was accepted.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.api.runtime import ACCOUNT, REGION
from emulator.control.known import Inventory
from emulator.control.normal import normal, without_nulls
from emulator.control.not_emulated import CODE, not_emulated
from emulator.control.rules import refusal
from emulator.control.service_model import findings, input_shape
from tests.control_values import valid
from tests.control_world import (
    IMAGE,
    Body,
    World,
    configuration,
    control_world,
    endpoint,
    model,
    variant,
)

CONFIGURATIONS = input_shape("CreateEndpointConfig")
VARIANT = CONFIGURATIONS.members["ProductionVariants"].member
MODEL = input_shape("CreateModel")
NUMBERS = itertools.count()
HARD = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

MODELS = {
    "m": model(),
    "isolated": model("isolated", EnableNetworkIsolation=True),
    "single": {"ModelName": "single", "Containers": [{"Image": IMAGE}]},
}


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with control_world() as world:
        for body in MODELS.values():
            world.done("CreateModel", body)
        yield world


def mostly(shape: StructureShape, **often: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    """Two of these members or more, and some others that the service model has."""

    @st.composite
    def made(draw: st.DrawFn) -> Body:
        body = {name: draw(values) for name, values in often.items() if draw(st.booleans())}
        others = [name for name in shape.members if name not in often]
        for name in draw(st.lists(st.sampled_from(others), max_size=2, unique=True)):
            body[name] = draw(valid(shape.members[name]))
        return body

    return made()


COUNTS = st.integers(1, 200)
SIZES = st.sampled_from([1024, 2048, 6144, 3072.0])
SERVERLESS = st.fixed_dictionaries(
    {"MemorySizeInMB": SIZES, "MaxConcurrency": COUNTS}, optional={"ProvisionedConcurrency": COUNTS}
)
REAL = {
    "InstanceType": st.sampled_from(["ml.m5.large", "ml.g6.xlarge"]),
    "InitialInstanceCount": st.integers(1, 2),
}
KINDS = st.one_of(
    st.fixed_dictionaries({"ServerlessConfig": SERVERLESS}),
    st.fixed_dictionaries(REAL, optional={"InitialVariantWeight": st.sampled_from([0.0, 2.5])}),
)
SLIPS = st.one_of(
    st.fixed_dictionaries({"ModelName": st.sampled_from(["isolated", "single", "gone"])}),
    st.fixed_dictionaries({"VariantName": st.sampled_from(["a", "b_c"])}),
    st.fixed_dictionaries(
        {
            "ServerlessConfig": st.fixed_dictionaries(
                {
                    "MemorySizeInMB": st.sampled_from([1500, 7168, 2048]),
                    "MaxConcurrency": st.sampled_from([0, 200, 201]),
                }
            )
        }
    ),
    mostly(VARIANT, **REAL),
)


@st.composite
def configurations(draw: st.DrawFn) -> Body:
    """Right ones, and such with a slip or with members that few people know."""
    variants = [
        {"VariantName": name, "ModelName": "m", **draw(KINDS)}
        for name in draw(st.sampled_from([["a"], ["a"], ["a", "b"], []]))
    ]
    for slip in draw(st.lists(SLIPS, max_size=1)):
        variants[-1:] = [{**one, **slip} for one in variants[-1:]]
    more = draw(st.one_of(st.just({}), mostly(CONFIGURATIONS, KmsKeyId=st.just("alias/key"))))
    return {**more, "ProductionVariants": variants}


def judged(operation: str, body: Body) -> tuple[str, str] | None:
    """What the rules and the table of what is not emulated say."""
    url = body.get("PrimaryContainer", {}).get("ModelDataUrl", "")
    known = Inventory(region=REGION, account=ACCOUNT, models=MODELS, objects={url: False})
    refused = refusal(operation, body, known)
    if refused is not None:
        return refused.code, refused.message
    why = not_emulated(operation, normal(operation, body))
    return None if why is None else (CODE, why)


@HARD
@given(body=configurations())
def test_the_door_accepts_exactly_the_configurations_that_the_rules_accept(
    here: World, body: Body
) -> None:
    name = f"c{next(NUMBERS)}"
    body = {**body, "EndpointConfigName": name}
    answer = here.post("CreateEndpointConfig", body)
    expected = judged("CreateEndpointConfig", body)
    if expected is not None:
        assert answer.refusal == expected
        assert here.post("DescribeEndpointConfig", {"EndpointConfigName": name}).status == 400
        return
    assert answer.status == 200
    kept = normal("CreateEndpointConfig", body)
    told = here.done("DescribeEndpointConfig", {"EndpointConfigName": name})
    for member, value in kept.items():
        if member == "ProductionVariants":
            assert told[member] == [{"InitialVariantWeight": 1.0, **one} for one in value]
        elif member != "Tags":
            assert told[member] == value
    here.done("CreateEndpoint", endpoint(name, name))
    assert here.settled(name) == "InService"
    described = here.done("DescribeEndpoint", {"EndpointName": name})
    names = [one["VariantName"] for one in described["ProductionVariants"]]
    assert names == [one["VariantName"] for one in body["ProductionVariants"]]
    here.done("DeleteEndpoint", {"EndpointName": name})


@HARD
@given(body=mostly(
    MODEL,
    PrimaryContainer=st.one_of(
        st.just({"Image": IMAGE}), mostly(MODEL.members["PrimaryContainer"], Image=st.just(IMAGE))
    ),
    Containers=st.lists(st.just({"Image": IMAGE}), max_size=2),
    EnableNetworkIsolation=st.booleans(),
))  # fmt: skip
def test_the_door_accepts_exactly_the_models_that_the_rules_accept(here: World, body: Body) -> None:
    name = f"m{next(NUMBERS)}"
    body = {**body, "ModelName": name}
    answer = here.post("CreateModel", body)
    expected = judged("CreateModel", body)
    if expected is not None:
        assert answer.refusal == expected
        assert here.post("DescribeModel", {"ModelName": name}).status == 400
    else:
        told = here.done("DescribeModel", {"ModelName": name})
        kept = {k: v for k, v in normal("CreateModel", body).items() if k != "Tags"}
        assert {member: told[member] for member in kept} == kept


@pytest.mark.ahead
@pytest.mark.parametrize(
    "operation",
    ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint",
     "UpdateEndpointWeightsAndCapacities", "ListEndpoints", "AddTags"],
)  # fmt: skip
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_null_is_as_good_as_nothing(operation: str, data: st.DataObject) -> None:
    shape = input_shape(operation)
    body = data.draw(valid(shape))
    nulled = copy.deepcopy(body)
    places = st.sampled_from(empty_places(shape, nulled) or [({}, "")])
    for structure, name in data.draw(st.lists(places, max_size=4)):
        structure[name] = None
    assert without_nulls(operation, nulled) == without_nulls(operation, body)
    assert normal(operation, nulled) == normal(operation, body)


def empty_places(shape: Shape, value: Any) -> list[tuple[Body, str]]:
    """Members that are not there, in this structure and those in it."""
    if isinstance(shape, StructureShape):
        there = [one for name, inner in shape.members.items() if name in value
                 for one in empty_places(inner, value[name])]  # fmt: skip
        return [*there, *((value, name) for name in shape.members if name not in value)]
    if isinstance(shape, ListShape):
        return [one for item in value for one in empty_places(shape.member, item)]
    if isinstance(shape, MapShape):
        return [one for item in value.values() for one in empty_places(shape.value, item)]
    return []


@pytest.mark.ahead
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_kept_breaks_nothing_and_stays_as_it_is(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(["CreateModel", "CreateEndpointConfig"]))
    body = data.draw(valid(input_shape(operation)))
    kept = normal(operation, {**body, "Colour": "red"})
    assert findings(operation, kept) == []
    assert normal(operation, kept) == kept
    assert kept == body
    assert kept is not body


def test_numbers_are_whole_where_they_are() -> None:
    body = configuration(
        variant(ServerlessConfig={"MemorySizeInMB": 2048.0, "MaxConcurrency": 1e0})
    )
    (one,) = normal("CreateEndpointConfig", body)["ProductionVariants"]
    assert [type(value) for value in one["ServerlessConfig"].values()] == [int, int]

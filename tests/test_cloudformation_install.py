"""Ours is put on moto's CloudFormation, and taken off again without a trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from moto.cloudformation import models, responses

from emulator.api.moto_app import moto_lock
from emulator.api.stacks.moto_patches import Patch, Patches
from emulator.api.stacks.mount import Installed, install
from tests.stack_world import FakeCalls, stack_world

OWNERS = (
    models, responses, models.Stack, models.ChangeSet, models.CloudFormationBackend,
    responses.CloudFormationResponse,
)  # fmt: skip


def as_it_is() -> list[dict[str, Any]]:
    return [{n: v for n, v in vars(owner).items() if n[:2] != "__"} for owner in OWNERS]


@pytest.fixture
def before() -> Iterator[list[dict[str, Any]]]:
    found = as_it_is()
    yield found
    assert as_it_is() == found


def put_on(calls: FakeCalls) -> Installed:
    with moto_lock:
        return install(calls, moto_lock)


def test_moto_is_afterwards_exactly_as_it_was(before: list[dict[str, Any]]) -> None:
    installed = put_on(FakeCalls())
    changed = [
        (owner.__name__, name)
        for owner, was in zip(OWNERS, before, strict=True)
        for name, value in vars(owner).items()
        if name[:2] != "__" and was.get(name) is not value
    ]
    assert ("Stack", "create_resources") in changed
    assert ("CloudFormationBackend", "execute_change_set") in changed
    assert ("CloudFormationResponse", "update_termination_protection") in changed
    installed.uninstall()
    assert as_it_is() == before
    installed.uninstall()


@pytest.mark.usefixtures("before")
def test_installing_twice_is_one_and_another_takes_its_place() -> None:
    calls = FakeCalls()
    first = put_on(calls)
    assert put_on(calls) is first
    other = put_on(FakeCalls())
    assert other is not first
    first.uninstall()  # it is off already
    assert models.CloudFormationBackend.byoc_installed is other  # type: ignore[attr-defined]
    other.uninstall()


def test_a_moto_that_is_made_otherwise_is_named_and_left_alone() -> None:
    class Moto:
        there = 1

    patches = Patches(
        all=[
            Patch(owner=Moto, name="there", value=2),
            Patch(owner=Moto, name="create_stack", value=3),
        ]
    )
    with pytest.raises(RuntimeError, match=r"has no Moto\.create_stack; .* Install the version"):
        patches.put_on()
    assert vars(Moto)["there"] == 1


@pytest.mark.usefixtures("before")
def test_a_door_that_closes_while_a_stack_is_made_leaves_no_thread_and_begins_nothing() -> None:
    def of(kind: str, after: str, **properties: Any) -> dict[str, Any]:
        return {"Type": f"AWS::SageMaker::{kind}", "DependsOn": after, "Properties": properties}

    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/iris:1"
    model = {"PrimaryContainer": {"Image": image}}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    name = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    template = {
        "Resources": {
            "Model": {"Type": "AWS::SageMaker::Model", "Properties": model},
            "Config": of("EndpointConfig", "Model", ProductionVariants=[variant]),
            "Endpoint": of("Endpoint", "Config", EndpointConfigName=name),
            "Late": of("Model", "Endpoint", **model),
        }
    }
    with stack_world() as world:
        world.calls.hold()
        world.client("cloudformation").create_stack(
            StackName="s", TemplateBody=json.dumps(template)
        )
        assert world.calls.waiting.wait(10)
        world.door.stop()
    assert world.calls.operations() == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert not [t.name for t in threading.enumerate() if t.name.startswith("byoc-stack")]
    with moto_lock:
        backend = models.cloudformation_backends["123456789012"]["eu-central-1"]
        backend.reset()

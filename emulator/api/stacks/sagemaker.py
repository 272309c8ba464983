"""Models, endpoint configurations and endpoints of a stack, by SageMaker's own calls.

Owns: properties as calls, what needs a replacement, when an endpoint counts as made. Must not know:
stacks' order and rollback, moto.

CloudFormation's properties are the members of the calls, so the calls' rules judge them:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_SageMaker.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.api.stacks import texts
from emulator.api.stacks.graph import Settle
from emulator.api.stacks.names import made_up
from emulator.api.stacks.resource import Change, Failed, Made, Wanted, Where
from emulator.control.coerce import coerced
from emulator.control.lint import calls as as_calls
from emulator.control.rule import arn
from emulator.control.rules import Refusal
from emulator.control.service_model import Unknown, findings, input_shape
from emulator.control.template import TYPES, Type

Body = dict[str, Any]


class Calls(Protocol):
    """SageMaker, from this process (`emulator.api.calls`). `call` raises an exception that has a
    `refusal`. Both belong in a thread that holds moto's lock; `settled` gives it back meanwhile.
    """

    def call(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        region: str,
        account: str,
        by: str = "api",
    ) -> dict[str, Any]: ...

    def settled(self, endpoint_name: str, *, region: str, account: str) -> tuple[Any, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a template's functions get: `Ref` the ARN, `Fn::GetAtt` the name."""

    physical_resource_id: str
    kind: Type
    name: str

    def get_cfn_attribute(self, attribute: str) -> str:
        if attribute != self.kind.name_property:
            raise Failed(texts.UNSUPPORTED_ATTRIBUTE.format(self.kind.resource, attribute))
        return self.name


class SageMaker:
    """One of the three kinds."""

    def __init__(self, calls: Calls, kind: Type) -> None:
        self._calls = calls
        self._kind = kind

    def named(self, wanted: Wanted) -> str:
        return str(wanted.properties.get(self._kind.name_property, ""))

    def create(self, where: Where, wanted: Wanted) -> Made:
        name = self.named(wanted) or made_up(where.stack, wanted.logical)
        self._call(where, f"Create{self._kind.resource}", self._bodies(where, wanted, name)[0])
        return self._made(where, name, self._in_service(where, name, created=True))

    def change(self, before: Wanted, wanted: Wanted) -> Change:
        changed = {
            name
            for name in {*before.properties, *wanted.properties}
            if before.properties.get(name) != wanted.properties.get(name)
        }
        if not changed:
            return Change.NONE
        fixed = {self._kind.name_property} if self._is_endpoint else changed - {"Tags"}
        return Change.REPLACEMENT if changed & fixed else Change.IN_PLACE

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        self._retag(where, made, before, wanted)
        settle = None
        if self._is_endpoint:
            settle = self._update_endpoint(where, made.name, wanted)
        return self._made(where, made.name, settle)

    def delete(self, where: Where, wanted: Wanted, made: Made) -> Settle | None:
        del wanted  # only its name counts
        if self._is_endpoint:  # SageMaker deletes none that is under way
            self._settled(where, made.name)
        try:
            self._call(where, f"Delete{self._kind.resource}", {self._kind.name_property: made.name})
        except _Gone:
            return None
        return (lambda: self._deleted(where, made.name)) if self._is_endpoint else None

    @property
    def _is_endpoint(self) -> bool:
        return self._kind.resource == "Endpoint"

    def _bodies(self, where: Where, wanted: Wanted, name: str) -> list[Body]:
        """Of the call that makes it; then, of an endpoint, of the one that changes it."""
        said: Any = {**wanted.properties, self._kind.name_property: name}
        own = _tags(wanted.properties)
        if where.tags and isinstance(own, dict):  # a resource's own tags come before its stack's
            said["Tags"] = _listed({**where.tags, **own})
        for operation in self._kind.operations:
            said = coerced(input_shape(operation), said)
        for operation, part in as_calls(self._kind, said):
            for finding in findings(operation, part):
                if isinstance(finding, Unknown):
                    raise Failed(texts.UNSUPPORTED.format(name=finding.name))
        return [
            {member: value for member, value in said.items() if member in shape.members}
            for shape in map(input_shape, self._kind.operations)
        ]

    def _update_endpoint(self, where: Where, name: str, wanted: Wanted) -> Settle | None:
        body = self._bodies(where, wanted, name)[1]
        there = self._call(where, "DescribeEndpoint", {"EndpointName": name})
        # After an update that failed, SageMaker has gone back by itself.
        if there.get("EndpointConfigName") == body.get("EndpointConfigName"):
            return None
        self._call(where, "UpdateEndpoint", body)
        return self._in_service(where, name, created=False)

    def _retag(self, where: Where, made: Made, before: Wanted, wanted: Wanted) -> None:
        old, new = _tags(before.properties), _tags(wanted.properties)
        if old == new or not isinstance(old, dict) or not isinstance(new, dict):
            return
        if gone := [key for key in old if key not in {**where.tags, **new}]:
            self._call(where, "DeleteTags", {"ResourceArn": made.physical, "TagKeys": gone})
        if new:
            body = {"ResourceArn": made.physical, "Tags": _listed(new)}
            self._call(where, "AddTags", body)

    def _in_service(self, where: Where, name: str, *, created: bool) -> Settle | None:
        def settle() -> None:
            status, reason = self._settled(where, name)
            # An update that failed leaves an endpoint in service, with a reason.
            if status != "InService" or (reason and not created):
                raise Failed(reason or f"The endpoint {name} ended as {status or 'deleted'}.")

        return settle if self._is_endpoint else None

    def _deleted(self, where: Where, name: str) -> None:
        status, reason = self._settled(where, name)
        if status:
            raise Failed(reason or f"The endpoint {name} is still {status}.")

    def _settled(self, where: Where, name: str) -> tuple[str, str]:
        status, reason = self._calls.settled(name, region=where.region, account=where.account)
        return str(getattr(status, "value", status) or ""), reason or ""

    def _made(self, where: Where, name: str, settle: Settle | None) -> Made:
        physical = arn(self._kind.resource, name, where.region, where.account)
        value = Attributes(physical_resource_id=physical, kind=self._kind, name=name)
        return Made(physical=physical, name=name, value=value, settle=settle)

    def _call(self, where: Where, operation: str, body: Body) -> dict[str, Any]:
        try:
            return self._calls.call(
                operation, body, region=where.region, account=where.account, by="cloudformation"
            )
        except Exception as error:
            refusal = getattr(error, "refusal", None)
            if not isinstance(refusal, Refusal):
                raise
            if refusal.message.startswith("Could not find ") and operation.startswith("Delete"):
                raise _Gone from error
            raise Failed(refused(refusal)) from error


class _Gone(Exception):
    """What is to be deleted is not there."""


def refused(refusal: Refusal) -> str:
    """A refused call as the reason of a resource's status."""
    return texts.REFUSED.format(
        message=refusal.message,
        service="AmazonSageMaker",
        status=refusal.status,
        code=refusal.code,
        request_id=uuid.uuid4(),
    )


def _tags(properties: Mapping[str, Any]) -> Any:
    """By key; as they are where they are no list of tags, for the call's rules to tell."""
    listed = properties.get("Tags", [])
    try:
        return {str(tag["Key"]): tag["Value"] for tag in listed}
    except (TypeError, KeyError):
        return listed


def _listed(tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def handlers(calls: Calls) -> dict[str, SageMaker]:
    """By the resources' types."""
    return {name: SageMaker(calls, kind) for name, kind in TYPES.items()}

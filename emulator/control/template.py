"""A CloudFormation template as the calls that it makes.

Owns: parameters, which resources there are, their names, what they depend on, and their properties
with every function done. Must not know: rules, texts, lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emulator.control.intrinsics import ABSENT, MAYBE, Resolver
from emulator.control.rule import arn
from emulator.control.service_model import fits
from emulator.control.unknown import UNKNOWN, NotKnown

ROLE = "AWS::IAM::Role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A resource type of SageMaker: the call that makes it, and the one that changes it where
    that has properties of its own.
    """

    resource: str
    operations: tuple[str, ...]

    @property
    def name_property(self) -> str:
        return f"{self.resource}Name"


TYPES: Mapping[str, Type] = {
    f"AWS::SageMaker::{resource}": Type(resource=resource, operations=operations)
    for resource, operations in (
        ("Model", ("CreateModel",)),
        ("EndpointConfig", ("CreateEndpointConfig",)),
        ("Endpoint", ("CreateEndpoint", "UpdateEndpoint")),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stack would be made; None is not told, and then no rule compares it."""

    region: str | None = None
    account: str | None = None
    stack: str = "Stack"

    @property
    def some_region(self) -> str:
        return self.region or "us-east-1"

    @property
    def some_account(self) -> str:
        return self.account or "123456789012"

    def pseudo(self) -> dict[str, Any]:
        """Values of `AWS::Region` and its like."""
        china = self.some_region.startswith("cn-")
        partition = arn("Model", "x", self.some_region, self.some_account).split(":")[1]
        return {
            "AWS::AccountId": self.some_account,
            "AWS::Partition": partition,
            "AWS::Region": self.some_region,
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": "amazonaws.com.cn" if china else "amazonaws.com",
        }


class Stack:
    """One template, with the parameters that it was given."""

    def __init__(
        self, template: Mapping[str, Any], parameters: Mapping[str, Any], place: Place
    ) -> None:
        self.place = place
        self._asked: set[str] = set()
        found = template.get("Resources")
        resources = found if isinstance(found, dict) else {}
        self.resources: dict[str, dict[str, Any]] = {
            name: body for name, body in resources.items()
            if isinstance(name, str) and isinstance(body, dict)
        }  # fmt: skip
        self.declared = _section(template, "Parameters")
        self._resolver = Resolver(
            parameters={name: self._parameter(name, parameters) for name in self.declared},
            pseudo=place.pseudo(),
            attribute=self._attribute,
            mappings=_section(template, "Mappings"),
            conditions=_section(template, "Conditions"),
        )

    def of_sagemaker(self) -> Iterator[tuple[str, Type]]:
        """Resources that a call of ours makes, unless a condition surely leaves them out."""
        for logical, body in self.resources.items():
            kind = body.get("Type")
            if isinstance(kind, str) and kind in TYPES and self.is_made(logical) is not False:
                yield logical, TYPES[kind]

    def is_made(self, logical: str) -> bool | None:
        """Whether the resource's condition holds; None when that is not known."""
        body = self.resources[logical]
        return self._resolver.condition(body["Condition"]) if "Condition" in body else True

    def resolve(self, value: Any) -> Any:
        found = self._resolver.resolve(value)
        return UNKNOWN if found is ABSENT or found is MAYBE else found

    def properties(self, logical: str) -> Any:
        """The resource's properties with every function in them done."""
        written = self.resources[logical].get("Properties")
        return {} if written is None else self.resolve(written)

    def name(self, logical: str) -> Any:
        """The resource's name: as written, or like the one that CloudFormation makes up."""
        kind = TYPES[self.resources[logical]["Type"]]
        try:
            written = self._own(logical).get(kind.name_property)
        except NotKnown:
            return UNKNOWN
        return f"{self.place.stack}-{logical}"[:63] if written is None else written

    def _own(self, logical: str) -> Any:
        """Only the name's property, for others may refer back to this resource."""
        body = self.resources[logical]
        properties = body.get("Properties")
        kind = TYPES[body["Type"]].name_property
        written = properties.get(kind) if isinstance(properties, dict) else None
        return self._resolver.resolve({kind: written})

    def role_arn(self, logical: str) -> Any:
        """A role's ARN, with a name in it that is like the one it will get."""
        properties = self.resources[logical].get("Properties")
        written = properties.get("RoleName") if isinstance(properties, dict) else None
        name = self.resolve(written) if written is not None else logical
        partition = self.place.pseudo()["AWS::Partition"]
        where = f"arn:{partition}:iam::{self.place.some_account}:role/"
        return where + name if isinstance(name, str) else UNKNOWN

    @cached_property
    def depends(self) -> Mapping[str, frozenset[str]]:
        """What each resource waits for, by itself or through others."""
        direct = {name: self.names(body) for name, body in self.resources.items()}
        return {name: _reached(name, direct) for name in direct}

    def names(self, body: Mapping[str, Any]) -> frozenset[str]:
        """Resources that a resource names: DependsOn, Ref, GetAtt, Sub."""
        after = body.get("DependsOn") or []
        listed = after if isinstance(after, list) else [after]
        found = {name for name in listed if isinstance(name, str)}
        return frozenset(found | set(references(body.get("Properties"))))

    def _parameter(self, name: str, given: Mapping[str, Any]) -> Any:
        declared = self.declared[name] if isinstance(self.declared[name], dict) else {}
        kind = str(declared.get("Type", "String"))
        value = given.get(name, declared.get("Default", UNKNOWN))
        if value is UNKNOWN or (kind.startswith("AWS::SSM::") and name not in given):
            return UNKNOWN
        if (kind == "CommaDelimitedList" or kind.startswith("List<")) and isinstance(value, str):
            return [item.strip() for item in value.split(",")]
        return value

    def _attribute(self, logical: str, attribute: str | None) -> Any:
        if logical in self._asked:
            return UNKNOWN  # its name refers to itself
        self._asked.add(logical)
        try:
            return self._attribute_of(logical, attribute)
        finally:
            self._asked.remove(logical)

    def _attribute_of(self, logical: str, attribute: str | None) -> Any:
        body = self.resources.get(logical)
        kind = None if body is None else body.get("Type")
        if kind == ROLE and attribute == "Arn":
            return self.role_arn(logical)
        if kind == ROLE and attribute is None:
            role = self.role_arn(logical)
            return role.rpartition("/")[2] if isinstance(role, str) else UNKNOWN
        if not isinstance(kind, str) or kind not in TYPES:
            return UNKNOWN
        resource, name = TYPES[kind].resource, self.name(logical)
        if attribute == TYPES[kind].name_property:
            right = fits(TYPES[kind].operations[0], attribute, name)
            return name if right else UNKNOWN  # a wrong name is told where it is written
        if attribute is None and isinstance(name, str):
            return arn(resource, name, self.place.some_region, self.place.some_account)
        return UNKNOWN


def references(value: Any) -> Iterator[str]:
    """Logical names in `Ref`, `Fn::GetAtt` and `Fn::Sub`, parameters among them."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "Ref" and isinstance(item, str):
                yield item
            elif name == "Fn::GetAtt":
                first = item[0] if isinstance(item, list) and item else item
                yield str(first).partition(".")[0]
            elif name == "Fn::Sub":
                yield from _in_text(item)
            else:
                yield from references(item)


def _in_text(argument: Any) -> Iterator[str]:
    text, given = argument, {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
        text, given = argument
        yield from references(given)
    for part in str(text).split("${")[1:]:
        name = part.partition("}")[0].partition(".")[0].strip()
        if not name.startswith("!") and name not in given:
            yield name


def _section(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = template.get(name)
    return found if isinstance(found, dict) else {}


def _reached(name: str, direct: Mapping[str, frozenset[str]]) -> frozenset[str]:
    seen: set[str] = set()
    waiting = list(direct.get(name, ()))
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen.add(other)
            waiting += direct.get(other, ())
    return frozenset(seen)

"""What CloudFormation refuses of a request before it does anything.

Owns: capabilities, statuses in which a stack may be changed, references that lead nowhere. Must not
know: moto, requests.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from emulator.api.stacks import texts
from emulator.api.stacks.graph import Circular, after, named, order
from emulator.control import words

IAM, NAMED_IAM = "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"

IAM_NAMES: Mapping[str, str] = {
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": "",
}
"""Types that need a capability, and the property that makes it the stronger one:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
"""

UPDATABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "CREATE_FAILED",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)


class Refused(Exception):
    """CloudFormation's ValidationError, or the code that is told."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


LONGEST_NAME = 128
NAME = "[a-zA-Z][-a-zA-Z0-9]*"


def check_name(name: str) -> None:
    """Of a stack that is to be made."""
    broken = []
    if len(name) > LONGEST_NAME:
        broken.append(words.at_most(LONGEST_NAME, "length"))
    if re.fullmatch(NAME, name) is None:
        broken.append(words.like(NAME))
    if broken:
        shown = words.quoted(name)
        sentences = [words.broken(shown, "stackName", constraint) for constraint in broken]
        raise Refused(words.detected(sentences))


def check_capabilities(template: Mapping[str, Any], given: Collection[str]) -> None:
    needed = capability(template)
    enough = {NAMED_IAM} if needed == NAMED_IAM else {IAM, NAMED_IAM}
    if needed and not enough.intersection(given):
        raise Refused(
            texts.CAPABILITIES.format(capability=needed), "InsufficientCapabilitiesException"
        )


def capability(template: Mapping[str, Any]) -> str:
    """The one that this template needs; empty when it needs none."""
    needed = ""
    for body in resources(template).values():
        if (name := IAM_NAMES.get(str(body.get("Type")))) is not None:
            properties = body.get("Properties")
            if name and isinstance(properties, Mapping) and name in properties:
                return NAMED_IAM
            needed = IAM
    return needed


def check_template(template: Mapping[str, Any]) -> None:
    """That all references lead somewhere, and not in a circle."""
    there = resources(template)
    known = {*there, *(template.get("Parameters") or {})}
    dangling = {
        name
        for body in there.values()
        for name in named(body) - known
        if not name.startswith("AWS::")
    }
    if dangling and "Transform" not in template:
        raise Refused(texts.UNRESOLVED.format(names=", ".join(sorted(dangling))))
    try:
        order(after(there))
    except Circular as circle:
        raise Refused(texts.CIRCULAR.format(names=circle)) from circle


def check_types(before: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    old = resources(before)
    changed = [
        name
        for name, body in resources(template).items()
        if name in old and old[name].get("Type") != body.get("Type")
    ]
    if changed:
        raise Refused(texts.TYPE_CHANGED.format(names=", ".join(changed)))


def check_parameters(template: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    missing = [n for n, body in declared.items() if "Default" not in body and n not in given]
    if missing:
        raise Refused(texts.NO_VALUES.format(names=", ".join(missing)))
    if unknown := [name for name in given if name not in declared]:
        raise Refused(texts.NOT_DECLARED.format(names=", ".join(unknown)))


def check_updatable(stack_id: str, status: str) -> None:
    if status not in UPDATABLE:
        raise Refused(texts.CANNOT_UPDATE.format(stack_id=stack_id, status=status))


def check_deletable(name: str, stack_id: str, status: str, *, protected: bool) -> None:
    if protected:
        raise Refused(texts.PROTECTED.format(name=name))
    busy = status.endswith("_IN_PROGRESS")
    if busy and not status.startswith(("CREATE_", "REVIEW_", "DELETE_", "ROLLBACK_")):
        raise Refused(texts.CANNOT_DELETE.format(stack_id=stack_id, status=status))


def resources(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = template.get("Resources")
    bodies = found.items() if isinstance(found, Mapping) else ()
    return {name: body for name, body in bodies if isinstance(body, Mapping)}

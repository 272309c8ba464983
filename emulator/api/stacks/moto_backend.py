"""moto's backend of CloudFormation, where a stack takes its time.

Owns: what takes the place of methods of moto's `CloudFormationBackend` and `Stack`, and what is
refused before a stack changes. Must not know: requests, what a change of a stack does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.api.stacks import texts
from emulator.api.stacks.moto_patches import Patch
from emulator.api.stacks.moto_stack import Stacks, as_moto, kept
from emulator.api.stacks.moto_template import read, resource_map
from emulator.api.stacks.operation import ROLLBACK
from emulator.api.stacks.rules import Refused, check_updatable

ASKED = "byoc_on_failure"
"""Where a request leaves what it wants to happen after a failure."""


def of_stacks(stacks: Stacks) -> Iterator[Patch]:
    """Moto's `Stack` and `ChangeSet`."""
    from moto.cloudformation.models import ChangeSet, Stack

    def parse_template(template: str) -> dict[str, Any]:
        with as_moto():
            return read(template)

    def _parse_template(self: Any) -> None:
        self.template_dict = parse_template(self.template)

    def _create_resource_map(self: Any) -> Any:
        with as_moto():
            return resource_map(self)

    def raw_parameters(self: Any) -> dict[str, Any]:
        declared: Mapping[str, Any] = self.template_dict.get("Parameters") or {}
        return {
            name: self.parameters.get(name, body.get("Default")) for name, body in declared.items()
        }

    def parameter_list(self: Any) -> list[dict[str, Any]]:
        resolved = self.resource_map.resolved_parameters
        hidden = getattr(self.resource_map, "no_echo_parameter_keys", ())
        shown = []
        for name, value in raw_parameters(self).items():
            said = {"ParameterKey": name, "ParameterValue": "****" if name in hidden else value}
            if str(self.template_dict["Parameters"][name].get("Type")).startswith("AWS::SSM::"):
                said["ResolvedValue"] = resolved.get(name)
            shown.append(said)
        return shown

    def delete(self: Any) -> None:
        with as_moto():
            stacks.delete(self, [])

    members: Mapping[str, Any] = {
        "parse_template": staticmethod(parse_template),
        "_create_resource_map": _create_resource_map,
        "create_resources": bound(stacks.create),
        "delete": delete,
        "outputs": property(lambda self: kept(self).outputs or None),
        "exports": property(lambda self: kept(self).exports),
        "stack_parameters": property(raw_parameters),
        "parameter_list": property(parameter_list),
    }
    yield from (Patch(owner=Stack, name=name, value=value) for name, value in members.items())
    yield Patch(owner=ChangeSet, name="_parse_template", value=_parse_template)


def of_backend(stacks: Stacks) -> Iterator[Patch]:
    """Moto's `CloudFormationBackend`."""
    from moto.cloudformation.models import CloudFormationBackend

    methods = Methods(stacks, CloudFormationBackend.create_change_set)
    for name in (
        "create_stack", "update_stack", "delete_stack", "create_change_set", "execute_change_set",
    ):  # fmt: skip
        yield Patch(owner=CloudFormationBackend, name=name, value=bound(getattr(methods, name)))


def bound(method: Callable[..., Any]) -> Callable[..., Any]:
    """As a method of another class, which comes as the first argument."""

    def called(self: Any, *given: Any, **named: Any) -> Any:
        return method(self, *given, **named)

    return called


class Methods:
    """What the backend's methods do; the backend comes first."""

    def __init__(self, stacks: Stacks, motos_change_set: Callable[..., Any]) -> None:
        self._stacks, self._motos_change_set = stacks, motos_change_set

    def create_stack(self, backend: Any, name: str, template: str, **given: Any) -> Any:
        with as_moto():
            if named(backend, name) is not None:
                raise Refused(texts.EXISTS.format(name=name), "AlreadyExistsException")
        stack = _new(backend, name, template, **given)
        backend.stacks[stack.stack_id] = stack
        self._stacks.create(stack, _asked(backend))
        return stack

    def update_stack(
        self,
        backend: Any,
        *,
        name: str,
        template: str,
        role_arn: str | None,
        parameters: list[dict[str, Any]],
        tags: dict[str, str] | None,
    ) -> Any:
        stack = backend.get_stack(name)
        new = {"template": template, "parameters": _parameters(stack, parameters)}
        if tags is not None:
            new["tags"] = tags
        with as_moto():
            check_updatable(stack.stack_id, stack.status)
            if _same(stack, new):
                raise Refused(texts.NOTHING_TO_UPDATE)
            self._stacks.update(stack, {**new, "role_arn": role_arn}, _asked(backend))
        return stack

    def delete_stack(
        self, backend: Any, name_or_stack_id: str, retained: list[str] | None = None
    ) -> None:
        stack = named(backend, name_or_stack_id)
        if stack is not None:
            with as_moto():
                self._stacks.delete(stack, retained or [])

    def create_change_set(self, backend: Any, **given: Any) -> Any:
        name, change_set = given["stack_name"], given["change_set_name"]
        stack = named(backend, name)
        creates = given["change_set_type"] == "CREATE"
        with as_moto():
            if creates:
                if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                    told = texts.EXISTS_FOR_CHANGE_SET.format(name=name, change_set=change_set)
                    raise Refused(told)
            elif stack is not None:
                given["stack_name"] = stack.name
                check_updatable(stack.stack_id, stack.status)
        # Refused now is what would be refused when the change set is executed.
        _new(backend, given["stack_name"], given["template"], given["parameters"])
        if creates and stack is not None:
            del backend.stacks[stack.stack_id]
        made: Any = self._motos_change_set(backend, **given)
        setattr(backend.change_sets[made[0]], ASKED, _asked(backend))
        return made

    def execute_change_set(
        self, backend: Any, change_set_name: str, stack_name: str | None = None
    ) -> None:
        del stack_name  # the name is an ARN here
        change_set = backend.change_sets[change_set_name]
        if change_set.execution_status != "AVAILABLE":
            told = texts.NOT_EXECUTABLE.format(
                change_set=change_set_name, status=change_set.execution_status
            )
            with as_moto():
                raise Refused(told, "InvalidChangeSetStatus")
        stack = backend.stacks[change_set.stack_id]
        new = {"template": change_set.template, "parameters": change_set.parameters}
        if change_set.tags:
            new["tags"] = change_set.tags
        on_failure = _asked(backend, getattr(change_set, ASKED, ROLLBACK))
        with as_moto():
            if change_set.change_set_type == "CREATE":
                stack.cross_stack_resources = backend.exports
                self._stacks.load(stack, new)
                self._stacks.create(stack, on_failure)
            else:
                self._stacks.update(stack, new, on_failure)
        stack.change_set_id = change_set.change_set_id
        change_set.execution_status = "EXECUTE_COMPLETE"


def named(backend: Any, name: str) -> Any:
    """A stack that is not deleted, by name or ID."""
    return next((s for s in backend.stacks.values() if name in (s.name, s.stack_id)), None)


def _new(backend: Any, name: str, template: str, parameters: dict[str, Any], **given: Any) -> Any:
    """Raises moto's errors."""
    from moto.cloudformation import models
    from moto.cloudformation.utils import generate_stack_id

    stack: Any = models.Stack
    return stack(
        stack_id=generate_stack_id(name, backend.region_name, backend.account_id),
        name=name,
        template=template,
        parameters=parameters,
        account_id=backend.account_id,
        region_name=backend.region_name,
        cross_stack_resources=backend.exports,
        **given,
    )


def _same(stack: Any, new: Mapping[str, Any]) -> bool:
    template = read(new["template"])
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    values = {name: new["parameters"].get(name, b.get("Default")) for name, b in declared.items()}
    same_tags = "tags" not in new or new["tags"] == stack.tags
    return template == stack.template_dict and values == stack.stack_parameters and same_tags


def _parameters(stack: Any, given: list[dict[str, Any]]) -> dict[str, Any]:
    before: Mapping[str, Any] = stack.stack_parameters
    return {
        one["ParameterKey"]: before[one["ParameterKey"]]
        if one.get("UsePreviousValue") and one["ParameterKey"] in before
        else one.get("ParameterValue")
        for one in given
    }


def _asked(backend: Any, otherwise: str = ROLLBACK) -> str:
    """What the request that is answered now wants to happen after a failure."""
    found: str = vars(backend).pop(ASKED, otherwise)
    return found

"""Stacks in stacks.

Owns: a stack as a resource of another one. Must not know: what a stack does, moto's protocols.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stack.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from emulator.api.stacks import texts
from emulator.api.stacks.graph import Settle
from emulator.api.stacks.moto_stack import kept
from emulator.api.stacks.names import made_up
from emulator.api.stacks.resource import Change, Failed, Made, Wanted, Where
from emulator.api.stacks.work import Works


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What functions of the outer template get: `Ref` the ID, `Fn::GetAtt` outputs."""

    stack: Any

    @property
    def physical_resource_id(self) -> str:
        return str(self.stack.stack_id)

    def get_cfn_attribute(self, attribute: str) -> str:
        for output in kept(self.stack).outputs:
            if attribute == f"Outputs.{output['OutputKey']}":
                return output["OutputValue"]
        raise Failed(texts.UNSUPPORTED_ATTRIBUTE.format("Stack", attribute))


class Nested:
    """A handler of resources."""

    KIND: ClassVar = "AWS::CloudFormation::Stack"

    def __init__(self, works: Works) -> None:
        self._works = works

    def named(self, wanted: Wanted) -> str:
        del wanted
        return ""

    def create(self, where: Where, wanted: Wanted) -> Made:
        name = made_up(where.stack, wanted.logical, longest=128)
        with _told():
            stack = _backend(where).create_stack(
                name=name,
                template=_template(where, wanted),
                parameters=_parameters(wanted),
                tags=dict(where.tags),
            )
        settle = self._settle(stack, "created", ("CREATE_COMPLETE",))
        return Made(physical=stack.stack_id, name=name, value=Embedded(stack=stack), settle=settle)

    def change(self, before: Wanted, wanted: Wanted) -> Change:
        same = before.properties == wanted.properties
        return Change.NONE if same else Change.IN_PLACE

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        del before
        settle = None
        parameters = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in _parameters(wanted).items()
        ]
        try:
            with _told():
                _backend(where).update_stack(
                    name=made.physical,
                    template=_template(where, wanted),
                    role_arn=None,
                    parameters=parameters,
                    tags=None,
                )
            settle = self._settle(made.value.stack, "updated", ("UPDATE_COMPLETE",))
        except Failed as error:
            if str(error) != texts.NOTHING_TO_UPDATE:
                raise
        return Made(physical=made.physical, name=made.name, value=made.value, settle=settle)

    def delete(self, where: Where, wanted: Wanted, made: Made) -> Settle | None:
        del wanted
        with _told():
            _backend(where).delete_stack(made.physical)
        return self._settle(made.value.stack, "deleted", ("DELETE_COMPLETE",))

    def _settle(self, stack: Any, what: str, good: tuple[str, ...]) -> Settle:
        def settle() -> None:
            if (work := self._works.of(stack.stack_id)) is not None:
                with self._works.elsewhere():
                    work.done.result()
            if stack.status not in good:
                told = [e for e in stack.events if e.resource_status == stack.status]
                reason = (told and told[-1].resource_status_reason) or _why(stack)
                raise Failed(
                    texts.NOT_EMBEDDED.format(stack_id=stack.stack_id, what=what, reason=reason)
                )

        return settle


class _told:  # noqa: N801  used as a function
    """What moto refuses becomes the reason of a status."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        message = getattr(error, "message", None)
        if message is not None:
            raise Failed(str(message)) from error


def _why(stack: Any) -> str:
    """Which of its resources failed."""
    failed = [
        event.logical_resource_id
        for event in stack.events
        if event.resource_status.endswith("_FAILED") and event.logical_resource_id != stack.name
    ]
    return texts.FAILED_TO.format(what="create", names=", ".join(failed)).strip()


def _backend(where: Where) -> Any:
    from moto.cloudformation.models import cloudformation_backends

    return cloudformation_backends[where.account][where.region]


def _template(where: Where, wanted: Wanted) -> str:
    from moto.cloudformation import responses
    from moto.utilities.utils import get_partition

    url = wanted.properties.get("TemplateURL")
    if not isinstance(url, str):
        raise Failed("Value of property TemplateURL must be a string.")
    found: str = vars(responses)["get_stack_from_s3_url"](
        url, account_id=where.account, partition=get_partition(where.region)
    )
    return found


def _parameters(wanted: Wanted) -> dict[str, str]:
    given = wanted.properties.get("Parameters") or {}
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in given.items()
    }

"""All other kinds of resources of a stack, by moto's own classes.

Owns: how moto's classes are asked, and what stands for a kind that moto does not have. Must not
know: SageMaker, the order of things.
"""

from __future__ import annotations

import copy
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.stacks import texts
from emulator.api.stacks.graph import Settle
from emulator.api.stacks.names import made_up
from emulator.api.stacks.resource import Change, Failed, Made, Wanted, Where

log = logging.getLogger("byoc.cloudformation")

SILENT = frozenset({"AWS::CDK::Metadata", "AWS::CloudFormation::WaitConditionHandle"})
"""Kinds that are nothing on AWS either."""

GONE = ("NotFound", "NoSuch", "DoesNotExist", "NonExistent")
"""What AWS's codes say, one way or the other, of what is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Stands for a resource that was not made."""

    physical_resource_id: str

    def get_cfn_attribute(self, attribute: str) -> str:
        raise NotImplementedError(attribute)  # moto's way to say it


class NotEmulated:
    """A kind that moto does not have: the stack goes on, and its events say what is missing."""

    def named(self, wanted: Wanted) -> str:
        del wanted
        return ""

    def create(self, where: Where, wanted: Wanted) -> Made:
        name = made_up(where.stack, wanted.logical)
        note = ""
        if wanted.kind not in SILENT:
            note = texts.MADE_NOTHING.format(kind=wanted.kind)
            log.info("stack %s, resource %s: %s", where.stack, wanted.logical, note)
        return Made(physical=name, name=name, value=Nothing(physical_resource_id=name), note=note)

    def change(self, before: Wanted, wanted: Wanted) -> Change:
        same = before.properties == wanted.properties
        return Change.NONE if same else Change.IN_PLACE

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        del where, before, wanted
        return made

    def delete(self, where: Where, wanted: Wanted, made: Made) -> Settle | None:
        del where, wanted, made
        return None


class Motos:
    """One kind that moto has."""

    def __init__(self, kind: str, model: Any) -> None:
        self._kind, self._model = kind, model
        self._service = kind.split("::")[1]

    def named(self, wanted: Wanted) -> str:
        from moto.cloudformation.parsing import resource_name_property_from_type

        return str(wanted.properties.get(resource_name_property_from_type(self._kind) or "", ""))

    def create(self, where: Where, wanted: Wanted) -> Made:
        from moto.cloudformation.parsing import generate_resource_name

        name = self.named(wanted) or generate_resource_name(self._kind, where.stack, wanted.logical)
        given = {"LogicalId": wanted.logical, "StackId": where.stack_id, "ResourceType": self._kind}
        with self._told():
            value = self._model.create_from_cloudformation_json(
                name, _written(wanted), where.account, where.region, **given
            )
            self._tag(where, wanted, value)
        return self._made(name, value, wanted)

    def change(self, before: Wanted, wanted: Wanted) -> Change:
        if before.properties == wanted.properties:
            return Change.NONE
        update = self._model.update_from_cloudformation_json
        known = not hasattr(update, "__isabstractmethod__")
        return Change.IN_PLACE if known else Change.REPLACEMENT

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        del before
        name = self.named(wanted) or made.name
        with self._told():
            value = self._model.update_from_cloudformation_json(
                original_resource=made.value,
                new_resource_name=name,
                cloudformation_json=_written(wanted),
                account_id=where.account,
                region_name=where.region,
            )
        return self._made(name, made.value if value is None else value, wanted)

    def delete(self, where: Where, wanted: Wanted, made: Made) -> Settle | None:
        from moto.cloudformation.parsing import parse_and_delete_resource

        try:
            with self._told():
                try:
                    made.value.delete(where.account, where.region)
                except (TypeError, AttributeError):  # as moto decides between its two ways
                    parse_and_delete_resource(
                        made.physical, _written(wanted), where.account, where.region
                    )
        except Failed as error:
            if not any(word in str(error) for word in GONE):
                raise
        return None

    def _made(self, name: str, value: Any, wanted: Wanted) -> Made:
        value.cf_resource_type, value.logical_resource_id = self._kind, wanted.logical
        physical = getattr(value, "physical_resource_id", None) or name
        return Made(physical=str(physical), name=name, value=value)

    def _tag(self, where: Where, wanted: Wanted, value: Any) -> None:
        from moto.ec2.models import ec2_backends
        from moto.ec2.models.core import TaggedEC2Resource

        if isinstance(value, TaggedEC2Resource):
            tags = {
                **where.tags,
                "aws:cloudformation:stack-name": where.stack,
                "aws:cloudformation:stack-id": where.stack_id,
                "aws:cloudformation:logical-id": wanted.logical,
            }
            backend = ec2_backends[where.account][where.region]
            physical: Any = getattr(value, "physical_resource_id", None)
            backend.create_tags([physical], tags)

    def _told(self) -> _Told:
        return _Told(self._service, self._kind)


@dataclass(frozen=True, slots=True)
class _Told:
    """Whatever moto raises becomes the reason of a status."""

    service: str
    kind: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, Failed) or not isinstance(error, Exception):
            return
        message = getattr(error, "message", None)
        if message is None:
            log.warning("moto failed on %s", self.kind, exc_info=error)
            raise Failed(texts.FAULT.format(what=self.kind, error=error)) from error
        code = getattr(error, "error_type", None) or getattr(error, "code", "")
        raise Failed(
            texts.REFUSED.format(
                message=message,
                service=f"Amazon{self.service}",
                status=400,
                code=code,
                request_id=uuid.uuid4(),
            )
        ) from error


def _written(wanted: Wanted) -> dict[str, Any]:
    """The resource as moto's classes want it: their own copy, with every function done."""
    properties = copy.deepcopy(dict(wanted.properties))
    return {**_plain(wanted.declared), "Type": wanted.kind, "Properties": properties}


def _plain(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in declared.items() if name != "Properties"}


def handler(kind: str) -> Motos | NotEmulated:
    """Who makes resources of this kind."""
    from moto.cloudformation.parsing import get_model_map

    model = get_model_map().get(kind)
    # moto's custom resources run their function in an engine of its own.
    if model is None or kind.startswith("Custom::"):
        return NotEmulated()
    return Motos(kind, model)

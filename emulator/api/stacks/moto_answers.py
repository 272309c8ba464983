"""Requests to CloudFormation that moto answers otherwise than AWS.

Owns: what a request asks besides what moto looks at, and answers about resources and change sets.
Must not know: what a stack does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from emulator.api.stacks import texts
from emulator.api.stacks.moto_backend import ASKED
from emulator.api.stacks.moto_patches import Patch
from emulator.api.stacks.moto_stack import as_moto, kept
from emulator.api.stacks.moto_template import read
from emulator.api.stacks.operation import DELETE, DO_NOTHING, ROLLBACK
from emulator.api.stacks.resource import Resource
from emulator.api.stacks.rules import (
    Refused,
    capability,
    check_capabilities,
    check_name,
    check_template,
)


def of_responses() -> Iterator[Patch]:
    """Moto's `CloudFormationResponse`, and where it finds templates in S3."""
    from moto.cloudformation import models, responses
    from moto.cloudformation.responses import CloudFormationResponse

    for name in ("create_stack", "update_stack", "create_change_set"):
        motos = vars(CloudFormationResponse)[name]
        yield Patch(owner=CloudFormationResponse, name=name, value=_checked(motos))
    for name in ("describe_change_set", "execute_change_set"):
        motos = vars(CloudFormationResponse)[name]
        yield Patch(owner=CloudFormationResponse, name=name, value=_of_its_stack(motos))
    for function in (
        delete_stack,
        delete_change_set,
        describe_stack_resource,
        describe_stack_resources,
        list_stack_resources,
        validate_template,
    ):
        yield Patch(owner=CloudFormationResponse, name=function.__name__, value=function)
    yield Patch(
        owner=CloudFormationResponse,
        name=update_termination_protection.__name__,
        value=update_termination_protection,
        new=True,
    )
    yield from _of_the_trail()
    stored = _stored(vars(responses)["get_stack_from_s3_url"])
    for module in (responses, models):
        yield Patch(owner=module, name="get_stack_from_s3_url", value=stored)


def _of_the_trail() -> Iterator[Patch]:
    """The CDK's own command looks in CloudTrail for the reason of a failure. Nothing is recorded
    there, as on AWS in the first minutes; moto does not have the call at all.
    """
    from moto.cloudtrail.responses import CloudTrailResponse
    from moto.core.responses import ActionResult

    def lookup_events(self: Any) -> Any:  # noqa: ARG001
        return ActionResult({"Events": []})

    yield Patch(owner=CloudTrailResponse, name="lookup_events", value=lookup_events, new=True)


def _checked(motos: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """With capabilities, and what is to be done after a failure."""

    @functools.wraps(motos)
    def answer(self: Any) -> Any:
        if motos.__name__ != "update_stack" and "/" not in (name := self._get_param("StackName")):
            with as_moto():
                check_name(name)
        text = self._get_param("TemplateBody")
        if url := self._get_param("TemplateURL"):
            text = self._get_stack_from_s3_url(url)
        elif not text:  # UsePreviousTemplate
            text = self.cloudformation_backend.get_stack(self._get_param("StackName")).template
        with as_moto():
            check_capabilities(read(text), self._get_param("Capabilities") or [])
        _ask(self)
        return motos(self)

    return answer


def _of_its_stack(motos: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Moto looks a change set up by its name alone, which may be that of another stack's."""

    @functools.wraps(motos)
    def answer(self: Any) -> Any:
        found = _change_set(self)
        if found is None:
            missing = texts.NO_CHANGE_SET.format(change_set=self._get_param("ChangeSetName"))
            with as_moto():
                raise Refused(missing, "ChangeSetNotFound")
        _ask(self)
        self.params["ChangeSetName"] = found.change_set_id
        return motos(self)

    return answer


def _change_set(self: Any) -> Any:
    name, stack = self._get_param("ChangeSetName"), self._get_param("StackName")
    known = self.cloudformation_backend.change_sets
    if name in known:
        return known[name]
    of_stack = [
        one
        for one in known.values()
        if one.change_set_name == name and stack in (None, one.stack_name, one.stack_id)
    ]
    return of_stack[-1] if of_stack else None


def _ask(self: Any) -> None:
    """OnFailure, OnStackFailure or DisableRollback, for the backend."""
    said = self._get_param("OnFailure") or self._get_param("OnStackFailure")
    if said not in (ROLLBACK, DELETE, DO_NOTHING):
        said = DO_NOTHING if str(self._get_param("DisableRollback")).lower() == "true" else None
    if said:
        setattr(self.cloudformation_backend, ASKED, said)
    else:
        vars(self.cloudformation_backend).pop(ASKED, None)


def delete_stack(self: Any) -> Any:
    from moto.core.responses import EmptyResult

    retained = self._get_param("RetainResources") or []
    self.cloudformation_backend.delete_stack(self._get_param("StackName"), retained)
    return EmptyResult()


def update_termination_protection(self: Any) -> Any:
    from moto.core.responses import ActionResult

    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    asked = str(self._get_param("EnableTerminationProtection")).lower()
    stack.enable_termination_protection = asked == "true"
    return ActionResult({"StackId": stack.stack_id})


def delete_change_set(self: Any) -> Any:
    """One that is not there is as good as deleted."""
    from moto.core.responses import EmptyResult

    if (found := _change_set(self)) is not None:
        del self.cloudformation_backend.change_sets[found.change_set_id]
    return EmptyResult()


def describe_stack_resource(self: Any) -> Any:
    from moto.core.responses import ActionResult

    name, logical = self._get_param("StackName"), self._get_param("LogicalResourceId")
    stack = self.cloudformation_backend.get_stack(name)
    resource = kept(stack).book.resources.get(logical)
    if resource is None:
        with as_moto():
            raise Refused(f"Resource {logical} does not exist for stack {name}")
    detail = {**_shown(resource), "LastUpdatedTimestamp": resource.at}
    detail |= {"StackName": stack.name, "StackId": stack.stack_id}
    return ActionResult({"StackResourceDetail": detail})


def describe_stack_resources(self: Any) -> Any:
    from moto.core.responses import ActionResult

    name, logical = self._get_param("StackName"), self._get_param("LogicalResourceId")
    if not name:
        with as_moto():
            raise Refused(
                "byoc looks a resource up by its stack: give StackName, not PhysicalResourceId."
            )
    stack = self.cloudformation_backend.get_stack(name)
    found = [
        {
            **_shown(resource),
            "Timestamp": resource.at,
            "StackName": stack.name,
            "StackId": stack.stack_id,
        }
        for resource in kept(stack).book.resources.values()
        if logical in (None, resource.logical)
    ]
    return ActionResult({"StackResources": found})


def list_stack_resources(self: Any) -> Any:
    from moto.core.responses import ActionResult

    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    found = [
        {**_shown(resource), "LastUpdatedTimestamp": resource.at}
        for resource in kept(stack).book.resources.values()
    ]
    return ActionResult({"StackResourceSummaries": found})


def validate_template(self: Any) -> Any:
    """Moto asks a linter that it does not bring along."""
    from moto.core.responses import ActionResult

    text = self._get_param("TemplateBody")
    if url := self._get_param("TemplateURL"):
        text = self._get_stack_from_s3_url(url)
    with as_moto():
        template = read(text or "")
        check_template(template)
    found: dict[str, Any] = {
        "Parameters": [_parameter(*each) for each in (template.get("Parameters") or {}).items()]
    }
    if "Description" in template:
        found["Description"] = template["Description"]
    if needed := capability(template):
        found |= {"Capabilities": [needed], "CapabilitiesReason": texts.WHY_CAPABILITIES}
    return ActionResult(found)


def _parameter(name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"ParameterKey": name, "NoEcho": str(declared.get("NoEcho")).lower() == "true"}
    if "Default" in declared:
        shown["DefaultValue"] = str(declared["Default"])
    if "Description" in declared:
        shown["Description"] = declared["Description"]
    return shown


def _shown(resource: Resource) -> Mapping[str, Any]:
    shown = {
        "LogicalResourceId": resource.logical,
        "PhysicalResourceId": resource.physical or None,
        "ResourceType": resource.wanted.kind,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _stored(motos: Callable[..., str]) -> Callable[..., str]:
    """Moto takes the first part of a host for the bucket, of an address such as ours, too."""

    @functools.wraps(motos)
    def get_stack_from_s3_url(template_url: str, account_id: str, partition: str) -> str:
        if (place := stored_template(template_url)) is not None:
            template_url = "https://s3.amazonaws.com/{}/{}".format(*place)
        return motos(template_url, account_id=account_id, partition=partition)

    return get_stack_from_s3_url


def stored_template(url: str) -> tuple[str, str] | None:
    """Bucket and key of a template in our S3, whose host is an address, and may have `s3.REGION.`
    before it (so the CDK's own command writes it); None for other URLs.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not (host == "localhost" or host.endswith(".localhost") or host[-1:].isdecimal()):
        return None
    bucket, _, key = parts.path.lstrip("/").partition("/")
    return (bucket, key) if key else None

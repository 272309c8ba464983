"""Templates through their life: made, asked, changed to their next version, deleted.

Owns: the order of it, and what was seen on the way. Must not know: clauses, verdicts, pytest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract_tests.deploy_data import put_model_data
from contract_tests.deploy_local import NOT_EMULATED, LocalAws
from contract_tests.deploy_seen import Asked, Refusal, Seen, ask, endpoints, was_in_service
from contract_tests.deploy_template import Deployable, refusals
from contract_tests.settings import Payload
from emulator.api.bystanders import bystanders

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")

WAIT = {"Delay": 1, "MaxAttempts": 60}
"""Each question of a waiter is held until there is something to tell."""

REFUSED = ("Circular dependency", "Template format error", "Template error")
"""How texts of CloudFormation begin that speak of the template alone."""

CUSTOM_NAMED = re.compile(r"custom-named resource requires replacing\. Rename (\S+) and")


@dataclass(slots=True, kw_only=True)
class StacksSeen(Seen):
    """The life of all stacks. `made` is how far it came."""

    made: bool = False
    updated: bool = False
    named: list[str] = field(default_factory=list)  # names that were in the update's way
    not_updated: str = ""  # why the update was taken back
    no_update: str = ""  # why there was none
    asked_again: list[Asked] = field(default_factory=list)
    deleted: bool = False
    not_deleted: str = ""
    left: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Stacks:
    """One play of some templates."""

    templates: Sequence[Deployable]
    payloads: Sequence[Payload]
    model_data: Path | None
    seen: StacksSeen = field(default_factory=StacksSeen)

    def judged_unplayed(self) -> bool:
        """Whether reading tells already how it ends."""
        seen = self.seen
        seen.refused = refusals(self.templates)
        missing = {name: one for one in self.templates for name in one.missing}
        urls = [url for one in self.templates for url in one.model_data()]
        if missing:
            named = " ".join(f"--template-parameter {name}=..." for name in missing)
            seen.stopped = f"Parameters of the template have no value: give {named}"
        elif urls and self.model_data is None:
            seen.stopped = f"{urls[0]} is not on this machine: give --model-data PATH"
        return bool(seen.refused or seen.stopped)

    def play(self, aws: LocalAws) -> None:
        """All of it."""
        seen = self.seen
        for one in self.templates:
            for url in one.model_data():
                put_model_data(aws, url, self.model_data, one.region)
        seen.made = all(self._create(aws, one) for one in self.templates)
        statuses = aws.statuses()
        seen.in_service = was_in_service(statuses)
        seen.failed = [told for told in endpoints(statuses).values() if told.failure_reason]
        if not seen.made:
            return
        seen.asked = ask(aws, self.payloads)
        if not seen.failed and all(asked.ok for asked in seen.asked):
            self._update(aws)
        self._delete(aws)

    # -- made ------------------------------------------------------------------------------------

    def _create(self, aws: LocalAws, one: Deployable) -> bool:
        from botocore.exceptions import ClientError, WaiterError

        before = aws.mark()
        client = aws.client("cloudformation", one.region)
        try:
            client.create_stack(
                StackName=one.stack_name,
                TemplateBody=_text(one.template.body),
                Parameters=one.values(),
                Capabilities=CAPABILITIES,
            )
            client.get_waiter("stack_create_complete").wait(
                StackName=one.stack_name, WaiterConfig=WAIT
            )
        except ClientError as error:
            self._not_taken(one, error.response["Error"])
            return False
        except WaiterError:
            aws.mark()
            self._failed(aws, one, before)
            return False
        aws.mark()
        return True

    def _not_taken(self, one: Deployable, error: Mapping[str, str]) -> None:
        text = error["Message"]
        if text.startswith(REFUSED):
            self.seen.refused.append(Refusal(where=one.path.name, code=error["Code"], text=text))
        else:
            self.seen.stopped = f"{one.path.name} cannot be deployed here: {text}"

    def _failed(self, aws: LocalAws, one: Deployable, before: int) -> None:
        """Whose fault it is, from the stack's events and the calls behind them."""
        refused = [call for call in aws.calls(before) if call.refused]
        if ours := [call for call in refused if call.code == NOT_EMULATED]:
            self.seen.stopped = f"{one.path.name} cannot be deployed here: {ours[0].message}"
            return
        requests = [(call.operation, call.request) for call in aws.calls()]
        said = bystanders(requests) if refused else []
        for call, words in zip(aws.calls(), said, strict=False):
            if call in refused:
                self.seen.refused.append(
                    Refusal(
                        where=f"{one.path.name} {call.operation} {call.resource}",
                        code=call.code,
                        text=call.message,
                        change=call.change,
                        let_through=str(words),
                    )
                )
        if not refused and not any(told.failure_reason for told in aws.statuses(before)):
            why = "; ".join(_reasons(aws, one, "CREATE_FAILED"))
            self.seen.stopped = f"{one.path.name} cannot be deployed here: {why}"

    # -- changed ---------------------------------------------------------------------------------

    def _update(self, aws: LocalAws) -> None:
        from botocore.exceptions import ClientError, WaiterError

        seen, before = self.seen, aws.mark()
        bodies = {one.stack_name: body for one in self.templates if (body := one.next_version())}
        if not bodies:
            seen.no_update = "no template tells an image or a size that could be another one"
            return
        for one in self.templates:
            if one.stack_name not in bodies:
                continue
            client = aws.client("cloudformation", one.region)
            try:
                client.update_stack(
                    StackName=one.stack_name,
                    TemplateBody=_text(bodies[one.stack_name]),
                    Parameters=one.values(),
                    Capabilities=CAPABILITIES,
                )
                client.get_waiter("stack_update_complete").wait(
                    StackName=one.stack_name, WaiterConfig=WAIT
                )
            except ClientError as error:
                seen.no_update = f"it cannot be updated here: {error.response['Error']['Message']}"
                return
            except WaiterError:
                aws.mark()
                self._taken_back(aws, one, before)
                return
        seen.updated = True
        seen.asked_again = ask(aws, self.payloads[:1])

    def _taken_back(self, aws: LocalAws, one: Deployable, before: int) -> None:
        """Only what AWS would refuse is held against it: a second container may be too much for
        this machine.
        """
        seen, why = self.seen, "; ".join(_reasons(aws, one, "UPDATE_FAILED"))
        seen.named = CUSTOM_NAMED.findall(why)
        refused = [call for call in aws.calls(before) if call.refused]
        if seen.named or any(call.code != NOT_EMULATED for call in refused):
            seen.not_updated = why
        else:
            seen.no_update = f"it cannot be updated here: {why}"

    # -- deleted ---------------------------------------------------------------------------------

    def _delete(self, aws: LocalAws) -> None:
        from botocore.exceptions import ClientError, WaiterError

        seen = self.seen
        for one in reversed(self.templates):
            client = aws.client("cloudformation", one.region)
            (stack,) = client.describe_stacks(StackName=one.stack_name)["Stacks"]
            try:
                client.delete_stack(StackName=one.stack_name)
                client.get_waiter("stack_delete_complete").wait(
                    StackName=stack["StackId"], WaiterConfig=WAIT
                )
            except (ClientError, WaiterError) as error:
                reasons = _reasons(aws, one, "DELETE_FAILED")
                seen.not_deleted = "; ".join(reasons) or str(error)
                return
        seen.deleted = True
        aws.mark()
        # Of others a template may well want to keep something: a bucket, logs.
        seen.left = [str(one) for one in aws.there()]


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, default=str)


def _reasons(aws: LocalAws, one: Deployable, status: str) -> list[str]:
    """Why resources failed, oldest first; those that were only cancelled are left out."""
    pages = aws.client("cloudformation", one.region).get_paginator("describe_stack_events")
    told = pages.paginate(StackName=one.stack_name)
    events = [event for page in told for event in page["StackEvents"]]
    return [
        f"{event['LogicalResourceId']} ({event['ResourceType']}):"
        f" {event.get('ResourceStatusReason', 'no reason is told')}"
        for event in reversed(events)
        if event["ResourceStatus"] == status
        and "cancelled" not in event.get("ResourceStatusReason", "")
    ]

"""All rules in AWS's order, and the judge of one call.

Owns: the order (types, then all constraints together, then rules one at a time), the table of what
is accepted on purpose. Must not know: HTTP, moto, what happens to a call that is accepted.

The order among rules is ours (inferred): what the call alone tells comes before what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.control import (
    rules_endpoint,
    rules_image,
    rules_model,
    rules_serverless,
    rules_update,
    rules_variant,
    words,
)
from emulator.control.known import Known
from emulator.control.rule import VALIDATION, Call, Rule
from emulator.control.service_model import Broken, Unknown, WrongType, findings, operation
from emulator.runtime_errors import OWN_WORDS

SERIALIZATION = "SerializationException"
UNKNOWN_OPERATION = "UnknownOperationException"

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *rules_endpoint.RULES,  # that what is named exists comes before what it is like
            *rules_model.RULES,
            *rules_image.RULES,
            *rules_variant.RULES,
            *rules_serverless.RULES,
            *rules_update.RULES,
        ),
        key=lambda rule: rule.needs,
    )
)
"""A stable sort: within one half the tables keep their order."""

ACCEPTED = (
    (
        "DeleteModel and DeleteEndpointConfig of what an endpoint uses",
        "AWS deletes the entry; only a later update fails.",
    ),
    ("An image without a tag", "A refusal was seen in 2018 and not since."),
    ("Docker's manifest list as an image", "No refusal was ever captured."),
    ("An image for another architecture", "AWS finds out when the container does not start."),
    ("A model without ExecutionRoleArn", "The service model leaves it out."),
    ("KmsKeyId with serverless variants", "Whether AWS refuses it is disputed."),
    (
        "ContainerStartupHealthCheckTimeoutInSeconds on a serverless variant",
        "AWS does not refuse it; it has no effect.",
    ),
    ("Models and configurations whose names differ in case only", "Only told of endpoints."),
    ("Members that the service model does not have", "AWS's server is believed to ignore them."),
    ("A role or an image of another account", "Unless the account is told, any may be yours."),
)
"""What AWS accepts, or may accept, and we therefore do, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What AWS answers instead of doing it. `rule` is None for what the service model says."""

    code: str
    message: str
    rule: Rule | None = None
    at: str = ""
    status: int = 400


def refusal(name: str, body: Any, known: Known) -> Refusal | None:
    """Why AWS would not do this, or None. `body` is the call's JSON, parsed."""
    if operation(name) is None:
        text = f"SageMaker has no operation {name}. {OWN_WORDS}"
        return Refusal(code=UNKNOWN_OPERATION, message=text)
    found = findings(name, body)
    for finding in found:
        if isinstance(finding, WrongType):
            text = f"{finding} {OWN_WORDS}"
            return Refusal(code=SERIALIZATION, message=text, at=finding.path)
    sentences = [finding.sentence for finding in found if isinstance(finding, Broken)]
    if sentences:
        return Refusal(code=VALIDATION, message=words.detected(sentences))
    return broken_rule(Call(operation=name, body=body, known=known))


def broken_rule(call: Call) -> Refusal | None:
    """The first rule that a call breaks whose members are valid one by one."""
    for rule in RULES:
        if call.operation in rule.operations:
            breach = rule.breach(call)
            if breach is not None:
                return Refusal(
                    code=rule.code, message=rule.message(breach), rule=rule, at=breach["at"]
                )
    return None


def ignored(name: str, body: Any) -> list[Unknown]:
    """Members that AWS would not look at: worth telling, no reason to refuse."""
    found = [] if operation(name) is None else findings(name, body)
    return [finding for finding in found if isinstance(finding, Unknown)]

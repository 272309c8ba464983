"""Every header of the three invoke operations: its constraint, and what byoc does with it.

Owns: the tables, and the words of AWS's validation. Must not know: paths, bodies, answers. The
tables repeat botocore's service model of SageMaker Runtime, which is no dependency of the
emulator; a test compares them member by member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from emulator.limits import Profile


class Operation(Enum):
    INVOKE = "InvokeEndpoint"
    STREAM = "InvokeEndpointWithResponseStream"
    ASYNC = "InvokeEndpointAsync"


_JAVA_TO_PYTHON = (
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"\p{Print}", r"\x20-\x7e"),  # stands inside brackets
    (r"\z", r"\Z"),
)


def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_TO_PYTHON:
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A string shape of the service model."""

    most: int
    pattern: str
    least: int = 0
    sensitive: bool = False
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", _compiled(self.pattern))

    def broken_by(self, value: str, path: str) -> Iterator[str]:
        """AWS's sentence for each constraint that does not hold.

        A sensitive value is not repeated, as Cognito does with passwords.
        """
        shown = "Value" if self.sensitive else f"Value '{value}'"
        head = f"{shown} at '{path}' failed to satisfy constraint: Member must"
        if len(value) > self.most:
            yield f"{head} have length less than or equal to {self.most}"
        if len(value) < self.least:
            yield f"{head} have length greater than or equal to {self.least}"
        if not self.compiled.fullmatch(value):
            yield f"{head} satisfy regular expression pattern: {self.pattern}"
        elif not _FIELD_VALUE.fullmatch(value):
            # Some of the model's patterns let it pass, a header cannot; the words are byoc's.
            yield f"{head} hold only visible ASCII characters, spaces and tabs"


_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")

_NAME = r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_PRINTABLE = r"\A\S[\p{Print}]*\z"

ENDPOINT_NAME = Rule(most=63, pattern=_NAME)
_HEADER = Rule(most=1024, pattern=r"\p{ASCII}*")
_ATTRIBUTES = Rule(most=1024, pattern=r"\p{ASCII}*", sensitive=True)
_TARGET_MODEL = Rule(most=1024, least=1, pattern=_PRINTABLE)
_VARIANT = Rule(most=63, pattern=_NAME)
_INFERENCE_ID = Rule(most=64, least=1, pattern=_PRINTABLE)
_EXPLANATIONS = Rule(most=64, least=1, pattern=".*")
_COMPONENT = Rule(most=63, pattern=r"^[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?$")
_SESSION = Rule(most=256, pattern=_NAME + "$")
_NEW_SESSION = Rule(most=256, pattern="^(NEW_SESSION)$|" + _NAME + "$")
_PREFIX_ID = Rule(most=64, least=1, pattern=_PRINTABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One header of a request. `refused` says why, and for which profiles, it is not emulated."""

    name: str  # in the service model
    header: str
    rule: Rule
    refused: str = ""
    refused_for: tuple[Profile, ...] = ("serverless", "realtime")

    @property
    def path(self) -> str:
        """As AWS's validation names it."""
        return self.name[0].lower() + self.name[1:]

    def refusal(self, profile: Profile) -> str:
        return self.refused if profile in self.refused_for else ""


PREFIX = "X-Amzn-SageMaker-"

_ONE_CONTAINER = "an endpoint of byoc has one container."
_BOTH = (
    Member(name="CustomAttributes", header=PREFIX + "Custom-Attributes", rule=_ATTRIBUTES),
    Member(name="TargetVariant", header=PREFIX + "Target-Variant", rule=_VARIANT),
    Member(
        name="TargetContainerHostname",
        header=PREFIX + "Target-Container-Hostname",
        rule=_VARIANT,
        refused=_ONE_CONTAINER,
    ),
    Member(name="InferenceId", header=PREFIX + "Inference-Id", rule=_INFERENCE_ID),
    Member(
        name="InferenceComponentName",
        header=PREFIX + "Inference-Component",
        rule=_COMPONENT,
        refused=_ONE_CONTAINER,
    ),
    # Only a hint, and only for endpoints whose RoutingStrategy is PREFIX_AWARE; ours never are.
    Member(name="PrefixAwareId", header=PREFIX + "Prefix-Aware-Id", rule=_PREFIX_ID),
)
_NO_SESSION = (
    "a session stays on one instance, and a request to a serverless endpoint may go to any."
)

MEMBERS: Mapping[Operation, tuple[Member, ...]] = MappingProxyType(
    {
        Operation.INVOKE: (
            Member(name="ContentType", header="Content-Type", rule=_HEADER),
            Member(name="Accept", header="Accept", rule=_HEADER),
            *_BOTH,
            # Answered in AWS's own words, see wire.py.
            Member(name="TargetModel", header=PREFIX + "Target-Model", rule=_TARGET_MODEL),
            Member(
                name="EnableExplanations",
                header=PREFIX + "Enable-Explanations",
                rule=_EXPLANATIONS,
                refused="no explainer runs beside the container.",
            ),
            Member(
                name="SessionId",
                header=PREFIX + "Session-Id",
                rule=_NEW_SESSION,
                refused=_NO_SESSION,
                refused_for=("serverless",),
            ),
        ),
        Operation.STREAM: (
            Member(name="ContentType", header="Content-Type", rule=_HEADER),
            Member(name="Accept", header=PREFIX + "Accept", rule=_HEADER),
            *_BOTH,
            Member(name="SessionId", header=PREFIX + "Session-Id", rule=_SESSION),
        ),
    }
)
"""The asynchronous operation is refused as a whole; ASYNC_HEADERS are its own."""

ASYNC_HEADERS = tuple(
    PREFIX + name
    for name in (
        "Content-Type",
        "Accept",
        "Custom-Attributes",
        "Inference-Id",
        "InputLocation",
        "S3OutputPathExtension",
        "Filename",
        "RequestTTLSeconds",
        "InvocationTimeoutSeconds",
    )
)

KNOWN_HEADERS = frozenset(
    name.lower()
    for name in (*(m.header for members in MEMBERS.values() for m in members), *ASYNC_HEADERS)
)

"""SageMaker Runtime's HTTP form, the way in: a request becomes an `Invoke`.

Owns: paths, headers and sizes of the invoke operations. Must not know: servers, clients, engines,
the clock, answers (wire_answers.py). Nothing here raises anything but `RuntimeFailure`, whatever
the caller sent. A server asks `parse_target` and `check_length` before it reads the body, then
`parse_invoke`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from emulator.limits import Limits, Profile
from emulator.runtime_errors import (
    ContentTooLarge,
    NotEmulated,
    UnknownOperation,
    ValidationError,
)
from emulator.wire_members import (
    ASYNC_HEADERS,
    ENDPOINT_NAME,
    KNOWN_HEADERS,
    MEMBERS,
    PREFIX,
    Operation,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What depends on the kind of endpoint. Size is the same both ways."""

    profile: Profile
    payload_bytes: int

    @classmethod
    def of(cls, profile: Profile, limits: Limits | None = None) -> WireLimits:
        given = limits or Limits.of(profile)
        return cls(profile=profile, payload_bytes=given.payload_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the first line of a request says."""

    operation: Operation
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """One request to an endpoint, every member of the service model checked."""

    operation: Operation
    endpoint: str
    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    target_variant: str | None = None
    inference_id: str | None = None
    session_id: str | None = None
    prefix_aware_id: str | None = None
    attempt: int = 1  # the SDK's own count: more than 1 says that the model ran before

    def container_headers(self) -> dict[str, str]:
        """All that reaches the container of the caller's headers (contract 3.5).

        Nothing is made up for what the caller left out: what AWS sends then is not known.
        """
        known = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            PREFIX + "Custom-Attributes": self.custom_attributes,
            PREFIX + "Target-Variant": self.target_variant,
            PREFIX + "Inference-Id": self.inference_id,
            PREFIX + "Session-Id": self.session_id,
            PREFIX + "Prefix-Aware-Id": self.prefix_aware_id,
        }
        return {name: value for name, value in known.items() if value is not None}

    def check_variant(self, variants: Collection[str]) -> None:
        """Raises ValidationError when the request asks for a variant that is not there."""
        if self.target_variant is not None and self.target_variant not in variants:
            raise ValidationError.variant_not_found(self.target_variant)


_PATH = re.compile(r"/endpoints/([^/]+)/(.+)", re.DOTALL)
_OPERATIONS = {
    "invocations": Operation.INVOKE,
    "invocations-response-stream": Operation.STREAM,
    "async-invocations": Operation.ASYNC,
}
_OTHER_PATHS = {
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
    "openai/v1/chat/completions": "the OpenAI-compatible path",
}


def parse_target(method: str, path: str) -> Target:
    """Which operation on which endpoint. `path` is as it came: percent-encoded, without query."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise UnknownOperation
    if other := _OTHER_PATHS.get(found[2]):
        raise NotEmulated(other, "only whole answers and response streams are.")
    operation = _OPERATIONS.get(found[2])
    if operation is None or method != "POST":
        raise UnknownOperation
    endpoint = unquote(found[1], errors="replace")
    if broken := list(ENDPOINT_NAME.broken_by(endpoint, "endpointName")):
        raise ValidationError.constraints(broken)
    return Target(operation=operation, endpoint=endpoint)


def check_length(length: int, limits: WireLimits) -> None:
    """Raises when a body of this length is over the limit; ask before reading it."""
    if length > limits.payload_bytes:
        if limits.profile == "serverless":
            raise ValidationError.oversize()
        raise ContentTooLarge(limits.payload_bytes)


def parse_invoke(
    method: str,
    path: str,
    query: str,  # noqa: ARG001  no member of the model lives there; AWS ignores it
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    limits: WireLimits,
) -> Invoke:
    """The whole request. Raises RuntimeFailure for everything that is not answered by a model."""
    target = parse_target(method, path)
    came = _folded(headers)
    if target.operation is Operation.ASYNC:
        used = [name for name in ASYNC_HEADERS if name.lower() in came]
        raise NotEmulated(
            target.operation.value,
            f"requests are answered at once or not at all; came with {', '.join(used) or 'none'}"
            " of its headers.",
        )
    if target.operation is Operation.STREAM and limits.profile == "serverless":
        raise NotEmulated(
            f"{target.operation.value} on a serverless endpoint",
            "AWS does not document it; use --profile realtime or InvokeEndpoint.",
        )
    check_length(len(body), limits)
    found = _members(target.operation, came, limits.profile)
    return Invoke(
        operation=target.operation,
        endpoint=target.endpoint,
        body=body,
        content_type=found.get("ContentType"),
        accept=found.get("Accept"),
        custom_attributes=found.get("CustomAttributes"),
        target_variant=found.get("TargetVariant"),
        inference_id=found.get("InferenceId"),
        session_id=found.get("SessionId"),
        prefix_aware_id=found.get("PrefixAwareId"),
        attempt=_attempt(came),
    )


def _folded(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By lower-case name; repeated ones joined, as HTTP allows."""
    folded: dict[str, str] = {}
    for name, value in headers:
        key, text = name.lower(), value.strip(" \t")
        folded[key] = f"{folded[key]}, {text}" if key in folded else text
    return folded


def _members(operation: Operation, came: Mapping[str, str], profile: Profile) -> dict[str, str]:
    members = MEMBERS[operation]
    found = {m.name: came[m.header.lower()] for m in members if m.header.lower() in came}
    broken = [
        sentence
        for member in members
        if member.name in found
        for sentence in member.rule.broken_by(found[member.name], member.path)
    ]
    if broken:
        raise ValidationError.constraints(broken)
    if "TargetModel" in found:
        raise ValidationError.target_model()
    for member in members:
        if member.name in found and (why := member.refusal(profile)):
            raise NotEmulated(f"the header {member.header} ({member.name})", why)
    for name in came:
        # A header of another operation is dropped, as AWS does; one that is not in the model of
        # any operation is newer than byoc, and dropping it would hide that.
        if name.startswith(PREFIX.lower()) and name not in KNOWN_HEADERS:
            raise NotEmulated(f"the header {name}", "no invoke operation that byoc knows has it.")
    return found


_ATTEMPT = re.compile(r"attempt=([0-9]{1,4})(?![0-9])")


def _attempt(came: Mapping[str, str]) -> int:
    found = _ATTEMPT.search(came.get("amz-sdk-request", ""))
    return max(1, int(found[1])) if found else 1

"""Chapter payloads: how large requests and answers may be.

Owns: the clauses on sizes. Must not know: what the bytes mean. The platform's exact limit is not
published to the byte, so a container is held to the smallest reading of it.
"""

from __future__ import annotations

from contract_tests.check import MUST, PAYLOAD, advise, check, expect
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.test_invocations import answers
from emulator.errors import CLIENT_ERROR, PlatformText
from emulator.http import Outcome, Reply
from emulator.limits import Limits
from emulator.sources import contract

TOO_LARGE = 413

RESPONSE_TOO_BIG = PlatformText(
    where="InvokeEndpoint",
    text="an error; its words are not known",
    source=contract("3.11"),
)


def padded(payload: Payload | None, size: int) -> bytes:
    """A body of that size. JSON is padded with spaces, which change nothing in it; other types get
    bytes that the container may dislike, but must take in.
    """
    if payload is None:
        return b'{"instances": []}'.ljust(size)
    if payload.is_json:
        return payload.body.ljust(size)
    body = payload.body or b"\0"
    return (body * (size // len(body) + 1))[:size]


@check(
    MUST,
    "The container takes request bodies of every size that the platform lets through.",
    source=contract("3.11"),
    catalogue="INV-004",
    caught_by="small-body-limit",
    aws_shows=CLIENT_ERROR,
    fix="nginx: client_max_body_size 0; TorchServe: max_request_size; Flask: no MAX_CONTENT_LENGTH"
    " below the platform's limit. The platform enforces its own. A limit that is meant:"
    " [[tool.byoc.ignore]] with the reason (docs/gates.md).",
)
def test_body_sizes(container: Subject, target: Target, limits: Limits) -> None:
    payloads = target.settings.payload
    payload = next((p for p in payloads if p.is_json), payloads[0] if payloads else None)
    content_type = payload.content_type if payload else "application/json"
    small = container.post(padded(payload, 0) if payload is None else payload.body, content_type)
    for size in (900_000, 1_100_000, limits.sure_payload_bytes):
        reply = container.post(padded(payload, size), content_type)
        expect(
            not refused_for_size(reply, small),
            expected=f"a body of {size:,} bytes taken in (the platform lets up to"
            f" {limits.sure_payload_bytes:,} through)",
            actual=reply,
        )
    if limits.payload_bytes > 2 * limits.sure_payload_bytes:
        reply = container.post(padded(payload, limits.payload_bytes), content_type)
        advise(
            not refused_for_size(reply, small),
            expected=f"also a body of {limits.payload_bytes:,} bytes, the newest documented limit",
            actual=reply,
        )


def refused_for_size(reply: Reply, small: Reply) -> bool:
    """413 says so. A connection closed in the middle says so only when a small body is answered
    with success: a server may end early on a request that it dislikes anyway.
    """
    if reply.status == TOO_LARGE:
        return True
    return reply.outcome is Outcome.RESET and small.ok


@check(
    MUST,
    "An answer is not larger than the platform passes on.",
    source=contract("3.11"),
    catalogue="INV-005",
    caught_by="huge-response",
    aws_shows=RESPONSE_TOO_BIG,
    fix="Answer with less (rounded numbers, a binary type, only the best classes), write the result"
    " to S3 and answer with its address, or use asynchronous inference.",
    needs=("golden-invocation",),
    requires=(PAYLOAD,),
)
def test_response_size(container: Subject, payloads: tuple[Payload, ...], limits: Limits) -> None:
    for name, reply in answers(container, payloads).items():
        words = f"{reply.body_bytes:,} bytes for {name}"
        expect(
            reply.body_bytes <= limits.payload_bytes,
            expected=f"at most {limits.payload_bytes:,} bytes",
            actual=words,
        )
        advise(
            reply.body_bytes <= limits.sure_payload_bytes,
            expected=f"at most {limits.sure_payload_bytes:,} bytes, the smallest reading of the"
            " documented limit",
            actual=words,
        )

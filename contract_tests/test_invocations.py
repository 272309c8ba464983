"""Chapter invocations: POST /invocations with what the user says is good, and with what is not.

Owns: the clauses on success, time, repetition and the form of answers. Must not know: what the
model computes.
"""

from __future__ import annotations

import json

from contract_tests import shell_line
from contract_tests.check import (
    LOCAL,
    MUST,
    PAYLOAD,
    SHOULD,
    advise,
    check,
    expect,
    not_applicable,
)
from contract_tests.models_api import hint
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.errors import CLIENT_ERROR, INVOCATION_TIMEOUT, SERVER_ERROR
from emulator.http import Outcome, Reply
from emulator.limits import Limits
from emulator.sources import contract, failures

REPEATS = 3
BUSY = (429, 503)
BUSY_SECONDS = 0.2
NOT_FOUND, CLIENT_ERRORS = 404, range(400, 500)
LONG_MESSAGE_BYTES = 2048
"""The longest Message that an error of InvokeEndpoint carries (contract 3.41,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html)."""


def answers(container: Subject, payloads: tuple[Payload, ...]) -> dict[str, Reply]:
    """The answer to each payload, asked once per container."""
    kept: dict[str, Reply] = container.target.notes.setdefault("answers", {})
    for payload in payloads:
        if payload.name not in kept:
            kept[payload.name] = container.invoke(payload)
    return kept


@check(
    MUST,
    "POST /invocations answers a good request with a 2xx.",
    source=contract("3.9"),
    catalogue="INV-001",
    caught_by="no-invocations-route",
    aws_shows=CLIENT_ERROR,
    fix="Serve POST at exactly /invocations, for the Content-Type that callers send. If the payload"
    " itself is wrong, give another one with --payload; if only its type is, which comes from the"
    " extension: --payload 'FILE;type=text/csv'.",
    requires=(PAYLOAD,),
)
def test_golden_invocation(container: Subject, payloads: tuple[Payload, ...]) -> None:
    for name, reply in answers(container, payloads).items():
        if reply.outcome is Outcome.TIMEOUT:
            not_applicable(f"{name} was not answered in time: see invocation-in-time")
        many = hint(container.target) if reply.status == NOT_FOUND else ""
        expect(reply.ok, expected=f"2xx for {name}", actual=reply, fix=many)


@check(
    MUST,
    "Every request is answered within 60 seconds, at the memory and CPU of the endpoint.",
    source=contract("3.13"),
    catalogue="INV-002",
    caught_by="slow-invocation",
    aws_shows=INVOCATION_TIMEOUT,
    fix="Send less per request, load the model at start instead of in the handler, take more memory"
    " (it brings CPU), or use asynchronous inference. Raising the server's own time limits does not"
    " help: the platform cuts at 60 s.",
    requires=(PAYLOAD,),
)
def test_invocation_in_time(
    container: Subject, start: Subject, payloads: tuple[Payload, ...], limits: Limits
) -> None:
    replies = dict(answers(container, payloads))
    if start.first_invocation is not None:
        replies[f"{payloads[0].name}, the first request of all"] = start.first_invocation
    for name, reply in replies.items():
        expect(
            reply.outcome is not Outcome.TIMEOUT,
            expected=f"an answer to {name} within {limits.invocation_seconds:g} s",
            actual=reply,
        )
        advise(
            reply.seconds <= limits.invocation_seconds / 2,
            expected=f"an answer to {name} within half of {limits.invocation_seconds:g} s: AWS's"
            " processors may be slower than this machine's",
            actual=reply,
        )


@check(
    MUST,
    "The same request sent three times has the same status.",
    source=contract("3.9"),
    catalogue="INV-016",
    caught_by="fails-second-time",
    aws_shows=SERVER_ERROR,
    fix="Keep no state between requests that a request uses up; with `--preload` and OpenMP or"
    " torch, load the model after the fork (failures 3.35).",
    needs=("golden-invocation", "invocation-in-time"),
    requires=(PAYLOAD,),
)
def test_same_request_three_times(
    container: Subject, target: Target, payloads: tuple[Payload, ...]
) -> None:
    for payload in payloads:
        replies = [container.invoke(payload) for _ in range(REPEATS)]
        odd = next((reply for reply in replies if not reply.ok), replies[0])
        statuses = [reply.status or reply.outcome.value for reply in replies]
        if odd.status in BUSY:
            # It may not be done with the request before, whose caller has its answer already.
            target.pause(BUSY_SECONDS)
            advise(
                not container.invoke(payload).ok,
                expected=f"{REPEATS} successes for {payload.name}, each sent when the answer before"
                " had come",
                actual=f"{statuses}; {BUSY_SECONDS:g} s later it is taken: {odd}",
                fix="Be free before you answer: release the lock, or end the thread, before the"
                " answer is written, or let the next request wait.",
            )
        expect(
            odd.ok,
            expected=f"{REPEATS} successes for {payload.name}, which succeeded before",
            actual=f"{statuses}: {odd}",
            reproduce=shell_line.line(odd.request, LOCAL),
        )


@check(
    SHOULD,
    "An answer that says application/json is strict JSON, without NaN or Infinity.",
    source=failures("3.32"),
    catalogue="INV-009",
    caught_by="nan-json",
    fix="Replace NaN and Infinity before encoding (json.dumps(..., allow_nan=False) finds them):"
    " JavaScript, Java and Go callers cannot read them.",
    needs=("golden-invocation",),
    requires=(PAYLOAD,),
)
def test_strict_json(container: Subject, payloads: tuple[Payload, ...]) -> None:
    replies = answers(container, payloads)
    said = {name: reply for name, reply in replies.items() if says_json(reply.content_type)}
    if not said:
        not_applicable("no answer says that it is JSON")
    for name, reply in said.items():
        problem = json_problem(reply.body)
        expect(
            problem is None, expected=f"strict JSON for {name}", actual=f"{problem}: {reply.text()}"
        )


def says_json(content_type: str) -> bool:
    """One JSON text; not JSON Lines and its like."""
    return content_type == "application/json" or content_type.endswith("+json")


def json_problem(body: bytes) -> str | None:
    """Why a body is not strict JSON; None when it is. NaN and Infinity are Python's, not JSON's."""

    def constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        json.loads(body, parse_constant=constant, parse_int=str)  # of any length
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


@check(
    SHOULD,
    "A malformed body is answered with a 4xx and a short text, and harms nothing.",
    source=failures("3.27"),
    catalogue="INV-010",
    caught_by="traceback-page",
    aws_shows=SERVER_ERROR,
    fix="Catch decoding errors and answer 400 with one line of text; no debug mode, no traceback:"
    " the caller sees the body inside of a ModelError.",
)
def test_malformed_body(container: Subject, target: Target) -> None:
    payload = target.settings.payload[0] if target.settings.payload else None
    content_type = payload.content_type if payload else "application/json"
    reply = container.post(malformed(payload), content_type)
    target.notes["malformed"] = reply
    code = container.exit_code()
    container.may_end = code is not None  # told here, and not again as a death without a reason
    expect(
        code is None,
        expected="a container that survives a malformed body",
        actual=f"it exited with code {code} after {reply}",
    )
    expect(
        reply.status is not None and reply.status in CLIENT_ERRORS,
        expected="a 4xx",
        actual=reply,
    )
    # The short page that a framework answers a 400 with is no more than a text in other clothes.
    expect(
        b"Traceback (most recent" not in reply.body and reply.body_bytes <= LONG_MESSAGE_BYTES,
        expected=f"a text of at most {LONG_MESSAGE_BYTES} bytes, and no traceback",
        actual=reply,
    )


def malformed(payload: Payload | None) -> bytes:
    """A body that no parser of that type takes: JSON cut off, else bytes that are no text."""
    if payload is None or payload.is_json:
        body = payload.body.rstrip() if payload else b'{"instances": [[1, 2]]}'
        cut = body[:-1] or b"{"
        return cut if json_problem(cut) is not None else body + b"}"  # 12 without its end is 1
    return b"\xff\xfe\x00\x01 byoc \x80\x81"

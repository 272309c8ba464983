"""Chapter http: headers and connections, as callers and the platform's client use them.

Owns: the clauses on Content-Type, Accept, the headers that are passed on, and connections that are
used again. Must not know: what bodies mean. Not judged, for lack of any sign that endpoints send
it: chunked request bodies, `Expect: 100-continue`, a Content-Type in capitals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contract_tests.check import (
    PAYLOAD,
    SHOULD,
    blocked,
    check,
    expect,
    not_applicable,
)
from contract_tests.http_row import UNKNOWN_TYPE, odd_one, row_of, wrong_turn
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.test_invocations import answers, malformed
from emulator.errors import CLIENT_ERROR, SERVER_ERROR
from emulator.http import Reply
from emulator.instance import PING
from emulator.sources import contract, failures

LOCAL = "http://127.0.0.1:8080"
SERVER_ERRORS = range(500, 600)
HEADERS_TOO_LARGE = 431

CHARSETS = ("; charset=utf-8", ";charset=UTF-8")
"""As browsers, axios and the toolkit of AWS's own sklearn container say it, and as Java does."""

NO_TYPE: Mapping[str, str | None] = {
    "without a Content-Type": None,
    "with Content-Type application/octet-stream": "application/octet-stream",
    f"with Content-Type {UNKNOWN_TYPE}": UNKNOWN_TYPE,
}

PASSED_ON: Mapping[str, str] = {
    "X-Amzn-SageMaker-Custom-Attributes": "c" * 1024,
    "X-Amzn-SageMaker-Inference-Id": "i" * 64,
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-Byoc-Unknown": "1",
}
"""At their documented lengths (contract 3.3,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html). Headers
that choose a model or begin a session are sent only to containers that have these, and then mean
something."""

SLOW_SECONDS = 0.25
"""A request that takes this long is sent in fewer ways, for each of them is waited for."""


HANG_SECONDS = 10.0
"""An answer on a used connection that takes so long, and ten times as long as usual, is none."""


def textual(content_type: str) -> bool:
    """Whether a charset means something to that type."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.rpartition("/")[2].rpartition("+")[2] in {
        "json", "jsonlines", "x-ndjson", "xml",
    }  # fmt: skip


@check(
    SHOULD,
    "A Content-Type with a charset is taken like the one without.",
    source=failures("3.9"),
    catalogue="INV-006",
    caught_by="exact-content-type",
    aws_shows=CLIENT_ERROR,
    fix="Compare the media type alone, without its parameters: request.mimetype in Flask,"
    ' content_type.split(";")[0].strip().lower() elsewhere.',
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_charset_in_content_type(container: Subject, payloads: tuple[Payload, ...]) -> None:
    bare = [p for p in payloads if ";" not in p.content_type and textual(p.content_type)]
    if not bare:
        not_applicable("no payload's type is one that callers add a charset to")
    for payload, slow in to_send(container, bare):
        for charset in CHARSETS[:1] if slow else CHARSETS:
            reply = container.post(payload.body, payload.content_type + charset)
            if not reply.ok:
                still_good(container, payload)
            expect(
                reply.ok,
                expected=f"a 2xx for {payload.name} as {payload.content_type}{charset}, as for"
                f" {payload.content_type}",
                actual=reply,
            )


def to_send(container: Subject, payloads: Iterable[Payload]) -> list[tuple[Payload, bool]]:
    """Which payloads are sent in other ways, and whether that takes long: the quick ones; when
    there is none, the quickest.
    """
    known = answers(container, tuple(payloads))
    good = sorted((p for p in payloads if known[p.name].ok), key=lambda p: known[p.name].seconds)
    quick = [(p, False) for p in good if known[p.name].seconds < SLOW_SECONDS]
    return quick or [(p, True) for p in good[:1]]


def still_good(container: Subject, payload: Payload | None) -> None:
    """Raises Blocked when a request as usual fails now, too: then it is not for what was changed
    in it.
    """
    if payload is not None and not (reply := container.invoke(payload)).ok:
        blocked(f"{payload.name} as it is fails now, too: {reply}")
    if not (reply := container.ping()).ok:
        blocked(f"/ping fails now, too: {reply}")


@check(
    SHOULD,
    "A request whose Content-Type is missing or unknown is answered with a 2xx or a 4xx.",
    source=failures("3.9"),
    catalogue="INV-007",
    caught_by="type-not-in-table",
    aws_shows=SERVER_ERROR,
    fix="Look the type up with a default (READERS.get(content_type)), and answer 415 when there is"
    " none; boto3 sends no Content-Type unless the caller gives one.",
)
def test_other_content_types(container: Subject, target: Target) -> None:
    payload = target.settings.payload[0] if target.settings.payload else None
    body = payload.body if payload else b'{"instances": []}'
    control = refusal(container, target)
    slow = payload is not None and all(slow for _, slow in to_send(container, [payload]))
    for how, content_type in list(NO_TYPE.items())[: 1 if slow else None]:
        reply = container.post(body, content_type)
        target.notes.setdefault("odd types", []).append(reply)
        code = container.exit_code()
        container.may_end = container.may_end or code is not None  # told here
        words = f"{reply}; the container exited with code {code}" if code is not None else reply
        # A server that answers 500 to whatever it cannot read was told so by malformed-body.
        same = reply.status in SERVER_ERRORS and control.status in SERVER_ERRORS
        if code is None and (same or good_or_refused(reply)):
            continue
        if code is None:
            still_good(container, payload)
        expect(
            False,
            expected=f"a 2xx or a 4xx for a request {how}",
            actual=words,
            reproduce=reply.request.curl(LOCAL),
        )


def good_or_refused(reply: Reply) -> bool:
    return reply.ok or (reply.status is not None and 400 <= reply.status < 500)


def refusal(container: Subject, target: Target) -> Reply:
    """What the container says to a malformed body; asked once per run."""
    if "malformed" not in target.notes:
        payload = target.settings.payload[0] if target.settings.payload else None
        content_type = payload.content_type if payload else "application/json"
        target.notes["malformed"] = container.post(malformed(payload), content_type)
    found = target.notes["malformed"]
    assert isinstance(found, Reply)
    if container.exit_code() is not None:
        container.may_end = True
        not_applicable("the container does not survive a malformed body: see malformed-body")
    return found


@check(
    SHOULD,
    "An answer says its Content-Type, and an Accept with that type, or with */*, changes nothing.",
    source=failures("3.9"),
    catalogue="INV-008",
    caught_by="accept-not-in-list",
    aws_shows=CLIENT_ERROR,
    fix="Set Content-Type on every answer, and take Accept as a list of patterns:"
    " request.accept_mimetypes.best_match([...]) in Flask. The SageMaker SDK sends */*, or the type"
    " of its deserializer; boto3 sends nothing.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_accept_header(container: Subject, payloads: tuple[Payload, ...]) -> None:
    for payload, slow in to_send(container, payloads):
        plain = answers(container, payloads)[payload.name]
        if not plain.body:
            continue
        expect(
            bool(plain.content_type),
            expected=f"a Content-Type on the answer to {payload.name}",
            actual=f"{plain}",
            fix="Set Content-Type on every answer: callers choose by it how to read the body.",
            reproduce=plain.request.curl(LOCAL),
        )
        for accept in ("*/*", plain.content_type)[: 1 if slow else None]:
            reply = container.post(payload.body, payload.content_type, {"Accept": accept})
            if not reply.ok:
                still_good(container, payload)
            expect(
                reply.ok,
                expected=f"a 2xx for {payload.name} with Accept: {accept}, as without",
                actual=reply,
            )


@check(
    SHOULD,
    "Custom attributes, an inference id and headers that nobody knows break no request.",
    source=contract("3.3"),
    catalogue="INV-014",
    caught_by="parses-custom-attributes",
    aws_shows=SERVER_ERROR,
    fix="Take what you do not understand in X-Amzn-SageMaker-Custom-Attributes as absent, or answer"
    " 400: the header is the caller's, up to 1,024 characters of any kind. Allow 8 KB of headers.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_passed_on_headers(container: Subject, payloads: tuple[Payload, ...]) -> None:
    payload = next((p for p, _ in to_send(container, payloads)), payloads[0])
    if carried(container.post(payload.body, payload.content_type, PASSED_ON)):
        return
    for name, value in PASSED_ON.items():
        reply = container.post(payload.body, payload.content_type, {name: value})
        if not carried(reply):
            still_good(container, payload)
        # A container that reads its attributes may refuse these.
        expect(
            carried(reply),
            expected=f"no 5xx for {payload.name} with {name} of {len(value)} characters",
            actual=reply,
        )


def carried(reply: Reply) -> bool:
    return good_or_refused(reply) and reply.status != HEADERS_TOO_LARGE


@check(
    SHOULD,
    "Requests one after another on one connection are answered like those on connections of their"
    " own.",
    source=contract("1.6"),
    catalogue="INV-012",
    caught_by="unread-body",
    fix="Read the whole body before you answer, also when you refuse it, or close the connection"
    ' with "Connection: close": what stays unread is taken for the next request.',
    needs=("golden-invocation", "ping-in-time", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_connection_used_again(container: Subject, payloads: tuple[Payload, ...]) -> None:
    payload, slow = next(iter(to_send(container, payloads)), (payloads[0], True))
    seconds = HANG_SECONDS + 10 * answers(container, payloads)[payload.name].seconds
    row = row_of(payload, slow=slow)
    problem = wrong_turn(container.in_a_row(row, seconds))
    if problem is not None:  # once more, as nothing here is worth a false alarm
        still_good(container, payload)
        problem = wrong_turn(container.in_a_row(row, seconds))
    expect(
        problem is None,
        expected=f"a 2xx for each {payload.name} and a 200 for each /ping among {len(row)} requests"
        " on one connection, which the server may close whenever it wants",
        actual=problem,
        reproduce=f"{odd_one(payload).curl(LOCAL)} --next{PING.curl(LOCAL).removeprefix('curl')}",
    )

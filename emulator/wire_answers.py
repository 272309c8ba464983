"""SageMaker Runtime's HTTP form, the way out: an answer or a failure becomes a `Response`.

Owns: which of a container's answers are successes, and the headers and bodies that go back. Must
not know: servers, clients, engines, the clock, and how a failure came about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from emulator import eventstream
from emulator.model_errors import ModelError
from emulator.runtime_errors import ContentTooLarge, Place, RuntimeFailure, UnknownOperation
from emulator.wire import WireLimits
from emulator.wire_members import PREFIX


class Answer(Protocol):
    """What a container answered; names of headers in lower case. `http.Reply` is one."""

    @property
    def status(self) -> int | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def body_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What goes back to the caller. Length and date are the server's business."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def failure_of(answer: Answer, limits: WireLimits) -> ModelError | None:
    """What is wrong with a whole answer; None when it is a success (contract 3.9).

    Raises ValueError when there is none: only who waited for it knows why.
    """
    if answer.status is None:
        raise ValueError(
            "There is no answer to judge; raise ModelError.timed_out(), .out_of_memory() or"
            " .no_response() by what was seen of the container."
        )
    if not 200 <= answer.status < 300:
        return ModelError.answered(answer.status, answer.body)
    if answer.body_bytes > limits.payload_bytes:
        return ModelError.response_too_large(answer.status, answer.body_bytes, limits.payload_bytes)
    return None


REQUEST_ID = "x-amzn-RequestId"
ERROR_TYPE = "x-amzn-errortype"
VARIANT = "x-Amzn-Invoked-Production-Variant"
_ATTRIBUTES = PREFIX + "Custom-Attributes"
_PASSED = ("Content-Type", _ATTRIBUTES, PREFIX + "New-Session-Id", PREFIX + "Closed-Session-Id")
_SENDABLE = re.compile(r"[\t\x20-\x7e]*")


def _passed(headers: Mapping[str, str], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The container's headers that the model has; what no HTTP header may hold is left out."""
    came = ((name, headers.get(name.lower())) for name in names)
    return tuple((n, v) for n, v in came if v is not None and _SENDABLE.fullmatch(v))


def render_success(answer: Answer, variant: str, request_id: str) -> Response:
    """A success is 200 whatever 2xx the container said; other headers of it do not pass."""
    headers = ((REQUEST_ID, request_id), (VARIANT, variant), *_passed(answer.headers, _PASSED))
    return Response(status=200, headers=headers, body=answer.body)


def render_stream(headers: Mapping[str, str], variant: str, request_id: str) -> Response:
    """The head of a response stream; its body is made by `eventstream`."""
    content_type = tuple(
        (PREFIX + name, value) for name, value in _passed(headers, ("Content-Type",))
    )
    return Response(
        status=200,
        headers=(
            (REQUEST_ID, request_id),
            ("Content-Type", eventstream.CONTENT_TYPE),
            (VARIANT, variant),
            *content_type,
            *_passed(headers, (_ATTRIBUTES,)),
        ),
    )


def render_failure(failure: RuntimeFailure, place: Place) -> Response:
    """Any failure as the answer that AWS's clients turn into their typed error."""
    request_id = (REQUEST_ID, place.request_id)
    status = failure.kind.status
    if status is None:
        raise ValueError(f"{failure.code} travels inside an event stream; use eventstream.failure.")
    if isinstance(failure, UnknownOperation):
        return Response(
            status=status, headers=(request_id,), body=b"<UnknownOperationException/>\n"
        )
    if isinstance(failure, ContentTooLarge):
        text = (failure.message(place) or "").encode()
        kind = ("Content-Type", "text/plain")
        return Response(status=status, headers=(request_id, kind), body=text)
    return Response(
        status=status,
        headers=(request_id, (ERROR_TYPE, failure.code), ("Content-Type", "application/json")),
        body=json.dumps(failure.fields(place)).encode(),
    )

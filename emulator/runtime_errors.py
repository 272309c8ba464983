"""What InvokeEndpoint answers when it does not answer: one table, one exception tree.

Owns: the error codes of SageMaker Runtime with their HTTP status, and the words of all but
`ModelError` (model_errors.py). Must not know: HTTP headers, servers, containers, the clock. A
failure is raised as a fact; its words are made when it is rendered, because only then region,
account and request id are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from types import MappingProxyType
from typing import ClassVar

MAX_MESSAGE = 2048
"""Longest Message and OriginalMessage (contract 3.41)."""

OWN_WORDS = "(These are byoc's words; those of AWS are not known.)"


class Fault(Enum):
    """Who has to change something."""

    CALLER = "caller"
    MODEL = "model"
    PLATFORM = "platform"
    BYOC = "byoc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One error code. `status` is None for what only travels inside an event stream."""

    code: str
    status: int | None
    fault: Fault
    modelled: bool = True  # whether botocore's service model has it


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.code: kind for kind in kinds})


KINDS = _kinds(
    Kind(code="ModelError", status=424, fault=Fault.MODEL),
    Kind(code="ValidationError", status=400, fault=Fault.CALLER),
    Kind(code="ModelNotReadyException", status=429, fault=Fault.PLATFORM),
    Kind(code="InternalFailure", status=500, fault=Fault.PLATFORM),
    Kind(code="ServiceUnavailable", status=503, fault=Fault.PLATFORM),
    Kind(code="InternalDependencyException", status=530, fault=Fault.PLATFORM),
    Kind(code="ModelStreamError", status=None, fault=Fault.MODEL),
    Kind(code="InternalStreamFailure", status=None, fault=Fault.PLATFORM),
    # contract 3.28
    Kind(code="ThrottlingException", status=400, fault=Fault.CALLER, modelled=False),
    # contract 3.35
    Kind(code="413", status=413, fault=Fault.CALLER, modelled=False),
    Kind(code="UnknownOperationException", status=404, fault=Fault.CALLER, modelled=False),
    Kind(code="NotEmulated", status=501, fault=Fault.BYOC, modelled=False),
)
"""AccessDeniedException is not here: any credentials are accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request was answered: what the words of an error name."""

    endpoint: str
    request_id: str
    region: str = "us-east-1"
    account: str = "123456789012"


_PLACEHOLDER = re.compile(r"<(\w+)>")
_ELASTIC = ("body", "detail")


def _words(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders filled, cut inside what was quoted, so that the end stays.

    Filled in one pass: a body that says "<region>" is quoted, not filled.
    """
    fixed = {**values, **dict.fromkeys(_ELASTIC, "")}
    room = max(0, MAX_MESSAGE - len(_PLACEHOLDER.sub(lambda m: fixed[m[1]], template)))
    fitted = {**values, **{name: values.get(name, "")[:room] for name in _ELASTIC}}
    text = _PLACEHOLDER.sub(lambda m: fitted[m[1]], template)[:MAX_MESSAGE]
    return text.encode("utf-8", "replace").decode()  # a lone surrogate is no JSON


class RuntimeFailure(Exception):
    """Everything that InvokeEndpoint answers but success.

    `template` is a constant of this module; what came from outside goes into `values`.
    """

    code: ClassVar[str]

    def __init__(
        self, template: str, *, values: Mapping[str, str] | None = None, error_code: str = ""
    ) -> None:
        self.template = template
        self.values = dict(values or {})
        self.error_code = error_code
        super().__init__(_PLACEHOLDER.sub(lambda m: self.values.get(m[1], m[0]), template))

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    def message(self, place: Place) -> str | None:
        return self.words(place, self.template)

    def fields(self, place: Place) -> dict[str, object]:
        """The members of the error's JSON body."""
        named: dict[str, object] = {"ErrorCode": self.error_code} if self.error_code else {}
        return {**named, "Message": self.message(place)}

    def words(self, place: Place, template: str) -> str:
        return _words(template, {**asdict(place), **self.values})


class ValidationError(RuntimeFailure):
    """The request cannot be served as it is."""

    code = "ValidationError"

    @classmethod
    def endpoint_not_found(cls) -> ValidationError:
        """Also while it is not InService (contract 3.32)."""
        return cls("Endpoint <endpoint> of account <account> not found.")

    @classmethod
    def oversize(cls) -> ValidationError:
        """On serverless (contract 3.34)."""
        return cls("Request <request_id> has oversize body.")

    @classmethod
    def target_model(cls) -> ValidationError:
        """https://github.com/aws/amazon-sagemaker-examples/issues/1216"""
        return cls(
            "Endpoint <endpoint> is not a multi-model endpoint and does not support target model"
            " header.",
            error_code="TARGET_MODEL_HEADER_NOT_SUPPORTED",
        )

    @classmethod
    def variant_not_found(cls, variant: str) -> ValidationError:
        template = f"Variant <variant> of endpoint <endpoint> not found. {OWN_WORDS}"
        return cls(template, values={"variant": variant})

    @classmethod
    def constraints(cls, sentences: Sequence[str]) -> ValidationError:
        """Members that break the service model, in the words of AWS's validation."""
        many = len(sentences)
        head = f"{many} validation error{'s' if many > 1 else ''} detected: "
        return cls("<detail>", values={"detail": head + "; ".join(sentences)})


class Throttled(RuntimeFailure):
    """Over MaxConcurrency: at once, and without a word."""

    code = "ThrottlingException"

    def __init__(self) -> None:
        super().__init__("null")

    def message(self, place: Place) -> str | None:  # noqa: ARG002  the others need it
        return None

    def fields(self, place: Place) -> dict[str, object]:
        return {"message": self.message(place)}


class ModelNotReady(RuntimeFailure):
    """In the words of the service model's documentation; no capture of the answer is known."""

    code = "ModelNotReadyException"

    def __init__(self) -> None:
        super().__init__(
            "Either a serverless endpoint variant's resources are still being provisioned, or a"
            " multi-model endpoint is still downloading or loading the target model. Wait and try"
            " your request again."
        )


class _PlatformFailure(RuntimeFailure):
    def __init__(self, detail: str) -> None:
        super().__init__("<detail>", values={"detail": detail})


class InternalFailure(_PlatformFailure):
    code = "InternalFailure"


class ServiceUnavailable(_PlatformFailure):
    code = "ServiceUnavailable"


class InternalDependency(_PlatformFailure):
    code = "InternalDependencyException"


class ContentTooLarge(RuntimeFailure):
    """Over the real-time limit: a bare sentence instead of JSON, so that clients take the HTTP
    status for the code. Seen in 2018 with 5 MiB + 4096; today's number is not known, so the
    sentence names the limit that was applied.
    """

    code = "413"

    def __init__(self, limit: int) -> None:
        super().__init__(
            "HTTP content length exceeded <limit> bytes.", values={"limit": str(limit)}
        )


class UnknownOperation(RuntimeFailure):
    """No operation has this method and path; AWS's front says so in XML, whatever the service."""

    code = "UnknownOperationException"

    def __init__(self) -> None:
        super().__init__("")


class NotEmulated(RuntimeFailure):
    """Asked for something of AWS that byoc does not do, and says so instead of ignoring it."""

    code = "NotEmulated"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            "byoc does not emulate <what>: <detail>", values={"what": what[:200], "detail": why}
        )


class StreamError(Enum):
    """`ErrorCode` of a ModelStreamError."""

    TIME_EXCEEDED = "ModelInvocationTimeExceeded"
    BROKEN = "StreamBroken"


class ModelStreamError(RuntimeFailure):
    """The container's stream took too long or broke off; sent as the last event of the stream.

    The words are those of the service model's documentation.
    """

    code = "ModelStreamError"

    def __init__(self, error: StreamError) -> None:
        super().__init__(_STREAM_WORDS[error], error_code=error.value)


_STREAM_WORDS = {
    StreamError.TIME_EXCEEDED: "The model failed to finish sending the response within the timeout"
    " period allowed by Amazon SageMaker AI.",
    StreamError.BROKEN: "The Transmission Control Protocol (TCP) connection between the client and"
    " the model was reset or closed.",
}


class InternalStreamFailure(_PlatformFailure):
    """The stream cannot go on, and the container is not to blame."""

    code = "InternalStreamFailure"

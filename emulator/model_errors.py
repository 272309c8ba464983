"""ModelError: what the caller is told when the container did not do its part.

Owns: the words of every ModelError and its `OriginalStatusCode` and `OriginalMessage`. Must not
know: how it was found out that the container failed.
"""

from __future__ import annotations

from collections.abc import Mapping

from emulator.errors import CLIENT_ERROR, INVOCATION_TIMEOUT, NO_RESPONSE, SERVER_ERROR
from emulator.runtime_errors import OWN_WORDS, Place, RuntimeFailure

_SERVER = SERVER_ERROR.text.replace("(500)", "(<status>)")
_SEE = _SERVER[_SERVER.index("See https://") :]
_UNREADABLE = (
    "Received <side> error (<status>) from primary and could not load the entire response body. "
    + _SEE
)
_NO_RESPONSE = f"{NO_RESPONSE.text}. {_SEE}"
"""With its end, as in the issue that contract 3.26 names."""

_OUT_OF_MEMORY = (
    'Received server error (0) from primary with message "The container was stopped because of'
    f' insufficient memory. {OWN_WORDS}". {_SEE}'
)
"""AWS's own benchmark looks for "insufficient memory" and for nothing else:
https://github.com/aws-samples/sagemaker-serverless-inference-benchmarking"""
_RESPONSE_TOO_LARGE = (
    'Received server error (<status>) from primary with message "The response has <bytes> bytes;'
    f' at most <limit> pass. {OWN_WORDS}". {_SEE}'
)


def _quoted(template: str) -> str:
    start = template.index('with message "') + len('with message "')
    return template[start : template.rindex('". See')]


class ModelError(RuntimeFailure):
    """The container did not do its part (contract 3.20). `original_status` 0: no answer at all."""

    code = "ModelError"

    def __init__(
        self,
        template: str,
        *,
        original_status: int = 0,
        original: str = "",
        values: Mapping[str, str] | None = None,
        error_code: str = "",
    ) -> None:
        super().__init__(
            template,
            values={"status": str(original_status), **(values or {})},
            error_code=error_code,
        )
        self.original_status = original_status
        self.original = original

    @classmethod
    def answered(cls, status: int, body: bytes) -> ModelError:
        """A whole answer that is not 2xx. AWS's view of 3xx is not known; here a server error."""
        client = 400 <= status < 500
        return cls(
            CLIENT_ERROR.text if client else _SERVER,
            original_status=status,
            original="<body>",
            values={"body": body.decode("utf-8", "replace")},
            # The code of a server error was not seen by anybody who published it.
            error_code="CLIENT_ERROR_FROM_MODEL" if client else "",
        )

    @classmethod
    def unreadable(cls, status: int) -> ModelError:
        """The status came, the body broke off (contract 3.24)."""
        side = "client" if 400 <= status < 500 else "server"
        return cls(_UNREADABLE, original_status=status, values={"side": side})

    @classmethod
    def timed_out(cls) -> ModelError:
        """The platform stopped waiting (contract 3.25)."""
        return cls(INVOCATION_TIMEOUT.text, original=_quoted(INVOCATION_TIMEOUT.text))

    @classmethod
    def no_response(cls) -> ModelError:
        """Refused, reset, died, or answered what is not HTTP."""
        return cls(_NO_RESPONSE, original=_quoted(_NO_RESPONSE))

    @classmethod
    def out_of_memory(cls) -> ModelError:
        return cls(_OUT_OF_MEMORY, original=_quoted(_OUT_OF_MEMORY))

    @classmethod
    def response_too_large(cls, status: int, size: int, limit: int) -> ModelError:
        return cls(
            _RESPONSE_TOO_LARGE,
            original_status=status,
            original=_quoted(_RESPONSE_TOO_LARGE),
            values={"bytes": str(size), "limit": str(limit)},
        )

    def fields(self, place: Place) -> dict[str, object]:
        group = f"log-group:/aws/sagemaker/Endpoints/{place.endpoint}"
        return {
            **super().fields(place),
            "OriginalStatusCode": self.original_status,
            "OriginalMessage": self.words(place, self.original),
            "LogStreamArn": f"arn:aws:logs:{place.region}:{place.account}:{group}",
        }

"""Amazon's event stream encoding, as InvokeEndpointWithResponseStream answers in it.

Owns: the binary form of one event: prelude, headers, payload, two checksums. Must not know: where
the bytes come from or go to. Form: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Iterator, Mapping

from emulator.runtime_errors import Place, RuntimeFailure

CONTENT_TYPE = "application/vnd.amazon.eventstream"

MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
"""What botocore's reader takes as one event; it refuses a longer one."""

_PRELUDE = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_STRING = 7
_LENGTH = struct.Struct(">H")
_FRAME_BYTES = _PRELUDE.size + 2 * _CHECKSUM.size


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Raises ValueError when it is longer than a reader takes."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"An event holds at most {MAX_PAYLOAD_BYTES} bytes, not {len(payload)}; use parts()."
        )
    named = b"".join(_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(_FRAME_BYTES + len(named) + len(payload), len(named))
    body = prelude + _CHECKSUM.pack(binascii.crc32(prelude)) + named + payload
    return body + _CHECKSUM.pack(binascii.crc32(body))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode("utf-8"), value.encode("utf-8")
    return bytes([len(key)]) + key + bytes([_STRING]) + _LENGTH.pack(len(text)) + text


_PART = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}


def parts(data: bytes, size: int = MAX_PAYLOAD_BYTES) -> Iterator[bytes]:
    """What the container sent, as PayloadPart events of at most `size` bytes; none for nothing."""
    for start in range(0, len(data), size):
        yield encode(_PART, data[start : start + size])


def failure(error: RuntimeFailure, place: Place) -> bytes:
    """The last event of a stream that cannot end well: ModelStreamError, InternalStreamFailure.

    Raises ValueError for an error that is an HTTP answer: once a stream has begun, there is
    no second status line.
    """
    if error.kind.status is not None:
        raise ValueError(f"{error.code} is answered as HTTP {error.kind.status}, not in a stream.")
    headers = {
        ":exception-type": error.code,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, json.dumps(error.fields(place)).encode())

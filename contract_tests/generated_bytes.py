"""Changes that fit any payload: of its bytes, and of the headers around it. Pure.

Owns: both. Must not know: what the bytes mean.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from contract_tests.generated import MOST_BYTES, Case, Draw, Family, case
from contract_tests.payload import Payload

INSERTED = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"'", b'"',
    b"\\", b"\r", b"\x1a", b"<", b"${", b"%s%n", b"\n\n",
)  # fmt: skip
"""No UTF-8 (cut, overlong, a surrogate, a byte order mark inside), and what quoting trips over."""

FILLED = (b"\x00", b"\xff", b" ", b"9", b"A")
TIMES = (1, 10, 100, 1_000, 20_000)

OTHER_TYPES = (
    "application/json", "text/csv", "text/plain", "application/octet-stream",
    "application/x-npy", "application/jsonlines", "application/x-recordio-protobuf",
    "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=x", "image/png", "text/html", "*/*", "x", "/", ";", "a/b/c",
)  # fmt: skip

PARAMETERS = (
    "; charset=utf-8", ";charset=utf8", "; charset=nonsense", "; charset=utf-16", '; charset="',
    ";", ";;", "; q=1", "; boundary=", "; header=present", "; " + "a" * 900, ", text/html",
)  # fmt: skip

ACCEPTS = (
    "*/*", "application/json", "text/csv", "text/html", "image/png", "x", "", ",", ";q=",
    "application/json;q=x", "application/json;q=1e400", "application/json, " * 50 + "*/*",
    "a/" + "b" * 1000, "application/json;verbose=true", "text/*;q=0",
)  # fmt: skip

ATTRIBUTES = ("x", "", "a=" + "b" * 1000, "trace=$(id)", '{"a": 1', "%00", "c000b4f9-df62=1, x")
"""Values of X-Amzn-SageMaker-Custom-Attributes: at most 1,024 visible characters."""


def families(payload: Payload, known: Sequence[Payload]) -> Mapping[str, Family]:
    """`known` are all payloads: one may be sent under another one's type."""
    types = tuple(dict.fromkeys([*(p.content_type for p in known), *OTHER_TYPES]))
    return {
        "bytes": functools.partial(_bytes, payload=payload),
        "headers": functools.partial(_headers, payload=payload, types=types),
    }


def _bytes(draw: Draw, payload: Payload) -> Case:
    body = payload.body[:MOST_BYTES]
    match draw.number(0, 6):
        case 0:
            kept = draw.number(0, max(0, len(body) - 1))
            return case(payload, body[:kept], f"cut after {kept} bytes")
        case 1:
            size = draw.one_of(TIMES)
            filler = draw.one_of(FILLED)
            return case(payload, filler * size, f"replaced by {size} times {filler!r}")
        case 2:
            return case(payload, draw.octets(64), "replaced by other bytes")
        case 3:
            where, what = draw.number(0, len(body)), draw.one_of(INSERTED)
            return case(payload, body[:where] + what + body[where:], f"{what!r} put in at {where}")
        case 4 if body:
            where, bit = draw.number(0, len(body) - 1), draw.number(0, 7)
            flipped = bytes([body[where] ^ 1 << bit])
            changed = body[:where] + flipped + body[where + 1 :]
            return case(payload, changed, f"bit {bit} of byte {where} turned")
        case 5:
            mark = draw.one_of((b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b\x08", b"PK\x03\x04"))
            return case(payload, mark + body, f"{mark!r} put before it")
        case _:
            times = draw.number(1, 3)
            return case(payload, body * (times + 1), f"{times + 1} times in a row")


def _headers(draw: Draw, payload: Payload, types: Sequence[str]) -> Case:
    body, told = payload.body[:MOST_BYTES], payload.content_type
    match draw.number(0, 3):
        case 0:
            told = draw.one_of(types)
            return case(payload, body, f"sent as {told[:60]}", content_type=told)
        case 1:
            told += draw.one_of(PARAMETERS)
            return case(payload, body, f"sent as {told[:60]}", content_type=told)
        case 2:
            accept = draw.one_of(ACCEPTS)
            how = f"with Accept: {accept[:60]}"
            return case(payload, body, how, headers={"Accept": accept})
        case _:
            name, value = "X-Amzn-SageMaker-Custom-Attributes", draw.one_of(ATTRIBUTES)
            how = f"with {name}: {value[:60]}"
            return case(payload, body, how, headers={name: value})

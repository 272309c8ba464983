"""A shell line that sends a request again, whatever its bytes are. Pure.

Owns: how bytes are written for sh. Must not know: what is sent. `Request.curl` describes a body
that is no printable text on one line; here it is written out as far as a person wants to paste it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from emulator.http import Request

MOST_PRINTF, MOST_PYTHON = 300, 1500
"""Bytes, and characters, that a person still wants to paste."""

LEAST_RUN = 8
_RUN = re.compile(rb"(?s)(.{1,12}?)\1{7,}")
_QUOTED = frozenset(b"'\\%")  # for the shell, and for printf
_PRINTABLE = range(0x20, 0x7F)


def line(request: Request, base_url: str) -> str:
    """The command. A body that cannot be written shortly is described, as `Request.curl` does."""
    plain = request.curl(base_url)
    if "@BODY_OF_" not in plain.rpartition("--data-binary")[2]:
        return plain
    body = request.body or b""
    maker = _printf(body) if len(body) <= MOST_PRINTF else _python(body)
    if maker is None:
        return plain
    head, _, tail = plain.rpartition("--data-binary ")
    return f"{maker} | {head}--data-binary @- {tail.partition(' ')[2]}"


def _printf(body: bytes) -> str:
    """Octal escapes, which every sh knows; hexadecimal ones are bash's."""
    text = "".join(
        chr(byte) if byte in _PRINTABLE and byte not in _QUOTED else f"\\0{byte:03o}"
        for byte in body
    )
    return f"printf %b '{text}'"


def _python(body: bytes) -> str | None:
    code = "+".join(_parts(body))
    whole = f"python3 -c {shlex.quote(f'import sys; sys.stdout.buffer.write({code})')}"
    return whole if len(whole) <= MOST_PYTHON else None


def _parts(body: bytes) -> Iterator[str]:
    """Its bytes as Python writes them, with what repeats written once."""
    done = 0
    for run in _RUN.finditer(body):
        if run.start() > done:
            yield _literal(body[done : run.start()])
        times = (run.end() - run.start()) // len(run[1])
        yield f"{_literal(run[1])}*{times}"
        done = run.end()
    if done < len(body) or not body:
        yield _literal(body[done:])


def _literal(body: bytes) -> str:
    """As Python reads it, without a quote that the shell would see."""
    text = "".join(
        chr(byte) if byte in _PRINTABLE and byte not in b"'\"\\" else f"\\x{byte:02x}"
        for byte in body
    )
    return f'b"{text}"'

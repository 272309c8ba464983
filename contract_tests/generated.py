"""Requests that nobody sends on purpose, made from the user's own: what one is, and the families.

Owns: `Case`, the choices that a generator asks for, and which families fit a payload. Must not
know: Hypothesis (the choices come from outside, so that they can be made smaller), containers,
verdicts. Only what InvokeEndpoint lets through is made: any bytes as a body, and its own headers at
their documented lengths (contract 3.3,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from contract_tests.payload import Payload

T = TypeVar("T")

MOST_BYTES = 64 * 1024
"""Of a generated body: enough to overflow a parser's stack, little enough to be sent often."""

DEFAULT = Payload(name="no payload", content_type="application/json", body=b'{"instances": []}')
"""Stands for the user's request when none was given, as in the other chapters."""

MOST_HEADER = 1024
"""Characters of Content-Type, of Accept and of the custom attributes (contract 3.3)."""

MOST_PAYLOADS = 3


class Draw(Protocol):
    """Where choices come from. The smaller the numbers, the simpler the case."""

    def number(self, low: int, high: int) -> int: ...

    def one_of(self, options: Sequence[T]) -> T: ...

    def octets(self, most: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request. Equal when the bytes are, however they were made."""

    body: bytes = field(repr=False)
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    how: str = field(default="", compare=False)  # what was done to the payload, for messages


Family = Callable[[Draw], Case]


def case(
    payload: Payload,
    body: bytes,
    how: str,
    *,
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
) -> Case:
    """A case of a payload; the body is cut to the size that we send."""
    return Case(
        body=body[:MOST_BYTES],
        content_type=(content_type or payload.content_type)[:MOST_HEADER],
        headers=tuple((headers or {}).items()),
        how=f"{payload.name}, {how}",
    )


def mostly(draw: Draw, most: int) -> int:
    """How many of `most` things are kept: all of them in two of three cases, and fewer the smaller
    the choice is.
    """
    return min(most, draw.number(0, 3 * most))


def families(payloads: Sequence[Payload]) -> dict[str, Family]:
    """Every kind of change that fits one of these payloads, by name, in a fixed order."""
    from contract_tests import generated_bytes, generated_json, generated_rows

    known = list(payloads[:MOST_PAYLOADS]) or [DEFAULT]
    found: dict[str, Family] = {}
    for payload in known:
        makers: dict[str, Family] = {}  # the ones that find the smallest first
        if (value := generated_json.parsed(payload)) is not generated_json.NOTHING:
            makers |= generated_json.families(payload, value)
        elif (text := generated_rows.text_of(payload)) is not None:
            makers |= generated_rows.families(payload, text)
        makers |= generated_bytes.families(payload, known)
        for name, maker in makers.items():
            found[f"{payload.name}: {name}"] = maker
    return found


MORE: Mapping[str, int] = {"one value": 5, "one cell": 4, "keys": 2}
"""Shares of the families that find most: well-formed requests with something odd in them."""


def shares(names: Sequence[str], examples: int) -> dict[str, int]:
    """How many cases each family makes, of that many in all or a few more."""
    weights = {name: MORE.get(name.rpartition(": ")[2], 1) for name in names}
    total = sum(weights.values())
    return {name: -(-examples * weight // total) for name, weight in weights.items()}

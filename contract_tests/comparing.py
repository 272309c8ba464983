"""What several answers to the same request say about each other. Pure.

Owns: what counts as a difference that matters, and what is taken for chance. Must not know:
instances, verdicts, where answers come from. Careful by design: clocks, ids, counters, sampling
and rounding differ in sound containers, too, so only what none of them explains is told.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_PARTS = re.compile(r"[\w.+\-]+")  # a number, a word, a whole uuid
_CELLS = re.compile(r"[,;\s]+")
_WORDS = re.compile(r"[^\W\d_][^\W\d]*(?:[ /&.\-]?[^\W\d]+)*")

_OWN = re.compile(
    r"time|date|stamp|second|latency|duration|elapsed|uptime|start|creat|load|_at$|_?ms$|host"
    r"|node|pid|process|worker|thread|instance_?(id|name)?$|container|request|trace|session|uuid"
    r"|guid|(^|[_-])id$|nonce|token|version|build|seed|count|memory|(^|_)(ip|port|addr)|random",
    re.IGNORECASE,
)
"""Names of what an instance may tell of itself or of the moment, without being wrong."""

CLOCK = 1e8
"""Numbers from here on are taken for times (seconds since 1973), or ids."""

RELATIVE, ABSOLUTE = 1e-3, 1e-6
"""Threads and processors round differently; a model that differs does so by more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two answers differ, and in what."""

    where: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.one} against {self.other} at {self.where}"


def accumulates(repeated: Sequence[bytes], fresh: bytes) -> bool:
    """Whether each answer to the same request holds as much more as the one before, beginning
    where a fresh instance begins: what came before is told again. Counters, clocks, ids and
    sampled texts do not grow like that.
    """
    amounts = [_amount(body) for body in repeated]
    steps = {later - earlier for earlier, later in pairwise(amounts)}
    enough = len(amounts) >= 3  # two steps at least: one could be chance
    return enough and len(steps) == 1 and min(steps) > 0 and _amount(fresh) == amounts[0]


def _amount(body: bytes) -> int:
    text = _text(body)
    return len(body) if text is None else len(_PARTS.findall(text))


def difference(one: bytes, other: bytes) -> Difference | None:
    """The first thing that two answers say differently, of what a model says: numbers by more than
    rounding, words, how many. None when there is no such thing, or when the form is not known.
    """
    if one == other:
        return None
    left, right = _text(one), _text(other)
    if left is None or right is None:
        return None
    try:
        values = json.loads(left), json.loads(right)
    except (ValueError, RecursionError):
        return next(_cells(left, right), None)
    try:
        return next(_walk(*values, "$"), None)
    except RecursionError:
        return None


def _text(body: bytes) -> str | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _cells(one: str, other: str) -> Iterator[Difference]:
    rows = one.splitlines(), other.splitlines()
    if len(rows[0]) != len(rows[1]):
        return
    for number, (left, right) in enumerate(zip(*rows, strict=True), 1):
        cells = _CELLS.split(left.strip()), _CELLS.split(right.strip())
        if len(cells[0]) != len(cells[1]):
            return
        for place, (a, b) in enumerate(zip(*cells, strict=True), 1):
            yield from _leaf(a, b, f"line {number}, value {place}")


def _walk(one: Any, other: Any, where: str) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one:
            if key in other and not _OWN.search(key):
                yield from _walk(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield Difference(where=where, one=f"{len(one)} entries", other=f"{len(other)} entries")
        elif not _reordered(one, other):
            for place, (a, b) in enumerate(zip(one, other, strict=True)):
                yield from _walk(a, b, f"{where}[{place}]")
    else:
        yield from _leaf(one, other, where)


def _reordered(one: list[Any], other: list[Any]) -> bool:
    """A set has no order, and ties none that counts. Numbers alone have one: they are a vector."""
    if all(isinstance(value, (int, float)) for value in one):
        return False
    return sorted(map(_written, one)) == sorted(map(_written, other))


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _leaf(one: Any, other: Any, where: str) -> Iterator[Difference]:
    numbers = _number(one), _number(other)
    if numbers[0] is not None and numbers[1] is not None:
        differ = not _close(numbers[0], numbers[1])
    elif isinstance(one, str) and isinstance(other, str):
        both = _WORDS.fullmatch(one) and _WORDS.fullmatch(other)
        differ = bool(both) and one != other
    else:
        differ = False
    if differ:
        yield Difference(where=where, one=str(one)[:40], other=str(other)[:40])


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _close(one: float, other: float) -> bool:
    if not (math.isfinite(one) and math.isfinite(other)):
        return True  # strict-json tells of these
    if min(abs(one), abs(other)) >= CLOCK:
        return True
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)

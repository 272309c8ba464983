"""AWS's sentences for members that break a constraint.

Owns: their words, and how AWS prints what came. Must not know: shapes, rules, where the values come
from. Quoted from AWS: length, pattern, and the path with its one-based index
(https://github.com/aws/amazon-sagemaker-examples/issues/2236), what holds for every value of a map
(https://github.com/aws/sagemaker-python-sdk/issues/314) and for every item of a list
(https://github.com/appleboy/lambda-action/issues/72). The others are in the same style.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NOT_NULL = "Member must not be null"


def broken(shown: str | None, path: str, constraint: str) -> str:
    """One constraint that does not hold. `shown` is None for what must not be repeated."""
    value = "Value" if shown is None else f"Value {shown}"
    return f"{value} at '{path}' failed to satisfy constraint: {constraint}"


def detected(sentences: Sequence[str]) -> str:
    """AWS's message for all constraints of one call that do not hold."""
    many = len(sentences)
    return f"{many} validation error{'s' if many > 1 else ''} detected: {'; '.join(sentences)}"


def at_most(limit: float, what: str) -> str:
    return f"Member must have {what} less than or equal to {_number(limit)}"


def at_least(limit: float, what: str) -> str:
    return f"Member must have {what} greater than or equal to {_number(limit)}"


def one_of(names: Sequence[str]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(names)}]"


def like(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def every(what: str, constraints: Sequence[str]) -> str:
    """What must hold for each key, value or item; AWS lists all of it, not only what is broken."""
    return f"{what} must satisfy constraint: [{', '.join(constraints)}]"


def quoted(value: Any) -> str:
    """As AWS shows what came, between quotes."""
    return f"'{java(value)}'"


def java(value: Any) -> str:
    """As Java prints it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return _number(value)
        case Mapping():
            return "{" + ", ".join(f"{key}={java(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(java, value)) + "]"
    return str(value)


def path(parent: str, member: str) -> str:
    """A member's place: its name begins small, and nothing stands before the first."""
    name = member[:1].lower() + member[1:]
    return f"{parent}.{name}" if parent else name


def _number(value: float) -> str:
    whole = math.isfinite(value) and float(value).is_integer()
    return str(int(value)) if whole else str(value)

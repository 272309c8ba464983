"""Owns: Hypothesis strategies for the members of SageMaker's calls, made of the service model, and
the ways to break one constraint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import strategies as st

from emulator.control.patterns import compiled

OPERATIONS = (
    "CreateModel", "DescribeModel", "ListModels", "DeleteModel",
    "CreateEndpointConfig", "DescribeEndpointConfig", "ListEndpointConfigs", "DeleteEndpointConfig",
    "CreateEndpoint", "DescribeEndpoint", "ListEndpoints", "DeleteEndpoint",
    "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities",
    "AddTags", "ListTags", "DeleteTags",
)  # fmt: skip

TEXT = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=8)


def valid(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that break nothing."""
    if isinstance(shape, StructureShape):
        return structure(shape)
    if isinstance(shape, ListShape):
        least = int(shape.metadata.get("min", 0))
        most = min(int(shape.metadata.get("max", 2)), max(least, 2))
        return st.lists(valid(shape.member), min_size=least, max_size=most)
    if isinstance(shape, MapShape):
        return st.dictionaries(valid(shape.key), valid(shape.value), max_size=2)
    return scalar(shape)


@st.composite
def structure(draw: st.DrawFn, shape: StructureShape) -> dict[str, Any]:
    """What is required and at most three members more, for a configuration has hundreds."""
    optional = [name for name in shape.members if name not in shape.required_members]
    chosen = draw(st.lists(st.sampled_from(optional), max_size=3, unique=True)) if optional else []
    names = [*shape.required_members, *chosen]
    return {name: draw(valid(shape.members[name])) for name in names}


def scalar(shape: Shape) -> st.SearchStrategy[Any]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            return st.integers(-(2**31) if least is None else least, most or 2**31 - 1)
        case "float" | "double":
            return st.floats(least, most, allow_nan=False, allow_infinity=False, width=32)
        case "timestamp":
            return st.floats(0, 2**32, allow_nan=False)
    if shape.metadata.get("enum"):
        return st.sampled_from(shape.metadata["enum"])
    return string(shape.metadata.get("pattern"), least or 0, most or 64)


@cache
def string(pattern: str | None, least: int, most: int) -> st.SearchStrategy[str]:
    if pattern is None or pattern in (".*", r"[\S\s]*"):
        return st.text(
            st.characters(codec="ascii", min_codepoint=33), min_size=least, max_size=min(most, 40)
        )
    made = st.from_regex(compiled(pattern), fullmatch=True)
    return made.filter(lambda text: least <= len(text) <= most)


@dataclass(frozen=True, slots=True)
class Break:
    """One constraint, broken: where (as keys into the body), with what, and what AWS says."""

    keys: tuple[Any, ...]
    path: str
    value: Any
    says: str


MISSING = object()


def breaks(shape: StructureShape, body: Any) -> Iterator[Break]:
    """Ways to break one constraint of a valid body's members, in structures and their lists."""
    yield from _breaks(shape, body, (), "")


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _breaks(shape: Shape, value: Any, keys: tuple[Any, ...], path: str) -> Iterator[Break]:
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            where = f"{path}.{_lower(name)}".lstrip(".")
            if name not in value:
                continue
            if name in shape.required_members:
                yield Break((*keys, name), where, MISSING, "not be null")
            yield from _breaks(member, value[name], (*keys, name), where)
        where = f"{path}.noSuchMember".lstrip(".")
        yield Break((*keys, "NoSuchMember"), where, "x", "is no member")
        return
    for value_, says in _wrong(shape):
        yield Break(keys, path, value_, says)
    if isinstance(shape, ListShape):
        for index, item in enumerate(value):
            if isinstance(shape.member, StructureShape):
                where = f"{path}.{index + 1}.member"
                yield from _breaks(shape.member, item, (*keys, index), where)


def _wrong(shape: Shape) -> Iterator[tuple[Any, str]]:
    """Values that break one constraint and no other."""
    kind = shape.type_name
    yield from ((value, "must be") for value in OTHER_TYPES[kind])
    if kind in ("integer", "float"):
        yield from _wrong_number(shape)
    elif kind == "list" and shape.metadata.get("min"):
        yield [], f"have length greater than or equal to {shape.metadata['min']}"
    elif kind == "string":
        yield from _wrong_string(shape)


NAN, INFINITE = float("nan"), float("inf")
OTHER_TYPES: dict[str, tuple[Any, ...]] = {
    "integer": ("1", True, [1], {"a": 1}, 1.5, NAN, INFINITE, 10**30, 2**31, -(2**31) - 1),
    "float": ("1", True, [1], {"a": 1}, NAN, INFINITE, 10**400),
    "boolean": ("true", 1, 0, [], {}),
    "timestamp": ("2020-01-01", True, NAN, [], {}),
    "list": ("x", {"a": 1}, 1, True),
    "map": ("x", [], 1, True),
    "string": (1, 1.5, True, ["x"], {"a": 1}, b"x"),
}


def _wrong_number(shape: Shape) -> Iterator[tuple[Any, str]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if most is not None:
        yield most + 1, f"have value less than or equal to {most}"
    if least is not None:
        yield least - 1, f"have value greater than or equal to {least}"


def _wrong_string(shape: Shape) -> Iterator[tuple[Any, str]]:
    least, most = shape.metadata.get("min") or 0, shape.metadata.get("max")
    if shape.metadata.get("enum"):
        yield from ((value, "enum value set") for value in ("NoSuchName", " ", ""))
        return
    pattern = compiled(shape.metadata.get("pattern", r"[\S\s]*"))
    if least and pattern.fullmatch(""):
        yield "", f"have length greater than or equal to {least}"
    if most and pattern.fullmatch("a" * (most + 1)):
        yield "a" * (most + 1), f"have length less than or equal to {most}"
    for text in ("\n", "!", "é", "a\r", "a b\n", "\u0661"):
        if least <= len(text) <= (most or 99) and not pattern.fullmatch(text):
            yield text, "satisfy regular expression pattern: "

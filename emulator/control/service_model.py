"""SageMaker's service model as the judge of a call's members.

Owns: walking botocore's model of an operation beside what came. Must not know: AWS's words
(`words`), rules that span members (`rules`), HTTP, moto, what is there already. botocore's client
checks only `required`, types and `min`; `max`, `pattern` and `enum` are left to the server, and
moto checks almost none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from emulator.control import words
from emulator.control.patterns import compiled
from emulator.control.unknown import UNKNOWN, NotKnown

INTEGERS = {"integer": 2**31, "long": 2**63}
"""Whole numbers are Java's: the first one that does not fit."""

NUMBERS = (*INTEGERS, "float", "double")

SAYS = {
    "boolean": "true or false",
    "float": "a number",
    "double": "a number",
    "integer": "a whole number of 32 bits",
    "list": "a list",
    "long": "a whole number of 64 bits",
    "map": "an object",
    "string": "a string",
    "structure": "an object",
    "timestamp": "a time in seconds since 1970",
}

SHOWN = 80
"""How much of a value is repeated in our own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A constraint that does not hold, in AWS's words."""

    path: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongType:
    """What came cannot be read as the member's type; AWS answers SerializationException."""

    path: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.path or 'The body'} must be {self.expected}, not {self.came}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A member that the model does not have. botocore's client stops it, AWS's server ignores it
    (inferred), CloudFormation refuses it.
    """

    path: str
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} is no member; {self.hint}."

    @property
    def hint(self) -> str:
        near = get_close_matches(self.name, self.known, n=1)
        return f"did you mean {near[0]}?" if near else f"known are {', '.join(self.known)}"


Finding = Broken | WrongType | Unknown


def _said(shown: str | None, path: str, constraint: str) -> Broken:
    return Broken(path=path, sentence=words.broken(shown, path, constraint))


@cache
def service() -> ServiceModel:
    """The model that is installed with botocore."""
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


@cache
def operation(name: str) -> OperationModel | None:
    """None when SageMaker has no such operation."""
    model = service()
    return model.operation_model(name) if name in model.operation_names else None


@cache
def input_shape(name: str) -> StructureShape:
    """The members of an operation. Raises KeyError when SageMaker has no such operation."""
    model = operation(name)
    if model is None:
        raise KeyError(name)
    empty = StructureShape(f"{name}Request", {"type": "structure", "members": {}})
    return empty if model.input_shape is None else model.input_shape


def findings(name: str, body: Any) -> list[Finding]:
    """Everything that is wrong with a call's members, in the order of the model."""
    return list(_walk(input_shape(name), body, ""))


def fits(name: str, member: str, value: Any) -> bool:
    """Whether a value is right for one member of a call."""
    return not any(True for _ in _walk(input_shape(name).members[member], value, ""))


def _walk(shape: Shape, value: Any, path: str) -> Iterator[Finding]:
    if value is UNKNOWN:
        return
    if not _is(shape.type_name, value):
        expected = SAYS.get(shape.type_name, shape.type_name)
        yield WrongType(path=path, expected=expected, came=_shown(value))
    elif isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _list(shape, value, path)
    elif isinstance(shape, MapShape):
        yield from _map(shape, value, path)
    else:
        shown = None if shape.metadata.get("sensitive") else words.quoted(value)
        yield from (_said(shown, path, text) for text in _broken(shape, value))


def _structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[Finding]:
    members: Mapping[str, Shape] = shape.members
    for name, member in members.items():
        where = words.path(path, name)
        try:
            item = value.get(name)
        except NotKnown:
            continue
        if item is not None:
            yield from _walk(member, item, where)
        elif name in shape.required_members:
            yield _said("null", where, words.NOT_NULL)
    for name in value:
        if name not in members:
            yield Unknown(path=words.path(path, str(name)), name=str(name), known=tuple(members))


def _list(shape: ListShape, value: Sequence[Any], path: str) -> Iterator[Finding]:
    yield from (_said(words.quoted(value), path, text) for text in _broken(shape, value))
    if isinstance(shape.member, StructureShape | ListShape | MapShape):
        for number, item in enumerate(value, start=1):
            yield from _walk(shape.member, item, f"{path}.{number}.member")
    else:
        yield from _each(shape.member, value, "Member", value, path)


def _map(shape: MapShape, value: Mapping[Any, Any], path: str) -> Iterator[Finding]:
    yield from (_said(words.quoted(value), path, text) for text in _broken(shape, value))
    yield from _each(shape.key, list(value), "Map keys", value, path)
    if isinstance(shape.value, StructureShape | ListShape | MapShape):
        for key, item in value.items():
            yield from _walk(shape.value, item, f"{path}.{key}.member")
    else:
        yield from _each(shape.value, list(value.values()), "Map value", value, path)


def _each(
    shape: Shape, items: Sequence[Any], what: str, whole: Any, path: str
) -> Iterator[Finding]:
    """Scalars in a collection: AWS names the collection, and says it once."""
    items = [item for item in items if item is not UNKNOWN]
    for item in items:
        if not _is(shape.type_name, item):
            expected = f"{what}: {SAYS.get(shape.type_name, shape.type_name)}"
            yield WrongType(path=path, expected=expected, came=_shown(item))
            return
    if any(_broken(shape, item) for item in items):
        texts = [text for text, _ in _constraints(shape)]
        yield _said(words.quoted(whole), path, words.every(what, texts))


def _broken(shape: Shape, value: Any) -> list[str]:
    return [text for text, holds in _constraints(shape) if not holds(value)]


def _constraints(shape: Shape) -> list[tuple[str, Any]]:
    """AWS's text and the test of each constraint, in AWS's order."""
    metadata = shape.metadata
    number = shape.type_name in NUMBERS
    what, size = ("value", float) if number else ("length", len)
    found: list[tuple[str, Any]] = []
    if "max" in metadata:
        most = float(metadata["max"])
        found.append((words.at_most(most, what), lambda value: size(value) <= most))
    if "min" in metadata:
        least = float(metadata["min"])
        found.append((words.at_least(least, what), lambda value: size(value) >= least))
    if metadata.get("enum"):
        names = metadata["enum"]
        found.append((words.one_of(names), lambda value: value in names))
    if metadata.get("pattern"):
        pattern = metadata["pattern"]
        found.append((words.like(pattern), lambda v: compiled(pattern).fullmatch(v) is not None))
    return found


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer" | "long":
            return _whole(value) and -INTEGERS[kind] <= value < INTEGERS[kind]
        case "float" | "double":
            return _finite(value)
        case "timestamp":
            return isinstance(value, datetime) or _finite(value)
        case "list":
            return isinstance(value, list)
        case "map" | "structure":
            return isinstance(value, dict)
    return False


def _whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**1023  # larger is no Java double


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"

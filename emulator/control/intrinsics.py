"""CloudFormation's functions and parameters, as far as a template alone tells their values.

Owns: `Ref`, `Fn::*`, conditions, mappings. Must not know: what a resource is; its name and
attributes come from a function of the caller's. What only the deployment knows is `UNKNOWN`, a
member that may be absent makes its object `Partial`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from emulator.control.unknown import UNKNOWN, Partial


class _Absence:
    """What `AWS::NoValue` leaves, surely or perhaps."""


ABSENT: Final = _Absence()
MAYBE: Final = _Absence()

_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")

Attribute = Callable[[str, str | None], Any]
"""A resource's attribute by its logical name; without an attribute, what `Ref` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """`parameters` are values that are known; `pseudo` those of `AWS::Region` and its like."""

    parameters: Mapping[str, Any]
    pseudo: Mapping[str, Any]
    attribute: Attribute
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """The value with every function in it done; ABSENT or MAYBE only at the top."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            if any(item is MAYBE for item in items):
                return UNKNOWN
            return [item for item in items if item is not ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if isinstance(name, str) and name.startswith("Fn::"):
                return self._function(name[4:], argument)
        return self._object(value)

    def condition(self, name: Any, asked: frozenset[str] = frozenset()) -> bool | None:
        """Whether a named condition holds; None when that is not known."""
        if not isinstance(name, str) or name in asked or name not in self.conditions:
            return None
        return self._holds(self.conditions[name], asked | {name})

    def _object(self, value: dict[str, Any]) -> Any:
        members = {str(name): self.resolve(item) for name, item in value.items()}
        maybe = frozenset(name for name, item in members.items() if item is MAYBE)
        there = {n: item for n, item in members.items() if item is not ABSENT and n not in maybe}
        return Partial(there, maybe=maybe) if maybe else there

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return ABSENT
        if not isinstance(name, str):
            return UNKNOWN
        for known in (self.pseudo, self.parameters):
            if name in known:
                return known[name]
        return UNKNOWN if name.startswith("AWS::") else self.attribute(name, None)

    def _function(self, name: str, argument: Any) -> Any:
        do = FUNCTIONS.get(name)
        return UNKNOWN if do is None else do(self, argument)

    def _holds(self, test: Any, asked: frozenset[str]) -> bool | None:
        if not isinstance(test, dict) or len(test) != 1:
            return None
        ((name, argument),) = test.items()
        if name == "Condition":
            return self.condition(argument, asked)
        if not isinstance(argument, list):
            return None
        if name == "Fn::Equals":
            sides = [self.resolve(side) for side in argument]
            known = len(sides) == 2 and all(isinstance(s, str | int | float) for s in sides)
            return _text(sides[0]) == _text(sides[1]) if known else None
        several = [self._holds(one, asked) for one in argument]
        if name == "Fn::Not":
            return None if len(several) != 1 or several[0] is None else not several[0]
        deciding = {"Fn::And": False, "Fn::Or": True}.get(name)
        if deciding is None:
            return None
        if deciding in several:
            return deciding
        return None if None in several else not deciding


def _if(of: Resolver, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) != 3:
        return UNKNOWN
    holds = of.condition(argument[0])
    if holds is not None:
        return of.resolve(argument[1 if holds else 2])
    absent = [argument[n] == {"Ref": "AWS::NoValue"} for n in (1, 2)]
    if all(absent):
        return ABSENT
    if any(absent):
        return MAYBE
    return of.resolve(argument[1]) if argument[1] == argument[2] else UNKNOWN


def _join(of: Resolver, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) != 2:
        return UNKNOWN
    by, parts = of.resolve(argument[0]), of.resolve(argument[1])
    if not isinstance(by, str) or not isinstance(parts, list) or not all(map(_is_scalar, parts)):
        return UNKNOWN
    return by.join(map(_text, parts))


def _sub(of: Resolver, argument: Any) -> Any:
    text, given = argument, {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
        text, given = argument
    if not isinstance(text, str):
        return UNKNOWN
    parts: list[Any] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        parts.append(_variable(of, given, literal=found[1] == "!", name=found[2].strip()))
    parts.append(text[end:])
    return "".join(map(_text, parts)) if all(map(_is_scalar, parts)) else UNKNOWN


def _variable(of: Resolver, given: Mapping[str, Any], *, literal: bool, name: str) -> Any:
    if literal:
        return "${" + name + "}"
    if name in given:
        return of.resolve(given[name])
    if "." in name:
        return of.attribute(*name.split(".", 1))
    return of.resolve({"Ref": name})


def _get_att(of: Resolver, argument: Any) -> Any:
    if isinstance(argument, str):
        argument = argument.split(".", 1)
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str):
        attribute = of.resolve(argument[1])
        return of.attribute(argument[0], attribute) if isinstance(attribute, str) else UNKNOWN
    return UNKNOWN


def _select(of: Resolver, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) != 2:
        return UNKNOWN
    number, items = of.resolve(argument[0]), of.resolve(argument[1])
    if not isinstance(items, list) or not re.fullmatch(r"\d{1,4}", _text(number)):
        return UNKNOWN
    return items[int(number)] if int(number) < len(items) else UNKNOWN


def _split(of: Resolver, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) != 2:
        return UNKNOWN
    by, text = of.resolve(argument[0]), of.resolve(argument[1])
    known = isinstance(by, str) and isinstance(text, str) and by != ""
    return text.split(by) if known else UNKNOWN


def _find_in_map(of: Resolver, argument: Any) -> Any:
    if not isinstance(argument, list) or len(argument) < 3:
        return UNKNOWN
    found: Any = of.mappings
    for key in argument[:3]:
        name = of.resolve(key)
        if not isinstance(name, str) or not isinstance(found, dict) or name not in found:
            return UNKNOWN
        found = found[name]
    return found


FUNCTIONS: Mapping[str, Callable[[Resolver, Any], Any]] = {
    "FindInMap": _find_in_map,
    "GetAtt": _get_att,
    "If": _if,
    "Join": _join,
    "Select": _select,
    "Split": _split,
    "Sub": _sub,
}
"""All others (ImportValue, GetAZs, Transform ...) need the deployment."""


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _text(value: Any) -> str:
    """As CloudFormation writes a value into a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)

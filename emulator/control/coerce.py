"""A resource's properties as a call's members.

Owns: what CloudFormation does to values on the way: a text where a number is wanted, and the
reverse. Must not know: templates, rules.
"""

from __future__ import annotations

import re
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from emulator.control.service_model import INTEGERS, NUMBERS
from emulator.control.unknown import UNKNOWN, kept

_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def coerced(shape: Shape, value: Any) -> Any:
    """The value in the shape's type where CloudFormation would make it so, else as it is."""
    if value is UNKNOWN:
        return value
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = {
            name: coerced(shape.members[name], item) if name in shape.members else item
            for name, item in value.items()
        }
        return kept(value, members)
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [coerced(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return kept(value, {name: coerced(shape.value, item) for name, item in value.items()})
    return _scalar(shape.type_name, value)


def _scalar(kind: str, value: Any) -> Any:
    if isinstance(value, str):
        if kind in INTEGERS and _INTEGER.fullmatch(value):
            return int(value)
        if kind in NUMBERS and _NUMBER.fullmatch(value):
            return float(value)
        return _BOOLEANS.get(value, value) if kind == "boolean" else value
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    return value

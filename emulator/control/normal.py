"""A call's members as the service keeps them.

Owns: that null is as good as nothing, that a whole number is one however it is written, and that
members which the service model does not have are not kept. Must not know: rules (what comes here
was accepted), who keeps it.
"""

from __future__ import annotations

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from emulator.control.known import Body
from emulator.control.service_model import INTEGERS, input_shape


def without_nulls(operation: str, body: Any) -> Any:
    """The same call, before anybody has judged its form."""
    return _without_nulls(input_shape(operation), body)


def _without_nulls(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            name: _without_nulls(shape.members[name], item) if name in shape.members else item
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_without_nulls(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _without_nulls(shape.value, item) for key, item in value.items()}
    return value


def normal(operation: str, body: Body) -> Body:
    """A copy of what was accepted; nothing of it is shared with what came."""
    kept: Body = _normal(input_shape(operation), without_nulls(operation, body))
    return kept


def _normal(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _normal(member, value[name])
            for name, member in shape.members.items()
            if name in value
        }
    if isinstance(shape, ListShape):
        return [_normal(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: _normal(shape.value, item) for key, item in value.items()}
    return int(value) if shape.type_name in INTEGERS else value

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


def normal(operation: str, body: Body) -> Body:
    """A copy; nothing of it is shared with what came."""
    kept: Body = _normal(input_shape(operation), body)
    return kept


def _normal(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _normal(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_normal(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: _normal(shape.value, item) for key, item in value.items()}
    return int(value) if shape.type_name in INTEGERS else value

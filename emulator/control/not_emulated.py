"""What AWS would do and this emulator does not: refused by name, never done by half.

Owns: the search of a call for it, and the values that are refused of members that are emulated
otherwise. Must not know: what AWS refuses (`rules`), HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.control.coverage import TABLE, Standing
from emulator.control.known import Body
from emulator.control.rule import is_set

CODE = "NotEmulated"
STATUS = 501
"""Not 5xx that botocore tries again (500, 502, 503, 504)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A member that is emulated, but not so."""

    operation: str
    member: str
    says: str
    so: Callable[[Any], bool]


VALUES: Sequence[Value] = (
    Value(
        operation="CreateModel",
        member="Containers",
        says="with more than one container (an inference pipeline)",
        so=lambda containers: len(containers) > 1,
    ),
    *(
        Value(
            operation="CreateModel",
            member=member,
            says="with MultiModel: a container for many models",
            so=lambda mode: mode == "MultiModel",
        )
        for member in ("PrimaryContainer.Mode", "Containers[].Mode")
    ),
    Value(
        operation="CreateEndpointConfig",
        member="ProductionVariants[]",
        says="without ModelName: inference components",
        so=lambda variant: not is_set(variant.get("ModelName")),
    ),
    Value(
        operation="UpdateEndpointWeightsAndCapacities",
        member="DesiredWeightsAndCapacities[].DesiredInstanceCount",
        says="with 0: a variant without instances",
        so=lambda count: count == 0,
    ),
    Value(
        operation="UpdateEndpoint",
        member="ExcludeRetainedVariantProperties[].VariantPropertyType",
        says="with DataCaptureConfig",
        so=lambda kind: kind == "DataCaptureConfig",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """A member that is refused, but not when it says this: it means nothing then."""

    operation: str
    member: str
    says: Mapping[str, Any]
    alone: bool = True  # anything beside it has a meaning

    def holds(self, said: Any) -> bool:
        if not isinstance(said, Mapping):
            return False
        beside = any(is_set(said[name]) for name in said if name not in self.says)
        return not (self.alone and beside) and all(
            said.get(name) == value for name, value in self.says.items()
        )


HARMLESS: Sequence[Off] = (
    *(
        Off(
            operation="CreateModel",
            member=f"{container}.ImageConfig",
            says={"RepositoryAccessMode": "Platform"},
        )
        for container in ("PrimaryContainer", "Containers[]")
    ),
    Off(
        operation="CreateEndpointConfig",
        member="DataCaptureConfig",
        says={"EnableCapture": False},
        alone=False,
    ),
    Off(
        operation="CreateModel",
        member="InferenceExecutionConfig",
        says={"Mode": "Serial"},
    ),
    Off(
        operation="CreateEndpointConfig",
        member="ProductionVariants[].ManagedInstanceScaling",
        says={"Status": "DISABLED"},
    ),
)


def not_emulated(operation: str, body: Body) -> str | None:
    """Why this emulator will not do a call that AWS would do; None when it does."""
    members = TABLE.get(operation)
    if members is None:
        return (
            f"byoc does not emulate {operation}. It emulates models, endpoint configurations,"
            " endpoints and their tags."
        )
    for member, standing in members.items():
        if standing is not Standing.REFUSED:
            continue
        for path, said in _found(body, member):
            if is_set(said) and not _off(operation, member, said):
                return f"byoc does not emulate {path} of {operation}. Leave it out to go on."
    for value in VALUES:
        if value.operation == operation:
            for path, said in _found(body, value.member):
                if is_set(said) and value.so(said):
                    return f"byoc does not emulate {path} of {operation} {value.says}."
    return None


def _off(operation: str, member: str, said: Any) -> bool:
    return any(
        off.holds(said) for off in HARMLESS if (off.operation, off.member) == (operation, member)
    )


def _found(body: Any, member: str, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each place of a member as `A.B[].C`, and what stands there."""
    name, _, rest = member.partition(".")
    key = name.removesuffix("[]")
    if not isinstance(body, Mapping) or key not in body:
        return
    path, value = f"{before}.{key}" if before else key, body[key]
    if not name.endswith("[]"):
        yield from _found(value, rest, path) if rest else iter([(path, value)])
        return
    for number, one in enumerate(value or (), start=1):
        where = f"{path}.{number}"
        yield from _found(one, rest, where) if rest else iter([(where, one)])

"""A resource of a stack, and what can be done to one.

Owns: what is kept of a resource, the seam behind which resources are made (`Handler`), the failure
that CloudFormation tells. Must not know: the order of things, which services there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from emulator.api.stacks.graph import Settle, named

Properties = Mapping[str, Any]
"""A resource's properties with every function in them done."""


class Failed(Exception):
    """Why CloudFormation could not do it: the reason of the resource's status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A resource as the template asks for it."""

    logical: str
    kind: str
    declared: Mapping[str, Any]
    properties: Properties

    @property
    def kept_on_delete(self) -> bool:
        return self.declared.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")

    @property
    def kept_on_rollback(self) -> bool:
        """Of its creation: only the plain Retain counts there."""
        return self.declared.get("DeletionPolicy") == "Retain"

    @property
    def kept_on_replacement(self) -> bool:
        return self.declared.get("UpdateReplacePolicy") == "Retain"

    @property
    def names(self) -> frozenset[str]:
        return named(self.declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of it. `value` is what `Ref` and `Fn::GetAtt` are asked of; `settle` waits until
    the resource is what was wanted, None where it is at once.
    """

    physical: str
    name: str
    value: Any
    settle: Settle | None = None
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Resource:
    """A resource that a stack has, had, or tried to have."""

    wanted: Wanted
    made: Made | None = None
    status: str = ""
    reason: str = ""
    at: Any = None

    @property
    def logical(self) -> str:
        return self.wanted.logical

    @property
    def exists(self) -> bool:
        return self.made is not None and self.status != "DELETE_COMPLETE"

    @property
    def physical(self) -> str:
        return "" if self.made is None else self.made.physical


class Change(Enum):
    """What a resource's other properties mean for it."""

    NONE = "none"
    IN_PLACE = "in place"
    REPLACEMENT = "replacement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The stack that a resource belongs to."""

    stack: str
    stack_id: str
    region: str
    account: str
    tags: Mapping[str, str]


class Handler(Protocol):
    """One kind of resources. Every method may raise Failed."""

    def create(self, where: Where, wanted: Wanted) -> Made: ...

    def change(self, before: Wanted, wanted: Wanted) -> Change: ...

    def named(self, wanted: Wanted) -> str:
        """The name that the template gives it; empty when it gives none."""
        ...

    def update(self, where: Where, before: Wanted, made: Made, wanted: Wanted) -> Made:
        """In place; also back to what it was before, after an update that failed."""
        ...

    def delete(self, where: Where, wanted: Wanted, made: Made) -> Settle | None:
        """What is not there any more counts as deleted."""
        ...

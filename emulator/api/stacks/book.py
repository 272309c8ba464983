"""What a stack is at this moment, as CloudFormation tells it.

Owns: its resources, and that each change of a status is an event. Must not know: what changes them,
where events are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emulator.api.stacks.resource import Resource, Wanted, Where


class Template(Protocol):
    """A template with its parameters, asked while the stack is made from it."""

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        """Its resources, without those whose condition does not hold."""
        ...

    def declared(self, logical: str) -> Wanted:
        """As it is written, without properties."""
        ...

    def wanted(self, logical: str) -> Wanted:
        """With every function done; raises Failed where one has no value."""
        ...

    def has(self, resource: Resource) -> None:
        """From now on functions that refer to this resource have a value."""
        ...

    def finish(self) -> None:
        """Outputs and exports; raises Failed."""
        ...


class Teller(Protocol):
    """Where what happens is written down."""

    def resource(self, resource: Resource) -> None: ...

    def stack(self, status: str, reason: str = "") -> None: ...

    def gone(self) -> None:
        """The stack is deleted."""
        ...


@dataclass(slots=True, kw_only=True)
class Book:
    where: Where
    tell: Teller
    resources: dict[str, Resource] = field(default_factory=dict)

    def status(self, resource: Resource, status: str, reason: str = "") -> None:
        resource.status, resource.reason = status, reason
        self.tell.resource(resource)

    def stack(self, status: str, reason: str = "") -> None:
        self.tell.stack(status, reason)

"""Methods of moto's classes, replaced and put back.

Owns: that all are replaced or none, and all come back. Must not know: which they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

MOVED = (
    "moto {version} has no {owner}.{name}; byoc changes it to make CloudFormation behave as AWS."
    " Install the version of moto that byoc asks for."
)
ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    owner: Any
    name: str
    value: Any
    new: bool = False  # moto has none of it


@dataclass(slots=True, kw_only=True)
class Patches:
    """All or nothing."""

    all: list[Patch]
    _before: list[Patch] = field(default_factory=list)

    def put_on(self) -> None:
        """Raises RuntimeError when moto is not made as expected."""
        if self._before:
            return
        for patch in self.all:
            if patch.name not in vars(patch.owner) and not patch.new:
                import moto

                owner = getattr(patch.owner, "__name__", patch.owner)
                raise RuntimeError(
                    MOVED.format(version=moto.__version__, owner=owner, name=patch.name)
                )
        for patch in self.all:
            # As it is written there: a static method or a property, not what it gives.
            before = vars(patch.owner).get(patch.name, ABSENT)
            self._before.append(Patch(owner=patch.owner, name=patch.name, value=before))
            setattr(patch.owner, patch.name, patch.value)

    def take_off(self) -> None:
        while self._before:
            patch = self._before.pop()
            if patch.value is ABSENT:
                delattr(patch.owner, patch.name)
            else:
                setattr(patch.owner, patch.name, patch.value)

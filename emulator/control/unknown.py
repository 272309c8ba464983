"""A value that is there, but is known only when it is deployed.

Owns: such a value, and an object that may or may not have a member. Must not know: templates,
rules. Whoever asks such a value anything gets `NotKnown`; so a rule that had to guess says nothing.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn


class NotKnown(Exception):
    """The answer depends on what only the deployment knows."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise NotKnown


class Unknown:
    """Only its being there may be looked at (`is None`, `is UNKNOWN`), and its text shown."""

    __slots__ = ()

    def __str__(self) -> str:
        return "(known when deployed)"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copying and pattern matching look for
            raise AttributeError(name)
        raise NotKnown

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = _refuse
    __int__ = __float__ = __add__ = __radd__ = _refuse


UNKNOWN: Final = Unknown()


class Partial(dict[str, Any]):
    """An object of which some members may or may not be there: `{"Fn::If": ...}` without value."""

    def __init__(self, members: dict[str, Any], *, maybe: frozenset[str]) -> None:
        super().__init__(members)
        self.maybe = maybe

    def get(self, key: str, default: Any = None, /) -> Any:
        return default if self._known(key) not in self else super().__getitem__(key)

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(self._known(key))

    def _known(self, key: str) -> str:
        if key in self.maybe:
            raise NotKnown
        return key


def kept(before: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    """Other members of the same object; what may be absent stays so."""
    return Partial(members, maybe=before.maybe) if isinstance(before, Partial) else members

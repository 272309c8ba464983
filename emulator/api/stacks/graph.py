"""What of a stack comes after what.

Owns: the order of resources, and walking it with several of them under way. Must not know: what is
done to a resource, AWS's services.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emulator.control.template import references

After = Mapping[str, frozenset[str]]
"""By logical name: those that must be done before."""

Settle = Callable[[], None]
"""Waits until something begun is done; raises what it failed of."""


class Circular(Exception):
    """These wait for each other."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(", ".join(sorted(names)))


def after(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """DependsOn, and what the properties refer to, as far as it is one of these resources."""
    return {name: named(body) & resources.keys() - {name} for name, body in resources.items()}


def named(body: Mapping[str, Any]) -> frozenset[str]:
    """Every logical name that a resource names."""
    depends = body.get("DependsOn") or []
    listed = depends if isinstance(depends, list) else [depends]
    found = {name for name in listed if isinstance(name, str)}
    return frozenset(found | set(references(body.get("Properties"))))


def turned(waits: After) -> dict[str, frozenset[str]]:
    """The order of taking apart: each one after those that needed it."""
    return {
        name: frozenset(other for other, needs in waits.items() if name in needs) for name in waits
    }


def order(waits: After) -> list[str]:
    """One order that holds, otherwise as they are written. Raises Circular."""
    left, found = list(waits), list[str]()
    while left:
        ready = next((name for name in left if waits[name].isdisjoint(left)), None)
        if ready is None:
            raise Circular(left)
        left.remove(ready)
        found.append(ready)
    return found


def walk(
    waits: After,
    begin: Callable[[str], Settle | None],
    done: Callable[[str], None],
    failed: Callable[[str, Exception], None],
    *,
    expected: type[Exception],
    go_on: Callable[[], bool] = lambda: True,
) -> None:
    """Begins each one as soon as those before it are done. What was begun is waited for, also when
    no other one may begin any more; what waits for one that failed is never begun. Failures other
    than `expected` pass through.
    """
    left, finished, settling = list(waits), set[str](), dict[str, Settle]()

    def attempt(name: str, step: Callable[[], Settle | None]) -> None:
        try:
            settle = step()
        except expected as error:
            failed(name, error)
            return
        if settle is None:
            finished.add(name)
            done(name)
        else:
            settling[name] = settle

    def ready() -> str | None:
        return next((name for name in left if waits[name] <= finished), None)

    while True:
        while go_on() and (name := ready()) is not None:
            left.remove(name)
            attempt(name, functools.partial(begin, name))
        if not settling:
            return
        name = next(iter(settling))
        attempt(name, settling.pop(name))

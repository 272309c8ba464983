"""What an endpoint may tell of its instances, whatever happens.

Owns: the legal steps from state to state, and what is known in each. Must not know: how an endpoint
works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from emulator.endpoint_state import InstanceChange, InstanceState

STARTING, IDLE, BUSY, FROZEN, GONE = InstanceState

NEXT: Mapping[InstanceState | None, frozenset[InstanceState]] = {
    None: frozenset({STARTING}),
    STARTING: frozenset({STARTING, IDLE, BUSY, GONE}),
    IDLE: frozenset({BUSY, FROZEN, GONE}),
    BUSY: frozenset({IDLE, GONE}),
    FROZEN: frozenset({BUSY, GONE}),
    GONE: frozenset(),
}


class Automaton:
    """A watcher of a journal. It only notes what is wrong: what a watcher raises is swallowed."""

    def __init__(self) -> None:
        self.last: dict[int, InstanceChange] = {}
        self.changes: list[InstanceChange] = []
        self.wrong: list[str] = []
        self.most_living = 0

    def __call__(self, change: InstanceChange) -> None:
        before = self.last.get(change.instance)
        self.last[change.instance] = change
        self.changes.append(change)
        if before is None:
            living = self.last.values()
            self.most_living = max(self.most_living, sum(c.state is not GONE for c in living))
        was = before.state if before else None
        self._claim(change.state in NEXT[was], f"{was} -> {change}")
        if before is not None:
            same = (change.version, change.provisioned) == (before.version, before.provisioned)
            self._claim(same, f"{before} became {change}")
            self._claim(change.at >= before.at, f"time went back: {before}, {change}")
            kept = not before.container or change.container == before.container
            self._claim(kept, f"another container: {before}, {change}")
        if change.state in (IDLE, BUSY, FROZEN):
            self._claim(bool(change.container), f"no container: {change}")
        needs = {BUSY: True, IDLE: False, FROZEN: False, GONE: False}.get(change.state)
        if needs is not None:
            self._claim((change.request is not None) is needs, f"request: {change}")
        self._claim(
            bool(change.why) or change.state is not GONE, f"gone without a reason: {change}"
        )

    def _claim(self, holds: bool, words: str) -> None:
        if not holds:
            self.wrong.append(words)

    def states(self) -> Counter[InstanceState]:
        """How many instances are in each state."""
        return Counter(change.state for change in self.last.values())

    def of(self, instance: int) -> list[InstanceState]:
        """What an instance did, one after the other, without repetitions."""
        states = [change.state for change in self.changes if change.instance == instance]
        return [s for i, s in enumerate(states) if i == 0 or states[i - 1] is not s]

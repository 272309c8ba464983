"""What a page that is opened now can still see of what went before.

Owns: how much is kept, and the short forms in which it is told. Must not know: who is told, the
page, time beyond what the records say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import fields

from emulator.endpoint_state import InstanceChange, InstanceState, Invocation, Journal

HISTORY_SECONDS = 15 * 60.0
HISTORY_CHANGES = 10_000

HISTORY_REFUSED = 5000
REFUSED_SECONDS = 0.05
"""Requests that no instance took are marks on a line: what comes closer than this is one mark."""

TOLD = tuple(one.name for one in fields(Invocation) if one.name != "answered")

Refused = tuple[float, str]
"""When a request was answered that no instance took, and the error's code."""


class History:
    """Begins with what a journal still has. Memory does not grow with use."""

    def __init__(self, journal: Journal, since: float) -> None:
        self.kept_since = min([since, *(change.at for change in journal.changes)])
        """Before it nothing is known but the states in which instances were."""
        self.refused: deque[Refused] = deque(maxlen=HISTORY_REFUSED)
        self._changes: deque[InstanceChange] = deque()
        self._before: dict[int, InstanceChange] = {}  # of the living, the last that is not kept
        kept = {id(change) for change in journal.changes}
        for change in journal.instances.values():
            if id(change) not in kept:
                self._before[change.instance] = change
        for change in journal.changes:
            self.remember(change)
        for record in journal.last:
            if record.answered:
                self.refuse(record)

    @property
    def changes(self) -> Iterator[InstanceChange]:
        """In their order; first those that tell in which states instances were before."""
        yield from sorted(self._before.values(), key=lambda one: one.at)
        yield from self._changes

    def remember(self, change: InstanceChange) -> None:
        changes = self._changes
        changes.append(change)
        oldest = change.at - HISTORY_SECONDS
        while len(changes) > HISTORY_CHANGES or changes[0].at < oldest:
            lost = changes.popleft()
            self.kept_since = lost.at
            if lost.state is InstanceState.GONE:
                self._before.pop(lost.instance, None)
            else:
                self._before[lost.instance] = lost

    def refuse(self, record: Invocation) -> Refused | None:
        """The mark that this request makes, if it makes one."""
        if record.instance is not None:
            return None
        mark = (round(record.arrived + record.seconds, 4), record.error)
        if self.refused:
            at, error = self.refused[-1]
            if error == mark[1] and 0 <= mark[0] - at < REFUSED_SECONDS:
                return None
        self.refused.append(mark)
        return mark


def change_as_json(change: InstanceChange) -> list[object]:
    return [round(change.at, 4), change.instance, change.state.value, change.request, change.why]


def invocation_as_json(record: Invocation) -> dict[str, object]:
    """Without what says nothing: there may be a thousand of them."""
    told: dict[str, object] = {}
    for name in TOLD:
        value = getattr(record, name)
        if value or name == "seconds":
            told[name] = round(value, 6) if isinstance(value, float) else value
    return told

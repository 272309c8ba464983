"""What the page is told of one variant: the whole story once, and then what is new, to any
number of tabs.

Owns: the messages and how often they come. Must not know: HTTP, the page, other variants
(`page_site`).
Whatever happens between two messages is told in one; a tab that does not read gets the whole story
again once it does, so that nothing grows meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from emulator.api.page_history import History, Refused, change_as_json, invocation_as_json
from emulator.api.page_tab import Tab
from emulator.clock import Clock, wall_clock
from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation, Journal
from emulator.view import Board

log = logging.getLogger("byoc.page")

MESSAGE_SECONDS = 0.1

MOST_CHANGES = 1000
"""In one message. Of more, only the last of each instance is told."""

MOST_INVOCATIONS = 500
"""In one message. Of more, the last are told; the counts go on."""

MetricRow = tuple[str, str, str, float | None]
"""Name, unit, statistic, value. None: nothing was recorded."""


class Shown(Protocol):
    """What the page needs of an endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> EndpointStatus: ...

    @property
    def failure_reason(self) -> str: ...

    @property
    def journal(self) -> Journal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What does not change from request to request."""

    image: str
    memory_mb: int | None
    profile: str
    region: str
    variant: str


class Feed:
    """Listens to one endpoint's journal. Costs a request next to nothing while no tab is open."""

    def __init__(
        self,
        shown: Shown,
        board: Board,
        *,
        clock: Clock,
        about: Callable[[], About],
        metrics: Callable[[], Sequence[MetricRow]] = tuple,
    ) -> None:
        self._shown, self._board, self._clock = shown, board, clock
        self._about, self._metrics = about, metrics
        self._tabs: set[Tab] = set()
        self._since = clock.now()
        self._history = History(shown.journal, self._since)
        self._changes: list[InstanceChange] = []  # not told yet
        self._invocations: deque[Invocation] = deque(maxlen=MOST_INVOCATIONS)
        self._refused: deque[Refused] = deque(maxlen=MOST_INVOCATIONS)
        self._flushing: asyncio.Task[None] | None = None
        shown.journal.watchers.append(self._changed)
        shown.journal.listeners.append(self._answered)

    # -- tabs ----------------------------------------------------------------------------------

    def join(self, tab: Tab) -> None:
        """Its first story must be ours."""
        self._tabs.add(tab)

    def leave(self, tab: Tab) -> None:
        self._tabs.discard(tab)
        if not self._tabs:
            self._rest()

    def retell(self) -> None:
        """Something changed that is in the story only."""
        for tab in self._tabs:
            tab.restart()

    def close(self) -> None:
        """Listens no more. May be called twice."""
        self._tabs.clear()
        self._rest()
        journal = self._shown.journal
        if self._changed in journal.watchers:
            journal.watchers.remove(self._changed)
            journal.listeners.remove(self._answered)

    def _rest(self) -> None:
        """Without a tab nothing runs and nothing is collected."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing = None
        self._changes.clear()
        self._invocations.clear()
        self._refused.clear()

    # -- what happens --------------------------------------------------------------------------

    def _changed(self, change: InstanceChange) -> None:
        self._history.remember(change)
        if self._tabs:
            self._changes.append(change)
            if len(self._changes) > MOST_CHANGES:
                last = {one.instance: one for one in self._changes}
                self._changes = sorted(last.values(), key=lambda one: one.at)
            self.soon()

    def _answered(self, record: Invocation) -> None:
        mark = self._history.refuse(record)
        if self._tabs:
            self._invocations.append(record)
            if mark is not None:
                self._refused.append(mark)
            self.soon()

    def soon(self) -> None:
        """There is something to tell, which may be what the journal does not have."""
        if self._tabs and self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        await self._clock.sleep(MESSAGE_SECONDS)
        self._flushing = None
        try:
            self._tell(self._news())
        except Exception:
            log.exception("the page was not told what is new")

    def beat(self) -> None:
        """A comment, which keeps whatever is in between from closing the connection; and what is
        known, so that the page sees that we live.
        """
        if self._tabs:
            self._tell(b": heartbeat\n" + self._news())

    def _tell(self, message: bytes) -> None:
        for tab in self._tabs:
            tab.put(message)

    # -- messages ------------------------------------------------------------------------------

    def story(self) -> bytes:
        """All that is known. What others were not told yet is told first, so that nobody hears a
        thing twice.
        """
        if self._changes or self._invocations:
            self._tell(self._news())
        records = [record for record in self._shown.journal.last if record.answered]
        return self._message(
            "story",
            changes=self._history.changes,
            invocations=records,
            refused=self._history.refused,
            more={
                "kept_since": self._history.kept_since,
                "endpoint": self._shown.name,
                "about": {"since": self._since, **asdict(self._about())},
            },
        )

    def _news(self) -> bytes:
        changes, self._changes = self._changes, []
        invocations, refused = list(self._invocations), list(self._refused)
        self._invocations.clear()
        self._refused.clear()
        touched = {one.instance for one in changes} | {one.instance for one in invocations}
        return self._message(
            "news", changes=changes, invocations=invocations, refused=refused, only=touched
        )

    def _message(
        self,
        event: str,
        *,
        changes: Iterable[InstanceChange],
        invocations: Iterable[Invocation],
        refused: Iterable[Refused],
        only: set[int | None] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> bytes:
        now = self._clock.now()
        seen = self._board.snapshot(now)
        told = {
            "now": now,
            "wall": wall_clock().timestamp(),
            "status": self._shown.status.value,
            "failure_reason": self._shown.failure_reason,
            "in_flight": self._shown.journal.arrived - self._shown.journal.answered,
            **seen.totals_as_json(),
            "instances": [
                one.as_json() for one in seen.instances if only is None or one.instance in only
            ],
            "changes": [change_as_json(one) for one in changes],
            "refused": list(refused),
            "requests": [invocation_as_json(one) for one in invocations],
            "metrics": self._metrics(),
            **(more or {}),
        }
        # ASCII: no line separator of any kind within the one line that data is.
        return f"event: {event}\ndata: {json.dumps(told, separators=(',', ':'))}\n\n".encode()

"""All endpoints as the page knows them: which there are, and which one a tab looks at.

Owns: what a tab's choice means at this moment, and when it is told of others. Must not know: what
is told of all endpoints (`page_fleet`) and of one (`page_feed`), HTTP, the page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emulator.api.page_feed import Feed, MetricRow
from emulator.api.page_fleet import Calls, Shown, fleet_message
from emulator.api.page_tab import Tab
from emulator.clock import Clock
from emulator.endpoint_logs import LogBook
from emulator.running import CallTold, EndpointTold, Fleet, Running

log = logging.getLogger("byoc.page")

MESSAGE_SECONDS = 0.1
HEARTBEAT_SECONDS = 15.0

NOTHING = b"event: nothing\ndata: {}\n\n"
"""To a tab that looks at no endpoint which runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody wants to see; what is empty may be any."""

    endpoint: str = ""
    variant: str = ""
    region: str = ""

    def fits(self, running: Running) -> bool:
        told = (running.endpoint_name, running.variant, running.region)
        wanted = (self.endpoint, self.variant, self.region)
        return all(want in ("", one) for want, one in zip(wanted, told, strict=True))


class Site:
    """Follows a fleet; `add` and `remove` tell it what runs. Tabs look at one variant each."""

    def __init__(
        self, fleet: Fleet, *, clock: Clock, environment: Callable[[], Mapping[str, str]]
    ) -> None:
        self._fleet, self._clock, self._environment = fleet, clock, environment
        self._feeds: dict[int, tuple[Shown, Feed]] = {}  # by the driver's identity
        self._tabs: dict[Tab, tuple[Choice, Feed | None]] = {}
        self._calls = Calls()
        self._telling: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._closed = False
        fleet.status_listeners.append(self._status)
        fleet.call_listeners.append(self._called)

    # -- endpoints -----------------------------------------------------------------------------

    def add(self, running: Running, metrics: Callable[[], Sequence[MetricRow]] = tuple) -> None:
        """It is there, or it has another setup."""
        known = self._feeds.get(id(running.endpoint))
        if known is not None:
            known[0].running = running
            known[1].retell()
        else:
            shown = Shown(running, self._fleet)
            feed = Feed(shown, running.board, clock=self._clock, about=shown.about, metrics=metrics)
            self._feeds[id(running.endpoint)] = shown, feed
        self._look_again()

    def remove(self, running: Running) -> None:
        known = self._feeds.pop(id(running.endpoint), None)
        if known is not None:
            self._look_again()
            known[1].close()

    def logs(self, choice: Choice) -> LogBook | None:
        found = self._find(choice)
        return None if found is None else found[0].running.endpoint.logs

    def _find(self, choice: Choice) -> tuple[Shown, Feed] | None:
        """The oldest that fits: it is looked at until it is gone, whatever comes meanwhile."""
        fitting = (one for one in self._feeds.values() if choice.fits(one[0].running))
        return next(fitting, None)

    # -- tabs ----------------------------------------------------------------------------------

    def open(self, choice: Choice) -> Tab:
        """Must be left again."""
        tab = Tab(lambda: self._story(tab))
        if self._closed:
            tab.close()
            return tab
        self._tabs[tab] = choice, None
        self._look(tab)
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())
        return tab

    def leave(self, tab: Tab) -> None:
        tab.close()
        _, feed = self._tabs.pop(tab, (None, None))
        if feed is not None:
            feed.leave(tab)
        if not self._tabs:
            self._rest()

    @property
    def tabs(self) -> int:
        return len(self._tabs)

    def close(self) -> None:
        """Ends every tab's stream, and listens no more. May be called twice."""
        self._closed = True
        for tab in self._tabs:
            tab.close()
        self._rest()
        for _, feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        if self._status in self._fleet.status_listeners:
            self._fleet.status_listeners.remove(self._status)
            self._fleet.call_listeners.remove(self._called)

    def _rest(self) -> None:
        for task in (self._telling, self._beating):
            if task is not None:
                task.cancel()
        self._telling = self._beating = None

    def _look_again(self) -> None:
        for tab in self._tabs:
            self._look(tab)
        self._soon()

    def _look(self, tab: Tab) -> None:
        choice, before = self._tabs[tab]
        found = self._find(choice)
        feed = found[1] if found else None
        if feed is before:
            return
        if before is not None:
            before.leave(tab)
        if feed is not None:
            feed.join(tab)
        self._tabs[tab] = choice, feed
        tab.restart()

    # -- messages ------------------------------------------------------------------------------

    def _status(self, told: EndpointTold) -> None:
        for shown, feed in self._feeds.values():
            if (shown.running.region, shown.running.endpoint_name) == (told.region, told.name):
                feed.soon()
        self._soon()

    def _called(self, told: CallTold) -> None:
        self._calls.add(told)
        self._soon()

    def _soon(self) -> None:
        if self._tabs and self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        await self._clock.sleep(MESSAGE_SECONDS)
        self._telling = None
        try:
            message = self.message()
            for tab in self._tabs:
                tab.put(message)
        except Exception:
            log.exception("the page was not told which endpoints there are")

    async def _beat(self) -> None:
        """Keeps whatever is in between from closing the connection, and shows that we live."""
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            try:
                for _, feed in self._feeds.values():
                    feed.beat()
                alive = self.message()
                for tab, (_, looks_at) in self._tabs.items():
                    if looks_at is None:
                        tab.put(alive)
            except Exception:
                log.exception("the page was not told that we live")

    def _story(self, tab: Tab) -> bytes:
        _, feed = self._tabs.get(tab, (None, None))
        return self.message() + (NOTHING if feed is None else feed.story())

    def message(self) -> bytes:
        """Which endpoints there are, and what was called."""
        running = [shown for shown, _ in self._feeds.values()]
        return fleet_message(self._fleet, running, self._calls, self._environment())

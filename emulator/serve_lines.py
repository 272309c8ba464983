"""What `byoc serve` tells, as lines: for people, and for pipes.

Owns: which event makes a line, and when. Must not know: the words (`serve_words`), who prints them,
JSON (`serve_json`), the live display (`live_terminal`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation
from emulator.live import EndpointFailed
from emulator.onlooker import ContainerLine, Names, Served
from emulator.running import CallTold, EndpointTold, Running
from emulator.serve_words import (
    Statuses,
    call,
    exports,
    harmless,
    log_line,
    report,
    starting,
    warnings,
)

Say = Callable[[str], None]

STILL_SECONDS = 10.0
"""How often a line says that an endpoint is still Creating."""


class PlainLines:
    """One line per event, as in a log. What becomes of the endpoint of `byoc serve IMAGE` in the
    beginning and at the end reads as if there were no others.
    """

    def __init__(self, say: Say, *, logs: bool) -> None:
        self.logs = logs
        self._say = say
        self._served: Served | None = None
        self._names, self._statuses = Names(), Statuses()
        self._own = ""  # the endpoint that is not deployed by a call, until it is InService
        self._told: dict[tuple[str, str], float] = {}  # when a line about it was last said
        self._ending = False
        self._gone = ""  # the last line

    def listening(self, served: Served) -> None:
        self._served = served
        if served.own is not None:
            self._own = served.own.name
            return
        for warning in warnings(served):
            self._say(f"warning: {warning}")
        self._say(f"listening at {served.url}, waiting for deploy calls")
        for line in exports(served.environment):
            self._say(line)

    def status(self, told: EndpointTold) -> None:
        line = self._statuses.line(self._names, told)
        if told.status is EndpointStatus.CREATING:
            self._told[told.region, told.name] = told.at
        else:
            self._told.pop((told.region, told.name), None)
        if self._ending:
            return
        if told.name != self._own:
            self._say(line)
            for written in told.log:
                self._say(f"  | {harmless(written)}")
        elif told.status is EndpointStatus.IN_SERVICE:
            self._own_in_service()
        elif told.status is None:
            self._own = ""

    def _own_in_service(self) -> None:
        assert self._served is not None, "statuses come after listening"
        for warning in warnings(self._served):
            self._say(f"warning: {warning}")
        self._say(f"endpoint {self._own} is InService at {self._served.url}")
        for line in exports(self._served.environment):
            self._say(line)
        self._own = ""

    def call(self, told: CallTold) -> None:
        for line in call(told):
            self._say(line)

    def opened(self, running: Running) -> None:
        self._names.saw(running)

    def closed(self, running: Running) -> None:
        pass  # its endpoint's status tells

    def invocation(self, running: Running, record: Invocation) -> None:
        self._say(report(self._names, running, record))

    def instance(self, running: Running, change: InstanceChange) -> None:
        pass  # the reports tell enough

    def log(self, running: Running, line: ContainerLine) -> None:
        self._say(log_line(self._names, running, line))

    def tick(self) -> None:
        served = self._served
        if served is None or self._ending:
            return
        now = served.clock.now()
        for (region, name), told in self._told.items():
            since = self._statuses.creating_since(region, name)
            if since is None or now - told < STILL_SECONDS:
                continue
            self._told[region, name] = now
            running = served.starting(region, name)
            setup = served.setup(name, running)
            window = None if setup is None else setup.limits.startup_seconds
            waits = "; ".join(starting(running, waited=now - since, window=window))
            self._say(f"endpoint {self._names.endpoint(region, name)} is Creating: {waits}")

    def ending(self) -> None:
        self._ending = True
        if self._served is None:
            return
        names = self._served.names() or ([self._own] if self._own else [])
        if not names:
            return
        grace = self._served.grace_seconds()
        whose, verb, their = f"endpoint {names[0]}", "is", "its"
        if len(names) > 1:
            whose, verb, their = f"{len(names)} endpoints", "are", "their"
        self._say(
            f"{whose} {verb} Deleting: SIGTERM to {their} containers, SIGKILL to those that still"
            f" run after {grace:g} s"
        )
        self._gone = f"{whose} {verb} gone"

    def failed(self, error: EndpointFailed) -> None:  # told on standard error
        pass

    def ended(self) -> None:
        if self._gone:
            self._say(self._gone)


class LogLines(logging.Handler):
    """The program's own warnings, as lines: nobody who does not read them stops anything."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self._say(f"{record.levelname.lower()}: {harmless(line)}")

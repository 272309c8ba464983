"""What `byoc serve` tells, as lines: for people, for pipes and for programs.

Owns: the words of a line, and the JSON of an event. Must not know: who prints them, colours, the
live display (`live_terminal`).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from emulator.clock import wall_clock
from emulator.endpoint_setup import HOST
from emulator.endpoint_state import InstanceChange, InstanceState, Invocation
from emulator.live import EndpointFailed, Live

Say = Callable[[str], None]

STILL_SECONDS = 10.0
"""How often a line says that the endpoint is still Creating."""

LONGEST = 4000
"""Characters of a container's line that are shown to people."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class ContainerLine(Protocol):
    """A line of a container; `endpoint_logs` has them."""

    @property
    def sequence(self) -> int: ...
    @property
    def instance(self) -> int: ...
    @property
    def container(self) -> str: ...
    @property
    def nanoseconds(self) -> int: ...
    @property
    def text(self) -> str: ...


class Onlooker(Protocol):
    """Who is told what `byoc serve` sees. No method waits."""

    def began(self, opened: Live) -> None:
        """It listens, and its first instances start."""

    def in_service(self, opened: Live) -> None: ...

    def invocation(self, record: Invocation) -> None: ...

    def instance(self, change: InstanceChange) -> None: ...

    def log(self, line: ContainerLine) -> None: ...

    def tick(self) -> None:
        """A little time went by."""

    def ending(self) -> None:
        """It was told to stop; what is in flight is answered, and instances stop."""

    def failed(self, error: EndpointFailed) -> None: ...

    def ended(self) -> None:
        """Nothing runs any more."""

    @property
    def logs(self) -> bool:
        """Whether what containers write is wanted now."""


def harmless(text: str) -> str:
    """What a container or a caller wrote, without what would drive the reader's terminal."""
    return _CONTROLS.sub(lambda one: f"\\x{ord(one[0]):02x}", _ESCAPES.sub("", text.rstrip("\r\n")))


def starting(opened: Live) -> list[str]:
    """What an endpoint that is Creating waits for."""
    waited = opened.clock.now() - opened.began
    window = f"{waited:.0f} s of {opened.setup.limits.startup_seconds:g} s"
    told = [one for one in opened.endpoint.journal.instances.values() if one.state is STARTING]
    if not told:
        return [f"waiting for the engine, {window}"]
    first = min(told, key=lambda one: one.instance)
    if not first.container:
        return [f"starting the container, {window}"]
    said = [f"/ping said last: {harmless(first.why.removeprefix(PING))}"] if first.why else []
    return [f"container {first.container[:12]} started, {window}", *said]


STARTING = InstanceState.STARTING
PING = "GET /ping: "


def warnings(opened: Live) -> list[str]:
    """What somebody should know before they use it."""
    setup = opened.setup
    if setup.host in (HOST, "localhost", "::1"):
        return []
    told = (
        f"it listens on {setup.host}, not on the loopback alone: everybody who reaches this machine"
        " there can run requests on your container and read its logs, without a password."
    )
    return [told]


class PlainLines:
    """One line per event, as in a log."""

    def __init__(self, say: Say, *, logs: bool) -> None:
        self.logs = logs
        self._say = say
        self._creating: Live | None = None
        self._told = 0.0
        self._name = ""
        self._grace = 0.0

    def began(self, opened: Live) -> None:
        self._creating, self._told = opened, opened.clock.now()
        self._name, self._grace = opened.endpoint.name, opened.setup.limits.stop_grace_seconds

    def in_service(self, opened: Live) -> None:
        self._creating = None
        for warning in warnings(opened):
            self._say(f"warning: {warning}")
        self._say(f"endpoint {opened.endpoint.name} is InService at {opened.url}")
        for variable, value in opened.environment.items():
            self._say(f"export {variable}={value}")

    def invocation(self, record: Invocation) -> None:
        self._say(harmless(record.line()))

    def instance(self, change: InstanceChange) -> None:
        pass  # the reports tell enough

    def log(self, line: ContainerLine) -> None:
        self._say(log_line(line))

    def tick(self) -> None:
        opened = self._creating
        if opened is not None and opened.clock.now() - self._told >= STILL_SECONDS:
            self._told = opened.clock.now()
            told = "; ".join(starting(opened))
            self._say(f"endpoint {opened.endpoint.name} is Creating: {told}")

    def ending(self) -> None:
        self._creating = None
        if self._name:
            self._say(
                f"endpoint {self._name} is Deleting: SIGTERM to its containers, SIGKILL to those"
                f" that still run after {self._grace:g} s"
            )

    def failed(self, error: EndpointFailed) -> None:  # noqa: ARG002 - it is told on standard error
        self._creating = None

    def ended(self) -> None:
        if self._name:
            self._say(f"endpoint {self._name} is gone")


def log_line(line: ContainerLine) -> str:
    """A container's, prefixed by its instance."""
    text = harmless(line.text)
    if (more := len(text) - LONGEST) > 0:
        text = f"{text[:LONGEST]} ... ({more:,} more characters)"
    return f"[{line.instance}] {text}"


class JsonLines:
    """One object per line; `event` says what it is, `time` when it was told, in UTC."""

    def __init__(self, say: Say, *, logs: bool) -> None:
        self.logs = logs
        self._say = say

    def _tell(self, event: str, fields: Mapping[str, object]) -> None:
        self._say(json.dumps({"event": event, "time": wall_clock().isoformat(), **fields}))

    def began(self, opened: Live) -> None:
        self._tell("Creating", {"endpoint": opened.endpoint.name, "url": opened.url})

    def in_service(self, opened: Live) -> None:
        told = {
            "endpoint": opened.endpoint.name,
            "url": opened.url,
            "profile": opened.setup.profile,
            "environment": opened.environment,
            "warnings": warnings(opened),
        }
        self._tell("InService", told)

    def invocation(self, record: Invocation) -> None:
        fields = record.as_json()
        del fields["event"]
        self._tell("Invocation", fields)

    def instance(self, change: InstanceChange) -> None:
        self._tell("Instance", {**dataclasses.asdict(change), "state": change.state.value})

    def log(self, line: ContainerLine) -> None:
        told = {
            "instance": line.instance,
            "container": line.container,
            "nanoseconds": line.nanoseconds,
            "text": line.text,
        }
        self._tell("Log", told)

    def tick(self) -> None:
        pass

    def ending(self) -> None:
        self._tell("Deleting", {})

    def ended(self) -> None:
        self._tell("Deleted", {})

    def failed(self, error: EndpointFailed) -> None:
        self._tell("Failed", {"reason": error.reason, "log": error.log})


class LogLines(logging.Handler):
    """The program's own warnings, as lines: nobody who does not read them stops anything."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self._say(f"{record.levelname.lower()}: {harmless(line)}")

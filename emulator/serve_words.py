"""The words of `byoc serve`: what happened, as a line for people.

Owns: how statuses, calls, requests and containers' lines read. Must not know: who prints them,
when, colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from emulator.endpoint_setup import HOST
from emulator.endpoint_state import EndpointStatus, InstanceState, Invocation
from emulator.onlooker import ContainerLine, Names, Served
from emulator.running import CallTold, EndpointTold, Running

LONGEST = 4000
"""Characters of a container's line that are shown to people."""

BEGINNING = (EndpointStatus.CREATING, EndpointStatus.UPDATING)
ENDED = (EndpointStatus.IN_SERVICE, EndpointStatus.FAILED)

CALLERS = {"api": "", "cloudformation": " (CloudFormation)"}

PING = "GET /ping: "

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """What a container or a caller wrote, without what would drive the reader's terminal."""
    return _CONTROLS.sub(lambda one: f"\\x{ord(one[0]):02x}", _ESCAPES.sub("", text.rstrip("\r\n")))


def exports(environment: Mapping[str, str]) -> Iterator[str]:
    for variable, value in environment.items():
        yield f"export {variable}={value}"


def warnings(served: Served) -> list[str]:
    """What somebody should know before they use it."""
    if served.host in (HOST, "localhost", "::1"):
        return []
    told = (
        f"it listens on {served.host}, not on the loopback alone: everybody who reaches this"
        " machine there can run requests on your containers and read their logs, without a"
        " password."
    )
    return [told]


def report(names: Names, running: Running, record: Invocation) -> str:
    """Names the endpoint when there is more than one."""
    line = record.line()
    if names.several:
        line = line.replace("REPORT ", f"REPORT Endpoint: {names.of(running)}  ", 1)
    return harmless(line)


def log_line(names: Names, running: Running, line: ContainerLine) -> str:
    """A container's, prefixed by its instance."""
    text = harmless(line.text)
    if (more := len(text) - LONGEST) > 0:
        text = f"{text[:LONGEST]} ... ({more:,} more characters)"
    whose = f"{names.of(running)} " if names.several else ""
    return f"[{whose}{line.instance}] {text}"


def call(told: CallTold) -> list[str]:
    """What was called, and what became of it; what to do about a refusal is a line of its own."""
    by = CALLERS.get(told.by, f" ({told.by})")
    named = f" {told.resource}" if told.resource else ""
    if not told.refused:
        ignored = f"; has no effect: {', '.join(told.ignored)}" if told.ignored else ""
        return [harmless(f"{told.operation}{named}{by}: accepted{ignored}")]
    refused = f"{told.operation}{named}{by}: refused: {told.code}: {told.message}"
    return [harmless(refused), *([harmless(f"  change: {told.change}")] if told.change else [])]


class Statuses:
    """Since when endpoints are what they are."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._creating: dict[tuple[str, str], float] = {}
        self._changing: dict[tuple[str, str], float] = {}  # by its creation, or an update

    def line(self, names: Names, told: EndpointTold) -> str:
        """As `endpoint iris: InService after 0.8 s`."""
        key = told.region, told.name
        name = names.endpoint(*key)
        self._creating.pop(key, None)
        if told.status is None:
            self._since.pop(key, None)
            self._changing.pop(key, None)
            return f"endpoint {name}: gone"
        self._since.setdefault(key, told.at)
        if told.status is EndpointStatus.CREATING:
            self._creating[key] = told.at
        if told.status in BEGINNING:
            self._changing[key] = told.at
        began = self._changing.pop(key, None) if told.status in ENDED else None
        took = "" if began is None else f" after {told.at - began:.1f} s"
        why = f": {told.failure_reason}" if told.failure_reason else ""
        return harmless(f"endpoint {name}: {told.status.value}{took}{why}")

    def began(self, region: str, name: str, now: float) -> float:
        """When it was heard of first; `now` when it was not."""
        return self._since.get((region, name), now)

    def creating_since(self, region: str, name: str) -> float | None:
        """None when it is not Creating."""
        return self._creating.get((region, name))


def starting(running: Running | None, *, waited: float, window: float | None) -> list[str]:
    """What an endpoint that is Creating waits for. None for what is not known yet."""
    of = f"{waited:.0f} s" + ("" if window is None else f" of {window:g} s")
    instances = [] if running is None else running.endpoint.journal.instances.values()
    told = [one for one in instances if one.state is InstanceState.STARTING]
    if not told:
        return [f"waiting for the engine, {of}"]
    first = min(told, key=lambda one: (-one.version, one.instance))  # an update's, if there is one
    if not first.container:
        return [f"starting the container, {of}"]
    said = [f"/ping said last: {harmless(first.why.removeprefix(PING))}"] if first.why else []
    return [f"container {first.container[:12]} started, {of}", *said]

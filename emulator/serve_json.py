"""What `byoc serve --json` tells, as one object per line.

Owns: the names of events and of their members. Must not know: who reads them, what is said to
people (`serve_lines`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

from emulator.clock import wall_clock
from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation
from emulator.live import EndpointFailed
from emulator.onlooker import ContainerLine, Served
from emulator.running import CallTold, EndpointTold, Running
from emulator.serve_words import warnings

DELETED = "Deleted"
"""The status of an endpoint that is gone; on AWS there is none any more."""


class JsonLines:
    """`event` says what it is, `time` when it was told, in UTC. The endpoint of `byoc serve IMAGE`
    has two events of its own, Creating and InService, besides those that every endpoint has.
    """

    def __init__(self, say: Callable[[str], None], *, logs: bool) -> None:
        self.logs = logs
        self._say = say
        self._served: Served | None = None
        self._own = ""  # until it is InService

    def _tell(self, event: str, fields: Mapping[str, object]) -> None:
        self._say(json.dumps({"event": event, "time": wall_clock().isoformat(), **fields}))

    def listening(self, served: Served) -> None:
        self._served = served
        self._own = "" if served.own is None else served.own.name
        told = {
            "url": served.url,
            "environment": dict(served.environment),
            "warnings": warnings(served),
        }
        self._tell("Listening", told)

    def status(self, told: EndpointTold) -> None:
        fields = {
            "region": told.region,
            "name": told.name,
            "status": DELETED if told.status is None else told.status.value,
            "failure_reason": told.failure_reason,
            "log": list(told.log),
        }
        self._tell("Endpoint", fields)
        if told.name == self._own and self._served is not None:
            self._own_status(told, self._served)

    def _own_status(self, told: EndpointTold, served: Served) -> None:
        assert served.own is not None, "it has a name"
        if told.status is EndpointStatus.CREATING:
            self._tell("Creating", {"endpoint": told.name, "url": served.url})
        elif told.status is EndpointStatus.IN_SERVICE:
            fields = {
                "endpoint": told.name,
                "url": served.url,
                "profile": served.own.profile,
                "environment": dict(served.environment),
                "warnings": warnings(served),
            }
            self._tell("InService", fields)
            self._own = ""

    def call(self, told: CallTold) -> None:
        fields = dataclasses.asdict(told)
        del fields["request"]  # may hold what is secret
        self._tell("Call", fields)

    def opened(self, running: Running) -> None:
        pass  # its endpoint's status tells

    def closed(self, running: Running) -> None:
        pass

    def invocation(self, running: Running, record: Invocation) -> None:
        fields = record.as_json()
        del fields["event"]
        self._tell("Invocation", {**_of(running), **fields})

    def instance(self, running: Running, change: InstanceChange) -> None:
        told = {**dataclasses.asdict(change), "state": change.state.value}
        self._tell("Instance", {**_of(running), **told})

    def log(self, running: Running, line: ContainerLine) -> None:
        told = {
            "instance": line.instance,
            "container": line.container,
            "nanoseconds": line.nanoseconds,
            "text": line.text,
        }
        self._tell("Log", {**_of(running), **told})

    def tick(self) -> None:
        pass

    def ending(self) -> None:
        self._tell("Deleting", {})

    def ended(self) -> None:
        self._tell("Deleted", {})

    def failed(self, error: EndpointFailed) -> None:
        self._tell("Failed", {"reason": error.reason, "log": error.log})


def _of(running: Running) -> dict[str, object]:
    return {
        "region": running.region,
        "endpoint": running.endpoint_name,
        "variant": running.variant,
    }

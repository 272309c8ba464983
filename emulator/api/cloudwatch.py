"""One endpoint's share of CloudWatch and CloudWatch Logs.

Owns: what is handed over to moto right before a request, and how lines of containers become a log
group with its streams (contract 1.29). Must not know: what is answered, HTTP, how metrics and lines
come about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.api.cloudwatch_answers import Answers
from emulator.api.cloudwatch_moto import installed
from emulator.api.moto_app import HandOver
from emulator.endpoint_logs import InstanceLine, LogBook
from emulator.metrics import Recorder
from emulator.metrics_series import Snapshot

SERVICES = ("monitoring", "logs")
"""The names that requests to CloudWatch and to CloudWatch Logs are signed for."""

MOST_EVENTS = 10_000
"""Lines that a log group keeps, as our own book does; beyond it, the oldest streams go."""


class CloudWatch:
    """`close()` takes the endpoint's metrics out again; its log group stays, as on AWS."""

    def __init__(self, recorder: Recorder, logs: LogBook, *, variant: str) -> None:
        self._recorder, self._logs = recorder, logs
        self._group = f"/aws/sagemaker/Endpoints/{recorder.endpoint}"
        self._variant = variant
        self._given: dict[str, int] = {}  # number of the last line, by region
        self._shown: Answers | None = None
        self._closed = False

    def close(self) -> None:
        self._closed = True
        if self._shown is not None:
            self._shown.forget(self)

    async def prepare(self, service: str, region: str) -> HandOver:
        """Everything up to now, and how it gets to moto."""
        if service == "logs":
            await self._logs.collect()
            return lambda: self._write(region)
        snapshot = self._recorder.snapshot()
        return lambda: self._show(snapshot)

    # -- in moto's thread ----------------------------------------------------------------------

    def _show(self, snapshot: Snapshot) -> None:
        if not self._closed:
            self._shown = installed()
            self._shown.show(self, [snapshot])

    def _write(self, region: str) -> None:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.logs.models import logs_backends

        logs: Any = logs_backends[DEFAULT_ACCOUNT_ID][region]
        if self._group not in logs.groups:  # it is the first time, or moto was reset, or a caller
            self._given.pop(region, None)  # has deleted it: whatever is kept comes back
            logs.create_log_group(self._group, {})
        new = self._logs.lines(self._given.get(region, 0))
        for name, events in self._events(new).items():
            if name not in logs.groups[self._group].streams:
                logs.create_log_stream(self._group, name)
            logs.put_log_events(self._group, name, events)
        if new:
            self._given[region] = new[-1].sequence
        keep_the_last(logs.groups[self._group].streams)

    def _events(self, lines: Iterable[InstanceLine]) -> Mapping[str, list[dict[str, Any]]]:
        """By the name of their stream. On AWS its second part is an opaque id."""
        streams: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            event = {"timestamp": line.nanoseconds // 1_000_000, "message": line.text}
            streams[f"{self._variant}/{line.container[:32]}"].append(event)
        for events in streams.values():
            # Two threads of an engine stamp stdout and stderr; PutLogEvents wants them in order.
            events.sort(key=lambda event: int(event["timestamp"]))
        return streams


def keep_the_last(streams: dict[str, Any], most: int = MOST_EVENTS) -> None:
    """Of moto's streams of one group."""
    too_many = sum(len(stream.events) for stream in streams.values()) - most
    for name, stream in list(streams.items()):  # in the order in which they began
        if too_many <= 0:
            return
        too_many -= len(stream.events)
        if too_many >= 0 and name != next(reversed(streams)):
            del streams[name]
        else:
            del stream.events[: len(stream.events) + too_many]

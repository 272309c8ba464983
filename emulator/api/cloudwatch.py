"""The share that endpoints have in CloudWatch and CloudWatch Logs, region by region.

Owns: what is handed over to moto right before a request, and which metrics are told of endpoints
that are gone. Must not know: what is answered (`cloudwatch_answers`), how log groups are written
(`cloudwatch_logs`), HTTP, how metrics and lines come about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from emulator.api.cloudwatch_answers import Answers
from emulator.api.cloudwatch_logs import LogGroups
from emulator.api.cloudwatch_moto import installed
from emulator.api.moto_app import HandOver
from emulator.endpoint_logs import LogBook
from emulator.metrics import Recorder
from emulator.metrics_bucket import Summary
from emulator.metrics_series import Minutes, Snapshot

SERVICES = ("monitoring", "logs")
"""The names that requests to CloudWatch and to CloudWatch Logs are signed for."""

MOST_PAST = 200
"""Variants that are gone whose metrics are told, as on AWS; beyond it, the oldest are forgotten."""

Key = tuple[str, ...]
"""The region, and the values of a variant's dimensions."""


class CloudWatch:
    """Endpoints come and go. `close()` takes their metrics out; log groups stay, as on AWS."""

    def __init__(self) -> None:
        self._recorders: dict[Recorder, Key] = {}
        self._past: dict[Key, Snapshot] = {}
        self._groups = LogGroups()
        self._shown: Answers | None = None
        self._closed = False

    def add(self, region: str, recorder: Recorder, logs: LogBook) -> Callable[[], None]:
        """One variant. Returns what is to be called when it is gone."""
        key = (region, *recorder.dimensions.values())
        leave = self._groups.add(region, logs, **_names(recorder))
        self._recorders[recorder] = key

        def remove() -> None:
            if self._recorders.pop(recorder, None) is None:
                return
            leave()
            kept = [snapshot for snapshot in [self._past.pop(key, None)] if snapshot is not None]
            (self._past[key],) = together([*kept, recorder.snapshot()])
            while len(self._past) > MOST_PAST:
                del self._past[next(iter(self._past))]

        return remove

    def close(self) -> None:
        """May be called twice."""
        self._closed = True
        if self._shown is not None:
            self._shown.forget(self)

    async def prepare(self, service: str, region: str) -> HandOver:
        """Everything up to now, and how it gets to moto."""
        if service == "logs":
            return await self._groups.prepare(region)
        snapshots = together(
            [
                *(past for key, past in self._past.items() if key[0] == region),
                *(one.snapshot() for one, key in self._recorders.items() if key[0] == region),
            ]
        )
        return lambda: self._show(snapshots)

    def _show(self, snapshots: list[Snapshot]) -> None:
        """In moto's thread."""
        if not self._closed:
            self._shown = installed()
            self._shown.show(self, snapshots)


def _names(recorder: Recorder) -> dict[str, str]:
    return {"endpoint": recorder.endpoint, "variant": recorder.dimensions["VariantName"]}


def together(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """One of each dimensions: a variant has several recorders, one after the other, and two of them
    at once during an update.
    """
    by_dimensions: defaultdict[tuple[str, ...], list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        by_dimensions[tuple(snapshot.dimensions.values())].append(snapshot)
    return [
        same[0]
        if len(same) == 1
        else Snapshot(
            dimensions=same[0].dimensions, minutes=_minutes([one.minutes for one in same])
        )
        for same in by_dimensions.values()
    ]


def _minutes(parts: list[Minutes]) -> Minutes:
    return {
        minute: {
            metric: Summary.of(one[metric] for one in there if metric in one)
            for metric in {metric: None for one in there for metric in one}
        }
        for minute in sorted({minute for part in parts for minute in part})
        if (there := [part[minute] for part in parts if minute in part])
    }

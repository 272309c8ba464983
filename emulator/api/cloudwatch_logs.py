"""What containers wrote, as log groups of CloudWatch Logs.

Owns: how lines become a log group with its streams (contract 1.29), and what is kept for it when an
endpoint goes. Must not know: what is answered, HTTP, how lines come about.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.moto_app import HandOver
from emulator.endpoint_logs import InstanceLine, LogBook

MOST_EVENTS = 10_000
"""Lines that a log group keeps, as our own book does; beyond it, the oldest streams go."""

MOST_LEFT = 50_000
"""Lines that wait to be written for endpoints that are gone; beyond it, the oldest endpoints' go.
They wait, since moto may not be loaded, and nobody may ever ask.
"""


@dataclass(slots=True, kw_only=True, eq=False)
class Book:
    """The lines of one variant, and how far moto has them."""

    region: str
    group: str
    variant: str
    logs: LogBook
    given: int = 0  # number of the last line
    left: bool = False  # nothing more will come
    done: bool = False  # and moto has it all


class LogGroups:
    """Books come and go; the groups stay, as on AWS."""

    def __init__(self) -> None:
        self._books: list[Book] = []

    def add(self, region: str, logs: LogBook, *, endpoint: str, variant: str) -> Callable[[], None]:
        """Returns what is to be called when the variant is gone."""
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        book = Book(region=region, group=group, variant=variant, logs=logs)
        self._books.append(book)

        def leave() -> None:
            book.left = True
            left = [one for one in self._books if one.left]
            waiting = sum(len(one.logs.lines(one.given)) for one in left)
            while waiting > MOST_LEFT and len(left) > 1:
                oldest = left.pop(0)
                waiting -= len(oldest.logs.lines(oldest.given))
                self._books.remove(oldest)

        return leave

    async def prepare(self, region: str) -> HandOver:
        """Reads what is new, and returns how it gets to moto."""
        self._books = [book for book in self._books if not book.done]
        books = [book for book in self._books if book.region == region]
        await asyncio.gather(*(book.logs.collect() for book in books if not book.left))
        return lambda: _write(region, books)


def _write(region: str, books: list[Book]) -> None:
    """In moto's thread."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.logs.models import logs_backends

    logs: Any = logs_backends[DEFAULT_ACCOUNT_ID][region]
    # It is the first time, or moto was reset, or a caller has deleted it: whatever is kept comes
    # back.
    for group in dict.fromkeys(book.group for book in books if book.group not in logs.groups):
        logs.create_log_group(group, {})
        for book in books:
            book.given = 0 if book.group == group else book.given
    for book in books:
        last_time = book.left  # asked before the lines are
        new = book.logs.lines(book.given)
        for name, events in _events(book.variant, new).items():
            if name not in logs.groups[book.group].streams:
                logs.create_log_stream(book.group, name)
            logs.put_log_events(book.group, name, events)
        if new:
            book.given = new[-1].sequence
        book.done = last_time
    for group in {book.group for book in books}:
        keep_the_last(logs.groups[group].streams)


def _events(variant: str, lines: Iterable[InstanceLine]) -> Mapping[str, list[dict[str, Any]]]:
    """By the name of their stream. On AWS its second part is an opaque id."""
    streams: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        event = {"timestamp": line.nanoseconds // 1_000_000, "message": line.text}
        streams[f"{variant}/{line.container[:32]}"].append(event)
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

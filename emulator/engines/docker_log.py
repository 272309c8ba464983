"""What a container wrote, line by line with the engine's times.

Owns: the form of the engine's log. Must not know: the event loop, who reads it. `lines` blocks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from emulator.engines import LogLine

_STAMPED = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")

SLACK_SECONDS = 0.001
"""The engine takes seconds as a decimal number, which cannot hold nanoseconds; it is asked for a
little more, and what is known is dropped here."""


def lines(
    api: Any, identity: str, after_nanoseconds: int, tail: int | str = "all"
) -> list[LogLine]:
    """Raises what the SDK raises."""
    since = max(0.0, after_nanoseconds / 1e9 - SLACK_SECONDS)
    frames = api.logs(
        identity,
        stdout=True,
        stderr=True,
        stream=True,
        follow=False,
        timestamps=True,
        tail=tail,
        **({"since": since} if since else {}),
    )
    return [line for line in parsed(frames) if line.nanoseconds > after_nanoseconds]


def parsed(frames: Iterable[bytes]) -> list[LogLine]:
    """One frame is what the container wrote at once, up to a line's end; a line of more than 16 KB
    comes in several, each with a time of its own. Of frames without a time none is lost.
    """
    found: list[LogLine] = []
    at, begun, last = 0, b"", 0
    for frame in frames:
        stamp = _STAMPED.match(frame)
        rest = frame
        if stamp is not None:
            last, rest = _nanoseconds(stamp), frame[stamp.end() :]
        if not begun:
            at = last
        begun += rest
        if begun.endswith(b"\n"):
            found += _lines(at, begun)
            begun = b""
    return _ordered([*found, *_lines(at, begun)])


def _lines(at: int, raw: bytes) -> list[LogLine]:
    if not raw:
        return []
    text = raw.decode("utf-8", errors="replace").removesuffix("\n")
    return [LogLine(nanoseconds=at, text=line.removesuffix("\r")) for line in text.split("\n")]


def _ordered(found: list[LogLine]) -> list[LogLine]:
    """Each line has a time of its own, so that "later than the last one" loses none and repeats
    none: a line that is not later than the one before it is taken to be a nanosecond younger.
    """
    times = itertools.accumulate(
        (line.nanoseconds for line in found), lambda before, at: max(at, before + 1)
    )
    return [LogLine(nanoseconds=at, text=line.text) for at, line in zip(times, found, strict=True)]


def _nanoseconds(stamp: re.Match[bytes]) -> int:
    whole, fraction, zone = stamp.groups()
    offset = "+00:00" if zone == b"Z" else zone.decode()
    moment = datetime.fromisoformat(whole.decode() + offset).astimezone(UTC)
    return int(moment.timestamp()) * 10**9 + int((fraction or b"").ljust(9, b"0"))


def last_lines(text: str, tail: int) -> str:
    """Oldest first; none when none are asked for."""
    found = text.rstrip("\n").split("\n")
    return "\n".join(found[-tail:]) if tail > 0 else ""

"""How much memory a container uses, and how often the kernel killed its processes for it.

Owns: the engine's `oom` events, the cgroup's counters. Must not know: the event loop. Every
function blocks. `.State.OOMKilled` alone is not enough: it tells only of the main process, and
stays false when a worker was killed.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

from emulator.engines import EngineUnavailable, Memory
from emulator.engines.docker_processes import on_host


def events(api: Any, identity: str, started_at: str) -> int:
    """The engine's `oom` events of a container since its start; it tells them also after the
    container's end, as long as it remembers (Docker: the last 256 events of all kinds).
    """
    filters = {"container": [identity], "event": ["oom"], "type": ["container"]}
    # By the engine's clock, which need not be ours; up to now, so that the answer ends at once.
    until = stamp(api.info()["SystemTime"])
    return sum(
        1 for _ in api.events(since=stamp(started_at), until=until, filters=filters, decode=True)
    )


def stamp(text: str) -> str:
    """The engine's time, as 2026-01-31T10:20:30.123456789Z or with another zone, as the seconds
    that its API takes.
    """
    whole, dot, rest = text.partition(".")
    digits = "".join(itertools.takewhile(str.isdigit, rest)) if dot else ""
    zone = rest[len(digits) :] if dot else ""
    seconds = datetime.fromisoformat(whole + zone).timestamp()
    return f"{int(seconds)}.{digits or '0':0<9}"


def cgroup_kills(identity: str, pid: int) -> int:
    """The counter of the container's cgroup, v1 or v2; 0 when it cannot be read."""
    if not on_host(identity, pid):
        return 0
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return 0
    files = [file for line in lines if (file := counter_file(line)) is not None]
    return max((_counter(file) for file in files), default=0)


def counter_file(line: str) -> Path | None:
    """Where the counter is, by a line of /proc/PID/cgroup; None when that line is of another."""
    _, controllers, path = line.split(":", 2)
    if "memory" in controllers.split(","):
        return Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
    return None if controllers else Path(f"/sys/fs/cgroup{path}/memory.events")


def _counter(file: Path) -> int:
    try:
        counters = dict(row.split(maxsplit=1) for row in file.read_text().splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


def cgroup(identity: str, pid: int) -> Path | None:
    """The directory of the container's memory cgroup; its name is the container's own, so that it
    never becomes another's. None when it is not on this host.
    """
    if not on_host(identity, pid):
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((file.parent for line in lines if (file := counter_file(line)) is not None), None)


def cgroup_use(directory: Path) -> Memory | None:
    """By the cgroup's files, in some microseconds; None when they are gone, or not there."""
    try:
        if (directory / "memory.usage_in_bytes").exists():
            return _use_v1(directory)
        return _use_v2(directory)
    except (OSError, ValueError):
        return None


def _use_v1(directory: Path) -> Memory:
    used = int((directory / "memory.usage_in_bytes").read_text())
    cache = _row(directory / "memory.stat", "total_inactive_file")
    peak = int((directory / "memory.max_usage_in_bytes").read_text())
    return _memory(used, cache, peak)


def _use_v2(directory: Path) -> Memory:
    used = int((directory / "memory.current").read_text())
    cache = _row(directory / "memory.stat", "inactive_file")
    try:
        peak = int((directory / "memory.peak").read_text())
    except FileNotFoundError:  # before Linux 5.19
        peak = used
    return _memory(used, cache, peak)


def _memory(used: int, cache: int, peak: int) -> Memory:
    """Without the files that the kernel would drop, as `docker stats` has it. The kernel's peak
    counts them, so that the most that was held is known only between the two.
    """
    held = max(0, used - cache)
    return Memory(used_bytes=held, peak_bytes=max(held, peak - cache))


def _row(file: Path, name: str) -> int:
    text = file.read_text()
    _, found, rest = f"\n{text}".partition(f"\n{name} ")
    return int(rest.partition("\n")[0]) if found else 0


def engine_use(api: Any, identity: str) -> Memory:
    """As the engine tells it, in milliseconds. Raises EngineUnavailable when it does not."""
    told = api.stats(identity, stream=False, one_shot=True).get("memory_stats") or {}
    if "usage" not in told:
        raise EngineUnavailable("The engine does not tell how much memory the container uses.")
    rows = told.get("stats") or {}
    cache = int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))
    return _memory(int(told["usage"]), cache, int(told.get("max_usage", told["usage"])))

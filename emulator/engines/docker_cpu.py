"""How much processor time a container has used, and how much it gets.

Owns: the cgroup's counter, the engine's own number where that cannot be read, and the quota of a
container that runs. Must not know: the event loop. Every function blocks. Processes that ended are
counted, which a list of the living ones could not do for a server that forks for each request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker.errors

from emulator.engines import EngineUnavailable
from emulator.engines.docker_processes import on_host

NANOSECONDS, MICROSECONDS = 1e9, 1e6

PERIOD_MICROSECONDS, LEAST_QUOTA_MICROSECONDS = 1_000_000, 1_000
"""The kernel's longest period and its smallest quota: a thousandth of a processor at least."""


def seconds(api: Any, identity: str, pid: int) -> float:
    """All processors together, since the start. Raises EngineUnavailable when nobody tells."""
    used = _of_cgroup(identity, pid)
    return _of_engine(api, identity) if used is None else used


def counter_file(line: str) -> Path | None:
    """Where the counter is, by a line of /proc/PID/cgroup; None when that line is of another."""
    _, controllers, path = line.split(":", 2)
    if "cpuacct" in controllers.split(","):
        return Path(f"/sys/fs/cgroup/{controllers}{path}/cpuacct.usage")
    return None if controllers else Path(f"/sys/fs/cgroup{path}/cpu.stat")


def counted(file: Path) -> float | None:
    """The seconds in such a file; None when it is not there, or is none."""
    try:
        text = file.read_text()
        if file.name == "cpuacct.usage":
            return int(text) / NANOSECONDS
        rows = dict(row.split(maxsplit=1) for row in text.splitlines())
        return int(rows["usage_usec"]) / MICROSECONDS
    except (OSError, ValueError, KeyError):
        return None


def _of_cgroup(identity: str, pid: int) -> float | None:
    if not on_host(identity, pid):
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    files = [file for line in lines if (file := counter_file(line)) is not None]
    return next((used for file in files if (used := counted(file)) is not None), None)


def _of_engine(api: Any, identity: str) -> float:
    told = api.stats(identity, stream=False, one_shot=True).get("cpu_stats") or {}
    total = (told.get("cpu_usage") or {}).get("total_usage")
    if total is None:
        raise EngineUnavailable("The engine does not tell how much processor time it used.")
    return int(total) / NANOSECONDS


def throttle(api: Any, identity: str, cpus: float) -> None:
    """Every process of a running container together gets that much from now on. The engine refuses
    it to a container that was started with a limit (NanoCpus), which it keeps in another form.
    """
    quota = max(LEAST_QUOTA_MICROSECONDS, round(cpus * PERIOD_MICROSECONDS))
    try:
        api.update_container(identity, cpu_period=PERIOD_MICROSECONDS, cpu_quota=quota)
    except docker.errors.APIError as error:
        raise EngineUnavailable(
            f"The container engine cannot change the processor time: {error.explanation}"
        ) from error

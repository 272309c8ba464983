"""Whose a container, a network or a temporary directory is.

Owns: labels, names, and whether an owner still lives. Must not know: engines. An owner is
`host/pid/start time`: the host is part of it, since machines and CI containers may share one
engine and must never sweep each other.
"""

from __future__ import annotations

import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from emulator.clock import wall_clock

OWNER, ROLE, CREATED = "byoc.owner", "byoc.role", "byoc.created"

SAME_START_SECONDS = 2.0
"""A pid is used again, a start time with it is not; clocks that are set may shift it a little."""

PREFIX = "byoc-"


def host() -> str:
    """The host's name, with the pid namespace where there are namespaces."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "host"
    return f"{name}-{namespace}"


def me() -> str:
    """The owner that this process is."""
    process = psutil.Process()
    return f"{host()}/{process.pid}/{process.create_time():.2f}"


def labels(role: str) -> dict[str, str]:
    """What everything that this process starts carries."""
    return {OWNER: me(), ROLE: role, CREATED: wall_clock().isoformat(timespec="seconds")}


def alive(owner: str) -> bool | None:
    """Whether that owner still runs. None when it is of another host, or no owner of our form:
    then nobody here may judge.
    """
    parts = owner.rsplit("/", 2)
    if len(parts) != 3 or parts[0] != host():
        return None
    if not (re.fullmatch(r"\d{1,9}", parts[1]) and re.fullmatch(r"\d{1,12}(\.\d+)?", parts[2])):
        return None
    try:
        process = psutil.Process(int(parts[1]))
        if process.status() == psutil.STATUS_ZOMBIE:  # ended; only its parent has not asked yet
            return False
        return abs(process.create_time() - float(parts[2])) <= SAME_START_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it is there, and another user's: not ours to take
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryDirectory:
    """A directory that a later sweep can tell the owner of. `close()` removes it."""

    path: Path  # empty, and inside of what is removed
    _root: Path

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


def temporary_directory() -> TemporaryDirectory:
    """A new one, readable by every user: a container may run as any."""
    encoded = me().replace("/", "_")
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{encoded}_"))
    root.chmod(0o755)
    path = root / "data"
    path.mkdir(mode=0o755)
    return TemporaryDirectory(path=path, _root=root)


def left_temporary() -> list[Path]:
    """Directories whose owner is gone; nothing is touched."""
    found = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*_*_*_*")):
        owner = "/".join(path.name.removeprefix(PREFIX).split("_", 3)[:3])
        if path.is_dir() and not path.is_symlink() and alive(owner) is False:
            found.append(path)
    return found


def sweep_temporary() -> list[str]:
    """Removes directories whose owner is gone, and tells which."""
    removed: list[str] = []
    for path in left_temporary():
        shutil.rmtree(path, ignore_errors=True)
        removed.append(f"directory {path}")
    return removed

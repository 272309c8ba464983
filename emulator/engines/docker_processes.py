"""The processes of a running container.

Owns: reading /proc, from the host where this process is root on the engine's own Linux, else with
the container's own shell. Must not know: the event loop. Every function blocks. Nothing is
installed or left in the container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import docker.errors
import psutil

from emulator.engines import EngineUnavailable, Process

PAGE_BYTES = 4096  # of the container's kernel; larger pages only tell too little memory

SHELL_NEEDED = (
    "Processes of the container cannot be seen: run as root on the engine's own machine, or have"
    " `sh` in the image."
)


def on_host(identity: str, pid: int) -> bool:
    """Whether `pid`, as this host counts, is a process of the container that this process may look
    at. On Docker Desktop it is a number of another machine; after the container's death it may be
    anybody's. The cgroup's path has the container's name in every version of Docker and podman.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or pid <= 0:
        return False
    try:
        return identity in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def processes(api: Any, identity: str, pid: int) -> list[Process]:
    """The container's processes, the main one first."""
    if on_host(identity, pid):
        return host_processes(pid)
    return shell_processes(api, identity)


def host_processes(pid: int) -> list[Process]:
    """The process and its descendants, as this host counts them."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    return [told for each in family if (told := _host_process(each, main=pid)) is not None]


def _host_process(each: psutil.Process, *, main: int) -> Process | None:
    try:
        with each.oneshot():
            parent = 0 if each.pid == main else each.ppid()
            zombie = each.status() == psutil.STATUS_ZOMBIE
            return Process(
                pid=each.pid,
                parent=parent,
                rss_bytes=each.memory_info().rss,
                # A zombie has no command line any more, only a name.
                command="" if zombie else " ".join(each.cmdline()) or each.name(),
                zombie=zombie,
            )
    except psutil.ZombieProcess:  # it became one between two questions
        return Process(pid=each.pid, parent=parent, rss_bytes=0, command="", zombie=True)
    except psutil.NoSuchProcess:
        return None


# Only builtins: a slim image has neither ps nor cat. The shell leaves itself out.
_LIST = (
    "for d in /proc/[0-9]*; do p=${d#/proc/}; [ $p = $$ ] && continue;"
    ' read -r s < $d/stat && echo "$s"; done 2>/dev/null'
)


def shell_processes(api: Any, identity: str) -> list[Process]:
    """All processes but the shell that looks, as the container counts them."""
    return [
        process
        for line in shell(api, identity, _LIST).splitlines()
        if (process := parse_stat(line)) is not None
    ]


def parse_stat(line: str) -> Process | None:
    """A line of /proc/PID/stat; None for what is none. The name in it may hold anything."""
    head, _, rest = line.rpartition(")")
    number, _, name = head.partition(" (")
    fields = rest.split()
    if not number.strip().isdigit() or len(fields) < 22:
        return None
    try:
        return Process(
            pid=int(number),
            parent=int(fields[1]),
            rss_bytes=int(fields[21]) * PAGE_BYTES,
            command=name,
            zombie=fields[0] == "Z",
        )
    except ValueError:
        return None


def shell(api: Any, identity: str, script: str) -> str:
    """What a script for the container's own shell prints. Raises EngineUnavailable without one."""
    try:
        made = api.exec_create(identity, ["sh", "-c", script], user="0")
        output = bytes(api.exec_start(made["Id"])).decode("utf-8", errors="replace")
        code = api.exec_inspect(made["Id"])["ExitCode"]
    except docker.errors.APIError as error:
        raise EngineUnavailable(f"{SHELL_NEEDED} ({error.explanation})") from error
    if code in (126, 127):
        raise EngineUnavailable(SHELL_NEEDED)
    return output


def signal(api: Any, identity: str, main: int, pid: int, number: int) -> None:
    """Signals one process that `processes` told. One that is gone is no error; one that is not
    the container's is never touched.
    """
    if on_host(identity, main):
        if on_host(identity, pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
    elif pid == 1:
        # The kernel keeps the first process from being killed from inside.
        api.kill(identity, number)
    else:
        shell(api, identity, f"kill -{int(number)} {int(pid)} 2>/dev/null; true")

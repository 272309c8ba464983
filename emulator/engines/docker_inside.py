"""What can be seen inside a running container: processes, sockets, kills, its own loopback.

Owns: reading /proc, from the host where this process is root on the engine's own Linux, else with
the container's own shell. Must not know: the event loop. Every function blocks. Nothing is
installed or left in the container.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket as sockets_api
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

import docker.errors
import psutil

from emulator.clock import Clock
from emulator.engines import EngineUnavailable, Process, Socket

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
LISTEN = "0A"  # in /proc/net/tcp, the state of a listening socket
DOCKER_RESOLVER = "127.0.0.11"
SHELL_NEEDED = (
    "Processes of the container cannot be seen: run as root on the engine's own machine, or have"
    " `sh` in the image."
)


# -- processes ----------------------------------------------------------------------------------


def _on_host(pid: int) -> bool:
    """Whether `pid` is the container's main process as this host counts. On Docker Desktop and
    remote engines it is a number of another machine.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or pid <= 0:
        return False
    try:
        own = Path("/proc/self/ns/net").stat().st_ino
        return Path(f"/proc/{pid}/ns/net").stat().st_ino != own
    except OSError:
        return False


def processes(api: Any, identity: str, pid: int) -> list[Process]:
    """The container's processes, the main one first."""
    if _on_host(pid):
        return _host_processes(pid)
    return _shell_processes(api, identity)


def _host_processes(pid: int) -> list[Process]:
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    found: list[Process] = []
    for each in family:
        try:
            with each.oneshot():
                found.append(
                    Process(
                        pid=each.pid,
                        parent=0 if each.pid == pid else each.ppid(),
                        rss_bytes=each.memory_info().rss,
                        command=" ".join(each.cmdline()) or each.name(),
                        zombie=each.status() == psutil.STATUS_ZOMBIE,
                    )
                )
        except psutil.NoSuchProcess:
            continue
    return found


# Only builtins: a slim image has neither ps nor cat. The shell leaves itself out.
_LIST = (
    "for d in /proc/[0-9]*; do p=${d#/proc/}; [ $p = $$ ] && continue;"
    ' read -r s < $d/stat && echo "$s"; done 2>/dev/null'
)


def _shell_processes(api: Any, identity: str) -> list[Process]:
    return [
        process
        for line in _shell(api, identity, _LIST).splitlines()
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
            rss_bytes=int(fields[21]) * 4096,
            command=name,
            zombie=fields[0] == "Z",
        )
    except ValueError:
        return None


def _shell(api: Any, identity: str, script: str) -> str:
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
    if not _on_host(main):
        _shell(api, identity, f"kill -{int(number)} {int(pid)} 2>/dev/null; true")
        return
    try:
        family = {each.pid for each in psutil.Process(main).children(recursive=True)} | {main}
    except psutil.NoSuchProcess:
        return
    if pid in family:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


# -- sockets ------------------------------------------------------------------------------------


def sockets(api: Any, identity: str, pid: int) -> list[Socket]:
    """Listening TCP sockets, Docker's own resolver left out."""
    if _on_host(pid):
        texts = []
        for name in ("tcp", "tcp6"):
            try:
                texts.append(Path(f"/proc/{pid}/net/{name}").read_text())
            except OSError:  # the container ended, or has no IPv6
                continue
        text = "\n".join(texts)
    else:
        read = 'while read -r l; do echo "$l"; done'
        script = f"{read} < /proc/net/tcp; [ -e /proc/net/tcp6 ] && {read} < /proc/net/tcp6; true"
        text = _shell(api, identity, script)
    return parse_sockets(text)


def parse_sockets(text: str) -> list[Socket]:
    """The listening ones of /proc/net/tcp and tcp6; other lines are passed over."""
    found: dict[Socket, None] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] != LISTEN:
            continue
        address, _, port = fields[1].partition(":")
        try:
            where = Socket(address=_address(address), port=int(port, 16))
        except ValueError:
            continue
        if where.address != DOCKER_RESOLVER:
            found[where] = None
    return list(found)


def _address(text: str) -> str:
    """/proc writes addresses as 32-bit words in the host's byte order."""
    raw = bytes.fromhex(text)
    if len(raw) not in (4, 16):
        raise ValueError(text)
    words = [raw[i : i + 4] for i in range(0, len(raw), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    joined = b"".join(words)
    return str(IPv4Address(joined) if len(joined) == 4 else IPv6Address(joined))


# -- memory -------------------------------------------------------------------------------------


def oom_kills(api: Any, identity: str, pid: int) -> int:
    """How often the kernel killed for memory. The engine's `oom` events tell it also after the
    container's end; the cgroup's own counter also when the engine forgot; OOMKilled only of the
    main process, and it stays false when a worker was killed.
    """
    try:
        state = api.inspect_container(identity)["State"]
    except docker.errors.NotFound:
        return 0
    filters = {"container": [identity], "event": ["oom"], "type": ["container"]}
    # By the engine's clock, which need not be ours; up to now, so that the answer ends at once.
    since, until = _stamp(state["StartedAt"]), _stamp(api.info()["SystemTime"])
    events = api.events(since=since, until=until, filters=filters, decode=True)
    told = sum(1 for _ in events)
    return max(told, int(bool(state.get("OOMKilled"))), _cgroup_kills(pid))


def _stamp(text: str) -> str:
    """The engine's time, as 2026-01-31T10:20:30.123456789Z, as the seconds that its API takes."""
    whole, _, rest = text.partition(".")
    seconds = datetime.fromisoformat(whole.rstrip("Z")).replace(tzinfo=UTC).timestamp()
    digits = "".join(itertools.takewhile(str.isdigit, rest)) or "0"
    return f"{int(seconds)}.{digits:0<9}"


def _cgroup_kills(pid: int) -> int:
    """The counter of the container's cgroup, v1 or v2; 0 when it cannot be read."""
    if not _on_host(pid):
        return 0
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            file = Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        elif not controllers:
            file = Path(f"/sys/fs/cgroup{path}/memory.events")
        else:
            continue
        try:
            counters = dict(row.split() for row in file.read_text().splitlines())
            return int(counters.get("oom_kill", 0))
        except (OSError, ValueError):
            continue
    return 0


# -- the container's own network ----------------------------------------------------------------


def _in_network_of(pid: int, function: Callable[[], T]) -> T:
    """Runs in the network namespace of a process, in a thread that ends afterwards: a namespace,
    once entered, stays with its thread.
    """
    if not _on_host(pid):
        raise EngineUnavailable("The container's network can be entered only by root on its host.")
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")  # noqa: TRY301 - told below
            results.append(function())
        except OSError as error:
            errors.append(EngineUnavailable(f"The container's network cannot be entered: {error}."))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter, name="byoc-inside", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def connect(pid: int, port: int, timeout_seconds: float, clock: Clock) -> float | None:
    """Seconds until a connection was accepted; None when it was not in time."""

    def attempt() -> float | None:
        addresses = [_own_address(), "127.0.0.1"]
        for address in filter(None, addresses):
            began = clock.now()
            try:
                with sockets_api.create_connection((address, port), timeout_seconds):
                    return clock.now() - began
            except OSError:
                continue
        return None

    return _in_network_of(pid, attempt)


def _own_address() -> str | None:
    """The container's address on its network, as the route to elsewhere has it; nothing is sent."""
    with sockets_api.socket(sockets_api.AF_INET, sockets_api.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def ask(
    pid: int, port: int, path: str, headers: Mapping[str, str], timeout_seconds: float
) -> int | None:
    """The status of a GET to 127.0.0.1 in there; None without an answer."""

    def attempt() -> int | None:
        connection = HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
        try:
            connection.request("GET", path, headers=dict(headers))
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    return _in_network_of(pid, attempt)

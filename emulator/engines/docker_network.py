"""A container's network as it is seen from inside: sockets, and connections to itself.

Owns: listening sockets, entering the network namespace. Must not know: the event loop. Every
function blocks.
"""

from __future__ import annotations

import ctypes
import socket as sockets_api
import sys
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

from emulator.clock import Clock
from emulator.engines import EngineUnavailable, Socket
from emulator.engines.docker_processes import on_host, shell

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
LISTEN = "0A"  # in /proc/net/tcp, the state of a listening socket
DOCKER_RESOLVER = "127.0.0.11"


def sockets(api: Any, identity: str, pid: int) -> list[Socket]:
    """Listening TCP sockets, Docker's own resolver left out."""
    if on_host(identity, pid):
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
        text = shell(api, identity, script)
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


def _in_network_of(identity: str, pid: int, function: Callable[[], T]) -> T:
    """Runs in the network namespace of a process, in a thread that ends afterwards: a namespace,
    once entered, stays with its thread.
    """
    if not on_host(identity, pid):
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


def connect(
    identity: str, pid: int, port: int, timeout_seconds: float, clock: Clock
) -> float | None:
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

    return _in_network_of(identity, pid, attempt)


def _own_address() -> str | None:
    """The container's address on its network, as the route to elsewhere has it; nothing is sent."""
    with sockets_api.socket(sockets_api.AF_INET, sockets_api.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def ask(
    identity: str,
    pid: int,
    port: int,
    path: str,
    *,
    headers: Mapping[str, str],
    timeout_seconds: float,
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

    return _in_network_of(identity, pid, attempt)

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
LISTEN, SYN_SENT, ESTABLISHED = "0A", "02", "01"  # states in /proc/net/tcp and udp
NAME_SERVICE = 53
DOCKER_RESOLVER = "127.0.0.11"


def sockets(api: Any, identity: str, pid: int) -> list[Socket]:
    """Listening TCP sockets, Docker's own resolver left out."""
    return parse_sockets(_tables(api, identity, pid, ("tcp", "tcp6")))


def received(api: Any, identity: str, pid: int) -> int:
    """Bytes that came in by every interface but the loopback. Raises EngineUnavailable."""
    if on_host(identity, pid):
        try:
            return parse_received(Path(f"/proc/{pid}/net/dev").read_text())
        except OSError:
            return 0
    told = api.stats(identity, stream=False, one_shot=True).get("networks")
    if told is None:
        raise EngineUnavailable("The engine does not tell what a container received.")
    return sum(int(interface.get("rx_bytes", 0)) for interface in told.values())


def parse_received(text: str) -> int:
    """The first number of each interface's row in /proc/net/dev."""
    total = 0
    for row in text.splitlines():
        name, separator, numbers = row.partition(":")
        if separator and name.strip() != "lo" and numbers.split()[:1]:
            total += int(numbers.split()[0])
    return total


def connecting(api: Any, identity: str, pid: int) -> list[Socket]:
    """Peers that are asked and have not answered: TCP in SYN_SENT, name servers over UDP."""
    found = parse_connecting(_tables(api, identity, pid, ("tcp", "tcp6")), SYN_SENT)
    names = parse_connecting(_tables(api, identity, pid, ("udp", "udp6")), ESTABLISHED)
    return [*found, *(socket for socket in names if socket.port == NAME_SERVICE)]


def _tables(api: Any, identity: str, pid: int, names: tuple[str, ...]) -> str:
    """What the kernel has in /proc/net of the container."""
    if on_host(identity, pid):
        texts = []
        for name in names:
            try:
                texts.append(Path(f"/proc/{pid}/net/{name}").read_text())
            except OSError:  # the container ended, or has no IPv6
                continue
        return "\n".join(texts)
    files = " ".join(f"/proc/net/{name}" for name in names)
    read = 'while read -r l; do echo "$l"; done'
    return shell(api, identity, f"for f in {files}; do [ -e $f ] && {read} < $f; done; true")


def parse_connecting(text: str, state: str) -> list[Socket]:
    """The peers of the sockets in that state, in lines of /proc/net."""
    found: dict[Socket, None] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] != state:
            continue
        address, _, port = fields[2].partition(":")
        try:
            found[Socket(address=_address(address), port=int(port, 16))] = None
        except ValueError:
            continue
    return list(found)


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
    if len(joined) == 4:
        return str(IPv4Address(joined))
    address = IPv6Address(joined)
    # As everybody but older Pythons writes it, and as it is recognised elsewhere.
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)


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

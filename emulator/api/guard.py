"""Who may talk to the front door: programs of this machine, and the front door's own page.

Owns: the rules on Host, Origin and Sec-Fetch-*. Must not know: what is asked for, servers. PURE.

A page of the web that runs in a browser here reaches every port of the loopback. Its requests to
another origin carry `Origin`, or `Sec-Fetch-Site` where a browser leaves that out. A page may also
let a name of its own resolve to this machine (DNS rebinding), which makes us its origin; that shows
in `Host`. An address in `Host` cannot be rebound: who is that page's origin is that machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_NETLOC = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-][a-z0-9._-]*)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)", re.DOTALL)
_PORTS = {"http": "80", "https": "443"}
_NAMES = (b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`everywhere`: it listens on more than the loopback, so that any address may be its own.
    `allowed_hosts` are names that callers use for it besides.
    """

    everywhere: bool = False
    allowed_hosts: frozenset[str] = frozenset()

    def refusal(self, method: str, headers: Iterable[tuple[bytes, bytes]], port: int) -> str:
        """Why a request is refused, empty when it may pass. `port` is the one that it came to;
        names of headers are in lower case.
        """
        came: dict[bytes, str] = {}
        for name, value in headers:
            if name in _NAMES:
                if name in came:
                    return f"it has the header {name.decode()} twice."
                came[name] = value.decode("latin-1").lower()
        host = came.get(b"host", "")
        netloc = _split(host)
        if netloc is None or not self._ours(netloc[0]):
            return (
                f"byoc does not answer for the host {host!r}, only for localhost, the loopback's"
                " addresses and the names it was told (--allowed-host)."
            )
        origin = came.get(b"origin")
        if origin is not None and not self._own_page(origin, netloc, port):
            return (
                f"it comes from a web page of another origin ({origin!r}); use an AWS SDK outside"
                " of a browser."
            )
        site = came.get(b"sec-fetch-site", "none")
        if site in ("same-origin", "none") or origin is not None or _visits(method, came):
            return ""
        return f"it comes from a web page of another origin (Sec-Fetch-Site: {site})."

    def _ours(self, name: str) -> bool:
        if _loopback(name) or name in self.allowed_hosts:
            return True
        return self.everywhere and _address(name) is not None

    def _own_page(self, origin: str, host: tuple[str, str], port: int) -> bool:
        found = _ORIGIN.fullmatch(origin)
        netloc = _split(found[2]) if found else None
        if found is None or netloc is None:
            return False
        name, asked = netloc[0], netloc[1] or _PORTS[found[1]]
        if (name, asked) == (host[0], host[1] or _PORTS[found[1]]):
            return True
        return asked == str(port) and _loopback(name)


def _visits(method: str, came: dict[bytes, str]) -> bool:
    """Somebody follows a link to us: GET changes nothing here, and the page refuses frames."""
    return (
        method == "GET"
        and came.get(b"sec-fetch-mode") == "navigate"
        and came.get(b"sec-fetch-dest") == "document"
    )


@lru_cache(maxsize=256)
def _split(netloc: str) -> tuple[str, str] | None:
    """Name and port of what must be in lower case; nothing else may be in it."""
    found = _NETLOC.fullmatch(netloc)
    return (found[1].strip("[]"), found[2] or "") if found else None


@lru_cache(maxsize=256)
def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback

"""Why a running container will never be ready, found in seconds instead of after the whole window.

Owns: the few signs that are conclusive. Must not know: verdicts, pytest. A sign is conclusive only
when the container itself says that it is ready, at another address or to another caller than the
platform's; everything else (404, 502, silence) may still be a server that is starting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import urlsplit

from contract_tests.diagnose_routes import routes
from contract_tests.progress import Progress
from emulator.engines import Capability, Engine, EngineUnavailable, Socket
from emulator.http import Reply, Request
from emulator.instance import PLATFORM_HEADERS, Instance, StartReport, not_listening
from emulator.start import Cause, reachable

HEALTHY = 200
REDIRECTS = range(300, 400)
CLIENT_ERRORS = range(400, 500)


class Sign(Enum):
    """What gives a container away."""

    OTHER_ADDRESS = "listens where the platform does not ask"
    OTHER_HOST = "answers only to other Host headers"
    OTHER_PATH = "answers only at another path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    sign: Sign
    text: str


@dataclass(slots=True)
class Diagnoser:
    """Called by `Instance.wait_ready`; remembers what it found."""

    engine: Engine
    progress: Progress = field(default_factory=Progress)
    finding: Finding | None = field(default=None)
    _seen: Finding | None = field(default=None)
    _peers: dict[Socket, None] = field(default_factory=dict)

    async def wait(self, instance: Instance) -> StartReport:
        """Waits until it is ready or certainly is not, and tells what was seen on the way."""
        with self.progress.starting(instance.limits.startup_seconds) as starting:
            report = await instance.wait_ready(self, seen=starting.seen)
        if report.ready:
            return report
        hint = await routes(instance) if report.cause is Cause.CLIENT_ERROR else ""
        peers = dict.fromkeys((*self._peers, *report.connecting))
        return replace(report, connecting=tuple(peers), hint=hint)

    async def __call__(self, instance: Instance, reply: Reply) -> str | None:
        try:
            seen = await self._look(instance, reply)
            if reply.status is None:
                self._peers.update(dict.fromkeys(await instance.container.connecting()))
        except EngineUnavailable:  # then the wait goes on, and tells by itself
            seen = None
        # Twice in a row: a server may get ready just between the platform's ping and our question.
        if seen is not None and self._seen is not None and seen.sign is self._seen.sign:
            self.finding = seen
        self._seen = seen
        return self.finding.text if self.finding else None

    async def _look(self, instance: Instance, reply: Reply) -> Finding | None:
        if not_listening(reply):
            return await self._other_address(instance)
        if reply.status in REDIRECTS:
            return await self._other_path(instance, reply)
        if reply.status in CLIENT_ERRORS:
            return await self._other_host(instance, reply)
        return None

    async def _other_address(self, instance: Instance) -> Finding | None:
        if not {Capability.SOCKETS, Capability.INSIDE} <= self.engine.capabilities:
            return None
        sockets = await instance.container.sockets()
        if any(reachable(socket, instance.spec.port) for socket in sockets):
            return None
        for socket in sockets:
            status = await instance.container.ask_inside(
                socket.port, "/ping", {}, instance.limits.ping_seconds
            )
            if status == HEALTHY:
                return Finding(
                    sign=Sign.OTHER_ADDRESS,
                    text=(
                        f"it listens on {socket.address}:{socket.port} and answers /ping there"
                        f" with 200, where nobody from outside can ask port {instance.spec.port}"
                    ),
                )
        return None

    async def _other_host(self, instance: Instance, reply: Reply) -> Finding | None:
        headers = {**PLATFORM_HEADERS, "Host": f"localhost:{instance.spec.port}"}
        other = await self._ask(instance, "/ping", headers)
        if other.status != HEALTHY:
            return None
        return Finding(
            sign=Sign.OTHER_HOST,
            text=(
                f"/ping answers {reply.status} to the platform's Host header"
                f" ({PLATFORM_HEADERS['Host']}), and 200 to Host {headers['Host']}"
            ),
        )

    async def _other_path(self, instance: Instance, reply: Reply) -> Finding | None:
        location = reply.headers.get("location", "")
        # Only the path counts: the host in a Location is often the container's own idea of it.
        where = urlsplit(location)
        path = f"{where.path}?{where.query}" if where.query else where.path
        if not path.startswith("/"):
            return None
        other = await self._ask(instance, path, PLATFORM_HEADERS)
        if other.status != HEALTHY:
            return None
        return Finding(
            sign=Sign.OTHER_PATH,
            text=f"/ping redirects ({reply.status}) to {location}, which answers 200",
        )

    async def _ask(self, instance: Instance, path: str, headers: Mapping[str, str]) -> Reply:
        request = Request(method="GET", path=path, headers=headers)
        return await instance.send(request, instance.limits.ping_seconds)

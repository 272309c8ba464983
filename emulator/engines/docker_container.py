"""One Docker container: how it lives, what it writes, what can be seen of it.

Owns: everything after the start. Must not know: how it was started, SageMaker's rules. What is
seen from the host (processes, sockets, namespaces) is in `docker_inside`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import docker.errors
import requests

from emulator.engines import EngineUnavailable, Process, Socket, Stopped
from emulator.engines import docker_inside as inside

if TYPE_CHECKING:
    from emulator.engines.docker_engine import DockerEngine

GONE = -1
"""The exit code of a container that somebody else removed."""

EXTRA_SECONDS = 5.0
"""For the engine to notice and to answer, on top of what the container is given."""

KILLED = 137
TERM, KILL = 15, 9


class DockerContainer:
    """See `emulator.engines.Container`."""

    def __init__(self, engine: DockerEngine, identity: str, *, port: int, pid: int) -> None:
        self.id = identity
        self.base_url = f"http://127.0.0.1:{port}"
        self._engine = engine
        self._pid = pid
        self._exit_code: int | None = None
        self._last_logs: str | None = None
        self._oom_kills: int | None = None
        self._stopped: Stopped | None = None
        self._stopping = asyncio.Lock()
        self._began_at: str | None = None

    @property
    def _api(self) -> Any:
        return self._engine.api

    async def _state(self) -> dict[str, Any] | None:
        """The engine's account of it; None when it is gone."""
        try:
            found = await self._engine.run(lambda: self._api.inspect_container(self.id))
        except docker.errors.NotFound:
            return None
        state: dict[str, Any] = found["State"]
        return state

    async def exit_code(self) -> int | None:
        if self._exit_code is None:
            state = await self._state()
            if state is None:
                self._exit_code = GONE
            elif not state["Running"] and state["Status"] != "created":
                self._exit_code = int(state["ExitCode"])
        return self._exit_code

    async def logs(self, tail: int = 50) -> str:
        if self._last_logs is not None:
            return "\n".join(self._last_logs.splitlines()[-tail:])
        try:
            raw = await self._engine.run(
                lambda: self._api.logs(self.id, stdout=True, stderr=True, tail=tail)
            )
        except docker.errors.NotFound:
            return "(the container was removed by somebody else, and its log with it)"
        except docker.errors.APIError as error:
            return f"(the engine gives no log: {error.explanation})"
        return bytes(raw).decode("utf-8", errors="replace").rstrip("\n")

    async def stop(self, grace_seconds: float) -> Stopped:
        async with self._stopping:
            if self._stopped is None:
                # Shielded: a cancelled caller must not leave a container behind.
                self._stopped = await asyncio.shield(self._stop(grace_seconds))
            return self._stopped

    async def _stop(self, grace_seconds: float) -> Stopped:
        clock = self._engine.clock
        began = clock.now()
        killed = False
        code = await self.exit_code()
        if code is None and grace_seconds > 0:
            await self._signal_main(TERM)
            code = await self._wait(grace_seconds)
        if code is None:
            killed = True
            await self._signal_main(KILL)
            code = await self._wait(EXTRA_SECONDS)
        seconds = clock.now() - began
        self._exit_code = KILLED if code is None else code
        self._last_logs = await self.logs(1000)
        self._oom_kills = await self.oom_kills()
        with contextlib.suppress(docker.errors.NotFound):
            await self._engine.run(lambda: self._api.remove_container(self.id, v=True, force=True))
        return Stopped(exit_code=self._exit_code, seconds=seconds, killed=killed)

    async def _signal_main(self, number: int) -> None:
        try:
            await self._engine.run(lambda: self._api.kill(self.id, number))
            if number == TERM:
                # A paused container takes the signal only when it goes on.
                state = await self._state()
                if state is not None and state.get("Paused"):
                    await self._engine.run(lambda: self._api.unpause(self.id))
        except docker.errors.APIError:
            pass  # it ended in between

    async def _wait(self, seconds: float) -> int | None:
        try:
            done = await self._engine.run(lambda: self._api.wait(self.id, timeout=seconds))
        except docker.errors.NotFound:
            return GONE
        except EngineUnavailable as error:
            if isinstance(error.__cause__, requests.Timeout | requests.ConnectionError) and (
                "timed out" in str(error.__cause__).lower()
            ):
                return None
            raise
        return int(done["StatusCode"])

    # -- what only this engine can do ----------------------------------------------------------

    async def processes(self) -> list[Process]:
        return await self._engine.run(lambda: inside.processes(self._api, self.id, self._pid))

    async def signal(self, pid: int, signal: int) -> None:
        await self._engine.run(lambda: inside.signal(self._api, self.id, self._pid, pid, signal))

    async def sockets(self) -> list[Socket]:
        return await self._engine.run(lambda: inside.sockets(self._api, self.id, self._pid))

    async def oom_kills(self) -> int:
        if self._oom_kills is not None:
            return self._oom_kills
        return await self._engine.run(lambda: inside.oom_kills(self._api, self.id, self._pid))

    async def changed_paths(self) -> list[str]:
        found = await self._engine.run(lambda: self._api.diff(self.id))
        return [entry["Path"] for entry in found or []]

    async def connect_inside(self, port: int, timeout_seconds: float) -> float | None:
        return await self._engine.run(
            lambda: inside.connect(self._pid, port, timeout_seconds, self._engine.clock)
        )

    async def ask_inside(
        self, port: int, path: str, headers: Mapping[str, str], timeout_seconds: float
    ) -> int | None:
        return await self._engine.run(
            lambda: inside.ask(self._pid, port, path, headers, timeout_seconds)
        )

"""One Docker container: how it lives, how it ends, what it wrote.

Owns: everything after the start. Must not know: how it was started, SageMaker's rules. What is
seen inside of it is in `docker_processes`, `docker_network` and `docker_memory`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import docker.errors
import requests

from emulator.engines import EngineUnavailable, LogLine, Memory, Process, Socket, Stopped
from emulator.engines import docker_cpu as cpu
from emulator.engines import docker_log as log
from emulator.engines import docker_memory as memory
from emulator.engines import docker_network as network
from emulator.engines import docker_processes as processes
from emulator.engines import docker_restart as again
from emulator.engines.docker_files import file_bytes, written_bytes
from emulator.engines.docker_restart import EXTRA_SECONDS

if TYPE_CHECKING:
    from emulator.engines.docker_engine import DockerEngine

T = TypeVar("T")

GONE = -1
"""The exit code of a container that somebody else removed."""

KILLED = 137
TERM, KILL = 15, 9

# The engine thaws by itself what it sends a signal to, and then cannot resume it.
ALREADY = ("already paused", "not paused", "cannot resume", "not running", "no such container")
"""What the engine says of an order that changes nothing."""

KEPT_LINES = 10_000
"""How much of its log outlives a container that was stopped."""


class DockerContainer:
    """See `emulator.engines.Container`."""

    def __init__(
        self, engine: DockerEngine, identity: str, *, port: int, pid: int, started_at: str
    ) -> None:
        self.id = identity
        self.base_url = f"http://127.0.0.1:{port}"
        self._engine = engine
        self._pid = pid
        self._started_at = started_at
        self._exit_code: int | None = None
        self._kept_log: list[LogLine] | None = None
        self._cgroup: Path | None = None
        self._oom_kills = 0  # as far as is known already
        self._stopping: asyncio.Task[Stopped] | None = None
        self._hurried = False

    @property
    def _api(self) -> Any:
        return self._engine.api

    async def exit_code(self) -> int | None:
        if self._exit_code is None:
            await self._engine.ask(self._look)
        return self._exit_code

    def _look(self) -> Mapping[str, Any]:
        """One question to the engine; the exit code and a memory kill are remembered."""
        try:
            state: dict[str, Any] = self._api.inspect_container(self.id)["State"]
        except docker.errors.NotFound:
            state = {"Running": False, "ExitCode": GONE}
        if not state["Running"] and self._exit_code is None:
            self._exit_code = int(state["ExitCode"])
        if state.get("OOMKilled"):
            self._oom_kills = max(1, self._oom_kills)
        return state

    async def logs(self, tail: int = 50) -> str:
        if self._kept_log is not None:
            return "\n".join(line.text for line in self._kept_log[-tail:]) if tail > 0 else ""
        return await self._engine.run(lambda: self._read_log(tail))

    def _read_log(self, tail: int) -> str:
        try:
            raw = self._api.logs(self.id, stdout=True, stderr=True, tail=max(0, tail))
        except docker.errors.NotFound:
            return "(the container was removed by somebody else, and its log with it)"
        except docker.errors.APIError as error:
            return f"(the engine gives no log: {error.explanation})"
        return log.last_lines(bytes(raw).decode("utf-8", errors="replace"), tail)

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        if self._kept_log is not None:
            return [line for line in self._kept_log if line.nanoseconds > after_nanoseconds]
        return await self._engine.run(lambda: self._log_lines(after_nanoseconds, "all"))

    def _log_lines(self, after_nanoseconds: int, tail: int | str) -> list[LogLine]:
        try:
            return log.lines(self._api, self.id, after_nanoseconds, tail)
        except docker.errors.NotFound:
            words = "(the container was removed by somebody else, and its log with it)"
        except docker.errors.APIError as error:
            words = f"(the engine gives no log: {error.explanation})"
        # Told once: whoever asks for what came later has it.
        return [] if after_nanoseconds else [LogLine(nanoseconds=1, text=words)]

    # -- the end -------------------------------------------------------------------------------

    async def stop(self, grace_seconds: float) -> Stopped:
        if self._stopping is None or _failed(self._stopping):
            self._stopping = asyncio.create_task(self._stop(grace_seconds))
            self._stopping.add_done_callback(_failed)
        elif grace_seconds <= 0 and not self._stopping.done():
            # Somebody cannot wait: the grace that another caller gave ends here.
            self._hurried = True
            await self._signal_main(KILL)
        # Shielded: a caller who is cancelled must not leave a container behind.
        return await asyncio.shield(self._stopping)

    async def _stop(self, grace_seconds: float) -> Stopped:
        clock = self._engine.clock
        began = clock.now()
        state = await self._engine.ask(self._look)
        # The cgroup with the count ends with the container.
        await self._engine.ask(self._count_kills)
        killed = self._exit_code is None
        if killed and grace_seconds > 0 and not self._hurried:
            await self._signal_main(TERM)
            if state.get("Paused"):  # it takes the signal only when it goes on
                await self.thaw()
            ended = await self._wait(grace_seconds)
            killed = self._hurried or not ended
            if not ended:
                await self._signal_main(KILL)
                await self._wait(EXTRA_SECONDS)
        seconds = clock.now() - began
        self._kept_log = await self._engine.run(lambda: self._log_lines(0, KEPT_LINES))
        await self._engine.ask(self._remove)
        if self._exit_code is None:  # it ran up to its removal, which is what killed it
            self._exit_code = KILLED
            seconds = clock.now() - began
        return Stopped(exit_code=self._exit_code, seconds=seconds, killed=killed)

    def _remove(self) -> None:
        try:
            self._api.remove_container(self.id, v=True, force=True)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):  # removed, or being removed, by somebody else
                raise

    async def _signal_main(self, number: int) -> None:
        with contextlib.suppress(docker.errors.APIError):  # it ended in between
            await self._engine.run(lambda: self._api.kill(self.id, number))

    async def _wait(self, seconds: float) -> bool:
        """Whether it ended by then."""

        def wait() -> bool:
            try:
                self._api.wait(self.id, timeout=seconds)
            except docker.errors.NotFound:
                pass
            except requests.Timeout:
                return False
            except requests.ConnectionError as error:
                if "timed out" in str(error).lower():  # the SDK's transport says it so
                    return False
                raise
            self._look()
            return True

        return await self._engine.ask(wait)

    async def restart(self) -> None:
        found = await self._engine.ask(lambda: again.restart(self._api, self.id))
        self.base_url, self._pid = f"http://127.0.0.1:{again.port(found)}", found["State"]["Pid"]
        self._started_at = found["State"]["StartedAt"]
        self._exit_code = self._cgroup = None

    async def received_bytes(self) -> int:
        return await self._seen(lambda: network.received(self._api, self.id, self._pid), 0)

    # -- what needs a capability ---------------------------------------------------------------

    async def _seen(self, function: Callable[[], T], when_dead: T) -> T:
        """What is seen of a running container; a dead one has nothing to be seen."""
        if self._exit_code is not None:
            return when_dead
        try:
            return await self._engine.ask(function)
        except EngineUnavailable:
            if await self.exit_code() is not None:
                return when_dead
            raise

    async def processes(self) -> list[Process]:
        nothing: list[Process] = []
        return await self._seen(lambda: processes.processes(self._api, self.id, self._pid), nothing)

    async def signal(self, pid: int, signal: int) -> None:
        await self._seen(lambda: processes.signal(self._api, self.id, self._pid, pid, signal), None)

    async def sockets(self) -> list[Socket]:
        nothing: list[Socket] = []
        return await self._seen(lambda: network.sockets(self._api, self.id, self._pid), nothing)

    async def connecting(self) -> list[Socket]:
        nothing: list[Socket] = []
        return await self._seen(lambda: network.connecting(self._api, self.id, self._pid), nothing)

    async def oom_kills(self) -> int:
        await self._engine.ask(self._count_kills)
        told = await self._engine.ask(lambda: memory.events(self._api, self.id, self._started_at))
        if told == 0 and self._kept_log is None:
            await self._engine.ask(self._look)
        self._oom_kills = max(told, self._oom_kills)
        return self._oom_kills

    def _count_kills(self) -> None:
        self._oom_kills = max(self._oom_kills, memory.cgroup_kills(self.id, self._pid))

    async def memory(self) -> Memory:
        # In some microseconds, which is less than the way to a thread and back.
        if self._cgroup is None:
            self._cgroup = memory.cgroup(self.id, self._pid)
        if self._cgroup is not None and (use := memory.cgroup_use(self._cgroup)) is not None:
            return use
        return await self._engine.ask(lambda: memory.engine_use(self._api, self.id))

    async def cpu_seconds(self) -> float:
        return await self._seen(lambda: cpu.seconds(self._api, self.id, self._pid), 0.0)

    async def throttle(self, cpus: float) -> None:
        await self._seen(lambda: cpu.throttle(self._api, self.id, cpus), None)

    async def freeze(self) -> None:
        await self._switch(self._api.pause)

    async def thaw(self) -> None:
        await self._switch(self._api.unpause)

    async def _switch(self, order: Callable[[str], object]) -> None:
        """The engine refuses what is done already (and says so by an error of its own, 500), and
        what cannot be done to a container that ended.
        """
        try:
            await self._engine.run(lambda: order(self.id))
        except docker.errors.APIError as error:
            if not any(word in str(error.explanation).lower() for word in ALREADY):
                raise EngineUnavailable(
                    f"The container engine refused: {error.explanation}."
                ) from error

    async def changed_paths(self) -> list[str]:
        try:
            found = await self._engine.run(lambda: self._api.diff(self.id))
        except docker.errors.NotFound as error:
            raise EngineUnavailable(
                "What a container wrote is gone with it: ask before it is stopped."
            ) from error
        except docker.errors.APIError as error:
            raise EngineUnavailable(f"The engine lists no changes: {error.explanation}") from error
        return [entry["Path"] for entry in found or []]

    async def written_bytes(self) -> int | None:
        return await self._engine.ask(lambda: written_bytes(self._api, self.id))

    async def file_bytes(self, path: str) -> int | None:
        return await self._engine.ask(lambda: file_bytes(self._api, self.id, path))

    async def connect_inside(self, port: int, timeout_seconds: float) -> float | None:
        clock = self._engine.clock
        return await self._seen(
            lambda: network.connect(self.id, self._pid, port, timeout_seconds, clock), None
        )

    async def ask_inside(
        self, port: int, path: str, headers: Mapping[str, str], timeout_seconds: float
    ) -> int | None:
        return await self._seen(
            lambda: network.ask(
                self.id, self._pid, port, path, headers=headers, timeout_seconds=timeout_seconds
            ),
            None,
        )


def _failed(task: asyncio.Task[Stopped]) -> bool:
    """Whether a stop ended without having stopped; asking also marks its error as seen."""
    return task.done() and (task.cancelled() or task.exception() is not None)

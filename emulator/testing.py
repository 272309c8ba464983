"""Public fakes for tests of what is built on the emulator: time, an engine, and a conformance test.

Owns: `FakeClock`, `FakeEngine`, `check_engine()`. Must not know: Docker. A `FakeEngine` runs
Python functions as containers, in virtual time: minutes pass in milliseconds, nothing listens.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from emulator.engines import (
    Capability,
    ContainerSpec,
    Engine,
    ImageFiles,
    ImageInfo,
    ImageNotFound,
    Process,
    Socket,
    StartRefused,
    Stopped,
)
from emulator.http import Hold, Outcome, Reply, Request

T = TypeVar("T")

SETTLE_ROUNDS = 64
"""Turns of the event loop without a new sleeper after which everybody is taken to be waiting."""


class FakeClock:
    """Virtual time. `run(coroutine)` jumps to the next deadline whenever everything waits.

    Guarantees: `now()` never goes back; sleepers wake in the order of their deadlines.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    def jump(self, seconds: float) -> None:
        """Moves time forward and wakes who was due. Time cannot go backwards."""
        if seconds < 0:
            raise ValueError(f"time cannot go backwards (asked for {seconds} s)")
        self._advance(self._now + seconds)

    def _advance(self, to: float) -> None:
        self._now = max(self._now, to)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs to the end in virtual time. Raises RuntimeError when nothing can go on."""

        async def drive() -> T:
            task = asyncio.ensure_future(coroutine)
            while not task.done():
                for _ in range(SETTLE_ROUNDS):
                    await asyncio.sleep(0)
                    if task.done():
                        break
                else:
                    while self._sleepers and self._sleepers[0][2].done():
                        heapq.heappop(self._sleepers)
                    if not self._sleepers:
                        task.cancel()
                        raise RuntimeError("everything waits and nobody sleeps: a deadlock")
                    self._advance(self._sleepers[0][0])
            return task.result()

        return asyncio.run(drive())


Handler = Callable[[Request, float], tuple[float, int, bytes]]
"""(request, seconds since the start) -> (seconds to answer, status, body)."""


@dataclass(kw_only=True)
class FakeImage:
    """How containers of an image behave. All times are seconds since the start."""

    handler: Handler = lambda request, age: (0.001, 200, b"")
    listens_after: float = 0.0
    exits_after: float | None = None
    exit_code: int = 1
    stop_seconds: float | None = 0.1  # None: SIGTERM is ignored
    refuses: str | None = None  # the engine cannot start it
    log: str = ""
    info: ImageInfo | None = None


@dataclass(eq=False, kw_only=True)
class FakeContainer:
    id: str
    base_url: str
    image: FakeImage
    spec: ContainerSpec
    clock: FakeClock
    started: float
    stopped: Stopped | None = None
    signals: list[tuple[int, int]] = field(default_factory=list)

    @property
    def age(self) -> float:
        return self.clock.now() - self.started

    async def exit_code(self) -> int | None:
        if self.stopped is not None:
            return self.stopped.exit_code
        ends = self.image.exits_after
        return self.image.exit_code if ends is not None and self.age >= ends else None

    async def logs(self, tail: int = 50) -> str:
        return "\n".join(self.image.log.splitlines()[-tail:])

    async def stop(self, grace_seconds: float) -> Stopped:
        if self.stopped is None:
            gone = await self.exit_code()
            takes = self.image.stop_seconds
            killed = gone is None and (takes is None or takes > grace_seconds)
            seconds = 0.0 if gone is not None else (grace_seconds if killed else takes or 0.0)
            code = gone if gone is not None else (137 if killed else 0)
            self.stopped = Stopped(exit_code=code, seconds=seconds, killed=killed)
            await self.clock.sleep(seconds)
        return self.stopped

    async def processes(self) -> list[Process]:
        return [Process(pid=1, parent=0, rss_bytes=1, command="serve")]

    async def signal(self, pid: int, signal: int) -> None:
        self.signals.append((pid, signal))

    async def sockets(self) -> list[Socket]:
        return (
            [Socket(address="0.0.0.0", port=8080)] if self.age >= self.image.listens_after else []
        )

    async def oom_kills(self) -> int:
        return 0

    async def changed_paths(self) -> list[str]:
        return []

    async def connect_inside(self, port: int, timeout_seconds: float) -> float | None:
        return 0.0 if self.age >= self.image.listens_after else None

    async def ask_inside(
        self, port: int, path: str, headers: Mapping[str, str], timeout_seconds: float
    ) -> int | None:
        return None


class FakeEngine:
    """Containers that are functions. Also the `Http` that reaches them."""

    name = "fake"
    capabilities = frozenset(Capability)

    def __init__(self, clock: FakeClock, images: Mapping[str, FakeImage]) -> None:
        self.clock = clock
        self.images = images
        self.started: list[FakeContainer] = []
        self.requests: list[tuple[float, Request]] = []

    @property
    def running(self) -> list[FakeContainer]:
        """Started and not stopped yet."""
        return [c for c in self.started if c.stopped is None]

    async def unavailable(self) -> str | None:
        return None

    async def version(self) -> str:
        return "0"

    async def image(self, reference: str) -> ImageInfo:
        image = self.images.get(reference)
        if image is None or image.info is None:
            raise ImageNotFound(f"no image {reference!r}; known: {', '.join(self.images)}")
        return image.info

    async def files(self, reference: str) -> ImageFiles:
        raise NotImplementedError("a fake image has no files")

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        image = self.images.get(spec.image)
        if image is None:
            raise ImageNotFound(f"no image {spec.image!r}; known: {', '.join(self.images)}")
        if image.refuses is not None:
            raise StartRefused(image.refuses)
        container = FakeContainer(
            id=f"fake-{len(self.started)}",
            base_url=f"fake://{len(self.started)}",
            image=image,
            spec=spec,
            clock=self.clock,
            started=self.clock.now(),
        )
        self.started.append(container)
        return container

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        container = self.started[int(base_url.removeprefix("fake://"))]
        self.requests.append((self.clock.now(), request))
        if hold is not None:
            async for _ in hold.parts(request.body or b""):
                pass
        if await container.exit_code() is not None:
            return Reply(request=request, outcome=Outcome.REFUSED, seconds=0.0)
        if container.age < container.image.listens_after:
            return Reply(request=request, outcome=Outcome.RESET, seconds=0.0)
        seconds, status, body = container.image.handler(request, container.age)
        ends = container.image.exits_after
        lives = float("inf") if ends is None else ends - container.age
        if lives <= min(seconds, timeout_seconds):
            await self.clock.sleep(lives)
            return Reply(request=request, outcome=Outcome.RESET, seconds=lives)
        if seconds > timeout_seconds:
            await self.clock.sleep(timeout_seconds)
            return Reply(request=request, outcome=Outcome.TIMEOUT, seconds=timeout_seconds)
        before = self.clock.now()
        await self.clock.sleep(seconds)
        if container.stopped is not None:
            return Reply(request=request, outcome=Outcome.RESET, seconds=self.clock.now() - before)
        return Reply(
            request=request,
            outcome=Outcome.ANSWERED,
            seconds=seconds,
            status=status,
            body=body,
            body_bytes=len(body),
        )

    async def sweep(self, *, everything: bool = False) -> list[str]:
        return []

    async def close(self) -> None:
        for container in self.running:
            await container.stop(0)


async def check_engine(
    engine: Engine, good: ContainerSpec, broken: ContainerSpec, wait: Callable[[], Awaitable[None]]
) -> None:
    """What every engine must do; raises AssertionError naming the clause that does not hold.

    `good` starts and keeps running, `broken` names an image whose start command is not there.
    `wait` lets a moment pass (a real one on a real engine). Nothing is left running.
    """
    assert await engine.unavailable() is None, "a usable engine says so"
    container = await engine.start(good)
    try:
        assert container.base_url, "a started container has an address"
        await wait()
        assert await container.exit_code() is None, "a running container has no exit code"
        assert isinstance(await container.logs(), str), "logs are text"
    finally:
        first = await container.stop(0)
    assert await container.stop(0) == first, "stopping twice is stopping once"
    assert await container.exit_code() is not None, "a stopped container has an exit code"
    assert isinstance(await container.logs(), str), "logs outlive the container"
    try:
        accepted = await engine.start(broken)
    except StartRefused as refused:
        assert str(refused), "a refusal tells why"
    else:
        await accepted.stop(0)
        raise AssertionError("a start that cannot work is refused")

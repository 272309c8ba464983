"""Public fakes for tests of what is built on the emulator: time, an engine, a conformance test.

Owns: `FakeEngine`; `FakeClock` and `check_engine()` are found here, too. Must not know: Docker. A
`FakeEngine` runs Python functions as containers, in virtual time: nothing listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace

from emulator.conformance import check_engine
from emulator.engines import (
    Capability,
    ContainerSpec,
    ImageFiles,
    ImageInfo,
    ImageNotFound,
    LogLine,
    Memory,
    Process,
    Socket,
    StartRefused,
    Stopped,
)
from emulator.fake_clock import FakeClock
from emulator.http import Hold, Outcome, Reply, Request, Streamed
from emulator.limits import MIB

__all__ = ["FakeClock", "FakeContainer", "FakeEngine", "FakeImage", "Handler", "check_engine"]

MEMORY = Memory(used_bytes=32 * MIB, peak_bytes=64 * MIB)

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
    log: str = ""  # written at the start
    memory: Memory = MEMORY
    received_bytes: int = 0
    cpu_share: float = 0.01  # of one processor, all the time
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
    thawed: asyncio.Event | None = None  # while it is frozen
    throttled: list[float] = field(default_factory=list)
    restarts: int = 0

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

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        first = round(self.started * 1e9)
        lines = enumerate(self.image.log.splitlines(), start=first)
        return [LogLine(nanoseconds=at, text=t) for at, t in lines if at > after_nanoseconds]

    async def stop(self, grace_seconds: float) -> Stopped:
        await self.thaw()
        if self.stopped is None:
            gone = await self.exit_code()
            takes = self.image.stop_seconds
            killed = gone is None and (takes is None or takes > grace_seconds)
            seconds = 0.0 if gone is not None else (grace_seconds if killed else takes or 0.0)
            code = gone if gone is not None else (137 if killed else 0)
            self.stopped = Stopped(exit_code=code, seconds=seconds, killed=killed)
            await self.clock.sleep(seconds)
        return self.stopped

    async def restart(self) -> None:
        self.restarts += 1
        self.started = self.clock.now()

    async def received_bytes(self) -> int:
        return self.image.received_bytes

    async def processes(self) -> list[Process]:
        return [Process(pid=1, parent=0, rss_bytes=1, command="serve")]

    async def signal(self, pid: int, signal: int) -> None:
        self.signals.append((pid, signal))

    async def sockets(self) -> list[Socket]:
        listens = self.age >= self.image.listens_after
        return [Socket(address="0.0.0.0", port=8080)] * listens

    async def connecting(self) -> list[Socket]:
        return []

    async def oom_kills(self) -> int:
        return 0

    async def memory(self) -> Memory:
        return self.image.memory

    async def cpu_seconds(self) -> float:
        return self.image.cpu_share * self.age

    async def throttle(self, cpus: float) -> None:
        self.throttled.append(cpus)

    async def freeze(self) -> None:
        if self.thawed is None and await self.exit_code() is None:
            self.thawed = asyncio.Event()

    async def thaw(self) -> None:
        if self.thawed is not None:
            self.thawed.set()
            self.thawed = None

    async def changed_paths(self) -> list[str]:
        return []

    async def written_bytes(self) -> int | None:
        return 0

    async def file_bytes(self, path: str) -> int | None:
        return None

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
        self.registries: dict[str, FakeImage] = {}  # what can be pulled, by its whole name

    @property
    def running(self) -> list[FakeContainer]:
        """Started and not stopped yet."""
        return [c for c in self.started if c.stopped is None]

    async def unavailable(self) -> str | None:
        return None

    async def version(self) -> str:
        return "0"

    async def image(self, reference: str) -> ImageInfo:
        image = self._named(reference)
        if image is None or image.info is None:
            raise ImageNotFound(f"no image {reference!r}; known: {', '.join(self.images)}")
        return image.info

    async def image_id(self, reference: str) -> str | None:
        image = self._named(reference)
        return None if image is None else image.info.id if image.info else reference

    def _named(self, reference: str) -> FakeImage | None:
        """By its name, or by its id."""
        by_id = {image.info.id: image for image in self.images.values() if image.info}
        return self.images.get(reference) or by_id.get(reference)

    async def pull(self, reference: str) -> None:
        if reference not in self.registries:
            raise ImageNotFound(f"no registry has {reference!r}")
        self.images = {**self.images, reference: self.registries[reference]}

    async def files(self, reference: str) -> ImageFiles:
        raise NotImplementedError("a fake image has no files")

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        image = self._named(spec.image)
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
        self.requests.append((before := self.clock.now(), request))
        if hold is not None:
            async for _ in hold.parts(request.body or b""):
                pass
        if container.thawed is not None:
            if not await self._thawed(container, timeout_seconds):
                return Reply(request=request, outcome=Outcome.TIMEOUT, seconds=timeout_seconds)
            timeout_seconds -= self.clock.now() - before
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

    async def stream(self, base_url: str, request: Request, timeout_seconds: float) -> Streamed:
        """The whole body is one part."""
        reply = await self.send(base_url, request, timeout_seconds)

        async def parts() -> AsyncGenerator[bytes, None]:
            if reply.body:
                yield reply.body

        return Streamed(reply=replace(reply, body=b""), parts=parts(), close=lambda: None)

    async def _thawed(self, container: FakeContainer, seconds: float) -> bool:
        """Whether it is thawed by then; until then it answers nothing, alive as it is."""
        assert container.thawed is not None
        thawed = asyncio.ensure_future(container.thawed.wait())
        late = asyncio.ensure_future(self.clock.sleep(seconds))
        try:
            await asyncio.wait((thawed, late), return_when=asyncio.FIRST_COMPLETED)
            return thawed.done()
        finally:
            thawed.cancel()
            late.cancel()

    async def sweep(self, *, everything: bool = False) -> list[str]:
        return []

    async def close(self) -> None:
        for container in self.running:
            await container.stop(0)

"""An endpoint with a fake engine in virtual time, for tests of what it does.

Owns: the engine that breaks as real ones do, and what must hold for every story. Must not know: the
tests.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from emulator.endpoint import Endpoint
from emulator.endpoint_state import SERVING, EndpointStatus, InstanceState, Invocation
from emulator.engines import ContainerSpec, LogLine, Memory, Socket, Stopped
from emulator.http import Hold, Outcome, Reply, Request
from emulator.limits import MIB, Limits
from emulator.policy_events import PolicyConfig
from emulator.runtime_errors import Place, RuntimeFailure
from emulator.testing import FakeClock, FakeContainer, FakeEngine, FakeImage, Handler
from emulator.wire import Invoke
from emulator.wire_members import Operation
from tests.instance_automaton import Automaton

PLACE = Place(endpoint="iris", request_id="r-1")
SPEC = ContainerSpec(image="model")
LIMITS = Limits()


class Engine(FakeEngine):
    """A fake that starts slowly, breaks, and sees memory kills. `trouble` is raised by whatever is
    asked of it, `stop_trouble` and the like only by that; its containers themselves go on
    meanwhile. A frozen container answers nothing.
    """

    def __init__(self, clock: FakeClock, images: Mapping[str, FakeImage]) -> None:
        super().__init__(clock, images)
        self.trouble: Exception | None = None
        self.stop_trouble: Exception | None = None
        self.freeze_trouble: Exception | None = None
        self.thaw_trouble: Exception | None = None
        self.log_trouble: Exception | None = None
        self.memory_trouble: Exception | None = None
        self.start_seconds = self.freeze_seconds = self.thaw_seconds = self.memory_seconds = 0.0
        self.log_seconds = 0.0
        self.memory_kills: Counter[str] = Counter()
        self.peaks: dict[str, int] = {}
        self.written: defaultdict[str, list[LogLine]] = defaultdict(list)
        self.told_to_stop: set[str] = set()
        self.frozen: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.most_wanted = 0

    async def start(self, spec: ContainerSpec) -> Handle:  # type: ignore[override]
        await self.clock.sleep(self.start_seconds)
        if self.trouble is not None:
            raise self.trouble
        container = await super().start(spec)
        wanted = {one.id for one in self.started} - self.told_to_stop
        self.most_wanted = max(self.most_wanted, len(wanted))
        return Handle(self, container)

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        container = self.started[int(base_url.removeprefix("fake://"))]
        if container.id in self.frozen and await container.exit_code() is None:
            await self.clock.sleep(timeout_seconds)
            return Reply(request=request, outcome=Outcome.TIMEOUT, seconds=timeout_seconds)
        return await super().send(base_url, request, timeout_seconds, hold)

    def die(self, container: FakeContainer, after: float = 0.0) -> None:
        ends = container.age + after
        container.image = replace(container.image, exits_after=ends, exit_code=137)

    def write(self, container: FakeContainer, *texts: str) -> None:
        """The container writes these lines, a microsecond after each other."""
        lines = self.written[container.id]
        for text in texts:
            before = lines[-1].nanoseconds if lines else 0
            now = max(round(self.clock.now() * 1e9), before + 1000)
            lines.append(LogLine(nanoseconds=now, text=text))


class Handle:
    """What the endpoint holds of a fake container: everything goes through the engine."""

    def __init__(self, engine: Engine, container: FakeContainer) -> None:
        self.id, self.base_url = container.id, container.base_url
        self._engine, self._container = engine, container

    def _ask(self, what: str, trouble: Exception | None = None) -> None:
        self._engine.asked[what] += 1
        if error := trouble or self._engine.trouble:
            raise error

    async def exit_code(self) -> int | None:
        self._ask("exit_code")
        return await self._container.exit_code()

    async def logs(self, tail: int = 50) -> str:
        self._ask("logs")
        return await self._container.logs(tail)

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        await self._engine.clock.sleep(self._engine.log_seconds)
        self._ask("log_lines", self._engine.log_trouble)
        lines = self._engine.written[self.id]
        return [line for line in lines if line.nanoseconds > after_nanoseconds]

    async def sockets(self) -> list[Socket]:
        self._ask("sockets")
        return await self._container.sockets()

    async def connecting(self) -> list[Socket]:
        self._ask("connecting")
        return await self._container.connecting()

    async def oom_kills(self) -> int:
        self._ask("oom_kills")
        return self._engine.memory_kills[self.id]

    async def memory(self) -> Memory:
        await self._engine.clock.sleep(self._engine.memory_seconds)
        self._ask("memory", self._engine.memory_trouble)
        peak = self._engine.peaks.get(self.id, 64 * MIB)
        return Memory(used_bytes=peak // 2, peak_bytes=peak)

    async def freeze(self) -> None:
        await self._engine.clock.sleep(self._engine.freeze_seconds)
        self._ask("freeze", self._engine.freeze_trouble)
        self._engine.frozen.add(self.id)

    async def thaw(self) -> None:
        await self._engine.clock.sleep(self._engine.thaw_seconds)
        self._ask("thaw", self._engine.thaw_trouble)
        self._engine.frozen.discard(self.id)

    async def stop(self, grace_seconds: float) -> Stopped:
        self._engine.told_to_stop.add(self.id)
        self._ask("stop", self._engine.stop_trouble)
        self._engine.frozen.discard(self.id)
        return await self._container.stop(grace_seconds)


@dataclass(kw_only=True)
class World:
    """An endpoint with its clock and its engine."""

    clock: FakeClock
    engine: Engine
    endpoint: Endpoint
    told: Automaton
    answers: list[tuple[int, float, Reply | RuntimeFailure]] = field(default_factory=list)

    def truthful(self) -> None:
        """What is told of the instances is what the policy goes by."""
        assert not self.told.wrong, self.told.wrong
        if self.endpoint.status not in SERVING:
            return
        states, policy = self.told.states(), self.endpoint.policy
        assert states[InstanceState.BUSY] == policy.busy
        assert states[InstanceState.STARTING] == policy.starting
        assert states[InstanceState.IDLE] + states[InstanceState.FROZEN] == policy.idle

    def gone(self) -> None:
        """It is closed: everything that began has been told to be gone."""
        assert not self.told.wrong, self.told.wrong
        assert set(self.told.states()) <= {InstanceState.GONE}
        assert self.endpoint.journal.instances == {}
        assert self.engine.running == []
        assert [task for task in asyncio.all_tasks() if "endpoint" in str(task.get_coro())] == []

    async def call(self, body: bytes = b"x", number: int = 0) -> Reply | RuntimeFailure:
        invoke = Invoke(operation=Operation.INVOKE, endpoint="iris", body=body)
        answer: Reply | RuntimeFailure
        try:
            answer = await self.endpoint.invoke(invoke)
        except RuntimeFailure as failure:
            answer = failure
        self.answers.append((number, self.clock.now(), answer))
        return answer

    async def failed(self, code: str, body: bytes = b"x") -> dict[str, Any]:
        """The fields of the error that the next call gets."""
        answer = await self.call(body)
        assert isinstance(answer, RuntimeFailure), answer
        assert answer.code == code, answer
        return answer.fields(PLACE)

    async def good(self, body: bytes = b"x") -> Invocation:
        """The record of the next call, which is a success."""
        answer = await self.call(body)
        assert isinstance(answer, Reply), answer
        return self.endpoint.journal.last[-1]

    async def at_once(self, count: int) -> list[Reply | RuntimeFailure]:
        return list(await asyncio.gather(*(self.call() for _ in range(count))))


def world(
    image: FakeImage | None = None,
    *,
    limits: Limits = LIMITS,
    kind: type[Engine] = Engine,
    freeze: bool = False,
    **numbers: Any,
) -> World:
    clock = FakeClock()
    engine = kind(clock, {"model": image or FakeImage()})
    config = replace(PolicyConfig.of(limits, max_concurrency=2), **numbers)
    endpoint = Endpoint(
        "iris",
        SPEC,
        config,
        engine=engine,
        http=engine,
        clock=clock,
        limits=limits,
        freeze=freeze,
    )
    told = Automaton()
    endpoint.journal.watchers.append(told)
    return World(clock=clock, engine=engine, endpoint=endpoint, told=told)


def run(world: World, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The story of an endpoint that is InService; then it is closed, and nothing is left."""

    async def whole() -> None:
        await world.endpoint.create()
        assert world.endpoint.status is EndpointStatus.IN_SERVICE, world.endpoint.failure_reason
        try:
            await story()
            world.truthful()
        finally:
            await world.endpoint.close()
        world.gone()

    world.clock.run(whole())


def takes(seconds: float, status: int = 200, body: bytes = b"ok") -> Handler:
    """An invocation takes that long, a ping no time."""

    def handler(request: Request, age: float) -> tuple[float, int, bytes]:
        return (seconds, status, body) if request.path == "/invocations" else (0.001, 200, b"")

    return handler


class Resets(Engine):
    """The connection breaks although the container lives, as when one of its workers dies."""

    async def send(
        self, base_url: str, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        if request.body == b"reset":
            return Reply(request=request, outcome=Outcome.RESET, seconds=0.0)
        return await super().send(base_url, request, timeout_seconds, hold)

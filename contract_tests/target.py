"""The image under test and its containers, for checks that are plain synchronous functions.

Owns: which containers a run starts, when, and that all of them are stopped. Must not know: pytest,
verdicts. There is one implementation of starting, pinging, invoking and stopping
(`emulator.instance`); here it is reached through a portal to the event loop.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from anyio.from_thread import BlockingPortal

from contract_tests.check import Blocked
from contract_tests.diagnose import Diagnoser, Finding
from contract_tests.settings import Payload, Settings
from emulator import model_data, owner
from emulator.clock import Clock
from emulator.engines import (
    ContainerSpec,
    Engine,
    ImageInfo,
    Process,
    Socket,
    StartRefused,
    Stopped,
)
from emulator.http import Hold, Http, Reply, Request
from emulator.instance import (
    PING,
    PLATFORM_HEADERS,
    Instance,
    StartReport,
    invocation,
    platform_environment,
)
from emulator.limits import MIB, Limits, cpus

Returned = TypeVar("Returned")
Arguments = TypeVarTuple("Arguments")

RECOVERY_SECONDS = 60.0
"""How long a container has to recover from the death of its worker: one invocation's time."""


class Subject:
    """A started container as a check sees it. Every method blocks, none raises for what the
    container does.
    """

    def __init__(
        self,
        target: Target,
        instance: Instance,
        start: StartReport,
        finding: Finding | None,
        first_invocation: Reply | None,
    ) -> None:
        self.target = target
        self.start = start
        self.finding = finding  # why it will never be ready, when that is certain
        self.first_invocation = first_invocation  # sent in the moment of the first 200
        self.stopped: Stopped | None = None
        self._instance = instance

    @property
    def limits(self) -> Limits:
        return self._instance.limits

    @property
    def ready(self) -> bool:
        return self.start.ready

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        return self.target.call(self._instance.send, request, timeout_seconds)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """A GET with the platform's headers, or with others, in a health check's time."""
        request = Request(method="GET", path=path, headers=headers or PLATFORM_HEADERS)
        return self.send(request, self.limits.ping_seconds)

    def ping(self) -> Reply:
        return self.send(PING, self.limits.ping_seconds)

    def post(
        self, body: bytes, content_type: str | None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One invocation, with the platform's time limit."""
        return self.target.call(self._instance.invoke, body, content_type, headers)

    def invoke(self, payload: Payload) -> Reply:
        return self.post(payload.body, payload.content_type)

    def invoke_soon(self, payload: Payload) -> Future[Reply]:
        """An invocation in the background."""
        return self.target.portal.start_task_soon(
            self._instance.invoke, payload.body, payload.content_type
        )

    @contextmanager
    def held(self, body: bytes, content_type: str) -> Iterator[Future[Reply]]:
        """An invocation of which half the body is sent. The block runs meanwhile; after it the
        rest is sent, and the future has the answer. Raises Blocked when it could not be begun.
        """
        hold = self.target.call(_new_hold)
        request = invocation(body, content_type)
        future = self.target.portal.start_task_soon(
            self._instance.send, request, self.limits.invocation_seconds, hold
        )
        try:
            begun = self.target.call(_begun, hold, self.limits.ping_seconds)
            if not begun:
                raise Blocked("a request could not be begun: the container took no connection")
            yield future
        finally:
            self.target.call(_release, hold)

    def exit_code(self) -> int | None:
        return self.target.call(self._instance.container.exit_code)

    def logs(self, tail: int = 50) -> str:
        return self.target.call(self._instance.container.logs, tail)

    def processes(self) -> list[Process]:
        return self.target.call(self._instance.container.processes)

    def signal(self, pid: int, number: int) -> None:
        self.target.call(self._instance.container.signal, pid, number)

    def sockets(self) -> list[Socket]:
        return self.target.call(self._instance.container.sockets)

    def oom_kills(self) -> int:
        return self.target.call(self._instance.container.oom_kills)

    def changed_paths(self) -> list[str]:
        return self.target.call(self._instance.container.changed_paths)

    def connect_inside(self, timeout_seconds: float) -> float | None:
        return self.target.call(
            self._instance.container.connect_inside, self._instance.spec.port, timeout_seconds
        )

    def stop(self, grace_seconds: float | None = None) -> Stopped:
        """Once; later calls tell how it went."""
        if self.stopped is None:
            self.stopped = self.target.call(self._instance.stop, grace_seconds)
        return self.stopped

    def stop_soon(self) -> Future[Stopped]:
        """The platform's way of stopping, in the background."""
        return self.target.portal.start_task_soon(self._instance.stop)


async def _new_hold() -> Hold:
    return Hold()


async def _begun(hold: Hold, timeout_seconds: float) -> bool:
    import asyncio

    try:
        await asyncio.wait_for(hold.halfway(), timeout_seconds)
    except TimeoutError:
        return False
    return True


async def _release(hold: Hold) -> None:
    hold.release()


class Target:
    """One image under one set of settings. `close()` stops everything that was started."""

    def __init__(
        self,
        image: ImageInfo,
        settings: Settings,
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        portal: BlockingPortal,
        limits: Limits | None = None,
    ) -> None:
        self.image = image
        self.settings = settings
        self.limits = limits or settings.limits
        self.engine = engine
        self.portal = portal
        self.refused: str | None = None  # the engine's words when it could not start the image
        self._http = http
        self._clock = clock
        self._model_dir: Path | None = None
        self._temporary: owner.TemporaryDirectory | None = None
        self._subjects: list[Subject] = []
        self._shared: Subject | None = None
        self._trials: dict[str, Trial] = {}
        self.recovery_seconds = RECOVERY_SECONDS
        self.notes: dict[str, Any] = {}  # what one check learned and another one judges

    def call(
        self, function: Callable[[*Arguments], Awaitable[Returned]], *arguments: *Arguments
    ) -> Returned:
        """Runs a coroutine function on the event loop."""
        return self.portal.call(function, *arguments)

    @property
    def spec(self) -> ContainerSpec:
        """How the platform would start it, at the chosen memory."""
        memory = self.settings.memory
        return ContainerSpec(
            image=self.image.reference,
            environment={**platform_environment(), **self.settings.env},
            port=self.limits.port,
            memory_bytes=memory * MIB,
            cpus=cpus(memory) if self.settings.profile == "serverless" else None,
            model_dir=self.model_dir,
            role="check",
        )

    @property
    def model_dir(self) -> Path | None:
        """What is mounted at /opt/ml/model; an archive is unpacked once."""
        source = self.settings.model_data
        if source is None or self._model_dir is not None:
            return self._model_dir
        if source.is_dir():
            self._model_dir = source
        else:
            self._temporary = owner.temporary_directory()
            self._model_dir = self._temporary.path
            model_data.unpack(source, self._model_dir)
            self._model_dir.chmod(0o755)
        return self._model_dir

    def start(self, spec: ContainerSpec | None = None, limits: Limits | None = None) -> Subject:
        """Starts a container and waits until it is ready or certainly is not.

        Raises StartRefused when the engine cannot start it.
        """
        return self.call(self._start, spec or self.spec, limits or self.limits)

    async def _start(self, spec: ContainerSpec, limits: Limits) -> Subject:
        instance = await Instance.start(
            self.engine, spec, clock=self._clock, http=self._http, limits=limits
        )
        diagnoser = Diagnoser(self.engine)
        try:
            report = await instance.wait_ready(diagnoser)
            first = None
            if report.ready and self.settings.payload:
                payload = self.settings.payload[0]
                first = await instance.invoke(payload.body, payload.content_type)
        except BaseException:
            await instance.stop(0)
            raise
        subject = Subject(self, instance, report, diagnoser.finding, first)
        self._subjects.append(subject)
        return subject

    @property
    def first(self) -> Subject | None:
        """The first start of this image, ready or not; None when the engine refused (`refused`)."""
        if self._shared is None and self.refused is None:
            try:
                self._shared = self.start()
            except StartRefused as refused:
                self.refused = str(refused)
        return self._shared

    def container(self) -> Subject:
        """A ready container that checks share. One that a check has ended is replaced.

        Raises Blocked when the image does not get ready.
        """
        first = self.first
        if first is None:
            raise Blocked(f"the engine cannot start the image: {self.refused}")
        if not first.ready:
            raise Blocked(f"the container did not get ready: {first.start.describe()}")
        if self._shared is not None and (
            self._shared.stopped is not None or self._shared.exit_code() is not None
        ):
            self._shared = self.start()
            if not self._shared.ready:
                raise Blocked(f"a second start failed: {self._shared.start.describe()}")
        assert self._shared is not None
        return self._shared

    def trial(self, name: str, spec: ContainerSpec) -> Trial:
        """A start under other conditions, once per name; the container is gone afterwards."""
        if name not in self._trials:
            self._trials[name] = self._try(spec)
        return self._trials[name]

    def _try(self, spec: ContainerSpec) -> Trial:
        try:
            subject = self.start(spec)
        except StartRefused as refused:
            return Trial(served=False, words=f"the engine cannot start it: {refused}", log="")
        log = subject.start.log_tail or subject.logs()
        subject.stop(0)
        reply = subject.first_invocation
        if not subject.ready:
            return Trial(served=False, words=subject.start.describe(), log=log)
        # Compared with the start without restrictions: what fails there too is another check's.
        usual = self.first.first_invocation if self.first is not None else None
        if reply is not None and not reply.ok and usual is not None and usual.ok:
            return Trial(served=False, words=f"ready, but its first answer was {reply}", log=log)
        return Trial(served=True, words=subject.start.describe(), log=log)

    def run_line(self, spec: ContainerSpec | None = None) -> str:
        """The docker command that starts the same container, for people to repeat."""
        spec = spec or self.spec
        words = ["docker", "run", "--rm", "-p", f"127.0.0.1:8080:{spec.port}"]
        if spec.memory_bytes is not None:
            size = f"{spec.memory_bytes // MIB}m"
            words += ["--memory", size, "--memory-swap", size]
        if spec.cpus is not None:
            words += ["--cpus", str(spec.cpus)]
        if spec.model_dir is not None:
            words += ["-v", f"{self.settings.model_data}:/opt/ml/model:ro"]
        for name, value in self.settings.env.items():
            words += ["-e", f"{name}={value}"]
        if not spec.network:
            words += ["--network", "none"]
        if not spec.shm:
            words += ["--ipc", "none"]
        for capability in spec.drop_capabilities:
            words += ["--cap-drop", capability]
        if spec.user is not None:
            words += ["--user", spec.user]
        return shlex.join([*words, spec.image, *spec.command])

    def copy_of_model_directory(self) -> Path:
        """An empty directory, to be mounted read-only in place of the image's own
        /opt/ml/model: what the image holds there is hidden, as a download would hide it.
        """
        if self._temporary is None:
            self._temporary = owner.temporary_directory()
        return self._temporary.path

    def pause(self, seconds: float) -> None:
        """Lets time pass, by the run's clock."""
        self.call(self._clock.sleep, seconds)

    def last_log(self) -> str:
        """The last lines of the shared container, whatever became of it."""
        if self._shared is None:
            return self.refused or ""
        return self._shared.logs() or self._shared.start.log_tail

    def with_limits(self, **changes: Any) -> None:
        """Replaces limits before anything is started; for tests of the checks themselves."""
        self.limits = dataclasses.replace(self.limits, **changes)

    def close(self) -> None:
        """Stops and removes every container of this target, and its temporary files."""
        for subject in self._subjects:
            if subject.stopped is None:
                subject.stop(0)
        if self._temporary is not None:
            self._temporary.close()
            self._temporary = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a start under other conditions went."""

    served: bool  # ready, and the first invocation (with a payload) was a success
    words: str
    log: str

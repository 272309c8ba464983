"""The image under test and its containers, for checks that are plain synchronous functions.

Owns: which containers a run starts, when, and that all of them are stopped. Must not know: pytest,
verdicts. There is one implementation of starting, pinging, invoking and stopping
(`emulator.instance`); here it is reached through a portal to the event loop.
"""

from __future__ import annotations

import dataclasses
import shlex
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from anyio import CancelScope
from anyio.from_thread import BlockingPortal

from contract_tests.check import Blocked
from contract_tests.diagnose import Diagnoser
from contract_tests.observed import Observed, refused_json, start_json
from contract_tests.settings import Settings
from contract_tests.subject import Subject
from emulator import model_data, owner
from emulator.clock import Clock, wall_clock
from emulator.engines import ContainerSpec, Engine, EngineUnavailable, ImageInfo, StartRefused
from emulator.http import Http
from emulator.instance import Instance, platform_environment
from emulator.limits import MIB, Limits, cpus

Returned = TypeVar("Returned")
Arguments = TypeVarTuple("Arguments")

CLIENT_SECONDS = 60.0
"""How long botocore waits for an answer unless it is told otherwise (contract 3.15)."""

RECOVERY_SECONDS = 60.0
"""How long a container has to recover from the death of its worker: one invocation's time."""


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
        self.start_seen: dict[str, Any] | None = None  # of the first one, for the report
        self.deaths: list[Death] = []  # of containers that were ready and ended by themselves
        self.refused: str | None = None  # the engine's words when it could not start the image
        self.observed = Observed(http, clock)
        self.http: Http = self.observed
        self.clock = clock
        self._model_dir: Path | None = None
        self._temporary: owner.TemporaryDirectory | None = None
        self._subjects: list[Subject] = []
        self._shared: Subject | None = None
        self._engine_failed = ""
        self._trials: dict[str, Trial] = {}
        self.recovery_seconds = RECOVERY_SECONDS
        self.client_seconds = CLIENT_SECONDS
        self.notes: dict[str, Any] = {}  # what one check learned and another one judges

    def call(
        self, function: Callable[[*Arguments], Awaitable[Returned]], *arguments: *Arguments
    ) -> Returned:
        """Runs a coroutine function on the event loop.

        When the caller is interrupted it is cancelled, and waited for: what it began it clears up.
        """
        ended = threading.Event()

        async def run() -> Returned:
            try:
                return await function(*arguments)
            finally:
                ended.set()

        future = self.portal.start_task_soon(run)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                ended.wait()
            raise

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
            self.engine, spec, clock=self.clock, http=self.http, limits=limits
        )
        diagnoser = Diagnoser(self.engine)
        try:
            report = await instance.wait_ready(diagnoser)
            first = None
            if report.ready and self.settings.payload:
                payload = self.settings.payload[0]
                first = await instance.invoke(payload.body, payload.content_type)
        except BaseException:
            with CancelScope(shield=True):  # an interrupted start must not leave its container
                await instance.stop(0)
            raise
        subject = Subject(self, instance, report, diagnoser.finding, first)
        self._subjects.append(subject)
        return subject

    @property
    def first(self) -> Subject | None:
        """The first start of this image, ready or not; None when the engine refused (`refused`)."""
        if self._engine_failed:
            raise Blocked(f"the engine failed before: {self._engine_failed}")
        if self._shared is None and self.refused is None:
            began = wall_clock().timestamp()
            try:
                self._shared = self.start()
                self.start_seen = start_json(self._shared.start, self._shared.lines(), began)
            except StartRefused as refused:
                self.refused = str(refused)
                self.start_seen = refused_json(self.refused)
            except EngineUnavailable as error:
                self._engine_failed = str(error)  # told once, as an error; then it only blocks
                raise
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
        assert self._shared is not None
        if self._shared.stopped is not None or self._shared.exit_code() is not None:
            self.note_death()
            self._shared = self.start()
            if not self._shared.ready:
                raise Blocked(f"a second start failed: {self._shared.start.describe()}")
        assert self._shared is not None
        return self._shared

    def note_death(self) -> None:
        """Remembers a shared container that ended by itself: no check told it to."""
        shared = self._shared
        if shared is None or shared.stopped is not None or shared.may_end:
            return
        code = shared.exit_code()
        if code is not None and shared.ready:
            self.deaths.append(Death(exit_code=code, log=shared.logs()))
            shared.may_end = True

    def discard(self) -> None:
        """Ends the shared container, which is not what it was; the next check gets a new one."""
        if self._shared is not None:
            self._shared.stop(0)

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
        elif spec.model_read_only:
            words += ["-v", "a-new-volume:/opt/ml/model:ro"]  # filled with the image's own
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

    def now(self) -> float:
        """The run's clock."""
        return self.clock.now()

    def pause(self, seconds: float) -> None:
        """Lets time pass, by the run's clock."""
        self.call(self.clock.sleep, seconds)

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
class Death:
    """A ready container's own end."""

    exit_code: int
    log: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a start under other conditions went."""

    served: bool  # ready, and the first invocation (with a payload) was a success
    words: str
    log: str

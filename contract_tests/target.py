"""The image under test and its containers, for checks that are plain synchronous functions.

Owns: which containers a run starts, when, and that all of them are stopped. Must not know: pytest,
verdicts. There is one implementation of starting, pinging, invoking and stopping
(`emulator.instance`); here it is reached through a portal to the event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from anyio import CancelScope
from anyio.from_thread import BlockingPortal

from contract_tests import reproduce, slow
from contract_tests.background import Background
from contract_tests.check import Blocked
from contract_tests.diagnose import Diagnoser
from contract_tests.observed import Observed, refused_json, start_json
from contract_tests.progress import Progress
from contract_tests.settings import Settings
from contract_tests.subject import Subject
from contract_tests.trial import Death, Trial
from contract_tests.trials import Trials, Wanted
from emulator import model_data, owner
from emulator.clock import Clock, wall_clock
from emulator.engines import ContainerSpec, Engine, EngineUnavailable, ImageInfo, StartRefused
from emulator.http import Http
from emulator.instance import Instance, platform_environment
from emulator.limits import MIB, Limits, cpus
from emulator.model_data import ArchiveRefused

__all__ = ["Death", "Target", "Trial"]

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
        self.unobserved = http  # for what goes on beside the checks
        self.observed = Observed(http, clock)
        self.progress = Progress()
        self.http: Http = self.observed
        self.clock = clock
        self.archive_refused: ArchiveRefused | None = None  # judged by a check
        self._model_dir: Path | None = None
        self._temporary: owner.TemporaryDirectory | None = None
        self._subjects: list[Subject] = []
        self._shared: Subject | None = None
        self._engine_failed = ""
        self.trials = Trials(self)
        self.recovery_seconds = RECOVERY_SECONDS
        self.client_seconds = CLIENT_SECONDS
        self.slow_seconds = slow.SLOW_SECONDS
        self._background: list[Background[Any]] = []
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

    def background(self, function: Callable[[], Awaitable[Returned]]) -> Background[Returned]:
        """Begins it on the event loop; `close` cancels it, and waits for it."""
        begun = Background(self.portal, function)
        self._background.append(begun)
        return begun

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
        if source is None or self._model_dir is not None or self.archive_refused is not None:
            return self._model_dir
        if source.is_dir():
            self._model_dir = source
        else:
            self._temporary = self._temporary or owner.temporary_directory()
            model_data.unpack(source, self._temporary.path)
            self._temporary.path.chmod(0o755)
            self._model_dir = self._temporary.path
        return self._model_dir

    def start(self, spec: ContainerSpec | None = None, limits: Limits | None = None) -> Subject:
        """Starts a container and waits until it is ready or certainly is not. Raises StartRefused
        when the engine cannot start it, Blocked without the model that it needs.
        """
        if self.archive_refused is not None:
            raise Blocked(f"the model archive cannot be unpacked: {self.archive_refused.why}")
        return self.call(self.begin, spec or self.spec, limits or self.limits)

    async def begin(self, spec: ContainerSpec, limits: Limits) -> Subject:
        """`start`, for who is on the event loop."""
        instance = await Instance.start(
            self.engine, spec, clock=self.clock, http=self.http, limits=limits
        )
        diagnoser = Diagnoser(self.engine, self.progress)
        try:
            report = await diagnoser.wait(instance)
            first = None
            if report.ready and self.settings.payload and spec.models_dir is None:
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
                self.notes["received"] = self._shared.received_bytes()
                self.start_seen = start_json(self._shared.start, self._shared.lines(), began)
                if self._shared.ready and self.settings.slow:
                    slow.begin(self)
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
        return self.trials.get(name, Wanted(spec=spec))

    def run_line(self, spec: ContainerSpec | None = None) -> str:
        """The docker command that starts the same container, for people to repeat."""
        given = spec is None or spec.model_dir is not None or self.archive_refused is not None
        data = self.settings.model_data if given else None
        return reproduce.run_line(spec or self.spec, str(data or ""))

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

    def close(self) -> None:
        """Stops and removes every container of this target, and its temporary files."""
        for background in self._background:
            background.cancel()
        for subject in self._subjects:
            if subject.stopped is None:
                subject.stop(0)
        self.trials.close()
        if self._temporary is not None:
            self._temporary.close()
            self._temporary = self._model_dir = None

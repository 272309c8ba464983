"""One run of the suite: the engine, the targets, the results. Independent of pytest.

Owns: opening and closing what a run needs, and judging an outcome. Must not know: pytest's
reports, how results are printed. Everything that `pytest contract_tests` does goes through here.
"""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace

from anyio.from_thread import BlockingPortal, start_blocking_portal

from contract_tests import exceptions, report_files
from contract_tests.asking import asked_for, judges_archives, running_order, told, unmet
from contract_tests.check import Blocked, Check, NotApplicable, Verdict, function_name
from contract_tests.judge import judge
from contract_tests.report import Report, Result, failure_text
from contract_tests.settings import Settings
from contract_tests.target import Target
from emulator import __version__
from emulator.clock import Clock, SystemClock, wall_clock
from emulator.engines import Engine, EngineUnavailable, ImageInfo
from emulator.errors import Usage
from emulator.http import AiohttpHttp, Http
from emulator.model_data import ArchiveRefused

__all__ = ["Run", "running_order", "shipped", "version"]


def shipped() -> list[Check]:
    """The checks of this package."""
    from contract_tests.catalogue import checks

    return checks()


class Run:
    """Opened once, closed once. Results are kept per image.

    `catalogue` tells which checks there are: a MUST among them without a verdict makes the result
    `partial`, whatever kept it from running. `options` are the user's words, for commands to
    repeat.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine | None = None,
        http: Http | None = None,
        clock: Clock | None = None,
        catalogue: Callable[[], Iterable[Check]] = shipped,
        options: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.aborted: str | None = None  # why nothing could be run
        self.swept: list[str] = []
        self.notes: Sequence[str] = ()
        self.unwritten = ""  # why the report is missing
        self.results: dict[str, list[Result]] = {}
        self.engine_version = ""
        self._catalogue = catalogue
        self._options = tuple(options)
        self._given_engine = engine
        self._engine: Engine | None = None
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._given_http = http
        self._http: Http | None = None
        self._images: dict[str, ImageInfo] = {}
        self._targets: dict[str, Target] = {}
        self._started = wall_clock()
        self._began = self.clock.now()
        self._spent: dict[tuple[str, str], float] = {}

    def open(self) -> None:
        """Connects, clears what killed runs left, and looks the images up.

        Raises Usage, ImageNotFound, EngineUnavailable; then nothing is left open.
        """
        if not self.settings.image:
            raise Usage(
                "No image was named. Name the one to check: byoc check myimage:latest, or pytest"
                " contract_tests --image myimage:latest (or BYOC_IMAGE, or image = ... under"
                " [tool.byoc] in pyproject.toml)."
            )
        self._except()
        source = self.settings.model_data
        if source is not None and not source.exists():
            raise Usage(
                f"--model-data {source} does not exist. Give a directory, or a model.tar.gz, with"
                " what your container expects in /opt/ml/model."
            )
        if self.settings.template:
            from contract_tests.deploy import templates  # loads botocore

            templates(self.settings)
        report_files.prepare(self.settings)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _except(self) -> None:
        given, known = self.settings.exceptions, [check.id for check in self._catalogue()]
        valid, self.notes = exceptions.current(given, known, self._started.date())
        self.settings = replace(self.settings, exceptions=valid)

    def _open(self) -> None:
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._engine = self._given_engine or _docker_engine()
        self._stack.callback(self._portal.call, self._engine.close)
        self._http = self._given_http or AiohttpHttp(self.clock)
        self._stack.callback(self._portal.call, self._http.close)
        if reason := self._portal.call(self._engine.unavailable):
            raise EngineUnavailable(reason)
        self.engine_version = self._portal.call(self._engine.version)
        self.swept = self._portal.call(self._engine.sweep)
        for reference in self.settings.image:
            self._images[reference] = self._portal.call(self._engine.image, reference)
            target = self.target(reference)
            self._stack.callback(target.close)
            self._unpack(target)

    def _unpack(self, target: Target) -> None:
        """An archive that cannot be unpacked is told now, or by the check that judges archives."""
        try:
            _ = target.model_dir
        except ArchiveRefused as refused:
            if not judges_archives(self._catalogue()):
                raise
            target.archive_refused = refused

    def target(self, reference: str) -> Target:
        """The target of an image, made once."""
        assert self._engine is not None
        assert self._http is not None
        assert self._portal is not None
        if reference not in self._targets:
            self._targets[reference] = Target(
                self._images[reference],
                self.settings,
                engine=self._engine,
                http=self._http,
                clock=self.clock,
                portal=self._portal,
            )
        return self._targets[reference]

    def close(self) -> None:
        """Stops everything. May be called twice."""
        self._stack.close()

    # -- judging ------------------------------------------------------------------------------

    def verdicts(self, image: str) -> Mapping[str, str]:
        found = self.results.get(image, [])
        return {result.id: result.ignored_verdict or result.verdict for result in found}

    def judge_needs(self, check: Check, image: str) -> None:
        """Raises Blocked or NotApplicable when the check cannot or need not be run.

        A need blocks only when it is known not to hold: `-k one-check` runs alone.
        """
        known = self.verdicts(image)
        broken = [n for n in check.needs if known.get(n) in {"fail", "blocked", "error"}]
        if broken:
            raise Blocked(f"needs {', '.join(broken)}, which does not hold")
        assert self._engine is not None
        labels = self._images[image].labels
        if why := unmet(check, self.settings, self._engine.capabilities, labels):
            raise NotApplicable(why)

    def judge(
        self,
        check: Check,
        image: str,
        *,
        when: str,
        error: BaseException | None,
        seconds: float,
    ) -> tuple[Result, str] | None:
        """The result of one phase of a check with the failure's text, or None when the phase
        decides nothing.
        """
        if (target := self._targets.get(image)) is not None:
            target.observed.ended(check.id)
        spent = self._spent.get((image, check.id), 0.0) + seconds
        self._spent[image, check.id] = spent
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return None
        if error is None and when != "call":
            return None
        result = judge(check, error, self.settings, target, spent)
        kept = self.results.setdefault(image, [])
        kept[:] = [other for other in kept if other.id != check.id] + [result]
        return result, failure_text(result, self.again(check.id, image))

    def again(self, identity: str, image: str) -> str:
        """The command that runs one check alone, with the options of this run."""
        words = ["pytest", "--pyargs", "contract_tests", "-k", function_name(identity)]
        return shlex.join([*words, "--image", image, *self._options])

    # -- telling ------------------------------------------------------------------------------

    @property
    def failed(self) -> int:
        """How many checks pytest counts as failed."""
        bad = {Verdict.FAIL.value, Verdict.ERROR.value}
        return sum(result.verdict in bad for all_ in self.results.values() for result in all_)

    def reports(self) -> list[Report]:
        """One report per image, in the order given; none when nothing could be run."""
        if self.aborted is not None:
            return []
        return [
            Report(
                tool_version=version(),
                image=self._image_json(reference),
                profile=self.settings.profile,
                limits={**asdict(self.settings.limits), "memory_mb": self.settings.memory},
                engine={
                    "name": self._engine.name if self._engine else "",
                    "version": self.engine_version,
                },
                started=self._started.isoformat(timespec="seconds"),
                seconds=self.clock.now() - self._began,
                checks=self.results.get(reference, []),
                musts_not_run=self._musts_not_run(reference),
                start=target.start_seen if (target := self._targets.get(reference)) else None,
                requests=target.observed.to_json() if target else (),
                notes=[
                    *self.notes,
                    *told(self.settings, self._images[reference].labels),
                    *self.settings.exceptions.idle(self.results.get(reference, [])),
                ],
            )
            for reference in self._images
        ]

    def _musts_not_run(self, reference: str) -> list[str]:
        known = self.verdicts(reference)
        return [
            check.id
            for check in self._catalogue()
            if check.id not in known
            and self.settings.exceptions.binding(check, self.settings.profile)
            and self.concerned(check, reference)
        ]

    def concerned(self, check: Check, reference: str) -> bool:
        """Whether this run asks for that check on that image. Known once the run is open."""
        return asked_for(check, self.settings, self._images[reference].labels)

    def _image_json(self, reference: str) -> dict[str, object]:
        image = self._images[reference]
        return {
            "reference": image.reference,
            "id": image.id,
            "digest": image.digest,
            "platform": f"{image.os}/{image.architecture}",
            "size_bytes": image.size_bytes,
        }

    @property
    def exit_code(self) -> int:
        """The worst of the images'; see Report.exit_code. 2 when nothing could be run."""
        if self.aborted is not None:
            return 2
        codes = [report.exit_code for report in self.reports()]
        for code in (2, 1, 5, 0):
            if code in codes:
                return code
        return 5

    def write_reports(self) -> None:
        """The files that were asked for."""
        report_files.write([report.to_json() for report in self.reports()], self.settings)


def _docker_engine() -> Engine:
    from emulator.engines.docker_engine import DockerEngine

    return DockerEngine()


def version() -> str:
    """The installed version, or the source tree's."""
    try:
        return importlib.metadata.version("sagemaker-byoc-emulator")
    except importlib.metadata.PackageNotFoundError:
        return __version__

"""The pytest plugin: options, fixtures, and how an outcome becomes a verdict.

Owns: everything that only pytest knows. Must not know: Docker, what any check checks. It is
registered for every pytest run of an environment that has byoc installed, so at import it loads
nothing heavy, and without checks among the collected tests it does nothing at all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from contract_tests.options import OPTIONS, dest, repeatable

if TYPE_CHECKING:
    from contract_tests.check import Check
    from contract_tests.run import Run
    from contract_tests.settings import Payload, Settings
    from contract_tests.subject import Subject
    from contract_tests.target import Target
    from emulator.limits import Limits

RUN: pytest.StashKey[Run] = pytest.StashKey()
NEW_RUN: pytest.StashKey[Callable[[Settings, Sequence[str]], Run]] = pytest.StashKey()
"""Makes the run, for another engine than Docker and for tests; set in a pytest_configure."""

HANDLER: pytest.StashKey[Any] = pytest.StashKey()  # SIGTERM's, from before the run
NOTHING_CHECKED = 5
HERE = Path(__file__).parent
VERDICT = "byoc_verdict"  # the attribute of a pytest report that carries it

OUTCOMES: dict[str, Literal["failed", "skipped"]] = {
    "fail": "failed", "error": "failed", "skip": "skipped", "blocked": "skipped",
}  # fmt: skip


def _concerns_us(arguments: Sequence[object]) -> bool:
    return any("contract_tests" in str(argument) for argument in arguments)


def pytest_addoption(parser: pytest.Parser) -> None:
    # Names like --env and --slow are taken in many a project's conftest.py. Where the suite is not
    # named, they stay free.
    if _concerns_us(sys.argv):
        _add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    # For pytest.main([...]), whose arguments are not the process's.
    if _concerns_us(args) and not _concerns_us(sys.argv):
        _add_options(parser)


def _add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("byoc", "SageMaker container contract (byoc)")
    for name, settings, text in OPTIONS:
        group.addoption(name, dest=dest(name), default=None, help=text, **settings)
    # --strict is pytest's own option too; it is read from the command line in `_settings`.


def _settings(config: pytest.Config) -> Settings:
    from contract_tests.settings import gather
    from emulator.errors import Usage

    given: dict[str, Any] = {
        name.removeprefix("--"): config.getoption(dest(name), None) for name, _, _ in OPTIONS
    }
    given["strict"] = "--strict" in config.invocation_params.args
    try:
        return gather(given, os.environ, config.invocation_params.dir)
    except Usage as error:
        raise pytest.UsageError(str(error)) from error


def pytest_configure(config: pytest.Config) -> None:
    # Wrong options are told before anything is collected; a run without them is none of ours.
    named = _concerns_us(config.invocation_params.args)
    if named or any(config.getoption(dest(name), None) for name, _, _ in OPTIONS):
        _settings(config)


def _check_of(item: pytest.Item) -> Check | None:
    function = getattr(item, "function", None)
    if function is None or not hasattr(function, "__byoc_check__"):
        return None
    from contract_tests.check import declared

    return declared(function)


def _image_of(item: pytest.Item) -> str:
    """The image that a check's item is about; `pytest_generate_tests` gives each one."""
    # pytest gives the attribute to items with parameters only, and its types do not name it.
    return str(item.callspec.params["target"])  # type: ignore[attr-defined]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not hasattr(metafunc.function, "__byoc_check__"):
        return
    # Without an image the catalogue can still be listed; a run says what is missing.
    images = _settings(metafunc.config).image or ("NO-IMAGE",)
    metafunc.parametrize("target", images, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if _check_of(item) is not None]
    others = [item for item in items if item not in mine]
    stray = [item.nodeid for item in others if item.path.parent == HERE]
    if stray:
        raise pytest.UsageError(f"tests of contract_tests without @check: {', '.join(stray)}")
    if not mine:
        return
    from contract_tests.asking import asked_for
    from contract_tests.run import Run, running_order

    items[:] = [*running_order(mine, _check_of), *others]
    if not config.option.collectonly:
        settings = _settings(config)
        strict = "--strict" in config.invocation_params.args
        words = repeatable(lambda name: config.getoption(name, None), strict=strict)
        idle = [item for item in mine if not asked_for(_check_of(item), settings)]  # type: ignore[arg-type]
        if len(idle) < len(mine):  # else they are what was asked for, and say what is missing
            items[:] = [item for item in items if item not in idle]
            config.hook.pytest_deselected(items=idle)
        new = config.stash.get(NEW_RUN, None)
        config.stash[RUN] = new(settings, words) if new else Run(settings, options=words)


def pytest_itemcollected(item: pytest.Item) -> None:
    if (check := _check_of(item)) is not None:
        item.extra_keyword_matches.add(check.id)  # -k takes the id as the report writes it


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    run = session.config.stash.get(RUN, None)
    if run is None or session.config.option.collectonly or session.testsfailed:
        return None
    from emulator.engines import EngineUnavailable, ImageNotFound
    from emulator.errors import Usage

    # A cancelled CI job sends SIGTERM: it must clean up like Ctrl-C.
    if threading.current_thread() is threading.main_thread():
        session.config.stash[HANDLER] = signal.signal(signal.SIGTERM, _interrupt)
    try:
        run.open()
    except (Usage, ImageNotFound) as error:
        del session.config.stash[RUN]  # nothing is to be told of images that were not checked
        raise pytest.UsageError(str(error)) from error
    except EngineUnavailable as error:
        run.aborted = str(error)
        return True  # nothing is run, and nothing is said about the image
    _leave_out(session, run)
    from contract_tests.progress_pytest import follow

    follow(session.config, run)
    return None


def _leave_out(session: pytest.Session, run: Run) -> None:
    """What is only for other images than these; unless nothing else was asked for."""
    mine = {item: check for item in session.items if (check := _check_of(item))}
    idle = [item for item, check in mine.items() if not run.concerned(check, _image_of(item))]
    if idle and len(idle) < len(mine):
        session.items[:] = [item for item in session.items if item not in idle]
        session.config.hook.pytest_deselected(items=idle)


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The image under test."""
    run = request.config.stash[RUN]
    found = run.target(request.param)
    yield found
    found.close()


@pytest.fixture
def start(target: Target) -> Subject:
    """The first start of the image, ready or not. Blocked when the engine could not start it."""
    from contract_tests.check import Blocked

    if target.first is None:
        raise Blocked(f"the engine cannot start the image: {target.refused}")
    return target.first


@pytest.fixture
def container(target: Target) -> Subject:
    """A container that is ready, shared between checks."""
    return target.container()


@pytest.fixture
def payloads(target: Target) -> tuple[Payload, ...]:
    """The requests that the user says are good; at least one."""
    return target.settings.payload


@pytest.fixture
def limits(target: Target) -> Limits:
    """The platform's numbers, as this run takes them."""
    return target.limits


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if (check := _check_of(item)) is not None:
        run = item.config.stash[RUN]
        run.judge_needs(check, _image_of(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    check = _check_of(item)
    run = item.config.stash.get(RUN, None)
    if check is None or run is None:
        return report
    image = _image_of(item)
    error = call.excinfo.value if call.excinfo is not None else None
    judged = run.judge(check, image, when=call.when, error=error, seconds=call.duration)
    if judged is None:
        return report
    result, text = judged
    report.outcome = OUTCOMES.get(result.verdict, "passed")
    if result.verdict == "fail":
        report.longrepr = text
    elif result.verdict == "error" and type(error).__name__ == "EngineUnavailable":
        report.longrepr = result.reason  # a traceback would only tell where we noticed
    elif result.verdict in {"skip", "blocked"}:
        report.longrepr = (str(item.path), item.reportinfo()[1] or 0, result.reason)
    elif result.verdict == "warn":
        report.longrepr = None
    setattr(report, VERDICT, result.verdict)
    # The item's, not the report's: JUnit reads those of the teardown that follows.
    item.user_properties[:] = [
        ("id", result.id),
        ("level", result.level),
        ("source", f"{result.source} {result.link}"),
        ("verdict", result.verdict),
    ]
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    verdict = getattr(report, VERDICT, None)
    if verdict == "warn":
        return "warned", "w", "WARN"
    if verdict == "blocked":
        return "blocked", "b", "BLOCKED"
    if verdict == "error":
        return "error", "E", "ERROR"
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    run = session.config.stash.get(RUN, None)
    if run is None:
        return
    run.close()
    own = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
    if exitstatus in own:
        others_failed = session.testsfailed > run.failed
        code = run.exit_code
        session.exitstatus = 1 if others_failed and code in (0, NOTHING_CHECKED) else code
    try:
        run.write_reports()
    except OSError as error:
        session.exitstatus = 2
        run.unwritten = f"The report could not be written: {error}."


def pytest_unconfigure(config: pytest.Config) -> None:
    if (before := config.stash.get(HANDLER, None)) is not None:
        signal.signal(signal.SIGTERM, before)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if (run := config.stash.get(RUN, None)) is not None:
        from contract_tests.terminal import write

        write(terminalreporter, run)

"""Connects what a run waits for with pytest's terminal.

Owns: pytest's hooks for it, and which form fits the terminal. Must not know: what is waited for,
how a line is drawn.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from contract_tests.check import declared
from contract_tests.progress import Progress
from contract_tests.progress_terminal import LiveLine, LoggedLines, Shown, Ticker, live
from contract_tests.run import Run

QUIET, SILENT = -1, -2


def follow(config: pytest.Config, run: Run) -> None:
    """From now on, what the run waits for is shown; nothing, where nobody can look on."""
    shown = _form(config)
    if shown is None:
        return
    progress = Progress()
    for reference in run.settings.image:
        run.target(reference).progress = progress
    descriptor, form = shown
    config.pluginmanager.register(_Follower(Ticker(progress, form), descriptor), "byoc-progress")


def _form(config: pytest.Config) -> tuple[int, Shown] | None:
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    quiet = config.option.verbose
    if reporter is None or quiet <= SILENT:
        return None
    try:
        # Pytest captures between here and there, by putting a file in this descriptor's place.
        descriptor = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # it writes to no file of this process's own
        return None
    screen = config.get_terminal_writer()
    if live(os.environ, terminal=reporter.isatty):
        return descriptor, LiveLine(descriptor, screen, screen.hasmarkup)
    if quiet <= QUIET:
        os.close(descriptor)
        return None

    def broke() -> None:
        reporter.currentfspath = None  # the next test's line begins with its file's name again

    return descriptor, LoggedLines(descriptor, broke)


class _Follower:
    """Between its hooks pytest writes, and nothing of ours may be on the screen."""

    def __init__(self, ticker: Ticker, descriptor: int) -> None:
        self._ticker = ticker
        self._stack = ExitStack()
        self._stack.callback(os.close, descriptor)
        # A loop of its own: a terminal that takes no more must not hold up what is measured.
        portal = self._stack.enter_context(start_blocking_portal())
        self._stack.callback(portal.start_task_soon(ticker.run).cancel)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._begin(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self._begin(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        self._begin(item)

    def _begin(self, item: pytest.Item) -> None:
        check = declared(getattr(item, "function", None))
        if check is not None:
            self._ticker.begin(check.id)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self) -> None:
        self._ticker.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._close()

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if words := self._ticker.progress.interrupted:
            terminalreporter.line(f"byoc: interrupted while {words}", yellow=True)

    def pytest_unconfigure(self) -> None:
        self._close()

    def _close(self) -> None:
        self._ticker.end()
        self._stack.close()

"""Shows what a run waits for: one live line on a terminal, a line now and then in a log.

Owns: when something is shown, and how it leaves pytest's own output as it was. Must not know: what
is waited for. It writes past pytest's capture, to a copy of the descriptor that pytest's terminal
writes to; between checks, when pytest writes, nothing of it is on the screen.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contract_tests.progress import Progress, Seen
from contract_tests.report import printable
from emulator.clock import Clock, SystemClock

LIVE_AFTER_SECONDS = 1.0
"""What ends sooner needs no word."""

LIVE_EVERY_SECONDS = 0.25
LOGGED_AFTER_SECONDS = 15.0
"""A usual run leaves no such line in a log at all."""

LOGGED_EVERY_SECONDS = 15.0
LOGGED_AT_MOST_EVERY_SECONDS = 3.0
"""Also when something changes: a server that flaps must not fill a log."""

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
DOWN, UP, CLEAR = "\x1b[B", "\x1b[A", "\x1b[2K"


class Screen(Protocol):
    """What pytest's terminal writer tells of the terminal."""

    @property
    def fullwidth(self) -> int: ...
    @property
    def width_of_current_line(self) -> int: ...


def live(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether lines can be taken back: a terminal that can, with a person before it."""
    return terminal and environment.get("TERM", "") != "dumb" and not environment.get("CI")


class Shown(Protocol):
    def show(self, seen: Seen | None) -> None:
        """What there is now; None: nothing."""

    def hide(self) -> None:
        """Pytest is going to write."""


@dataclass(slots=True, eq=False)
class LiveLine:
    """Below the line that pytest is at, and gone before it goes on."""

    descriptor: int
    screen: Screen
    colour: bool
    _shown: str = ""

    def show(self, seen: Seen | None) -> None:
        if seen is None or seen.seconds < LIVE_AFTER_SECONDS:
            self.hide()
            return
        width = max(20, self.screen.fullwidth)
        words = " ".join(printable(seen.words).split())
        text = f"  {words}"[: width - 1]
        if self.colour:
            text = DIM + text + PLAIN
        if text == self._shown:
            return
        # A line feed, since on the screen's last line there is nothing to go down to.
        self._write(f"\n\r{CLEAR}{text}{self._back()}")
        self._shown = text

    def hide(self) -> None:
        if self._shown:
            self._write(f"{DOWN}{CLEAR}{self._back()}")
            self._shown = ""

    def _back(self) -> str:
        """To where pytest left the cursor."""
        column = self.screen.width_of_current_line % max(1, self.screen.fullwidth)
        return f"{UP}\r" + (f"\x1b[{column}C" if column else "")

    def _write(self, text: str) -> None:
        write_all(self.descriptor, text)


@dataclass(slots=True, eq=False)
class LoggedLines:
    """Whole lines, seldom: for a pipe, a file, a terminal that can no more."""

    descriptor: int
    broke: Callable[[], None]  # called when pytest's line is not the last one any more
    _change: str = ""
    _at: float | None = None  # seconds of the check when the last line was written
    _own: bool = False  # the last line is ours, and whole

    def show(self, seen: Seen | None) -> None:
        if seen is None:
            self._at = None
            return
        if self._at is not None and seen.seconds < self._at:  # another check
            self._at = None
        waited = seen.seconds if self._at is None else seen.seconds - self._at
        first = self._at is None and waited >= LOGGED_AFTER_SECONDS
        changed = self._at is not None and seen.change != self._change
        due = waited >= (LOGGED_AT_MOST_EVERY_SECONDS if changed else LOGGED_EVERY_SECONDS)
        if first or (self._at is not None and due):
            self._at, self._change = seen.seconds, seen.change
            start, words = "" if self._own else "\n", " ".join(printable(seen.words).split())
            write_all(self.descriptor, f"{start}byoc: {words}\n")
            self._own = True
            self.broke()

    def hide(self) -> None:
        """A line in a log stays."""
        self._own = False


def write_all(descriptor: int, text: str) -> None:
    """What cannot be written is left: who looks on has gone, the run goes on."""
    left = text.encode("utf-8", errors="replace")
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        return


@dataclass(slots=True, eq=False)
class Ticker:
    """Looks a few times a second, while a check runs."""

    progress: Progress
    shown: Shown
    clock: Clock = field(default_factory=SystemClock)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, check: str) -> None:
        with self._lock:
            self.progress.begin(check)

    def end(self) -> None:
        """Pytest writes from here on: nothing is shown until the next `begin`."""
        with self._lock:
            self.progress.end()
            self.shown.hide()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.clock.sleep(LIVE_EVERY_SECONDS)
            with self._lock:
                self.shown.show(self.progress.now())

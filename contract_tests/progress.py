"""What a run is waiting for, for who looks on.

Owns: the current check, the containers that start, and the words for it. Must not know: pytest,
terminals, how often anybody looks. Whoever waits says so here; `progress_terminal` shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from emulator.clock import Clock, SystemClock
from emulator.instance import PingAnswer, not_listening

UNCHANGED_SECONDS = 20.0
"""After so long with the same answer it is said how to wait less."""

NEVER_BY_ITSELF = range(300, 500)
"""Answers of a server that is up; what it has for /ping rarely changes by waiting."""


@dataclass(slots=True, eq=False)
class Starting:
    """One container that is not ready yet."""

    window: float
    began: float
    first: bool  # of the run: it is not only about one check
    answer: PingAnswer | None = None

    def seen(self, answer: PingAnswer) -> None:
        """Another kind of answer to /ping than before."""
        self.answer = answer

    def said(self) -> str:
        """The last answer, without numbers that change all the time."""
        if self.answer is None:
            return "not asked yet"
        reply = self.answer.reply
        if not_listening(reply):
            return "nothing listens yet"
        return f"HTTP {reply.status}" if reply.status is not None else reply.outcome.value

    def words(self, now: float) -> str:
        """What is waited for, how long, and what is likely to come of it."""
        seconds = now - self.began
        told = f"waiting for 200 on /ping, {seconds:.0f} s of {self.window:.0f} s: {self.said()}"
        if self.answer is None:
            return told
        since = self.answer.at_seconds
        if since >= 1:
            told += f" since {since:.0f} s"
        if seconds - since < UNCHANGED_SECONDS:
            return told
        if self.answer.reply.status in NEVER_BY_ITSELF:
            return f"{told}, which is unlikely to change (--startup-seconds N waits less)"
        return f"{told} (--startup-seconds N waits less)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is to show at a moment."""

    seconds: float  # of the check
    words: str
    change: str  # the same while nothing new happened


@dataclass(slots=True, eq=False)
class Progress:
    """Told by checks and containers from several threads; asked by one that shows it."""

    clock: Clock = field(default_factory=SystemClock)  # a person's time, not the run's
    interrupted: str = ""  # what was waited for when somebody had enough of it
    _check: str = ""
    _since: float = 0.0
    _started: int = 0
    _starting: list[Starting] = field(default_factory=list)
    _doing: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, check: str) -> None:
        """A check begins, or another phase of it."""
        with self._lock:
            if self._check != check:
                self._check, self._since = check, self.clock.now()

    def end(self) -> None:
        """No check runs."""
        with self._lock:
            self._check = ""

    @contextmanager
    def starting(self, window: float) -> Iterator[Starting]:
        """A container starts, and has so many seconds."""
        with self._lock:
            one = Starting(window, self.clock.now(), first=self._started == 0)
            self._started += 1
            self._starting.append(one)
        try:
            yield one
        except BaseException:
            self.interrupted = one.words(self.clock.now())
            raise
        finally:
            with self._lock:
                self._starting.remove(one)

    @contextmanager
    def doing(self, words: str) -> Iterator[None]:
        """Something long that is no start of a container."""
        with self._lock:
            self._doing.append(words)
        try:
            yield
        finally:
            with self._lock:
                self._doing.remove(words)

    def now(self) -> Seen | None:
        """None when nothing is waited for."""
        with self._lock:
            check, since, starting = self._check, self._since, list(self._starting)
            doing = self._doing[-1] if self._doing else ""
        if not check:
            return None
        now = self.clock.now()
        seconds = now - since
        # Several start at once where conditions are compared; the last is what the check waits for.
        last = starting[-1] if starting else None
        words = last.words(now) if last else f"{seconds:.0f} s{', ' if doing else ''}{doing}"
        if last is None or not last.first:
            words = f"{check}: {words}"
        said = last.said() if last else doing
        return Seen(seconds=seconds, words=words, change=f"{check} {said}")

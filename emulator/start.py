"""How a container's start went, as a value, and why it is not ready, in words.

Owns: `StartReport`, its causes and its sentence. Must not know: how it was observed, verdicts, what
to do about it. PURE. What is only likely is called so.
"""

from __future__ import annotations

import html
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from emulator import log_words
from emulator.engines import Socket
from emulator.http_values import Outcome, Reply
from emulator.limits import MIB

LOOPBACK = ("127.", "::1", "::ffff:127.")
KILLED = 137  # 128 + SIGKILL, what a killed main process leaves as its exit code
NAME_SERVICE = 53
MOST = 5
SHORT_SECONDS = 1.0
"""A single unanswered ping, cut shorter than this by the end of the window, tells nothing."""


class StartState(Enum):
    """How waiting for the first 200 ended."""

    READY = "ready"
    EXITED = "exited"
    TIMED_OUT = "not ready in time"
    GAVE_UP = "given up"


class Cause(Enum):
    """Why a container is not ready."""

    MEMORY = "killed for its memory"
    EXEC_FORMAT = "exec format error"
    EXITED = "exited"
    CERTAIN = "will never be ready, by its own words"
    ELSEWHERE = "listens where the platform does not ask"
    NETWORK = "waits for the network"
    SILENT = "never answers"
    CLOSES = "closes the connection without an answer"
    NOT_HTTP = "speaks no HTTP"
    REDIRECT = "redirects"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    OTHER_STATUS = "another status than 200"
    NOT_LISTENING = "nothing listens"


@dataclass(frozen=True, slots=True, kw_only=True)
class PingAnswer:
    """A run of equal answers to /ping while the container started."""

    at_seconds: float  # of the first one, since the start was ordered
    reply: Reply
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReport:
    """The container's start as the platform saw it. Seconds count from the order to start."""

    state: StartState
    seconds: float  # until ready, dead, or given up
    container_seconds: float  # of these, until the engine said "started"
    answers: tuple[PingAnswer, ...]
    exit_code: int | None = None
    log_tail: str = ""
    gave_up_because: str = ""
    port: int = 8080
    memory_bytes: int | None = None  # its limit
    oom_kills: int = 0  # processes that the kernel killed for it
    listening: tuple[Socket, ...] | None = None  # None: not known
    connecting: tuple[Socket, ...] = ()  # where it tried to connect to and had no answer
    hint: str = ""  # what else was found out of it, in words

    @property
    def ready(self) -> bool:
        return self.state is StartState.READY

    @property
    def last(self) -> Reply | None:
        return self.answers[-1].reply if self.answers else None

    @property
    def answered(self) -> Reply | None:
        """The last ping that had an HTTP answer, whatever came after it."""
        replies = [answer.reply for answer in self.answers if answer.reply.status is not None]
        return replies[-1] if replies else None

    @property
    def telling(self) -> PingAnswer | None:
        """The last run of equal answers, but not a single ping that the window's end cut short."""
        if len(self.answers) > 1:
            last = self.answers[-1]
            cut = last.reply.outcome is Outcome.TIMEOUT and last.reply.seconds < SHORT_SECONDS
            if cut and last.times == 1:
                return self.answers[-2]
        return self.answers[-1] if self.answers else None

    @property
    def cause(self) -> Cause | None:
        """None when it is ready, or when nothing was seen at all."""
        match self.state:
            case StartState.READY:
                return None
            case StartState.GAVE_UP:
                return Cause.CERTAIN
            case StartState.EXITED:
                if self.oom_kills and self.exit_code == KILLED:
                    return Cause.MEMORY
                format_ = "exec format error" in log_words.telling(self.log_tail).lower()
                return Cause.EXEC_FORMAT if format_ else Cause.EXITED
        return Cause.MEMORY if self.oom_kills else self._by_answer()

    def _by_answer(self) -> Cause | None:
        if self.telling is None:
            return None
        match self.telling.reply.outcome:
            case Outcome.ANSWERED:
                hundred = (self.telling.reply.status or 0) // 100
                kinds = {3: Cause.REDIRECT, 4: Cause.CLIENT_ERROR, 5: Cause.SERVER_ERROR}
                return kinds.get(hundred, Cause.OTHER_STATUS)
            case Outcome.TIMEOUT:
                return Cause.SILENT
            case Outcome.BROKEN:
                return Cause.NOT_HTTP
        if self.listening:
            open_ = any(reachable(socket, self.port) for socket in self.listening)
            return Cause.CLOSES if open_ else Cause.ELSEWHERE
        if self.connecting or log_words.network(self.log_tail):
            return Cause.NETWORK
        return Cause.NOT_LISTENING

    def describe(self) -> str:
        """One sentence: what happened, and why, as far as it was seen."""
        match self.state:
            case StartState.READY:
                return f"ready after {self.seconds:.2f} s"
            case StartState.EXITED:
                return self._exited()
            case StartState.GAVE_UP:
                said = f"; /ping said last: {last}" if (last := self.answered or self.last) else ""
                return f"{self.gave_up_because} (found after {self.seconds:.1f} s){said}"
        return f"{self.why()}; not ready after {self.seconds:.1f} s"

    def _exited(self) -> str:
        after = f"after {self.seconds:.2f} s"
        code = code_words(self.exit_code)
        if self.cause is Cause.MEMORY:
            line = log_words.last(self.log_tail)
            log = f"; its log ends with: {line}" if line else ""
            return f"killed for memory {self._limit()} (exited with {code}, {after}){log}"
        if line := log_words.telling(self.log_tail):
            return f"exited with {code}: {line} ({after}){self._kills()}"
        return f"exited with {code} {after}, with nothing in its log{self._kills()}"

    def _kills(self) -> str:
        if not self.oom_kills:
            return ""
        count = "a process" if self.oom_kills == 1 else f"{self.oom_kills} processes"
        return f"; the kernel killed {count} of it for memory, {self._limit()}"

    def _limit(self) -> str:
        limit = self.memory_bytes
        return f"at its limit of {limit // MIB} MB" if limit else "at the machine's limit"

    def why(self) -> str:
        """Of a container that runs and is not ready: what was seen of it."""
        cause, answer = self.cause, self.telling
        if cause is None or answer is None:
            return "/ping was never asked"
        said = self._of_cause(cause, answer) + (f"; {self.hint}" if self.hint else "")
        if cause is not Cause.NETWORK and self.connecting:
            said += f"; it {self._connecting()}"
        return said

    def _of_cause(self, cause: Cause, answer: PingAnswer) -> str:
        reply = answer.reply
        nothing = "nothing listens" if self.listening is not None else "no connection is taken"
        nothing += f" on port {self.port}"
        match cause:
            case Cause.MEMORY:
                said = f"; /ping said last: {reply}" if reply.status is not None else ""
                return self._kills().removeprefix("; ") + said
            case Cause.SILENT:
                return (
                    f"takes the connection and never answers /ping ({answer.times} times since"
                    f" {answer.at_seconds:.1f} s){self._last_line()}"
                )
            case Cause.NOT_HTTP:
                return f"what it answers on port {self.port} is not HTTP: {reply.detail}"
            case Cause.CLOSES:
                return (
                    f"takes connections on port {self.port} and closes them without an answer"
                    f"{self._last_line()}"
                )
            case Cause.ELSEWHERE:
                return f"listens only on {where(self.listening or ())}"
            case Cause.NETWORK:
                line = log_words.network(self.log_tail)
                log = f"; its log says: {line}" if line else ""
                seen = f", {self._connecting()}" if self.connecting else ""
                return f"probably waits for the network: {nothing}{seen}{log}"
            case Cause.NOT_LISTENING:
                return nothing + self._last_line()
        since = f"{answer.times} times since {answer.at_seconds:.1f} s"
        return f"/ping answers {answer_words(reply)} ({since})"

    def _connecting(self) -> str:
        names = [s for s in self.connecting if s.port == NAME_SERVICE]
        peers = [s for s in self.connecting if s.port != NAME_SERVICE]
        said = []
        if peers:
            said.append(f"connects to {where(peers)} and gets no answer")
        if names:
            said.append(f"asks the name server {where(names)}")
        return " and ".join(said)

    def _last_line(self) -> str:
        line = log_words.last(self.log_tail)
        return f"; last line of its log: {line}" if line else "; its log is empty"


def code_words(code: int | None) -> str:
    """An exit code, with the signal's name where a signal left it."""
    try:
        return f"code {code}, {signal.Signals((code or 0) - 128).name}"
    except ValueError:
        return f"code {code}"


def reachable(socket: Socket, port: int) -> bool:
    """Whether the platform can reach this socket: the right port, not only on loopback."""
    return socket.port == port and not socket.address.startswith(LOOPBACK)


def where(sockets: Sequence[Socket]) -> str:
    """As people write addresses; of many only some."""
    told = [
        f"[{s.address}]:{s.port}" if ":" in s.address else f"{s.address}:{s.port}"
        for s in sockets[:MOST]
    ]
    more = len(sockets) - MOST
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def answer_words(reply: Reply) -> str:
    """Status, and the start of the body as a person reads it."""
    words = str(reply.status)
    if location := reply.headers.get("location"):
        words += f", Location: {location}"
    body = reply.body[:4000].decode("utf-8", errors="replace")
    if "html" in reply.content_type or body.lstrip().startswith("<"):
        title = _TITLE.search(body)
        body = html.unescape(_TAGS.sub(" ", title[1] if title else body))
    body = log_words.shorten(" ".join(log_words.lines(body)))
    body = body.removeprefix(str(reply.status)).strip()  # many pages are called "404 Not Found"
    if body:
        return f"{words}: {body}"
    return words if reply.body else f"{words}, without a body"

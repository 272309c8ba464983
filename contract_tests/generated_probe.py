"""One generated request against a container, and whether that still works afterwards.

Owns: the kinds of harm, what counts as one, and replacing a container that was harmed. Must not
know: how cases are made or tried in which order, levels. A 5xx is no harm: eight of twenty serving
stacks answer one to what they cannot read, and the chapter on invocations tells it once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from contract_tests.check import Blocked
from contract_tests.generated import Case
from contract_tests.payload import Payload
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.http import Outcome, Reply, Request
from emulator.instance import invocation

GATEWAYS = (502, 504)
"""What a proxy in the container says when the server behind it gave no answer."""

ERRORS = range(400, 600)
LEAST_PATIENCE_SECONDS, PATIENCE = 1.0, 20
"""How long an answer is waited for where one is not expected: so many times a good request's."""

END_SECONDS, RECOVERY_SECONDS, STEP_SECONDS = 1.0, 5.0, 0.1
"""For a container to be seen as ended, and for a new worker in place of a dead one."""

STACKS = re.compile(
    rb"Traceback \(most recent call last\)"
    rb"|[\w$]+(?:\.[\w$<>]+)+\([\w$]+\.(?:java|kt|scala):\d+\)"
    rb"|\bat [^\n]{1,200}/[^\n:]{1,200}\.[cm]?[jt]s:\d+:\d+"
    rb"|goroutine \d+ \[running\]"
    rb"|(?:\n|\\n)\s*at [^\n]{1,300} in [^\n]{1,300}:line \d+"
    rb"|\.rb:\d+:in [`']"
    rb"|Stack trace:(?:\n|\\n)#0 "
)
"""The stacks of Python, Java, JavaScript, Go, .NET, Ruby and PHP."""


class Kind(Enum):
    """What a request can do to a container."""

    ENDED = "the container ended"
    STUCK = "the good request fails afterwards"
    CLOSED = "the model gave no answer"
    UNANSWERED = "no answer came"
    STACK = "the answer shows the program's stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    kind: Kind
    reply: Reply
    log: str
    words: str = ""  # what was seen beside the reply


def request(case: Case) -> Request:
    """As the platform sends it."""
    return invocation(case.body, case.content_type, dict(case.headers))


def shows_stack(reply: Reply) -> bool:
    if reply.status not in ERRORS or STACKS.search(reply.body) is None:
        return False
    return STACKS.search(reply.request.body or b"") is None  # else it only repeats what it got


def answered(reply: Reply) -> bool:
    """Whether the model's server gave an answer, whatever it says."""
    return reply.outcome is Outcome.ANSWERED and reply.status not in GATEWAYS


class Prober:
    """Sends to the target's shared container. `golden` is the request whose answer must stay."""

    def __init__(self, target: Target, golden: Payload) -> None:
        self.target = target
        self.container = target.container()
        self.restarts = 0
        self.recovery = RECOVERY_SECONDS
        self._last: Kind | None = None
        self._harmed = False
        self._golden = invocation(golden.body, golden.content_type)
        self._kills_before = self._kills()
        self.limit = target.limits.invocation_seconds
        first = self.container.send(self._golden, self.limit)
        if not answered(first) or (target.settings.payload and not first.ok):
            raise Blocked(f"{golden.name} itself is not answered with success: {first}")
        self._golden_status = first.status
        self.patience = min(self.limit, max(LEAST_PATIENCE_SECONDS, PATIENCE * first.seconds))

    def send(self, case: Case, seconds: float) -> Seen | None:
        """What the case did, as far as its own answer tells; None when that was an answer."""
        reply = self.container.send(request(case), seconds)
        self._last = None
        if answered(reply):
            return self._seen(Kind.STACK, reply) if shows_stack(reply) else None
        if reply.outcome is Outcome.TIMEOUT:
            return self._seen(Kind.UNANSWERED, reply)
        code = self._ended()
        kills = self._kills() - self._kills_before
        words = f"; the kernel killed {kills} process(es) for memory" if kills > 0 else ""
        if code is None:
            return self._seen(Kind.CLOSED, reply, words)
        self.container.may_end = True  # told here, and not again as a death without a reason
        return self._seen(Kind.ENDED, reply, f"; the container exited with code {code}{words}")

    def again(self, case: Case, seconds: float) -> Seen | None:
        """The same on a container that is known to be good, and asked again afterwards."""
        # A dead worker's successor takes a moment; nothing else is worth waiting for.
        if self.broken(self.recovery if self._last is Kind.CLOSED else 0) is not None:
            self.restart()
        seen = self.send(case, seconds)
        if seen is None or seen.kind is Kind.STACK:
            return self.after() or seen
        return seen

    def after(self) -> Seen | None:
        """Whether the container is spoilt, given time to recover."""
        reply = self.broken(self.recovery)
        if reply is None:
            return None
        self.container.may_end = True
        return self._seen(Kind.STUCK, reply, f", for {self.recovery:g} s")

    def broken(self, seconds: float) -> Reply | None:
        """The good request's answer, when it is not what it was, nor becomes it in that time."""
        until = self.target.now() + seconds
        while True:
            reply = self.container.send(self._golden, self.patience)
            if reply.status == self._golden_status:
                return None
            if self.target.now() >= until or self.container.exit_code() is not None:
                return reply
            self.target.pause(STEP_SECONDS)

    def restart(self) -> None:
        """A new container in place of one that is not what it was."""
        self.restarts += 1
        self.target.discard()
        self.take()

    def take(self) -> None:
        """The shared container, which may be another one than before."""
        before, self.container = self.container, self.target.container()
        if self.container is not before:
            self._kills_before, self._last, self._harmed = 0, None, False
            self.container.send(self._golden, self.limit)  # a model may be loaded by the first one

    def leave(self) -> None:
        """What comes next must not meet what was done here."""
        # A request without an answer may still be worked at, and keep the container from ending.
        killed = self._kills_before == 0 and self._kills() > 0
        if self._harmed or killed or self.broken(0) is not None:
            self.target.discard()

    def _seen(self, kind: Kind, reply: Reply, words: str = "") -> Seen:
        self._last = kind
        self._harmed = self._harmed or kind is not Kind.STACK
        return Seen(kind=kind, reply=reply, log=self.container.logs(), words=words)

    def _ended(self) -> int | None:
        until = self.target.now() + END_SECONDS
        while (code := self.container.exit_code()) is None and self.target.now() < until:
            if self.container.ping().status is not None:  # it goes on; a worker may have died
                return self.container.exit_code()
            self.target.pause(STEP_SECONDS)
        return code

    def _kills(self) -> int:
        if Capability.OOM_EVENTS not in self.target.engine.capabilities:
            return 0
        return self.container.oom_kills()

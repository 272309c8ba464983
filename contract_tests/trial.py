"""How containers ended by themselves, and how starts under other conditions went.

Owns: the two values. Must not know: who started what, verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.engines import Process
from emulator.http import Reply
from emulator.instance import StartState


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A ready container's own end."""

    exit_code: int
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a start under other conditions went."""

    served: bool  # ready, and the first invocation (with a payload) was a success
    words: str
    log: str
    state: StartState | None = None  # None: the engine could not start it
    reply: Reply | None = None  # to the first invocation
    processes: tuple[Process, ...] = ()  # when it had answered
    kills: int = 0  # of its processes, by the kernel, for memory
    again: Trial | None = None  # after it was killed and started again

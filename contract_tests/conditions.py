"""What chapter conditions judges: numbers of one run, and what they mean.

Owns: what is gathered for the chapter, and the limits between chance and a fault. Must not know:
verdicts, levels, pytest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.trial import Trial
from contract_tests.trials import Wanted
from emulator.engines import Capability, ContainerSpec, EngineUnavailable, Process
from emulator.http import Outcome, Reply
from emulator.instance import StartReport
from emulator.limits import MIB

MUCH_BYTES = MIB
"""What a start may fetch without being told of: a configuration, a secret, a licence."""

PING_BYTES = 2000
"""The most that one ping costs, with its packets' headers."""

WAIT_SECONDS = 5.0
"""So much longer than usual is no chance: it is a timeout of somebody's."""

AT_ONCE = 8
CROWD_SECONDS = 30.0
"""Requests at once take at most so long, one after another."""

CACHES = (
    "/site-packages/",
    "/dist-packages/",
    "/node_modules/",
    "/.cache/",
    "/.conda/",
    "/nltk_data/",
    "/huggingface/",
)
"""Where package managers and model hubs put what they fetched."""


def first_answer(target: Target) -> Reply | None:
    """Of the usual container, to the first payload."""
    first = target.first
    return first.first_invocation if first is not None else None


# -- downloads ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """What came over the network until the first request was answered."""

    received_bytes: int
    ours_bytes: int  # the most that pings and the request can have been
    paths: tuple[str, ...] = ()

    @property
    def much(self) -> bool:
        return self.received_bytes > self.ours_bytes + MUCH_BYTES


def ours_bytes(start: StartReport, first: Reply | None) -> int:
    """The most that our own requests brought to the container."""
    pings = sum(answer.times for answer in start.answers)
    body = len(first.request.body or b"") if first is not None else 0
    acknowledgements = first.body_bytes // 10 if first is not None else 0
    return PING_BYTES * (pings + 1) + body + body // 2 + acknowledgements


def downloaded(target: Target, container: Subject) -> Downloads | None:
    """None when the engine does not tell."""
    first, received = target.first, target.notes.get("received")
    if first is None or received is None:
        return None
    seen = Downloads(
        received_bytes=received, ours_bytes=ours_bytes(first.start, first.first_invocation)
    )
    if not seen.much or Capability.CHANGES not in target.engine.capabilities:
        return seen
    return replace(seen, paths=fetched(container.changed_paths()))


def fetched(paths: Sequence[str]) -> tuple[str, ...]:
    """Those that look like what a package manager or a hub leaves."""
    return tuple(path for path in paths if any(cache in f"{path}/" for cache in CACHES))


def downloads_text(seen: Downloads) -> str:
    text = (
        f"{seen.received_bytes / 1e6:.1f} MB came in, of which pings and the first request are at"
        f" most {seen.ours_bytes / 1e6:.2f} MB"
    )
    return f"{text}; new files: {', '.join(seen.paths[:4])}" if seen.paths else text


# -- without model, without network ---------------------------------------------------------------


def without_model(target: Target) -> tuple[Trial, ContainerSpec]:
    """A start with an empty /opt/ml/model. Waited for no longer than a start with it took, and half
    as long again: what is not ready then keeps the clause.
    """
    first = target.first
    usual = first.start.seconds if first is not None else 0.0
    spec = replace(target.spec, model_dir=target.trials.directory("no model"))
    trial = target.trials.get("no model", Wanted(spec=spec, seconds=1.5 * usual + 1.0))
    return trial, spec


def waits(usual: Reply, without_network: Reply) -> bool:
    """Whether a request took so much longer that it must have waited for something."""
    seconds = without_network.seconds
    return seconds > usual.seconds + WAIT_SECONDS and seconds > 2 * usual.seconds


# -- copies of the model --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Processes that hold about as much as the largest one does."""

    number: int
    each_bytes: int
    used_bytes: int  # of the container, what processes share counted once
    largest_bytes: int

    def too_much(self, memory_bytes: int) -> bool:
        """Copies that are really separate, and take most of the memory. Forked processes that
        share their model have its size each, and the container holds it once.
        """
        separate = self.used_bytes >= 1.6 * self.largest_bytes
        return self.number > 1 and separate and self.used_bytes > memory_bytes / 2


def bearing(processes: Sequence[Process]) -> list[Process]:
    """The largest process and those that hold at least half of it."""
    alive = [process for process in processes if not process.zombie]
    largest = max((process.rss_bytes for process in alive), default=0)
    return [process for process in alive if process.rss_bytes * 2 >= largest]


def copies_of(processes: Sequence[Process], used_bytes: int) -> Copies | None:
    """None without processes."""
    held = bearing(processes)
    if not held:
        return None
    return Copies(
        number=len(held),
        each_bytes=min(held[0].rss_bytes, used_bytes)
        if len(held) == 1
        else min(used_bytes // len(held), max(p.rss_bytes for p in held)),
        used_bytes=used_bytes,
        largest_bytes=max(p.rss_bytes for p in held),
    )


def copies(target: Target, container: Subject) -> Copies | None:
    """None when the engine does not tell the memory."""
    if Capability.MEMORY not in target.engine.capabilities:
        return None
    try:
        used = target.call(container.instance.container.memory).used_bytes
    except EngineUnavailable:
        return None
    return copies_of(container.processes(), used)


# -- several at once ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Requests at once, each of which succeeds alone."""

    replies: tuple[Reply, ...]

    @property
    def refused(self) -> list[Reply]:
        """Failures that are no mere slowness."""
        return [r for r in self.replies if not r.ok and r.outcome is not Outcome.TIMEOUT]


def crowd(container: Subject, payload: Payload) -> Crowd | None:
    """None when the request fails alone, or takes too long. Refusals are seen twice: one may be
    chance.
    """
    alone = container.invoke(payload)
    number = min(AT_ONCE, int(CROWD_SECONDS / max(alone.seconds, 0.001)))
    if not alone.ok or number < 2:
        return None
    for _ in range(2):
        futures = [container.invoke_soon(payload) for _ in range(number)]
        seen = Crowd(replies=tuple(future.result() for future in futures))
        if not seen.refused:
            break
    return seen

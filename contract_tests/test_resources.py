"""Chapter resources: memory. Runs after the invocations, whose load it judges.

Owns: the clauses on memory, and on living on. Must not know: how an engine counts.
"""

from __future__ import annotations

from contract_tests.check import MUST, PAYLOAD, SHOULD, check, expect, not_applicable
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.usage import FEWEST_REQUESTS, Growth, growth, row
from emulator.engines import Capability, EngineUnavailable, Process
from emulator.errors import NO_RESPONSE
from emulator.http import Reply
from emulator.instance import invocation
from emulator.limits import MIB
from emulator.sources import contract, failures

WATCHED_SECONDS = 5.0
"""How long a ready container is watched at least; what ends by itself mostly ends early."""

WATCHED_STEP_SECONDS = 0.1

ROW_SECONDS = 0.5
"""How long requests are sent for their memory's sake, after the first ones that do not count."""

LONG_ROW_SECONDS = 15.0
"""The same when memory seems to grow: until that is certain, or not so."""

WARM_UP_SECONDS = 0.2
MOST_SECONDS = 3.0
"""How long the fewest requests that tell something may take."""

FAR_REQUESTS = 10_000
CERTAIN_SHARE = 0.1
"""Of the memory there is; less may be a pool or a heap that grows to its size."""

LAZY_HEAPS = ("java", "dotnet")
"""Their heap grows to a limit of its own before anything is collected."""


@check(
    MUST,
    "A ready container keeps running, and goes on answering.",
    source=contract("2.7"),
    catalogue="ENT-009",
    caught_by="ends-by-itself",
    aws_shows=NO_RESPONSE,
    fix="Read the container's last lines below. A watchdog, a licence check, a limit on requests"
    " (gunicorn --max-requests without a master) or a background thread that ends the process are"
    " the usual reasons.",
    needs=("stays-alive", "ready-in-time"),
)
def test_keeps_running(target: Target, container: Subject) -> None:
    while container.exit_code() is None and target.now() < container.ready_since + WATCHED_SECONDS:
        target.pause(WATCHED_STEP_SECONDS)
    target.note_death()
    codes = sorted({death.exit_code for death in target.deaths})
    expect(
        not target.deaths,
        expected=f"one container that runs through all requests so far, for {WATCHED_SECONDS:g} s"
        " at least",
        actual=f"it ended by itself {len(target.deaths)} time(s), with exit code"
        f" {', '.join(map(str, codes))}, after it had been ready",
        log=target.deaths[-1].log if target.deaths else "",
    )


@check(
    MUST,
    "Nothing is killed for its memory, at start or under load, at the endpoint's memory size.",
    source=failures("3.3"),
    catalogue="RES-001",
    caught_by="oom-under-load",
    aws_shows=NO_RESPONSE,
    fix="One worker and one copy of the model (MODEL_SERVER_WORKERS=1), threads instead of"
    " processes; or a larger --memory.",
    requires=(Capability.OOM_EVENTS,),
)
def test_no_oom(target: Target) -> None:
    subject = target.first
    if subject is None:
        not_applicable(f"the engine cannot start the image: {target.refused}")
    # Asked of the engine's events: the container's own OOMKilled flag stays false when only a
    # worker was killed, and its server had a new one a second later (failures 3.3).
    kills = subject.oom_kills()
    expect(
        kills == 0,
        expected=f"no kill at {target.settings.memory} MB without swap",
        actual=f"the kernel killed a process for its memory {kills} time(s) during start and"
        " requests",
    )


@check(
    SHOULD,
    "Memory does not grow from request to request.",
    source=failures("3.26"),
    catalogue="RES-005",
    caught_by="keeps-each-request",
    aws_shows=NO_RESPONSE,
    fix="Find what each request leaves behind: a list or dict of the module that only grows, an"
    " unbounded cache (functools.lru_cache(maxsize=None)), a client or a session per request that"
    " is never closed. In Python: tracemalloc, before and after 1,000 requests.",
    needs=("golden-invocation", "invocation-in-time"),
    requires=(PAYLOAD, Capability.MEMORY),
)
def test_memory_stays(container: Subject, target: Target, payloads: tuple[Payload, ...]) -> None:
    known: dict[str, Reply] = target.notes.get("answers", {})
    payload = min(payloads, key=lambda p: known[p.name].seconds if p.name in known else 0.0)
    memory = target.settings.memory * MIB
    if (each := fastest(container, payload)) * FEWEST_REQUESTS > MOST_SECONDS:
        not_applicable(
            f"{payload.name} takes {each:.2f} s: too few requests fit into {MOST_SECONDS:g} s to"
            " tell growth from warming up"
        )
    row(container, payload, WARM_UP_SECONDS)
    samples = row(container, payload, ROW_SECONDS, fewest=FEWEST_REQUESTS)
    left = memory - samples[-1].used_bytes
    if not outgrows(growth(samples), left):
        return
    if any(heap in process.command for process in processes(container) for heap in LAZY_HEAPS):
        not_applicable("a heap of Java or .NET grows to its own limit before it is collected")
    certain = int(memory * CERTAIN_SHARE)
    samples = row(container, payload, LONG_ROW_SECONDS, until_grown=certain)
    longer, grown = growth(samples), samples[-1].used_bytes - samples[0].used_bytes
    if longer is None or not outgrows(longer, left) or grown < certain:
        return
    count = samples[-1].requests
    expect(
        False,
        expected=f"the same memory after {count:,} equal requests as before them",
        actual=f"{grown / MIB:,.0f} MiB more, {longer.per_request / 1024:,.0f} KiB with each"
        f" request: {target.settings.memory} MB are full {left / longer.per_request:,.0f} requests"
        " after that",
        reproduce="docker stats <container>  # while this is sent again and again:\n"
        + invocation(payload.body, payload.content_type).curl("http://127.0.0.1:8080"),
    )


def fastest(container: Subject, payload: Payload) -> float:
    """How long it takes; not sent for it when it is known to be slow."""
    known: dict[str, Reply] = container.target.notes.get("answers", {})
    if payload.name in known and known[payload.name].seconds > ROW_SECONDS:
        return known[payload.name].seconds
    return min(container.invoke(payload).seconds for _ in range(2))


def processes(container: Subject) -> list[Process]:
    try:
        return container.processes()
    except EngineUnavailable:
        return []


def outgrows(seen: Growth | None, left_bytes: float) -> bool:
    """Whether it goes up all the time, and so fast that the memory left is soon full."""
    return seen is not None and seen.steady and seen.per_request * FAR_REQUESTS > left_bytes

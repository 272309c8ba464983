"""Chapter resources: memory. Runs after the invocations, whose load it judges.

Owns: the clause on memory. Must not know: how an engine counts kills.
"""

from __future__ import annotations

from contract_tests.check import MUST, check, expect, not_applicable
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import NO_RESPONSE
from emulator.sources import contract, failures

WATCHED_SECONDS = 5.0
"""How long a ready container is watched at least; what ends by itself mostly ends early."""

WATCHED_STEP_SECONDS = 0.1


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

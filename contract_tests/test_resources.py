"""Chapter resources: memory. Runs after the invocations, whose load it judges.

Owns: the clause on memory. Must not know: how an engine counts kills.
"""

from __future__ import annotations

from contract_tests.check import MUST, check, expect, not_applicable
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import NO_RESPONSE
from emulator.sources import failures


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

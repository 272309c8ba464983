"""Chapter logs: what reaches CloudWatch.

Owns: the clause on stdout and stderr. Must not know: what is logged.
"""

from __future__ import annotations

from contract_tests.check import SHOULD, check, expect
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.sources import failures

WITHIN_SECONDS = 5.0
EVERY_SECONDS = 0.2


@check(
    SHOULD,
    "Output reaches stdout or stderr within 5 seconds, for CloudWatch holds nothing else.",
    source=failures("3.20"),
    catalogue="LOG-001",
    caught_by="logs-to-file",
    fix="ENV PYTHONUNBUFFERED=1, and log to stderr instead of a file (gunicorn --access-logfile -"
    " --error-logfile -, nginx error_log stderr).",
)
def test_logs_reach_stdout(container: Subject, target: Target) -> None:
    # Start, pings and requests lie behind it: a server that has something to say has said it.
    waited = 0.0
    while not container.logs(1).strip() and waited < WITHIN_SECONDS:
        target.pause(EVERY_SECONDS)
        waited += EVERY_SECONDS
    expect(
        bool(container.logs(1).strip()),
        expected="a line on stdout or stderr, from the start or from the requests so far",
        actual=f"nothing, {WITHIN_SECONDS:g} s after the last request",
    )

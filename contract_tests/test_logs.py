"""Chapter logs: what reaches CloudWatch.

Owns: the clauses on stdout and stderr, on failures and on pings. Must not know: what is logged.
"""

from __future__ import annotations

from contract_tests.check import INFO, SHOULD, check, expect, not_applicable
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.test_http import refusal
from emulator.http import Reply
from emulator.sources import failures

WITHIN_SECONDS = 5.0
EVERY_SECONDS = 0.2

TRACE_SECONDS = 2.0
SERVER_ERRORS = range(500, 600)

PINGS = 10
LINES_PER_PING = 3
"""A proxy's access log, the server's, and a metric: what common stacks write."""

QUIET_SECONDS = 0.2
"""A log is written out when nothing more comes for so long."""

PING_SECONDS = 5.0
"""Between two pings on an instance (contract 2.4,
https://github.com/aws/sagemaker-inference-toolkit/issues/70)."""


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
        actual=f"nothing, {WITHIN_SECONDS:g} s after the last request: it says nothing at all, or"
        " keeps it in a buffer, or writes to a file",
    )


@check(
    SHOULD,
    "A request that fails with a 5xx leaves a line in the log within 2 seconds.",
    source=failures("3.20"),
    catalogue="LOG-002",
    caught_by="silent-500",
    fix="Log the exception where you catch it (app.logger.exception(...), traceback.print_exc()):"
    " the caller gets a ModelError that says only which status it was.",
    needs=("logs-reach-stdout",),
)
def test_failure_is_logged(container: Subject, target: Target) -> None:
    before = failing(container, target)
    if before.ok:
        not_applicable("no request fails here: even a malformed body is answered with a 2xx")
    seen = _last(container)
    # Sent again, so that the line can be told from others.
    reply = container.send(before.request, container.limits.invocation_seconds)
    waited = 0.0
    while not (lines := container.lines(seen)) and waited < TRACE_SECONDS:
        target.pause(EVERY_SECONDS)
        waited += EVERY_SECONDS
    if not lines and reply.status not in SERVER_ERRORS:
        not_applicable("no request fails with a 5xx, and what is refused need not be logged")
    expect(
        bool(lines),
        expected="a line that tells of the failure",
        actual=f"nothing within {TRACE_SECONDS:g} s of {reply}",
        reproduce=reply.request.curl("http://127.0.0.1:8080"),
    )


def failing(container: Subject, target: Target) -> Reply:
    """The answer to a request that the container could not take: with a 5xx, if there is one."""
    odd: list[Reply] = target.notes.get("odd types", [])
    known = [refusal(container, target), *odd]
    return next((reply for reply in known if reply.status in SERVER_ERRORS), known[0])


def _last(container: Subject) -> int:
    lines = container.lines()
    return lines[-1].nanoseconds if lines else 0


@check(
    INFO,
    "A ping leaves at most three lines in the log.",
    source=failures("3.20"),
    catalogue="LOG-003",
    caught_by="chatty-ping",
    fix="Leave /ping out of what is logged (nginx: access_log off in its location; Python: a filter"
    " on the access logger), or log it at DEBUG only.",
)
def test_quiet_pings(container: Subject, target: Target) -> None:
    seen = _settled(container, target, _last(container))
    written, seen = _written(container, target, seen, PINGS)
    if written > LINES_PER_PING * PINGS:
        # What it writes by itself it would write without a ping as well.
        written -= _written(container, target, seen, 0)[0]
    each = written / PINGS
    expect(
        each <= LINES_PER_PING,
        expected=f"at most {LINES_PER_PING} lines for each ping: an instance is pinged every"
        f" {PING_SECONDS:g} s, day and night",
        actual=f"{written} lines for {PINGS} pings, {each * 86400 / PING_SECONDS:,.0f} a day for"
        " each instance",
    )


def _written(container: Subject, target: Target, seen: int, pings: int) -> tuple[int, int]:
    """How many lines come while it is pinged so often, and in the moment after; and the time of
    the last one.
    """
    for _ in range(pings):
        container.ping()
    last = _settled(container, target, seen)
    return len(container.lines(seen)), last


def _settled(container: Subject, target: Target, seen: int) -> int:
    """The time of the last line, once no more come."""
    waited = 0.0
    while waited < TRACE_SECONDS:
        target.pause(QUIET_SECONDS)
        waited += QUIET_SECONDS
        lines = container.lines(seen)
        if not lines:
            break
        seen = lines[-1].nanoseconds
    return seen

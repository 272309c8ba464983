"""Chapter slow: time limits of the container's own, below the 60 seconds that the platform allows.

Owns: the clauses on a request that takes 55 s, and on what a command line tells without one. Must
not know: how a request is made slow (`slow`, which also tells where that way lies).
"""

from __future__ import annotations

from contract_tests import gunicorn
from contract_tests.check import PAYLOAD, SHOULD, SLOW, check, expect, not_applicable
from contract_tests.slow import Slow, outcome
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import NO_RESPONSE, SERVER_ERROR
from emulator.sources import contract, failures

AGAIN = (
    "add time.sleep(55) to the code that predicts, and send one request:"
    " the container must answer it"
)

ROOM = 2.0
"""A request that takes more than half of a limit here may be over it on AWS's processors."""

CONFIG_PLACES = ("/opt/program", "/app")


@check(
    SHOULD,
    "The slowest request leaves half of gunicorn's own time limit for a worker free.",
    source=failures("3.31"),
    catalogue="SIG-005",
    caught_by="little-room",
    aws_shows=NO_RESPONSE,
    fix="gunicorn --timeout 60: the platform's own limit; a sync worker that works longer than"
    " --timeout on one request is killed.",
    needs=("golden-invocation",),
    requires=(PAYLOAD, Capability.PROCESSES),
)
def test_worker_timeout_leaves_room(container: Subject, target: Target) -> None:
    environment = {**target.image.environment, **target.settings.env}
    known = (gunicorn.workers(p.command, environment) for p in container.processes())
    found = next((workers for workers in known if workers is not None), None)
    if found is None:
        not_applicable("no gunicorn command line with a time limit is to be seen; --slow tries it")
    if found.kind != "sync" or found.timeout == 0:
        not_applicable("gunicorn's limit does not end a request here: its workers are not sync")
    if found.config or (found.default and _config_file(container, target)):
        not_applicable("a configuration file may set gunicorn's limit; --slow tries it")
    answers = target.notes.get("answers", {})
    name, slowest = max(
        ((name, reply.seconds) for name, reply in answers.items()),
        key=lambda one: one[1],
        default=("no request", 0.0),
    )
    expect(
        slowest * ROOM <= found.timeout,
        expected=f"requests that take at most half of {found.timeout:g} s, after which gunicorn"
        f" kills its worker ({found.told_by})",
        actual=f"{name} took {slowest:.1f} s here",
    )


def _config_file(container: Subject, target: Target) -> bool:
    """Whether gunicorn may have found a file of its own accord."""
    places = {target.image.working_dir or "/", *CONFIG_PLACES}
    return any(
        container.file_bytes(f"{place.rstrip('/')}/{gunicorn.CONFIG}") is not None
        for place in places
    )


@check(
    SHOULD,
    "A process that works on one request for 55 seconds is not killed for it.",
    source=failures("3.31"),
    catalogue="SLW-001",
    caught_by="worker-timeout",
    aws_shows=NO_RESPONSE,
    fix="Give the server's own time limit for a worker 60 s or more: gunicorn --timeout 60 (its"
    " default is 30 s), uwsgi harakiri = 60.",
    needs=("golden-invocation", "invocation-in-time"),
    requires=(PAYLOAD, SLOW, Capability.CPU, Capability.THROTTLE),
)
def test_busy_worker_survives(container: Subject, target: Target) -> None:
    seen = _seen(target)
    assert seen.reply is not None
    expect(
        not seen.gone,
        expected=f"the same processes after {target.slow_seconds:g} s of work on {seen.request}",
        actual=f"{_named(seen.gone)} ended when the request was {seen.reply.seconds:.1f} s old;"
        f" its caller saw: {seen.reply}",
        fix=_worker_fix(seen, target),
        reproduce=AGAIN,
        log=seen.log,
    )


@check(
    SHOULD,
    "A request that takes 55 seconds is answered: no time limit of the container's own cuts it.",
    source=contract("3.13"),
    catalogue="SLW-002",
    caught_by="proxy-timeout",
    aws_shows=SERVER_ERROR,
    fix="Give what stands before the model 60 s or more: nginx proxy_read_timeout 70s (or"
    " uwsgi_read_timeout, fastcgi_read_timeout, grpc_read_timeout), Go's WriteTimeout, the timeout"
    " of an HTTP client between two servers (httpx waits 5 s).",
    needs=("golden-invocation", "invocation-in-time", "busy-worker-survives"),
    requires=(PAYLOAD, SLOW, Capability.CPU, Capability.THROTTLE),
)
def test_slow_request_answered(container: Subject, target: Target) -> None:
    seen = _seen(target)
    assert seen.reply is not None
    if seen.gone:
        not_applicable("the process that worked on it was killed: see busy-worker-survives")
    expect(
        seen.reply.ok,
        expected=f"2xx for {seen.request}, which was made to take {target.slow_seconds:g} s",
        actual=seen.reply,
        fix=_proxy_fix(seen, target),
        reproduce=AGAIN,
        log=seen.log,
    )


def _seen(target: Target) -> Slow:
    seen = outcome(target)
    if seen.unknown:
        not_applicable(seen.unknown)
    return seen


def _named(commands: tuple[str, ...]) -> str:
    """The first of them, and how many more."""
    first, more = commands[:1], len(commands) - 1
    words = repr(first[0]) if first else "no process"
    return words + f" and {more} more" * (more > 0)


def _worker_fix(seen: Slow, target: Target) -> str:
    environment = {**target.image.environment, **target.settings.env}
    known = (gunicorn.workers(command, environment) for command in seen.commands)
    found = next((workers for workers in known if workers is not None), None)
    if found is None or found.config:
        return ""
    return f"gunicorn --timeout 60; it is {found.timeout:g} s now ({found.told_by})."


def _proxy_fix(seen: Slow, target: Target) -> str:
    """Named when there is a proxy that answers so."""
    nginx = any("nginx" in command for command in seen.commands)
    if not nginx or seen.reply is None or seen.reply.status != 504:
        return ""
    return (
        "nginx.conf: proxy_read_timeout 70s (uwsgi_read_timeout, fastcgi_read_timeout with those"
        f" protocols): it gave up after {seen.reply.seconds:.1f} s."
    )

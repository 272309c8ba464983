"""Chapter shutdown: what happens when something ends. Runs last, for it ends the container.

Owns: the clauses on a killed worker, on SIGTERM and on requests in flight. Must not know: which
server it is. On instances AWS sends SIGTERM at scale-in, update and delete; for serverless nobody
has seen it (contract 1.4).
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from contract_tests.check import (
    PAYLOAD,
    SHOULD,
    check,
    expect,
    not_applicable,
)
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability, Process, Stopped
from emulator.errors import NO_RESPONSE, SERVER_ERROR
from emulator.http import Outcome, Reply
from emulator.limits import Limits
from emulator.sources import contract, failures

RECOVERY_STEP_SECONDS = 0.1
HEALTHY = 200
SLOW_SECONDS = 1.0
"""A request that takes this long can be caught in the middle."""

IN_FLIGHT_SECONDS = 1.0
"""How long after SIGTERM the open request gets the rest of its body."""


@check(
    SHOULD,
    "After its model process is killed the container works again, says so on /ping, or exits.",
    source=failures("3.16"),
    catalogue="SIG-003",
    caught_by="dead-backend",
    aws_shows=SERVER_ERROR,
    fix="Let a supervisor restart the worker (gunicorn does), let /ping ask the worker and answer"
    " 503 without it, or exit when it dies: AWS replaces a container that says it is ill, and"
    " only that.",
    needs=("golden-invocation", "invocation-in-time"),
    requires=(PAYLOAD, Capability.PROCESSES),
)
def test_killed_worker_recovers(
    container: Subject, target: Target, payloads: tuple[Payload, ...]
) -> None:
    victim = model_process(container.processes())
    if victim is None:
        not_applicable("the container has one process; when it dies the container ends")
    container.may_end = True
    container.signal(victim.pid, signal.SIGKILL)
    waited = 0.0
    while True:
        target.pause(RECOVERY_STEP_SECONDS)
        waited += RECOVERY_STEP_SECONDS
        if container.exit_code() is not None:
            return  # AWS starts another one
        reply, ping = container.invoke(payloads[0]), container.ping()
        if reply.ok or ping.status != HEALTHY:
            return
        waited += reply.seconds + ping.seconds
        expect(
            waited < target.recovery_seconds,
            expected=f"within {target.recovery_seconds:g} s of killing {victim.command!r}:"
            " a good answer, a /ping that is not 200, or the container's end",
            actual=f"/ping 200, but {reply}",
        )


def model_process(processes: list[Process]) -> Process | None:
    """The process with the model: the largest one that has no children and is not the main one.

    None when there is only the main process. By size, because names and commands differ between
    servers, and what holds a model is larger than what passes requests on.
    """
    parents = {process.parent for process in processes}
    alive = {process.pid for process in processes}
    leaves = [
        process
        for process in processes
        if process.pid not in parents and process.parent in alive and not process.zombie
    ]
    return max(leaves, key=lambda process: process.rss_bytes, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One stop with SIGTERM, with or without a request in flight."""

    stopped: Stopped
    reply: Reply | None = None
    slow_payload: str | None = None  # the name of the request in flight; None: a half-sent one


def ending(target: Target) -> Ending:
    """Stops the shared container as the platform does; once, for both checks that judge it."""
    if "ending" not in target.notes:
        container = target.container()
        if container.ping().status != HEALTHY:  # its server was killed by the check before
            target.discard()
            container = target.container()
        payloads = target.settings.payload
        slow = next((p for p in payloads if _seconds(target, p) >= SLOW_SECONDS), None)
        if slow is not None:
            target.notes["ending"] = _end_with_slow_request(target, container, slow)
        elif payloads:
            target.notes["ending"] = _end_with_held_request(target, container, payloads[0])
        else:
            target.notes["ending"] = Ending(stopped=container.stop())
    found = target.notes["ending"]
    assert isinstance(found, Ending)
    return found


def _seconds(target: Target, payload: Payload) -> float:
    """How long this request took before; 0 when it was not asked."""
    known: dict[str, Reply] = target.notes.get("answers", {})
    return known[payload.name].seconds if payload.name in known else 0.0


def _end_with_slow_request(target: Target, container: Subject, payload: Payload) -> Ending:
    future = container.invoke_soon(payload)
    target.pause(_seconds(target, payload) / 2)
    stopping = container.stop_soon()
    reply = future.result()
    container.stopped = stopping.result()
    return Ending(stopped=container.stopped, reply=reply, slow_payload=payload.name)


def _end_with_held_request(target: Target, container: Subject, payload: Payload) -> Ending:
    with container.held(payload.body, payload.content_type) as future:
        stopping = container.stop_soon()
        target.pause(IN_FLIGHT_SECONDS)
    reply = future.result()
    container.stopped = stopping.result()
    return Ending(stopped=container.stopped, reply=reply)


@check(
    SHOULD,
    "A request in flight is finished when the container is told to stop.",
    source=failures("3.36"),
    catalogue="SIG-002",
    caught_by="drops-in-flight",
    aws_shows=NO_RESPONSE,
    fix="Stop accepting on SIGTERM, finish what is open, then exit: gunicorn does on TERM, nginx on"
    " QUIT (its TERM is the fast way: `STOPSIGNAL` or a trap that sends QUIT).",
    needs=("golden-invocation", "invocation-in-time"),
    requires=(PAYLOAD,),
)
def test_in_flight_request_finishes(container: Subject, target: Target) -> None:
    end = ending(target)
    reply = end.reply
    assert reply is not None, "with a payload there is a request in flight"
    if end.slow_payload is not None:
        expect(
            reply.ok,
            expected=f"2xx for {end.slow_payload}, which was being handled when SIGTERM came",
            actual=reply,
        )
        return
    # A proxy in front holds a half-sent request back from the server behind it, and answers 502
    # in order when that is gone: no work was cut off.
    # And some servers drop a request whose body is still to come, yet finish a complete one: so
    # a cut proves nothing here, and only a request that takes its time can.
    if reply.outcome is not Outcome.ANSWERED:
        not_applicable(
            "a request that was still being sent was cut off; what becomes of a complete one can"
            f" be told with a payload that takes {SLOW_SECONDS:g} s or more"
        )


@check(
    SHOULD,
    "The container exits within 30 seconds of SIGTERM, by itself.",
    source=contract("1.4"),
    catalogue="SIG-001",
    caught_by="ignores-sigterm",
    fix="Make the server process 1: the exec form of ENTRYPOINT, `exec` before the last command of"
    " a shell script; in Python signal.signal(signal.SIGTERM, ...), as process 1 has no default.",
)
def test_stops_on_sigterm(target: Target, limits: Limits) -> None:
    if target.first is None or not target.first.ready:
        target.container()  # says why there is nothing to stop
    end = ending(target)
    stopped = end.stopped
    if stopped.killed and end.reply is not None and end.slow_payload is None:
        # The half-sent request may be what it waited for: only a stop without one tells.
        again = target.start()
        stopped = again.stop()
    expect(
        not stopped.killed,
        expected=f"an exit within {limits.stop_grace_seconds:g} s of SIGTERM",
        actual=f"still running after {stopped.seconds:.1f} s, and killed",
        reproduce="docker stop -t 30 <container>  # then: docker inspect -f {{.State.ExitCode}}",
    )

"""Chapter endpoint: what only shows behind an endpoint, where instances come, rest and go.

Owns: the clauses on new instances, on several of them, on what lives between requests. Must not
know: how an endpoint works; what it showed is in `rehearsal`. A container that answers by the
clock, by chance or with an id is sound: what such things explain is never held against it.
"""

from __future__ import annotations

from contract_tests.check import (
    INFO,
    LOCAL,
    MUST,
    PAYLOAD,
    SHOULD,
    check,
    expect,
    not_applicable,
)
from contract_tests.comparing import accumulates, difference
from contract_tests.endpoint import (
    FROZEN_SECONDS,
    SLOW_START_SECONDS,
    Thaw,
    by_instance,
    freezes,
    rehearsal,
    told_again,
)
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import SERVER_ERROR
from emulator.sources import contract


@check(
    {"serverless": MUST, "realtime": SHOULD},
    "Any good request may be the first of a new instance, as after scale-in.",
    source=contract("4.52"),
    catalogue="INV-003",
    caught_by="needs-other-request-first",
    aws_shows=SERVER_ERROR,
    fix="Set up at start, or in every handler, whatever a request needs: each cold start begins"
    " with nothing, and whichever request comes is the first. What a caller's steps share belongs"
    " into the request or a store outside.",
    needs=("golden-invocation", "invocation-in-time", "ready-means-ready"),
    requires=(PAYLOAD,),
)
def test_any_request_may_come_first(target: Target) -> None:
    seen = rehearsal(target)
    if not seen.first:
        not_applicable(seen.ended)
    failed, payload = seen.first[-1], seen.first[-1].payload
    again = next((answer for answer in seen.after if answer.payload == payload), None)
    later = f"; on the same instance, after another request: {again}" if again else ""
    expect(
        failed.ok,
        expected=f"a 2xx for {payload.name}, which succeeded before, as the first request of a new"
        " instance",
        actual=f"on each of {len(seen.first)} new instances: {failed}{later}",
        reproduce=failed.curl(LOCAL),
        log=failed.log,
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "A cold start and its first request together take less time than clients wait.",
    source=contract("3.15"),
    catalogue="SRV-009",
    caught_by="slow-cold-start",
    fix="Start faster (a smaller model, lazy imports, compiled files in the image), or take more"
    " memory, which brings CPU; keep provisioned concurrency; or tell the callers' SDK:"
    " Config(read_timeout=300, retries={'total_max_attempts': 1}).",
    needs=("golden-invocation", "invocation-in-time", "any-request-may-come-first"),
    requires=(PAYLOAD,),
)
def test_cold_start_within_client_timeout(target: Target) -> None:
    if target.settings.profile == "realtime":
        not_applicable("on instances no request waits for a start")
    seen = rehearsal(target)
    if not seen.first or not seen.first[-1].ok:
        not_applicable(seen.ended or "the first request of a new instance failed")
    cold = seen.first[-1]
    expect(
        cold.seconds < target.client_seconds,
        expected=f"less than {target.client_seconds:g} s until the answer, without the download of"
        " the model and the image's own: then an SDK gives up, and tries again, which is another"
        " cold start",
        actual=cold,
        reproduce=cold.curl(LOCAL),
    )


@check(
    SHOULD,
    "Several requests at once, each on an instance of its own, are answered as one alone is.",
    source=contract("4.53"),
    catalogue="INV-019",
    caught_by="one-at-a-time-outside",
    aws_shows=SERVER_ERROR,
    fix="Instances share nothing but what is outside of them: a lock, a licence's only seat, a"
    " queue's only consumer, a file on a share. Take what allows as many users as MaxConcurrency,"
    " wait for it instead of failing, or set MaxConcurrency to what it allows.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_instances_work_side_by_side(target: Target) -> None:
    seen = rehearsal(target)
    if not seen.rounds:
        silent = (answer for answer in seen.starting if not (answer.ok or answer.status))
        bad = next(silent, None)
        if bad is not None:
            not_applicable(
                f"not all of {len(seen.starting)} instances started side by side ({bad}); this"
                " machine may be too small for them"
            )
        not_applicable(
            seen.ended
            or f"starts take more than {SLOW_START_SECONDS:g} s; with --slow several are tried"
        )
    # Only what a container itself says: what dies or is too slow may lack this machine's memory.
    refused = [[answer for answer in one if answer.status] for one in seen.rounds]
    some = [answer for one in refused for answer in one]
    expect(
        sum(map(bool, refused)) < 2,
        expected=f"{len(seen.rounds[0])} answers to as many requests at once, each on its own"
        " instance, where each succeeds alone",
        actual=f"{len(some)} of {sum(map(len, seen.rounds))} failed: {some[0] if some else ''}",
        reproduce=some[0].curl(LOCAL) if some else "",
        log=some[0].log if some else "",
    )


@check(
    SHOULD,
    "An answer tells nothing of the requests before it.",
    source=contract("4.58"),
    catalogue="INV-020",
    caught_by="remembers-requests",
    fix="Keep a request's data in local variables: no module-level list, no mutable default"
    " argument (def f(rows=[])), no attribute of the model. The next request on the instance may"
    " be another customer's.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_no_traces_of_earlier_requests(target: Target) -> None:
    seen = rehearsal(target)
    if not all(answer.ok for answer in [*seen.fresh, *seen.after]) or not seen.after:
        not_applicable(seen.ended or "not every request succeeded behind the endpoint")
    bodies = [answer.body for answer in seen.fresh]
    start = target.first
    fresh = start.first_invocation.body if start and start.first_invocation else bodies[0]
    sizes = ", ".join(str(len(body)) for body in bodies)
    expect(
        not accumulates(bodies, fresh),
        expected=f"the same amount of answer to {seen.fresh[0].payload.name} each time",
        actual=f"it grows with every request to the same instance: {sizes} bytes; the last one was"
        f" {_text(bodies[-1])}",
        reproduce=seen.fresh[-1].curl(LOCAL),
    )
    other = told_again(seen)
    expect(
        other is None,
        expected=f"to {seen.fresh[0].payload.name} its own answer: {_text(bodies[0])}",
        actual=f"right after {seen.first[-1].payload.name} it gets what that got:"
        f" {_text(other or b'')}",
        reproduce=seen.fresh[-1].curl(LOCAL),
    )


def _text(body: bytes, limit: int = 160) -> str:
    text = " ".join(body[: limit * 4].decode("utf-8", "replace").split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


@check(
    SHOULD,
    "Instances agree: the same request gets the same answer from each.",
    source=contract("4.53"),
    catalogue="INV-018",
    caught_by="hash-of-the-process",
    fix="Leave nothing that the model needs to chance at start: no hash() of texts (it differs with"
    " each process; use hashlib or zlib.crc32, or set PYTHONHASHSEED), no weights that are"
    " initialised and not loaded, no order of a set.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_instances_agree(target: Target) -> None:
    seen = rehearsal(target)
    groups = by_instance(seen, target.settings.payload[0])
    if len(groups) < 2:
        not_applicable(seen.ended or "too few instances answered more than once")
    for number, bodies in groups.items():
        differ = next(filter(None, (difference(bodies[0], body) for body in bodies[1:])), None)
        if differ is not None:
            not_applicable(
                f"instance {number} alone answers the same request differently ({differ}): by"
                " chance, by the clock, or by what came before"
            )
    one, *others = groups.values()
    differ = next(filter(None, (difference(one[0], other[0]) for other in others)), None)
    expect(
        differ is None,
        expected=f"one answer to {target.settings.payload[0].name} from {len(groups)} instances,"
        " each of which repeats its own",
        actual=f"{differ}",
        reproduce=seen.fresh[0].curl(LOCAL),
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "After it was frozen for a while, as instances may be between requests, the container works.",
    source=contract("4.58"),
    catalogue="SIG-006",
    caught_by="expires-while-frozen",
    aws_shows=SERVER_ERROR,
    fix="Nothing may rely on time that passes between requests: renew sessions and connections when"
    " a request needs them, not in a background thread; give watchdogs and heartbeats (gunicorn"
    " --timeout) 30 s or more.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD, Capability.FREEZE),
)
def test_survives_freeze(target: Target) -> None:
    if not freezes(target):
        not_applicable("instances of a real-time endpoint are not frozen")
    rehearsal(target)
    thaw = target.notes["thaw"]
    assert isinstance(thaw, Thaw)
    if thaw.control is not None and not thaw.control.ok:
        not_applicable(f"one that was not frozen does not work on either: {thaw.control}")
    payload = target.settings.payload[0]
    expect(
        thaw.reply.ok,
        expected=f"a 2xx for {payload.name} after {FROZEN_SECONDS:g} s frozen (docker pause)",
        actual=f"{thaw.reply}; one that ran through the same time answered well",
        reproduce=f"docker pause <container>; sleep {FROZEN_SECONDS:g}; docker unpause"
        f" <container>; {thaw.reply.request.curl(LOCAL)}",
        log=thaw.log,
    )
    expect(
        thaw.ping.ok,
        expected=f"200 on /ping after {FROZEN_SECONDS:g} s frozen",
        actual=thaw.ping,
        log=thaw.log,
    )

"""Chapter ping: the health check of a container that is ready.

Owns: the clauses on speed and cost, on accepting connections and on what a 200 promises. Must not
know: how the container got ready (chapter startup).
"""

from __future__ import annotations

from contract_tests.check import (
    MUST,
    PAYLOAD,
    SHOULD,
    advise,
    check,
    expect,
    not_applicable,
)
from contract_tests.ping_words import complaint
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.usage import cost, idle
from emulator.engines import Capability
from emulator.errors import PING_FAILED, SERVER_ERROR
from emulator.instance import PING
from emulator.limits import Limits
from emulator.sources import contract, failures

PROBES = 20
SLOW_PING_SECONDS = 0.5
"""A ping that takes this long on an idle container is near 2 s on a busy one."""

CLIENT_ERRORS = range(400, 500)
SETTLE_SECONDS = 15.0
"""How long a container that said 200 too early is watched for the moment when it works."""

SETTLE_STEP_SECONDS = 0.25

BUSY_PINGS = 3
BUSY_STEP_SECONDS = 0.1

CONNECTIONS = 5
BETWEEN_CONNECTIONS = 2
"""Pings between two connection attempts: a server that closes its port after each request is
caught in the gap."""

DEAR_PING_SECONDS = 0.05
"""Of processor time. What answers from memory takes 1 ms, a proxy and a framework 5; a model that
is loaded or asked takes more than this, unless it is so small that nobody needs to mind."""

COUNTED_PINGS, COUNTED_INVOCATIONS = 5, 2


@check(
    MUST,
    "A ready container answers every GET /ping within 2 seconds.",
    source=contract("2.3"),
    catalogue="PNG-002",
    caught_by="slow-ping",
    aws_shows=PING_FAILED,
    fix="Answer /ping from memory: no inference, no file, no other service; say 503 until the model"
    " is loaded, 200 after.",
)
def test_ping_in_time(container: Subject, limits: Limits) -> None:
    slowest = 0.0
    for number in range(1, PROBES + 1):
        reply = container.ping()
        expect(
            reply.status == 200,
            expected=f"HTTP 200 within {limits.ping_seconds:g} s, {PROBES} times in a row",
            actual=f"number {number}: {reply}",
            reproduce=PING.curl("http://127.0.0.1:8080"),
        )
        slowest = max(slowest, reply.seconds)
    advise(
        slowest < SLOW_PING_SECONDS,
        expected=f"an answer well within {limits.ping_seconds:g} s from an idle container",
        actual=f"the slowest of {PROBES} took {slowest:.2f} s",
    )


@check(
    MUST,
    "A ready container accepts TCP connections within 250 milliseconds.",
    source=contract("1.7"),
    catalogue="SRV-006",
    caught_by="one-shot-listener",
    aws_shows=PING_FAILED,
    fix="Keep one listening socket open for the container's life, with a backlog (gunicorn's is"
    " 2048): no server that ends after each request.",
)
def test_accepts_in_250ms(container: Subject, limits: Limits) -> None:
    for number in range(1, CONNECTIONS + 1):
        expect(
            container.accepts(limits.accept_seconds),
            expected=f"{CONNECTIONS} connections, each within {limits.accept_seconds * 1000:g} ms",
            actual=f"number {number} was not accepted in that time",
        )
        for _ in range(BETWEEN_CONNECTIONS):
            container.ping()


@check(
    {"serverless": SHOULD, "realtime": SHOULD},
    "/ping is answered within 2 seconds while a request is being handled.",
    source=failures("3.23"),
    catalogue="PNG-006",
    caught_by="single-threaded",
    fix="Serve /ping beside the model: gunicorn --worker-class gthread --threads 4, a threaded"
    " server, `def` instead of `async def` for a blocking handler in FastAPI.",
)
def test_ping_while_busy(container: Subject, target: Target, limits: Limits) -> None:
    # A request whose body is still arriving keeps a server with one thread busy, whatever the
    # model's speed; a server that gets whole bodies from a proxy in front is not kept by it.
    payload = target.settings.payload[0] if target.settings.payload else None
    body = payload.body if payload else b'{"instances": []}'
    kind = payload.content_type if payload else "application/json"
    with container.held(body, kind) as answer:
        # The first ping may come to the server before the request that was sent before it.
        for _ in range(BUSY_PINGS):
            reply = container.ping()
            expect(
                reply.status == 200,
                expected=f"200 within {limits.ping_seconds:g} s while another request is open: byoc"
                " has sent half of its body",
                actual=reply,
            )
            target.pause(BUSY_STEP_SECONDS)
    answer.result()  # the next check must not meet it still at work


@check(
    MUST,
    "The first 200 on /ping means ready: an invocation in the same moment succeeds.",
    source=contract("2.11"),
    catalogue="PNG-003",
    caught_by="ready-too-early",
    aws_shows=SERVER_ERROR,
    fix="Answer /ping with 503 until the model is loaded; load it before the server listens, or in"
    " the worker's boot.",
    requires=(PAYLOAD,),
)
def test_ready_means_ready(
    start: Subject, container: Subject, target: Target, payloads: tuple[Payload, ...]
) -> None:
    first = start.first_invocation
    if first is None:
        not_applicable("no invocation was sent in the moment of the first 200")
    later, waited = first, 0.0
    # A 4xx will not change; a 5xx, or no answer, may be a model that is still loading.
    while not later.ok and later.status not in CLIENT_ERRORS and waited < SETTLE_SECONDS:
        target.pause(SETTLE_STEP_SECONDS)
        waited += SETTLE_STEP_SECONDS + later.seconds
        later = container.invoke(payloads[0])
    if not later.ok:
        not_applicable("the payload never succeeds: see golden-invocation")
    expect(
        first.ok,
        expected="a 2xx answer to the first request after the first 200 on /ping",
        actual=f"{first}; the same request succeeded {waited:.1f} s later",
    )


@check(
    SHOULD,
    "A 200 on /ping is not contradicted by its body, which the platform does not read.",
    source=failures("3.4"),
    catalogue="PNG-005",
    caught_by="unhealthy-with-200",
    fix="Answer 503 instead of 200 while the health check finds something wrong: the status alone"
    " counts.",
)
def test_ping_body_agrees(container: Subject) -> None:
    reply = container.ping()
    if reply.status != 200:
        not_applicable(f"/ping does not answer 200 now: {reply}")
    words = complaint(reply.body)
    if words:  # something that was just passing?
        reply = container.ping()
        words = complaint(reply.body) if reply.status == 200 else ""
    expect(
        not words,
        expected="a body that does not say the container is ill, or another status than 200",
        actual=f"HTTP 200 with {words}",
        reproduce=PING.curl("http://127.0.0.1:8080"),
    )


@check(
    SHOULD,
    "/ping neither loads the model nor asks it: it costs a fraction of an invocation.",
    source=failures("3.4"),
    catalogue="PNG-007",
    caught_by="loads-at-ping",
    fix="Load the model once, when the server starts, and let /ping tell whether it is there. An"
    " instance is pinged every 5 seconds, also while it works.",
    requires=(PAYLOAD, Capability.CPU),
)
def test_ping_is_cheap(container: Subject, payloads: tuple[Payload, ...]) -> None:
    for _ in range(2):  # the second time only when the first one looks bad
        ping = cost(container, container.ping, COUNTED_PINGS)
        if ping.cpu_seconds < DEAR_PING_SECONDS:
            return
        request = cost(container, lambda: invoked(container, payloads[0]), COUNTED_INVOCATIONS)
        # What goes on in the background would be there without a ping as well.
        own = ping.cpu_seconds - idle(container, ping.seconds)
        if own < max(DEAR_PING_SECONDS, request.cpu_seconds / 2):
            return
    expect(
        False,
        expected=f"less than {DEAR_PING_SECONDS * 1000:g} ms of processor time for a ping, or less"
        " than half of an invocation's",
        actual=f"{own * 1000:.0f} ms for a ping, {request.cpu_seconds * 1000:.0f} ms for an"
        f" invocation with {payloads[0].name}",
        reproduce=PING.curl("http://127.0.0.1:8080"),
    )


def invoked(container: Subject, payload: Payload) -> None:
    if not container.invoke(payload).ok:
        not_applicable(f"{payload.name} does not succeed: see golden-invocation")

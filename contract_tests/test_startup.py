"""Chapter startup: from `docker run IMAGE serve` to the first 200 on /ping.

Owns: the clauses on staying alive, the address, the Host header and the window. Must not know: how
a container is started. The checks read one shared start; each names one cause, and those that
only follow from it are blocked.
"""

from __future__ import annotations

import dataclasses

from contract_tests.check import LOCAL, MUST, SHOULD, advise, check, expect, not_applicable
from contract_tests.diagnose import Sign
from contract_tests.diagnose_fix import fix
from contract_tests.models_api import ONLY_EVER, labelled
from contract_tests.sandbox import sandbox
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability, EngineUnavailable, StartRefused
from emulator.errors import CANNOT_START, PING_FAILED, STARTUP_TIMEOUT
from emulator.instance import PING, PLATFORM_HEADERS, StartState
from emulator.sources import contract, failures
from emulator.start import Cause, reachable, where

STATIC = (
    "image-architecture",
    "not-cmd-only",
    "serve-resolves",
    "serve-executable",
    "serve-interpreter",
    "entrypoint-architecture",
)
"""Checks whose failure explains by itself why nothing starts."""

SERVER_ERRORS = range(500, 600)
"""From a server that is up but not ready, or a proxy whose backend is not up yet."""

NO_ARGUMENT = (Cause.MEMORY, Cause.EXEC_FORMAT)
"""Ends that no argument of the command line brings about."""

WITHOUT_SERVE_SECONDS = 30.0
"""How long a start without `serve` is watched, to compare with one that died with it."""


@check(
    MUST,
    "The program accepts the argument `serve`.",
    source=contract("1.1"),
    catalogue="ENT-007",
    caught_by="rejects-serve",
    aws_shows=PING_FAILED,
    fix="Let the ENTRYPOINT take one argument: ignore it, or start the server when it is `serve`.",
    needs=STATIC,
)
def test_serve_argument_accepted(target: Target) -> None:
    first = target.first
    if first is None:
        not_applicable(f"the engine cannot start the image: {target.refused}")
    if first.start.state is not StartState.EXITED or first.start.cause in NO_ARGUMENT:
        return
    # It died. Only if it lives without the argument is the argument the reason.
    spec = dataclasses.replace(target.spec, command=())
    seconds = min(WITHOUT_SERVE_SECONDS, target.limits.startup_seconds)
    limits = dataclasses.replace(target.limits, startup_seconds=seconds)
    try:
        other = target.start(spec, limits)
    except StartRefused as refused:
        not_applicable(f"it cannot be started without `serve` either: {refused}")
    other.stop(0)
    if not other.ready:
        not_applicable(f"without `serve` it does not serve either: {other.start.describe()}")
    expect(
        False,
        expected="the same server with `serve` as its argument as without",
        actual=f"with `serve`: {first.start.describe()}; without: {other.start.describe()}",
        reproduce=target.run_line(spec),
    )


@check(
    MUST,
    "The container keeps running until it is ready; also an exit with code 0 is a failure.",
    source=contract("1.1"),
    catalogue="ENT-006",
    caught_by=("missing-module", "oom-at-start"),
    aws_shows=CANNOT_START,
    fix="Read the container's last lines below: they are what CloudWatch would hold.",
    needs=(*STATIC, "serve-argument-accepted"),
)
def test_stays_alive(target: Target) -> None:
    first = target.first
    expect(
        first is not None,
        expected="a container that starts",
        actual=f"the engine cannot start it: {target.refused}",
    )
    assert first is not None
    expect(
        first.start.state is not StartState.EXITED,
        expected="a container that runs until /ping answers 200, and after",
        actual=first.start.describe(),
        fix=" ".join(filter(None, [fix(first.start), ONLY_EVER if labelled(target) else ""])),
    )


@check(
    MUST,
    "The server listens on port 8080 of every interface, not only on the loopback.",
    source=contract("1.6"),
    catalogue="SRV-005",
    caught_by=("loopback-only", "port-5000"),
    aws_shows=PING_FAILED,
    fix='Bind 0.0.0.0:8080: app.run(host="0.0.0.0", port=8080), gunicorn --bind 0.0.0.0:8080,'
    " nginx listen 8080.",
    needs=("stays-alive",),
    requires=(Capability.SOCKETS,),
)
def test_listens_on_8080(start: Subject) -> None:
    if start.ready:
        return
    port = start.limits.port
    finding = start.finding
    certain = finding is not None and finding.sign is Sign.OTHER_ADDRESS
    try:
        sockets = start.sockets()
    except EngineUnavailable:
        sockets = []
    if not sockets:
        not_applicable(f"nothing listens after {start.start.seconds:.1f} s: see ready-in-time")
    loopback = any(socket.port == port for socket in sockets)
    why = "the loopback, where only the container itself can ask" if loopback else "another port"
    expect(
        not certain and any(reachable(socket, port) for socket in sockets),
        expected=f"a listening socket on 0.0.0.0:{port}",
        actual=f"it listens only on {where(sockets)}: {why}",
    )


@check(
    MUST,
    "Requests with the platform's Host header, model.aws.local:8080, are answered like any other.",
    source=contract("1.17"),
    catalogue="PNG-008",
    caught_by="host-allow-list",
    aws_shows=PING_FAILED,
    fix='Allow every Host: Django ALLOWED_HOSTS = ["*"], Starlette without TrustedHostMiddleware,'
    " nginx server_name _.",
    needs=("listens-on-8080",),
)
def test_real_host_header(start: Subject) -> None:
    if start.ready:
        return
    finding = start.finding
    expect(
        finding is None or finding.sign is not Sign.OTHER_HOST,
        expected=f"200 with Host: {PLATFORM_HEADERS['Host']}",
        actual=finding.text if finding else "",
        reproduce=PING.curl(LOCAL),
    )
    if start.start.answered is None:
        not_applicable(f"/ping was never answered: {start.start.describe()}")


@check(
    MUST,
    "GET /ping answers 200 at exactly this path, without a redirect, credentials or a body.",
    source=contract("2.1"),
    catalogue="PNG-001",
    caught_by=("ping-redirects", "ping-404"),
    aws_shows=PING_FAILED,
    fix='Serve the path "/ping" itself (Flask: strict_slashes=False, or the route without a slash'
    " at its end), for GET, without a login.",
    needs=("real-host-header",),
)
def test_ping_200(start: Subject) -> None:
    last = start.start.answered
    if start.ready:
        return
    if last is None or last.status in SERVER_ERRORS:
        not_applicable(f"/ping may only be late: {start.start.describe()}; see ready-in-time")
    expect(
        False,
        expected="HTTP 200",
        actual=f"{start.finding.text}; {last}" if start.finding else start.start.why(),
        fix=fix(start.start),
        reproduce=PING.curl(LOCAL),
    )


@check(
    MUST,
    "/ping answers 200 within the platform's window, at the memory and CPU of the endpoint.",
    source=contract("2.9"),
    catalogue="SRV-001",
    caught_by=("slow-start", "ping-500", "ping-hangs", "waits-for-network"),
    aws_shows=STARTUP_TIMEOUT,
    fix="Load less or load faster: no downloads at start, a smaller or memory-mapped model, imports"
    " that serving does not need left out; or more memory, which brings more CPU.",
    needs=("stays-alive", "listens-on-8080", "ping-200"),
)
def test_ready_in_time(start: Subject) -> None:
    window = start.limits.startup_seconds
    expect(
        start.ready,
        expected=f"200 on /ping within {window:g} s of the start",
        actual=start.start.describe(),
        fix=fix(start.start),
    )
    advise(
        start.start.seconds <= window / 3,
        expected=f"200 within a third of the window, {window / 3:g} s: the model's download from"
        " S3 and a slower machine come on top",
        actual=start.start.describe(),
    )


@check(
    SHOULD,
    "The container starts and serves without a network.",
    source=failures("3.12"),
    catalogue="SRV-003",
    caught_by="downloads-at-start",
    aws_shows=PING_FAILED,
    fix="Put everything into the image when it is built: packages, NLTK data, tokenizers, weights"
    " (or into model.tar.gz). Set HF_HUB_OFFLINE=1 to find what still downloads.",
    requires=(Capability.ISOLATION,),
)
def test_starts_without_network(target: Target, container: Subject) -> None:
    trial = sandbox(target, "network")
    expect(
        trial.served,
        expected="a container that serves with no way out",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(dataclasses.replace(target.spec, network=False)),
    )

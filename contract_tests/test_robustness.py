"""Chapter robustness: requests that nobody sends on purpose, made from the user's own.

Owns: the clauses on what such a request may do. Must not know: how requests are made
(`generated*.py`), how the search for harmful ones goes (`generated_explore`). One search serves all
checks; what a 5xx tells is the chapter invocations' to say.
"""

from __future__ import annotations

from contract_tests import shell_line
from contract_tests.check import (
    LOCAL,
    SHOULD,
    ContractViolation,
    blocked,
    check,
    not_applicable,
)
from contract_tests.generated_explore import Exploration, Found, exploration
from contract_tests.generated_probe import Kind, answered, request, shows_stack
from contract_tests.target import Target
from emulator.errors import INVOCATION_TIMEOUT, NO_RESPONSE, SERVER_ERROR
from emulator.http import Reply
from emulator.sources import contract, failures


@check(
    SHOULD,
    "No request ends the container, or spoils the answers to later ones.",
    source=contract("3.26"),
    catalogue="GEN-001",
    caught_by="stack-overflow",
    aws_shows=NO_RESPONSE,
    fix="Check the body's form and sizes before native code gets it, keep the interpreter's own"
    " recursion limit, and change no state before a request is known to be good. A dead worker's"
    " place must be taken by another.",
)
def test_generated_bodies_end_nothing(target: Target) -> None:
    expected = "an answer (2xx or 4xx), and later requests answered as before"
    judge(exploration(target), (Kind.ENDED, Kind.STUCK), expected)


@check(
    SHOULD,
    "Every request is answered in time, whatever its body and headers say.",
    source=contract("3.13"),
    catalogue="GEN-002",
    caught_by="answer-never-comes",
    aws_shows=INVOCATION_TIMEOUT,
    fix="Hand every exception of a background thread to the request that waits for it, wait with a"
    " time limit, and refuse numbers that make the work endless.",
)
def test_generated_bodies_are_answered(target: Target) -> None:
    seconds = target.limits.invocation_seconds
    expected = f"an answer (2xx or 4xx) within {seconds:g} s"
    judge(exploration(target), (Kind.UNANSWERED,), expected)


@check(
    SHOULD,
    "No request has its connection closed without an answer.",
    source=contract("3.26"),
    catalogue="GEN-004",
    caught_by="exception-closes-connection",
    aws_shows=NO_RESPONSE,
    fix="Answer 500 where an exception is not expected, instead of closing the connection. If a"
    " worker dies of it, the log below and the number of kills tell why: memory, or its stack.",
)
def test_generated_bodies_lose_no_connection(target: Target) -> None:
    known: Reply | None = target.notes.get("malformed")
    if known is not None and not answered(known):
        not_applicable("a malformed body gets no answer already: see malformed-body")
    judge(exploration(target), (Kind.CLOSED,), "an answer (2xx or 4xx)")


@check(
    SHOULD,
    "No answer shows the stack of the program.",
    source=failures("3.27"),
    catalogue="GEN-003",
    caught_by="traceback-of-wrong-types",
    aws_shows=SERVER_ERROR,
    fix="Catch what the model code raises on well-formed bodies of the wrong form (KeyError,"
    " TypeError), answer 400 with one line of text, and keep the traceback for the log.",
)
def test_generated_bodies_show_no_stack(target: Target) -> None:
    known: Reply | None = target.notes.get("malformed")
    if known is not None and shows_stack(known):
        not_applicable("the answer to a malformed body shows it already: see malformed-body")
    judge(exploration(target), (Kind.STACK,), "an answer (2xx or 4xx) without a stack")


def judge(search: Exploration, kinds: tuple[Kind, ...], expected: str) -> None:
    """Fails with the smallest case of the first of these kinds."""
    kind = next((kind for kind in kinds if kind in search.found), None)
    if kind is None:
        if search.cut_short:
            blocked(f"the generated requests ended early: {search.cut_short}")
        return
    found = search.smallest(kind)
    raise ContractViolation(
        expected=expected,
        actual=told(found),
        reproduce=shell_line.line(request(found.case), LOCAL),
        log=found.seen.log,
    )


def told(found: Found) -> str:
    """What was sent, what came of it, and how far it was made smaller."""
    case, seen = found.case, found.seen
    size = f"{len(case.body):,} bytes as {case.content_type[:60]}"
    words = f"{case.how} ({size}): {seen.kind.value}: {seen.reply}{seen.words}"
    if found.larger is not None:
        first = found.larger
        before = f"request {first.sent} of {len(first.case.body):,} bytes"
        words += f". Made smaller from {before}, {first.seen.reply.outcome.value}"
        words += f" after {first.seen.reply.seconds:.2f} s"
    else:
        words += f". Request {found.sent} of those generated"
    if found.cut:
        words += "; a smaller one may do, too: the time or the restarts for the search were used up"
    return words

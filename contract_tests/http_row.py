"""Which requests follow each other on one connection, and what shows that one disturbs the next.

Owns: the row, and reading its answers. Must not know: how it is sent (`raw_http`), verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from contract_tests.raw_http import Turn
from contract_tests.settings import Payload
from emulator.http import Reply, Request
from emulator.instance import PING, invocation

UNKNOWN_TYPE = "application/x-byoc-unknown"
IN_A_ROW = 20
ODD_EVERY = 5
"""Every fifth request is one that many servers refuse before they have read its body."""


def odd_one(payload: Payload) -> Request:
    return invocation(payload.body, UNKNOWN_TYPE)


def row_of(payload: Payload, *, slow: bool) -> list[Request]:
    """Good requests and pings in turn, with some among them that may be refused early. Of a slow
    model as few as show what matters.
    """
    good, odd = invocation(payload.body, payload.content_type), odd_one(payload)
    if slow:
        return [PING, odd, PING, PING]
    return [
        odd if number % ODD_EVERY == 0 else PING if number % 2 else good
        for number in range(1, IN_A_ROW + 1)
    ]


def wrong_turn(turns: Sequence[Turn]) -> str | None:
    """What goes wrong because a connection is used again; None when nothing does."""
    for number, turn in enumerate(turns, start=1):
        if turn.unasked:
            before = said(turns[number - 2].reply)
            return f"after request {number - 1} ({before}) it sent another answer: {turn.unasked}"
        odd = turn.reply.request.headers.get("Content-Type") == UNKNOWN_TYPE
        if turn.reused and not odd and not turn.reply.ok:
            return (
                f"request {number} on a connection: {turn.reply}; before it came"
                f" {said(turns[number - 2].reply)}"
            )
    return None


def said(reply: Reply) -> str:
    kind = reply.request.headers.get("Content-Type")
    what = f"{reply.request.method} {reply.request.path}" + (f" as {kind}" if kind else "")
    return f"{what}, answered {reply.status or reply.outcome.value}"

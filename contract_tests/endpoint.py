"""The one rehearsal that a run's checks share, and what can be read out of it.

Owns: when it is played, the freeze beside it, which answers belong together. Must not know:
clauses, verdicts, how an endpoint works (`rehearsal`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from contract_tests.check import Blocked
from contract_tests.rehearsal import AT_ONCE, Rehearsal, Stage
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.http import Reply

FROZEN_SECONDS = 2.0
CONTROL_SECONDS = 10.0
"""One that was not frozen is asked at the age of the one that was, up to this: some containers end
by themselves."""

SLOW_START_SECONDS = 20.0
"""Containers that take longer to start are not started several at once: on this machine they would
get in each other's way, and the run would take minutes. With --slow they are."""


def rehearsal(target: Target) -> Rehearsal:
    """What the endpoint showed; seen once. The shared container is frozen beside it, so that the
    run does not wait for that.
    """
    if "rehearsal failed" in target.notes:
        raise Blocked(f"the endpoint could not be run: {target.notes['rehearsal failed']}")
    if "rehearsal" not in target.notes:
        try:
            with target.progress.doing("an endpoint of new instances answers, rests and is frozen"):
                target.notes["rehearsal"] = _rehearse(target)
        except Exception as error:
            target.notes["rehearsal failed"] = str(error)  # told once, then it only blocks
            raise
    seen = target.notes["rehearsal"]
    assert isinstance(seen, Rehearsal)
    return seen


def _rehearse(target: Target) -> Rehearsal:
    container = target.container()
    slow = container.start.seconds > SLOW_START_SECONDS and not target.settings.slow
    stage = Stage(
        target.spec,
        target.settings.payload,
        engine=target.engine,
        http=target.http,
        clock=target.clock,
        limits=target.limits,
        at_once=1 if slow else AT_ONCE,
    )
    if not freezes(target):
        return target.call(stage.run)
    container.freeze()
    thawed = container.thaw_later(FROZEN_SECONDS)
    try:
        seen = target.call(stage.run)
    finally:
        thawed.result()
    target.notes["thaw"] = _thaw(target, container)
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw:
    """How the shared container did after it was frozen, and after a failure, how one did that ran
    through the same time.
    """

    reply: Reply
    ping: Reply
    log: str
    control: Reply | None = None

    @property
    def ok(self) -> bool:
        return self.reply.ok and self.ping.ok


def _thaw(target: Target, container: Subject) -> Thaw:
    payload = target.settings.payload[0]
    container.may_end = True
    thaw = Thaw(reply=container.invoke(payload), ping=container.ping(), log=container.logs())
    if thaw.ok:
        container.may_end = False
        return thaw
    age = min(target.now() - container.ready_since, CONTROL_SECONDS)
    target.discard()
    try:
        other = target.container()
    except Blocked:  # the next check that asks for one is told why
        return thaw
    target.pause(max(FROZEN_SECONDS, age))
    return replace(thaw, control=other.invoke(payload))


def freezes(target: Target) -> bool:
    """Instances of the real-time kind are never frozen."""
    able = Capability.FREEZE in target.engine.capabilities
    return able and target.settings.profile == "serverless"


def told_again(seen: Rehearsal) -> bytes | None:
    """The last payload's answer, when the first one gets it each time that it comes right after,
    and never else: on the same instance, for instances may tell their names.
    """
    one, _, two, own = seen.after
    alone = seen.first[-1].body
    together = [answer for round_ in [seen.starting, *seen.rounds] for answer in round_]
    else_ = {own.body, *(answer.body for answer in together if answer.instance == own.instance)}
    steady = len(else_) == 1 and len({answer.body for answer in seen.fresh}) == 1
    again = one.payload != seen.first[-1].payload and one.body == two.body == alone
    return alone if steady and again and alone not in else_ else None


def by_instance(seen: Rehearsal, payload: Payload) -> dict[int | None, list[bytes]]:
    """The answers to a request, of the instances that gave more than one."""
    groups: dict[int | None, list[bytes]] = {}
    for answer in seen.answers:
        if answer.ok and answer.payload == payload:
            groups.setdefault(answer.instance, []).append(answer.body)
    return {number: bodies for number, bodies in groups.items() if len(bodies) > 1}

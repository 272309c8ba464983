"""The deployments that a run's checks share, each seen once.

Owns: when they are played, and the words that several checks have in common. Must not know: how a
template or a script is played, clauses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from contract_tests.check import Blocked, expect, not_applicable
from contract_tests.deploy_local import SERVER, LocalAws, Status, open_local
from contract_tests.deploy_script import Play, ScriptSeen, region_of
from contract_tests.deploy_seen import Asked, Refusal, Seen
from contract_tests.deploy_stacks import Stacks, StacksSeen
from contract_tests.deploy_template import Deployable, read_all
from contract_tests.settings import Settings
from contract_tests.target import Target
from emulator.api.runtime import REGION

T = TypeVar("T")

SERVER_NOTE = "deploy server"
"""In a target's notes: another server's command, for tests."""


def stacks(target: Target) -> StacksSeen:
    """What became of the run's templates."""
    return _once(target, "stacks", lambda: _play_stacks(target))


def script(target: Target) -> ScriptSeen:
    """What became of the run's script."""
    return _once(target, "script", lambda: _play_script(target))


def _once(target: Target, what: str, play: Callable[[], T]) -> T:
    if f"{what} failed" in target.notes:
        raise Blocked(f"it could not be deployed: {target.notes[f'{what} failed']}")
    if what not in target.notes:
        try:
            target.notes[what] = play()
        except Exception as error:
            target.notes[f"{what} failed"] = str(error)  # told once, then it only blocks
            raise
    found: T = target.notes[what]
    return found


def templates(settings: Settings) -> list[Deployable]:
    """Those of the run, read. Raises Usage."""
    return read_all(
        settings.template, settings.template_parameter, settings.region, _usual_region()
    )


def _usual_region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION


def _play_stacks(target: Target) -> StacksSeen:
    settings = target.settings
    play = Stacks(
        templates=templates(settings), payloads=settings.payload, model_data=settings.model_data
    )
    if not play.judged_unplayed():
        with _local(target, play.templates[0].region) as aws:
            play.play(aws)
    return play.seen


def _play_script(target: Target) -> ScriptSeen:
    settings = target.settings
    assert settings.deploy_script is not None
    play = Play(
        script=settings.deploy_script, payloads=settings.payload, model_data=settings.model_data
    )
    region = settings.region or region_of(settings.deploy_script) or _usual_region()
    with _local(target, region) as aws:
        play.play(aws)
    return play.seen


def _local(target: Target, region: str) -> LocalAws:
    server: Sequence[str] = target.notes.get(SERVER_NOTE, SERVER)
    reference = target.image.reference
    return open_local(reference, region, target.settings.startup_seconds, server)


# -- what checks have in common ------------------------------------------------------------------


def expect_taken(refused: Sequence[Refusal], what: str, reproduce: str = "") -> None:
    """Nothing that AWS refuses. The first one's cure stands for all."""
    expect(
        not refused,
        expected=f"{what} that AWS takes",
        actual="\n".join(str(one) for one in refused),
        fix=refused[0].change if refused else "",
        reproduce=reproduce,
    )


def expect_in_service(seen: Seen, repositories: Sequence[str]) -> None:
    """Every endpoint that was made."""
    failed: Status | None = seen.failed[0] if seen.failed else None
    if failed is not None and len(set(repositories)) > 1:
        not_applicable(
            f"endpoint {failed.name} failed, but of {', '.join(sorted(set(repositories)))} only one"
            " is the image under test, which stood for all of them here"
        )
    if failed is None and not seen.in_service:
        not_applicable(seen.stopped or "no endpoint was made")
    expect(
        failed is None,
        expected="every endpoint to get InService",
        actual="" if failed is None else f"{failed.name} is Failed: {failed.failure_reason}",
        log="" if failed is None else failed.log,
    )


def expect_answered(asked: Sequence[Asked], seen: Seen, when: str) -> None:
    """Each request a success."""
    if not asked:
        not_applicable(seen.stopped or "no endpoint was there to be asked")
    bad = [one for one in asked if not one.ok]
    expect(
        not bad,
        expected=f"a success for each request {when}",
        actual="\n".join(map(str, bad)),
    )

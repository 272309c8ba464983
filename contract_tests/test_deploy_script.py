"""Chapter deploy_script: the user's own script, run as it is against a local SageMaker.

Owns: the clauses on scripts. Must not know: how one is run (`deploy_script`). A script that ends
badly for a reason that is not AWS's (arguments, packages, another service) is not judged.
"""

from __future__ import annotations

from contract_tests.check import (
    INFO,
    MUST,
    PAYLOAD,
    SCRIPT,
    SHOULD,
    check,
    expect,
    not_applicable,
)
from contract_tests.deploy import expect_answered, expect_in_service, expect_taken, script
from contract_tests.deploy_local import NOT_EMULATED
from contract_tests.target import Target
from emulator.errors import PING_FAILED, SERVER_ERROR, PlatformText
from emulator.sources import contract

REFUSED = PlatformText(
    where="the script's output",
    text="botocore.exceptions.ClientError: An error occurred (ValidationException) when calling the"
    " <operation> operation: <AWS's text>",
    source=contract("6.3"),
)
ALREADY = PlatformText(
    where="the script's output, on the second deployment",
    text="An error occurred (ValidationException) when calling the CreateEndpointConfig operation:"
    ' Cannot create already existing endpoint configuration "<arn>".',
    source=contract("6.49"),
)


@check(
    MUST,
    "AWS takes the calls of the deploy script.",
    source=contract("6.3"),
    catalogue="DEP-006",
    caught_by="script-amazon-com",
    aws_shows=REFUSED,
    fix="Change the call that is told.",
    requires=(SCRIPT,),
)
def test_script_is_taken(target: Target) -> None:
    seen = script(target)
    first = seen.first
    assert first is not None
    # It may try a thing and take the refusal for an answer: what comes of it counts.
    if first.exit_code == 0 and seen.in_service:
        return
    expect_taken(seen.refused, "calls")
    expect(not seen.invalid, expected="calls that botocore sends", actual=seen.invalid)
    if seen.stopped or (first.exit_code != 0 and not seen.failed):
        not_applicable(seen.stopped or f"it cannot be run here: {first}")


@check(
    MUST,
    "The endpoint that the script makes gets InService with the image.",
    source=contract("6.27"),
    catalogue="DEP-007",
    caught_by="script-environment",
    aws_shows=PING_FAILED,
    fix="The image starts by itself: look at what the script gives it and the run did not, as"
    " Environment, MemorySizeInMB, ModelDataUrl.",
    needs=("ready-in-time", "script-is-taken"),
    requires=(SCRIPT,),
)
def test_script_gets_in_service(target: Target) -> None:
    seen = script(target)
    expect_in_service(seen, seen.repositories)


@check(
    MUST,
    "The endpoint that the script makes answers the good request.",
    source=contract("3.9"),
    catalogue="DEP-008",
    caught_by="script-other-model",
    aws_shows=SERVER_ERROR,
    fix="The image answers it by itself: look at what the script gives it and the run did not, as"
    " Environment, MemorySizeInMB, ModelDataUrl.",
    needs=("golden-invocation", "script-gets-in-service"),
    requires=(SCRIPT, PAYLOAD),
)
def test_script_answers_payload(target: Target) -> None:
    seen = script(target)
    if seen.removed:
        not_applicable("the script deletes the endpoint that it made")
    expect_answered(seen.asked, seen, "through the endpoint")


@check(
    SHOULD,
    "The script can be run again, as for the next version.",
    source=contract("6.49"),
    catalogue="DEP-009",
    caught_by="script-fixed-names",
    aws_shows=ALREADY,
    fix="Name the model and the configuration after what is in them (a digest, the image's tag), or"
    " make a name from the time; when the endpoint is there, call UpdateEndpoint with the new"
    " configuration in place of CreateEndpoint.",
    needs=("script-gets-in-service",),
    requires=(SCRIPT,),
)
def test_script_runs_again(target: Target) -> None:
    seen = script(target)
    again = seen.again
    if again is None:
        not_applicable(seen.stopped or "its first run did not end well")
    refused = [call for call in again.refused if call.code != NOT_EMULATED]
    command = target.settings.deploy_script
    assert command is not None
    if given := [call.resource for call in refused if command.names(call.resource)]:
        not_applicable(f"the name {given[0]} is told by its arguments: a next version has another")
    if again.exit_code != 0 and not refused:
        not_applicable(f"its second run failed for a reason of its own: {again}")
    expect(
        again.exit_code == 0,
        expected="a second run that ends well",
        actual="\n".join(f"{c.operation} {c.resource}: {c.code}: {c.message}" for c in refused),
    )
    answered = all(asked.ok for asked in seen.asked)  # else that is told already
    bad = [asked for asked in seen.asked_again if answered and not asked.ok]
    expect(
        not bad,
        expected="a success for the good request after the second run",
        actual="\n".join(map(str, bad)),
    )


@check(
    INFO,
    "A script that deletes its endpoint deletes its configuration and model, too.",
    source=contract("6.28"),
    catalogue="DEP-010",
    caught_by="script-deletes-endpoint-only",
    fix="Call DeleteEndpointConfig and DeleteModel after DeleteEndpoint, which deletes neither.",
    needs=("script-gets-in-service",),
    requires=(SCRIPT,),
)
def test_script_leaves_nothing(target: Target) -> None:
    seen = script(target)
    if not seen.removed:
        not_applicable("its endpoint is to stay")
    expect(
        not seen.left,
        expected="nothing that the script made to be there when it has deleted its endpoint",
        actual=", ".join(seen.left),
    )

"""Chapter deploy_template: the user's CloudFormation, deployed with the image under test.

Owns: the clauses on templates. Must not know: how one is played (`deploy_stacks`). What only this
machine lacks is skipped with its reason; a template is blamed for what it says alone.
"""

from __future__ import annotations

import shlex

from contract_tests.check import (
    INFO,
    MUST,
    PAYLOAD,
    SHOULD,
    TEMPLATE,
    check,
    expect,
    not_applicable,
)
from contract_tests.deploy import (
    expect_answered,
    expect_in_service,
    expect_taken,
    stacks,
    templates,
)
from contract_tests.target import Target
from emulator.errors import PING_FAILED, SERVER_ERROR, PlatformText
from emulator.sources import contract

REFUSED = PlatformText(
    where="CloudFormation's events, CREATE_FAILED",
    text="<AWS's text> (Service: AmazonSageMaker; Status Code: 400; Error Code:"
    " ValidationException; ...), and the stack is rolled back",
    source=contract("6.3"),
)
REPLACED = PlatformText(
    where="CloudFormation's events, UPDATE_FAILED",
    text="CloudFormation cannot update a stack when a custom-named resource requires replacing."
    " Rename <name> and update the stack again.",
    source=contract("6.9"),
)


@check(
    MUST,
    "AWS takes the templates and every call that they make.",
    source=contract("6.3"),
    catalogue="DEP-001",
    caught_by="template-over-200",
    aws_shows=REFUSED,
    fix="Change the template where it is told; `byoc lint TEMPLATE` finds most of it in a moment.",
    requires=(TEMPLATE,),
)
def test_template_is_taken(target: Target) -> None:
    seen = stacks(target)
    settings = target.settings
    region = ["--region", settings.region] if settings.region else []
    words = ["byoc", "lint", *map(str, settings.template), *region]
    expect_taken(seen.refused, "templates", shlex.join(words))
    if seen.stopped:
        not_applicable(seen.stopped)


@check(
    MUST,
    "The endpoints that the templates make get InService with the image.",
    source=contract("6.27"),
    catalogue="DEP-002",
    caught_by="template-environment",
    aws_shows=PING_FAILED,
    fix="The image starts by itself: look at what the template gives it and the run did not, as"
    " Environment, MemorySizeInMB, ModelDataUrl.",
    needs=("ready-in-time", "template-is-taken"),
    requires=(TEMPLATE,),
)
def test_template_gets_in_service(target: Target) -> None:
    seen = stacks(target)
    images = [image.repository for one in templates(target.settings) for image in one.images()]
    expect_in_service(seen, images)


@check(
    MUST,
    "The endpoints that the templates make answer the good request.",
    source=contract("3.9"),
    catalogue="DEP-003",
    caught_by="template-other-model",
    aws_shows=SERVER_ERROR,
    fix="The image answers it by itself: look at what the template gives it and the run did not, as"
    " Environment, MemorySizeInMB, ModelDataUrl.",
    needs=("golden-invocation", "template-gets-in-service"),
    requires=(TEMPLATE, PAYLOAD),
)
def test_template_answers_payload(target: Target) -> None:
    seen = stacks(target)
    expect_answered(seen.asked, seen, "through the endpoint")


@check(
    SHOULD,
    "A new image and another memory size can be deployed by an update of the stack.",
    source=contract("6.9"),
    catalogue="DEP-004",
    caught_by="template-fixed-names",
    aws_shows=REPLACED,
    fix="Leave ModelName and EndpointConfigName out: CloudFormation then names each version anew,"
    " and updates the endpoint in place. Or make the version a part of both names.",
    needs=("template-gets-in-service",),
    requires=(TEMPLATE,),
)
def test_template_can_be_updated(target: Target) -> None:
    seen = stacks(target)
    changing = [
        name
        for name in seen.named
        if any(one.changes_by_itself(name) for one in templates(target.settings))
    ]
    if changing and len(changing) == len(seen.named):
        not_applicable(f"{', '.join(changing)} looks as if each version had a name of its own")
    if not (seen.updated or seen.not_updated):
        not_applicable(seen.no_update or seen.stopped or "what it makes does not work")
    expect(
        seen.updated,
        expected="the same template with the image's next tag and another memory size to update"
        " the stack, and with it the endpoint",
        actual=seen.not_updated,
    )
    bad = [asked for asked in seen.asked_again if not asked.ok]
    expect(
        not bad,
        expected="a success for the good request after the update",
        actual="\n".join(map(str, bad)),
    )


@check(
    INFO,
    "With its stack everything that a template made goes away.",
    source=contract("6.28"),
    catalogue="DEP-005",
    caught_by="template-retains",
    fix="Where it is not meant, take DeletionPolicy and UpdateReplacePolicy: Retain out: an"
    " endpoint that stays costs money with each instance, a model or configuration that stays is in"
    " the next stack's way when it has a fixed name.",
    needs=("template-gets-in-service",),
    requires=(TEMPLATE,),
)
def test_template_leaves_nothing(target: Target) -> None:
    seen = stacks(target)
    if not (seen.deleted or seen.not_deleted):
        not_applicable(seen.stopped or "its stack was not made")
    expect(
        seen.deleted,
        expected="the stack to be deleted",
        actual=seen.not_deleted,
    )
    expect(
        not seen.left,
        expected="nothing of it to be there after the stack was deleted",
        actual=", ".join(seen.left),
    )

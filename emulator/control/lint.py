"""What CloudFormation or SageMaker would refuse of a template, without deploying it.

Owns: the search. Must not know: rules' contents, functions, YAML, terminals. Property names are the
call's members one to one, so the same rules judge both; what a template leaves to the deployment is
no problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emulator.control.coerce import coerced
from emulator.control.problem import Problem, keys_of, shown
from emulator.control.rule import VALIDATION, Call, arn
from emulator.control.rules import RULES, SERIALIZATION
from emulator.control.rules_endpoint import NO_CONFIGURATION, NO_MODEL
from emulator.control.service_model import Broken, Finding, Unknown, findings, input_shape
from emulator.control.template import Place, Stack, Type
from emulator.control.template_text import Keys, Template
from emulator.control.template_world import World
from emulator.control.unknown import UNKNOWN, NotKnown, kept
from emulator.control.variants import model_names
from emulator.runtime_errors import OWN_WORDS

TEMPLATE = "ValidationError"
"""CloudFormation's code for a template that it does not take."""

COMPARE_REGION = frozenset({"image-region"})
"""Rules that are left out where the region is not told."""

NO_RESOURCES = "Template format error: At least one Resources member must be defined."
DANGLING = (
    "Template format error: Unresolved resource dependencies [<name>] in the Resources block of the"
    " template"
)
UNSUPPORTED = f"Encountered unsupported property <name>. {OWN_WORDS}"


def lint(
    template: Template, parameters: Mapping[str, Any] | None = None, *, place: Place | None = None
) -> list[Problem]:
    """All problems, resource by resource. `parameters` are values for the template's Parameters."""
    stack = Stack(template.body, parameters or {}, place or Place())
    return list(_Search(template, stack).run())


class _Search:
    """One run over one template."""

    def __init__(self, template: Template, stack: Stack) -> None:
        self._template = template
        self._stack = stack
        kinds = dict(stack.of_sagemaker())
        self._bodies = {logical: self._body(logical, kind) for logical, kind in kinds.items()}
        self._sound = {
            logical: self._bodies[logical] if is_sound(kind, self._bodies[logical]) else UNKNOWN
            for logical, kind in kinds.items()
        }

    def run(self) -> Iterator[Problem]:
        if not self._stack.resources:
            yield self._problem(("Resources",), TEMPLATE, NO_RESOURCES, "resources",
                                "Declare a resource.")  # fmt: skip
        if "Transform" not in self._template.body:  # a transform may declare more
            yield from self._dangling()
        for logical, kind in self._stack.of_sagemaker():
            yield from self._members(logical, kind)
            if self._sound[logical] is not UNKNOWN:  # as AWS: rules come after constraints
                yield from self._rules(logical, kind)
                yield from self._order(logical, kind)

    def _problem(self, keys: Keys, code: str, text: str, rule: str, change: str) -> Problem:
        line = self._template.line(keys)
        return Problem(path=shown(keys), code=code, text=text, rule=rule, change=change, line=line)

    def _body(self, logical: str, kind: Type) -> Any:
        body = self._stack.properties(logical)
        if isinstance(body, dict):
            body = kept(body, {**body, kind.name_property: self._stack.name(logical)})
        for operation in kind.operations:
            body = coerced(input_shape(operation), body)
        return body

    def _dangling(self) -> Iterator[Problem]:
        """Names that stand for nothing."""
        there = {*self._stack.resources, *self._stack.declared}
        for logical, body in self._stack.resources.items():
            for name in sorted(self._stack.names(body) - there):
                if name.isalnum():
                    yield self._problem(
                        ("Resources", logical),
                        TEMPLATE,
                        DANGLING.replace("<name>", name),
                        "dangling-reference",
                        f"Declare {name}, or correct its name.",
                    )

    def _members(self, logical: str, kind: Type) -> Iterator[Problem]:
        """What the service model says of each property."""
        body = self._bodies[logical]
        for operation, part in calls(kind, body):
            for finding in findings(operation, part):
                where = ("Resources", logical, "Properties", *keys_of(finding.path, body))
                yield self._problem(where, *_told(finding))

    def _rules(self, logical: str, kind: Type) -> Iterator[Problem]:
        left_out = frozenset() if self._stack.place.region else COMPARE_REGION
        body = self._bodies[logical]
        world = World(self._stack, logical, self._sound)
        call = Call(operation=kind.operations[0], body=body, known=world)
        for rule in RULES:
            if call.operation not in rule.operations or rule.name in left_out:
                continue
            try:
                breach = rule.breach(call)
            except NotKnown:
                continue
            if breach is not None:
                where = ("Resources", logical, "Properties", *keys_of(breach["at"], body))
                yield self._problem(where, rule.code, rule.message(breach), rule.name, rule.says)

    def _order(self, logical: str, kind: Type) -> Iterator[Problem]:
        """A name that is written out makes CloudFormation wait for nothing."""
        waits = self._stack.depends[logical]
        for at, resource, name, text in _written(kind, self._bodies[logical]):
            named = [other for other, its in self._stack.of_sagemaker()
                     if its.resource == resource and self._is_surely(other, name)]  # fmt: skip
            if named and not waits.intersection(named):
                place, other = self._stack.place, named[0]
                whole = arn(resource, name, place.some_region, place.some_account)
                yield self._problem(
                    ("Resources", logical, "Properties", *keys_of(at, self._bodies[logical])),
                    VALIDATION,
                    text.replace("<arn>", whole),
                    "depends-on",
                    f'Write {{"Fn::GetAtt": ["{other}", "{resource}Name"]}} here, or add'
                    f' "DependsOn": ["{other}"] to {logical}.',
                )

    def _is_surely(self, logical: str, name: str) -> bool:
        found = self._stack.name(logical)
        return isinstance(found, str) and found == name and self._stack.is_made(logical) is True


def is_sound(kind: Type, body: Any) -> bool:
    """Whether rules can look at it: the service model finds nothing wrong but unknown members."""
    found = [finding for name, part in calls(kind, body) for finding in findings(name, part)]
    return all(isinstance(finding, Unknown) for finding in found)


def calls(kind: Type, body: Any) -> Iterator[tuple[str, Any]]:
    """The calls that a resource makes; an Endpoint has properties of its update, too."""
    create, *update = kind.operations
    if not isinstance(body, dict) or not update:
        yield create, body
        return
    first, second = input_shape(create), input_shape(update[0])
    later = {n: item for n, item in body.items() if n in second.members and n not in first.members}
    yield create, kept(body, {n: item for n, item in body.items() if n not in later})
    yield update[0], {**dict.fromkeys(second.required_members, "judged-above"), **later}


def _told(finding: Finding) -> tuple[str, str, str, str]:
    """Code, text, rule and change of a finding."""
    if isinstance(finding, Broken):
        return VALIDATION, str(finding), "service-model", "Give it a value that holds this."
    if isinstance(finding, Unknown):
        hint = finding.hint[0].upper() + finding.hint[1:]
        text = UNSUPPORTED.replace("<name>", finding.name)
        return TEMPLATE, text, "unsupported-property", hint
    return SERIALIZATION, f"{finding} {OWN_WORDS}", "type", f"Write {finding.expected}."


def _written(kind: Type, body: Any) -> Iterator[tuple[str, str, str, str]]:
    """Names of other resources that a resource says: where, what, which, and AWS's text."""
    try:
        if kind.resource == "EndpointConfig":
            for at, name in model_names(body):
                if isinstance(name, str):
                    yield at, "Model", name, NO_MODEL
        elif kind.resource == "Endpoint":
            name = body.get("EndpointConfigName")
            if isinstance(name, str):
                yield "EndpointConfigName", "EndpointConfig", name, NO_CONFIGURATION
    except NotKnown:
        return

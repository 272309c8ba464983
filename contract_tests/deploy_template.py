"""A template as it is read: what AWS would refuse of it, what it needs to be deployed, and what its
next version would look like.

Owns: these questions to one template. Must not know: the local SageMaker, verdicts. The linter of
`byoc lint` answers the first.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract_tests.deploy_seen import Refusal
from emulator.api.bystanders import Request, Said, bystanders
from emulator.api.runtime import ACCOUNT
from emulator.control.coerce import coerced
from emulator.control.image_uri import EcrImage, ecr_image
from emulator.control.lint import calls, lint
from emulator.control.problem import Problem
from emulator.control.service_model import input_shape
from emulator.control.template import Place, Stack, Type
from emulator.control.template_text import Template, read
from emulator.control.unknown import UNKNOWN, NotKnown
from emulator.errors import Usage
from emulator.limits import MEMORY_SIZES_MB

NEXT_TAG = "byoc-next"
NOWHERE = "xx-nowhere-0"
"""No region: an image that has it in its address takes that of the stack."""

_VERSIONED = re.compile(r"(?:^|[-_.])v?\d+$|[-_.][0-9a-f]{6,}$|\d{6}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployable:
    """One template with its parameters, as the stack of its file's name."""

    number: int = 0  # of those before it that have the same name
    path: Path
    template: Template
    parameters: Mapping[str, str]
    region: str

    @property
    def stack_name(self) -> str:
        stem = self.path.name.partition(".")[0]
        name = re.sub(r"[^A-Za-z0-9-]+", "-", stem).strip("-")
        name = (name if name[:1].isalpha() else f"stack-{name}")[:100].rstrip("-")
        return f"{name}-{self.number + 1}" if self.number else name

    @property
    def stack(self) -> Stack:
        place = Place(region=self.region, account=ACCOUNT, stack=self.stack_name)
        return Stack(self.template.body, self.parameters, place)

    @property
    def missing(self) -> list[str]:
        """Parameters that have no value."""
        declared = self.stack.declared
        return [
            name
            for name, one in declared.items()
            if name not in self.parameters and not (isinstance(one, dict) and "Default" in one)
        ]

    def values(self) -> list[dict[str, str]]:
        """The parameters as CloudFormation takes them, without those of another template."""
        there = self.stack.declared
        return [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in self.parameters.items()
            if name in there
        ]

    def problems(self) -> list[Problem]:
        """Nothing is compared with an account: that of the user is not known."""
        return lint(self.template, self.parameters, place=Place(region=self.region))

    def containers(self) -> Iterator[Mapping[str, Any]]:
        """The containers of every model, with all functions done."""
        stack = self.stack
        for logical, kind in stack.of_sagemaker():
            body = stack.properties(logical) if kind.resource == "Model" else None
            if isinstance(body, dict):
                several = _get(body, "Containers")
                first = _get(body, "PrimaryContainer")
                for one in [first, *(several if isinstance(several, list) else ())]:
                    if isinstance(one, dict):
                        yield one

    def images(self) -> list[EcrImage]:
        """As far as the template tells them."""
        uris = (_get(container, "Image") for container in self.containers())
        return [found for uri in uris if isinstance(uri, str) and (found := ecr_image(uri))]

    def model_data(self) -> list[str]:
        """What the models read from S3."""
        urls = (_get(container, "ModelDataUrl") for container in self.containers())
        return [url for url in urls if isinstance(url, str)]

    @property
    def has_endpoint(self) -> bool:
        return any(kind.resource == "Endpoint" for _, kind in self.stack.of_sagemaker())

    def requests(self) -> list[Request]:
        """The calls that it makes, in an order in which each finds what it needs."""
        stack = self.stack
        return [
            (operation, _told(part))
            for wanted in ("Model", "EndpointConfig", "Endpoint")
            for logical, kind in stack.of_sagemaker()
            if kind.resource == wanted
            for operation, part in calls(kind, _named(stack, logical, kind))
            if operation.startswith("Create") and isinstance(part, dict)
        ]

    def next_version(self) -> dict[str, Any] | None:
        """Another image and another size, as the next release of a model has; None where nothing of
        it is told in the template.
        """
        new: dict[str, Any] = copy.deepcopy(dict(self.template.body))
        changed = False
        stack = self.stack
        for logical, kind in stack.of_sagemaker():
            written = new["Resources"][logical].get("Properties")
            if kind.resource == "Model":
                changed |= self._next_images(written, stack)
            elif kind.resource == "EndpointConfig":
                changed |= _next_sizes(written, stack)
        return new if changed else None

    def _next_images(self, written: Any, stack: Stack) -> bool:
        several = _get(written, "Containers")
        changed = False
        for container in [
            _get(written, "PrimaryContainer"),
            *(several if isinstance(several, list) else ()),
        ]:
            uri = stack.resolve(_get(container, "Image"))
            image = ecr_image(uri) if isinstance(uri, str) else None
            if image is not None and image.tag and uri is not None:
                container["Image"] = uri.removesuffix(image.tag) + NEXT_TAG
                changed = True
        return changed

    def changes_by_itself(self, name: str) -> bool:
        """Whether a name of a model or configuration looks as if each version had its own."""
        if _VERSIONED.search(name):
            return True
        stack = self.stack
        for logical, kind in stack.of_sagemaker():
            body = stack.resources[logical].get("Properties")
            written = body.get(kind.name_property) if isinstance(body, dict) else None
            if stack.name(logical) == name and not isinstance(written, str):
                return True  # made of a parameter, or of another resource
        return False


def read_all(
    paths: Sequence[Path], parameters: Mapping[str, str], region: str, otherwise: str
) -> list[Deployable]:
    """Raises Usage for what is no template, and for parameters that none of them has. Without a
    region each goes where its image is; one without an image goes where the first one is, or to
    `otherwise`.
    """
    found: list[Deployable] = []
    for path in paths:
        same = sum(other.path.name == path.name for other in found)
        one = Deployable(
            path=path, template=read(path), parameters=parameters, region=NOWHERE, number=same
        )
        found.append(replace(one, region=region or _region_of(one)))
    declared = {name for one in found for name in one.stack.declared}
    if unknown := sorted(set(parameters) - declared):
        raise Usage(
            f"--template-parameter {unknown[0]}: no template has it. There are:"
            f" {', '.join(sorted(declared)) or 'none'}."
        )
    first = next((one.region for one in found if one.region), otherwise)
    return [one if one.region else replace(one, region=first) for one in found]


def _region_of(one: Deployable) -> str:
    """That of an image whose address does not take it from the stack."""
    return next((image.region for image in one.images() if image.region != NOWHERE), "")


def refusals(templates: Sequence[Deployable]) -> list[Refusal]:
    """What the linter finds, each with what botocore and moto say to the call."""
    found = [(one, one.problems()) for one in templates]
    if not any(problems for _, problems in found):
        return []
    requests = [request for one in templates for request in one.requests()]
    said = dict(zip(map(_key, requests), bystanders(requests), strict=True))
    return [
        Refusal(
            where=one.path.name if it.line is None else f"{one.path.name}:{it.line}",
            place=f"at {it.path}" if it.path else "",
            code=it.code,
            text=it.text,
            change=it.change,
            let_through=str(_said_to(one, it, said)),
        )
        for one, problems in found
        for it in problems
    ]


def _said_to(one: Deployable, problem: Problem, said: Mapping[tuple[str, str], Said]) -> Said:
    logical = problem.path.split(".")[1] if "." in problem.path else ""
    for name, kind in one.stack.of_sagemaker():
        if name == logical:
            key = kind.operations[0], str(one.stack.name(name))
            return said.get(key, Said())
    return Said()


def _key(request: Request) -> tuple[str, str]:
    operation, body = request
    return operation, str(body.get(operation.removeprefix("Create") + "Name"))


def _named(stack: Stack, logical: str, kind: Type) -> Any:
    body = stack.properties(logical)
    if isinstance(body, dict):
        body = {**body, kind.name_property: stack.name(logical)}
    return coerced(input_shape(kind.operations[0]), body)


def _told(value: Any) -> Any:
    """With a text in place of what only the deployment tells."""
    if value is UNKNOWN:
        return "told-by-the-deployment"
    if isinstance(value, dict):
        return {name: _told(item) for name, item in value.items()}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _next_sizes(written: Any, stack: Stack) -> bool:
    variants = _get(written, "ProductionVariants")
    changed = False
    for variant in variants if isinstance(variants, list) else ():
        serverless = _get(variant, "ServerlessConfig")
        if (size := _get(serverless, "MemorySizeInMB")) is not None:
            now = str(stack.resolve(size))
            serverless["MemorySizeInMB"] = _other_size(int(now) if now.isdecimal() else 2048)
            changed = True
        elif _get(variant, "InstanceType") is not None:
            weight = str(stack.resolve(_get(variant, "InitialVariantWeight")))
            variant["InitialVariantWeight"] = 1 if weight == "2" else 2
            changed = True
    return changed


def _other_size(now: int) -> int:
    """The next larger one: less could be too little."""
    larger = [size for size in MEMORY_SIZES_MB if size > now]
    return larger[0] if larger else MEMORY_SIZES_MB[-2]


def _get(value: Any, name: str) -> Any:
    """None also where only the deployment tells whether it is there."""
    try:
        return value.get(name) if isinstance(value, dict) else None
    except NotKnown:
        return None

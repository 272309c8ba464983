"""What is there while a stack is made: what the template itself declares, and an account that
nobody has looked into.

Owns: `Known` for one resource of a stack. Must not know: rules. A name that the template does not
declare may be in the account; asking for it is `NotKnown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from emulator.control.known import (
    SERVERLESS_CONCURRENCY,
    SERVERLESS_ENDPOINTS,
    Body,
    KnownEndpoint,
    KnownImage,
)
from emulator.control.template import ROLE, Stack
from emulator.control.unknown import NotKnown

T = TypeVar("T")


class Declared(Mapping[str, T]):
    """Named things that are surely there; about every other name nothing is known."""

    def __init__(self, there: Mapping[str, T]) -> None:
        self._there = there

    def __getitem__(self, name: str) -> T:
        if name not in self._there:
            raise NotKnown
        return self._there[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._there:
            raise NotKnown
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)


class World:
    """What one resource of a stack finds when it is made."""

    def __init__(self, stack: Stack, logical: str, bodies: Mapping[str, Any]) -> None:
        self._stack = stack
        self.region = stack.place.some_region
        self.account = stack.place.some_account
        self.account_is_told = stack.place.account is not None
        self.serverless_endpoints = SERVERLESS_ENDPOINTS
        self.serverless_concurrency = SERVERLESS_CONCURRENCY
        there = {
            kind: dict(self._others(logical, kind, bodies))
            for kind in ("Model", "EndpointConfig", "Endpoint")
        }
        self.models: Mapping[str, Body] = Declared(there["Model"])
        self.configurations: Mapping[str, Body] = Declared(there["EndpointConfig"])
        self.endpoints: Mapping[str, KnownEndpoint] = Declared(
            {
                name: KnownEndpoint(status="Creating", configuration=self._configuration(body))
                for name, body in there["Endpoint"].items()
            }
        )

    def image(self, uri: str) -> KnownImage | None:  # noqa: ARG002  nobody has looked
        return KnownImage()

    def model_data(self, url: str) -> bool | None:  # noqa: ARG002
        return None

    def role(self, arn: str) -> bool | None:
        """Whether a role of this template lets SageMaker assume it."""
        for logical, body in self._stack.resources.items():
            if body.get("Type") == ROLE and self._stack.role_arn(logical) == arn:
                return trusts(self._stack.properties(logical))
        return None

    def _others(
        self, logical: str, kind: str, bodies: Mapping[str, Any]
    ) -> Iterator[tuple[str, Body]]:
        for other, its in self._stack.of_sagemaker():
            if other == logical or its.resource != kind or not self._stack.is_made(other):
                continue
            name = self._stack.name(other)
            if isinstance(name, str):
                yield name, bodies[other]

    def _configuration(self, endpoint: Body) -> Body | None:
        try:
            return self.configurations[endpoint["EndpointConfigName"]]
        except (KeyError, NotKnown):
            return None


def trusts(role: Any) -> bool | None:
    """Whether a role's trust policy lets SageMaker assume it; None when that is not known."""
    try:
        statements = role["AssumeRolePolicyDocument"]["Statement"]
        listed = [statements] if isinstance(statements, dict) else list(statements)
        return any(_trusts(statement) for statement in listed)
    except (NotKnown, KeyError, TypeError, AttributeError):
        return None


def _trusts(statement: Mapping[str, Any]) -> bool:
    principal = statement["Principal"]
    everybody = principal == "*" or (isinstance(principal, dict) and principal.get("AWS") == "*")
    services = [] if everybody else _listed(principal.get("Service") or [])
    ours = everybody or any(service.startswith("sagemaker.") for service in services)
    allowed = [action.lower() for action in _listed(statement["Action"])]
    assumes = any(fnmatchcase("sts:assumerole", action) for action in allowed)
    return bool(statement["Effect"] == "Allow") and ours and assumes


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)

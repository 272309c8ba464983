"""What a rule may ask about what is there.

Owns: the questions, and a plain value that answers them. Must not know: who keeps the answers
(moto, an engine, a template). "Not known" is an answer of its own, and never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Body = Mapping[str, Any]
"""A call's members, as they came."""

SERVERLESS_ENDPOINTS = 50
"""Serverless endpoints of an account in a region (contract 4.5)."""

SERVERLESS_CONCURRENCY = 1000
"""MaxConcurrency of all of them together, in the large regions (contract 4.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEndpoint:
    """`status` is DescribeEndpoint's; `configuration` the body that made its configuration, also
    when that was deleted since; None when it is not known.
    """

    status: str
    configuration: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownImage:
    """What the manifest says. None for what is not known, as for an image that was never pushed."""

    media_type: str | None = None


class Known(Protocol):
    """What is there now. Names are looked up exactly as they are written."""

    @property
    def region(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def account_is_told(self) -> bool:
        """Whether the user said which account is theirs; else no rule compares accounts."""
        ...

    @property
    def models(self) -> Mapping[str, Body]:
        """Bodies of CreateModel by name."""
        ...

    @property
    def configurations(self) -> Mapping[str, Body]:
        """Bodies of CreateEndpointConfig by name."""
        ...

    @property
    def endpoints(self) -> Mapping[str, KnownEndpoint]: ...
    @property
    def serverless_endpoints(self) -> int:
        """How many the account may have."""
        ...

    @property
    def serverless_concurrency(self) -> int:
        """How much MaxConcurrency they may have together."""
        ...

    def image(self, uri: str) -> KnownImage | None:
        """None only when the image is surely not there."""
        ...

    def model_data(self, url: str) -> bool | None:
        """Whether the object is there; None when that is not known."""
        ...

    def role(self, arn: str) -> bool | None:
        """Whether SageMaker may assume the role; None when that is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`Known` as a value: for a linter, for tests. What is not in it is not known."""

    region: str = "us-east-1"
    account: str = "123456789012"
    account_is_told: bool = False
    models: Mapping[str, Body] = field(default_factory=dict)
    configurations: Mapping[str, Body] = field(default_factory=dict)
    endpoints: Mapping[str, KnownEndpoint] = field(default_factory=dict)
    serverless_endpoints: int = SERVERLESS_ENDPOINTS
    serverless_concurrency: int = SERVERLESS_CONCURRENCY
    images: Mapping[str, KnownImage | None] = field(default_factory=dict)
    objects: Mapping[str, bool] = field(default_factory=dict)
    roles: Mapping[str, bool] = field(default_factory=dict)

    def image(self, uri: str) -> KnownImage | None:
        return self.images.get(uri, KnownImage())

    def model_data(self, url: str) -> bool | None:
        return self.objects.get(url)

    def role(self, arn: str) -> bool | None:
        return self.roles.get(arn)

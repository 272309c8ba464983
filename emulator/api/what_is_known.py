"""What is there when a deploy call comes: moto's records, our endpoints, images, S3, IAM.

Owns: answering the rules' questions (`control.known.Known`). Must not know: the rules, HTTP. Needs
moto's lock. A role that nobody made here may exist on AWS: nothing is said of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from emulator.api.records import Records
from emulator.control.known import (
    SERVERLESS_CONCURRENCY,
    SERVERLESS_ENDPOINTS,
    Body,
    KnownEndpoint,
    KnownImage,
)

S3 = "s3://"

ASSUMED_BY = "sagemaker.amazonaws.com"


class MotoKnown:
    """Of one account in one region. `image` asks who has images."""

    def __init__(
        self,
        records: Records,
        *,
        region: str,
        account: str,
        account_is_told: bool,
        endpoints: Mapping[str, KnownEndpoint],
        image: Callable[[str], KnownImage | None],
    ) -> None:
        self.region, self.account, self.account_is_told = region, account, account_is_told
        self.serverless_endpoints = SERVERLESS_ENDPOINTS
        self.serverless_concurrency = SERVERLESS_CONCURRENCY
        self.models = records.bodies("Model")
        self.configurations = records.bodies("EndpointConfig")
        self.endpoints = endpoints
        self._image = image

    def image(self, uri: str) -> KnownImage | None:
        return self._image(uri)

    def model_data(self, url: str) -> bool | None:
        return object_of(url, self.account) is not None

    def role(self, arn: str) -> bool | None:
        from moto.iam.models import iam_backends

        account, name = arn.split(":")[4], arn.rpartition("/")[2]
        found = [
            role
            for backend in backends_of(iam_backends, account)
            for role in backend.roles.values()
            if role.name == name or role.arn == arn
        ]
        return None if not found else assumable(found[0].assume_role_policy_document)


def backends_of(service: Any, account: str) -> list[Any]:
    """Those that were used: moto makes one for whoever asks, and IAM's takes half a second."""
    return list(service[account].values()) if account in service.keys() else []  # noqa: SIM118


def object_of(url: str, account: str) -> Any:
    """Moto's object at an S3 URL of either form, or None. Regions are S3's affair: bucket and key
    are looked up.
    """
    from moto.s3.models import FakeKey, s3_backends

    for bucket, key in _places(url):
        for backend in backends_of(s3_backends, account):
            found = backend.buckets.get(bucket)
            # A deletion of a bucket with versions leaves its mark under the key.
            if found is not None and isinstance(found.keys.get(key), FakeKey):
                return found.keys[key]
    return None


def _places(url: str) -> Iterator[tuple[str, str]]:
    """Bucket and key that a URL may mean."""
    if url.startswith(S3):
        bucket, _, key = url.removeprefix(S3).partition("/")
        yield bucket, key  # as it is: a key may hold ? and #
        return
    try:
        parts = urlsplit(url)
    except ValueError:  # what only looks like an address: https://[
        return
    path = unquote(parts.path.lstrip("/"))
    yield parts.netloc.partition(".s3")[0], path  # https://bucket.s3.region.amazonaws.com/key
    bucket, _, key = path.partition("/")
    yield bucket, key  # https://s3.region.amazonaws.com/bucket/key


def assumable(policy: Any) -> bool | None:
    """Whether a trust policy lets SageMaker in; None when it cannot be read."""
    try:
        document: Body = json.loads(policy) if isinstance(policy, str) else policy
        statements = document["Statement"]
        statements = [statements] if isinstance(statements, dict) else statements
        return any(_lets_in(statement) for statement in statements)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _lets_in(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = principal if isinstance(principal, str) else (principal or {}).get("Service", ())
    named = [services] if isinstance(services, str) else services
    return statement.get("Effect") == "Allow" and any(one in (ASSUMED_BY, "*") for one in named)

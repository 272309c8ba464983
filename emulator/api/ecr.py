"""ECR in front of a real registry: moto's answers, with what was pushed and where to push.

Owns: which of moto's answers name the registry, and when what was pushed is told to moto. Must not
know: Docker, SageMaker, how moto keeps an image (`ecr_moto`).
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from emulator.api.asgi import ASGIApp, Message, Receive, Scope, Send, answer_unread, header
from emulator.api.ecr_moto import Pushed, Repositories
from emulator.api.front import Mount
from emulator.api.moto_app import service_of
from emulator.clock import wall_clock
from emulator.registry import Registry
from emulator.registry_client import RegistryUnavailable
from emulator.registry_manifest import children
from emulator.wire_answers import Response

log = logging.getLogger("byoc.ecr")

SERVICE = "ecr"

TOKEN_LIVES = timedelta(hours=12)
"""https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html"""

OF_REPOSITORIES = frozenset({"CreateRepository", "DescribeRepositories", "GetAuthorizationToken"})
"""Operations that look at no image: the registry is not asked for them."""

DELETES = frozenset({"BatchDeleteImage", "DeleteRepository"})


class Ecr:
    """An ASGI application. `moto` is the one that serves ECR behind it."""

    def __init__(
        self, moto: ASGIApp, registry: Registry, *, now: Callable[[], datetime] = wall_clock
    ) -> None:
        self._moto, self._registry, self._now = moto, registry, now
        self._repositories = Repositories()

    @property
    def mount(self) -> Mount:
        return Mount(matches=self.matches, app=self)

    def matches(self, scope: Scope) -> bool:
        asked = service_of(scope)
        return asked is not None and asked[0] == SERVICE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = service_of(scope)
        assert asked is not None, "the mount matched"
        region = asked[1]
        operation = header(scope, b"x-amz-target").rpartition(b".")[2].decode("latin-1")
        said = _Said()
        try:
            if operation not in OF_REPOSITORIES:
                await self._tell_moto(region)
            before = await self._digests(region) if operation in DELETES else frozenset()
            await self._moto(scope, receive, said)
            if said.status == 200:
                told = said.json()
                self._amend(told)
                said.replace(told)
                if before:
                    await self._delete(before - await self._digests(region))
                if operation == "PutImage":
                    await self._put(told.get("image") or {})
        except RegistryUnavailable as error:
            log.warning("%s", error)
            if not said.messages:
                await answer_unread(scope, receive, send, _failed(str(error)))
                return
        await said.pass_on(send)

    # -- what moto says ------------------------------------------------------------------------

    def _amend(self, told: dict[str, Any]) -> None:
        for repository in _repositories(told):
            repository["repositoryUri"] = self._registry.name(repository["repositoryName"])
        expires = (self._now() + TOKEN_LIVES).timestamp()
        for each in told.get("authorizationData") or ():
            each.update(proxyEndpoint=self._registry.url, expiresAt=round(expires, 3))

    # -- what the registry has -----------------------------------------------------------------

    async def _tell_moto(self, region: str) -> None:
        """Everything that was pushed to repositories that moto knows: what is not one, nobody could
        push to on AWS.
        """
        names = await asyncio.to_thread(self._repositories.names, region)
        pushed = {name: [one async for one in self._pushed(name)] for name in names}
        await asyncio.to_thread(self._repositories.bring, region, pushed)

    async def _pushed(self, name: str) -> AsyncIterator[Pushed]:
        for tag in await self._registry.tags(name):
            manifest = await self._registry.manifest(name, tag)
            if manifest is None:
                continue
            for child in children(manifest):
                if part := await self._registry.manifest(name, child.digest):
                    yield Pushed(tag=None, manifest=part)
            yield Pushed(tag=tag, manifest=manifest)

    async def _digests(self, region: str) -> frozenset[tuple[str, str]]:
        return await asyncio.to_thread(self._repositories.digests, region)

    async def _delete(self, gone: frozenset[tuple[str, str]]) -> None:
        for name, digest in sorted(gone):
            if not await self._registry.delete(name, digest):
                log.warning(
                    "The registry at %s does not delete %s@%s: CreateModel still finds it. Start it"
                    " with REGISTRY_STORAGE_DELETE_ENABLED=true.",
                    self._registry.url,
                    name,
                    digest,
                )

    async def _put(self, image: dict[str, Any]) -> None:
        """A manifest that came by the API, as when an image gets another tag."""
        named = image.get("imageId") or {}
        done = await self._registry.put(
            str(image.get("repositoryName")),
            str(named.get("imageTag") or named.get("imageDigest")),
            str(image.get("imageManifest")),
            str(image.get("imageManifestMediaType") or ""),
        )
        if not done:
            log.warning(
                "The registry does not take the manifest of PutImage for %s: its layers were not"
                " pushed. CreateModel will not find it.",
                image.get("repositoryName"),
            )


def _repositories(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [*(told.get("repositories") or ()), told.get("repository")]
    return (each for each in listed if isinstance(each, dict) and "repositoryUri" in each)


def _failed(why: str) -> Response:
    body = json.dumps({"__type": "ServerException", "message": f"byoc: {why}"}).encode()
    return Response(
        status=500, headers=(("Content-Type", "application/x-amz-json-1.1"),), body=body
    )


class _Said:
    """An answer that is kept until it may go."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 0

    def json(self) -> dict[str, Any]:
        told = json.loads(b"".join(each.get("body", b"") for each in self.messages) or b"{}")
        return told if isinstance(told, dict) else {}

    def replace(self, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        head = self.messages[0]
        kept = [each for each in head["headers"] if each[0].lower() != b"content-length"]
        headers = [*kept, (b"content-length", b"%d" % len(body))]
        self.messages = [
            {**head, "headers": headers},
            {"type": "http.response.body", "body": body},
        ]

    async def pass_on(self, send: Send) -> None:
        for message in self.messages:
            await send(message)

"""Questions to a registry, by the OCI distribution specification's HTTP API.

Owns: which requests a question takes. Must not know: whose registry it is, ECR, engines.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from emulator.engines import EngineUnavailable
from emulator.http import Http, Reply, Request
from emulator.registry_manifest import (
    KINDS,
    Manifest,
    NotAManifest,
    children,
    platform_of_config,
    read_manifest,
    runs,
)

SECONDS = 10.0

ACCEPT = ", ".join(KINDS)
"""Without all of them a registry converts what it has to an older form, or denies having it."""

_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')


class RegistryUnavailable(EngineUnavailable):
    """The registry does not answer, or cannot be started; the text says what to do next."""


class RegistryClient:
    """Asks the registry at `url` (http://127.0.0.1:5000). What it was told of a digest it keeps:
    that never changes.
    """

    def __init__(self, url: str, http: Http) -> None:
        self.url = url
        self._http = http
        self._read: dict[tuple[str, str], Manifest] = {}
        self._closed = False

    async def close(self) -> None:
        """May be called twice. Whoever asks afterwards gets RegistryUnavailable."""
        self._closed = True
        await self._http.close()

    async def check(self) -> None:
        """Raises RegistryUnavailable unless a registry answers there."""
        reply = await self._ask("GET", "/v2/")
        if reply.status != 200:
            raise self._surprising(reply)

    async def repositories(self) -> tuple[str, ...]:
        """Those that anything was ever pushed to."""
        return tuple(await self._pages("/v2/_catalog?n=500", "repositories"))

    async def tags(self, repository: str) -> tuple[str, ...]:
        return tuple(sorted(await self._pages(f"/v2/{repository}/tags/list", "tags")))

    async def digest(self, repository: str, reference: str) -> str | None:
        """Of the manifest under a tag, or a digest, when there is one."""
        reply = await self._manifest("HEAD", repository, reference)
        if reply is None:
            return None
        told = reply.headers.get("docker-content-digest")
        if told:
            return told
        manifest = await self.manifest(repository, reference)
        return manifest.digest if manifest else None

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """Under a tag or a digest; None when it is not there."""
        if known := self._read.get((repository, reference)):
            # It may have been deleted.
            return known if await self.digest(repository, reference) else None
        reply = await self._manifest("GET", repository, reference)
        if reply is None:
            return None
        media_type = reply.content_type
        digest = reply.headers.get("docker-content-digest") or (
            f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        )
        if known := self._read.get((repository, digest)):
            return known
        try:
            found = read_manifest(reply.body, media_type, digest)
        except NotAManifest as error:
            raise RegistryUnavailable(
                f"The registry at {self.url} answers nonsense: {error}"
            ) from (error)
        complete = await self._complete(repository, found)
        self._read[repository, digest] = complete
        return complete

    async def delete(self, repository: str, digest: str) -> bool:
        """The manifest and all its tags. False when the registry does not let itself be told."""
        reply = await self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        return reply.status in (202, 404)

    async def put(self, repository: str, reference: str, raw: str, media_type: str) -> bool:
        """A manifest whose blobs are there. False when they are not."""
        path = f"/v2/{repository}/manifests/{reference}"
        return (await self._ask("PUT", path, body=raw.encode(), kind=media_type)).status == 201

    async def _complete(self, repository: str, found: Manifest) -> Manifest:
        """With what stands in other blobs: the platform; of an index, its images."""
        if found.config_digest is not None:
            blob = await self._ask("GET", f"/v2/{repository}/blobs/{found.config_digest}")
            platform = platform_of_config(blob.body) if blob.status == 200 else None
            return dataclasses.replace(found, platform=platform)
        listed = children(found)
        chosen = runs(listed)
        if chosen is None:
            return found
        sizes = []
        for child in listed:
            manifest = await self.manifest(repository, child.digest)
            if manifest is None:  # an index may name what was not pushed
                continue
            sizes.append(manifest.size_bytes)
            if child == chosen:
                found = dataclasses.replace(
                    found,
                    config_digest=manifest.config_digest,
                    platform=child.platform or manifest.platform,
                    run_digest=child.digest,
                )
        return dataclasses.replace(found, size_bytes=max(sizes, default=0))

    async def _manifest(self, method: str, repository: str, reference: str) -> Reply | None:
        path = f"/v2/{repository}/manifests/{reference}"
        reply = await self._ask(method, path, accept=ACCEPT)
        if reply.status == 200:
            return reply
        if reply.status in (400, 404):  # 400: a name that no registry can have
            return None
        raise self._surprising(reply)

    async def _pages(self, path: str, member: str) -> list[str]:
        found: list[str] = []
        asked: set[str] = set()
        while path and path not in asked:
            asked.add(path)
            reply = await self._ask("GET", path)
            if reply.status == 404:
                break
            if reply.status != 200:
                raise self._surprising(reply)
            told = self._json(reply).get(member)
            found += [each for each in told if isinstance(each, str)] if told else []
            following = _NEXT.search(reply.headers.get("link", ""))
            path = _path(urljoin(self.url + path, following[1])) if following else ""
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: str = "*/*",
        body: bytes | None = None,
        kind: str = "",
    ) -> Reply:
        if self._closed:
            raise RegistryUnavailable(f"The registry at {self.url} was stopped, as byoc was.")
        headers = {"Accept": accept, **({"Content-Type": kind} if kind else {})}
        request = Request(method=method, path=path, headers=headers, body=body)
        reply = await self._http.send(self.url, request, SECONDS)
        if reply.status is None:
            raise self._surprising(reply)
        return reply

    def _json(self, reply: Reply) -> dict[str, Any]:
        try:
            told = json.loads(reply.body)
        except ValueError as error:
            raise self._surprising(reply) from error
        return told if isinstance(told, dict) else {}

    def _surprising(self, reply: Reply) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"There is no registry at {self.url} that answers as one does ({reply}). Start it"
            " again, or give the address of another one: `docker run -d -p 127.0.0.1:5000:5000"
            " registry:2`, --registry 127.0.0.1:5000."
        )


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

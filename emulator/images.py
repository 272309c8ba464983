"""From the image that a deploy call names to the image that the engine starts.

Owns: where an ECR URI is looked for. Must not know: SageMaker's rules, moto, containers.

Without a registry, what the engine holds stands for what was pushed: under the whole URI, else
under `repository:tag`. With one, an image of our account is there or nowhere: what was not pushed,
or under another tag, must not run because an image of that name lies around. Nothing but our own
registry is ever asked, AWS's least of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.api.runtime import ACCOUNT, REGION
from emulator.control.image_uri import EcrImage, ecr_image
from emulator.engines import Engine
from emulator.registry import Registry
from emulator.registry_manifest import Manifest

DEFAULT_TAG = "latest"

FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """`reference` is what the engine starts: an id, or a name with a digest. The type of the
    manifest is known of what was pushed, and of nothing else.
    """

    reference: str
    media_type: str | None = None
    platform: str | None = None
    size_bytes: int | None = None  # compressed when it was pushed, else all layers unpacked
    digest: str | None = None  # the manifest's


class Images:
    """`stand_ins` are images of the engine by the URI that they stand for; `stand_in` is one for
    every other ECR URI.
    """

    def __init__(
        self,
        engine: Engine,
        registry: Registry | None = None,
        *,
        stand_ins: Mapping[str, str] | None = None,
        stand_in: str | None = None,
    ) -> None:
        self._engine, self._registry = engine, registry
        self._stand_ins, self._stand_in = dict(stand_ins or {}), stand_in

    def as_ecr(self, uri: str, region: str) -> str:
        """The URI in ECR that a name in our registry stands for; every other one as it is."""
        rest = self._registry.own(uri) if self._registry else None
        return uri if rest is None else f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{rest}"

    async def find(self, uri: str, *, fetch: bool = True) -> FoundImage | None:
        """None when it is surely not there. With `fetch` the engine holds it afterwards; without,
        which is for who only judges, nothing is pulled and less is told. Raises EngineUnavailable,
        also for a registry that does not answer.
        """
        if name := self._standing_in(uri):
            return await self._held((name,), fetch=fetch)
        image = self._parts(uri)
        if image is None:
            return await self._held((uri,), fetch=fetch)
        if not image.valid:
            return None
        if self._registry is not None:
            if found := await self._pushed(self._registry, image, fetch=fetch):
                return found
            if image.account == ACCOUNT:
                return None
        return await self._held(_names(uri, image), fetch=fetch)

    async def why_missing(self, uri: str) -> str:
        """Which names were looked for, and what to do."""
        if name := self._standing_in(uri):
            return (
                f"{name} is to stand for {uri}, but the engine has no such image. Build it first,"
                f" or `docker pull {name}`."
            )
        image = self._parts(uri)
        if image is None:
            return f"The engine has no image {uri}. Build it under that name, or `docker pull` it."
        if not image.valid:
            return f"{uri} is not a name that an image in ECR can have: write repository:tag."
        if self._registry is not None and image.account == ACCOUNT:
            return await self._why_not_pushed(self._registry, image)
        names = _names(uri, image)
        why = f"The engine has no image {' and no image '.join(names)}."
        if image.digest:
            return (
                f"{why} A digest is known only of what was pushed or pulled: `docker pull {uri}`,"
                " or name a tag."
            )
        return f"{why} Give yours that name: `docker tag YOUR_IMAGE {names[-1]}`."

    def _standing_in(self, uri: str) -> str | None:
        if uri in self._stand_ins:
            return self._stand_ins[uri]
        return self._stand_in if self._parts(uri) is not None else None

    def _parts(self, uri: str) -> EcrImage | None:
        return ecr_image(self.as_ecr(uri, REGION))

    async def _held(self, names: tuple[str, ...], *, fetch: bool) -> FoundImage | None:
        ids = await asyncio.gather(*map(self._engine.image_id, names))
        identity = next(filter(None, ids), None)
        if identity is None:
            return None
        if not fetch:  # who judges waits for it, and what follows takes several milliseconds
            return FoundImage(reference=identity)
        info = await self._engine.image(identity)
        return FoundImage(
            reference=identity,
            platform=f"{info.os}/{info.architecture}",
            size_bytes=info.size_bytes,
            digest=info.digest,
        )

    async def _pushed(
        self, registry: Registry, image: EcrImage, *, fetch: bool
    ) -> FoundImage | None:
        manifest = await registry.manifest(image.repository, _reference(image))
        if manifest is None:
            return None
        reference = await self._runs(registry, image.repository, manifest, fetch=fetch)
        return FoundImage(
            reference=reference,
            media_type=manifest.media_type,
            platform=manifest.platform,
            size_bytes=manifest.size_bytes,
            digest=manifest.digest,
        )

    async def _runs(
        self, registry: Registry, repository: str, manifest: Manifest, *, fetch: bool
    ) -> str:
        """What was pushed, as the engine knows it: by its configuration in Docker's classic store,
        by its manifest in containerd's. Pulled when it was pushed from elsewhere.
        """
        name = f"{registry.name(repository)}@{manifest.run_digest}"
        for known_as in (manifest.config_digest, name):
            if known_as and (identity := await self._engine.image_id(known_as)):
                return identity
        if not fetch:
            return name
        await self._engine.pull(name)
        return await self._engine.image_id(name) or name

    async def _why_not_pushed(self, registry: Registry, image: EcrImage) -> str:
        where, wanted = registry.name(image.repository), _reference(image)
        named = f"{where}@{wanted}" if image.digest else f"{where}:{wanted}"
        why = f"The registry that stands for ECR has no image {named}"
        if tags := await registry.tags(image.repository):
            more = f" and {len(tags) - FEW} more" if len(tags) > FEW else ""
            why += f" (it has the tags {', '.join(tags[:FEW])}{more})"
        if image.digest:
            return f"{why}. Push it, and name the digest that the push tells."
        return f"{why}. `docker tag YOUR_IMAGE {named}`, then `docker push {named}`."


def _reference(image: EcrImage) -> str:
    return image.digest or image.tag or DEFAULT_TAG


def _names(uri: str, image: EcrImage) -> tuple[str, ...]:
    """In the engine, the most exact first."""
    host = uri.partition("/")[0]
    after = f"@{image.digest}" if image.digest else f":{_reference(image)}"
    return f"{host}/{image.repository}{after}", f"{image.repository}{after}"

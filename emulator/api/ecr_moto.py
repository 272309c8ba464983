"""moto's ECR, as far as it must know what a registry has.

Owns: how a pushed image becomes one of moto's. Must not know: registries, HTTP. All of it runs
in a worker thread and takes moto's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from emulator.api.moto_app import moto_lock
from emulator.api.runtime import ACCOUNT
from emulator.registry_manifest import Manifest

log = logging.getLogger("byoc.ecr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """`tag` is None of what has none: an image of an index."""

    tag: str | None
    manifest: Manifest


class Repositories:
    """What was told to moto is remembered with moto's own object: deleted there it is deleted, and
    a repository that was made anew is told everything anew.
    """

    def __init__(self) -> None:
        self._told: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()

    def names(self, region: str) -> tuple[str, ...]:
        with moto_lock:
            return tuple(_backend(region).repositories)

    def digests(self, region: str) -> frozenset[tuple[str, str]]:
        """Of all images, with their repository's name."""
        with moto_lock:
            return frozenset(
                (name, image.image_digest)
                for name, repository in _backend(region).repositories.items()
                for image in repository.images
            )

    def bring(self, region: str, pushed: Mapping[str, Sequence[Pushed]]) -> None:
        with moto_lock:
            backend = _backend(region)
            for name, images in pushed.items():
                if name in backend.repositories:
                    self._bring(backend, backend.repositories[name], images)

    def _bring(self, backend: Any, repository: Any, images: Sequence[Pushed]) -> None:
        told = self._told.get(repository, {})
        now: dict[str, str] = {}
        for image in images:
            digest = image.manifest.digest
            known_as = image.tag or digest
            now[known_as] = digest
            if told.get(known_as) != digest:
                _place(backend, repository, image)
        self._told[repository] = now


def _place(backend: Any, repository: Any, pushed: Pushed) -> None:
    from moto.core.exceptions import ServiceException

    manifest, tag = pushed.manifest, pushed.tag
    held = {image.image_digest: image for image in repository.images}
    if manifest.digest in held and tag in (None, *held[manifest.digest].image_tags):
        return
    if tag is not None and not repository.is_tag_immutable():
        # moto would drop the image that had the tag; ECR keeps it, without one.
        for image in repository.images:
            image.remove_tag(tag)
    try:
        made = backend.put_image(
            repository_name=repository.name,
            image_manifest=manifest.raw,
            image_tag=tag,
            image_manifest_mediatype=manifest.media_type,
            digest=manifest.digest,
        )
    except ServiceException as error:
        log.warning("ECR would have refused the push to %s: %s", repository.name, error.message)
        return
    # moto counts the configuration only, or nothing.
    made.get_image_size_in_bytes = lambda: manifest.size_bytes
    made.artifact_media_type = manifest.config_media_type


def _backend(region: str) -> Any:
    from moto.ecr.models import ecr_backends

    return ecr_backends[ACCOUNT][region]

"""What a registry tells of one image: a manifest, taken apart.

Owns: the four forms of a manifest that there are. Must not know: HTTP, registries, what SageMaker
takes. https://distribution.github.io/distribution/spec/manifest-v2-2/,
https://github.com/opencontainers/image-spec/blob/main/manifest.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
SCHEMA_2_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

KINDS = (SCHEMA_2, SCHEMA_2_LIST, OCI_MANIFEST, OCI_INDEX)
INDEXES = (SCHEMA_2_LIST, OCI_INDEX)

ATTESTS = "vnd.docker.reference.type"
"""How BuildKit marks an attestation: https://docs.docker.com/build/metadata/attestations/attestation-storage/"""

PLATFORM = "linux/amd64"
"""Which image of several SageMaker would run: its serverless endpoints are amd64 (contract 5.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest as it was pushed. `size_bytes`, as ECR counts it: compressed layers and the
    configuration; of an index, its largest image's. `run_digest` is the manifest of the image that
    runs: its own, or one of an index.
    """

    media_type: str
    digest: str
    raw: str
    size_bytes: int = 0
    config_digest: str | None = None  # the image's id in Docker's classic store
    config_media_type: str | None = None
    platform: str | None = None  # as linux/amd64
    run_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One image of an index."""

    digest: str
    platform: str | None
    is_image: bool = True  # BuildKit's attestations are none


class NotAManifest(Exception):
    """The registry answered something else; the text tells what."""


def read_manifest(raw: bytes, media_type: str, digest: str) -> Manifest:
    """One image's, or an index whose images are still to be read: see `children`, `with_children`.
    Raises NotAManifest.
    """
    told = _object(raw, digest)
    config = told.get("config")
    config = config if isinstance(config, Mapping) else {}
    return Manifest(
        media_type=media_type,
        digest=digest,
        raw=raw.decode(),
        size_bytes=_size(config) + sum(map(_size, _members(told, "layers"))),
        config_digest=_text(config.get("digest")),
        config_media_type=_text(config.get("mediaType")),
        run_digest=digest,
    )


def children(manifest: Manifest) -> tuple[Child, ...]:
    """The images of an index; none of what is no index."""
    if manifest.media_type not in INDEXES:
        return ()
    found = []
    for each in _members(json.loads(manifest.raw), "manifests"):
        notes = each.get("annotations")
        digest = _text(each.get("digest"))
        if digest is not None:
            attests = isinstance(notes, Mapping) and ATTESTS in notes
            platform = platform_of(each.get("platform"))
            found.append(Child(digest=digest, platform=platform, is_image=not attests))
    return tuple(found)


def runs(images: Sequence[Child]) -> Child | None:
    """Which of an index's images runs."""
    real = [image for image in images if image.is_image]
    for image in real:
        if image.platform == PLATFORM:
            return image
    return real[0] if real else None


def platform_of(told: object) -> str | None:
    """Of a configuration, or of an index's entry."""
    if not isinstance(told, Mapping):
        return None
    system, machine = _text(told.get("os")), _text(told.get("architecture"))
    if not system or not machine or system == "unknown":
        return None
    variant = _text(told.get("variant"))
    return "/".join((system, machine, variant) if variant else (system, machine))


def platform_of_config(raw: bytes) -> str | None:
    try:
        return platform_of(json.loads(raw))
    except ValueError:
        return None


def _object(raw: bytes, what: str) -> Mapping[str, Any]:
    try:
        told = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise NotAManifest(f"{what}: expected was a manifest in JSON ({error}).") from error
    if not isinstance(told, Mapping):
        raise NotAManifest(f"{what}: expected was a JSON object, it is {type(told).__name__}.")
    return told


def _members(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = told.get(name)
    return (
        [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    )


def _size(told: Mapping[str, Any]) -> int:
    size = told.get("size")
    return size if isinstance(size, int) and size > 0 else 0


def _text(told: object) -> str | None:
    return told if isinstance(told, str) and told else None

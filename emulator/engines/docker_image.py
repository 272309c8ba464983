"""An image as Docker knows it: its configuration, and what a push would send.

Owns: what is known of an image, and how. Must not know: what is a fault in an image. Nothing is
pulled but by `pull`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import docker
import docker.auth
import docker.errors
import docker.utils
import requests

from emulator.engines import EngineUnavailable, ImageInfo, ImageNotFound

SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
UNKNOWN = "unknown"

SNAPSHOTTER = "io.containerd.snapshotter"
"""In what `docker info` tells of an image store that is containerd's."""

REGISTRY_SECONDS = 15
"""For a registry to answer; one that cannot be reached must not hold up the rest."""


def read_image(client: docker.DockerClient, engine: str, reference: str) -> ImageInfo:
    """Raises ImageNotFound with near names. `engine` is docker or podman."""
    api: Any = client.api
    try:
        found = api.inspect_image(reference)
    except docker.errors.NotFound as error:
        raise ImageNotFound(_not_found(client, reference)) from error
    except docker.errors.APIError as error:
        if error.status_code == 400:
            raise ImageNotFound(
                f"{reference!r} is not an image reference: {error.explanation}. Write it as"
                " name:tag."
            ) from error
        raise
    config = found.get("Config") or {}
    media_type, known_from = push_media_type(client.api, engine, reference, found)
    digests = found.get("RepoDigests") or []
    return ImageInfo(
        reference=reference,
        id=found["Id"],
        digest=digests[0].partition("@")[2] if digests else None,
        os=found.get("Os") or "linux",
        architecture=found.get("Architecture") or "unknown",
        size_bytes=int(found.get("Size") or 0),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        environment=dict(pair.partition("=")[::2] for pair in config.get("Env") or ()),
        user=config.get("User") or "",
        working_dir=config.get("WorkingDir") or "/",
        labels=dict(config.get("Labels") or {}),
        push_media_type=media_type,
        push_media_type_from=known_from,
        volumes=tuple(sorted(config.get("Volumes") or ())),
    )


def image_id(api: Any, reference: str) -> str | None:
    """None when there is none, also when the reference is none that an image can have."""
    try:
        return str(api.inspect_image(reference)["Id"])
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        if error.status_code == 400:
            return None
        raise


def pull(api: Any, reference: str) -> None:
    """From the registry that the reference names, with a tag or a digest in it. Raises
    ImageNotFound, EngineUnavailable.
    """
    repository, tag = docker.utils.parse_repository_tag(reference)
    try:
        # Whoever reads no answer to its end cannot know how it went.
        told = list(api.pull(repository, tag=tag or "latest", stream=True, decode=True))
    except docker.errors.NotFound as error:
        raise ImageNotFound(f"{reference} is in no registry: {error.explanation}.") from error
    if words := next((line["error"] for line in told if "error" in line), None):
        raise EngineUnavailable(f"The container engine could not pull {reference}: {words}.")


def _not_found(client: docker.DockerClient, reference: str) -> str:
    known = sorted({tag for image in client.api.images() for tag in image.get("RepoTags") or ()})
    names = {name.removesuffix(":latest") for name in known} | set(known)
    near = difflib.get_close_matches(reference, sorted(names), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"The engine has no image {reference!r}.{hint} `docker images` lists what it has; byoc"
        f" never pulls: build the image first, or `docker pull {reference}`."
    )


def names_registry(reference: str) -> bool:
    """Whether the reference names a registry's host, by Docker's own rule."""
    host, slash, _ = reference.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def push_media_type(
    api: Any, engine: str, reference: str, inspected: Mapping[str, Any]
) -> tuple[str, str]:
    """The media type of the manifest that a registry has, or would get, and how it is known."""
    if names_registry(reference) and (there := _in_registry(api, reference)):
        return there, "the manifest in the registry"
    if held := (inspected.get("Descriptor") or {}).get("mediaType"):
        return str(held), "the engine's containerd image store"
    if engine == "podman":
        return _podman_manifest(api, reference), "podman, which pushes what it built"
    if SNAPSHOTTER in str(api.info().get("DriverStatus")):
        return UNKNOWN, "a containerd image store that does not tell; Docker 28 does"
    return SCHEMA_2, "docker push from the classic image store"


def _in_registry(api: Any, reference: str) -> str | None:
    """None when it is not there yet, or there is no way to it: what the engine holds decides."""
    try:
        # As the SDK's inspect_distribution, which would wait for a minute and more.
        registry, _ = docker.auth.resolve_repository_name(reference)
        credentials = docker.auth.get_config_header(api, registry)
        answer = api.get(
            api._url("/distribution/{0}/json", reference),  # noqa: SLF001
            headers={"X-Registry-Auth": credentials} if credentials else {},
            timeout=REGISTRY_SECONDS,
        )
        answer.raise_for_status()
        return str(answer.json()["Descriptor"]["mediaType"])
    except (docker.errors.DockerException, requests.RequestException, KeyError):
        return None


def _podman_manifest(api: Any, reference: str) -> str:
    """Podman keeps the manifest's type with the image; only its own API tells."""
    url = f"{api.base_url}/v4.0.0/libpod/images/{reference}/json"
    answer = api.get(url, timeout=api.timeout)
    return str(answer.json().get("ManifestType") or UNKNOWN) if answer.ok else UNKNOWN

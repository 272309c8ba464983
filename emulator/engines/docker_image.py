"""An image as Docker knows it: its configuration, single files, what a push would send.

Owns: reading images without running them. Must not know: what is a fault in an image.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import io
import json
import stat
import tarfile
from typing import TYPE_CHECKING, Any

import docker
import docker.errors

from emulator import owner
from emulator.engines import FileEntry, FileKind, ImageInfo, ImageNotFound
from emulator.engines.connect import kind

if TYPE_CHECKING:
    from emulator.engines.docker_engine import DockerEngine

SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
HEAD_BYTES = 4096

# How Docker writes Go's file modes into the header that describes a path.
GO_DIRECTORY, GO_SYMLINK = 1 << 31, 1 << 27
GO_SPECIAL = (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21) | (1 << 19)


def read_image(client: docker.DockerClient, reference: str) -> ImageInfo:
    """Raises ImageNotFound with near names. Nothing is ever pulled."""
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
    media_type, known_from = push_media_type(client, reference, found)
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
    )


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
    client: docker.DockerClient, reference: str, inspected: dict[str, Any]
) -> tuple[str, str]:
    """The media type of the manifest that a registry has, or would get, and how it is known."""
    api: Any = client.api
    if names_registry(reference):
        try:
            there = api.inspect_distribution(reference)
            return str(there["Descriptor"]["mediaType"]), "the manifest in the registry"
        except docker.errors.APIError:
            pass  # not pushed yet, or no way to it: what the engine holds decides
    descriptor = inspected.get("Descriptor") or {}
    if media_type := descriptor.get("mediaType"):
        return str(media_type), "the engine's containerd image store"
    if kind(client) == "podman":
        return _podman_manifest(client, reference), "podman, which pushes what it built"
    return SCHEMA_2, "the engine's classic image store, which pushes schema 2"


def _podman_manifest(client: docker.DockerClient, reference: str) -> str:
    """Podman keeps the manifest's type with the image; only its own API tells."""
    api: Any = client.api
    url = api.base_url + f"/v4.0.0/libpod/images/{reference}/json"
    answer = api.get(url)
    return str(answer.json().get("ManifestType") or SCHEMA_2) if answer.ok else SCHEMA_2


class DockerImageFiles:
    """Reads paths through a container that is created and never started. Its name and label let
    a sweep find it; `close()` removes it.
    """

    def __init__(self, engine: DockerEngine, identity: str) -> None:
        self._engine = engine
        self._identity: str | None = identity

    @classmethod
    async def open(cls, engine: DockerEngine, reference: str) -> DockerImageFiles:
        def create() -> str:
            config = {
                "Image": reference,
                "Cmd": ["never-started"],
                "Labels": owner.labels("files"),
                "HostConfig": {"NetworkMode": "none"},
            }
            return str(engine.api.create_container_from_config(config)["Id"])

        return cls(engine, await engine.run(create))

    async def lookup(self, path: str) -> FileEntry | None:
        return await self._engine.run(lambda: self._lookup(path))

    def _lookup(self, path: str) -> FileEntry | None:
        if self._identity is None:
            raise ValueError("the files of this image were closed")
        api = self._engine.api
        url = api._url("/containers/{0}/archive", self._identity)  # noqa: SLF001 - no HEAD in the SDK
        answer = api.head(url, params={"path": path})
        if answer.status_code == 404:
            return None
        if answer.status_code == 500:
            # A HEAD has no text; what Docker cannot look at like this is a loop of links.
            return FileEntry(path=path, kind=FileKind.SYMLINK, mode=0o777, link_target=path)
        answer.raise_for_status()
        told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        mode = int(told["mode"])
        kind_, head = FileKind.FILE, b""
        if mode & GO_SYMLINK:
            kind_ = FileKind.SYMLINK
        elif mode & GO_DIRECTORY:
            kind_ = FileKind.DIRECTORY
        elif mode & GO_SPECIAL:
            kind_ = FileKind.OTHER
        else:
            head = self._head(path)
        return FileEntry(
            path=path,
            kind=kind_,
            mode=stat.S_IMODE(mode & 0o777),
            link_target=str(told.get("linkTarget") or "") if kind_ is FileKind.SYMLINK else "",
            head=head,
            size_bytes=int(told["size"]),
        )

    def _head(self, path: str) -> bytes:
        """The first bytes of a file; a large one is not read to its end."""
        stream, _ = self._engine.api.get_archive(self._identity, path, chunk_size=HEAD_BYTES)
        collected = b""
        try:
            for chunk in stream:
                collected += chunk
                if len(collected) >= 4 * HEAD_BYTES:
                    break
        finally:
            stream.close()
        try:
            with tarfile.open(fileobj=io.BytesIO(collected), mode="r|") as tar:
                member = tar.next()
                file = tar.extractfile(member) if member is not None else None
                return file.read(HEAD_BYTES) if file is not None else b""
        except tarfile.ReadError:  # cut off behind the head, which is all that was wanted
            return collected[512 : 512 + HEAD_BYTES]

    async def close(self) -> None:
        identity, self._identity = self._identity, None
        if identity is None:
            return
        api = self._engine.api
        with contextlib.suppress(docker.errors.NotFound):
            await self._engine.run(lambda: api.remove_container(identity, v=True, force=True))

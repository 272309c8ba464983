"""Single paths of an image, read without running it.

Owns: how Docker describes and hands out a file. Must not know: what is a fault in an image.
"""

from __future__ import annotations

import base64
import contextlib
import json
import stat
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import docker.errors

from emulator.engines import FileEntry, FileKind

if TYPE_CHECKING:
    from emulator.engines.docker_engine import DockerEngine

HEAD_BYTES = 4096
BLOCK = 64 * 1024

# How Docker writes Go's file modes into the header that describes a path.
GO_DIRECTORY, GO_SYMLINK = 1 << 31, 1 << 27
GO_SPECIAL = (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21) | (1 << 19)

NO_WAY = ("not a directory", "too many levels of symbolic links", "too many links")


class DockerImageFiles:
    """Reads through a container that is created and never started. `close()` removes it; its label
    lets a sweep find it.
    """

    def __init__(self, engine: DockerEngine, identity: str) -> None:
        self._engine = engine
        self._identity: str | None = identity

    async def lookup(self, path: str) -> FileEntry | None:
        """The directories above may be links and are followed, within the image."""
        return await self._engine.ask(lambda: self._lookup(path))

    def _lookup(self, path: str) -> FileEntry | None:
        api = self._engine.api
        answer = api.head(self._url(api), params={"path": path}, timeout=api.timeout)
        if answer.status_code == 404:
            return None
        if not answer.ok:
            self._no_way(api, path)
            return None
        told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        kind = file_kind(int(told["mode"]))
        return FileEntry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(int(told["mode"]) & 0o777),
            link_target=str(told.get("linkTarget") or "") if kind is FileKind.SYMLINK else "",
            head=self._head(api, path) if kind is FileKind.FILE else b"",
            size_bytes=int(told["size"]),
        )

    def _no_way(self, api: Any, path: str) -> None:
        """Raises unless the path leads through a file or round in a circle. Docker answers 500 to
        these as well, and only the answer to a GET has the reason.
        """
        answer = api.get(self._url(api), params={"path": path}, timeout=api.timeout)
        if not any(reason in answer.text for reason in NO_WAY):
            api._raise_for_status(answer)  # noqa: SLF001 - makes the SDK's error of it

    def _head(self, api: Any, path: str) -> bytes:
        """The first bytes of a file; a large one is not read to its end."""
        answer = api.get(self._url(api), params={"path": path}, stream=True, timeout=api.timeout)
        try:
            answer.raise_for_status()
            source = cast("Any", _Chunks(answer.iter_content(HEAD_BYTES)))
            with tarfile.open(fileobj=source, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
                member = tar.next()
                file = tar.extractfile(member) if member is not None else None
                return file.read(HEAD_BYTES) if file is not None else b""
        finally:
            answer.close()

    async def below(self, path: str, most_bytes: int) -> list[FileEntry]:
        return await self._engine.ask(lambda: self._below(path, most_bytes))

    def _below(self, path: str, most_bytes: int) -> list[FileEntry]:
        """One archive of the directory, left off when it gets long."""
        api = self._engine.api
        answer = api.get(
            self._url(api), params={"path": f"{path}/."}, stream=True, timeout=api.timeout
        )
        found: list[FileEntry] = []
        try:
            if not answer.ok:
                return []
            source = cast("Any", _Chunks(answer.iter_content(BLOCK)))
            with tarfile.open(fileobj=source, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
                while (member := tar.next()) is not None:
                    inside = member.name.removeprefix("./").strip("/")
                    kind = FileKind.SYMLINK if member.issym() else FileKind.FILE
                    if not member.isdir() and inside:
                        found.append(
                            FileEntry(
                                path=f"{path}/{inside}",
                                kind=kind if member.isfile() or member.issym() else FileKind.OTHER,
                                mode=member.mode & 0o777,
                                link_target=member.linkname if member.issym() else "",
                                size_bytes=member.size,
                            )
                        )
                    if member.offset_data + member.size > most_bytes:
                        return found
        finally:
            answer.close()
        return found

    def _url(self, api: Any) -> str:
        if self._identity is None:
            raise ValueError("the files of this image were closed")
        # The SDK has no HEAD, and reads an archive to its end.
        return str(api._url("/containers/{0}/archive", self._identity))  # noqa: SLF001

    async def close(self) -> None:
        identity, self._identity = self._identity, None
        if identity is None:
            return
        api = self._engine.api
        with contextlib.suppress(docker.errors.NotFound):
            await self._engine.run(lambda: api.remove_container(identity, v=True, force=True))


def file_bytes(api: Any, identity: str, path: str) -> int | None:
    """The size of a file in a container; None when there is no such file."""
    url = api._url("/containers/{0}/archive", identity)  # noqa: SLF001
    answer = api.head(url, params={"path": path}, timeout=api.timeout)
    if not answer.ok:
        return None
    told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return int(told["size"]) if file_kind(int(told["mode"])) is FileKind.FILE else None


def written_bytes(api: Any, identity: str) -> int | None:
    """What a container's own layer holds; None when the engine does not tell."""
    # The SDK's inspect does not ask for sizes.
    url = api._url("/containers/{0}/json", identity)  # noqa: SLF001
    answer = api.get(url, params={"size": 1}, timeout=api.timeout)
    told = answer.json().get("SizeRw") if answer.ok else None
    return None if told is None else int(told)


def file_kind(mode: int) -> FileKind:
    """What Go's mode says of a path."""
    if mode & GO_SYMLINK:
        return FileKind.SYMLINK
    if mode & GO_DIRECTORY:
        return FileKind.DIRECTORY
    return FileKind.OTHER if mode & GO_SPECIAL else FileKind.FILE


class _Chunks:
    """A stream of pieces of any size, as the file that tarfile reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

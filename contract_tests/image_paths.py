"""Where a path of an image leads: symbolic links, permissions, the search along PATH.

Owns: walking one path as the kernel does, and searching a name as runc does. Must not know: what
the file is that is found (`exec_chain`), Docker's API.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from emulator.engines import FileEntry, FileKind, ImageFiles

MAX_LINKS = 40  # the kernel's, for one path
MOUNTS = ("/proc", "/sys", "/dev", "/opt/ml/model")
"""Only there when the container runs; what an image lacks below them proves nothing."""


class Status(Enum):
    """What a path leads to."""

    FOUND = "an executable file"
    ABSENT = "no such file"
    NOT_EXECUTABLE = "a file without the execute bit"
    IS_DIRECTORY = "a directory"
    BROKEN_LINK = "a symbolic link to nothing"
    LINK_LOOP = "a loop of symbolic links"
    NOT_A_DIRECTORY = "a path through something that is not a directory"
    NOT_A_FILE = "a device, socket or pipe"
    MOUNTED = "a file that only a running container has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path led. `entry` is None for the root and for what is not there."""

    asked: str
    status: Status
    path: str = ""
    entry: FileEntry | None = None
    closed: str = ""  # the first directory on the way that others may not pass

    @property
    def is_file(self) -> bool:
        return self.status in (Status.FOUND, Status.NOT_EXECUTABLE)


@dataclass(slots=True)
class Tree:
    """Paths of an image as its own kernel would walk them. Asks for each entry once."""

    files: ImageFiles
    _seen: dict[str, FileEntry | None] = field(default_factory=dict)

    async def walk(self, path: str, base: str = "/") -> Place:
        """Follows every link in every component; links and `..` stay inside the image."""
        if not path:
            return Place(asked=path, status=Status.ABSENT)
        full = path if path.startswith("/") else f"{base}/{path}"
        todo = [(part, False) for part in reversed(full.split("/"))]
        here: tuple[str, ...] = ()
        entry: FileEntry | None = None
        links, closed = 0, ""
        while todo:
            name, from_link = todo.pop()
            if entry is not None and entry.kind is not FileKind.DIRECTORY:
                return Place(asked=path, status=Status.NOT_A_DIRECTORY)
            if name in {"", "."}:
                continue
            if name == "..":
                here, entry = here[:-1], None
                continue
            there = "/" + "/".join((*here, name))
            found = await self._lookup(there)
            if found is None:
                rest = "/".join(part for part, _ in reversed(todo))
                whole = posixpath.normpath(f"{there}/{rest}") + "/"
                below = any(whole.startswith(mount + "/") for mount in MOUNTS)
                absent = Status.BROKEN_LINK if from_link else Status.ABSENT
                return Place(asked=path, status=Status.MOUNTED if below else absent, path=there)
            if found.kind is FileKind.SYMLINK:
                links += 1
                if links > MAX_LINKS:
                    return Place(asked=path, status=Status.LINK_LOOP, path=there)
                if not found.link_target:
                    return Place(asked=path, status=Status.BROKEN_LINK, path=there)
                if found.link_target.startswith("/"):
                    here, entry = (), None
                todo += [(part, True) for part in reversed(found.link_target.split("/"))]
                continue
            here, entry = (*here, name), found
            if found.kind is FileKind.DIRECTORY and not found.mode & 0o001:
                closed = closed or f"the directory {there} has mode {found.mode:04o}"
        return Place(
            asked=path,
            status=_status(entry),
            path="/" + "/".join(here),
            entry=entry,
            closed=closed,
        )

    async def _lookup(self, path: str) -> FileEntry | None:
        if path not in self._seen:
            self._seen[path] = await self.files.lookup(path)
        return self._seen[path]


def _status(entry: FileEntry | None) -> Status:
    if entry is None or entry.kind is FileKind.DIRECTORY:
        return Status.IS_DIRECTORY
    if entry.kind is not FileKind.FILE:
        return Status.NOT_A_FILE
    return Status.FOUND if entry.mode & 0o111 else Status.NOT_EXECUTABLE


async def search(tree: Tree, name: str, directories: Sequence[str], base: str) -> Place:
    """The first executable file along the directories; else the first that was nearest to one."""
    nearest = Place(asked=name, status=Status.ABSENT)
    for directory in directories:
        place = await tree.walk(posixpath.join(directory or ".", name), base)
        if place.status is Status.FOUND:
            return place
        if _NEARNESS[place.status] > _NEARNESS[nearest.status]:
            nearest = place
    return nearest


_NEARNESS = {
    Status.ABSENT: 0,
    Status.NOT_A_DIRECTORY: 0,
    Status.NOT_A_FILE: 1,
    Status.IS_DIRECTORY: 2,
    Status.LINK_LOOP: 3,
    Status.BROKEN_LINK: 4,
    Status.NOT_EXECUTABLE: 5,
    Status.MOUNTED: 6,
    Status.FOUND: 7,
}

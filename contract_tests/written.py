"""What a container writes while it answers requests, and where only root may write.

Owns: looking at its disk before and after some requests, and the paths that others may not write.
Must not know: clauses, levels, how an engine lists changes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract_tests.image_paths import Tree
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from emulator.engines import FileKind, ImageFiles
from emulator.limits import MIB

REQUESTS = 4
ROUNDS = 2
"""What the first round leaves behind may be a cache that is filled once; a second one tells."""

REPEATABLE_SECONDS = 1.0
"""A request that takes longer is not repeated within a round: no run shall take minutes for it."""

LEAK_BYTES = MIB // 16
"""For each request. A line in a log is far less, and takes years to fill a disk."""

MOST_LOGS = 20
LOG_FILE = re.compile(r"^/var/log/|/logs?/|\.(log|out|err)(\.\d+)?$")
OPEN = ("/tmp", "/var/tmp", "/dev/shm", "/opt/ml/model", "/proc", "/sys")  # noqa: S108
"""Where everybody may write, or where what is written is judged by itself."""

MOST_PATHS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A container's disk in one moment."""

    size_bytes: int | None  # None: the engine does not tell
    paths: frozenset[str]
    logs: Mapping[str, int]  # files that look like logs, and their sizes
    lines: int  # on stdout and stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What some requests left behind."""

    requests: int
    size_bytes: int | None
    paths: tuple[str, ...]  # new ones
    logs: tuple[str, ...]  # that grew
    lines: int

    @property
    def leaks(self) -> bool:
        large = self.size_bytes is not None and self.size_bytes >= self.requests * LEAK_BYTES
        return large or len(self.paths) >= self.requests

    def __str__(self) -> str:
        size = "" if self.size_bytes is None else f" and {self.size_bytes:,} bytes"
        example = f", as {self.paths[0]}" if self.paths else ""
        return f"{self.requests} requests left {len(self.paths)} new files{size}{example}"


def look(container: Subject) -> Written:
    paths = frozenset(container.changed_paths())
    logs = {}
    for path in sorted(path for path in paths if LOG_FILE.search(path))[:MOST_LOGS]:
        if (size := container.file_bytes(path)) is not None:
            logs[path] = size
    size = container.written_bytes()
    return Written(size_bytes=size, paths=paths, logs=logs, lines=len(container.lines()))


def grown(before: Written, after: Written, requests: int) -> Growth:
    known = before.size_bytes is not None and after.size_bytes is not None
    return Growth(
        requests=requests,
        size_bytes=(after.size_bytes or 0) - (before.size_bytes or 0) if known else None,
        paths=tuple(sorted(after.paths - before.paths)),
        logs=tuple(path for path, size in after.logs.items() if size > before.logs.get(path, 0)),
        lines=after.lines - before.lines,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A container's disk after requests, and what rounds of them left; no rounds, nothing left."""

    size_bytes: int | None
    lines: int
    rounds: tuple[Growth, ...] = ()


def watch(container: Subject, payload: Payload) -> Watched:
    """Sends some requests, and more when the first leave something. A list of changes is dear, as
    the engine walks through the whole image for it, and a size is not: so it comes first. A request
    that fails ends it, which is told elsewhere.
    """
    size, answered = container.written_bytes(), _answered(container, payload)
    now = container.written_bytes()
    if not answered or (size is not None and now is not None and now <= size):
        return Watched(size_bytes=now, lines=0)
    before = look(container)
    rounds: list[Growth] = []
    while len(rounds) < ROUNDS and (not rounds or rounds[-1].leaks):
        if not (answered := _answered(container, payload)):
            return Watched(size_bytes=now, lines=0)
        after = look(container)
        rounds.append(grown(before, after, answered))
        before = after
    return Watched(size_bytes=before.size_bytes, lines=before.lines, rounds=tuple(rounds))


def _answered(container: Subject, payload: Payload) -> int:
    """How many requests were sent and answered well; none when one was not."""
    for count in range(1, REQUESTS + 1):
        reply = container.invoke(payload)
        if not reply.ok:
            return 0
        if reply.seconds > REPEATABLE_SECONDS:
            return count
    return REQUESTS


async def closed_to_others(paths: Sequence[str], files: ImageFiles) -> list[str]:
    """The directories and files of an image, among those that were written, or that hold what was,
    where only their owner may write. A directory stands for all below it.
    """
    tree = Tree(files)
    found: set[str] = set()
    parents = {posixpath.dirname(path) for path in paths}
    for path in sorted(path for path in paths if path not in parents)[:MOST_PATHS]:
        if "/__pycache__" in path or any(f"{path}/".startswith(f"{place}/") for place in OPEN):
            continue  # Python does without its cache
        place = await tree.walk(path)
        while place.entry is None and path != "/":
            path = posixpath.dirname(path)  # noqa: PLW2901 - the nearest that the image has
            place = await tree.walk(path)
        if place.entry is None:
            found.add("/")
        elif place.closed or not place.entry.mode & 0o002:
            directory = place.entry.kind is FileKind.DIRECTORY
            found.add(place.path if directory else posixpath.dirname(place.path))
    return sorted(path for path in found if not any(path.startswith(f"{f}/") for f in found))

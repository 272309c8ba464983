"""What `docker run IMAGE serve` would execute, found in the image's files without running it.

Owns: the question and its answer, `resolve()` and `Resolution`. Must not know: Docker's API,
checks, verdicts. Paths are walked by `image_paths`, the chain of interpreters is followed by
`exec_chain`.

What is in `problems` keeps the program from starting, whatever it does. What only looks wrong is in
`doubts`.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from enum import Enum

from contract_tests.exec_chain import Call, Chain
from contract_tests.exec_findings import (
    Form,
    Problem,
    Step,
    Trouble,
    trouble_with,
)
from contract_tests.exec_formats import MAGIC
from contract_tests.image_paths import Place, Status, Tree, search
from emulator.engines import ImageFiles, ImageInfo

__all__ = ["Form", "Origin", "Problem", "Resolution", "Status", "Step", "Trouble", "resolve"]

DOCKER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker sets when the image has no PATH."""
USUAL_PLACES = (
    "/opt/program",
    "/opt/ml",
    "/opt/ml/code",
    ".",
    "/app",
    "/usr/src/app",
    "/code",
    "/",
    *DOCKER_PATH.split(":"),
    "/opt/conda/bin",
    "/opt/venv/bin",
)


class Origin(Enum):
    """Who names the program."""

    ENTRYPOINT = "ENTRYPOINT"
    COMMAND = "the command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What would be executed, and what is wrong with it."""

    argv: tuple[str, ...]
    argv0: str
    origin: Origin
    search_path: str
    status: Status
    text: str  # why it is not FOUND, with the words that Docker prints; empty when it is
    found_as: str  # the path before links were followed; empty when there is no such file
    path: str  # after links were followed
    mode: int
    closed_to_others: str  # what keeps a user who owns nothing from executing it; or empty
    elsewhere: tuple[str, ...]  # files of that name in usual places, when it is not FOUND
    chain: tuple[Step, ...]
    troubles: tuple[Trouble, ...]  # those that belong to no step

    @property
    def others_may_execute(self) -> bool:
        return self.status is Status.FOUND and not self.closed_to_others

    @property
    def problems(self) -> tuple[Trouble, ...]:
        """What keeps it from starting for certain."""
        return tuple(trouble for trouble in self._all() if trouble.certain)

    @property
    def doubts(self) -> tuple[Trouble, ...]:
        """What looks wrong, but may start all the same."""
        return tuple(trouble for trouble in self._all() if not trouble.certain)

    def _all(self) -> tuple[Trouble, ...]:
        return self.troubles + tuple(trouble for step in self.chain for trouble in step.troubles)


async def resolve(
    image: ImageInfo, files: ImageFiles, command: tuple[str, ...] = ("serve",)
) -> Resolution:
    """What `docker run IMAGE COMMAND...` executes. Reads single paths; runs nothing."""
    argv = (*image.entrypoint, *command)
    argv0 = argv[0] if argv else ""
    path = image.environment.get("PATH", DOCKER_PATH)
    base = image.working_dir or "/"
    tree = Tree(files)
    if "/" in argv0:
        place = await tree.walk(argv0, base)
    else:
        place = await search(tree, argv0, path.split(":") if path and argv0 else (), base)
    chain: tuple[Step, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    elsewhere: tuple[str, ...] = ()
    if place.status is Status.FOUND:
        call = Call(place=place, argv=argv, first=place.asked, path=path)
        chain = await Chain(tree, base, image.architecture).follow(call)
        if not place.asked.startswith("/") and "/" not in argv0:
            entry = repr(posixpath.dirname(place.asked))
            prints = f'exec: "{argv0}": cannot run executable found relative to current directory'
            kind = Problem.RELATIVE_PATH_ENTRY
            troubles = (trouble_with(kind, place.path, entry, prints, certain=False),)
    else:
        elsewhere = await _elsewhere(tree, posixpath.basename(argv0), base, besides=place.path)
    return Resolution(
        argv=argv,
        argv0=argv0,
        origin=Origin.ENTRYPOINT if image.entrypoint else Origin.COMMAND,
        search_path=path,
        status=place.status,
        text=_why(argv0, place),
        found_as=place.asked if place.is_file else "",
        path=place.path if place.is_file else "",
        mode=place.entry.mode if place.is_file and place.entry is not None else 0,
        closed_to_others=_closed(place),
        elsewhere=elsewhere,
        chain=chain,
        troubles=troubles,
    )


def _why(argv0: str, place: Place) -> str:
    """Why the engine does not execute it, in a sentence and in Docker's own words."""
    if place.status is Status.FOUND:
        return ""
    if place.status is Status.MOUNTED:
        return f"{place.path} is not in the image; only a running container may have it"
    where = f"{place.asked} is {place.status.value}"
    if place.status is Status.ABSENT:
        where = f"the image has no {argv0 or 'ENTRYPOINT and no command'}"
    elif place.status is Status.BROKEN_LINK:
        where = f"{place.asked} is a symbolic link that leads to {place.path}, which is not there"
    if "/" not in argv0:
        return f'{where}: `exec: "{argv0}": executable file not found in $PATH`'
    told = {
        Status.NOT_EXECUTABLE: "permission denied",
        Status.NOT_A_FILE: "permission denied",
        Status.IS_DIRECTORY: "permission denied",
        Status.LINK_LOOP: f"stat {argv0}: too many levels of symbolic links",
        Status.NOT_A_DIRECTORY: f"stat {argv0}: not a directory",
    }.get(place.status, f"stat {argv0}: no such file or directory")
    return f'{where}: `exec: "{argv0}": {told}`'


def _closed(place: Place) -> str:
    if place.entry is None or not place.is_file:
        return ""
    if place.closed:
        return place.closed
    # The interpreter opens a script as the same user.
    needed = 0o001 if place.entry.head[:4] == MAGIC else 0o005
    if place.entry.mode & needed != needed:
        return f"{place.path} has mode {place.entry.mode:04o}"
    return ""


async def _elsewhere(tree: Tree, name: str, base: str, besides: str) -> tuple[str, ...]:
    if name in {"", ".", ".."}:
        return ()
    found: dict[str, str] = {}
    for directory in USUAL_PLACES:
        place = await tree.walk(f"{directory.rstrip('/')}/{name}", base)
        if place.is_file and place.path != besides:
            found.setdefault(place.path, posixpath.normpath(posixpath.join(base, place.asked)))
    return tuple(found.values())

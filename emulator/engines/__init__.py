"""The engine seam: the two protocols that a container engine implements, and their values.

Owns: what the emulator may ask of an engine. Must not know: Docker, HTTP, SageMaker's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol


class EngineUnavailable(Exception):
    """No engine answers, or it cannot do what was asked; the text says what to do next."""


class ImageNotFound(Exception):
    """The engine does not hold that image; the text says what to do next."""


class Capability(Enum):
    """What only some engines can do. A check names what it needs and is skipped without it."""

    PROCESSES = "list the container's processes and signal them"
    SOCKETS = "read the container's listening sockets"
    OOM_EVENTS = "see when the kernel kills a process for its memory"
    CHANGES = "list the files that the container wrote"
    ISOLATION = (
        "start without a network, without /dev/shm, with fewer capabilities, as another user"
    )
    INSIDE = "open a connection from inside the container's network namespace"
    FREEZE = "freeze a container and thaw it"
    MEMORY = "tell how much memory a container uses"
    CPU = "tell how much processor time a container has used"
    THROTTLE = "change how much processor time a running container gets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """How a container is to be started. `command` follows the image's own ENTRYPOINT."""

    image: str
    command: tuple[str, ...] = ("serve",)
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 8080
    memory_bytes: int | None = None  # swap is always off when set
    cpus: float | None = None
    model_dir: Path | None = None  # mounted read-only at /opt/ml/model
    models_dir: Path | None = None  # mounted read-only at /opt/ml/models, for many models
    model_read_only: bool = False  # without one: the image's own /opt/ml/model is read-only
    platform: str | None = None  # as "linux/amd64"
    network: bool = True  # False: no way out, yet the published port answers
    shm: bool = True  # False: no /dev/shm
    drop_capabilities: tuple[str, ...] = ()
    user: str | None = None  # "uid:gid"
    read_only: bool = False  # the root filesystem; /tmp is then an empty, writable tmpfs
    hostname: str | None = None
    cpus_online: Path | None = None  # shown in place of the kernel's list of processors
    role: str = "instance"  # told in a label, for people who look


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What the engine knows of an image. Nothing of it is guessed."""

    reference: str
    id: str
    digest: str | None  # of the registry it was pulled from or pushed to
    os: str
    architecture: str  # Docker's name: amd64, arm64
    size_bytes: int  # uncompressed, all layers
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    working_dir: str
    labels: Mapping[str, str]
    push_media_type: str  # the manifest's type that a push of this image would send
    push_media_type_from: str  # how that is known, for the report
    volumes: tuple[str, ...] = ()


class FileKind(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One path inside an image. `head` holds the first bytes of a regular file."""

    path: str
    kind: FileKind
    mode: int  # permission bits only
    link_target: str = ""
    head: bytes = b""
    size_bytes: int = 0


class ImageFiles(Protocol):
    """Reads single paths of an image without running it."""

    async def lookup(self, path: str) -> FileEntry | None:
        """The entry at an absolute path, symlinks not followed; None when there is none."""

    async def below(self, path: str, most_bytes: int) -> list[FileEntry]:
        """The files below a directory, without their content; none when there is no directory.
        Not all of them when more than so many bytes would have to be read for it.
        """

    async def close(self) -> None:
        """Frees what the reading needed. May be called twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a container, as the container's kernel counts it."""

    pid: int  # an opaque handle for `Container.signal`
    parent: int
    rss_bytes: int
    command: str
    zombie: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A listening TCP socket inside the container."""

    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a container holds now, without the page cache, and the most that it held."""

    used_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line that a container wrote, with the engine's time of it."""

    nanoseconds: int  # since 1970, UTC
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """How a container ended when it was told to stop."""

    exit_code: int | None
    seconds: float
    killed: bool  # SIGKILL was needed


class Container(Protocol):
    """A started container. Every method may be called after it has died."""

    @property
    def id(self) -> str: ...

    @property
    def base_url(self) -> str:
        """Where its port is published, as http://127.0.0.1:49153."""

    async def exit_code(self) -> int | None:
        """None while it runs."""

    async def logs(self, tail: int = 50) -> str:
        """The last lines of its stdout and stderr, oldest first."""

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        """What it wrote later than that, oldest first; each line is told once when the last
        one's time is passed the next time. Works after `stop`, as far as the log was kept.
        """

    async def stop(self, grace_seconds: float) -> Stopped:
        """SIGTERM, wait, SIGKILL, remove. Zero kills at once. Idempotent. A frozen one is thawed
        when it gets the time to end.
        """

    async def restart(self) -> None:
        """Kills it and starts it again with all that it wrote, maybe at another address. Raises
        StartRefused when it cannot be started any more.
        """

    async def received_bytes(self) -> int:
        """What came to it over the network since its start, what we sent included."""

    # What follows needs a capability; without it EngineUnavailable is raised.

    async def processes(self) -> list[Process]: ...

    async def signal(self, pid: int, signal: int) -> None: ...

    async def sockets(self) -> list[Socket]: ...

    async def connecting(self) -> list[Socket]:
        """The peers that its processes try to reach and have no answer from, in this moment: TCP
        connections that are not taken, and name servers that are asked.
        """

    async def oom_kills(self) -> int:
        """How often the kernel killed one of its processes for memory, so far."""

    async def memory(self) -> Memory: ...

    async def cpu_seconds(self) -> float:
        """Of all its processes, since its start."""

    async def throttle(self, cpus: float) -> None:
        """All its processes together get that much from now on, a thousandth at least. Only for
        one that was started without `ContainerSpec.cpus`.
        """

    async def freeze(self) -> None:
        """None of its processes runs until `thaw`; what it holds stays. Idempotent."""

    async def thaw(self) -> None: ...

    async def changed_paths(self) -> list[str]: ...

    async def written_bytes(self) -> int | None:
        """What it wrote and kept outside of mounts; None when the engine does not tell."""

    async def file_bytes(self, path: str) -> int | None:
        """The size of a file in it, links not followed; None when there is no such file."""

    async def connect_inside(self, port: int, timeout_seconds: float) -> float | None:
        """Seconds until a TCP connection to that port was accepted, None when it was not."""

    async def ask_inside(
        self, port: int, path: str, headers: Mapping[str, str], timeout_seconds: float
    ) -> int | None:
        """The HTTP status of a GET sent from inside to 127.0.0.1; None without an answer."""


class Engine(Protocol):
    """A container engine."""

    name: str

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    async def unavailable(self) -> str | None:
        """Why it cannot be used, with what to do about it; None when it can."""

    async def version(self) -> str: ...

    async def image(self, reference: str) -> ImageInfo:
        """Raises ImageNotFound."""

    async def image_id(self, reference: str) -> str | None:
        """Of an image that it holds, by a name, a digest or an id; None when it holds none. Unlike
        `image` it asks nobody else.
        """

    async def pull(self, reference: str) -> None:
        """Fetches it from the registry that it names. Raises ImageNotFound, EngineUnavailable."""

    async def files(self, reference: str) -> ImageFiles: ...

    async def start(self, spec: ContainerSpec) -> Container:
        """Creates and starts. When the start fails nothing is left behind, and
        StartRefused tells the engine's own words.
        """

    async def sweep(self, *, everything: bool = False) -> list[str]:
        """Removes what runs that are gone left behind, and tells what. Only what carries our
        label is touched; with `everything` also what a living run owns.
        """

    async def close(self) -> None: ...


class StartRefused(Exception):
    """The engine could not start the container: the image's fault (no such executable, wrong
    format), told in the engine's words.
    """

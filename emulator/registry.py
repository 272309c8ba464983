"""A real registry on this machine, that `docker push` pushes to in the place of ECR.

Owns: the registry's process, its directory and its end, and which addresses are its own. Must not
know: ECR, moto, engines. Docker takes a registry on 127.0.0.0/8 without TLS and without being told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from emulator import owner
from emulator.errors import Usage
from emulator.http import AiohttpHttp
from emulator.registry_client import RegistryClient, RegistryUnavailable

HOST = "127.0.0.1"
PROGRAMS = ("docker-registry", "registry")  # Debian's name, and that of the project's own releases

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOG_LINES = 50

LISTENING = re.compile(r"listening on \S*?:(\d+)")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CONFIGURATION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: '{directory}'}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: '{host}:{port}'}}
"""

MISSING = (
    "There is no program for a registry here (looked for: docker-registry, registry). Install one:"
    " `apt install docker-registry`; or run the one in Docker, `docker run -d -p"
    " 127.0.0.1:5000:5000 registry:2`, and give its address: --registry 127.0.0.1:5000."
)


class Registry(RegistryClient):
    """`Registry.start()` runs one, `Registry.at()` uses one that is there."""

    def __init__(self, address: str, *, scheme: str, held: AsyncExitStack) -> None:
        super().__init__(f"{scheme}://{address}", AiohttpHttp())
        self.address = address
        self._held = held

    @classmethod
    async def start(cls, port: int = 0) -> Registry:
        """Runs a registry of our own, empty; 0 takes a free port. It ends with this process,
        however that ends. Start it on the thread whose end is the process's. Raises
        RegistryUnavailable, and Usage when the port is taken.
        """
        async with AsyncExitStack() as held:
            temporary = owner.temporary_directory()
            held.callback(temporary.close)
            configuration = temporary.path.parent / "registry.yml"
            configuration.write_text(
                CONFIGURATION.format(directory=temporary.path, host=HOST, port=port)
            )
            told = await held.enter_async_context(_running(str(configuration), port))
            registry = await cls._answering(f"{HOST}:{told}", "http", held.pop_all())
        return registry  # noqa: RET504 - mypy: an exit stack may swallow what is raised in it

    @classmethod
    async def at(cls, address: str) -> Registry:
        """One that runs already: 127.0.0.1:5000, or a URL. Raises RegistryUnavailable, Usage."""
        scheme, address = _address(address)
        return await cls._answering(address, scheme, AsyncExitStack())

    @classmethod
    async def _answering(cls, address: str, scheme: str, held: AsyncExitStack) -> Registry:
        registry = cls(address, scheme=scheme, held=held)
        try:
            await registry.check()
        except BaseException:
            await registry.close()
            raise
        return registry

    async def close(self) -> None:
        """Ends it when it is ours, with all that was pushed to it. May be called twice."""
        await super().close()
        await self._held.aclose()

    def name(self, repository: str) -> str:
        """Under which Docker pushes there."""
        return f"{self.address}/{repository}"

    def own(self, reference: str) -> str | None:
        """What follows the slash, when that names an image of this registry."""
        host, slash, rest = reference.partition("/")
        return rest if slash and rest and host in self._names else None

    @property
    def _names(self) -> frozenset[str]:
        host, _, port = self.address.rpartition(":")
        names = LOOPBACK if host in LOOPBACK else (host,)
        return frozenset({self.address, *(f"{name}:{port}" for name in names)})


def _address(told: str) -> tuple[str, str]:
    """Its scheme and host:port, as Docker would guess: loopback speaks HTTP, others TLS."""
    scheme, address = "", told
    if "://" in told:
        parts = urlsplit(told)
        scheme, address = parts.scheme, parts.netloc
    host, colon, port = address.rpartition(":")
    fits = re.fullmatch(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\]", host) and port.isascii()
    if not (colon and fits and port.isdigit() and 0 < int(port) < 65536) or scheme not in (
        "",
        "http",
        "https",
    ):
        raise Usage(f"{told!r} is not the address of a registry; write it as 127.0.0.1:5000.")
    return scheme or ("http" if _loopback(host) else "https"), address


def _loopback(host: str) -> bool:
    return host in LOOPBACK or host.startswith("127.")


@contextlib.asynccontextmanager
async def _running(configuration: str, port: int) -> AsyncIterator[int]:
    """The process, once it listens; its port. Afterwards it is gone."""
    process = await asyncio.create_subprocess_exec(
        *_dies_with_us(),
        _program(),
        "serve",
        configuration,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(os.environ),
        start_new_session=True,  # a Ctrl-C is ours to see: it must outlive who still pushes
    )
    log: deque[str] = deque(maxlen=LOG_LINES)
    listens: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_read(process, log, listens))
    try:
        yield await _port(listens, log, port)
    finally:
        await _end(process)
        await reading
        listens.cancel()


async def _read(
    process: asyncio.subprocess.Process, log: deque[str], listens: asyncio.Future[int]
) -> None:
    """To the end: a pipe that nobody reads stops who writes."""
    assert process.stdout is not None
    while raw := await _line(process.stdout):
        line = raw.decode(errors="replace").rstrip()
        log.append(line)
        found = LISTENING.search(line)
        if found and not listens.done():
            listens.set_result(int(found[1]))
    if not listens.done():
        listens.set_exception(EOFError())


async def _line(stream: asyncio.StreamReader) -> bytes:
    while True:
        try:
            return await stream.readline()
        except ValueError:  # longer than the stream keeps; it has been dropped
            continue


async def _port(listens: asyncio.Future[int], log: deque[str], port: int) -> int:
    try:
        async with asyncio.timeout(START_SECONDS):
            return await listens
    except (EOFError, TimeoutError) as error:
        said = "\n".join(list(log)[-5:])
        if "address already in use" in said:
            raise Usage(
                f"the registry's port {port} is taken; take another one, or 0 for one that is free."
            ) from error
        how = "ended" if isinstance(error, EOFError) else f"did not listen in {START_SECONDS:.0f} s"
        raise RegistryUnavailable(f"The registry {how}. Its last words:\n{said}") from error


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _program() -> str:
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise RegistryUnavailable(MISSING)


def _dies_with_us() -> tuple[str, ...]:
    """The kernel ends it when the thread that started it is gone (PR_SET_PDEATHSIG). Where that
    cannot be had, its directory is still swept.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Without what would change the registry's configuration."""
    return {name: value for name, value in ours.items() if not name.startswith("REGISTRY_")}

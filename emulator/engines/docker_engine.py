"""Docker behind the engine seam; podman's Docker API too.

Owns: the connection, starting containers, and clearing what killed runs left. Must not know:
SageMaker's rules. What one container does is in `docker_container`, how an image is read in
`docker_image`, the form of a request in `docker_spec`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import docker
import docker.errors
import requests
import urllib3.exceptions

from emulator import owner
from emulator.clock import Clock, SystemClock
from emulator.engines import Capability, ContainerSpec, EngineUnavailable, ImageInfo
from emulator.engines.connect import connect, kind
from emulator.engines.docker_abilities import abilities, shares_the_kernel
from emulator.engines.docker_container import DockerContainer
from emulator.engines.docker_files import DockerImageFiles
from emulator.engines.docker_image import image_id, pull, read_image
from emulator.engines.docker_spec import (
    NO_MASQUERADE,
    configuration,
    never_started,
    refusal,
    words,
)
from emulator.engines.docker_sweep import sweep
from emulator.engines.docker_threads import Workers

T = TypeVar("T")

THREADS = 32

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)
"""How a connection to the engine ends; what the engine refuses (APIError) is none of it, although
the SDK derives that from the first.
"""

CLOSE_SECONDS = 10.0
"""How long closing waits for starts that were given up, whose containers it must remove."""


class DockerEngine:
    """The engine that answers (see `connect`). Found at the first use, not at construction."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.name = "docker"
        self._workers = Workers(THREADS, "byoc-docker")
        self._lock = threading.Lock()
        self._client: docker.DockerClient | None = None
        self._same_machine = sys.platform == "linux"  # until the engine tells
        self._network: str | None = None
        self._network_lock = threading.Lock()
        self._volumes: list[str] = []
        self._unfinished: set[Future[Any]] = set()
        self._left: set[str] = set()  # containers that an engine which broke did not remove

    # -- the connection ------------------------------------------------------------------------

    @property
    def client(self) -> docker.DockerClient:
        with self._lock:
            if self._client is None:
                client = connect()
                self.name = kind(client)
                self._same_machine = shares_the_kernel(client.info())
                self._client = client
            return self._client

    @property
    def api(self) -> Any:
        """The SDK's low-level client: one request per call, no second look."""
        return self.client.api

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Exact once the engine has answered, say to `unavailable()`."""
        root = os.geteuid() == 0
        return abilities(self.name, same_kernel=self._same_machine, root=root)

    async def run(self, function: Callable[[], T]) -> T:
        """A blocking call of the SDK, in a thread. A connection that died becomes
        EngineUnavailable; the engine's own refusals (APIError) are raised as they are.
        """
        return await self._result(self._workers.submit(function))

    async def _result(self, future: Future[T]) -> T:
        try:
            return await asyncio.wrap_future(future)
        except docker.errors.APIError:
            raise
        except BROKEN as error:
            raise EngineUnavailable(
                f"The container engine stopped answering ({error}). Start it again; what byoc left"
                " in it is removed by the next run, or by `byoc clean`."
            ) from error

    async def ask(self, function: Callable[[], T]) -> T:
        """As `run`, for questions that have no refusal which means anything to who asks."""
        try:
            return await self.run(function)
        except docker.errors.APIError as error:
            raise EngineUnavailable(f"The container engine refused: {words(error)}.") from error

    async def unavailable(self) -> str | None:
        try:
            await self.ask(lambda: self.client.ping())  # noqa: PLW0108 - connects in the thread
        except (EngineUnavailable, docker.errors.DockerException) as error:
            return str(error)
        return None

    async def version(self) -> str:
        return str((await self.ask(lambda: self.api.version()))["Version"])  # noqa: PLW0108

    # -- images --------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageInfo:
        return await self.ask(lambda: read_image(self.client, self.name, reference))

    async def image_id(self, reference: str) -> str | None:
        return await self.ask(lambda: image_id(self.api, reference))

    async def pull(self, reference: str) -> None:
        await self.ask(lambda: pull(self.api, reference))

    async def files(self, reference: str) -> DockerImageFiles:
        def create() -> str:
            return str(self.api.create_container_from_config(never_started(reference))["Id"])

        try:
            return DockerImageFiles(self, await self._making(create, lambda identity: identity))
        except docker.errors.APIError as error:
            raise refusal(error, reference) from error

    # -- containers ----------------------------------------------------------------------------

    async def start(self, spec: ContainerSpec) -> DockerContainer:
        def create() -> str:
            network = None if spec.network else self._isolated_network()
            volume = self._new_volume() if spec.model_read_only and not spec.model_dir else None
            config = configuration(spec, network, volume)
            name = f"byoc-{uuid.uuid4().hex[:12]}"
            try:
                made = self.api.create_container_from_config(config, name, spec.platform)
            except docker.errors.APIError:
                raise
            except BROKEN:
                self._left.add(name)  # an engine that breaks may have made it all the same
                raise
            return str(made["Id"])

        def start(identity: str) -> Any:
            self.api.start(identity)
            return self.api.inspect_container(identity)

        try:
            found = await self._making(create, start)
        except docker.errors.APIError as error:
            raise refusal(error, spec.image, spec.platform) from error
        ports = found["NetworkSettings"]["Ports"].get(f"{spec.port}/tcp")
        return DockerContainer(
            self,
            found["Id"],
            # A container that died at once has no port any more; its exit code tells of it.
            port=int(ports[0]["HostPort"]) if ports else 0,
            pid=found["State"]["Pid"],
            started_at=found["State"]["StartedAt"],
        )

    async def _making(self, create: Callable[[], str], finish: Callable[[str], T]) -> T:
        """Creates a container and does something with it. Nothing of it stays when that fails, or
        when the caller gives up meanwhile: a thread cannot be stopped, so it clears up itself.
        """
        given_up = threading.Event()
        handover = threading.Lock()
        made: list[str] = []

        def work() -> T:
            identity = create()
            try:
                result = finish(identity)
            except BaseException:
                self._remove_quietly(identity)
                raise
            with handover:
                made.append(identity)
                if not given_up.is_set():
                    return result
            self._remove_quietly(identity)
            return result

        try:
            result = await self._result(self._remember(work))
        except asyncio.CancelledError:
            with handover:
                given_up.set()
                ready = list(made)
            for identity in ready:
                self._remember(functools.partial(self._remove_quietly, identity))
            raise
        for identity in tuple(self._left):
            self._remember(functools.partial(self._remove_quietly, identity))
        return result

    def _remember(self, function: Callable[[], T]) -> Future[T]:
        """Begins a call that closing the engine waits for."""
        future = self._workers.submit(function)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def _remove_quietly(self, identity: str) -> None:
        # What cannot be removed now is tried again: after the next start, when this is closed, and
        # by a later sweep.
        self._left.add(identity)
        with contextlib.suppress(docker.errors.APIError, *BROKEN):
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_container(identity, v=True, force=True)
            self._left.discard(identity)

    def _isolated_network(self) -> str:
        """One bridge without a way out, for all containers of this engine that need it. A network
        with `internal`, or none at all, would publish no port.
        """
        with self._network_lock:
            if self._network is None:
                made = self.api.create_network(
                    f"byoc-no-way-out-{os.getpid()}-{id(self):x}",
                    driver="bridge",
                    options=NO_MASQUERADE,
                    labels=owner.labels("network"),
                )
                self._network = str(made["Id"])
            return self._network

    def _new_volume(self) -> str:
        """A name; the engine makes the volume with the container that mounts it."""
        name = f"byoc-model-{os.getpid()}-{id(self):x}-{len(self._volumes)}"
        self._volumes.append(name)
        return name

    # -- the end -------------------------------------------------------------------------------

    async def sweep(self, *, everything: bool = False) -> list[str]:
        removed = await self.ask(lambda: sweep(self.api, everything=everything))
        return removed + await self.run(owner.sweep_temporary)

    def _remove_volume(self, name: str) -> None:
        self.api.remove_volume(name)

    def _remove_network(self, identity: str) -> None:
        self.api.remove_network(identity)

    async def close(self) -> None:
        """May be called twice. Containers that run are their users' to stop."""
        if waiting := [asyncio.wrap_future(future) for future in list(self._unfinished)]:
            await asyncio.wait(waiting, timeout=CLOSE_SECONDS)
        network, self._network = self._network, None
        removals = [functools.partial(self._remove_quietly, left) for left in self._left]
        removals += [functools.partial(self._remove_volume, name) for name in self._volumes]
        if network is not None:
            removals.append(functools.partial(self._remove_network, network))
        for removal in removals:
            # What cannot be removed now, a later sweep takes.
            with contextlib.suppress(docker.errors.APIError, EngineUnavailable):
                await self.run(removal)
        self._volumes.clear()
        self._workers.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

"""Docker behind the engine seam; podman's Docker API too.

Owns: starting containers as the specification says, and clearing what killed runs left. Must not
know: SageMaker's rules. What one container does is in `docker_container`, how an image is read in
`docker_image`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker
import docker.errors
import requests

from emulator import owner
from emulator.clock import Clock, SystemClock
from emulator.engines import (
    Capability,
    ContainerSpec,
    EngineUnavailable,
    ImageInfo,
    ImageNotFound,
    StartRefused,
)
from emulator.engines.connect import connect, kind
from emulator.engines.docker_container import DockerContainer
from emulator.engines.docker_image import DockerImageFiles, read_image

T = TypeVar("T")

THREADS = 32
MODEL_DIRECTORY = "/opt/ml/model"
NOWHERE_DNS = "192.0.2.1"
"""An address that answers nobody (RFC 5737), so that names fail instead of resolving."""

NO_MASQUERADE = {"com.docker.network.bridge.enable_ip_masquerade": "false"}


class DockerEngine:
    """The engine that answers (see `connect`). Found at the first use, not at construction."""

    name = "docker"

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._client: docker.DockerClient | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="byoc-docker")
        self._network: str | None = None
        self._network_lock = asyncio.Lock()

    @property
    def capabilities(self) -> frozenset[Capability]:
        local = {Capability.INSIDE} if is_local_root() else set()
        return frozenset(set(Capability) - {Capability.INSIDE} | local)

    async def run(self, function: Callable[[], T]) -> T:
        """A blocking call of the SDK, in a thread. A connection that died becomes
        EngineUnavailable; the engine's own refusals are raised as they are.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise EngineUnavailable(
                f"The container engine stopped answering ({error}). Start it again; what byoc left"
                " in it is removed by the next run, or by `byoc clean`."
            ) from error

    @property
    def client(self) -> docker.DockerClient:
        if self._client is None:
            self._client = connect()
            self.name = kind(self._client)
        return self._client

    @property
    def api(self) -> Any:
        """The SDK's low-level client: one request per call, no second look."""
        return self.client.api

    async def unavailable(self) -> str | None:
        try:
            await self.run(lambda: self.client.ping())  # noqa: PLW0108 - connects in the thread
        except (EngineUnavailable, docker.errors.DockerException) as error:
            return str(error)
        return None

    async def version(self) -> str:
        return str((await self.run(lambda: self.api.version()))["Version"])  # noqa: PLW0108

    async def image(self, reference: str) -> ImageInfo:
        return await self.run(lambda: read_image(self.client, reference))

    async def files(self, reference: str) -> DockerImageFiles:
        return await DockerImageFiles.open(self, reference)

    async def start(self, spec: ContainerSpec) -> DockerContainer:
        network = None if spec.network else await self._isolated_network()
        created: list[str] = []

        def create_and_start() -> tuple[str, int, int]:
            api = self.api
            made = api.create_container_from_config(_config(spec, network))
            created.append(made["Id"])
            api.start(made["Id"])
            state = api.inspect_container(made["Id"])
            ports = state["NetworkSettings"]["Ports"].get(f"{spec.port}/tcp")
            # A container that died at once has no port any more; it is told by its exit code.
            return made["Id"], int(ports[0]["HostPort"]) if ports else 0, state["State"]["Pid"]

        try:
            identity, port, pid = await self.run(create_and_start)
        except BaseException as error:
            await self._discard(created)
            if isinstance(error, docker.errors.ImageNotFound):
                raise ImageNotFound(f"no image {spec.image!r}: {error.explanation}") from error
            if isinstance(error, docker.errors.APIError):
                raise _refused(error, spec) from error
            raise
        return DockerContainer(self, identity, port=port, pid=pid)

    async def _discard(self, created: list[str]) -> None:
        for identity in created:
            with contextlib.suppress(docker.errors.NotFound, EngineUnavailable):
                await asyncio.shield(self.run(functools.partial(self._remove, identity)))

    def _remove(self, identity: str) -> None:
        self.api.remove_container(identity, v=True, force=True)

    async def _isolated_network(self) -> str:
        """One bridge without a way out, for all containers of this engine that need it. A network
        with `internal`, or none at all, would publish no port.
        """
        async with self._network_lock:
            if self._network is None:
                name = f"byoc-no-way-out-{os.getpid()}-{id(self):x}"
                made = await self.run(
                    lambda: self.api.create_network(
                        name, driver="bridge", options=NO_MASQUERADE, labels=owner.labels("network")
                    )
                )
                self._network = str(made["Id"])
            return self._network

    async def sweep(self, *, everything: bool = False) -> list[str]:
        return await self.run(lambda: self._sweep(everything=everything))

    def _sweep(self, *, everything: bool) -> list[str]:
        removed: list[str] = []
        api = self.api
        filters = {"label": owner.OWNER}
        for found in api.containers(all=True, filters=filters):
            if _is_left(found["Labels"], everything=everything):
                try:
                    api.remove_container(found["Id"], v=True, force=True)
                except docker.errors.NotFound:
                    continue
                except docker.errors.APIError as error:
                    if error.status_code != 409:  # another sweep is removing it right now
                        raise
                    continue
                removed.append(f"container {found['Names'][0].lstrip('/')} of {found['Image']}")
        for found in api.networks(filters=filters):
            if _is_left(found["Labels"], everything=everything):
                try:
                    api.remove_network(found["Id"])
                except (docker.errors.NotFound, docker.errors.APIError):
                    continue  # in use by a container that is not ours to remove
                removed.append(f"network {found['Name']}")
        return removed + owner.sweep_temporary()

    async def close(self) -> None:
        if self._client is not None and self._network is not None:
            network, self._network = self._network, None
            # What cannot be removed now, a later sweep takes.
            with contextlib.suppress(docker.errors.APIError, EngineUnavailable):
                await self.run(lambda: self.api.remove_network(network))
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None


def is_local_root() -> bool:
    """Whether this process may enter the namespaces of the engine's containers."""
    return sys.platform == "linux" and os.geteuid() == 0


def _is_left(found: dict[str, str] | None, *, everything: bool) -> bool:
    text = (found or {}).get(owner.OWNER)
    if text is None:
        return False
    return everything or owner.alive(text) is False


def _config(spec: ContainerSpec, network: str | None) -> dict[str, Any]:
    port = f"{spec.port}/tcp"
    host: dict[str, Any] = {
        "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        "CapDrop": list(spec.drop_capabilities),
    }
    if spec.memory_bytes is not None:
        # Equal values mean that no swap is given.
        host |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
    if spec.cpus is not None:
        host["NanoCpus"] = int(min(spec.cpus, os.cpu_count() or 1) * 1e9)
    if spec.model_dir is not None:
        host["Binds"] = [f"{spec.model_dir}:{MODEL_DIRECTORY}:ro"]
    if network is not None:
        host |= {"NetworkMode": network, "Dns": [NOWHERE_DNS]}
    if not spec.shm:
        host["IpcMode"] = "none"
    config: dict[str, Any] = {
        "Image": spec.image,
        "Cmd": list(spec.command) or None,
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "ExposedPorts": {port: {}},
        "Labels": owner.labels(spec.role),
        "HostConfig": host,
    }
    if spec.user is not None:
        config["User"] = spec.user
    return config


def _refused(error: docker.errors.APIError, spec: ContainerSpec) -> Exception:
    text = " ".join(str(error.explanation or error).split())
    if "bind source path does not exist" in text or "mounts denied" in text:
        return EngineUnavailable(
            f"The engine cannot see {spec.model_dir}: {text}. Put the model data where the engine"
            " may read it (Docker Desktop: Settings, Resources, File sharing)."
        )
    if error.is_server_error() and "port is already allocated" in text:
        return EngineUnavailable(f"The engine could not publish a port: {text}. Try again.")
    return StartRefused(text)

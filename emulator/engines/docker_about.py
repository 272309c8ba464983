"""What the engine that answers tells of itself, for `byoc doctor`.

Owns: which of its words are kept. Must not know: what they mean for a check, how they are shown.
Nothing is started; what it does not tell is None, never guessed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from emulator import owner
from emulator.engines import Capability, EngineUnavailable
from emulator.engines.connect import Candidate, find, kind
from emulator.engines.docker_abilities import abilities, shares_the_kernel
from emulator.engines.docker_image import SNAPSHOTTER
from emulator.engines.docker_sweep import leftovers

ASK_SECONDS = 20
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """An engine, by its own account. None is what it does not tell."""

    name: str
    version: str
    api_version: str
    system: str  # as "Debian GNU/Linux 12 (bookworm)"
    kernel: str
    url: str
    origin: str  # DOCKER_HOST, a docker context, or what usually listens there
    chosen: bool
    architecture: str  # Docker's name: amd64, arm64
    same_kernel: bool  # this process and the containers share one
    cgroup_version: str | None
    cgroup_driver: str | None
    storage_driver: str | None
    containerd_store: bool
    rootless: bool
    cpus: int | None
    memory_bytes: int | None
    root_directory: str | None
    limits: Mapping[str, bool]  # whether it enforces MemoryLimit, SwapLimit, CpuCfsQuota
    warnings: tuple[str, ...]
    capabilities: frozenset[Capability]
    leftovers: tuple[str, ...]

    @property
    def disk_free_bytes(self) -> int | None:
        """Where it keeps images and containers; None when that is another machine's, or hidden."""
        if self.same_kernel and self.root_directory:
            with contextlib.suppress(OSError):
                return shutil.disk_usage(self.root_directory).free
        return None


def look(environment: Mapping[str, str] | None = None, home: Path | None = None) -> About:
    """Asks the engine that `byoc check` would use. Raises EngineUnavailable."""
    client, candidate = find(environment, home)
    try:
        client.api.timeout = ASK_SECONDS
        return about(client, candidate)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineUnavailable(
            f"The engine at {candidate.url} ({candidate.origin}) answers, but not to what it is:"
            f" {' '.join(str(error).split())[:200]}. Restart it."
        ) from error
    finally:
        client.close()


def about(client: docker.DockerClient, candidate: Candidate) -> About:
    api: Any = client.api
    told, version = dict(api.info()), dict(api.version())
    name, same_kernel = kind(client), shares_the_kernel(told)
    security = [str(option) for option in told.get("SecurityOptions") or ()]
    machine = str(told.get("Architecture") or version.get("Arch") or "unknown")
    return About(
        name=name,
        version=str(version.get("Version", "unknown")),
        api_version=str(version.get("ApiVersion", "unknown")),
        system=str(told.get("OperatingSystem") or "unknown"),
        kernel=str(told.get("KernelVersion") or "unknown"),
        url=candidate.url,
        origin=candidate.origin,
        chosen=candidate.chosen,
        architecture=ARCHITECTURES.get(machine, machine),
        same_kernel=same_kernel,
        cgroup_version=_text(told, "CgroupVersion"),
        cgroup_driver=_text(told, "CgroupDriver"),
        storage_driver=_text(told, "Driver"),
        containerd_store=SNAPSHOTTER in str(told.get("DriverStatus")),
        rootless=any("rootless" in option for option in security),
        cpus=_number(told, "NCPU"),
        memory_bytes=_number(told, "MemTotal"),
        root_directory=_text(told, "DockerRootDir"),
        limits={
            name: bool(told[name])
            for name in ("MemoryLimit", "SwapLimit", "CpuCfsQuota")
            if name in told
        },
        warnings=tuple(str(line) for line in told.get("Warnings") or ()),
        capabilities=abilities(name, same_kernel=same_kernel, root=os.geteuid() == 0),
        leftovers=(
            *leftovers(api),
            *(f"directory {path}" for path in owner.left_temporary()),
        ),
    )


def _text(told: Mapping[str, Any], name: str) -> str | None:
    return str(told[name]) if told.get(name) else None


def _number(told: Mapping[str, Any], name: str) -> int | None:
    return int(told[name]) if told.get(name) else None

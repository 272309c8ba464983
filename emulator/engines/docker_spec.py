"""What is asked of Docker for a specification, and whose fault a refusal is.

Owns: the request's form, the sorting of refusals. Must not know: connections, threads.
"""

from __future__ import annotations

import os
from typing import Any

import docker.errors

from emulator import owner
from emulator.engines import ContainerSpec, EngineUnavailable, ImageNotFound, StartRefused

MODEL_DIRECTORY = "/opt/ml/model"
CPUS_ONLINE = "/sys/devices/system/cpu/online"
"""What glibc counts processors by, whatever a cgroup allows."""

TMPFS = "rw,exec,nosuid,nodev,mode=1777"
"""Docker's own default would be noexec, which no platform's /tmp is known to be."""
MODELS_DIRECTORY = "/opt/ml/models"

NOWHERE_DNS = "192.0.2.1"
"""An address that answers nobody (RFC 5737), so that names fail instead of resolving."""

NO_MASQUERADE = {"com.docker.network.bridge.enable_ip_masquerade": "false"}

UNSEEN = (
    "The engine cannot see the model directory. Put it where the engine may read it (Docker"
    " Desktop: Settings, Resources, File sharing; Colima and Rancher Desktop: below your home)."
)

# What an engine says when the machine is at fault and not the image, and what to do about it.
ENGINE_FAULTS = (
    ("bind source path does not exist", UNSEEN),
    ("mounts denied", UNSEEN),
    ("error while creating mount source path", UNSEEN),
    ("port is already allocated", "Something else took the port in that moment: try again."),
    ("address already in use", "Something else took the port in that moment: try again."),
    ("non-overlapping", "The engine has no addresses left for a network: `docker network prune`."),
    ("no space left on device", "The engine's disk is full: `docker system df` tells of what."),
    ("memory limit allowed is", "Ask for more memory."),
    ("failed to create endpoint", "The engine's network is broken: restart the engine."),
    ("iptables", "The engine's network is broken: restart the engine."),
    ("error setting cgroup config", "The engine cannot set limits here: see `docker info`."),
    ("cannot set memory", "The engine cannot set limits here: see `docker info`."),
)

# What runc, crun and the engines say when the image is at fault. A refusal that is in neither table
# is taken for the engine's: an image must not be blamed for a machine that cannot run any.
IMAGE_FAULTS = (
    "executable file not found",
    "executable file `",  # crun: executable file `serve` not found in $PATH
    "exec format error",
    "no such file or directory",
    "permission denied: unknown",  # runc, of a file that may not be executed
    "is a directory",
    "not a directory",
    "cannot run executable found relative to current directory",
    "no command specified",
    "unable to find user",
    "unable to find group",
    "no matching entries in passwd file",
    "chdir to cwd",
    'to rootfs at "/opt/ml/model/',  # the image's VOLUME below the mounted model
    "too many levels of symbolic links",
    "argument list too long",
)


def configuration(
    spec: ContainerSpec, network: str | None, volume: str | None = None
) -> dict[str, Any]:
    """The body of the create request; nothing is in it that the specification does not ask.
    `volume` is the name of one to be made, which the engine fills with the image's own model.
    """
    port = f"{spec.port}/tcp"
    host: dict[str, Any] = {"PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    if spec.drop_capabilities:
        host["CapDrop"] = list(spec.drop_capabilities)
    if spec.memory_bytes is not None:
        # Equal values mean that no swap is given.
        host |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
    if spec.cpus is not None:
        host["NanoCpus"] = int(min(spec.cpus, os.cpu_count() or 1) * 1e9)
    shown = (
        (spec.model_dir, MODEL_DIRECTORY),
        (spec.models_dir, MODELS_DIRECTORY),
        (spec.cpus_online, CPUS_ONLINE),
    )
    # Not `Binds`: that would create a directory that is not there, on the user's disk.
    mounts: list[dict[str, Any]] = [
        {"Type": "bind", "Source": str(source.absolute()), "Target": target, "ReadOnly": True}
        for source, target in shown
        if source is not None
    ]
    if volume is not None:
        mounts.append(
            {
                "Type": "volume",
                "Source": volume,
                "Target": MODEL_DIRECTORY,
                "ReadOnly": True,
                "VolumeOptions": {"Labels": owner.labels("model")},
            }
        )
    if mounts:
        host["Mounts"] = mounts
    if spec.read_only:
        host |= {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": TMPFS}}  # noqa: S108 - the container's
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
    if spec.hostname is not None:
        config["Hostname"] = spec.hostname
    return config


def never_started(image: str) -> dict[str, Any]:
    """A container that only holds an image's files."""
    return {
        "Image": image,
        "Cmd": ["never-started"],
        "Labels": owner.labels("files"),
        "HostConfig": {"NetworkMode": "none"},
    }


def refusal(error: docker.errors.APIError, image: str, platform: str | None = None) -> Exception:
    """The engine's refusal, sorted: no such image, the engine's own trouble, the image's fault."""
    text = words(error)
    if "does not match the specified platform" in text:
        return StartRefused(f"{text} (asked for {platform})")
    if isinstance(error, docker.errors.ImageNotFound):
        return ImageNotFound(
            f"The engine has no image {image!r} ({text}). `docker images` lists what it has; byoc"
            f" never pulls: build the image first, or `docker pull {image}`."
        )
    for said, cure in ENGINE_FAULTS:
        if said in text.lower():
            return EngineUnavailable(f"The engine could not start a container: {text}. {cure}")
    if any(said in text.lower() for said in IMAGE_FAULTS):
        return StartRefused(text)
    return EngineUnavailable(
        f"The engine could not start a container: {text}. See whether it can start any: `docker run"
        f" --rm {image} true`."
    )


def words(error: docker.errors.APIError) -> str:
    """What the engine said, in one line, without the SDK's wrapping."""
    return " ".join(str(error.explanation or error).split())

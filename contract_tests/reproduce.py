"""The docker command that starts a container as a check did, for people to repeat.

Owns: a specification's form as words of `docker run`. Must not know: engines, which check asks.
"""

from __future__ import annotations

import shlex

from emulator.engines import ContainerSpec
from emulator.instance import platform_environment
from emulator.limits import MIB

CPUS = "/tmp/cpus-online"  # noqa: S108 - for who repeats it, on a machine of their own


def run_line(spec: ContainerSpec, model_data: str = "") -> str:
    """`model_data` is what the user named for /opt/ml/model, empty without."""
    words = ["docker", "run", "--rm", "-p", f"127.0.0.1:8080:{spec.port}"]
    if spec.memory_bytes is not None:
        size = f"{spec.memory_bytes // MIB}m"
        words += ["--memory", size, "--memory-swap", size]
    if spec.cpus is not None:
        words += ["--cpus", str(spec.cpus)]
    if model_data:
        words += ["-v", f"{model_data}:/opt/ml/model:ro"]
    elif spec.model_read_only:
        words += ["-v", "a-new-volume:/opt/ml/model:ro"]  # filled with the image's own
    for name, value in sorted(spec.environment.items() - platform_environment().items()):
        words += ["-e", f"{name}={value}"]
    line = shlex.join([*words, *_conditions(spec), spec.image, *spec.command])
    if spec.cpus_online is None:
        return line
    return f"echo {spec.cpus_online.read_text().strip()} > {CPUS} && {line}"


def _conditions(spec: ContainerSpec) -> list[str]:
    words: list[str] = []
    if not spec.network:
        words += ["--network", "none"]
    if not spec.shm:
        words += ["--ipc", "none"]
    for capability in spec.drop_capabilities:
        words += ["--cap-drop", capability]
    if spec.user is not None:
        words += ["--user", spec.user]
    if spec.read_only:
        words += ["--read-only", "--tmpfs", "/tmp:exec"]  # noqa: S108 - the container's
    if spec.hostname is not None:
        words += ["--hostname", spec.hostname]
    if spec.cpus_online is not None:
        words += ["-v", f"{CPUS}:/sys/devices/system/cpu/online:ro"]
    return words

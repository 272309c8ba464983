"""What can be seen of this machine without an engine.

Owns: looking. Must not know: what it means. What cannot be seen is None.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from emulator import __version__

PROGRAM_SECONDS = 10
REGISTRIES = ("docker-registry", "registry")
BINFMT = Path("/proc/sys/fs/binfmt_misc")
"""Where a Linux kernel keeps which emulator runs which foreign program."""

MACHINES = {"3e00": "amd64", "b700": "arm64"}
"""An ELF header's machine, as it stands in the magic that the kernel looks for."""

MACHINE_AT = slice(36, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """As this process sees it."""

    python: str
    executable: str
    byoc: str
    system: str
    user_id: int
    memory_free_bytes: int
    temporary: str
    temporary_free_bytes: int
    docker_program: str | None  # the command line client, which byoc itself does not need
    buildx: str | None  # its version
    buildx_driver: str | None
    registry: str | None
    emulates: tuple[str, ...] | None  # foreign architectures; None: it cannot be seen


def this_machine() -> Machine:
    temporary = tempfile.gettempdir()
    program = shutil.which("docker")
    buildx = _says(program, "buildx", "version") if program else None
    inspected = _says(program, "buildx", "inspect") if program and buildx else None
    return Machine(
        python=platform.python_version(),
        executable=sys.executable,
        byoc=__version__,
        system=platform.platform(terse=True),
        user_id=os.geteuid(),
        memory_free_bytes=psutil.virtual_memory().available,
        temporary=temporary,
        temporary_free_bytes=shutil.disk_usage(temporary).free,
        docker_program=program,
        buildx=buildx.splitlines()[0] if buildx else None,
        buildx_driver=driver(inspected or ""),
        registry=next(filter(None, map(shutil.which, REGISTRIES)), None),
        emulates=emulated(BINFMT),
    )


def _says(*command: str) -> str | None:
    """Its output when it ends well in time."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return None


def driver(inspected: str) -> str | None:
    """The builder's driver, from `docker buildx inspect`."""
    for line in inspected.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "driver" and value.strip():
            return value.strip()
    return None


def emulated(directory: Path) -> tuple[str, ...] | None:
    """Architectures whose programs this kernel hands to an emulator: QEMU, Rosetta, whichever. None
    when the kernel does not show it: not Linux, or not mounted here.
    """
    if not (directory / "status").exists():
        return None
    found: set[str] = set()
    for path in directory.iterdir():
        with contextlib.suppress(OSError):
            lines = path.read_text().splitlines()
            magic = next((line[6:] for line in lines if line.startswith("magic ")), "")
            if lines[:1] == ["enabled"] and magic.startswith("7f454c46"):
                found.add(MACHINES.get(magic[MACHINE_AT], ""))
    return tuple(sorted(found - {""}))

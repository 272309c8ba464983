"""What doctor saw of this machine, and what it means for a run.

Owns: the form of a finding, the rules that hold without an engine. Must not know: how anything was
observed, how it is printed. Each finding stands on something that was seen, and says so; what was
not seen is called unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from contract_tests.doctor_machine import Machine
from emulator.limits import GIB, MIB

State = Literal["ok", "note", "wrong"]

MEMORY_MB = 2048
"""What one container may take unless --memory says otherwise."""

LITTLE_DISK = 5 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line. `means` is empty when there is nothing to do or to know."""

    id: str
    state: State
    found: str
    means: str = ""
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def here(machine: Machine) -> list[Finding]:
    """What holds without an engine."""
    return [
        Finding(
            id="byoc",
            state="ok",
            found=f"{machine.byoc}, Python {machine.python} ({machine.executable})",
            data={
                "version": machine.byoc,
                "python": machine.python,
                "executable": machine.executable,
            },
        ),
        Finding(
            id="machine",
            state="ok",
            found=f"{machine.system}, user id {machine.user_id}",
            data={"system": machine.system, "user_id": machine.user_id},
        ),
        _memory(machine),
        _temporary(machine),
        _registry(machine),
    ]


def no_engine(why: str) -> Finding:
    return Finding(
        id="engine", state="wrong", found="no container engine can be used", means=why, data={}
    )


def mib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size // MIB} MiB"


def _memory(machine: Machine) -> Finding:
    free = machine.memory_free_bytes
    enough = free >= MEMORY_MB * MIB
    return Finding(
        id="memory",
        state="ok" if enough else "note",
        found=f"{mib(free)} available",
        means=""
        if enough
        else f"less than the {MEMORY_MB} MB that one container may take: this machine may swap or"
        " kill something, which is then no finding about the image",
        data={"available_bytes": free},
    )


def _temporary(machine: Machine) -> Finding:
    free = machine.temporary_free_bytes
    return _disk("temporary", machine.temporary, free, "model archives are unpacked there")


def _disk(identity: str, path: str, free: int, what: str) -> Finding:
    little = free < LITTLE_DISK
    return Finding(
        id=identity,
        state="note" if little else "ok",
        found=f"{mib(free)} free in {path}",
        means=f"less than {mib(LITTLE_DISK)}: {what}" if little else "",
        data={"path": path, "free_bytes": free},
    )


def _registry(machine: Machine) -> Finding:
    found = machine.registry
    return Finding(
        id="registry",
        state="ok" if found else "note",
        found=found or "no docker-registry on PATH",
        means=""
        if found
        else "`byoc serve --registry` needs the address of one that runs, or `apt install"
        " docker-registry`; checks do without",
        data={"program": found},
    )

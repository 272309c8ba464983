"""What an engine told of itself, and what it means for a run.

Owns: the rules and their words. Must not know: how the engine was asked, how it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contract_tests.doctor_findings import LITTLE_DISK, MEMORY_MB, Finding, State, mib
from contract_tests.doctor_machine import Machine
from emulator.engines import Capability
from emulator.engines.docker_about import About
from emulator.limits import MIB

WANTED = "amd64"
"""Of linux/amd64, the platform that a run takes unless --platform names another."""

NOT_ENFORCED: Mapping[str, str] = {
    "MemoryLimit": "memory is not capped: no-oom and all memory sizes say nothing",
    "SwapLimit": "swap cannot be switched off: what AWS would kill may survive here",
    "CpuCfsQuota": "CPU is not capped: what is slow on AWS is as fast as this machine here",
}
"""What an engine may not enforce, by its own account, and what follows."""

ALSO: Mapping[Capability, str] = {
    Capability.INSIDE: "accepts-in-250ms is then asked through the published port, and the wait for"
    " a container that listens elsewhere does not end early; root on the engine's own machine can",
    Capability.MEMORY: "`byoc serve` then tells no memory, and has no MemoryUtilization",
    Capability.FREEZE: "`byoc serve --freeze` is then refused",
}
"""What a capability is used for besides the checks that cannot do without."""


def engine_findings(
    engine: About, machine: Machine, checks: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """What the engine told. `checks` are the rows of the catalogue's index."""
    return [
        _engine(engine),
        _cgroup(engine),
        _storage(engine),
        _size(engine),
        _platform(engine, machine),
        _push(engine, machine),
        *_capabilities(engine, checks),
        _leftovers(engine),
    ]


def _engine(engine: About) -> Finding:
    how = f"chosen by {engine.origin}" if engine.chosen else f"found where {engine.origin} listens"
    rights = "rootless" if engine.rootless else "not rootless"
    return Finding(
        id="engine",
        state="ok",
        found=f"{engine.name} {engine.version} (API {engine.api_version}) at {engine.url}, {how};"
        f" {rights}; {engine.system}, kernel {engine.kernel}",
        means=""
        if engine.same_kernel
        else "its containers run on another kernel than byoc, as in a virtual machine",
        data={
            "name": engine.name,
            "version": engine.version,
            "api_version": engine.api_version,
            "url": engine.url,
            "origin": engine.origin,
            "chosen": engine.chosen,
            "rootless": engine.rootless,
            "same_kernel": engine.same_kernel,
        },
    )


def _cgroup(engine: About) -> Finding:
    version, driver = engine.cgroup_version or "unknown", engine.cgroup_driver or "unknown"
    costs = [words for name, words in NOT_ENFORCED.items() if engine.limits.get(name) is False]
    return Finding(
        id="cgroup",
        state="note" if costs else "ok",
        found=f"version {version}, driver {driver}",
        means="; ".join(costs),
        data={
            "version": engine.cgroup_version,
            "driver": engine.cgroup_driver,
            "enforces": dict(engine.limits),
            "warnings": list(engine.warnings),
        },
    )


def _storage(engine: About) -> Finding:
    store = "containerd's image store" if engine.containerd_store else "the classic image store"
    free = engine.disk_free_bytes
    little = free is not None and free < LITTLE_DISK
    room = "free space unknown from here" if free is None else f"{mib(free)} free"
    return Finding(
        id="storage",
        state="note" if little else "ok",
        found=f"{engine.storage_driver or 'unknown driver'}, {store}, {room}"
        f" in {engine.root_directory or 'a directory that it does not tell'}",
        means=f"less than {mib(LITTLE_DISK)}: a build may fail" if little else "",
        data={
            "driver": engine.storage_driver,
            "containerd_image_store": engine.containerd_store,
            "root_directory": engine.root_directory,
            "free_bytes": free,
        },
    )


def _size(engine: About) -> Finding:
    size = engine.memory_bytes
    small = size is not None and size < MEMORY_MB * MIB
    memory = "unknown memory" if size is None else f"{mib(size)} memory"
    return Finding(
        id="engine-size",
        state="note" if small else "ok",
        found=f"{engine.cpus or 'unknown'} CPUs, {memory} in all",
        means=f"less than the {MEMORY_MB} MB of the default: give the engine more, or --memory 1024"
        if small
        else "",
        data={"cpus": engine.cpus, "memory_bytes": size},
    )


def _platform(engine: About, machine: Machine) -> Finding:
    data = {"architecture": engine.architecture, "emulates": machine.emulates}
    state: State = "note"
    if engine.architecture == WANTED:
        return Finding(
            id="platform",
            state="ok",
            found=f"{engine.architecture}: --platform linux/{WANTED} runs as on AWS, not emulated",
            data=data,
        )
    slow = "seconds then say little about AWS; or build and check with --platform linux/arm64"
    if engine.same_kernel and machine.emulates is not None:
        if WANTED in machine.emulates:
            means = f"the kernel hands linux/{WANTED} programs to an emulator: {slow}"
        else:
            means = (
                f"no emulator for linux/{WANTED} is registered with the kernel: such an image ends"
                " with `exec format error`. `docker run --privileged --rm tonistiigi/binfmt"
                f" --install {WANTED}`, or check with --platform linux/arm64 for Graviton"
            )
    else:
        means = (
            f"whether linux/{WANTED} images run there cannot be seen from here; if they do, they"
            f" are emulated: {slow}"
        )
    return Finding(id="platform", state=state, found=engine.architecture, means=means, data=data)


def _push(engine: About, machine: Machine) -> Finding:
    """What a push would send: SageMaker takes Docker schema 2 alone (contract 5.1)."""
    builder = machine.buildx or "no buildx"
    driver = f", driver {machine.buildx_driver}" if machine.buildx_driver else ""
    risks = []
    if engine.name == "podman":
        risks.append("podman pushes OCI unless it built, or pushes, with --format docker")
    elif engine.containerd_store:
        risks.append("`docker push` from this store sends the manifest as it was built, which"
                     " may be OCI")  # fmt: skip
    if machine.buildx_driver and machine.buildx_driver != "docker":
        risks.append(f"`docker buildx build --push` with the driver {machine.buildx_driver} sends"
                     " OCI with attestations")  # fmt: skip
    means = ""
    if risks:
        means = (
            f"{'; '.join(risks)}: SageMaker refuses that. Build with --provenance=false"
            " --sbom=false and oci-mediatypes=false; manifest-media-type looks at each image"
        )
    return Finding(
        id="push",
        state="note" if risks else "ok",
        found=f"{builder}{driver}; "
        + ("what is sent depends on the build" if risks else "docker push sends schema 2"),
        means=means,
        data={"buildx": machine.buildx, "driver": machine.buildx_driver, "oci_risk": bool(risks)},
    )


def _capabilities(engine: About, checks: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """One for all, and one for each that is missing."""
    able = [c for c in Capability if c in engine.capabilities]
    missing = [c for c in Capability if c not in engine.capabilities]
    total = Finding(
        id="capabilities",
        state="note" if missing else "ok",
        found=f"{len(able)} of {len(Capability)}: {', '.join(map(_word, able)) or 'none'}",
        data={"able": [_word(c) for c in able], "missing": [_word(c) for c in missing]},
    )
    return [total, *(_missing(capability, checks) for capability in missing)]


def _word(capability: Capability) -> str:
    return capability.name.lower().replace("_", "-")


def _missing(capability: Capability, checks: Sequence[Mapping[str, Any]]) -> Finding:
    skipped = [check["id"] for check in checks if capability.value in check["requires"]]
    costs = [f"skipped: {', '.join(skipped)}"] if skipped else []
    if capability in ALSO:
        costs.append(ALSO[capability])
    return Finding(
        id=f"no-{_word(capability)}",
        state="note",
        found=f"cannot {capability.value}",
        means="; ".join(costs) or "no check needs it",
        data={"skipped": skipped},
    )


def _leftovers(engine: About) -> Finding:
    left = engine.leftovers
    return Finding(
        id="leftovers",
        state="note" if left else "ok",
        found=f"{len(left)}: {', '.join(left[:5])}{' ...' if len(left) > 5 else ''}"
        if left
        else "none of killed runs",
        means="`byoc clean` removes them; the next run does, too" if left else "",
        data={"left": list(left)},
    )

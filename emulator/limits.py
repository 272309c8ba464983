"""Every number that the platform enforces, once: value, unit, source, evidence.

Owns: the numbers and the table of their sources. Must not know: who enforces them. A field's
name carries its unit. `Limits.of("serverless")` gives the values of a profile; a test may
`dataclasses.replace` them to make a minute a second, users change only `startup_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from emulator.sources import Source, contract

Profile = Literal["serverless", "realtime"]
PROFILES: tuple[Profile, ...] = ("serverless", "realtime")

MIB = 1024 * 1024
GIB = 1024 * MIB

MEMORY_SIZES_MB = (1024, 2048, 3072, 4096, 5120, 6144)
"""What ServerlessConfig.MemorySizeInMB accepts (contract 4.1)."""

IDLE_SECONDS = 640.0
"""How long an idle serverless instance is kept. AWS publishes no figure (contract 4.25); on Lambda
the longest idle time that survived was 636 to 654 s, and with this value a replay has 464 cold
starts where 440 were real (github.com/pacslab/serverless-performance-modeling). Inferred."""

MB_PER_VCPU = 1769
"""Memory that brings one vCPU on Lambda; SageMaker says only "proportional" (contract 4.9)."""


def _limit(serverless: Any, realtime: Any, source: Source, note: str = "") -> Any:
    return field(
        default=serverless,
        metadata={"realtime": realtime, "source": source, "note": note},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What AWS enforces, with the serverless values as defaults."""

    ping_seconds: float = _limit(2.0, 2.0, contract("2.3"))
    startup_seconds: float = _limit(
        180.0, 480.0, contract("2.9"), "realtime: contract 2.7, 8 minutes; older texts say 4"
    )
    invocation_seconds: float = _limit(60.0, 60.0, contract("3.13"))
    stream_seconds: float = _limit(
        480.0, 480.0, contract("3.14"), "serverless endpoints give no streams (contract 4.14)"
    )
    accept_seconds: float = _limit(0.25, 0.25, contract("1.7"))
    stop_grace_seconds: float = _limit(30.0, 30.0, contract("1.4"))
    sure_payload_bytes: int = _limit(
        4_000_000,
        6_291_456,
        contract("3.11"),
        "the smallest reading of the documented limit: what certainly reaches a container",
    )
    payload_bytes: int = _limit(
        4 * MIB,
        25 * MIB,
        contract("3.11"),
        "the largest reading: nothing above it passes. realtime: contract 3.10",
    )
    image_bytes: int | None = _limit(
        10 * GIB, None, contract("4.8"), "uncompressed; realtime has no such rule"
    )
    port: int = _limit(8080, 8080, contract("1.6"))

    @classmethod
    def of(cls, profile: Profile) -> Limits:
        """The limits of a profile."""
        if profile == "serverless":
            return cls()
        return cls(**{f.name: f.metadata["realtime"] for f in fields(cls)})


def sources() -> Mapping[str, Source]:
    """Where each field of `Limits` comes from."""
    return {f.name: f.metadata["source"] for f in fields(Limits)}


def cpus(memory_mb: int) -> float:
    """VCPUs that come with a memory size, by Lambda's rule (contract 4.9, inferred)."""
    return round(memory_mb / MB_PER_VCPU, 2)

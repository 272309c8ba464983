"""What may be asked of a local endpoint, checked before anything starts.

Owns: `Setup`, its defaults, and what AWS would not take. Must not know: how an endpoint comes to
life (`live`), the command line, Docker.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.engines import ContainerSpec
from emulator.errors import Usage
from emulator.instance import platform_environment
from emulator.limits import IDLE_SECONDS, MEMORY_SIZES_MB, MIB, PROFILES, Limits, Profile, cpus
from emulator.policy_events import PolicyConfig
from emulator.wire_members import ENDPOINT_NAME

HOST = "127.0.0.1"

MOST_CONCURRENCY = 200
"""ServerlessConfig.MaxConcurrency goes from 1 to here (contract 4.2,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html)."""

SERVERLESS_ONLY = (
    "max_concurrency", "provisioned_concurrency", "idle_seconds", "halving_seconds",
    "max_age_seconds", "freeze",
)  # fmt: skip
REALTIME_ONLY = ("instance_count",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What an endpoint is to be. Raises Usage for what AWS would not take."""

    image: str
    name: str = ""  # of the image, when empty
    profile: Profile = "serverless"
    memory_mb: int | None = 2048  # None: no bound; only for the realtime profile
    environment: Mapping[str, str] = field(default_factory=dict)
    model_data: Path | None = None
    network: bool = True  # False: EnableNetworkIsolation, the container has no way out
    startup_seconds: float | None = None  # in place of the platform's window
    host: str = HOST  # where it listens
    port: int = 0  # a free one
    allowed_hosts: tuple[str, ...] = ()  # names that callers may use for this machine, besides
    limits: Limits = field(default_factory=Limits)  # of the profile; tests shrink them

    max_concurrency: int = 5
    provisioned_concurrency: int = 0
    idle_seconds: float = IDLE_SECONDS
    halving_seconds: float | None = None
    max_age_seconds: float | None = None
    freeze: bool = False

    instance_count: int = 1

    def __post_init__(self) -> None:
        if not self.image.strip():
            raise Usage("no image was named; say which one, as in mymodel:latest")
        object.__setattr__(self, "name", self.name or default_name(self.image))
        if broken := list(ENDPOINT_NAME.broken_by(self.name, "endpointName")):
            raise Usage(f"this is no name of an endpoint: {broken[0]}")
        if self.profile not in PROFILES:
            raise Usage(f"a profile is one of {', '.join(PROFILES)}, not {self.profile!r}")
        object.__setattr__(self, "limits", self._limits())
        self._only(REALTIME_ONLY if self.profile == "serverless" else SERVERLESS_ONLY)
        if self.profile == "serverless" and self.memory_mb not in MEMORY_SIZES_MB:
            sizes = ", ".join(map(str, MEMORY_SIZES_MB))
            raise Usage(f"memory is one of {sizes} MB, not {self.memory_mb}")
        if (self.memory_mb is not None and self.memory_mb < 1) or self.instance_count < 1:
            raise Usage(
                "memory_mb and instance_count are at least 1, not"
                f" {self.memory_mb} and {self.instance_count}"
            )
        if not 1 <= self.max_concurrency <= MOST_CONCURRENCY:
            raise Usage(
                f"max_concurrency is from 1 to {MOST_CONCURRENCY}, not {self.max_concurrency}"
            )
        if not 0 <= self.port <= 65535:
            raise Usage(f"a port is from 0 to 65535, not {self.port}")
        if self.model_data is not None and not self.model_data.exists():
            raise Usage(f"model data {self.model_data} is not there")
        _ = self.policy  # looks at the rest

    def _limits(self) -> Limits:
        limits = Limits.of(self.profile) if self.limits == Limits() else self.limits
        if self.startup_seconds is None:
            return limits
        if not 0 < self.startup_seconds < float("inf"):
            raise Usage(f"startup_seconds is more than 0, not {self.startup_seconds}")
        return dataclasses.replace(limits, startup_seconds=self.startup_seconds)

    def _only(self, others: tuple[str, ...]) -> None:
        """A setting that would have no effect is refused, not ignored."""
        for one in dataclasses.fields(self):
            if one.name in others and getattr(self, one.name) != one.default:
                raise Usage(
                    f"{one.name} means nothing for a {self.profile} endpoint; leave it out, or take"
                    " the other profile"
                )

    @property
    def memory_bytes(self) -> int | None:
        return None if self.memory_mb is None else self.memory_mb * MIB

    @property
    def _cpus(self) -> float | None:
        if self.profile == "realtime" or self.memory_mb is None:
            return None
        return cpus(self.memory_mb)

    @property
    def policy(self) -> PolicyConfig:
        config = PolicyConfig.of(
            self.limits,
            max_concurrency=self.max_concurrency,
            provisioned=self.provisioned_concurrency,
        )
        return dataclasses.replace(
            config,
            idle_seconds=self.idle_seconds,
            halving_seconds=self.halving_seconds,
            max_age_seconds=self.max_age_seconds,
        )

    def spec(self, model_dir: Path | None) -> ContainerSpec:
        return ContainerSpec(
            image=self.image,
            environment={**platform_environment(), **self.environment},
            port=self.limits.port,
            memory_bytes=self.memory_bytes,
            cpus=self._cpus,
            model_dir=model_dir,
            network=self.network,
            role="endpoint",
        )


def default_name(image: str) -> str:
    """A valid endpoint name out of an image's: the last part, without tag, `-` for the rest."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-")[:63].strip("-") or "endpoint"

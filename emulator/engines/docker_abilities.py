"""What an engine can do for a check, by where it runs and by whom it is asked.

Owns: the rule. Must not know: connections, containers, checks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from emulator.engines import Capability


def shares_the_kernel(told: Mapping[str, Any]) -> bool:
    """Whether its containers run on this process's kernel, by what `docker info` tells. Docker
    Desktop keeps them in a virtual machine, also on Linux.
    """
    return (
        sys.platform == "linux"
        and told.get("KernelVersion") == os.uname().release
        and "desktop" not in str(told.get("OperatingSystem", "")).lower()
    )


def abilities(name: str, *, same_kernel: bool, root: bool) -> frozenset[Capability]:
    """Of docker or podman."""
    missing: set[Capability] = set()
    if not (same_kernel and root):
        missing.add(Capability.INSIDE)
        if name == "podman":  # has no such event, and its cgroups cannot be read
            missing.add(Capability.OOM_EVENTS)
    return frozenset(Capability) - missing

"""How much memory an instance type has for its container.

Owns: the table by family. Must not know: engines, endpoints. A type that is not in it gets no
bound: an invented one would kill what lives on AWS. https://aws.amazon.com/ec2/instance-types/ and
https://aws.amazon.com/sagemaker/pricing/ list them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

VCPUS = {"medium": 2, "large": 2, "xlarge": 4}
"""Of a size; NUMBERxlarge has 4 times the number."""

GIB_PER_VCPU: dict[str, float] = {
    "c4": 1.875,
    **dict.fromkeys(("c5", "c5d", "c6i", "c6id", "c6g", "c6gd", "c6gn", "c7g", "c7i"), 2),
    "c5n": 2.625,
    "m4": 4,
    **dict.fromkeys(("m5", "m5d", "m6i", "m6id", "m6g", "m6gd", "m7i", "m7g"), 4),
    **dict.fromkeys(("r5", "r5d", "r6i", "r6id", "r6g", "r6gd", "r7i", "r7g"), 8),
    **dict.fromkeys(("g4dn", "g5", "g6"), 4),
    **dict.fromkeys(("inf1", "c6in"), 2),
}
"""Families whose memory grows with their vCPUs."""

EXACT_GIB = {"ml.t2.medium": 4, "ml.t2.large": 8, "ml.t2.xlarge": 16, "ml.t2.2xlarge": 32}

_TYPE = re.compile(r"ml\.(?P<family>[a-z0-9]+)\.(?:(?P<size>medium|large|xlarge)|(?P<n>\d+)xlarge)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Of one instance. `memory_mb` is None where it is not known."""

    memory_mb: int | None = None


def hardware(instance_type: str) -> Hardware:
    """What there is for a container of a variant of this InstanceType."""
    if instance_type in EXACT_GIB:
        return Hardware(memory_mb=EXACT_GIB[instance_type] * 1024)
    found = _TYPE.fullmatch(instance_type)
    if found is None or found["family"] not in GIB_PER_VCPU:
        return Hardware()
    vcpus = 4 * int(found["n"]) if found["n"] else VCPUS[found["size"]]
    return Hardware(memory_mb=int(GIB_PER_VCPU[found["family"]] * vcpus * 1024))

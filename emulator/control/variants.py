"""Reading an endpoint configuration: its variants, and which are serverless.

Owns: the walk over variants that several rules share. Must not know: the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emulator.control.known import Body
from emulator.control.rule import is_set

LISTS = ("ProductionVariants", "ShadowProductionVariants")


def variants(configuration: Body) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each variant and where it stands, shadows last."""
    for name in LISTS:
        for number, variant in enumerate(configuration.get(name) or (), start=1):
            yield f"{name}.{number}", variant


def is_serverless(variant: Mapping[str, Any]) -> bool:
    return variant.get("ServerlessConfig") is not None


def serverless(configuration: Body) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((at, variant) for at, variant in variants(configuration) if is_serverless(variant))


def is_serverless_configuration(configuration: Body) -> bool:
    return any(serverless(configuration))


def concurrency(configuration: Body) -> int:
    """MaxConcurrency of all serverless variants together."""
    return sum(int(v["ServerlessConfig"].get("MaxConcurrency", 0)) for _, v in
               serverless(configuration))  # fmt: skip


def by_name(configuration: Body, name: str) -> Mapping[str, Any] | None:
    found = [v for _, v in variants(configuration) if v.get("VariantName") == name]
    return found[0] if found else None


def model_names(configuration: Body) -> Iterator[tuple[str, str]]:
    """Each name of a model that a configuration says, and where."""
    for at, variant in variants(configuration):
        if is_set(variant.get("ModelName")):
            yield f"{at}.ModelName", variant["ModelName"]
        for number, pool in enumerate(variant.get("InstancePools") or (), start=1):
            if is_set(pool.get("ModelNameOverride")):
                yield f"{at}.InstancePools.{number}.ModelNameOverride", pool["ModelNameOverride"]

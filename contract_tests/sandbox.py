"""Starts under the restrictions that serverless may have.

Owns: the restrictions, and trying several at once. Must not know: verdicts, levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from contract_tests.target import Target, Trial
from emulator.engines import ContainerSpec

NO_DAC = ("DAC_OVERRIDE", "DAC_READ_SEARCH")
ARBITRARY_USER = "993:990"
"""A user that no image knows; the ids are Lambda's by hearsay (contract 1.15)."""

RESTRICTIONS: Mapping[str, Callable[[ContainerSpec], ContainerSpec]] = {
    "network": lambda spec: replace(spec, network=False),
    "shm": lambda spec: replace(spec, shm=False),
    "dac": lambda spec: replace(spec, drop_capabilities=NO_DAC),
}


def sandbox(target: Target, name: str) -> Trial:
    """A start under one restriction. All are tried together first: a container that serves under
    all of them serves under each; one that does not is tried under each alone.
    """
    together = target.spec
    for restrict in RESTRICTIONS.values():
        together = restrict(together)
    trial = target.trial("all restrictions", together)
    if trial.served:
        return trial
    return target.trial(name, RESTRICTIONS[name](target.spec))

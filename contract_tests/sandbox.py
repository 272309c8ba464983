"""Starts under the restrictions that serverless may have, and under other conditions of AWS's.

Owns: the conditions, and trying several at once. Must not know: verdicts, levels. Two of AWS's
are no trial of their own, since every start of a run has them: 64 MB of /dev/shm (contract 1.26),
and no GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contract_tests.trial import Trial
from contract_tests.trials import Wanted
from emulator.engines import Capability, ContainerSpec

if TYPE_CHECKING:
    from contract_tests.target import Target

NO_DAC = ("DAC_OVERRIDE", "DAC_READ_SEARCH")
ARBITRARY_USER = "993:990"
"""A user that no image knows; the ids are Lambda's by hearsay (contract 1.15)."""

HOSTNAME = "model.aws.local"
_ID = "5b2a8e6f-0000-0000-0000-000000000000"
VARIABLES: Mapping[str, str] = {
    # Nothing answers at these addresses here: who asks for them at start is not to be blamed.
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"/v2/credentials/{_ID}",
    "ECS_CONTAINER_METADATA_URI": f"http://169.254.170.2/v3/{_ID}",
    "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{_ID}",
}
"""What was seen on instances beside the variables of every start (contract 1.18,
https://github.com/pytorch/serve/issues/1028)."""

UNKNOWN_VARIABLES: Mapping[str, str] = {
    "SAGEMAKER_REGION": "us-east-1",
    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
    "SAGEMAKER_NOT_KNOWN_YET": "1",
    "AWS_NOT_KNOWN_YET": "1",
}
"""The first two are set by AWS's Python SDK; the others stand for what AWS may add."""

CPUS_SHOWN = 6
"""Of a larger host. Six are the most that Lambda gives (contract 4.9, by analogy)."""

AGAIN_SECONDS = 10.0
"""Who starts slower is started a second time only in a run that may take long."""

Condition = Callable[[ContainerSpec], ContainerSpec]


def _variables(spec: ContainerSpec) -> ContainerSpec:
    more = {**VARIABLES, **UNKNOWN_VARIABLES, **spec.environment}
    return replace(spec, environment=more, hostname=HOSTNAME)


def _unknown_variables(spec: ContainerSpec) -> ContainerSpec:
    more = {**UNKNOWN_VARIABLES, **spec.environment}
    return replace(spec, environment=more, hostname=HOSTNAME)


CONDITIONS: Mapping[str, Condition] = {
    "network": lambda spec: replace(spec, network=False),
    "shm": lambda spec: replace(spec, shm=False),
    "dac": lambda spec: replace(spec, drop_capabilities=NO_DAC),
    "variables": _variables,
    "unknown variables": _unknown_variables,
    "user": lambda spec: replace(spec, user=ARBITRARY_USER),
    "read-only": lambda spec: replace(spec, read_only=True),
}
CPUS = "cpus"

RESTRICTIONS = ("network", "shm", "dac")
USUAL = ("variables", CPUS)
"""Conditions that should never matter."""

GROUPS: tuple[tuple[str, ...], ...] = ((*RESTRICTIONS, *USUAL), USUAL, ("user", "read-only"))
"""Tried together, the largest first: a container that serves under all of them serves under each;
one that does not is tried under fewer."""

AT_ONCE = (GROUPS[0], GROUPS[2])
"""Started side by side as soon as one of them is needed."""

THEN_AT_ONCE = (*((name,) for name in RESTRICTIONS), USUAL)
"""So are these, when it does not serve under the first group."""


def sandbox(target: Target, name: str) -> Trial:
    """A start under one condition, maybe with others, as long as it serves."""
    _together(target, AT_ONCE)
    if not target.trials.get(_name(GROUPS[0]), _wanted(target, GROUPS[0])).served:
        _together(target, THEN_AT_ONCE, sure=True)
    for group in GROUPS:
        if name in group:
            trial = target.trials.get(_name(group), _wanted(target, group))
            if trial.served:
                return trial
    return alone(target, name)


def alone(target: Target, name: str) -> Trial:
    """A start under that condition and no other."""
    return target.trials.get(name, _wanted(target, (name,)))


def by_itself(target: Target, name: str) -> Trial:
    """The same with nothing else at work beside it, for who measures its time."""
    return target.trials.get(f"{name}, by itself", _wanted(target, (name,)))


def started_again(target: Target) -> Trial | None:
    """A container that was killed, and started again with what it had written. None when it did
    not serve before that.
    """
    for group in GROUPS[:2]:
        trial = target.trials.get(_name(group), _wanted(target, group))
        if trial.again is not None and trial.again.served:
            return trial.again
        if trial.served:
            break
    return target.trials.get("again", Wanted(spec=target.spec, again=True)).again


def starts_quickly(target: Target) -> bool:
    """Whether a second start is worth its time in every run."""
    first = target.first
    return target.settings.slow or (first is not None and first.start.seconds <= AGAIN_SECONDS)


def conditioned(target: Target, name: str) -> ContainerSpec:
    """The specification that a condition makes, for the command that repeats it."""
    return _wanted(target, (name,)).spec


def shows_cpus(target: Target) -> bool:
    """Whether the engine can show a container another number of processors: the file that does so
    must be on the engine's own machine.
    """
    return Capability.INSIDE in target.engine.capabilities


def _together(target: Target, groups: tuple[tuple[str, ...], ...], *, sure: bool = False) -> None:
    target.trials.together({_name(group): _wanted(target, group) for group in groups}, sure=sure)


def _name(group: tuple[str, ...]) -> str:
    return " and ".join(group)


def _wanted(target: Target, group: tuple[str, ...]) -> Wanted:
    spec = target.spec
    for name in group:
        if name != CPUS:
            spec = CONDITIONS[name](spec)
        elif shows_cpus(target):
            spec = replace(spec, cpus_online=_cpus_online(target))
    return Wanted(spec=spec, again=group in GROUPS[:2] and starts_quickly(target))


def _cpus_online(target: Target) -> Path:
    path = target.trials.directory(CPUS) / "online"
    if not path.exists():
        path.write_text(f"0-{CPUS_SHOWN - 1}\n")
        path.chmod(0o644)
    return path

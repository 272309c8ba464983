"""Which checks a run asks for, in which order, and what keeps one from being judged.

Owns: what a check's `requires` means. Must not know: pytest, containers, results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from contract_tests.check import LABELS, PAYLOAD, SCRIPT, SLOW, TEMPLATE, Check
from contract_tests.report import place
from contract_tests.settings import Settings
from emulator.engines import Capability

Item = TypeVar("Item")


def running_order(items: Iterable[Item], check_of: Callable[[Item], Check | None]) -> list[Item]:
    """By chapter; within one as written. Stable, so images stay in the order given."""

    def chapter(item: Item) -> int:
        check = check_of(item)
        return place(check.chapter if check is not None else "")

    return sorted(items, key=chapter)


def asked_for(check: Check, settings: Settings, labels: Mapping[str, str] | None = None) -> bool:
    """Whether the run is about it at all: most people have no template, and no script, and most
    images are for one model. `labels` are the image's, None while they are not known.
    """
    return not (
        (TEMPLATE in check.requires and not settings.template)
        or (SCRIPT in check.requires and settings.deploy_script is None)
        or (SLOW in check.requires and not settings.slow)
        or (labels is not None and missing_label(check, labels))
    )


def missing_label(check: Check, labels: Mapping[str, str]) -> str:
    """The label that the image must carry for this check to concern it; empty when it does."""
    for requirement, label in LABELS.items():
        if requirement in check.requires and labels.get(label, "").strip().lower() != "true":
            return label
    return ""


def unmet(
    check: Check,
    settings: Settings,
    capabilities: Collection[Capability],
    labels: Mapping[str, str],
) -> str:
    """Why it cannot be judged in this run; empty when it can."""
    if label := missing_label(check, labels):
        return f"concerns images that say they can: LABEL {label}=true"
    for requirement in check.requires:
        if requirement == SLOW and not settings.slow:
            return "takes a minute: give --slow"
        if requirement == PAYLOAD and not settings.payload:
            return "needs a request that is known to be good: give --payload FILE"
        if requirement == TEMPLATE and not settings.template:
            return "needs a template that deploys the image: give --template FILE"
        if requirement == SCRIPT and settings.deploy_script is None:
            return "needs a script that deploys the image: give --deploy-script FILE"
        if isinstance(requirement, Capability) and requirement not in capabilities:
            return f"the engine cannot {requirement.value}"
    return ""

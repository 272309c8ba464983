"""Which checks a run asks for, in which order, and what keeps one from being judged.

Owns: what a check's `requires` means. Must not know: pytest, containers, results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from contract_tests.check import (
    LABELS,
    MODEL_ARCHIVE,
    MODEL_DATA,
    MULTI_MODEL,
    PAYLOAD,
    SCRIPT,
    SLOW,
    TEMPLATE,
    Check,
    Requirement,
)
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
        or (MODEL_DATA in check.requires and settings.model_data is None)
        or (MODEL_ARCHIVE in check.requires and not _archive(settings))
        or (SLOW in check.requires and not settings.slow)
        or (labels is not None and missing_label(check, labels))
        or (labels is not None and of_one_model(check) and only_many(settings, labels))
    )


def of_one_model(check: Check) -> bool:
    """Whether it sends requests to /invocations, which a multi-model server need not have."""
    sends = PAYLOAD in check.requires or check.chapter in ("invocations", "payloads", "robustness")
    return sends and MULTI_MODEL not in check.requires


def only_many(settings: Settings, labels: Mapping[str, str]) -> bool:
    """Whether the user says, as the platform does, that the image is to run as a multi-model
    server (contract 7.5): --env SAGEMAKER_MULTI_MODEL=true, on an image that can.
    """
    said = settings.env.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    return said and carries(labels, MULTI_MODEL)


def judges_archives(checks: Iterable[Check]) -> bool:
    """Whether one of them tells what is wrong with an archive."""
    return any(MODEL_ARCHIVE in check.requires for check in checks)


def _archive(settings: Settings) -> bool:
    return settings.model_data is not None and not settings.model_data.is_dir()


def told(settings: Settings, labels: Mapping[str, str]) -> list[str]:
    """What a report says of checks that were left out by the user's own words."""
    words = (
        "SAGEMAKER_MULTI_MODEL=true: checks of /invocations were left out; requests go to"
        " /models/{model_name}/invoke."
    )
    return [words] if only_many(settings, labels) else []


def carries(labels: Mapping[str, str], requirement: Requirement) -> bool:
    """Whether an image with these labels says that it can do that."""
    return labels.get(LABELS[requirement], "").strip().lower() == "true"


def missing_label(check: Check, labels: Mapping[str, str]) -> str:
    """The label that the image must carry for this check to concern it; empty when it does."""
    for requirement, label in LABELS.items():
        if requirement in check.requires and not carries(labels, requirement):
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
        if requirement == MODEL_DATA and settings.model_data is None:
            return "needs what lies in /opt/ml/model: give --model-data"
        if requirement == MODEL_ARCHIVE and not _archive(settings):
            return "needs the archive that is deployed: give --model-data model.tar.gz"
        if isinstance(requirement, Capability) and requirement not in capabilities:
            return f"the engine cannot {requirement.value}"
    return ""

"""The report as SARIF 2.1.0, for code scanning.

Owns: SARIF's form, as GitHub reads it. Must not know: how verdicts come about; it is made of the
JSON form alone. A rule is a check, its id the check's slug, which never changes. Only what speaks
against the image becomes a result: an alert for a skipped check would be a false one. Those, and
our own errors, are notifications.
https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
HOME = "https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"
"""Where the contract itself is, for a rule without a link of its own."""

LEVELS = {"fail": "error", "warn": "warning"}
"""Of a result, by verdict."""

RULE_LEVELS = {"MUST": "error", "SHOULD": "warning", "INFO": "note"}
NOTICES = {"error": "error", "skip": "note", "blocked": "note"}
PRECISION = {"documented": "very-high", "reproduced": "very-high", "reported": "medium"}


def user_dockerfile(directory: Path, environment: Mapping[str, str]) -> str:
    """The Dockerfile of the directory, as the repository names it; empty when there is none."""
    found = directory / "Dockerfile"
    if not found.is_file():
        return ""
    root = Path(environment.get("GITHUB_WORKSPACE") or directory)
    inside = found.resolve().is_relative_to(root.resolve())
    return found.resolve().relative_to(root.resolve()).as_posix() if inside else "Dockerfile"


def log(reports: Sequence[Mapping[str, Any]], dockerfile: str = "") -> dict[str, Any]:
    """One run per image."""
    runs = [_run(report, dockerfile) for report in reports]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _run(report: Mapping[str, Any], dockerfile: str) -> dict[str, Any]:
    image = str(report["image"]["reference"])
    checks = report["checks"]
    places = {check["id"]: index for index, check in enumerate(checks)}
    driver = {
        "name": report["tool"]["name"],
        "version": report["tool"]["version"],
        "informationUri": HOME,
        "rules": [_rule(check) for check in checks],
    }
    told = [
        {
            "descriptor": {"id": check["id"], "index": places[check["id"]]},
            "level": NOTICES[check["verdict"]],
            "message": {"text": f"{check['id']}: {check['verdict']}: {check['reason'] or '-'}"},
        }
        for check in checks
        if check["verdict"] in NOTICES
    ]
    return {
        "tool": {"driver": driver},
        # Images of one workflow must not close each other's alerts.
        "automationDetails": {"id": f"byoc/{report['profile']}/{image}/"},
        "invocations": [
            {
                "executionSuccessful": report["result"] != "error",
                "startTimeUtc": str(report["started"]).replace("+00:00", "Z"),
                "toolExecutionNotifications": told,
            }
        ],
        "results": [
            _result(check, places[check["id"]], image, dockerfile)
            for check in checks
            if check["verdict"] in LEVELS
        ],
    }


def _rule(check: Mapping[str, Any]) -> dict[str, Any]:
    link = check["link"] if str(check["link"]).startswith(("https://", "http://")) else HOME
    words = [check["clause"], f"{check['source']} ({check['evidence']})."]
    text = "\n".join([*words, check["fix"] and f"Fix: {check['fix']}", link])
    return {
        "id": check["id"],
        "name": "".join(part.capitalize() for part in check["id"].split("-")),
        "shortDescription": {"text": check["clause"]},
        "fullDescription": {"text": " ".join(words)},
        "help": {"text": text},
        "helpUri": link,
        "defaultConfiguration": {"level": RULE_LEVELS.get(check["level"], "warning")},
        "properties": {
            "tags": ["sagemaker", check["chapter"], check["level"], check["evidence"]],
            "precision": PRECISION.get(check["evidence"], "medium"),
        },
    }


def _result(check: Mapping[str, Any], index: int, image: str, dockerfile: str) -> dict[str, Any]:
    rows = [
        (check["clause"], ""),
        ("Image: ", image),
        ("Expected: ", check["expected"]),
        ("Actual: ", check["actual"]),
        ("On AWS: ", check["aws_shows"]),
        ("Fix: ", check["fix"]),
    ]
    lines = [name + text for name, text in rows if text or name.endswith(".")]
    mark = hashlib.sha256(f"{_repository(image)} {check['id']}".encode()).hexdigest()
    return {
        "ruleId": check["id"],
        "ruleIndex": index,
        "level": LEVELS[check["verdict"]],
        "message": {"text": "\n".join(lines)},
        "locations": [_location(image, dockerfile)],
        "partialFingerprints": {"primaryLocationLineHash": f"{mark[:16]}:1"},
    }


def _location(image: str, dockerfile: str) -> dict[str, Any]:
    """Code scanning shows no result without a file and a line. Without a Dockerfile the file is
    the image's repository, as scanners of containers have it.
    """
    uri = quote(dockerfile or _repository(image))
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri},
            "region": {"startLine": 1},
        },
        "logicalLocations": [{"fullyQualifiedName": image, "kind": "module"}],
    }


def _repository(image: str) -> str:
    """Without tag and digest: what stays the same from one build to the next."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]

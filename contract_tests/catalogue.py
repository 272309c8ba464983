"""All checks, read from the functions that declare them, and the files that are made of them.

Owns: collecting the declarations. Must not know: pytest, containers. `python -m
contract_tests.catalogue --write` renews the files; a test compares them, so the promise changes
only on purpose.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contract_tests.check import Check, declared, requirement_name
from contract_tests.explain_index import INDEX, index
from contract_tests.not_checked import NOT_CHECKED
from contract_tests.report import CHAPTERS

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "fixtures" / "golden" / "catalogue.json"
PAGE = ROOT / "docs" / "checks.md"
GAPS = ROOT / "docs" / "not-checked.md"
CONTROL = ROOT / "docs" / "control-plane.md"
DIFFERENCES = ROOT / "docs" / "differences-from-moto.md"


def checks() -> list[Check]:
    """Every check, in the order of running."""
    found: list[Check] = []
    for chapter in CHAPTERS:
        module = importlib.import_module(f"contract_tests.test_{chapter}")
        found += [
            check
            for value in vars(module).values()
            if (check := declared(value)) and check.module == module.__name__
        ]
    return found


def as_json(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "chapter": check.chapter,
        "levels": {profile: level.value for profile, level in check.levels.items()},
        "clause": check.clause,
        "source": check.source.row,
        "evidence": check.source.evidence.value,
        "link": check.source.url,
        "catalogue": check.catalogue,
        "needs": list(check.needs),
        "requires": [requirement_name(r) for r in check.requires],
        "caught_by": list(check.caught_by),
    }


def golden() -> str:
    return json.dumps([as_json(check) for check in checks()], indent=2) + "\n"


def page() -> str:
    lines = [
        "# The checks",
        "",
        "Made by `make catalog` from the checks themselves; do not edit. A MUST is documented by",
        "AWS or reproduced; a SHOULD may be only reported or inferred, and says so.",
        "",
    ]
    for chapter in CHAPTERS:
        mine = [check for check in checks() if check.chapter == chapter]
        lines += [f"## {chapter}", "", "| id | serverless | realtime | clause | source |"]
        lines += ["|---|---|---|---|---|"]
        for check in mine:
            source = f"[{check.source.row}]({check.source.url}), {check.source.evidence.value}"
            levels = f"{check.levels['serverless'].value} | {check.levels['realtime'].value}"
            lines.append(f"| `{check.id}` | {levels} | {check.clause} | {source} |")
        lines.append("")
    return "\n".join(lines)


def gaps() -> str:
    """The page of what no check judges."""
    lines = [
        "# Not checked",
        "",
        "Made by `make catalog` from contract_tests/not_checked.py; do not edit. What only AWS can",
        "tell: a green run says nothing about it.",
        "",
        "| clause | why it is not checked | source |",
        "|---|---|---|",
    ]
    for gap in NOT_CHECKED:
        source = f"[{gap.source.row}]({gap.source.url}), {gap.source.evidence.value}"
        lines.append(f"| {gap.clause} | {gap.reason} | {source} |")
    return "\n".join([*lines, ""])


def control_plane() -> str:
    """The page of the emulator's own tables."""
    from emulator.control.page import page as tables  # loads botocore, which a run never needs

    return tables()


def differences() -> str:
    """The page of what moto does otherwise."""
    from emulator.control.differences_page import page as tables

    return tables()


FILES: Mapping[Path, Callable[[], str]] = {
    GOLDEN: golden,
    INDEX: lambda: index(checks()),
    PAGE: page,
    GAPS: gaps,
    CONTROL: control_plane,
    DIFFERENCES: differences,
}
"""What is made of the declarations, and by what."""


def main(arguments: list[str]) -> int:
    if arguments != ["--write"]:
        print("usage: python -m contract_tests.catalogue --write", file=sys.stderr)
        return 4
    for path, text in FILES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""What `byoc explain` reads: the declarations, as one file that loads in milliseconds.

Owns: making it (`make catalog` writes it, a test compares it). Must not know: how it is shown. The
checks themselves take half a second to import; a question about one must not wait for that. The
faults' stories are in it because `fixtures/` is not part of what is installed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contract_tests.check import Check, requirement_name
from contract_tests.explain import INDEX, SCHEMA
from contract_tests.not_checked import NOT_CHECKED
from contract_tests.why import WHY
from emulator.sources import Source

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

__all__ = ["INDEX", "index"]


def index(checks: Iterable[Check]) -> str:
    """The file's text."""
    faults: dict[str, Any] = {}
    for name in ("faults.toml", "deploy_faults.toml"):
        faults |= tomllib.loads((FIXTURES / name).read_text(encoding="utf-8"))
    gaps = [
        {"clause": gap.clause, "reason": gap.reason, **_source(gap.source)} for gap in NOT_CHECKED
    ]
    found = {
        "schema": SCHEMA,
        "checks": [_check(check, faults) for check in checks],
        "not_checked": gaps,
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _check(check: Check, faults: dict[str, Any]) -> dict[str, Any]:
    shown = check.aws_shows
    return {
        "id": check.id,
        "function": check.function,
        "catalogue": check.catalogue,
        "chapter": check.chapter,
        "levels": {profile: level.value for profile, level in check.levels.items()},
        "clause": check.clause,
        "why": WHY.get(check.id, ""),
        "aws_shows": None
        if shown is None
        else {"where": shown.where, "text": shown.text, **_source(shown.source)},
        "fix": check.fix,
        **_source(check.source),
        "needs": list(check.needs),
        "requires": [requirement_name(requirement) for requirement in check.requires],
        "faults": [
            {"name": name, "how": faults[name]["how"], "seen": faults[name]["seen"]}
            for name in check.caught_by
        ],
    }


def _source(source: Source) -> dict[str, str]:
    return {"source": source.row, "evidence": source.evidence.value, "link": source.url}

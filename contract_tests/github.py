"""What a run tells GitHub Actions: annotations, and the job's summary.

Owns: both forms and their escaping. Must not know: pytest, how verdicts come about; they are made
of the JSON form alone. A container's words must neither become a command of the workflow nor markup
of the summary.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contract_tests.report import printable

Reports = Sequence[Mapping[str, Any]]

COMMANDS = {"error": "error", "fail": "error", "warn": "warning"}
MOST_OF_A_KIND = 10
"""GitHub shows no more errors, and no more warnings, of one step."""

ORDER = ("error", "fail", "warn", "blocked", "skip", "pass")
SIGNS = {"fail": "❌", "error": "💥", "warn": "⚠️", "skip": "➖", "blocked": "⛔", "pass": "✅"}
SUMMARY_BYTES = 1024 * 1024
"""A larger summary is refused as a whole."""

CELL = 400
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~@:.-])")


def active(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"


def commands(reports: Reports) -> list[str]:
    """Workflow commands, one a line, the worst first."""
    found: dict[str, list[str]] = {"error": [], "warning": []}
    for verdict, command in COMMANDS.items():
        for report in reports:
            for check in report["checks"]:
                if check["verdict"] == verdict:
                    found[command].append(_annotation(command, check, report))
    lines: list[str] = []
    for all_ in found.values():
        lines += all_[:MOST_OF_A_KIND]
        if (left := len(all_) - MOST_OF_A_KIND) > 0:
            lines[-1] += message(f"\n{left} more of this kind: see the job's summary.")
    return lines


def _annotation(command: str, check: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    title = f"{check['id']} ({check['level']}) {report['image']['reference']}"
    rows = [
        ("", check["clause"]),
        ("expected ", check["expected"]),
        ("actual ", check["actual"]),
        ("fix ", check["fix"]),
        ("", check["reason"]),
        ("", check["link"]),
    ]
    words = "\n".join(name + printable(said) for name, said in rows if said)
    return f"::{command} title={prop(title)}::{message(words)}"


def error(text: str) -> str:
    """One that is about the run itself."""
    return f"::error title=byoc::{message(text)}"


def message(text: str) -> str:
    """A command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def prop(text: str) -> str:
    """A command's property."""
    return message(printable(text)).replace(":", "%3A").replace(",", "%2C")


def summary(reports: Reports) -> str:
    """Markdown for $GITHUB_STEP_SUMMARY: what does not hold, in full; the rest in a fold."""
    return "\n".join(_summary(report) for report in reports)


def _summary(report: Mapping[str, Any]) -> str:
    image = cell(report["image"]["reference"])
    counts = ", ".join(f"{n} {verdict}" for verdict, n in report["counts"].items() if n)
    lines = [f"### byoc: {image}: {report['result']}", ""]
    lines += [f"{counts or 'nothing was checked'}; profile {report['profile']}", ""]
    checks = sorted(report["checks"], key=lambda check: ORDER.index(check["verdict"]))
    bad = [check for check in checks if check["verdict"] in COMMANDS]
    if bad:
        lines += ["| | check | expected | actual | fix |", "|---|---|---|---|---|"]
        lines += [_bad_row(check) for check in bad] + [""]
    if missing := report.get("musts_not_judged"):
        lines += [f"MUST not judged: {cell(', '.join(missing))}", ""]
    lines += ["<details><summary>All checks</summary>", ""]
    lines += ["| | check | level | clause |", "|---|---|---|---|"]
    for check in checks:
        said = check["clause"] if check["verdict"] == "pass" else check["reason"] or check["clause"]
        lines.append(f"| {_sign(check)} | {_linked(check)} | {check['level']} | {cell(said)} |")
    return "\n".join([*lines, "", "</details>", ""])


def _bad_row(check: Mapping[str, Any]) -> str:
    cells = [check["expected"], check["actual"] or check["reason"], check["fix"]]
    return f"| {_sign(check)} | {_linked(check)} | {' | '.join(map(cell, cells))} |"


def _sign(check: Mapping[str, Any]) -> str:
    return f"{SIGNS[check['verdict']]} {check['verdict']}"


def _linked(check: Mapping[str, Any]) -> str:
    link = str(check["link"])
    safe = re.fullmatch(r"https?://[^\s()<>|]+", link)
    return f"[{cell(check['id'])}]({link})" if safe else cell(check["id"])


def cell(words: str) -> str:
    """In a cell of a table: one line, no markup, no mention."""
    line = " ".join(printable(words).split())
    line = line if len(line) <= CELL else line[: CELL - 1] + "…"
    return _MARKUP.sub(r"\\\1", html.escape(line, quote=False))


def append_summary(reports: Reports, environment: Mapping[str, str]) -> str:
    """Adds it to the job's summary. Returns why it could not; empty when it could, or need not."""
    path = environment.get("GITHUB_STEP_SUMMARY", "")
    if not path or not reports:
        return ""
    found = summary(reports).encode()
    if len(found) > SUMMARY_BYTES:
        return f"the job's summary would have {len(found)} bytes, above GitHub's {SUMMARY_BYTES}"
    try:
        with Path(path).open("ab") as file:
            file.write(found)
    except OSError as error:
        return f"the job's summary {path} could not be written: {error.strerror or error}"
    return ""


def told(reports: Reports, environment: Mapping[str, str]) -> list[str]:
    """The lines to print; none outside of GitHub Actions."""
    if not active(environment):
        return []
    why = append_summary(reports, environment)
    return [*commands(reports), *([f"::warning title=byoc::{message(why)}"] if why else [])]

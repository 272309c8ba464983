"""What a run found, as values, and their two forms: a table for people, JSON for machines.

Owns: `Result`, `Report`, the failure's text, the table, schema 1 of the JSON. Must not know:
pytest, containers. The JSON form is authoritative; other forms are rendered from it.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any

from contract_tests.check import Level, Verdict
from contract_tests.not_checked import NOT_CHECKED

SCHEMA = 1
WIDTH = 100
LOG_LINES = 20

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
"""Colours, cursor movements, window titles."""

CHAPTERS = (
    "image",
    "contents",
    "startup",
    "ping",
    "invocations",
    "payloads",
    "http",
    "robustness",
    "multi_model",
    "multi_container",
    "filesystem",
    "conditions",
    "endpoint",
    "deploy_template",
    "deploy_script",
    "resources",
    "logs",
    "slow",
    "shutdown",
)
"""In the order in which they run: cheap and static first, what ends the container last."""


def place(chapter: str) -> int:
    """A chapter's place in the order; what is no chapter of ours comes last."""
    return CHAPTERS.index(chapter) if chapter in CHAPTERS else len(CHAPTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check's outcome. Field order and names are those of the JSON form."""

    id: str
    chapter: str
    level: str
    verdict: str
    clause: str
    source: str
    evidence: str
    seconds: float
    expected: str = ""
    actual: str = ""
    aws_shows: str = ""
    fix: str = ""
    link: str = ""
    reproduce: str = ""
    log_tail: str = ""
    reason: str = ""
    declared_level: str = ""  # the catalogue's, where the project gave another one
    ignored: str = ""  # why the project does not mind
    ignored_verdict: str = ""  # what it would be

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Result:
        names = [field.name for field in fields(cls)]
        return cls(**{name: value[name] for name in names if name in value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One image's run."""

    tool_version: str
    image: Mapping[str, Any]
    profile: str
    limits: Mapping[str, Any]
    engine: Mapping[str, str]
    started: str
    seconds: float
    checks: Sequence[Result]
    musts_not_run: Sequence[str] = ()  # deselected, or the run ended before them
    start: Mapping[str, Any] | None = None  # the first one, when there was one
    requests: Sequence[Mapping[str, Any]] = ()  # how long answers took, by check
    notes: Sequence[str] = ()  # on the project's own exceptions

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(result.verdict for result in self.checks)
        return {verdict.value: found.get(verdict.value, 0) for verdict in Verdict}

    @property
    def result(self) -> str:
        """`failure` and `error` speak for themselves; `partial` means that a MUST was skipped,
        deselected or blocked, or that nothing was judged: nothing is green by silence.
        """
        counts = self.counts
        if counts["error"]:
            return "error"
        if counts["fail"]:
            return "failure"
        judged = counts["pass"] + counts["warn"]
        return "success" if judged and not self.unjudged_musts else "partial"

    @property
    def unjudged_musts(self) -> list[str]:
        """The MUST checks that this run says nothing about, or whose level was lowered and that
        do not hold.
        """
        silent = {Verdict.SKIP.value, Verdict.BLOCKED.value}
        must = Level.MUST.value
        found = [
            r.id
            for r in self.checks
            if (must in (r.level, r.declared_level) and r.verdict in silent)
            or (r.declared_level == must and r.verdict == Verdict.WARN.value)
        ]
        return [*found, *self.musts_not_run]

    @property
    def exit_code(self) -> int:
        """0 every MUST judged holds; 1 one does not; 2 harness or engine; 5 nothing was judged."""
        counts = self.counts
        if counts["error"]:
            return 2
        if counts["fail"]:
            return 1
        return 0 if counts["pass"] + counts["warn"] else 5

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "tool": {"name": "byoc", "version": self.tool_version},
            "image": dict(self.image),
            "profile": self.profile,
            "limits": dict(self.limits),
            "engine": dict(self.engine),
            "result": self.result,
            "counts": self.counts,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "checks": [asdict(result) for result in self.checks],
            "musts_not_judged": self.unjudged_musts,
            "not_checked": [gap.to_json() for gap in NOT_CHECKED],
            "start": None if self.start is None else dict(self.start),
            "requests": [dict(series) for series in self.requests],
            "notes": list(self.notes),
        }


def failure_text(result: Result, again: str) -> str:
    """Everything that a stranger needs to act on it."""
    rows = [
        ("clause", result.clause),
        ("expected", result.expected),
        ("actual", result.actual),
        ("on AWS", result.aws_shows),
        ("fix", result.fix),
        ("source", f"{result.source} ({result.evidence})"),
        ("link", result.link),
    ]
    lines = [f"{result.verdict.upper()}  {result.id}  ({result.level})", ""]
    for name, text in rows:
        if text:
            lines += _row(name, text)
    # Commands stay on one line each, so that they can be copied.
    commands = [line for line in (*result.reproduce.splitlines(), again) if line]
    for index, command in enumerate(commands):
        lines.append(f"  {'repeat' if index == 0 else '':<10}{command}")
    if result.log_tail:
        lines.append(f"  {'log':<10}the container's last lines:")
        tail = printable(result.log_tail).splitlines()[-LOG_LINES:]
        lines += [f"  {'':<10}| {line}" for line in tail]
    return "\n".join(lines)


def printable(text: str) -> str:
    """A container's words without what would steer the reader's terminal."""
    text = _ESCAPES.sub("", text).replace("\t", "    ").replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def _row(name: str, text: str) -> list[str]:
    wrapped: list[str] = []
    for paragraph in printable(text).splitlines():
        wrapped += textwrap.wrap(
            paragraph, WIDTH - 12, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return [f"  {name if i == 0 else '':<10}{line}" for i, line in enumerate(wrapped)]


FOLDED = 2
"""So many blocked checks of a chapter make one line: they only repeat that another one failed."""


def table(report: Report, columns: int = WIDTH) -> list[tuple[str, str | None]]:
    """The lines of the summary, each with the verdict that colours it (None: plain)."""
    lines: list[tuple[str, str | None]] = []
    width = max((len(result.id) for result in report.checks), default=0)
    for chapter, results in groupby(ordered(report.checks), key=lambda result: result.chapter):
        lines.append((chapter, None))
        mine = list(results)
        blocked = [result for result in mine if result.verdict == Verdict.BLOCKED.value]
        folded = blocked if len(blocked) >= FOLDED else []
        for result in mine:
            if result in folded[1:]:
                continue
            said = result.actual or result.reason if result.verdict != "pass" else result.clause
            said = result.reason.removeprefix("ignored").lstrip(" :") if result.ignored else said
            if result.declared_level:
                said = f"(by itself {result.declared_level}) {said}"
            verdict = "ignored" if result.ignored else result.verdict
            name = f"{len(folded)} checks" if result in folded else result.id
            level = _level(folded) if result in folded else result.level
            text = f"  {verdict:<8}{level:<7}{name:<{width + 2}}"
            lines.append((text + _short(said, columns - len(text)), result.verdict))
    return lines


def _level(results: Sequence[Result]) -> str:
    found = {result.level for result in results}
    return found.pop() if len(found) == 1 else "-"


def _short(text: str, width: int) -> str:
    """On one line of that width, cut between words when there are any."""
    text, width = " ".join(printable(text).split()), max(width, 20)
    if len(text.split(" ", 1)[0]) > width - 2:
        return text if len(text) <= width else text[: width - 1] + "…"
    return textwrap.shorten(text, width, placeholder=" …", break_on_hyphens=False)


def ordered(results: Iterable[Result]) -> list[Result]:
    """By chapter, in the order of running within one."""
    return sorted(results, key=lambda result: place(result.chapter))


def last_line(report: Report) -> str:
    """The verdict on the image in one line."""
    ignored = [result.id for result in report.checks if result.ignored]
    said = {**report.counts, Verdict.SKIP.value: report.counts[Verdict.SKIP.value] - len(ignored)}
    counts = ", ".join(f"{n} {verdict}" for verdict, n in said.items() if n)
    if ignored:
        counts += (
            f"{', ' if counts else ''}{len(ignored)} ignored ({_short(', '.join(ignored), 60)})"
        )
    counts = counts or "nothing was checked"
    missing = report.unjudged_musts
    parts = [
        f"{', '.join(r.id for r in report.checks if r.verdict == verdict)}{what}"
        for verdict, what in (("error", " could not be run"), ("fail", ""))
        if report.counts[verdict]
    ]
    if report.result == "partial" and missing:
        lowered = any(r.id in missing and r.verdict == Verdict.WARN.value for r in report.checks)
        what = f"not judged{' or lowered' if lowered else ''}"
        parts = [f"{len(missing)} MUST {what} ({_short(', '.join(missing), 60)})"]
    because = f": {'; '.join(parts)}" if parts else ""
    return f"{report.result}{because} — {counts} in {report.seconds:.1f} s"

"""`byoc explain`: what a check means, why, what AWS shows, how to mend it. Offline, at once.

Owns: reading the index, finding what a name means, the text for people. Must not know: pytest,
engines, the checks' code, which takes too long to load (see `explain_index`).
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
INDEX = Path(__file__).with_name("explain.json")

USAGE = 4

GAPS = "not-checked"
"""The name of what no check judges."""

MOST_COLUMNS, LEAST_COLUMNS = 100, 40
NEAR = 3

EVIDENCE: Mapping[str, str] = {
    "documented": "AWS documents it",
    "reproduced": "measured on a real engine or client, or captured on AWS more than once",
    "reported": "seen by users in public, not documented",
    "inferred": "reasoned, neither documented nor seen: it may be wrong",
}
LEVELS: Mapping[str, str] = {
    "MUST": "fails the run",
    "SHOULD": "warns; fails with --strict",
    "INFO": "is told, and fails nothing",
}

Row = Mapping[str, Any]


class UnknownName(Exception):
    """Names that mean nothing here; the text says which ones are near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for. `whole` when that was the list."""

    checks: Sequence[Row]
    not_checked: Sequence[Row]
    whole: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "checks": list(self.checks),
            "not_checked": list(self.not_checked),
        }


def load(path: Path = INDEX) -> Selection:
    """Everything that there is."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Selection(checks=found["checks"], not_checked=found["not_checked"], whole=True)


def select(everything: Selection, names: Sequence[str]) -> Selection:
    """What these names mean, each once, in their order; without one everything. A name is a
    check's slug, its test function or pytest's node id, a row of the catalogue of failures
    (PNG-002), a fault, a chapter, a source ("contract 2.3", 2.3) or `not-checked`. Raises
    UnknownName.
    """
    if not names:
        return everything
    checks: list[Row] = []
    gaps: list[Row] = []
    unknown: list[str] = []
    for name in names:
        found = [row for row in everything.checks if _plain(name) in _names(row)]
        gap = [row for row in everything.not_checked if _plain(name) in _gap_names(row)]
        checks += [row for row in found if row not in checks]
        gaps += [row for row in gap if row not in gaps]
        if not found and not gap:
            unknown.append(name)
    if unknown:
        raise UnknownName(" ".join(_unknown(everything, name) for name in unknown))
    return Selection(checks=checks, not_checked=gaps)


def _plain(name: str) -> str:
    """As names are compared. `contract_tests/test_ping.py::test_ping_200[image]` is ping-200."""
    word = name.strip().rpartition("::")[2].partition("[")[0].lower()
    return word.removeprefix("test_").removesuffix(".py").replace("_", "-")


def _names(check: Row) -> set[str]:
    source = str(check["source"])
    faults = {fault["name"] for fault in check["faults"]}
    chapter, row = str(check["chapter"]).replace("_", "-"), str(check["catalogue"]).lower()
    return {check["id"], row, chapter, source, source.partition(" ")[2], *faults}


def _gap_names(gap: Row) -> set[str]:
    source = str(gap["source"])
    return {GAPS, source, source.partition(" ")[2]}


def _unknown(everything: Selection, name: str) -> str:
    known = sorted({n for row in everything.checks for n in _names(row)} | {GAPS})
    word = _plain(name)
    within = [k for k in known if len(word) > 2 and word in k]
    near = list(dict.fromkeys([*difflib.get_close_matches(word, known, NEAR), *within]))[:NEAR]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no check called {name!r}.{hint} `byoc explain` lists them all."


def columns() -> int:
    """How wide the text may be: the terminal's width, as far as it is good to read."""
    return max(
        LEAST_COLUMNS, min(shutil.get_terminal_size((MOST_COLUMNS, 0)).columns, MOST_COLUMNS)
    )


def text(found: Selection, width: int = MOST_COLUMNS) -> str:
    """For people: the list of everything, or each of what was asked for in full."""
    if found.whole:
        return _list(found, width)
    parts = [_check(row, width) for row in found.checks]
    parts += [_gap(row, width) for row in found.not_checked]
    return "\n\n".join(parts)


def _list(found: Selection, width: int) -> str:
    lines: list[str] = []
    broad = max((len(row["id"]) for row in found.checks), default=0) + 2
    chapter = ""
    for row in found.checks:
        if row["chapter"] != chapter:
            chapter = row["chapter"]
            lines.append(chapter)
        levels = row["levels"]
        level = "/".join(dict.fromkeys(levels.values()))
        head = f"  {row['id']:<{broad}}{level:<13}"
        lines.append(head + _short(row["clause"], max(width - len(head), 20)))
    lines += ["", f"{GAPS} (only AWS can tell; `byoc explain {GAPS}` says why)"]
    lines += ["  " + _short(row["clause"], width - 2) for row in found.not_checked]
    total = f"{len(found.checks)} checks, {len(found.not_checked)} clauses not checked."
    lines += ["", f"{total} Two levels: serverless/realtime. `byoc explain NAME` tells all."]
    return "\n".join(lines)


def _short(said: str, width: int) -> str:
    return textwrap.shorten(said, width, placeholder=" …", break_on_hyphens=False)


def _check(row: Row, width: int) -> str:
    shown = row["aws_shows"]
    levels = dict(row["levels"])
    told = [f"{profile} {level} ({LEVELS[level]})" for profile, level in levels.items()]
    if len(set(levels.values())) == 1:
        level = next(iter(levels.values()))
        told = [f"{level} for {' and '.join(levels)}: {LEVELS[level]}"]
    pairs = [
        ("clause", row["clause"]),
        ("why", row["why"]),
        ("level", "\n".join(told)),
        ("on AWS", f"{shown['where']}:\n{shown['text']}" if shown else "nothing tells it"),
        ("fix", row["fix"]),
        ("source", f"{row['source']} ({row['evidence']}: {EVIDENCE[row['evidence']]})"),
        ("link", row["link"]),
        ("needs", _needs(row)),
    ]
    pairs += [
        ("fault", f"{fault['name']}: {fault['how']}\nSeen: {fault['seen']}")
        for fault in row["faults"]
    ]
    pairs.append(("run it", f"byoc check IMAGE -k {row['function']}"))
    return "\n".join(
        [f"{row['id']}  ({row['catalogue']}, {row['chapter']})", "", *rows(pairs, width)]
    )


def _needs(row: Row) -> str:
    words = {"payload": "--payload FILE", "template": "--template FILE",
             "deploy-script": "--deploy-script FILE", "model-data": "--model-data PATH",
             "model-archive": "--model-data model.tar.gz", "slow": "--slow",
             "multi-model": "the multi-models label",
             "bind-to-port": "the accept-bind-to-port label"}  # fmt: skip
    parts = [f"{words[r]}" if r in words else f"an engine that can {r}" for r in row["requires"]]
    if row["needs"]:
        parts.append(f"these to pass first: {', '.join(row['needs'])}")
    return "; ".join(parts)


def _gap(row: Row, width: int) -> str:
    pairs = [
        ("clause", row["clause"]),
        ("why not", row["reason"]),
        ("source", f"{row['source']} ({row['evidence']}: {EVIDENCE[row['evidence']]})"),
        ("link", row["link"]),
    ]
    return "\n".join([GAPS, "", *rows(pairs, width)])


def rows(pairs: Iterable[tuple[str, str]], width: int, label: int = 10) -> list[str]:
    """Names at the left, their words wrapped beside them."""
    lines: list[str] = []
    for name, said in pairs:
        wrapped = [
            line
            for paragraph in said.splitlines()
            for line in textwrap.wrap(
                paragraph, width - label - 2, break_long_words=False, break_on_hyphens=False
            )
        ]
        lines += [f"  {name if i == 0 else '':<{label}}{line}" for i, line in enumerate(wrapped)]
    return lines


def say(words: str) -> None:
    """Prints; a reader that has seen enough (`| head`) ends it quietly."""
    try:
        print(words, flush=True)
    except BrokenPipeError:
        # Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(names: Sequence[str], *, as_json: bool = False) -> int:
    """`byoc explain`: the exit code."""
    try:
        found = select(load(), names)
    except UnknownName as error:
        print(f"byoc: {error}", file=sys.stderr)
        return USAGE
    say(json.dumps(found.to_json(), indent=2) if as_json else text(found, columns()))
    return 0

"""One thing to change in a template, and how a terminal shows a list of them.

Owns: the fields, the way from a finding's path to the template's, the lines of the report. Must not
know: how problems are found, colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulator.control import words
from emulator.control.template_text import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`path` and `line` are in the template, `text` is what AWS would say, `change` what to do."""

    path: str
    code: str
    text: str
    rule: str
    change: str
    line: int | None = None


def shown(keys: Keys) -> str:
    """A place as it is written in JSON paths: `Resources.Model.Properties.Containers[0]`."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys]
    return "".join(parts).removeprefix(".")


def keys_of(path: str, body: Any) -> Keys:
    """The place of a finding (`containers.1.member.image`) or breach (`Containers.1.Image`)."""
    keys: list[str | int] = []
    for part in path.split(".") if path else ():
        if part == "member":
            continue
        key: str | int = part[:1].upper() + part[1:]
        if part.isdecimal():
            key = int(part) - 1
            found = isinstance(body, list) and 0 <= key < len(body)
        elif isinstance(body, dict):
            key = next((name for name in body if words.path("", name) == part), key)
            found = dict.__contains__(body, key)
        else:
            found = False
        body = body[key] if found else None
        keys.append(key)
    return tuple(keys)


def report(problems: Sequence[Problem], name: str) -> str:
    """Every problem in three lines, and how many they are."""
    lines: list[str] = []
    for problem in problems:
        where = name if problem.line is None else f"{name}:{problem.line}"
        lines += [
            f"{where}: {problem.path} ({problem.rule})",
            f"    {problem.code}: {problem.text}",
            f"    {problem.change}",
        ]
    many = {0: "no problem", 1: "1 problem"}.get(len(problems), f"{len(problems)} problems")
    return "\n".join([*lines, f"{name}: {many} found"])

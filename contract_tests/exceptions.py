"""What a project excepts from the contract: other levels, and checks whose failure it ignores.

Owns: [tool.byoc.checks] and [[tool.byoc.ignore]], what is valid in them, and what they do to a
result. Must not know: pytest, containers, how a verdict comes about. An exception is never silent:
it is in the result, and a MUST that it takes away makes the run `partial`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from contract_tests.check import Check, Level, Verdict
from contract_tests.report import Result
from emulator.errors import Usage
from emulator.limits import Profile

LEVELS_KEY, IGNORES_KEY = "checks", "ignore"
FILE_KEYS = (LEVELS_KEY, IGNORES_KEY)
"""Read from pyproject.toml only: an exception belongs where others see and review it."""

_EXCUSED = frozenset({Verdict.FAIL.value, Verdict.WARN.value, Verdict.ERROR.value})
_IGNORE_HINT = '[[tool.byoc.ignore]] check = "ID", reason = "WHY", expires = 2026-12-31'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """A check that may fail, until the end of a day or for good."""

    check: str
    reason: str
    expires: date | None = None

    @property
    def words(self) -> str:
        until = f" until {self.expires.isoformat()}" if self.expires else ""
        return f"ignored{until}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    """A project's exceptions, by check."""

    levels: Mapping[str, Level] = field(default_factory=dict)
    ignores: Mapping[str, Ignore] = field(default_factory=dict)

    def level(self, check: Check, profile: Profile) -> Level:
        """The level that counts in this run."""
        return self.levels.get(check.id, check.level(profile))

    def binding(self, check: Check, profile: Profile) -> bool:
        """Whether a run that is silent about it is partial: a MUST here, or one by itself."""
        return Level.MUST in (check.level(profile), self.level(check, profile))

    def applied(self, result: Result, check: Check, profile: Profile) -> Result:
        """The result as the exceptions leave it."""
        declared = check.level(profile).value
        if result.level != declared:
            result = replace(result, declared_level=declared)
        ignore = self.ignores.get(result.id)
        if ignore is None or result.verdict not in _EXCUSED:
            return result
        said = result.actual or result.reason
        return replace(
            result,
            verdict=Verdict.SKIP.value,
            reason=f"{ignore.words} ({result.verdict} without it{': ' if said else ''}{said})",
            ignored=ignore.words,
            ignored_verdict=result.verdict,
        )

    def idle(self, results: Iterable[Result]) -> list[str]:
        """What is ignored and holds: told, so that it does not outlive its cause."""
        return [
            f"{result.id} holds: its [[tool.byoc.ignore]] is not needed any more."
            for result in results
            if result.id in self.ignores and result.verdict == Verdict.PASS.value
        ]


def current(
    given: Exceptions, known: Collection[str], today: date
) -> tuple[Exceptions, Sequence[str]]:
    """The exceptions that count today, and what is to be told of those that do not.

    Raises Usage for a check that there is not: a misspelt exception would be none.
    """
    for identity in (*given.levels, *given.ignores):
        if identity not in known:
            near = difflib.get_close_matches(identity, known, n=1)
            meant = f"Did you mean {near[0]!r}?" if near else "`byoc explain` lists them."
            key = LEVELS_KEY if identity in given.levels else IGNORES_KEY
            raise Usage(f"[tool.byoc] {key} names the check {identity!r}, which is none. {meant}")
    valid = {i.check: i for i in given.ignores.values() if i.expires is None or today <= i.expires}
    notes = [
        f"the ignore of {i.check} expired on {i.expires} and counts no more ({i.reason}). Mend the"
        " container, or give another date."
        for i in given.ignores.values()
        if i.check not in valid
    ]
    return replace(given, ignores=valid), notes


def read(table: Mapping[str, Any], origin: str) -> Exceptions:
    """From the parsed [tool.byoc] table of the file `origin`. Raises Usage."""
    return Exceptions(
        levels=_levels(table.get(LEVELS_KEY, {}), f"[tool.byoc] {LEVELS_KEY} in {origin}"),
        ignores=_ignores(table.get(IGNORES_KEY, []), f"[tool.byoc] {IGNORES_KEY} in {origin}"),
    )


def _levels(value: Any, origin: str) -> dict[str, Level]:
    if not isinstance(value, dict):
        raise Usage(f'{origin} must be tables as [tool.byoc.checks."ID"], but is {value!r}.')
    found = {}
    for identity, entry in value.items():
        level = entry.get("level") if isinstance(entry, dict) else None
        names = [one.value.lower() for one in Level]
        if not isinstance(level, str) or level.lower() not in names or set(entry) != {"level"}:
            raise Usage(
                f"{origin}: {identity!r} must be a table with level = one of"
                f" {', '.join(map(repr, names))} and nothing else, but is {entry!r}. (To except a"
                f" check with a reason: {_IGNORE_HINT}.)"
            )
        found[identity] = Level(level.upper())
    return found


def _ignores(value: Any, origin: str) -> dict[str, Ignore]:
    if not isinstance(value, list):
        raise Usage(f"{origin} must be written as {_IGNORE_HINT}, but is {value!r}.")
    found: dict[str, Ignore] = {}
    for entry in value:
        one = _ignore(entry, origin)
        if one.check in found:
            raise Usage(f"{origin} names {one.check!r} twice. Keep one of them.")
        found[one.check] = one
    return found


def _ignore(entry: Any, origin: str) -> Ignore:
    if not isinstance(entry, dict) or not isinstance(entry.get("check"), str):
        raise Usage(f"{origin} must be written as {_IGNORE_HINT}, but is {entry!r}.")
    identity, reason = entry["check"], entry.get("reason")
    if unknown := sorted(set(entry) - {"check", "reason", "expires"}):
        raise Usage(
            f"{origin}: {identity!r} has {', '.join(map(repr, unknown))}; it may have check,"
            " reason and expires."
        )
    if not isinstance(reason, str) or not reason.strip():
        raise Usage(
            f"{origin}: {identity!r} needs a reason, a text that tells the next reader why, but"
            f" has {reason!r}."
        )
    return Ignore(
        check=identity,
        reason=" ".join(reason.split()),
        expires=_expires(entry.get("expires"), f"{origin}: expires of {identity!r}"),
    )


def _expires(value: Any, origin: str) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Usage(f"{origin} must be a day, as 2026-12-31, but is {value!r}.") from None

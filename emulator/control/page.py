"""The page of what the control plane judges and does, made of its tables.

Owns: the page's words and layout. Must not know: where it is written; `make catalog` does that.
"""

from __future__ import annotations

from collections.abc import Iterable

from emulator.control.coverage import Row, rows
from emulator.control.not_emulated import HARMLESS, VALUES
from emulator.control.rule import Rule
from emulator.control.rules import ACCEPTED, RULES
from emulator.sources import Evidence

HEAD = """\
# The control plane

Made by `make catalog` from emulator/control; do not edit. What byoc knows of SageMaker's deploy
calls: which it judges as AWS does, by which rules, and what it does with them.

A call is judged in AWS's order: types (SerializationException), then every constraint of botocore's
service model together (ValidationException), then the rules below, one at a time. Types are told in
our own words; the sentences for length, pattern, map and list are AWS's, the others in their style.
Where moto, which keeps the records, would answer otherwise: [differences from
moto](differences-from-moto.md).
"""

CALLS = """\
## Calls

Each member is emulated, accepted and stored (told again, without an effect), or refused by its name
because byoc does not emulate it (`NotEmulated`, HTTP 501). So is every operation that is not here.
The same rules judge CloudFormation templates.
"""

VALUES_HEAD = """\
## Values that are refused

Of members that are emulated otherwise. A call that AWS would do is never done by half.
"""

HARMLESS_HEAD = """\
## Refused members that may be there

They say that they are off, or what is so without them.
"""

RULES_HEAD = """\
## Rules

What AWS refuses and the service model cannot say. The evidence is that of the refusal: documented,
reproduced or reported; inferred means assumed. "own" in the last column: the code is AWS's, the
words are ours and say so, because those of AWS are not known.
"""

ACCEPTED_HEAD = """\
## Accepted on purpose

What AWS accepts, or may accept. It is not refused here, so that a refusal can be believed.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_calls(), *_values(), *_rules(), *_accepted()]) + "\n"


def _calls() -> Iterable[str]:
    yield CALLS
    yield from _header("operation", "member", "today")
    for row in rows():
        yield _line(f"`{row.operation}`", _member(row), row.stands)
    yield ""


def _member(row: Row) -> str:
    inner = [path.removeprefix("[]").removeprefix(".") for path in row.holds]
    more = f" (with {', '.join(f'`{path}`' for path in inner)})" if inner else ""
    return f"`{row.member}`{more}"


def _values() -> Iterable[str]:
    yield VALUES_HEAD
    yield from _header("operation", "member", "refused")
    for value in VALUES:
        yield _line(f"`{value.operation}`", f"`{value.member}`", value.says)
    yield ""
    yield HARMLESS_HEAD
    yield from _header("operation", "member", "accepted with")
    for off in HARMLESS:
        says = ", ".join(f"`{name}: {value}`" for name, value in off.says.items())
        beside = " and nothing else" if off.alone else ""
        yield _line(f"`{off.operation}`", f"`{off.member}`", f"{says}{beside}")
    yield ""


def _rules() -> Iterable[str]:
    yield RULES_HEAD
    yield from _header("rule", "operations", "what holds", "evidence", "code", "words")
    for rule in RULES:
        operations = ", ".join(f"`{name}`" for name in rule.operations)
        yield _line(f"`{rule.name}`", operations, rule.says, _evidence(rule), rule.code,
                    "own" if rule.words is Evidence.INFERRED else rule.words.value)  # fmt: skip
    yield ""


def _evidence(rule: Rule) -> str:
    return f"{rule.known_as.value}, [{rule.source.row}]({rule.source.url})"


def _accepted() -> Iterable[str]:
    yield ACCEPTED_HEAD
    yield from _header("what", "why")
    for what, why in ACCEPTED:
        yield _line(what, why)


def _header(*names: str) -> Iterable[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

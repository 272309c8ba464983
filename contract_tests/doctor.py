"""`byoc doctor`: what this machine can, and what each thing that it cannot costs.

Owns: gathering, the text, the JSON, the exit code. Must not know: how an engine is asked, how a
finding is worded (`doctor_findings`). Nothing is started, pulled or removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from contract_tests.doctor_engine import engine_findings
from contract_tests.doctor_findings import Finding, here, no_engine
from contract_tests.doctor_machine import Machine, this_machine
from contract_tests.explain import columns, load, rows, say
from emulator.engines import EngineUnavailable
from emulator.engines.docker_about import About, look

SCHEMA, ENGINE = 1, 2
MARKS = {"ok": " ", "note": "!", "wrong": "X"}


def examine(machine: Machine, engine: About | None, why: str = "") -> list[Finding]:
    """Every finding; without an engine the reason takes its place."""
    found = here(machine)
    if engine is None:
        return [*found, no_engine(why)]
    return [*found, *engine_findings(engine, machine, load().checks)]


def last_line(findings: Sequence[Finding]) -> str:
    """`ready`, or what to do."""
    if wrong := [f for f in findings if f.state == "wrong"]:
        return f"not ready: {wrong[0].means}"
    notes = [f.id for f in findings if f.state == "note"]
    return f"ready; look at: {', '.join(notes)}" if notes else "ready"


def text(findings: Sequence[Finding], width: int) -> str:
    lines: list[str] = []
    for finding in findings:
        # What is wrong is what to do, which the last line says.
        means = "" if finding.state == "wrong" else finding.means
        said = f"{finding.found}\n{means}" if means else finding.found
        first, *more = rows([(finding.id, said)], width, 14)
        lines += [f"{MARKS[finding.state]}{first[1:]}", *more]
    return "\n".join([*lines, "", last_line(findings)])


def as_json(findings: Sequence[Finding]) -> str:
    ready = all(finding.state != "wrong" for finding in findings)
    found = {
        "schema": SCHEMA,
        "ready": ready,
        "last_line": last_line(findings),
        "findings": [finding.to_json() for finding in findings],
    }
    return json.dumps(found, indent=2)


def main(*, machine_readable: bool = False) -> int:
    """`byoc doctor`: the exit code."""
    engine: About | None = None
    why = ""
    try:
        engine = look()
    except EngineUnavailable as error:
        why = str(error)
    findings = examine(this_machine(), engine, why)
    say(as_json(findings) if machine_readable else text(findings, columns()))
    return ENGINE if engine is None else 0

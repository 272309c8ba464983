"""The summary as it is printed under pytest.

Owns: colours and order. Must not know: how verdicts come about.
"""

from __future__ import annotations

import os
from typing import Any

from contract_tests import github
from contract_tests.not_checked import NOT_CHECKED
from contract_tests.report import WIDTH, Report, failure_text, last_line, ordered, table
from contract_tests.run import Run
from emulator.limits import MIB, cpus

COLOURS: dict[str | None, dict[str, bool]] = {
    "pass": {"green": True},
    "fail": {"red": True},
    "error": {"red": True, "bold": True},
    "warn": {"yellow": True},
    "skip": {"cyan": True},
    "blocked": {"cyan": True},
    None: {"bold": True},
}
RESULT_COLOURS = {"success": "green", "partial": "yellow", "failure": "red", "error": "red"}


def write(terminal: Any, run: Run) -> None:
    """Head, table, warnings in full, what is not checked, and the last line, for each image."""
    if run.aborted is not None:
        terminal.section("byoc", bold=True)
        terminal.line(f"No container engine can be used. {run.aborted}", red=True)
        if github.active(os.environ):
            terminal.line(github.error(f"No container engine can be used. {run.aborted}"))
        return
    for line in run.swept:
        terminal.line(f"byoc: left by an earlier run, removed: {line}")
    if run.unwritten:
        terminal.line(f"ERROR  {run.unwritten}", red=True)
    for line in github.told([report.to_json() for report in run.reports()], os.environ):
        terminal.line(line)
    for report in run.reports():
        _write_one(terminal, run, report)


def _write_one(terminal: Any, run: Run, report: Report) -> None:
    terminal.section(f"byoc {report.tool_version}", bold=True)
    image = report.image
    size = int(image["size_bytes"]) // MIB
    terminal.line(
        f"image    {image['reference']}  {image['platform']}  {size} MiB  {image['id'][:19]}"
    )
    memory = run.settings.memory
    share = f", {cpus(memory)} vCPU" if report.profile == "serverless" else ""
    terminal.line(
        f"profile  {report.profile}, {memory} MB{share}; engine {report.engine['name']}"
        f" {report.engine['version']}"
    )
    terminal.line("")
    columns = terminal.config.get_terminal_writer().fullwidth
    # A log file has no width of its own; pytest then takes 80.
    for text, verdict in table(report, columns if terminal.isatty else max(WIDTH, columns)):
        terminal.line(text, **COLOURS[verdict])
    for result in ordered(report.checks):
        if result.verdict == "warn":
            terminal.line("")
            terminal.line(
                failure_text(result, run.again(result.id, str(image["reference"]))), yellow=True
            )
        if result.verdict == "error":
            terminal.line("")
            terminal.line(
                f"ERROR  {result.id}: byoc or the engine failed, not the image:", red=True
            )
            terminal.line(f"  {result.reason}")
    for note in report.notes:
        terminal.line(f"byoc: {note}", yellow=True)
    terminal.line("")
    terminal.line(
        f"Not judged here, since only AWS can: {len(NOT_CHECKED)} clauses"
        " (`byoc explain not-checked`)."
    )
    colour = {RESULT_COLOURS[report.result]: True, "bold": True}
    terminal.line(last_line(report), **colour)

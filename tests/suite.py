"""Runs the shipped suite as a user does: a process of its own, its output, exit code and report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAYLOADS = ROOT / "fixtures" / "payloads"
REFERENCE = "byoc-reference:latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    pid: int
    exit_code: int
    output: str
    report: dict[str, Any] | None

    def verdicts(self, *wanted: str) -> dict[str, str]:
        """Check id to verdict, of these verdicts only when some are named."""
        assert self.report is not None, self.output
        found = {check["id"]: check["verdict"] for check in self.report["checks"]}
        return {k: v for k, v in found.items() if not wanted or v in wanted}

    def check(self, identity: str) -> dict[str, Any]:
        assert self.report is not None, self.output
        return next(check for check in self.report["checks"] if check["id"] == identity)


AT_FIRST = dict(os.environ)
"""Before any test changed it: runs begin beside tests that name another engine, or none."""


def environment(limits: dict[str, float] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in AT_FIRST.items() if not k.startswith(("BYOC_", "PYTEST_", "GITHUB_"))}
    if limits:
        kept["BYOC_TEST_LIMITS"] = json.dumps(limits)
    return kept


def command(
    *options: str, limits: dict[str, float] | None = None, chapters: Sequence[str] = ()
) -> list[str]:
    plugin = ["-p", "tests.shrunk_limits"] if limits else []
    # Neither is part of what is tested; Hypothesis takes longer to load than all the rest.
    without = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    what = [f"contract_tests/test_{chapter}.py" for chapter in chapters] or ["contract_tests"]
    return [sys.executable, "-m", "pytest", *what, *plugin, *without, *options]


def run(
    *options: str,
    directory: Path,
    limits: dict[str, float] | None = None,
    timeout: float = 180,
    chapters: Sequence[str] = (),
) -> Done:
    """`pytest contract_tests OPTIONS` in the source tree; the report lands in `directory`."""
    report = directory / "report.json"
    running = begin(*options, "--report-json", str(report), limits=limits, chapters=chapters)
    try:
        output, _ = running.communicate(timeout=timeout)
    except BaseException:
        running.terminate()
        running.communicate()
        raise
    found = json.loads(report.read_text()) if report.exists() else None
    return Done(pid=running.pid, exit_code=running.returncode, output=output, report=found)


def begin(
    *options: str, limits: dict[str, float] | None = None, chapters: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """The same, not waited for; its output comes as one text."""
    return subprocess.Popen(
        command(*options, limits=limits, chapters=chapters),
        cwd=ROOT,
        env=environment(limits),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def payload_options(*names: str) -> list[str]:
    return [part for name in names for part in ("--payload", str(PAYLOADS / name))]


def left_by(pid: int) -> list[str]:
    """Containers and networks whose label names that process as their owner."""
    shown: list[str] = []
    for kind in (["ps", "-a"], ["network", "ls"]):
        form = ["--format", '{{.Label "byoc.owner"}} {{.ID}}', "--filter", "label=byoc.owner"]
        done = subprocess.run(["docker", *kind, *form], capture_output=True, text=True, check=True)
        shown += [line for line in done.stdout.splitlines() if f"/{pid}/" in line]
    return shown

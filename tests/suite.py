"""Runs the shipped suite as a user does: a process of its own, its output, exit code and report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAYLOADS = ROOT / "fixtures" / "payloads"
REFERENCE = "byoc-reference:latest"
OURS = "label=byoc.owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
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


def environment(limits: dict[str, float] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BYOC_", "PYTEST_"))}
    if limits:
        kept["BYOC_TEST_LIMITS"] = json.dumps(limits)
    return kept


def command(*options: str, limits: dict[str, float] | None = None) -> list[str]:
    plugin = ["-p", "tests.shrunk_limits"] if limits else []
    cache = ["-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "contract_tests", *plugin, *cache, *options]


def run(
    *options: str, directory: Path, limits: dict[str, float] | None = None, timeout: float = 180
) -> Done:
    """`pytest contract_tests OPTIONS` in the source tree; the report lands in `directory`."""
    report = directory / "report.json"
    done = subprocess.run(
        command(*options, "--report-json", str(report), limits=limits),
        cwd=ROOT,
        env=environment(limits),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    found = json.loads(report.read_text()) if report.exists() else None
    return Done(exit_code=done.returncode, output=done.stdout + done.stderr, report=found)


def payload_options(*names: str) -> list[str]:
    return [part for name in names for part in ("--payload", str(PAYLOADS / name))]


def ours() -> list[str]:
    """Names of containers and networks that carry our label."""
    shown: list[str] = []
    for kind in (["ps", "-a", "--format", "{{.Names}} {{.Image}}"], ["network", "ls", "-q"]):
        done = subprocess.run(
            ["docker", *kind, "--filter", OURS], capture_output=True, text=True, check=True
        )
        shown += done.stdout.split("\n")
    return [line for line in shown if line]

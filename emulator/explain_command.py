"""The flags of `byoc explain` and `byoc doctor`, which the suite answers.

Owns: both command lines. Must not know: the checks, engines. The emulator does not import the suite
that is built on it: its modules are loaded by name.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

EXPLAIN = (
    "Tells what a check means: the clause, why it matters, what AWS shows, how to mend it, where it"
    " is from, and the broken container that proves the check. Offline; no engine is needed."
)
EXPLAIN_EPILOG = """\
examples:
  byoc explain                      the list, by chapter
  byoc explain ping-in-time         a check, as the report names it
  byoc explain test_ping_in_time    its test; also SRV-005, a fault, a chapter, "contract 2.3"
  byoc explain not-checked          what only AWS can tell

exit codes: 0 told, 4 no such check
"""
DOCTOR = (
    "Looks at this machine: the container engine that byoc would use and how it was found, what it"
    " can and what each thing that it cannot costs, memory, disk, and what killed runs left. Starts"
    " nothing, pulls nothing, removes nothing."
)
DOCTOR_EPILOG = """\
example:
  byoc doctor
  byoc doctor --json

exit codes: 0 ready, 2 no container engine can be used
"""


def add(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Both commands."""
    plain = argparse.RawDescriptionHelpFormatter
    explain = add_parser(
        "explain",
        help="what a check means, what AWS shows, how to mend it",
        description=EXPLAIN,
        epilog=EXPLAIN_EPILOG,
        formatter_class=plain,
    )
    explain.add_argument("check", nargs="*", metavar="CHECK", help="none: the list")
    explain.add_argument("--json", action="store_true", help="one JSON object")
    doctor = add_parser(
        "doctor",
        help="what this machine can, and what keeps checks from running here",
        description=DOCTOR,
        epilog=DOCTOR_EPILOG,
        formatter_class=plain,
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """The exit code of the one that was asked for."""
    module = importlib.import_module(f"contract_tests.{options.command}")
    if options.command == "explain":
        return int(module.main(options.check, as_json=options.json))
    return int(module.main(machine_readable=options.json))

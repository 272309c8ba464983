"""`byoc lint`: a template against the rules of the deploy calls, without an engine and without AWS.

Owns: its flags, what it prints, its exit codes. Must not know: the rules, templates. Loaded for
every `byoc` command, so it imports nothing heavy before it is asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.errors import Usage

PROBLEMS, USAGE = 1, 4

DESCRIPTION = (
    "Looks at the SageMaker resources of CloudFormation templates, as the CDK synthesizes them:"
    " what AWS would refuse, in its words, with the line to change. What is not known before the"
    " deployment is never held against a template. Nothing is deployed and nothing is contacted."
)
EPILOG = """\
examples:
  byoc lint template.json
  byoc lint cdk.out/*.template.json --region eu-west-1 --account 123456789012
  byoc lint template.yaml --parameter ImageUri=123456789012.dkr.ecr.eu-west-1.amazonaws.com/iris:1

exit codes: 0 no problem, 1 problems, 4 usage
"""


def add(lint: argparse.ArgumentParser) -> None:
    """The flags."""
    lint.add_argument("template", nargs="+", type=Path, metavar="TEMPLATE", help="JSON or YAML")
    lint.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for one of the template's Parameters; may repeat",
    )
    lint.add_argument("--region", help="where it is to be deployed; without it none is compared")
    lint.add_argument("--account", help="the account's number; without it none is compared")
    lint.add_argument("--json", action="store_true", help="one JSON object per problem")


def lint(options: argparse.Namespace) -> int:
    """Reads, looks, prints."""
    from emulator.control.lint import lint as problems_of
    from emulator.control.problem import report
    from emulator.control.template import Place
    from emulator.control.template_text import read

    found = 0
    try:
        parameters = _parameters(options.parameter)
        for path in options.template:
            place = Place(region=options.region, account=options.account)
            problems = problems_of(read(path), parameters, place=place)
            found += len(problems)
            if options.json:
                for problem in problems:
                    print(json.dumps({"template": str(path), **dataclasses.asdict(problem)}))
            else:
                print(report(problems, str(path)))
    except Usage as error:
        print(f"byoc: {error}", file=sys.stderr)
        return USAGE
    return PROBLEMS if found else 0


def _parameters(pairs: Sequence[str]) -> dict[str, str]:
    parameters = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (name and separator):
            raise Usage(f"--parameter {pair!r} must be NAME=VALUE.")
        parameters[name] = value
    return parameters

"""Owns: the claims of `byoc lint`: what it prints, how it ends. The rules have their own tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from emulator import cli

ROOT = Path(__file__).resolve().parent.parent
GOOD = ROOT / "fixtures" / "templates" / "iris-endpoint.template.json"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """The good one, with a concurrency that AWS refuses and an image from elsewhere."""
    template = json.loads(GOOD.read_text())
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::SageMaker::EndpointConfig":
            properties["ProductionVariants"][0]["ServerlessConfig"]["MaxConcurrency"] = 201
        if resource["Type"] == "AWS::SageMaker::Model":
            properties["PrimaryContainer"]["Image"] = (
                "123456789012.dkr.ecr.us-east-1.amazon.com/x:1"
            )
    path = tmp_path / "bad.template.json"
    path.write_text(json.dumps(template, indent=1))
    return path


def test_a_template_of_the_cdk_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", str(GOOD), "--region", "us-east-1"]) == 0
    assert capsys.readouterr().out == f"{GOOD}: no problem found\n"


def test_each_problem_has_its_line_the_words_of_aws_and_what_to_do(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lint", str(bad)]) == 1
    out = capsys.readouterr().out
    line = 1 + bad.read_text().split("\n").index(
        next(line for line in bad.read_text().split("\n") if '"MaxConcurrency": 201' in line)
    )
    assert f"{bad}:{line}: Resources." in out
    assert "Member must have value less than or equal to 200" in out
    assert "Using non-ECR image" in out
    assert out.endswith(f"{bad}: 2 problems found\n")


def test_with_json_each_problem_is_an_object(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", str(GOOD), str(bad), "--json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["template"] for each in told} == {str(bad)}
    assert {each["code"] for each in told} == {"ValidationException"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/no/such/template.json"], "cannot be read"),
        ([str(GOOD), "--parameter", "nothing"], "must be NAME=VALUE"),
    ],
)
def test_wrong_usage_is_one_paragraph_and_exit_code_4(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lint", *arguments]) == 4
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_other_commands_load_nothing_of_it() -> None:
    code = "import sys; from emulator import cli; print({'botocore', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""The gates before a push: the hook through pre-commit itself, the action's steps as a runner runs
them, and that the recipes name only what there is.

Owns: .pre-commit-hooks.yaml, action.yml, docs/gates.md. Must not know: what the checks find.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract_tests.catalogue import checks
from contract_tests.exceptions import current, read
from contract_tests.options import OPTIONS
from tests.suite import REFERENCE, ROOT, environment, payload_options

GOOD, BAD = REFERENCE, "byoc-fault-cmd-only:latest"
CHEAP = "test_not_cmd_only"  # of the image alone: no container is started
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in ACTION["runs"]["steps"]}
BESIDE_PYTHON = Path(sys.executable).parent

EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")


# -- the files, without an engine ------------------------------------------------------------------


def test_the_hook_runs_before_a_push_whatever_files_changed() -> None:
    (hook,) = HOOKS
    assert hook["stages"] == ["pre-push"]
    assert hook["entry"] == "byoc check"
    assert (hook["always_run"], hook["pass_filenames"]) == (True, False)


def expressions(value: object) -> set[str]:
    return set(EXPRESSION.findall(json.dumps(value)))


def test_the_action_names_only_inputs_and_steps_that_it_has() -> None:
    known = {f"inputs.{name}" for name in ACTION["inputs"]} | {"github.action_path"}
    for name in expressions(ACTION["runs"]) | expressions(ACTION["outputs"]):
        if name.startswith("steps."):
            assert name.split(".")[1] in STEPS, name
        else:
            assert name in known, name


def test_each_input_is_used_and_each_output_is_written() -> None:
    used = expressions(ACTION["runs"])
    assert {f"inputs.{name}" for name in ACTION["inputs"]} <= used
    script = STEPS["check"]["run"]
    for name, output in ACTION["outputs"].items():
        assert output["value"] == "${{ steps.check.outputs." + name + " }}"
        assert f"{name}=" in script or f"{name}:" in script


def test_no_input_gets_into_a_script_as_code() -> None:
    for step in STEPS.values():
        assert not EXPRESSION.search(step.get("run", ""))


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if "run" in step])
def test_the_actions_scripts_are_clean_to_shellcheck(name: str, tmp_path: Path) -> None:
    script = tmp_path / "step.sh"
    script.write_text("#!/usr/bin/env bash\nset -eo pipefail\n" + STEPS[name]["run"])
    told = subprocess.run(
        [str(BESIDE_PYTHON / "shellcheck"), str(script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (0, "")


PAGE = (ROOT / "docs" / "gates.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_recipes_are_valid_and_use_only_options_that_there_are() -> None:
    known = {name for name, _, _ in OPTIONS} | {"--junitxml", "--strict", "--hook-type"}
    elsewhere = {"--provenance", "--sbom", "--output", "--hook-stage", "--password-stdin"}
    for kind, text in BLOCKS:
        if kind == "yaml":
            assert yaml.safe_load(text)
        for line in text.splitlines():
            if "byoc check" in line:
                assert set(re.findall(r"(?<!\w)--[a-z-]+", line)) <= known | elsewhere, line


def test_the_exceptions_on_the_page_are_valid_as_they_stand() -> None:
    tables = [tomllib.loads(text)["tool"]["byoc"] for kind, text in BLOCKS if kind == "toml"]
    (found,) = [read(table, "docs/gates.md") for table in tables if "ignore" in table]
    valid, notes = current(found, [check.id for check in checks()], date(2026, 12, 31))
    assert valid == found
    assert not notes


def test_the_page_tells_each_input_and_output_of_the_action() -> None:
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"`{name}`" in PAGE


# -- the action's steps, as the runner runs them ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    exit_code: int
    outputs: Mapping[str, str]
    said: str


def check_step(directory: Path, **inputs: str) -> Ended:
    """The step `check`, with the inputs' defaults and a runner's variables."""
    values = {f"inputs.{name}": entry["default"] for name, entry in ACTION["inputs"].items()}
    values |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
    values["steps.install.outputs.byoc"] = str(BESIDE_PYTHON / "byoc")
    step = STEPS["check"]

    def filled(text: str) -> str:
        return EXPRESSION.sub(lambda found: values[found[1]], text)

    outputs, script = directory / "output", directory / "step.sh"
    outputs.touch()
    script.write_text(step["run"])
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=directory / filled(step["working-directory"]),
        env={
            **environment(),
            **{name: filled(value) for name, value in step["env"].items()},
            "RUNNER_TEMP": str(directory),
            "GITHUB_OUTPUT": str(outputs),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    told = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    assert set(told) == set(ACTION["outputs"]), ended.stdout
    return Ended(exit_code=ended.returncode, outputs=told, said=ended.stdout)


REPORTS = ("report-json", "report-html", "sarif", "junit")


@pytest.mark.docker
@pytest.mark.parametrize(("image", "code", "result"), [(GOOD, 0, "partial"), (BAD, 1, "failure")])
def test_the_action_lets_a_good_image_pass_and_stops_a_bad_one(
    image: str, code: int, result: str, tmp_path: Path
) -> None:
    (payload,) = payload_options("iris.json")[1:]
    ended = check_step(tmp_path, image=image, payload=f"\n{payload}\n", args=f"-k '{CHEAP}'")
    assert (ended.exit_code, ended.outputs["exit-code"]) == (code, str(code)), ended.said
    assert ended.outputs["result"] == result
    for name in REPORTS:
        assert Path(ended.outputs[name]).stat().st_size > 0
    assert json.loads(Path(ended.outputs["report-json"]).read_text())["result"] == result


@pytest.mark.docker
def test_the_action_stops_a_partial_result_where_that_is_asked_for(tmp_path: Path) -> None:
    ended = check_step(tmp_path, image=GOOD, args=f"-k {CHEAP}", allow_partial="false")
    assert (ended.exit_code, ended.outputs["exit-code"]) == (1, "0")
    assert "::error title=byoc::The result is partial" in ended.said


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "x; touch pwned", "--help", "`touch pwned`"])
def test_an_input_is_a_value_whatever_is_in_it(hostile: str, tmp_path: Path) -> None:
    ended = check_step(tmp_path, image=hostile, payload=hostile, memory=hostile)
    assert (ended.exit_code, ended.outputs["result"]) == (4, "error"), ended.said
    assert [ended.outputs[name] for name in REPORTS] == ["", "", "", ""]
    assert not (tmp_path / "pwned").exists()


# -- the hook, through pre-commit ------------------------------------------------------------------


def git(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x.invalid", "-c", "init.defaultBranch=m"]
    return subprocess.run(
        ["git", *identity, *words],
        cwd=directory, env=hook_environment(directory), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def hook_environment(directory: Path) -> dict[str, str]:
    """Where pre-commit builds the hook's environment: what byoc needs is taken from here, since
    only its own installation is in question.
    """
    found = importlib.util.find_spec("pytest")
    assert found is not None
    assert found.origin is not None
    return {
        **{name: value for name, value in environment().items() if not name.startswith("GIT_")},
        "PRE_COMMIT_HOME": str(directory.parent / "cache"),
        "PYTHONPATH": str(Path(found.origin).parent.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


@pytest.fixture(scope="module")
def pre_commit(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program; in an environment of its own where this one has none."""
    if importlib.util.find_spec("pre_commit"):
        return [sys.executable, "-m", "pre_commit"]
    place = tmp_path_factory.mktemp("pre-commit")
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "pre-commit>=4,<5"]
    subprocess.run(install, check=True, timeout=120)
    return [python, "-m", "pre_commit"]


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This tree as a repository that offers its hook."""
    place = tmp_path_factory.mktemp("offered") / "byoc"
    skipped = shutil.ignore_patterns("__pycache__", "node_modules", "cdk.out")
    for name in ("emulator", "contract_tests", "container", "fixtures/payloads"):
        shutil.copytree(ROOT / name, place / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, place / name)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        done = git(place, *words)
        assert done.returncode == 0, done.stderr
    return place


@pytest.mark.docker
@pytest.mark.clients
def test_a_push_waits_for_the_hook_and_a_bad_image_stops_it(
    offered: Path, pre_commit: list[str], tmp_path: Path
) -> None:
    project, remote = tmp_path / "project", tmp_path / "remote.git"
    project.mkdir()
    git(tmp_path, "init", "-q", "--bare", str(remote))
    git(project, "init", "-q")
    git(project, "remote", "add", "origin", str(remote))
    head = git(offered, "rev-parse", "HEAD").stdout.strip()
    hook = {"id": "byoc-check", "args": ["-k", CHEAP], "verbose": True}
    repository = {"repo": offered.as_uri(), "rev": head, "hooks": [hook]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repository]}))
    install = [*pre_commit, "install", "--hook-type", "pre-push"]
    subprocess.run(
        install, cwd=project, env=hook_environment(project), check=True, timeout=60,
        capture_output=True,
    )  # fmt: skip

    def push(image: str) -> subprocess.CompletedProcess[str]:
        (project / "pyproject.toml").write_text(f'[tool.byoc]\nimage = "{image}"\n')
        git(project, "add", "-A")
        git(project, "commit", "-qm", image)
        return git(project, "push", "origin", "HEAD:main")

    stopped = push(BAD)
    assert stopped.returncode != 0
    assert "FAIL  not-cmd-only" in stopped.stdout + stopped.stderr
    assert "exit code: 1" in stopped.stdout + stopped.stderr
    assert git(remote, "rev-parse", "-q", "--verify", "main").returncode != 0
    passed = push(GOOD)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert git(remote, "rev-parse", "-q", "--verify", "main").returncode == 0

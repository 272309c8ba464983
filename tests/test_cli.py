"""The `byoc` command: what it passes on, what it returns, what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emulator import cli
from tests.suite import ROOT, environment


@pytest.fixture
def passed_on(monkeypatch):
    """What `byoc check` gives to pytest, which is not started."""
    seen: list[list[str]] = []

    def main(arguments):
        seen.append(list(arguments))
        return pytest.ExitCode.NO_TESTS_COLLECTED

    monkeypatch.setattr(pytest, "main", main)
    return seen


def pairs(arguments, option):
    return [arguments[i + 1] for i, word in enumerate(arguments) if word == option]


def test_check_names_the_images_and_passes_every_other_option_on(passed_on):
    options = ["--payload", "a b.json", "--memory", "4096", "--strict", "-k", "ping", "-x"]
    assert cli.main(["check", "one:1", "two:2", *options]) == 5
    (arguments,) = passed_on
    assert pairs(arguments, "--image") == ["one:1", "two:2"]
    at = arguments.index("--payload")
    assert arguments[at : at + len(options)] == options
    assert Path(arguments[-1]).name == "contract_tests"


def test_check_uses_its_own_configuration_not_the_users(passed_on):
    cli.main(["check", "x"])
    (arguments,) = passed_on
    (configuration,) = pairs(arguments, "-c")
    assert Path(configuration).is_file()
    assert Path(configuration).parent == Path(arguments[-1])
    assert "contract_tests.plugin" in pairs(arguments, "-p")


def test_images_come_first_so_that_no_options_value_is_taken_for_one(passed_on):
    cli.main(["check", "--payload", "p.json"])
    cli.main(["check", "x:1", "y:2", "--payload", "p.json", "--strict"])
    without, arguments = passed_on
    assert pairs(without, "--image") == []  # then BYOC_IMAGE or the project's file names it
    assert pairs(arguments, "--image") == ["x:1", "y:2"]
    assert pairs(arguments, "--payload") == ["p.json"]
    assert "--strict" in arguments


@pytest.mark.parametrize("code", [0, 1, 2, 4, 5])
def test_the_exit_code_is_that_of_the_run(code, monkeypatch):
    monkeypatch.setattr(pytest, "main", lambda arguments: pytest.ExitCode(code))
    assert cli.main(["check", "x"]) == code


@pytest.mark.parametrize("arguments", [[], ["chek", "x"], ["clean", "--everything"]])
def test_wrong_usage_is_exit_4_with_a_line_of_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 4
    assert "usage: byoc" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["clean", "--help"]])
def test_help_shows_an_example(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "example" in said
    assert f"  byoc {arguments[0] if len(arguments) > 1 else 'check'} " in said


def test_the_options_that_check_names_are_those_of_the_plugin(capsys):
    from contract_tests.plugin import OPTIONS

    with pytest.raises(SystemExit):
        cli.main(["check", "--help"])
    said = capsys.readouterr().out.replace("\n", " ")
    known = {name for name, _, _ in OPTIONS} | {"--strict", "--junitxml", "--help"}
    named = {word.strip(".,[]") for word in said.split() if word.startswith("--")}
    assert named <= known
    assert {"--payload", "--model-data", "--memory", "--profile", "--report-json"} <= named


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("byoc ")


# -- clean ----------------------------------------------------------------------------------------


class Swept:
    """An engine that was never connected; tells what it was asked."""

    def __init__(self, *, found=(), why=None):
        self.found, self.why = list(found), why
        self.asked, self.closed = [], 0

    async def unavailable(self):
        return self.why

    async def sweep(self, *, everything=False):
        self.asked.append(everything)
        return self.found

    async def close(self):
        self.closed += 1


@pytest.fixture
def engine(monkeypatch):
    import emulator.engines.docker_engine as module

    def use(**words):
        made = Swept(**words)
        monkeypatch.setattr(module, "DockerEngine", lambda: made)
        return made

    return use


def test_clean_tells_what_it_removed(engine, capsys):
    swept = engine(found=["container a", "network b"])
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == "removed container a\nremoved network b\n"
    assert (swept.asked, swept.closed) == ([False], 1)


def test_clean_says_so_when_there_was_nothing(engine, capsys):
    engine()
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing was left behind\n"


def test_clean_takes_what_living_runs_own_only_when_told_to(engine):
    swept = engine()
    assert cli.main(["clean", "--all"]) == 0
    assert swept.asked == [True]


def test_clean_without_an_engine_is_one_line_and_exit_2(engine, capsys):
    swept = engine(why="Nothing answers. Start Docker.")
    assert cli.main(["clean"]) == 2
    assert capsys.readouterr().err == "byoc: Nothing answers. Start Docker.\n"
    assert (swept.asked, swept.closed) == ([], 1)


# -- as a process ---------------------------------------------------------------------------------


def byoc(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "emulator.cli", *arguments],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_users_pytest_configuration_has_no_say_but_their_byoc_table_has(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = ["--no-such-option"]\n'
        '[tool.byoc]\nmemory = 1500\nimage = "x"\n'
    )
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not for contract runs')\n")
    done = byoc("check", "x", cwd=tmp_path)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "1024, 2048" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_check_can_be_listed_without_an_engine(tmp_path):
    done = byoc("check", "x", "--collect-only", "-q", "-k", "ping-in-time", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_ping_in_time[x]" in done.stdout

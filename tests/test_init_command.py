"""`byoc init`: what it copies, and that it overwrites nothing."""

from __future__ import annotations

import filecmp
import os
import tomllib

import pytest
import yaml

from contract_tests.settings import gather
from emulator.cli import main
from emulator.init_command import GENERATED, IMAGE, init, sources
from tests.suite import ROOT


def test_the_project_is_the_reference_with_its_scripts_executable(tmp_path):
    done = init(tmp_path / "new")
    assert done.kept == ()
    assert {name.partition("/")[0] for name in done.created} == {
        "container", "payloads", *GENERATED,
    }  # fmt: skip
    for source, name in sources():
        assert filecmp.cmp(source, tmp_path / "new" / name, shallow=False)
    for name in ("container/build_and_push.sh", "container/model/serve"):
        expected = os.access(ROOT / name, os.X_OK)
        assert os.access(tmp_path / "new" / name, os.X_OK) == expected
    assert os.access(tmp_path / "new" / "container" / "build_and_push.sh", os.X_OK)


def test_what_tools_leave_in_a_tree_is_not_copied():
    assert not [name for _, name in sources() if "__pycache__" in name or "model.json" in name]
    assert "container/.dockerignore" in [name for _, name in sources()]


def test_the_configuration_is_one_that_a_check_takes(tmp_path):
    init(tmp_path)
    found = gather({}, {}, tmp_path)
    assert found.image == (IMAGE,)
    assert {payload.content_type for payload in found.payload} == {"application/json", "text/csv"}
    assert all(payload.body for payload in found.payload)


def test_the_exceptions_in_its_comments_are_written_as_byoc_reads_them(tmp_path):
    text = GENERATED["pyproject.toml"].replace("\n# ", "\n").replace("\n#\n", "\n")
    (tmp_path / "pyproject.toml").write_text(text)
    table = tomllib.loads(text)["tool"]["byoc"]
    assert set(table) >= {"checks", "ignore"}
    (tmp_path / "payloads").mkdir()
    for name in ("iris.json", "iris.csv"):
        (tmp_path / "payloads" / name).write_text("1")
    found = gather({}, {}, tmp_path).exceptions
    assert set(found.levels) == set(found.ignores) == {"ID"}


def test_the_hook_is_the_one_that_this_repository_offers():
    (theirs,) = yaml.safe_load(GENERATED[".pre-commit-config.yaml"])["repos"][0]["hooks"]
    (ours,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert theirs.pop("language") == "system"
    assert theirs.items() <= ours.items()


def test_nothing_is_overwritten_and_all_else_is_made(tmp_path, capsys):
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "Dockerfile").write_text("mine")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".pre-commit-config.yaml").symlink_to("nowhere")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "container" / "Dockerfile").read_text() == "mine"
    assert (tmp_path / "pyproject.toml").read_text() == "[project]\n"
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "container" / "model" / "serve").exists()
    said = capsys.readouterr().out
    assert f"kept    {tmp_path}/container/Dockerfile" in said
    assert "add this to" in said
    assert "[tool.byoc]" in said


def test_a_second_time_changes_nothing(tmp_path, capsys):
    init(tmp_path)
    assert init(tmp_path).created == ()
    assert main(["init", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "created" not in said
    assert "add this to" not in said


@pytest.mark.parametrize("below", ["", "/below"])
def test_a_file_in_the_place_of_the_directory_is_wrong_usage(tmp_path, below, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", f"{tmp_path}/file{below}"]) == 4
    assert str(tmp_path / "file") in capsys.readouterr().err

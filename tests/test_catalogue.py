"""What is promised as a whole: the catalogue of checks, its golden file, its pages, its faults."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from contract_tests.catalogue import FILES, GOLDEN, ROOT, as_json, checks, main
from contract_tests.check import MUST
from contract_tests.not_checked import NOT_CHECKED
from contract_tests.report import CHAPTERS
from emulator.limits import PROFILES
from emulator.sources import Evidence

CHECKS = checks()
FAULTS = tomllib.loads((ROOT / "fixtures" / "faults.toml").read_text())
DEPLOY_FAULTS = tomllib.loads((ROOT / "fixtures" / "deploy_faults.toml").read_text())
BY_ID = {check.id: check for check in CHECKS}
ORDER = [check.id for check in CHECKS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_made_of_the_declarations_is_up_to_date(path):
    assert path.read_text() == FILES[path](), "renew it with: make catalog"


def test_writing_needs_to_be_asked_for(capsys):
    assert main([]) == 4
    assert "--write" in capsys.readouterr().err


def test_writing_writes_every_file(tmp_path, monkeypatch, capsys):
    from contract_tests import catalogue

    elsewhere = {tmp_path / "docs" / path.name: text for path, text in FILES.items()}
    monkeypatch.setattr(catalogue, "FILES", elsewhere)
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    assert main(["--write"]) == 0
    assert capsys.readouterr().out.split() == [f"docs/{path.name}" for path in FILES]
    for path, text in elsewhere.items():
        assert path.read_text() == text()


def test_ids_are_unique():
    assert len(BY_ID) == len(CHECKS) > 30


def test_every_chapter_has_checks_and_every_check_a_chapter():
    assert {check.chapter for check in CHECKS} == set(CHAPTERS)
    places = [CHAPTERS.index(check.chapter) for check in CHECKS]
    assert places == sorted(places)


def test_no_module_of_checks_is_forgotten():
    modules = {p.stem.removeprefix("test_") for p in (ROOT / "contract_tests").glob("test_*.py")}
    assert modules == set(CHAPTERS)


@pytest.mark.parametrize("check", CHECKS, ids=ORDER)
def test_a_check_needs_only_checks_that_run_before_it(check):
    for need in check.needs:
        assert need in BY_ID, f"{check.id} needs {need}, which is no check"
        assert ORDER.index(need) < ORDER.index(check.id)


@pytest.mark.parametrize("check", CHECKS, ids=ORDER)
def test_a_need_asks_for_nothing_that_the_check_itself_can_do_without(check):
    # Else the need is skipped, does not block, and the check tells a second time what is wrong.
    for need in check.needs:
        if "payload" in BY_ID[need].requires:
            assert "payload" in check.requires


@pytest.mark.parametrize("check", CHECKS, ids=ORDER)
def test_a_check_is_told_in_sentences_with_a_public_source(check):
    assert re.fullmatch(r"[A-Z/].+\.", check.clause)
    assert len(check.fix) > 20
    assert check.source.url.startswith("https://")
    assert re.fullmatch(r"(contract|failures) \d+\.\d+", check.source.row)
    assert re.fullmatch(r"[A-Z]{2,4}-\d{3}", check.catalogue)
    if check.aws_shows is not None:
        assert check.aws_shows.source.url.startswith("https://")
        assert check.aws_shows.where
        assert check.aws_shows.text


@pytest.mark.parametrize("check", CHECKS, ids=ORDER)
def test_a_must_is_documented_or_reproduced(check):
    if MUST in check.levels.values():
        assert check.source.evidence in {Evidence.DOCUMENTED, Evidence.REPRODUCED}
    assert set(check.levels) == set(PROFILES)


def test_a_must_says_what_aws_would_show():
    silent = [c.id for c in CHECKS if MUST in c.levels.values() and c.aws_shows is None]
    assert silent == []


def test_no_functions_name_holds_another_so_that_k_finds_one_check():
    names = [check.function for check in CHECKS]
    for name in names:
        assert [other for other in names if name in other] == [name]


def test_catalogue_rows_are_not_used_twice():
    rows = [check.catalogue for check in CHECKS]
    assert sorted(rows) == sorted(set(rows))


# -- faults ---------------------------------------------------------------------------------------


def test_every_check_is_claimed_by_a_fault_and_every_fault_by_a_check():
    claimed = {(fault, check.id) for check in CHECKS for fault in check.caught_by}
    assert claimed == {(name, fault["check"]) for name, fault in (FAULTS | DEPLOY_FAULTS).items()}


@pytest.mark.parametrize("name", DEPLOY_FAULTS)
def test_a_wrong_template_or_script_says_how_people_get_there(name):
    directory = ROOT / "fixtures" / "deploy_faults" / name
    assert any((directory / file).is_file() for file in ("template.json", "deploy.py"))
    assert DEPLOY_FAULTS[name]["how"].endswith(".")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_can_be_built_and_says_how_people_get_there(name):
    directory = ROOT / "fixtures" / "faults" / name
    assert any((directory / made_by).is_file() for made_by in ("Dockerfile", "build.py"))
    assert FAULTS[name]["how"].endswith(".")
    assert set(FAULTS[name].get("also", ())) <= set(BY_ID)


def test_no_fault_directory_is_without_its_entry():
    for kind, table in (("faults", FAULTS), ("deploy_faults", DEPLOY_FAULTS)):
        found = {path.name for path in (ROOT / "fixtures" / kind).iterdir() if path.is_dir()}
        assert found == set(table)


# -- what is not checked --------------------------------------------------------------------------


@pytest.mark.parametrize("gap", NOT_CHECKED, ids=lambda gap: gap.clause[:30])
def test_a_gap_is_told_with_its_reason_and_source(gap):
    assert gap.clause.endswith(".")
    assert gap.reason.endswith(".")
    assert gap.source.url.startswith("https://")
    assert gap.clause not in {check.clause for check in CHECKS}


def test_the_golden_file_is_what_a_reader_of_the_promise_needs():
    assert list(as_json(CHECKS[0])) == [
        "id", "chapter", "levels", "clause", "source", "evidence", "link", "catalogue", "needs",
        "requires", "caught_by",
    ]  # fmt: skip
    assert GOLDEN.is_relative_to(ROOT / "fixtures" / "golden")


def test_every_check_is_collected_by_pytest_in_the_order_of_the_catalogue():
    options = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "contract_tests", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"::(test_\w+)", done.stdout)
    assert found == [check.function for check in CHECKS], done.stdout

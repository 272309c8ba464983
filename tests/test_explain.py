"""`byoc explain`: what a name may be, what is told of it, and that it is told at once, offline."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import explain
from contract_tests.catalogue import checks
from contract_tests.explain import GAPS, INDEX, UnknownName, load, rows, select, text
from contract_tests.not_checked import NOT_CHECKED
from contract_tests.why import WHY
from emulator import cli
from tests.suite import ROOT, environment

CHECKS = checks()
ALL = load()


def ids(*names):
    return [row["id"] for row in select(ALL, names).checks]


def test_every_check_says_why_it_matters_and_nothing_else_does():
    assert set(WHY) == {check.id for check in CHECKS}
    for why in WHY.values():
        assert why.endswith(".")
        assert len(why) > 30


def test_the_index_has_every_check_and_every_gap_in_order():
    assert [row["id"] for row in ALL.checks] == [check.id for check in CHECKS]
    assert [row["clause"] for row in ALL.not_checked] == [gap.clause for gap in NOT_CHECKED]


def test_the_index_is_installed_with_the_package():
    assert INDEX.parent == ROOT / "contract_tests"
    assert INDEX.is_file()


@pytest.mark.parametrize(
    "name",
    [
        "ping-200",
        "test_ping_200",
        "PNG-001",
        "png-001",
        "ping-redirects",
        "contract_tests/test_startup.py::test_ping_200[myimage:latest]",
        "test_ping_200[123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1]",
    ],
)
def test_a_check_is_found_by_each_of_its_names(name):
    assert ids(name) == ["ping-200"]


def test_a_chapter_is_all_of_its_checks():
    expected = [check.id for check in CHECKS if check.chapter == "deploy_template"]
    assert ids("deploy_template") == ids("deploy-template") == expected


@pytest.mark.parametrize("name", ["contract 4.58", "4.58"])
def test_a_source_is_what_stands_on_it_checked_or_not(name):
    found = select(ALL, [name])
    expected = [check.id for check in CHECKS if check.source.row == "contract 4.58"]
    assert "survives-freeze" in expected
    assert [row["id"] for row in found.checks] == expected
    assert [row["source"] for row in found.not_checked] == ["contract 4.58"]


def test_what_is_named_twice_is_told_once_in_the_order_of_naming():
    assert ids("strict-json", "ping-200", "PNG-001") == ["strict-json", "ping-200"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_is_told_with_all_that_there_is_to_know(check):
    said = " ".join(text(select(ALL, [check.id])).split())
    for part in (check.clause, WHY[check.id], check.fix, check.source.url, check.source.row,
                 check.source.evidence.value, check.catalogue):  # fmt: skip
        assert " ".join(part.split()) in said
    for level in check.levels.values():
        assert level.value in said
    if check.aws_shows is not None:
        assert check.aws_shows.where in said
        assert " ".join(check.aws_shows.text.split()) in said
    for fault in check.caught_by:
        assert f"fault {fault}:" in said
    assert f"byoc check IMAGE -k {check.function}" in said


def test_levels_that_differ_are_told_for_each_profile():
    said = text(select(ALL, ["image-size"]))
    assert "serverless MUST (fails the run)" in said
    assert "realtime SHOULD (warns; fails with --strict)" in said


def test_what_is_not_checked_is_told_with_its_reason():
    said = " ".join(text(select(ALL, [GAPS])).split())
    for gap in NOT_CHECKED:
        assert gap.clause in said
        assert gap.reason in said
        assert gap.source.url in said


def test_the_list_has_every_check_under_its_chapter_and_what_is_not_checked():
    lines = text(ALL).splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert named[: len(CHECKS)] == [check.id for check in CHECKS]
    chapters = [line for line in lines if line and not line.startswith(" ")]
    assert chapters[: len({c.chapter for c in CHECKS})] == list(
        dict.fromkeys(check.chapter for check in CHECKS)
    )
    assert max(map(len, lines)) <= 100
    assert f"{len(CHECKS)} checks, {len(NOT_CHECKED)} clauses not checked" in lines[-1]


@pytest.mark.parametrize(
    ("typo", "near"),
    [
        ("ping-2000", "ping-200"),
        ("listen-on-8080", "listens-on-8080"),
        ("SRV-05", "srv-005"),
        ("dac", "starts-without-dac-override"),
    ],
)
def test_a_typo_is_wrong_usage_and_names_what_is_near(typo, near, capsys):
    assert cli.main(["explain", typo]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert repr(typo) in said.err
    assert near in said.err


def test_one_unknown_name_among_known_ones_is_wrong_usage():
    with pytest.raises(UnknownName, match="zzzzzz"):
        select(ALL, ["ping-200", "zzzzzz"])


def test_without_anything_near_the_list_is_named():
    with pytest.raises(UnknownName) as told:
        select(ALL, ["zzzzzz"])
    assert "Did you mean" not in str(told.value)
    assert "`byoc explain`" in str(told.value)


def test_json_has_the_same_for_machines(capsys):
    assert cli.main(["explain", "--json", "ping-200", "not-checked"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    (row,) = found["checks"]
    assert row["id"] == "ping-200"
    assert row["levels"] == {"serverless": "MUST", "realtime": "MUST"}
    assert row["faults"][0]["name"] == "ping-redirects"
    assert len(found["not_checked"]) == len(NOT_CHECKED)


def test_json_without_a_name_is_everything(capsys):
    assert cli.main(["explain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["checks"]) == len(CHECKS)
    assert len(found["not_checked"]) == len(NOT_CHECKED)


@given(st.text(max_size=30))
def test_any_word_is_found_or_answered_with_a_sentence(word):
    try:
        found = select(ALL, [word])
    except UnknownName as error:
        assert repr(word) in str(error)
    else:
        assert found.checks or found.not_checked


@given(st.text(alphabet="ab \n-", max_size=200), st.integers(40, 100))
def test_wrapping_loses_no_word(said, width):
    lines = rows([("name", f"x {said}")], width)
    assert " ".join(lines).split() == ["name", "x", *said.split()]


def test_the_width_is_the_terminals_within_what_is_readable(monkeypatch):
    for given_width, expected in (("300", 100), ("72", 72), ("5", 40)):
        monkeypatch.setenv("COLUMNS", given_width)
        assert explain.columns() == expected


def test_help_shows_an_example(capsys):
    for command in ("explain", "doctor"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert f"  byoc {command}" in capsys.readouterr().out


def test_it_loads_neither_the_checks_nor_an_engine_nor_pytest(tmp_path):
    # Half a second and more, which a question about one check must not wait for.
    program = (
        "import sys\nfrom emulator import cli\ncode = cli.main(['explain', 'ping-200'])\n"
        "heavy = {'pytest', 'docker', 'aiohttp', 'requests', 'botocore', 'anyio',"
        " 'contract_tests.test_ping'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path):
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; {sys.executable} -m emulator.cli explain --json | head -1",
        ],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")

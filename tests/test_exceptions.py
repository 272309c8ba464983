"""What a project may except from the contract, and that no exception is silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.check import INFO, MUST, SHOULD, Blocked, ContractViolation, NotApplicable
from contract_tests.exceptions import Exceptions, Ignore, current, read
from contract_tests.judge import judge
from contract_tests.report import Report, last_line, table
from contract_tests.run import Run
from contract_tests.settings import Settings, gather
from emulator.engines import EngineUnavailable
from emulator.errors import Usage
from tests.fake_suite import Engine, InstantClock
from tests.test_run import make

TODAY = date(2026, 6, 30)
CHECK = make("answers")
BROKEN = ContractViolation(expected="HTTP 200", actual="HTTP 404")
IGNORE = Ignore(check="answers", reason="known to the vendor", expires=date(2026, 12, 31))


def ignoring(*ignores: Ignore) -> Exceptions:
    return Exceptions(ignores={ignore.check: ignore for ignore in ignores})


def settings(exceptions: Exceptions, **words) -> Settings:
    return Settings(image=("good:1",), exceptions=exceptions, **words)


def report(*results) -> Report:
    return Report(
        tool_version="1", image={}, profile="serverless", limits={}, engine={}, started="",
        seconds=1.0, checks=results,
    )  # fmt: skip


# -- what is written in the file -------------------------------------------------------------------


def written(tmp_path, text: str) -> Exceptions:
    (tmp_path / "pyproject.toml").write_text('[tool.byoc]\nimage = "x"\n' + text)
    return gather({}, {}, tmp_path).exceptions


def test_levels_and_ignores_are_read_from_pyproject(tmp_path):
    text = """
[tool.byoc.checks."ping-in-time"]
level = "should"
[[tool.byoc.ignore]]
check = "answers"
reason = "known to\\n the vendor"
expires = 2026-12-31
[[tool.byoc.ignore]]
check = "other"
reason = "for good"
"""
    found = written(tmp_path, text)
    assert found.levels == {"ping-in-time": SHOULD}
    assert found.ignores == {
        "answers": IGNORE,
        "other": Ignore(check="other", reason="for good"),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[tool.byoc.ignore]]\ncheck = "a"', "'a' needs a reason"),
        ('[[tool.byoc.ignore]]\ncheck = "a"\nreason = " "', "'a' needs a reason"),
        ('[[tool.byoc.ignore]]\nreason = "a"', "must be written as"),
        ('[tool.byoc.ignore]\na = "b"', "must be written as"),
        ('[[tool.byoc.ignore]]\ncheck = "a"\nreason = "b"\nuntil = 1', "'until'"),
        ('[[tool.byoc.ignore]]\ncheck = "a"\nreason = "b"\nexpires = "soon"', "as 2026-12-31"),
        (
            '[[tool.byoc.ignore]]\ncheck = "a"\nreason = "b"\nexpires = 2026-12-31T10:00:00',
            "as 2026-12-31",
        ),
        ('[[tool.byoc.ignore]]\ncheck = "a"\nreason = "b"\n' * 2, "'a' twice"),
        ('[tool.byoc.checks.a]\nlevel = "never"', "'must', 'should', 'info'"),
        ("[tool.byoc.checks.a]", "'must', 'should', 'info'"),
        ('[tool.byoc.checks.a]\nlevel = "info"\nreason = "x"', "nothing else"),
        ("[tool.byoc.checks]\na = 1", "'must', 'should', 'info'"),
    ],
)
def test_what_is_written_wrongly_is_wrong_usage_that_says_what_to_write(tmp_path, text, words):
    with pytest.raises(Usage, match=r"pyproject\.toml") as told:
        written(tmp_path, text)
    assert words in str(told.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates() | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["check", "reason", "expires", "level", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(ANYTHING, ANYTHING)
def test_whatever_is_written_is_read_or_is_wrong_usage(levels, ignores):
    try:
        found = read({"checks": levels, "ignore": ignores}, "pyproject.toml")
    except Usage:
        return
    assert all(ignore.reason.strip() for ignore in found.ignores.values())
    assert set(found.levels.values()) <= {MUST, SHOULD, INFO}


# -- what counts today -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_", [ignoring(replace(IGNORE, check="anwsers")), Exceptions(levels={"anwsers": SHOULD})]
)
def test_an_unknown_check_is_wrong_usage_that_names_the_near_one(given_):
    with pytest.raises(Usage, match=r"'anwsers'.*Did you mean 'answers'"):
        current(given_, ["ping-in-time", "answers"], TODAY)


def test_a_check_that_is_like_none_points_to_the_list():
    with pytest.raises(Usage, match=r"byoc explain"):
        current(Exceptions(levels={"qqq": SHOULD}), ["answers"], TODAY)


@given(st.integers(min_value=-400, max_value=400))
def test_an_ignore_counts_until_the_end_of_its_day_and_is_told_when_it_does_not(days):
    ignore = replace(IGNORE, expires=TODAY + timedelta(days=days))
    valid, notes = current(ignoring(ignore), ["answers"], TODAY)
    if days >= 0:
        assert (valid.ignores, list(notes)) == ({"answers": ignore}, [])
    else:
        assert valid.ignores == {}
        (note,) = notes
        assert "answers expired on" in note
        assert IGNORE.reason in note


def test_an_ignore_without_a_day_does_not_expire():
    for_good = replace(IGNORE, expires=None)
    assert current(ignoring(for_good), ["answers"], date.max)[0].ignores == {"answers": for_good}


# -- what becomes of a result ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "given_", "verdict"),
    [(MUST, SHOULD, "warn"), (MUST, INFO, "warn"), (SHOULD, MUST, "fail"), (INFO, SHOULD, "warn")],
)
def test_the_projects_level_decides_and_the_catalogues_stays_visible(declared, given_, verdict):
    check = make("answers", declared)
    result = judge(check, BROKEN, settings(Exceptions(levels={"answers": given_})), None, 0.1)
    assert (result.verdict, result.level) == (verdict, given_.value)
    assert result.declared_level == declared.value
    assert f"(by itself {declared.value})" in table(report(result))[1][0]


def test_strict_makes_a_lowered_must_fail_again():
    lowered = settings(Exceptions(levels={"answers": SHOULD}), strict=True)
    assert judge(CHECK, BROKEN, lowered, None, 0.1).verdict == "fail"


def test_a_lowered_must_that_does_not_hold_makes_the_run_partial():
    lowered = settings(Exceptions(levels={"answers": SHOULD}))
    result = judge(CHECK, BROKEN, lowered, None, 0.1)
    made = report(result, judge(make("other"), None, lowered, None, 0.1))
    assert (made.result, made.unjudged_musts, made.exit_code) == ("partial", ["answers"], 0)
    assert "1 MUST not judged or lowered (answers)" in last_line(made)
    assert report(judge(CHECK, None, lowered, None, 0.1)).result == "success"


@pytest.mark.parametrize(
    ("check", "error", "verdict"),
    [
        (CHECK, BROKEN, "fail"),
        (make("answers", SHOULD), BROKEN, "warn"),
        (CHECK, RuntimeError("a bug of ours"), "error"),
    ],
)
def test_what_is_ignored_is_shown_as_such_with_what_it_would_be(check, error, verdict):
    result = judge(check, error, settings(ignoring(IGNORE)), None, 0.1)
    assert (result.verdict, result.ignored_verdict) == ("skip", verdict)
    assert result.ignored == "ignored until 2026-12-31: known to the vendor"
    made = report(result, judge(make("other"), None, settings(ignoring(IGNORE)), None, 0.1))
    row = table(made)[1][0]
    assert row.split()[0] == "ignored"
    assert "known to the vendor" in row
    assert "1 ignored (answers)" in last_line(made)
    assert made.to_json()["checks"][0]["ignored"] == result.ignored
    assert made.result == ("partial" if check.level("serverless") is MUST else "success")
    assert made.exit_code == 0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (None, "pass"),
        (NotApplicable("no payload"), "skip"),
        (Blocked("x"), "blocked"),
        (EngineUnavailable("gone"), "error"),
    ],
)
def test_an_ignore_changes_nothing_else(error, verdict):
    result = judge(CHECK, error, settings(ignoring(IGNORE)), None, 0.1)
    assert (result.verdict, result.ignored, result.ignored_verdict) == (verdict, "", "")


# -- the run ---------------------------------------------------------------------------------------


@pytest.fixture
def opened():
    runs: list[Run] = []

    def open_(exceptions: Exceptions, *checks) -> Run:
        clock = InstantClock()
        engine = Engine(clock)
        run = Run(
            settings(exceptions), engine=engine, http=engine, clock=clock,
            catalogue=lambda: checks,
        )  # fmt: skip
        runs.append(run)
        run.open()
        return run

    yield open_
    for run in runs:
        run.close()


def test_what_needs_an_ignored_check_stays_blocked(opened):
    other = make("other", needs=("answers",))
    run = opened(ignoring(replace(IGNORE, expires=None)), CHECK, other)
    run.judge(CHECK, "good:1", when="call", error=BROKEN, seconds=0.1)
    with pytest.raises(Blocked, match="needs answers"):
        run.judge_needs(other, "good:1")


def test_an_expired_ignore_fails_the_run_and_is_told_in_the_report(opened):
    run = opened(ignoring(replace(IGNORE, expires=date(2001, 1, 1))), CHECK)
    run.judge(CHECK, "good:1", when="call", error=BROKEN, seconds=0.1)
    (made,) = run.reports()
    assert (made.result, run.exit_code) == ("failure", 1)
    assert "expired on 2001-01-01" in made.to_json()["notes"][0]


def test_an_ignore_that_is_not_needed_any_more_is_told(opened):
    run = opened(ignoring(replace(IGNORE, expires=None)), CHECK)
    run.judge(CHECK, "good:1", when="call", error=None, seconds=0.1)
    (made,) = run.reports()
    assert (made.result, run.exit_code) == ("success", 0)
    assert "answers holds" in made.notes[0]


def test_a_run_with_a_misspelt_exception_does_not_begin(opened):
    with pytest.raises(Usage, match="Did you mean 'answers'"):
        opened(ignoring(replace(IGNORE, check="answer")), CHECK)

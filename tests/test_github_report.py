"""Owns: the claims of what a run tells GitHub Actions: no word of a container becomes a command or
markup there.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contract_tests.github import MOST_OF_A_KIND, commands, summary, told
from tests.test_report import RESULT, report, results

EVIL = "50% of a\n::add-mask::x\r\n::error::y | <script>alert(1)</script> @octocat `x` [a](b)"


def made(*checks, **changes):
    return [report(*checks, **changes).to_json()]


def decoded(text):
    """As GitHub's runner does it."""
    for code, sign in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, sign)
    return text


@given(results(actual=st.text(), fix=st.text(), expected=st.text()))
def test_each_annotation_is_one_line_that_github_takes_apart_as_it_was_meant(checks):
    lines = commands(made(*checks))
    spoken = [check for check in checks if check.verdict in {"fail", "error", "warn"}]
    assert len(lines) == len(spoken)
    for line in lines:
        assert line.splitlines() == [line]
        found = re.fullmatch(r"::(error|warning) title=([^:,]*)::(.*)", line)
        assert found is not None, line
        assert decoded(found[2]).endswith(") x:1")


def test_an_annotation_has_title_expected_actual_and_fix():
    (line,) = commands(made(RESULT))
    assert line.startswith("::error title=ping-in-time (MUST) x%3A1::A ready container")
    assert "%0Aexpected HTTP 200 within 2 s%0Aactual no answer" in line
    assert "%0Afix Answer /ping from memory." in line


def test_a_containers_words_are_no_command_of_their_own():
    (line,) = commands(made(replace(RESULT, actual=EVIL)))
    assert "\n" not in line
    assert "50%25 of a%0A::add-mask::x" in line


def test_no_more_annotations_are_made_than_github_shows_and_the_rest_is_counted():
    many = [replace(RESULT, id=f"check-{n}") for n in range(MOST_OF_A_KIND + 3)]
    warned = replace(RESULT, id="warned", verdict="warn")
    lines = commands(made(*many, warned))
    assert len(lines) == MOST_OF_A_KIND + 1
    assert lines[-2].endswith("%0A3 more of this kind: see the job's summary.")
    assert lines[-1].startswith("::warning title=warned")


@given(results(actual=st.text(), fix=st.text(), reason=st.text()))
def test_a_row_of_the_summary_has_its_cells_whatever_is_in_them(checks):
    for line in summary(made(*checks)).split("\n"):
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {5, 6}


def test_the_summary_shows_no_markup_of_a_container_and_mentions_nobody():
    text = summary(made(replace(RESULT, actual=EVIL)))
    assert "<script" not in text
    assert "\\@octocat" in text
    assert "\\[a\\]" in text
    assert f"[ping\\-in\\-time]({RESULT.link})" in text
    assert "### byoc: x\\:1: failure" in text


def test_outside_of_github_nothing_is_told_and_nothing_is_written(tmp_path):
    path = tmp_path / "summary.md"
    assert told(made(RESULT), {"GITHUB_STEP_SUMMARY": str(path)}) == []
    assert not path.exists()


def test_in_github_the_summary_is_added_to_what_is_there(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    (line,) = told(made(RESULT), environment)
    assert line.startswith("::error title=")
    assert path.read_text().startswith("before\n### byoc:")


def test_a_summary_that_cannot_be_written_is_a_warning_and_no_error(tmp_path):
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}
    lines = told(made(replace(RESULT, verdict="pass")), environment)
    assert len(lines) == 1
    assert lines[0].startswith("::warning title=byoc::the job's summary")

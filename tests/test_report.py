"""What a run found: its result, its exit code, its words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.check import Level, Verdict
from contract_tests.report import (
    CHAPTERS,
    LOG_LINES,
    WIDTH,
    Report,
    Result,
    failure_text,
    last_line,
    ordered,
    printable,
    table,
)

VERDICTS = [verdict.value for verdict in Verdict]
LEVELS = [level.value for level in Level]

RESULT = Result(
    id="ping-in-time",
    chapter="ping",
    level="MUST",
    verdict="fail",
    clause="A ready container answers every GET /ping within 2 seconds.",
    source="contract 2.3",
    evidence="documented",
    seconds=1.25,
    expected="HTTP 200 within 2 s",
    actual="no answer after 2.00 s",
    aws_shows="DescribeEndpoint, FailureReason: did not pass the ping health check",
    fix="Answer /ping from memory.",
    link="https://docs.aws.amazon.com/ping",
    reproduce="docker run --rm -p 127.0.0.1:8080:8080 x serve\ncurl -sS http://127.0.0.1:8080/ping",
    log_tail="one\ntwo",
)


def report(*checks, **changes):
    words = {
        "tool_version": "1.2",
        "image": {"reference": "x:1", "id": "sha256:1", "digest": None, "platform": "linux/amd64"}
        | {"size_bytes": 1},
        "profile": "serverless",
        "limits": {"ping_seconds": 2.0},
        "engine": {"name": "docker", "version": "20.10"},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 3.14159,
        "checks": checks,
    }
    return Report(**(words | changes))


def results(**changes):
    """Results of every kind, each with an id of its own."""
    one = st.builds(
        replace,
        st.just(RESULT),
        verdict=st.sampled_from(VERDICTS),
        level=st.sampled_from(LEVELS),
        chapter=st.sampled_from(CHAPTERS),
        **changes,
    )
    return st.lists(one, max_size=12).map(
        lambda found: [replace(result, id=f"check-{i}") for i, result in enumerate(found)]
    )


NOT_RUN = st.lists(st.sampled_from(["x", "y"]), unique=True)


@given(results(), NOT_RUN)
def test_the_result_follows_from_the_verdicts_and_from_what_is_silent(checks, not_run):
    made = report(*checks, musts_not_run=not_run)
    verdicts = {result.verdict for result in checks}
    silent = not_run or any(r.level == "MUST" and r.verdict in {"skip", "blocked"} for r in checks)
    if "error" in verdicts:
        assert (made.result, made.exit_code) == ("error", 2)
    elif "fail" in verdicts:
        assert (made.result, made.exit_code) == ("failure", 1)
    elif not verdicts & {"pass", "warn"}:
        assert (made.result, made.exit_code) == ("partial", 5)
    else:
        assert (made.result, made.exit_code) == ("partial" if silent else "success", 0)


@given(results(), NOT_RUN)
def test_a_success_has_no_fail_no_error_and_no_silent_must(checks, not_run):
    made = report(*checks, musts_not_run=not_run)
    if made.result == "success":
        assert not {"fail", "error"} & {result.verdict for result in checks}
        assert made.unjudged_musts == []
        assert made.exit_code == 0


@given(results())
def test_every_check_is_counted_once(checks):
    counts = report(*checks).counts
    assert list(counts) == VERDICTS
    assert sum(counts.values()) == len(checks)


def test_an_empty_run_is_no_success():
    assert (report().result, report().exit_code) == ("partial", 5)
    assert last_line(report()) == "partial — nothing was checked in 3.1 s"


# -- JSON -----------------------------------------------------------------------------------------


@given(results(actual=st.text(), log_tail=st.text(), reason=st.text()), NOT_RUN)
def test_the_json_form_has_the_fields_of_schema_1_and_loses_nothing(checks, not_run):
    made = report(*checks, musts_not_run=not_run)
    value = json.loads(json.dumps(made.to_json()))
    assert list(value) == [
        "schema", "tool", "image", "profile", "limits", "engine", "result", "counts", "started",
        "seconds", "checks", "musts_not_judged", "not_checked", "start", "requests", "notes",
    ]  # fmt: skip
    assert value["schema"] == 1
    assert value["tool"] == {"name": "byoc", "version": "1.2"}
    assert list(value["image"]) == ["reference", "id", "digest", "platform", "size_bytes"]
    assert list(value["engine"]) == ["name", "version"]
    assert (value["result"], value["counts"]) == (made.result, made.counts)
    for check in value["checks"]:
        assert list(check) == [
            "id", "chapter", "level", "verdict", "clause", "source", "evidence", "seconds",
            "expected", "actual", "aws_shows", "fix", "link", "reproduce", "log_tail", "reason",
            "declared_level", "ignored", "ignored_verdict",
        ]  # fmt: skip
    assert [Result.from_json(check) for check in value["checks"]] == list(checks)


def test_a_field_of_a_later_schema_does_not_hinder_reading():
    value = {field.name: getattr(RESULT, field.name) for field in fields(Result)}
    assert Result.from_json(value | {"new": 1}) == RESULT


# -- the failure's text ---------------------------------------------------------------------------

AGAIN = "pytest --pyargs contract_tests -k test_ping_in_time --image x:1"


def test_a_failure_tells_everything_that_a_stranger_needs():
    lines = failure_text(RESULT, AGAIN).splitlines()
    assert lines[0] == "FAIL  ping-in-time  (MUST)"
    assert lines[2:] == [
        "  clause    A ready container answers every GET /ping within 2 seconds.",
        "  expected  HTTP 200 within 2 s",
        "  actual    no answer after 2.00 s",
        "  on AWS    DescribeEndpoint, FailureReason: did not pass the ping health check",
        "  fix       Answer /ping from memory.",
        "  source    contract 2.3 (documented)",
        "  link      https://docs.aws.amazon.com/ping",
        "  repeat    docker run --rm -p 127.0.0.1:8080:8080 x serve",
        "            curl -sS http://127.0.0.1:8080/ping",
        f"            {AGAIN}",
        "  log       the container's last lines:",
        "            | one",
        "            | two",
    ]


def test_what_is_not_known_has_no_row():
    bare = replace(RESULT, aws_shows="", reproduce="", log_tail="")
    text = failure_text(bare, "")
    for row in ("on AWS", "repeat", "log "):
        assert row not in text
    assert not text.endswith("\n")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=2000))
def test_long_text_is_wrapped_and_no_word_of_it_is_lost(text):
    lines = failure_text(replace(RESULT, actual=f"said: {text}"), AGAIN).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  actual"))
    end = next(i for i, line in enumerate(lines) if line.startswith("  on AWS"))
    mine = lines[start:end]
    assert " ".join(" ".join(line[12:] for line in mine).split()) == " ".join(
        printable(f"said: {text}").split()
    )
    for line in mine:
        assert len(line) <= WIDTH or " " not in line[12:].strip(), line


def test_a_command_is_never_wrapped_so_that_it_can_be_copied():
    long = "docker run " + "-e NAME=value " * 40 + "x serve"
    assert any(
        line.endswith(long)
        for line in failure_text(replace(RESULT, reproduce=long), "").split("\n")
    )


def test_only_the_end_of_a_long_log_is_shown():
    log = "\n".join(f"line {number}" for number in range(100))
    text = failure_text(replace(RESULT, log_tail=log), AGAIN)
    assert text.count("| line ") == LOG_LINES
    assert text.endswith("| line 99")


@given(st.text())
def test_a_containers_words_never_steer_the_terminal(text):
    steered = f"\x1b[31mred\x1b[0m\x1b]0;title\x07{text}"
    shown = failure_text(replace(RESULT, actual=steered, log_tail=steered), AGAIN)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "red" in shown
    assert "title" not in shown


# -- the table ------------------------------------------------------------------------------------


@given(results(actual=st.text(), reason=st.text()), st.integers(min_value=80, max_value=120))
def test_no_line_of_the_table_is_wider_than_the_terminal(checks, columns):
    for line, _ in table(report(*checks), columns):
        assert len(line) <= columns
        assert "\n" not in line


@given(results())
def test_the_table_has_every_check_under_its_chapter_in_the_order_of_running(checks):
    made = report(*checks)
    chapter, found, folded = "", [], Counter()
    for line, verdict in table(made):
        if verdict is None:
            assert line not in {c for c, _ in found}, "each chapter has one heading"
            chapter = line
            continue
        assert line.split()[0] == verdict
        found.append((chapter, line.split()[2]))
        if line.split()[3] == "checks":
            assert verdict == "blocked"
            folded[found.pop()[0]] += int(line.split()[2])
    blocked = Counter(result.chapter for result in checks if result.verdict == "blocked")
    assert folded == {c: n for c, n in blocked.items() if n > 1}
    assert found == [
        (result.chapter, result.id)
        for result in ordered(checks)
        if not (result.verdict == "blocked" and blocked[result.chapter] > 1)
    ]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("pass", "A ready container"), ("fail", "no answer"), ("skip", "a reason"), ("error", "a re")],
)
def test_a_row_says_what_matters_about_its_verdict(verdict, words):
    result = replace(RESULT, verdict=verdict, reason="a reason")
    if verdict in {"skip", "error"}:
        result = replace(result, actual="")
    ((_, _), (line, colour)) = table(report(result))
    assert words in line
    assert colour == verdict


def test_a_single_long_word_is_cut_and_not_dropped():
    ((_, _), (line, _)) = table(report(replace(RESULT, actual="x" * 500)), 100)
    assert "xxxxxxxx" in line
    assert line.endswith("…")
    assert len(line) == 100


def test_a_chapter_of_somebody_else_comes_last():
    other = replace(RESULT, chapter="mine", id="other")
    assert ordered([other, RESULT]) == [RESULT, other]


# -- the last line --------------------------------------------------------------------------------


def of(**verdicts):
    """Results by id: of(a="MUST pass")."""
    return [
        replace(RESULT, id=name, level=words.split()[0], verdict=words.split()[1])
        for name, words in verdicts.items()
    ]


@pytest.mark.parametrize(
    ("checks", "not_run", "words"),
    [
        (of(a="MUST pass", b="SHOULD warn"), [], "success — 1 pass, 1 warn in 3.1 s"),
        (of(a="MUST fail", b="MUST skip"), ["c"], "failure: a — 1 fail, 1 skip in 3.1 s"),
        (of(a="MUST pass", b="MUST skip"), ["c"], "partial: 2 MUST not judged (b, c) — 1 pass, 1"),
        (of(a="MUST error", b="MUST fail"), [], "error: a could not be run; b — 1 fail, 1 error"),
        (of(a="SHOULD skip", b="MUST pass"), [], "success — 1 pass, 1 skip in 3.1 s"),
    ],
)
def test_the_last_line_names_what_decided(checks, not_run, words):
    assert last_line(report(*checks, musts_not_run=not_run)).startswith(words)

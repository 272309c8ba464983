"""Owns: the claims of the page: all that the JSON form has, nothing that runs; and of the JSON form
itself: its schema, what is observed beside the verdicts, the files of a run.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contract_tests
from contract_tests.html_report import page
from contract_tests.observed import MOST_ANSWERS, MOST_LINES, Observed, refused_json, start_json
from contract_tests.report_files import as_json, prepare, write
from contract_tests.settings import Settings
from emulator.engines import LogLine
from emulator.errors import Usage
from emulator.http import Hold, Outcome, Reply
from emulator.instance import PING, PingAnswer, StartReport, StartState
from emulator.testing import FakeClock
from tests.test_report import RESULT, report, results
from tests.test_run import engine, opened

__all__ = ["engine", "opened"]

SCHEMA = json.loads(
    (Path(contract_tests.__file__).parent / "report_schema.json").read_text(encoding="utf-8")
)
EVIL = "<script>window.evil=1</script><img src=x onerror=evil()>\"'&lt;\x1b[31m</style>"


def reply(status=200, seconds=0.01, outcome=Outcome.ANSWERED):
    return Reply(request=PING, outcome=outcome, seconds=seconds, status=status)


def start(*lines, state=StartState.READY):
    answers = (
        PingAnswer(at_seconds=0.3, reply=reply(None, 0.0, Outcome.RESET), times=13),
        PingAnswer(at_seconds=0.7, reply=reply(503)),
        PingAnswer(at_seconds=0.9, reply=reply()),
    )
    seen = StartReport(state=state, seconds=1.0, container_seconds=0.3, answers=answers)
    log = [LogLine(nanoseconds=round((50 + at) * 1e9), text=text) for at, text in lines]
    return start_json(seen, log, 50.0)


SERIES = {
    "check": "ping-in-time", "method": "GET", "path": "/ping", "count": 3,
    "seconds": [0.001, 0.0, 2.0], "statuses": [200, 503, None],
}  # fmt: skip
LIMITS = {"ping_seconds": 2.0, "invocation_seconds": 60.0, "memory_mb": 2048}


def full(*checks, **changes):
    words = {"start": start((0.5, "loading")), "requests": [SERIES], "limits": LIMITS}
    return report(*checks, **(words | changes)).to_json()


class Read(HTMLParser):
    """The page as a browser takes it apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.text += data


# -- the JSON form --------------------------------------------------------------------------------


def undescribed(value, schema, where="report"):
    """Members that the schema does not name."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(value, list) and "items" in schema:
        return [w for one in value for w in undescribed(one, schema["items"], where)]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    found = [f"{where}.{key}" for key in value if key not in schema["properties"]]
    for key, inner in schema["properties"].items():
        if key in value:
            found += undescribed(value[key], inner, f"{where}.{key}")
    return found


@given(results(actual=st.text(), log_tail=st.text()))
def test_the_json_form_is_as_its_schema_says(checks):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    one = json.loads(as_json([full(*checks)]))
    validator.validate(one)
    validator.validate(json.loads(as_json([full(), full(*checks, start=None)])))
    assert undescribed(one, {"$ref": "#/$defs/report"}) == []


def test_a_report_of_another_schema_is_refused():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for change in ({"schema": 2}, {"result": "fine"}, {"checks": [{"id": "x"}]}, {"seconds": -1}):
        assert not validator.is_valid({**full(RESULT), **change}), change


def test_a_real_run_tells_the_start_and_how_long_answers_took(opened):
    from tests.test_run import end, make

    run = opened("good:1", "refused:1", "good:2")
    run.target("good:1").container().ping()
    end(run, make("first"))
    run.target("good:1").container().ping()
    end(run, make("second"))
    assert run.target("refused:1").first is None
    first, refused, idle = [made.to_json() for made in run.reports()]
    jsonschema.Draft202012Validator(SCHEMA).validate([first, refused, idle])
    assert first["start"]["state"] == "ready"
    assert [line["text"] for line in first["start"]["log"]] == ["first line", "last line"]
    assert {(s["check"], s["path"], s["count"]) for s in first["requests"]} == {
        ("first", "/ping", 2), ("second", "/ping", 1),
    }  # fmt: skip
    assert refused["start"]["state"] == "refused"
    assert "executable file not found" in refused["start"]["reason"]
    assert idle["start"] is None
    assert idle["requests"] == []


def test_a_long_log_is_cut_and_says_so():
    made = start(*[(n / 1000, f"line {n}") for n in range(MOST_LINES + 7)], (1, " "))
    assert len(made["log"]) == MOST_LINES
    assert made["log_lines_left_out"] == 7
    assert "7 more lines" in page([full(start=made)])


class Wire:
    """A container's answers."""

    def __init__(self, *replies):
        self.replies = list(replies)

    async def send(self, base_url, request, timeout_seconds, hold=None):
        return self.replies.pop(0)


def test_what_we_hold_and_what_was_not_answered_is_no_latency():
    seen = Observed(
        Wire(
            reply(), reply(None, 0.0, Outcome.REFUSED), reply(), reply(None, 2.0, Outcome.TIMEOUT)
        ),
        FakeClock(),
    )

    async def ask():
        for hold in (None, None, Hold(), None):
            await seen.send("", PING, 2.0, hold)

    asyncio.run(ask())
    seen.ended("x")
    (series,) = seen.to_json()
    assert (series["seconds"], series["statuses"]) == ([0.01, 2.0], [200, None])


def test_many_answers_are_counted_and_not_all_kept():
    seen = Observed(Wire(*[reply()] * (MOST_ANSWERS + 50)), FakeClock())

    async def ask(times):
        for _ in range(times):
            await seen.send("", PING, 2.0)

    for times in (MOST_ANSWERS - 10, 60):
        asyncio.run(ask(times))
        seen.ended("x")
    (series,) = seen.to_json()
    assert series["count"] == MOST_ANSWERS + 50
    assert len(series["seconds"]) == len(series["statuses"]) == MOST_ANSWERS


# -- the page -------------------------------------------------------------------------------------


@given(results(actual=st.text(), fix=st.text(), reason=st.text(), link=st.text()))
def test_the_page_says_what_the_json_form_says(checks):
    read = Read(page([full(*checks)]))
    for check in checks:
        assert ("details", "class", f"check {check.verdict}") in read.attributes
    for words in (check.id for check in checks):
        assert words in read.text
    assert read.tags.count("details") == len(checks) + 1  # that of what is not checked


def test_a_failure_tells_everything_and_is_open():
    text = page([full(RESULT)])
    read = Read(text)
    for words in (RESULT.clause, RESULT.expected, RESULT.actual, RESULT.fix, RESULT.aws_shows):
        assert words in read.text
    assert RESULT.reproduce in read.text
    assert RESULT.log_tail in read.text
    assert ("a", "href", RESULT.link) in read.attributes
    assert re.search(r'<details class="check fail" id="0-ping-in-time" open>', text)
    assert ("a", "href", "#0-ping-in-time") in read.attributes


def test_what_the_project_ignores_is_shown_with_its_reason_and_what_it_would_be():
    ignored = replace(
        RESULT, verdict="skip", ignored="until 2027", ignored_verdict="fail", reason="ignored: old"
    )
    read = Read(page([full(ignored)]))
    assert re.search(r"ignored\s+ping-in-time", read.text)
    assert "until 2027" in read.text
    assert "would befail" in read.text


def test_nothing_that_came_from_outside_becomes_markup_and_nothing_can_run():
    said = "clause expected actual aws_shows fix reproduce log_tail reason source ignored"
    strings = dict.fromkeys(said.split(), EVIL)
    evil = replace(RESULT, link="javascript:alert(1)", **strings)
    series = {**SERIES, "path": "/" + EVIL, "check": EVIL}
    seen = {**start((0.1, EVIL)), "reason": EVIL}
    seen["pings"] = [{**ping, "text": EVIL} for ping in seen["pings"]]
    made = full(evil, start=seen, requests=[series], notes=[EVIL])
    made["image"] = {**made["image"], "reference": EVIL}
    read = Read(page([made]))
    assert not {"script", "img", "iframe", "object"} & set(read.tags)
    assert read.tags.count("style") == 1
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    links = [value for _, name, value in read.attributes if name in {"href", "src"}]
    assert all(value.startswith(("https://", "#", "data:,")) for value in links)
    assert any("default-src 'none'" in (value or "") for _, _, value in read.attributes)


def test_the_page_needs_nothing_from_anywhere():
    text = page([full(RESULT)])
    assert "@import" not in text
    assert "url(" not in text
    assert {tag for tag, name, _ in Read(text).attributes if name == "src"} == set()


def test_the_start_is_drawn_with_its_pings_and_its_log():
    read = Read(page([full(RESULT)]))
    for words in ("(13 times)", "HTTP 503", "HTTP 200", "loading", "ready"):
        assert words in read.text
    kinds = [value for tag, name, value in read.attributes if (tag, name) == ("rect", "class")]
    assert kinds == ["quiet", "blocked", "quiet", "warn", "pass"]
    assert ("line", "class", "tick") in read.attributes


def test_lines_of_one_moment_stay_in_their_order():
    text = Read(page([full(RESULT, start=start((0.5, "Traceback"), (0.5, "  File"), (0.4, "z")))]))
    assert re.search(r"z.*Traceback.*File", text.text, re.DOTALL)


@given(st.floats(min_value=0, max_value=500), st.floats(min_value=0, max_value=500))
def test_a_start_of_any_length_can_be_drawn(total, engine_took):
    seen = {**start(), "seconds": total, "container_seconds": min(total, engine_took)}
    for made in (seen, {**refused_json("no such file"), "seconds": total}):
        read = Read(page([full(start=made)]))
        marks = [float(v[:-1]) for _, n, v in read.attributes if n in {"x", "cx"} and v[-1:] == "%"]
        assert all(0 <= mark <= 100 for mark in marks)


def test_each_answer_is_a_dot_left_of_the_limit_when_it_was_in_time():
    read = Read(page([full(RESULT)]))
    dots = [v for t, n, v in read.attributes if (t, n) == ("circle", "cx")][-3:]
    fast, least, late = (float(dot.rstrip("%")) for dot in dots)
    assert least == 0
    assert least < fast < late < 100
    assert "median 1.00 ms, slowest 2.00 s" in read.text


def test_several_images_are_one_page_with_one_filter():
    read = Read(page([full(RESULT), full(replace(RESULT, verdict="pass"))]))
    assert read.tags.count("article") == 2
    boxes = [v for t, n, v in read.attributes if (t, n) == ("input", "id")]
    assert boxes == ["v-fail", "v-pass"]


def test_a_report_of_an_earlier_version_is_drawn_without_what_it_lacks():
    made = full(RESULT)
    for key in ("start", "requests", "notes", "not_checked", "musts_not_judged"):
        del made[key]
    assert "ping-in-time" in Read(page([made])).text


# -- the files ------------------------------------------------------------------------------------


def test_a_run_writes_what_was_asked_for(tmp_path):
    settings = Settings(
        report_json=tmp_path / "a/r.json", report_html=tmp_path / "b/r.html",
        sarif=tmp_path / "r.sarif",
    )  # fmt: skip
    prepare(settings)
    write([full(RESULT)], settings)
    assert json.loads((tmp_path / "a/r.json").read_text())["schema"] == 1
    assert (tmp_path / "b/r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.sarif").read_text())["version"] == "2.1.0"
    prepare(settings)
    write([], settings)
    assert not [path for path in tmp_path.rglob("r.*") if path.is_file()]


def test_two_reports_in_one_file_are_refused(tmp_path):
    same = tmp_path / "r"
    with pytest.raises(Usage, match=r"--report-json and --sarif are both .* would overwrite"):
        prepare(Settings(report_json=same, sarif=same))

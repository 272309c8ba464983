"""The plugin as pytest runs it: exit codes, reports, ends of all kinds. On fake containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET

import pytest

# Loaded here, before pytester notes which modules there are: it forgets later ones after each run.
import contract_tests.catalogue
import contract_tests.plugin
import contract_tests.run
import contract_tests.terminal
import tests.fake_suite
from tests.suite import ROOT, environment

pytest_plugins = ["pytester"]

HEAD = """
from contract_tests.check import MUST, PAYLOAD, SHOULD, advise, check, expect
from emulator.engines import Capability
from emulator.errors import PING_FAILED
from emulator.sources import contract
"""

OK = 'expect(container.ping().status == 200, expected="200", actual="no")'
BROKEN = 'expect(False, expected="HTTP 200", actual="HTTP 404")'
NEARLY = 'advise(False, expected="a quick answer", actual="a slow answer")'
CRASH = 'raise RuntimeError("a bug of ours")'


def one(name, body=OK, *, level="MUST", needs=(), requires="()", fixtures="target, container"):
    """The source of one check."""
    return (
        f'\n@check({level}, "{name} holds.", source=contract("2.3"), catalogue="PNG-002",\n'
        f'       caught_by="x", fix="Mend {name}.", aws_shows=PING_FAILED, needs={needs!r},\n'
        f"       requires={requires})\n"
        f"def test_{name}({fixtures}):\n" + textwrap.indent(body, "    ") + "\n"
    )


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith(("BYOC_", "GITHUB_")):
            monkeypatch.delenv(name)


@pytest.fixture
def suite(pytester):
    """Writes modules of checks, one per chapter, and runs pytest on them."""

    def run(*options, image=("good:1",), **chapters):
        for chapter, source in chapters.items():
            (pytester.path / f"test_{chapter}.py").write_text(HEAD + source)
        named = [word for reference in image for word in ("--image", reference)]
        plugins = [
            "-p",
            "contract_tests.plugin",
            "-p",
            "tests.fake_suite",
            "-p",
            "no:cacheprovider",
        ]
        return pytester.runpytest_inprocess(*plugins, *named, *options)

    return run


def state(pytester):
    return json.loads((pytester.path / tests.fake_suite.STATE).read_text())


def report(pytester):
    return json.loads((pytester.path / "r.json").read_text())


def verdicts(pytester):
    return {check["id"]: check["verdict"] for check in report(pytester)["checks"]}


def last(result):
    return result.stdout.lines[-2:]


# -- exit codes -----------------------------------------------------------------------------------


def test_a_run_where_everything_holds_is_a_success_and_leaves_nothing_running(suite, pytester):
    result = suite("--report-json", "r.json", ping=one("answers"))
    assert result.ret == 0
    assert report(pytester)["result"] == "success"
    assert "success — 1 pass" in result.stdout.str()
    assert state(pytester) == {"started": 1, "running": [], "closed": True}


def test_a_must_that_does_not_hold_is_exit_1_and_tells_everything(suite, pytester):
    result = suite("--report-json", "r.json", ping=one("answers", BROKEN))
    assert result.ret == 1
    assert report(pytester)["result"] == "failure"
    text = result.stdout.str()
    for words in (
        "FAIL  answers  (MUST)",
        "answers holds.",
        "HTTP 200",
        "HTTP 404",
        "did not pass the ping health",
        "Mend answers.",
        "https://docs.aws.amazon.com/",
        "docker run --rm",
        "-k test_answers --image good:1",
        "| last line",
    ):
        assert words in text
    assert "Traceback" not in text
    assert "failure: answers — 1 fail" in text


def test_a_harness_exception_is_an_error_and_exit_2_also_beside_a_failure(suite, pytester):
    source = one("crashes", CRASH) + one("fails", BROKEN) + one("passes")
    result = suite("--report-json", "r.json", ping=source)
    assert result.ret == 2
    assert verdicts(pytester) == {"crashes": "error", "fails": "fail", "passes": "pass"}
    assert report(pytester)["result"] == "error"
    text = result.stdout.str()
    assert "byoc or the engine failed, not the image" in text
    assert "RuntimeError: a bug of ours" in text
    assert "error: crashes could not be run; fails — " in text
    assert state(pytester)["running"] == []


def test_an_engine_that_dies_in_the_middle_says_nothing_against_the_image(
    suite, pytester, monkeypatch
):
    monkeypatch.setenv("FAKE", "dies")
    result = suite("--report-json", "r.json", ping=one("answers"))
    assert result.ret == 2
    assert verdicts(pytester) == {"answers": "error"}
    assert "Docker went away. Start it again." in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_an_engine_that_does_not_answer_is_one_paragraph_and_exit_2(suite, pytester, monkeypatch):
    monkeypatch.setenv("FAKE", "down")
    result = suite("--report-json", "r.json", ping=one("answers"))
    assert result.ret == 2
    text = result.stdout.str()
    assert "Nothing answers at unix:///nowhere. Start Docker" in text
    assert "Traceback" not in text
    assert "MUST" not in text, "nothing is said of the image"
    assert not (pytester.path / "r.json").exists()
    assert state(pytester) == {"started": 0, "running": [], "closed": True}


WRONG = {
    "unknown image": (["--image", "god:1"], "god:1"),
    "one of two images unknown": (["--image", "good:1", "--image", "god:1"], "god:1"),
    "bad memory": (["--image", "good:1", "--memory", "1500"], "1024, 2048"),
    "bad profile": (["--image", "good:1", "--profile", "lambda"], "serverless, realtime"),
    "missing payload": (["--image", "good:1", "--payload", "nope.json"], "nope.json"),
    "payload without a type": (["--image", "good:1", "--payload", "no"], "content type"),
    "missing model data": (["--image", "good:1", "--model-data", "nope"], "does not exist"),
    "bad archive": (["--image", "good:1", "--model-data", "no.tar.gz"], "no.tar.gz"),
    "no image": ([], "--image myimage:latest"),
    "report in a file's place": (["--image", "good:1", "--report-json", "no/r.json"], "written"),
    "report in a directory's place": (["--image", "good:1", "--report-json", "."], "written"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_paragraph_and_exit_4(case, suite, pytester):
    options, words = WRONG[case]
    (pytester.path / "no").write_text("no archive, no directory")
    (pytester.path / "no.tar.gz").write_text("no archive")
    result = suite("-q", *options, image=(), ping=one("answers"))
    assert result.ret == 4
    said = [line for line in result.stderr.str().split("ERROR: ")[-1].split("\n\n") if line.strip()]
    assert len(said) == 1, said
    assert words in said[0]
    both = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in both
    assert "INTERNALERROR" not in both
    assert "success" not in both
    assert state(pytester)["started"] == 0


def test_an_unknown_option_is_exit_4(suite):
    assert suite("--playload", "x", ping=one("answers")).ret == 4


def test_nothing_checked_is_exit_5_and_no_success(suite, pytester):
    result = suite("--report-json", "r.json", ping=one("paid", requires="(PAYLOAD,)"))
    assert result.ret == 5
    assert report(pytester)["result"] == "partial"
    nothing = suite("-k", "no_such_check", ping=one("paid"))
    assert nothing.ret == 5
    assert "byoc 0" not in nothing.stdout.str()


def test_an_own_test_beside_the_checks_keeps_its_say(suite, pytester):
    (pytester.path / "test_own.py").write_text("def test_own():\n    assert False\n")
    assert suite(ping=one("answers")).ret == 1


# -- what is run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["test_second", "answers-second"])
def test_one_check_runs_alone_by_function_or_id_and_the_result_is_partial(word, suite, pytester):
    word = word.replace("test_second", "test_answers_second")
    source = one("first", BROKEN) + one("answers_second", needs=("first",))
    result = suite("--report-json", "r.json", "-k", word, ping=source)
    assert result.ret == 0
    assert verdicts(pytester) == {"answers-second": "pass"}
    assert report(pytester)["result"] == "partial"
    assert "1 MUST not judged (first)" in result.stdout.str()


def test_a_need_that_does_not_hold_blocks_and_what_needs_that_too(suite, pytester):
    source = (
        one("first", BROKEN)
        + one("second", CRASH, needs=("first",))
        + one("third", CRASH, needs=("second",))
        + one("apart")
    )
    result = suite("--report-json", "r.json", ping=source)
    assert result.ret == 1
    assert verdicts(pytester) == {
        "first": "fail",
        "second": "blocked",
        "third": "blocked",
        "apart": "pass",
    }
    assert "needs second, which does not hold" in report(pytester)["checks"][2]["reason"]


def test_a_skipped_need_blocks_nothing(suite, pytester):
    source = one("paid", requires="(PAYLOAD,)") + one("second", needs=("paid",))
    suite("--report-json", "r.json", ping=source)
    assert verdicts(pytester) == {"paid": "skip", "second": "pass"}


def test_checks_run_by_chapter_whatever_the_order_of_files(suite, pytester):
    result = suite("-v", shutdown=one("last"), image=("good:1",), image_=one("x"), ping=one("mid"))
    assert result.ret == 0
    names = [line.split("::")[1].split("[")[0] for line in result.outlines if "PASSED" in line]
    assert names == ["test_mid", "test_last", "test_x"], "what is no chapter comes last"


def test_a_check_without_a_payload_is_skipped_with_what_to_give_and_partial(suite, pytester):
    source = one("answers") + one("paid", requires="(PAYLOAD,)")
    result = suite("--report-json", "r.json", ping=source)
    assert result.ret == 0
    assert report(pytester)["result"] == "partial"
    assert "give --payload FILE" in result.stdout.str()
    assert "partial: 1 MUST not judged (paid)" in result.stdout.str()


def test_with_a_payload_the_same_check_runs_and_its_repetition_has_the_payload(suite, pytester):
    (pytester.path / "a b.json").write_text("{}")
    source = one("paid", BROKEN, requires="(PAYLOAD,)")
    options = ["--payload", "a b.json", "--memory", "1024", "--env", "A=1"]
    result = suite(*options, ping=source)
    assert result.ret == 1
    wanted = "-k test_paid --image good:1 --memory 1024 --payload 'a b.json' --env A=1"
    assert wanted in result.stdout.str()


def test_what_the_engine_cannot_do_is_skipped_with_the_reason(suite, pytester, monkeypatch):
    monkeypatch.setenv("FAKE", "bare")
    source = one("answers") + one("looks", requires="(Capability.SOCKETS,)", level="SHOULD")
    result = suite("--report-json", "r.json", ping=source)
    assert result.ret == 0
    assert verdicts(pytester)["looks"] == "skip"
    assert report(pytester)["result"] == "success", "a SHOULD that is skipped is no gap"
    assert "the engine cannot read the container's listening sockets" in result.stdout.str()


# -- levels ---------------------------------------------------------------------------------------


def test_a_should_that_does_not_hold_warns_with_its_whole_text_and_is_no_failure(suite, pytester):
    result = suite("--report-json", "r.json", ping=one("answers", BROKEN, level="SHOULD"))
    assert result.ret == 0
    assert verdicts(pytester) == {"answers": "warn"}
    assert report(pytester)["result"] == "success"
    text = result.stdout.str()
    for words in ("WARN  answers  (SHOULD)", "HTTP 404", "Mend answers.", "-k test_answers"):
        assert words in text


def test_strict_turns_a_should_into_a_failure_but_never_an_advice(suite, pytester):
    source = one("should", BROKEN, level="SHOULD") + one("nearly", NEARLY, level="MUST")
    result = suite("--strict", "--report-json", "r.json", ping=source)
    assert result.ret == 1
    assert verdicts(pytester) == {"should": "fail", "nearly": "warn"}


def test_a_must_that_nearly_does_not_hold_warns_without_aws_words(suite, pytester):
    suite("--report-json", "r.json", ping=one("nearly", NEARLY))
    found = report(pytester)["checks"][0]
    assert (found["verdict"], found["level"], found["aws_shows"]) == ("warn", "MUST", "")


def test_the_profile_decides_the_level(suite, pytester):
    source = one("answers", BROKEN, level='{"serverless": SHOULD, "realtime": MUST}')
    assert suite(ping=source).ret == 0
    assert suite("--profile", "realtime", ping=source).ret == 1


# -- reports --------------------------------------------------------------------------------------


ALL_ENDS = (
    one("passes")
    + one("fails", BROKEN)
    + one("warns", BROKEN, level="SHOULD")
    + one("skips", requires="(PAYLOAD,)")
    + one("waits", needs=("fails",))
)


def test_junit_carries_the_properties_and_a_failure_only_for_what_fails(suite, pytester):
    suite("--junitxml", "j.xml", ping=ALL_ENDS)
    cases = {}
    for case in ET.parse(pytester.path / "j.xml").iter("testcase"):
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        cases[properties["id"]] = (case, properties)
    assert set(cases) == {"passes", "fails", "warns", "skips", "waits"}
    for identity, verdict in {
        "passes": "pass",
        "fails": "fail",
        "warns": "warn",
        "skips": "skip",
        "waits": "blocked",
    }.items():
        case, properties = cases[identity]
        assert properties["verdict"] == verdict
        assert properties["level"] == ("SHOULD" if identity == "warns" else "MUST")
        assert properties["source"].startswith("contract 2.3 https://")
        assert (case.find("failure") is not None) == (verdict == "fail")
        assert (case.find("skipped") is not None) == (verdict in {"skip", "blocked"})
        assert case.find("error") is None
    assert "Mend fails." in cases["fails"][0].find("failure").text
    assert "give --payload" in cases["skips"][0].find("skipped").get("message")


def test_the_json_report_says_what_the_table_says(suite, pytester):
    result = suite("--report-json", "sub/dir/r.json", ping=ALL_ENDS)
    found = json.loads((pytester.path / "sub/dir/r.json").read_text())
    rows = [line.split()[:3] for line in result.outlines]
    for check in found["checks"]:
        assert [check["verdict"], check["level"], check["id"]] in rows
    counts = ", ".join(f"{n} {verdict}" for verdict, n in found["counts"].items() if n)
    assert f"{found['result']}: fails — {counts} in " in result.stdout.str()
    assert found["image"]["reference"] == "good:1"
    assert found["engine"] == {"name": "fake", "version": "0"}


def test_in_github_actions_a_failure_is_annotated_and_summed_up(suite, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    forms = ["--report-html", "r.html", "--sarif", "r.sarif"]
    result = suite(*forms, ping=one("answers", BROKEN))
    assert [line for line in result.outlines if line.startswith("::error title=answers")]
    assert "failure: answers" in result.stdout.str()
    assert "good\\:1: failure" in (pytester.path / "summary.md").read_text()
    assert "answers" in (pytester.path / "r.html").read_text()
    (found,) = json.loads((pytester.path / "r.sarif").read_text())["runs"][0]["results"]
    assert found["ruleId"] == "answers"
    assert "--report-html" not in result.stdout.str().partition("repeat")[2]


def test_in_github_actions_a_missing_engine_is_annotated(suite, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("FAKE", "down")
    result = suite(ping=one("answers"))
    assert result.ret == 2
    result.stdout.fnmatch_lines(["::error title=byoc::No container engine can be used. *nowhere*"])


def test_an_older_report_is_never_taken_for_this_runs(suite, pytester, monkeypatch):
    (pytester.path / "r.json").write_text("old")
    monkeypatch.setenv("FAKE", "down")
    assert suite("--report-json", "r.json", ping=one("answers")).ret == 2
    assert not (pytester.path / "r.json").exists()


def test_several_images_have_a_table_and_a_report_each_and_the_worst_exit_code(suite, pytester):
    source = one(
        "lives", "expect(target.first.ready, expected='life', actual='x')", fixtures="target"
    )
    result = suite("--report-json", "r.json", image=("good:1", "ill:1"), startup=source)
    assert result.ret == 1
    first, second = report(pytester)
    assert [first["image"]["reference"], first["result"]] == ["good:1", "success"]
    assert [second["image"]["reference"], second["result"]] == ["ill:1", "failure"]
    assert second["checks"][0]["log_tail"] == "Traceback: no module"
    result.stdout.fnmatch_lines(["*success — 1 pass*", "*failure: lives*1 fail*"])
    assert state(pytester)["running"] == []


def test_an_image_that_cannot_start_blocks_what_needs_a_container(suite, pytester):
    result = suite("--report-json", "r.json", image=("refused:1",), ping=one("answers"))
    assert result.ret == 5
    assert verdicts(pytester) == {"answers": "blocked"}
    assert "executable file not found" in report(pytester)["checks"][0]["reason"]


# -- the end of a run -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_stops_every_container_and_is_no_success(number, pytester):
    ends = f"target.start()\nimport os, threading\nos.kill(os.getpid(), {number:d})"
    source = one("answers") + one("ends", f"{ends}\nthreading.Event().wait(30)") + one("later")
    (pytester.path / "test_ping.py").write_text(HEAD + source)
    words = ["-p", "contract_tests.plugin", "-p", "tests.fake_suite", "-p", "no:cacheprovider"]
    images = ["--image", "good:1", "--image", "good:2", "--report-json", "r.json"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *images],
        cwd=pytester.path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert state(pytester)["started"] >= 2
    assert state(pytester)["running"] == []
    assert [r["result"] for r in report(pytester)] == ["partial", "partial"]
    assert "MUST not judged (" in done.stdout


def test_the_handler_of_sigterm_is_given_back_after_the_run(suite):
    before = signal.getsignal(signal.SIGTERM)
    suite(ping=one("answers"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_first_failure_may_end_the_run(suite, pytester):
    result = suite("-x", "--report-json", "r.json", ping=one("fails", BROKEN) + one("later"))
    assert result.ret == 1
    assert verdicts(pytester) == {"fails": "fail"}
    assert state(pytester)["running"] == []


# -- runs that are none of ours -------------------------------------------------------------------


def test_a_test_of_the_package_without_a_declaration_is_a_usage_error(suite, pytester, monkeypatch):
    monkeypatch.setattr(contract_tests.plugin, "HERE", pytester.path)
    (pytester.path / "test_logs.py").write_text("def test_forgotten():\n    pass\n")
    result = suite(ping=one("answers"))
    assert result.ret == 4
    assert "without @check: test_logs.py::test_forgotten" in result.stderr.str()


@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("assert False", 1)])
def test_a_run_without_checks_is_untouched(body, code, pytester):
    pytester.makepyfile(f"def test_own():\n    {body}\n")
    options = ["-q", "-p", "no:cacheprovider"]
    without = pytester.runpytest_inprocess(*options)
    with_it = pytester.runpytest_inprocess("-p", "contract_tests.plugin", *options)
    assert with_it.ret == without.ret == code

    def lines(result):
        return [line for line in result.outlines if " in 0." not in line and "0x" not in line]

    assert lines(with_it) == lines(without)


def test_importing_the_plugin_loads_no_engine_and_no_http_client():
    heavy = "{'docker', 'aiohttp', 'anyio', 'requests', 'psutil'}"
    code = f"import sys, contract_tests.plugin; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_checks_can_be_listed_without_an_image_or_an_engine(suite, pytester, monkeypatch):
    monkeypatch.setenv("FAKE", "down")
    result = suite("--collect-only", "-q", image=(), ping=one("answers"))
    assert result.ret == 0
    assert "test_answers" in result.stdout.str()
    assert state(pytester)["started"] == 0


def test_settings_come_from_the_users_pyproject_too(suite, pytester):
    (pytester.path / "pyproject.toml").write_text('[tool.byoc]\nimage = "good:1"\nstrict = true\n')
    assert suite(image=(), ping=one("should", BROKEN, level="SHOULD")).ret == 1


# -- checks of what most people do not have -------------------------------------------------------

TEMPLATED = "from contract_tests.check import TEMPLATE\n" + one("deploys", requires="(TEMPLATE,)")


def test_without_a_template_nothing_is_said_of_templates_and_nothing_is_missing(suite, pytester):
    result = suite("--report-json", "r.json", ping=one("answers") + TEMPLATED)
    assert result.ret == 0
    assert verdicts(pytester) == {"answers": "pass"}
    assert "success — 1 pass" in result.stdout.str()


def test_with_a_template_they_are_run(suite, pytester):
    (pytester.path / "t.json").write_text("{}")
    result = suite("--report-json", "r.json", "--template", "t.json", ping=TEMPLATED)
    assert result.ret == 0
    assert verdicts(pytester) == {"deploys": "pass"}


def test_asked_for_alone_they_say_what_is_missing(suite, pytester):
    result = suite("--report-json", "r.json", "-k", "deploys", ping=one("answers") + TEMPLATED)
    assert result.ret == 5
    assert verdicts(pytester) == {"deploys": "skip"}
    assert "give --template FILE" in result.stdout.str()

"""One run without pytest: what it opens and closes, how it judges, what it reports."""

from __future__ import annotations

import dataclasses
import json
import tarfile

import pytest

from contract_tests.asking import asked_for
from contract_tests.check import (
    MUST,
    PAYLOAD,
    SHOULD,
    Advice,
    Blocked,
    ContractViolation,
    NotApplicable,
    check,
    declared,
)
from contract_tests.judge import judge
from contract_tests.run import Run, running_order, shipped
from contract_tests.settings import Payload, Settings
from emulator.engines import Capability, EngineUnavailable, ImageNotFound
from emulator.errors import PING_FAILED, Usage
from emulator.sources import contract
from tests.fake_suite import Engine, InstantClock

IRIS = Payload(name="iris.json", content_type="application/json", body=b"{}")


def make(name="answers", level=MUST, chapter="ping", **words):
    def function():
        """Never called."""

    function.__name__ = "test_" + name.replace("-", "_")
    function.__module__ = f"contract_tests.test_{chapter}"
    return declared(
        check(
            level,
            f"{name} holds.",
            source=contract("2.3"),
            catalogue="PNG-002",
            caught_by="x",
            fix="Mend it.",
            aws_shows=PING_FAILED,
            **words,
        )(function)
    )


@pytest.fixture
def engine():
    return Engine(InstantClock())


@pytest.fixture
def opened(engine):
    """Makes runs that are open, and closes them."""
    runs = []

    def new(*images, catalogue=(), options=(), **settings):
        run = Run(
            Settings(image=images or ("good:1",), **settings),
            engine=engine,
            http=engine,
            clock=engine.clock,
            catalogue=lambda: catalogue,
            options=options,
        )
        runs.append(run)
        run.open()
        return run

    yield new
    for run in runs:
        run.close()


def end(run, check, error=None, *, image="good:1", when="call", seconds=1.0):
    return run.judge(check, image, when=when, error=error, seconds=seconds)


def only(run):
    (report,) = run.reports()
    (result,) = report.checks
    return result


# -- opening and closing --------------------------------------------------------------------------


def test_closing_stops_every_container_of_every_image(opened, engine):
    run = opened("good:1", "good:2")
    run.target("good:1").container()
    run.target("good:2").start()
    assert len(engine.running) == 2
    run.close()
    assert engine.running == []
    assert engine.closed
    run.close()


def test_an_image_has_one_target_and_its_checks_share_one_container(opened, engine):
    run = opened()
    assert run.target("good:1") is run.target("good:1")
    assert run.target("good:1").container() is run.target("good:1").container()
    assert len(engine.started) == 1


@pytest.mark.parametrize(
    ("mood", "settings", "error", "words"),
    [
        ("", {"image": ()}, Usage, "No image was named"),
        ("", {"image": ("god:1",)}, ImageNotFound, "god:1"),
        ("down", {}, EngineUnavailable, "unix:///nowhere"),
    ],
)
def test_what_cannot_be_opened_says_why_and_leaves_nothing_open(mood, settings, error, words):
    engine = Engine(InstantClock(), mood)
    run = Run(Settings(**({"image": ("good:1",)} | settings)), engine=engine, http=engine)
    with pytest.raises(error, match=words):
        run.open()
    assert engine.closed or not run.settings.image
    assert engine.started == []


def test_an_archive_that_cannot_be_unpacked_is_told_before_anything_starts(opened, tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "link", "link")
    with pytest.raises(Usage, match="symbolic link"):
        opened(model_data=tmp_path / "model.tar.gz")


@pytest.mark.parametrize("place", ["file/r.json", "."])
def test_a_report_that_cannot_be_written_is_told_before_the_run(place, opened, engine, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Usage, match=r"--report-json .* cannot be written"):
        opened(report_json=tmp_path / place)
    assert engine.started == []


# -- needs ----------------------------------------------------------------------------------------


def test_a_need_blocks_only_when_it_is_known_not_to_hold(opened):
    run, first = opened(), make("first")
    second = make("second", needs=("first",))
    run.judge_needs(second, "good:1")
    for error in (None, NotApplicable("no")):
        end(run, first, error)
        run.judge_needs(second, "good:1")
    for error in (ContractViolation(expected="", actual=""), Blocked("no"), RuntimeError("bug")):
        end(run, first, error)
        with pytest.raises(Blocked, match="needs first, which does not hold"):
            run.judge_needs(second, "good:1")


def test_a_warning_blocks_nothing(opened):
    run = opened()
    end(run, make("first", SHOULD), ContractViolation(expected="", actual=""))
    run.judge_needs(make("second", needs=("first",)), "good:1")
    assert run.verdicts("good:1") == {"first": "warn"}


def test_one_images_failure_does_not_block_another_image(opened):
    run = opened("good:1", "good:2")
    end(run, make("first"), ContractViolation(expected="", actual=""))
    run.judge_needs(make("second", needs=("first",)), "good:2")
    with pytest.raises(Blocked):
        run.judge_needs(make("second", needs=("first",)), "good:1")


def test_a_payload_and_a_capability_are_asked_for_by_name(opened, engine):
    with pytest.raises(NotApplicable, match="--payload FILE"):
        opened().judge_needs(make(requires=(PAYLOAD,)), "good:1")
    opened(payload=(IRIS,)).judge_needs(make(requires=(PAYLOAD,)), "good:1")
    engine.mood = "bare"
    with pytest.raises(NotApplicable, match="the engine cannot read the container's"):
        opened().judge_needs(make(requires=(Capability.SOCKETS,)), "good:1")


# -- judging --------------------------------------------------------------------------------------

VIOLATION = ContractViolation(expected="200", actual="404")


@pytest.mark.parametrize(
    ("error", "level", "strict", "verdict"),
    [
        (None, MUST, False, "pass"),
        (VIOLATION, MUST, False, "fail"),
        (VIOLATION, SHOULD, False, "warn"),
        (VIOLATION, SHOULD, True, "fail"),
        (Advice(expected="", actual=""), MUST, True, "warn"),
        (NotApplicable("n"), MUST, True, "skip"),
        (Blocked("b"), MUST, True, "blocked"),
        (RuntimeError("r"), SHOULD, False, "error"),
        (AssertionError(), SHOULD, True, "error"),
        (EngineUnavailable("gone"), MUST, True, "error"),
    ],
)
def test_only_a_violation_is_held_against_the_container(error, level, strict, verdict):
    found = judge(make(level=level), error, Settings(strict=strict), None, 1.0)
    assert found.verdict == verdict
    assert bool(found.fix) == (verdict in {"fail", "warn"})
    assert bool(found.reason) == (verdict in {"skip", "blocked", "error"})


def test_an_engines_words_are_told_as_they_are_and_a_bugs_with_its_name():
    unavailable = judge(make(), EngineUnavailable("Docker went away."), Settings(), None, 1.0)
    assert unavailable.reason == "Docker went away."
    assert judge(make(), KeyError("x"), Settings(), None, 1.0).reason == "KeyError: 'x'"


def test_the_cure_of_the_cause_goes_before_that_of_the_check():
    exact = ContractViolation(expected="", actual="", fix="This line.")
    assert judge(make(), exact, Settings(), None, 1.0).fix == "This line."
    assert judge(make(), VIOLATION, Settings(), None, 1.0).fix == "Mend it."


def test_a_failure_has_the_command_that_starts_the_same_container_and_its_log(opened):
    run = opened(memory=1024)
    run.target("good:1").container()
    error = ContractViolation(expected="", actual="", reproduce="curl x")
    result, text = end(run, make(), error)
    assert result.reproduce.splitlines()[0].startswith("docker run --rm -p 127.0.0.1:8080:8080")
    assert "--memory 1024m" in result.reproduce
    assert result.reproduce.splitlines()[1] == "curl x"
    assert result.log_tail == "first line\nlast line"
    assert "| last line" in text


def test_the_time_of_a_check_is_that_of_its_setup_and_its_call(opened):
    run, one = opened("good:1", "good:2"), make()
    for image in ("good:1", "good:2"):
        assert end(run, one, image=image, when="setup", seconds=2.0) is None
        end(run, one, image=image, when="call", seconds=1.0)
        assert end(run, one, image=image, when="teardown", seconds=50.0) is None
    assert [report.checks[0].seconds for report in run.reports()] == [3.0, 3.0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_judges_nothing(error, opened):
    run = opened(catalogue=[make()])
    assert end(run, make(), error) is None
    (report,) = run.reports()
    assert report.checks == []
    assert report.result == "partial"


def test_an_error_while_clearing_up_is_no_pass(opened):
    run = opened()
    end(run, make())
    end(run, make(), RuntimeError("cannot stop"), when="teardown")
    assert only(run).verdict == "error"
    assert run.exit_code == 2


# -- reporting ------------------------------------------------------------------------------------


def test_a_must_that_never_ran_makes_the_result_partial_whatever_kept_it(opened):
    catalogue = [make("ran"), make("never"), make("should", SHOULD)]
    run = opened(catalogue=catalogue)
    end(run, catalogue[0])
    (report,) = run.reports()
    assert report.result == "partial"
    assert report.unjudged_musts == ["never"]
    end(run, catalogue[1])
    (report,) = run.reports()
    assert report.result == "success"


def test_without_more_ado_every_shipped_check_is_expected(engine):
    run = Run(Settings(image=("good:1",)), engine=engine, http=engine, clock=engine.clock)
    run.open()
    (report,) = run.reports()
    run.close()
    musts = [check for check in shipped() if check.level("serverless") is MUST]
    wanted = [check.id for check in musts if asked_for(check, run.settings)]
    assert 20 < len(wanted) < len(musts)  # nobody is asked for a template or a script
    assert report.unjudged_musts == wanted
    assert len(wanted) > 10


def test_a_run_that_was_given_up_reports_nothing_and_exits_2(opened, tmp_path):
    run = opened(report_json=tmp_path / "r.json")
    run.aborted = "no engine"
    run.write_reports()
    assert run.reports() == []
    assert run.exit_code == 2
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ({"good:1": None, "good:2": None}, 0),
        ({"good:1": None, "good:2": NotApplicable("n")}, 5),
        ({"good:1": VIOLATION, "good:2": NotApplicable("n")}, 1),
        ({"good:1": VIOLATION, "good:2": RuntimeError("bug")}, 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst_image(ends, code, opened):
    run = opened(*ends)
    for image, error in ends.items():
        end(run, make(), error, image=image)
    assert run.exit_code == code
    assert run.failed == sum(
        isinstance(e, (ContractViolation, RuntimeError)) for e in ends.values()
    )


def test_one_image_is_one_report_and_several_are_a_list(opened, tmp_path):
    for images in (("good:1",), ("good:1", "good:2")):
        run = opened(*images, report_json=tmp_path / "r.json")
        end(run, make())
        run.write_reports()
        found = json.loads((tmp_path / "r.json").read_text())
        assert isinstance(found, dict if len(images) == 1 else list)


def test_the_report_tells_image_limits_and_memory(opened):
    (report,) = opened(memory=3072, startup_seconds=20.0).reports()
    assert report.image["platform"] == "linux/amd64"
    assert report.limits["memory_mb"] == 3072
    assert report.limits["startup_seconds"] == 20.0
    assert report.engine == {"name": "fake", "version": "0"}
    json.dumps(report.to_json())


def test_the_command_to_repeat_has_the_runs_options_and_can_be_pasted(opened):
    run = opened(options=["--payload", "a b.json", "--strict"])
    wanted = "pytest --pyargs contract_tests -k test_ping_in_time --image x:1"
    assert run.again("ping-in-time", "x:1") == f"{wanted} --payload 'a b.json' --strict"


def test_checks_run_by_chapter_and_within_one_as_written():
    order = [make("c", chapter="shutdown"), make("a", chapter="mine"), make("b", chapter="image")]
    order += [dataclasses.replace(order[2], id="z")]
    assert [c.id for c in running_order(order, lambda c: c)] == ["b", "z", "c", "a"]
    assert running_order([1, 2], lambda _: None) == [1, 2]

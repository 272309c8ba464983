"""The shipped suite on the real reference container, as a user runs it.

The runs that nobody disturbs come first and go side by side; those that leave something to sweep
begin when all of these have ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from time import monotonic, sleep

import pytest

from contract_tests.asking import asked_for
from contract_tests.catalogue import checks
from contract_tests.settings import Settings
from emulator.engines.connect import connect
from tests.early import _outcomes, early, outcome
from tests.suite import (
    PAYLOADS,
    REFERENCE,
    ROOT,
    begin,
    command,
    environment,
    left_by,
    payload_options,
    run,
)

pytestmark = pytest.mark.docker

__all__ = ["_outcomes", "outcome"]

BOTH = payload_options("iris.json", "iris.csv")
CHECKS = [check for check in checks() if asked_for(check, Settings(), {})]
"""Those of the chapters on deployments are run in test_deploy_checks_docker.py; those on archives,
many models and a minute's request on their faults.
"""

IDLE = {
    "not-ready-without-model",  # its model is not in /opt/ml/model
    "requests-at-once",  # serverless: one at a time
    "worker-timeout-leaves-room",  # its workers have threads
}
"""What does not concern the reference container, and says so."""


def on_reference(*options):
    return lambda directory: run("--image", REFERENCE, *options, directory=directory)


def reference_run(directory):
    junit = directory / "junit.xml"
    return on_reference(*BOTH, "--junitxml", str(junit))(directory), junit.read_text()


@early(reference_run)
def test_the_reference_container_passes_every_check(outcome):
    done, _ = outcome
    assert set(done.verdicts()) - set(done.verdicts("pass")) == IDLE, done.output
    assert set(done.verdicts("skip")) == IDLE, done.output
    assert {check.id for check in CHECKS} == set(done.verdicts())
    assert (done.exit_code, done.report["result"]) == (0, "success"), done.output


@early(reference_run)
def test_the_table_names_every_check_and_ends_with_the_result(outcome):
    done, _ = outcome
    for check in CHECKS:
        assert check.id in done.output
    assert done.output.rstrip().splitlines()[-1].startswith("=") or "success" in done.output
    assert "success — " in done.output


@early(reference_run)
def test_the_report_tells_the_image_the_engine_and_the_limits(outcome):
    report = outcome[0].report
    assert report["schema"] == 1
    assert report["image"]["reference"] == REFERENCE
    assert report["image"]["id"].startswith("sha256:")
    assert report["image"]["platform"] == "linux/amd64"
    assert report["limits"]["memory_mb"] == 2048
    assert report["limits"]["startup_seconds"] == 180
    assert report["engine"]["name"] in {"docker", "podman"}
    assert report["counts"]["pass"] == len(report["checks"]) - len(IDLE)


@early(reference_run)
def test_junit_carries_id_level_source_and_verdict(outcome):
    _, junit = outcome
    assert junit.count('<property name="verdict" value="pass"') == len(CHECKS) - len(IDLE)
    for name in ("id", "level", "source"):
        assert junit.count(f'<property name="{name}"') == len(CHECKS)


@early(reference_run)
def test_nothing_is_left_after_a_run(outcome):
    assert left_by(outcome[0].pid) == []


def installed_run(directory):
    wheel = directory / "wheel"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheel), str(ROOT)],
        check=True,
    )
    home = directory / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*")) / "site-packages"
    # What it depends on is here already; the editable install of this tree is not found that way.
    dependencies = [p for p in sys.path if p.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python)),
            *("install", "-q", "--no-deps", next(wheel.glob("*.whl"))),
        ],
        check=True,
    )
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    # A project of the user's, whose pytest configuration must not matter to `byoc check`.
    (elsewhere / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = ["--no-such-option"]\n'
        f'[tool.byoc]\npayload = ["{PAYLOADS / "iris.json"}"]\n'
    )
    kept = environment() | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    kept.pop("PYTHONPATH", None)
    byoc = subprocess.run(
        [home / "bin" / "byoc", "check", REFERENCE, "--report-json", "r.json"],
        cwd=elsewhere,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    (elsewhere / "pyproject.toml").unlink()
    direct = subprocess.run(
        [
            *(python, "-m", "pytest", "--pyargs", "contract_tests", "--image", REFERENCE),
            *("-k", "test_ping_in_time", "-p", "no:cacheprovider"),
        ],
        cwd=elsewhere,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(
        [home / "bin" / "byoc", "init", "begun"],
        cwd=elsewhere,
        env=kept,
        capture_output=True,
        check=True,
    )
    return byoc, elsewhere / "r.json", direct, elsewhere / "begun"


@early(installed_run)
def test_an_installed_copy_works_outside_of_the_tree(outcome):
    byoc, report, direct, begun = outcome
    assert byoc.returncode == 0, byoc.stdout + byoc.stderr
    assert json.loads(report.read_text())["result"] == "success"
    assert direct.returncode == 0, direct.stdout + direct.stderr
    assert "ping-in-time" in direct.stdout
    for copied in ("Dockerfile", "model/serve", "deploy/deploy.py", "build_and_push.sh"):
        original = ROOT / "container" / copied
        assert (begun / "container" / copied).read_bytes() == original.read_bytes()
        assert (begun / "container" / copied).stat().st_mode == original.stat().st_mode
    assert (begun / "payloads" / "iris.json").is_file()


@early(on_reference())
def test_without_a_payload_the_result_is_partial_and_says_so(outcome):
    done = outcome
    assert done.exit_code == 0
    assert done.report["result"] == "partial"
    assert "golden-invocation" in done.verdicts("skip")
    assert "--payload" in done.check("golden-invocation")["reason"]
    assert not done.verdicts("fail", "warn", "error"), done.output
    assert "partial" in done.output


@early(on_reference("-k", "test_ping_in_time"))
def test_one_check_can_be_run_alone(outcome):
    assert outcome.verdicts() == {"ping-in-time": "pass"}
    assert outcome.report["result"] == "partial"


@early(on_reference(*BOTH, "-k", "test_instances_agree"))
def test_a_check_that_needs_the_endpoint_can_be_run_alone(outcome):
    assert outcome.verdicts() == {"instances-agree": "pass"}
    assert left_by(outcome.pid) == []


@early(on_reference("--profile", "realtime", *BOTH))
def test_the_realtime_profile_has_its_own_limits(outcome):
    done = outcome
    assert done.report["limits"]["startup_seconds"] == 480
    assert not done.verdicts("fail", "warn", "error"), done.output
    assert set(done.verdicts("skip")) - IDLE == {
        "image-size",
        "starts-without-dac-override",
        "starts-as-arbitrary-user",
        "starts-without-shm",
        "no-gpu-base",
        "caches-open-to-others",
        "starts-with-read-only-root",
        "one-copy-of-the-model",
        "workers-fit-more-cpus",
        "cold-start-within-client-timeout",
        "survives-freeze",
    }
    assert done.verdicts()["requests-at-once"] == "pass"


def model_data_run(directory):
    model = directory / "model.json"
    original = json.loads(
        subprocess.run(
            ["docker", "run", "--rm", REFERENCE, "cat", "/opt/program/model.json"],
            capture_output=True,
            check=True,
        ).stdout
    )
    original["labels"] = ["one", "two", "three"]
    model.write_text(json.dumps(original))
    archive = directory / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(model, "model.json")
    return on_reference(*BOTH, "--model-data", str(archive))(directory)


@early(model_data_run)
def test_model_data_is_mounted_from_an_archive(outcome):
    assert set(outcome.verdicts("skip")) == IDLE, outcome.output
    assert not outcome.verdicts("fail", "warn", "error", "blocked"), outcome.output
    assert outcome.verdicts()["archive-unpacks"] == "pass"
    assert not list(Path(tempfile.gettempdir()).glob(f"byoc-*_{outcome.pid}_*_*"))


WRONG = {
    "unknown image": (["--image", "byoc-refrence:latest"], 4, "byoc-reference"),
    "bad memory": (["--image", REFERENCE, "--memory", "1500"], 4, "1024, 2048"),
    "bad profile": (["--image", REFERENCE, "--profile", "lambda"], 4, "serverless, realtime"),
    "missing payload": (
        ["--image", REFERENCE, "--payload", "nope.json"],
        4,
        "nope.json cannot be read",
    ),
    "unknown option": (["--image", REFERENCE, "--playload", "x"], 4, "--playload"),
    "no image": ([], 4, "--image myimage:latest"),
    "no model data": (["--image", REFERENCE, "--model-data", "nope"], 4, "does not exist"),
}


def wrong_run(options):
    return lambda directory: run(*options, directory=directory)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(code, words, id=case, marks=early(wrong_run(options)))
        for case, (options, code, words) in WRONG.items()
    ],
)
def test_wrong_usage_is_one_paragraph_and_leaves_nothing(code, words, outcome):
    done = outcome
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Traceback" not in done.output
    assert done.report is None
    assert left_by(done.pid) == []


def symlink_run(directory):
    (directory / "weights.bin").write_bytes(b"1")
    (directory / "link.bin").symlink_to("weights.bin")
    archive = directory / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "link.bin", "link.bin")
    return on_reference("--model-data", str(archive))(directory)


@early(symlink_run)
def test_an_archive_with_a_symlink_is_refused_with_the_platforms_words(outcome):
    done = outcome
    assert done.exit_code == 1
    assert done.verdicts("fail") == {"archive-unpacks": "fail"}
    assert "symbolic link" in done.output
    assert "Failed to extract model data archive" in done.output
    assert "Traceback" not in done.output


def engineless_run(directory):
    report = directory / "r.json"
    done = subprocess.run(
        command("--image", REFERENCE, "--report-json", str(report)),
        cwd=ROOT,
        env=environment() | {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, report.exists()


@early(engineless_run)
def test_an_engine_that_does_not_answer_is_exit_2_and_says_nothing_of_the_image(outcome):
    done, reported = outcome
    assert done.returncode == 2, done.stdout
    assert "/nowhere/docker.sock" in done.stdout
    assert "Traceback" not in done.stdout
    assert not reported


def _wait_for(condition, seconds=30.0):
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.05)


@pytest.mark.quiet
def test_a_killed_run_is_cleared_by_the_next_and_nothing_else_is_touched(tmp_path):
    client = connect()
    foreign = client.containers.run(
        REFERENCE, ["sleep", "600"], detach=True, name="not-byocs", labels={"keep": "me"}
    )
    try:
        first = begin("--image", REFERENCE, *BOTH)
        _wait_for(lambda: left_by(first.pid))
        first.kill()
        first.communicate()
        assert left_by(first.pid), "the killed run left its container"
        done = run("--image", REFERENCE, "-k", "test_image_architecture", directory=tmp_path)
        assert done.exit_code == 0, done.output
        assert "left by an earlier run" in done.output
        assert left_by(first.pid) == []
        foreign.reload()
        assert foreign.status == "running"
    finally:
        foreign.remove(force=True)
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_stops_what_it_started(number):
    running = begin("--image", REFERENCE, *BOTH)
    _wait_for(lambda: left_by(running.pid))
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 2, output
    assert left_by(running.pid) == []


def test_a_run_that_is_interrupted_beside_its_endpoint_stops_that_and_the_frozen_container():
    running = begin("--image", REFERENCE, *BOTH, "-k", "test_instances_agree")
    _wait_for(lambda: len(left_by(running.pid)) > 1)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 2, output
    assert left_by(running.pid) == []


@pytest.mark.quiet
def test_clean_removes_what_a_killed_run_left():
    running = begin("--image", REFERENCE, *BOTH)
    _wait_for(lambda: left_by(running.pid))
    running.kill()
    running.communicate()
    done = subprocess.run(
        [sys.executable, "-m", "emulator.cli", "clean"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "removed container" in done.stdout
    assert left_by(running.pid) == []


def test_clean_leaves_a_living_run_alone():
    running = begin("--image", REFERENCE, *BOTH, "-k", "test_instances_agree")
    _wait_for(lambda: left_by(running.pid))
    done = subprocess.run(
        [sys.executable, "-m", "emulator.cli", "clean"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    output, _ = running.communicate(timeout=120)
    assert "removed container" not in done.stdout
    assert running.returncode == 0, output

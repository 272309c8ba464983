"""The shipped suite on the real reference container, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from time import monotonic, sleep

import pytest

from contract_tests.catalogue import checks
from emulator.engines.connect import connect
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

BOTH = payload_options("iris.json", "iris.csv")


@pytest.fixture(scope="module")
def reference_run(tmp_path_factory):
    junit = tmp_path_factory.mktemp("reference") / "junit.xml"
    done = run("--image", REFERENCE, *BOTH, "--junitxml", str(junit), directory=junit.parent)
    return done, junit.read_text()


def test_the_reference_container_passes_every_check(reference_run):
    done, _ = reference_run
    assert set(done.verdicts().values()) == {"pass"}, done.output
    assert {check.id for check in checks()} == set(done.verdicts())
    assert (done.exit_code, done.report["result"]) == (0, "success"), done.output


def test_the_table_names_every_check_and_ends_with_the_result(reference_run):
    done, _ = reference_run
    for check in checks():
        assert check.id in done.output
    assert done.output.rstrip().splitlines()[-1].startswith("=") or "success" in done.output
    assert "success — " in done.output


def test_the_report_tells_the_image_the_engine_and_the_limits(reference_run):
    report = reference_run[0].report
    assert report["schema"] == 1
    assert report["image"]["reference"] == REFERENCE
    assert report["image"]["id"].startswith("sha256:")
    assert report["image"]["platform"] == "linux/amd64"
    assert report["limits"]["memory_mb"] == 2048
    assert report["limits"]["startup_seconds"] == 180
    assert report["engine"]["name"] in {"docker", "podman"}
    assert report["counts"]["pass"] == len(report["checks"])


def test_junit_carries_id_level_source_and_verdict(reference_run):
    _, junit = reference_run
    assert junit.count('<property name="verdict" value="pass"') == len(checks())
    for name in ("id", "level", "source"):
        assert junit.count(f'<property name="{name}"') == len(checks())


def test_nothing_is_left_after_a_run(reference_run):
    assert left_by(reference_run[0].pid) == []


def test_without_a_payload_the_result_is_partial_and_says_so(tmp_path):
    done = run("--image", REFERENCE, directory=tmp_path)
    assert done.exit_code == 0
    assert done.report["result"] == "partial"
    assert "golden-invocation" in done.verdicts("skip")
    assert "--payload" in done.check("golden-invocation")["reason"]
    assert not done.verdicts("fail", "warn", "error"), done.output
    assert "partial" in done.output


def test_one_check_can_be_run_alone(tmp_path):
    done = run("--image", REFERENCE, "-k", "test_ping_in_time", directory=tmp_path)
    assert done.verdicts() == {"ping-in-time": "pass"}
    assert done.report["result"] == "partial"


def test_a_check_that_needs_the_endpoint_can_be_run_alone(tmp_path):
    done = run("--image", REFERENCE, *BOTH, "-k", "test_instances_agree", directory=tmp_path)
    assert done.verdicts() == {"instances-agree": "pass"}
    assert left_by(done.pid) == []


def test_the_realtime_profile_has_its_own_limits(tmp_path):
    done = run("--image", REFERENCE, "--profile", "realtime", *BOTH, directory=tmp_path)
    assert done.report["limits"]["startup_seconds"] == 480
    assert not done.verdicts("fail", "warn", "error"), done.output
    assert set(done.verdicts("skip")) == {
        "image-size",
        "cold-start-within-client-timeout",
        "survives-freeze",
    }


def test_model_data_is_mounted_from_an_archive(tmp_path):
    model = tmp_path / "model.json"
    original = json.loads(
        subprocess.run(
            ["docker", "run", "--rm", REFERENCE, "cat", "/opt/program/model.json"],
            capture_output=True,
            check=True,
        ).stdout
    )
    original["labels"] = ["one", "two", "three"]
    model.write_text(json.dumps(original))
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(model, "model.json")
    done = run("--image", REFERENCE, *BOTH, "--model-data", str(archive), directory=tmp_path)
    assert set(done.verdicts().values()) == {"pass"}, done.output
    assert not list(Path("/tmp").glob("byoc-*_*_*_*"))


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


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_paragraph_and_leaves_nothing(case, tmp_path):
    options, code, words = WRONG[case]
    done = run(*options, directory=tmp_path)
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Traceback" not in done.output
    assert done.report is None
    assert left_by(done.pid) == []


def test_an_archive_with_a_symlink_is_refused_with_the_platforms_words(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"1")
    (tmp_path / "link.bin").symlink_to("weights.bin")
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "link.bin", "link.bin")
    done = run("--image", REFERENCE, "--model-data", str(archive), directory=tmp_path)
    assert done.exit_code == 4
    assert "symbolic link" in done.output
    assert "Failed to extract model data archive" in done.output
    assert "Traceback" not in done.output


def test_an_engine_that_does_not_answer_is_exit_2_and_says_nothing_of_the_image(tmp_path):
    done = subprocess.run(
        command("--image", REFERENCE, "--report-json", str(tmp_path / "r.json")),
        cwd=ROOT,
        env=environment() | {"DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    assert "/nowhere/docker.sock" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "r.json").exists()


def _wait_for(condition, seconds=30.0):
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.05)


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
    running = begin("--image", REFERENCE, *BOTH)
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


def test_an_installed_copy_works_outside_of_the_tree(tmp_path):
    wheel = tmp_path / "wheel"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheel), str(ROOT)],
        check=True,
    )
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*")) / "site-packages"
    # What it depends on is here already; the editable install of this tree is not found that way.
    dependencies = [p for p in sys.path if p.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", next(wheel.glob("*.whl"))],
        check=True,
    )
    elsewhere = tmp_path / "elsewhere"
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
    assert byoc.returncode == 0, byoc.stdout + byoc.stderr
    report = json.loads((elsewhere / "r.json").read_text())
    assert report["result"] == "success"
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
    assert direct.returncode == 0, direct.stdout + direct.stderr
    assert "ping-in-time" in direct.stdout

"""The deploy chapters as a user runs them: a process of its own, real containers."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest

from tests.suite import REFERENCE, ROOT, begin, left_by, payload_options, run

pytestmark = pytest.mark.docker

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/iris:1.0.0"
TEMPLATE = str(ROOT / "fixtures" / "templates" / "iris-endpoint.template.json")
SCRIPT = (
    f"{ROOT / 'container' / 'deploy' / 'deploy.py'} deploy iris --image {IMAGE}"
    " --role-arn arn:aws:iam::111122223333:role/iris"
)
OPTIONS = ["--image", REFERENCE, *payload_options("iris.json"), "--template", TEMPLATE]


def test_the_reference_project_s_deploy_half_passes_on_its_image(tmp_path):
    done = run(*OPTIONS, "--deploy-script", SCRIPT, "-k", "deploy or golden", directory=tmp_path)
    assert done.exit_code == 0, done.output
    found = done.verdicts()
    assert found.pop("script-leaves-nothing") == "skip"
    assert set(found.values()) == {"pass"}, done.output
    assert len(found) == 10
    assert left_by(done.pid) == []


def test_a_run_that_is_killed_while_it_deploys_leaves_no_container():
    running = begin(*OPTIONS, "-k", "template")
    try:
        server = _until(lambda: _server(running.pid))
        _until(lambda: left_by(server))
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    _until(lambda: not psutil.pid_exists(server))
    assert left_by(server) == []


def _server(pid: int) -> int | None:
    try:
        children = psutil.Process(pid).children()
        found = [one.pid for one in children if "contract_tests.deploy_server" in one.cmdline()]
    except psutil.Error:
        return None
    return found[0] if found else None


def _until(tell, seconds: float = 60):
    """What is told, once it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := tell():
            return found
        time.sleep(0.05)
    shown = subprocess.run(["docker", "ps", "-a"], capture_output=True, text=True, check=False)
    raise AssertionError(f"not within {seconds} s; {shown.stdout}")

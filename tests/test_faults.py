"""Each broken container is caught by its check, each healthy stranger passes."""

from __future__ import annotations

import json
import re

import pytest

from contract_tests.catalogue import checks
from contract_tests.check import SCRIPT, TEMPLATE
from tests.matrix import GOLDEN, PAGE, TRIPPED, faults, healthy, page
from tests.suite import left_by

pytestmark = pytest.mark.docker

FAULTS = faults()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_its_check_with_a_message_to_act_on(matrix, name):
    fault, done = FAULTS[name], matrix.fault(name)
    if fault.needs_internet and "stays-alive" in done.verdicts("fail"):
        pytest.skip("containers of this machine have no way to the internet, which this one needs")
    found = done.check(fault.check)
    expected = {"MUST": ("fail", 1), "SHOULD": ("warn", 0), "INFO": ("warn", 0)}[found["level"]]
    tripped = done.verdicts("fail")
    assert found["verdict"] == expected[0], done.output
    assert done.exit_code == (1 if tripped else 0), done.output
    assert not done.verdicts("error"), done.output
    for field in ("expected", "actual", "fix", "link", "reproduce"):
        assert found[field], f"{field} is empty: {done.output}"
    assert found["actual"].split("\n")[0][:40] in done.output.replace("\n            ", " ")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_what_the_table_says_and_nothing_else(matrix, name):
    if FAULTS[name].needs_internet and "stays-alive" in matrix.fault(name).verdicts("fail"):
        pytest.skip("containers of this machine have no way to the internet, which this one needs")
    # `also` is what the same mistake breaks as well; some of it only at times.
    allowed = {FAULTS[name].check, *FAULTS[name].also}
    assert set(matrix.fault(name).verdicts(*TRIPPED)) <= allowed, matrix.fault(name).output


CAUSES = {
    "missing-module": "exited with code 1: ModuleNotFoundError: No module named 'joblib'",
    "rejects-serve": "exited with code 2: app.py: error: unrecognized arguments: serve",
    "wrong-architecture": "exec format error",
    "arm64-binary": "exec format error",
    "serve-not-executable": "without the execute bit",
    "port-5000": "listens only on 0.0.0.0:5000: another port",
    "loopback-only": "listens only on 127.0.0.1:8080: the loopback",
    "ping-404": "/ping answers 404: Not Found",
    "ping-redirects": "/ping redirects (308)",
    "ping-500": "/ping answers 500: FileNotFoundError: [Errno 2] No such file or directory",
    "ping-hangs": "takes the connection and never answers /ping",
    "oom-at-start": "killed for memory at its limit of 1024 MB",
    "waits-for-network": "probably waits for the network",
    "slow-start": "nothing listens on port 8080; last line of its log: loading the model",
}
"""Why a container never became ready, as the first message must say it."""


@pytest.mark.parametrize("name", CAUSES)
def test_the_first_failure_says_why_nothing_became_ready(matrix, name):
    done = matrix.fault(name)
    assert done.report is not None, done.output
    first = next(check for check in done.report["checks"] if check["verdict"] == "fail")
    assert CAUSES[name] in first["actual"], done.output
    # Also where only a part of it has room: in the table, and ahead of all else that is printed.
    row = re.search(rf"^  fail +MUST +{first['id']} +(.*)", done.output, re.MULTILINE)
    assert row is not None, done.output
    assert first["actual"].startswith(row[1].removesuffix("…").rstrip()), done.output


@pytest.mark.parametrize("name", healthy())
def test_a_healthy_stranger_raises_no_alarm(matrix, name):
    done = matrix.healthy(name)
    assert done.exit_code == 0, done.output
    assert not done.verdicts("fail", "error", "blocked"), done.output
    assert set(done.verdicts("warn")) <= set(healthy()[name]["may_warn"]), done.output


def test_every_check_has_a_fault_and_every_fault_a_check():
    of_images = [check for check in checks() if not {TEMPLATE, SCRIPT}.intersection(check.requires)]
    claimed = {fault for check in of_images for fault in check.caught_by}
    assert claimed == set(FAULTS)
    for check in of_images:
        for fault in check.caught_by:
            assert FAULTS[fault].check == check.id


def test_the_page_of_faults_is_up_to_date():
    golden = json.loads(GOLDEN.read_text())
    for name, fault in FAULTS.items():
        assert fault.check in golden[name]
        assert set(golden[name]) <= {fault.check, *fault.also}
    assert PAGE.read_text() == page(json.loads(GOLDEN.read_text()))


def test_nothing_is_left_after_all_of_them(matrix):
    runs = [matrix.fault(name) for name in FAULTS] + [matrix.healthy(name) for name in healthy()]
    assert [left for done in runs for left in left_by(done.pid)] == []

"""500 generated requests for real: no false alarm on the reference, and the planted crash found."""

from __future__ import annotations

import pytest

from tests.suite import REFERENCE, payload_options, run

pytestmark = pytest.mark.docker


def requests(image, directory):
    options = ["--image", image, "--examples", "500", *payload_options("iris.json", "iris.csv")]
    return run(*options, directory=directory, chapters=["robustness"])


def test_500_requests_raise_no_alarm_on_the_reference(tmp_path):
    done = requests(REFERENCE, tmp_path)
    assert set(done.verdicts().values()) == {"pass"}, done.output
    assert done.report is not None
    sent = [series for series in done.report["requests"] if series["path"] == "/invocations"]
    assert sum(series["count"] for series in sent) > 500  # with the good one in between


def test_500_requests_find_the_planted_crash_and_make_it_small(tmp_path):
    done = requests("byoc-fault-stack-overflow:latest", tmp_path)
    found = done.check("generated-bodies-end-nothing")
    assert found["verdict"] == "warn", done.output
    assert "exited with code 139" in found["actual"]
    assert "(1,000 bytes as application/json)" in found["actual"]  # of 60,000
    assert (
        """python3 -c 'import sys; sys.stdout.buffer.write(b"["*1000)' | curl"""
        in (found["reproduce"])
    )

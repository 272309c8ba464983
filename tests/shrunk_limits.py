"""A pytest plugin for our own tests: runs the shipped suite with smaller platform limits.

`-p tests.shrunk_limits` with BYOC_TEST_LIMITS='{"invocation_seconds": 2}' in the environment. The
checks read every number from the run's limits, so nobody waits for a platform timeout.
"""

from __future__ import annotations

import dataclasses
import json
import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item):
    from contract_tests.plugin import RUN  # after pytest had its chance to rewrite it

    run = item.config.stash.get(RUN, None)
    if run is not None:
        for reference in run.settings.image:
            shrink(run.target(reference))
    return (yield)


def shrink(target) -> None:
    if target.notes.get("shrunk"):
        return
    target.notes["shrunk"] = True
    wanted = json.loads(os.environ["BYOC_TEST_LIMITS"])
    target.recovery_seconds = wanted.pop("recovery_seconds", target.recovery_seconds)
    target.slow_seconds = wanted.pop("slow_seconds", target.slow_seconds)
    target.client_seconds = wanted.pop("client_seconds", target.client_seconds)
    target.limits = dataclasses.replace(target.limits, **wanted)

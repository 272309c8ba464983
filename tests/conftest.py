"""The Hypothesis profiles of our own tests (`dev` is quick, `ci` looks longer and always the same),
and what takes a minute of real time, which passes while the other tests run.

Owns: how many examples are tried, and the order of the slow tests. Must not know: what is tested.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.background import Background

# Machines that run several jobs are slow at times; a slow example is no finding here.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def real_timeout() -> Iterator[Background]:
    running = Background("tests.real_timeout")
    yield running
    running.close()


@pytest.fixture(scope="session", autouse=True)
def _slow_ones_begin_at_once(request: pytest.FixtureRequest) -> None:
    if any(item.get_closest_marker("slow") for item in request.session.items):
        request.getfixturevalue("real_timeout")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones last: then their time has passed."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)

"""The Hypothesis profiles of our own tests (`dev` is quick, `ci` looks longer and always the same),
and what goes on beside the other tests: a minute of real time, and long computations.

Owns: how many examples are tried, and the order of the slow tests. Must not know: what is tested.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.ahead import Ahead
from tests.background import Background

if TYPE_CHECKING:
    from tests.serving import Serving

# Containers' environments forbid it, but a hundred processes load these modules: each would compile
# them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

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
    if any("real_timeout" in getattr(i, "fixturenames", ()) for i in request.session.items):
        request.getfixturevalue("real_timeout")


@pytest.fixture(scope="session")
def local_sagemaker() -> Iterator[Serving]:
    """`byoc serve`, shared by the tests of everybody's own clients: each takes a region."""
    from tests.serving import serving

    with serving(warns="warning: stack CDKToolkit, ") as running:
        yield running


AHEAD = pytest.StashKey[Ahead]()


@pytest.fixture(scope="session", autouse=True)
def _computing_begins_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    items = [item for item in request.session.items if item.get_closest_marker("ahead")]
    if not items:
        yield
        return
    request.config.stash[AHEAD] = ahead = Ahead(items)
    yield
    ahead.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not pyfuncitem.get_closest_marker("ahead"):
        return None
    pyfuncitem.config.stash[AHEAD].wait_for(pyfuncitem)
    return True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones last: then their time has passed."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)

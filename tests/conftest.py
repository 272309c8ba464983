"""The Hypothesis profiles of our own tests (`dev` is quick, `ci` looks longer and always the same),
and what goes on beside the other tests: a minute of real time, long computations, the faults.

Owns: how many examples are tried, and the order of the tests. Must not know: what is tested.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.ahead import Ahead
from tests.background import Background

if TYPE_CHECKING:
    from tests.matrix import Matrix
    from tests.serving import Serving

# Containers' environments forbid it, but a hundred processes load these modules: each would compile
# them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell's background job ignores it, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines that run several jobs are slow at times; a slow example is no finding here.
settings.register_profile("dev", max_examples=30, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "quiet: sees what a killed run left, which the next run of anybody sweeps away"
    )


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("slow"):
        return 3
    if "matrix" in getattr(item, "fixturenames", ()):
        return 2
    return 0 if item.get_closest_marker("quiet") else 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what nobody may disturb; then all the rest, with the matrix of faults beside it, and
    what asks for that; the slow ones last: then their time has passed.
    """
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """What is loaded now stays: looking through it at each collection is a sixth of all work."""
    gc.collect()
    gc.freeze()


class Beside:
    """The matrix, when tests of this run ask for it; a test without a `name` asks for all."""

    def __init__(self, session: pytest.Session) -> None:
        self.matrix: Matrix | None = None
        asking = [item for item in session.items if _place(item) == 2]
        if not asking:
            return
        from tests.matrix import Matrix

        parameters = [i.callspec.params if hasattr(i, "callspec") else {} for i in asking]
        names = {one.get("name") for one in parameters}
        self.directory = tempfile.TemporaryDirectory(prefix="matrix-")
        self.matrix = Matrix(
            Path(self.directory.name), wanted=None if None in names else names, beside=True
        )

    def close(self) -> None:
        if self.matrix is not None:
            self.matrix.close()
            self.directory.cleanup()


BESIDE = pytest.StashKey[Beside]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if BESIDE not in item.config.stash and _place(item) > 0:
        item.config.stash[BESIDE] = Beside(item.session)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if BESIDE in session.config.stash:
        session.config.stash[BESIDE].close()


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """The suite's runs on the faults and on the healthy strangers that are asked for."""
    begun = request.config.stash[BESIDE].matrix
    assert begun is not None
    begun.hurry()
    return begun

"""What tests wait for, begun before they ask: several at once, when the module's first test starts.

Owns: which functions run, how many at once, and that they have ended. Must not know: what they do.
`@early(begin)` on a test means that `begin(directory)` runs in a thread; the test gets what it
returned as its fixture `outcome`. What is not selected does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

AT_ONCE = 5
"""Runs of the suite wait half of the time; with as many as this, two processors have work."""

Begin = Callable[[Path], Any]


def early(begin: Begin) -> pytest.MarkDecorator:
    return pytest.mark.early.with_args(begin)  # called, a mark would decorate the function


def _begin(item: pytest.Item) -> Begin | None:
    mark = item.get_closest_marker("early")
    return None if mark is None else mark.args[0]


@pytest.fixture(scope="module")
def _outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Begin, Future[Any]]]:
    found = [_begin(item) for item in request.session.items if item.path == request.path]
    wanted = dict.fromkeys(begin for begin in found if begin is not None)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield {begin: pool.submit(begin, tmp_path_factory.mktemp("early")) for begin in wanted}
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(request: pytest.FixtureRequest, _outcomes: dict[Begin, Future[Any]]) -> Any:
    begin = _begin(request.node)
    assert begin is not None, "the test lacks @early(...)"
    return _outcomes[begin].result()

"""Tests that only compute, and long: in a process beside the others, begun with the first of them.

Owns: that process, and that a test's end is its own. Must not know: what is computed. Such a test
is marked `ahead`; all that it is given are its parameters.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest


def compute(module: str, function: str, parameters: Mapping[str, Any]) -> None:
    getattr(importlib.import_module(module), function)(**parameters)


class Ahead:
    def __init__(self, items: Sequence[pytest.Item]) -> None:
        # A fork would inherit the threads' locks. One process: the other processor has the tests.
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=importlib.import_module,
            initargs=("tests.conftest",),  # for Hypothesis' profile
        )
        self._futures = {item.nodeid: self._submit(item) for item in items}

    def _submit(self, item: pytest.Item) -> Future[None]:
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        module, function = item.function.__module__, item.function.__name__
        return self._pool.submit(compute, module, function, parameters)

    def wait_for(self, item: pytest.Item) -> None:
        """Raises what the test raised."""
        self._futures[item.nodeid].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

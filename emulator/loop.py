"""The event loop that programs of byoc run on.

Owns: which one it is. Must not know: what runs on it. uvloop halves what a request costs; it does
not exist for Windows, where asyncio's own does the same work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory() -> LoopFactory:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run()."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


def portal_options() -> dict[str, LoopFactory]:
    """For anyio's `start_blocking_portal(backend_options=...)`."""
    return {"loop_factory": loop_factory()}

"""An asynchronous context for synchronous programs: it lives in a thread of its own.

Owns: the thread, and that entering and leaving wait for each other whatever happens. Must not know:
what the context is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.loop import portal_options

T = TypeVar("T")


class Blocking(Generic[T]):
    """`enter()`, then `exit()`; then it may be entered again. `what` names it in errors."""

    def __init__(self, what: str, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._what, self._make = what, make
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened: Future[T] = Future()

    @property
    def is_open(self) -> bool:
        return self._portal is not None

    @property
    def now(self) -> T:
        """What was entered. Raises RuntimeError outside of the block."""
        if self._portal is None:
            raise RuntimeError(f"the {self._what} is there inside of its `with` block only")
        return self.seen

    @property
    def seen(self) -> T:
        """Also after the block: what was seen stays."""
        if not self._opened.done():
            raise RuntimeError(
                f"the {self._what} has not been there yet: enter its `with` block first"
            )
        return self._opened.result()

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """The result of an asynchronous function there."""
        if self._portal is None:
            raise RuntimeError(f"the {self._what} is there inside of its `with` block only")
        return self._portal.call(function, *given)

    def enter(self) -> T:
        """Raises what entering the context raises; then nothing is left. So it is when it is
        interrupted.
        """
        if self._portal is not None:
            raise RuntimeError(f"this {self._what} is open already; make another one for a second")
        self._opened = Future()
        try:
            self._portal = self._stack.enter_context(
                start_blocking_portal(backend_options=portal_options())
            )
            self._portal.call(self._begin)
            return self._opened.result()
        except BaseException:
            self.exit()
            raise

    def exit(self) -> None:
        """May be called twice."""
        portal, self._portal = self._portal, None
        try:
            if portal is not None:
                portal.call(self._end)
        finally:
            self._stack.close()

    async def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with self._make() as opened:
                self._opened.set_result(opened)
                await asyncio.Event().wait()  # until it is cancelled
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
                return
            raise

    async def _end(self) -> None:
        """What went wrong while closing is raised; what went wrong before was."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

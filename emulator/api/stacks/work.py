"""Work on stacks in the background, one thread per change of a stack.

Owns: the threads, that a thread works under moto's lock, that whoever asks can wait for a stack to
be settled. Must not know: what is done, moto.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

log = logging.getLogger("byoc.cloudformation")

CLOSE_SECONDS = 5.0
"""How long closing waits for a thread, which ends as soon as what it waits for does."""


@dataclass(slots=True, kw_only=True)
class Work:
    """One change of one stack."""

    region: str
    stack: str
    stack_id: str
    done: Future[None] = field(default_factory=Future)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """It begins nothing more."""
        self._cancelled.set()

    def cancelled(self) -> bool:
        return self._cancelled.is_set()


class Works:
    """All that goes on. Its methods are called by whoever holds the lock, except `settled`."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._running: dict[str, Work] = {}
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def begin(
        self, work: Work, run: Callable[[], None], fault: Callable[[Exception], None]
    ) -> Work:
        """Runs it as soon as the lock is free and what went on with this stack before has ended.
        `fault` is told of an error that is ours.
        """
        before = self._running.get(work.stack_id)
        self._running[work.stack_id] = work
        name = f"byoc-stack-{work.stack}"
        given = (work, run, fault, before)
        thread = threading.Thread(target=self._run, args=given, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()
        return work

    def of(self, stack_id: str) -> Work | None:
        return self._running.get(stack_id)

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[None]:
        """The lock is free inside."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    async def settled(self, region: str, stack: str, seconds: float) -> None:
        """Returns when nothing goes on with this stack (by name or ID; all stacks when it is
        empty), or after so many seconds.
        """
        waiting = [
            asyncio.wrap_future(_copy(work.done))
            for work in list(self._running.values())
            if work.region == region and stack in ("", work.stack, work.stack_id)
        ]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for future in waiting:
            future.cancel()

    def stop(self) -> None:
        """What goes on begins nothing more, and nothing else begins."""
        self._closed = True
        for work in list(self._running.values()):
            work.cancel()

    def join(self) -> None:
        """After `stop`, and neither on the loop, which the threads may need, nor with the lock."""
        for thread in tuple(self._threads):
            thread.join(CLOSE_SECONDS)

    def _run(
        self,
        work: Work,
        run: Callable[[], None],
        fault: Callable[[Exception], None],
        before: Work | None,
    ) -> None:
        try:
            if before is not None:
                before.done.result()
            with self._lock:
                try:
                    if not self._closed:
                        run()
                except Exception as error:
                    if self._closed:  # what it needs has gone
                        return
                    log.exception("byoc failed on the stack %s", work.stack)
                    fault(error)
                finally:
                    if self._running.get(work.stack_id) is work:
                        del self._running[work.stack_id]
        finally:
            work.done.set_result(None)
            self._threads.discard(threading.current_thread())


def _copy(done: Future[None]) -> Future[None]:
    """Whoever gives up waiting must not cancel it for the others."""
    mine: Future[None] = Future()

    def tell(_: Future[None]) -> None:
        if mine.set_running_or_notify_cancel():
            mine.set_result(None)

    done.add_done_callback(tell)
    return mine

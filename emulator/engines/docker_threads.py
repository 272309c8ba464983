"""The threads in which an engine's blocking calls run.

Owns: a pool that never keeps the process from ending. Must not know: Docker. The standard pool is
joined when the interpreter exits, so one call to an engine that hangs would hang byoc too.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """At most `limit` daemon threads, started when needed, in the order of the calls."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._started = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Cancelling the future keeps a call from beginning; one that runs goes on to its end."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - handed to who waits for it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("the engine was closed; make a new one")
            self._jobs.put(job)
            if not self._idle.acquire(blocking=False) and self._started < self._limit:
                self._started += 1
                name = f"{self._name}-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                self._idle.release()
                job = self._jobs.get()
            if job is None:
                return
            job()
            del job  # what it held must not live until the next one comes

    def close(self) -> None:
        """Takes no more calls. What was accepted is done, what runs is not waited for."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in range(self._started):
                    self._jobs.put(None)

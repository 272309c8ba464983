"""Prints in a thread of its own: who stops reading must not stop an endpoint, nor its end.

Owns: the queue between the event loop and whoever writes, and what is dropped when nobody reads.
Must not know: what is printed, or how it looks (a `Writer` does).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TextIO, TypeVar

Frame = TypeVar("Frame")

LAST_WORDS_SECONDS = 1.0
MOST_LINES = 10_000
"""That wait to be printed; more are dropped, since nobody seems to read them."""

MOST_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[Frame]):
    """What came since the last time."""

    lines: list[str]
    dropped: int  # before these lines, for want of a reader
    frame: Frame | None  # the newest; those before it were never shown


class Printer(Generic[Frame]):
    """Takes lines and frames from any thread; never waits."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._frame: Frame | None = None
        self._closed = False
        self._changed = threading.Condition()

    def line(self, text: str) -> None:
        with self._changed:
            if len(self._lines) >= MOST_LINES:
                self._dropped += 1
                return
            self._lines.append(text)
            self._changed.notify()

    def frame(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> Batch[Frame] | None:
        """Waits for something to print; None after `close`, when all was taken."""
        with self._changed:
            while not (self._lines or self._frame is not None or self._closed):
                self._changed.wait()
            if not self._lines and self._frame is None:
                return None
            number = min(len(self._lines), MOST_AT_ONCE)
            batch = Batch(
                lines=[self._lines.popleft() for _ in range(number)],
                dropped=self._dropped,
                frame=self._frame,
            )
            self._dropped, self._frame = 0, None
            return batch


Writer = Callable[[TextIO], AbstractContextManager[Callable[[Batch[Frame]], None]]]
"""Opens a way of writing to a file; what it gives writes one batch."""


@contextlib.contextmanager
def plain_lines(file: TextIO) -> Iterator[Callable[[Batch[object]], None]]:
    """A `Writer` of lines; frames are not shown."""

    def write(batch: Batch[object]) -> None:
        if batch.lines:
            file.write("\n".join(batch.lines) + "\n")
            file.flush()

    yield write


@contextlib.contextmanager
def printing(writer: Writer[Frame], descriptor: int = 1) -> Iterator[Printer[Frame]]:
    """A printer to the standard output, or another file, for the length of the block."""
    printer: Printer[Frame] = Printer()

    def work() -> None:
        # Not sys.stdout: the interpreter flushes that when it ends, and would wait for this thread.
        with (
            os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace") as file,
            writer(file) as write,
        ):
            while (batch := printer.take()) is not None:
                write(batch)

    def print_until_nobody_reads() -> None:
        with contextlib.suppress(OSError):  # the endpoint goes on; it is what was asked for
            work()
        while printer.take() is not None:
            pass

    thread = threading.Thread(target=print_until_nobody_reads, name="byoc-print", daemon=True)
    thread.start()
    try:
        yield printer
    finally:
        printer.close()
        thread.join(LAST_WORDS_SECONDS)

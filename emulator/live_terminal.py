"""`byoc serve` before a person's eyes: reports scroll by, the endpoint stays in view below them.

Owns: when a frame is drawn, and writing it. Must not know: what stands in a frame (`live_frame`),
how an endpoint works. The terminal keeps its scrollback; no alternate screen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.control import Control
from rich.live import Live as RichLive
from rich.segment import ControlType, Segment
from rich.text import Text

from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation
from emulator.live import EndpointFailed, Live
from emulator.live_frame import Frame, render
from emulator.printer import Batch, Printer
from emulator.serve_lines import ContainerLine, harmless, log_line, starting, warnings

LINES_PER_TICK = 200
"""Reports and containers' lines that are shown between two ticks; nobody reads more. The counts
have every request, and the page every line.
"""


def wanted(file: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a person looks on, at a terminal that can do it."""
    if environment.get("TERM", "") in ("", "dumb", "unknown") or environment.get("CI"):
        return False
    try:
        return file.isatty()
    except ValueError:  # it is closed
        return False


@contextlib.contextmanager
def screen(file: TextIO) -> Iterator[Callable[[Batch[Frame]], None]]:
    """The printer's writer. Whatever happens, the terminal is left as it was."""
    console = Console(file=file, force_terminal=True, highlight=False, markup=False, emoji=False)
    live = RichLive(
        console=console,
        auto_refresh=False,
        transient=True,  # what is left to say afterwards is a line
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )

    last: Frame | None = None

    def resized() -> None:
        # COLUMNS is not asked: it does not follow the window. Some terminals say nothing (0).
        size = os.get_terminal_size(file.fileno())
        before, console.size = console.size, ConsoleDimensions(size.columns or 80, size.lines or 24)
        if last is not None and console.width < before.width:
            folded = folds(last, before, console.width)
            up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
            console.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up * folded)
            )

    def write(batch: Batch[Frame]) -> None:
        nonlocal last
        resized()
        if batch.dropped:
            console.print(Text(f"({batch.dropped:,} lines were dropped)", style="dim"))
        if batch.lines:
            # In one go: each print draws the frame again.
            console.print(Text("\n").join(map(styled, batch.lines)), soft_wrap=True)
        if batch.frame is not None:
            last = batch.frame
            live.update(render(last, *console.size), refresh=True)
        file.flush()

    with live:
        yield write


def folds(frame: Frame, size: ConsoleDimensions, width: int) -> int:
    """How many lines a frame grew by when its window got narrower: terminals fold what stood there,
    which would be left behind above the next frame.
    """
    console = Console(file=io.StringIO(), width=size.width, height=size.height)
    lines = console.render_lines(render(frame, *size), pad=False)
    return sum(max(0, -(-Segment.get_line_length(line) // width) - 1) for line in lines)


def styled(line: str) -> Text:
    """A line as it scrolls by; colour stresses, it tells nothing that the words do not."""
    text = Text(line)
    text.highlight_regex(r"^REPORT|^\[\d+\]|^export", "dim")
    text.highlight_regex(r"Setup: [\d.]+ ms", "yellow")
    text.highlight_regex(r"\b\w+(?:Error|Exception|Failure)\b", "red")
    text.highlight_regex(r"^warning:", "yellow")
    text.highlight_regex(r"^(?:error|critical):", "red")
    return text


class LiveTerminal:
    """An `Onlooker` that draws."""

    def __init__(self, printer: Printer[Frame], *, logs: bool) -> None:
        self.logs = logs
        self._printer = printer
        self._opened: Live | None = None
        self._room = LINES_PER_TICK
        self._hidden = 0
        self._ending = False

    def began(self, opened: Live) -> None:
        self._opened = opened
        self._draw()

    def in_service(self, opened: Live) -> None:
        for variable, value in opened.environment.items():
            self._printer.line(f"export {variable}={value}")
        self._draw()

    def invocation(self, record: Invocation) -> None:
        if self._has_room():
            self._printer.line(harmless(record.line()))

    def instance(self, change: InstanceChange) -> None:
        pass  # the next frame has it

    def log(self, line: ContainerLine) -> None:
        if self._has_room():
            self._printer.line(log_line(line))

    def _has_room(self) -> bool:
        if not self._room:
            self._hidden += 1
            return False
        self._room -= 1
        return True

    def tick(self) -> None:
        if self._hidden:
            self._printer.line(f"({self._hidden:,} more lines came too fast to be shown)")
        self._room, self._hidden = LINES_PER_TICK, 0
        self._draw()

    def ending(self) -> None:
        self._ending = True
        self._draw()

    def failed(self, error: EndpointFailed) -> None:
        pass

    def key(self, key: str) -> None:
        if key == "l":
            self.logs = not self.logs
            self._draw()

    def ended(self) -> None:
        """The last line, which stays."""
        if (opened := self._opened) is None:
            return
        board = opened.board.snapshot(opened.clock.now())
        told = (
            (board.invocations, "invocation"), (board.cold, "cold start"),
            (board.throttles, "throttle"), (sum(board.errors.values()), "error"),
        )  # fmt: skip
        counts = ", ".join(f"{number:,} {name}{'s' * (number != 1)}" for number, name in told)
        self._printer.line(f"endpoint {opened.endpoint.name} is gone: {counts}")

    def _hints(self) -> list[str]:
        logs = "hides" if self.logs else "shows"
        return ["Ctrl-C ends it", f"l {logs} container logs", "the URL opens as a page"]

    def _draw(self) -> None:
        opened = self._opened
        if opened is None:
            return
        setup, now = opened.setup, opened.clock.now()
        board, journal = opened.board.snapshot(now), opened.endpoint.journal
        if setup.profile == "realtime":  # an instance works on many requests at once
            board = dataclasses.replace(board, concurrency=journal.arrived - journal.answered)
        status = opened.endpoint.status
        notes: list[str] = []
        if self._ending:
            status = EndpointStatus.DELETING
            grace = setup.limits.stop_grace_seconds
            notes = ["answering what is in flight", f"SIGTERM, and SIGKILL after {grace:g} s"]
        elif status is EndpointStatus.CREATING:
            notes = starting(opened)
        self._printer.frame(
            Frame(
                name=opened.endpoint.name,
                image=harmless(setup.image),
                profile=setup.profile,
                memory_mb=setup.memory_mb,
                url=opened.url,
                status=status,
                up_seconds=now - opened.began,
                board=board,
                notes=notes,
                hints=() if self._ending else self._hints(),
                warnings=warnings(opened),
            )
        )

"""`byoc serve` before a person's eyes: lines scroll by, the endpoints stay in view below them.

Owns: when a frame is drawn, and writing it. Must not know: what stands in a frame (`live_blocks`,
`live_frame`), how an endpoint works. The terminal keeps its scrollback; no alternate screen.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.control import Control
from rich.live import Live as RichLive
from rich.segment import ControlType, Segment
from rich.text import Text

from emulator.endpoint_state import EndpointStatus, InstanceChange, Invocation
from emulator.live import EndpointFailed
from emulator.live_blocks import blocks
from emulator.live_frame import Frame, render
from emulator.onlooker import ContainerLine, Names, Served
from emulator.printer import Batch, Printer
from emulator.running import CallTold, EndpointTold, Running
from emulator.serve_words import Statuses, call, exports, harmless, log_line, report, warnings
from emulator.view import Board, Snapshot

LINES_PER_TICK = 200
"""Reports and containers' lines that are shown between two ticks; nobody reads more. The counts
have every request, and the page every line.
"""

LINES_AT_THE_END = 20
"""One for each variant."""


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
    text.highlight_regex(r"^endpoint \S+: InService.*", "green")
    text.highlight_regex(r"^  change:.*|^warning:", "yellow")
    text.highlight_regex(r"\brefused\b|: Failed\b", "red")
    text.highlight_regex(r"^(?:error|critical):", "red")
    return text


class LiveTerminal:
    """An `Onlooker` that draws."""

    def __init__(self, printer: Printer[Frame], *, logs: bool) -> None:
        self.logs = logs
        self._printer = printer
        self._served: Served | None = None
        self._names, self._statuses = Names(), Statuses()
        self._own = ""  # the endpoint that is not deployed by a call, until it is InService
        self._room = LINES_PER_TICK
        self._hidden = 0
        self._ending = False
        self._last: list[tuple[str, Board]] = []  # what ran when it was told to stop

    def listening(self, served: Served) -> None:
        self._served = served
        if served.own is not None:
            self._own = served.own.name
        else:
            self._lines(exports(served.environment))
        self._draw()

    def status(self, told: EndpointTold) -> None:
        line = self._statuses.line(self._names, told)
        if not self._ending:
            if told.name != self._own:
                self._printer.line(line)
                self._lines([f"  | {harmless(written)}" for written in told.log])
            elif told.status is EndpointStatus.IN_SERVICE and self._served is not None:
                self._lines(exports(self._served.environment))
            if told.status in (EndpointStatus.IN_SERVICE, None) and told.name == self._own:
                self._own = ""
        self._draw()

    def call(self, told: CallTold) -> None:
        self._lines(call(told))

    def opened(self, running: Running) -> None:
        self._names.saw(running)
        self._draw()

    def closed(self, running: Running) -> None:  # noqa: ARG002
        self._draw()

    def invocation(self, running: Running, record: Invocation) -> None:
        if self._has_room():
            self._printer.line(report(self._names, running, record))

    def instance(self, running: Running, change: InstanceChange) -> None:
        pass  # the next frame has it

    def log(self, running: Running, line: ContainerLine) -> None:
        if self._has_room():
            self._printer.line(log_line(self._names, running, line))

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._printer.line(line)

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
        if self._served is not None:
            running = self._served.fleet.running()
            self._last = [(self._names.of(one), one.board) for one in running]
        self._draw()

    def failed(self, error: EndpointFailed) -> None:
        pass

    def key(self, key: str) -> None:
        if key == "l":
            self.logs = not self.logs
            self._draw()

    def ended(self) -> None:
        """The last lines, which stay."""
        if (served := self._served) is None:
            return
        now = served.clock.now()
        for name, board in self._last[:LINES_AT_THE_END]:
            self._printer.line(f"endpoint {name} is gone: {_summed(board.snapshot(now))}")
        if (more := len(self._last) - LINES_AT_THE_END) > 0:
            self._printer.line(f"{more} more are gone")
        if not self._last and self._own:
            self._printer.line(f"endpoint {self._own} is gone")

    def _hints(self) -> list[str]:
        logs = "hides" if self.logs else "shows"
        return ["Ctrl-C ends it", f"l {logs} container logs", "the URL opens as a page"]

    def _draw(self) -> None:
        if (served := self._served) is None:
            return
        self._printer.frame(
            Frame(
                url=served.url,
                blocks=blocks(served, self._names, self._statuses, ending=self._ending),
                hints=() if self._ending else self._hints(),
                warnings=warnings(served),
            )
        )


def _summed(board: Snapshot) -> str:
    told = (
        (board.invocations, "invocation"), (board.cold, "cold start"),
        (board.throttles, "throttle"), (sum(board.errors.values()), "error"),
    )  # fmt: skip
    return ", ".join(f"{number:,} {name}{'s' * (number != 1)}" for number, name in told)

"""The foot of the terminal that shows all endpoints live: one picture of one moment.

Owns: which endpoint gets how much room, at every width and height. Must not know: what is told of
one endpoint (`live_block`), where the values come from, time, who writes to the terminal
(`live_terminal`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from emulator.endpoint_state import EndpointStatus
from emulator.live_block import STATUS_STYLES, Block, flow, lines, milliseconds

MOST_ROWS = 16
LEAST_ROWS = 3
LINES_BESIDES = 10
"""Of one endpoint without its instances' rows, and a line for what scrolls above."""

ROWS = (MOST_ROWS, 8, LEAST_ROWS, 0)
"""Of each endpoint's instances, when there are several; the first that fits is taken."""

SHARE = 2 / 3
"""Of the window, at most, for several endpoints as a whole: the lines above are read as well."""

WIDE = 104
"""From here on there is room for all columns of a line for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is shown."""

    url: str
    blocks: Sequence[Block] = ()
    hints: Sequence[str] = ()  # keys
    warnings: Sequence[str] = ()


def render(frame: Frame, width: int, height: int) -> RenderableType:
    """At most `height - 1` lines as long as that is 12 or more."""
    head: list[RenderableType] = [Rule(style="dim")]
    foot = [Text(f"warning: {warning}", style="yellow") for warning in frame.warnings]
    foot += flow([Text(hint, style="dim") for hint in frame.hints], width)
    if not frame.blocks:
        return Group(*head, *flow(_waiting(frame), width), *foot)
    if len(frame.blocks) == 1:
        rows = max(LEAST_ROWS, min(MOST_ROWS, height - LINES_BESIDES))
        return Group(*head, *lines(frame.blocks[0], width, url=frame.url, rows=rows), *foot)
    head += flow(_together(frame), width)
    room = height - 1 - _height([*head, *foot], width)
    return Group(*head, *_several(frame.blocks, width, room), *foot)


def _waiting(frame: Frame) -> list[Text]:
    return [
        Text("byoc", style="bold"),
        Text("waiting for deploy calls", style="bold yellow"),
        Text(f"{frame.url}/", style="underline"),
    ]


def _together(frame: Frame) -> list[Text]:
    told = Counter(block.status.value for block in frame.blocks)
    return [
        Text(", ".join(f"{number} {status}" for status, number in told.items()), style="bold"),
        Text(f"{frame.url}/", style="underline"),
    ]


def _several(blocks: Sequence[Block], width: int, room: int) -> list[RenderableType]:
    """As much of each as there is room for all."""
    for rows in ROWS:
        whole = [part for block in blocks for part in lines(block, width, rows=rows)]
        if _height(whole, width) <= room * SHARE:
            return whole
    shown, hidden = list(blocks), list[Block]()
    if len(blocks) + 1 > room:
        shown, hidden = _chosen(blocks, max(LEAST_ROWS, room - 2))
    parts: list[RenderableType] = [_table(shown, width), *([_rest(hidden)] if hidden else [])]
    notes = [_note(block) for block in shown if block.notes]
    return parts + notes[: max(0, room - _height(parts, width))]


def _note(block: Block) -> Text:
    told = Text(f"{block.name}: {', '.join(block.notes)}", style="yellow")
    told.no_wrap, told.overflow = True, "ellipsis"
    return told


def _height(parts: Sequence[RenderableType], width: int) -> int:
    """In lines; a text that may fold is counted as its folds."""
    total = 0
    for part in parts:
        if isinstance(part, Table):
            total += part.row_count + 1
        elif isinstance(part, Text) and not part.no_wrap:
            total += max(1, -(-part.cell_len // max(1, width - 10)))  # words are not broken
        else:
            total += 1
    return total


def _chosen(blocks: Sequence[Block], number: int) -> tuple[list[Block], list[Block]]:
    """Those that somebody looks for, in their order; and the others."""

    def matters(block: Block) -> tuple[bool, int]:
        busy = 0 if block.board is None else block.board.concurrency
        return block.status is EndpointStatus.IN_SERVICE, -busy

    first = {id(block) for block in sorted(blocks, key=matters)[:number]}
    return (
        [block for block in blocks if id(block) in first],
        [block for block in blocks if id(block) not in first],
    )


def _rest(hidden: Sequence[Block]) -> Text:
    told = Counter(block.status.value for block in hidden)
    words = ", ".join(f"{number} {status}" for status, number in told.items())
    return Text(f"and {len(hidden)} more: {words}", style="dim", no_wrap=True, overflow="ellipsis")


def _table(blocks: Sequence[Block], width: int) -> Table:
    """A line for each."""
    wide = width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("endpoint", style="bold", no_wrap=True, overflow="ellipsis")
    table.add_column("status", no_wrap=True, overflow="ellipsis")
    names = ("in flight", "invocations", "throttles", "errors")
    for name in (*names, *(("cold starts", "p50, ms", "p99, ms") if wide else ())):
        table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
    for block in blocks:
        status = Text(block.status.value, style=STATUS_STYLES.get(block.status, "bold yellow"))
        table.add_row(Text(block.name), status, *_cells(block, wide=wide))
    return table


def _cells(block: Block, *, wide: bool) -> list[Text]:
    board = block.board
    if board is None:
        return [Text("-", style="dim")] * (7 if wide else 4)
    limit = f"/{board.max_concurrency}" if block.profile == "serverless" else ""
    cells = [
        Text(f"{board.concurrency}{limit}"),
        Text(f"{board.invocations:,}"),
        _bad(board.throttles),
        _bad(sum(board.errors.values())),
    ]
    if wide:
        cells.append(_bad(board.cold, "yellow"))
        cells += [Text(milliseconds(board.total.p50)), Text(milliseconds(board.total.p99))]
    return cells


def _bad(value: int, style: str = "bold red") -> Text:
    return Text(f"{value:,}", style=style if value else "dim")

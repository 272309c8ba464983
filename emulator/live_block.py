"""One endpoint at the foot of the terminal: one picture of one moment.

Owns: what is told of it, and in which lines. Must not know: how much room there is beside others
(`live_frame`), where the values come from, time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from emulator.endpoint_state import EndpointStatus, InstanceState
from emulator.limits import MIB, Profile
from emulator.view import InstanceView, Percentiles, Snapshot

STYLES = {
    InstanceState.STARTING: "yellow",
    InstanceState.BUSY: "bold cyan",
    InstanceState.IDLE: "green",
    InstanceState.FROZEN: "blue",
}
"""Also the order in which instances are shown when there is no room for all."""

STATUS_STYLES = {
    EndpointStatus.IN_SERVICE: "bold green",
    EndpointStatus.FAILED: "bold red",
}

WIDE = 84
"""From here on there is room for the container's id."""

BAR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is shown of one variant. Without a board nothing of it runs."""

    name: str
    status: EndpointStatus
    up_seconds: float
    board: Snapshot | None = None
    image: str = ""
    profile: Profile | None = None  # None: it is not known yet
    memory_mb: int | None = None
    notes: Sequence[str] = ()  # what is waited for, or why it failed


def lines(block: Block, width: int, *, url: str = "", rows: int) -> list[RenderableType]:
    """The whole of it, with at most `rows` instances; none: without their table."""
    board = block.board
    parts: list[RenderableType] = [*flow(_title(block, url), width)]
    parts += flow([Text(note, style="yellow") for note in block.notes], width)
    if board is None:
        return parts
    if block.status is not EndpointStatus.CREATING:
        parts += flow(_counts(block, board), width)
        parts += flow(_latencies(board), width)
    if board.instances:
        parts += _instances(block, board, width, rows) if rows else []
    elif block.status is EndpointStatus.IN_SERVICE:
        parts.append(Text("no instance runs; the next request is a cold start", style="dim"))
    return parts


def flow(pieces: Iterable[Text], width: int, gap: int = 3) -> list[Text]:
    """Pieces beside each other as far as they fit; one that no line could hold is cut."""
    lines: list[Text] = []
    for piece in pieces:
        piece.no_wrap, piece.overflow = True, "ellipsis"
        if lines and lines[-1].cell_len + gap + piece.cell_len <= width:
            lines[-1].append(" " * gap).append_text(piece)
        else:
            lines.append(piece.copy())
    return lines


def _title(block: Block, url: str = "") -> list[Text]:
    told = [
        Text(block.name, style="bold"),
        Text(block.status.value, style=STATUS_STYLES.get(block.status, "bold yellow")),
    ]
    if url:
        told.append(Text(f"{url}/", style="underline"))
    if block.profile:
        kind = "serverless" if block.profile == "serverless" else "real-time"
        memory = "" if block.memory_mb is None else f", {block.memory_mb} MB"
        told += [Text(f"{kind}{memory}", style="dim"), Text(block.image, style="dim")]
    return [*told, Text(f"up {duration(block.up_seconds)}", style="dim")]


def _counts(block: Block, board: Snapshot) -> list[Text]:
    told = [
        _limited(board)
        if block.profile == "serverless"
        else _number("in flight", board.concurrency),
        _number("invocations", board.invocations),
    ]
    if block.profile == "serverless":
        told += [
            _number("cold starts", board.cold, "yellow"),
            _number("throttles", board.throttles, "bold red"),
        ]
    errors = _number("errors", sum(board.errors.values()), "bold red")
    if board.errors:
        by_code = ", ".join(f"{code} {number}" for code, number in board.errors.items())
        errors.append(f" ({by_code})")
    return [*told, errors]


def _limited(board: Snapshot) -> Text:
    used, limit = board.concurrency, board.max_concurrency
    full = min(BAR, -(-used * BAR // limit)) if limit else 0
    style = "bold red" if used >= limit else "cyan"
    text = Text("concurrency ", style="")
    text.append("█" * full, style=style).append("░" * (BAR - full), style="dim")
    return text.append(f" {used}/{limit}", style="bold")


def _number(name: str, value: int, style: str = "bold") -> Text:
    return Text(f"{name} ").append(f"{value:,}", style=style if value else "dim")


def _latencies(board: Snapshot) -> list[Text]:
    if not board.measured:
        return [Text("latency: no request yet", style="dim")]
    last = f"last {board.measured:,}" if board.measured > 1 else "1 request"
    return [
        Text(f"latency, ms ({last})"),
        _percentiles("total", board.total),
        _percentiles("model", board.model),
    ]


def _percentiles(name: str, values: Percentiles) -> Text:
    text = Text(name)
    for label, value in (("p50", values.p50), ("p90", values.p90), ("p99", values.p99)):
        text.append(f" {label} ", style="dim").append(milliseconds(value), style="bold")
    return text


def milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _instances(block: Block, board: Snapshot, width: int, room: int) -> list[RenderableType]:
    order = list(STYLES)
    chosen = sorted(board.instances, key=lambda one: (order.index(one.state), -one.since))
    hidden: list[InstanceView] = []
    if len(chosen) > room:
        chosen, hidden = chosen[: room - 1], chosen[room - 1 :]
    chosen.sort(key=lambda one: one.instance)
    wide = width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for name, right in (("instance", True), ("state", False), ("for", True), ("served", True),
                        ("memory, MB", True)):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    if wide:
        table.add_column("container", style="dim", no_wrap=True, overflow="ellipsis")
    for one in chosen:
        cells = [
            Text(str(one.instance)),
            _state(one, serverless=block.profile == "serverless"),
            Text(duration(board.now - one.since)),
            Text(f"{one.served:,}"),
            _memory(one.memory_bytes, board.memory_limit_bytes),
        ]
        table.add_row(*cells, *([Text(one.container[:12])] if wide else []))
    return [table, *([_rest(hidden)] if hidden else [])]


def _state(one: InstanceView, *, serverless: bool) -> Text:
    text = Text(one.state.value, style=STYLES[one.state])
    if one.request is not None:
        text.append(f" #{one.request}", style="dim")
    if one.provisioned and serverless:
        text.append(" provisioned", style="dim")
    return text


def _memory(used: int | None, limit: int | None) -> Text:
    if used is None:
        return Text("-", style="dim")
    share = used / limit if limit else 0.0
    text = Text(f"{used / MIB:.0f}", style="bold red" if share > 0.9 else "")
    return text.append(f" / {limit / MIB:.0f}", style="dim") if limit else text


def _rest(hidden: Sequence[InstanceView]) -> Text:
    states = ((state, sum(one.state is state for one in hidden)) for state in STYLES)
    told = ", ".join(f"{number} {state.value}" for state, number in states if number)
    return Text(f"and {len(hidden)} more: {told}", style="dim")


def duration(seconds: float) -> str:
    """Short: 3.2 s, 43 s, 12m 05s, 3h 04m."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, left = divmod(whole, 60)
    if minutes < 100:
        return f"{minutes}m {left:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"

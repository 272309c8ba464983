"""The report's pictures: the container's start as a timeline, and how long answers took.

Owns: their form, as inline SVG. Must not know: the rest of the page, how the numbers came about;
they are made of the JSON form alone. All x are percentages, so that a picture fits any width and
its text keeps its size.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

LANE = 22
ENDS = {"ready": "pass", "refused": "fail", "exited": "fail"}
FASTEST = 0.0001
"""Where the scale of durations begins, in seconds."""

LIMITS = {"/ping": "ping_seconds", "/invocations": "invocation_seconds"}


def timeline(start: Mapping[str, Any]) -> str:
    """The start of the container: engine, container, pings, log, and all of it as a list."""
    total = max(float(start["seconds"]), 0.001)
    last = [item["at"] for item in (*start["pings"], *start["log"])]
    span = max([total, *last]) * 1.02
    end = ENDS.get(start["state"], "warn")
    engine = float(start["container_seconds"])
    lanes = [
        ("", _axis(span)),
        (
            "container",
            _bar(0, engine, span, "quiet", f"the engine starts it: {seconds(engine)}")
            + _bar(engine, total, span, "blocked", f"it starts: {seconds(total - engine)}")
            + _mark(total, span, end, f"{start['state']} after {seconds(total)}"),
        ),
        ("GET /ping", _pings(start["pings"], total, span)),
        ("log", "".join(_line(line["at"], span, line["text"]) for line in start["log"])),
    ]
    drawn = "".join(
        f'<div class="lane"><small>{name}</small><svg height="{LANE}" role="img"'
        f' aria-label="{name or "seconds"}">{shapes}</svg></div>'
        for name, shapes in lanes
    )
    return f'<div class="timeline">{drawn}</div>{_events(start)}'


def _pings(pings: Sequence[Mapping[str, Any]], total: float, span: float) -> str:
    shapes = []
    for index, ping in enumerate(pings):
        until = pings[index + 1]["at"] if index + 1 < len(pings) else max(total, ping["at"])
        title = f"{ping['times']} x {ping['text']}"
        shapes.append(_bar(ping["at"], until, span, ping_class(ping), title))
    return "".join(shapes)


def ping_class(ping: Mapping[str, Any]) -> str:
    """200 is what is waited for; no answer and 5xx are what a starting server says."""
    status = ping["status"]
    if status == 200:
        return "pass"
    if status is None:
        return "quiet"
    return "warn" if status >= 500 else "fail"


def _events(start: Mapping[str, Any]) -> str:
    """The same as a list, in the order of time."""
    rows: list[tuple[float, int, str]] = []
    for ping in start["pings"]:
        times = f" ({ping['times']} times)" if ping["times"] > 1 else ""
        words = f"<td>{escape(ping['text'] + times)}</td>"
        rows.append((ping["at"], 1, f'<td class="kind {ping_class(ping)}">ping</td>{words}'))
    for line in start["log"]:
        words = f'<td class="mono">{escape(line["text"])}</td>'
        rows.append((line["at"], 0, f'<td class="kind">log</td>{words}'))
    why = f": {start['reason']}" if start["reason"] else ""
    code = "" if start["exit_code"] is None else f" with code {start['exit_code']}"
    kind = ENDS.get(start["state"], "warn")
    words = f"<td><b>{escape(start['state'] + code + why)}</b></td>"
    rows.append((start["seconds"], 2, f'<td class="kind {kind}">end</td>{words}'))
    rows.sort(key=lambda row: row[:2])  # lines of one moment stay in their order
    cells = (f'<tr><td class="at">{at:.3f} s</td>{row}</tr>' for at, _, row in rows)
    left = start["log_lines_left_out"]
    more = f"<p><small>{left} more lines of the log are left out.</small></p>" if left else ""
    return f'<div class="scroll" tabindex="0"><table>{"".join(cells)}</table></div>{more}'


def latencies(requests: Iterable[Mapping[str, Any]], limits: Mapping[str, Any]) -> str:
    """A row of dots for each kind of request that a check sent, on one logarithmic scale."""
    shown = [series for series in requests if series["seconds"]]
    slowest = max((max(series["seconds"]) for series in shown), default=1.0)
    top = max(slowest, *(float(limits.get(name, 1)) for name in LIMITS.values())) * 1.3
    found = []
    for path in dict.fromkeys(series["path"] for series in shown):
        rows = "".join(_row(series, top, limits) for series in shown if series["path"] == path)
        found.append(f"<h3>{escape(path)}</h3>{_scale(top)}{rows}")
    return "".join(found)


def _row(series: Mapping[str, Any], top: float, limits: Mapping[str, Any]) -> str:
    spent = series["seconds"]
    left = series["count"] - len(spent)
    words = f"{series['method']}, {series['count']} answered" + (
        f" ({left} not shown)" if left > 0 else ""
    )
    middle = f"median {seconds(statistics.median(spent))}, slowest {seconds(max(spent))}"
    dots = "".join(
        f'<circle class="{_dot(status)}" cx="{_log(one, top):.2f}%" cy="9" r="4">'
        f"<title>{seconds(one)}: {status or 'no answer'}</title></circle>"
        for one, status in zip(spent, series["statuses"], strict=False)
    )
    limit = limits.get(LIMITS.get(series["path"], ""))
    line = ""
    if limit:
        x = f"{_log(float(limit), top):.2f}%"
        title = f"<title>limit {seconds(float(limit))}</title>"
        line = f'<line class="limit" x1="{x}" x2="{x}" y1="0" y2="18">{title}</line>'
    return (
        f'<div class="row"><b>{escape(series["check"])}</b> <small>{escape(words)}; {middle}'
        f'</small><svg height="18" role="img" aria-label="{escape(middle)}">'
        f'<line class="grid" x1="0" x2="100%" y1="9" y2="9"/>{line}{dots}</svg></div>'
    )


def _dot(status: int | None) -> str:
    if status is None or status >= 500:
        return "fail"
    return "pass" if 200 <= status < 300 else "warn"


def _scale(top: float) -> str:
    marks = [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")]
    texts = "".join(
        f'<text x="{_log(at, top):.2f}%" y="11" text-anchor="middle">{name}</text>'
        for at, name in marks
        if at < top
    )
    return f'<svg height="14" aria-hidden="true">{texts}</svg>'


def _log(value: float, top: float) -> float:
    """Percent from the left."""
    part = math.log(max(value, FASTEST) / FASTEST) / math.log(top / FASTEST)
    return min(100.0, part * 100)


def _axis(span: float) -> str:
    step = 10 ** math.floor(math.log10(span))
    step = next(s for s in (step / 5, step / 2, step, step * 2, step * 5) if span / s <= 6)
    shapes = []
    for number in range(int(span / step) + 1):
        at = number * step
        x = f"{at / span * 100:.2f}%"
        anchor = "start" if number == 0 else "middle" if at / span < 0.95 else "end"
        shapes.append(f'<text x="{x}" y="14" text-anchor="{anchor}">{at:g} s</text>')
        shapes.append(f'<line class="grid" x1="{x}" x2="{x}" y1="18" y2="{LANE}"/>')
    return "".join(shapes)


def _bar(begin: float, end: float, span: float, kind: str, title: str) -> str:
    x, width = begin / span * 100, max((end - begin) / span * 100, 0.6)
    return (
        f'<rect class="{kind}" x="{x:.2f}%" width="{width:.2f}%" y="4" height="14" rx="2">'
        f"<title>{escape(title)}</title></rect>"
    )


def _mark(at: float, span: float, kind: str, title: str) -> str:
    return (
        f'<circle class="{kind}" style="fill-opacity:1" cx="{at / span * 100:.2f}%" cy="11" r="6">'
        f"<title>{escape(title)}</title></circle>"
    )


def _line(at: float, span: float, title: str) -> str:
    x = f"{at / span * 100:.2f}%"
    return (
        f'<line class="tick" x1="{x}" x2="{x}" y1="4" y2="18" stroke-width="2">'
        f"<title>{escape(title)}</title></line>"
    )


def seconds(value: float) -> str:
    """For people: 0.42 ms, 13 ms, 1.20 s."""
    if value < 0.01:
        return f"{value * 1000:.2f} ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"

"""Owns: what `byoc serve` shows a person: the frame at every size, the lines above it, and that the
terminal is left as it was. Without a container.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from emulator.endpoint_logs import LogBook
from emulator.endpoint_setup import Setup
from emulator.endpoint_state import (
    EndpointStatus,
    InstanceChange,
    InstanceState,
    Invocation,
    Journal,
)
from emulator.engines import LogLine
from emulator.limits import MIB
from emulator.live_block import Block, duration
from emulator.live_frame import Frame, render
from emulator.live_terminal import LINES_PER_TICK, LiveTerminal, folds, screen, wanted
from emulator.onlooker import Names, Onlooker, Served, Watching
from emulator.printer import MOST_LINES, Printer
from emulator.running import CallTold, EndpointTold, Fleet, Running
from emulator.serve_json import JsonLines
from emulator.serve_lines import LogLines, PlainLines
from emulator.serve_words import Statuses, harmless, log_line
from emulator.testing import FakeClock
from emulator.view import Board, InstanceView, Percentiles, Snapshot

SOME = Percentiles(p50=3.2, p90=41.7, p99=1380.2)


def view(number: int, state: InstanceState = InstanceState.IDLE, **more: Any) -> InstanceView:
    given = {"since": 95.0, "started": 60.0, "container": "0123456789abcdef", **more}
    return InstanceView(instance=number, state=state, **given)


def board(*instances: InstanceView, **more: Any) -> Snapshot:
    given: dict[str, Any] = {
        "now": 100.0, "instances": instances, "concurrency": 2, "max_concurrency": 4,
        "invocations": 128, "cold": 3, "throttles": 7,
        "errors": MappingProxyType({"ModelError": 5, "ValidationError": 1}),
        "total": SOME, "model": SOME, "overhead": SOME, "measured": 121,
        "memory_limit_bytes": 2048 * MIB,
    }  # fmt: skip
    return Snapshot(**{**given, **more})


def block(snapshot: Snapshot | None, **more: Any) -> Block:
    given: dict[str, Any] = {
        "name": "iris", "image": "iris:latest", "profile": "serverless", "memory_mb": 2048,
        "status": EndpointStatus.IN_SERVICE, "up_seconds": 192.0, "board": snapshot,
    }  # fmt: skip
    return Block(**{**given, **more})


def framed(*blocks: Block) -> Frame:
    hints = ("Ctrl-C ends it", "l shows container logs")
    return Frame(url="http://127.0.0.1:4566", blocks=blocks, hints=hints)


def frame(snapshot: Snapshot, **more: Any) -> Frame:
    return framed(block(snapshot, **more))


def text(shown: Frame, width: int = 100, height: int = 30) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(render(shown, width, height))
    return capture.get().splitlines()


# The frame

BUSY = frame(
    board(
        view(1, InstanceState.BUSY, request=131, served=120, memory_bytes=121 * MIB, since=99.8),
        view(2, InstanceState.STARTING, request=132, since=97.9),
        view(3, InstanceState.FROZEN, served=8, memory_bytes=2000 * MIB, since=20.0),
        view(7, provisioned=True, since=10.0),
    )
)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_everything_is_there_at_every_width(width: int) -> None:
    shown = "\n".join(text(BUSY, width))
    for told in (
        "iris", "InService", "http://127.0.0.1:4566/", "serverless, 2048 MB", "iris:latest",
        "up 3m 12s", "2/4", "invocations 128", "cold starts 3", "throttles 7",
        "errors 6 (ModelError 5, ValidationError 1)", "last 121", "p50 3.20", "p90 41.7",
        "p99 1,380", "busy #131", "starting #132", "frozen", "idle provisioned", "0.2 s", "2.1 s",
        "80 s", "121 / 2048", "2000 / 2048", "Ctrl-C ends it",
    ):  # fmt: skip
        assert told in shown, told
    assert ("0123456789ab" in shown) == (width >= 84)


@given(
    width=st.integers(20, 200),
    height=st.integers(4, 80),
    number=st.integers(0, 200),
    name=st.text(st.characters(categories=["L", "N", "P", "So"]), min_size=1, max_size=80),
    note=st.text(st.characters(categories=["L", "N", "P", "So"]), max_size=200),
    big=st.integers(0, 10**9),
)
@settings(max_examples=60, deadline=None)
def test_no_line_is_wider_than_the_terminal(
    *, width: int, height: int, number: int, name: str, note: str, big: int
) -> None:
    states = [one for one in InstanceState if one is not InstanceState.GONE]
    many = [view(n, states[n % 4], served=big, memory_bytes=big) for n in range(1, number + 1)]
    shown = frame(
        board(*many, invocations=big, measured=big, max_concurrency=200), name=name, notes=[note]
    )
    lines = text(shown, width, height)
    assert max(map(cell_len, lines)) <= width
    if width >= 100 and height >= 16 and len(name) <= 20:
        assert len(lines) < height


def test_two_hundred_instances_are_the_ones_that_matter_and_a_sum() -> None:
    busy = {17, 150, 199}
    many = [
        view(n, InstanceState.BUSY if n in busy else InstanceState.IDLE, since=100 - n / 10)
        for n in range(1, 201)
    ]
    lines = text(frame(board(*many)), height=24)
    assert len(lines) < 24
    shown = [
        int(found[1]) for line in lines if (found := re.match(r" *(\d+)  (?:busy|idle)", line))
    ]
    assert busy < set(shown)
    assert shown == sorted(shown)
    assert f"and {200 - len(shown)} more: {200 - len(shown)} idle" in lines


def test_an_endpoint_without_instances_says_what_the_next_request_meets() -> None:
    lines = text(frame(board(concurrency=0, measured=0, invocations=0)))
    assert "no instance runs; the next request is a cold start" in lines
    assert "latency: no request yet" in lines


def test_a_real_time_endpoint_shows_nothing_of_serverless() -> None:
    instances = board(view(1, provisioned=True), max_concurrency=0)
    shown = "\n".join(text(frame(instances, profile="realtime")))
    assert "real-time" in shown
    assert "in flight 2" in shown
    assert not re.search(r"concurrency|cold|throttle|serverless|provisioned", shown)


def test_while_creating_it_shows_what_is_waited_for_and_no_counts() -> None:
    notes = ["container 0123456789ab started, 12 s of 180 s", "/ping said last: " + "503 " * 50]
    lines = text(frame(board(), status=EndpointStatus.CREATING, notes=notes), width=80)
    assert notes[0] in lines
    assert any(line.startswith("/ping said last: 503 503") for line in lines)
    assert not any(re.search("cold|invocations|latency", line) for line in lines)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1, "0.0 s"), (3.21, "3.2 s"), (9.96, "10 s"), (99, "99 s"), (100, "1m 40s"),
     (185.4, "3m 05s"), (11045, "3h 04m")],
)  # fmt: skip
def test_a_duration_is_short(seconds: float, told: str) -> None:
    assert duration(seconds) == told


# The terminal


@contextmanager
def terminal(columns: int = 80, rows: int = 24) -> Iterator[tuple[io.TextIOWrapper, Any]]:
    """A real pseudo-terminal to write to, and the screen that a person would see."""
    import fcntl
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    seen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(seen)
    raw = bytearray()
    new = threading.Condition()

    def read() -> None:
        while True:
            try:
                got = os.read(master, 65536)
            except OSError:  # the other end is closed
                return
            with new:
                raw.extend(got)
                stream.feed(got)
                new.notify()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def display() -> list[str]:
        return [line.rstrip() for line in seen.display]

    def picture() -> list[str]:
        """After the file was closed."""
        reader.join(10)
        assert not reader.is_alive()
        return display()

    def wait_for(told: Callable[[list[str]], bool]) -> list[str]:
        with new:
            assert new.wait_for(lambda: told(display()), 10), display()
            return display()

    file = os.fdopen(slave, "w", encoding="utf-8")
    try:
        yield file, SimpleNamespace(picture=picture, wait_for=wait_for, screen=seen, raw=raw)
    finally:
        if not file.closed:
            file.close()
        reader.join(10)
        os.close(master)


def printed(*lines: str, shown: Frame | None = None) -> Any:
    printer: Printer[Frame] = Printer()
    for line in lines:
        printer.line(line)
    if shown is not None:
        printer.frame(shown)
    return printer.take()


def test_lines_scroll_above_the_frame_which_is_gone_at_the_end() -> None:
    with terminal() as (file, seen):
        with screen(file) as write:
            write(printed("first line", shown=BUSY))
            write(printed("REPORT Request: 1  Setup: 12 ms  ModelError"))
            write(printed(shown=BUSY))
            middle = bytes(seen.raw)
            write(printed("last line"))
        file.close()
        assert seen.picture()[:4] == [
            "first line", "REPORT Request: 1  Setup: 12 ms  ModelError", "last line", "",
        ]  # fmt: skip
        assert not any("iris" in line for line in seen.picture())
        assert not seen.screen.cursor.hidden
        assert b"InService" in seen.raw
        assert b"\x1b[?1049h" not in seen.raw, "the scrollback is kept"
        assert len(middle) < len(seen.raw)


def test_the_frame_stays_whole_while_lines_come() -> None:
    expected = [line.rstrip() for line in text(BUSY, 100, 30)]
    with terminal(rows=30, columns=100) as (file, seen), screen(file) as write:
        for number in range(40):
            write(printed(f"line {number}", shown=BUSY))
        at = 30 - len(expected)
        above = [f"line {number}" for number in range(40 - at, 40)]
        assert seen.wait_for(lambda display: display == [*above, *expected])


def test_the_frame_follows_the_window() -> None:
    import fcntl
    import termios

    narrow = [line.rstrip() for line in text(BUSY, 60, 30)]
    with terminal(rows=30, columns=100) as (file, seen), screen(file) as write:
        write(printed("before", shown=BUSY))
        size = struct.pack("HHHH", 30, 60, 0, 0)
        fcntl.ioctl(file.fileno(), termios.TIOCSWINSZ, size)
        seen.screen.resize(columns=60)
        write(printed("after", shown=BUSY))
        seen.wait_for(lambda display: all(line in display for line in ["after", *narrow]))


def test_lines_that_a_narrower_window_folds_are_counted() -> None:
    lines = [len(line.rstrip()) for line in text(BUSY, 100, 30)]
    folded = sum(-(-width // 60) - 1 for width in lines)
    assert folded > 1
    assert folds(BUSY, ConsoleDimensions(100, 30), 60) == folded
    assert folds(BUSY, ConsoleDimensions(60, 30), 60) == 0


def test_no_color_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    colour = re.compile(rb"\x1b\[[\d;]*3[0-7]")

    def written() -> bytes:
        with terminal() as (file, seen):
            with screen(file) as write:
                write(printed("REPORT Setup: 1 ms ModelError", shown=BUSY))
            file.close()
            seen.picture()
            return bytes(seen.raw)

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour.search(written())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(written())


@pytest.mark.parametrize(
    ("environment", "tty", "live"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "CI": "true"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm"}, False, False),
    ],
)
def test_it_is_live_only_where_a_person_looks_on(
    environment: dict[str, str], tty: bool, live: bool
) -> None:
    file: Any = SimpleNamespace(isatty=lambda: tty)
    assert wanted(file, environment) is live


# The printer


def test_what_nobody_reads_is_dropped_and_counted() -> None:
    printer: Printer[str] = Printer()
    for number in range(MOST_LINES + 3):
        printer.line(str(number))
    printer.frame("old")
    printer.frame("new")
    printer.close()
    batch = printer.take()
    assert batch is not None
    assert (batch.dropped, batch.frame, batch.lines[:2]) == (3, "new", ["0", "1"])
    rest = [line for one in iter(printer.take, None) for line in one.lines]
    assert [*batch.lines, *rest] == [str(number) for number in range(MOST_LINES)]


# Onlookers


@given(st.text())
def test_nothing_that_drives_a_terminal_is_left(given: str) -> None:
    told = harmless(given)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", told)
    assert harmless(told) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("plain\ttext \N{SNOWMAN}", "plain\ttext \N{SNOWMAN}"),
        ("\x1b[31mred\x1b[0m line\r\n", "red line"),
        ("\x1b]0;title\x07ok", "ok"),
        ("a\rb\x00\x1b", "a\\x0db\\x00\\x1b"),
    ],
)
def test_colours_go_and_other_controls_are_shown(given: str, told: str) -> None:
    assert harmless(given) == told


def test_a_very_long_line_is_cut() -> None:
    told = log_line(Names(), named("iris"), log(1, text="x" * 10_000))
    assert told == "[3] " + "x" * 4000 + " ... (6,000 more characters)"


def named(name: str, variant: str = "AllTraffic", region: str = "us-east-1") -> Running:
    where: Any = SimpleNamespace(endpoint_name=name, variant=variant, region=region)
    running: Running = where
    return running


class World:
    """A fleet that the test tells what happens, and an onlooker at it."""

    def __init__(self, looker: Onlooker, *, own: bool = True, host: str = "127.0.0.1") -> None:
        self.clock, self.fleet, self.looker = FakeClock(), Fleet(), looker
        self.watching = Watching(self.fleet, looker)
        looker.listening(
            Served(
                fleet=self.fleet, url="http://127.0.0.1:4566", clock=self.clock, host=host,
                environment={"AWS_REGION": "us-east-1"},
                own=Setup(image="iris:latest") if own else None,
            )
        )  # fmt: skip

    def status(self, status: EndpointStatus | None, name: str = "iris", reason: str = "") -> None:
        told = EndpointTold(
            region="us-east-1", name=name, status=status, failure_reason=reason,
            at=self.clock.now(),
        )  # fmt: skip
        self.fleet.status(told)

    def begin(
        self,
        name: str = "iris",
        *,
        variant: str = "AllTraffic",
        region: str = "us-east-1",
        status: EndpointStatus = EndpointStatus.IN_SERVICE,
        book: Any = None,
    ) -> Running:
        driver: Any = SimpleNamespace(
            status=status, failure_reason="", journal=Journal(), logs=book or LogBook()
        )
        running = Running(
            region=region, endpoint_name=name, variant=variant, endpoint=driver,
            setup=Setup(image=f"{name}:latest", name=name),
            board=Board(driver.journal, max_concurrency=5),
        )  # fmt: skip
        self.fleet.opened(running)
        return running


def log(number: int, **more: Any) -> Any:
    given = {"sequence": number, "instance": 3, "container": "abc", "nanoseconds": 1}
    return SimpleNamespace(**{**given, "text": f"\x1b[1mline {number}", **more})


def answered(running: Running, **more: Any) -> None:
    journal = running.endpoint.journal
    record = journal.begin(1.0)
    for name, value in more.items():
        setattr(record, name, value)
    journal.end(record, 2.0)


def lines(printer: Printer[Frame]) -> tuple[list[str], Frame | None]:
    """All that waits to be printed, and the newest frame."""
    printer.close()  # so that taking ends
    batches = list(iter(printer.take, None))
    frames = [batch.frame for batch in batches if batch.frame is not None]
    return [line for batch in batches for line in batch.lines], frames[-1] if frames else None


def test_reports_that_come_too_fast_are_counted() -> None:
    printer: Printer[Frame] = Printer()
    looker = LiveTerminal(printer, logs=False)
    running = World(looker).begin()
    for number in range(LINES_PER_TICK + 7):
        looker.invocation(running, Invocation(request=number, arrived=0.0))
    looker.tick()
    looker.log(running, log(1))
    told, shown = lines(printer)
    assert len(told) == LINES_PER_TICK + 2
    assert told[-2:] == ["(7 more lines came too fast to be shown)", "[3] line 1"]
    assert shown is not None


def test_while_creating_it_tells_what_ping_said_and_how_long_it_waits() -> None:
    printer: Printer[Frame] = Printer()
    looker = LiveTerminal(printer, logs=False)
    world = World(looker)
    world.status(EndpointStatus.CREATING)
    _, shown = lines(printer)
    assert shown is not None
    (block,) = shown.blocks
    assert (block.image, block.notes) == ("iris:latest", ["waiting for the engine, 0 s of 180 s"])
    running = world.begin(status=EndpointStatus.CREATING)
    change = InstanceChange(
        at=world.clock.now(), instance=1, state=InstanceState.STARTING,
        container="0123456789abcdef", why="GET /ping: 503 in 0.01 s",
    )  # fmt: skip
    running.endpoint.journal.changed(change)
    world.clock.jump(12)
    looker.tick()
    _, shown = lines(printer)
    assert shown is not None
    (block,) = shown.blocks
    assert block.notes == [
        "container 0123456789ab started, 12 s of 180 s", "/ping said last: 503 in 0.01 s",
    ]  # fmt: skip
    looker.ending()
    _, shown = lines(printer)
    assert shown is not None
    (block,) = shown.blocks
    assert block.status is EndpointStatus.DELETING
    assert "SIGTERM, and SIGKILL after 30 s" in block.notes


def test_the_key_l_toggles_logs_and_the_last_line_sums_up() -> None:
    printer: Printer[Frame] = Printer()
    looker = LiveTerminal(printer, logs=False)
    world = World(looker)
    running = world.begin()
    looker.key("x")
    assert not looker.logs
    looker.key("l")
    assert looker.logs
    running.endpoint.journal.end(running.endpoint.journal.begin(1.0), 2.0)
    _, shown = lines(printer)
    assert shown is not None
    assert "l hides container logs" in shown.hints
    looker.ending()
    world.fleet.closed(running)
    looker.ended()
    told, _ = lines(printer)
    assert told == ["endpoint iris is gone: 1 invocation, 0 cold starts, 0 throttles, 0 errors"]


def test_the_programs_own_warnings_are_lines() -> None:
    import logging

    told: list[str] = []
    logger, handler = logging.getLogger("byoc.test"), LogLines(told.append)
    logger.addHandler(handler)
    logger.warning("instance %s did not start: \x1b[2J", 3)
    logger.info("not this")
    logger.removeHandler(handler)
    assert told == ["warning: instance 3 did not start: "]


def plain(**more: Any) -> tuple[World, list[str]]:
    told: list[str] = []
    return World(PlainLines(told.append, logs=False), **more), told


def test_plain_lines_say_every_ten_seconds_that_it_still_waits() -> None:
    world, told = plain()
    world.status(EndpointStatus.CREATING)
    for _ in range(100):
        world.clock.jump(0.25)
        world.looker.tick()
    assert told == [
        f"endpoint iris is Creating: waiting for the engine, {n} s of 180 s" for n in (10, 20)
    ]
    world.status(EndpointStatus.IN_SERVICE)
    world.clock.jump(60)
    world.looker.tick()
    assert told[2:] == [
        "endpoint iris is InService at http://127.0.0.1:4566", "export AWS_REGION=us-east-1",
    ]  # fmt: skip


def test_json_lines_carry_everything() -> None:
    import json

    told: list[str] = []
    looker = JsonLines(told.append, logs=True)
    world = World(looker)
    world.status(EndpointStatus.CREATING)
    running = world.begin()
    world.status(EndpointStatus.IN_SERVICE)
    journal = running.endpoint.journal
    journal.changed(InstanceChange(at=1.0, instance=3, state=InstanceState.BUSY, request=9))
    answered(running, instance=3, error="ModelError")
    looker.log(running, log(4))
    world.fleet.called(
        CallTold(
            operation="CreateModel", resource="m", region="us-east-1", by="cloudformation",
            refused=True, code="ValidationException", message="no", rule="contract 6.1",
            change="do that", ignored=("Tags",),
        )
    )  # fmt: skip
    looker.ending()
    world.status(None)
    looker.ended()
    objects = [json.loads(line) for line in told]
    assert [one["event"] for one in objects] == [
        "Listening", "Endpoint", "Creating", "Endpoint", "InService", "Instance", "Invocation",
        "Log", "Call", "Deleting", "Endpoint", "Deleted",
    ]  # fmt: skip
    assert all("\n" not in line for line in told)
    assert all(re.match(r"\d{4}-\d\d-\d\dT", one.pop("time")) for one in objects)
    listening, first, _, second, ready, instance, invocation, line, call, _, last, _ = objects
    assert listening == {
        "event": "Listening", "url": "http://127.0.0.1:4566", "warnings": [],
        "environment": {"AWS_REGION": "us-east-1"},
    }  # fmt: skip
    assert first == {
        "event": "Endpoint", "region": "us-east-1", "name": "iris", "status": "Creating",
        "failure_reason": "", "log": [],
    }  # fmt: skip
    assert [one["status"] for one in (second, last)] == ["InService", "Deleted"]
    assert (ready["endpoint"], ready["environment"]) == ("iris", {"AWS_REGION": "us-east-1"})
    of = {"region": "us-east-1", "endpoint": "iris", "variant": "AllTraffic"}
    assert all({**one, **of} == one for one in (instance, invocation, line))
    assert (instance["state"], instance["request"], instance["instance"]) == ("busy", 9, 3)
    assert (invocation["error"], invocation["request"]) == ("ModelError", 1)
    assert (line["instance"], line["text"]) == (3, "\x1b[1mline 4")
    assert call == {
        "event": "Call", "operation": "CreateModel", "resource": "m", "region": "us-east-1",
        "by": "cloudformation", "refused": True, "code": "ValidationException", "message": "no",
        "rule": "contract 6.1", "change": "do that", "ignored": ["Tags"],
    }  # fmt: skip


def test_a_host_that_others_reach_is_warned_of() -> None:
    world, told = plain(host="0.0.0.0")
    world.status(EndpointStatus.IN_SERVICE)
    assert told[0].startswith("warning: it listens on 0.0.0.0, not on the loopback alone")
    _, told = plain(host="0.0.0.0", own=False)
    assert told[0].startswith("warning: it listens on 0.0.0.0, not on the loopback alone")


# Several endpoints, and none


def test_without_an_image_it_says_that_it_waits_for_calls_and_what_becomes_of_them() -> None:
    world, told = plain(own=False)
    call = CallTold(operation="CreateEndpointConfig", resource="my-config", region="us-east-1")
    world.fleet.called(
        dataclasses.replace(
            call, refused=True, code="ValidationException", message="no\x1b[2J", change="do that"
        )
    )
    world.fleet.called(call)
    world.fleet.called(dataclasses.replace(call, by="cloudformation", ignored=("A", "B")))
    world.status(EndpointStatus.CREATING, "my-endpoint")
    world.clock.jump(0.84)
    world.status(EndpointStatus.IN_SERVICE, "my-endpoint")
    world.clock.jump(60)
    world.status(EndpointStatus.UPDATING, "my-endpoint")
    world.clock.jump(1)
    world.status(EndpointStatus.ROLLING_BACK, "my-endpoint")
    world.clock.jump(1)
    world.status(EndpointStatus.IN_SERVICE, "my-endpoint", "no image")
    world.status(EndpointStatus.DELETING, "my-endpoint")
    world.status(None, "my-endpoint")
    world.status(EndpointStatus.CREATING, "my-endpoint")
    world.status(EndpointStatus.FAILED, "my-endpoint", "why")
    assert told == [
        "listening at http://127.0.0.1:4566, waiting for deploy calls",
        "export AWS_REGION=us-east-1",
        "CreateEndpointConfig my-config: refused: ValidationException: no",
        "  change: do that",
        "CreateEndpointConfig my-config: accepted",
        "CreateEndpointConfig my-config (CloudFormation): accepted; has no effect: A, B",
        "endpoint my-endpoint: Creating",
        "endpoint my-endpoint: InService after 0.8 s",
        "endpoint my-endpoint: Updating",
        "endpoint my-endpoint: RollingBack",
        "endpoint my-endpoint: InService after 2.0 s: no image",
        "endpoint my-endpoint: Deleting",
        "endpoint my-endpoint: gone",
        "endpoint my-endpoint: Creating",
        "endpoint my-endpoint: Failed after 0.0 s: why",
    ]


def test_reports_name_the_endpoint_from_the_second_one_on() -> None:
    world, told = plain(own=False)
    del told[:]
    iris = world.begin()
    answered(iris)
    wine = world.begin("wine", variant="a")
    answered(iris)
    answered(wine)
    answered(world.begin("wine", variant="b"))
    world.looker.log(wine, log(1))
    answered(world.begin("wine", variant="b", region="eu-west-1"))
    assert [line.partition("  Duration")[0] for line in told] == [
        "REPORT Request: 1",
        "REPORT Endpoint: iris  Request: 2",
        "REPORT Endpoint: wine  Request: 1",
        "REPORT Endpoint: wine/b  Request: 1",
        "[wine/a 3] line 1",
        "REPORT Endpoint: wine (eu-west-1)  Request: 1",
    ]


def test_several_endpoints_end_together() -> None:
    world, told = plain(own=False)
    for name in ("iris", "wine"):
        world.status(EndpointStatus.IN_SERVICE, name)
    world.status(EndpointStatus.FAILED, "broken")
    del told[:]
    world.looker.ending()
    for name in ("iris", "wine"):
        world.status(EndpointStatus.DELETING, name)
        world.status(None, name)
    world.looker.ended()
    ending = "2 endpoints are Deleting: SIGTERM to their containers, SIGKILL to those that still"
    assert told == [f"{ending} run after 30 s", "2 endpoints are gone"]


def test_ending_before_anything_runs_tells_nothing_of_endpoints() -> None:
    for own, expected in ((False, 0), (True, 2)):
        world, told = plain(own=own)
        del told[:]
        world.looker.ending()
        world.looker.ended()
        assert len(told) == expected, told


def test_a_deleted_and_deployed_endpoint_of_an_image_is_told_like_any_other() -> None:
    world, told = plain()
    for status in (EndpointStatus.CREATING, EndpointStatus.IN_SERVICE, EndpointStatus.DELETING):
        world.status(status)
    world.status(None)
    world.status(EndpointStatus.CREATING)
    assert told[2:] == [
        "endpoint iris: Deleting", "endpoint iris: gone", "endpoint iris: Creating",
    ]  # fmt: skip


def test_a_terminal_shows_a_block_for_each_variant_and_for_what_failed() -> None:
    printer: Printer[Frame] = Printer()
    looker = LiveTerminal(printer, logs=False)
    world = World(looker, own=False)
    told, shown = lines(printer)
    assert shown is not None
    assert (told, list(shown.blocks)) == (["export AWS_REGION=us-east-1"], [])
    world.status(EndpointStatus.IN_SERVICE)
    old = world.begin()
    world.status(EndpointStatus.UPDATING)
    new = world.begin(status=EndpointStatus.CREATING)
    start = InstanceChange(
        at=world.clock.now(), instance=1, state=InstanceState.STARTING, container="0123456789abcdef"
    )
    new.endpoint.journal.changed(start)
    world.begin("wine", variant="a")
    world.begin("wine", variant="b")
    world.status(EndpointStatus.FAILED, "broken", "no image")
    told, shown = lines(printer)
    assert told == [
        "endpoint iris: InService", "endpoint iris: Updating", "endpoint broken: Failed: no image",
    ]  # fmt: skip
    assert shown is not None
    assert [one.name for one in shown.blocks] == [
        "iris", "iris (new version)", "wine/a", "wine/b", "broken",
    ]  # fmt: skip
    assert [one.status.value for one in shown.blocks] == [
        "Updating", "Updating", "InService", "InService", "Failed",
    ]  # fmt: skip
    assert shown.blocks[1].notes == ["container 0123456789ab started, 0 s of 180 s"]
    assert shown.blocks[4].notes == ["no image"]
    world.fleet.closed(old)
    world.status(None, "broken")
    _, shown = lines(printer)
    assert shown is not None
    assert [one.name for one in shown.blocks] == ["iris", "wine/a", "wine/b"]
    looker.ending()
    looker.ended()
    told, _ = lines(printer)
    assert [line.partition(":")[0] for line in told] == [
        "endpoint iris is gone", "endpoint wine/a is gone", "endpoint wine/b is gone",
    ]  # fmt: skip


def test_an_update_in_place_tells_what_its_new_version_waits_for() -> None:
    printer: Printer[Frame] = Printer()
    world = World(LiveTerminal(printer, logs=False), own=False)
    running = world.begin(status=EndpointStatus.UPDATING)
    world.status(EndpointStatus.UPDATING)
    for instance, version in ((1, 1), (2, 2)):
        running.endpoint.journal.changed(
            InstanceChange(
                at=world.clock.now(), instance=instance, version=version,
                state=InstanceState.STARTING, container=f"{instance}" * 12,
            )
        )  # fmt: skip
        world.clock.jump(7)
    world.looker.tick()
    _, shown = lines(printer)
    assert shown is not None
    (one,) = shown.blocks
    assert (one.name, one.notes) == ("iris", ["container 222222222222 started, 7 s of 180 s"])


def test_an_onlooker_hears_until_the_end_and_no_longer() -> None:
    told: list[str] = []
    container: Any = SimpleNamespace(id="c0ffee", log_lines=None)
    seen = [LogLine(nanoseconds=1, text="one")]

    async def log_lines(after: int) -> list[LogLine]:
        return [line for line in seen if line.nanoseconds > after]

    container.log_lines = log_lines
    world = World(PlainLines(told.append, logs=True), own=False)
    del told[:]
    book = LogBook()
    book.began(3, container)
    running = world.begin(book=book)

    async def scenario() -> None:
        await world.watching.collect()
        await world.watching.collect()
        seen.append(LogLine(nanoseconds=2, text="last"))
        await book.ended(container)

    asyncio.run(scenario())
    assert told == ["[3] one"]
    changed = dataclasses.replace(running, setup=Setup(image="iris:2"))
    world.fleet.opened(changed)
    answered(running)
    assert len(told) == 2, "an update in place does not make it hear twice"
    world.fleet.closed(changed)
    assert told[2:] == ["[3] last"]
    journal = running.endpoint.journal
    assert journal.listeners == [running.board._answered]
    world.watching.close()
    assert (world.fleet.watchers, world.fleet.status_listeners, world.fleet.call_listeners) == (
        [], [], [],
    )  # fmt: skip


def test_a_time_is_counted_from_where_the_change_began() -> None:
    statuses, names = Statuses(), Names()

    def at(seconds: float, status: EndpointStatus | None) -> str:
        told = EndpointTold(region="r", name="x", status=status, at=seconds)
        return statuses.line(names, told)

    assert at(1.0, EndpointStatus.CREATING) == "endpoint x: Creating"
    assert statuses.creating_since("r", "x") == 1.0
    assert at(3.5, EndpointStatus.IN_SERVICE) == "endpoint x: InService after 2.5 s"
    assert (statuses.creating_since("r", "x"), statuses.began("r", "x", 9.0)) == (None, 1.0)
    assert at(5.0, None) == "endpoint x: gone"
    assert statuses.began("r", "x", 9.0) == 9.0


# The frame of several


def test_no_endpoint_is_a_frame_that_waits() -> None:
    shown = text(framed())
    assert len(shown) == 3
    for told in ("waiting for deploy calls", "http://127.0.0.1:4566/", "Ctrl-C ends it"):
        assert told in "\n".join(shown)


def test_two_endpoints_are_shown_whole_where_there_is_room() -> None:
    two = framed(
        block(board(view(1, InstanceState.BUSY, request=131), view(2))),
        block(board(view(1)), name="wine", image="wine:2"),
    )
    shown = text(two, height=30)
    assert len(shown) < 30
    for told in ("2 InService", "iris", "wine", "busy #131", "wine:2", "throttles 7"):
        assert told in "\n".join(shown)
    assert sum("instance" in line and "served" in line for line in shown) == 2
    shown = text(two, height=22)
    assert "throttles 7" in "\n".join(shown)
    assert "busy #131" not in "\n".join(shown), "then without their instances"


def test_many_endpoints_are_a_line_each_and_those_that_matter_are_seen() -> None:
    quiet = [block(board(concurrency=0), name=f"quiet-{n}") for n in range(40)]
    busy = block(board(concurrency=3), name="busy")
    failed = block(None, name="broken", status=EndpointStatus.FAILED, notes=["no image"])
    few = text(framed(*quiet[:8], failed), height=20)
    assert few[-2:] == ["broken: no image", "Ctrl-C ends it   l shows container logs"]
    shown = text(framed(*quiet[:30], busy, *quiet[30:], failed), height=20)
    assert len(shown) < 20
    joined = "\n".join(shown)
    assert re.search(r"^busy +InService +3/4 +128 ", joined, re.MULTILINE)
    assert re.search(r"^broken +Failed +- ", joined, re.MULTILINE)
    assert re.search(r"^and \d+ more: \d+ InService$", joined, re.MULTILINE)


@given(
    width=st.integers(30, 200),
    height=st.integers(12, 60),
    number=st.integers(2, 40),
    instances=st.integers(0, 30),
    name=st.text(st.characters(categories=["L", "N", "P", "So"]), min_size=1, max_size=63),
    note=st.text(st.characters(categories=["L", "N"]), max_size=200),
    big=st.integers(0, 10**7),
)
@settings(max_examples=60, deadline=None)
def test_several_endpoints_fit_the_window(
    *, width: int, height: int, number: int, instances: int, name: str, note: str, big: int
) -> None:
    many = [view(n, served=big, memory_bytes=big) for n in range(1, instances + 1)]
    failed = block(None, name=name, status=EndpointStatus.FAILED, notes=[note])
    blocks = [block(board(*many, invocations=big), name=name) for _ in range(number)]
    lines = text(framed(failed, *blocks), width, height)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) < height

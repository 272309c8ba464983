"""What a run waits for is shown where somebody looks, and leaves pytest's output as it was."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pyte
import pytest

from contract_tests.progress import Progress, Seen
from contract_tests.progress_terminal import LiveLine, LoggedLines, Ticker, live, write_all
from emulator.http import Outcome, Reply
from emulator.instance import PING, PingAnswer
from emulator.testing import FakeClock
from tests.suite import ROOT, environment


def answer(at, status=None, outcome=Outcome.RESET):
    kind = outcome if status is None else Outcome.ANSWERED
    reply = Reply(request=PING, outcome=kind, seconds=0.0, status=status)
    return PingAnswer(at_seconds=at, reply=reply)


def seen(seconds, words="waiting", change="a"):
    return Seen(seconds=seconds, words=words, change=change)


class Screen:
    """A terminal as pytest knows it, and as a person sees it."""

    def __init__(self, columns=40, rows=6):
        self.fullwidth = columns
        self.width_of_current_line = 0
        self.seen = pyte.Screen(columns, rows)
        self.seen.set_mode(pyte.modes.LNM)
        self.stream = pyte.ByteStream(self.seen)
        self.reading, self.descriptor = os.pipe()
        os.set_blocking(self.reading, False)

    def write(self, text):
        """As pytest does."""
        write_all(self.descriptor, text)
        self.width_of_current_line = len(text.rpartition("\n")[2])

    def lines(self):
        with suppress(BlockingIOError):
            self.stream.feed(os.read(self.reading, 100_000))
        return [line.rstrip() for line in self.seen.display]

    def close(self):
        os.close(self.reading)
        os.close(self.descriptor)


@pytest.fixture
def screen():
    made = []

    def make(**size):
        made.append(Screen(**size))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- the words ------------------------------------------------------------------------------------


def test_nothing_is_told_between_checks():
    progress = Progress(FakeClock())
    assert progress.now() is None
    progress.begin("body-sizes")
    assert progress.now().words == "body-sizes: 0 s"
    progress.end()
    assert progress.now() is None


def test_a_start_is_told_with_its_window_and_the_last_answer():
    clock = FakeClock()
    progress = Progress(clock)
    progress.begin("stays-alive")
    with progress.starting(180) as starting:
        clock.jump(2)
        assert progress.now().words == "waiting for 200 on /ping, 2 s of 180 s: not asked yet"
        starting.seen(answer(0.1))
        before = progress.now()
        assert before.words.endswith("2 s of 180 s: nothing listens yet")
        starting.seen(answer(3.0, 404))
        clock.jump(10)
        after = progress.now()
        assert after.words.endswith("12 s of 180 s: HTTP 404 since 3 s")
        assert after.change != before.change
        clock.jump(20)
        assert "unlikely to change (--startup-seconds N waits less)" in progress.now().words
        assert progress.now().change == after.change
    assert progress.now().words == "stays-alive: 32 s"
    with progress.starting(180):
        assert progress.now().words.startswith("stays-alive: waiting for 200")


def test_a_server_that_may_only_be_late_is_not_called_hopeless():
    clock = FakeClock()
    progress = Progress(clock)
    progress.begin("stays-alive")
    with progress.starting(180) as starting:
        starting.seen(answer(0.5, 503))
        clock.jump(60)
        assert "unlikely" not in progress.now().words
        assert "--startup-seconds" in progress.now().words


def test_other_long_work_is_told_beside_the_seconds():
    clock = FakeClock()
    progress = Progress(clock)
    progress.begin("time-of-a-slow-request")
    with progress.doing("a request of 55 s"):
        clock.jump(7)
        assert progress.now().words == "time-of-a-slow-request: 7 s, a request of 55 s"
        with progress.starting(180):
            assert "waiting for 200" in progress.now().words
    assert progress.now().words == "time-of-a-slow-request: 7 s"


def test_what_was_waited_for_is_known_after_an_interruption():
    progress = Progress(FakeClock())
    with pytest.raises(KeyboardInterrupt), progress.starting(180):
        raise KeyboardInterrupt
    assert progress.interrupted.startswith("waiting for 200 on /ping, 0 s of 180 s")


# -- on a terminal --------------------------------------------------------------------------------


@pytest.mark.parametrize("above", [0, 2, 9])
@pytest.mark.parametrize("begun", ["test_startup.py ", "", "x" * 57])
def test_the_live_line_comes_and_goes_without_a_trace(screen, above, begun):
    here = screen()
    here.write("line\n" * above + begun)
    line = LiveLine(here.descriptor, here, colour=True)
    before = [text for text in here.lines() if text]
    for second in (1.5, 2.5):
        line.show(seen(second, f"waiting {second} s"))
        assert f"  waiting {second} s" in here.lines()
    line.hide()
    line.hide()
    here.write("." if begun else ".\n")
    # What scrolled off the top is gone, as after any line feed.
    now = "".join(here.lines()).replace(" ", "")
    assert now
    assert ("".join(before).replace(" ", "") + ".").endswith(now)
    assert now.endswith(f"{begun.strip()}.")
    assert "waiting" not in now


def test_a_live_line_never_wraps_and_holds_nothing_that_steers(screen):
    here = screen(columns=30)
    LiveLine(here.descriptor, here, colour=False).show(seen(9, "\x1b[2J" + "long words " * 20))
    assert sum(bool(text) for text in here.lines()) == 1


def test_what_ends_soon_is_not_shown(screen):
    here = screen()
    line = LiveLine(here.descriptor, here, colour=False)
    line.show(seen(0.4))
    line.show(None)
    assert not any(here.lines())


def test_colours_only_where_they_are_wanted(screen):
    for colour in (True, False):
        here = screen()
        LiveLine(here.descriptor, here, colour=colour).show(seen(2.0))
        assert bool(re.search(rb"\x1b\[\d+m", os.read(here.reading, 1000))) is colour


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, True),  # it is about colours, not about lines
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "CI": "true"}, True, False),
        ({"TERM": "xterm"}, False, False),
    ],
)
def test_lines_are_taken_back_only_on_a_terminal_that_can(environment, terminal, expected):
    assert live(environment, terminal=terminal) is expected


# -- in a log -------------------------------------------------------------------------------------


def logged(*moments):
    """What a log has after these moments, and how often pytest's line was broken."""
    reading, writing = os.pipe()
    broken = []
    lines = LoggedLines(writing, lambda: broken.append(1))
    for moment in moments:
        lines.show(moment)
    lines.hide()
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read(), len(broken)


def test_a_log_gets_a_line_late_and_then_seldom():
    text, broken = logged(*(seen(second / 4, f"{second / 4:g} s") for second in range(4 * 50)))
    assert text == "\nbyoc: 15 s\nbyoc: 30 s\nbyoc: 45 s\n"
    assert broken == 3


def test_a_log_gets_a_line_when_something_changes_but_not_all_the_time():
    flapping = [seen(15 + second, f"{second}", change=str(second)) for second in range(9)]
    assert logged(*flapping)[0] == "\nbyoc: 0\nbyoc: 3\nbyoc: 6\n"


def test_quick_checks_leave_no_line_in_a_log():
    assert logged(*[seen(14.0), None, seen(14.9), seen(0.1), seen(13.0)]) == ("", 0)


def test_a_log_has_no_control_characters():
    text, _ = logged(seen(16, "\x1b[2Kone\rtwo\n three"))
    assert "\r" not in text
    assert "\x1b" not in text


def test_who_looks_on_may_go():
    reading, writing = os.pipe()
    os.close(reading)
    write_all(writing, "nobody reads this")
    os.close(writing)
    write_all(writing, "nor this")


# -- while a check runs ---------------------------------------------------------------------------


class Kept:
    def __init__(self):
        self.told = []

    def show(self, seen):
        self.told.append(seen.words if seen else None)

    def hide(self):
        self.told.append("hidden")


def test_nothing_is_shown_from_the_end_of_a_check_to_the_next():
    clock, shown = FakeClock(), Kept()
    ticker = Ticker(Progress(clock), shown, clock)

    async def story():
        running = asyncio.create_task(ticker.run())
        ticker.begin("one")
        await clock.sleep(0.3)
        ticker.end()
        await clock.sleep(0.3)
        ticker.begin("two")
        await clock.sleep(0.3)
        running.cancel()

    clock.run(story())
    assert shown.told == ["one: 0 s", "hidden", None, "two: 0 s"]


# -- under pytest ---------------------------------------------------------------------------------

CHECKS = """
import time
import contract_tests.progress_terminal
contract_tests.progress_terminal.LOGGED_AFTER_SECONDS = 1.0
from contract_tests.check import MUST, check
from emulator.sources import contract

def one(function):
    return check(MUST, "It holds.", source=contract("2.3"), catalogue="PNG-002", caught_by="x",
                 fix="Mend it.")(function)

@one
def test_quick(target):
    pass

@one
def test_takes_a_while(target):
    print("printed by the check")
    time.sleep(1.6)

@one
def test_quick_again(target):
    pass
"""


def on_a_terminal(directory, *options, **variables):
    """What pytest writes to a terminal while it runs these checks."""
    (directory / "test_x.py").write_text(CHECKS)
    plugins = ["contract_tests.plugin", "tests.fake_suite", "no:cacheprovider"]
    words = [word for plugin in (*plugins, "no:hypothesispytest") for word in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest", *words, "--image", "good:1", *options, "test_x.py"]
    kept = {k: v for k, v in environment().items() if k not in ("CI", "NO_COLOR", "COLUMNS")}
    variables = {**kept, "TERM": "xterm", "PYTHONPATH": str(ROOT), **variables}
    reading, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    running = subprocess.Popen(
        command, cwd=directory, env=variables, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    written = b""
    with suppress(OSError):  # a terminal that nobody writes to any more
        while part := os.read(reading, 65536):
            written += part
    os.close(reading)
    assert running.wait(60) == 0, written.decode()
    return written


def test_a_person_sees_what_is_waited_for_and_afterwards_what_pytest_wrote(tmp_path):
    written = on_a_terminal(tmp_path, "--junitxml", "junit.xml")
    assert b"takes-a-while: 1 s" in written
    seen = pyte.Screen(100, 60)
    pyte.ByteStream(seen).feed(written)
    lines = [line.rstrip() for line in seen.display]
    assert not any("takes-a-while: 1 s" in line for line in lines)
    assert any(re.fullmatch(r"test_x\.py \.\.\. +\[100%\]", line) for line in lines)
    assert "printed by the check" not in "".join(lines)
    assert "\x1b" not in (tmp_path / "junit.xml").read_text()
    assert "takes-a-while: 1 s" not in (tmp_path / "junit.xml").read_text()


def test_a_terminal_that_can_no_more_gets_whole_lines_and_no_control_characters(tmp_path):
    written = on_a_terminal(tmp_path, "-v", TERM="dumb").decode().replace("\r\n", "\n")
    assert written.count("\nbyoc: takes-a-while: 1 s\n") == 1
    assert re.search(r"\ntest_x\.py::test_takes_a_while\[good:1\] PASSED +\[ 66%\]\n", written)
    after = written.partition("collected 3 items")[2]  # what pytest itself takes back is before
    assert "\r" not in after
    assert "\x1b" not in after

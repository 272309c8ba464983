"""Single keys from the terminal that a person sits at.

Owns: the terminal's input mode while a block runs. Must not know: what a key does. Where there is
no terminal, or another program has it, nothing is changed and no key comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Calls `pressed` on the running loop for each key. Ctrl-C stays a signal."""
    if (file := _open()) is None:
        yield
        return
    import termios
    import tty

    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(file)

    def read() -> None:
        try:
            got = os.read(file, 64)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:  # the terminal is gone
            loop.remove_reader(file)
        for key in got.decode("ascii", errors="ignore"):
            pressed(key)

    # Neither echo nor lines. At once: waiting for the output to drain can take for ever.
    tty.setcbreak(file, termios.TCSANOW)
    loop.add_reader(file, read)
    try:
        yield
    finally:
        loop.remove_reader(file)
        if _ours():  # in the background a change of the terminal would stop the whole program
            termios.tcsetattr(file, termios.TCSANOW, before)
        os.close(file)


def _open() -> int | None:
    """The terminal, opened anew: loops make what they read from non-blocking, and standard input is
    the same open file as standard output, where who writes must wait.
    """
    if not _ours():
        return None
    try:
        return os.open(os.ttyname(sys.stdin.fileno()), os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return None


def _ours() -> bool:
    """Whether standard input is a terminal that this program is in the foreground of."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False

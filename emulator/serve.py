"""`byoc serve`: a local SageMaker on the terminal until it is told to stop.

Owns: signals, exit codes, who is told what happens. Must not know: how it works (`plane`, `live`),
what the onlooker makes of it (`serve_lines`, `live_terminal`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack

from emulator import live_terminal
from emulator.clock import Clock, SystemClock
from emulator.engines import EngineUnavailable, ImageNotFound
from emulator.errors import Usage
from emulator.keys import keys
from emulator.live import EndpointFailed, started
from emulator.live_terminal import LiveTerminal
from emulator.loop import run
from emulator.onlooker import Onlooker, Served, Watching
from emulator.plane import Plane, plane
from emulator.printer import plain_lines, printing
from emulator.running import Fleet
from emulator.serve_json import JsonLines
from emulator.serve_lines import LogLines, PlainLines
from emulator.serve_options import Wanted, wanted_of
from emulator.serve_words import harmless

FAILED, ENGINE, USAGE = 1, 2, 4
STDERR = 2

TICK_SECONDS = 0.25
COLLECT_SECONDS = 1.0
"""How often containers are asked for what they wrote, while somebody wants to see it."""


def serve(options: argparse.Namespace) -> int:
    """Until SIGINT, SIGTERM or SIGHUP. Exit codes: 0 ended in order, also before the endpoint was
    InService; 1 the endpoint failed; 2 the engine; 4 usage.
    """
    try:
        wanted = wanted_of(options)
        with _onlooker(options) as onlooker:
            run(_serve(wanted, onlooker))
            onlooker.ended()
    except EndpointFailed as error:
        return _sorry(FAILED, f"the endpoint failed. {error}")
    except EngineUnavailable as error:
        return _sorry(ENGINE, str(error))
    except (Usage, ImageNotFound) as error:
        return _sorry(USAGE, str(error))
    except KeyboardInterrupt:  # before the signals were taken over
        pass
    return 0


def _sorry(code: int, text: str) -> int:
    for line in f"byoc: {text}".split("\n"):
        print(_fitting(harmless(line)), file=sys.stderr)
    return code


def _fitting(line: str) -> str:
    """On a terminal no word is broken."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else 0
    except (OSError, ValueError):
        width = 0
    return textwrap.fill(line, width, break_on_hyphens=False) if width > 20 else line


@contextlib.contextmanager
def _onlooker(options: argparse.Namespace) -> Iterator[Onlooker]:
    """Who is told, and where the program's own warnings go meanwhile."""
    with ExitStack() as stack:
        onlooker: Onlooker
        if options.json or options.plain or not live_terminal.wanted(sys.stdout, os.environ):
            warn = stack.enter_context(printing(plain_lines, STDERR)).line
            say = stack.enter_context(printing(plain_lines)).line
            kind = JsonLines if options.json else PlainLines
            onlooker = kind(say, logs=options.logs)
        else:
            printer = stack.enter_context(printing(live_terminal.screen))
            warn = printer.line
            onlooker = LiveTerminal(printer, logs=options.logs)
        handler = LogLines(warn)
        logging.getLogger().addHandler(handler)
        stack.callback(logging.getLogger().removeHandler, handler)
        yield onlooker


async def _serve(wanted: Wanted, onlooker: Onlooker) -> None:
    """The first signal cancels, whatever it is that goes on; what follows it changes nothing:
    closing must not be interrupted, and takes as long as the container does, at most 30 s.
    """
    me = asyncio.current_task()
    assert me is not None
    told: list[int] = []

    def stop(number: int) -> None:
        if not told:
            onlooker.ending()
            me.cancel()
        told.append(number)

    fleet = Fleet()
    async with AsyncExitStack() as stack:
        stack.enter_context(_signals(stop))
        if isinstance(onlooker, LiveTerminal):
            stack.enter_context(keys(onlooker.key))
        watching = Watching(fleet, onlooker)
        stack.callback(watching.close)
        ticking = asyncio.create_task(_tick(onlooker, watching, SystemClock()))
        stack.callback(ticking.cancel)
        try:
            async with plane(wanted.listening, fleet=fleet) as opened:
                onlooker.listening(_served(opened, wanted))
                if wanted.setup is None:
                    opened.warm()
                else:
                    await started(opened, wanted.setup)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not told:
                raise
        except EndpointFailed as error:
            onlooker.failed(error)
            raise


def _served(opened: Plane, wanted: Wanted) -> Served:
    return Served(
        fleet=opened.fleet,
        url=opened.url,
        environment=opened.environment,
        clock=opened.clock,
        host=wanted.listening.host,
        own=wanted.setup,
    )


@contextlib.contextmanager
def _signals(stop: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _tick(onlooker: Onlooker, watching: Watching, clock: Clock) -> None:
    """Lets the onlooker see time go by, and containers' lines as they come."""
    due = 0.0
    while True:
        await clock.sleep(TICK_SECONDS)
        if onlooker.logs and clock.now() >= due:
            due = clock.now() + COLLECT_SECONDS
            await watching.collect()
        onlooker.tick()

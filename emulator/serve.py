"""`byoc serve`: a live endpoint on the terminal until it is told to stop.

Owns: what is printed, and when it ends. Must not know: how the endpoint works (`live`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from emulator.endpoint_state import Invocation
from emulator.engines import EngineUnavailable, ImageNotFound
from emulator.errors import Usage
from emulator.live import EndpointFailed, Live, Setup, live

FAILED, ENGINE, USAGE = 1, 2, 4
LAST_WORDS_SECONDS = 1.0
MOST_LINES = 10_000
"""That wait to be printed; more are dropped, since nobody seems to read them."""

Say = Callable[[str], None]


def serve(options: argparse.Namespace, say: Say | None = None) -> int:
    """Until SIGINT, SIGTERM or SIGHUP. Exit codes: 0 ended in order, also before the endpoint was
    InService; 1 the endpoint failed; 2 the engine; 4 usage.
    """
    try:
        setup = _setup(options)
        with _printer(say) as out:
            asyncio.run(_serve(setup, out, as_json=options.json))
    except EndpointFailed as error:
        return _sorry(FAILED, f"the endpoint failed. {error}")
    except EngineUnavailable as error:
        return _sorry(ENGINE, str(error))
    except (Usage, ImageNotFound) as error:
        return _sorry(USAGE, str(error))
    return 0


def _sorry(code: int, text: str) -> int:
    print(f"byoc: {text}", file=sys.stderr)
    return code


def _setup(options: argparse.Namespace) -> Setup:
    environment = {}
    for pair in options.env:
        name, separator, value = pair.partition("=")
        if not (name and separator):
            raise Usage(f"--env {pair!r} must be NAME=VALUE.")
        environment[name] = value
    return Setup(
        image=options.image,
        name=options.name or "",
        memory_mb=options.memory,
        max_concurrency=options.max_concurrency,
        provisioned_concurrency=options.provisioned_concurrency,
        environment=environment,
        model_data=options.model_data,
        idle_seconds=options.idle_seconds,
        port=options.port,
    )


async def _serve(setup: Setup, out: Say, *, as_json: bool) -> None:
    """The first signal cancels, whatever it is that goes on; what follows it changes nothing:
    closing must not be interrupted, and takes as long as the container does, at most 30 s.
    """
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    told: list[int] = []

    def stop(number: int) -> None:
        if not told:
            me.cancel()
        told.append(number)

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        async with live(setup) as opened:
            listen = _json_line if as_json else Invocation.line
            opened.endpoint.journal.listeners.append(lambda record: out(listen(record)))
            for line in _ready(opened, as_json=as_json):
                out(line)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _json_line(record: Invocation) -> str:
    return json.dumps(record.as_json())


def _ready(opened: Live, *, as_json: bool) -> list[str]:
    name, environment = opened.endpoint.name, opened.environment
    if as_json:
        told = {"event": "InService", "endpoint": name, "environment": environment}
        return [json.dumps(told)]
    return [
        f"endpoint {name} is InService at {opened.url}",
        *(f"export {variable}={value}" for variable, value in environment.items()),
    ]


@contextlib.contextmanager
def _printer(say: Say | None) -> Iterator[Say]:
    """Prints in a thread of its own: who starts `byoc serve` with a pipe, and stops reading it,
    must not stop the endpoint, nor keep it from ending.
    """
    if say is not None:
        yield say
        return
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def work() -> None:
        # Not sys.stdout: the interpreter flushes that when it ends, and would wait for this thread.
        with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace") as file:
            while (line := lines.get()) is not None:
                print(line, file=file, flush=True)

    def print_until_nobody_reads() -> None:
        with contextlib.suppress(OSError):  # the endpoint goes on; it is what was asked for
            work()
        while lines.get() is not None:
            pass

    def put(line: str) -> None:
        if lines.qsize() < MOST_LINES:
            lines.put(line)

    thread = threading.Thread(target=print_until_nobody_reads, name="byoc-print", daemon=True)
    thread.start()
    try:
        yield put
    finally:
        lines.put(None)
        thread.join(LAST_WORDS_SECONDS)

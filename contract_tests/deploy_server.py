"""A local SageMaker that takes every image in ECR for the one under test:
`python -m contract_tests.deploy_server IMAGE [STARTUP_SECONDS]`.

Owns: what this program tells, as one JSON object per line, and that it ends with its caller,
however that ends. Must not know: templates, scripts, checks. It is a process of its own because
moto keeps what was made for as long as its process lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from emulator.engines import Engine, EngineUnavailable
from emulator.loop import run
from emulator.plane import Listening, plane
from emulator.running import CallTold, EndpointTold, Running
from emulator.variant import Numbers

LOG_LINES = 30

MakesEngine = Callable[[], Engine]


def main(arguments: Sequence[str], engine: MakesEngine | None = None) -> int:
    """Until standard input is closed. Without `engine` it is Docker."""
    image, *seconds = arguments
    numbers = Numbers(startup_seconds=float(seconds[0]) if seconds else None)
    try:
        run(_serve(Listening(stand_in=image, numbers=numbers), engine))
    except EngineUnavailable as error:
        _say("Unavailable", reason=str(error))
        return 2
    return 0


def _say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}, default=str), flush=True)


async def _serve(listening: Listening, engine: MakesEngine | None) -> None:
    async with plane(listening, engine() if engine else None) as opened:
        telling: set[asyncio.Task[None]] = set()
        logs = Logs()

        def begin(told: Coroutine[Any, Any, None]) -> None:
            task = asyncio.create_task(told)
            telling.add(task)
            task.add_done_callback(telling.discard)

        def called(told: CallTold) -> None:
            _say(
                "Call",
                operation=told.operation,
                resource=told.resource,
                region=told.region,
                by=told.by,
                refused=told.refused,
                code=told.code,
                message=told.message,
                rule=told.rule,
                change=told.change,
                request=told.request,
            )

        def status(told: EndpointTold) -> None:
            if told.failure_reason:  # its container's last words are soon gone
                begin(_failed(logs, told))
            else:
                _told(told, "")

        async def mark(before: Collection[asyncio.Task[None]]) -> None:
            if before:
                await asyncio.wait(before)
            _say("Mark")

        opened.fleet.watchers.append(logs)
        opened.fleet.call_listeners.append(called)
        opened.fleet.status_listeners.append(status)
        left = _listen(lambda: begin(mark(tuple(telling))))
        _say("Listening", url=opened.url, environment=opened.environment)
        await left.wait()


def _told(told: EndpointTold, log: str) -> None:
    _say(
        "Endpoint",
        region=told.region,
        name=told.name,
        status=told.status.value if told.status else "",
        failure_reason=told.failure_reason,
        log=log,
    )


async def _failed(logs: Logs, told: EndpointTold) -> None:
    _told(told, await logs.last_lines(told.region, told.name))


class Logs:
    """What containers wrote, also of variants that are gone: a watcher of the fleet."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Running] = {}

    def opened(self, running: Running) -> None:
        self._last[running.region, running.endpoint_name] = running

    def closed(self, running: Running) -> None:
        pass

    async def last_lines(self, region: str, name: str) -> str:
        running = self._last.get((region, name))
        if running is None:
            return ""
        await running.endpoint.logs.collect()
        return "\n".join([line.text for line in running.endpoint.logs.lines()][-LOG_LINES:])


def _listen(marked: Callable[[], None]) -> asyncio.Event:
    """Set when the other end of standard input is closed, also by a caller's sudden death. What is
    written there asks for a mark.
    """
    loop, left = asyncio.get_running_loop(), asyncio.Event()

    def readable() -> None:
        if os.read(0, 4096):
            marked()
        else:
            loop.remove_reader(0)
            left.set()

    loop.add_reader(0, readable)
    return left


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

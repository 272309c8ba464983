"""The processes that `benchmarks.endpoint` measures, one command each.

Owns: a container that costs next to nothing, and byoc's endpoint in front of it. Must not know:
what is measured. Each prints its URL, and ends with its standard input.

    python -m benchmarks.parts container [SECONDS]    answers with what came, after SECONDS
    python -m benchmarks.parts endpoint PROFILE URL MAX_CONCURRENCY
    python -m benchmarks.parts live PROFILE IMAGE MAX_CONCURRENCY IDLE_SECONDS    its own containers
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Mapping
from typing import Any

from emulator.api.asgi import Receive, Scope, Send
from emulator.api.server import RuntimeServer, Server
from emulator.clock import SystemClock
from emulator.endpoint import Endpoint
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_setup import Setup
from emulator.engines import Capability, ContainerSpec, LogLine, Stopped
from emulator.http_direct import DirectHttp
from emulator.limits import Limits
from emulator.live import live
from emulator.loop import run
from emulator.policy_events import PolicyConfig

SHORT = b"application/x-short"
"""Content-Type of requests that are answered with two bytes."""

NAME = "measured"


class Echo:
    """An ASGI application."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces, more = [], True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(pieces)
        if scope["path"] == "/invocations":
            await asyncio.sleep(self.seconds)
            if (b"content-type", SHORT) in scope["headers"]:
                body = b"ok"
        headers = [
            (b"content-type", b"text/csv"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"keep-alive"),  # as nginx says
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Elsewhere:
    """An engine whose containers are one server that runs already."""

    name = "elsewhere"
    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, url: str) -> None:
        self.url = url
        self.numbers = itertools.count(1)

    async def start(self, spec: ContainerSpec) -> Any:
        return Shared(f"container-{next(self.numbers)}", self.url)

    async def close(self) -> None:
        pass


class Shared:
    def __init__(self, name: str, base_url: str) -> None:
        self.id, self.base_url = name, base_url

    async def exit_code(self) -> int | None:
        return None

    async def logs(self, tail: int = 50) -> str:
        return ""

    async def log_lines(self, after_nanoseconds: int = 0) -> list[LogLine]:
        return []

    async def oom_kills(self) -> int:
        return 0

    async def stop(self, grace_seconds: float) -> Stopped:
        return Stopped(exit_code=0, seconds=0.0, killed=False)


async def container(seconds: float) -> None:
    server = Server(Echo(seconds))
    print(await server.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()


async def endpoint(profile: str, url: str, max_concurrency: int) -> None:
    http = DirectHttp(keep_alive=profile == "serverless")
    given: Mapping[str, Any] = {
        "engine": Elsewhere(url),
        "http": http,
        "clock": SystemClock(),
        "limits": Limits.of("realtime" if profile == "realtime" else "serverless"),
    }
    spec = ContainerSpec(image="measured")
    made: Endpoint | RealtimeEndpoint
    if profile == "realtime":
        made = RealtimeEndpoint(NAME, spec, **given)
    else:
        config = PolicyConfig.of(given["limits"], max_concurrency=max_concurrency)
        made = Endpoint(NAME, spec, config, **given)
    server = RuntimeServer({NAME: made})
    await made.create()
    print(await server.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await made.close()
    await server.close()
    await http.close()


async def whole(profile: str, image: str, max_concurrency: int, idle_seconds: float) -> None:
    if profile == "realtime":
        setup = Setup(image=image, name=NAME, profile="realtime")
    else:
        setup = Setup(
            image=image, name=NAME, max_concurrency=max_concurrency, idle_seconds=idle_seconds
        )
    async with live(setup) as opened:
        print(opened.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main(command: str, *rest: str) -> None:
    if command == "container":
        run(container(float(rest[0]) if rest else 0.0))
    elif command == "live":
        run(whole(rest[0], rest[1], int(rest[2]), float(rest[3])))
    else:
        run(endpoint(rest[0], rest[1], int(rest[2])))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`python -m benchmarks.endpoint`: what a call through byoc's endpoint costs over the container.

Owns: the measurements and their table. Must not know: how anything works inside. Both sides of a
ratio take turns within one run, with the same client, against the same container.

Two kinds of container: the reference project as byoc started it (called directly at the port
that it is published on), and a server in a process of its own that answers in 0.1 ms, which
shows byoc's own cost bare. One request runs on an instance at a time: where there are 8 callers
there are 8 instances, and direct callers have one each; 64 callers talk to a real-time endpoint
with one instance, which takes all of them at once, as the container does directly. 64 and 200
serverless instances are one and the same fast server.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter

import docker
import psutil

from benchmarks.__main__ import BODY, REFERENCE, plain
from benchmarks.load import Call, Counted, send
from benchmarks.parts import NAME, SHORT
from emulator.loop import run

ROOT = Path(__file__).resolve().parent.parent
KIB_BODY = BODY[:-1] + b" " * (1024 - len(BODY)) + BODY[-1:] if len(BODY) < 1024 else BODY[:1024]
MIB4 = bytes(4 * 1024 * 1024)
ROUNDS = 8
COLD_ROUNDS = 7
IN_FLIGHT, IN_FLIGHT_SECONDS = 200, 30

Row = tuple[str, str, str, str, str]


@contextlib.contextmanager
def part(*arguments: str) -> Iterator[tuple[str, psutil.Process]]:
    """A process of `benchmarks.parts`: its URL, and itself."""
    command = [sys.executable, "-m", "benchmarks.parts", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, f"{command} did not start"
            yield url, psutil.Process(process.pid)
        finally:
            process.communicate(timeout=60)


def published(process: psutil.Process) -> tuple[str, ...]:
    """Where the containers that it owns are reached directly."""
    client = docker.from_env()
    try:
        found = client.containers.list(filters={"label": "byoc.owner"}, ignore_removed=True)
        owned = [c for c in found if c.labels["byoc.owner"].split("/")[1] == str(process.pid)]
        ports = [port for container in owned for port in container.ports.get("8080/tcp") or ()]
        return tuple(f"http://127.0.0.1:{port['HostPort']}" for port in ports)
    finally:
        client.close()


async def take_turns(
    direct: Call, through: Call, connections: int, requests: int
) -> tuple[Counted, Counted]:
    counts = Counted(), Counted()
    for call in (direct, through):
        await send(call, connections, max(connections * 4, requests // 10), Counted())
    for number in range(ROUNDS):
        order = [(direct, counts[0]), (through, counts[1])]
        for call, counted in order if number % 2 == 0 else reversed(order):
            await send(call, connections, requests, counted)
    for counted in counts:
        assert counted.errors == 0, counted.first_error
    return counts


def call_to(urls: tuple[str, ...], body: bytes, kind: str = "application/json") -> Call:
    return Call(urls=urls, path="/invocations", body=body, content_type=kind)


def call_through(url: str, body: bytes, kind: str = "application/json") -> Call:
    path = f"/endpoints/{NAME}/invocations"
    return Call(urls=(url,), path=path, body=body, content_type=kind)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def latency(what: str, counts: tuple[Counted, Counted], goals: dict[int, str]) -> list[Row]:
    direct, through = counts
    rows = []
    for percentile, goal in goals.items():
        of = [c.percentile(percentile) for c in (direct, through)]
        added = milliseconds(of[1] - of[0])
        rows.append((f"{what}, p{percentile}", *map(milliseconds, of), f"+{added}", goal))
    return rows


def throughput(what: str, counts: tuple[Counted, Counted]) -> Row:
    direct, through = (counted.per_second for counted in counts)
    ratio = f"{through / direct:.2f}"
    return (what, f"{direct:.0f}/s", f"{through:.0f}/s", ratio, ">= 0.70")


async def fast_container() -> AsyncIterator[Row]:
    small = {50: "<= +0.3 ms", 99: "<= +3 ms"}
    with part("container") as (url, _):
        with part("endpoint", "serverless", url, "64") as (front, _):
            one = await take_turns(call_to((url,), KIB_BODY), call_through(front, KIB_BODY), 1, 500)
            for row in latency("fast server, 1 KB, 1 caller", one, small):
                yield row
            for kind, title in (("text/csv", "both ways"), (SHORT.decode(), "in")):
                calls = call_to((url,), MIB4, kind), call_through(front, MIB4, kind)
                big = await take_turns(*calls, 1, 15)
                for row in latency(f"fast server, 4 MB {title}, 1 caller", big, {50: "<= +6 ms"}):
                    yield row
            for callers in (8, 64):
                calls = call_to((url,), KIB_BODY), call_through(front, KIB_BODY)
                yield throughput(
                    f"fast server, 1 KB, {callers} callers",
                    await take_turns(*calls, callers, 2000),
                )


async def reference_container() -> AsyncIterator[Row]:
    small = {50: "<= +0.3 ms", 99: "<= +3 ms"}
    with part("live", "serverless", REFERENCE, "8", "300") as (front, process):
        through = call_through(front, KIB_BODY)
        one = await take_turns(call_to(published(process)[:1], KIB_BODY), through, 1, 200)
        for row in latency("reference, 1 KB, 1 caller", one, small):
            yield row
        while len(published(process)) < 8:
            await send(through, 8, 64, Counted())
        eight = await take_turns(call_to(published(process), KIB_BODY), through, 8, 800)
        yield throughput("reference, 1 KB, 8 callers on 8 instances", eight)
    with part("live", "realtime", REFERENCE, "1", "300") as (front, process):
        calls = call_to(published(process), KIB_BODY), call_through(front, KIB_BODY)
        many = await take_turns(*calls, 64, 800)
        yield throughput("reference, 1 KB, 64 callers on 1 real-time instance", many)


async def in_flight() -> AsyncIterator[Row]:
    with part("container", str(IN_FLIGHT_SECONDS)) as (url, _):
        with part("endpoint", "serverless", url, str(IN_FLIGHT)) as (front, process):
            counted, most = Counted(), process.memory_info().rss
            before = most
            sending = asyncio.create_task(
                send(call_through(front, KIB_BODY), IN_FLIGHT, IN_FLIGHT, counted)
            )
            while not sending.done():
                most = max(most, process.memory_info().rss)
                await asyncio.wait({sending}, timeout=0.5)
            await sending
    what = f"{IN_FLIGHT} in flight for {IN_FLIGHT_SECONDS} s"
    late = milliseconds(max(counted.seconds) - IN_FLIGHT_SECONDS)
    yield (f"{what}: errors", "", str(counted.errors), f"+{late} at most", "0")
    megabytes = [f"{rss / 1024 / 1024:.0f} MB" for rss in (before, most)]
    yield (f"{what}: memory", megabytes[0], megabytes[1], "", "< 150 MB")


async def cold_start() -> AsyncIterator[Row]:
    floor, mine = [], []
    client = docker.from_env()
    try:
        with part("live", "serverless", REFERENCE, "1", "0.5") as (front, process):
            for _ in range(COLD_ROUNDS):
                while published(process):
                    await asyncio.sleep(0.2)
                floor.append(await asyncio.to_thread(plain, client))
                began = perf_counter()
                counted = Counted()
                await send(call_through(front, BODY), 1, 1, counted)
                mine.append(perf_counter() - began)
                assert counted.errors == 0, counted.first_error
    finally:
        client.close()
    of = [statistics.median(values) for values in (floor, mine)]
    seconds = [f"{value:.2f} s" for value in of]
    yield ("cold start to first answer, median", *seconds, f"{of[1] / of[0]:.2f}", "<= 1.15")


async def measure() -> None:
    show("", "direct", "through byoc", "added / ratio", "goal")
    for parts in (fast_container(), reference_container(), cold_start(), in_flight()):
        async for row in parts:
            show(*row)
    load = ", ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"load of the machine at the end: {load} on {psutil.cpu_count()} cores")


def show(*cells: str) -> None:
    print(f"{cells[0]:<54}" + "".join(f"{cell:>16}" for cell in cells[1:]), flush=True)


if __name__ == "__main__":
    run(measure())

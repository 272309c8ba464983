"""`python -m benchmarks.control`: what the front adds to moto's own time, call by call.

Owns: the measurement and its table. Must not know: how anything works inside. Both servers are
processes of their own on one machine; boto3 calls them in turn, so that noise hits both. moto's is
its own `moto_server`. Ours has a fake engine: a container's start is no part of a call. The goal is
at most 2 ms more than moto.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from time import perf_counter, sleep
from typing import Any, cast

import boto3
from botocore.config import Config

from emulator.clock import SystemClock
from emulator.engines import ImageInfo
from emulator.loop import run
from emulator.plane import Listening, plane
from emulator.testing import FakeClock, FakeEngine, FakeImage

ROUNDS = 200
WARM = 20
GOAL_MS = 2.0
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/good:1"
ROLE = "arn:aws:iam::123456789012:role/any"
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
PATIENCE = 100

Calls = list[tuple[str, Callable[[int], dict[str, Any]]]]

CALLS: Calls = [
    ("create_model", lambda n: {
        "ModelName": f"m{n}", "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}),
    ("describe_model", lambda n: {"ModelName": f"m{n}"}),
    ("create_endpoint_config", lambda n: {
        "EndpointConfigName": f"c{n}",
        "ProductionVariants": [
            {"VariantName": "v", "ModelName": f"m{n}", "ServerlessConfig": SERVERLESS}]}),
    ("describe_endpoint_config", lambda n: {"EndpointConfigName": f"c{n}"}),
    ("create_endpoint", lambda n: {"EndpointName": f"e{n}", "EndpointConfigName": f"c{n}"}),
    ("describe_endpoint", lambda n: {"EndpointName": f"e{n}"}),
    ("list_endpoints", lambda _: {"MaxResults": 10}),
    ("list_tags", lambda n: {
        "ResourceArn": f"arn:aws:sagemaker:us-east-1:123456789012:model/m{n}"}),
    ("delete_endpoint", lambda n: {"EndpointName": f"e{n}"}),
    ("delete_endpoint_config", lambda n: {"EndpointConfigName": f"c{n}"}),
    ("delete_model", lambda n: {"ModelName": f"m{n}"}),
]  # fmt: skip
"""In the order of a deployment's life."""


async def _serve() -> None:
    """Ours, until standard input ends."""
    info = ImageInfo(
        reference="good:1",
        id="sha256:good",
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=1,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="",
        labels={},
        push_media_type="application/vnd.docker.distribution.manifest.v2+json",
        push_media_type_from="made up",
    )
    engine = FakeEngine(cast("FakeClock", SystemClock()), {"good:1": FakeImage(info=info)})
    async with plane(Listening(), engine, http=engine) as opened:
        sys.stdout.write(f"{opened.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _server(*command: str) -> Iterator[str]:
    """Its URL, which it prints."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                # A pipe that nobody reads fills up with what is logged, and holds the server up.
                Thread(target=process.stdout.read, daemon=True).start()
                yield found[0]
                break
        else:
            raise RuntimeError(f"{command} ended with {process.wait()} and told no URL")
    finally:
        process.terminate()
        process.wait()


def _client(session: boto3.Session, url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return session.client("sagemaker", endpoint_url=url, config=config)


def _settle(client: Any, number: int) -> None:
    """Deleting is refused while Creating."""
    for _ in range(PATIENCE):
        if client.describe_endpoint(EndpointName=f"e{number}")["EndpointStatus"] == "InService":
            return
        sleep(0.002)


def measured() -> dict[str, dict[str, float]]:
    """Milliseconds of each call: medians and what ours adds."""
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name, _ in CALLS}
    session = boto3.Session("any", "any", region_name="us-east-1")
    moto = ("-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
    with _server(*moto) as theirs, _server("-m", "benchmarks.control", "serve") as ours:
        clients = {"moto": _client(session, theirs), "byoc": _client(session, ours)}
        for number in range(WARM + ROUNDS):
            for operation, members in CALLS:
                for side, client in clients.items():
                    if operation == "delete_endpoint":
                        _settle(client, number)
                    call = getattr(client, operation)
                    began = perf_counter()
                    call(**members(number))
                    took = perf_counter() - began
                    if number >= WARM:
                        seconds[operation].setdefault(side, []).append(took * 1000)
    return {operation: _row(sides) for operation, sides in seconds.items()}


def _row(sides: dict[str, list[float]]) -> dict[str, float]:
    moto, byoc = (statistics.median(sides[side]) for side in ("moto", "byoc"))
    return {
        "moto (ms)": round(moto, 2),
        "byoc (ms)": round(byoc, 2),
        "byoc p95 (ms)": round(statistics.quantiles(sides["byoc"], n=20)[-1], 2),
        "added (ms)": round(byoc - moto, 2),
    }


def main(show: Callable[[str], None] = print) -> None:
    rows = measured()
    show(json.dumps(rows, indent=2))
    show(f"most added: {max(row['added (ms)'] for row in rows.values())} ms (goal {GOAL_MS} ms)")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        run(_serve())
    else:
        main()

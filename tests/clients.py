"""A fake endpoint behind the real server of SageMaker Runtime, and AWS's clients as processes.

Owns: what the tests of the AWS CLI and of the SDK for JavaScript share. Must not know: what a
client is to answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import queue
import subprocess
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.api.server import RuntimeServer
from emulator.http import Outcome, Reply, Request
from emulator.runtime_errors import RuntimeFailure
from emulator.wire import Invoke, WireLimits

ROOT = Path(__file__).resolve().parent.parent
JAVASCRIPT = ROOT / "tests" / "javascript"
AWS_CLI = ROOT / ".venv-aws" / "bin" / "aws"
SETUP = "run `scripts/setup.sh tests` (`make test` does)"
NAME = "iris"
REGION, ACCOUNT = "eu-west-1", "123456789012"
CALL_SECONDS = 60


def answer(body: bytes = b"setosa,0.97\n", **headers: str) -> Reply:
    """A success of a container; `_` stands for `-` in a header's name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        request=Request(method="POST", path="/invocations"),
        outcome=Outcome.ANSWERED,
        seconds=0.0,
        status=200,
        headers={"content-type": "text/csv", **named},
        body=body,
        body_bytes=len(body),
    )


@dataclass(kw_only=True)
class Endpoint:
    """Gives what it is told to, in turn; the last of it again and again."""

    wire_limits: WireLimits = field(default_factory=lambda: WireLimits.of("serverless"))
    gives: list[Reply | RuntimeFailure] = field(default_factory=lambda: [answer()])
    came: list[Invoke] = field(default_factory=list)
    answered: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # the first answer waits for it

    async def invoke(self, invoke: Invoke) -> Reply:
        self.came.append(invoke)
        given = self.gives[min(len(self.came), len(self.gives)) - 1]
        if len(self.came) == 1:
            await self.hold.wait()
        self.answered += 1
        if isinstance(given, RuntimeFailure):
            raise given
        return given

    def give(self, *gives: Reply | RuntimeFailure, held: bool = False) -> None:
        self.gives, self.came, self.answered = list(gives), [], 0
        self.hold = asyncio.Event()
        if not held:
            self.hold.set()


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An answer that comes in parts, the last of which may be a failure."""

    headers: Mapping[str, str]
    gives: tuple[bytes | RuntimeFailure, ...]

    @property
    async def parts(self) -> AsyncIterator[bytes]:
        for given in self.gives:
            if isinstance(given, RuntimeFailure):
                raise given
            yield given


@dataclass(kw_only=True)
class RealTime(Endpoint):
    """A real-time endpoint: it also answers in parts."""

    wire_limits: WireLimits = field(default_factory=lambda: WireLimits.of("realtime"))
    parts: tuple[bytes | RuntimeFailure, ...] = ()

    async def invoke_stream(self, invoke: Invoke) -> Stream:
        answered = await self.invoke(invoke)  # the failure before the first part
        return Stream(headers=answered.headers, gives=self.parts)


@dataclass(kw_only=True)
class Served:
    """The server, in a thread of its own."""

    url: str
    endpoint: Endpoint
    portal: BlockingPortal

    def release(self) -> None:
        """Lets the answer go that is held."""
        self.portal.call(self.endpoint.hold.set)

    @property
    def environment(self) -> dict[str, str]:
        """Of a client that knows nothing but one variable, any credentials and a region."""
        return {
            **bare_environment(),
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


def bare_environment() -> dict[str, str]:
    """This process's, without what its user told AWS's clients, by variables or in files."""
    kept = {name: value for name, value in os.environ.items() if not _configures(name)}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def _configures(name: str) -> bool:
    return name.startswith("AWS_") or name.lower().endswith("_proxy")


@contextmanager
def served(endpoint: Endpoint | None = None) -> Iterator[Served]:
    endpoint = endpoint or Endpoint()
    endpoint.hold.set()
    with start_blocking_portal() as portal:

        async def build() -> RuntimeServer:
            return RuntimeServer({NAME: endpoint}, region=REGION, account=ACCOUNT)

        server = portal.call(build)
        try:
            yield Served(url=portal.call(server.start), endpoint=endpoint, portal=portal)
        finally:
            portal.call(server.close)


class JavaScript:
    """One process of Node.js that calls SageMaker Runtime as often as it is asked to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        modules = JAVASCRIPT / "node_modules" / "@aws-sdk" / "client-sagemaker-runtime"
        assert modules.is_dir(), f"the AWS SDK for JavaScript is not installed: {SETUP}"
        self._process = subprocess.Popen(
            ["node", "client.mjs"],
            cwd=JAVASCRIPT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def call(
        self,
        operation: str = "InvokeEndpoint",
        *,
        body: bytes = b"1,2",
        attempts: int | None = None,
        **members: Any,
    ) -> dict[str, Any]:
        """What the program saw, as tests/javascript/client.mjs tells it."""
        shown = base64.b64encode(body).decode()
        call = {
            "operation": operation,
            "input": {"EndpointName": NAME, **members, "Body": shown},
            "config": {} if attempts is None else {"maxAttempts": attempts},
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._lines.get(timeout=CALL_SECONDS))
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(CALL_SECONDS)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def aws(
    environment: Mapping[str, str], directory: Path, arguments: Iterable[str]
) -> subprocess.CompletedProcess[str]:
    """The AWS CLI, which may connect to the loopback only; every host that it looks up or connects
    to is a line of `directory/hosts`.
    """
    assert AWS_CLI.is_file(), f"the AWS CLI is not installed: {SETUP}"
    guard = {"PYTHONPATH": str(ROOT / "tests" / "aws_cli"), "BYOC_HOSTS": str(directory / "hosts")}
    return subprocess.run(
        [str(AWS_CLI), *arguments],
        cwd=directory,
        env={**environment, **guard},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )

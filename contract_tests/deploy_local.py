"""The local SageMaker that a template or a script deploys to, as its caller sees it.

Owns: the server's process, what it told, clients of it. Must not know: templates, scripts, checks.
Clients read nothing of what this machine's user told AWS's SDKs: no keys, no profile, no proxy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.engines import EngineUnavailable

SERVER = (sys.executable, "-m", "contract_tests.deploy_server")

START_SECONDS = 60.0
END_SECONDS = 60.0
"""Its containers have 30 s to stop."""

READ_SECONDS = 250
"""A request that meets a cold start may take 4 minutes (contract 3.15,
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html)."""

NOT_EMULATED = "NotEmulated"
FAILED, IN_SERVICE, GONE = "Failed", "InService", ""

KINDS = (
    ("endpoint", "list_endpoints", "Endpoints", "EndpointName"),
    ("endpoint configuration", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    ("model", "list_models", "Models", "ModelName"),
)

_NOWHERE: Mapping[str, tuple[None, None, str | None, None]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Variables of botocore's session, each with no place that it could be read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A deploy call that was judged."""

    operation: str
    resource: str
    region: str
    by: str
    refused: bool
    code: str
    message: str
    rule: str
    change: str
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A change of an endpoint's status; "" is gone."""

    region: str
    name: str
    status: str
    failure_reason: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """An endpoint, a configuration or a model that exists."""

    kind: str
    name: str
    region: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(slots=True, kw_only=True, eq=False)
class LocalAws:
    """`with open_local(...) as aws`."""

    popen: subprocess.Popen[str]
    region: str
    events: list[Mapping[str, Any]] = field(default_factory=list)
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    told: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)
    _session: Any = None  # it keeps the service models, which take long to read
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __enter__(self) -> LocalAws:
        for read in (self._read, self._read_errors):
            thread = threading.Thread(target=read, daemon=True)
            thread.start()
            self._threads.append(thread)
        try:
            self._wait(lambda: bool(self.events), START_SECONDS)
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Its containers are gone afterwards."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        for client in self._clients.values():
            client.close()
        self.popen.stdin.close()
        try:
            self.popen.wait(END_SECONDS)
        finally:
            self.popen.kill()
            self.popen.wait()
            for thread in self._threads:
                thread.join()
            self.popen.stdout.close()
            self.popen.stderr.close()

    def _check(self) -> None:
        if not self.events or self.events[0]["event"] == "Unavailable":
            said = self.events[0]["reason"] if self.events else "\n".join(self.errors)
            raise EngineUnavailable(f"The local SageMaker did not start: {said}")

    # -- what it told ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return str(self.events[0]["url"])

    @property
    def environment(self) -> dict[str, str]:
        """What is to be exported, for this region."""
        told: Mapping[str, str] = self.events[0]["environment"]
        return {**told, "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}

    def mark(self) -> int:
        """How many events there are, once all is told of what has happened until now."""
        assert self.popen.stdin is not None
        before = self._marks()
        self.popen.stdin.write("?")
        self.popen.stdin.flush()
        self._wait(lambda: self._marks() > before, END_SECONDS)
        if self.ended:
            said = "\n".join(self.errors)
            raise EngineUnavailable(f"The local SageMaker ended by itself: {said}")
        return len(self.events)

    def _marks(self) -> int:
        return sum(told["event"] == "Mark" for told in self.events)

    def calls(self, after: int = 0) -> list[Call]:
        """Of those that were told after so many events."""
        return [Call(**fields) for fields in self._of("Call", after)]

    def statuses(self, after: int = 0) -> list[Status]:
        return [Status(**fields) for fields in self._of("Endpoint", after)]

    def _of(self, event: str, after: int) -> Iterator[dict[str, Any]]:
        for told in self.events[after:]:
            if told["event"] == event:
                yield {name: value for name, value in told.items() if name != "event"}

    # -- what it is asked -----------------------------------------------------------------------

    def client(self, service: str, region: str = "") -> Any:
        """botocore's, which is what boto3's are."""
        import botocore.session
        from botocore.config import Config

        region = region or self.region
        if (service, region) in self._clients:
            return self._clients[service, region]
        self._session = self._session or botocore.session.Session(session_vars=_NOWHERE)
        client = self._clients[service, region] = self._session.create_client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="byoc",
            aws_secret_access_key="byoc",  # noqa: S106 - any is taken
            config=Config(read_timeout=READ_SECONDS, retries={"total_max_attempts": 1}, proxies={}),
        )
        return client

    def there(self) -> list[There]:
        """What SageMaker has, in every region that was called."""
        found = []
        for region in sorted({self.region, *(call.region for call in self.calls())}):
            client = self.client("sagemaker", region)
            for kind, operation, member, name in KINDS:
                pages = client.get_paginator(operation).paginate()
                named = [one[name] for page in pages for one in page[member]]
                found += [There(kind=kind, name=each, region=region) for each in named]
        return found

    # -- reading --------------------------------------------------------------------------------

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                self.errors.append(line.rstrip())
                continue
            with self.told:
                self.events.append(event)
                self.told.notify_all()
        with self.told:
            self.ended = True
            self.told.notify_all()

    def _read_errors(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.errors.append(line.rstrip())

    def _wait(self, until: Callable[[], bool], seconds: float) -> None:
        with self.told:
            self.told.wait_for(lambda: self.ended or until(), timeout=seconds)


def open_local(
    image: str, region: str, startup_seconds: float | None, server: Sequence[str] = SERVER
) -> LocalAws:
    """To be entered. Raises EngineUnavailable."""
    seconds = [] if startup_seconds is None else [str(startup_seconds)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    popen = subprocess.Popen(
        [*server, image, *seconds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # Ctrl-C is ours; it ends when we leave
    )
    return LocalAws(popen=popen, region=region)

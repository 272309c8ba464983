"""`byoc serve` as a process of its own, for clients that know of it by the environment alone.

Owns: the process, what it tells with --json, and images in the engine under names of ECR. Must not
know: what a client does.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil

from emulator import owner
from emulator.api.runtime import REGION
from tests.clients import ACCOUNT, bare_environment
from tests.deploy_world import names

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = "byoc-reference:latest"
SECONDS = 60.0
ROLE = f"arn:aws:iam::{ACCOUNT}:role/iris"
Event = dict[str, Any]


@dataclass(kw_only=True)
class Serving:
    """`environment` is what `byoc serve` says is to be exported, and nothing that this machine's
    user told AWS's clients. All is told of one region; tests that share a process take one each.
    """

    popen: subprocess.Popen[str]
    region: str
    events: list[Event] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)
    ended: threading.Event = field(default_factory=threading.Event)

    def at(self, region: str) -> Serving:
        return dataclasses.replace(self, region=region)

    def event(self, matches: Callable[[Event], bool], after: int = 0) -> Event:
        """The first of these, of what was told so far or will be."""

        def found() -> Event | None:
            return next((event for event in self.events[after:] if matches(event)), None)

        with self.told:
            self.told.wait_for(lambda: self.ended.is_set() or found(), timeout=SECONDS)
            one = found()
        assert one is not None, f"it was not told; told was {self.events[after:][-20:]}"
        return one

    def calls(self, after: int = 0) -> list[Event]:
        return self._here("Call", after)

    def statuses(self, name: str, after: int = 0) -> list[str]:
        return [one["status"] for one in self._here("Endpoint", after) if one["name"] == name]

    def gone(self, name: str) -> None:
        """Waits until nothing of the endpoint is left."""
        self.event(
            lambda one: (
                (one["event"], one.get("name"), one.get("status")) == ("Endpoint", name, "Deleted")
                and one["region"] == self.region
            )
        )

    def _here(self, event: str, after: int) -> list[Event]:
        told = (one for one in self.events[after:] if one["event"] == event)
        return [one for one in told if one["region"] == self.region]

    @property
    def owner(self) -> str:
        """The label of everything that it starts."""
        began = psutil.Process(self.popen.pid).create_time()
        return f"{owner.host()}/{self.popen.pid}/{began:.2f}"

    @property
    def listening(self) -> Event:
        return self.event(lambda one: one["event"] == "Listening")

    @property
    def url(self) -> str:
        return str(self.listening["url"])

    @property
    def environment(self) -> dict[str, str]:
        told: Mapping[str, str] = self.listening["environment"]
        here = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), self.region)
        return {**bare_environment(), **told, **here}

    def uri(self, repository: str, tag: str = "latest") -> str:
        return f"{ACCOUNT}.dkr.ecr.{self.region}.amazonaws.com/{repository}:{tag}"

    def client(self, service: str) -> Any:
        told = self.environment
        session = boto3.Session(
            told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], region_name=self.region
        )
        return session.client(service, endpoint_url=self.url)

    def names(self) -> dict[str, list[str]]:
        """What SageMaker has, by kind."""
        return names(self.client("sagemaker"))

    def run(
        self, *command: str | Path, directory: Path = ROOT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A program that knows of us by the environment alone."""
        return subprocess.run(
            [str(word) for word in command],
            cwd=directory,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self.told:
                self.events.append(json.loads(line))
                self.told.notify_all()
        with self.told:
            self.ended.set()
            self.told.notify_all()


@contextmanager
def serving(*options: str, warns: str = "") -> Iterator[Serving]:
    """Fails also when it does not end in order, or warns of anything but what begins so."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "emulator.cli", "serve", "--port", "0", "--json", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Serving(popen=popen, region=REGION)
    errors: list[str] = []
    assert popen.stderr is not None
    read_errors = popen.stderr.read
    readers = [
        threading.Thread(target=running.read),
        threading.Thread(target=lambda: errors.append(read_errors())),
    ]
    for reader in readers:
        reader.start()
    try:
        yield running
    finally:
        popen.terminate()
        try:
            popen.wait(SECONDS)
        finally:
            popen.kill()
            for reader in readers:
                reader.join()
            popen.stdout.close()  # type: ignore[union-attr]
            popen.stderr.close()
    lines = "".join(errors).splitlines()
    assert [line for line in lines if not (warns and line.startswith(warns))] == []
    assert popen.returncode == 0


@contextmanager
def tagged(*names: str, image: str = REFERENCE) -> Iterator[None]:
    """The image has these names as well, as after `docker tag`."""
    for name in names:
        docker("tag", image, name)
    try:
        yield
    finally:
        docker("rmi", *names)


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout

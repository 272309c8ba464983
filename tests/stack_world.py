"""CloudFormation on a port of its own, above a SageMaker that does as it is told.

Owns: calls that are judged by the real rules and kept, endpoints that settle on command, and the
door before them. Must not know: what a stack is to do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from emulator.api.moto_app import MotoApp, moto_lock
from emulator.api.stacks.mount import CloudFormation
from emulator.control.known import Inventory, KnownEndpoint
from emulator.control.rules import Refusal, refusal
from tests.clients import ACCOUNT
from tests.front_world import front

REGION = "eu-central-1"
PATIENCE = 20.0


class Refused(Exception):
    def __init__(self, refused: Refusal) -> None:
        super().__init__(refused.message)
        self.refusal = refused


@dataclass
class FakeCalls:
    """`fails` gives the FailureReason of an endpoint by the name of its configuration's model."""

    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    models: dict[str, Any] = field(default_factory=dict)
    configurations: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)  # operation -> text
    let_go: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        for kept in (self.made, self.models, self.configurations, self.endpoints, self.fails,
                     self.refuses):  # fmt: skip
            kept.clear()  # type: ignore[attr-defined]
        self.let_go.set()
        self.waiting.clear()

    def hold(self) -> None:
        """Endpoints that are under way stay so until `let_go`."""
        self.let_go.clear()
        self.waiting.clear()

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.made]

    def body(self, operation: str) -> dict[str, Any]:
        (found,) = [body for name, body in self.made if name == operation]
        return found

    def call(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        region: str,
        account: str,
        by: str = "api",
    ) -> dict[str, Any]:
        assert moto_lock.locked(), "a call needs the lock"
        assert (region, account, by) == (REGION, ACCOUNT, "cloudformation")
        if operation in self.refuses:
            raise Refused(Refusal(code="ValidationException", message=self.refuses[operation]))
        refused = refusal(operation, json.loads(json.dumps(body)), self._known())
        if refused is not None:
            raise Refused(refused)
        self.made.append((operation, dict(body)))
        return self._done(operation, dict(body))

    def settled(self, endpoint_name: str, *, region: str, account: str) -> tuple[str | None, str]:
        assert (region, account) == (REGION, ACCOUNT)
        found = self.endpoints.get(endpoint_name)
        if found is not None and found["status"].endswith("ing"):
            moto_lock.release()
            self.waiting.set()
            try:
                assert self.let_go.wait(PATIENCE), "nobody let the endpoint go"
            finally:
                moto_lock.acquire()
            self._settle(endpoint_name, found)
        found = self.endpoints.get(endpoint_name)
        return (None, "") if found is None else (found["status"], found["reason"])

    def _known(self) -> Inventory:
        return Inventory(
            region=REGION,
            models=self.models,
            configurations=self.configurations,
            endpoints={
                name: KnownEndpoint(status=one["status"]) for name, one in self.endpoints.items()
            },
        )

    def _done(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("EndpointName", "")
        match operation:
            case "CreateModel":
                self.models[body["ModelName"]] = body
            case "CreateEndpointConfig":
                self.configurations[body["EndpointConfigName"]] = body
            case "CreateEndpoint":
                config = body["EndpointConfigName"]
                self.endpoints[name] = {"status": "Creating", "config": config, "reason": ""}
            case "UpdateEndpoint":
                self.endpoints[name] |= {"status": "Updating", "new": body["EndpointConfigName"]}
            case "DeleteEndpoint":
                self.endpoints[name]["status"] = "Deleting"
            case "DeleteModel":
                del self.models[body["ModelName"]]
            case "DeleteEndpointConfig":
                del self.configurations[body["EndpointConfigName"]]
            case "DescribeEndpoint":
                return {"EndpointConfigName": self.endpoints[name]["config"]}
        return {}

    def _settle(self, name: str, found: dict[str, Any]) -> None:
        if found["status"] == "Deleting":
            del self.endpoints[name]
            return
        config = found.get("new", found["config"])
        model = self.configurations[config]["ProductionVariants"][0]["ModelName"]
        failed = next((why for part, why in self.fails.items() if part in model), "")
        if found["status"] == "Updating":
            found |= {"status": "InService", "reason": failed}
            found["config"] = found["config"] if failed else config
        else:
            found |= {"status": "Failed" if failed else "InService", "reason": failed}


@dataclass
class World:
    url: str
    calls: FakeCalls
    door: CloudFormation
    session: boto3.Session = field(
        default_factory=lambda: boto3.Session("any", "any", region_name=REGION)
    )

    def client(self, service: str) -> Any:
        once = Config(retries={"total_max_attempts": 1})
        return self.session.client(service, endpoint_url=self.url, config=once)


@contextmanager
def stack_world() -> Iterator[World]:
    async def prepare(_service: str, _region: str) -> Any:
        return lambda: None

    calls = FakeCalls()
    calls.reset()
    moto = MotoApp(None, prepare)
    door = CloudFormation(moto, calls)
    try:
        with front(mounts=[door.mount, moto.mount]) as served:
            try:
                yield World(url=served.url, calls=calls, door=door)
            finally:
                calls.let_go.set()
                served.portal.call(door.close)
    finally:
        moto.close()

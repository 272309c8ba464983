"""The front with a fake engine behind it, and boto3 or plain HTTP before it.

Owns: the server in a thread of its own, how it is called, and which images there are. Must not
know: the tests. Nothing here needs Docker, and nothing waits for anything but what it asked for.
"""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import boto3
from anyio.from_thread import BlockingPortal, start_blocking_portal
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.api.runtime import ACCOUNT, REGION
from emulator.clock import SystemClock
from emulator.plane import Listening, Plane, plane
from emulator.running import CallTold
from emulator.testing import FakeClock, FakeContainer, FakeEngine, FakeImage
from tests.deployed_world import image

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=any/20260101/{region}/sagemaker/aws4_request,"
    " SignedHeaders=host, Signature=0"
)
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = f"{HOST}/good:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/Any"
CLIENT_SECONDS = 20

logging.getLogger("botocore").setLevel(logging.WARNING)

Body = dict[str, Any]


class Engine(FakeEngine):
    """In real time, which passes only where a test's image lets it pass."""

    def __init__(self, images: Mapping[str, FakeImage]) -> None:
        super().__init__(cast("FakeClock", SystemClock()), images)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP response."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else {}

    @property
    def refusal(self) -> tuple[str, str]:
        """Code and text of an error, which AWS's JSON protocol has in these two places."""
        assert self.status != 200, self.body
        assert self.headers["x-amzn-errortype"] == self.body["__type"]
        return self.body["__type"], self.body["message"]


@dataclass(kw_only=True)
class World:
    url: str
    engine: Engine
    plane: Plane
    portal: BlockingPortal
    calls: list[CallTold] = field(default_factory=list)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis would show all that ever happened here."""
        printer.text("World()")

    @cached_property
    def session(self) -> boto3.Session:
        """One for all: it keeps the service models, which take long to read."""
        return boto3.Session("any", "any", region_name=REGION)

    def client(self, service: str = "sagemaker", region: str = REGION) -> Any:
        """Sends what it is told to: AWS's server is the judge here."""
        if (service, region) not in self._clients:
            config = Config(
                parameter_validation=False,
                retries={"total_max_attempts": 1},
                read_timeout=CLIENT_SECONDS,
            )
            self._clients[service, region] = self.session.client(
                service, region_name=region, endpoint_url=self.url, config=config
            )
        return self._clients[service, region]

    def refused(self, operation: str, region: str = REGION, **members: Any) -> tuple[str, str]:
        """Code and text that boto3 tells."""
        try:
            done = self.client(region=region)._make_api_call(operation, members)
        except ClientError as error:
            said = error.response["Error"]
            return said["Code"], said["Message"]
        raise AssertionError(f"{operation} was done: {done}")

    def post(
        self,
        operation: str,
        body: Any = None,
        *,
        region: str | None = REGION,
        raw: bytes | None = None,
        agent: str = "any",
    ) -> Answer:
        """Over plain HTTP, as any program may."""
        sent = {"Content-Type": "application/x-amz-json-1.1", "User-Agent": agent}
        if operation:
            sent["X-Amz-Target"] = f"SageMaker.{operation}"
        if region is not None:
            sent["Authorization"] = AUTHORIZATION.format(region=region)
        data = json.dumps({} if body is None else body).encode() if raw is None else raw
        connection = self._connection
        connection.request("POST", "/", data, sent)
        response = connection.getresponse()
        read = response.read()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=names, raw=read)

    def done(self, operation: str, body: Any = None, *, region: str = REGION) -> Any:
        """The answer of a call that is accepted."""
        answer = self.post(operation, body, region=region)
        assert answer.status == 200, answer.body
        return answer.body

    @cached_property
    def _connection(self) -> http.client.HTTPConnection:
        host = self.url.removeprefix("http://")
        return http.client.HTTPConnection(host, timeout=CLIENT_SECONDS)

    def settled(self, name: str, region: str = REGION) -> str:
        """The endpoint's status when nothing goes on there any more."""
        self.portal.call(self.plane.deployments.settled, name, region)
        endpoint = self.plane.deployments.get(name, region)
        return "" if endpoint is None else endpoint.status.value

    def running(self) -> list[FakeContainer]:
        return self.engine.running

    def close(self) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()
        for client in self._clients.values():
            client.close()


def model(name: str = "m", tag: str = "good:1", **members: Any) -> Body:
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": f"{HOST}/{tag}"},
        "ExecutionRoleArn": ROLE,
        **members,
    }


def variant(name: str = "AllTraffic", model: str = "m", **members: Any) -> Body:
    """Of instances when a type is said, else serverless."""
    if "InstanceType" not in members:
        members.setdefault("ServerlessConfig", {"MemorySizeInMB": 2048, "MaxConcurrency": 5})
    else:
        members.setdefault("InitialInstanceCount", 1)
    return {"VariantName": name, "ModelName": model, **members}


def configuration(*variants: Body, name: str = "c", **members: Any) -> Body:
    return {
        "EndpointConfigName": name,
        "ProductionVariants": list(variants) or [variant()],
        **members,
    }


def endpoint(name: str = "e", configuration: str = "c", **members: Any) -> Body:
    return {"EndpointName": name, "EndpointConfigName": configuration, **members}


@contextmanager
def control_world(**images: FakeImage) -> Iterator[World]:
    """`images` by repository, each under the tag `1`."""
    known = {"good": image("good"), "better": image("better"), **images}
    with start_blocking_portal() as portal:
        engine = Engine({f"{name}:1": one for name, one in known.items()})

        async def build() -> Any:
            return plane(Listening(), engine, http=engine)

        with portal.wrap_async_context_manager(portal.call(build)) as opened:
            world = World(url=opened.url, engine=engine, plane=opened, portal=portal)
            opened.fleet.call_listeners.append(world.calls.append)
            try:
                yield world
            finally:
                world.close()
    assert engine.running == []

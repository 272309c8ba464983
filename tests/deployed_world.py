"""Deployed endpoints with a fake engine in virtual time, for tests of what becomes of them.

Owns: their images and model archives, the orders that tests give, and what must hold when all are
gone. Must not know: the tests.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.control.known import Body
from emulator.control.orders import Serverless, VariantOrder
from emulator.deployed import DeployedEndpoint
from emulator.deployed_variant import Version
from emulator.deployments import Deployments
from emulator.engines import ImageInfo
from emulator.http import Reply
from emulator.running import EndpointTold, Fleet, Running
from emulator.testing import FakeClock, FakeImage
from emulator.variant import Found, Numbers, Workshop
from emulator.wire import Invoke
from emulator.wire_members import Operation
from tests.endpoint_world import Engine

REGION = "eu-west-1"
REPOSITORY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/iris"
GONE = f"{REPOSITORY}:gone"
SERVERLESS = Serverless(memory_mb=2048, max_concurrency=5)

Story = Callable[[], Coroutine[Any, Any, None]]


def info(identity: str, size_bytes: int = 1000) -> ImageInfo:
    return ImageInfo(
        reference=identity,
        id=identity,
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=size_bytes,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="",
        labels={},
        push_media_type="application/vnd.docker.distribution.manifest.v2+json",
        push_media_type_from="made up",
    )


def image(tag: str, size_bytes: int = 1000, **members: Any) -> FakeImage:
    """Answers what it is called, after a hundredth of a second."""
    members.setdefault("handler", lambda request, age: (0.01, 200, tag.encode()))
    return FakeImage(info=info(f"sha256:{tag}", size_bytes), **members)


def uri(tag: str) -> str:
    return f"{REPOSITORY}:{tag}"


def archive(**files: str) -> bytes:
    """A model.tar.gz."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()


def order(tag: str = "good", name: str = "AllTraffic", **members: Any) -> VariantOrder:
    """Serverless, but with an instance type."""
    if "instance_type" not in members:
        members.setdefault("serverless", SERVERLESS)
    return VariantOrder(name=name, model="m", image=uri(tag), **members)


def instances(tag: str = "good", name: str = "AllTraffic", **members: Any) -> VariantOrder:
    return order(tag, name, instance_type="ml.m5.large", **members)


def version(*orders: VariantOrder, configuration: str = "c", **members: Any) -> Version:
    return Version(
        configuration=configuration,
        body={
            "EndpointConfigName": configuration,
            "ProductionVariants": [body_of(one) for one in orders],
        },
        orders=orders,
        **members,
    )


def body_of(order: VariantOrder) -> Body:
    body: dict[str, Any] = {
        "VariantName": order.name,
        "ModelName": order.model,
        "InitialVariantWeight": order.weight,
    }
    if order.serverless is not None:
        return {**body, "ServerlessConfig": order.serverless.body()}
    count = order.instance_count
    return {**body, "InstanceType": order.instance_type, "InitialInstanceCount": count}


@dataclass(frozen=True, kw_only=True)
class Here:
    reference: str
    digest: str | None = None


class Images:
    """The engine's own, by tag."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, uri: str) -> Found | None:
        tag = uri.rpartition(":")[2]
        return Here(reference=tag) if tag in self._engine.images else None

    async def why_missing(self, uri: str) -> str:
        return f"build {uri} first"


class Watcher:
    def __init__(self) -> None:
        self.opened_: list[Running] = []
        self.closed_: list[Running] = []

    def opened(self, running: Running) -> None:
        self.opened_.append(running)

    def closed(self, running: Running) -> None:
        self.closed_.append(running)


async def at_once(work: Callable[[], None]) -> None:
    """Virtual time does not see threads."""
    await asyncio.sleep(0)
    work()


@dataclass(kw_only=True)
class World:
    clock: FakeClock
    engine: Engine
    fleet: Fleet
    deployments: Deployments
    archives: dict[str, bytes]
    told: list[EndpointTold] = field(default_factory=list)
    watcher: Watcher = field(default_factory=Watcher)

    def statuses(self, name: str = "iris") -> list[str]:
        """Each one it had, in turn."""
        return [one.status.value if one.status else "" for one in self.told if one.name == name]

    def running(self) -> list[str]:
        """Images of the containers that run."""
        return sorted(container.spec.image for container in self.engine.running)

    async def create(self, *orders: VariantOrder, name: str = "iris") -> DeployedEndpoint:
        """Returns when it has settled."""
        endpoint = self.deployments.create(name, version(*orders), REGION)
        await self.deployments.settled(name, REGION)
        return endpoint

    async def update(self, *orders: VariantOrder, name: str = "iris", **members: Any) -> None:
        self.deployments.update(name, REGION, version(*orders, **members))
        await self.deployments.settled(name, REGION)

    async def adjust(self, *orders: VariantOrder, name: str = "iris") -> None:
        self.deployments.adjust(name, REGION, orders)
        await self.deployments.settled(name, REGION)

    async def ask(
        self, target: str | None = None, name: str = "iris", body: bytes = b"x"
    ) -> tuple[str, bytes]:
        """Which variant answered, and what. Raises RuntimeFailure."""
        endpoint = self.deployments.find(name, REGION)
        assert endpoint is not None, "it does not serve"
        variant, driver = endpoint.route(target)
        operation = Operation.INVOKE
        reply = await driver.invoke(Invoke(operation=operation, endpoint=name, body=body))
        assert isinstance(reply, Reply)
        return variant, reply.body


def run(world: World, story: Story) -> None:
    """Afterwards all is deleted, and nothing is left of anything."""

    async def whole() -> None:
        try:
            await story()
        finally:
            await world.deployments.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert [task for task in left if "drive" not in str(task.get_coro())] == []

    world.clock.run(whole())
    assert world.engine.running == []
    assert world.fleet.running() == ()
    assert world.fleet.statuses == {}
    assert world.deployments.all() == ()
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    opened = {id(one.endpoint) for one in world.watcher.opened_}
    closed = [id(one.endpoint) for one in world.watcher.closed_]
    assert set(closed) == opened
    assert len(closed) == len(opened), "each is closed once"


def world(
    images: Mapping[str, FakeImage] | None = None,
    *,
    archives: Mapping[str, bytes] | None = None,
    numbers: Numbers | None = None,
    fetch: Callable[[str], Awaitable[bytes | None]] | None = None,
) -> World:
    clock = FakeClock()
    known = {"good": image("good"), "better": image("better"), **(images or {})}
    engine = Engine(clock, known)
    kept = dict(archives or {})

    async def kept_there(url: str) -> bytes | None:
        return kept.get(url)

    workshop = Workshop(
        engine,
        clock,
        Images(engine),
        fetch or kept_there,
        numbers or Numbers(),
        http=engine,
        aside=at_once,
    )
    fleet = Fleet()
    made = World(
        clock=clock,
        engine=engine,
        fleet=fleet,
        deployments=Deployments(workshop, fleet, clock),
        archives=kept,
    )
    fleet.status_listeners.append(made.told.append)
    fleet.watchers.append(made.watcher)
    return made

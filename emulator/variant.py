"""From the order of a production variant to a driver that can be started.

Owns: finding the image, fetching the model data, the numbers that an order leaves open. Must not
know: endpoints (`deployed`), how a driver works, moto, HTTP to callers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from emulator import model_data, owner
from emulator.clock import Clock
from emulator.control.instance_types import hardware
from emulator.control.orders import VariantOrder
from emulator.endpoint import Endpoint
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_setup import Setup
from emulator.engines import ContainerSpec, Engine, ImageInfo, ImageNotFound
from emulator.errors import ARCHIVE, IMAGE_TOO_BIG, Usage
from emulator.http import Http
from emulator.http_direct import DirectHttp
from emulator.limits import IDLE_SECONDS, Limits

Driver = Endpoint | RealtimeEndpoint


class CannotDeploy(Exception):
    """The variant cannot run; the text is DescribeEndpoint's FailureReason."""


class Found(Protocol):
    """An image that was found: what the engine starts."""

    @property
    def reference(self) -> str: ...
    @property
    def digest(self) -> str | None: ...


class FindsImages(Protocol):
    """`emulator.images.Images` is one."""

    async def find(self, uri: str) -> Found | None: ...
    async def why_missing(self, uri: str) -> str: ...


FetchesModelData = Callable[[str], Awaitable[bytes | None]]
"""The object at an S3 URL; None when it is not there."""

Aside = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs what takes long where it holds nobody up; returns when it is done, also when cancelled."""


async def in_a_thread(work: Callable[[], None]) -> None:
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])  # it writes to what its caller is about to remove
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What AWS does not let its users choose, and a local endpoint does: for every endpoint that is
    deployed. See `Setup`.
    """

    startup_seconds: float | None = None
    idle_seconds: float = IDLE_SECONDS
    halving_seconds: float | None = None
    max_age_seconds: float | None = None
    freeze: bool = False
    limits: Limits | None = None  # tests shrink them

    def of(self, *, serverless: bool) -> dict[str, Any]:
        limits = {} if self.limits is None else {"limits": self.limits}
        if not serverless:
            return limits
        own = {
            one.name: getattr(self, one.name)
            for one in dataclasses.fields(self)
            if one.name not in ("limits", "startup_seconds")
        }
        return {**own, **limits}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A variant that can be started. `held` is what lives as long as it runs."""

    order: VariantOrder
    setup: Setup
    spec: ContainerSpec
    resolved: str  # what DescribeEndpoint calls ResolvedImage
    held: AsyncExitStack = field(default_factory=AsyncExitStack)


class Workshop:
    """Prepares variants and builds their drivers."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        images: FindsImages,
        fetch: FetchesModelData,
        numbers: Numbers,
        *,
        http: Http | None = None,
        aside: Aside = in_a_thread,
    ) -> None:
        self._engine, self._clock = engine, clock
        self._images, self._fetch, self._numbers = images, fetch, numbers
        self._aside = aside
        # A real-time container gets several requests at once: see DirectHttp.
        self._http: dict[bool, Http] = {
            serverless: http or DirectHttp(clock, keep_alive=serverless)
            for serverless in (True, False)
        }

    def now(self) -> float:
        return self._clock.now()

    async def close(self) -> None:
        for http in self._http.values():
            await http.close()

    async def prepare(self, order: VariantOrder, name: str) -> Prepared:
        """Raises CannotDeploy, EngineUnavailable. `name` is the endpoint's."""
        found = await self._images.find(order.image)
        if found is None:
            why = await self._images.why_missing(order.image)
            raise CannotDeploy(f"Requested image {order.image} not found. [byoc: {why}]")
        async with AsyncExitStack() as held:
            directory = await self._model_directory(order, held)
            setup = self._setup(order, name, found.reference, directory)
            info = await self._image(setup.image)
            made = self._prepared(order, setup, info, digest=found.digest)
            return dataclasses.replace(made, held=held.pop_all())

    async def given(self, order: VariantOrder, setup: Setup) -> Prepared:
        """The same of a setup that somebody chose. Raises ImageNotFound, EngineUnavailable, Usage,
        CannotDeploy.
        """
        info = await self._engine.image(setup.image)
        async with AsyncExitStack() as held:
            directory = setup.model_data
            if directory is not None and not directory.is_dir():
                directory = await self._unpacked(directory, held)
            made = self._prepared(order, setup, info, directory=directory)
            return dataclasses.replace(made, held=held.pop_all())

    def driver(self, prepared: Prepared) -> Driver:
        """It has not begun yet."""
        setup = prepared.setup
        serverless = setup.profile == "serverless"
        common: dict[str, Any] = {
            "engine": self._engine,
            "http": self._http[serverless],
            "clock": self._clock,
            "limits": setup.limits,
        }
        if not serverless:
            count = setup.instance_count
            return RealtimeEndpoint(setup.name, prepared.spec, instance_count=count, **common)
        return Endpoint(setup.name, prepared.spec, setup.policy, freeze=setup.freeze, **common)

    def _setup(self, order: VariantOrder, name: str, image: str, directory: Path | None) -> Setup:
        numbers = self._numbers.of(serverless=order.serverless is not None)
        window = order.startup_seconds or self._numbers.startup_seconds
        common: dict[str, Any] = {
            "image": image,
            "name": name,
            "environment": order.environment,
            "model_data": directory,
            "startup_seconds": window,
            "network": not order.isolated,
            **numbers,
        }
        if order.serverless is not None:
            return Setup(
                memory_mb=order.serverless.memory_mb,
                max_concurrency=order.serverless.max_concurrency,
                provisioned_concurrency=order.serverless.provisioned,
                **common,
            )
        return Setup(
            profile="realtime",
            memory_mb=hardware(order.instance_type).memory_mb,
            instance_count=max(1, order.instance_count),
            **common,
        )

    async def _image(self, reference: str) -> ImageInfo:
        try:
            return await self._engine.image(reference)
        except ImageNotFound as error:
            raise CannotDeploy(f"Requested image {reference} not found. [byoc: {error}]") from error

    def _prepared(
        self,
        order: VariantOrder,
        setup: Setup,
        info: ImageInfo,
        *,
        directory: Path | None = None,
        digest: str | None = None,
    ) -> Prepared:
        most = setup.limits.image_bytes or math.inf
        if info.size_bytes > most:
            text = IMAGE_TOO_BIG.text.replace("<bytes>", str(info.size_bytes))
            raise CannotDeploy(text.replace("10737418240", str(most)))
        return Prepared(
            order=order,
            setup=setup,
            spec=setup.spec(directory or setup.model_data),
            resolved=resolved(order.image, digest or info.digest or info.id),
        )

    async def _model_directory(self, order: VariantOrder, held: AsyncExitStack) -> Path | None:
        url = order.model_data_url
        if not url:
            return None
        data = await self._fetch(url)
        if data is None:
            raise CannotDeploy(
                f"Could not access model data at {url}. [byoc: there is no such object in the local"
                " S3; put it there first, through the same AWS_ENDPOINT_URL]"
            )
        temporary = owner.temporary_directory()
        archive = temporary.path / "model.tar.gz"
        try:
            await self._aside(lambda: _written(archive, data))
            return await self._unpacked(archive, held)
        except Usage as error:
            words = str(error).replace(f"--model-data {archive}", url)
            words = words.replace(f"; it would show, in {ARCHIVE}", "")
            text = ARCHIVE.text.replace("<url>", url)
            raise CannotDeploy(f"{text} [byoc: {words}]") from error
        finally:
            temporary.close()

    async def _unpacked(self, archive: Path, held: AsyncExitStack) -> Path:
        temporary = owner.temporary_directory()
        held.callback(temporary.close)
        await self._aside(lambda: model_data.unpack(archive, temporary.path))
        return temporary.path


def _written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def resolved(uri: str, digest: str) -> str:
    """As DescribeEndpoint tells it: by digest. An image that was never pushed has none; its id
    stands in.
    """
    repository = uri.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{digest}"

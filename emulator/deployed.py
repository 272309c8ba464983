"""One deployed endpoint: its variants, the share of requests that each gets, and its status.

Owns: blue/green updates with roll-back, weights, and what DescribeEndpoint has to tell. Must not
know: names of other endpoints (`deployments`), bodies of calls, how a driver works, moto.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from datetime import datetime

from emulator.clock import wall_clock
from emulator.control.orders import VariantOrder
from emulator.deployed_keeper import Keeper
from emulator.deployed_variant import Variant, Version, in_place, last_lines, named, route
from emulator.endpoint import Endpoint
from emulator.endpoint_state import SERVING, EndpointStatus
from emulator.endpoint_update import must_serve
from emulator.engines import EngineUnavailable, ImageNotFound
from emulator.errors import Usage
from emulator.running import EndpointTold, Fleet
from emulator.variant import CannotDeploy, Driver, Prepared, Workshop
from emulator.wire import WireLimits

log = logging.getLogger("byoc.deployed")

IN_PROGRESS = (
    EndpointStatus.CREATING,
    EndpointStatus.UPDATING,
    EndpointStatus.ROLLING_BACK,
    EndpointStatus.DELETING,
)
"""A waiter waits for the end of these."""

MOST_REASON = 1024
"""Characters of FailureReason (contract 6.10)."""


class DeployedEndpoint:
    """`create()`, then `update()` and `adjust()`, then `delete()`. Requests come by `route()`."""

    def __init__(
        self, name: str, version: Version, *, region: str, workshop: Workshop, fleet: Fleet
    ) -> None:
        self.name, self.region = name, region
        self.version = version
        self.failure_reason = ""
        self.created = self.modified = wall_clock()
        self.trouble: Exception | None = None  # the container is not to blame
        self.gone = False
        self.pending: Version | None = version  # a new configuration that is to serve
        self.adjusting: Version | None = None  # other numbers of the one that serves
        self.pending_since: datetime = self.created
        self._workshop, self._fleet = workshop, fleet
        self._keeper = Keeper(name, region, workshop, fleet)
        self._status = EndpointStatus.CREATING
        self._variants: dict[str, Variant] = {}
        self.log: tuple[str, ...] = ()  # the last lines of a version that did not come to serve
        self._changed = asyncio.Event()
        self._deleting: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._tell()

    # -- what is to be told --------------------------------------------------------------------

    @property
    def status(self) -> EndpointStatus:
        return self._status

    @property
    def variants(self) -> Sequence[Variant]:
        return tuple(self._variants.values())

    @property
    def wire_limits(self) -> WireLimits:
        """All variants are of one kind: AWS mixes none (contract 4.14)."""
        return next(iter(self._variants.values())).driver.wire_limits

    @property
    def serves(self) -> bool:
        return self.status in SERVING and bool(self._variants)

    @property
    def variant_names(self) -> Collection[str]:
        return self._variants.keys()

    def route(self, target: str | None) -> tuple[str, Driver]:
        """Which variant answers: the one that is named, else by weight. Raises ValidationError."""
        variant = route(self._variants, target)
        return variant.name, variant.driver

    async def settled(self) -> None:
        """Returns when nothing goes on: InService, Failed, or gone."""
        while not self.gone and self.status in IN_PROGRESS:
            await self._changed.wait()

    # -- what can be done ----------------------------------------------------------------------

    def create(self, first: Sequence[Prepared] = ()) -> asyncio.Task[None]:
        """Begins. Afterwards the status is InService, or Failed with a FailureReason, and then
        nothing is left running; `trouble` holds what is not the container's fault.
        """
        if first:
            self._take_over(self._keeper.open(first))
        return self._begin(self._create())

    def update(self, version: Version) -> asyncio.Task[None]:
        """The new version takes over when it is ready; else the old one stays, and
        `failure_reason` tells why (contract 6.22, contract 6.24). Raises Usage.
        """
        must_serve(self.name, self.status)
        self.pending, self.pending_since, self.log = version, wall_clock(), ()
        return self._change(lambda: self._replace(version))

    def adjust(self, orders: Sequence[VariantOrder]) -> asyncio.Task[None]:
        """Weights, counts of instances and concurrency in place (contract 4.19). Raises Usage."""
        must_serve(self.name, self.status)
        version = dataclasses.replace(self.version, orders=tuple(orders))
        self.adjusting, self.pending_since = version, wall_clock()
        return self._change(lambda: self._adjust(version))

    async def delete(self) -> None:
        """May be called at any time and twice; returns when nothing is left of it."""
        if self._deleting is None:
            self._become(EndpointStatus.DELETING)
            self._deleting = asyncio.create_task(self._delete())
        await asyncio.shield(self._deleting)

    # -- how -----------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._work = asyncio.create_task(work)
        return self._work

    def _change(self, work: Callable[[], Awaitable[str]]) -> asyncio.Task[None]:
        async def change() -> None:
            try:
                reason = await work()
            except Exception as error:  # noqa: BLE001 - it becomes the FailureReason
                reason = self._told(error)
            self.pending = self.adjusting = None
            self._become(EndpointStatus.IN_SERVICE, reason)

        self._become(EndpointStatus.UPDATING)
        return self._begin(change())

    async def _create(self) -> None:
        try:
            if not self._variants:
                prepared = await self._keeper.prepare(self.version)
                self._take_over(self._keeper.open(prepared))
            reason = await self._keeper.start(self.variants)
        except Exception as error:  # noqa: BLE001 - it becomes the FailureReason
            self.trouble = error if not isinstance(error, CannotDeploy) else None
            reason = self._told(error)
        if reason:
            await self._keeper.close(self.variants)
            self.log, self._variants = last_lines(self.variants), {}
        self.pending = None
        self._become(EndpointStatus.FAILED if reason else EndpointStatus.IN_SERVICE, reason)

    async def _replace(self, version: Version) -> str:
        """Why the old version stays, or nothing."""
        old = self.variants
        prepared = await self._keeper.prepare(version)
        if in_place(old, prepared):
            return await self._replace_within(old[0], prepared[0], version)
        new = self._keeper.open(prepared)
        try:
            reason = await self._keeper.start(new)
        except Exception as error:  # noqa: BLE001 - it becomes the FailureReason
            reason = self._told(error)
        if reason:
            self._become(EndpointStatus.ROLLING_BACK, reason)
            await self._keeper.close(new)
            self.log = last_lines(new)
            return reason
        self._take_over(new)
        self.version = version
        for variant in old:
            self._keeper.leave(variant)
        return ""

    async def _replace_within(self, old: Variant, prepared: Prepared, version: Version) -> str:
        """Serverless: the driver itself lets the new version take over, and drains the old one."""
        driver = old.driver
        assert isinstance(driver, Endpoint)
        before, last = driver.policy.version, max(driver.journal.instances, default=0)

        def became(status: EndpointStatus, reason: str) -> None:
            if status is EndpointStatus.ROLLING_BACK:
                self._become(status, named(reason, old.name))

        driver.status_listeners.append(became)
        try:
            await driver.update(prepared.spec, prepared.setup.policy)
            reason = named(driver.failure_reason, old.name)
        except (Usage, EngineUnavailable, ImageNotFound) as error:
            reason = self._told(error)
        finally:
            driver.status_listeners.remove(became)
        if reason:
            await self._keeper.release(prepared.held)
            self.log = last_lines([old], after=last)
            return reason
        new = Variant.open(prepared, driver, self.name, self.region, old.running.board)
        self._keeper.outlived(old, before)
        self._keeper.changed(new)
        self._take_over([new])
        self.version = version
        return ""

    async def _adjust(self, version: Version) -> str:
        """All variants, or none."""
        done: list[Variant] = []
        try:
            for order in version.orders:
                before = self._variants[order.name]
                self._adjusted(await before.adjusted(order))
                done.append(before)
        except Exception as error:  # noqa: BLE001 - it becomes the FailureReason
            reason = self._told(error)
            self._become(EndpointStatus.ROLLING_BACK, reason)
            for before in done:
                self._adjusted(await self._variants[before.name].adjusted(before.order))
            return reason
        self.version = version
        return ""

    def _adjusted(self, variant: Variant) -> None:
        self._variants[variant.name] = variant
        self._keeper.changed(variant)

    def _take_over(self, variants: Sequence[Variant]) -> None:
        self._variants = {variant.name: variant for variant in variants}

    async def _delete(self) -> None:
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._keeper.close_all()
        self._variants = {}
        self.gone = True
        self._changed.set()
        at = self._workshop.now()
        self._fleet.status(EndpointTold(region=self.region, name=self.name, status=None, at=at))

    # -- status --------------------------------------------------------------------------------

    def _told(self, error: Exception) -> str:
        if isinstance(error, CannotDeploy):
            return str(error)
        if not isinstance(error, (Usage, EngineUnavailable, ImageNotFound)):
            log.error("endpoint %s failed", self.name, exc_info=error)
        return f"Request to service failed. [byoc: {error}]"

    def _become(self, status: EndpointStatus, reason: str = "") -> None:
        if self._deleting is not None:
            return  # nothing undoes that
        self._status, self.failure_reason = status, reason[:MOST_REASON]
        self.modified = wall_clock()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        told = EndpointTold(
            region=self.region, name=self.name, status=self._status,
            failure_reason=self.failure_reason, at=self._workshop.now(),
            log=self.log if self.failure_reason and self._status not in IN_PROGRESS else (),
        )  # fmt: skip
        self._fleet.status(told)

"""The variants of one deployed endpoint, from their preparation until nothing of them is left.

Owns: that whatever was opened is closed, whoever gives up waiting in between, and what is told of
it to the fleet. Must not know: status, updates (`deployed`), which request goes where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack

from emulator.deployed_variant import Variant, Version, named
from emulator.endpoint import Endpoint
from emulator.endpoint_state import EndpointStatus
from emulator.running import Fleet
from emulator.variant import Driver, Prepared, Workshop


class Keeper:
    """One per endpoint. Everything may be cancelled: `close_all()` finishes what was left."""

    def __init__(self, endpoint: str, region: str, workshop: Workshop, fleet: Fleet) -> None:
        self._endpoint, self._region = endpoint, region
        self._workshop, self._fleet = workshop, fleet
        self._open: dict[Driver, Variant] = {}
        self._held: set[AsyncExitStack] = set()  # of no variant that is open
        self._leaving: set[asyncio.Task[None]] = set()

    async def prepare(self, version: Version) -> list[Prepared]:
        """All, or none: what was fetched for the others is let go. Raises CannotDeploy,
        EngineUnavailable, Usage.
        """
        prepared: list[Prepared] = []
        try:
            for order in version.orders:
                one = await self._workshop.prepare(order, self._endpoint)
                self._held.add(one.held)
                prepared.append(one)
        except BaseException:
            for one in prepared:
                await self.release(one.held)
            raise
        return prepared

    async def release(self, held: AsyncExitStack) -> None:
        await held.aclose()
        self._held.discard(held)

    def open(self, prepared: Sequence[Prepared]) -> list[Variant]:
        """Their drivers exist, and have not begun."""
        return [self._opened(self._variant(one)) for one in prepared]

    def _variant(self, prepared: Prepared) -> Variant:
        driver = self._workshop.driver(prepared)
        return Variant.open(prepared, driver, self._endpoint, self._region)

    def changed(self, variant: Variant) -> None:
        """The same driver with other numbers, or with another version in it."""
        self._opened(variant)

    def _opened(self, variant: Variant) -> Variant:
        self._open[variant.driver] = variant
        self._held.discard(variant.prepared.held)
        self._fleet.opened(variant.running)
        return variant

    async def start(self, variants: Sequence[Variant]) -> str:
        """Why they cannot serve, or nothing. Raises what is not the container's fault. What did
        start goes on.
        """
        ends = await asyncio.gather(
            *(variant.driver.create() for variant in variants), return_exceptions=True
        )
        if trouble := next((end for end in ends if isinstance(end, Exception)), None):
            raise trouble
        for variant in variants:
            if variant.driver.status is not EndpointStatus.IN_SERVICE:
                reason = variant.driver.failure_reason or variant.driver.status.value
                return named(reason, variant.name)
        return ""

    async def close(self, variants: Sequence[Variant]) -> None:
        """At once; what is in flight is answered with an error."""
        await asyncio.gather(*(self._close(variant) for variant in variants))

    def leave(self, variant: Variant) -> None:
        """It gets no new requests; when those in flight are answered it is closed."""

        async def leave() -> None:
            await variant.drained()
            await self._close(variant)

        self._aside(leave())

    def outlived(self, old: Variant, version: int) -> None:
        """An update in place: the driver goes on, with another version than this. What was held for
        the old one is let go when its last instance is gone.
        """
        driver, held = old.driver, old.prepared.held
        assert isinstance(driver, Endpoint)
        self._held.add(held)

        async def let_go() -> None:
            await driver.left(version)
            await self.release(held)

        self._aside(let_go())

    async def close_all(self) -> None:
        """Returns when nothing is left, of those that leave, either."""
        leaving = tuple(self._leaving)
        for task in leaving:
            task.cancel()
        if leaving:
            await asyncio.wait(leaving)
        await self.close(tuple(self._open.values()))
        for held in tuple(self._held):
            await self.release(held)

    async def _close(self, variant: Variant) -> None:
        await variant.driver.close()
        await variant.prepared.held.aclose()
        if self._open.pop(variant.driver, None) is not None:
            self._fleet.closed(variant.running)

    def _aside(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

"""Every endpoint that was deployed here, by region and name.

Owns: which there are, and their common beginning and end. Must not know: bodies of calls, rules,
how an endpoint lives (`deployed`), moto.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from emulator.clock import Clock
from emulator.control.orders import VariantOrder
from emulator.deployed import DeployedEndpoint
from emulator.deployed_variant import Version
from emulator.errors import Usage
from emulator.running import Fleet
from emulator.variant import Prepared, Workshop

Key = tuple[str, str]


class Deployments:
    """Everything here runs on one event loop."""

    def __init__(self, workshop: Workshop, fleet: Fleet, clock: Clock) -> None:
        self._workshop, self._fleet, self._clock = workshop, fleet, clock
        self._all: dict[Key, DeployedEndpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def get(self, name: str, region: str) -> DeployedEndpoint | None:
        """Also one that is being deleted; None when nothing is left of it."""
        found = self._all.get((region, name))
        return None if found is None or found.gone else found

    def find(self, name: str, region: str | None) -> DeployedEndpoint | None:
        """The one that serves in that region; in any, when the caller does not say."""
        if region is not None:
            found = self.get(name, region)
            return found if found is not None and found.serves else None
        return next((one for one in self.all() if one.name == name and one.serves), None)

    def all(self, region: str | None = None) -> tuple[DeployedEndpoint, ...]:
        """In the order in which they were created; None: of every region."""
        found = tuple(self._all.values())  # at once: a thread may ask
        return tuple(one for one in found if not one.gone and region in (None, one.region))

    def create(
        self, name: str, version: Version, region: str, first: Sequence[Prepared] = ()
    ) -> DeployedEndpoint:
        """Begins, and returns at once. Raises Usage for a name that is there."""
        if self._closed:
            raise Usage(f"endpoint {name} cannot be created: byoc is ending")
        if self.get(name, region) is not None:
            raise Usage(f"endpoint {name} is there already; delete it first, or take another name")
        endpoint = DeployedEndpoint(
            name, version, region=region, workshop=self._workshop, fleet=self._fleet
        )
        self._all[region, name] = endpoint
        self._keep(endpoint.create(first))
        return endpoint

    def update(self, name: str, region: str, version: Version) -> None:
        """Begins, and returns at once. Raises Usage."""
        self._keep(self._must(name, region).update(version))

    def adjust(self, name: str, region: str, orders: Sequence[VariantOrder]) -> None:
        """The same, in place: weights, counts of instances, concurrency."""
        self._keep(self._must(name, region).adjust(orders))

    def delete(self, name: str, region: str) -> None:
        """Begins, and returns at once. Raises Usage."""
        self._keep(asyncio.create_task(self._delete(self._must(name, region))))

    async def _delete(self, endpoint: DeployedEndpoint) -> None:
        await endpoint.delete()
        if self._all.get((endpoint.region, endpoint.name)) is endpoint:
            del self._all[endpoint.region, endpoint.name]

    async def settled(self, name: str, region: str, seconds: float | None = None) -> None:
        """Returns when nothing goes on at that endpoint, or it is not there, or time is over."""
        endpoint = self.get(name, region)
        if endpoint is None:
            return
        waiting = asyncio.ensure_future(endpoint.settled())
        pause = None if seconds is None else asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait(
                [one for one in (waiting, pause) if one], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in (waiting, pause):
                if one is not None:
                    one.cancel()

    async def clear(self) -> None:
        """Deletes all of them; returns when nothing of them runs."""
        await asyncio.gather(*(self._delete(endpoint) for endpoint in tuple(self._all.values())))

    async def close(self) -> None:
        """Deletes all of them; returns when nothing runs, and none can come. May be called
        twice.
        """
        self._closed = True
        await self.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _must(self, name: str, region: str) -> DeployedEndpoint:
        endpoint = self.get(name, region)
        if endpoint is None:
            raise Usage(f"there is no endpoint {name} in {region}")
        return endpoint

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

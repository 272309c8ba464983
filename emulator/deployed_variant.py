"""One variant of a deployed endpoint, and which one a request goes to.

Owns: a variant's driver with what it was made from, and the choice by weight. Must not know:
updates, status (`deployed`), how a driver works.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from emulator.clock import wall_clock
from emulator.control.known import Body
from emulator.control.orders import VariantOrder
from emulator.endpoint import Endpoint
from emulator.endpoint_realtime import RealtimeEndpoint
from emulator.endpoint_state import Invocation
from emulator.running import Running
from emulator.runtime_errors import OWN_WORDS, ValidationError
from emulator.variant import Driver, Prepared
from emulator.view import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What an endpoint is made of: its configuration, and one order per variant."""

    configuration: str
    body: Body  # that made the configuration, which may be deleted since
    orders: tuple[VariantOrder, ...]
    deployment: Body = field(default_factory=dict)  # DeploymentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """It runs, or begins to."""

    prepared: Prepared
    driver: Driver
    running: Running
    since: datetime

    @property
    def name(self) -> str:
        return self.prepared.order.name

    @property
    def order(self) -> VariantOrder:
        return self.prepared.order

    @classmethod
    def open(
        cls,
        prepared: Prepared,
        driver: Driver,
        endpoint: str,
        region: str,
        board: Board | None = None,
    ) -> Variant:
        board = board or Board(
            driver.journal,
            max_concurrency=lambda: max_concurrency(driver),
            memory_limit_bytes=lambda: driver.spec.memory_bytes,
        )
        running = Running(
            region=region,
            endpoint_name=endpoint,
            variant=prepared.order.name,
            setup=prepared.setup,
            endpoint=driver,
            board=board,
            ordered=prepared.order.image,
        )
        return cls(prepared=prepared, driver=driver, running=running, since=wall_clock())

    async def adjusted(self, order: VariantOrder) -> Variant:
        """With other numbers, in place. Raises Usage."""
        setup = self.prepared.setup
        if order.serverless is not None:
            setup = dataclasses.replace(
                setup,
                max_concurrency=order.serverless.max_concurrency,
                provisioned_concurrency=order.serverless.provisioned,
            )
            if isinstance(self.driver, Endpoint) and setup != self.prepared.setup:
                self.driver.update_config(setup.policy)
        else:
            setup = dataclasses.replace(setup, instance_count=order.instance_count)
            if isinstance(self.driver, RealtimeEndpoint) and setup != self.prepared.setup:
                await self.driver.resize(setup.instance_count)
        return dataclasses.replace(
            self,
            prepared=dataclasses.replace(self.prepared, order=order, setup=setup),
            running=dataclasses.replace(self.running, setup=setup),
        )

    async def drained(self) -> None:
        """Returns when no request is in flight; each has its own limit of time."""
        journal = self.driver.journal
        moved = asyncio.Event()

        def ended(record: Invocation) -> None:  # noqa: ARG001
            moved.set()

        journal.listeners.append(ended)
        try:
            while journal.answered < journal.arrived:
                moved.clear()
                await moved.wait()
        finally:
            journal.listeners.remove(ended)


def route(variants: Mapping[str, Variant], target: str | None) -> Variant:
    """The one that is named, else one by weight. Raises ValidationError."""
    if target is not None:
        return variants[target]
    several = list(variants.values())
    weights = [variant.order.weight for variant in several]
    if not any(weights):
        raise ValidationError(f"No variant of endpoint <endpoint> has a weight. {OWN_WORDS}")
    if len(several) == 1:
        return several[0]
    return random.choices(several, weights)[0]  # noqa: S311


def max_concurrency(driver: Driver) -> int:
    """An update may change it. Of a real-time variant all instances may be busy."""
    if isinstance(driver, RealtimeEndpoint):
        return driver.instance_count
    return driver.policy.config.max_concurrency


def in_place(old: Sequence[Variant], new: Sequence[Prepared]) -> bool:
    """Whether one serverless variant becomes another of the same name."""
    return (
        len(old) == len(new) == 1
        and isinstance(old[0].driver, Endpoint)
        and new[0].order.serverless is not None
        and old[0].name == new[0].order.name
    )


def named(reason: str, variant: str) -> str:
    """AWS's texts name the variant."""
    return reason.replace("variant AllTraffic", f"variant {variant}")


LAST_LINES = 20
"""Of a container that failed, told with the failure."""


def last_lines(variants: Sequence[Variant], after: int = 0) -> tuple[str, ...]:
    """What containers of them wrote at the end, of the first variant that wrote anything; of
    instances after this one.
    """
    for variant in variants:
        lines = [line.text for line in variant.driver.logs.lines() if line.instance > after]
        if lines:
            return tuple(lines[-LAST_LINES:])
    return ()

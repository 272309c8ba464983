"""Updates of an endpoint that serves: the new version takes over, or the old one stays.

Owns: the status while an update goes on, its end, and which versions there are. Must not know:
pools (`policy`), containers, callers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.endpoint_instances import Instances
from emulator.endpoint_slots import StartFailure
from emulator.endpoint_state import EndpointStatus, failure_reason
from emulator.engines import ContainerSpec
from emulator.errors import Usage
from emulator.policy import Policy
from emulator.policy_events import Event, Misuse, PolicyConfig, Reconfigured, StopWhy

log = logging.getLogger("byoc.endpoint")


@dataclass(slots=True, eq=False)
class _Update:
    """From the order until the endpoint is InService again."""

    version: int
    spec: ContainerSpec
    done: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Exception | None = None  # the container is not to blame


class Updates:
    """One at a time. `became` hears of each new status, with the FailureReason that goes with it;
    `on` tells the policy.
    """

    def __init__(
        self,
        policy: Policy,
        instances: Instances,
        *,
        on: Callable[[Event], None],
        became: Callable[[EndpointStatus, str], None],
    ) -> None:
        self._policy, self._instances = policy, instances
        self._on, self._became = on, became
        self._last = policy.version
        self._now: _Update | None = None
        self._clearing: asyncio.Task[None] | None = None

    async def run(self, spec: ContainerSpec, config: PolicyConfig) -> None:
        """Returns when the endpoint is InService again, or closed. Raises Usage, and what was
        raised by a start that failed for a reason which is not the container's.
        """
        update = _Update(self._last + 1, spec)
        self._instances.specs[update.version] = spec
        self._reconfigure(update.version, config)
        self._last, self._now = update.version, update
        self._became(EndpointStatus.UPDATING, "")
        await update.done.wait()
        if update.trouble is not None:
            raise update.trouble

    def numbers(self, config: PolicyConfig) -> None:
        """Others for the version that serves. Raises Usage."""
        self._reconfigure(self._policy.version, config)

    def _reconfigure(self, version: int, config: PolicyConfig) -> None:
        try:
            self._on(Reconfigured(version=version, config=config))
        except Misuse as error:
            raise Usage(str(error)) from error

    def instance_ready(self) -> None:
        """An instance was: it may have been the one that a new version waited for."""
        update = self._now
        if update is not None and self._policy.version == update.version:
            self._instances.specs = {update.version: update.spec}
            self._over(update, "")

    def failed(self, why: StopWhy, words: str, start: StartFailure | None) -> None:
        """Nothing of the new version has served; it is cleared away (contract 6.24)."""
        update = self._now
        assert update is not None, "an update that failed was ordered"
        log.warning("an update failed: %s", words)
        update.trouble = start.error if start is not None else None
        ran = why is StopWhy.SETUP_TIMEOUT or (start is not None and start.report is not None)
        reason = failure_reason(words, ran=ran)
        self._became(EndpointStatus.ROLLING_BACK, reason)
        self._clearing = asyncio.create_task(self._clear(update, reason))

    async def _clear(self, update: _Update, reason: str) -> None:
        await self._instances.cleared(update.version)
        del self._instances.specs[update.version]
        self._over(update, reason)

    def _over(self, update: _Update, reason: str) -> None:
        self._now = self._clearing = None
        self._became(EndpointStatus.IN_SERVICE, reason)
        update.done.set()

    def close(self) -> asyncio.Task[None] | None:
        """Who waits for an update waits no longer. The task that ends, if there is one."""
        if self._now is not None:
            self._now.done.set()
        if self._clearing is not None:
            self._clearing.cancel()
        return self._clearing


def must_serve(name: str, status: EndpointStatus) -> None:
    """AWS refuses an update in any other status (contract 6.21)."""
    if status is not EndpointStatus.IN_SERVICE:
        raise Usage(
            f"endpoint {name} cannot be updated while it is {status.value}; wait until it is"
            f" {EndpointStatus.IN_SERVICE.value}"
        )

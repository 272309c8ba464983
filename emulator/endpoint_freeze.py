"""Between requests an instance stands still, as on Lambda (contract 4.58, inferred: a choice).

Owns: when a container is frozen and thawed, and that neither costs a request. Must not know: the
policy, requests, how an engine does it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from emulator.endpoint_slots import Slot, log_failure
from emulator.engines import EngineUnavailable

log = logging.getLogger("byoc.endpoint")


class Freezer:
    """`frozen` is told when a freeze that nobody has undone meanwhile is complete."""

    def __init__(self, *, on: bool, frozen: Callable[[Slot], None]) -> None:
        self._on = on
        self._frozen = frozen

    def rested(self, slot: Slot) -> None:
        """It has nothing to do from now on."""
        if self._on and slot.freezing is None:
            slot.freezing = asyncio.create_task(self._freeze(slot))
            slot.freezing.add_done_callback(log_failure)

    async def _freeze(self, slot: Slot) -> bool:
        """Whether it surely is frozen."""
        assert slot.instance is not None
        try:
            await slot.instance.container.freeze()
        except EngineUnavailable as error:
            log.warning("instance %s was not frozen: %s", slot.number, error)
            return False
        except Exception:
            log.exception("byoc failed to freeze instance %s", slot.number)
            return False
        self._frozen(slot)
        return True

    async def awake(self, slot: Slot) -> bool:
        """Thaws it before a request. False: it stands still, and nothing can be done about it."""
        if slot.freezing is None:
            return True
        await settled(slot)
        slot.freezing = None
        assert slot.instance is not None
        try:
            # Also after a freeze that failed: what it left behind is not known.
            await slot.instance.container.thaw()
        except EngineUnavailable as error:
            log.warning("instance %s was not thawed: %s", slot.number, error)
            return (await slot.instance.ping()).status is not None
        return True


async def settled(slot: Slot) -> None:
    """No freeze is under way any more. What an engine has begun cannot be called back."""
    if slot.freezing is not None and not slot.freezing.done():
        await asyncio.wait({slot.freezing})

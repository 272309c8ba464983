"""One request on one instance: thawed, sent, judged, answered.

Owns: what an exchange means for its request and for its instance. Must not know: which instance a
request gets (`policy`), how instances are kept, the wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from emulator.clock import Clock
from emulator.endpoint_instances import Instances
from emulator.endpoint_requests import Request, Requests
from emulator.endpoint_slots import Slot
from emulator.endpoint_state import Invocation
from emulator.http import Outcome, Reply
from emulator.instance import invocation
from emulator.model_errors import ModelError
from emulator.policy_events import Dispatch, Event, InstanceGone, InvokeArrived, InvokeFinished
from emulator.runtime_errors import InternalFailure, RuntimeFailure

log = logging.getLogger("byoc.endpoint")


class Exchanges:
    """Everything that is under way. `on` tells the policy; `undelivered` has the requests whose
    instance had gone before it saw them: they come again, and are not failed.
    """

    def __init__(
        self,
        instances: Instances,
        requests: Requests,
        clock: Clock,
        on: Callable[[Event], None],
    ) -> None:
        self.undelivered: set[int] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._instances = instances
        self._requests = requests
        self._clock = clock
        self._on = on

    def dispatch(self, order: Dispatch) -> None:
        slot, request = self._instances.ready(order.instance), self._requests[order.request]
        assert slot is not None, "the policy dispatches to instances that were ready"
        told = request.told
        if not told.answered:
            told.cold, told.provisioned = order.cold, order.provisioned
            told.instance = order.instance
            if order.cold:
                told.setup_seconds = self._clock.now() - told.arrived
        self._instances.took(slot, order.request)
        # A task, since the request goes on when its caller goes away.
        task = asyncio.create_task(self._serve(order, slot, request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, order: Dispatch, slot: Slot, request: Request) -> None:
        try:
            await self._exchange(order, slot, request)
        except Exception:
            log.exception("byoc failed on request %s", order.request)
            words = "byoc failed, not the model; its log has the traceback."
            self._requests.answer(order.request, InternalFailure(words))
            self._on(InstanceGone(instance=order.instance))

    async def _exchange(self, order: Dispatch, slot: Slot, request: Request) -> None:
        invoke, instance = request.invoke, slot.instance
        assert instance is not None
        if slot.freezing is not None:
            awake = await self._instances.freezer.awake(slot)
            if not self._instances.known(slot):
                return  # its time is up
            if not awake:
                self._again(order)
                return
        sent = invocation(invoke.body, None, invoke.container_headers())
        request.sent = now = self._clock.now()
        reply = await instance.send(sent, max(0.001, order.deadline - now))
        if reply.outcome is Outcome.TIMEOUT:
            return  # it is the policy's deadline, too: the timer rings and fails the request
        answer: Reply | RuntimeFailure = reply
        if reply.outcome is Outcome.ANSWERED:
            await self._instances.meter.look(slot, reply.seconds)
        self._note(request, reply, slot.memory_bytes)
        if reply.outcome is not Outcome.ANSWERED:
            answer = _broken(reply)
            if await self._broke(order, slot, reply):
                return
        self._on(InvokeFinished(instance=order.instance, request=order.request))
        self._requests.answer(order.request, answer)
        self._instances.rested(slot)

    def _note(self, request: Request, reply: Reply, memory: int | None) -> None:
        told = request.told
        if told.answered:
            return  # nothing of it changes any more
        told.model_seconds = reply.seconds
        told.status, told.received_bytes = reply.status, reply.body_bytes
        told.memory_bytes = memory
        if reply.outcome is not Outcome.ANSWERED:
            told.detail = str(reply)

    async def _broke(self, order: Dispatch, slot: Slot, reply: Reply) -> bool:
        """Whether a broken exchange was the instance's end, which then is told and answered."""
        fate = await self._instances.fate(slot)
        if fate.out_of_memory:
            if order.request in self._requests:
                ran_out(self._requests[order.request].told, slot)
            self._requests.answer(order.request, ModelError.out_of_memory())
        if not fate.died:
            return False
        # An instance that died unnoticed while it was idle has not seen the request.
        if reply.outcome is Outcome.REFUSED and not order.cold:
            self._again(order)
        else:
            self._on(InstanceGone(instance=order.instance))
        return True

    def _again(self, order: Dispatch) -> None:
        """The instance has gone and the request was not seen by it: it comes anew."""
        number = order.request
        if number in self._requests:
            self.undelivered.add(number)
            self._requests[number].undelivered()
        self._on(InstanceGone(instance=order.instance))
        if number in self.undelivered:
            self.undelivered.remove(number)
            self._on(InvokeArrived(request=number))


def ran_out(told: Invocation, slot: Slot) -> None:
    """What the kernel's kill says of the request, in place of what was measured before."""
    if not told.answered:
        told.detail = f"{told.detail}; out of memory" if told.detail else "out of memory"
        if slot.instance is not None and slot.instance.spec.memory_bytes is not None:
            told.memory_bytes = slot.instance.spec.memory_bytes


def _broken(reply: Reply) -> ModelError:
    if reply.broken_status is not None:
        return ModelError.unreadable(reply.broken_status)
    return ModelError.no_response()

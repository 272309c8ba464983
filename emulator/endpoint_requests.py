"""The requests of one endpoint that have no answer yet.

Owns: that each request gets one answer, the first that is given, and the words for those that the
platform gives up. Must not know: the policy's decisions, instances, HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from emulator.endpoint_slots import StartFailure
from emulator.endpoint_state import Invocation
from emulator.http import Reply
from emulator.model_errors import ModelError
from emulator.policy_events import FailRequest, FailWhy
from emulator.runtime_errors import InternalFailure, ModelNotReady, RuntimeFailure
from emulator.wire import Invoke, WireLimits
from emulator.wire_answers import failure_of


@dataclass(slots=True, eq=False)
class Request:
    """One request that waits for a start, or runs."""

    invoke: Invoke
    told: Invocation
    future: asyncio.Future[Reply]
    sent: float | None = None  # to the container

    def undelivered(self) -> None:
        """No container has seen it; what is known of the try counts no longer."""
        self.sent = None
        if not self.told.answered:
            self.told.model_seconds, self.told.detail = 0.0, ""


class Requests:
    """By number. A caller who went away leaves its request here: it goes on, as it does on AWS."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._open: dict[int, Request] = {}

    def begin(self, invoke: Invoke, told: Invocation) -> Request:
        request = Request(invoke, told, asyncio.get_running_loop().create_future())
        told.sent_bytes = len(invoke.body)
        self._open[told.request] = request
        return request

    def __contains__(self, number: object) -> bool:
        return number in self._open

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def __getitem__(self, number: int) -> Request:
        return self._open[number]

    def answer(self, number: int, answer: Reply | RuntimeFailure) -> None:
        """The first answer counts; another one comes too late, and is dropped."""
        request = self._open.pop(number, None)
        if request is None or request.future.done():
            return
        failed = failure_of(answer, self._limits) if isinstance(answer, Reply) else answer
        if failed is not None:
            if isinstance(answer, Reply) and answer.ok and not request.told.answered:
                request.told.detail = too_large(answer)
            request.future.set_exception(failed)
        else:
            assert isinstance(answer, Reply)
            request.future.set_result(answer)

    def give_up(self, order: FailRequest, start: StartFailure | None, now: float) -> None:
        """The platform's answer. `start` tells what is known of a start that came to nothing."""
        request = self._open.get(order.request)
        if request is not None and not request.told.answered:
            if start is not None:
                request.told.instance, request.told.detail = order.instance, start.words
            elif order.why is not FailWhy.INSTANCE_DIED:
                request.told.detail = order.why.value
            if request.sent is not None:
                request.told.model_seconds = now - request.sent
        self.answer(order.request, failure(order.why, start))


def too_large(answer: Reply) -> str:
    """What was wrong with a 2xx that is no success."""
    return f"the answer has {answer.body_bytes} bytes, more than pass"


def failure(why: FailWhy, start: StartFailure | None) -> RuntimeFailure:
    if start is not None and start.error is not None:
        return InternalFailure(f"byoc could not start an instance: {start.words}")
    match why:
        case FailWhy.INVOCATION_TIMEOUT:
            return ModelError.timed_out()
        case FailWhy.SETUP_TIMEOUT:
            return ModelNotReady()  # inferred, contract 4.55
        case FailWhy.SETUP_FAILED | FailWhy.INSTANCE_DIED:
            return ModelError.no_response()

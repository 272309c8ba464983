"""A live serverless endpoint: the policy, a clock and real instances on one event loop.

Owns: carrying out what the policy orders, and telling it what happened. Must not know: how a
request is scheduled (`policy`), what an instance does (`instance`), HTTP to callers (`wire`,
`api`). Everything runs on one loop, so the policy needs no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from typing import Any

from emulator.clock import Clock
from emulator.endpoint_state import EndpointStatus, Invocation, failure_reason
from emulator.engines import ContainerSpec, Engine, EngineUnavailable, ImageNotFound, StartRefused
from emulator.http import Http, Outcome, Reply
from emulator.instance import Instance, StartReport, invocation
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.policy import Policy
from emulator.policy_events import (
    Action,
    Dispatch,
    Event,
    FailRequest,
    FailWhy,
    InstanceFailed,
    InstanceGone,
    InstanceReady,
    InvokeArrived,
    InvokeFinished,
    PolicyConfig,
    StartInstance,
    StopInstance,
    StopWhy,
    Throttle,
    Tick,
    UpdateFailed,
)
from emulator.runtime_errors import ModelNotReady, RuntimeFailure, Throttled, ValidationError
from emulator.wire import Invoke, WireLimits
from emulator.wire_answers import failure_of

WATCH_SECONDS = 1.0
"""How often an instance that nobody uses is asked whether it still lives."""

AT_ONCE = frozenset({StopWhy.DIED, StopWhy.INVOCATION_TIMEOUT, StopWhy.SETUP_FAILED})
"""Reasons to kill without the grace of SIGTERM: nothing is left that could end in order."""


class Endpoint:
    """One endpoint. `create()`, then `invoke()` as often as wanted, then `close()`."""

    def __init__(
        self,
        name: str,
        spec: ContainerSpec,
        config: PolicyConfig,
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.name = name
        self.spec = spec
        self.limits = limits
        self.wire_limits = WireLimits.of("serverless", limits)
        self.status = EndpointStatus.CREATING
        self.failure_reason = ""
        self.policy = Policy(config)
        self.invocations: list[Invocation] = []
        self._engine, self._http, self._clock = engine, http, clock
        self._numbers = itertools.count(1)
        self._instances: dict[int, Instance] = {}
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._requests: dict[int, tuple[Invoke, Invocation]] = {}
        self._known_kills: dict[int, int] = {}
        self._unwanted: set[int] = set()  # told to stop before there was a container
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._timer_due: float | None = None
        self._created: asyncio.Event = asyncio.Event()

    # -- what users call -----------------------------------------------------------------------

    async def create(self) -> None:
        """Starts the first instance and waits for it. Afterwards `status` is InService or Failed,
        the latter with AWS's `failure_reason` (contract 4.50); then nothing is left running.
        """
        self._perform(self.policy.begin(self._clock.now()))
        await self._created.wait()
        if self.status is EndpointStatus.FAILED:
            await self.close()

    async def invoke(self, invoke: Invoke) -> Reply:
        """A success of the container. Raises RuntimeFailure for everything else, as AWS answers."""
        if self.status is not EndpointStatus.IN_SERVICE:
            raise ValidationError.endpoint_not_found()
        request = next(self._numbers)
        told = Invocation(request=request, arrived=self._clock.now())
        self.invocations.append(told)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        self._requests[request] = (invoke, told)
        self._on(InvokeArrived(request=request))
        try:
            reply = await future
            if failure := failure_of(reply, self.wire_limits):
                raise failure
        except RuntimeFailure as error:
            told.error = error.code
            raise
        else:
            return reply
        finally:
            told.seconds = self._clock.now() - told.arrived
            told.answered = True
            self._waiting.pop(request, None)
            self._requests.pop(request, None)

    async def close(self) -> None:
        """Stops every instance, with the platform's grace. May be called twice."""
        if self.status is not EndpointStatus.FAILED:
            self.status = EndpointStatus.DELETING
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ModelError.no_response())
        await asyncio.gather(*self._tasks, *self._stops, return_exceptions=True)
        left = list(self._instances.values())
        self._instances.clear()
        await asyncio.gather(*(instance.stop() for instance in left), return_exceptions=True)

    # -- the policy's two sides ----------------------------------------------------------------

    def _on(self, event: Event) -> None:
        if self.status not in (EndpointStatus.CREATING, EndpointStatus.IN_SERVICE):
            return
        self._perform(self.policy.on(event, self._clock.now()))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartInstance():
                    self._spawn(self._start(action), self._tasks)
                case Dispatch():
                    self._spawn(self._serve(action), self._tasks)
                case StopInstance():
                    self._spawn(self._stop(action), self._stops)
                case Throttle():
                    self._fail(action.request, Throttled())
                case FailRequest():
                    self._fail(action.request, self._why(action))
                case UpdateFailed():
                    pass  # updates come with the control plane
        self._set_timer()

    def _set_timer(self) -> None:
        """One timer at most, for the policy's next deadline."""
        due = self.policy.next_deadline()
        if due == self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.create_task(self._tick(due)) if due is not None else None

    async def _tick(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.now()))
        self._timer, self._timer_due = None, None
        self._on(Tick())

    def _spawn(self, work: Coroutine[Any, Any, None], kept: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        kept.add(task)
        task.add_done_callback(kept.discard)

    def _fail(self, request: int, failure: RuntimeFailure) -> None:
        future = self._waiting.get(request)
        if future is not None and not future.done():
            future.set_exception(failure)

    def _why(self, action: FailRequest) -> RuntimeFailure:
        match action.why:
            case FailWhy.INVOCATION_TIMEOUT:
                return ModelError.timed_out()
            case FailWhy.SETUP_TIMEOUT:
                return ModelNotReady()  # inferred, contract 4.55
            case _:
                return ModelError.no_response()

    # -- orders --------------------------------------------------------------------------------

    async def _start(self, order: StartInstance) -> None:
        began = self._clock.now()
        try:
            instance = await Instance.start(
                self._engine, self.spec, clock=self._clock, http=self._http, limits=self.limits
            )
        except (StartRefused, EngineUnavailable, ImageNotFound) as error:
            self._start_failed(order.instance, str(error), None)
            return
        if order.instance in self._unwanted:
            await instance.stop(0)
            return
        self._instances[order.instance] = instance
        report = await instance.wait_ready()
        if order.request in self._requests:
            self._requests[order.request][1].setup_seconds = self._clock.now() - began
        if not report.ready:
            self._start_failed(order.instance, report.describe(), report)
            return
        if self.status is EndpointStatus.CREATING:
            self.status = EndpointStatus.IN_SERVICE
            self._created.set()
        self._on(InstanceReady(instance=order.instance))
        self._spawn(self._watch(order.instance, instance), self._tasks)

    def _start_failed(self, number: int, words: str, report: StartReport | None) -> None:
        if self.status is EndpointStatus.CREATING:
            self.status = EndpointStatus.FAILED
            self.failure_reason = failure_reason(words, report)
            self._created.set()
            return
        self._on(InstanceFailed(instance=number, reason=words))

    async def _serve(self, order: Dispatch) -> None:
        instance = self._instances[order.instance]
        invoke, told = self._requests[order.request]
        told.cold, told.provisioned, told.instance = order.cold, order.provisioned, order.instance
        request = invocation(invoke.body, None, invoke.container_headers())
        left = order.deadline - self._clock.now()
        reply = await instance.send(request, max(0.001, left))
        told.model_seconds = reply.seconds
        if reply.outcome is Outcome.TIMEOUT:
            self._on(Tick())  # the policy's own deadline: it fails the request
            return
        if reply.outcome is not Outcome.ANSWERED:
            if await self._killed_for_memory(order.instance, instance):
                self._fail(order.request, ModelError.out_of_memory())
            if await self._died(instance):
                self._on(InstanceGone(instance=order.instance))
                return
            self._fail(order.request, ModelError.no_response())
        self._on(InvokeFinished(instance=order.instance, request=order.request))
        future = self._waiting.get(order.request)
        if future is not None and not future.done():
            future.set_result(reply)

    async def _killed_for_memory(self, number: int, instance: Instance) -> bool:
        """Whether the kernel killed a process of it since this was asked last."""
        before = self._known_kills.get(number, 0)
        with contextlib.suppress(EngineUnavailable):
            self._known_kills[number] = await instance.container.oom_kills()
        return self._known_kills.get(number, 0) > before

    async def _died(self, instance: Instance) -> bool:
        try:
            return await instance.container.exit_code() is not None
        except EngineUnavailable:
            return True  # an engine that is gone took its containers along, as far as we can see

    async def _watch(self, number: int, instance: Instance) -> None:
        """An instance may die while nobody uses it."""
        while self._instances.get(number) is instance:
            await self._clock.sleep(WATCH_SECONDS)
            if self._instances.get(number) is instance and await self._died(instance):
                self._on(InstanceGone(instance=number))
                return

    async def _stop(self, order: StopInstance) -> None:
        instance = self._instances.pop(order.instance, None)
        if instance is None:
            self._unwanted.add(order.instance)
        else:
            with contextlib.suppress(EngineUnavailable):
                await instance.stop(0 if order.why in AT_ONCE else None)

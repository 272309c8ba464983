"""A live serverless endpoint: the policy, a clock and real instances on one event loop.

Owns: carrying out what the policy orders, and telling it what happened. Must not know: how a
request is scheduled (`policy`), how instances are kept (`endpoint_instances`), HTTP to callers
(`wire`, `api`). Everything runs on one loop, so the policy needs no lock.
"""

from __future__ import annotations

import asyncio
import logging

from emulator.clock import Clock
from emulator.endpoint_instances import Instances, Slot, StartFailure, log_failure
from emulator.endpoint_requests import Request, Requests
from emulator.endpoint_state import EndpointStatus, Journal, failure_reason
from emulator.engines import ContainerSpec, Engine
from emulator.http import Http, Outcome, Reply
from emulator.instance import StartReport, invocation
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.policy import Policy
from emulator.policy_events import (
    Action,
    Dispatch,
    Event,
    FailRequest,
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
from emulator.runtime_errors import InternalFailure, RuntimeFailure, Throttled, ValidationError
from emulator.wire import Invoke, WireLimits

log = logging.getLogger("byoc.endpoint")

AT_ONCE = frozenset(
    {StopWhy.DIED, StopWhy.INVOCATION_TIMEOUT, StopWhy.SETUP_FAILED, StopWhy.SETUP_TIMEOUT}
)
"""Reasons to kill without the grace of SIGTERM: nothing is left that could end in order."""

RETRY_SECONDS = 1.0

LIVING = (EndpointStatus.CREATING, EndpointStatus.IN_SERVICE)


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
        self.journal = Journal()
        self._clock = clock
        self._instances = Instances(
            spec, engine=engine, http=http, clock=clock, limits=limits, told=self
        )
        self._requests = Requests(self.wire_limits)
        self._undelivered: set[int] = set()
        self._failures: dict[int, StartFailure] = {}
        self._first: set[int] = set()  # instances without which the endpoint is not InService
        self._serving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self._created = asyncio.Event()
        self._trouble: Exception | None = None
        self._closing: asyncio.Task[None] | None = None

    # -- what users call -----------------------------------------------------------------------

    async def create(self) -> None:
        """Starts the first instances and waits for them: one, or the provisioned ones. Afterwards
        `status` is InService or Failed, the latter with AWS's `failure_reason` (contract 4.50);
        then nothing is left running. So it is after `close()` meanwhile, with Deleting.

        Raises EngineUnavailable or ImageNotFound when the container is not to blame.
        """
        try:
            actions = self.policy.begin(self._clock.now())
            self._first = {a.instance for a in actions if isinstance(a, StartInstance)}
            self._perform(actions)
            await self._created.wait()
        except BaseException:
            await self.close()
            raise
        if self.status is not EndpointStatus.IN_SERVICE:
            await self.close()
        if self._trouble is not None:
            raise self._trouble

    async def invoke(self, invoke: Invoke) -> Reply:
        """A success of the container. Raises RuntimeFailure for everything else, as AWS answers.

        A caller that is cancelled gets no answer; its request goes on, as it does on AWS.
        """
        if self.status is not EndpointStatus.IN_SERVICE:
            raise ValidationError.endpoint_not_found()
        told = self.journal.begin(self._clock.now())
        request = self._requests.begin(invoke, told)
        try:
            self._on(InvokeArrived(request=told.request))
            return await request.future
        except BaseException as error:
            told.error = error.code if isinstance(error, RuntimeFailure) else type(error).__name__
            raise
        finally:
            self.journal.end(told, self._clock.now())

    async def close(self) -> None:
        """Answers what is in flight, and stops every instance with the platform's grace. May be
        called at any time and twice; returns when nothing runs any more.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        # Shielded: who gives up waiting must not leave containers behind.
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.status in LIVING:
            self.status = EndpointStatus.DELETING
        self._created.set()
        tasks = [task for task in (self._timer, *self._serving) if task is not None]
        for task in tasks:
            task.cancel()
        for number in self._requests:
            self._requests.answer(number, ModelError.no_response())
        if tasks:
            await asyncio.wait(tasks)
        await self._instances.close()

    # -- the policy's two sides ----------------------------------------------------------------

    def _on(self, event: Event) -> None:
        if self.status in LIVING:
            self._perform(self.policy.on(event, self._clock.now()))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartInstance():
                    self._instances.start(action.instance)
                case Dispatch():
                    self._dispatch(action)
                case StopInstance():
                    at_once = action.why in AT_ONCE
                    self._instances.stop(action.instance, at_once=at_once)
                case Throttle():
                    self._requests.answer(action.request, Throttled())
                case FailRequest() if action.request not in self._undelivered:
                    start = self._failures.get(action.instance)
                    self._requests.give_up(action.request, action.instance, action.why, start)
                case FailRequest() | UpdateFailed():
                    pass  # what was not delivered comes again; updates need the control plane
        self._set_timer()

    def _set_timer(self) -> None:
        """One timer at most, and none too late. One that rings too early costs a look, which is
        less than a new timer for each request. While Creating the instance's own window counts.
        """
        due = self.policy.next_deadline()
        if due is None or self.status is not EndpointStatus.IN_SERVICE:
            return
        if self._timer is None or due < self._timer_due:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.create_task(self._ring(due))

    async def _ring(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.now()))
        self._timer = None
        try:
            self._on(Tick())
        except Exception:
            log.exception("the policy failed at its deadline; it is asked again")
            self._arm(self._clock.now() + RETRY_SECONDS)

    # -- what instances do by themselves -------------------------------------------------------

    def instance_ready(self, number: int, report: StartReport) -> None:
        self._on(InstanceReady(instance=number))
        if self._instances.ready(number) is None:  # too late: the policy has stopped it
            if self.status is EndpointStatus.CREATING:
                late = StartFailure(words=f"{report.describe()}: too late", report=report)
                self.instance_failed(number, late)
            return
        self._first.discard(number)
        if self.status is EndpointStatus.CREATING and not self._first:
            self.status = EndpointStatus.IN_SERVICE
            self._created.set()
            self._set_timer()

    def instance_failed(self, number: int, failure: StartFailure) -> None:
        if self.status is EndpointStatus.CREATING:
            self.status = EndpointStatus.FAILED
            self._trouble = failure.error
            self.failure_reason = failure_reason(failure.words, failure.report)
            self._created.set()
            return
        log.warning("instance %s did not start: %s", number, failure.words)
        self._failures[number] = failure
        self._on(InstanceFailed(instance=number, reason=failure.words))
        del self._failures[number]

    def instance_gone(self, number: int) -> None:
        self._on(InstanceGone(instance=number))

    # -- one exchange --------------------------------------------------------------------------

    def _dispatch(self, order: Dispatch) -> None:
        slot, request = self._instances.ready(order.instance), self._requests[order.request]
        assert slot is not None, "the policy dispatches to instances that were ready"
        slot.busy = True
        told = request.told
        told.cold, told.provisioned, told.instance = order.cold, order.provisioned, order.instance
        if order.cold:
            told.setup_seconds = self._clock.now() - told.arrived
        task = asyncio.create_task(self._serve(order, slot, request))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(log_failure)

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
        sent = invocation(invoke.body, None, invoke.container_headers())
        left = order.deadline - self._clock.now()
        reply = await instance.send(sent, max(0.001, left))
        request.told.model_seconds = reply.seconds
        if reply.outcome is Outcome.TIMEOUT:
            return  # it is the policy's deadline, too: the timer rings and fails the request
        answer: Reply | RuntimeFailure = reply
        if reply.outcome is not Outcome.ANSWERED:
            request.told.detail, answer = str(reply), ModelError.no_response()
            if await self._broke(order, slot, reply):
                return
        slot.busy = False
        self._on(InvokeFinished(instance=order.instance, request=order.request))
        self._requests.answer(order.request, answer)
        self._instances.watch()

    async def _broke(self, order: Dispatch, slot: Slot, reply: Reply) -> bool:
        """Whether a broken exchange was the instance's end, which then is told and answered."""
        number = order.request
        fate = await self._instances.fate(slot)
        if fate.out_of_memory:
            self._requests.answer(number, ModelError.out_of_memory())
        if not fate.died:
            return False
        # An instance that died unnoticed while it was idle has not seen the request.
        if reply.outcome is Outcome.REFUSED and not order.cold and number in self._requests:
            self._undelivered.add(number)
        self._on(InstanceGone(instance=order.instance))
        if number in self._undelivered:
            self._undelivered.remove(number)
            self._on(InvokeArrived(request=number))
        return True

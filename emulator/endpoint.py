"""A live serverless endpoint: the policy, a clock and real instances on one event loop.

Owns: carrying out what the policy orders, telling it what happened, and the endpoint's status. Must
not know: how a request is scheduled (`policy`), how instances are kept (`endpoint_instances`), HTTP
to callers (`wire`, `api`). Everything runs on one loop, so the policy needs no lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from emulator.clock import Clock
from emulator.endpoint_exchange import Exchanges
from emulator.endpoint_instances import Instances
from emulator.endpoint_logs import LogBook
from emulator.endpoint_requests import Requests
from emulator.endpoint_slots import StartFailure
from emulator.endpoint_state import LIVING, SERVING, EndpointStatus, Journal, failure_reason
from emulator.endpoint_timer import Alarm
from emulator.endpoint_update import Updates, must_serve
from emulator.engines import Capability, ContainerSpec, Engine, EngineUnavailable
from emulator.http import Http, Reply
from emulator.instance import StartReport
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
    PolicyConfig,
    StartInstance,
    StopInstance,
    StopWhy,
    Throttle,
    Tick,
    UpdateFailed,
)
from emulator.runtime_errors import RuntimeFailure, Throttled, ValidationError
from emulator.wire import Invoke, WireLimits

log = logging.getLogger("byoc.endpoint")

AT_ONCE = frozenset(
    {StopWhy.DIED, StopWhy.INVOCATION_TIMEOUT, StopWhy.SETUP_FAILED, StopWhy.SETUP_TIMEOUT}
)
"""Reasons to kill without the grace of SIGTERM: nothing is left that could end in order."""


class Endpoint:
    """One endpoint. `create()`, then `invoke()` as often as wanted, then `close()`. With `freeze`
    instances stand still between requests.
    """

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
        freeze: bool = False,
    ) -> None:
        self.name = name
        self.limits = limits
        self.wire_limits = WireLimits.of("serverless", limits)
        self.status = EndpointStatus.CREATING
        self.failure_reason = ""
        self.status_listeners: list[Callable[[EndpointStatus, str], None]] = []  # of updates
        self.policy = Policy(config)
        self.journal = Journal()
        self.logs = LogBook()
        self._engine, self._clock, self._freeze = engine, clock, freeze
        self._instances = Instances(
            spec,
            engine=engine,
            http=http,
            clock=clock,
            limits=limits,
            told=self,
            changed=self.journal.changed,
            logs=self.logs,
            freeze=freeze,
        )
        self._requests = Requests(self.wire_limits)
        self._exchanges = Exchanges(self._instances, self._requests, clock, self._on)
        self._updates = Updates(self.policy, self._instances, on=self._on, became=self._became)
        self._alarm = Alarm(clock, lambda: self._on(Tick()))
        self._failures: dict[int, StartFailure] = {}
        self._first: set[int] = set()  # instances without which the endpoint is not InService
        self._created = asyncio.Event()
        self._trouble: Exception | None = None
        self._lost = ""  # why the last instance went
        self._complained = ""  # of the last start that failed, until one succeeds
        self._closing: asyncio.Task[None] | None = None

    # -- what users call -----------------------------------------------------------------------

    @property
    def spec(self) -> ContainerSpec:
        """That of the version which serves."""
        return self._instances.specs[self.policy.version]

    async def create(self) -> None:
        """Starts the first instances and waits for them: one, or the provisioned ones. Afterwards
        `status` is InService or Failed, the latter with AWS's `failure_reason` (contract 4.50);
        then nothing is left running. So it is after `close()` meanwhile, with Deleting.

        Raises EngineUnavailable or ImageNotFound when the container is not to blame.
        """
        try:
            self._check()
            actions = self.policy.begin(self._clock.now())
            self._first = {a.instance for a in actions if isinstance(a, StartInstance)}
            self._perform(actions)
            await self._created.wait()
        except BaseException:
            await self.close()
            raise
        if self.status not in SERVING:
            await self.close()
        if self._trouble is not None:
            raise self._trouble

    def _check(self) -> None:
        if self._freeze and Capability.FREEZE not in self._engine.capabilities:
            raise EngineUnavailable(
                f"the engine {self._engine.name!r} cannot freeze containers; leave freeze out, or"
                " take an engine that can"
            )

    async def invoke(self, invoke: Invoke) -> Reply:
        """A success of the container. Raises RuntimeFailure for everything else, as AWS answers.

        A caller that is cancelled gets no answer; its request goes on, as it does on AWS.
        """
        if self.status not in SERVING:
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

    async def update(self, spec: ContainerSpec, config: PolicyConfig) -> None:
        """A new version takes over once an instance of it is ready; the old one serves until then
        and drains (contract 4.57). When none gets ready the old version stays, and
        `failure_reason` tells why. Returns when the endpoint is InService again, or closed. Who
        gives up waiting does not end the update.

        Raises Usage when it makes no sense now, EngineUnavailable or ImageNotFound when the
        container is not to blame for the failure.
        """
        must_serve(self.name, self.status)
        await self._updates.run(spec, config)

    def update_config(self, config: PolicyConfig) -> None:
        """Other numbers for the version that serves, at once. Raises Usage."""
        must_serve(self.name, self.status)
        self._updates.numbers(config)

    async def left(self, version: int) -> None:
        """Returns when nothing of that version runs any more."""
        await self._instances.left(version)

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
        for exchange in self._exchanges.tasks:
            exchange.cancel()
        ends = (self._alarm.cancel(), self._updates.close(), *self._exchanges.tasks)
        tasks = [task for task in ends if task is not None]
        for number in self._requests:
            self._requests.answer(number, ModelError.no_response())
        if tasks:
            await asyncio.wait(tasks)
        await self._instances.close()

    def _became(self, status: EndpointStatus, reason: str) -> None:
        self.status, self.failure_reason = status, reason
        for listener in self.status_listeners:
            listener(status, reason)

    # -- the policy's two sides ----------------------------------------------------------------

    def _on(self, event: Event) -> None:
        if self.status in LIVING:
            self._perform(self.policy.on(event, self._clock.now()))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartInstance():
                    self._instances.start(
                        action.instance,
                        version=action.version,
                        provisioned=action.provisioned,
                        request=action.request,
                    )
                case Dispatch():
                    self._exchanges.dispatch(action)
                case StopInstance():
                    self._stop(action)
                case Throttle():
                    self._requests.answer(action.request, Throttled())
                case FailRequest() if action.request not in self._exchanges.undelivered:
                    start = self._failures.get(action.instance)
                    self._requests.give_up(action, start, self._clock.now())
                case UpdateFailed():
                    start = next(iter(self._failures.values()), None)
                    self._updates.failed(action.why, self._lost, start)
                case FailRequest():
                    pass  # it was not delivered, and comes again
        due = self.policy.next_deadline()
        # While Creating the instance's own window counts.
        if due is not None and self.status in SERVING:
            self._alarm.by(due)

    def _stop(self, order: StopInstance) -> None:
        words = order.why.value
        said = self._instances.said(order.instance)
        if failure := self._failures.get(order.instance):
            words = failure.words
        elif order.why is StopWhy.SETUP_TIMEOUT and said:
            words = f"{words}; /ping said last: {said}"
        if order.why is not StopWhy.CALLED_OFF:
            self._lost = words
        self._instances.stop(order.instance, why=words, at_once=order.why in AT_ONCE)

    # -- what instances do by themselves -------------------------------------------------------

    def instance_ready(self, number: int, report: StartReport) -> None:
        self._on(InstanceReady(instance=number))
        self._updates.instance_ready()
        if self._instances.ready(number) is None:  # too late: the policy has stopped it
            if self.status is EndpointStatus.CREATING:
                late = StartFailure(words=f"{report.describe()}: too late", report=report)
                self.instance_failed(number, late)
            return
        self._complained = ""
        self._first.discard(number)
        if self.status is EndpointStatus.CREATING and not self._first:
            self.status = EndpointStatus.IN_SERVICE
            self._created.set()
            self._perform([])  # sets the alarm

    def instance_failed(self, number: int, failure: StartFailure) -> None:
        if self.status is EndpointStatus.CREATING:
            self.status = EndpointStatus.FAILED
            self._trouble = failure.error
            self.failure_reason = failure_reason(failure.words, ran=failure.report is not None)
            self._created.set()
            return
        # While an engine is away every request meets the same: it is told once.
        level = logging.DEBUG if failure.words == self._complained else logging.WARNING
        log.log(level, "instance %s did not start: %s", number, failure.words)
        self._complained = failure.words
        self._failures[number] = failure
        self._on(InstanceFailed(instance=number, reason=failure.words))
        del self._failures[number]

    def instance_gone(self, number: int) -> None:
        self._on(InstanceGone(instance=number))

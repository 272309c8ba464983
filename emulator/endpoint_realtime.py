"""A live real-time variant: a fixed number of instances, each with as many requests as come.

Owns: which instance gets a request, that a lost instance is replaced, and the endpoint's status.
Must not know: serverless scaling (`policy`), how instances are kept (`endpoint_instances`), HTTP to
callers (`wire`, `api`). Nothing is throttled and nothing scales in: what a container cannot do at
the same time is its own affair, as on AWS. An instance is replaced when its container ended, and
when its health checks fail while it is idle (`endpoint_health`, contract 2.10).
"""

from __future__ import annotations

import asyncio
import logging

from emulator.clock import Clock
from emulator.endpoint_health import HealthChecks
from emulator.endpoint_instances import Instances
from emulator.endpoint_logs import LogBook
from emulator.endpoint_realtime_exchange import Answering, Exchange, Pump, answer, note
from emulator.endpoint_resize import left, too_many
from emulator.endpoint_slots import Slot, StartFailure, log_failure
from emulator.endpoint_state import EndpointStatus, Invocation, Journal, failure_reason
from emulator.engines import ContainerSpec, Engine
from emulator.errors import Usage
from emulator.http import Http, Reply
from emulator.instance import StartReport
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.runtime_errors import RuntimeFailure, ValidationError
from emulator.wire import Invoke, WireLimits

log = logging.getLogger("byoc.endpoint")

RESTART_SECONDS = 1.0
RESTART_SECONDS_AT_MOST = 60.0
"""How long the place of an instance that did not start stays empty, doubling; AWS says nothing."""


class RealtimeEndpoint:
    """One endpoint. `create()`, then `invoke()` and `invoke_stream()`, then `close()`."""

    def __init__(
        self,
        name: str,
        spec: ContainerSpec,
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        limits: Limits,
        instance_count: int = 1,
    ) -> None:
        self.name = name
        self.spec = spec
        self.limits = limits
        self.wire_limits = WireLimits.of("realtime", limits)
        self.status = EndpointStatus.CREATING
        self.failure_reason = ""
        self.instance_count = instance_count
        self.journal = Journal()
        self.logs = LogBook()
        self._clock, self._http = clock, http
        self._instances = Instances(
            spec,
            engine=engine,
            http=http,
            clock=clock,
            limits=limits,
            told=self,
            changed=self.journal.changed,
            logs=self.logs,
        )
        self._last, self._failures = 0, 0  # instance; starts that failed in a row
        self._ready: dict[int, Slot] = {}
        self._starting: set[int] = set()
        self._resized, self._refused = asyncio.Event(), ""  # why the last start failed
        self._health = HealthChecks(clock, self._ready.values, self._unhealthy)
        self._open: dict[asyncio.Task[None], asyncio.Future[Reply]] = {}
        self._streams: set[Pump] = set()
        self._restarts, self._leaving = set[asyncio.Task[None]](), set[asyncio.Task[None]]()
        self._created = asyncio.Event()
        self._trouble: Exception | None = None
        self._closing: asyncio.Task[None] | None = None

    # -- what users call -----------------------------------------------------------------------

    async def create(self) -> None:
        """Starts all instances and waits for them; afterwards `status` is InService or Failed, the
        latter with `failure_reason`, and nothing is left running (contract 6.20 to 6.27).

        Raises EngineUnavailable or ImageNotFound when the container is not to blame.
        """
        try:
            for _ in range(self.instance_count):
                self._start()
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
        self._must_serve()
        told = self._begin(invoke)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._serve(invoke, told, future))
        self._open[task] = future
        task.add_done_callback(self._open.pop)
        task.add_done_callback(log_failure)
        try:
            return await future
        except BaseException as error:
            note(told, error)
            raise
        finally:
            self.journal.end(told, self._clock.now())

    async def invoke_stream(self, invoke: Invoke) -> Answering:
        """The head of a success, and its body as it comes, for at most 8 minutes (contract 3.14).
        Raises RuntimeFailure when there is no such head.
        """
        self._must_serve()
        told = self._begin(invoke)
        try:
            slot = self._take(told)
            exchange = self._exchange(slot, invoke, told)
            pump = await exchange.stream(self._http, self._over)
        except BaseException as error:
            note(told, error)
            self.journal.end(told, self._clock.now())
            raise
        self._streams.add(pump)
        return Answering(headers=pump.headers, parts=pump.parts())

    async def resize(self, count: int) -> None:
        """Other instances in place: returns when so many are ready, and those that are too many get
        no new requests. Raises Usage when one does not start; then the count is what it was.
        """
        self._must_serve()
        before, self.instance_count, self._refused = self.instance_count, count, ""
        for _ in range(count - len(self._ready) - len(self._starting)):
            self._start()
        while len(self._ready) < count and not self._refused and self._closing is None:
            self._resized.clear()
            await self._resized.wait()
        if refused := self._refused:
            self.instance_count = before
        self._trim()
        if refused:
            raise Usage(f"an instance did not start: {refused}")

    async def close(self) -> None:
        """Answers what is in flight, and stops every instance with the platform's grace. May be
        called at any time and twice; returns when nothing runs any more.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.status is not EndpointStatus.FAILED:
            self.status = EndpointStatus.DELETING
        self._created.set()
        self._resized.set()
        streams = (pump.task for pump in self._streams)
        tasks = {*self._restarts, *self._leaving, *self._open, *streams}
        for task, future in self._open.items():
            task.cancel()
            answer(future, ModelError.no_response())
        for task in tasks - set(self._open):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._health.close()
        await self._instances.close()

    # -- one request ---------------------------------------------------------------------------

    def _must_serve(self) -> None:
        if self.status is not EndpointStatus.IN_SERVICE:
            raise ValidationError.endpoint_not_found()

    def _begin(self, invoke: Invoke) -> Invocation:
        told = self.journal.begin(self._clock.now())
        told.sent_bytes = len(invoke.body)
        return told

    def _take(self, told: Invocation) -> Slot:
        """The instance with the fewest requests; raises ModelError when none is there."""
        if not self._ready:
            told.detail = "every instance is being replaced"
            raise ModelError.no_response()
        slot = min(self._ready.values(), key=lambda one: one.busy)
        told.instance = slot.number
        self._instances.took(slot, told.request)
        return slot

    def _exchange(self, slot: Slot, invoke: Invoke, told: Invocation) -> Exchange:
        return Exchange(
            slot,
            invoke,
            told,
            instances=self._instances,
            limits=self.limits,
            clock=self._clock,
        )

    async def _serve(self, invoke: Invoke, told: Invocation, future: asyncio.Future[Reply]) -> None:
        try:
            slot = self._take(told)
            exchange = self._exchange(slot, invoke, told)
            reply = await exchange.run(self.wire_limits, self._lost)
        except RuntimeFailure as failure:
            answer(future, failure)
        except Exception as error:
            answer(future, error)
            raise
        else:
            answer(future, reply)

    def _over(self, pump: Pump, told: Invocation, error: BaseException | None) -> None:
        """A stream came to its end, one way or another."""
        self._streams.discard(pump)
        if error is not None:
            note(told, error)
        self.journal.end(told, self._clock.now())

    # -- instances -----------------------------------------------------------------------------

    def _start(self) -> None:
        self._last += 1
        self._starting.add(self._last)
        self._instances.start(self._last, provisioned=True)

    def _trim(self) -> None:
        for slot in too_many(self._ready, self.instance_count):
            task = asyncio.create_task(left(slot, self.journal, self._instances))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _lost(self, number: int, why: str, *, at_once: bool = True) -> None:
        """Its container ended; another one takes its place."""
        if self._ready.pop(number, None) is not None:
            log.warning("instance %s is replaced: %s", number, why)
            self._instances.stop(number, why=why, at_once=at_once)
            if self.status is EndpointStatus.IN_SERVICE:
                self._start()

    def _unhealthy(self, number: int, why: str) -> None:
        """Its container runs: it gets the time to end."""
        self._lost(number, why, at_once=False)

    def instance_ready(self, number: int, report: StartReport) -> None:  # noqa: ARG002
        slot = self._instances.ready(number)
        assert slot is not None, "nothing stops an instance that starts"
        self._starting.discard(number)
        self._ready[number] = slot
        self._failures = 0
        self._refused = ""
        self._resized.set()
        if self.status is EndpointStatus.IN_SERVICE:
            self._trim()
        if self.status is EndpointStatus.CREATING and len(self._ready) == self.instance_count:
            self.status = EndpointStatus.IN_SERVICE
            self._health.begin()
            self._created.set()

    def instance_failed(self, number: int, failure: StartFailure) -> None:
        self._instances.stop(number, why=failure.words, at_once=True)
        self._starting.discard(number)
        self._refused = failure.words
        self._resized.set()
        if self.status is EndpointStatus.CREATING:
            self.status = EndpointStatus.FAILED
            self._trouble = failure.error
            ran = failure.report is not None
            self.failure_reason = failure_reason(failure.words, ran=ran, profile="realtime")
            self._created.set()
        elif self.status is EndpointStatus.IN_SERVICE:
            log.warning("instance %s did not start: %s", number, failure.words)
            task = asyncio.create_task(self._restart())
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    async def _restart(self) -> None:
        wait = RESTART_SECONDS * 2 ** min(self._failures, 10)
        self._failures += 1
        await self._clock.sleep(min(wait, RESTART_SECONDS_AT_MOST))
        if len(self._ready) + len(self._starting) < self.instance_count:
            self._start()

    def instance_gone(self, number: int) -> None:
        self._lost(number, "it ended while nobody used it")

"""The image behind a live endpoint: new instances, scale-in, several at once. Seen once, judged by
many checks.

Owns: what is asked of the endpoint, in which order, and what came back. Must not know: clauses,
verdicts, pytest. The endpoint is `emulator.endpoint`, the one that `byoc serve` runs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from anyio import CancelScope

from contract_tests.settings import Payload
from emulator.clock import Clock
from emulator.endpoint import Endpoint
from emulator.endpoint_state import EndpointStatus
from emulator.engines import ContainerSpec, Engine, EngineUnavailable
from emulator.http import Http, Reply
from emulator.instance import invocation
from emulator.limits import Limits
from emulator.model_errors import ModelError
from emulator.policy_events import PolicyConfig
from emulator.runtime_errors import InternalFailure, Place, RuntimeFailure
from emulator.wire import Invoke
from emulator.wire_members import Operation

AT_ONCE = 3
IDLE_SECONDS = 0.6
"""In place of the platform's minutes: only that the instance goes is of interest, not when."""

SCALE_IN_TRIES = 3
GRACE_SECONDS = 1.0
"""For instances that are scaled in; how a container stops is judged by chapter shutdown."""

REPEATS = 3
REPEATABLE_SECONDS = 2.0
"""A request that takes longer is not repeated: a run must not take minutes for it."""

NAME = "byoc-check"
LOG_LINES = 50
SHOWN = 200
"""Characters of an error that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request to the endpoint and what its caller got."""

    payload: Payload
    instance: int | None
    cold: bool
    seconds: float  # for the caller, the start included
    setup_seconds: float
    reply: Reply | None = None  # a success
    failure: str = ""  # else what AWS's error says
    status: int = 0  # the container's own, when it answered with a failure
    detail: str = ""
    log: str = ""  # the container's last lines, after a failure

    @property
    def ok(self) -> bool:
        return self.reply is not None

    @property
    def body(self) -> bytes:
        return self.reply.body if self.reply is not None else b""

    def __str__(self) -> str:
        start = f", {self.setup_seconds:.2f} s of it for the start" if self.cold else ""
        detail = f" [{self.detail}]" if self.detail else ""
        said = f"{self.reply.status}" if self.reply is not None else f"{self.failure}{detail}"
        return f"{self.payload.name}: {said} after {self.seconds:.2f} s{start}"

    def curl(self, base_url: str) -> str:
        return invocation(self.payload.body, self.payload.content_type).curl(base_url)


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """What was seen. Empty parts were not reached; `ended` then tells why."""

    ended: str = ""
    fresh: list[Answer] = field(default_factory=list)
    """The first payload again and again on an instance that had seen nothing before."""

    first: list[Answer] = field(default_factory=list)
    """The last payload, each time as the first request of an instance that replaced another one
    after scale-in; more than one only when it failed."""

    after: list[Answer] = field(default_factory=list)
    """On the last of these instances: the first payload, the last, the first twice. So the first
    one comes twice right after the last, and once after itself."""

    starting: list[Answer] = field(default_factory=list)
    """Several at once, most of them on instances that were started for them."""

    rounds: list[list[Answer]] = field(default_factory=list)
    """Several at once, on instances that were warm."""

    @property
    def answers(self) -> list[Answer]:
        together = [answer for round_ in self.rounds for answer in round_]
        return [*self.fresh, *self.first, *self.after, *self.starting, *together]


class Stage:
    """One rehearsal under way."""

    def __init__(
        self,
        spec: ContainerSpec,
        payloads: tuple[Payload, ...],
        *,
        engine: Engine,
        http: Http,
        clock: Clock,
        limits: Limits,
        at_once: int = AT_ONCE,
    ) -> None:
        self._payloads = payloads
        self._clock = clock
        self._at_once = at_once
        self._known: set[int | None] = set()  # instances that had a request
        config = PolicyConfig.of(limits, max_concurrency=max(1, at_once))
        self._endpoint = Endpoint(
            NAME,
            spec,
            replace(config, idle_seconds=IDLE_SECONDS),
            engine=engine,
            http=http,
            clock=clock,
            limits=replace(
                limits, stop_grace_seconds=min(limits.stop_grace_seconds, GRACE_SECONDS)
            ),
        )

    async def run(self) -> Rehearsal:
        """Raises EngineUnavailable. Nothing is left running."""
        seen = Rehearsal()
        try:
            await self._endpoint.create()
            if self._endpoint.status is EndpointStatus.IN_SERVICE:
                await self._play(seen)
            else:
                seen.ended = f"the endpoint did not get InService: {self._endpoint.failure_reason}"
        finally:
            with CancelScope(shield=True):  # an interrupted run must not leave containers
                await self._endpoint.close()
        return seen

    async def _play(self, seen: Rehearsal) -> None:
        first, last = self._payloads[0], self._payloads[-1]
        await self._fresh(seen, first)
        await self._first_requests(seen, last)
        if seen.ended:
            return
        for payload in (first, last, first, first):
            seen.after.append(await self._ask(payload))
        if self._at_once < 2 or not all(answer.ok for answer in seen.after):
            return
        seen.starting = await self._together(first)
        # One that answers at all is there, whatever it says.
        if all(answer.ok or answer.status for answer in seen.starting):
            seen.rounds = [await self._together(first) for _ in range(2)]
            if sum(not all(answer.ok for answer in one) for one in seen.rounds) == 1:
                seen.rounds.append(await self._together(first))  # once may be chance

    async def _fresh(self, seen: Rehearsal, payload: Payload) -> None:
        for number in range(REPEATS):
            answer = await self._ask(payload)
            seen.fresh.append(answer)
            if not answer.ok:
                seen.ended = f"it failed on the endpoint's first instance: {answer}"
                return
            # The first request may load the model; the second one shows what a request takes.
            if number and answer.seconds > REPEATABLE_SECONDS:
                took = f"{answer.seconds:.1f} s"
                seen.ended = f"{payload.name} takes {took}, which is too long to repeat it"
                return

    async def _first_requests(self, seen: Rehearsal, payload: Payload) -> None:
        """A failure is tried once more, on another new instance."""
        for _ in range(2):
            answer = await self._ask_cold(payload)
            if answer is None:
                seen.ended = seen.ended or "an instance was not scaled in"
                return
            seen.first.append(answer)
            if answer.ok:
                return

    async def _ask_cold(self, payload: Payload) -> Answer | None:
        for _ in range(SCALE_IN_TRIES):
            await self._clock.sleep(IDLE_SECONDS * 1.1)
            before = set(self._known)
            answer = await self._ask(payload)
            if answer.instance not in before:
                return answer
        return None

    async def _together(self, payload: Payload) -> list[Answer]:
        return list(await asyncio.gather(*(self._ask(payload) for _ in range(self._at_once))))

    async def _ask(self, payload: Payload) -> Answer:
        journal = self._endpoint.journal
        number = journal.arrived + 1  # of the request that now begins: nobody else asks
        reply, failure, status = None, "", 0
        invoke = Invoke(
            operation=Operation.INVOKE,
            endpoint=NAME,
            body=payload.body,
            content_type=payload.content_type,
        )
        try:
            reply = await self._endpoint.invoke(invoke)
        except InternalFailure as error:
            # The engine's, or byoc's own: nothing that a container could be blamed for.
            raise EngineUnavailable(f"The endpoint failed, not the container: {error}") from error
        except RuntimeFailure as error:
            status = error.original_status if isinstance(error, ModelError) else 0
            failure = _words(error, status)
        told = next(record for record in reversed(journal.last) if record.request == number)
        self._known.add(told.instance)
        log = "" if reply is not None else await self._log(told.instance)
        return Answer(
            payload=payload,
            instance=told.instance,
            cold=told.cold,
            seconds=told.seconds,
            setup_seconds=told.setup_seconds,
            reply=reply,
            failure=failure,
            status=status,
            detail=told.detail,
            log=log,
        )

    async def _log(self, instance: int | None) -> str:
        logs = self._endpoint.logs
        await logs.collect()
        lines = [line.text for line in logs.lines() if line.instance == instance]
        return "\n".join(lines[-LOG_LINES:])


def _words(error: RuntimeFailure, status: int) -> str:
    """What the caller is told, without the address of the log. Pages are cut short."""
    fields = error.fields(Place(endpoint=NAME, request_id="-"))
    said = fields.get("OriginalMessage") or fields.get("Message") or ""
    text = " ".join(str(said).split())
    text = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f"{error.code}, HTTP {status}: {text}" if status else f"{error.code}: {text}"

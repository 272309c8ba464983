"""One container's life: start, poll /ping, invoke with a deadline, stop.

Owns: what SageMaker sends to a container and when. Must not know: Docker, scaling, the wire to
clients, what a verdict is. Time comes from the clock that is passed in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from emulator.clock import Clock
from emulator.engines import Container, ContainerSpec, Engine, EngineUnavailable, Socket, Stopped
from emulator.http import Hold, Http, Outcome, Reply, Request
from emulator.limits import Limits
from emulator.start import PingAnswer, StartReport, StartState

__all__ = [
    "PING",
    "PLATFORM_HEADERS",
    "Diagnosis",
    "Instance",
    "PingAnswer",
    "StartReport",
    "StartState",
    "invocation",
    "not_listening",
    "platform_environment",
]

PLATFORM_HEADERS: Mapping[str, str] = {"Host": "model.aws.local:8080", "User-Agent": "AHC/2.0"}
"""What the platform's client sends with every request (contract 1.17 and contract 2.5,
https://github.com/pytorch/serve/issues/1028)."""

PING = Request(method="GET", path="/ping", headers=PLATFORM_HEADERS)
"""The health check: GET, no body (contract 2.1,
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html)."""

FIRST_PING_INTERVAL_SECONDS = 0.02
LAST_PING_INTERVAL_SECONDS = 1.0
EXIT_CHECK_SECONDS = 0.1
"""How often an unanswered container is asked whether it still runs; a death is told within 1 s."""


def platform_environment(region: str = "us-east-1") -> dict[str, str]:
    """The variables that the platform sets by itself (contract 1.18,
    https://github.com/pytorch/serve/issues/1028): region and execution environment. The addresses
    of AWS's credential and metadata services are left out: here nothing answers there, and a
    container that finds the variable would wait for them.
    """
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "SAGEMAKER_SAFE_PORT_RANGE": "21000-21999",
    }


def invocation(
    body: bytes, content_type: str | None, headers: Mapping[str, str] | None = None
) -> Request:
    """POST /invocations as the platform sends it: the body unchanged (contract 3.5)."""
    merged = dict(PLATFORM_HEADERS)
    if content_type is not None:
        merged["Content-Type"] = content_type
    merged.update(headers or {})
    return Request(method="POST", path="/invocations", headers=merged, body=body)


Diagnosis = Callable[["Instance", Reply], Awaitable[str | None]]
"""Asked now and then while a container is not ready: why it never will be, or None."""

DIAGNOSE_AFTER_SECONDS = 2.0
DIAGNOSE_EVERY_SECONDS = 2.0


class Instance:
    """A started container and the platform's way of talking to it."""

    def __init__(
        self, container: Container, *, spec: ContainerSpec, clock: Clock, http: Http, limits: Limits
    ) -> None:
        self.container = container
        self.spec = spec
        self.limits = limits
        self._clock = clock
        self._http = http
        self._ordered = clock.now()
        self._started = self._ordered

    @classmethod
    async def start(
        cls, engine: Engine, spec: ContainerSpec, *, clock: Clock, http: Http, limits: Limits
    ) -> Instance:
        """Creates and starts the container; does not wait for it to be ready.

        Raises StartRefused when the engine cannot start it, ImageNotFound, EngineUnavailable.
        """
        ordered = clock.now()
        container = await engine.start(spec)
        instance = cls(container, spec=spec, clock=clock, http=http, limits=limits)
        instance._ordered = ordered
        instance._started = clock.now()
        return instance

    async def send(
        self, request: Request, timeout_seconds: float, hold: Hold | None = None
    ) -> Reply:
        """Any request, on a connection of its own."""
        return await self._http.send(self.container.base_url, request, timeout_seconds, hold)

    async def ping(self) -> Reply:
        """One health check with the platform's own time limit (contract 2.3)."""
        return await self.send(PING, self.limits.ping_seconds)

    async def invoke(
        self,
        body: bytes,
        content_type: str | None,
        headers: Mapping[str, str] | None = None,
        hold: Hold | None = None,
    ) -> Reply:
        """One invocation with the platform's own time limit (contract 3.13)."""
        request = invocation(body, content_type, headers)
        return await self.send(request, self.limits.invocation_seconds, hold)

    async def wait_ready(
        self,
        diagnosis: Diagnosis | None = None,
        seen: Callable[[PingAnswer], None] | None = None,
    ) -> StartReport:
        """Polls /ping until the first 200, the container's death, or the end of the window. `seen`
        hears of each new kind of answer, for who looks on.

        Guarantees: a container that is ready at t is seen by t + 25 ms (by 1 % of t once that is
        more); one that exits is seen within a second; any other answer, a refused connection
        included, means "starting".
        """
        window = self.limits.startup_seconds
        deadline = self._ordered + window
        next_exit_check = self._clock.now() + EXIT_CHECK_SECONDS
        next_diagnosis = self._ordered + DIAGNOSE_AFTER_SECONDS
        answers: list[PingAnswer] = []
        while True:
            asked = self._clock.now()
            reply = await self.send(
                PING, max(0.001, min(self.limits.ping_seconds, deadline - asked))
            )
            if self._note(answers, reply, asked) and seen is not None:
                seen(answers[-1])
            if reply.status == 200:
                return await self._report(StartState.READY, answers)
            now = self._clock.now()
            if now >= next_exit_check:
                next_exit_check = now + EXIT_CHECK_SECONDS
                if await self.container.exit_code() is not None:
                    return await self._report(StartState.EXITED, answers)
            if diagnosis is not None and next_diagnosis <= now < deadline:
                because = await diagnosis(self, reply)
                if because is not None:
                    return await self._report(StartState.GAVE_UP, answers, because)
                now = self._clock.now()
                next_diagnosis = now + DIAGNOSE_EVERY_SECONDS
            await self._clock.sleep(min(self._interval(now), max(0.0, deadline - now)))
            if self._clock.now() >= deadline:
                return await self._report(StartState.TIMED_OUT, answers)

    def _interval(self, now: float) -> float:
        return min(
            LAST_PING_INTERVAL_SECONDS,
            max(FIRST_PING_INTERVAL_SECONDS, (now - self._ordered) / 100),
        )

    def _note(self, answers: list[PingAnswer], reply: Reply, asked: float) -> bool:
        """Whether it is another answer than the one before."""
        if answers:
            last = answers[-1]
            same = (last.reply.outcome, last.reply.status) == (reply.outcome, reply.status)
            if same:
                answers[-1] = PingAnswer(
                    at_seconds=last.at_seconds, reply=reply, times=last.times + 1
                )
                return False
        answers.append(PingAnswer(at_seconds=asked - self._ordered, reply=reply))
        return True

    async def _report(
        self, state: StartState, answers: list[PingAnswer], because: str = ""
    ) -> StartReport:
        seconds = self._clock.now() - self._ordered
        told = StartReport(
            state=state,
            seconds=seconds,
            container_seconds=self._started - self._ordered,
            answers=tuple(answers),
            gave_up_because=because,
            port=self.spec.port,
            memory_bytes=self.spec.memory_bytes,
        )
        # Nothing else is asked of a ready one: its first invocation should meet it at once.
        return told if told.ready else await self._why(told)

    async def _why(self, told: StartReport) -> StartReport:
        """What else is to be seen of a container that is not ready, as far as the engine can."""
        container = self.container
        listening: tuple[Socket, ...] | None = None
        connecting: tuple[Socket, ...] = ()
        kills = 0
        with suppress(EngineUnavailable):
            kills = await container.oom_kills()
        if told.state is StartState.TIMED_OUT:
            with suppress(EngineUnavailable):
                listening = tuple(await container.sockets())
                connecting = tuple(await container.connecting())
        return replace(
            told,
            exit_code=await container.exit_code(),
            log_tail=await container.logs(),
            oom_kills=kills,
            listening=listening,
            connecting=connecting,
        )

    async def restart(self) -> None:
        """Kills it and starts it again with what it wrote; `wait_ready` then begins anew."""
        self._ordered = self._clock.now()
        await self.container.restart()
        self._started = self._clock.now()

    async def stop(self, grace_seconds: float | None = None) -> Stopped:
        """SIGTERM, the platform's 30 s, SIGKILL, remove (contract 1.4). Idempotent."""
        grace = self.limits.stop_grace_seconds if grace_seconds is None else grace_seconds
        return await self.container.stop(grace)


def not_listening(reply: Reply) -> bool:
    """Whether a failed ping says that nothing accepts connections behind the published port.

    A published port accepts while nothing listens behind it, and then closes.
    """
    return reply.outcome in (Outcome.REFUSED, Outcome.RESET)

"""A deploy call from its body to its answer: judged, kept by moto, done by the deployments.

Owns: the way of a call, and telling who follows. Must not know: HTTP, the rules, what an operation
does (`operations`). Works in a thread that holds moto's lock, beside the event loop of the
deployments; so CloudFormation makes the same calls as boto3 does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from emulator.api.judging import Images, Judge
from emulator.api.loop_portal import LoopPortal
from emulator.api.moto_app import moto_lock
from emulator.api.operations import OPERATIONS, EndpointGone, NoResource, Work
from emulator.api.records import Kind, Records
from emulator.control.answers import Answer, BadToken
from emulator.control.known import Body
from emulator.control.normal import normal
from emulator.control.rule import VALIDATION
from emulator.control.rules import Refusal, ignored
from emulator.deployments import Deployments
from emulator.errors import Usage
from emulator.running import CallTold, Fleet
from emulator.runtime_errors import OWN_WORDS

TOLD = ("Create", "Update", "Delete")
"""How operations begin that people want to hear of."""

NAMES = ("EndpointName", "EndpointConfigName", "ModelName")


class Refused(Exception):
    """A call that is not done; `refusal` is what AWS answers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """An endpoint that was started otherwise, as calls would have made it."""

    region: str
    bodies: Mapping[Kind, Body]


class Calls:
    """`call()` and `settled()` need a thread of their own that holds `moto_lock`; the rest is made
    on the loop of the deployments.
    """

    def __init__(
        self,
        deployments: Deployments,
        fleet: Fleet,
        images: Images,
        *,
        account_is_told: bool = False,
        adopted: Iterable[Adopted] = (),
    ) -> None:
        self._deployments, self._fleet = deployments, fleet
        self._portal = LoopPortal()
        self._judge = Judge(deployments, images, self._portal, account_is_told=account_is_told)
        self._adopted = list(adopted)
        self._used: dict[tuple[str, str], Records] = {}

    def close(self) -> None:
        """On the loop: whoever waits there waits no longer."""
        self._portal.close()

    def forget(self) -> None:
        """In a thread that holds moto's lock: nothing of what was made here stays in moto, whose
        state outlives us in the process.
        """
        for records in self._used.values():
            records.forget()

    def adopt(self, adopted: Adopted) -> None:
        """Moto hears of it when the first call comes, not before."""
        self._adopted.append(adopted)

    def call(
        self, operation: str, body: Any, *, region: str, account: str, by: str = "api"
    ) -> Answer:
        """Raises Refused."""
        records = self._records(account, region)
        if not records.there:
            raise Refused(_not_there(f"SageMaker is in no region {region}."))
        place = {"region": region, "account": account}
        refused = self._judge.refusal(operation, body, records, **place)
        answer: Answer = {}
        tells: list[CallTold] = []  # not yet told
        if refused is None:
            tells += self._told(operation, body, region, by, None)
            work = Work(
                body=normal(operation, body),
                records=records,
                deployments=self._deployments,
                do=partial(self._do, tells),
                **place,
            )
            try:
                answer = OPERATIONS[operation](work)
            except EndpointGone:
                return self.call(operation, body, region=region, account=account, by=by)
            except Usage as error:  # what the rules saw has changed since
                refused = _not_there(f"{error}.")
            except NoResource as error:
                refused = _not_there(f"Could not find resource {error}.")
            except BadToken as error:
                refused = _not_there(f"Invalid NextToken: {error}.")
        if refused is not None:
            tells = self._told(operation, body, region, by, refused)
        for told in tells:
            self._portal.soon(self._fleet.called, told)
        if refused is not None:
            raise Refused(refused)
        return answer

    def _do(self, tells: list[CallTold], what: Callable[[], Any]) -> Any:
        """On the loop. The call is told before the statuses that come of it."""

        def done() -> Any:
            with self._fleet.statuses_held():
                result = what()
                while tells:
                    self._fleet.called(tells.pop())
                return result

        return self._portal.do(done)

    def settled(self, name: str, *, region: str, account: str) -> tuple[str | None, str]:  # noqa: ARG002
        """Status and FailureReason when nothing goes on there any more; None when it is gone. The
        lock is let go meanwhile.
        """
        moto_lock.release()
        try:
            self._portal.run(self._deployments.settled(name, region))
        finally:
            moto_lock.acquire()
        endpoint = self._deployments.get(name, region)
        return (None, "") if endpoint is None else (endpoint.status.value, endpoint.failure_reason)

    def _records(self, account: str, region: str) -> Records:
        records = self._used.get((account, region))
        if records is None:
            records = self._used[account, region] = Records(account, region)
        for adopted in [one for one in self._adopted if one.region == region]:
            self._adopted.remove(adopted)
            for kind, body in adopted.bodies.items():
                records.add(kind, body)
        return records

    def _told(
        self, operation: str, body: Any, region: str, by: str, refused: Refusal | None
    ) -> list[CallTold]:
        """What onlookers hear of it, if anything."""
        if not operation.startswith(TOLD):
            return []
        known = body if isinstance(body, Mapping) else {}
        told = CallTold(
            operation=operation,
            resource=next((str(known[name]) for name in NAMES if known.get(name)), ""),
            region=region,
            by=by,
            refused=refused is not None,
            code=refused.code if refused else "",
            message=refused.message if refused else "",
            rule=refused.rule.name if refused and refused.rule else "",
            change=self._judge.change(refused, body) if refused else "",
            ignored=() if refused else tuple(str(one) for one in ignored(operation, body)),
            request=known,
        )
        return [told]


def _not_there(text: str) -> Refusal:
    return Refusal(code=VALIDATION, message=f"{text} {OWN_WORDS}")

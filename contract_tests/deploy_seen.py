"""What became of a deployment, as values that several checks judge.

Owns: these values, and how the endpoints that were made are asked. Must not know: templates,
scripts, clauses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract_tests.deploy_local import FAILED, GONE, IN_SERVICE, LocalAws, Status
from contract_tests.settings import Payload

SHOWN = 200
"""Characters of an answer that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that AWS does not take: where it stands, what AWS says, what to change, and who
    else would have said so.
    """

    where: str  # a call, or a file with its line
    code: str
    text: str
    place: str = ""  # in the template
    change: str = ""
    let_through: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.code}: {self.text}"]
        lines += [line for line in (self.place, self.change, self.let_through) if line]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request to an endpoint that was made."""

    endpoint: str
    payload: str
    ok: bool
    words: str

    def __str__(self) -> str:
        return f"{self.payload} to endpoint {self.endpoint}: {self.words}"


@dataclass(slots=True, kw_only=True)
class Seen:
    """One deployment. What was not reached is empty."""

    stopped: str = ""  # why it went no further, when nobody's deployment is to blame
    refused: list[Refusal] = field(default_factory=list)
    failed: list[Status] = field(default_factory=list)
    in_service: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


def endpoints(statuses: Iterable[Status]) -> dict[tuple[str, str], Status]:
    """The last status of each that is still there, or that failed."""
    last: dict[tuple[str, str], Status] = {}
    for told in statuses:
        key = told.region, told.name
        before = last.get(key)
        if told.status == GONE and before is not None and before.status == FAILED:
            continue  # taken back by CloudFormation: that it failed is what matters
        if before is not None and before.status == FAILED and told.status == "Deleting":
            continue
        last[key] = told
    return {key: told for key, told in last.items() if told.status != GONE}


def was_in_service(statuses: Iterable[Status]) -> list[str]:
    """Names, each once."""
    return list(dict.fromkeys(told.name for told in statuses if told.status == IN_SERVICE))


def ask(aws: LocalAws, payloads: Sequence[Payload]) -> list[Asked]:
    """Every request, to every endpoint that is in service."""
    there = endpoints(aws.statuses()).values()
    serving = [told for told in there if told.status == IN_SERVICE]
    return [_ask(aws, told, payload) for told in serving for payload in payloads]


def _ask(aws: LocalAws, to: Status, payload: Payload) -> Asked:
    from botocore.exceptions import BotoCoreError, ClientError

    client = aws.client("sagemaker-runtime", to.region)
    ok = False
    try:
        answer = client.invoke_endpoint(
            EndpointName=to.name, Body=payload.body, ContentType=payload.content_type
        )
        words = _short(answer["Body"].read().decode("utf-8", "replace"))
        ok = True
    except ClientError as error:
        told: Any = error.response
        words = f"{told['Error']['Code']}: {told.get('Message') or told['Error']['Message']}"
    except BotoCoreError as error:
        words = str(error)
    return Asked(endpoint=to.name, payload=payload.name, ok=ok, words=words)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"

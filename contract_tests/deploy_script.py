"""A script that deploys, run as its user runs it, with every call going to the local SageMaker.

Owns: its two runs, and what was seen. Must not know: clauses, verdicts, pytest.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract_tests.deploy_data import put_model_data
from contract_tests.deploy_environment import environment_of
from contract_tests.deploy_local import IN_SERVICE, NOT_EMULATED, Call, LocalAws
from contract_tests.deploy_seen import Asked, Refusal, Seen, ask, endpoints, was_in_service
from contract_tests.deploy_settings import Script
from contract_tests.settings import Payload
from emulator.api.bystanders import bystanders
from emulator.control.image_uri import ecr_image
from emulator.owner import temporary_directory

SECONDS = 900.0
"""How long a script may take: a real-time endpoint alone has 8 minutes (contract 2.7,
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html)."""

LINES = 12
MOST_BYTES = 1024 * 1024
"""A larger file is no script that is read for an image's region."""

PARAMETERS = "Parameter validation failed"
"""What botocore says before it sends anything, from boto3 and the AWS CLI alike."""

DATA = "model-data-exists"

_REGION = re.compile(r"\.dkr\.ecr(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_ANY_REGION = re.compile(r"\b((?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-[a-z]+)+-\d)\b")
_DATA = re.compile(r"s3://[A-Za-z0-9.\-]+/[^\s'\"{}<>$]+\.tar\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of it."""

    exit_code: int | None  # None: it took too long
    output: str
    calls: Sequence[Call] = ()

    @property
    def refused(self) -> list[Call]:
        return [call for call in self.calls if call.refused]

    @property
    def last_lines(self) -> str:
        return "\n".join(self.output.strip().splitlines()[-LINES:])

    def __str__(self) -> str:
        """Its last line first: that is what most programs end with."""
        how = "it took too long" if self.exit_code is None else f"exit code {self.exit_code}"
        lines = self.last_lines.splitlines()
        return f"{how}: {lines[-1] if lines else 'it wrote nothing'}\n{self.last_lines}".strip()


@dataclass(slots=True, kw_only=True)
class ScriptSeen(Seen):
    """Both runs. `again` is None where the first one made nothing that could be made again."""

    first: Ran | None = None
    invalid: str = ""  # what botocore itself says
    again: Ran | None = None
    asked_again: list[Asked] = field(default_factory=list)
    removed: bool = False  # the endpoints that it made are gone when it ends
    left: list[str] = field(default_factory=list)

    @property
    def repositories(self) -> list[str]:
        """Of the images that it named."""
        calls = self.first.calls if self.first else ()
        uris = [uri for call in calls for uri in _images(call.request)]
        return [image.repository for uri in uris if (image := ecr_image(uri))]


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "Image" and isinstance(item, str):
                yield item
            else:
                yield from _images(item)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item)


def text_of(script: Script) -> str:
    """The words of the command and the text of every file among them."""
    found = [str(script)]
    for word in script.words:
        path = script.directory / word
        try:
            if path.is_file() and path.stat().st_size <= MOST_BYTES:
                found.append(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return "\n".join(found)


def region_of(script: Script) -> str:
    """That of the image's URI, or else the first that the script or its arguments name."""
    text = text_of(script)
    found = _REGION.search(text) or _ANY_REGION.search(text)
    return found[1] if found else ""


@dataclass(slots=True, kw_only=True, eq=False)
class Play:
    """Of one script."""

    script: Script
    payloads: Sequence[Payload]
    model_data: Path | None
    seen: ScriptSeen = field(default_factory=ScriptSeen)

    def play(self, aws: LocalAws) -> None:
        """All of it."""
        seen = self.seen
        for url in dict.fromkeys(_DATA.findall(text_of(self.script))):
            put_model_data(aws, url, self.model_data)
        directory = temporary_directory()
        try:
            environment = environment_of(aws, os.environ, directory.path)
            seen.first = self._run(aws, environment)
            self._look(aws, seen.first)
            if seen.first.exit_code == 0 and seen.in_service and not seen.failed:
                seen.again = self._run(aws, environment)
                self._settle(aws)
                seen.asked_again = ask(aws, self.payloads[:1])
        finally:
            directory.close()

    def _run(self, aws: LocalAws, environment: Mapping[str, str]) -> Ran:
        before = aws.mark()
        exit_code, output = run(self.script, environment)
        aws.mark()
        return Ran(exit_code=exit_code, output=output, calls=aws.calls(before))

    def _look(self, aws: LocalAws, ran: Ran) -> None:
        seen = self.seen
        self._settle(aws)
        statuses = aws.statuses()
        there = endpoints(statuses)
        seen.in_service = was_in_service(statuses)
        seen.failed = [told for told in there.values() if told.status == "Failed"]
        seen.removed = bool(seen.in_service) and not there
        seen.refused = list(_refusals(aws.calls(), ran))
        seen.stopped = _stopped(ran, self.model_data)
        if ran.exit_code != 0 and PARAMETERS in ran.output:
            seen.invalid = ran.output[ran.output.index(PARAMETERS) :].strip()
        seen.asked = ask(aws, self.payloads)
        if seen.removed:
            seen.left = [str(one) for one in aws.there()]

    def _settle(self, aws: LocalAws) -> None:
        """A script need not wait for what it began."""
        from botocore.exceptions import WaiterError

        for (region, name), told in endpoints(aws.statuses()).items():
            if told.status not in (IN_SERVICE, "Failed"):
                waiter = aws.client("sagemaker", region).get_waiter("endpoint_in_service")
                try:
                    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
                except WaiterError:
                    continue
        aws.mark()


def _refusals(calls: Sequence[Call], ran: Ran) -> Iterator[Refusal]:
    if not any(_counts(call, ran) for call in ran.refused):
        return
    said = bystanders([(call.operation, call.request) for call in calls])
    for call, words in zip(calls, said, strict=True):
        if call.refused and _counts(call, ran):
            yield Refusal(
                where=f"{call.operation} {call.resource}",
                code=call.code,
                text=call.message,
                change=call.change,
                let_through=str(words),
            )


def _counts(call: Call, ran: Ran) -> bool:
    """A script may clear away what is not there; what only this machine lacks is no fault."""
    clears = call.operation.startswith("Delete") and ran.exit_code == 0
    return not clears and call.code != NOT_EMULATED and call.rule != DATA


def _stopped(ran: Ran, model_data: Path | None) -> str:
    """What only this machine lacks."""
    for call in ran.refused:
        if call.code == NOT_EMULATED:
            return f"{call.operation} {call.resource} cannot be done here: {call.message}"
        if call.rule == DATA and model_data is None:
            return (
                f"{call.message} On this machine there is none: give --model-data PATH, or let the"
                " script upload it."
            )
    return ""


def _dies_with_us() -> tuple[str, ...]:
    """Where that can be had, the kernel ends it with us, however we end."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def run(
    script: Script, environment: Mapping[str, str], seconds: float = SECONDS
) -> tuple[int | None, str]:
    """Exit code (None after so many seconds) and output; whatever it began ends with it."""
    python = [sys.executable] if script.words[0].endswith(".py") else []
    with tempfile.TemporaryFile() as output:  # no pipe: who inherited one would be waited for
        popen = subprocess.Popen(
            [*_dies_with_us(), *python, *script.words],
            cwd=script.directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        exit_code: int | None = None
        try:
            exit_code = popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
        output.seek(0)
        return exit_code, output.read().decode("utf-8", "replace")

"""A container in multi-model mode, and the platform's side of the multi-model API.

Owns: the requests that the platform sends (contract 7.1 to contract 7.5,
https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html), the container that they
go to, and the models beside it. Must not know: clauses, verdicts, pytest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contract_tests.asking import carries
from contract_tests.check import LOCAL, MULTI_MODEL, Blocked, NotApplicable
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator import owner
from emulator.engines import ContainerSpec, EngineUnavailable, StartRefused
from emulator.http import Reply, Request
from emulator.instance import PLATFORM_HEADERS

VARIABLE = "SAGEMAKER_MULTI_MODEL"

FIRST = "0f5b1c8d7e2a4b6990c3d1e5f7a8b2c4"
SECOND = "7d3e9a1f5c0b48d2a6e4f8c1b3d5079e"
UNKNOWN = "c2a4e6f80b1d3f5a7c9e0d2b4f6a8c0e"
"""Names as the platform makes them: opaque, and not what a caller gives as TargetModel."""

TARGET_HEADER = "X-Amzn-SageMaker-Target-Model"
"""What the caller named; for the container's log only."""

LOAD_SECONDS, CALLER_SECONDS = 360.0, 60.0
"""How long a load may go on, and how long its caller waits before it gets ModelNotReadyException
(contract 7.4, https://docs.aws.amazon.com/sagemaker/latest/dg/invoke-multi-model-endpoint.html)."""

MOST_PAGES = 20
MOST_COPIES, MOST_SECONDS = 32, 5.0
"""How long models are loaded to see what happens when no more fit."""

JSON_HEADERS = {**PLATFORM_HEADERS, "Content-Type": "application/json"}


def directory_of(name: str) -> str:
    """Where the platform puts a model in the container."""
    return f"/opt/ml/models/{name}/model"


def load_request(name: str) -> Request:
    body = json.dumps({"model_name": name, "url": directory_of(name)}).encode()
    headers = {**JSON_HEADERS, "Accept": "application/json", TARGET_HEADER: target_of(name)}
    return Request(method="POST", path="/models", headers=headers, body=body)


def list_request(token: str = "") -> Request:
    query = f"?next_page_token={quote(token, safe='')}" if token else ""
    headers = {**PLATFORM_HEADERS, "Accept": "application/json"}
    return Request(method="GET", path=f"/models{query}", headers=headers)


def model_request(method: str, name: str) -> Request:
    """GET asks whether it is loaded, DELETE unloads it."""
    headers = {**PLATFORM_HEADERS, "Accept": "application/json"}
    return Request(method=method, path=f"/models/{name}", headers=headers)


def invoke_request(name: str, body: bytes, content_type: str) -> Request:
    headers = {**PLATFORM_HEADERS, "Content-Type": content_type, TARGET_HEADER: target_of(name)}
    return Request(method="POST", path=f"/models/{name}/invoke", headers=headers, body=body)


def target_of(name: str) -> str:
    """The TargetModel of a caller: a path below the model's prefix in S3."""
    return f"team/model-{name[:2]}.tar.gz"


def listed(body: bytes) -> tuple[set[str] | None, str]:
    """The names in an answer to GET /models, and the token of its next page; None when it names
    models in no form that is known. Beside the documented {"models": [{"modelName": ...}]} that is
    an object with a member per model: AWS's own TensorFlow Serving image answers so.
    """
    try:
        found: Any = json.loads(body)
    except ValueError:
        return None, ""
    if not isinstance(found, dict):
        return None, ""
    token = found.get("nextPageToken")
    entries = found.get("models", found)
    if isinstance(entries, dict):
        return set(entries) - {"nextPageToken"}, str(token or "")
    if not isinstance(entries, list):
        return None, ""
    names = [entry.get("modelName") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(name, str) for name in names):
        return None, ""
    return {str(name) for name in names}, str(token or "")


ONLY_EVER = "If it is only ever a multi-model server, say so: --env SAGEMAKER_MULTI_MODEL=true."


def labelled(target: Target) -> bool:
    """Whether the image says that it can serve many models."""
    return carries(target.image.labels, MULTI_MODEL)


def hint(target: Target) -> str:
    """For an image with the label that has no /invocations: how to say that it need not."""
    if not labelled(target):
        return ""
    return (
        "Serve POST at exactly /invocations, too: without SAGEMAKER_MULTI_MODEL the image is for"
        f" one model. {ONLY_EVER}"
    )


class Models:
    """One container with SAGEMAKER_MULTI_MODEL=true, started when it is first asked for, and the
    user's model under as many names as are wanted. `close()` removes what was made.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._temporary: owner.TemporaryDirectory | None = None
        self._subject: Subject | None = None
        self._refused = ""
        self._loads: dict[str, Reply] = {}
        self._placed: Path | None = None  # a copy that others are linked to

    def close(self) -> None:
        if self._subject is not None:
            self._subject.stop(0)
        if self._temporary is not None:
            self._temporary.close()

    @property
    def _directory(self) -> Path:
        if self._temporary is None:
            self._temporary = owner.temporary_directory()
        return self._temporary.path

    @property
    def spec(self) -> ContainerSpec:
        """As the platform starts it: models are there only once they are asked for."""
        spec = self.target.spec
        environment = {**spec.environment, VARIABLE: "true"}
        return replace(spec, environment=environment, model_dir=None, models_dir=self._directory)

    def start(self) -> Subject:
        """The container, ready or not. Raises Blocked when the engine cannot start it."""
        if self._refused:
            raise Blocked(f"the engine cannot start the image: {self._refused}")
        if self._subject is None:
            try:
                self._subject = self.target.start(self.spec)
            except StartRefused as refused:
                self._refused = str(refused)
                return self.start()
        return self._subject

    def ready(self) -> Subject:
        """The container; raises Blocked when it is not ready, or not any more."""
        subject = self.start()
        if not subject.ready:
            raise Blocked(f"with {VARIABLE}=true it {subject.start.describe()}")
        code = subject.exit_code()
        if code is not None:
            raise Blocked(f"the container in multi-model mode has ended, exit code {code}")
        return subject

    # -- the API ------------------------------------------------------------------------------

    def load(self, name: str) -> Reply:
        """The answer to the first load of that name; once it is loaded nothing is sent again."""
        if name not in self._loads:
            self.ready()
            self._place(name)
            self._loads[name] = self.load_again(name)
        return self._loads[name]

    def load_again(self, name: str) -> Reply:
        return self.ready().send(load_request(name), LOAD_SECONDS)

    def loaded(self, name: str) -> str:
        """That name, loaded; raises Blocked when it cannot be."""
        if not self.load(name).ok:
            raise Blocked("needs multi-model-load-route, which does not hold")
        return name

    def fill(self) -> tuple[int, Reply]:
        """Loads copies until one fails, or there are many, or it took long. How many were loaded,
        and the last answer.
        """
        began, copies = self.target.now(), 0
        while True:
            reply = self.load(f"{copies:032x}")
            copies += reply.ok
            late = self.target.now() - began > MOST_SECONDS
            if not reply.ok or copies >= MOST_COPIES or late:
                return copies, reply

    def get(self, name: str) -> Reply:
        return self.ask(model_request("GET", name))

    def unload(self, name: str) -> Reply:
        """The next `load` of that name is sent again."""
        self._loads.pop(name, None)
        subject = self.ready()
        return subject.send(model_request("DELETE", name), subject.limits.invocation_seconds)

    def invoke(self, name: str, payload: Payload) -> Reply:
        return self.ask(invoke_request(name, payload.body, payload.content_type))

    def at_once(self, request: Request, times: int) -> Sequence[Reply]:
        """The same request that often at the same time."""
        subject = self.ready()
        seconds = subject.limits.invocation_seconds
        futures = [subject.send_soon(request, seconds) for _ in range(times)]
        return [future.result() for future in futures]

    def names(self) -> tuple[set[str] | None, Reply]:
        """All pages of GET /models, and the last answer; None when an answer is no list."""
        found: set[str] = set()
        token = ""
        for _ in range(MOST_PAGES):
            reply = self.ask(list_request(token))
            page, token = listed(reply.body) if reply.ok else (None, "")
            if page is None:
                return None, reply
            found |= page
            if not token:
                break
        return found, reply

    def list(self) -> Reply:
        return self.ask(list_request())

    def ask(self, request: Request) -> Reply:
        subject = self.ready()
        return subject.send(request, subject.limits.invocation_seconds)

    # -- the models ---------------------------------------------------------------------------

    def _place(self, name: str) -> None:
        """Puts the user's model where the platform downloads it to: by links where the file
        system allows it, so that a large model costs no time. Raises NotApplicable without one.
        """
        source = self.target.model_dir
        if source is None:
            raise NotApplicable(
                "needs a model to load: give --model-data with one model's artifact, a directory or"
                " a model.tar.gz"
            )
        into = self._directory / name / "model"
        if into.exists():  # as on the platform: what was unloaded stays on the disk
            return
        if self._placed is not None:  # the user's may be on another disk, where no link leads to
            source = self._placed
        try:
            shutil.copytree(source, into, symlinks=True, copy_function=_link)
        except (OSError, shutil.Error) as error:
            raise EngineUnavailable(f"--model-data cannot be copied to {into}: {error}") from error
        self._placed = into

    # -- for people ---------------------------------------------------------------------------

    def repeat(self, *requests: Request) -> str:
        """The commands that start such a container and send these requests."""
        line = self.target.run_line(self.spec)
        data = self.target.settings.model_data
        if data is not None and any(request.method != "GET" for request in requests):
            line = line.replace(" -p ", f" -v {data}:{directory_of(FIRST)}:ro -p ", 1)
        return "\n".join([line, *(request.curl(LOCAL) for request in requests)])

    def log(self) -> str:
        """The last lines of that container."""
        if self._subject is None:
            return self._refused
        return self._subject.logs() or self._subject.start.log_tail


def _link(source: str, into: str) -> str:
    try:
        os.link(source, into, follow_symlinks=False)
    except OSError:  # another file system, or somebody else's file
        shutil.copy2(source, into)
    return into

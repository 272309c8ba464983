"""SageMaker's control plane over HTTP: what `boto3.client("sagemaker")` talks to.

Owns: the form of requests and answers (AWS's JSON protocol 1.1), and that a waiter's
DescribeEndpoint is held until there is something to tell. Must not know: what a call does
(`calls`), rules, moto's records. https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import re
import uuid
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from emulator.api.asgi import CallerGone, Receive, Scope, Send, answer, answer_unread, header
from emulator.api.calls import Calls, Refused
from emulator.api.front import Mount
from emulator.api.moto_app import moto_lock, service_of
from emulator.api.runtime import ACCOUNT, REGION
from emulator.api.wsgi import MOST_BYTES, TooLarge, body_of
from emulator.control.rules import SERIALIZATION, Refusal
from emulator.deployments import Deployments
from emulator.engines import EngineUnavailable
from emulator.runtime_errors import OWN_WORDS
from emulator.wire_answers import ERROR_TYPE, REQUEST_ID, Response

log = logging.getLogger("byoc.control")

TARGET = b"SageMaker."

HOLD_SECONDS = 25.0
"""How long a waiter's DescribeEndpoint is held, below the client's read timeout of 60 s. Without it
botocore's waiters sleep 30 s (contract 6.30). The SageMaker SDK sleeps as long before
it first asks, which nobody can spare it, and then each time.
https://github.com/boto/botocore/blob/develop/botocore/data/sagemaker/2017-07-24/waiters-2.json
"""

_FEATURES = re.compile(r"(?:^| )m/([A-Za-z0-9,+-]+)")
WAITER = "B"
"""botocore's feature id of a call that a waiter makes, in its User-Agent.
https://github.com/boto/botocore/blob/develop/botocore/useragent.py
"""
SDK = "AWS-SageMaker-Python-SDK/"


ENDING = Refusal(code="ServiceUnavailable", message="byoc is ending.", status=503)


def waits(user_agent: str) -> bool:
    """Whether the caller would only ask again until the endpoint has settled."""
    features = _FEATURES.search(user_agent)
    return SDK in user_agent or (features is not None and WAITER in features[1].split(","))


class Control:
    """An ASGI application. Any credentials are taken."""

    def __init__(self, calls: Calls, deployments: Deployments) -> None:
        self._calls, self._deployments = calls, deployments
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="byoc-control")

    @property
    def mount(self) -> Mount:
        return Mount(matches=self.matches, app=self)

    def matches(self, scope: Scope) -> bool:
        return header(scope, b"x-amz-target").startswith(TARGET)

    def warm(self) -> None:
        """Loads moto aside, so that the first call need not wait for it."""
        self._thread.submit(_load)

    def close(self) -> None:
        """Leaves no thread behind, and nothing of ours in moto."""
        self._calls.close()
        self._closed = True
        self._thread.submit(self._forget)
        self._thread.shutdown(wait=False)

    def _forget(self) -> None:
        with moto_lock:
            self._calls.forget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        operation = header(scope, b"x-amz-target").removeprefix(TARGET).decode("latin-1")
        asked = service_of(scope)
        region = REGION if asked is None else asked[1]
        if self._closed:
            await answer_unread(scope, receive, send, failure(ENDING, request_id))
            return
        try:
            body = parsed(await body_of(receive))
            if operation == "DescribeEndpoint":
                await self._hold(scope, body, region)
            loop = asyncio.get_running_loop()
            said = await loop.run_in_executor(self._thread, self._called, operation, body, region)
            response = _response(200, said, request_id)
        except CallerGone:
            return
        except TooLarge:
            words = f"The request is larger than {MOST_BYTES} bytes. {OWN_WORDS}"
            refused = Refusal(code="RequestEntityTooLarge", message=words, status=413)
            await answer_unread(scope, receive, send, failure(refused, request_id))
            return
        except Refused as error:
            response = failure(error.refusal, request_id)
        except EngineUnavailable as error:
            refused = Refusal(code="ServiceUnavailable", message=f"byoc: {error}", status=503)
            response = failure(refused, request_id)
        except Exception:
            log.exception("byoc failed on SageMaker.%s", operation)
            words = "byoc failed, not the call; its log has the traceback."
            ours = Refusal(code="InternalFailure", message=words, status=500)
            response = failure(ours, request_id)
        await answer(send, response)

    def _called(self, operation: str, body: Any, region: str) -> Any:
        try:
            with moto_lock:
                return self._calls.call(operation, body, region=region, account=ACCOUNT)
        except CancelledError as error:
            # asyncio would take it for a cancellation of the request's own task.
            raise Refused(ENDING) from error

    async def _hold(self, scope: Scope, body: Any, region: str) -> None:
        name = body.get("EndpointName") if isinstance(body, dict) else None
        if isinstance(name, str) and waits(header(scope, b"user-agent").decode("latin-1")):
            await self._deployments.settled(name, region, HOLD_SECONDS)


def _load() -> None:
    from emulator.api.records import Records
    from emulator.control.service_model import service

    with moto_lock:
        Records(ACCOUNT, REGION).names("Model")
    service()
    importlib.import_module("moto.cloudformation.models")  # the slowest; moto's own server loads it


def parsed(body: bytes) -> Any:
    """Raises Refused for what is no JSON. No body is as good as an empty one."""
    try:
        return json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        text = f"The body is no JSON: {error}. {OWN_WORDS}"
        raise Refused(Refusal(code=SERIALIZATION, message=text)) from error


def failure(refused: Refusal, request_id: str) -> Response:
    said = {"__type": refused.code, "message": refused.message}
    return _response(refused.status, said, request_id, ((ERROR_TYPE, refused.code),))


def _response(
    status: int, said: Any, request_id: str, more: tuple[tuple[str, str], ...] = ()
) -> Response:
    headers = ((REQUEST_ID, request_id), ("Content-Type", "application/x-amz-json-1.1"), *more)
    # AWS answers with an empty body where there is nothing to tell.
    body = json.dumps(said).encode() if said else b""
    return Response(status=status, headers=headers, body=body)

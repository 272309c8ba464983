"""moto behind our door: other services of AWS, in this process, for what reaches our URL.

Owns: which requests are theirs, that moto is loaded only when the first one comes, and that one at
a time is served, since moto was not made for threads. Must not know: what moto does with them, our
endpoints. https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from xml.sax.saxutils import escape

from emulator.api.asgi import Receive, Scope, Send, answer_unread, header
from emulator.api.front import Mount
from emulator.api.signature import SIGNED_FOR
from emulator.api.wsgi import (
    MOST_BYTES,
    Answer,
    Environ,
    TooLarge,
    WSGIApp,
    body_of,
    call,
    environ_of,
)
from emulator.wire_answers import ERROR_TYPE, Response

AS_SIGNED = "AWS4-HMAC-SHA256 Credential=byoc/20260101/{region}/{service}/aws4_request"

TARGETS: Mapping[str, bytes] = {
    "logs": b"Logs_20140328.",
    "monitoring": b"GraniteServiceVersion20100801.",
}
"""X-Amz-Target of requests that nobody signed, by the name that is signed for."""

PATHS: Mapping[str, str] = {"monitoring": "/service/GraniteServiceVersion20100801/"}
"""Where a service is for those who speak Smithy's RPC protocol, which moto does not: they are
refused in it. boto3, the AWS CLI and the SDK for JavaScript speak to these services in JSON.
https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

HandOver = Callable[[], None]
"""Brings moto up to date; runs in moto's thread, right before the request."""

Prepare = Callable[[str, str], Awaitable[HandOver]]
"""Called on the loop before each request with the service and the region it is for."""

DEFAULT_REGION = "us-east-1"


def service_of(scope: Scope) -> tuple[str, str] | None:
    """Which service, by the name it is signed for, and which region; None when neither is said."""
    for said in (header(scope, b"authorization"), bytes(scope.get("query_string", b""))):
        if signed := SIGNED_FOR.search(said.replace(b"%2F", b"/")):
            return signed[2].decode(), signed[1].decode()
    target = header(scope, b"x-amz-target")
    for service, prefix in TARGETS.items():
        if target.startswith(prefix):
            return service, DEFAULT_REGION
    for service, path in PATHS.items():
        if str(scope.get("path", "")).startswith(path):
            return service, DEFAULT_REGION
    return None


async def nothing_new(_service: str, _region: str) -> HandOver:
    """For services whose state is moto's alone."""
    return lambda: None


class MotoApp:
    """An ASGI application of these services."""

    def __init__(self, services: Iterable[str] | None, prepare: Prepare = nothing_new) -> None:
        """None: every service that a request is signed for, but SageMaker itself."""
        self._services = None if services is None else frozenset(services)
        self._prepare = prepare
        # One thread: requests of this application wait here, not in the loop's own threads, which
        # engines need.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="byoc-moto")
        self._closed = False

    @property
    def mount(self) -> Mount:
        return Mount(matches=self.matches, app=self)

    def close(self) -> None:
        """Leaves no thread behind. What was asked before is answered."""
        self._closed = True
        self._thread.shutdown(wait=False)

    def matches(self, scope: Scope) -> bool:
        asked = service_of(scope)
        if asked is None:
            return False
        if self._services is None:
            return asked[0] != "sagemaker"
        return asked[0] in self._services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = service_of(scope)
        assert asked is not None, "the mount matched"
        if scope["path"].startswith(tuple(PATHS.values())):
            await answer_unread(scope, receive, send, _without_cbor(scope["path"]))
            return
        try:
            environ = environ_of(scope, await body_of(receive))
        except TooLarge:
            refusal = _refused(413, f"byoc takes at most {MOST_BYTES} bytes here.")
            await answer_unread(scope, receive, send, refusal)
            return
        hand_over = await self._prepare(*asked)
        if self._closed:
            await answer_unread(scope, receive, send, _refused(503, "The endpoint is gone."))
            return
        loop = asyncio.get_running_loop()
        said = await loop.run_in_executor(self._thread, _served, environ, *asked, hand_over)
        await _send(send, said, head_only=scope["method"] == "HEAD")


moto_lock = threading.Lock()
"""moto's state belongs to the process, whoever asks for it. Held for as long as a request is
served; a thread of ours that works on that state holds it too, and lets go while it waits.
"""


def _served(environ: Environ, service: str, region: str, hand_over: HandOver) -> Answer:
    with moto_lock:
        hand_over()
        # moto knows a service by its signature only, and checks none.
        if SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")) is None:
            environ["HTTP_AUTHORIZATION"] = AS_SIGNED.format(region=region, service=service)
        try:
            return call(moto(), environ)
        except NotImplementedError as error:
            return _not_emulated(service, environ, error)


def _not_emulated(service: str, environ: Environ, error: NotImplementedError) -> Answer:
    """In JSON where that was spoken, else in XML; a status that no client tries again."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    action = "".join(word.title() for word in re.findall(r"The (\w+) action", str(error)))
    what = target.rpartition(".")[2] or action.replace("_", "") or environ["PATH_INFO"]
    words = f"byoc does not emulate {what[:200]} of {service}: moto, which answers here, does not."
    if target or "json" in environ.get("CONTENT_TYPE", ""):
        said = json.dumps({"__type": "NotEmulated", "message": words})
        headers = [("Content-Type", "application/x-amz-json-1.1"), (ERROR_TYPE, "NotEmulated")]
    else:
        inner = f"<Code>NotEmulated</Code><Message>{escape(words)}</Message>"
        said = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
        headers = [("Content-Type", "text/xml")]
    return Answer(status=501, headers=tuple(headers), body=said.encode())


@functools.cache
def moto() -> WSGIApp:
    """All of it; the first call takes half a second."""
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    # Else AmazonSageMakerFullAccess cannot be attached, as every tutorial does. moto looks when IAM
    # is first asked for: https://docs.getmoto.org/en/latest/docs/services/iam.html
    default_user_config["iam"]["load_aws_managed_policies"] = True
    app: WSGIApp = DomainDispatcherApplication(create_backend_app)
    return app


def _without_cbor(path: str) -> Response:
    words = (
        f"byoc does not emulate {path[:200]}: requests in CBOR. Set your SDK's protocol to JSON or"
        " query, or use boto3 or the AWS CLI."
    )
    body = b"\xa2" + b"".join(map(_cbor, ("__type", "NotEmulated", "message", words)))
    headers = (("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"))
    return Response(status=501, headers=headers, body=body)


def _cbor(text: str) -> bytes:
    """A text string of RFC 8949 with its length in two bytes."""
    raw = text.encode()
    return b"\x79" + len(raw).to_bytes(2, "big") + raw


def _refused(status: int, why: str) -> Response:
    headers = (("Content-Type", "text/plain"), ("Connection", "close"))
    return Response(status=status, headers=headers, body=f"{why}\n".encode())


async def _send(send: Send, said: Answer, *, head_only: bool) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.headers
    ]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(said.body)))
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else said.body})

"""SageMaker Runtime over HTTP: what `boto3.client("sagemaker-runtime")` talks to.

Owns: the web server, who may talk to it, and the way of one request through it. Must not know: the
wire's form (`emulator.wire`), scheduling, containers. Listens on the loopback only; any credentials
are taken.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import uuid
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web

from emulator.http import Reply
from emulator.runtime_errors import (
    InternalFailure,
    NotEmulated,
    Place,
    RuntimeFailure,
    ValidationError,
)
from emulator.wire import Invoke, Target, WireLimits, check_length, parse_invoke, parse_target
from emulator.wire_answers import Response, render_failure, render_success

HOST = "127.0.0.1"
VARIANT = "AllTraffic"
ACCOUNT, REGION = "000000000000", "us-east-1"

CLOSE_SECONDS = 2.0
"""How long closing waits for answers to be sent. Their requests have been answered before."""

log = logging.getLogger("byoc.runtime")


class Invokable(Protocol):
    """What the server needs of an endpoint; `emulator.endpoint.Endpoint` is one."""

    @property
    def wire_limits(self) -> WireLimits: ...

    async def invoke(self, invoke: Invoke) -> Reply:
        """Raises RuntimeFailure for everything but a success."""


class RuntimeServer:
    """Serves the endpoints of a mapping, which may change while it runs."""

    def __init__(
        self, endpoints: Mapping[str, Invokable], *, region: str = REGION, account: str = ACCOUNT
    ) -> None:
        self.url = ""
        self._endpoints = endpoints
        self._region, self._account = region, account
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listens, and returns the URL for AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME. Raises OSError when
        the port is taken.
        """
        # Without a router: paths are the wire's business, and a router refuses some by itself.
        server = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,  # a body reaches the container as it came
        )
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_SECONDS)
        try:
            await runner.setup()
            await web.TCPSite(runner, HOST, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.url = f"http://{HOST}:{runner.addresses[0][1]}"
        return self.url

    async def close(self) -> None:
        """May be called twice. Close the endpoints before: what is in flight is cut off."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        place = Place(
            endpoint="", request_id=str(uuid.uuid4()), region=self._region, account=self._account
        )
        try:
            refuse_web_pages(request.headers)
            target = parse_target(request.method, _path(request))
            place = dataclasses.replace(place, endpoint=target.endpoint)
            answer = await self._answer(request, target, place)
        except RuntimeFailure as failure:
            answer = render_failure(failure, place)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("byoc failed on %s %s", request.method, request.rel_url)
            ours = InternalFailure("byoc failed, not the model; its log has the traceback.")
            answer = render_failure(ours, place)
        return web.Response(status=answer.status, headers=list(answer.headers), body=answer.body)

    async def _answer(self, request: web.BaseRequest, target: Target, place: Place) -> Response:
        endpoint = self._endpoints.get(target.endpoint)
        if endpoint is None:
            raise ValidationError.endpoint_not_found()
        invoke = parse_invoke(
            request.method,
            _path(request),
            request.query_string,
            [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in request.raw_headers
            ],
            await _body(request, endpoint.wire_limits),
            limits=endpoint.wire_limits,
        )
        invoke.check_variant([VARIANT])
        reply = await endpoint.invoke(invoke)
        return render_success(reply, VARIANT, place.request_id)


async def _body(request: web.BaseRequest, limits: WireLimits) -> bytes:
    """Never more than one piece over the limit. The rest of a body that is too large is read and
    dropped by aiohttp after the answer was sent, so that a client which sends first and reads then
    finds the answer instead of a broken connection.
    """
    check_length(request.content_length or 0, limits)
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            check_length(len(body), limits)
    except (OSError, web.RequestPayloadError) as error:
        # The caller went away, or cannot count; in the first case nobody reads this.
        raise web.HTTPBadRequest(text=f"the request's body broke off: {error}\n") from error
    return bytes(body)


def refuse_web_pages(headers: Mapping[str, str]) -> None:
    """A page in a browser on this machine must not drive containers: neither by a request to
    another origin, which carries `Origin`, nor through a name of its own that resolves to the
    loopback, which shows in `Host`.
    """
    origin, host = headers.get("Origin"), headers.get("Host", "")
    if origin is not None and not _local(origin.rpartition("://")[2]):
        raise NotEmulated(
            f"requests from web pages (Origin: {origin})", "use an AWS SDK outside of a browser."
        )
    if not _local(host):
        raise NotEmulated(
            f"requests to the host {host!r}", f"it answers for {HOST} and localhost only."
        )


def _local(netloc: str) -> bool:
    try:
        name = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _path(request: web.BaseRequest) -> str:
    """As it came: percent-encoded, without the query."""
    return request.raw_path.partition("?")[0]

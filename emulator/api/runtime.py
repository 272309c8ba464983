"""SageMaker Runtime over HTTP: what `boto3.client("sagemaker-runtime")` talks to.

Owns: the web server and the way of one request through it. Must not know: the wire's form
(`emulator.wire`), scheduling, containers. Listens on the loopback only; any credentials are taken.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from aiohttp import web

from emulator.endpoint import Endpoint
from emulator.runtime_errors import (
    InternalFailure,
    Place,
    RuntimeFailure,
    ValidationError,
)
from emulator.wire import Invoke, parse_invoke, parse_target
from emulator.wire_answers import Response, render_failure, render_success

HOST = "127.0.0.1"
VARIANT = "AllTraffic"
ACCOUNT, REGION = "000000000000", "us-east-1"

log = logging.getLogger("byoc.runtime")


class RuntimeServer:
    """Serves the endpoints of a mapping, which may change while it runs."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], *, region: str = REGION, account: str = ACCOUNT
    ) -> None:
        self.url = ""
        self._endpoints = endpoints
        self._region, self._account = region, account
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listens, and returns the URL for AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME. Raises OSError when
        the port is taken.
        """
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.url = f"http://{HOST}:{runner.addresses[0][1]}"
        return self.url

    async def close(self) -> None:
        """Requests in flight are cut off. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        place = Place(
            endpoint="", request_id=str(uuid.uuid4()), region=self._region, account=self._account
        )
        try:
            place, answer = await self._answer(request, place)
        except RuntimeFailure as failure:
            answer = render_failure(failure, self._named(request, place))
        except Exception:
            log.exception("byoc failed on %s %s", request.method, request.rel_url)
            ours = InternalFailure("byoc failed, not the model; its log has the traceback.")
            answer = render_failure(ours, self._named(request, place))
        return web.Response(status=answer.status, headers=list(answer.headers), body=answer.body)

    def _named(self, request: web.Request, place: Place) -> Place:
        try:
            endpoint = parse_target(request.method, _path(request)).endpoint
        except RuntimeFailure:
            endpoint = ""
        return Place(
            endpoint=endpoint,
            request_id=place.request_id,
            region=place.region,
            account=place.account,
        )

    async def _answer(self, request: web.Request, place: Place) -> tuple[Place, Response]:
        target = parse_target(request.method, _path(request))
        endpoint = self._endpoints.get(target.endpoint)
        if endpoint is None:
            raise ValidationError.endpoint_not_found()
        invoke = await self._read(request, endpoint)
        invoke.check_variant([VARIANT])
        reply = await endpoint.invoke(invoke)
        return place, render_success(reply, VARIANT, place.request_id)

    async def _read(self, request: web.Request, endpoint: Endpoint) -> Invoke:
        """The whole request. A body over the limit is read to its end and dropped: a client that
        is still sending would otherwise see a broken connection instead of the error.
        """
        most = endpoint.wire_limits.payload_bytes + 1
        body = bytearray()
        async for chunk in request.content.iter_any():
            if len(body) < most:
                body += chunk[: most - len(body)]
        return parse_invoke(
            request.method,
            _path(request),
            request.query_string,
            [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in request.raw_headers
            ],
            bytes(body),
            limits=endpoint.wire_limits,
        )


def _path(request: web.Request) -> str:
    """As it came: percent-encoded, without the query."""
    return request.raw_path.partition("?")[0]

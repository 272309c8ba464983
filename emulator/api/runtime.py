"""SageMaker Runtime over HTTP: what `boto3.client("sagemaker-runtime")` talks to.

Owns: the way of one request through it, from the first line to the last byte of the answer. Must
not know: the wire's form (`emulator.wire`), who may ask (`guard`), servers, scheduling, containers.
Any credentials are taken.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from emulator import eventstream
from emulator.api.asgi import CallerGone, Receive, Scope, Send, answer, answer_unread, head, header
from emulator.api.signature import region_of
from emulator.http import Reply
from emulator.runtime_errors import (
    InternalFailure,
    InternalStreamFailure,
    NotEmulated,
    Place,
    RuntimeFailure,
    ValidationError,
)
from emulator.wire import Invoke, WireLimits, check_length, parse_invoke, parse_target
from emulator.wire_answers import render_failure, render_stream, render_success
from emulator.wire_members import Operation

VARIANT = "AllTraffic"
ACCOUNT, REGION = "123456789012", "us-east-1"

log = logging.getLogger("byoc.runtime")


class Invokable(Protocol):
    """What is needed of an endpoint; `emulator.endpoint.Endpoint` is one."""

    @property
    def wire_limits(self) -> WireLimits: ...

    async def invoke(self, invoke: Invoke) -> Reply:
        """Raises RuntimeFailure for everything but a success."""


class Stream(Protocol):
    """A container's answer while it comes; names of headers in lower case."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def parts(self) -> AsyncIterator[bytes]:
        """Raises ModelStreamError or InternalStreamFailure when it cannot go on."""


@runtime_checkable
class Streaming(Protocol):
    """An endpoint that can answer piece by piece."""

    async def invoke_stream(self, invoke: Invoke) -> Stream:
        """Raises RuntimeFailure when there is no first piece."""


@runtime_checkable
class Routing(Protocol):
    """An endpoint of several variants."""

    @property
    def wire_limits(self) -> WireLimits: ...

    @property
    def variant_names(self) -> Collection[str]: ...

    def route(self, target: str | None) -> tuple[str, Invokable]:
        """The variant that is named, else one by weight. Raises RuntimeFailure."""


Endpoints = Mapping[str, Invokable] | Callable[[str, str | None], Routing | None]
"""By name; or who finds one by name and by the region that the request is signed for, if it is."""


class Runtime:
    """An ASGI application over endpoints, which may change while it runs."""

    def __init__(
        self, endpoints: Endpoints, *, region: str = REGION, account: str = ACCOUNT
    ) -> None:
        self._endpoints = endpoints
        self._region, self._account = region, account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers always, and once."""
        place = Place(
            endpoint="", request_id=str(uuid.uuid4()), region=self._region, account=self._account
        )
        body = _Body(receive)
        try:
            path = scope["raw_path"].decode("latin-1")
            place = dataclasses.replace(
                place, endpoint=parse_target(scope["method"], path).endpoint
            )
            endpoint, place = self._found(scope, place)
            invoke = await _parsed(scope, path, body, endpoint.wire_limits)
            variant, endpoint = _routed(endpoint, invoke)
            if invoke.operation is Operation.STREAM:
                stream = await _streaming(endpoint).invoke_stream(invoke)
                await _send_stream(stream, variant, place, receive, send)
                return
            response = render_success(await endpoint.invoke(invoke), variant, place.request_id)
        except CallerGone:
            return
        except RuntimeFailure as failure:
            response = render_failure(failure, place)
        except Exception:
            log.exception("byoc failed on %s %r", scope["method"], scope["path"])
            ours = InternalFailure("byoc failed, not the model; its log has the traceback.")
            response = render_failure(ours, place)
        if body.read:
            await answer(send, response)
        else:
            await answer_unread(scope, receive, send, response)

    def _found(self, scope: Scope, place: Place) -> tuple[Invokable | Routing, Place]:
        endpoint: Invokable | Routing | None
        if isinstance(self._endpoints, Mapping):
            endpoint = self._endpoints.get(place.endpoint)
        else:
            signed = region_of(scope)
            place = dataclasses.replace(place, region=signed or self._region)
            endpoint = self._endpoints(place.endpoint, signed)
        if endpoint is None:
            raise ValidationError.endpoint_not_found()
        return endpoint, place


def _routed(endpoint: Invokable | Routing, invoke: Invoke) -> tuple[str, Invokable]:
    if isinstance(endpoint, Routing):
        invoke.check_variant(endpoint.variant_names)
        return endpoint.route(invoke.target_variant)
    invoke.check_variant([VARIANT])
    return VARIANT, endpoint


async def _parsed(scope: Scope, path: str, body: _Body, limits: WireLimits) -> Invoke:
    check_length(int(header(scope, b"content-length") or 0), limits)
    return parse_invoke(
        scope["method"],
        path,
        scope["query_string"].decode("latin-1"),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        await body.whole(limits),
        limits=limits,
    )


class _Body:
    """Never more of it in memory than one piece over the limit."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.read = False

    async def whole(self, limits: WireLimits) -> bytes:
        """Raises CallerGone when it breaks off: such a request reaches nobody."""
        pieces: list[bytes] = []
        length = 0
        while not self.read:
            message = await self._receive()
            if message["type"] != "http.request":
                raise CallerGone
            pieces.append(piece := message.get("body", b""))
            length += len(piece)
            self.read = not message.get("more_body", False)
            check_length(length, limits)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _streaming(endpoint: Invokable) -> Streaming:
    if not isinstance(endpoint, Streaming):
        what = f"{Operation.STREAM.value} on this endpoint"
        raise NotEmulated(what, "it gives whole answers only.")
    return endpoint


async def _send_stream(
    stream: Stream, variant: str, place: Place, receive: Receive, send: Send
) -> None:
    """Each piece as it comes, and the next one is asked for when this one was taken. When the
    caller goes away the container's stream is closed.
    """
    response = render_stream(stream.headers, variant, place.request_id)
    me = asyncio.current_task()
    assert me is not None
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await send(
            {"type": "http.response.start", "status": response.status, "headers": head(response)}
        )
        gone.add_done_callback(lambda task: None if task.cancelled() else me.cancel())
        async with aclosing(_events(stream, place)) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        gone.cancel()
        await send({"type": "http.response.body"})
    except asyncio.CancelledError:
        if not gone.done() or gone.cancelled():
            raise
        me.uncancel()
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _events(stream: Stream, place: Place) -> AsyncGenerator[bytes, None]:
    pieces = stream.parts
    try:
        async for piece in pieces:
            for event in eventstream.parts(piece):
                yield event
    except RuntimeFailure as failure:
        yield eventstream.failure(failure, place)
    except Exception:
        log.exception("byoc failed in the middle of a stream of %s", place.endpoint)
        ours = InternalStreamFailure("byoc failed, not the model; its log has the traceback.")
        yield eventstream.failure(ours, place)
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()

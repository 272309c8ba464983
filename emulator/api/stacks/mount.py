"""CloudFormation that behaves: stacks that take their time, roll back, and deploy for real.

Owns: putting it on moto and taking it off, the requests of waiters, which are held. Must not know:
what a stack does, how moto is changed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from emulator.api.asgi import ASGIApp, Message, Receive, Scope, Send, answer_unread, header
from emulator.api.control import HOLD_SECONDS, waits
from emulator.api.front import Mount
from emulator.api.moto_app import moto_lock, service_of
from emulator.api.stacks.sagemaker import Calls, handlers
from emulator.api.stacks.work import Works
from emulator.api.wsgi import MOST_BYTES, TooLarge, body_of
from emulator.wire_answers import Response

SERVICE = "cloudformation"


def install(calls: Calls, lock: threading.Lock = moto_lock) -> Installed:
    """Whoever installs last answers; installing the same twice is one. Needs the lock, and loads
    moto's CloudFormation, which takes a second. Raises RuntimeError when moto has moved.
    """
    from moto.cloudformation.models import CloudFormationBackend

    before: Installed | None = vars(CloudFormationBackend).get("byoc_installed")
    if before is not None and before.calls is calls:
        return before
    if before is not None:
        before.uninstall()
    new = Installed(calls, lock)
    new.put_on()
    return new


class Installed:
    """Ours, on moto's classes."""

    def __init__(self, calls: Calls, lock: threading.Lock) -> None:
        from emulator.api.stacks.moto_answers import of_responses
        from emulator.api.stacks.moto_backend import of_backend, of_stacks
        from emulator.api.stacks.moto_nested import Nested
        from emulator.api.stacks.moto_patches import Patches
        from emulator.api.stacks.moto_stack import Stacks

        self.calls = calls
        self.works = Works(lock)
        by_kind: dict[str, Any] = {**handlers(calls), Nested.KIND: Nested(self.works)}
        stacks = Stacks(self.works, by_kind)
        self._patches = Patches(all=[*of_stacks(stacks), *of_backend(stacks), *of_responses()])

    def put_on(self) -> None:
        from moto.cloudformation.models import CloudFormationBackend

        self._patches.put_on()
        CloudFormationBackend.byoc_installed = self  # type: ignore[attr-defined]

    def uninstall(self) -> None:
        """May be called twice. What goes on stops after its present resource."""
        from moto.cloudformation.models import CloudFormationBackend

        self.works.stop()
        self._patches.take_off()
        if vars(CloudFormationBackend).get("byoc_installed") is self:
            del CloudFormationBackend.byoc_installed  # type: ignore[attr-defined]


class CloudFormation:
    """An ASGI application before that of moto, for requests to CloudFormation."""

    def __init__(self, moto: ASGIApp, calls: Calls) -> None:
        self._moto, self._calls = moto, calls
        self._installed: Installed | None = None

    @property
    def mount(self) -> Mount:
        return Mount(matches=self.matches, app=self)

    def matches(self, scope: Scope) -> bool:
        asked = service_of(scope)
        return asked is not None and asked[0] == SERVICE

    def stop(self) -> None:
        """To be called while the calls still work: from now on nothing more begins."""
        if self._installed is not None:
            self._installed.works.stop()

    async def close(self) -> None:
        """After the calls are closed, for threads may wait in them. Leaves no thread behind, and
        moto as it was before. May be called twice.
        """
        installed, self._installed = self._installed, None
        if installed is not None:
            installed.uninstall()
            await asyncio.to_thread(installed.works.join)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = service_of(scope)
        assert asked is not None, "the mount matched"
        if self._installed is None:
            self._installed = await asyncio.to_thread(self._install)
        try:
            body = await body_of(receive)
        except TooLarge:
            text = f"byoc takes at most {MOST_BYTES} bytes here.\n"
            headers = (("Content-Type", "text/plain"), ("Connection", "close"))
            refusal = Response(status=413, headers=headers, body=text.encode())
            await answer_unread(scope, receive, send, refusal)
            return
        if waits(header(scope, b"user-agent").decode("latin-1")):
            await self.hold(asked[1], parse_qs(body.decode("latin-1")))
        given = [body]

        async def again() -> Message:
            if given:
                return {"type": "http.request", "body": given.pop(), "more_body": False}
            return await receive()

        await self._moto(scope, again, send)

    async def hold(self, region: str, asked: Mapping[str, list[str]]) -> None:
        """A waiter that asks how a stack is doing is told when it has settled: it would sleep 30 s
        before it asks again.
        https://github.com/boto/botocore/blob/develop/botocore/data/cloudformation/2010-05-15/waiters-2.json
        """
        if asked.get("Action") == ["DescribeStacks"] and self._installed is not None:
            (stack,) = asked.get("StackName", [""])[:1]
            await self._installed.works.settled(region, stack, HOLD_SECONDS)

    def _install(self) -> Installed:
        with moto_lock:
            return install(self._calls)

"""The services of AWS that a deployment needs beside SageMaker: S3, IAM, STS, ECR, CloudFormation.

Owns: who answers which of them, and the way to a model's archive in S3. Must not know: what they
do. All of it is moto, loaded when the first request comes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from emulator.api.calls import Calls
from emulator.api.ecr import Ecr
from emulator.api.front import Mount
from emulator.api.moto_app import MotoApp, moto_lock
from emulator.api.runtime import ACCOUNT
from emulator.api.stacks.mount import CloudFormation
from emulator.api.what_is_known import object_of
from emulator.registry import Registry


class Deploying:
    """What the front mounts beside SageMaker. Made on the loop; `stop()`, then `await close()`."""

    def __init__(self, calls: Calls, registry: Registry | None) -> None:
        self._moto = MotoApp(None)
        self._stacks = CloudFormation(self._moto, calls)
        self._registry = registry

    @property
    def mounts(self) -> list[Mount]:
        """In the order in which they are asked."""
        ecr = [] if self._registry is None else [Ecr(self._moto, self._registry).mount]
        return [self._stacks.mount, *ecr, self._moto.mount]

    def stop(self) -> None:
        """Stacks begin nothing more."""
        self._stacks.stop()

    async def close(self) -> None:
        """Leaves no thread behind. Nobody waits for the loop any more: see `Calls.close`."""
        await self._stacks.close()
        self._moto.close()


async def model_data(url: str) -> bytes | None:
    """The object at a ModelDataUrl, out of moto's S3; None when it is not there."""
    return await asyncio.to_thread(_read, url)


def _read(url: str) -> bytes | None:
    with moto_lock:
        found: Any = object_of(url, ACCOUNT)
        if found is None:
            return None
        data: bytes = found.value
        return data

"""Whether a deploy call is done: AWS's rules first, then what this emulator cannot do.

Owns: the order of the two, what the rules get to know of images and endpoints, and addresses of our
own registry, which stand for those of ECR. Must not know: what an accepted call does, HTTP. Needs
moto's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from emulator.api.loop_portal import LoopPortal
from emulator.api.records import Records
from emulator.api.what_is_known import MotoKnown
from emulator.control import not_emulated
from emulator.control.changes import change
from emulator.control.known import Body, KnownEndpoint, KnownImage
from emulator.control.normal import normal, without_nulls
from emulator.control.orders import as_ordered
from emulator.control.rules import Refusal, refusal
from emulator.control.service_model import operation as model_of
from emulator.deployments import Deployments

IMAGE_EXISTS = "image-exists"
"""The rule whose cure depends on which names were looked for."""


class FoundImage(Protocol):
    @property
    def media_type(self) -> str | None: ...


class Images(Protocol):
    """`emulator.images.Images` is one."""

    def as_ecr(self, uri: str, region: str) -> str:
        """The address in ECR that an address of our own registry stands for; else the same."""

    async def find(self, uri: str, *, fetch: bool = True) -> FoundImage | None: ...
    async def why_missing(self, uri: str) -> str: ...


class Judge:
    """Of one call after the other."""

    def __init__(
        self, deployments: Deployments, images: Images, portal: LoopPortal, *, account_is_told: bool
    ) -> None:
        self._deployments, self._images, self._portal = deployments, images, portal
        self._account_is_told = account_is_told

    def refusal(
        self, operation: str, body: Any, records: Records, *, region: str, account: str
    ) -> Refusal | None:
        """Why it is not done, or None."""
        known = MotoKnown(
            records,
            region=region,
            account=account,
            account_is_told=self._account_is_told,
            endpoints=_Endpoints(self._deployments, region),
            image=self._image,
        )
        if model_of(operation) is not None:
            body = without_nulls(operation, body)
        if operation == "CreateModel" and isinstance(body, dict):
            body = self._canonical(body, region)
        if refused := refusal(operation, body, known):
            return refused
        if why := not_emulated.not_emulated(operation, normal(operation, body)):
            return Refusal(code=not_emulated.CODE, message=why, status=not_emulated.STATUS)
        return None

    def change(self, refused: Refusal, body: Any) -> str:
        """What to do about it."""
        if refused.rule is not None and refused.rule.name == IMAGE_EXISTS:
            for _, container in containers(body):
                if isinstance(image := container.get("Image"), str):
                    return self._portal.run(self._images.why_missing(image))
        return change(refused)

    def _image(self, uri: str) -> KnownImage | None:
        found = self._portal.run(self._images.find(uri, fetch=False))
        return None if found is None else KnownImage(media_type=found.media_type)

    def _canonical(self, body: Body, region: str) -> Body:
        new = dict(body)
        for member, container in containers(body):
            if not isinstance(image := container.get("Image"), str):
                continue
            uri = self._images.as_ecr(image, region)
            if uri == image:
                continue
            if member == "PrimaryContainer":
                new[member] = {**container, "Image": uri}
            else:
                changed = {**container, "Image": uri}
                new[member] = [changed if one is container else one for one in new[member]]
        return new


class _Endpoints(Mapping[str, KnownEndpoint]):
    """Those that are being deleted, too: their names are taken."""

    def __init__(self, deployments: Deployments, region: str) -> None:
        self._there = {endpoint.name: endpoint for endpoint in deployments.all(region)}

    def __getitem__(self, name: str) -> KnownEndpoint:
        endpoint = self._there[name]
        version = endpoint.version
        now = as_ordered(version.body, version.orders)
        return KnownEndpoint(status=endpoint.status.value, configuration=now)

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)


def containers(body: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those of a CreateModel whose form nobody has looked at yet."""
    if not isinstance(body, Mapping):
        return
    several = body.get("Containers")
    for member, one in (
        ("PrimaryContainer", body.get("PrimaryContainer")),
        *(("Containers", one) for one in (several if isinstance(several, list) else ())),
    ):
        if isinstance(one, Mapping):
            yield member, one

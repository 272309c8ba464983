"""moto on a port of its own, with what the deploy half needs of AWS and moto does not have.

Owns: UpdateEndpoint, how an endpoint ends, and names in CloudFormation. Must not know: who calls.
moto itself is left as it was when the world ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.core.responses import ActionResult
from moto.sagemaker import models as sagemaker
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from tests.clients import ACCOUNT, REGION, bare_environment

PING_FAILED = (
    "The primary container for production variant AllTraffic did not pass the ping health check."
    " Please check CloudWatch logs for this endpoint."
)

_NAMED = {
    sagemaker.Model: "ModelName",
    sagemaker.FakeEndpointConfig: "EndpointConfigName",
    sagemaker.FakeEndpoint: "EndpointName",
}
"""The property that names the resource; without this moto gives every one a name of its own."""


@dataclass(kw_only=True)
class World:
    """`fails` is the FailureReason of every endpoint that is made or updated from now on."""

    url: str
    fails: str = ""
    in_progress: bool = False
    calls: list[str] = field(default_factory=list)
    session: boto3.Session = field(
        default_factory=lambda: boto3.Session("any", "any", region_name=REGION)
    )
    """One for all: it keeps the service models, which take long to read."""

    @property
    def environment(self) -> dict[str, str]:
        """Of a program that knows of this world by one variable, any credentials and a region."""
        return {
            **bare_environment(),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.url)

    def names(self) -> dict[str, list[str]]:
        """What SageMaker has, by kind."""
        backend = self._backend
        return {
            "models": sorted(backend._models),
            "configurations": sorted(backend.endpoint_configs),
            "endpoints": sorted(backend.endpoints),
        }

    def reset(self) -> None:
        self.fails, self.in_progress = "", False
        self.calls.clear()
        self._backend.reset()

    @property
    def _backend(self) -> Any:
        return sagemaker.sagemaker_backends[ACCOUNT][REGION]


@contextmanager
def deploy_world() -> Iterator[World]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        for resource, name in _NAMED.items():
            patch.setattr(
                resource, "cloudformation_name_type", staticmethod(lambda name=name: name)
            )
        server.start()
        host, port = server.get_host_and_port()
        world = World(url=f"http://{host}:{port}")
        _follow(world, patch)
        try:
            yield world
        finally:
            world.reset()
            server.stop()


def _follow(world: World, patch: pytest.MonkeyPatch) -> None:
    """moto's SageMaker, as this world says."""
    backend = sagemaker.SageMakerModelBackend
    create, delete = backend.create_endpoint, backend.delete_endpoint

    def create_endpoint(self: Any, **given: Any) -> Any:
        made: Any = create(self, **given)
        if world.fails:
            made.endpoint_status, made.failure_reason = "Failed", world.fails
        return made

    def update_endpoint(self: SageMakerResponse) -> ActionResult:
        known: Any = self.sagemaker_backend.endpoints
        name, configuration = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
        if world.fails:  # back to the configuration that it had
            known[name].failure_reason = world.fails
        else:
            known[name].endpoint_config_name = configuration
        return ActionResult({"EndpointArn": known[name].arn})

    def delete_endpoint(self: Any, endpoint_name: str) -> None:
        if world.in_progress:
            arn = self.endpoints[endpoint_name].arn
            raise ValidationError(message=f'Cannot update in-progress endpoint "{arn}".')
        delete(self, endpoint_name)

    dispatch = SageMakerResponse.call_action

    def call_action(self: SageMakerResponse) -> Any:
        world.calls.append(self._get_action())
        return dispatch(self)

    patch.setattr(backend, "create_endpoint", create_endpoint)
    patch.setattr(backend, "delete_endpoint", delete_endpoint)
    patch.setattr(SageMakerResponse, "update_endpoint", update_endpoint, raising=False)
    patch.setattr(SageMakerResponse, "call_action", call_action)

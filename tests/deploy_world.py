"""Our own front door over containers that are none, for tests of what calls it in this process.

Owns: how the containers behave, on command, and what there is. Must not know: who calls. What
answers is the real thing, from the socket to the driver; only the engine is a fake, so that an
endpoint is there in milliseconds.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.clock import SystemClock
from emulator.engines import ContainerSpec, ImageInfo
from emulator.loop import portal_options
from emulator.plane import Listening, Plane, plane
from emulator.running import CallTold, Fleet
from emulator.testing import FakeContainer, FakeEngine, FakeImage
from tests.clients import REGION, bare_environment

WORKS, FAILS = "works:1", "fails:1"
NOBODY = "http://127.0.0.1:9"
SECONDS = 20.0


class Ping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.server.ready else 503)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_of_it: object) -> None:
        pass


class PingServer(ThreadingHTTPServer):
    """All containers: whether they are ready."""

    ready = True


class Engine(FakeEngine):
    """Whatever image is asked for, its containers work, or end at once."""

    def __init__(self, ping: PingServer) -> None:
        images = {
            WORKS: FakeImage(info=_info(WORKS), stop_seconds=0.0),
            FAILS: FakeImage(info=_info(FAILS), exits_after=0.0),
        }
        super().__init__(SystemClock(), images)  # type: ignore[arg-type] # it only reads it
        self._url = f"http://127.0.0.1:{ping.server_port}"
        self.fails = False

    async def start(self, spec: ContainerSpec) -> FakeContainer:
        started = await super().start(spec)
        started.base_url = NOBODY if self.fails else self._url
        if self.fails:
            started.image = self.images[FAILS]
        return started


def _info(reference: str) -> ImageInfo:
    return ImageInfo(
        reference=reference,
        id=f"sha256:{reference}",
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=1,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="/",
        labels={},
        push_media_type="",
        push_media_type_from="",
    )


@dataclass(kw_only=True)
class World:
    """`fails` and `ready` say what becomes of containers from now on."""

    plane: Plane
    engine: Engine
    ping: PingServer
    portal: BlockingPortal
    calls: list[CallTold] = field(default_factory=list)
    session: boto3.Session = field(
        default_factory=lambda: boto3.Session("any", "any", region_name=REGION)
    )
    """One for all: it keeps the service models, which take long to read."""

    def fails(self, *, fails: bool = True) -> None:
        self.engine.fails = fails

    def ready(self, *, ready: bool = True) -> None:
        self.ping.ready = ready

    @property
    def environment(self) -> dict[str, str]:
        """Of a program that knows of this world by one variable, any credentials and a region."""
        return {
            **bare_environment(),
            "AWS_ENDPOINT_URL": self.plane.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.plane.url)

    def names(self) -> dict[str, list[str]]:
        """What SageMaker has, by kind."""
        return names(self.client("sagemaker"))

    def settle(self, name: str) -> None:
        """Waits until the endpoint is there, or gone."""
        self.portal.call(self.plane.deployments.settled, name, REGION, SECONDS)

    def reset(self) -> None:
        self.fails(fails=False)
        self.ready()
        aws, there = self.client("sagemaker"), self.names()
        for name in there["endpoints"]:
            self.settle(name)
            aws.delete_endpoint(EndpointName=name)
            self.settle(name)
        for name in there["configurations"]:
            aws.delete_endpoint_config(EndpointConfigName=name)
        for name in there["models"]:
            aws.delete_model(ModelName=name)
        self.calls.clear()


def names(aws: Any) -> dict[str, list[str]]:
    """Of everything that a client of SageMaker is told of, by kind."""

    def listed(kind: str, key: str, name: str) -> list[str]:
        pages = aws.get_paginator(f"list_{kind}").paginate()
        return sorted(each[name] for page in pages for each in page[key])

    return {
        "models": listed("models", "Models", "ModelName"),
        "configurations": listed("endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        "endpoints": listed("endpoints", "Endpoints", "EndpointName"),
    }


def put_model_data(s3: Any, url: str, model: object = None) -> None:
    """A model.tar.gz with the model's file as the reference container wants it."""
    packed = io.BytesIO()
    content = json.dumps(model).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("model.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    bucket, _, key = url.removeprefix("s3://").partition("/")
    region = s3.meta.region_name  # us-east-1 is what S3 takes when nothing is said, and only then
    constraint = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else constraint))
    s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())


@contextmanager
def deploy_world() -> Iterator[World]:
    fleet = Fleet()
    with PingServer(("127.0.0.1", 0), Ping) as ping:
        thread = Thread(target=ping.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        engine = Engine(ping)
        opening = plane(Listening(stand_in=WORKS), engine, fleet)
        try:
            with (
                start_blocking_portal(backend_options=portal_options()) as portal,
                portal.wrap_async_context_manager(opening) as opened,
            ):
                portal.call(opened.reset)  # moto's state is the process's, as others left it
                world = World(plane=opened, engine=engine, ping=ping, portal=portal)
                fleet.call_listeners.append(world.calls.append)
                yield world
        finally:
            ping.shutdown()
            thread.join()

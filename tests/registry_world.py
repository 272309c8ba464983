"""A registry of our own in a thread, images that are pushed by hand, and moto's ECR before it.

Owns: what the tests of registry, ECR and images share. Must not know: what an answer should be.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import boto3
from anyio.from_thread import BlockingPortal, start_blocking_portal

from emulator.api.ecr import Ecr
from emulator.api.moto_app import MotoApp
from emulator.api.server import RuntimeServer
from emulator.registry import Registry
from emulator.registry_manifest import OCI_MANIFEST, SCHEMA_2

REGION, ACCOUNT = "eu-west-1", "123456789012"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG_TYPES = {
    SCHEMA_2: "application/vnd.docker.container.image.v1+json",
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
}
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def ecr(repository: str, after: str = "", *, account: str = ACCOUNT) -> str:
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com/{repository}{after}"


@dataclass(kw_only=True)
class World:
    """`url` is where AWS's clients find ECR."""

    registry: Registry
    portal: BlockingPortal
    url: str
    session: boto3.Session = field(
        default_factory=lambda: boto3.Session("any", "any", region_name=REGION)
    )

    @cached_property
    def ecr(self) -> Any:
        return self.session.client("ecr", endpoint_url=self.url)

    @property
    def address(self) -> str:
        return self.registry.address

    def manifest(self, repository: str, reference: str) -> Any:
        return self.portal.call(self.registry.manifest, repository, reference)

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Mapping[str, str]:
        asked = Request(urljoin(self.registry.url, path), data=body, method=method)
        asked.add_header("Content-Type", kind or "application/octet-stream")
        with urlopen(asked, timeout=10) as answer:
            return dict(answer.headers.items())

    def push_blob(self, repository: str, raw: bytes) -> str:
        where = self.send("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        digest = digest_of(raw)
        self.send("PUT", f"{where}&digest={digest}", raw)
        return digest

    def push(
        self,
        repository: str,
        tag: str = "",
        *,
        kind: str = SCHEMA_2,
        layers: tuple[bytes, ...] = (b"layer",),
        architecture: str = "amd64",
    ) -> str:
        """An image that nobody can run, as a registry takes it. Its manifest's digest."""
        config = json.dumps({"os": "linux", "architecture": architecture}).encode()
        told = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self._described(repository, config, CONFIG_TYPES[kind]),
            "layers": [self._described(repository, layer, LAYER) for layer in layers],
        }
        return self.push_manifest(repository, tag, told)

    def push_manifest(self, repository: str, tag: str, told: Mapping[str, Any]) -> str:
        raw = json.dumps(told).encode()
        reference = tag or digest_of(raw)
        self.send("PUT", f"/v2/{repository}/manifests/{reference}", raw, told["mediaType"])
        return digest_of(raw)

    def _described(self, repository: str, raw: bytes, kind: str) -> dict[str, Any]:
        digest = self.push_blob(repository, raw)
        return {"mediaType": kind, "size": len(raw), "digest": digest}


@contextmanager
def registry_world() -> Iterator[World]:
    with start_blocking_portal() as portal:

        async def build() -> tuple[Registry, RuntimeServer, MotoApp]:
            registry = await Registry.start()
            moto = MotoApp(("ecr", "sts"))
            front = Ecr(moto, registry, now=lambda: NOW)
            server = RuntimeServer({}, mounts=(front.mount, moto.mount))
            await server.start()
            return registry, server, moto

        registry, server, moto = portal.call(build)
        try:
            yield World(registry=registry, portal=portal, url=server.url)
        finally:
            portal.call(server.close)
            moto.close()
            portal.call(registry.close)
            _forget()


def _forget() -> None:
    """moto's state belongs to the process."""
    from moto.ecr.models import ecr_backends

    ecr_backends[ACCOUNT][REGION].reset()


def docker(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> str:
    """Its output; fails with the engine's words."""
    raw = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        ["docker", *arguments],
        input=raw,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def tiny_image(name: str, content: str) -> str:
    """A new image of one file in the engine; its id."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return docker("import", "-", name, stdin=archive.getvalue())

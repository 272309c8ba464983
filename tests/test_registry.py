"""Owns: the claims of emulator/registry.py and registry_client.py, on a real registry: what it is
asked and what it tells, how it begins and ends. Must not know: ECR, engines.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from emulator import owner
from emulator.errors import Usage
from emulator.http import Outcome, Reply, Request
from emulator.registry import Registry
from emulator.registry_client import RegistryClient, RegistryUnavailable
from emulator.registry_manifest import OCI_INDEX, OCI_MANIFEST, SCHEMA_2, SCHEMA_2_LIST
from tests.registry_world import World, digest_of, registry_world

ROOT = Path(__file__).resolve().parent.parent
GONE_SECONDS = 10

needs_a_registry = pytest.mark.clients


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with registry_world() as world:
        yield world


# -- what it tells ---------------------------------------------------------------------------------


@needs_a_registry
@pytest.mark.parametrize("kind", [SCHEMA_2, OCI_MANIFEST])
def test_a_pushed_manifest_is_told_with_its_own_type(world: World, kind: str) -> None:
    name = "kinds/one" if kind == SCHEMA_2 else "kinds/two"
    digest = world.push(name, "v1", kind=kind, layers=(b"12345", b"678"), architecture="arm64")
    found = world.manifest(name, "v1")
    assert (found.media_type, found.digest) == (kind, digest)
    config = b'{"os": "linux", "architecture": "arm64"}'
    assert found.config_digest == digest_of(config)
    assert found.platform == "linux/arm64"
    assert found.size_bytes == 8 + len(config)
    assert digest_of(found.raw.encode()) == digest
    assert world.manifest(name, digest) == found


@needs_a_registry
@pytest.mark.parametrize("kind", [OCI_INDEX, SCHEMA_2_LIST])
def test_an_index_is_told_as_one_with_the_image_that_runs(world: World, kind: str) -> None:
    name = "index/oci" if kind == OCI_INDEX else "index/list"
    one = OCI_MANIFEST if kind == OCI_INDEX else SCHEMA_2
    arm = world.push(name, kind=one, layers=(b"x" * 5000,), architecture="arm64")
    amd = world.push(name, kind=one, layers=(b"x" * 30,))
    raw = {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [
            {
                "mediaType": one,
                "digest": digest,
                "size": len(world.manifest(name, digest).raw),
                "platform": {"os": "linux", "architecture": machine},
            }
            for digest, machine in ((arm, "arm64"), (amd, "amd64"))
        ],
    }
    digest = world.push_manifest(name, "both", raw)
    found = world.manifest(name, "both")
    assert (found.media_type, found.digest) == (kind, digest)
    assert (found.run_digest, found.platform) == (amd, "linux/amd64")
    assert found.config_digest == world.manifest(name, amd).config_digest
    assert found.size_bytes == world.manifest(name, arm).size_bytes, "ECR counts the largest"


@needs_a_registry
def test_what_was_not_pushed_is_not_there(world: World) -> None:
    world.push("there", "v1")
    assert world.manifest("there", "v2") is None
    assert world.manifest("nowhere", "v1") is None
    assert world.manifest("there", "sha256:" + "0" * 64) is None
    assert world.manifest("Not/A/Name", "v1") is None
    assert world.portal.call(world.registry.tags, "nowhere") == ()


@needs_a_registry
def test_repositories_and_tags_are_listed(world: World) -> None:
    for tag in ("b", "a"):
        world.push("listed", tag)
    assert "listed" in world.portal.call(world.registry.repositories)
    assert world.portal.call(world.registry.tags, "listed") == ("a", "b")


@needs_a_registry
def test_a_tag_that_moves_is_told_anew(world: World) -> None:
    first = world.push("moves", "latest")
    assert world.manifest("moves", "latest").digest == first
    second = world.push("moves", "latest", layers=(b"other",))
    assert world.manifest("moves", "latest").digest == second
    assert world.manifest("moves", first).digest == first


@needs_a_registry
def test_what_was_deleted_is_gone_also_when_it_was_read_before(world: World) -> None:
    digest = world.push("deleted", "v1")
    assert world.manifest("deleted", digest)
    assert world.portal.call(world.registry.delete, "deleted", digest)
    assert world.manifest("deleted", digest) is None
    assert world.manifest("deleted", "v1") is None
    assert world.portal.call(world.registry.tags, "deleted") == ()
    world.push("deleted", "v1")
    assert world.manifest("deleted", "v1").digest == digest


@needs_a_registry
def test_a_manifest_is_taken_when_its_blobs_are_there(world: World) -> None:
    world.push("put", "v1")
    known = world.manifest("put", "v1")
    put = world.registry.put
    assert world.portal.call(put, "put", "v2", known.raw, known.media_type)
    assert world.manifest("put", "v2") == known
    assert not world.portal.call(put, "put/elsewhere", "v2", known.raw, known.media_type)


@needs_a_registry
def test_its_own_images_are_known_by_each_of_its_names(world: World) -> None:
    port = world.address.rpartition(":")[2]
    own = world.registry.own
    assert own(f"127.0.0.1:{port}/a/b:1") == own(f"localhost:{port}/a/b:1") == "a/b:1"
    for other in ("a/b:1", f"127.0.0.1:{port}", f"127.0.0.1:{port}/", "127.0.0.1:1/a/b:1", "a"):
        assert own(other) is None, other


# -- how it begins and ends ------------------------------------------------------------------------


@needs_a_registry
def test_when_it_is_closed_nothing_of_it_is_left() -> None:
    async def story() -> str:
        registry = await Registry.start()
        assert left() != before
        await registry.close()
        await registry.close()
        return registry.address

    before = left()
    address = asyncio.run(story())
    assert left() == before
    assert not listens(address)


@needs_a_registry
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="only with setpriv (util-linux)")
def test_when_we_are_killed_nothing_of_it_is_left() -> None:
    program = (
        "import asyncio\n"
        "from emulator.registry import Registry\n"
        "async def main():\n"
        "    registry = await Registry.start()\n"
        "    print(registry.address, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert killed.stdout is not None
        address = killed.stdout.readline().strip()
        (registry,) = psutil.Process(killed.pid).children()
        assert listens(address)
        assert directories(killed.pid)
    finally:
        killed.kill()
        killed.communicate(timeout=10)
    psutil.wait_procs([registry], timeout=GONE_SECONDS)
    assert not registry.is_running() or registry.status() == psutil.STATUS_ZOMBIE
    assert not listens(address)
    owner.sweep_temporary()
    assert not directories(killed.pid)


@needs_a_registry
def test_a_port_that_is_taken_is_told_and_nothing_is_left() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = left()
        with pytest.raises(Usage, match=r"port .* is taken; take another one"):
            asyncio.run(Registry.start(taken.getsockname()[1]))
    assert left() == before


def test_without_a_program_it_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = left()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RegistryUnavailable, match=r"apt install docker-registry.*--registry 127"):
        asyncio.run(Registry.start())
    assert left() == before


@pytest.mark.parametrize(
    ("script", "told"),
    [("echo no such luck; exit 3", "ended. Its last words:\nno such luck"), ("exit 0", "ended")],
)
def test_a_program_that_ends_at_once_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, told: str
) -> None:
    program = tmp_path / "docker-registry"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RegistryUnavailable, match=told):
        asyncio.run(Registry.start())


@needs_a_registry
def test_the_environment_does_not_change_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "0.0.0.0:1")

    async def address() -> str:
        registry = await Registry.start()
        await registry.close()
        return registry.address

    assert asyncio.run(address()).startswith("127.0.0.1:")


@needs_a_registry
def test_one_that_runs_already_is_used_and_left_running(world: World) -> None:
    digest = world.push("at", "v1")

    async def story(address: str) -> str:
        registry = await Registry.at(address)
        found = await registry.manifest("at", "v1")
        await registry.close()
        assert found is not None
        return found.digest

    for address in (world.address, f"http://{world.address}"):
        assert asyncio.run(story(address)) == digest
    assert listens(world.address)


@pytest.mark.parametrize(
    "address",
    ["", "5000", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:0", "ftp://127.0.0.1:1", "a b:1"],
)
def test_what_is_no_address_is_told_with_the_form_of_one(address: str) -> None:
    with pytest.raises(Usage, match=r"write it as 127\.0\.0\.1:5000"):
        asyncio.run(Registry.at(address))


def test_an_address_where_nobody_answers_is_told_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RegistryUnavailable, match=r"no registry at.*docker run -d -p"):
        asyncio.run(Registry.at(address))


# -- answers that a registry should not give -------------------------------------------------------


class Says:
    """An `Http` that always answers the same."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def send(
        self, base_url: str, request: Request, seconds: float, hold: object = None
    ) -> Reply:
        return Reply(
            request=request,
            outcome=Outcome.ANSWERED,
            seconds=0.0,
            status=self.status,
            headers=self.headers,
            body=self.body,
        )


@pytest.mark.parametrize(
    ("http", "call"),
    [
        (Says(404), "check"),
        (Says(500), "repositories"),
        (Says(200, b"<html>"), "repositories"),
        (Says(503), "manifest"),
        (Says(401), "manifest"),
        (Says(200, b"<html>"), "manifest"),
    ],
)
def test_whoever_answers_as_no_registry_does_is_not_taken_for_one(http: Says, call: str) -> None:
    client = RegistryClient("http://127.0.0.1:1", http)  # type: ignore[arg-type]
    arguments = ("x", "latest") if call == "manifest" else ()
    with pytest.raises(RegistryUnavailable, match=r"http://127\.0\.0\.1:1"):
        asyncio.run(getattr(client, call)(*arguments))


def test_a_list_that_points_to_itself_ends() -> None:
    again = Says(200, b'{"repositories": ["a"]}', link='</v2/_catalog?n=500>; rel="next"')
    client = RegistryClient("http://127.0.0.1:1", again)  # type: ignore[arg-type]
    assert asyncio.run(client.repositories()) == ("a",)


def test_all_pages_of_a_list_are_read() -> None:
    class Pages(Says):
        async def send(self, base_url: str, request: Request, *more: object, **m: object) -> Reply:
            number = int(request.path.partition("last=")[2] or 0)
            self.body = json.dumps({"repositories": [f"r{number}"]}).encode()
            following = f'</v2/_catalog?n=500&last={number + 1}>; rel="next"'
            self.headers = {"link": following} if number < 3 else {}
            return await super().send(base_url, request, 0.0)

    client = RegistryClient("http://127.0.0.1:1", Pages(200))  # type: ignore[arg-type]
    assert asyncio.run(client.repositories()) == ("r0", "r1", "r2", "r3")


# -- looking from outside --------------------------------------------------------------------------


def directories(pid: int) -> list[Path]:
    """Those that a process made."""
    return list(Path(tempfile.gettempdir()).glob(f"{owner.PREFIX}{owner.host()}_{pid}_*"))


def registries() -> list[int]:
    """That run and that this process started."""
    running = [
        child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
    ]
    return [child.pid for child in running if "registry" in " ".join(child.cmdline())]


def left() -> tuple[list[Path], list[int]]:
    return sorted(directories(os.getpid())), sorted(registries())


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0

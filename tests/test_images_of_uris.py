"""Owns: the claims of emulator/images.py: which image runs for a URI, and what is told when none
does. Must not know: SageMaker, moto.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from emulator.engines import EngineUnavailable, ImageInfo, ImageNotFound
from emulator.engines.docker_engine import DockerEngine
from emulator.fake_clock import FakeClock
from emulator.images import FoundImage, Images
from emulator.registry_client import RegistryUnavailable
from emulator.registry_manifest import OCI_INDEX, OCI_MANIFEST, SCHEMA_2
from emulator.testing import FakeEngine, FakeImage
from tests.registry_world import REGION, World, docker, ecr, registry_world, tiny_image

OTHER_ACCOUNT = "763104351884"
DIGEST = "sha256:" + "a" * 64


def held(name: str, identity: str = "") -> FakeImage:
    info = ImageInfo(
        reference=name,
        id=identity or f"id-of-{name}",
        digest=None,
        os="linux",
        architecture="amd64",
        size_bytes=7,
        entrypoint=(),
        cmd=(),
        environment={},
        user="",
        working_dir="/",
        labels={},
        push_media_type=OCI_INDEX,
        push_media_type_from="the engine's containerd image store",
    )
    return FakeImage(info=info)


def engine(*names: str) -> FakeEngine:
    return FakeEngine(FakeClock(), {name: held(name) for name in names})


def find(images: Images, uri: str, *, fetch: bool = True) -> FoundImage | None:
    return asyncio.run(images.find(uri, fetch=fetch))


def reference(images: Images, uri: str) -> str | None:
    found = find(images, uri)
    return found.reference if found else None


def why(images: Images, uri: str) -> str:
    return asyncio.run(images.why_missing(uri))


# -- without a registry ----------------------------------------------------------------------------


def test_the_whole_uri_comes_before_the_name_in_it() -> None:
    both = Images(engine(ecr("team/model", ":v1"), "team/model:v1"))
    assert reference(both, ecr("team/model", ":v1")) == f"id-of-{ecr('team/model', ':v1')}"
    one = Images(engine("team/model:v1"))
    assert reference(one, ecr("team/model", ":v1")) == "id-of-team/model:v1"
    assert reference(one, ecr("team/model", ":v1", account=OTHER_ACCOUNT)) is not None


def test_without_a_tag_it_is_latest() -> None:
    images = Images(engine("model:latest"))
    assert reference(images, ecr("model")) == "id-of-model:latest"
    assert reference(Images(engine("model:v1")), ecr("model")) is None


def test_a_digest_is_looked_for_as_a_digest() -> None:
    images = Images(engine(f"model@{DIGEST}", "model:latest"))
    assert reference(images, ecr("model", f"@{DIGEST}")) == f"id-of-model@{DIGEST}"
    assert reference(images, ecr("model", f":v1@{DIGEST}")) == f"id-of-model@{DIGEST}"
    assert reference(images, ecr("model", "@sha256:" + "b" * 64)) is None


def test_of_an_image_that_was_never_pushed_no_manifest_is_known() -> None:
    images = Images(engine("model:latest"))
    assert find(images, ecr("model"), fetch=False) == FoundImage(reference="id-of-model:latest")
    found = find(images, ecr("model"))
    assert found == FoundImage(reference="id-of-model:latest", platform="linux/amd64", size_bytes=7)


def test_a_name_outside_of_ecr_is_the_engine_s_own() -> None:
    images = Images(engine("registry.example.com/model:v1", "model:v1"))
    assert reference(images, "registry.example.com/model:v1") is not None
    assert reference(images, "registry.example.com/model:v2") is None
    assert reference(images, "model:v1") == "id-of-model:v1"


def test_what_cannot_be_an_image_is_none() -> None:
    images = Images(engine("model:latest"))
    for uri in (ecr("Model"), ecr("model", ":"), ecr("model", "@sha256:1"), ecr("")):
        assert find(images, uri) is None, uri
        assert "repository:tag" in why(images, uri)


def test_what_is_missing_is_told_with_every_name_and_what_to_do() -> None:
    images = Images(engine())
    assert why(images, ecr("team/model", ":v1")) == (
        f"The engine has no image {ecr('team/model', ':v1')} and no image team/model:v1."
        " Give yours that name: `docker tag YOUR_IMAGE team/model:v1`."
    )
    assert "`docker pull" in why(images, ecr("model", f"@{DIGEST}"))
    assert "`docker pull` it" in why(images, "registry.example.com/model")


# -- stand-ins -------------------------------------------------------------------------------------


def test_one_image_stands_for_every_image_of_ecr_and_for_no_other() -> None:
    images = Images(engine("mine:latest", "model:v1"), stand_in="mine:latest")
    for uri in (ecr("model", ":v1"), ecr("x", account=OTHER_ACCOUNT), ecr("y", f"@{DIGEST}")):
        assert reference(images, uri) == "id-of-mine:latest"
    assert reference(images, "model:v1") == "id-of-model:v1"


def test_a_stand_in_of_one_uri_comes_before_the_one_for_all() -> None:
    images = Images(
        engine("mine", "other"), stand_ins={ecr("model", ":v1"): "other"}, stand_in="mine"
    )
    assert reference(images, ecr("model", ":v1")) == "id-of-other"
    assert reference(images, ecr("model", ":v2")) == "id-of-mine"


def test_a_stand_in_that_is_not_there_is_told_by_both_names() -> None:
    images = Images(engine(), stand_in="mine")
    assert find(images, ecr("model")) is None
    assert why(images, ecr("model")) == (
        f"mine is to stand for {ecr('model')}, but the engine has no such image. Build it first, or"
        " `docker pull mine`."
    )


# -- with a registry -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with registry_world() as world:
        yield world


class Registered:
    """`Images` on a registry in its own loop, and an engine beside it."""

    def __init__(self, world: World, engine: FakeEngine, **more: str) -> None:
        self.world, self.engine = world, engine
        self.images = Images(engine, world.registry, **more)  # type: ignore[arg-type]

    def find(self, uri: str, *, fetch: bool = True) -> FoundImage | None:
        async def ask() -> FoundImage | None:
            return await self.images.find(uri, fetch=fetch)

        found: FoundImage | None = self.world.portal.call(ask)
        return found

    def why(self, uri: str) -> str:
        told: str = self.world.portal.call(self.images.why_missing, uri)
        return told


@pytest.mark.clients
def test_a_pushed_image_is_the_one_that_runs_whatever_else_has_its_name(world: World) -> None:
    world.push("same", "v1")
    config = world.manifest("same", "v1").config_digest
    both = FakeEngine(
        FakeClock(), {"same:v1": held("same:v1"), "renamed:v9": held("renamed:v9", config)}
    )
    found = Registered(world, both).find(ecr("same", ":v1"))
    manifest = world.manifest("same", "v1")
    assert found == FoundImage(
        reference=config,
        media_type=SCHEMA_2,
        platform="linux/amd64",
        size_bytes=manifest.size_bytes,
        digest=manifest.digest,
    )


@pytest.mark.clients
def test_every_name_of_a_pushed_image_finds_it(world: World) -> None:
    digest = world.push("named", "latest")
    config = world.manifest("named", "latest").config_digest
    asked = Registered(world, FakeEngine(FakeClock(), {"x": held("x", config)}))
    port = world.address.rpartition(":")[2]
    for uri in (
        ecr("named"),
        ecr("named", ":latest"),
        ecr("named", f"@{digest}"),
        ecr("named", account=OTHER_ACCOUNT),
        f"{world.address}/named",
        f"{world.address}/named:latest",
        f"localhost:{port}/named@{digest}",
    ):
        found = asked.find(uri)
        assert found is not None, uri
        assert found.reference == config, uri


@pytest.mark.clients
def test_what_the_engine_does_not_hold_is_pulled_by_its_digest(world: World) -> None:
    digest = world.push("elsewhere", "v1")
    name = f"{world.address}/elsewhere@{digest}"
    asked = Registered(world, FakeEngine(FakeClock(), {}))
    asked.engine.registries[name] = held(name)
    judged = asked.find(ecr("elsewhere", ":v1"), fetch=False)
    assert judged is not None
    assert judged.reference == name
    assert asked.engine.images == {}, "who only judges pulls nothing"
    started = asked.find(ecr("elsewhere", ":v1"))
    assert started == replace(judged, reference=f"id-of-{name}")


@pytest.mark.clients
def test_the_manifest_s_type_is_that_of_the_push(world: World) -> None:
    world.push("kind", "oci", kind=OCI_MANIFEST)
    found = Registered(world, FakeEngine(FakeClock(), {})).find(ecr("kind", ":oci"), fetch=False)
    assert found is not None
    assert found.media_type == OCI_MANIFEST


@pytest.mark.clients
def test_an_image_of_ours_that_was_not_pushed_is_missing_though_the_engine_has_it(
    world: World,
) -> None:
    world.push("forgotten", "v1")
    asked = Registered(world, engine("forgotten:v2", "unheard:v1"))
    assert asked.find(ecr("forgotten", ":v2")) is None
    assert asked.find(ecr("unheard", ":v1")) is None
    where = f"{world.address}/forgotten:v2"
    assert asked.why(ecr("forgotten", ":v2")) == (
        f"The registry that stands for ECR has no image {where} (it has the tags v1)."
        f" `docker tag YOUR_IMAGE {where}`, then `docker push {where}`."
    )
    assert f"has no image {world.address}/unheard:v1. `docker tag" in asked.why(
        ecr("unheard", ":v1")
    )
    told = asked.why(ecr("forgotten", f"@{DIGEST}"))
    assert told.endswith("Push it, and name the digest that the push tells.")


@pytest.mark.clients
def test_another_account_s_image_may_be_the_engine_s(world: World) -> None:
    theirs = ecr("pytorch-inference", ":2.0", account=OTHER_ACCOUNT)
    found = Registered(world, engine(theirs)).find(theirs)
    assert found is not None
    assert found.media_type is None


@pytest.mark.clients
def test_a_name_in_the_registry_stands_for_one_in_ecr(world: World) -> None:
    images = Images(engine(), world.registry)
    assert images.as_ecr(f"{world.address}/team/model:v1", REGION) == ecr("team/model", ":v1")
    for other in (ecr("x", ":1"), "model:v1", "127.0.0.1:1/model:v1"):
        assert images.as_ecr(other, REGION) == other
        assert Images(engine()).as_ecr(other, REGION) == other


@pytest.mark.clients
def test_a_stand_in_comes_before_the_registry(world: World) -> None:
    world.push("stood", "v1")
    asked = Registered(world, engine("mine"), stand_in="mine")
    found = asked.find(ecr("stood", ":v1"))
    assert found is not None
    assert found.reference == "id-of-mine"


@pytest.mark.clients
def test_a_registry_that_is_gone_is_an_error_and_not_a_missing_image() -> None:
    with registry_world() as world:
        asked = Registered(world, engine("model:latest"))
        world.portal.call(world.registry.close)
        with pytest.raises(RegistryUnavailable):
            asked.find(ecr("model"))


# -- with Docker -----------------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.clients
def test_docker_runs_what_was_pushed_also_when_its_name_moved_or_it_was_removed(
    world: World,
) -> None:
    name = f"{world.address}/byoc-test-moved:v1"
    pushed = tiny_image(name, "pushed")
    docker("push", name)
    other = tiny_image(name, "not pushed")
    uri = ecr("byoc-test-moved", ":v1")
    by_digest = f"{world.address}/byoc-test-moved@{world.manifest('byoc-test-moved', 'v1').digest}"
    real = DockerEngine()
    asked = Registered(world, real)  # type: ignore[arg-type]
    try:
        found = asked.find(uri)
        assert found is not None
        assert found.reference == pushed != other
        docker("rmi", "--force", pushed)
        judged = asked.find(uri, fetch=False)
        assert judged is not None
        assert judged.reference == by_digest
        started = asked.find(uri)
        assert started is not None
        assert started.reference == pushed, "it was pulled"
    finally:
        docker("rmi", "--force", name, pushed)
        world.portal.call(real.close)


@pytest.mark.docker
@pytest.mark.clients
def test_what_docker_cannot_pull_is_told_apart(world: World) -> None:
    world.push("byoc-test-unrunnable", "v1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{free.getsockname()[1]}"

    async def story() -> None:
        real = DockerEngine()
        try:
            with pytest.raises(ImageNotFound, match="byoc-test-nothing"):
                await real.pull(f"{world.address}/byoc-test-nothing:v1")
            with pytest.raises(EngineUnavailable):
                await real.pull(f"{nowhere}/byoc-test-nothing:v1")
            with pytest.raises(EngineUnavailable, match=r"could not pull .*byoc-test-unrunnable"):
                await real.pull(f"{world.address}/byoc-test-unrunnable:v1")
            assert await real.image_id("Not An Image") is None
        finally:
            await real.close()

    asyncio.run(story())


@pytest.mark.docker
def test_docker_is_never_made_to_ask_aws() -> None:
    """`docker image inspect` is the engine's own; a name with a registry's host would be asked for
    there by whoever wants to know its manifest.
    """
    name = ecr("byoc-test-local", ":v1")
    identity = tiny_image(name, "local")
    real = DockerEngine()
    asked: list[str] = []

    async def story() -> FoundImage | None:
        get = real.api.get

        def noting(url: str, *more: object, **named: object) -> object:
            asked.append(url)
            return get(url, *more, **named)

        real.api.get = noting
        try:
            return await Images(real).find(name)
        finally:
            await real.close()

    try:
        found = asyncio.run(story())
    finally:
        docker("rmi", "--force", name)
    assert found is not None
    assert found.reference == identity
    assert asked
    assert not [url for url in asked if "/distribution/" in url]

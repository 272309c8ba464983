"""How the images of the tests are chosen and when they are built.

Owns: fixtures/images.py, building.py and base/. Must not know: what the containers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker
import docker.errors
import pytest

from emulator.engines.connect import connect
from fixtures import images
from fixtures.base import source
from fixtures.building import RECIPE, BuildFailed, Image, build, recipe, stands_on

BASE = {"BASE": source.OURS, "REFERENCE": "byoc-reference:latest"}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "scratch"
    directory.mkdir()
    (directory / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY serve /\n")
    (directory / "serve").write_text("one")
    return directory


def changed_bytes(directory: Path) -> None:
    (directory / "serve").write_text("two")


def changed_mode(directory: Path) -> None:
    (directory / "serve").chmod(0o755)


def changed_name(directory: Path) -> None:
    (directory / "serve").rename(directory / "serve2")


@pytest.mark.parametrize("change", [changed_bytes, changed_mode, changed_name])
def test_a_recipe_changes_with_what_is_sent(context: Path, change: Any) -> None:
    before = recipe(context, [])
    change(context)
    assert recipe(context, []) != before


def test_a_recipe_changes_with_what_it_stands_on(context: Path) -> None:
    assert recipe(context, ["BASE=1"]) != recipe(context, ["BASE=2"])


def test_a_recipe_ignores_caches_and_what_dockerignore_names(context: Path) -> None:
    (context / ".dockerignore").write_text("notes.md\n")
    before = recipe(context, [])
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "serve.pyc").write_text("x")
    (context / "notes.md").write_text("x")
    assert recipe(context, []) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG BASE=byoc-base:latest\nFROM ${BASE}\n", {"BASE"}),
        ("ARG REFERENCE\nFROM ${REFERENCE}\nARG OTHER=1\n", {"REFERENCE"}),
        ("FROM scratch\n", set()),
    ],
)
def test_an_image_tells_what_it_stands_on(context: Path, text: str, expected: set[str]) -> None:
    (context / "Dockerfile").write_text(text)
    assert stands_on(Image(repository="byoc-scratch", directory=context)) == expected


def test_all_is_every_directory_and_the_base_comes_first() -> None:
    names = [image.repository for image in images.select([])]
    assert names[:2] == ["byoc-base", "byoc-reference"]
    for folder, prefix in (("faults", "byoc-fault-"), ("healthy", "byoc-healthy-")):
        directories = {p.name for p in (images.ROOT / "fixtures" / folder).glob("[a-z]*")}
        assert directories, folder
        assert {n.removeprefix(prefix) for n in names if n.startswith(prefix)} == directories


@pytest.mark.parametrize(
    "name", ["slow-ping", "byoc-fault-slow-ping", "byoc-fault-slow-ping:latest"]
)
def test_an_image_is_found_by_each_of_its_names(name: str) -> None:
    assert [image.repository for image in images.select([name])] == ["byoc-fault-slow-ping"]


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert images.main(["slow-pong"]) == images.USAGE
    said = capsys.readouterr().err
    assert "'slow-pong'" in said
    assert "slow-ping" in said
    assert "reference" in said


class FakeRegistry:
    """What `for_reference` asks of an engine."""

    def __init__(self, *, local: set[str], reachable: bool = False, broken: bool = False) -> None:
        self.local, self.reachable, self.broken = local, reachable, broken
        self.asked = 0
        self.images = SimpleNamespace(get=self.get, pull=self.pull)
        self.api = SimpleNamespace(timeout=60, inspect_distribution=self.inspect)

    def get(self, reference: str) -> object:
        if reference not in self.local:
            raise docker.errors.ImageNotFound(reference)
        return object()

    def inspect(self, reference: str) -> None:
        self.asked += 1
        assert self.api.timeout == source.PROBE_SECONDS
        if not self.reachable:
            raise docker.errors.APIError(f"no such host for {reference}")

    def pull(self, repository: str, tag: str | None, platform: str) -> None:
        if self.broken or not self.reachable:
            raise docker.errors.APIError("unexpected EOF")
        assert platform == "linux/amd64"
        self.local.add(f"{repository}:{tag}")


def choose(
    engine: FakeRegistry, wanted: str | None = None, built_on: str | None = None
) -> tuple[str, list[str]]:
    said: list[str] = []
    environment = {"BYOC_BASE": wanted} if wanted else {}
    client = cast("docker.DockerClient", engine)
    return source.for_reference(client, environment, built_on, said.append), said


def test_the_public_image_is_taken_when_it_is_there() -> None:
    engine = FakeRegistry(local={source.PUBLIC, source.OURS})
    assert choose(engine) == (source.PUBLIC, [])
    assert engine.asked == 0


def test_the_public_image_is_pulled_when_a_registry_answers() -> None:
    engine = FakeRegistry(local=set(), reachable=True)
    assert choose(engine) == (source.PUBLIC, [f"pulling {source.PUBLIC}"])
    assert engine.api.timeout == 60


def test_without_a_registry_the_base_is_our_own() -> None:
    assert choose(FakeRegistry(local=set())) == (source.OURS, [])


def test_a_pull_that_breaks_off_is_told_and_the_base_is_our_own() -> None:
    base, said = choose(FakeRegistry(local=set(), reachable=True, broken=True))
    assert base == source.OURS
    assert "unexpected EOF" in said[-1]


@pytest.mark.parametrize("built_on", [source.OURS, "mine:1"])
def test_the_base_of_the_last_build_is_kept_without_asking_anybody(built_on: str) -> None:
    engine = FakeRegistry(local={"mine:1", source.PUBLIC}, reachable=True)
    assert choose(engine, built_on=built_on) == (built_on, [])
    assert engine.asked == 0


def test_byoc_base_is_pulled_when_it_is_missing_and_obeyed() -> None:
    engine = FakeRegistry(local={source.PUBLIC}, reachable=True)
    base, _ = choose(engine, wanted="localhost:5000/mine:2", built_on=source.OURS)
    assert base == "localhost:5000/mine:2"
    assert base in engine.local


def test_a_byoc_base_that_is_nowhere_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(source.NoBase, match=r"mine:2 is not on this engine.* BYOC_BASE"):
        choose(FakeRegistry(local={source.PUBLIC}), wanted="mine:2")


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    made = connect()
    yield made
    made.close()


@pytest.fixture
def scratch(client: docker.DockerClient, context: Path) -> Iterator[Image]:
    image = Image(repository="byoc-scratch-test-images", directory=context)
    yield image
    try:
        client.images.remove(image.tag)
    except docker.errors.ImageNotFound:
        return


@pytest.mark.docker
def test_an_image_is_built_once_and_again_when_something_changed(
    client: docker.DockerClient, scratch: Image
) -> None:
    assert build(client, scratch, BASE)
    first = client.images.get(scratch.tag)
    assert not build(client, scratch, BASE)
    assert client.images.get(scratch.tag).id == first.id
    changed_bytes(scratch.directory)
    assert build(client, scratch, BASE)
    second = client.images.get(scratch.tag)
    assert second.id != first.id
    assert second.labels[RECIPE] != first.labels[RECIPE]


@pytest.mark.docker
def test_what_a_build_replaced_is_removed(client: docker.DockerClient, scratch: Image) -> None:
    build(client, scratch, BASE)
    first = str(client.images.get(scratch.tag).id)
    changed_bytes(scratch.directory)
    build(client, scratch, BASE)
    images._forget(client)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(first)


@pytest.mark.docker
def test_a_build_that_fails_tells_the_builds_own_words(
    client: docker.DockerClient, scratch: Image
) -> None:
    (scratch.directory / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE}\nRUN echo the reason; exit 7\n"
    )
    with pytest.raises(BuildFailed, match=r"(?s)byoc-scratch-test-images.*the reason"):
        build(client, scratch, BASE)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(scratch.tag)


@pytest.mark.docker
def test_a_second_run_builds_nothing(client: docker.DockerClient) -> None:
    list(images.ensure(client, ["missing-module"]))
    results = list(images.ensure(client, ["missing-module"]))
    assert [result.built for result in results] == [False, False]
    assert [result.error for result in results] == ["", ""]
    assert "byoc-fault-missing-module" in results[-1].line()
    assert "up to date" in results[-1].line()

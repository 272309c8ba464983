"""What chapters contents and filesystem ask of an image and of a running container, on Docker."""

from __future__ import annotations

import asyncio
import io

import pytest

from emulator.engines import ContainerSpec, FileKind, StartRefused
from emulator.engines.docker_engine import DockerEngine

pytestmark = pytest.mark.docker

SYSTEM = "/usr/share/python3"
"""Of byoc-base: some files, directories with more, and symbolic links."""

WRITES = """
import os, time
os.makedirs("/tmp/deep/er")
open("/tmp/deep/er/file", "wb").write(bytes(100_000))
os.symlink("/tmp/deep/er/file", "/tmp/link")
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def engine(runner):
    engine = DockerEngine()
    yield engine
    runner.run(engine.close())


def test_a_directory_of_an_image_is_listed_and_left_off_when_it_is_long(runner, engine):
    async def look():
        files = await engine.files("byoc-base:latest")
        try:
            return [
                await files.below(path, most)
                for path, most in (
                    (SYSTEM, 10**9),
                    (SYSTEM, 0),
                    ("/absent", 1),
                    ("/etc/hostname", 1),
                )
            ]
        finally:
            await files.close()

    whole, begun, absent, file = runner.run(look())
    assert all(entry.path.startswith(f"{SYSTEM}/") for entry in whole)
    assert any(entry.path.count("/") > SYSTEM.count("/") + 1 for entry in whole)
    assert {entry.kind for entry in whole} <= {FileKind.FILE, FileKind.SYMLINK}
    assert any(entry.size_bytes > 0 for entry in whole)
    assert begun == whole[: len(begun)]
    assert len(begun) < len(whole)
    assert absent == file == []


def test_what_a_container_wrote_is_told_in_bytes(runner, engine):
    async def look():
        spec = ContainerSpec(image="byoc-base:latest", command=("python3", "-c", WRITES))
        container = await engine.start(spec)
        try:
            for _ in range(1000):
                if "written" in await container.logs():
                    break
                await asyncio.sleep(0.02)
            paths = ("/tmp/deep/er/file", "/tmp/link", "/tmp/deep", "/tmp/absent")
            sizes = [await container.file_bytes(path) for path in paths]
            return await container.written_bytes(), sizes, await container.changed_paths()
        finally:
            await container.stop(0)

    written, sizes, changed = runner.run(look())
    assert sizes == [100_000, None, None, None]
    assert 100_000 <= written < 200_000
    assert {"/tmp/deep/er/file", "/tmp/link"} <= set(changed)


def test_a_volume_below_the_mounted_model_is_the_images_fault(runner, engine, tmp_path):
    name = "byoc-test-model-volume:latest"
    dockerfile = b"FROM byoc-base:latest\nVOLUME /opt/ml/model/cache\n"

    async def look():
        await engine.ask(
            lambda: engine.client.images.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True)
        )
        try:
            told = await engine.image(name)
            with pytest.raises(StartRefused, match="read-only file system"):
                await engine.start(ContainerSpec(image=name, model_dir=tmp_path))
            return told.volumes
        finally:
            await engine.ask(lambda: engine.client.images.remove(name))

    assert runner.run(look()) == ("/opt/ml/model/cache",)

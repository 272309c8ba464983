"""What lies in an image, beside the program that `serve` names, and decides how it will fare.

Owns: looking for NVIDIA's driver, cache directories, programs for training, and lines that keep a
container alive by themselves. Must not know: clauses, verdicts, Docker's API. Nothing is run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from contract_tests.executable import DOCKER_PATH, Resolution
from contract_tests.image_paths import MOUNTS, Status, Tree, search
from emulator.engines import FileKind, ImageFiles, ImageInfo

DRIVER_LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
"""Of the driver itself; libcudart, libcublas and the like belong to the toolkit and are welcome."""

TRIPLETS: Mapping[str, str] = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LIBRARY_PLACES = ("/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/nvidia/lib64")
NO_DRIVER = ("compat", "stubs")
"""Directories of NVIDIA's own base images: forward compatibility, and empty shells to link with."""

CUDA_SIGNS = ("NVIDIA_REQUIRE_CUDA", "CUDA_VERSION")

CACHE_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "SENTENCE_TRANSFORMERS_HOME",
    "TORCH_HOME",
    "XDG_CACHE_HOME",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "NLTK_DATA",
    "TFHUB_CACHE_DIR",
    "KERAS_HOME",
)

TRAINING_KITS = (b"sagemaker_training", b"sagemaker_containers")
OLD_SERVE = b"sagemaker_containers.cli.serve"
"""Starts nginx and gunicorn, which training images do not have."""

OF_THE_KIT = "is the SageMaker training toolkit's"
TRAINING_NAMES = ("train", "train.py", "train.sh")

KEEPS_ALIVE = re.compile(
    r"""\btail[\s"',]+(?:-[fF]|--follow)[\s"',]+/dev/null(?![^&]*&\s*$)"""
    r"""|\bsleep[\s"',]+inf(?:inity)?\b(?![^&]*&\s*$)"""
)
"""As a shell or Python writes it, and as a process list shows it; not one in the background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What was found. Empty where there is nothing to say."""

    drivers: tuple[str, ...]
    cuda: str  # by what an NVIDIA base is known
    closed_caches: tuple[str, ...]  # a variable, where it points, and what others may not pass
    training: tuple[str, ...]
    keeps_alive: tuple[str, ...]  # file, line number, line


async def read_contents(
    image: ImageInfo, files: ImageFiles, program: Resolution, environment: Mapping[str, str]
) -> Contents:
    """Reads single paths. `environment` is what the container will have."""
    tree = Tree(files)
    return Contents(
        drivers=tuple([path async for path in _drivers(tree, image)]),
        cuda=await _cuda(tree, image),
        closed_caches=tuple([found async for found in _closed_caches(tree, environment)]),
        training=tuple([sign async for sign in _training(tree, image)]),
        keeps_alive=tuple([line async for line in _keeps_alive(files, program)]),
    )


async def _drivers(tree: Tree, image: ImageInfo) -> AsyncIterator[str]:
    triplet = TRIPLETS.get(image.architecture)
    places = [f"/usr/lib/{triplet}", f"/lib/{triplet}"] if triplet else []
    searched = image.environment.get("LD_LIBRARY_PATH", "").split(":")
    places += [*LIBRARY_PLACES, *(path for path in searched if path.startswith("/"))]
    seen: set[str] = set()
    for place in places:
        for name in DRIVER_LIBRARIES:
            found = await tree.walk(f"{place}/{name}")
            # An empty file is where the driver of a GPU machine was mounted during a build.
            if not found.is_file or found.entry is None or not found.entry.size_bytes:
                continue
            if found.path in seen or set(NO_DRIVER) & set(found.path.split("/")):
                continue
            seen.add(found.path)
            yield found.path


async def _cuda(tree: Tree, image: ImageInfo) -> str:
    signs = [name for name in CUDA_SIGNS if name in image.environment]
    if signs == ["CUDA_VERSION"]:  # a name that others may use, too
        place = await tree.walk("/usr/local/cuda")
        signs = [*signs, "/usr/local/cuda"] if place.status is Status.IS_DIRECTORY else []
    version = image.environment.get("CUDA_VERSION", "")
    return f"CUDA {version} ({', '.join(signs)})".replace("  ", " ") if signs else ""


async def _closed_caches(tree: Tree, environment: Mapping[str, str]) -> AsyncIterator[str]:
    for name in CACHE_VARIABLES:
        value = environment.get(name, "")
        for path in value.split(":") if name == "NLTK_DATA" else [value]:
            if not path.startswith("/") or path.startswith(MOUNTS):
                continue
            if closed := await _closed_on_the_way(tree, posixpath.normpath(path)):
                yield f"{name}={path}, and {closed}"


async def _closed_on_the_way(tree: Tree, path: str) -> str:
    """What a user who owns nothing may not pass, on the way to a path that need not be there."""
    parts = path.strip("/").split("/")
    for length in range(1, len(parts) + 1):
        place = await tree.walk("/" + "/".join(parts[:length]))
        if place.closed or place.entry is None or place.entry.kind is not FileKind.DIRECTORY:
            return place.closed
    return ""


async def _training(tree: Tree, image: ImageInfo) -> AsyncIterator[str]:
    directories = image.environment.get("PATH", DOCKER_PATH).split(":")
    base = image.working_dir or "/"
    serve = await search(tree, "serve", directories, base)
    if serve.is_file:
        old = serve.entry is not None and OLD_SERVE in serve.entry.head
        if old and not (await search(tree, "nginx", directories, base)).is_file:
            yield f"{serve.path} is sagemaker-containers', which starts nginx, and there is none"
        return
    train = await search(tree, "train", directories, base)
    if train.entry is not None and any(kit in train.entry.head for kit in TRAINING_KITS):
        yield f"{train.path} {OF_THE_KIT}"
    for word in image.entrypoint:
        if posixpath.basename(word) in TRAINING_NAMES:
            yield f"ENTRYPOINT names {word}"


async def _keeps_alive(files: ImageFiles, program: Resolution) -> AsyncIterator[str]:
    for path in dict.fromkeys(step.resolved for step in program.chain):
        entry = await files.lookup(path)
        if entry is None or entry.kind is not FileKind.FILE or b"\0" in entry.head:
            continue
        head = entry.head.decode("utf-8", errors="replace")
        for number, line in keep_alive_lines(head):
            yield f"{path}, line {number}: {line}"


def keep_alive_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a script that keep its process alive without doing anything."""
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line.startswith("#") and KEEPS_ALIVE.search(line):
            yield number, line


def hidden(paths: Sequence[str], given: Sequence[str]) -> list[str]:
    """Those of the image's own files that model data does not bring again."""
    brought = set(given)
    return [path for path in paths if path not in brought]

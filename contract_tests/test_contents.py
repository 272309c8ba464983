"""Chapter contents: what the image and the model archive hold, as far as it decides how they fare.

Owns: the clauses on user, drivers, caches, training images, keep-alive tricks and the archive. Must
not know: how an image is read (`contents`, `emulator.engines`). Most is seen without a start; what
only looks wrong is held against the container's own start before anything is said.
"""

from __future__ import annotations

import pytest
from anyio import CancelScope

from contract_tests.archive import listed, odd_layout
from contract_tests.check import (
    INFO,
    MODEL_ARCHIVE,
    MODEL_DATA,
    MUST,
    SHOULD,
    blocked,
    check,
    expect,
    not_applicable,
)
from contract_tests.contents import KEEPS_ALIVE, OF_THE_KIT, Contents, hidden, read_contents
from contract_tests.contents_model import MODEL, blamed, names_below
from contract_tests.executable import resolve
from contract_tests.target import Target
from emulator.engines import Capability, FileEntry, ImageFiles
from emulator.errors import ARCHIVE, CANNOT_START, PING_FAILED
from emulator.limits import GIB, MIB
from emulator.sources import contract, failures

MOST_READ_BYTES = 64 * MIB
"""Of the image's own model directory: its names are of interest, not gigabytes of weights."""

ROOT_USERS = ("", "0", "root")


@pytest.fixture
def contents(target: Target) -> Contents:
    """What lies in the image; looked up once."""
    if "contents" not in target.notes:

        async def look() -> tuple[Contents, list[FileEntry]]:
            files: ImageFiles = await target.engine.files(target.image.reference)
            environment = {**target.image.environment, **target.settings.env}
            try:
                program = target.notes.get("program") or await resolve(target.image, files)
                found = await read_contents(target.image, files, program, environment)
                given = target.settings.model_data is not None
                return found, await files.below(MODEL, MOST_READ_BYTES) if given else []
            finally:
                with CancelScope(shield=True):  # also when the run is interrupted
                    await files.close()

        target.notes["contents"], target.notes["own model"] = target.call(look)
    found = target.notes["contents"]
    assert isinstance(found, Contents)
    return found


@check(
    SHOULD,
    "The image names no user of its own: AWS asks for root.",
    source=contract("1.14"),
    catalogue="IMG-008",
    caught_by="own-user",
    fix="Leave USER out of the Dockerfile, or end it with `USER root`; where a base image brings a"
    " user, `USER root` after FROM.",
)
def test_runs_as_root(target: Target) -> None:
    user = target.image.user
    expect(
        user.partition(":")[0] in ROOT_USERS,
        expected="no USER, or root: another one may not read what AWS puts into the container",
        actual=f"the image's configuration says User {user!r}",
        reproduce=f"docker image inspect -f '{{{{.Config.User}}}}' {target.image.reference}",
    )


@check(
    SHOULD,
    "The image holds no NVIDIA driver: AWS brings the one that fits the instance.",
    source=failures("3.21"),
    catalogue="IMG-007",
    caught_by="bundled-driver",
    fix="Do not install nvidia-driver-*, nvidia-utils-* or libnvidia-compute-* in the image; CUDA's"
    " toolkit (cuda-libraries-*, the wheels of torch) is all that belongs into it.",
)
def test_no_driver_libraries(target: Target, contents: Contents) -> None:
    expect(
        not contents.drivers,
        expected="no libcuda.so.1 and libnvidia-ml.so.1 but those that are mounted at the start",
        actual=f"the image holds {', '.join(contents.drivers)}",
        reproduce=f"docker run --rm --entrypoint ls {target.image.reference} -lL"
        f" {' '.join(contents.drivers)}",
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "An image for serverless stands on no GPU base: serverless has no GPU.",
    source=contract("4.14"),
    catalogue="IMG-011",
    caught_by="gpu-base",
    fix="FROM a base without CUDA (python:3.12-slim), and a framework for CPUs: `pip install torch"
    " --index-url https://download.pytorch.org/whl/cpu`. A smaller image starts sooner.",
)
def test_no_gpu_base(target: Target, contents: Contents) -> None:
    if target.settings.profile == "realtime":
        not_applicable("instances may have a GPU")
    expect(
        not contents.cuda,
        expected="a base image for CPUs",
        actual=f"the base is NVIDIA's, {contents.cuda}; the image has"
        f" {target.image.size_bytes / GIB:.2f} GiB",
        reproduce=f"docker image inspect -f '{{{{.Config.Env}}}}' {target.image.reference}",
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "No cache variable of the image points where only root may go.",
    source=failures("3.11"),
    catalogue="FS-005",
    caught_by="cache-below-root",
    aws_shows=PING_FAILED,
    fix="ENV HF_HOME=/tmp/hf (TORCH_HOME, MPLCONFIGDIR, NUMBA_CACHE_DIR alike); for what is baked"
    " into the image /opt/cache, with RUN chmod -R o+rX /opt/cache. Not below /root, whose mode is"
    " 0700.",
)
def test_caches_open_to_others(target: Target, contents: Contents) -> None:
    if target.settings.profile == "realtime":
        not_applicable("instances run the container as root, which may go anywhere")
    expect(
        not contents.closed_caches,
        expected="directories that every user may enter, as serverless may not run it as root",
        actual="; ".join(contents.closed_caches),
    )


@check(
    SHOULD,
    "The image is one for inference, not one that only trains.",
    source=failures("3.18"),
    catalogue="IMG-010",
    caught_by="training-image",
    aws_shows=CANNOT_START,
    fix="Deploy an image that answers `serve`: the framework's inference image, or your own with a"
    " server in it. Of one Dockerfile for both, `serve` must start a server on port 8080.",
)
def test_not_training_only(target: Target, contents: Contents) -> None:
    # One image for both is common, and right when it serves; only a start tells.
    if not contents.training or (target.first is not None and target.first.ready):
        return
    words = target.first.start.describe() if target.first is not None else target.refused
    signs = "; ".join(contents.training)
    only_kit = all(OF_THE_KIT in sign for sign in contents.training)
    if only_kit and "serve" not in f"{words} {target.last_log()}":
        not_applicable(f"{signs}; it does not serve, but for another reason as it seems")
    expect(
        False,
        expected="a server on port 8080 after `docker run IMAGE serve`",
        actual=f"{signs}; with `serve`: {words}",
    )


@check(
    INFO,
    "No process only keeps the container alive: it ends when its server does.",
    source=failures("3.16"),
    catalogue="ENT-008",
    caught_by="keep-alive-trick",
    fix="Let the server be the last line, with exec: `exec gunicorn ...` instead of `gunicorn ... &"
    " tail -f /dev/null`. Then a crash ends the container, with its exit code, and SIGTERM reaches"
    " the server.",
    requires=(Capability.PROCESSES,),
)
def test_no_keep_alive_trick(target: Target, contents: Contents) -> None:
    if not contents.keeps_alive:
        return
    # A line that serves another command of the same script is no trick: the process must be there.
    running = [p.command for p in target.container().processes() if KEEPS_ALIVE.search(p.command)]
    expect(
        not running,
        expected="a container whose first process is the server, or waits for it",
        actual=f"{contents.keeps_alive[0]}: `{running[0] if running else ''}` runs on when"
        " the server has ended, so that /ping alone tells of it",
    )


# -- the model ------------------------------------------------------------------------------------


@check(
    MUST,
    "The model archive is a gzip tar of plain files and directories, with relative names.",
    source=contract("1.12"),
    catalogue="MDL-001",
    caught_by="linked-archive",
    aws_shows=ARCHIVE,
    fix="Make it with `tar --dereference --hard-dereference -czf model.tar.gz -C MODEL_DIRECTORY"
    " .`",
    requires=(MODEL_ARCHIVE,),
)
def test_archive_unpacks(target: Target) -> None:
    refused, archive = target.archive_refused, target.settings.model_data
    if refused is None:
        return
    expect(
        False,
        expected="an archive that SageMaker unpacks under /opt/ml/model",
        actual=f"{archive}: {refused.why}",
        fix=refused.cure[:1].upper() + refused.cure[1:],
        reproduce=f"tar -tvzf {archive}",
    )


@check(
    SHOULD,
    "The mount at /opt/ml/model neither hides what the container needs nor meets a VOLUME.",
    source=contract("1.8"),
    catalogue="IMG-009",
    caught_by="baked-and-mounted",
    fix="Keep in the image what the archive does not bring at another place (/opt/program), or"
    " put it into the archive; no VOLUME below /opt/ml/model.",
    needs=("archive-unpacks",),
    requires=(MODEL_DATA,),
)
def test_model_mount_hides_nothing(target: Target, contents: Contents) -> None:
    if target.model_dir is None:
        blocked("the archive cannot be unpacked")
    volumes = ", ".join(path for path in target.image.volumes if path.startswith(MODEL + "/"))
    expect(
        not volumes,
        expected=f"no VOLUME below {MODEL}, for which the engine makes a directory in the mount",
        actual=f"VOLUME {volumes}, and the mount is read-only: the container cannot start",
    )
    own: list[FileEntry] = target.notes["own model"]
    names = [entry.path.removeprefix(MODEL + "/") for entry in own]
    lost = hidden(names, list(names_below(target.model_dir)))
    if not lost:
        return
    # A model in the image may be a default that the archive replaces.
    words = blamed(target, f"the mount hides {listed(lost)}", lost)
    expect(
        not words,
        expected=f"nothing in the image's {MODEL} that --model-data does not bring as well",
        actual=f"the image holds {listed(lost)} there, which the mount hides; {words}",
    )


@check(
    SHOULD,
    "The model lies in the archive as the container expects it: not one directory further down, and"
    " without a Mac's own files.",
    source=failures("3.8"),
    catalogue="MDL-002",
    caught_by="wrapped-archive",
    aws_shows=PING_FAILED,
    fix="Pack the directory's content, not the directory: `tar -czf model.tar.gz -C MODEL_DIRECTORY"
    " .`; on a Mac with COPYFILE_DISABLE=1 before it.",
    needs=("archive-unpacks", "model-mount-hides-nothing"),
    requires=(MODEL_DATA,),
)
def test_archive_layout(target: Target) -> None:
    if target.model_dir is None:
        blocked("the archive cannot be unpacked")
    names = list(names_below(target.model_dir))
    odd = odd_layout(names)
    # Some servers want one directory for each model.
    words = blamed(target, odd, names) if odd else ""
    expect(
        not words,
        expected=f"the files that the container looks for directly in {MODEL}",
        actual=f"{target.settings.model_data}: {odd}; {words}",
    )

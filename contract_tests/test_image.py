"""Chapter image: what can be told from the image without running it.

Owns: the clauses on architecture, manifest, size and the program that `serve` would run. Must not
know: how an image is read (`executable`, `emulator.engines`).
"""

from __future__ import annotations

import pytest
from anyio import CancelScope

from contract_tests.check import MUST, SHOULD, advise, check, expect, not_applicable
from contract_tests.executable import Problem, Resolution, Status, resolve
from contract_tests.target import Target
from emulator.errors import (
    CANNOT_START,
    EXEC_FORMAT,
    IMAGE_TOO_BIG,
    MANIFEST_TYPE,
    SERVE_NOT_FOUND,
)
from emulator.limits import GIB
from emulator.sources import contract, failures

UNKNOWN = "unknown"
"""What an engine says of a manifest that it cannot tell (`ImageInfo.push_media_type`)."""

SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
WARN_IMAGE_SHARE = 0.8
"""Of the size limit: from here on the next dependency may be one too many."""


@pytest.fixture
def program(target: Target) -> Resolution:
    """What `docker run IMAGE serve` would execute, found without running it; looked up once."""
    if "program" not in target.notes:

        async def look() -> Resolution:
            files = await target.engine.files(target.image.reference)
            try:
                return await resolve(target.image, files)
            finally:
                with CancelScope(shield=True):  # also when the run is interrupted
                    await files.close()

        target.notes["program"] = target.call(look)
    found = target.notes["program"]
    assert isinstance(found, Resolution)
    return found


@check(
    MUST,
    "The image is built for the architecture that the endpoint runs on.",
    source=contract("5.9"),
    catalogue="IMG-001",
    caught_by="wrong-architecture",
    aws_shows=EXEC_FORMAT,
    fix="Build with `docker build --platform linux/amd64 .` (or give --platform linux/arm64 if"
    " you deploy to Graviton instances).",
)
def test_image_architecture(target: Target) -> None:
    actual = f"{target.image.os}/{target.image.architecture}"
    wanted = target.settings.platform
    same_system = wanted.split("/")[0] == target.image.os
    refuses = f", whose programs {wanted} refuses: exec format error" if same_system else ""
    # A variant (linux/arm64/v8) is a finer grain than Docker's two words.
    expect(
        wanted.split("/")[:2] == actual.split("/")[:2],
        expected=f"an image for {wanted}",
        actual=f"the image's configuration says {actual}{refuses}",
        reproduce=f"docker image inspect -f '{{{{.Os}}}}/{{{{.Architecture}}}}' "
        f"{target.image.reference}",
    )


@check(
    MUST,
    "What is pushed has a Docker schema 2 manifest, not an OCI manifest or index.",
    source=contract("5.1"),
    catalogue="IMG-003",
    caught_by="oci-manifest",
    aws_shows=MANIFEST_TYPE,
    fix="Build and push with `docker buildx build --platform linux/amd64 --provenance=false"
    " --sbom=false --output type=image,name=<repository>:<tag>,push=true,oci-mediatypes=false .`",
)
def test_manifest_media_type(target: Target) -> None:
    image = target.image
    if image.push_media_type == UNKNOWN:
        not_applicable(f"{image.push_media_type_from}: push it, and name it as in the registry")
    expect(
        image.push_media_type == SCHEMA_2,
        expected=SCHEMA_2,
        actual=f"{image.push_media_type} (known from {image.push_media_type_from})",
        reproduce=f"docker manifest inspect --verbose {image.reference}",
    )


@check(
    {"serverless": MUST, "realtime": SHOULD},
    "The uncompressed image is not larger than the endpoint takes.",
    source=contract("4.8"),
    catalogue="IMG-005",
    caught_by="fat-image",
    aws_shows=IMAGE_TOO_BIG,
    fix="Leave out what serving does not need: training data, compilers, caches (`pip install"
    " --no-cache-dir`, a .dockerignore), a GPU framework on a CPU endpoint. A file deleted in a"
    " later layer still counts: delete it in the RUN that made it.",
)
def test_image_size(target: Target) -> None:
    limit = target.limits.image_bytes
    if limit is None:
        not_applicable("instances have no such limit; their disk decides (VolumeSizeInGB)")
    size = target.image.size_bytes
    words = f"{size:,} bytes ({size / GIB:.2f} GiB)"
    expect(size <= limit, expected=f"at most {limit:,} bytes", actual=words)
    advise(size <= limit * WARN_IMAGE_SHARE, expected=f"well below {limit:,} bytes", actual=words)


@check(
    MUST,
    "An image with only a CMD has a `serve` program, for `serve` takes the place of CMD.",
    source=contract("1.1"),
    catalogue="ENT-004",
    caught_by="cmd-only",
    aws_shows=SERVE_NOT_FOUND,
    fix='Turn CMD into an ENTRYPOINT that takes the argument `serve`: ENTRYPOINT ["python3",'
    ' "/opt/program/serve.py"]; or put an executable called `serve` on PATH.',
)
def test_not_cmd_only(target: Target, program: Resolution) -> None:
    image = target.image
    # A CMD may be the base image's; with a `serve` that only is not on PATH, that is the mistake.
    absent = program.status is Status.ABSENT and not program.elsewhere
    expect(
        bool(image.entrypoint) or not image.cmd or not absent,
        expected="an ENTRYPOINT, or a program called serve on PATH",
        actual=f"no ENTRYPOINT, CMD {list(image.cmd)}, and no serve in {program.search_path}",
    )


@check(
    MUST,
    "The program that `docker run IMAGE serve` names exists in the image.",
    source=contract("1.1"),
    catalogue="ENT-001",
    caught_by="serve-not-on-path",
    aws_shows=SERVE_NOT_FOUND,
    fix="Put its directory on PATH in the image (`ENV PATH=/opt/program:$PATH`, in the last stage"
    " of a multi-stage build), or name it by its full path in ENTRYPOINT.",
    needs=("not-cmd-only",),
)
def test_serve_resolves(target: Target, program: Resolution) -> None:
    if program.status is Status.MOUNTED:
        not_applicable(f"{program.argv0} lies where only a running container has files")
    found_but = (Status.FOUND, Status.NOT_EXECUTABLE)
    elsewhere = f"; there is one at {', '.join(program.elsewhere)}" if program.elsewhere else ""
    expect(
        program.status in found_but,
        expected=f"{program.argv0} in one of {program.search_path}",
        actual=f"{_status(program)}{elsewhere}",
    )


@check(
    MUST,
    "The program that `docker run IMAGE serve` names may be executed.",
    source=failures("3.7"),
    catalogue="ENT-002",
    caught_by="serve-not-executable",
    aws_shows=SERVE_NOT_FOUND,
    fix="RUN chmod 755 on it in the Dockerfile (`COPY --chmod=755` with BuildKit); a checkout on"
    " Windows loses the bit, `git update-index --chmod=+x serve` restores it.",
    needs=("serve-resolves",),
)
def test_serve_executable(program: Resolution) -> None:
    expect(
        program.status is Status.FOUND,
        expected=f"the execute bit on {program.path or program.argv0}",
        actual=f"mode {program.mode:04o}: {_status(program)}",
    )
    advise(
        program.others_may_execute,
        expected="that every user may execute it, as serverless may not run as root",
        actual=program.closed_to_others,
    )


@check(
    MUST,
    "The script that is executed names an interpreter that exists, on a line without a carriage"
    " return or a byte order mark.",
    source=failures("3.22"),
    catalogue="ENT-003",
    caught_by="crlf-serve",
    aws_shows=CANNOT_START,
    fix="Save the file with Unix line endings (`dos2unix serve`; a .gitattributes line `serve text"
    " eol=lf` keeps them), and begin it with an interpreter of the image: #!/usr/bin/env python3",
    needs=("serve-executable",),
)
def test_serve_interpreter(program: Resolution) -> None:
    problems = [p for p in program.problems if p.kind not in _ARCHITECTURE]
    expect(
        not problems,
        expected="a chain of scripts and interpreters that ends in a program",
        actual="; ".join(p.text for p in problems),
    )
    doubts = [p for p in program.doubts if p.kind not in _ARCHITECTURE]
    advise(
        not doubts,
        expected="nothing that other engines or kernels may refuse",
        actual="; ".join(p.text for p in doubts),
    )


@check(
    MUST,
    "The program and its interpreter are compiled for the architecture that the endpoint runs on.",
    source=failures("3.10"),
    catalogue="IMG-002",
    caught_by="arm64-binary",
    aws_shows=EXEC_FORMAT,
    fix="Build the binary for the image's platform (GOARCH=amd64, `--platform linux/amd64` on every"
    " FROM); do not copy one from a Mac with Apple silicon.",
    needs=("image-architecture", "serve-interpreter"),
)
def test_entrypoint_architecture(target: Target, program: Resolution) -> None:
    problems = [p for p in program.problems if p.kind in _ARCHITECTURE]
    expect(
        not problems,
        expected=f"programs for {target.settings.platform}",
        actual="; ".join(p.text for p in problems),
    )
    doubts = [p for p in program.doubts if p.kind in _ARCHITECTURE]
    advise(
        not doubts,
        expected=f"programs for {target.settings.platform} and nothing else",
        actual="; ".join(p.text for p in doubts),
    )


_SHELLS = ("/bin/sh", "sh", "/bin/bash", "bash", "/bin/dash", "dash", "/bin/ash", "ash")


@check(
    SHOULD,
    "ENTRYPOINT has the exec form, so that the program gets `serve` and the signals.",
    source=contract("1.3"),
    catalogue="ENT-005",
    caught_by="shell-form",
    fix='Write it as a JSON array: ENTRYPOINT ["/opt/program/serve"], not ENTRYPOINT'
    " /opt/program/serve.",
)
def test_exec_form_entrypoint(target: Target, program: Resolution) -> None:
    entrypoint = target.image.entrypoint
    shell = len(entrypoint) > 1 and entrypoint[0] in _SHELLS and entrypoint[1] == "-c"
    expect(
        not shell,
        expected='ENTRYPOINT ["program", "argument"]',
        actual=f"{list(entrypoint)}: a shell is process 1, and `serve` becomes its $0",
    )
    alone = bool(entrypoint and program.problems) and entrypoint[-1].rpartition("/")[2] in (
        "tini",
        "dumb-init",
        "--",
    )
    expect(
        not alone,
        expected="a program after the init",
        actual=f"{list(entrypoint)}: the init would look for a program called serve by itself",
        fix='Name your program after it: ENTRYPOINT ["tini", "--", "/opt/program/serve"].',
    )


_ARCHITECTURE = frozenset({Problem.WRONG_MACHINE})


def _status(program: Resolution) -> str:
    return program.text or program.status.value

"""Chapter filesystem: where the container may write, and as whom it may have to run.

Owns: the clauses on /opt/ml/model, users, capabilities, /dev/shm, and what requests leave on disk.
Must not know: how an engine restricts a container. What serverless really does is not published
(contract 1.15), so all but the documented clause are SHOULD, and say what they rest on.
"""

from __future__ import annotations

import dataclasses

from anyio import CancelScope

from contract_tests.check import INFO, MUST, PAYLOAD, SHOULD, check, expect, not_applicable
from contract_tests.sandbox import ARBITRARY_USER, NO_DAC, sandbox
from contract_tests.subject import Subject
from contract_tests.target import Target
from contract_tests.written import Watched, closed_to_others, watch
from emulator.engines import Capability
from emulator.errors import PING_FAILED
from emulator.sources import contract, failures

MODEL_DIRECTORY = "/opt/ml/model"
DISK_BYTES = 5 * 10**9
"""Of a serverless instance, whatever its memory (contract 4.7)."""

LATE_SECONDS = 0.5
READABLE = "RUN chmod -R o+rwX <directory> in the Dockerfile"


@check(
    {"serverless": SHOULD, "realtime": MUST},
    "The container serves with a read-only /opt/ml/model.",
    source=contract("1.9"),
    catalogue="FS-001",
    caught_by="writes-model-dir",
    aws_shows=PING_FAILED,
    fix="Write caches, locks and unpacked files below /tmp (HF_HOME, NUMBA_CACHE_DIR,"
    " MPLCONFIGDIR), or copy the model there first.",
    requires=(Capability.CHANGES,),
)
def test_read_only_model_directory(target: Target, container: Subject) -> None:
    if target.model_dir is not None:
        return  # it was mounted read-only from the first start on, and the container serves
    # Without model data the directory is the image's own, and what was written there shows. Only
    # a start on a read-only copy then tells whether the container depends on it.
    written = [path for path in container.changed_paths() if path.startswith(MODEL_DIRECTORY + "/")]
    if not written:
        return
    spec = dataclasses.replace(target.spec, model_read_only=True)
    trial = target.trial("read-only model", spec)
    expect(
        trial.served,
        expected=f"a container that serves with {MODEL_DIRECTORY} read-only",
        actual=f"it writes {', '.join(written[:5])}; read-only, {trial.words}",
        log=trial.log,
        reproduce=target.run_line(spec),
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "The container starts and serves as root without the capability to override file permissions.",
    source=failures("3.11"),
    catalogue="FS-002",
    caught_by="needs-dac-override",
    aws_shows=PING_FAILED,
    fix=f"Let root own what it writes, or {READABLE}: COPY --chown gives files to another user,"
    " whose directories root may then not write.",
    requires=(Capability.ISOLATION,),
)
def test_starts_without_dac_override(target: Target, container: Subject) -> None:
    _only_serverless(target, "instances run the container as root, with its capabilities")
    trial = sandbox(target, "dac")
    expect(
        trial.served,
        expected="a container that serves with --cap-drop " + " --cap-drop ".join(NO_DAC),
        actual=f"{trial.words}{_where(target, container, trial.served)}",
        log=trial.log,
        reproduce=target.run_line(dataclasses.replace(target.spec, drop_capabilities=NO_DAC)),
    )


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "The container starts and serves as an arbitrary user that the image does not know.",
    source=contract("1.15"),
    catalogue="FS-008",
    caught_by="root-only-paths",
    aws_shows=PING_FAILED,
    fix=f"{READABLE}; nginx: pid and the *_temp_path directives below /tmp, access_log /dev/stdout"
    " in nginx.conf instead of a link made at start; no need for HOME.",
    requires=(Capability.ISOLATION,),
)
def test_starts_as_arbitrary_user(target: Target, container: Subject) -> None:
    _only_serverless(target, "instances run the container as root")
    spec = dataclasses.replace(target.spec, user=ARBITRARY_USER)
    trial = sandbox(target, "user")
    expect(
        trial.served,
        expected=f"a container that serves with --user {ARBITRARY_USER}",
        actual=f"{trial.words}{_where(target, container, trial.served)}",
        log=trial.log,
        reproduce=target.run_line(spec),
    )


def _only_serverless(target: Target, reason: str) -> None:
    if target.settings.profile == "realtime":
        not_applicable(reason)


def _where(target: Target, container: Subject, served: bool) -> str:
    """Where it writes as root and others may not; what a start was refused is one of these."""
    if served or Capability.CHANGES not in target.engine.capabilities:
        return ""
    written = container.changed_paths()

    async def look() -> list[str]:
        files = await target.engine.files(target.image.reference)
        try:
            return await closed_to_others(written, files)
        finally:
            with CancelScope(shield=True):  # also when the run is interrupted
                await files.close()

    places = target.call(look)
    return f"; as root it writes where others may not: {', '.join(places)}" if places else ""


@check(
    {"serverless": SHOULD, "realtime": INFO},
    "The container starts and serves without /dev/shm.",
    source=failures("3.30"),
    catalogue="SHM-001",
    caught_by="gunicorn-shm",
    aws_shows=PING_FAILED,
    fix="gunicorn: no --worker-tmp-dir /dev/shm; torch: num_workers=0 in a DataLoader; threads"
    " instead of multiprocessing locks, queues and pools.",
    requires=(Capability.ISOLATION,),
)
def test_starts_without_shm(target: Target, container: Subject) -> None:
    _only_serverless(target, "instances give the container 64 MB of /dev/shm")
    trial = sandbox(target, "shm")
    expect(
        trial.served,
        expected="a container that serves with --ipc none",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(dataclasses.replace(target.spec, shm=False)),
    )


@check(
    SHOULD,
    "Requests leave nothing behind on disk, and all that is written fits into 5 GB.",
    source=contract("4.7"),
    catalogue="FS-006",
    caught_by="keeps-uploads",
    fix="Delete what a request wrote when it is answered (`with tempfile.TemporaryDirectory()`, not"
    " NamedTemporaryFile(delete=False)), and give caches a limit.",
    requires=(Capability.CHANGES, PAYLOAD),
)
def test_disk_does_not_fill(target: Target, container: Subject) -> None:
    seen = _watched(target, container)
    size = seen.size_bytes or 0
    if target.settings.profile == "serverless":
        expect(
            size <= DISK_BYTES,
            expected=f"at most {DISK_BYTES:,} bytes of what serverless gives",
            actual=f"{size:,} bytes after start and requests",
        )
    expect(
        not seen.rounds or not seen.rounds[-1].leaks,
        expected="the same files after a request as before it",
        actual="; then ".join(map(str, seen.rounds)),
        reproduce="docker diff <container>",
    )


@check(
    SHOULD,
    "What requests log goes to stdout or stderr, not only to a file in the container.",
    source=failures("3.20"),
    catalogue="FS-007",
    caught_by="access-log-in-file",
    fix="Log to stderr: gunicorn --access-logfile - --error-logfile -, nginx access_log /dev/stdout"
    " and error_log stderr, a StreamHandler in the place of a FileHandler.",
    requires=(Capability.CHANGES, PAYLOAD),
)
def test_requests_log_to_stdout(target: Target, container: Subject) -> None:
    seen = _watched(target, container)
    silent = [growth for growth in seen.rounds if growth.logs and not growth.lines]
    if not silent or len(silent) < len(seen.rounds):
        return
    if not container.logs(1).strip():
        not_applicable("it writes nothing to stdout and stderr at all: see logs-reach-stdout")
    target.pause(LATE_SECONDS)
    expect(
        len(container.lines()) > seen.lines,
        expected="a line on stdout or stderr for what is logged of requests",
        actual=f"{silent[0].requests} requests: {', '.join(silent[0].logs)} grew, and stdout"
        " and stderr had no line",
    )


def _watched(target: Target, container: Subject) -> Watched:
    """Looked at once for both."""
    if "written" not in target.notes:
        target.notes["written"] = watch(container, target.settings.payload[0])
    seen = target.notes["written"]
    assert isinstance(seen, Watched)
    return seen

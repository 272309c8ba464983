"""Chapter filesystem: where the container may write, and as whom it may have to run.

Owns: the clauses on /opt/ml/model, users, capabilities and /dev/shm. Must not know: how an engine
restricts a container. What serverless really does is not published (contract 1.15), so
all but the documented clause are SHOULD, and say what they rest on.
"""

from __future__ import annotations

import dataclasses

from contract_tests.check import MUST, SHOULD, check, expect
from contract_tests.sandbox import ARBITRARY_USER, NO_DAC, sandbox
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import PING_FAILED
from emulator.sources import contract, failures

MODEL_DIRECTORY = "/opt/ml/model"
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
    SHOULD,
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
    trial = sandbox(target, "dac")
    expect(
        trial.served,
        expected="a container that serves with --cap-drop " + " --cap-drop ".join(NO_DAC),
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(dataclasses.replace(target.spec, drop_capabilities=NO_DAC)),
    )


@check(
    SHOULD,
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
    spec = dataclasses.replace(target.spec, user=ARBITRARY_USER)
    trial = target.trial("arbitrary user", spec)
    expect(
        trial.served,
        expected=f"a container that serves with --user {ARBITRARY_USER}",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(spec),
    )


@check(
    SHOULD,
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
    trial = sandbox(target, "shm")
    expect(
        trial.served,
        expected="a container that serves with --ipc none",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(dataclasses.replace(target.spec, shm=False)),
    )

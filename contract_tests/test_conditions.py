"""Chapter conditions: the same image started again, elsewhere, or without something.

Owns: the clauses on restarts, variables, the network's and the model's absence, a read-only root,
copies of the model, several requests at once. Must not know: how conditions are made (`sandbox`).
"""

from __future__ import annotations

from contract_tests.check import INFO, PAYLOAD, SHOULD, check, expect, not_applicable
from contract_tests.conditions import (
    bearing,
    copies,
    crowd,
    downloaded,
    downloads_text,
    first_answer,
    waits,
    without_model,
)
from contract_tests.sandbox import (
    CPUS,
    CPUS_SHOWN,
    alone,
    by_itself,
    conditioned,
    sandbox,
    shows_cpus,
    started_again,
    starts_quickly,
)
from contract_tests.settings import Payload
from contract_tests.subject import Subject
from contract_tests.target import Target
from emulator.engines import Capability
from emulator.errors import NO_RESPONSE, PING_FAILED, SERVER_ERROR
from emulator.limits import MIB
from emulator.sources import contract, failures

ONE_COPY = (
    "One worker, one copy of the model, threads instead of processes: MODEL_SERVER_WORKERS=1,"
    " SAGEMAKER_MODEL_SERVER_WORKERS=1, gunicorn --workers 1 --threads 4"
)


@check(
    SHOULD,
    "A container that crashed starts again with the files that it had left.",
    source=failures("3.5"),
    catalogue="SRV-007",
    caught_by="stale-pid-file",
    aws_shows=PING_FAILED,
    fix="Remove the pid file and the socket of the last life before the server starts (rm -f in"
    " the start script), or write none: a process number in it may be somebody else's now.",
)
def test_starts_again_after_crash(target: Target, container: Subject) -> None:
    if not starts_quickly(target):
        not_applicable("it starts slowly, and this takes as long again: give --slow")
    again = started_again(target)
    if again is None:
        not_applicable("it did not serve before it was killed, so a second start tells nothing")
    expect(
        again.served,
        expected="a container that serves again after SIGKILL and a start with the same files",
        actual=f"the first start served; the second one {again.words}",
        log=again.log,
        reproduce=target.run_line().replace("docker run --rm", "docker run -d --name again")
        + "\ndocker kill again; docker start -a again; docker rm -v again",
    )


@check(
    SHOULD,
    "Variables that the platform sets, or may come to set, do not keep the container from serving.",
    source=contract("1.18"),
    catalogue="SRV-008",
    caught_by="unknown-variables",
    aws_shows=PING_FAILED,
    fix="Ignore variables that you do not know, also with the prefixes AWS_, ECS_ and SAGEMAKER_:"
    ' pydantic extra="ignore", no option made of each variable, prefixes of your own.',
)
def test_starts_with_platform_variables(target: Target, container: Subject) -> None:
    if sandbox(target, "variables").served:
        return
    trial = alone(target, "unknown variables")
    if trial.served:
        not_applicable(
            "it asks at start for AWS's credentials or metadata, at addresses that are in the"
            " variables and where nothing answers here: only AWS can tell"
        )
    expect(
        False,
        expected="the same server with some more variables in its environment",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(conditioned(target, "unknown variables")),
    )


@check(
    SHOULD,
    "The container downloads nothing while it starts and answers its first request.",
    source=failures("3.12"),
    catalogue="SRV-004",
    caught_by="fetches-weights",
    fix="Put it into the image when it is built, or into model.tar.gz: what is fetched at start is"
    " fetched at each cold start, and decides how long it takes and whether it works.",
)
def test_downloads_nothing_at_start(target: Target, container: Subject) -> None:
    seen = downloaded(target, container)
    if seen is None:
        not_applicable("the engine did not tell what the first container received")
    expect(
        not seen.much,
        expected="no more over the network than pings and the first request",
        actual=downloads_text(seen),
    )


@check(
    SHOULD,
    "/ping does not answer 200 while the model is missing.",
    source=failures("3.4"),
    catalogue="PNG-004",
    caught_by="healthy-without-model",
    aws_shows=SERVER_ERROR,
    fix="Load the model before the server listens, or let /ping answer 503 until it is loaded; end"
    " with an error when there is none. An endpoint that gets InService without its model fails"
    " each request, and nothing replaces it.",
    requires=(PAYLOAD,),
)
def test_not_ready_without_model(target: Target, container: Subject) -> None:
    if target.settings.model_data is None:
        not_applicable("concerns models in /opt/ml/model: give --model-data to have it judged")
    usual = first_answer(target)
    if usual is None or not usual.ok:
        not_applicable("without a request that succeeds nobody can tell what the model is for")
    trial, spec = without_model(target)
    if trial.reply is not None and trial.reply.ok:
        not_applicable("it works with an empty /opt/ml/model as well: its model is elsewhere")
    expect(
        trial.reply is None,
        expected="no 200 on /ping with an empty /opt/ml/model: another status, or the end",
        actual=f"/ping answered 200, and the first request after it: {trial.reply}",
        log=trial.log,
        reproduce=target.run_line(spec).replace(
            f"{target.settings.model_data}:", "an-empty-directory:", 1
        ),
    )


@check(
    INFO,
    "The container serves with a read-only root filesystem and a writable /tmp.",
    source=contract("1.16"),
    catalogue="FS-004",
    caught_by="writes-beside-program",
    aws_shows=PING_FAILED,
    fix="Write below /tmp only: caches (HF_HOME, MPLCONFIGDIR, NUMBA_CACHE_DIR), pid files, logs,"
    " nginx's temporary directories. One user saw serverless with a read-only root; AWS says"
    " nothing of it.",
    requires=(Capability.ISOLATION,),
)
def test_starts_with_read_only_root(target: Target, container: Subject) -> None:
    if target.settings.profile != "serverless":
        not_applicable("on instances the container's root filesystem is writable")
    if not sandbox(target, "user").served:
        not_applicable("needs writable paths as any user does: see starts-as-arbitrary-user first")
    trial = sandbox(target, "read-only")
    expect(
        trial.served,
        expected="a container that serves with --read-only --tmpfs /tmp:exec",
        actual=trial.words,
        log=trial.log,
        reproduce=target.run_line(conditioned(target, "read-only")),
    )


@check(
    SHOULD,
    "Without a network an invocation does not take longer than with one.",
    source=failures("3.19"),
    catalogue="INV-017",
    caught_by="waits-for-feature-store",
    fix="Ask no service in a request, or give up after a second (connect timeout, no retries):"
    " in a VPC without a way out each request waits like this one, and fails after 60 s.",
    requires=(PAYLOAD, Capability.ISOLATION),
)
def test_no_wait_for_network(target: Target, container: Subject) -> None:
    usual = first_answer(target)
    if usual is None or not usual.ok:
        not_applicable("the first request does not succeed with a network either")
    trial = sandbox(target, "network")
    if trial.reply is not None and waits(usual, trial.reply):
        trial = by_itself(target, "network")  # others may have been at work beside it
    if trial.reply is None:
        not_applicable(f"it does not get ready without a network: {trial.words}")
    expect(
        not waits(usual, trial.reply),
        expected=f"an answer, good or bad, about as fast as with a network: {usual.seconds:.2f} s",
        actual=f"without a network: {trial.reply}",
        log=trial.log,
        reproduce=target.run_line(conditioned(target, "network")),
    )


@check(
    SHOULD,
    "On serverless, one process holds the model: copies do not take most of the memory.",
    source=failures("3.3"),
    catalogue="RES-003",
    caught_by="model-per-worker",
    aws_shows=NO_RESPONSE,
    fix=f"{ONE_COPY}. An instance gets one request at a time, so more copies serve nobody.",
    requires=(PAYLOAD, Capability.PROCESSES),
)
def test_one_copy_of_the_model(target: Target, container: Subject) -> None:
    if target.settings.profile != "serverless":
        not_applicable("instances get several requests at once, and have the memory of their type")
    seen = copies(target, container)
    if seen is None:
        not_applicable("the engine does not tell the container's memory")
    expect(
        not seen.too_much(target.settings.memory * MIB),
        expected=f"one process with the model, or copies that take less than half of"
        f" {target.settings.memory} MB together",
        actual=f"{seen.number} processes of about {seen.each_bytes // MIB} MB each; the container"
        f" holds {seen.used_bytes // MIB} of {target.settings.memory} MB",
    )


@check(
    INFO,
    "On serverless, workers fit into the memory also where more processors are seen.",
    source=failures("3.3"),
    catalogue="RES-004",
    caught_by="worker-per-cpu",
    aws_shows=NO_RESPONSE,
    fix=f"{ONE_COPY}. multiprocessing.cpu_count() and gunicorn's 2 x CPUs + 1 count the host's"
    " processors, whatever share the container has.",
    requires=(PAYLOAD, Capability.PROCESSES, Capability.OOM_EVENTS),
)
def test_workers_fit_more_cpus(target: Target, container: Subject) -> None:
    if target.settings.profile != "serverless":
        not_applicable("on instances memory grows with the processors")
    if not shows_cpus(target):
        not_applicable("this engine cannot show a container more processors than there are")
    if container.oom_kills():
        not_applicable("the memory does not last here either: see no-oom")
    seen = copies(target, container)
    trial = sandbox(target, CPUS)
    spec = conditioned(target, CPUS)
    memory = target.settings.memory
    expect(
        trial.served and not trial.kills,
        expected=f"a container that serves with {memory} MB where {CPUS_SHOWN} processors are seen",
        actual=trial.words + "; the kernel killed processes for memory" * bool(trial.kills),
        log=trial.log,
        reproduce=target.run_line(spec),
    )
    if seen is None or not trial.processes:
        not_applicable("nothing is known of its processes with more processors")
    more = len(bearing(trial.processes))
    needed = more * seen.each_bytes
    expect(
        more <= seen.number or needed <= memory * MIB,
        expected=f"as many workers with {CPUS_SHOWN} processors as here, or all of them together"
        f" below {memory} MB",
        actual=f"{seen.number} workers here and {more} where {CPUS_SHOWN} processors are seen;"
        f" {more} x {seen.each_bytes // MIB} MB = {needed // MIB} MB",
        reproduce=target.run_line(spec),
    )


@check(
    SHOULD,
    "On instances, several requests at once are all answered as well as one alone.",
    source=failures("3.29"),
    catalogue="INV-015",
    caught_by="busy-503",
    aws_shows=SERVER_ERROR,
    fix="Let requests wait instead of refusing them: a lock that waits, a longer backlog, more"
    " threads. AWS passes every request on and does not try again.",
    needs=("golden-invocation", "same-request-three-times"),
    requires=(PAYLOAD,),
)
def test_requests_at_once(
    target: Target, container: Subject, payloads: tuple[Payload, ...]
) -> None:
    if target.settings.profile == "serverless":
        not_applicable("serverless gives an instance one request at a time")
    seen = crowd(container, payloads[0])
    if seen is None:
        not_applicable(f"{payloads[0].name} fails alone, or takes too long to send several at once")
    expect(
        not seen.refused,
        expected=f"{len(seen.replies)} good answers to {len(seen.replies)} requests at once, as to"
        " one alone",
        actual=f"{len(seen.refused)} failed, in a second round too; the first of them:"
        f" {seen.refused[0] if seen.refused else ''}",
    )

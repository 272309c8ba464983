"""What container/deploy/deploy.py makes, prints and ends with.

Owns: the sample's five commands, on our own URL. Must not know: the engine, but in the last test.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.model_errors import ModelError
from emulator.runtime_errors import Throttled
from tests.clients import NAME, REGION, answer, served
from tests.deploy_world import World, deploy_world, put_model_data
from tests.serving import Serving

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "container" / "deploy" / "deploy.py"
PAYLOADS = ROOT / "fixtures" / "payloads"
ROLE = "arn:aws:iam::123456789012:role/iris"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/iris:1"
OPTIONS = ("--image", IMAGE, "--role-arn", ROLE)
MODEL_DATA = "s3://models/iris.tar.gz"
LOG_GROUP = "/aws/sagemaker/Endpoints/iris"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_sample", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def module_world() -> Iterator[World]:
    with deploy_world() as world:
        put_model_data(world.client("s3"), MODEL_DATA)
        yield world


@pytest.fixture
def world(module_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    module_world.reset()
    for name, value in module_world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", module_world.session)
    return module_world


@pytest.fixture
def run(script: ModuleType, world: World) -> Run:
    def run(*words: str) -> Any:
        return script.main(list(words))

    return run


def configuration(world: World) -> str:
    told = world.client("sagemaker").describe_endpoint(EndpointName="iris")
    return str(told["EndpointConfigName"])


def test_deploy_makes_a_model_a_configuration_and_an_endpoint(world: World, run: Run) -> None:
    more = ("--memory", "3072", "--max-concurrency", "7", "--provisioned-concurrency", "2")
    data = ("--model-data-url", MODEL_DATA, "--env", "A=1", "--env", "B=x=y")
    assert run("deploy", "iris", *OPTIONS, *more, *data) == 0
    names = world.names()
    assert names["endpoints"] == ["iris"]
    assert names["models"] == names["configurations"] == [configuration(world)]
    aws = world.client("sagemaker")
    model = aws.describe_model(ModelName=names["models"][0])
    assert model["ExecutionRoleArn"] == ROLE
    assert model["PrimaryContainer"]["Image"] == IMAGE
    assert model["PrimaryContainer"]["ModelDataUrl"] == MODEL_DATA
    assert model["PrimaryContainer"]["Environment"] == {"A": "1", "B": "x=y"}
    made = aws.describe_endpoint_config(EndpointConfigName=names["configurations"][0])
    (variant,) = made["ProductionVariants"]
    assert variant["ServerlessConfig"] == {
        "MemorySizeInMB": 3072,
        "MaxConcurrency": 7,
        "ProvisionedConcurrency": 2,
    }


def test_deploying_the_same_twice_makes_nothing_twice(world: World, run: Run) -> None:
    assert run("deploy", "iris", *OPTIONS) == 0
    before = world.names()
    world.calls.clear()
    assert run("deploy", "iris", *OPTIONS) == 0
    assert world.names() == before
    assert world.calls == [], "neither made, nor asked to be"


def test_a_deploy_that_broke_off_goes_on_where_it_was(world: World, run: Run) -> None:
    assert run("deploy", "iris", *OPTIONS) == 0
    world.client("sagemaker").delete_endpoint(EndpointName="iris")
    world.settle("iris")
    assert run("deploy", "iris", *OPTIONS) == 0
    assert world.names()["endpoints"] == ["iris"]


@pytest.mark.parametrize(
    "change",
    [
        ("--memory", "4096"),
        ("--max-concurrency", "6"),
        ("--provisioned-concurrency", "1"),
        ("--env", "A=1"),
        ("--model-data-url", MODEL_DATA),
        ("--image", f"{IMAGE}1"),
        ("--role-arn", f"{ROLE}2"),
    ],
)
def test_deploy_leaves_an_endpoint_alone_and_update_changes_it(
    world: World, run: Run, change: tuple[str, str]
) -> None:
    run("deploy", "iris", *OPTIONS)
    first = configuration(world)
    assert run("deploy", "iris", *OPTIONS, *change) == (
        f"iris serves {first}; `update` changes that."
    )
    assert configuration(world) == first
    assert run("update", "iris", *OPTIONS, *change) == 0
    second = configuration(world)
    assert second != first
    assert run("update", "iris", *OPTIONS) == 0, "what was there before can be had again"
    assert configuration(world) == first


def test_nobody_waits_who_does_not_want_to(
    world: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    world.ready(ready=False)
    assert run("deploy", "iris", *OPTIONS, "--no-wait") == 0
    assert "`status` tells when it is there" in capsys.readouterr().out
    assert run("status", "iris") == 0
    assert capsys.readouterr().out == f"iris is Creating with {configuration(world)}.\n"


FAILED = "Unable to successfully stand up your model within the allotted"


def test_an_endpoint_that_fails_is_told_with_its_reason_and_log_group(
    world: World, run: Run
) -> None:
    world.fails()
    told = run("deploy", "iris", *OPTIONS)
    reason = world.client("sagemaker").describe_endpoint(EndpointName="iris")["FailureReason"]
    assert reason.startswith(FAILED)
    expected = f"iris is Failed: {reason}\nIts log: aws logs tail {LOG_GROUP} --since 1h"
    assert told == expected
    assert run("status", "iris") == expected
    again = run("deploy", "iris", *OPTIONS)
    assert again == f"{expected}\nAWS lets you only `delete` it; deploy again after that."
    world.fails(fails=False)
    assert run("delete", "iris") == 0
    assert run("deploy", "iris", *OPTIONS) == 0


def test_an_update_that_was_rolled_back_is_a_failure(world: World, run: Run) -> None:
    run("deploy", "iris", *OPTIONS)
    before = configuration(world)
    world.fails()
    told = run("update", "iris", *OPTIONS, "--memory", "1024")
    assert told.startswith("AWS went back to the former configuration. iris is InService")
    assert FAILED in told
    assert LOG_GROUP in told
    assert configuration(world) == before


def test_status_is_one_line(world: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("deploy", "iris", *OPTIONS)
    capsys.readouterr()
    assert run("status", "iris") == 0
    assert capsys.readouterr().out == f"iris is InService with {configuration(world)}.\n"


def test_delete_leaves_nothing_of_this_endpoint_and_everything_of_others(
    world: World, run: Run
) -> None:
    run("deploy", "iris", *OPTIONS)
    run("update", "iris", *OPTIONS, "--memory", "1024")
    run("deploy", "iris-large", *OPTIONS)
    aws = world.client("sagemaker")
    aws.create_model(
        ModelName="iris-handmade", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE}
    )
    assert len(world.names()["models"]) == 4
    assert run("delete", "iris") == 0
    left = world.names()
    assert left["endpoints"] == ["iris-large"]
    assert len(left["configurations"]) == 1
    assert left["models"] == ["iris-handmade", *left["configurations"]]
    assert run("delete", "iris") == 0, "what is gone is gone"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("status", "iris"), "There is no endpoint iris."),
        (("update", "iris", *OPTIONS), "There is no endpoint iris; `deploy` makes it."),
    ],
)
def test_what_is_not_there_is_said(run: Run, words: tuple[str, ...], told: str) -> None:
    assert run(*words) == told


def test_what_aws_refuses_is_told_in_its_words(world: World, run: Run) -> None:
    world.ready(ready=False)
    run("deploy", "iris", *OPTIONS, "--no-wait")
    told = run("delete", "iris")
    assert told.startswith("DeleteEndpoint: ValidationException: Cannot update in-progress")
    assert world.names()["models"], "nothing else is deleted"


def test_an_answer_of_the_endpoint_goes_to_stdout_as_it_came(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    payload = tmp_path / "rows.csv"
    payload.write_bytes(b"5.1,3.5\n")
    with served() as runtime:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime.url)
        runtime.endpoint.give(answer(b"\x93NUMPY\xff"))
        assert run("invoke", NAME, "--payload", str(payload), "--accept", "x/y") == 0
        (came,) = runtime.endpoint.came
        assert (came.body, came.content_type, came.accept) == (b"5.1,3.5\n", "text/csv", "x/y")
        sys.stdout.flush()
        assert capfdbinary.readouterr().out == b"\x93NUMPY\xff"


@pytest.mark.parametrize(
    ("file", "option", "sent"),
    [
        ("a.json", (), "application/json"),
        ("a.csv", (), "text/csv"),
        ("a.npy", (), "application/x-npy"),
        ("a.jpg", (), "image/jpeg"),
        ("a", (), "application/octet-stream"),
        ("a.json", ("--content-type", "text/plain"), "text/plain"),
    ],
)
def test_the_content_type_is_the_file_s_own_unless_given(
    script: ModuleType, file: str, option: tuple[str, ...], sent: str
) -> None:
    args = script.parser().parse_args(["invoke", "iris", "--payload", file, *option])
    assert (args.content_type or script.content_type(args.payload)) == sent


def test_what_the_container_answered_wrongly_is_told_with_its_log_group(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_bytes(b"1\n")
    with served() as runtime:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        told = []
        for failure in (ModelError.answered(500, b"it broke"), Throttled()):
            runtime.endpoint.give(failure)
            told.append(run("invoke", NAME, "--payload", str(tmp_path / "rows.csv")))
    assert told[0].startswith("The container answered 500: it broke\nIts log: aws logs tail /aws/")
    assert told[1].startswith("InvokeEndpoint: ThrottlingException: ")


def test_a_payload_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    told = run("invoke", "iris", "--payload", str(tmp_path / "none.json"))
    assert "No such file" in told
    assert "none.json" in told


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "Unable to locate credentials"),
        (("AWS_DEFAULT_REGION",), "You must specify a region."),
    ],
)
def test_without_credentials_or_region_it_ends_with_boto3_s_words(
    world: World, missing: tuple[str, ...], told: str
) -> None:
    environment = {k: v for k, v in world.environment.items() if k not in missing}
    done = script_process("status", "iris", environment=environment)
    assert done.returncode == 1
    assert done.stderr.strip() == told


def script_process(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        env={**environment, "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("deploy", "my_model", *OPTIONS), "letters, digits and inner hyphens, 54 at most"),
        (("deploy", "a" * 55, *OPTIONS), "letters, digits and inner hyphens, 54 at most"),
        (("deploy", "iris", *OPTIONS, "--memory", "1500"), "invalid choice: 1500"),
        (("deploy", "iris", *OPTIONS, "--env", "A"), "NAME=VALUE is expected"),
        (("deploy", "iris", "--image", IMAGE), "--role-arn"),
        (("invoke", "iris"), "--payload"),
        ((), "COMMAND"),
        (("status",), "name"),
    ],
)
def test_wrong_options_end_with_2_before_anything_is_asked(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setattr(script, "client", lambda *_args, **_config: pytest.fail("it asked"))
    with pytest.raises(SystemExit) as ended:
        script.main(list(words))
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@given(st.from_regex(r"[a-zA-Z0-9-]{1,60}", fullmatch=True))
def test_a_name_that_is_taken_makes_names_that_aws_takes(script: ModuleType, name: str) -> None:
    try:
        script.endpoint_name(name)
    except ArgumentTypeError:
        assert len(name) > 54 or name.startswith("-") or name.endswith("-")
    else:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
        assert re.fullmatch(r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?", f"{name}-0123abcd")
        assert len(f"{name}-0123abcd") <= 63


def test_the_longest_name_leaves_room_for_what_is_named_after_it(world: World, run: Run) -> None:
    assert run("deploy", "a" * 54, *OPTIONS) == 0
    assert [len(name) for name in world.names()["models"]] == [63]


def test_a_configuration_s_name_tells_what_is_in_it(world: World, run: Run) -> None:
    run("deploy", "iris", *OPTIONS)
    run("deploy", "other", *OPTIONS)
    first, second = (name.rsplit("-", 1)[1] for name in world.names()["models"])
    assert first == second
    assert json.dumps(world.names()).count(first) == 4


@pytest.fixture(scope="module")
def server(local_sagemaker: Serving) -> Serving:
    return local_sagemaker.at("eu-central-1")


@pytest.mark.docker
def test_its_five_commands_make_ask_change_tell_and_remove_a_real_endpoint(
    server: Serving, tmp_path: Path
) -> None:
    def done(*words: str) -> str:
        ran = server.run(sys.executable, SCRIPT, *words, directory=tmp_path)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    options = ("--image", server.uri("byoc-reference"), "--role-arn", ROLE)
    assert done("deploy", "iris", *options).startswith("iris is InService with iris-")
    flowers = ("--payload", str(PAYLOADS / "iris.csv"))
    assert done("invoke", "iris", *flowers).startswith("setosa,")
    before = done("status", "iris")
    done("update", "iris", *options, "--memory", "4096", "--env", "MODEL_SERVER_THREADS=2")
    after = done("status", "iris")
    assert before != after
    assert after.startswith("iris is InService with iris-")
    answer = done("invoke", "iris", *flowers, "--accept", "application/json")
    labels = [each["label"] for each in json.loads(answer)["predictions"]]
    assert labels == ["setosa", "virginica"]
    done("delete", "iris")
    assert not any(server.names().values())
    assert server.statuses("iris")[:4] == ["Creating", "InService", "Updating", "InService"]

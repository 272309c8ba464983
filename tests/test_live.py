"""Owns: what may be asked of a local endpoint, and where the fixtures for users' tests send a call;
without a container.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

import emulator
from emulator.cli import main, parser
from emulator.endpoint_setup import Setup, default_name
from emulator.errors import Usage
from emulator.fixtures_plugin import Endpoints, Options, router
from emulator.limits import Limits
from emulator.local import EndpointFailed, ServerlessEndpoint
from emulator.serve_options import wanted_of
from emulator.wire_members import ENDPOINT_NAME


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"memory_mb": 2000}, "memory is one of 1024, 2048"),
        ({"max_concurrency": 201}, "max_concurrency is from 1 to 200, not 201"),
        ({"max_concurrency": 2, "provisioned_concurrency": 3}, "provisioned is from 0 to"),
        ({"idle_seconds": 0}, "idle_seconds is more than 0"),
        ({"port": 99999}, "a port is from 0 to 65535, not 99999"),
        ({"halving_seconds": -1}, "halving_seconds is more than 0"),
        ({"max_age_seconds": 0}, "max_age_seconds is more than 0"),
        ({"startup_seconds": 0}, "startup_seconds is more than 0"),
        ({"startup_seconds": float("nan")}, "startup_seconds is more than 0"),
        ({"instance_count": 2}, "instance_count means nothing for a serverless endpoint"),
        ({"profile": "realtime", "freeze": True}, "freeze means nothing for a realtime endpoint"),
        ({"profile": "realtime", "max_concurrency": 2}, "max_concurrency means nothing"),
        ({"profile": "realtime", "instance_count": 0}, "at least 1"),
        ({"profile": "batch"}, "a profile is one of serverless, realtime, not 'batch'"),
        ({"image": " "}, "no image was named"),
        ({"name": "a_b"}, "no name of an endpoint.*a_b"),
        ({"model_data_path": Path("/no/such/model.tar.gz")}, "/no/such/model.tar.gz is not there"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_aws_would_not_take_is_refused_before_anything_starts(
    settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(Usage, match=text):
        ServerlessEndpoint(**{"image": "byoc-reference:latest", **settings})


def test_what_belongs_to_a_running_endpoint_is_not_there_before_it_runs() -> None:
    with pytest.raises(RuntimeError, match="inside of its `with` block only"):
        _ = ServerlessEndpoint("byoc-reference:latest").url
    with pytest.raises(RuntimeError, match="has not been there yet"):
        _ = ServerlessEndpoint("byoc-reference:latest").invocations


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("iris", "iris"),
        ("registry:5000/team/iris_model:1.0", "iris-model"),
        ("iris@sha256:0123", "iris"),
        ("///", "endpoint"),
    ],
)
def test_an_endpoint_is_named_after_its_image(image: str, name: str) -> None:
    assert default_name(image) == name
    assert Setup(image=image).name == name


@given(st.text())
def test_every_image_gives_a_valid_name(image: str) -> None:
    assert list(ENDPOINT_NAME.broken_by(default_name(image), "endpointName")) == []


def test_a_profile_brings_its_limits_and_a_test_may_shrink_them() -> None:
    assert Setup(image="x").limits == Limits()
    realtime = Setup(image="x", profile="realtime", memory_mb=16_000, instance_count=3)
    assert realtime.limits == Limits.of("realtime")
    assert realtime.spec(None).cpus is None
    assert Setup(image="x", startup_seconds=5).limits.startup_seconds == 5
    shrunk = dataclasses.replace(Limits(), startup_seconds=1.0)
    assert Setup(image="x", limits=shrunk).limits == shrunk


def test_what_is_asked_for_reaches_the_policy() -> None:
    setup = Setup(
        image="x", max_concurrency=9, provisioned_concurrency=2, idle_seconds=30,
        halving_seconds=40, max_age_seconds=50,
    )  # fmt: skip
    policy = setup.policy
    assert (policy.max_concurrency, policy.provisioned) == (9, 2)
    assert (policy.idle_seconds, policy.halving_seconds, policy.max_age_seconds) == (30, 40, 50)


def test_every_flag_of_serve_reaches_the_setup() -> None:
    given = (
        "serve iris:1 --name flower --profile serverless --memory 3072 --env A=1 --env B=x=y"
        " --startup-seconds 9 --max-concurrency 7 --provisioned-concurrency 2 --idle-seconds inf"
        " --halving-seconds 20 --max-age-seconds 100 --freeze --host 0.0.0.0 --port 0"
        " --allowed-host box --allowed-host box.lan"
    )
    wanted = wanted_of(parser().parse_args(given.split()))
    assert wanted.setup == Setup(
        image="iris:1", name="flower", memory_mb=3072, environment={"A": "1", "B": "x=y"},
        startup_seconds=9, max_concurrency=7, provisioned_concurrency=2, idle_seconds=math.inf,
        halving_seconds=20, max_age_seconds=100, freeze=True, host="0.0.0.0", port=0,
        allowed_hosts=("box", "box.lan"),
    )  # fmt: skip
    realtime = ["serve", "x", "--profile", "realtime", "--instance-count", "3"]
    asked = wanted_of(parser().parse_args(realtime)).setup
    assert asked is not None
    assert (asked.profile, asked.instance_count, asked.port) == ("realtime", 3, 4566)


def test_serve_asks_for_what_the_library_takes_by_default() -> None:
    asked = wanted_of(parser().parse_args(["serve", "x"])).setup
    assert asked is not None
    assert dataclasses.replace(asked, port=0) == Setup(image="x")
    assert ServerlessEndpoint("x").setup == Setup(image="x")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--memory 2000", "memory is one of"),
        ("--max-concurrency 0", "max_concurrency is from 1 to 200"),
        ("--env NOVALUE", "--env 'NOVALUE' must be NAME=VALUE."),
        ("--port 70000", "a port is from 0 to 65535"),
        ("--port many", "invalid int value"),
        ("--idle-seconds nan", "idle_seconds is more than 0"),
        ("--instance-count 2", "instance_count means nothing for a serverless endpoint"),
        ("--profile realtime --freeze", "freeze means nothing for a realtime endpoint"),
        ("--plain --json", "not allowed with argument"),
    ],
)
def test_wrong_usage_of_serve_is_exit_code_4_and_one_line_that_says_why(
    arguments: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["serve", "iris:1", *arguments.split()])
    except SystemExit as ended:
        code = ended.code
    out, errors = capsys.readouterr()
    assert (code, out) == (4, "")
    assert text in errors.splitlines()[-1]


# The package


def test_the_package_has_the_names_that_users_import() -> None:
    assert emulator.ServerlessEndpoint is ServerlessEndpoint
    assert emulator.EndpointFailed is EndpointFailed
    assert emulator.Usage is Usage
    assert set(emulator.__all__) <= set(dir(emulator))
    with pytest.raises(AttributeError, match="has no attribute 'Serverless'"):
        _ = emulator.Serverless  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import sys, emulator; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert not loaded & {"aiohttp", "anyio", "asyncio", "boto3", "docker", "rich", "moto"}


def test_a_failure_carries_the_containers_last_lines() -> None:
    failed = EndpointFailed("CannotStartContainerError.", ["one", "two"])
    assert str(failed) == (
        "CannotStartContainerError.\nThe container's last lines:\n  | one\n  | two"
    )
    assert str(EndpointFailed("no lines")) == "no lines"


# The fixtures


def test_the_fixture_takes_what_an_endpoint_takes() -> None:
    takes = set(inspect.signature(ServerlessEndpoint).parameters)
    assert set(Options.__annotations__) == takes - {"image", "engine", "limits"}


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Endpoints that are there without a container."""
    monkeypatch.setattr(ServerlessEndpoint, "__enter__", lambda self: self)
    monkeypatch.setattr(ServerlessEndpoint, "__exit__", lambda self, *_: None)
    monkeypatch.setattr(ServerlessEndpoint, "url", property(lambda self: f"http://{self.name}:1"))
    with ExitStack() as stack:
        yield Endpoints(stack)


def test_the_same_settings_give_the_same_endpoint(endpoints: Endpoints) -> None:
    first = endpoints("iris:latest", environment={"A": "1"})
    assert endpoints("iris:latest", environment={"A": "1"}) is first
    assert endpoints("iris:latest", name="other") is not first


def test_one_name_with_other_settings_is_refused(endpoints: Endpoints) -> None:
    endpoints("iris:latest")
    with pytest.raises(Usage, match="'iris' runs already, with other settings"):
        endpoints("iris:latest", memory_mb=1024)


def test_a_call_goes_to_the_endpoint_that_it_names(endpoints: Endpoints) -> None:
    route = router(endpoints.running)
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    client.meta.events.register("before-sign.sagemaker-runtime", route)
    urls: list[str] = []

    def before_send(request: Any, **_: Any) -> AWSResponse:
        urls.append(request.url)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda **_: iter(())))

    client.meta.events.register("before-send.sagemaker-runtime", before_send)
    endpoints("iris:latest")
    endpoints("wine:latest")
    for name in ("iris", "wine", "none"):
        client.invoke_endpoint(EndpointName=name, Body=b"x")
    client.close()
    assert urls == [
        "http://iris:1/endpoints/iris/invocations",
        "http://wine:1/endpoints/wine/invocations",
        "http://iris:1/endpoints/none/invocations",
    ]


def test_a_call_before_any_endpoint_runs_says_what_to_do() -> None:
    with pytest.raises(Usage, match="start one with the fixture serverless_endpoint"):
        router({})(request=None)

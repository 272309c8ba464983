"""Owns: what `aws sagemaker-runtime invoke-endpoint` prints, writes and ends with, when it is told
nothing but the environment.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.limits import MIB
from emulator.local import ServerlessEndpoint
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    ContentTooLarge,
    InternalDependency,
    InternalFailure,
    ModelNotReady,
    NotEmulated,
    RuntimeFailure,
    ServiceUnavailable,
    Throttled,
)
from tests.clients import ACCOUNT, NAME, Served, answer, aws, bare_environment, served

pytestmark = pytest.mark.clients

FAILED = 255
"""Version 1 has one code for all that went wrong; version 2 gives 254 when the service said so.
https://docs.aws.amazon.com/cli/v1/userguide/cli-usage-returncodes.html"""

CALLED = "when calling the InvokeEndpoint operation"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def module_server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def server(module_server: Served) -> Served:
    module_server.endpoint.give(answer())
    return module_server


@pytest.fixture
def run(server: Served, tmp_path: Path) -> Run:
    def run(
        *options: str, name: str = NAME, body: bytes = b"1,2", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "body").write_bytes(body)
        command = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name]
        return aws(
            {**server.environment, **environment},
            tmp_path,
            [*command, "--body", "fileb://body", *options, "answer"],
        )

    return run


def hosts(directory: Path) -> set[str]:
    return set((directory / "hosts").read_text().split())


def test_the_answer_is_a_file_and_the_rest_is_json(
    server: Served, run: Run, tmp_path: Path
) -> None:
    server.endpoint.give(answer(b"\x00\xff", x_amzn_sagemaker_custom_attributes="trace=1"))
    ran = run("--content-type", "text/csv", "--custom-attributes", "trace=0", body=b"5.1,3.5")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {
        "ContentType": "text/csv",
        "InvokedProductionVariant": "AllTraffic",
        "CustomAttributes": "trace=1",
    }
    assert (tmp_path / "answer").read_bytes() == b"\x00\xff"
    (invoke,) = server.endpoint.came
    assert invoke.body == b"5.1,3.5"
    assert invoke.container_headers()["X-Amzn-SageMaker-Custom-Attributes"] == "trace=0"
    assert hosts(tmp_path) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ModelError.answered(415, b"no png"),
         '(ModelError): Received client error (415) from primary with message "no png". See http'),
        (ModelError.timed_out(),
         '(ModelError): Received server error (0) from primary with message "Your invocation'),
        (Throttled(), "(ThrottlingException): None"),
        (ModelNotReady(), "(ModelNotReadyException): Either a serverless endpoint variant's"),
        (InternalFailure("x"), "(InternalFailure): x"),
        (ServiceUnavailable("x"), "(ServiceUnavailable): x"),
        (InternalDependency("x"), "(InternalDependencyException): x"),
        (ContentTooLarge(5), "(413): HTTP content length exceeded 5 bytes."),
        (NotEmulated("this", "because."), "(NotEmulated): byoc does not emulate this: because."),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_each_failure_is_its_text_and_exit_code_255(
    server: Served, run: Run, tmp_path: Path, failure: RuntimeFailure, said: str
) -> None:
    server.endpoint.give(failure)
    ran = run(AWS_MAX_ATTEMPTS="1")
    assert ran.returncode == FAILED, ran.stderr
    text = ran.stderr.strip().replace(" (reached max retries: 0)", "").replace(f" {CALLED}", "")
    assert text.startswith(f"An error occurred {said}")
    assert ran.stdout == ""
    assert not (tmp_path / "answer").exists()
    assert len(server.endpoint.came) == 1
    assert hosts(tmp_path) == {"127.0.0.1"}


def test_what_it_asks_wrongly_is_a_validation_error(server: Served, run: Run) -> None:
    ran = run(name="other")
    assert ran.returncode == FAILED
    assert ran.stderr.strip().endswith(
        f"(ValidationError) {CALLED}: Endpoint other of account {ACCOUNT} not found."
    )
    large = run(body=b"x" * (4 * MIB + 1))
    assert large.returncode == FAILED
    assert large.stderr.strip().endswith("has oversize body.")
    assert server.endpoint.came == []


def test_a_throttled_call_is_sent_five_times_as_to_aws(server: Served, run: Run) -> None:
    server.endpoint.give(Throttled())
    ran = run()
    assert ran.stderr.strip().endswith("(reached max retries: 4): None"), ran.stderr
    assert len(server.endpoint.came) == 5


def test_without_the_variable_it_would_go_to_aws_and_the_guard_of_these_tests_sees_it(
    server: Served, tmp_path: Path
) -> None:
    environment = {**server.environment, "AWS_MAX_ATTEMPTS": "1"}
    del environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    command = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", NAME]
    ran = aws(environment, tmp_path, [*command, "--body", "x", "answer"])
    assert ran.returncode == FAILED
    assert "Could not connect to the endpoint URL" in ran.stderr
    assert hosts(tmp_path) == {"runtime.sagemaker.eu-west-1.amazonaws.com"}
    assert server.endpoint.came == []


@pytest.mark.docker
def test_it_reaches_a_container(tmp_path: Path) -> None:
    (tmp_path / "body.csv").write_text("5.1,3.5,1.4,0.2\n")
    with ServerlessEndpoint("byoc-reference:latest") as endpoint:
        command = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint.name]
        options = ["--content-type", "text/csv", "--body", "fileb://body.csv", "answer.csv"]
        environment = {**bare_environment(), **endpoint.environment}
        ran = aws(environment, tmp_path, [*command, *options])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["InvokedProductionVariant"] == "AllTraffic"
    assert (tmp_path / "answer.csv").read_bytes().startswith(b"setosa,")
    assert hosts(tmp_path) == {"127.0.0.1"}

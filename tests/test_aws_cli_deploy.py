"""Owns: what `aws sagemaker` makes, waits for and deletes, told nothing but the environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients import ACCOUNT, aws
from tests.serving import ROLE, ROOT, Serving

pytestmark = [pytest.mark.docker, pytest.mark.clients]

NAME = "by-the-cli"
PAYLOAD = ROOT / "fixtures" / "payloads" / "iris.csv"
NO_INTERVAL = "0"
THE_INTERVAL = "30"
"""Between two looks of `aws sagemaker wait`: a test that takes it has not waited in vain."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(local_sagemaker: Serving) -> Serving:
    return local_sagemaker.at("eu-west-3")


@pytest.fixture
def run(server: Serving, tmp_path: Path) -> Run:
    def run(*words: str, sleep: str = NO_INTERVAL) -> subprocess.CompletedProcess[str]:
        return aws({**server.environment, "BYOC_SLEEP": sleep}, tmp_path, words)

    return run


def test_an_endpoint_is_made_waited_for_asked_and_deleted(
    server: Serving, run: Run, tmp_path: Path
) -> None:
    def done(*words: str, sleep: str = NO_INTERVAL) -> dict[str, object]:
        ran = run(*words, sleep=sleep)
        assert (ran.returncode, ran.stderr) == (0, ""), words
        told: dict[str, object] = json.loads(ran.stdout or "{}")
        return told

    arns = f"arn:aws:sagemaker:{server.region}:{ACCOUNT}"
    container = f"Image={server.uri('byoc-reference')},Environment={{A=1}}"
    made = done(
        "sagemaker", "create-model", "--model-name", NAME, "--execution-role-arn", ROLE,
        "--primary-container", container,
    )  # fmt: skip
    assert made == {"ModelArn": f"{arns}:model/{NAME}"}
    variant = "ServerlessConfig={MemorySizeInMB=1024,MaxConcurrency=3}"
    made = done(
        "sagemaker", "create-endpoint-config", "--endpoint-config-name", NAME,
        "--production-variants", f"VariantName=AllTraffic,ModelName={NAME},{variant}",
    )  # fmt: skip
    assert made == {"EndpointConfigArn": f"{arns}:endpoint-config/{NAME}"}
    named = ("--endpoint-name", NAME)
    made = done("sagemaker", "create-endpoint", *named, "--endpoint-config-name", NAME)
    assert made == {"EndpointArn": f"{arns}:endpoint/{NAME}"}
    done("sagemaker", "wait", "endpoint-in-service", *named, sleep=THE_INTERVAL)
    told = done(
        "sagemaker-runtime", "invoke-endpoint", *named, "--content-type", "text/csv",
        "--body", f"fileb://{PAYLOAD}", "answer.csv",
    )  # fmt: skip
    assert told["InvokedProductionVariant"] == "AllTraffic"
    answered = (tmp_path / "answer.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in answered] == ["setosa", "virginica"]
    done("sagemaker", "delete-endpoint", *named)
    done("sagemaker", "wait", "endpoint-deleted", *named, sleep=THE_INTERVAL)
    done("sagemaker", "delete-endpoint-config", "--endpoint-config-name", NAME)
    done("sagemaker", "delete-model", "--model-name", NAME)
    assert not any(server.names().values())
    assert set((tmp_path / "hosts").read_text().split()) == {"127.0.0.1"}


def test_a_refusal_is_printed_in_aws_s_words(server: Serving, run: Run) -> None:
    ran = run("sagemaker", "create-endpoint", "--endpoint-name", "a", "--endpoint-config-name", "b")
    arn = f"arn:aws:sagemaker:{server.region}:{ACCOUNT}:endpoint-config/b"
    assert ran.returncode != 0
    assert ran.stderr.strip() == (
        "An error occurred (ValidationException) when calling the CreateEndpoint operation: "
        f'Could not find endpoint configuration "{arn}".'
    )

"""Owns: `Model.deploy`, `Predictor.predict` and deleting, by version 2 of the SageMaker SDK."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import SETUP
from tests.serving import ROLE, ROOT, Serving

pytestmark = [pytest.mark.docker, pytest.mark.clients]

PYTHON = ROOT / ".venv-sagemaker" / "bin" / "python"
PROGRAM = ROOT / "tests" / "sagemaker_sdk" / "client.py"


@pytest.fixture(scope="module")
def server(local_sagemaker: Serving) -> Serving:
    return local_sagemaker.at("eu-west-2")


def test_a_model_is_deployed_asked_and_deleted(server: Serving, tmp_path: Path) -> None:
    assert PYTHON.is_file(), f"the SageMaker Python SDK is not installed: {SETUP}"
    done = server.run(
        PYTHON, PROGRAM, server.uri("byoc-reference"), ROLE, "by-the-sdk",
        directory=tmp_path,
        PYTHONPATH=str(ROOT / "tests" / "aws_cli"),
        BYOC_HOSTS=str(tmp_path / "hosts"),
        BYOC_SLEEP="0.1",  # it sleeps 30 s before it looks at an endpoint for the first time
        SAGEMAKER_SUPPRESS_V2_WARNING="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    labels = [each["label"] for each in told["deployed"]["predictions"]]
    assert labels == ["setosa", "virginica"]
    assert [line.split(",")[0] for line in told["found"].splitlines()] == labels
    assert told["refused"] == 400
    server.gone("by-the-sdk")
    assert server.statuses("by-the-sdk") == ["Creating", "InService", "Deleting", "Deleted"]
    assert not any(server.names().values())
    made = {call["operation"]: call for call in server.calls()}
    assert list(made) == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint",
        "DeleteModel", "DeleteEndpointConfig", "DeleteEndpoint",
    ]  # fmt: skip
    assert not any(call["refused"] for call in made.values())
    assert set((tmp_path / "hosts").read_text().split()) == {"127.0.0.1"}

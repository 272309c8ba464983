"""Owns: the article that byoc began with: its boto3 code as it stands, placeholders filled in."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from tests.clients import ACCOUNT
from tests.serving import ROLE, ROOT, Serving

pytestmark = [pytest.mark.docker, pytest.mark.clients]

CODE = ROOT / "fixtures" / "seed" / "deploy.py"
PAYLOAD = (ROOT / "fixtures" / "payloads" / "iris.json").read_text().strip()


@pytest.fixture(scope="module")
def server(local_sagemaker: Serving) -> Serving:
    return local_sagemaker.at("eu-west-1")


def filled_in(server: Serving, directory: Path, *, name: str, host: str) -> Path:
    """The code, with what its author left to the reader."""
    code = CODE.read_text()
    placeholders = {
        "<profile>": ACCOUNT,
        "<region>": server.region,
        "<image-name>": "byoc-reference",
        "<role-arn>": ROLE,
        "<model-name>": f"{name}-model",
        "<variant-name>": "OnlyVariant",
        "<endpoint-config-name>": f"{name}-configuration",
        "<endpoint-name>": name,
        "request_body = {}": f"request_body = {PAYLOAD}",
        ".amazon.com/": f".{host}/",
    }
    for placeholder, value in placeholders.items():
        assert placeholder in code, placeholder
        code = code.replace(placeholder, value)
    (directory / "deploy.py").write_text(code)
    return directory / "deploy.py"


def test_its_code_goes_from_create_model_to_a_printed_prediction(
    server: Serving, tmp_path: Path
) -> None:
    code = filled_in(server, tmp_path, name="seed", host="amazonaws.com")
    done = server.run(sys.executable, code)
    assert (done.returncode, done.stderr) == (0, "")
    model, configuration, arn, status, prediction = done.stdout.splitlines()
    arns = f"arn:aws:sagemaker:{server.region}:{ACCOUNT}"
    assert ast.literal_eval(model)["ModelArn"] == f"{arns}:model/seed-model"
    told = ast.literal_eval(configuration)["EndpointConfigArn"]
    assert told == f"{arns}:endpoint-config/seed-configuration"
    assert arn == f"ARN: {arns}:endpoint/seed"
    assert status == "Status: Creating"
    answer = ast.literal_eval(prediction.removeprefix("Prediction: "))
    assert [each["label"] for each in answer["predictions"]] == ["setosa", "virginica"]
    assert server.statuses("seed") == ["Creating", "InService"]
    described = server.client("sagemaker").describe_endpoint(EndpointName="seed")
    (variant,) = described["ProductionVariants"]
    assert variant["VariantName"] == "OnlyVariant"
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    server.client("sagemaker").delete_endpoint(EndpointName="seed")
    server.gone("seed")


def test_its_slip_in_the_image_s_uri_is_refused_as_aws_refuses_it(
    server: Serving, tmp_path: Path
) -> None:
    seen = len(server.events)
    done = server.run(sys.executable, filled_in(server, tmp_path, name="slip", host="amazon.com"))
    image = f"{ACCOUNT}.dkr.ecr.{server.region}.amazon.com/byoc-reference:latest"
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "An error occurred (ValidationException) when calling the CreateModel operation: "
        f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
    )
    assert done.stdout == ""
    call = server.event(lambda one: one["event"] == "Call", after=seen)
    assert (call["operation"], call["resource"], call["refused"]) == (
        "CreateModel", "slip-model", True,
    )  # fmt: skip
    assert (call["code"], call["rule"]) == ("ValidationException", "image-in-ecr")
    assert call["change"], "it says what to change"
    assert "slip-model" not in json.dumps(server.names())

"""The reference's two routes, through Flask's own test client: no container, no port.

Owns: what a request is answered with. Must not know: nginx, gunicorn, Docker.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "container" / "model"
PAYLOADS = ROOT / "fixtures" / "payloads"
SETOSA = [5.1, 3.5, 1.4, 0.2]
GOOD = json.dumps({"instances": [SETOSA]})


def load(directory: Path) -> ModuleType:
    """The predictor of that directory, as a module of its own."""
    spec = importlib.util.spec_from_file_location("reference_predictor", directory / "predictor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/program as the Dockerfile makes it."""
    directory = tmp_path_factory.mktemp("opt") / "program"
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("__pycache__", "model.json"))
    subprocess.run([sys.executable, "train.py", "model.json"], cwd=directory, check=True)
    return directory


@pytest.fixture(scope="module")
def predictor(program: Path) -> ModuleType:
    return load(program)


@pytest.fixture(scope="module")
def client(predictor: ModuleType) -> FlaskClient:
    made: FlaskClient = predictor.app.test_client()
    return made


def post(
    client: FlaskClient,
    body: str | bytes = GOOD,
    content_type: str | None = "application/json",
    accept: str | None = None,
) -> TestResponse:
    headers = {"Accept": accept} if accept else {}
    return client.post("/invocations", data=body, content_type=content_type, headers=headers)


def strict(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_answered_with_labels_and_probabilities(client: FlaskClient) -> None:
    reply = post(client)
    assert (reply.status_code, reply.mimetype) == (200, "application/json")
    (prediction,) = strict(reply.text)["predictions"]
    assert prediction["label"] == "setosa"
    assert prediction["probabilities"].keys() == {"setosa", "versicolor", "virginica"}
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)


def test_csv_is_answered_with_one_line_per_row(client: FlaskClient) -> None:
    reply = post(client, (PAYLOADS / "iris.csv").read_bytes(), "text/csv")
    assert (reply.status_code, reply.mimetype) == (200, "text/csv")
    lines = [line.split(",") for line in reply.text.splitlines()]
    assert [line[0] for line in lines] == ["setosa", "virginica"]
    assert all(sum(map(float, line[1:])) == pytest.approx(1, abs=0.001) for line in lines)


def test_both_payloads_ask_for_the_same_rows(client: FlaskClient) -> None:
    as_json = post(client, (PAYLOADS / "iris.json").read_bytes(), accept="text/csv")
    as_csv = post(client, (PAYLOADS / "iris.csv").read_bytes(), "text/csv")
    assert as_json.text == as_csv.text


def test_the_model_knows_its_flowers(predictor: ModuleType) -> None:
    lines = (SOURCE / "iris.csv").read_text().splitlines()
    labels = lines[0].split(",")[2:]
    rows = [line.split(",") for line in lines[1:]]
    right = 0
    for row in rows:
        chances = predictor.model.probabilities([float(value) for value in row[:4]])
        right += predictor.model.labels[chances.index(max(chances))] == labels[int(row[4])]
    assert len(rows) == 150
    assert right >= 145


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", "Application/Json;charset=UTF-8", None],
)
def test_a_json_content_type_is_known_in_every_spelling(
    client: FlaskClient, content_type: str | None
) -> None:
    assert post(client, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.1, application/json", "application/json"),
        ("application/x-npy, text/csv;q=0.5", "text/csv"),
    ],
)
def test_accept_decides_the_answer(client: FlaskClient, accept: str | None, answer: str) -> None:
    reply = post(client, accept=accept)
    assert (reply.status_code, reply.mimetype) == (200, answer)


@pytest.mark.parametrize(
    ("status", "body", "content_type", "accept"),
    [
        pytest.param(400, "", "application/json", None, id="empty"),
        pytest.param(400, "", "text/csv", None, id="empty-csv"),
        pytest.param(400, "{", "application/json", None, id="cut-short"),
        pytest.param(400, b"\xff\xfe{}", "application/json", None, id="not-utf8"),
        pytest.param(400, b"5.1,3.5,1.4,\xe9", "text/csv", None, id="csv-not-utf8"),
        pytest.param(400, "[]", "application/json", None, id="no-object"),
        pytest.param(400, '{"instances": []}', "application/json", None, id="no-rows"),
        pytest.param(400, '{"instances": [1]}', "application/json", None, id="no-row"),
        pytest.param(400, '{"instances": [[1, 2, 3]]}', "application/json", None, id="short-row"),
        pytest.param(400, '{"instances": [[1, 2, 3, "4"]]}', "application/json", None, id="text"),
        pytest.param(400, '{"instances": [[1, 2, 3, true]]}', "application/json", None, id="bool"),
        pytest.param(400, '{"instances": [[1, 2, 3, null]]}', "application/json", None, id="null"),
        pytest.param(400, '{"instances": [[1, 2, 3, NaN]]}', "application/json", None, id="nan"),
        pytest.param(400, '{"instances": [[1, 2, 3, 1e999]]}', "application/json", None, id="inf"),
        pytest.param(400, f'{{"instances": [[1, 2, 3, 1{"0" * 400}]]}}', None, None, id="huge"),
        pytest.param(400, f'{GOOD[:-1]}, "more": NaN}}', None, None, id="nan-elsewhere"),
        pytest.param(400, "[" * 100_000, "application/json", None, id="deep"),
        pytest.param(400, "a,b,c,d", "text/csv", None, id="csv-header"),
        pytest.param(400, "1,2,3,nan", "text/csv", None, id="csv-nan"),
        pytest.param(400, "1,2,3", "text/csv", None, id="csv-short"),
        pytest.param(400, f'"{"1" * 200_000}"', "text/csv", None, id="csv-long-field"),
        pytest.param(400, "1,2\r3,4", "text/csv", None, id="csv-bare-cr"),
        pytest.param(415, GOOD, "application/x-npy", None, id="unknown-type"),
        pytest.param(415, GOOD, "application/x-www-form-urlencoded", None, id="form"),
        pytest.param(415, GOOD, "multipart/form-data; boundary=x", None, id="multipart"),
        pytest.param(406, GOOD, "application/json", "application/x-npy", id="unknown-accept"),
    ],
)
def test_a_callers_mistake_is_a_4xx_with_a_line_of_text(
    client: FlaskClient, status: int, body: str | bytes, content_type: str | None, accept: str
) -> None:
    reply = post(client, body, content_type, accept)
    assert (reply.status_code, reply.mimetype) == (status, "text/plain"), reply.text
    assert 0 < len(reply.text) < 200
    assert reply.text.count("\n") == 1


def test_an_unknown_route_or_method_is_answered_in_plain_text(client: FlaskClient) -> None:
    for reply, status in ((client.get("/nothing"), 404), (client.get("/invocations"), 405)):
        assert (reply.status_code, reply.mimetype) == (status, "text/plain")


def test_ping_is_200_and_no_redirect(client: FlaskClient) -> None:
    assert client.get("/ping").status_code == 200


def test_an_invocation_is_logged_and_a_ping_is_not(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    client.get("/ping")
    assert capfd.readouterr().err == ""
    post(client)
    post(client, "{")
    assert capfd.readouterr().err.splitlines() == [
        "POST /invocations 200 1 rows",
        "POST /invocations 400 the body is not JSON",
    ]


@pytest.mark.parametrize("broken", ["", "{}", '{"labels": ["a"], "mean": [0], "scale": [0]}'])
def test_without_a_model_nothing_is_ready(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    directory = tmp_path / "program"
    shutil.copytree(program, directory)
    (directory / "model.json").write_text(broken)
    client = load(directory).app.test_client()
    assert client.get("/ping").status_code == 503
    assert post(client).status_code == 503
    assert "the model cannot be loaded" in capfd.readouterr().err


TYPES = st.one_of(
    st.none(), st.sampled_from(["application/json", "text/csv", "image/png", ";", "text/csv;x"])
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3))
ALMOST = st.fixed_dictionaries(
    {"instances": st.lists(st.lists(VALUES, min_size=3, max_size=5) | VALUES, max_size=3)}
).map(json.dumps)
LINES = st.lists(st.lists(st.floats().map(str), min_size=3, max_size=5), max_size=3).map(
    lambda rows: "\n".join(",".join(row) for row in rows)
)
BODIES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    ALMOST.map(str.encode),
) | LINES.map(str.encode)


@given(body=BODIES, content_type=TYPES)
def test_no_body_makes_the_server_fail(
    client: FlaskClient, body: bytes, content_type: str | None
) -> None:
    reply = post(client, body, content_type)
    assert reply.status_code == 200 or 400 <= reply.status_code < 500, reply.text
    if reply.mimetype == "application/json":
        strict(reply.text)


@given(row=st.lists(st.floats(-999_999, 999_999), min_size=4, max_size=4))
def test_every_row_in_range_has_probabilities(client: FlaskClient, row: list[float]) -> None:
    reply = post(client, json.dumps({"instances": [row]}))
    assert reply.status_code == 200
    chances = strict(reply.text)["predictions"][0]["probabilities"].values()
    assert sum(chances) == pytest.approx(1)
    assert all(0 <= chance <= 1 for chance in chances)

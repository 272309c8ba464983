"""The checks that a label of the image asks for: when they are run, what they send, what they say.
On containers that are functions; real ones are in the fault matrix.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import replace

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

# Loaded here, before pytester notes which modules there are: it forgets later ones after each run.
import contract_tests.catalogue
import contract_tests.plugin
import contract_tests.run
import contract_tests.terminal
from contract_tests import models_api, test_multi_container, test_multi_model
from contract_tests.asking import asked_for
from contract_tests.check import Advice, Blocked, ContractViolation, NotApplicable
from contract_tests.models_api import FIRST, SECOND, UNKNOWN, Models, listed
from contract_tests.payload import Payload
from contract_tests.settings import Settings
from contract_tests.target import Target
from emulator.engines import ContainerSpec
from emulator.engines.docker_spec import configuration as docker_request
from emulator.testing import FakeEngine, FakeImage
from tests.fake_suite import LABELS, InstantClock, info

pytest_plugins = ["pytester"]

PAYLOAD = Payload(name="one.json", content_type="application/json", body=b'{"instances": [1]}')
CHECKS = {check.id: check for check in contract_tests.catalogue.checks()}
OF_LABELS = [check for check in CHECKS.values() if check.chapter.startswith("multi_")]


# -- when they are run ----------------------------------------------------------------------------


def test_each_label_has_a_chapter_and_each_of_its_checks_asks_for_it():
    assert len(OF_LABELS) == 12
    for check in OF_LABELS:
        wanted = {"multi_model": "multi-model", "multi_container": "bind-to-port"}[check.chapter]
        assert wanted in check.requires


@pytest.mark.parametrize("check", OF_LABELS, ids=lambda check: check.id)
def test_only_a_label_that_says_true_asks_for_them(check):
    settings = Settings(payload=(PAYLOAD,))
    assert asked_for(check, settings)  # nothing is known of the image yet
    assert asked_for(check, settings, LABELS)
    for word in ("false", "", "yes", "1"):
        assert not asked_for(check, settings, dict.fromkeys(LABELS, word))
    assert asked_for(check, settings, dict.fromkeys(LABELS, " True "))
    assert not asked_for(check, settings, {})


def test_a_promise_that_serverless_cannot_use_is_no_must_there():
    for check in OF_LABELS:
        assert check.levels["serverless"].value == "SHOULD"


@pytest.mark.parametrize(
    ("env", "labels", "left_out"),
    [
        ({}, LABELS, False),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, LABELS, True),
        ({"SAGEMAKER_MULTI_MODEL": "True"}, LABELS, True),
        ({"SAGEMAKER_MULTI_MODEL": "false"}, LABELS, False),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, {}, False),
    ],
)
def test_who_says_multi_model_is_not_asked_for_invocations(env, labels, left_out):
    settings = Settings(payload=(PAYLOAD,), env=env)
    for check in ("golden-invocation", "malformed-body", "ready-means-ready"):
        assert asked_for(CHECKS[check], settings, labels) is not left_out
    for check in ("ping-200", "stops-on-sigterm", "image-size"):
        assert asked_for(CHECKS[check], settings, labels)
    assert asked_for(CHECKS["multi-model-invoke-route"], settings, LABELS)


def test_the_report_says_that_invocations_were_left_out(suite):
    env = ["--env", "SAGEMAKER_MULTI_MODEL=true"]
    result, reports = suite("good:1", "labelled:1", options=env)
    notes = {report["image"]["reference"]: report.get("notes", []) for report in reports}
    assert notes["good:1"] == []
    (note,) = notes["labelled:1"]
    assert "/models/{model_name}/invoke" in note
    result.stdout.fnmatch_lines(["*SAGEMAKER_MULTI_MODEL=true: checks of /invocations*"])


MODULE = """
from contract_tests.check import BIND_TO_PORT, MULTI_MODEL, MUST, check, expect
from emulator.errors import PING_FAILED
from emulator.sources import contract

def declare(*requires):
    return check(MUST, "It holds.", source=contract("2.3"), catalogue="PNG-002", caught_by="x",
                 fix="Mend it.", aws_shows=PING_FAILED, requires=requires)

@declare()
def test_always(target, container):
    pass

@declare(MULTI_MODEL)
def test_many(target, container):
    expect(False, expected="one", actual="another")

@declare(BIND_TO_PORT)
def test_port(target, container):
    pass
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "BYOC_IMAGE"):
        monkeypatch.delenv(name, raising=False)

    def run(*images, options=()):
        (pytester.path / "test_ping.py").write_text(MODULE)
        named = [word for image in images for word in ("--image", image)]
        plugins = ["contract_tests.plugin", "tests.fake_suite", "no:cacheprovider"]
        loaded = [word for plugin in plugins for word in ("-p", plugin)]
        return pytester.runpytest_inprocess(
            *loaded, *named, "--report-json", "r.json", *options
        ), json.loads((pytester.path / "r.json").read_text())

    return run


def verdicts(report):
    return {check["id"]: check["verdict"] for check in report["checks"]}


def test_without_the_label_nothing_is_run_said_or_missing(suite):
    result, report = suite("good:1")
    assert result.ret == 0
    assert verdicts(report) == {"always": "pass"}
    assert report["result"] == "success"
    result.assert_outcomes(passed=1, deselected=2)


def test_of_two_images_only_the_one_with_the_label_is_held_to_it(suite):
    result, reports = suite("good:1", "labelled:1")
    found = {report["image"]["reference"]: report for report in reports}
    assert verdicts(found["good:1"]) == {"always": "pass"}
    assert found["good:1"]["result"] == "success"
    assert verdicts(found["labelled:1"]) == {"always": "pass", "many": "fail", "port": "pass"}
    assert result.ret == 1


def test_asked_for_alone_without_the_label_it_says_which_label(suite):
    _, report = suite("good:1", options=["-k", "test_many"])
    (check,) = report["checks"]
    assert check["verdict"] == "skip"
    assert "LABEL com.amazonaws.sagemaker.capabilities.multi-models=true" in check["reason"]


# -- the list -------------------------------------------------------------------------------------

NAMES = st.text("abcdef0123456789", min_size=1)


@given(st.sets(NAMES), NAMES | st.just(""))
def test_the_documented_list_gives_its_names_and_the_token_of_the_next_page(names, token):
    answer = {"models": [{"modelName": n, "modelUrl": "/opt/ml/models/x/model"} for n in names]}
    if token:
        answer["nextPageToken"] = token
    assert listed(json.dumps(answer).encode()) == (names, token)


@given(st.sets(NAMES))
def test_an_object_with_a_member_per_model_is_a_list_too(names):
    assert listed(json.dumps({name: {"version": 1} for name in names}).encode()) == (names, "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'["a"]',
        b'{"models": ["a"]}',
        b'{"models": [{"model_name": "a"}]}',
        b'{"models": [{"modelName": 1}]}',
        b'{"models": null}',
        b'{"models": "a"}',
    ],
)
def test_what_names_models_otherwise_is_no_list(body):
    assert listed(body) == (None, "")


@given(st.binary())
def test_no_answer_is_too_odd_to_be_judged(body):
    names, token = listed(body)
    assert names is None or isinstance(names, set)
    assert isinstance(token, str)


def test_a_page_is_asked_for_with_its_token_and_nothing_else_in_the_query():
    assert models_api.list_request().path == "/models"
    assert models_api.list_request("a b&c").path == "/models?next_page_token=a%20b%26c"


def test_the_load_request_is_the_documented_one():
    request = models_api.load_request(FIRST)
    assert (request.method, request.path) == ("POST", "/models")
    assert request.headers["Content-Type"] == "application/json"
    url = f"/opt/ml/models/{FIRST}/model"
    assert json.loads(request.body) == {"model_name": FIRST, "url": url}
    assert FIRST not in request.headers["X-Amzn-SageMaker-Target-Model"]


def test_the_models_are_mounted_read_only_beside_the_model(tmp_path):
    spec = ContainerSpec(image="x", model_dir=tmp_path / "one", models_dir=tmp_path / "many")
    mounts = docker_request(spec, None)["HostConfig"]["Mounts"]
    assert {mount["Target"] for mount in mounts} == {"/opt/ml/model", "/opt/ml/models"}
    assert all(mount["ReadOnly"] for mount in mounts)


# -- the checks -----------------------------------------------------------------------------------


class Server:
    """A container for many models that is a function; `mistakes` are what it does wrong."""

    def __init__(self, *mistakes, most=5, load_seconds=0.001):
        self.mistakes, self.most, self.load_seconds = set(mistakes), most, load_seconds
        self.models = {}
        self.seen = []
        self.turn = 0

    def __call__(self, request, age):
        self.seen.append((request.method, request.path))
        seconds = self.load_seconds if (request.method, request.path) == ("POST", "/models") else 0
        status, body = self.answer(request)
        return seconds + 0.001, status, body

    def answer(self, request):
        path, _, query = request.path.partition("?")
        if path in ("/ping", "/invocations"):
            return 200, b""
        if path == "/models":
            if "no list" in self.mistakes and request.method == "GET":
                return 404, b""
            return self.list(query) if request.method == "GET" else self.load(request)
        name, invoke = re.fullmatch("/models/([0-9a-f]+)(/invoke)?", path).groups()
        known = name in self.models
        self.turn += 1
        if "two workers" in self.mistakes and self.turn % 2:
            known = False
        if request.method == "DELETE":
            if "no unload" in self.mistakes:
                return 405, b""
            if "keeps" not in self.mistakes:
                self.models.pop(name, None)
        if known and not ("no invoke" in self.mistakes and invoke):
            return 200, b"{}"
        return (500 if "key error" in self.mistakes else 404), b""

    def list(self, query):
        names = sorted(self.models)
        first = int(query.removeprefix("next_page_token=") or 0)
        page = {"models": [{"modelName": name} for name in names[first : first + 1]]}
        if first + 1 < len(names) and "one page" not in self.mistakes:
            page["nextPageToken"] = str(first + 1)
        return 200, json.dumps(page).encode()

    def load(self, request):
        wanted = json.loads(request.body)
        if "no load" in self.mistakes:
            return 400, b"url is required"
        if wanted["model_name"] in self.models and "loads again" not in self.mistakes:
            return 409, b""
        if len(self.models) >= self.most:
            return (500 if "no 507" in self.mistakes else 507), b""
        self.models[wanted["model_name"]] = wanted["url"]
        return 200, b""


@contextmanager
def opened(server, tmp_path, *, payload=True, data=True, image=None):
    """The models of a target whose every container is that function."""
    clock = InstantClock()
    image = image or FakeImage(handler=server)
    image.info = replace(info("many:1"), labels=LABELS)
    engine = FakeEngine(clock, {"many:1": image})
    source = tmp_path / "data"
    source.mkdir()
    (source / "weights").write_bytes(b"12")
    settings = Settings(payload=(PAYLOAD,) if payload else (), model_data=source if data else None)
    with start_blocking_portal() as portal:
        target = Target(
            image.info, settings, engine=engine, http=engine, clock=clock, portal=portal
        )
        models = Models(target)
        try:
            yield models
        finally:
            models.close()
            target.close()
    assert engine.running == []


def judged(models, name):
    """What a check says: "" when it holds, else the kind of its end and its words."""
    known = {
        "models": models,
        "target": models.target,
        "payloads": models.target.settings.payload,
    }
    function = getattr(test_multi_model, CHECKS[name].function)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    try:
        function(**{name: known[name] for name in names})
    except (ContractViolation, Blocked, NotApplicable) as end:
        return f"{type(end).__name__}: {end}"
    return ""


OF_MODELS = [check.id for check in OF_LABELS if check.chapter == "multi_model"]


@pytest.mark.parametrize("name", OF_MODELS)
def test_each_holds_alone_for_a_server_that_keeps_the_contract(name, tmp_path):
    with opened(Server(), tmp_path) as models:
        assert judged(models, name) == ""


def test_all_hold_one_after_the_other_with_one_container(tmp_path):
    with opened(Server(), tmp_path) as models:
        assert [judged(models, name) for name in OF_MODELS] == [""] * len(OF_MODELS)
        assert len(models.target.engine.started) == 1


MISTAKES = {
    "no list": "multi-model-list-route",
    "no load": "multi-model-load-route",
    "two workers": "multi-model-every-worker",
    "no invoke": "multi-model-invoke-route",
    "loads again": "multi-model-second-load",
    "one page": "multi-model-names",
    "key error": "multi-model-unknown",
    "keeps": "multi-model-unload",
    "no unload": "multi-model-unload",
    "no 507": "multi-model-memory",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found_by_its_check_and_no_other(mistake, tmp_path):
    found, broken = {}, set()
    with opened(Server(mistake), tmp_path) as models:
        for name in OF_MODELS:
            if broken.intersection(CHECKS[name].needs):
                broken.add(name)  # blocked in a run
            elif said := judged(models, name):
                found[name] = said
                broken |= {name} if said.startswith("ContractViolation") else set()
    violations = {name for name, said in found.items() if said.startswith("ContractViolation")}
    assert violations == {MISTAKES[mistake]}, found


def test_a_failure_tells_how_to_start_such_a_container_and_what_to_send(tmp_path):
    with opened(Server("no load"), tmp_path) as models, pytest.raises(ContractViolation) as found:
        test_multi_model.test_multi_model_load_route(models)
    line, curl = found.value.reproduce.split("\n")
    assert "-e SAGEMAKER_MULTI_MODEL=true" in line
    assert f"/data:/opt/ml/models/{FIRST}/model:ro" in line
    assert curl.startswith("curl -sS -i -X POST")
    assert curl.endswith("http://127.0.0.1:8080/models")


def test_it_is_started_as_the_platform_does_without_a_model_and_without_an_invocation(tmp_path):
    server = Server()
    with opened(server, tmp_path) as models:
        models.start()
        (container,) = models.target.engine.started
        assert container.spec.environment["SAGEMAKER_MULTI_MODEL"] == "true"
        assert container.spec.model_dir is None
        assert list(container.spec.models_dir.iterdir()) == []
        assert {path for _, path in server.seen} == {"/ping"}


def test_a_model_is_there_before_it_is_loaded_and_nothing_is_left_afterwards(tmp_path):
    with opened(Server(), tmp_path) as models:
        models.loaded(FIRST)
        placed = models.spec.models_dir / FIRST / "model" / "weights"
        assert placed.read_bytes() == b"12"
    assert not placed.exists()
    assert (tmp_path / "data" / "weights").read_bytes() == b"12"


def test_where_the_users_model_cannot_be_linked_it_is_copied_once(tmp_path, monkeypatch):
    source, link = tmp_path / "data", models_api.os.link

    def from_another_disk(old, new, **options):
        if str(old).startswith(str(source)):
            raise OSError(18, "Invalid cross-device link")
        link(old, new, **options)

    monkeypatch.setattr(models_api.os, "link", from_another_disk)
    with opened(Server(), tmp_path) as models:
        models.fill()
        copies = list(models.spec.models_dir.glob("*/model/weights"))
        assert len(copies) == 6
        assert len({copy.stat().st_ino for copy in copies}) == 1
        assert copies[0].stat().st_ino != (source / "weights").stat().st_ino


def test_without_model_data_what_needs_a_model_says_what_to_give(tmp_path):
    with opened(Server(), tmp_path, data=False) as models:
        ends = {name: judged(models, name) for name in OF_MODELS}
    free = {"multi-model-start", "multi-model-list-route", "multi-model-unknown"}
    assert {name for name, said in ends.items() if not said} == free
    for name in set(ends) - free:
        assert ends[name].startswith("NotApplicable")
        assert "give --model-data" in ends[name]


def test_without_a_payload_the_workers_are_asked_whether_it_is_loaded(tmp_path):
    server = Server("two workers")
    with opened(server, tmp_path, payload=False) as models:
        assert judged(models, "multi-model-every-worker").startswith("ContractViolation")
    assert ("GET", f"/models/{FIRST}") in server.seen


def test_a_slow_load_is_advice_as_its_caller_has_gone(tmp_path):
    with opened(Server(load_seconds=100.0), tmp_path) as models, pytest.raises(Advice) as found:
        test_multi_model.test_multi_model_load_route(models)
    assert "ModelNotReadyException" in found.value.expected


def test_what_was_never_short_of_memory_is_not_judged(tmp_path):
    with opened(Server(most=1000), tmp_path) as models:
        assert judged(models, "multi-model-memory").startswith("NotApplicable: 32 more")
    with opened(Server(most=1000, load_seconds=3.0), tmp_path / "data") as models:
        assert judged(models, "multi-model-memory").startswith("NotApplicable: 2 more")


def test_a_container_that_ends_when_memory_is_short_is_not_judged(tmp_path):
    image = FakeImage(handler=Server(load_seconds=1.0), exits_after=3.5, exit_code=137)
    with opened(None, tmp_path, image=image) as models:
        said = judged(models, "multi-model-memory")
        assert said.startswith("NotApplicable: after 2 more models the container was at its end")
        assert judged(models, "multi-model-get-route").startswith("Blocked")


def test_an_image_that_never_gets_ready_is_told_once_by_chapter_startup(tmp_path):
    image = FakeImage(listens_after=9.0, exits_after=0.5, log="no module")
    with opened(None, tmp_path, image=image) as models:
        assert judged(models, "multi-model-start").startswith("Blocked: it does not get ready as")
        assert judged(models, "multi-model-list-route").startswith("Blocked")


def test_an_image_that_cannot_be_started_blocks(tmp_path):
    with opened(None, tmp_path, image=FakeImage(refuses="exec: no such file")) as models:
        assert judged(models, "multi-model-start").startswith("Blocked: the engine cannot start")


def test_the_port_is_free_for_the_platform_to_give(tmp_path):
    low, high = 21000, 21999  # SAGEMAKER_SAFE_PORT_RANGE: the container may take these itself
    assert not low <= test_multi_container.PORT <= high
    with opened(Server(), tmp_path) as models:
        test_multi_container.test_bind_to_port(models.target, models.target.container())
        started = models.target.engine.started[-1].spec
    assert started.port == test_multi_container.PORT
    assert started.environment["SAGEMAKER_BIND_TO_PORT"] == str(started.port)


def test_names_are_opaque_and_different():
    assert len({FIRST, SECOND, UNKNOWN}) == 3
    for name in (FIRST, SECOND, UNKNOWN):
        assert re.fullmatch("[0-9a-f]{32}", name)


def test_an_image_for_many_models_only_is_told_how_to_say_so(tmp_path):
    with opened(Server(), tmp_path) as models:
        assert "--env SAGEMAKER_MULTI_MODEL=true" in models_api.hint(models.target)
        models.target.image = info("good:1")
        assert models_api.hint(models.target) == ""

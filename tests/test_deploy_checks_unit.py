"""What the deploy checks stand on, without a server: templates as they are read, the script's
environment, how a script is run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path

import psutil
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.deploy_data import packed
from contract_tests.deploy_environment import environment_of
from contract_tests.deploy_local import Status
from contract_tests.deploy_script import region_of, run
from contract_tests.deploy_seen import endpoints, was_in_service
from contract_tests.deploy_settings import Script
from contract_tests.deploy_settings import script as script_of
from contract_tests.deploy_template import Deployable, read_all, refusals
from emulator.control.template_text import parse
from emulator.limits import MEMORY_SIZES_MB
from tests.deploy_checks import FAULTS, ROOT

GOLDEN = ROOT / "fixtures" / "templates" / "iris-large-endpoint.template.json"


def plain() -> dict:
    """A template with everything written out."""
    body = json.loads((FAULTS / "template-retains" / "template.json").read_text())
    del body["Resources"]["Model"]["DeletionPolicy"]
    del body["Resources"]["Model"]["UpdateReplacePolicy"]
    return body


def deployable(body: dict, *, region: str = "eu-west-1", **parameters: str) -> Deployable:
    return Deployable(
        path=Path("a.json"),
        template=parse(json.dumps(body)),
        parameters=parameters,
        region=region,
    )


# -- reading --------------------------------------------------------------------------------------


def test_a_stack_is_named_after_its_file_and_never_twice(tmp_path):
    paths = []
    for directory, name in (("a", "My_app.template.json"), ("b", "My_app.template.json"),
                            ("a", "1st.yaml")):  # fmt: skip
        (tmp_path / directory).mkdir(exist_ok=True)
        paths.append(tmp_path / directory / name)
        paths[-1].write_text(json.dumps(plain()))
    ones = read_all(paths, {}, "", "us-east-1")
    assert [one.stack_name for one in ones] == ["My-app", "My-app-2", "stack-1st"]


@given(st.text(min_size=1, max_size=150).filter(lambda text: "/" not in text))
def test_every_file_s_name_gives_a_name_that_cloudformation_takes(text):
    one = Deployable(path=Path("x") / text, template=parse("{}"), parameters={}, region="")
    assert one.stack_name[0].isalpha()
    assert len(one.stack_name) <= 128
    assert all(
        letter.isascii() and (letter.isalnum() or letter == "-") for letter in one.stack_name
    )


@pytest.mark.parametrize(
    ("uri", "region", "found"),
    [
        ("111122223333.dkr.ecr.eu-west-1.amazonaws.com/iris:1", "", "eu-west-1"),
        ("111122223333.dkr.ecr.eu-west-1.amazonaws.com/iris:1", "us-west-2", "us-west-2"),
        ({"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/iris:1"}, "",
         "ap-south-1"),
        ("nginx", "", "ap-south-1"),
    ],
)  # fmt: skip
def test_a_template_is_deployed_in_the_region_of_its_image(tmp_path, uri, region, found):
    body = plain()
    body["Resources"]["Model"]["Properties"]["PrimaryContainer"]["Image"] = uri
    (tmp_path / "t.json").write_text(json.dumps(body))
    (one,) = read_all([tmp_path / "t.json"], {}, region, "ap-south-1")
    assert one.region == found


def test_parameters_without_a_value_are_missing_and_others_of_this_template_alone():
    body = plain()
    body["Parameters"] = {
        "Tag": {"Type": "String"},
        "Size": {"Type": "Number", "Default": 2048},
        "Given": {"Type": "String"},
    }
    one = deployable(body, Given="x", Elsewhere="y")
    assert one.missing == ["Tag"]
    assert one.values() == [{"ParameterKey": "Given", "ParameterValue": "x"}]


def test_models_data_and_images_are_read_through_functions():
    one = Deployable(
        path=GOLDEN, template=parse(GOLDEN.read_text()), parameters={}, region="eu-west-1"
    )
    assert one.model_data() == ["s3://iris-models/large/model.tar.gz"]
    assert [(image.repository, image.region) for image in one.images()] == [
        ("team/iris", "eu-west-1")
    ]


# -- the next version -----------------------------------------------------------------------------


def resources(body: dict | None) -> tuple[str, dict]:
    assert body is not None
    model, configuration = (body["Resources"][name] for name in ("Model", "EndpointConfig"))
    (variant,) = configuration["Properties"]["ProductionVariants"]
    return model["Properties"]["PrimaryContainer"]["Image"], variant


def test_the_next_version_has_another_tag_and_another_size_and_nothing_else_is_changed():
    body = plain()
    new = deployable(body).next_version()
    image, variant = resources(new)
    assert image == "111122223333.dkr.ecr.eu-west-1.amazonaws.com/iris:byoc-next"
    assert variant["ServerlessConfig"]["MemorySizeInMB"] == 3072
    old_image, old_variant = resources(body)
    variant["ServerlessConfig"]["MemorySizeInMB"] = 2048
    assert json.dumps(new).replace(image, old_image) == json.dumps(body)
    assert old_variant["ServerlessConfig"]["MemorySizeInMB"] == 2048, "the template is as it was"


@given(st.sampled_from(MEMORY_SIZES_MB), st.booleans())
def test_the_next_size_is_another_one_that_there_is(size, as_text):
    body = plain()
    _, variant = resources(body)
    variant["ServerlessConfig"]["MemorySizeInMB"] = str(size) if as_text else size
    new = resources(deployable(body).next_version())[1]["ServerlessConfig"]["MemorySizeInMB"]
    assert new in MEMORY_SIZES_MB
    assert new != size


def test_values_of_parameters_are_known_to_the_next_version():
    body = plain()
    body["Parameters"] = {"Size": {"Type": "Number", "Default": 1024}, "Tag": {"Type": "String"}}
    model = body["Resources"]["Model"]["Properties"]["PrimaryContainer"]
    model["Image"] = {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/i:${Tag}"}
    resources(body)[1]["ServerlessConfig"]["MemorySizeInMB"] = {"Ref": "Size"}
    image, variant = resources(deployable(body, Tag="7").next_version())
    assert image == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/i:byoc-next"
    assert variant["ServerlessConfig"]["MemorySizeInMB"] == 2048


def test_a_variant_on_instances_gets_another_weight():
    body = plain()
    _, variant = resources(body)
    del variant["ServerlessConfig"]
    variant |= {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    assert resources(deployable(body).next_version())[1]["InitialVariantWeight"] == 2


def test_where_nothing_can_be_another_there_is_no_next_version():
    assert deployable({"Resources": {"Role": {"Type": "AWS::IAM::Role"}}}).next_version() is None


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("iris-model", False),
        ("iris", False),
        ("prod-eu-iris-endpoint-config", False),
        ("iris-7", True),
        ("iris-v2", True),
        ("iris-1-4-0", True),
        ("iris-20240131", True),
        ("iris-5be01c77", True),
        ("iris-240131-model", True),
    ],
)
def test_a_name_with_a_version_in_it_is_not_taken_for_a_fixed_one(name, changes):
    body = plain()
    body["Resources"]["Model"]["Properties"]["ModelName"] = name
    assert deployable(body).changes_by_itself(name) is changes


def test_a_name_that_is_made_of_a_parameter_is_not_taken_for_a_fixed_one():
    body = plain()
    body["Parameters"] = {"Stage": {"Type": "String"}}
    body["Resources"]["Model"]["Properties"]["ModelName"] = {"Fn::Sub": "iris-${Stage}"}
    assert deployable(body, Stage="prod").changes_by_itself("iris-prod")


# -- what is refused, and who else would have said so ---------------------------------------------


def test_a_refusal_tells_the_line_the_change_and_what_botocore_and_moto_let_through():
    body = plain()
    _, variant = resources(body)
    variant["ServerlessConfig"] = {"MemorySizeInMB": 512, "MaxConcurrency": 250}
    one = Deployable(
        path=Path("t.json"),
        template=parse(json.dumps(body, indent=1)),
        parameters={},
        region="eu-west-1",
    )
    (size, many) = sorted(refusals([one]), key=lambda it: "maxConcurrency" in it.text)
    line = json.dumps(body, indent=1).splitlines().index('       "MaxConcurrency": 250') + 1
    assert many.where == f"t.json:{line}"
    assert many.place.endswith("ServerlessConfig.MaxConcurrency")
    assert "less than or equal to 200" in many.text
    assert size.let_through == "botocore's client and moto refuse it, too."


def test_a_template_that_is_taken_costs_no_question():
    assert refusals([deployable(plain())]) == []


# -- statuses -------------------------------------------------------------------------------------


def status(told: str, *, name: str = "iris", why: str = "") -> Status:
    return Status(region="eu-west-1", name=name, status=told, failure_reason=why, log="")


def test_an_endpoint_that_failed_and_was_taken_back_is_told_as_failed():
    failed = status("Failed", why="no ping")
    told = [status("Creating"), failed, status("Deleting"), status("")]
    assert list(endpoints(told).values()) == [failed]


def test_an_endpoint_that_was_deleted_is_gone_and_was_in_service():
    told = [status("Creating"), status("InService"), status("Deleting"), status("")]
    assert endpoints(told) == {}
    assert was_in_service(told) == ["iris"]


def test_an_endpoint_that_was_made_anew_after_a_failure_is_the_new_one():
    told = [status("Failed", why="x"), status(""), status("Creating"), status("InService")]
    assert [one.status for one in endpoints(told).values()] == ["InService"]


# -- the script -----------------------------------------------------------------------------------


class NoAws:
    region = "eu-west-1"

    @property
    def environment(self):
        return {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "byoc"}


def test_nothing_in_a_script_s_environment_leads_to_the_real_aws(tmp_path):
    home = tmp_path / "home"
    (home / "docker" / "contexts").mkdir(parents=True)
    (home / "config").write_text(
        "[profile prod]\nregion = us-east-1\nignore_configured_endpoint_urls = true\n"
        "[profile sso]\nsso_start_url = https://example.awsapps.com/start\n"
    )
    (home / "credentials").write_text(
        "[old]\naws_access_key_id = AKIA\naws_secret_access_key = s\n"
    )
    (home / "docker" / "config.json").write_text(
        json.dumps({"auths": {"x": {"auth": "c2VjcmV0"}}, "credsStore": "ecr-login",
                    "currentContext": "colima"})
    )  # fmt: skip
    mine = {
        "PATH": "/bin",
        "STAGE": "test",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SESSION_TOKEN": "real",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_ENDPOINT_URL_SAGEMAKER": "https://api.sagemaker.eu-west-1.amazonaws.com",
        "AWS_PROFILE": "prod",
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "DOCKER_CONFIG": str(home / "docker"),
    }
    new = tmp_path / "new"
    new.mkdir()
    found = environment_of(NoAws(), mine, new)
    assert (found["PATH"], found["STAGE"]) == ("/bin", "test")
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert found["AWS_ACCESS_KEY_ID"] == "byoc"
    left = {
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_SAGEMAKER",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    }
    assert not left & set(found)
    written = "".join(path.read_text() for path in new.rglob("*") if path.is_file())
    assert "AKIA" not in written
    assert "sso" in written, "a profile that the script names is there"
    for secret in ("sso_start_url", "ignore_configured", "c2VjcmV0", "credsStore"):
        assert secret not in written
    assert json.loads((Path(found["DOCKER_CONFIG"]) / "config.json").read_text()) == {
        "currentContext": "colima"
    }
    import botocore.session

    for profile in ("prod", "sso", "old", "default"):
        session = botocore.session.Session(
            session_vars={"config_file": (None, None, found["AWS_CONFIG_FILE"], None)}
        )
        assert profile in session.available_profiles


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/iris:1"', "eu-west-1"),
        (
            'REGION = "eu-north-1"\nimage = f"{account}.dkr.ecr.{REGION}.amazonaws.com/x"',
            "eu-north-1",
        ),
        ('other = "us-east-1"; image = "1.dkr.ecr.sa-east-1.amazonaws.com/x"', "sa-east-1"),
        ("print('nothing')", ""),
    ],
)
def test_a_script_runs_in_the_region_that_it_names(tmp_path, text, found):
    (tmp_path / "deploy.py").write_text(text)
    assert region_of(Script(words=("deploy.py",), directory=tmp_path)) == found


def test_an_argument_s_region_is_seen_too(tmp_path):
    uri = "111122223333.dkr.ecr.us-west-2.amazonaws.com/iris:1"
    assert region_of(Script(words=("make", f"IMAGE={uri}"), directory=tmp_path)) == "us-west-2"


def shell(text: str, directory: Path) -> Script:
    return Script(words=("/bin/sh", "-c", text), directory=directory)


def test_a_script_s_exit_code_and_whole_output_are_seen(tmp_path):
    (tmp_path / "here").touch()
    script = shell("ls; echo wrong >&2; read x; exit 3", tmp_path)
    assert run(script, os.environ) == (3, "here\nwrong\n")


def test_a_python_script_runs_on_this_python(tmp_path):
    (tmp_path / "deploy.py").write_text("import sys; print(sys.executable, sys.argv[1:])")
    script = Script(words=(str(tmp_path / "deploy.py"), "a b"), directory=tmp_path)
    assert run(script, os.environ) == (0, f"{sys.executable} ['a b']\n")


def test_a_script_that_takes_too_long_is_ended_with_all_that_it_began(tmp_path):
    script = shell("sleep 300 & echo $! > child; echo begun; wait", tmp_path)
    assert run(script, os.environ, seconds=1.0) == (None, "begun\n")
    _wait_gone(int((tmp_path / "child").read_text()))


def test_what_a_script_leaves_running_is_ended_and_not_waited_for(tmp_path):
    script = shell("sleep 300 & echo $! > child", tmp_path)
    assert run(script, os.environ) == (0, "")
    _wait_gone(int((tmp_path / "child").read_text()))


def _wait_gone(pid: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} still runs")


# -- model data -----------------------------------------------------------------------------------


def test_a_directory_is_packed_with_its_files_at_the_top(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "x.py").write_text("1")
    (tmp_path / "model.json").write_text("{}")
    with tarfile.open(fileobj=BytesIO(packed(tmp_path))) as archive:
        assert sorted(archive.getnames()) == ["code", "code/x.py", "model.json"]


def test_an_archive_goes_as_it_is(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"whatever")
    assert packed(tmp_path / "model.tar.gz") == b"whatever"


# -- the server -----------------------------------------------------------------------------------


@pytest.mark.clients
def test_the_server_ends_when_its_caller_is_killed():
    program = (
        "from tests.deploy_checks import IMAGE, SERVER\n"
        "from contract_tests.deploy_local import open_local\n"
        "with open_local(IMAGE, 'eu-west-1', None, SERVER) as aws:\n"
        "    print(aws.popen.pid, flush=True)\n"
        "    input()\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert caller.stdout is not None
        server = int(caller.stdout.readline())
        assert psutil.pid_exists(server)
    finally:
        caller.kill()
        caller.communicate()
    _wait_gone(server)


def test_yaml_with_short_tags_is_a_template_too(tmp_path):
    body = plain()
    body["Resources"]["Endpoint"]["Properties"]["EndpointConfigName"] = "TAG"
    text = yaml.safe_dump(body).replace("TAG", "!GetAtt EndpointConfig.EndpointConfigName")
    (tmp_path / "t.yaml").write_text(text)
    (one,) = read_all([tmp_path / "t.yaml"], {}, "", "us-east-1")
    assert [name for name, _ in one.requests()] == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint",
    ]  # fmt: skip
    assert one.problems() == []


@pytest.mark.parametrize(
    ("name", "told"),
    [("iris", True), ("iris-1.4", True), ("iris-x", False), ("prod-iris", False), ("1", False)],
)
def test_a_name_is_told_by_an_argument_that_is_it_or_its_version(tmp_path, name, told):
    script = Script(words=("deploy-1", "iris", "1.4", "x"), directory=tmp_path)
    assert script.names(name) is told


def test_a_virtual_environment_s_python_is_run_by_its_own_name(tmp_path):
    (tmp_path / "python").symlink_to(sys.executable)
    found = script_of("python x.py", "--deploy-script", tmp_path)
    assert found.words == (str(tmp_path / "python"), "x.py")

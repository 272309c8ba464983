"""The deploy chapters on planted templates and scripts: each is caught, and by nothing else."""

from __future__ import annotations

import json

import pytest

from emulator.errors import Usage
from tests.deploy_checks import (
    CHECKS,
    FAULTS,
    PAYLOAD,
    ROOT,
    TABLE,
    fault_options,
    judged,
    shared,
    use,
)

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def server():
    with shared() as running:
        yield running


@pytest.fixture(autouse=True)
def on_the_shared_server(server, monkeypatch):
    use(server, monkeypatch)


@pytest.mark.parametrize("name", TABLE)
def test_a_fault_is_caught_by_its_check_with_a_message_to_act_on(name):
    found = judged(fault_options(name))
    tripped = {identity for identity, r in found.items() if r.verdict in ("fail", "warn")}
    assert not [r for r in found.values() if r.verdict == "error"], found
    assert tripped == {TABLE[name]["check"], *TABLE[name].get("also", ())}, found
    result = found[TABLE[name]["check"]]
    assert result.verdict == ("fail" if result.level == "MUST" else "warn")
    for words in (result.expected, result.actual, result.fix, result.link):
        assert words, result


def test_every_deploy_check_has_its_fault_and_every_fault_its_check():
    claimed = {(fault, check.id) for check in CHECKS for fault in check.caught_by}
    assert claimed == {(name, fault["check"]) for name, fault in TABLE.items()}
    assert {path.name for path in FAULTS.iterdir()} == set(TABLE)


# -- what is right is not blamed ------------------------------------------------------------------

GOOD = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/iris:1"
DEPLOY = f"{ROOT / 'container' / 'deploy' / 'deploy.py'} deploy iris --image {GOOD} --role-arn"
ROLE = "arn:aws:iam::111122223333:role/iris"


def verdicts(found):
    return {identity: result.verdict for identity, result in found.items()}


def reasons(found):
    """The only reason why all of them were skipped."""
    assert set(verdicts(found).values()) == {"skip"}, found
    (reason,) = {result.reason for result in found.values()}
    return reason


def template(directory, change=lambda body: None, name="t.json"):
    """The template of a fault without the fault, changed; the option that names it."""
    body = json.loads((FAULTS / "template-retains" / "template.json").read_text())
    body["Resources"]["Model"].pop("DeletionPolicy")
    body["Resources"]["Model"].pop("UpdateReplacePolicy")
    change(body)
    (directory / name).write_text(json.dumps(body))
    return {"template": [name], "payload": [PAYLOAD]}


def container(body):
    return body["Resources"]["Model"]["Properties"]["PrimaryContainer"]


def test_the_reference_project_s_templates_pass_every_check(server, tmp_path):
    (tmp_path / "model.json").write_text("{}")
    names = ("iris-endpoint", "iris-large-endpoint")
    found = judged(
        {
            "template": [str(ROOT / "fixtures/templates" / f"{n}.template.json") for n in names],
            "payload": [PAYLOAD],
            "model-data": str(tmp_path),
        }
    )
    assert set(verdicts(found).values()) == {"pass"}, found
    calls = [call.operation for call in server.aws.calls()]
    assert calls.count("UpdateEndpoint") == 2, "both were updated"


def test_the_reference_project_s_script_passes_and_may_be_run_again(server):
    found = judged({"deploy-script": f"{DEPLOY} {ROLE}", "payload": [PAYLOAD]})
    assert verdicts(found) == {
        "script-is-taken": "pass",
        "script-gets-in-service": "pass",
        "script-answers-payload": "pass",
        "script-runs-again": "pass",
        "script-leaves-nothing": "skip",
    }
    assert server.opened[-1][1] == "eu-central-1", "the region of the image"


def test_one_stack_may_import_what_the_one_before_it_exports(tmp_path):
    (tmp_path / "role.json").write_text(
        json.dumps(
            {
                "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {"Env": {"Value": "iris", "Export": {"Name": "model-name"}}},
            }
        )
    )

    def change(body):
        container(body)["Environment"] = {"MODEL_NAME": {"Fn::ImportValue": "model-name"}}

    options = template(tmp_path, change)
    found = judged({**options, "template": ["role.json", "t.json"]}, tmp_path)
    assert set(verdicts(found).values()) == {"pass"}, found


def test_a_parameter_without_a_value_is_asked_for(tmp_path):
    def change(body):
        body["Parameters"] = {"Tag": {"Type": "String"}}

    assert "--template-parameter Tag=..." in reasons(judged(template(tmp_path, change), tmp_path))


def test_model_data_that_is_not_here_is_asked_for(tmp_path):
    def change(body):
        container(body)["ModelDataUrl"] = "s3://models/iris/model.tar.gz"

    assert "give --model-data PATH" in reasons(judged(template(tmp_path, change), tmp_path))


def test_what_the_emulator_cannot_do_is_skipped_by_its_name(tmp_path):
    def change(body):
        container(body)["Mode"] = "MultiModel"
        variant = body["Resources"]["EndpointConfig"]["Properties"]["ProductionVariants"][0]
        del variant["ServerlessConfig"]
        variant |= {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}

    assert "MultiModel" in reasons(judged(template(tmp_path, change), tmp_path))


def test_an_import_that_nobody_exports_is_not_the_template_s_fault(tmp_path):
    def change(body):
        container(body)["Environment"] = {"A": {"Fn::ImportValue": "of-another-stack"}}

    assert "of-another-stack" in reasons(judged(template(tmp_path, change), tmp_path))


def test_names_that_change_with_each_version_are_not_held_against_an_update(tmp_path):
    def change(body):
        resources = body["Resources"]
        resources["Model"]["Properties"]["ModelName"] = "iris-5be01c77"
        resources["EndpointConfig"]["Properties"]["EndpointConfigName"] = "iris-5be01c77"

    found = judged(template(tmp_path, change), tmp_path)
    assert found["template-can-be-updated"].verdict == "skip", found
    assert "iris-5be01c77" in found["template-can-be-updated"].reason
    assert set(verdicts(found).values()) == {"pass", "skip"}


def test_which_of_two_images_failed_cannot_be_told(tmp_path):
    def change(body):
        container(body)["Environment"] = {"MODEL_SERVER_WORKERS": "auto"}
        other = json.loads(json.dumps(body["Resources"]["Model"]).replace("/iris:", "/churn:"))
        body["Resources"]["Other"] = other

    found = judged(template(tmp_path, change), tmp_path)
    assert found["template-gets-in-service"].verdict == "skip", found
    assert "churn, iris" in found["template-gets-in-service"].reason


def script(directory, text):
    (directory / "deploy.py").write_text(text)
    return {"deploy-script": "deploy.py", "payload": [PAYLOAD]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import a_package_that_nobody_has", "No module named 'a_package_that_nobody_has'"),
        ("import sys; sys.exit('usage: deploy.py STAGE')", "usage: deploy.py STAGE"),
        ("print('nothing to do')", "no endpoint was made"),
    ],
)
def test_a_script_that_fails_for_a_reason_of_its_own_is_not_judged(tmp_path, text, told):
    found = judged(script(tmp_path, text), tmp_path)
    assert "fail" not in verdicts(found).values()
    assert "error" not in verdicts(found).values()
    assert any(told in result.reason for result in found.values()), found


def test_what_botocore_refuses_before_it_is_sent_is_told_as_it_says_it(tmp_path):
    text = (
        "import boto3\n"
        "boto3.client('sagemaker', region_name='eu-west-1').create_model(Name='iris')\n"
    )
    found = judged(script(tmp_path, text), tmp_path)["script-is-taken"]
    assert found.verdict == "fail"
    assert 'Missing required parameter in input: "ModelName"' in found.actual


def test_a_script_may_take_a_refusal_for_an_answer_and_need_not_wait(tmp_path):
    planted = (FAULTS / "script-fixed-names" / "deploy.py").read_text()
    head, rest = planted.split("sagemaker.create_model", 1)
    waits = 'sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="iris")\n'
    assert waits in rest
    careful = (
        head + "def clear(delete, **name):\n"
        "    try:\n"
        "        delete(**name)\n"
        "    except sagemaker.exceptions.ClientError as error:\n"
        "        print(error)\n"
        "clear(sagemaker.delete_endpoint, EndpointName='iris')\n"
        'sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="iris")\n'
        "clear(sagemaker.delete_endpoint_config, EndpointConfigName=configuration)\n"
        "clear(sagemaker.delete_model, ModelName=model)\n"
        "sagemaker.create_model" + rest.replace(waits, "")
    )
    found = judged(script(tmp_path, careful), tmp_path)
    assert set(verdicts(found).values()) == {"pass", "skip"}, found
    assert found["script-runs-again"].verdict == "pass"


def test_a_name_from_the_command_line_is_the_caller_s_to_change(tmp_path):
    planted = (FAULTS / "script-fixed-names" / "deploy.py").read_text()
    text = "import sys\n" + planted.replace('"iris-model"', "sys.argv[1]").replace(
        '"iris-endpoint-config"', "sys.argv[1]"
    )
    options = script(tmp_path, text)
    found = judged({**options, "deploy-script": "deploy.py next"}, tmp_path)
    assert found["script-runs-again"].verdict == "skip"
    assert "next" in found["script-runs-again"].reason


def test_what_cannot_be_read_and_a_parameter_that_nobody_has_are_wrong_usage(tmp_path):
    (tmp_path / "t.json").write_text("- a\n- b\n")
    with pytest.raises(Usage, match="must hold an object with Resources"):
        judged({"template": ["t.json"]}, tmp_path)
    options = template(tmp_path)
    with pytest.raises(Usage, match="--template-parameter Tga: no template has it"):
        judged({**options, "template-parameter": ["Tga=1"]}, tmp_path)

"""The deploy checks of the shipped suite, without pytest, on one local SageMaker that they share.

Owns: that server, and what is put away between two runs. Must not know: which check finds what.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract_tests import deploy, test_deploy_script, test_deploy_template
from contract_tests.asking import asked_for
from contract_tests.check import declared
from contract_tests.deploy_local import LocalAws, open_local
from contract_tests.report import Result
from contract_tests.run import Run
from contract_tests.settings import gather
from tests.fake_suite import Engine, InstantClock

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "fixtures" / "deploy_faults"
TABLE: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    (ROOT / "fixtures" / "deploy_faults.toml").read_text()
)
SERVER = (sys.executable, "-m", "tests.deploy_fake_server")
IMAGE = "good:1"
PAYLOAD = str(ROOT / "fixtures" / "payloads" / "iris.json")
FUNCTIONS = {
    check.id: (check, function)
    for module in (test_deploy_template, test_deploy_script)
    for function in vars(module).values()
    if (check := declared(function))
}
CHECKS = [check for check, _ in FUNCTIONS.values()]


@dataclass(kw_only=True)
class Shared:
    """A server that stays; in place of `open_local`."""

    aws: LocalAws
    opened: list[tuple[str, str]] = field(default_factory=list)  # image, region

    def open_local(self, image: str, region: str, *_: object) -> Any:
        self.opened.append((image, region))
        self.aws.region = region
        return self

    def __enter__(self) -> LocalAws:
        self.clear()
        return self.aws

    def __exit__(self, *_: object) -> None:
        pass

    def clear(self) -> None:
        """Nothing is left of those who were here before."""
        cloudformation = self.aws.client("cloudformation", "eu-west-1")
        for stack in cloudformation.describe_stacks()["Stacks"]:
            cloudformation.delete_stack(StackName=stack["StackName"])
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack["StackId"])
        for one in self.aws.there():
            sagemaker = self.aws.client("sagemaker", one.region)
            if one.kind == "endpoint":
                sagemaker.delete_endpoint(EndpointName=one.name)
                sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=one.name)
            elif one.kind == "model":
                sagemaker.delete_model(ModelName=one.name)
            else:
                sagemaker.delete_endpoint_config(EndpointConfigName=one.name)
        self.aws.mark()
        del self.aws.events[1:]


@contextmanager
def shared() -> Iterator[Shared]:
    with open_local(IMAGE, "eu-west-1", None, SERVER) as aws:
        yield Shared(aws=aws)


def judged(options: Mapping[str, Any], directory: Path = ROOT) -> dict[str, Result]:
    """The result of each deploy check that these options ask for."""
    settings = gather({"image": [IMAGE], **options}, {}, directory)
    engine = Engine(InstantClock())
    run = Run(settings, engine=engine, http=engine, clock=engine.clock, catalogue=lambda: CHECKS)
    run.open()
    try:
        target = run.target(IMAGE)
        for check, function in FUNCTIONS.values():
            if asked_for(check, settings):
                error: Exception | None = None
                try:
                    run.judge_needs(check, IMAGE)
                    function(target)
                except Exception as raised:  # noqa: BLE001 - it is judged
                    error = raised
                run.judge(check, IMAGE, when="call", error=error, seconds=0.0)
        return {result.id: result for result in run.results[IMAGE]}
    finally:
        run.close()


def fault_options(name: str) -> dict[str, Any]:
    """Of a planted fault, in its directory."""
    directory = FAULTS / name
    payload = {"payload": [PAYLOAD]}
    if (directory / "deploy.py").is_file():
        return {"deploy-script": str(directory / "deploy.py"), **payload}
    return {"template": [str(directory / "template.json")], **payload}


def use(shared: Shared, monkeypatch: Any) -> None:
    monkeypatch.setattr(deploy, "open_local", shared.open_local)

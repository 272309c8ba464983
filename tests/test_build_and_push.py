"""What container/build_and_push.sh pushes, and what it refuses to.

Owns: the script, on `byoc serve --registry`. Must not know: what the checks of the gate are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.clients import ACCOUNT, AWS_CLI, REGION, SETUP
from tests.serving import ROLE, Serving, docker, serving

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "container" / "build_and_push.sh"
FAULT = ROOT / "fixtures" / "faults" / "cmd-only"
BASE = ("--build-arg", "BASE=byoc-base:latest")
NAME = "byoc-test-pushed"
SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
BESIDE_PYTHON = Path(sys.executable).parent
PROGRAMS = ("bash", "cat", "dirname", "curl", "tr", "sed", "tail", "env")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_script(
    *options: str, path: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *options],
        env={**environment, "PATH": path},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# -- without an engine: programs that say what they were asked -------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A PATH on which nothing is but what the script needs of the system, and what is put there."""

    directory: Path

    def put(self, name: str, script: str) -> None:
        program = self.directory / name
        program.write_text(f'#!/bin/bash\necho {name} "$@" >>{self.directory}/asked\n{script}\n')
        program.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        log = self.directory / "asked"
        return log.read_text().splitlines() if log.is_file() else []

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"AWS_REGION": REGION, **environment}
        return run_script(*options, path=str(self.directory), environment=given)


ECR = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
AWS = f"""case $* in
    sts*) echo {ACCOUNT} ;;
    *describe-repositories*) echo {ECR}/mymodel ;;
    *get-login-password*) echo secret ;;
esac"""
DOCKER = """case $1-$2 in
    buildx-version) exit 1 ;;
    image-inspect) echo sha256:0123456789abcdef ;;
    login*) read -r password; [ "$password" = secret ] ;;
esac"""
CURL = f"""cat >/dev/null
printf 'HTTP/1.1 200 OK\\r\\ncontent-type: {SCHEMA_2}\\r\\n\\r\\n'"""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found is not None, name
        (tmp_path / name).symlink_to(found)
    (tmp_path / "curl").unlink()
    shelf = Shelf(directory=tmp_path)
    for name, script in {"docker": DOCKER, "aws": AWS, "curl": CURL, "byoc": ""}.items():
        shelf.put(name, script)
    return shelf


def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(BESIDE_PYTHON / "shellcheck"), str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_its_last_word_is_the_uri_alone(shelf: Shelf) -> None:
    done = shelf.run("mymodel")
    assert (done.returncode, done.stdout) == (0, f"{ECR}/mymodel:0123456789ab\n"), done.stderr


def test_the_gate_comes_after_the_build_and_before_the_push(shelf: Shelf) -> None:
    shelf.run("mymodel", "--payload", "a.json", "--payload", "b.csv", "--", "--memory", "1024")
    order = [
        line for line in shelf.asked if line.startswith(("docker build -", "byoc", "docker p"))
    ]
    build, gate, *pushes = order
    assert build.startswith("docker build --tag mymodel:latest --platform linux/amd64")
    assert gate == (
        "byoc check mymodel:latest --platform linux/amd64"
        " --payload a.json --payload b.csv --memory 1024"
    )
    assert pushes == [f"docker push {ECR}/mymodel:{tag}" for tag in ("0123456789ab", "latest")]


@pytest.mark.parametrize("code", [1, 2, 4, 5])
def test_what_the_gate_ends_with_ends_the_script_and_nothing_is_pushed(
    shelf: Shelf, code: int
) -> None:
    shelf.put("byoc", f"exit {code}")
    done = shelf.run("mymodel")
    assert done.returncode == code
    assert f"nothing was pushed: `byoc check` ended with {code}" in done.stderr
    assert done.stdout == ""
    assert not [line for line in shelf.asked if line.startswith(("docker push", "docker login"))]
    assert not [line for line in shelf.asked if " ecr " in line], "no repository is made either"


def test_the_gate_is_left_out_only_by_its_flag(shelf: Shelf) -> None:
    (shelf.directory / "byoc").unlink()
    without = shelf.run("mymodel")
    assert without.returncode == 2
    assert "byoc was not found: pip install sagemaker-byoc-emulator." in without.stderr
    assert not [line for line in shelf.asked if line.startswith("docker build -")]
    told = shelf.run("mymodel", "--without-check")
    assert told.returncode == 0, told.stderr
    assert "Not checked (--without-check)" in told.stderr


def test_buildx_is_told_to_write_docker_s_types_and_no_attestations(shelf: Shelf) -> None:
    shelf.put("docker", DOCKER.replace("buildx-version) exit 1 ;;", ""))
    done = shelf.run("mymodel", "--platform", "linux/arm64", "--build-arg", "A=b c")
    assert done.returncode == 0, done.stderr
    (build,) = (line for line in shelf.asked if line.startswith("docker buildx build"))
    for option in ("--provenance=false", "--sbom=false", "--platform linux/arm64"):
        assert f" {option} " in build
    assert "--output type=docker,name=mymodel:latest,oci-mediatypes=false" in build
    assert "--build-arg A=b c " in build
    assert not [line for line in shelf.asked if line.startswith("docker build -")]


def test_the_password_is_in_no_argument(shelf: Shelf) -> None:
    assert shelf.run("mymodel").returncode == 0
    assert not [line for line in shelf.asked if "secret" in line]


@pytest.mark.parametrize("kind", [OCI, "application/vnd.oci.image.index.v1+json", ""])
def test_another_manifest_than_schema_2_is_an_error_that_tells_what_to_do(
    shelf: Shelf, kind: str
) -> None:
    shelf.put("curl", CURL.replace(SCHEMA_2, kind))
    done = shelf.run("mymodel")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"Unsupported manifest media type {kind} for image {ECR}/mymodel" in done.stderr
    assert "push=true,oci-mediatypes=false" in done.stderr


def test_a_repository_that_is_not_there_is_made_and_no_other_refusal_is_taken_for_that(
    shelf: Shelf,
) -> None:
    other = AWS.replace(
        f"*describe-repositories*) echo {ECR}/mymodel",
        f"*create-repository*) echo {ECR}/mymodel ;;"
        " *describe-repositories*) echo $WHY >&2; exit 254",
    )
    shelf.put("aws", other)
    made = shelf.run("mymodel", WHY="An error occurred (RepositoryNotFoundException)")
    assert made.returncode == 0, made.stderr
    assert [
        line for line in shelf.asked if "ecr create-repository --repository-name mymodel" in line
    ]
    (shelf.directory / "asked").unlink()
    refused = shelf.run("mymodel", WHY="An error occurred (AccessDeniedException)")
    assert refused.returncode == 2
    assert "AccessDeniedException" in refused.stderr
    assert f"ECR does not show the repository mymodel of account {ACCOUNT}" in refused.stderr
    assert not [line for line in shelf.asked if "create-repository" in line]


NOT_LOCAL = "names AWS's own registry"


@pytest.mark.parametrize(
    ("variables", "options", "refused"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5555"}, (), True),
        ({"AWS_ENDPOINT_URL_ECR": "http://localhost:5555"}, (), True),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ("--registry", "127.0.0.1:5000"), False),
        ({"AWS_ENDPOINT_URL_ECR": "https://vpce-1.api.ecr.eu-west-1.amazonaws.com"}, (), False),
        ({}, (), False),
    ],
)
def test_an_emulator_s_password_is_never_sent_to_aws(
    shelf: Shelf, variables: dict[str, str], options: tuple[str, ...], refused: bool
) -> None:
    done = shelf.run("mymodel", *options, **variables)
    assert done.returncode == (2 if refused else 0), done.stderr
    assert (NOT_LOCAL in done.stderr) is refused
    assert bool([line for line in shelf.asked if "login --username" in line]) is not refused


def test_a_local_registry_that_ecr_names_is_taken_without_a_word_about_it(shelf: Shelf) -> None:
    shelf.put("aws", AWS.replace(ECR, "127.0.0.1:5000"))
    done = shelf.run("mymodel", AWS_ENDPOINT_URL="http://127.0.0.1:5555")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "127.0.0.1:5000/mymodel:0123456789ab\n"
    (looked,) = (line for line in shelf.asked if line.startswith("curl"))
    assert looked.endswith("http://127.0.0.1:5000/v2/mymodel/manifests/0123456789ab")


@pytest.mark.parametrize("missing", ["docker", "aws", "curl"])
def test_a_program_that_is_missing_is_named_before_the_build(shelf: Shelf, missing: str) -> None:
    (shelf.directory / missing).unlink()
    done = shelf.run("mymodel")
    assert done.returncode == 2
    assert "was not found" in done.stderr
    assert not [line for line in shelf.asked if line.startswith("docker build -")]


@pytest.mark.parametrize(
    ("name", "script", "told"),
    [
        ("docker", "[ $1 != version ]", "its engine does not answer"),
        ("docker", f"[ $1 != build ] || exit 1\n{DOCKER}", "the image was not built"),
        ("docker", f"[ $1 != login ] || exit 1\n{DOCKER}", f"could not log in at {ECR}"),
        ("docker", f"[ $1 != push ] || exit 1\n{DOCKER}", f"could not push {ECR}/mymodel:0123"),
        ("aws", f"[ $1 != sts ] || exit 255\n{AWS}", "AWS does not know you"),
        ("aws", f"[ $2 != get-login-password ] || exit 255\n{AWS}", "ECR gives no password"),
        ("curl", "exit 22", "the registry does not show its manifest"),
    ],
)
def test_what_goes_wrong_on_the_way_ends_with_2_and_a_sentence(
    shelf: Shelf, name: str, script: str, told: str
) -> None:
    shelf.put(name, script)
    done = shelf.run("mymodel")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_region_is_taken_from_the_profile_or_asked_for(shelf: Shelf) -> None:
    without = shelf.run("mymodel", AWS_REGION="")
    assert without.returncode == 2
    assert "no region: give --region" in without.stderr
    shelf.put("aws", AWS.replace("case $* in", f"case $* in\nconfigure*) echo {REGION} ;;"))
    assert shelf.run("mymodel", AWS_REGION="").returncode == 0
    assert f"aws sts get-caller-identity --query Account --output text --region {REGION}" in (
        shelf.asked
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "a NAME is expected"),
        (("one", "two"), "one NAME is expected"),
        (("My_Model",), "'My_Model' cannot be an ECR repository"),
        (("mymodel", "--nothing"), "there is no option --nothing"),
        (("mymodel", "--tag"), "--tag needs a value"),
        (("mymodel", "--context", "/nowhere"), "there is no Dockerfile in /nowhere"),
    ],
)
def test_wrong_options_end_with_4_before_anything_is_run(
    shelf: Shelf, options: tuple[str, ...], told: str
) -> None:
    done = shelf.run(*options)
    assert done.returncode == 4
    assert told in done.stderr
    assert shelf.asked == []


def test_help_names_every_option(shelf: Shelf) -> None:
    done = shelf.run("--help")
    assert done.returncode == 0
    for option in ("--context", "--payload", "--without-check", "--tag", "--registry"):
        assert option in done.stdout


# -- with an engine, and our URL as AWS's ----------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving("--registry") as running:
        yield running


@pytest.fixture(scope="module")
def registry(server: Serving) -> str:
    """Its host and port, as ECR tells them."""
    told = server.client("ecr").get_authorization_token()["authorizationData"][0]
    return str(told["proxyEndpoint"]).removeprefix("http://")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The first directory of the script's PATH."""
    assert AWS_CLI.is_file(), f"the AWS CLI is not installed: {SETUP}"
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "aws").symlink_to(AWS_CLI)
    (directory / "byoc").symlink_to(BESIDE_PYTHON / "byoc")
    return directory


@pytest.fixture
def run(server: Serving, registry: str, programs: Path, tmp_path: Path) -> Iterator[Run]:
    login = tmp_path / "docker"  # docker login writes the password down

    def run(*options: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
        return run_script(
            name, *BASE, *options,
            path=f"{programs}{os.pathsep}{os.environ['PATH']}",
            environment={**server.environment, "DOCKER_CONFIG": str(login)},
        )  # fmt: skip

    yield run
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if ours := [line for line in listed if line.startswith((NAME, f"{registry}/{NAME}"))]:
        docker("rmi", *ours)


def repositories(server: Serving) -> list[str]:
    told = server.client("ecr").describe_repositories()["repositories"]
    return [str(each["repositoryName"]) for each in told]


def pushed(server: Serving, name: str = NAME) -> dict[str, dict[str, object]]:
    """What ECR tells of each tag."""
    try:
        told = server.client("ecr").describe_images(repositoryName=name)["imageDetails"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "RepositoryNotFoundException"
        return {}
    return {tag: image for image in told for tag in image["imageTags"]}


def create_model(server: Serving, image: str) -> None:
    server.client("sagemaker").create_model(
        ModelName="pushed", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image}
    )


@pytest.mark.docker
def test_a_broken_image_never_reaches_the_registry(run: Run, server: Serving) -> None:
    name = f"{NAME}-broken"
    done = run("--context", str(FAULT), "--", "-k", "not-cmd-only", name=name)
    assert done.returncode == 1, done.stderr
    assert "Turn CMD into an ENTRYPOINT" in done.stderr
    assert "nothing was pushed: `byoc check` ended with 1" in done.stderr
    assert done.stdout == ""
    assert name not in repositories(server)


@pytest.mark.docker
def test_the_reference_project_is_checked_and_pushed_and_the_endpoint_runs_what_was_pushed(
    run: Run, registry: str, server: Serving
) -> None:
    payload = ROOT / "fixtures" / "payloads" / "iris.json"
    done = run("--payload", str(payload), "--", "-k", "golden-invocation or manifest-media-type")
    assert done.returncode == 0, done.stderr
    assert "2 pass" in done.stderr
    uri = done.stdout.strip()
    name, tag = uri.rsplit(":", 1)
    assert name == f"{registry}/{NAME}"
    images = pushed(server)
    assert {tag, "latest"} <= set(images)
    assert images[tag]["imageManifestMediaType"] == SCHEMA_2
    identity = docker("image", "inspect", "-f", "{{.Id}}", uri).strip()
    assert identity.startswith(f"sha256:{tag}")
    assert NAME in repositories(server)

    # What the engine calls by these names is another image now: only the registry has ours.
    docker("tag", "byoc-fault-missing-module:latest", f"{NAME}:latest")
    docker("rmi", uri, f"{registry}/{NAME}:latest")
    aws, ecr_uri = server.client("sagemaker"), server.uri(NAME, tag)
    create_model(server, ecr_uri)
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    aws.create_endpoint_config(
        EndpointConfigName="pushed",
        ProductionVariants=[
            {"VariantName": "AllTraffic", "ModelName": "pushed", "ServerlessConfig": serverless}
        ],
    )
    aws.create_endpoint(EndpointName="pushed", EndpointConfigName="pushed")
    aws.get_waiter("endpoint_in_service").wait(EndpointName="pushed")
    running = docker(
        *("ps", "--no-trunc", "--format", "{{.Image}}", "--filter"),
        f"label=byoc.owner={server.owner}",
    ).split()
    assert docker("image", "inspect", "-f", "{{.Id}}", *running).split() == [identity]
    told = aws.describe_endpoint(EndpointName="pushed")
    (deployed,) = told["ProductionVariants"][0]["DeployedImages"]
    assert deployed["SpecifiedImage"] == ecr_uri
    assert deployed["ResolvedImage"].endswith(f"/{NAME}@{images[tag]['imageDigest']}")
    answer = server.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="pushed", ContentType="application/json", Body=payload.read_bytes()
    )
    labels = [each["label"] for each in json.load(answer["Body"])["predictions"]]
    assert labels == ["setosa", "virginica"]
    aws.delete_endpoint(EndpointName="pushed")
    aws.get_waiter("endpoint_deleted").wait(EndpointName="pushed")
    aws.delete_model(ModelName="pushed")


# As an engine with containerd's image store pushes; the engine of the tests has the classic one.
PUSHES_OCI = """#!/bin/bash
set -e
real=$(PATH=${PATH#*:} command -v docker)
[ "$1" = push ] || exec "$real" "$@"
"$real" "$@"
skopeo copy --quiet --insecure-policy --format oci --src-tls-verify=false --dest-tls-verify=false \
    "docker://$2" "docker://$2"
"""


@pytest.mark.docker
def test_an_oci_manifest_is_noticed_after_the_push_and_refused_by_create_model(
    run: Run, registry: str, programs: Path, server: Serving
) -> None:
    (programs / "docker").write_text(PUSHES_OCI)
    (programs / "docker").chmod(0o755)
    done = run("--without-check", "--tag", "as-oci")
    assert pushed(server)["as-oci"]["imageManifestMediaType"] == OCI
    assert (done.returncode, done.stdout) == (1, "")
    uri = f"{registry}/{NAME}:as-oci"
    assert f"Unsupported manifest media type {OCI} for image {uri}." in done.stderr
    for image in (server.uri(NAME, "as-oci"), uri):
        with pytest.raises(ClientError) as refused:
            create_model(server, image)
        told = refused.value.response["Error"]
        assert told["Code"] == "ValidationException"
        assert told["Message"] == (
            f"Unsupported manifest media type {OCI} for image {server.uri(NAME, 'as-oci')}. Ensure"
            " that valid manifest media type is used for specified image."
        )
    assert server.names()["models"] == []

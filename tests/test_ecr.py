"""Owns: the claims of emulator/api/ecr.py and ecr_moto.py: boto3 sees in ECR what a registry has.
Must not know: SageMaker.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.registry_manifest import OCI_INDEX, OCI_MANIFEST, SCHEMA_2
from tests.clients import AWS_CLI, bare_environment
from tests.registry_world import (
    ACCOUNT,
    CONFIG_TYPES,
    NOW,
    REGION,
    World,
    digest_of,
    docker,
    registry_world,
    tiny_image,
)

pytestmark = pytest.mark.clients

SCRIPT = Path(__file__).resolve().parent.parent / "container" / "build_and_push.sh"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with registry_world() as world:
        yield world


@pytest.fixture
def repository(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new one, of a name that no other test uses."""
    name = "t/" + request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")
    world.ecr.create_repository(repositoryName=name)
    yield name
    held = {each["repositoryName"] for each in world.ecr.describe_repositories()["repositories"]}
    if name in held:
        world.ecr.delete_repository(repositoryName=name, force=True)


def told(world: World, repository: str) -> list[dict[str, Any]]:
    images = world.ecr.describe_images(repositoryName=repository)["imageDetails"]
    return sorted(images, key=lambda image: image.get("imageTags", []))


def tags(world: World, repository: str) -> dict[str, str]:
    listed = world.ecr.list_images(repositoryName=repository)["imageIds"]
    return {image.get("imageTag", "-"): image["imageDigest"] for image in listed}


# -- where to push ---------------------------------------------------------------------------------


def test_a_repository_s_address_is_in_the_registry_and_its_arn_in_aws(world: World) -> None:
    made = world.ecr.create_repository(repositoryName="team/model")["repository"]
    assert made["repositoryUri"] == f"{world.address}/team/model"
    assert made["repositoryArn"].endswith(f":{ACCOUNT}:repository/team/model")
    (shown,) = world.ecr.describe_repositories(repositoryNames=["team/model"])["repositories"]
    assert shown["repositoryUri"] == made["repositoryUri"]
    gone = world.ecr.delete_repository(repositoryName="team/model")["repository"]
    assert gone["repositoryUri"] == made["repositoryUri"]


def test_the_token_is_for_the_registry_and_lives_for_twelve_hours(world: World) -> None:
    (token,) = world.ecr.get_authorization_token()["authorizationData"]
    assert token["proxyEndpoint"] == f"http://{world.address}"
    assert token["expiresAt"] == NOW + timedelta(hours=12)
    assert base64.b64decode(token["authorizationToken"]).startswith(b"AWS:")


def test_what_ecr_refuses_it_still_refuses_in_its_own_words(world: World) -> None:
    with pytest.raises(world.ecr.exceptions.RepositoryNotFoundException, match="no/such"):
        world.ecr.describe_images(repositoryName="no/such")
    world.ecr.create_repository(repositoryName="twice")
    with pytest.raises(world.ecr.exceptions.RepositoryAlreadyExistsException):
        world.ecr.create_repository(repositoryName="twice")


# -- what was pushed -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SCHEMA_2, OCI_MANIFEST])
def test_a_pushed_image_is_described(world: World, repository: str, kind: str) -> None:
    digest = world.push(repository, "v1", kind=kind, layers=(b"12345", b"678"))
    (image,) = told(world, repository)
    config = b'{"os": "linux", "architecture": "amd64"}'
    assert image["imageDigest"] == digest
    assert image["imageTags"] == ["v1"]
    assert image["imageManifestMediaType"] == kind
    assert image["artifactMediaType"] == CONFIG_TYPES[kind]
    assert image["imageSizeInBytes"] == 8 + len(config)


def test_its_manifest_is_given_out_to_the_byte(world: World, repository: str) -> None:
    digest = world.push(repository, "v1")
    named = [{"imageTag": "v1"}]
    (image,) = world.ecr.batch_get_image(repositoryName=repository, imageIds=named)["images"]
    assert digest_of(image["imageManifest"].encode()) == digest


def test_an_index_is_listed_with_its_images_which_have_no_tag(
    world: World, repository: str
) -> None:
    digests = [world.push(repository, architecture=machine) for machine in ("arm64", "amd64")]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": SCHEMA_2,
                "digest": digest,
                "size": len(world.manifest(repository, digest).raw),
                "platform": {"os": "linux", "architecture": machine},
            }
            for digest, machine in zip(digests, ("arm64", "amd64"), strict=True)
        ],
    }
    top = world.push_manifest(repository, "both", index)
    images = {image["imageDigest"]: image for image in told(world, repository)}
    assert set(images) == {top, *digests}
    assert images[top]["imageTags"] == ["both"]
    assert images[top]["imageManifestMediaType"] == OCI_INDEX
    assert images[top]["imageSizeInBytes"] == images[digests[0]]["imageSizeInBytes"]
    assert all("imageTags" not in images[digest] for digest in digests)


def test_a_tag_that_moves_leaves_the_old_image_without_one(world: World, repository: str) -> None:
    first = world.push(repository, "latest")
    assert tags(world, repository) == {"latest": first}
    second = world.push(repository, "latest", layers=(b"other",))
    assert tags(world, repository) == {"latest": second, "-": first}
    assert tags(world, repository) == {"latest": second, "-": first}, "asking changes nothing"


def test_several_tags_of_one_image_are_one_image(world: World, repository: str) -> None:
    digest = world.push(repository, "v1")
    world.push(repository, "v2")
    (image,) = told(world, repository)
    assert image["imageDigest"] == digest
    assert sorted(image["imageTags"]) == ["v1", "v2"]


def test_what_is_pushed_to_no_repository_of_ecr_is_not_in_it(world: World) -> None:
    world.push("never/created", "v1")
    with pytest.raises(world.ecr.exceptions.RepositoryNotFoundException):
        world.ecr.list_images(repositoryName="never/created")


def test_a_push_that_ecr_would_have_refused_is_told_in_the_log(
    world: World, repository: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    first = world.push(repository, "v1")
    assert tags(world, repository) == {"v1": first}
    world.push(repository, "v1", layers=(b"other",))
    with caplog.at_level(logging.WARNING, "byoc.ecr"):
        assert tags(world, repository) == {"v1": first}
    assert f"ECR would have refused the push to {repository}" in caplog.text


# -- what is changed by the API --------------------------------------------------------------------


def test_an_image_that_is_deleted_is_deleted_in_the_registry(world: World, repository: str) -> None:
    digest = world.push(repository, "v1")
    done = world.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert done["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert tags(world, repository) == {}
    assert world.manifest(repository, "v1") is None
    assert world.push(repository, "v1") == digest
    assert tags(world, repository) == {"v1": digest}, "pushed again, it is there again"


def test_a_tag_that_is_deleted_stays_deleted_while_its_image_has_another(
    world: World, repository: str
) -> None:
    digest = world.push(repository, "v1")
    world.push(repository, "v2")
    world.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert tags(world, repository) == {"v2": digest}
    assert world.manifest(repository, "v2").digest == digest


def test_a_repository_that_is_deleted_is_emptied(world: World, repository: str) -> None:
    digest = world.push(repository, "v1")
    with pytest.raises(world.ecr.exceptions.RepositoryNotEmptyException):
        world.ecr.delete_repository(repositoryName=repository)
    assert world.manifest(repository, "v1").digest == digest, "refused is not done"
    world.ecr.delete_repository(repositoryName=repository, force=True)
    assert world.manifest(repository, "v1") is None
    world.ecr.create_repository(repositoryName=repository)
    assert tags(world, repository) == {}


def test_a_repository_that_is_made_anew_has_what_was_pushed_to_it(
    world: World, repository: str
) -> None:
    world.push(repository, "v1")
    world.ecr.delete_repository(repositoryName=repository, force=True)
    world.ecr.create_repository(repositoryName=repository)
    digest = world.push(repository, "v1")
    assert tags(world, repository) == {"v1": digest}


def test_a_tag_that_is_given_by_the_api_is_in_the_registry_too(
    world: World, repository: str
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-retag.html"""
    digest = world.push(repository, "v1")
    named = [{"imageTag": "v1"}]
    (image,) = world.ecr.batch_get_image(repositoryName=repository, imageIds=named)["images"]
    world.ecr.put_image(
        repositoryName=repository, imageManifest=image["imageManifest"], imageTag="prod"
    )
    assert world.manifest(repository, "prod").digest == digest
    assert tags(world, repository) == {"v1": digest, "prod": digest}


def test_a_manifest_without_its_layers_is_told_in_the_log(
    world: World, repository: str, caplog: pytest.LogCaptureFixture
) -> None:
    layers = [{"mediaType": "x", "size": 1, "digest": "sha256:" + "1" * 64}]
    config = {"mediaType": "x", "size": 1, "digest": "sha256:" + "2" * 64}
    manifest = {"schemaVersion": 2, "mediaType": SCHEMA_2, "config": config, "layers": layers}
    with caplog.at_level(logging.WARNING, "byoc.ecr"):
        world.ecr.put_image(
            repositoryName=repository, imageManifest=json.dumps(manifest), imageTag="v1"
        )
    assert "its layers were not pushed" in caplog.text


def test_a_registry_that_is_gone_is_an_error_of_ecr_s_and_not_a_silence() -> None:
    with registry_world() as world:
        world.ecr.create_repository(repositoryName="some")
        world.portal.call(world.registry.close)
        with pytest.raises(ClientError) as refused:
            world.ecr.list_images(repositoryName="some")
        assert refused.value.response["Error"]["Code"] == "ServerException"
        assert "was stopped" in refused.value.response["Error"]["Message"]


# -- with Docker -----------------------------------------------------------------------------------


@pytest.mark.docker
def test_docker_logs_in_with_the_token_and_pushes_to_the_address_that_ecr_told(
    world: World, repository: str, tmp_path: Any
) -> None:
    (token,) = world.ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    home = {"DOCKER_CONFIG": str(tmp_path)}
    host = token["proxyEndpoint"].removeprefix("http://")
    said = docker("login", "--username", user, "--password-stdin", host, stdin=password, **home)
    assert said.startswith("Login Succeeded")
    (shown,) = world.ecr.describe_repositories(repositoryNames=[repository])["repositories"]
    name = f"{shown['repositoryUri']}:v1"
    identity = tiny_image(name, repository)
    try:
        docker("push", name, **home)
    finally:
        docker("rmi", name)
    (image,) = told(world, repository)
    assert image["imageTags"] == ["v1"]
    assert image["imageManifestMediaType"] == SCHEMA_2
    manifest = world.manifest(repository, "v1")
    assert manifest.config_digest == identity
    layers = json.loads(manifest.raw)["layers"]
    config = json.loads(manifest.raw)["config"]
    assert image["imageSizeInBytes"] == sum(each["size"] for each in (*layers, config))


@pytest.mark.docker
def test_an_oci_manifest_that_skopeo_pushed_shows_its_type(world: World, repository: str) -> None:
    name = f"{world.address}/{repository}:v1"
    tiny_image(name, repository)
    try:
        subprocess.run(
            [
                *("skopeo", "copy", "--quiet", "--insecure-policy", "--format", "oci"),
                *("--dest-tls-verify=false", f"docker-daemon:{name}", f"docker://{name}"),
            ],
            check=True,
            timeout=60,
        )
    finally:
        docker("rmi", name)
    (image,) = told(world, repository)
    assert image["imageManifestMediaType"] == OCI_MANIFEST
    assert image["artifactMediaType"] == CONFIG_TYPES[OCI_MANIFEST]
    assert image["imageSizeInBytes"] > 0


@pytest.mark.docker
def test_the_project_s_script_pushes_without_being_told_where(world: World, tmp_path: Path) -> None:
    name = "byoc-test-by-script"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = subprocess.run(
        [str(SCRIPT), name, "--without-check", "--context", str(tmp_path)],
        env={
            **bare_environment(),
            "PATH": f"{AWS_CLI.parent}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": world.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
            "DOCKER_CONFIG": str(tmp_path / "docker"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    uri = done.stdout.strip()
    try:
        assert uri.rpartition(":")[0] == f"{world.address}/{name}"
        (image,) = told(world, name)
        assert image["imageTags"] == [uri.rpartition(":")[2], "latest"]
        assert image["imageManifestMediaType"] == SCHEMA_2
        identity = docker("image", "inspect", "--format", "{{.Id}}", uri)
        assert world.manifest(name, "latest").config_digest == identity
    finally:
        docker("rmi", uri, f"{world.address}/{name}:latest", f"{name}:latest")

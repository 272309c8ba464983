"""Owns: the claims of emulator/registry_manifest.py: what manifests tell, whatever they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.registry_manifest import (
    KINDS,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA_2,
    SCHEMA_2_LIST,
    Child,
    Manifest,
    NotAManifest,
    children,
    platform_of,
    platform_of_config,
    read_manifest,
    runs,
)


def read(told: Any, kind: str = SCHEMA_2) -> Manifest:
    return read_manifest(json.dumps(told).encode(), kind, "sha256:m")


def entry(digest: str, platform: str = "linux/amd64", **more: Any) -> dict[str, Any]:
    system, _, machine = platform.partition("/")
    return {"digest": digest, "platform": {"os": system, "architecture": machine}, **more}


ATTESTATION = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}


def test_its_size_is_that_of_the_layers_and_the_configuration() -> None:
    told = {"config": {"digest": "sha256:c", "size": 7}, "layers": [{"size": 100}, {"size": 20}]}
    found = read(told)
    assert (found.size_bytes, found.config_digest, found.run_digest) == (
        127,
        "sha256:c",
        "sha256:m",
    )


def test_what_was_pushed_is_kept_to_the_byte() -> None:
    raw = '{ "layers" : [],\n "x": "é" }'
    assert read_manifest(raw.encode(), SCHEMA_2, "sha256:m").raw == raw


@pytest.mark.parametrize("kind", [SCHEMA_2, OCI_MANIFEST])
def test_a_manifest_of_one_image_has_no_children(kind: str) -> None:
    assert children(read({"manifests": [entry("sha256:a")]}, kind)) == ()


@pytest.mark.parametrize("kind", [SCHEMA_2_LIST, OCI_INDEX])
def test_of_several_images_the_one_for_amd64_runs(kind: str) -> None:
    told = {
        "manifests": [
            entry("sha256:arm", "linux/arm64"),
            entry("sha256:att", "unknown/unknown", **ATTESTATION),
            entry("sha256:amd"),
        ]
    }
    listed = children(read(told, kind))
    assert [child.digest for child in listed] == ["sha256:arm", "sha256:att", "sha256:amd"]
    assert runs(listed) == Child(digest="sha256:amd", platform="linux/amd64")


def test_without_one_for_amd64_the_first_image_runs_and_an_attestation_never() -> None:
    attestation = Child(digest="sha256:att", platform=None, is_image=False)
    arm = Child(digest="sha256:arm", platform="linux/arm64")
    assert runs((attestation, arm)) == arm
    assert runs((attestation,)) is None


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64/v8"),
        ({"os": "linux", "architecture": "amd64", "variant": ""}, "linux/amd64"),
        ({"os": "unknown", "architecture": "unknown"}, None),
        ({"os": "linux"}, None),
        ({"os": 1, "architecture": []}, None),
        ("linux/amd64", None),
        (None, None),
    ],
)
def test_a_platform_is_told_as_docker_writes_it_or_not_at_all(
    told: object, platform: str | None
) -> None:
    assert platform_of(told) == platform
    assert platform_of_config(json.dumps(told).encode()) == platform


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"<html>", "in JSON"),
        (b"[]", "it is list"),
        (b"\xff\xfe{\x00", "in JSON"),
        (b"", "in JSON"),
    ],
)
def test_what_is_no_manifest_is_an_error_that_tells_what_came(raw: bytes, told: str) -> None:
    with pytest.raises(NotAManifest, match=told):
        read_manifest(raw, SCHEMA_2, "sha256:m")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
entries = st.fixed_dictionaries(
    {"digest": st.just("sha256:a") | json_values},
    optional={"platform": json_values, "annotations": json_values},
)
members = st.fixed_dictionaries(
    {"manifests": st.lists(entries | json_values, min_size=1) | json_values},
    optional={"config": json_values, "layers": st.lists(json_values) | json_values},
)


@given(told=members, kind=st.sampled_from((*KINDS, "text/html")))
def test_nothing_that_a_registry_may_say_breaks_the_reading(told: Any, kind: str) -> None:
    found = read(told, kind)
    assert found.size_bytes >= 0
    listed = children(found)
    assert runs(listed) in (None, *listed)

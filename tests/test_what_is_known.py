"""Owns: the claims of what the front knows of IAM and S3, out of moto's own records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.api.records import Records
from emulator.api.what_is_known import MotoKnown, assumable, object_of

ACCOUNT, REGION = "210987654321", "eu-west-1"
"""An account that nobody else uses here."""
BUCKET = "models-that-are-known"

LETS_IN: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Service": "sagemaker.amazonaws.com"},
    "Action": "sts:AssumeRole",
}


@pytest.fixture(scope="module")
def known() -> Iterator[MotoKnown]:
    from moto.iam.models import iam_backends
    from moto.s3.models import s3_backends

    yield MotoKnown(
        Records(ACCOUNT, REGION),
        region=REGION,
        account=ACCOUNT,
        account_is_told=False,
        endpoints={},
        image=lambda uri: None,
    )
    for backends in (iam_backends, s3_backends):
        backends.pop(ACCOUNT, None)


def test_of_an_account_that_nobody_used_nothing_is_known_and_nothing_is_made(
    known: MotoKnown,
) -> None:
    from moto.iam.models import iam_backends
    from moto.s3.models import s3_backends

    assert known.role("arn:aws:iam::333333333333:role/Any") is None
    assert object_of("s3://b/k", "333333333333") is None
    for backends in (iam_backends, s3_backends):
        assert "333333333333" not in dict(backends)


def test_a_role_that_was_made_here_is_judged_by_its_trust_policy(known: MotoKnown) -> None:
    from moto.iam.models import iam_backends

    backend = iam_backends[ACCOUNT]["aws"]
    policies = {"Good": [LETS_IN], "Bad": [{**LETS_IN, "Principal": {"Service": "ec2.aws"}}]}
    for name, statements in policies.items():
        text = json.dumps({"Version": "2012-10-17", "Statement": statements})
        backend.create_role(name, text, "/service-role/", "", "", [], "3600")
    arn = f"arn:aws:iam::{ACCOUNT}:role/service-role"
    assert known.role(f"{arn}/Good") is True
    assert known.role(f"{arn}/Bad") is False
    assert known.role(f"{arn}/Unknown") is None, "it may be there on AWS"


@pytest.mark.parametrize(
    ("statement", "lets"),
    [
        (LETS_IN, True),
        ([LETS_IN], True),
        ([{**LETS_IN, "Principal": {"Service": ["ec2.a", "sagemaker.amazonaws.com"]}}], True),
        ([{**LETS_IN, "Principal": "*"}], True),
        ([{**LETS_IN, "Effect": "Deny"}], False),
        ([{**LETS_IN, "Principal": {"AWS": "*"}}], False),
        ([], False),
    ],
)
def test_a_trust_policy_lets_sagemaker_in_or_not(statement: Any, lets: bool) -> None:
    assert assumable(json.dumps({"Statement": statement})) is lets
    assert assumable({"Statement": statement}) is lets


@pytest.mark.parametrize("policy", ["", "{", "[]", "{}", None, 3, '{"Statement": [3]}'])
def test_of_a_trust_policy_that_cannot_be_read_nothing_is_known(policy: Any) -> None:
    assert assumable(policy) is None


def test_model_data_is_found_by_each_form_of_its_address(known: MotoKnown) -> None:
    from moto.s3.models import s3_backends

    backend = s3_backends[ACCOUNT]["aws"]
    backend.create_bucket(BUCKET, REGION)
    backend.put_bucket_versioning(BUCKET, "Enabled")
    backend.put_object(BUCKET, "a/m+1.tar.gz", b"x")
    found = (
        f"s3://{BUCKET}/a/m+1.tar.gz",
        f"https://{BUCKET}.s3.amazonaws.com/a/m+1.tar.gz",
        f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/a/m%2B1.tar.gz",
        f"https://s3.eu-west-1.amazonaws.com/{BUCKET}/a/m+1.tar.gz",
    )
    for url in found:
        assert known.model_data(url) is True, url
        assert object_of(url, ACCOUNT).value == b"x"
    backend.put_object(BUCKET, "a#1?.gz", b"y")
    assert known.model_data(f"s3://{BUCKET}/a#1?.gz") is True
    assert known.model_data("https://[") is False
    for url in (
        f"s3://{BUCKET}/a",
        f"s3://{BUCKET}",
        "s3://others/a/m+1.tar.gz",
        f"https://{BUCKET}",
        "x",
    ):
        assert known.model_data(url) is False, url
    backend.delete_object(BUCKET, "a/m+1.tar.gz")
    assert known.model_data(found[0]) is False, "only the mark of its deletion is left"

"""Owns: the claims of emulator/control/service_model.py, words.py and patterns.py."""

from __future__ import annotations

import copy
import json
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.control import words
from emulator.control.patterns import compiled
from emulator.control.service_model import (
    Broken,
    Unknown,
    WrongType,
    findings,
    input_shape,
    operation,
    service,
)
from tests.control_values import MISSING, OPERATIONS, breaks, valid

QUICK = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def found(name: str, body: Any) -> list[Any]:
    return [str(f) if isinstance(f, Broken) else f for f in findings(name, body)]


@pytest.mark.ahead
@pytest.mark.parametrize("name", OPERATIONS)
@QUICK
@given(data=st.data())
def test_a_valid_call_has_no_finding(name: str, data: st.DataObject) -> None:
    body = data.draw(valid(input_shape(name)))
    assert found(name, body) == []


@pytest.mark.ahead
@pytest.mark.parametrize("name", OPERATIONS)
@QUICK
@given(data=st.data())
def test_breaking_one_constraint_gives_its_sentence_at_its_path(
    name: str, data: st.DataObject
) -> None:
    body = data.draw(valid(input_shape(name)))
    for change in breaks(input_shape(name), body):
        broken = copy.deepcopy(body)
        inner: Any = broken
        for key in change.keys[:-1]:
            inner = inner[key]
        if change.value is MISSING:
            del inner[change.keys[-1]]
        else:
            inner[change.keys[-1]] = change.value
        (finding,) = found(name, broken)
        assert change.says in str(finding), change
        if isinstance(finding, str):
            assert f"at '{change.path}' failed to satisfy constraint: Member must" in finding
        else:
            assert finding.path == change.path


def test_every_operation_of_sagemaker_can_be_judged() -> None:
    for name in service().operation_names:
        assert all(isinstance(f, str) for f in found(name, {})), name


def test_an_operation_that_sagemaker_does_not_have_is_none() -> None:
    assert operation("CreateEverything") is None


# -- words ----------------------------------------------------------------------------------------

VARIANT = {"VariantName": "AllTraffic", "ModelName": "m"}


def config(**variant: Any) -> dict[str, Any]:
    return {"EndpointConfigName": "c", "ProductionVariants": [{**VARIANT, **variant}]}


def test_a_name_that_breaks_two_constraints_is_told_twice() -> None:
    name = "my_" + "m" * 61
    pattern = "[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    sentences = found("DeleteModel", {"ModelName": name})
    assert words.detected(sentences) == (
        f"2 validation errors detected: Value '{name}' at 'modelName' failed to satisfy constraint:"
        f" Member must have length less than or equal to 63; Value '{name}' at 'modelName' failed"
        f" to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    )


def test_the_path_of_a_variant_is_as_aws_wrote_it() -> None:
    # https://github.com/aws/amazon-sagemaker-examples/issues/2236
    (sentence,) = found("CreateEndpointConfig", config(ModelName="ENTER MODEL NAME"))
    assert sentence.startswith(
        "Value 'ENTER MODEL NAME' at 'productionVariants.1.member.modelName' failed to satisfy"
        " constraint: Member must satisfy regular expression pattern: "
    )
    assert words.detected([sentence]).startswith("1 validation error detected: Value ")


def test_a_map_is_told_once_with_all_that_its_values_must_be() -> None:
    # https://github.com/aws/sagemaker-python-sdk/issues/314
    environment = {"A": "1", "LONG": "x" * 1025, "LONGER": "x" * 2000}
    body = {"ModelName": "m", "PrimaryContainer": {"Environment": environment}}
    shown = "{A=1, LONG=" + "x" * 1025 + ", LONGER=" + "x" * 2000 + "}"
    (sentence,) = found("CreateModel", body)
    assert sentence == (
        f"Value '{shown}' at 'primaryContainer.environment' failed to satisfy constraint: Map value"
        " must satisfy constraint: [Member must have length less than or equal to 1024, Member must"
        " have length greater than or equal to 0, Member must satisfy regular expression pattern:"
        r" [\S\s]*]"
    )


def test_the_keys_of_a_map_are_told_apart_from_its_values() -> None:
    body = {"ModelName": "m", "PrimaryContainer": {"Environment": {"1BAD-KEY": "v"}}}
    (sentence,) = found("CreateModel", body)
    assert sentence.startswith(
        "Value '{1BAD-KEY=v}' at 'primaryContainer.environment' failed to satisfy constraint: Map"
        " keys must satisfy constraint: [Member must have length less than or equal to 1024, "
    )


def test_a_list_is_told_once_with_all_that_its_items_must_be() -> None:
    # https://github.com/appleboy/lambda-action/issues/72
    body = {
        "ModelName": "m",
        "VpcConfig": {"SecurityGroupIds": ["sg_1", "sg-2"], "Subnets": ["subnet-1"]},
    }
    (sentence,) = found("CreateModel", body)
    assert sentence == (
        "Value '[sg_1, sg-2]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member"
        " must satisfy constraint: [Member must have length less than or equal to 32, Member must"
        " have length greater than or equal to 0, Member must satisfy regular expression pattern:"
        " [-0-9a-zA-Z]+]"
    )


def test_too_many_entries_are_told_of_the_map_itself() -> None:
    environment = {f"K{number}": "v" for number in range(101)}
    body = {"ModelName": "m", "PrimaryContainer": {"Environment": environment}}
    (sentence,) = found("CreateModel", body)
    assert sentence.endswith("Member must have length less than or equal to 100")


@pytest.mark.parametrize(
    ("value", "java"),
    [
        (None, "null"), (True, "true"), (3, "3"), (3.0, "3"), (3.5, "3.5"), ("é", "é"), ([], "[]"),
        (["a", None], "[a, null]"), ({"a": [1], "b": {"c": False}}, "{a=[1], b={c=false}}"),
        (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_values_are_shown_as_java_prints_them(value: Any, java: str) -> None:
    assert words.quoted(value) == f"'{java}'"


def test_a_secret_value_is_not_repeated() -> None:
    shapes = [s for n in service().shape_names if (s := service().shape_for(n)).metadata.get(
        "sensitive")]  # fmt: skip
    assert shapes, "the model has secrets"
    assert words.broken(None, "password", words.NOT_NULL).startswith("Value at 'password' failed")


# -- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, [], "x", 1, True, 1.5])
def test_a_body_that_is_no_object_is_a_wrong_type(body: Any) -> None:
    (finding,) = found("CreateModel", body)
    assert isinstance(finding, WrongType)
    assert str(finding) == f"The body must be an object, not {body!r}."


@pytest.mark.parametrize("size", [2048, 2048.0])
def test_a_whole_number_may_be_written_with_a_point(size: float) -> None:
    body = config(ServerlessConfig={"MemorySizeInMB": size, "MaxConcurrency": 1})
    assert found("CreateEndpointConfig", body) == []


@pytest.mark.parametrize("size", ["2048", 3072.5, True, float("nan"), [2048], 10**400])
def test_what_is_no_whole_number_of_32_bits_is_a_wrong_type(size: Any) -> None:
    body = config(ServerlessConfig={"MemorySizeInMB": size, "MaxConcurrency": 1})
    (finding,) = found("CreateEndpointConfig", body)
    assert isinstance(finding, WrongType)
    assert finding.path == "productionVariants.1.member.serverlessConfig.memorySizeInMB"
    assert len(str(finding)) < 250


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 10**400, "1", True])
def test_what_is_no_finite_number_is_a_wrong_type(weight: Any) -> None:
    (finding,) = found("CreateEndpointConfig", config(InitialVariantWeight=weight))
    assert isinstance(finding, WrongType)


def test_null_is_the_same_as_leaving_a_member_out() -> None:
    assert found("CreateEndpointConfig", config(InstanceType=None)) == []
    (sentence,) = found("DeleteModel", {"ModelName": None})
    assert sentence == (
        "Value null at 'modelName' failed to satisfy constraint: Member must not be null"
    )


def test_null_in_a_list_is_a_wrong_type() -> None:
    (finding,) = found("CreateEndpointConfig", {"EndpointConfigName": "c",
                                                "ProductionVariants": [None]})  # fmt: skip
    assert isinstance(finding, WrongType)
    assert finding.path == "productionVariants.1.member"


def test_an_unknown_member_is_told_with_the_nearest_one() -> None:
    body = config(ServerlessConfig={"MemorySizeInMb": 1024, "MemorySizeInMB": 1024,
                                    "MaxConcurrency": 1})  # fmt: skip
    (finding,) = found("CreateEndpointConfig", body)
    assert isinstance(finding, Unknown)
    assert finding.path == "productionVariants.1.member.serverlessConfig.memorySizeInMb"
    assert str(finding).endswith("did you mean MemorySizeInMB?.")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["EndpointConfigName", "ProductionVariants", "VariantName", "Tags", "Key",
                         "ServerlessConfig", "x"]), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
@settings(deadline=None)
def test_no_body_makes_the_walk_fail(body: Any) -> None:
    for finding in found("CreateEndpointConfig", body):
        assert str(finding)


# -- patterns -------------------------------------------------------------------------------------

PATTERNS = sorted(
    {
        shape.metadata["pattern"]
        for name in service().shape_names
        if (shape := service().shape_for(name)).metadata.get("pattern")
    }
)


def test_every_pattern_of_the_model_can_be_compiled() -> None:
    assert len(PATTERNS) > 150
    assert all(isinstance(compiled(pattern), re.Pattern) for pattern in PATTERNS)


def own_patterns() -> list[str]:
    """Those that the calls here can meet."""
    seen: set[str] = set()

    def visit(shape: Any) -> None:
        if shape.metadata.get("pattern"):
            seen.add(shape.metadata["pattern"])
        children = list(getattr(shape, "members", {}).values())
        children += [getattr(shape, name) for name in ("member", "key", "value")
                     if hasattr(shape, name)]  # fmt: skip
        for child in children:
            visit(child)

    for name in OPERATIONS:
        visit(input_shape(name))
    return sorted(seen)


HOSTILE = [
    "a" * 10_000,
    "a" * 9_999 + "!",
    "-" * 10_000,
    "a" + "-" * 9_999,
    "a-" * 5_000,
    "a" * 60 + "-" * 9_940,
    " " * 10_000,
    "/" * 10_000,
    "s3://" + "a" * 5_000 + "/" + "b" * 4_994 + "\n",
    "s3://" + "/" * 9_994 + "\n",
    "arn:aws" + "-" * 9_000 + ":sagemaker:",
    "arn:aws:sagemaker:" + "0" * 9_900,
    "arn:aws:iam::123456789012:role" + "/" * 9_900 + "!",
    "arn:aws:sns:us-east-1:123456789012:" + "." * 9_900 + "\n",
    "a/" + "-" * 9_998,
    "mig-1g.1gb" + "+a" * 4_990 + "!",
    "/" + ".a" * 4_999 + "!",
    "é" * 10_000,
    "\u2028" * 10_000,
]


@pytest.mark.parametrize("pattern", own_patterns())
def test_no_pattern_takes_long_on_a_long_hostile_text(pattern: str) -> None:
    for text in HOSTILE:
        begun = time.perf_counter()
        compiled(pattern).fullmatch(text)
        assert time.perf_counter() - begun < 0.25, (pattern, text[:40])


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\d{12}", "1" * 12, True),
        (r"\d{12}", "\u0661" * 12, False),  # digits, but not ASCII's
        (r"[\S]+", "a\u00a0b", True),  # no white space to Java
        (r"[\S]+", "a b", False),
        (r".*", "a\nb", False),
        (r".*", "a\rb", False),
        (r".*", "a\u2028b", False),
        (r"a\.b", "axb", False),
        (r"[.]b", "xb", False),
        (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "name\n", False),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 1\u3000\u0661", True),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "tab\t", False),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "\U0001f600", False),
        (r"(https|s3)://([^/]+)/?(.*)", "s3://bucket", True),
        (r"(https|s3)://([^/]+)/?(.*)", "s3://bucket/a//b", True),
        (r"(https|s3)://([^/]+)/?(.*)", "s3:///key", False),
        (r"(https|s3)://([^/]+)/?(.*)", "/opt/m.tar.gz", False),
        (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", "a \u20ac!", True),
        (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", "a\x00", False),
    ],
)
def test_a_pattern_means_what_it_means_to_java(pattern: str, text: str, matches: bool) -> None:
    assert (compiled(pattern).fullmatch(text) is not None) is matches


@given(st.text(st.sampled_from("s3:/htp\nab"), max_size=14))
def test_the_faster_pattern_of_an_s3_address_is_the_same_language(text: str) -> None:
    slow = re.compile(r"(https|s3)://([^/]+)/?([^\n\r\x85\u2028\u2029]*)", re.ASCII)
    fast = compiled(r"(https|s3)://([^/]+)/?(.*)")
    for candidate in (text, "s3://" + text):
        assert (fast.fullmatch(candidate) is None) is (slow.fullmatch(candidate) is None)


def test_a_whole_call_with_hostile_names_is_judged_in_bounded_time() -> None:
    body = config(VariantName="a" * 10_000, ModelName="-" * 10_000)
    body["Tags"] = [{"Key": "é" * 10_000, "Value": "!" * 10_000}] * 60
    begun = time.perf_counter()
    assert len(found("CreateEndpointConfig", body)) > 100
    assert time.perf_counter() - begun < 1
    assert json.dumps(body)

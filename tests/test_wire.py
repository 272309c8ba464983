"""Owns: the claims of the wire's modules, with botocore's service model as the oracle. Nothing here
opens a connection; what real clients make of the answers is in test_wire_boto3.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import pytest
from botocore.compat import HTTPHeaders
from botocore.eventstream import EventStreamBuffer
from botocore.model import OperationModel, ServiceModel, Shape
from hypothesis import example, given
from hypothesis import strategies as st

from emulator import errors, eventstream
from emulator.http import Outcome, Reply, Request
from emulator.limits import MIB, PROFILES, Limits, Profile
from emulator.model_errors import ModelError
from emulator.runtime_errors import (
    KINDS,
    MAX_MESSAGE,
    OWN_WORDS,
    ContentTooLarge,
    Fault,
    InternalDependency,
    InternalFailure,
    InternalStreamFailure,
    ModelNotReady,
    ModelStreamError,
    NotEmulated,
    Place,
    RuntimeFailure,
    ServiceUnavailable,
    StreamError,
    Throttled,
    UnknownOperation,
    ValidationError,
)
from emulator.wire import Invoke, Target, WireLimits, check_length, parse_invoke, parse_target
from emulator.wire_answers import (
    ERROR_TYPE,
    REQUEST_ID,
    Response,
    failure_of,
    render_failure,
    render_stream,
    render_success,
)
from emulator.wire_members import (
    ASYNC_HEADERS,
    ENDPOINT_NAME,
    KNOWN_HEADERS,
    MEMBERS,
    Member,
    Operation,
    Rule,
)

SERVERLESS = WireLimits.of("serverless")
REALTIME = WireLimits.of("realtime")
PLACE = Place(endpoint="iris", request_id="r-1", region="eu-west-1", account="123456789012")
SEE = (
    "See https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
    "#logEventViewer:group=/aws/sagemaker/Endpoints/iris in account 123456789012 for more"
    " information."
)
GROUP = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/iris"

MODEL: ServiceModel = botocore.session.Session().get_service_model("sagemaker-runtime")
PATHS = {
    Operation.INVOKE: "/endpoints/iris/invocations",
    Operation.STREAM: "/endpoints/iris/invocations-response-stream",
    Operation.ASYNC: "/endpoints/iris/async-invocations",
}
PLAIN_INVOKE_HEADERS = {"Content-Type": "text/csv", "Accept": "application/json"}


def modelled(operation: Operation) -> OperationModel:
    return MODEL.operation_model(operation.value)


def headers_of(shape: Shape) -> dict[str, Shape]:
    return {
        name: member
        for name, member in shape.members.items()
        if member.serialization.get("location") == "header"
    }


def invoke(
    headers: dict[str, str] | None = None,
    body: bytes = b"1,2",
    operation: Operation = Operation.INVOKE,
    limits: WireLimits = SERVERLESS,
) -> Invoke:
    return parse_invoke("POST", PATHS[operation], "", (headers or {}).items(), body, limits=limits)


def refusal(headers: dict[str, str], operation: Operation = Operation.INVOKE,
            limits: WireLimits = SERVERLESS) -> RuntimeFailure:  # fmt: skip
    with pytest.raises(RuntimeFailure) as caught:
        invoke(headers, operation=operation, limits=limits)
    return caught.value


def body_of(response: Response) -> dict[str, object]:
    parsed = json.loads(response.body)
    assert isinstance(parsed, dict)
    return parsed


def answer(status: int | None, body: bytes = b"", **headers: str) -> Reply:
    return Reply(
        request=Request(method="POST", path="/invocations"),
        outcome=Outcome.TIMEOUT if status is None else Outcome.ANSWERED,
        seconds=0.1,
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
        body_bytes=len(body),
    )


# The service model, member by member.


def test_the_operations_are_those_of_the_model() -> None:
    assert {operation.value for operation in Operation} == set(MODEL.operation_names)


@pytest.mark.parametrize("operation", Operation)
def test_the_path_of_an_operation_is_the_models(operation: Operation) -> None:
    http = modelled(operation).http
    path = http["requestUri"].replace("{EndpointName}", "iris")
    assert PATHS[operation] == path
    assert parse_target(http["method"], path) == Target(operation=operation, endpoint="iris")


@pytest.mark.parametrize("operation", Operation)
def test_a_request_has_nothing_but_a_name_headers_and_a_body(operation: Operation) -> None:
    shape = modelled(operation).input_shape
    rest = set(shape.members) - set(headers_of(shape))
    assert rest == {"EndpointName", "Body"}


def test_the_endpoints_name_has_the_models_constraint() -> None:
    assert rule_of(MODEL.shape_for("EndpointName")) == ENDPOINT_NAME


def rule_of(shape: Shape) -> Rule:
    assert shape.type_name == "string"
    return Rule(
        most=shape.metadata["max"],
        least=shape.metadata.get("min", 0),
        pattern=shape.metadata["pattern"],
        sensitive=shape.metadata.get("sensitive", False),
    )


@pytest.mark.parametrize("operation", MEMBERS)
def test_the_table_of_headers_is_the_models(operation: Operation) -> None:
    theirs = {
        (name, member.serialization["name"], rule_of(member))
        for name, member in headers_of(modelled(operation).input_shape).items()
    }
    assert {(m.name, m.header, m.rule) for m in MEMBERS[operation]} == theirs


def test_the_asynchronous_headers_are_the_models() -> None:
    theirs = headers_of(modelled(Operation.ASYNC).input_shape).values()
    assert set(ASYNC_HEADERS) == {member.serialization["name"] for member in theirs}


GOOD_VALUES = {
    "ContentType": "text/csv",
    "Accept": "application/json",
    "CustomAttributes": "trace=1",
    "TargetModel": "m.tar.gz",
    "TargetVariant": "AllTraffic",
    "TargetContainerHostname": "first",
    "InferenceId": "id-1",
    "EnableExplanations": "`true`",
    "InferenceComponentName": "part",
    "SessionId": "session-1",
    "PrefixAwareId": "app-1",
}
MODEL_HEADERS = [
    pytest.param(operation, name, member.serialization["name"], id=f"{operation.value}-{name}")
    for operation in Operation
    for name, member in headers_of(modelled(operation).input_shape).items()
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("operation", "name", "header"), MODEL_HEADERS)
def test_every_header_reaches_the_container_or_is_refused_by_name(
    operation: Operation, name: str, header: str, profile: str
) -> None:
    limits = REALTIME if profile == "realtime" else SERVERLESS
    value = GOOD_VALUES.get(name, "60")
    try:
        taken = invoke({header: value}, operation=operation, limits=limits)
    except NotEmulated as failure:
        whole = operation is Operation.ASYNC
        whole |= operation is Operation.STREAM and profile == "serverless"
        text = failure.message(PLACE) or ""
        assert (operation.value in text) if whole else (header in text and name in text)
        if operation is Operation.ASYNC:
            assert header in text
    except ValidationError as failure:
        assert name == "TargetModel"
        assert failure.error_code == "TARGET_MODEL_HEADER_NOT_SUPPORTED"
    else:
        assert list(taken.container_headers().values()) == [value]
        forwarded = "Accept" if name == "Accept" else header
        assert list(taken.container_headers()) == [forwarded]


def test_what_is_refused_is_what_byoc_cannot_do() -> None:
    refused = {
        (m.name, profile)
        for members in MEMBERS.values()
        for m in members
        for profile in PROFILES
        if m.refusal(profile)
    }
    whole = {"TargetContainerHostname", "InferenceComponentName", "EnableExplanations"}
    assert refused == {(n, p) for n in whole for p in PROFILES} | {("SessionId", "serverless")}


MODELLED_ERRORS = {
    shape.name: shape for operation in Operation for shape in modelled(operation).error_shapes
}


@pytest.mark.parametrize("name", MODELLED_ERRORS)
def test_every_modelled_error_has_an_entry_with_its_modelled_status(name: str) -> None:
    metadata = MODELLED_ERRORS[name].metadata
    kind = KINDS[name]
    assert kind.modelled
    assert kind.status == metadata.get("error", {}).get("httpStatusCode")
    if metadata.get("fault"):
        assert kind.fault is Fault.PLATFORM


def test_what_is_called_modelled_is() -> None:
    assert {code for code, kind in KINDS.items() if kind.modelled} == set(MODELLED_ERRORS)


def test_the_longest_message_is_the_models() -> None:
    assert MODEL.shape_for("Message").metadata["max"] == MAX_MESSAGE


def every_class(of: type[RuntimeFailure] = RuntimeFailure) -> Iterator[type[RuntimeFailure]]:
    for child in of.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from every_class(child)


def test_every_kind_of_error_can_be_raised() -> None:
    assert sorted(child.code for child in every_class()) == sorted(KINDS)


FAILURES: dict[str, RuntimeFailure] = {
    "client": ModelError.answered(404, b"no"),
    "server": ModelError.answered(500, b"boom"),
    "redirect": ModelError.answered(302, b""),
    "unreadable": ModelError.unreadable(500),
    "timeout": ModelError.timed_out(),
    "no-response": ModelError.no_response(),
    "memory": ModelError.out_of_memory(),
    "large-response": ModelError.response_too_large(200, 5, 4),
    "not-found": ValidationError.endpoint_not_found(),
    "oversize": ValidationError.oversize(),
    "target-model": ValidationError.target_model(),
    "variant": ValidationError.variant_not_found("Green"),
    "constraints": ValidationError.constraints(["a", "b"]),
    "throttled": Throttled(),
    "not-ready": ModelNotReady(),
    "internal": InternalFailure("Something broke."),
    "unavailable": ServiceUnavailable("Try again."),
    "dependency": InternalDependency("A neighbour broke."),
    "413": ContentTooLarge(4),
    "unknown": UnknownOperation(),
    "not-emulated": NotEmulated("this", "that."),
}


def test_every_error_that_is_an_http_answer_is_tried_here() -> None:
    codes = {failure.code for failure in FAILURES.values()}
    assert codes == {code for code, kind in KINDS.items() if kind.status is not None}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_botocore_reads_every_error_that_is_rendered(failure: RuntimeFailure) -> None:
    response = render_failure(failure, PLACE)
    shape = MODELLED_ERRORS.get(failure.code)
    parsed = parse_as_botocore(response)
    assert response.status == KINDS[failure.code].status
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"
    unknown = isinstance(failure, UnknownOperation)
    assert parsed["Error"]["Code"] == ("404" if unknown else failure.code)
    if shape is not None:
        assert parsed["Message"] == parsed["Error"]["Message"] == failure.message(PLACE)
        members = set(body_of(response)) - {"ErrorCode"}
        assert members == set(shape.members)


def parse_as_botocore(response: Response) -> dict[str, Any]:
    """As botocore's client does it: any answer first, then a modelled error once more."""
    parser = botocore.parsers.create_parser("rest-json")
    got = {
        "status_code": response.status,
        "headers": HTTPHeaders.from_dict(dict(response.headers)),
        # The client streams the body of a success; only that of an error is parsed.
        "body": response.body if response.status >= 300 else b"",
        "context": {"operation_name": "InvokeEndpoint"},
    }
    parsed: dict[str, Any] = parser.parse(got, modelled(Operation.INVOKE).output_shape)
    code = parsed.get("Error", {}).get("Code", "")
    if (shape := MODEL.shape_for_error_code(code)) is not None:
        parsed.update(parser.parse(got, shape))
    return parsed


OUTPUT_HEADERS_NEVER = {
    (Operation.ASYNC, "OutputLocation"): "the operation is refused",
    (Operation.ASYNC, "FailureLocation"): "the operation is refused",
}


@pytest.mark.parametrize(
    ("operation", "name", "header"),
    [
        (operation, name, member.serialization["name"])
        for operation in Operation
        for name, member in headers_of(modelled(operation).output_shape).items()
    ],
)
def test_every_header_of_an_answer_is_produced_or_never(
    operation: Operation, name: str, header: str
) -> None:
    said = answer(
        200, b"x", content_type="text/csv", x_amzn_sagemaker_custom_attributes="a=1",
        x_amzn_sagemaker_new_session_id="s-1; Expires=2030-01-01T00:00:00Z",
        x_amzn_sagemaker_closed_session_id="s-0",
    )  # fmt: skip
    made = {
        Operation.INVOKE: render_success(said, "AllTraffic", "r-1"),
        Operation.STREAM: render_stream(said.headers, "AllTraffic", "r-1"),
    }.get(operation)
    if made is None:
        assert (operation, name) in OUTPUT_HEADERS_NEVER
    else:
        assert header in dict(made.headers)


# The way in.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/iris/invocations"),
        ("post", "/endpoints/iris/invocations"),
        ("POST", "/"),
        ("POST", "/endpoints//invocations"),
        ("POST", "/endpoints/iris/invocations/"),
        ("POST", "/endpoints/iris/invocations?x=1"),
        ("POST", "/Endpoints/iris/invocations"),
        ("POST", "/endpoints/iris/ping"),
        ("POST", "/endpoints/a/b/invocations"),
        ("POST", "endpoints/iris/invocations"),
        ("POST", "/endpoints/iris/invocations\n"),
    ],
)
def test_any_other_method_or_path_is_an_unknown_operation(method: str, path: str) -> None:
    with pytest.raises(UnknownOperation):
        parse_target(method, path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("invocations-bidirectional-stream", "InvokeEndpointWithBidirectionalStream"),
        ("openai/v1/chat/completions", "OpenAI"),
    ],
)
def test_a_path_that_aws_has_and_byoc_has_not_says_so(path: str, name: str) -> None:
    with pytest.raises(NotEmulated, match=name):
        parse_target("POST", f"/endpoints/iris/{path}")


def test_an_endpoints_name_is_decoded_before_it_is_judged() -> None:
    assert parse_target("POST", "/endpoints/%69ris/invocations").endpoint == "iris"
    with pytest.raises(ValidationError) as caught:
        parse_target("POST", "/endpoints/..%2F..%2Fping/invocations")
    assert caught.value.message(PLACE) == (
        "1 validation error detected: Value '../../ping' at 'endpointName' failed to satisfy"
        " constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
    )


def test_every_broken_constraint_is_told() -> None:
    with pytest.raises(ValidationError) as caught:
        parse_target("POST", f"/endpoints/{'my_' * 22}/invocations")
    name = "my_" * 22
    assert caught.value.message(PLACE) == (
        f"2 validation errors detected: Value '{name}' at 'endpointName' failed to satisfy"
        f" constraint: Member must have length less than or equal to 63; Value '{name}' at"
        " 'endpointName' failed to satisfy constraint: Member must satisfy regular expression"
        " pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
    )


@pytest.mark.parametrize("name", ["a", "A-b", "a--b", "a" * 63])
def test_a_good_endpoints_name_passes(name: str) -> None:
    assert parse_target("POST", f"/endpoints/{name}/invocations").endpoint == name


@pytest.mark.parametrize("name", ["-a", "a-", "a_b", "a" * 64, "a%00", "a%0A", "%FF", "a%20b"])
def test_a_bad_endpoints_name_is_a_validation_error(name: str) -> None:
    with pytest.raises(ValidationError):
        parse_target("POST", f"/endpoints/{name}/invocations")


INVOKE_MEMBERS = [pytest.param(m, id=m.name) for m in MEMBERS[Operation.INVOKE]]


@pytest.mark.parametrize("member", INVOKE_MEMBERS)
def test_a_value_that_is_too_long_is_a_validation_error_that_names_its_member(
    member: Member,
) -> None:
    failure = refusal({member.header: "a" * (member.rule.most + 1)})
    text = failure.message(PLACE) or ""
    assert failure.code == "ValidationError"
    assert text.startswith("1 validation error detected: Value ")
    limit = f"Member must have length less than or equal to {member.rule.most}"
    assert text.endswith(f"at '{member.path}' failed to satisfy constraint: {limit}")


@pytest.mark.parametrize("member", INVOKE_MEMBERS)
@pytest.mark.parametrize("value", ["é", "a\r\nX-Injected: 1", "a\x00", "\udce9"])
def test_a_value_that_no_header_may_hold_is_a_validation_error(member: Member, value: str) -> None:
    failure = refusal({member.header: value})
    assert failure.code == "ValidationError"
    str(body_of(render_failure(failure, PLACE))["Message"]).encode("utf-8")  # no lone surrogate


@pytest.mark.parametrize("member", [m for m in MEMBERS[Operation.INVOKE] if m.rule.least])
def test_an_empty_value_is_too_short_where_the_model_says_so(member: Member) -> None:
    assert "length greater than or equal to 1" in (
        refusal({member.header: ""}).message(PLACE) or ""
    )


def test_a_sensitive_value_is_not_repeated() -> None:
    text = refusal({"X-Amzn-SageMaker-Custom-Attributes": "s" * 1025}).message(PLACE)
    assert text == (
        "1 validation error detected: Value at 'customAttributes' failed to satisfy constraint:"
        " Member must have length less than or equal to 1024"
    )


def test_headers_are_known_in_any_case_and_space_around_them_is_nothing() -> None:
    taken = invoke({"content-TYPE": " text/csv\t", "x-amzn-sagemaker-inference-id": "7"})
    assert taken.container_headers() == {
        "Content-Type": "text/csv",
        "X-Amzn-SageMaker-Inference-Id": "7",
    }


def test_a_repeated_header_is_one_with_both_values() -> None:
    pairs = [("Accept", "text/csv"), ("accept", "application/json")]
    taken = parse_invoke("POST", PATHS[Operation.INVOKE], "", pairs, b"", limits=SERVERLESS)
    assert taken.accept == "text/csv, application/json"


def test_what_the_caller_left_out_is_not_made_up() -> None:
    assert invoke().container_headers() == {}


def test_only_what_aws_forwards_reaches_the_container() -> None:
    others = {
        "Host": "127.0.0.1", "User-Agent": "Boto3/1", "Authorization": "AWS4-HMAC-SHA256 x",
        "Cookie": "a=b", "X-Amz-Date": "x", "X-Amz-Security-Token": "x", "X-Forwarded-For": "x",
        "amz-sdk-invocation-id": "x", "Accept-Encoding": "identity", "Content-Length": "3",
        "Transfer-Encoding": "chunked", "Connection": "close", "traceparent": "x",
        "X-Amzn-Trace-Id": "x", "X-Amzn-SageMaker-Accept": "x",
    }  # fmt: skip
    taken = invoke({**others, **PLAIN_INVOKE_HEADERS})
    assert taken.container_headers() == PLAIN_INVOKE_HEADERS


def test_a_streams_accept_reaches_the_container_as_accept() -> None:
    headers = {"X-Amzn-SageMaker-Accept": "text/csv", "Accept": "*/*"}
    taken = invoke(headers, operation=Operation.STREAM, limits=REALTIME)
    assert taken.container_headers() == {"Accept": "text/csv"}


def test_a_header_that_no_operation_has_is_refused_by_name() -> None:
    failure = refusal({"X-Amzn-SageMaker-Tomorrow": "1"})
    assert failure.code == "NotEmulated"
    assert "x-amzn-sagemaker-tomorrow" in (failure.message(PLACE) or "")


def test_a_target_model_is_refused_in_aws_own_words() -> None:
    response = render_failure(refusal({"X-Amzn-SageMaker-Target-Model": "m"}), PLACE)
    assert body_of(response) == {
        "ErrorCode": "TARGET_MODEL_HEADER_NOT_SUPPORTED",
        "Message": "Endpoint iris is not a multi-model endpoint and does not support target model"
        " header.",
    }


def test_a_variant_that_is_not_there_is_a_validation_error() -> None:
    taken = invoke({"X-Amzn-SageMaker-Target-Variant": "Green"})
    taken.check_variant(["Blue", "Green"])
    invoke().check_variant([])
    with pytest.raises(ValidationError, match="Green"):
        taken.check_variant(["AllTraffic"])


def test_a_stream_is_refused_on_serverless() -> None:
    with pytest.raises(NotEmulated, match="serverless"):
        invoke(operation=Operation.STREAM)
    assert invoke(operation=Operation.STREAM, limits=REALTIME).operation is Operation.STREAM


@pytest.mark.parametrize(
    ("headers", "attempt"),
    [
        ({}, 1),
        ({"amz-sdk-request": "attempt=1; max=3"}, 1),
        ({"amz-sdk-request": "attempt=3; max=3"}, 3),
        ({"amz-sdk-request": "ttl=1; attempt=2"}, 2),
        ({"amz-sdk-request": "attempt=0"}, 1),
        ({"amz-sdk-request": f"attempt={'9' * 5000}"}, 1),
        ({"amz-sdk-request": "attempt=²"}, 1),
    ],
)
def test_the_sdks_own_count_of_attempts_is_kept(headers: dict[str, str], attempt: int) -> None:
    assert invoke(headers).attempt == attempt


def test_a_serverless_body_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert SERVERLESS.payload_bytes == 4 * MIB
    assert len(invoke(body=bytes(4 * MIB)).body) == 4 * MIB
    with pytest.raises(ValidationError) as caught:
        invoke(body=bytes(4 * MIB + 1))
    response = render_failure(caught.value, PLACE)
    assert (response.status, body_of(response)) == (
        400,
        {"Message": "Request r-1 has oversize body."},
    )


def test_a_realtime_body_over_the_limit_is_a_bare_413() -> None:
    limits = WireLimits(profile="realtime", payload_bytes=10)
    assert invoke(body=bytes(10), limits=limits).body == bytes(10)
    with pytest.raises(ContentTooLarge) as caught:
        invoke(body=bytes(11), limits=limits)
    response = render_failure(caught.value, PLACE)
    assert (response.status, response.body) == (413, b"HTTP content length exceeded 10 bytes.")
    assert response.headers == ((REQUEST_ID, "r-1"), ("Content-Type", "text/plain"))


@pytest.mark.parametrize("limits", [SERVERLESS, REALTIME], ids=PROFILES)
def test_a_length_is_judged_before_the_body_is_read(limits: WireLimits) -> None:
    check_length(limits.payload_bytes, limits)
    with pytest.raises(RuntimeFailure):
        check_length(limits.payload_bytes + 1, limits)


def test_a_users_own_limit_is_taken() -> None:
    assert WireLimits.of("serverless", Limits(payload_bytes=7)).payload_bytes == 7


ANY_TEXT = st.text(max_size=80)
SOME_NAME = st.sampled_from(sorted(KNOWN_HEADERS)) | ANY_TEXT | st.just("amz-sdk-request")
SOME_VALUE = ANY_TEXT | st.text(st.characters(codec="ascii"), max_size=1100)
SOME_PATH = (
    ANY_TEXT
    | st.builds("/endpoints/{}/{}".format, ANY_TEXT, ANY_TEXT)
    | st.builds(
        "/endpoints/{}/{}".format,
        ANY_TEXT | st.just("iris"),
        st.sampled_from(["invocations", "invocations-response-stream", "async-invocations"]),
    )
)


@given(
    st.tuples(
        st.sampled_from(["POST", "GET"]) | ANY_TEXT,
        SOME_PATH,
        ANY_TEXT,
        st.lists(st.tuples(SOME_NAME, SOME_VALUE), max_size=6),
        st.binary(max_size=40),
    ),
    st.sampled_from(PROFILES),
)
def test_whatever_comes_is_an_invoke_or_a_failure_that_can_be_rendered(
    came: tuple[str, str, str, list[tuple[str, str]], bytes], profile: Profile
) -> None:
    limits = WireLimits(profile=profile, payload_bytes=30)
    try:
        taken = parse_invoke(*came, limits=limits)
    except RuntimeFailure as failure:
        response = render_failure(failure, PLACE)
        assert 400 <= response.status < 600
        assert len(failure.message(PLACE) or "") <= MAX_MESSAGE
        assert_sendable(response)
    else:
        assert taken.body == came[-1]
        for name, value in taken.container_headers().items():
            assert re.fullmatch(r"[\t\x20-\x7e]*", name + value)


def assert_sendable(response: Response) -> None:
    for name, value in response.headers:
        text = f"{name}: {value}"
        assert text.isascii()
        assert not set(text) & {"\r", "\n", "\x00"}


def values_of(rule: Rule) -> st.SearchStrategy[str]:
    return st.from_regex(rule.compiled, fullmatch=True).filter(
        lambda value: not list(rule.broken_by(value, "x")) and value == value.strip(" \t")
    )


FORWARDED = {
    m.name: m
    for m in MEMBERS[Operation.INVOKE]
    if not m.refusal("realtime") and m.name != "TargetModel"
}


@given(
    st.fixed_dictionaries({}, optional={n: values_of(m.rule) for n, m in FORWARDED.items()}),
    values_of(ENDPOINT_NAME),
    st.binary(max_size=60),
)
def test_what_botocore_writes_is_read_back(
    members: dict[str, str], endpoint: str, body: bytes
) -> None:
    serializer = botocore.serialize.create_serializer("rest-json", include_validation=True)
    request = serializer.serialize_to_request(
        {**members, "EndpointName": endpoint, "Body": body}, modelled(Operation.INVOKE)
    )
    taken = parse_invoke(
        request["method"], request["url_path"], "", request["headers"].items(), request["body"],
        limits=REALTIME,
    )  # fmt: skip
    assert (taken.endpoint, taken.body) == (endpoint, body)
    sent = {FORWARDED[name].header: value for name, value in members.items()}
    assert taken.container_headers() == sent


# The way out.


def test_a_success_is_200_with_the_modelled_headers_and_no_others() -> None:
    said = answer(
        201, b"body", content_type="text/csv; charset=utf-8", server="nginx", set_cookie="a=b",
        x_amzn_sagemaker_custom_attributes="trace=1", connection="close",
    )  # fmt: skip
    assert render_success(said, "AllTraffic", "r-1") == Response(
        status=200,
        headers=(
            ("x-amzn-RequestId", "r-1"),
            ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
            ("Content-Type", "text/csv; charset=utf-8"),
            ("X-Amzn-SageMaker-Custom-Attributes", "trace=1"),
        ),
        body=b"body",
    )


@given(
    st.dictionaries(
        st.sampled_from(["content-type", "x-amzn-sagemaker-custom-attributes", "x-other"]),
        ANY_TEXT | st.text(st.characters(codec="ascii")),
    ),
    st.binary(max_size=50),
)
def test_a_success_can_be_sent_and_botocore_reads_back_what_passed(
    headers: dict[str, str], body: bytes
) -> None:
    said = answer(200, body, **{name.replace("-", "_"): value for name, value in headers.items()})
    response = render_success(said, "AllTraffic", "r-1")
    assert_sendable(response)
    assert response.body == body
    parsed = parse_as_botocore(response)
    assert parsed["InvokedProductionVariant"] == "AllTraffic"
    for header, member in (
        ("content-type", "ContentType"),
        ("x-amzn-sagemaker-custom-attributes", "CustomAttributes"),
    ):
        value = headers.get(header)
        sendable = value is not None and value.isascii() and value.replace("\t", "").isprintable()
        assert parsed.get(member) == (value if sendable else None)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_is_a_success(status: int) -> None:
    assert failure_of(answer(status, b"ok"), SERVERLESS) is None


@pytest.mark.parametrize("status", [301, 400, 404, 413, 500, 503])
def test_every_other_status_is_a_model_error_that_names_it(status: int) -> None:
    failure = failure_of(answer(status, b"why"), SERVERLESS)
    assert failure is not None
    side = "client" if 400 <= status < 500 else "server"
    assert failure.message(PLACE) == (
        f'Received {side} error ({status}) from primary with message "why". {SEE}'
    )
    assert failure.original_status == status


def test_no_answer_is_not_judged_without_its_reason() -> None:
    with pytest.raises(ValueError, match="timed_out"):
        failure_of(answer(None), SERVERLESS)


def test_a_response_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    limits = WireLimits(profile="serverless", payload_bytes=10)
    assert failure_of(answer(200, bytes(10)), limits) is None
    failure = failure_of(answer(200, bytes(11)), limits)
    assert failure is not None
    assert OWN_WORDS in (failure.message(PLACE) or "")
    assert "11 bytes; at most 10" in (failure.message(PLACE) or "")


TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the"
    " latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
COULD_NOT_GET = (
    "Amazon SageMaker could not get a response from the iris endpoint. This can occur when CPU or"
    " memory utilization is high. To check your utilization, see Amazon CloudWatch. To fix this"
    " problem, use an instance type with more CPU capacity or memory."
)
MODEL_ERRORS = [
    (
        "client",
        {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
            "Message": f'Received client error (404) from primary with message "no". {SEE}',
            "OriginalStatusCode": 404,
            "OriginalMessage": "no",
        },
    ),
    (
        "server",
        {
            "Message": f'Received server error (500) from primary with message "boom". {SEE}',
            "OriginalStatusCode": 500,
            "OriginalMessage": "boom",
        },
    ),
    (
        "unreadable",
        {
            "Message": "Received server error (500) from primary and could not load the entire"
            f" response body. {SEE}",
            "OriginalStatusCode": 500,
            "OriginalMessage": "",
        },
    ),
    (
        "timeout",
        {
            "Message": f'Received server error (0) from primary with message "{TIMED_OUT}". {SEE}',
            "OriginalStatusCode": 0,
            "OriginalMessage": TIMED_OUT,
        },
    ),
    (
        "no-response",
        {
            "Message": f'Received server error (0) from model with message "{COULD_NOT_GET}".'
            f" {SEE}",
            "OriginalStatusCode": 0,
            "OriginalMessage": COULD_NOT_GET,
        },
    ),
]


@pytest.mark.parametrize(("name", "body"), MODEL_ERRORS)
def test_a_model_error_has_aws_words_and_fields(name: str, body: dict[str, object]) -> None:
    response = render_failure(FAILURES[name], PLACE)
    assert body_of(response) == {**body, "LogStreamArn": GROUP}
    assert response.headers == (
        (REQUEST_ID, "r-1"),
        (ERROR_TYPE, "ModelError"),
        ("Content-Type", "application/json"),
    )


def test_out_of_memory_has_the_two_words_that_people_look_for() -> None:
    assert "insufficient memory" in (ModelError.out_of_memory().message(PLACE) or "")


@pytest.mark.parametrize("text", [errors.SERVER_ERROR, errors.CLIENT_ERROR, errors.NO_RESPONSE,
                                  errors.INVOCATION_TIMEOUT])  # fmt: skip
def test_the_texts_of_check_reports_are_the_texts_of_the_wire(text: errors.PlatformText) -> None:
    templates = [f.template.replace("<status>", "500") for f in FAILURES.values()]
    assert any(t.startswith(text.text.replace("<status>", "500")) for t in templates)


def test_a_throttle_is_400_and_says_nothing() -> None:
    response = render_failure(Throttled(), PLACE)
    assert (response.status, response.body) == (400, b'{"message": null}')
    assert dict(response.headers)[ERROR_TYPE] == "ThrottlingException"


def test_an_unknown_endpoint_is_named_with_its_account() -> None:
    response = render_failure(ValidationError.endpoint_not_found(), PLACE)
    message = "Endpoint iris of account 123456789012 not found."
    assert (response.status, body_of(response)) == (400, {"Message": message})


def test_an_unknown_operation_is_answered_as_awss_front_does() -> None:
    response = render_failure(UnknownOperation(), PLACE)
    assert response == Response(
        status=404, headers=((REQUEST_ID, "r-1"),), body=b"<UnknownOperationException/>\n"
    )


def test_what_is_not_emulated_says_what_and_why() -> None:
    response = render_failure(NotEmulated("the moon", "it is far."), PLACE)
    assert response.status == 501
    assert body_of(response) == {"Message": "byoc does not emulate the moon: it is far."}


def test_a_body_that_looks_like_a_placeholder_is_quoted_and_not_filled() -> None:
    failure = ModelError.answered(500, b"<region> <account> <nothing> %s {x} \\1")
    text = failure.message(PLACE) or ""
    assert '"<region> <account> <nothing> %s {x} \\1"' in text


@example(body=b"x" * 5000, status=500)
@given(body=st.binary(max_size=5000), status=st.integers(300, 599))
def test_a_message_is_never_too_long_and_keeps_its_end(body: bytes, status: int) -> None:
    failure = ModelError.answered(status, body)
    fields = body_of(render_failure(failure, PLACE))
    text = body.decode("utf-8", "replace")
    assert len(str(fields["Message"])) <= MAX_MESSAGE
    assert str(fields["Message"]).endswith(f'". {SEE}')
    assert fields["OriginalMessage"] == text[:MAX_MESSAGE]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_reads_well_in_a_log(failure: RuntimeFailure) -> None:
    assert "<detail>" not in str(failure)
    assert "<body>" not in str(failure)


# Streams.


def events(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


@given(st.binary(max_size=300), st.integers(1, 80))
def test_botocore_reads_back_a_stream(data: bytes, size: int) -> None:
    read = events(b"".join(eventstream.parts(data, size)))
    assert b"".join(payload for _, payload in read) == data
    assert all(0 < len(payload) <= size for _, payload in read)
    assert [headers for headers, _ in read] == [
        {
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
            ":message-type": "event",
        }
    ] * len(read)


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=200), max_size=5),
    st.binary(max_size=300),
)
def test_botocore_reads_back_any_event(headers: dict[str, str], payload: bytes) -> None:
    assert events(eventstream.encode(headers, payload)) == [(headers, payload)]


def test_a_large_answer_is_cut_into_events_that_a_reader_takes() -> None:
    data = bytes(eventstream.MAX_PAYLOAD_BYTES + 1)
    assert [len(p) for _, p in events(b"".join(eventstream.parts(data)))] == [len(data) - 1, 1]
    with pytest.raises(ValueError, match="parts"):
        eventstream.encode({}, data)


@pytest.mark.parametrize(
    ("failure", "payload"),
    [
        (ModelStreamError(StreamError.TIME_EXCEEDED), "ModelInvocationTimeExceeded"),
        (ModelStreamError(StreamError.BROKEN), "StreamBroken"),
        (InternalStreamFailure("Try your request again."), None),
    ],
)
def test_a_stream_ends_with_a_typed_exception(failure: RuntimeFailure, payload: str | None) -> None:
    ((headers, body),) = events(eventstream.failure(failure, PLACE))
    assert headers == {
        ":exception-type": failure.code,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(body).get("ErrorCode") == payload
    assert json.loads(body)["Message"] == failure.message(PLACE)


def test_an_error_of_a_stream_and_an_error_of_http_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="HTTP 424"):
        eventstream.failure(ModelError.timed_out(), PLACE)
    with pytest.raises(ValueError, match="event stream"):
        render_failure(ModelStreamError(StreamError.BROKEN), PLACE)


def test_the_error_codes_of_a_stream_are_the_documented_ones() -> None:
    documentation = MODEL.shape_for("ModelStreamError").members["ErrorCode"].documentation
    for error in StreamError:
        assert error.value in documentation


def test_the_head_of_a_stream_tells_the_models_content_type_beside_its_own() -> None:
    response = render_stream({"content-type": "text/plain", "server": "x"}, "AllTraffic", "r-1")
    assert dict(response.headers) == {
        "x-amzn-RequestId": "r-1",
        "Content-Type": "application/vnd.amazon.eventstream",
        "x-Amzn-Invoked-Production-Variant": "AllTraffic",
        "X-Amzn-SageMaker-Content-Type": "text/plain",
    }


def test_the_wire_loads_no_server_no_client_and_no_sdk() -> None:
    code = (
        "import sys, emulator.wire_answers, emulator.eventstream\n"
        "unwanted = {'aiohttp', 'requests', 'flask', 'botocore', 'docker', 'asyncio'}\n"
        "print(*unwanted & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

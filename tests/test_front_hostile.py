"""Owns: that no bytes make the front door fail, split one request into two, or let through to the
endpoint, or back to the caller, what AWS would not. Everything goes over a real socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emulator.api.protocol import HEAD_BYTES
from emulator.wire_members import MEMBERS, Operation
from tests.front_world import PATH, Answer, Echo, Front, answers, front, read_all

REACHES = {"content-type", "accept"} | {
    f"x-amzn-sagemaker-{name}"
    for name in ("custom-attributes", "target-variant", "inference-id", "prefix-aware-id")
}
"""What of a request's headers AWS gives to a serverless container (contract 3.5)."""

fast = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def opened() -> Iterator[Front]:
    with front(Echo(headers={"content-type": "text/plain"})) as served:
        yield served


def fresh(opened: Front) -> Front:
    opened.endpoint.came.clear()
    opened.endpoint.headers = {"content-type": "text/plain"}
    return opened


def head(*lines: bytes, first: bytes = f"POST {PATH} HTTP/1.1".encode()) -> bytes:
    return b"\r\n".join([first, b"Host: localhost", *lines, b"", b""])


def one(raw: bytes) -> Answer:
    (answer,) = answers(raw)
    return answer


def still_serves(opened: Front) -> None:
    assert fresh(opened).post(body=b"after").body == b"after"


# Two requests out of one


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 3", b"Content-Length: 4"),
        (b"Content-Length: 3", b"Content-Length: 3"),
        (b"Content-Length: 3, 3",),
        (b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 3"),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding : chunked",),
        (b"Content-Length : 3",),
        (b"Content-Length: +3",),
        (b"Content-Length: 0x3",),
        (b"Content-Length: -3",),
        (b"Content-Length: 99999999999999999999999999",),
        (b"Content-Length: 3\x00",),
        (b"Content-Length:\x0b3",),
        (b"X: a\rContent-Length: 3",),
        (b"X: a\x00b",),
        (b" X: folded at the start",),
        (b": no name",),
        (b"X\x00Y: z",),
        (b"X Y: z",),
        (b"no colon",),
        (b"X-Amzn-SageMaker-Custom-Attributes: a\x00b",),
        ("X-Ünïcode: a".encode(),),
    ],
    ids=str,
)
def test_a_head_that_could_be_read_two_ways_is_refused(
    opened: Front, lines: tuple[bytes, ...]
) -> None:
    raw = fresh(opened).say(head(*lines) + b"abc" + head(b"Content-Length: 0"))
    assert [answer.status for answer in answers(raw)] == [400]
    assert opened.endpoint.came == []
    still_serves(opened)


@pytest.mark.parametrize(
    "body",
    [
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3;name=value\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX-Amzn-SageMaker-Custom-Attributes: smuggled\r\nHost: evil\r\n\r\n",
    ],
)
def test_a_body_in_chunks_is_one_body_and_its_trailers_are_no_headers(
    opened: Front, body: bytes
) -> None:
    request = head(b"Transfer-Encoding: chunked", b"Connection: close")
    assert one(fresh(opened).say(request + body)).body == b"abc"
    (invoke,) = opened.endpoint.came
    assert invoke.container_headers() == {}


@pytest.mark.parametrize(
    "body", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcX\r\n0\r\n\r\n", b"-1\r\n\r\n", b"3\nabc\n0\n\n"]
)
def test_chunks_that_are_none_reach_nobody(opened: Front, body: bytes) -> None:
    raw = fresh(opened).say(head(b"Transfer-Encoding: chunked") + body)
    assert [answer.status for answer in answers(raw)] == [400]
    assert opened.endpoint.came == []
    still_serves(opened)


def test_requests_sent_at_once_are_answered_in_their_order(opened: Front) -> None:
    bodies = [b"one", b"two", b"three"]
    requests = b"".join(head(b"Content-Length: %d" % len(b)) + b for b in bodies)
    last = head(b"Content-Length: 4", b"Connection: close") + b"last"
    raw = fresh(opened).say(requests + last)
    assert [answer.body for answer in answers(raw)] == [*bodies, b"last"]


def test_what_follows_the_last_request_of_a_connection_is_not_served(opened: Front) -> None:
    last = head(b"Content-Length: 3", b"Connection: close") + b"abc"
    assert one(fresh(opened).say(last + head(b"Content-Length: 0"))).body == b"abc"
    assert len(opened.endpoint.came) == 1


def test_nonsense_behind_a_request_is_not_its_answer(opened: Front) -> None:
    """Whatever is told, nobody may take it for the answer of the request before."""
    raw = fresh(opened).say(head(b"Content-Length: 3") + b"abc" + b"\x00\x01 nonsense\r\n\r\n")
    assert [answer.body for answer in answers(raw)] in ([], [b"abc"])
    still_serves(opened)


@pytest.mark.parametrize(
    "offer",
    [(b"Upgrade: websocket", b"Connection: upgrade"),
     (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAA")],
)  # fmt: skip
@pytest.mark.parametrize("framing", [b"Content-Length: 3", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_another_protocol_may_be_offered_and_the_request_is_served_whole(
    opened: Front, offer: tuple[bytes, ...], framing: bytes, cut: int
) -> None:
    body = b"abc" if framing.startswith(b"Content") else b"3\r\nabc\r\n0\r\n\r\n"
    request = head(*offer, b"Content-Type: text/csv", framing) + body
    last = head(b"Content-Length: 4", b"Connection: close") + b"last"
    with fresh(opened).connect() as connection:
        whole = request * 2 + last
        connection.sendall(whole[: len(whole) - cut])
        connection.sendall(whole[len(whole) - cut :])
        got = answers(read_all(connection))
    assert [answer.body for answer in got] == [b"abc", b"abc", b"last"]
    assert [invoke.content_type for invoke in opened.endpoint.came] == ["text/csv"] * 2 + [None]


# Size


@pytest.mark.parametrize("size", [HEAD_BYTES * 8, HEAD_BYTES * 64])
@pytest.mark.parametrize("kind", [b"X-Long: %s", b"%s: x"])
def test_a_head_is_bounded_before_it_is_read(opened: Front, kind: bytes, size: int) -> None:
    with fresh(opened).connect() as connection:
        try:
            connection.sendall(head(kind % (b"a" * size)))
        except (ConnectionResetError, BrokenPipeError):
            return  # refused while it was sent
        got = read_all(connection)
    assert got == b"" or one(got).status == 431
    assert opened.endpoint.came == []
    still_serves(opened)


def test_a_long_path_is_refused(opened: Front) -> None:
    assert (
        one(
            fresh(opened).say(
                head(b"Connection: close", first=b"POST /%s HTTP/1.1" % (b"a" * 60_000))
            )
        ).status
        == 404
    )


def test_framing_that_carries_nothing_is_bounded_too(opened: Front) -> None:
    extension = b"1;" + b"x" * 4000 + b"\r\na\r\n"
    with fresh(opened).connect() as connection:
        try:
            connection.sendall(head(b"Transfer-Encoding: chunked"))
            for _ in range(2000):
                connection.sendall(extension)
            got = read_all(connection)
        except (ConnectionResetError, BrokenPipeError):
            got = b""
    assert got == b"" or one(got).status == 431
    assert opened.endpoint.came == []


def test_a_large_body_and_small_chunks_are_fine(opened: Front) -> None:
    body = b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n"
    got = one(fresh(opened).say(head(b"Transfer-Encoding: chunked", b"Connection: close") + body))
    assert got.body == b"a" * 100_000


# Names

SEGMENTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=80)
ENCODED = st.one_of(
    SEGMENTS.map(lambda name: quote(name, safe="")),
    st.binary(max_size=40).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw)),
    st.sampled_from(
        ["..", ".", "%2e%2e", "%2f", "..%2f..", "iris%2finvocations", "iris%00", "iris%0d%0aX:y"]
    ),
    st.from_regex(r"[A-Za-z0-9%./;:@&=+$,~!*'()-]{1,70}", fullmatch=True),
)


@fast
@given(name=ENCODED)
@example(name="iris")
@example(name="%69ris")
@example(name="iris%0a")
def test_a_name_in_a_path_reaches_its_endpoint_or_nobody(opened: Front, name: str) -> None:
    first = f"POST /endpoints/{name}/invocations HTTP/1.1".encode()
    request = head(b"Content-Length: 1", b"Connection: close", first=first) + b"x"
    answer = one(fresh(opened).say(request))
    if answer.status == 200:
        assert name.replace("%69", "i").replace("%72", "r").replace("%73", "s") == "iris"
        return
    assert answer.status in (400, 404)
    assert opened.endpoint.came == []
    assert set(answer.headers) <= {
        "date", "content-length", "content-type", "connection", "x-amzn-requestid",
        "x-amzn-errortype",
    }  # fmt: skip
    if "x-amzn-errortype" in answer.headers:
        assert json.loads(answer.body)


# Headers in

NAMES = st.one_of(
    st.sampled_from([member.header for member in MEMBERS[Operation.INVOKE]]),
    st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}", fullmatch=True),
)
VALUES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    st.sampled_from(
        [b"a\r\nX-Amzn-SageMaker-Inference-Id: b", b"a\nHost: evil", b"a\r\n b", b"\x00"]
    ),
    st.text("abc=;, \t", max_size=2000).map(str.encode),
)
FRAMING = {"content-length", "transfer-encoding", "connection", "host", "expect", "upgrade"}


@fast
@given(name=NAMES, value=VALUES)
@example(name="X-Amzn-SageMaker-Custom-Attributes", value="naïve ☃".encode())
@example(name="X-Amzn-SageMaker-Custom-Attributes", value=b"a" * 1025)
@example(name="Accept", value=b"a\r\n folded")
def test_a_header_is_forwarded_whole_or_refused(opened: Front, name: str, value: bytes) -> None:
    if name.lower() in FRAMING:
        return
    line = name.encode() + b": " + value
    request = head(line, b"Content-Length: 1", b"Connection: close") + b"x"
    got = answers(fresh(opened).say(request))
    assert len(got) <= 1 or {answer.status for answer in got[1:]} == {400}
    if got[0].status != 200:
        assert got[0].status in (400, 403, 404, 501)
        assert opened.endpoint.came == []
        return
    (invoke,) = opened.endpoint.came
    reached = {key.lower(): text for key, text in invoke.container_headers().items()}
    assert set(reached) <= REACHES
    for text in reached.values():
        assert text.isascii()
        assert text.replace("\t", " ").isprintable()
    if b"\r" not in value and b"\n" not in value and name.lower() in reached:
        assert reached[name.lower()] == value.decode("ascii").strip(" \t")


# Anything


@fast
@given(raw=st.binary(max_size=300))
@example(raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a client that speaks TLS
@example(raw=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(raw=b"GET / HTTP/0.9\r\n\r\n")
@example(raw=b"CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
@example(raw=b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
@example(raw=b"POST http://evil.example/endpoints/iris/invocations HTTP/1.1\r\n\r\n")
@example(raw=b"\r\n\r\n\r\n")
def test_any_bytes_are_answered_or_dropped_but_never_our_failure(opened: Front, raw: bytes) -> None:
    for answer in answers(fresh(opened).say(raw, and_leave=True)):
        assert answer.status in (400, 403, 404)
    assert opened.endpoint.came == []


@fast
@given(before=st.integers(0, 200), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_a_request_that_was_tampered_with_reaches_the_endpoint_as_one_or_not_at_all(
    opened: Front, before: int, cut: int, put: bytes
) -> None:
    whole = head(b"Content-Type: text/csv", b"Content-Length: 5", b"Connection: close") + b"1,2,3"
    raw = whole[:before] + put + whole[before + cut :]
    got = answers(fresh(opened).say(raw, and_leave=True))
    assert all(answer.status in (200, 400, 403, 404, 501) for answer in got)
    assert len(opened.endpoint.came) <= 1
    assert [answer.status for answer in got].count(200) <= len(opened.endpoint.came)


# Headers out

SENT = st.dictionaries(
    st.sampled_from(
        ["content-type", "x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-new-session-id",
         "x-amzn-sagemaker-closed-session-id", "x-amzn-requestid", "content-length", "set-cookie",
         "transfer-encoding", "connection", "x-evil"]
    ),
    st.one_of(st.text(max_size=40), st.sampled_from(["a\r\nX-Evil: 1", "a\nb", "\x00", "ü", "☃"])),
)  # fmt: skip


@fast
@given(sent=SENT)
@example(sent={"content-type": "text/plain\r\nX-Evil: 1"})
def test_what_a_container_puts_into_headers_stays_there_or_is_left_out(
    opened: Front, sent: dict[str, str]
) -> None:
    fresh(opened).endpoint.headers = sent
    answer = opened.post(body=b"abc")
    assert (answer.status, answer.body) == (200, b"abc")
    own = {"date", "content-length", "connection", "x-amzn-requestid",
           "x-amzn-invoked-production-variant"}  # fmt: skip
    passed = {name: answer.headers[name] for name in set(answer.headers) - own}
    prefix = "x-amzn-sagemaker-"
    allowed = {"content-type", f"{prefix}custom-attributes", f"{prefix}new-session-id",
               f"{prefix}closed-session-id"}  # fmt: skip
    for name, value in passed.items():
        assert name in allowed
        assert value.strip(" \t") == sent[name].strip(" \t")
    assert answer.headers["content-length"] == "3"

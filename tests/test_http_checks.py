"""Owns: the checks of chapter http, and those on what pings and requests leave behind, against
containers that are functions; the raw client, against scripted servers on a socket.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import test_http, test_logs, test_ping, test_resources
from contract_tests.check import Blocked, ContractViolation, NotApplicable
from contract_tests.http_row import UNKNOWN_TYPE, row_of, wrong_turn
from contract_tests.ping_words import ILL, STATE_KEYS, complaint
from contract_tests.raw_http import Turn, in_a_row
from contract_tests.settings import Payload
from contract_tests.usage import Sample, growth
from emulator.clock import SystemClock
from emulator.engines import EngineUnavailable, LogLine, Memory, Process
from emulator.engines import docker_cpu as cpu
from emulator.http import Outcome, Reply, Request
from emulator.instance import PING, invocation
from emulator.limits import MIB, Limits

JSON, CSV = "application/json", "text/csv"
GOOD = Payload(name="good.json", content_type=JSON, body=b'{"instances": [[1]]}')
OTHER = Payload(name="good.csv", content_type=CSV, body=b"1\n")


class World:
    """A container that is a function from request to (status, content type, body), with what it
    uses: processor time and memory per request, log lines per request.
    """

    def __init__(self, answer, *, seconds=0.001, payloads=(GOOD,), memory=2048):
        self.answer, self.seconds = answer, seconds
        self.requests, self.now_seconds = [], 0.0
        self.notes, self.may_end, self.dies_at = {}, False, None
        self.limits = Limits()
        self.cpu_of = {"/ping": 0.001, "/invocations": 0.01}
        self.background = 0.0
        self.held, self.grows = 50 * MIB, 0
        self.written, self.lines_of = [], lambda request, status: 1
        self.used = 0.0
        self.turns = []
        self.commands = ["python3 serve"]

        class Settings:
            payload = payloads

        Settings.memory = memory
        self.settings = Settings
        self.target = self

    # -- the target

    def pause(self, seconds):
        self._pass(seconds)

    def now(self):
        return self.now_seconds

    def _pass(self, seconds):
        self.now_seconds += seconds
        self.used += seconds * self.background

    # -- the container

    def send(self, request, timeout_seconds=60.0):
        self.requests.append(request)
        self._pass(self.seconds)
        self.used += self.cpu_of[request.path]
        self.held += self.grows
        told = self.answer(request)
        status = told if isinstance(told, int) else told[0]
        if status is None:
            return Reply(request=request, outcome=Outcome.RESET, seconds=self.seconds)
        content_type, body = (JSON, b"{}") if isinstance(told, int) else told[1:]
        at = len(self.written) + 1
        lines = self.lines_of(request, status)
        self.written += [LogLine(nanoseconds=at + n, text="x") for n in range(lines)]
        headers = {"content-type": content_type} if content_type else {}
        return Reply(
            request=request,
            outcome=Outcome.ANSWERED,
            seconds=self.seconds,
            status=status,
            headers=headers,
            body=body,
            body_bytes=len(body),
        )

    def ping(self):
        return self.send(PING)

    def post(self, body, content_type, headers=None):
        return self.send(invocation(body, content_type, headers))

    def invoke(self, payload):
        return self.post(payload.body, payload.content_type)

    def in_a_row(self, requests, timeout_seconds):
        return self.turns

    def exit_code(self):
        return 1 if self.dies_at is not None and len(self.requests) >= self.dies_at else None

    def cpu_seconds(self):
        return self.used

    def memory(self):
        return Memory(used_bytes=self.held, peak_bytes=self.held)

    def processes(self):
        if self.commands is None:
            raise EngineUnavailable("no shell")
        return [Process(pid=1, parent=0, rss_bytes=1, command=c) for c in self.commands]

    def lines(self, after_nanoseconds=0):
        return [line for line in self.written if line.nanoseconds > after_nanoseconds]


def kind(request):
    return request.headers.get("Content-Type")


def broken(request):
    return request.body not in (GOOD.body, OTHER.body) and request.path == "/invocations"


def strict(request):
    """Takes its types alone, and answers 400 to what it cannot read."""
    if request.path == "/ping":
        return 200
    if (kind(request) or "").partition(";")[0] not in (JSON, CSV):
        return 415
    return 400 if broken(request) else 200


def with_answer(change):
    """`strict`, except where `change` says something else."""

    def answer(request):
        told = change(request)
        return strict(request) if told is None else told

    return World(answer)


# -- Content-Type ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "is_text"),
    [
        ("application/json", True), ("text/csv", True), ("Text/CSV", True),
        ("application/jsonlines", True), ("application/vnd.x+json", True), ("text/xml", True),
        ("application/x-npy", False), ("image/png", False), ("application/octet-stream", False),
        ("", False),
    ],
)  # fmt: skip
def test_a_charset_is_added_to_types_of_text_only(content_type, is_text):
    assert test_http.textual(content_type) is is_text


def test_a_charset_that_is_refused_is_told_with_the_type_that_was_sent():
    world = with_answer(lambda r: 415 if "charset" in (kind(r) or "") else None)
    with pytest.raises(ContractViolation, match=r"application/json; charset=utf-8.*HTTP 415"):
        test_http.test_charset_in_content_type(world, (GOOD,))


def test_both_spellings_of_a_charset_are_tried():
    world = with_answer(lambda r: 415 if kind(r) == "application/json;charset=UTF-8" else None)
    with pytest.raises(ContractViolation, match="charset=UTF-8"):
        test_http.test_charset_in_content_type(world, (GOOD,))


def test_a_container_that_fails_altogether_is_not_blamed_for_the_charset():
    state = {"bad": False}

    def fails_from_then_on(request):
        state["bad"] = state["bad"] or "charset" in (kind(request) or "")
        return 500 if state["bad"] else None

    with pytest.raises(Blocked, match="as it is fails now, too"):
        test_http.test_charset_in_content_type(with_answer(fails_from_then_on), (GOOD,))


def test_without_text_there_is_no_charset_to_try():
    image = Payload(name="a.png", content_type="image/png", body=b"\x89")
    with pytest.raises(NotApplicable):
        test_http.test_charset_in_content_type(with_answer(lambda r: 200), (image,))


@pytest.mark.parametrize("status", [200, 400, 415, 422])
def test_a_missing_type_may_be_taken_or_refused(status):
    world = with_answer(lambda r: status if kind(r) not in (JSON, CSV) else None)
    test_http.test_other_content_types(world, world)
    sent = [kind(r) for r in world.requests if r.path == "/invocations"]
    assert sent == [JSON, JSON, None, "application/octet-stream", UNKNOWN_TYPE]  # broken, good


@pytest.mark.parametrize("status", [500, 503, 301, None])
def test_a_missing_type_must_not_be_an_accident(status):
    def accident(request):
        untyped = request.path == "/invocations" and kind(request) is None
        return (status, "text/plain", b"oops") if untyped else None

    world = with_answer(accident)
    with pytest.raises(ContractViolation, match="without a Content-Type"):
        test_http.test_other_content_types(world, world)


def test_who_answers_500_to_any_malformed_body_is_told_so_once():
    world = with_answer(
        lambda r: 500 if broken(r) or (r.path != "/ping" and kind(r) is None) else None
    )
    test_http.test_other_content_types(world, world)


def test_a_server_that_takes_no_connection_is_not_blamed_for_types():
    world = World(lambda r: 400 if broken(r) else (None, "", b""))
    with pytest.raises(Blocked):
        test_http.test_other_content_types(world, world)


def test_a_container_that_a_missing_type_ends_is_told_with_its_exit_code():
    world = with_answer(lambda r: None)
    world.dies_at = 2  # the malformed body is the first
    with pytest.raises(ContractViolation, match="exited with code 1"):
        test_http.test_other_content_types(world, world)
    assert world.may_end


def test_a_container_that_ends_by_a_malformed_body_was_told_of_before():
    world = with_answer(lambda r: None)
    world.dies_at = 1
    with pytest.raises(NotApplicable, match="malformed-body"):
        test_http.test_other_content_types(world, world)


# -- Accept, passed on headers --------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["*/*", JSON])
def test_an_accept_that_matches_must_be_taken(refused):
    world = with_answer(lambda r: 406 if r.headers.get("Accept") == refused else None)
    with pytest.raises(ContractViolation, match="HTTP 406"):
        test_http.test_accept_header(world, (GOOD,))


def test_an_answer_without_a_type_is_told():
    world = with_answer(lambda r: (200, "", b"[1]") if r.path == "/invocations" else None)
    with pytest.raises(ContractViolation, match="a Content-Type on the answer"):
        test_http.test_accept_header(world, (GOOD,))


def test_an_empty_answer_needs_no_type():
    world = with_answer(lambda r: (200, "", b"") if r.path == "/invocations" else None)
    test_http.test_accept_header(world, (GOOD,))


def test_who_ignores_accept_keeps_the_clause():
    test_http.test_accept_header(with_answer(lambda r: None), (GOOD, OTHER))


@pytest.mark.parametrize("name", test_http.PASSED_ON)
@pytest.mark.parametrize("status", [500, 431, None])
def test_the_header_that_breaks_a_request_is_named(name, status):
    world = with_answer(lambda r: (status, JSON, b"") if name in r.headers else None)
    with pytest.raises(ContractViolation, match=name):
        test_http.test_passed_on_headers(world, (GOOD,))


@pytest.mark.parametrize("status", [200, 400])
def test_attributes_may_be_ignored_or_refused(status):
    name = "X-Amzn-SageMaker-Custom-Attributes"
    world = with_answer(lambda r: status if name in r.headers else None)
    test_http.test_passed_on_headers(world, (GOOD,))


def test_headers_have_their_documented_lengths():
    assert len(test_http.PASSED_ON["X-Amzn-SageMaker-Custom-Attributes"]) == 1024
    assert len(test_http.PASSED_ON["X-Amzn-SageMaker-Inference-Id"]) == 64


def test_a_slow_model_is_asked_few_times():
    counts = {}
    for seconds in (0.001, 2.0):
        world = with_answer(lambda r: None)
        world.seconds = seconds
        for check in (
            test_http.test_charset_in_content_type,
            test_http.test_accept_header,
            test_http.test_passed_on_headers,
        ):
            check(world, (GOOD, OTHER))
        counts[seconds] = len(world.requests)
    assert counts[2.0] == 2 + 3  # the answers that are known in a whole run, and one each
    assert counts[0.001] > counts[2.0]


# -- connections ----------------------------------------------------------------------------------


def turn(status=200, *, reused=True, unasked="", content_type=None, outcome=Outcome.ANSWERED):
    request = PING if content_type is None else invocation(b"1", content_type)
    reply = Reply(request=request, outcome=outcome, seconds=0.1, status=status)
    return Turn(reply=reply, reused=reused, unasked=unasked)


@pytest.mark.parametrize(
    ("turns", "wrong"),
    [
        ([turn(reused=False), turn(), turn()], False),
        ([turn(reused=False), turn(400)], True),
        ([turn(reused=False), turn(None, outcome=Outcome.BROKEN)], True),
        ([turn(reused=False), turn(None, outcome=Outcome.TIMEOUT)], True),
        ([turn(reused=False), turn(unasked="HTTP/1.1 400")], True),
        ([turn(reused=False), turn(reused=False, unasked="HTTP/1.1 400")], True),
        ([turn(reused=False), turn(415, content_type=UNKNOWN_TYPE)], False),
        ([turn(400, reused=False), turn(500, reused=False)], False),
        ([turn(None, reused=False, outcome=Outcome.REFUSED)], False),
        ([], False),
    ],
)
def test_only_what_a_used_connection_changes_is_wrong(turns, wrong):
    assert (wrong_turn(turns) is not None) is wrong


def test_a_wrong_turn_is_confirmed_before_it_is_told():
    world = with_answer(lambda r: None)
    rows = [[turn(reused=False), turn(400)], [turn(reused=False), turn()]]
    world.in_a_row = lambda *_: rows.pop(0)
    test_http.test_connection_used_again(world, (GOOD,))
    assert rows == []
    world.in_a_row = lambda *_: [turn(reused=False), turn(400)]
    with pytest.raises(ContractViolation, match="request 2 on a connection") as told:
        test_http.test_connection_used_again(world, (GOOD,))
    assert " --next -sS -i " in told.value.reproduce


def test_a_row_has_good_requests_after_odd_ones():
    kinds = [request.headers.get("Content-Type", "ping") for request in row_of(GOOD, slow=False)]
    assert len(kinds) == 20
    assert kinds[-1] == UNKNOWN_TYPE
    after = {kinds[n + 1] for n, kind in enumerate(kinds[:-1]) if kind == UNKNOWN_TYPE}
    assert after == {JSON, "ping"}
    assert [r.path for r in row_of(GOOD, slow=True)].count("/invocations") == 1


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = Request(method="POST", path="/invocations", headers={"Host": "model"}, body=b"12345")


def talk(script, requests, timeout=5.0):
    """The turns, and how many connections there were. The script: per connection, what is sent for
    each request; None closes the connection instead, "hang" says nothing.
    """
    connections = []

    async def serve(reader, writer):
        answers = list(script[min(len(connections), len(script) - 1)])
        connections.append(writer)
        try:
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"Content-Length: 5" in head:
                    await reader.readexactly(5)
                if answer is None:
                    return
                if answer == "hang":
                    await reader.read()
                writer.write(answer)
                await writer.drain()
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def story():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await in_a_row(f"http://127.0.0.1:{port}", requests, timeout, SystemClock())
        finally:
            server.close()

    return asyncio.run(story()), len(connections)


def test_one_connection_serves_all_that_it_is_let():
    turns, connections = talk([[OK] * 4], [PING, POST, PING, POST])
    assert [t.reply.status for t in turns] == [200] * 4
    assert [t.reused for t in turns] == [False, True, True, True]
    assert connections == 1
    assert wrong_turn(turns) is None


@pytest.mark.parametrize("answer", [CLOSES, OLD])
def test_a_connection_that_is_said_to_close_is_not_used_again(answer):
    turns, connections = talk([[answer]], [PING, POST, PING])
    assert [(t.reply.status, t.reused) for t in turns] == [(200, False)] * 3
    assert connections == 3


def test_a_connection_that_closes_without_a_word_costs_no_request_its_answer():
    turns, connections = talk([[OK, None], [OK]], [PING, POST])
    assert [(t.reply.status, t.reused) for t in turns] == [(200, False), (200, False)]
    assert connections == 2
    assert wrong_turn(turns) is None


def test_what_comes_without_a_question_is_kept():
    turns, _ = talk([[OK + b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]], [PING, PING])
    assert turns[1].unasked
    assert "another answer" in wrong_turn(turns)


def test_no_answer_in_time_ends_the_row():
    turns, _ = talk([[OK, "hang"]], [PING, PING, PING], timeout=0.3)
    assert [t.reply.outcome for t in turns] == [Outcome.ANSWERED, Outcome.TIMEOUT]
    assert wrong_turn(turns)


def test_what_is_no_http_on_a_used_connection_is_told():
    turns, _ = talk([[OK, b"\x00\x01nonsense\r\n\r\n"]], [PING, PING])
    assert turns[1].reply.outcome is Outcome.BROKEN
    assert wrong_turn(turns)


def test_where_nobody_listens_the_row_ends_at_once():
    turns = asyncio.run(in_a_row("http://127.0.0.1:1", [PING, PING], 5.0, SystemClock()))
    assert [t.reply.outcome for t in turns] == [Outcome.REFUSED]
    assert wrong_turn(turns) is None


# -- what /ping says ------------------------------------------------------------------------------

GOOD_NEWS = [
    b"", b"\n", b"OK", b"pong", b"healthy", b'{"status": "Healthy"}', b'{"error": null}',
    b'{"errors": 0, "status": "ok"}', b"no errors", b"errors: none", b"[]", b"null", b"false",
    b'{"status": "loading"}', b'{"model_loaded": false}', b'{"failed": 0}', b'"ok"', b"\xff\xfe",
    b'{"status": {"nested": "error"}}', b"[" * 5000,
]  # fmt: skip
BAD_NEWS = [
    b"Unhealthy", b"unhealthy\n", b"ERROR!", b'"down"', b'{"status": "Unhealthy"}',
    b'{"x": 1, "State": "failed."}', b'{"healthy": false}', b'{"isReady": false}', b"Not ready.",
]  # fmt: skip


@pytest.mark.parametrize("body", GOOD_NEWS)
def test_good_news_is_no_complaint(body):
    assert complaint(body) == ""


@pytest.mark.parametrize("body", BAD_NEWS)
def test_bad_news_is_quoted(body):
    words = complaint(body)
    assert words
    assert words.strip("'{}\" ").lower()[:4] in body.decode().lower()


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_no_body_makes_the_reader_fail(body):
    text = body.decode("utf-8", "replace").strip().strip(' .!"').lower()
    if text not in ILL and b"{" not in body and b"\\" not in body:
        assert complaint(body) == ""


@given(st.sampled_from(sorted(STATE_KEYS)), st.sampled_from(sorted(ILL)), st.booleans())
def test_each_word_counts_under_each_key(key, word, upper):
    word = word.upper() if upper else word
    assert complaint(json.dumps({"version": 1, key: word}).encode()) == json.dumps({key: word})


def test_a_200_with_bad_news_is_told_and_a_503_is_not_asked_for_its_words():
    ill = World(lambda r: (200, JSON, b'{"status": "Unhealthy"}'))
    with pytest.raises(ContractViolation, match="Unhealthy"):
        test_ping.test_ping_body_agrees(ill)
    with pytest.raises(NotApplicable):
        test_ping.test_ping_body_agrees(World(lambda r: (503, JSON, b"Unhealthy")))


def test_bad_news_that_pass_are_no_news():
    bodies = [b"unhealthy", b"ok"]
    test_ping.test_ping_body_agrees(World(lambda r: (200, "text/plain", bodies.pop(0))))
    assert bodies == []


# -- what /ping costs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ping", "invocation_", "dear"),
    [
        (0.001, 0.001, False),
        (0.04, 0.001, False),
        (0.08, 0.001, True),
        (0.08, 0.1, True),
        (0.08, 0.3, False),
        (2.0, 2.0, True),
    ],
)
def test_a_ping_is_dear_when_it_costs_much_and_about_as_much_as_a_request(ping, invocation_, dear):
    world = with_answer(lambda r: None)
    world.cpu_of = {"/ping": ping, "/invocations": invocation_}
    if dear:
        with pytest.raises(ContractViolation, match=f"{ping * 1000:.0f} ms for a ping"):
            test_ping.test_ping_is_cheap(world, (GOOD,))
    else:
        test_ping.test_ping_is_cheap(world, (GOOD,))


def test_what_goes_on_in_the_background_is_not_the_pings():
    world = with_answer(lambda r: None)
    world.background, world.seconds = 2.0, 0.5  # two processors are busy, a ping waits for one
    test_ping.test_ping_is_cheap(world, (GOOD,))


def test_a_cheap_ping_needs_no_invocation():
    world = with_answer(lambda r: None)
    test_ping.test_ping_is_cheap(world, (GOOD,))
    assert {request.path for request in world.requests} == {"/ping"}


def test_without_a_good_answer_there_is_nothing_to_compare_with():
    world = with_answer(lambda r: 500 if r.path == "/invocations" else None)
    world.cpu_of["/ping"] = 1.0
    with pytest.raises(NotApplicable, match="golden-invocation"):
        test_ping.test_ping_is_cheap(world, (GOOD,))


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("2:cpuacct:/docker/abc", "/sys/fs/cgroup/cpuacct/docker/abc/cpuacct.usage"),
        ("4:cpu,cpuacct:/a", "/sys/fs/cgroup/cpu,cpuacct/a/cpuacct.usage"),
        ("0::/system.slice/d.scope", "/sys/fs/cgroup/system.slice/d.scope/cpu.stat"),
        ("1:cpu:/a", None),
        ("1:name=systemd:/", None),
    ],
)
def test_the_counter_of_processor_time_is_found(line, file):
    assert cpu.counter_file(line) == (Path(file) if file else None)


def test_the_counter_is_read_in_seconds(tmp_path):
    one, two = tmp_path / "cpuacct.usage", tmp_path / "cpu.stat"
    one.write_text("1500000000\n")
    two.write_text("usage_usec 2500000\nuser_usec 1\n")
    assert (cpu.counted(one), cpu.counted(two)) == (1.5, 2.5)
    two.write_text("nonsense\n")
    assert cpu.counted(two) is None
    assert cpu.counted(tmp_path / "gone") is None


# -- logs -----------------------------------------------------------------------------------------


def test_a_5xx_without_a_line_is_told():
    world = with_answer(lambda r: 500 if broken(r) else None)
    world.lines_of = lambda request, status: 0
    with pytest.raises(
        ContractViolation, match="nothing within 2 s of POST /invocations: HTTP 500"
    ):
        test_logs.test_failure_is_logged(world, world)


@pytest.mark.parametrize("status", [400, 500])
def test_a_failure_with_a_line_is_fine(status):
    world = with_answer(lambda r: status if broken(r) else None)
    test_logs.test_failure_is_logged(world, world)


def test_a_refusal_need_not_be_logged_and_a_success_is_no_failure():
    for status in (400, 200):
        world = with_answer(lambda r, status=status: status if broken(r) else None)
        world.lines_of = lambda request, status: 0
        with pytest.raises(NotApplicable):
            test_logs.test_failure_is_logged(world, world)


def test_the_request_that_failed_with_a_5xx_is_the_one_that_is_sent_again():
    world = with_answer(lambda r: 503 if kind(r) is None and r.path != "/ping" else None)
    with pytest.raises(ContractViolation):
        test_http.test_other_content_types(world, world)
    world.lines_of = lambda request, status: 0
    with pytest.raises(ContractViolation, match="HTTP 503"):
        test_logs.test_failure_is_logged(world, world)


@pytest.mark.parametrize(("lines", "chatty"), [(0, False), (1, False), (3, False), (4, True)])
def test_more_than_three_lines_for_a_ping_are_too_many(lines, chatty):
    world = with_answer(lambda r: None)
    world.lines_of = lambda request, status: lines
    if chatty:
        with pytest.raises(ContractViolation, match="40 lines for 10 pings, 69,120 a day"):
            test_logs.test_quiet_pings(world, world)
    else:
        test_logs.test_quiet_pings(world, world)


def test_what_is_logged_without_a_ping_is_not_the_pings():
    world = with_answer(lambda r: None)
    plain = world.pause

    def pause(seconds):
        plain(seconds)
        at = len(world.written) + 1
        world.written += [LogLine(nanoseconds=at + n, text="metric") for n in range(20)]

    world.pause = pause
    test_logs.test_quiet_pings(world, world)


# -- memory ---------------------------------------------------------------------------------------


def samples(values):
    return [Sample(requests=2 * n, used_bytes=value) for n, value in enumerate(values)]


@given(st.lists(st.integers(0, 2**40), max_size=9))
def test_few_samples_tell_nothing(values):
    assert growth(samples(values)) is None


@given(st.lists(st.integers(0, 10**9), min_size=10, max_size=60))
def test_memory_that_comes_back_to_its_least_does_not_grow(values):
    seen = growth(samples([*values, min(values)]))
    assert not seen.steady


@given(st.integers(10, 80), st.integers(1, 10**6), st.data())
def test_a_steady_leak_is_seen_through_what_comes_and_goes(count, leak, data):
    noise = data.draw(st.lists(st.integers(0, leak // 4), min_size=count, max_size=count))
    seen = growth(samples([n * leak + noise[n] for n in range(count)]))
    assert seen.steady
    assert abs(seen.per_request - leak / 2) < leak / 4


def test_a_leak_is_told_with_what_it_takes_per_request():
    world = with_answer(lambda r: None)
    world.grows = 400 * 1024
    with pytest.raises(ContractViolation, match="400 KiB with each request") as told:
        test_resources.test_memory_stays(world, world, (GOOD,))
    assert "curl" in told.value.reproduce


@pytest.mark.parametrize("grows", [0, 1024, 20 * 1024])
def test_memory_that_would_last_for_ten_thousand_requests_is_no_leak(grows):
    world = with_answer(lambda r: None)
    world.grows = grows
    test_resources.test_memory_stays(world, world, (GOOD,))


def test_a_pool_that_grows_to_its_size_is_no_leak():
    world = with_answer(lambda r: None)
    start = world.held
    plain = world.send

    def send(request, timeout_seconds=60.0):
        reply = plain(request, timeout_seconds)
        world.held = start + min(150 * MIB, len(world.requests) * 300 * 1024)
        return reply

    world.send = send
    test_resources.test_memory_stays(world, world, (GOOD,))


def test_a_heap_that_is_collected_late_is_not_judged():
    world = with_answer(lambda r: None)
    world.grows, world.commands = 400 * 1024, ["/usr/bin/java -jar serve.jar"]
    with pytest.raises(NotApplicable, match="heap"):
        test_resources.test_memory_stays(world, world, (GOOD,))


def test_where_processes_cannot_be_seen_a_leak_is_told_all_the_same():
    world = with_answer(lambda r: None)
    world.grows, world.commands = 400 * 1024, None
    with pytest.raises(ContractViolation):
        test_resources.test_memory_stays(world, world, (GOOD,))


def test_a_slow_model_is_not_sent_requests_for_its_memory():
    world = with_answer(lambda r: None)
    world.seconds = 2.0
    world.notes["answers"] = {GOOD.name: world.invoke(GOOD)}
    with pytest.raises(NotApplicable, match="too few requests"):
        test_resources.test_memory_stays(world, world, (GOOD,))
    assert len(world.requests) == 1


def test_a_rather_slow_model_is_sent_as_many_requests_as_tell_something():
    world = with_answer(lambda r: None)
    world.seconds = 0.14
    test_resources.test_memory_stays(world, world, (GOOD,))
    assert len(world.requests) < 30
    world.grows = 20 * MIB
    with pytest.raises(ContractViolation):
        test_resources.test_memory_stays(world, world, (GOOD,))

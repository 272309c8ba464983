"""Generated requests: what is made, how the search finds and proves, what is printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import generated_json, shell_line
from contract_tests import test_robustness as chapter
from contract_tests.check import Blocked, ContractViolation, NotApplicable
from contract_tests.generated import DEFAULT, MOST_BYTES, MOST_HEADER, Case, families, shares
from contract_tests.generated_explore import (
    SHRINK_RESTARTS,
    USUAL_SECONDS,
    Exploration,
    exploration,
)
from contract_tests.generated_probe import Kind, answered, request, shows_stack
from contract_tests.generated_search import hunt
from contract_tests.progress import Progress
from contract_tests.settings import Payload, Settings
from emulator.engines import Capability, EngineUnavailable
from emulator.http import Outcome, Reply, Request
from emulator.limits import Limits

A = Payload(
    name="a.json",
    content_type="application/json",
    body=b'{"instances": [[5.1, 3.5], [6.3, 3.3]], "top": {"k": "v"}}',
)
B = Payload(name="b.csv", content_type="text/csv", body=b"5.1,3.5\n6.3,3.3\n")
C = Payload(name="c.npy", content_type="application/x-npy", body=b"\x93NUMPY\x01\x00" + bytes(64))

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
PAYLOADS = (
    st.builds(
        lambda value: Payload(
            name="x", content_type="application/json", body=json.dumps(value).encode()
        ),
        JSON_VALUES,
    )
    | st.builds(
        lambda text: Payload(name="x", content_type="text/csv", body=text.encode()),
        st.text(alphabet='1,.;"\n\tx', max_size=40),
    )
    | st.builds(
        lambda body: Payload(name="x", content_type="image/png", body=body),
        st.binary(max_size=40),
    )
)


class Drawn:
    """`Draw` for tests of the generators alone."""

    def __init__(self, data):
        self.data = data

    def number(self, low, high):
        return self.data.draw(st.integers(low, high))

    def one_of(self, options):
        return options[self.number(0, len(options) - 1)]

    def octets(self, most):
        return self.data.draw(st.binary(max_size=most))


# -- what is made ---------------------------------------------------------------------------------


@given(PAYLOADS, st.data())
def test_each_family_makes_what_the_platform_lets_through_of_any_payload(payload, data):
    for name, family in families([payload]).items():
        case = family(Drawn(data))
        assert len(case.body) <= MOST_BYTES, name
        for header in (case.content_type, *(value for _, value in case.headers)):
            assert len(header) <= MOST_HEADER
            assert header.isascii()
            assert header.isprintable()
        assert case.how.startswith("x, ")


def test_json_gets_changes_of_values_csv_of_cells_and_binary_of_bytes_only():
    named = [name.partition(": ") for name in families([A, B, C])]
    found = {p: {kind for who, _, kind in named if who == p} for p in ("a.json", "b.csv", "c.npy")}
    assert found["a.json"] >= {"whole", "one value", "keys", "depth", "text", "bytes", "headers"}
    assert found["b.csv"] >= {"one cell", "shape", "lines", "bytes", "headers"}
    assert found["c.npy"] == {"bytes", "headers"}


def test_without_a_payload_they_are_made_of_an_empty_json_request():
    assert all(name.startswith(DEFAULT.name) for name in families([]))
    assert json.loads(DEFAULT.body) == {"instances": []}


@given(st.integers(1, 1000))
def test_the_shares_of_the_families_are_what_was_asked_for_or_a_few_more(examples):
    found = shares(list(families([A, B])), examples)
    assert examples <= sum(found.values()) < examples + len(found)
    assert found["a.json: one value"] >= found["a.json: headers"]


@given(JSON_VALUES)
def test_what_was_not_changed_is_written_as_json(value):
    assert json.loads(generated_json.encoded(value)) == value


@given(JSON_VALUES, st.data())
def test_a_changed_value_is_the_only_change(value, data):
    path = data.draw(st.sampled_from(list(generated_json.sites(value))))
    new = generated_json.replaced(value, path, "new")
    assert generated_json.at(new, path) == "new"
    assert generated_json.replaced(new, path, generated_json.at(value, path)) == value


def test_a_payload_that_is_too_large_is_cut_until_it_can_be_sent():
    large = {"instances": [[0.5] * 100] * 1000}
    payload = replace(A, body=json.dumps(large).encode())
    value = generated_json.parsed(payload)
    assert len(generated_json.encoded(value)) <= MOST_BYTES
    assert value["instances"][0][0] == 0.5


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_payload_that_is_no_json_gets_no_changes_of_values(body):
    assert generated_json.parsed(replace(A, body=body)) is generated_json.NOTHING
    assert any(name.endswith("bytes") for name in families([replace(A, body=body)]))


# -- Hypothesis -----------------------------------------------------------------------------------


def asked(examples, another=0):
    seen = []
    for family in families([A, B]).values():
        assert hunt(family, examples, seen.append, another) is None
    return seen


def test_the_same_payload_gives_the_same_cases_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert asked(8) == asked(8)
    assert asked(8) != asked(8, another=1)
    assert list(tmp_path.iterdir()) == []


def test_most_cases_are_different_ones():
    cases = asked(8)
    assert len(set(cases)) > 0.7 * len(cases)


def test_a_found_case_is_made_as_small_as_it_gets():
    depth = families([A])["a.json: depth"]
    found = hunt(depth, 20, lambda case: b"[" * 900 in case.body)
    assert found is not None
    assert found.body == b"[" * 1000  # of the depths that are tried


# -- the search -----------------------------------------------------------------------------------


class Fake:
    """A target and its container in one: `model` tells what becomes of a body, on a clock that
    only waiting moves. "dies", "stuck" and "late death" change what comes after.
    """

    def __init__(self, model, *, examples=60, payloads=(A, B), limits=None, start_seconds=1.0):
        self.model = model
        self.settings = Settings(payload=payloads, examples=examples)
        self.limits = limits or Limits()
        self.engine = SimpleNamespace(capabilities=frozenset(Capability))
        self.notes = {}
        self.progress = Progress()
        self.deaths = []
        self.start_seconds = start_seconds
        self.time = 0.0
        self.starts = 0
        self.bodies = []
        self.state = "none"
        self.may_end = False
        self.kills = 0

    def now(self):
        return self.time

    def pause(self, seconds):
        self.time += seconds

    def container(self):
        if self.state in ("none", "dead", "discarded"):
            self.state = "good"
            self.starts += 1
            self.kills = 0
            self.time += self.start_seconds
            self.started = SimpleNamespace(
                send=self.send, exit_code=self.exit_code, logs=lambda: f"log of {self.starts}",
                ping=self.ping, oom_kills=lambda: self.kills, may_end=False,
            )  # fmt: skip
        return self.started

    def discard(self):
        self.state = "discarded"

    def exit_code(self):
        return 139 if self.state == "dead" else None

    def ping(self):
        return self.reply(None, 200 if self.state == "good" else None)

    def reply(self, request, status=None, outcome=Outcome.ANSWERED, seconds=0.01, body=b""):
        self.time += seconds
        request = request or Request(method="GET", path="/ping")
        outcome = (
            outcome if status is not None or outcome is not Outcome.ANSWERED else Outcome.RESET
        )
        return Reply(
            request=request, outcome=outcome, seconds=seconds, status=status, body=body,
            body_bytes=len(body),
        )  # fmt: skip

    def send(self, request, seconds):
        self.bodies.append(request.body)
        if self.state == "dead":
            return self.reply(request, outcome=Outcome.REFUSED)
        done = "hang" if self.state == "stuck" else self.model(request.body)
        match done:
            case "dies":
                self.state = "dead"
                return self.reply(request, outcome=Outcome.RESET)
            case "late death":
                self.state = "dead"
                return self.reply(request, 200)
            case "stuck":
                self.state = "stuck"
                return self.reply(request, 200)
            case "hang":
                return self.reply(request, outcome=Outcome.TIMEOUT, seconds=seconds)
            case "closes":
                return self.reply(request, outcome=Outcome.RESET)
            case int():
                return self.reply(request, done)
            case bytes():
                return self.reply(request, 500, body=done)
            case _:
                return self.reply(request, 200)

    def search(self):
        found = exploration(self)
        assert isinstance(found, Exploration)
        return found


def on(trigger, done):
    return lambda body: done if trigger in body else None


TRACE = b"Traceback (most recent call last):\n  File"
HARMS = {
    "dies": (Kind.ENDED, chapter.test_generated_bodies_end_nothing),
    "late death": (Kind.STUCK, chapter.test_generated_bodies_end_nothing),
    "stuck": (Kind.STUCK, chapter.test_generated_bodies_end_nothing),
    "hang": (Kind.UNANSWERED, chapter.test_generated_bodies_are_answered),
    "closes": (Kind.CLOSED, chapter.test_generated_bodies_lose_no_connection),
    502: (Kind.CLOSED, chapter.test_generated_bodies_lose_no_connection),
    TRACE: (Kind.STACK, chapter.test_generated_bodies_show_no_stack),
}
CHECKS = {check for _, check in HARMS.values()}


@pytest.mark.parametrize("done", HARMS)
def test_each_harm_is_found_and_told_by_its_check_with_the_smallest_body(done):
    kind, check = HARMS[done]
    fake = Fake(on(b"null", done))
    with pytest.raises(ContractViolation) as told:
        check(fake)
    assert fake.search().smallest(kind).case.body == b"null"
    assert kind.value in told.value.actual
    assert "(4 bytes as application/json)" in told.value.actual
    assert told.value.reproduce.endswith("--data-binary null http://127.0.0.1:8080/invocations")
    assert told.value.log.startswith("log of")


@pytest.mark.parametrize("done", HARMS)
def test_no_other_check_fails_for_it(done):
    fake = Fake(on(b"null", done))
    for check in CHECKS - {HARMS[done][1]}:
        try:
            check(fake)
        except Blocked as blocked:
            assert "ended early" in str(blocked)


@pytest.mark.parametrize("status", [200, 400, 415, 422, 500, 503])
def test_every_answer_is_an_answer_and_no_container_is_started_for_it(status):
    fake = Fake(lambda body: None if body in (A.body, B.body) else status)
    for check in CHECKS:
        check(fake)
    assert fake.starts == 1
    assert fake.search().sent == fake.settings.examples
    assert fake.state == "good"


@pytest.mark.parametrize("odd", ["dies", "hang", "closes", "stuck", 502])
def test_what_happens_once_by_chance_is_not_told_against_a_request(odd):
    number = count()
    fake = Fake(lambda body: odd if next(number) == 20 else None)
    for check in CHECKS:
        try:
            check(fake)
        except Blocked as blocked:
            assert "no request that was sent" in str(blocked)
    assert len(fake.deaths) == (odd == "dies")  # for the check of containers that end by themselves


def test_an_end_for_no_request_that_was_sent_is_kept_for_who_judges_ends():
    number = count()
    fake = Fake(lambda body: "dies" if next(number) == 20 else None)
    fake.search()
    assert fake.deaths[0].exit_code == 139


def test_what_spoils_a_container_is_found_among_the_requests_before():
    fake = Fake(on(b"null", "stuck"))
    search = fake.search()
    assert search.found[Kind.STUCK].case.body == b"null"
    assert Kind.UNANSWERED not in search.found


def test_a_container_that_fails_after_some_requests_by_itself_is_not_searched_for_long():
    served = {}

    def model(body):
        served[fake.starts] = served.get(fake.starts, 0) + 1
        return 500 if served[fake.starts] > 5 else None

    fake = Fake(model)
    for check in CHECKS:
        with pytest.raises(Blocked, match="no request that was sent"):
            check(fake)
    assert fake.time < 60
    assert fake.starts <= 8


def test_after_harm_the_next_check_gets_a_new_container():
    for done in ("dies", "stuck", "hang", "closes"):
        fake = Fake(on(b"null", done))
        search = fake.search()
        assert fake.state == "discarded", done
        starts = fake.starts
        assert search.smallest(HARMS[done][0]).case.body == b"null"
        assert fake.starts == starts, "nothing was left to try"


def test_a_start_that_takes_long_ends_the_shrinking_and_that_is_told():
    fake = Fake(lambda body: "dies" if len(body) > 45 and body not in (A.body, B.body) else None,
                start_seconds=15.0)  # fmt: skip
    with pytest.raises(ContractViolation, match="a smaller one may do"):
        chapter.test_generated_bodies_end_nothing(fake)
    assert fake.starts <= 4 + SHRINK_RESTARTS


def test_the_restarts_of_the_shrinking_are_bounded():
    sizes = iter(range(10**6, 0, -1))
    fake = Fake(lambda body: "dies" if b"instances" not in body and next(sizes) else None,
                start_seconds=0.1)  # fmt: skip
    search = fake.search()
    before = fake.starts
    search.smallest(Kind.ENDED)
    assert fake.starts <= before + SHRINK_RESTARTS + 1


def test_a_model_that_the_first_request_loads_is_not_taken_for_a_hang():
    fake = Fake(on(b"null", "dies"), payloads=())
    usual, loaded = fake.reply, set()

    def reply(request, *rest, **named):
        if request is not None and fake.state == "good" and fake.starts not in loaded:
            loaded.add(fake.starts)
            named = {**named, "seconds": 20.0}
        return usual(request, *rest, **named)

    fake.reply = reply
    search = fake.search()
    assert set(search.found) == {Kind.ENDED}
    search.smallest(Kind.ENDED)
    assert search.found[Kind.ENDED].case.body == b"null"


def test_a_slow_model_gets_fewer_requests():
    fake = Fake(lambda body: None)
    usual = fake.reply
    fake.reply = lambda request, *rest, **named: usual(request, *rest, **{"seconds": 1.0, **named})
    assert fake.search().sent <= USUAL_SECONDS
    assert fake.time < 3 * USUAL_SECONDS


def test_the_number_of_requests_is_the_options():
    for examples in (1, 30, 200):
        fake = Fake(lambda body: None, examples=examples)
        assert fake.search().sent == examples
        assert len(set(fake.bodies)) > 0.4 * examples  # others differ in their headers


def test_a_request_is_waited_for_as_long_as_the_platform_does_and_once():
    fake = Fake(on(b"null", "hang"))
    found = fake.search().found[Kind.UNANSWERED]
    assert found.seen.reply.seconds == fake.limits.invocation_seconds
    assert fake.time < 2 * fake.limits.invocation_seconds


@pytest.mark.parametrize("done", ["closes", "hang", 404, 500])
def test_a_good_request_that_fails_by_itself_blocks(done):
    with pytest.raises(Blocked, match=r"a\.json itself is not answered with success"):
        Fake(lambda body: done).search()


def test_without_a_payload_any_answer_is_one_to_compare_with():
    fake = Fake(lambda body: 400, payloads=())
    for check in CHECKS:
        check(fake)
    assert fake.bodies[0] == DEFAULT.body


def test_a_stack_that_every_malformed_body_shows_is_told_once():
    fake = Fake(lambda body: TRACE)
    fake.notes["malformed"] = fake.reply(None, 400, body=TRACE)
    with pytest.raises(NotApplicable, match="malformed-body"):
        chapter.test_generated_bodies_show_no_stack(fake)
    assert fake.bodies == []


def test_a_malformed_body_without_an_answer_is_told_once():
    fake = Fake(on(b"null", "closes"))
    fake.notes["malformed"] = fake.reply(None, outcome=Outcome.RESET)
    with pytest.raises(NotApplicable, match="malformed-body"):
        chapter.test_generated_bodies_lose_no_connection(fake)


@pytest.mark.parametrize("number", [3, 40, 80])
@pytest.mark.parametrize("error", [Blocked("no second start"), EngineUnavailable("gone")])
def test_an_engine_that_fails_in_the_middle_is_told_as_that(number, error):
    sent = count()

    def model(body):
        if next(sent) >= number:
            raise error
        return "closes" if len(body) > 45 and body not in (A.body, B.body) else None

    fake = Fake(model)
    with pytest.raises(type(error), match=str(error)):
        fake.search().smallest(Kind.CLOSED)


def test_a_search_that_failed_lets_no_check_pass():
    def model(body):
        if b"null" in body:
            raise EngineUnavailable("gone")

    fake = Fake(model)
    with pytest.raises(EngineUnavailable):
        fake.search()
    asked = len(fake.bodies)
    for check in CHECKS:
        with pytest.raises(Blocked, match="could not be sent: gone"):
            check(fake)
    assert len(fake.bodies) == asked


def test_two_runs_send_the_same_requests_in_the_same_order():
    runs = [Fake(on(b"null", "closes")) for _ in range(2)]
    for fake in runs:
        fake.search().smallest(Kind.CLOSED)
    assert runs[0].bodies == runs[1].bodies


# -- judging a reply ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'Traceback (most recent call last):\n  File "app.py", line 1',
        '{"error": "x\\nTraceback (most recent call last)\\n"}',
        "java.lang.NullPointerException\n\tat com.example.Model.predict(Model.java:42)\n",
        '{"trace": "x\\n\\tat com.example.Model$Row.of(Model.kt:7)"}',
        "SyntaxError<br> &nbsp; &nbsp;at parse (/app/node_modules/body-parser/lib/json.js:92:19)",
        "panic: x\n\ngoroutine 17 [running]:\nmain.main()",
        "System.Exception: x\n   at App.Model.Run() in /src/Model.cs:line 12",
        "app.rb:12:in `block in <main>'",
        "Stack trace:\n#0 /var/www/index.php(3): f()",
    ],
)
def test_a_stack_is_known_in_each_language(text):
    fake = Fake(None)
    assert shows_stack(fake.reply(None, 500, body=text.encode()))
    assert not shows_stack(fake.reply(None, 200, body=text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bad request: invalid literal for int() with base 10: 'x'",
        "<!doctype html>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>",
        '{"detail": [{"loc": ["body", "instances"], "msg": "field required"}]}',
        "Expecting value: line 1 column 1 (char 0)",
        "error at instances[0]: must be a number (see https://example.com/a.js:1)",
        '{"code": 400, "type": "BadRequestException", "message": "at least one row"}',
        "see the manual of numpy.array(x) (v1.26:12)",
    ],
)
def test_a_plain_error_is_no_stack(text):
    assert not shows_stack(Fake(None).reply(None, 400, body=text.encode()))


def test_a_stack_that_was_sent_is_only_repeated():
    sent = Request(method="POST", path="/invocations", body=b'{"log": "' + TRACE + b'"}')
    assert not shows_stack(Fake(None).reply(sent, 422, body=b"cannot classify " + TRACE))


@pytest.mark.parametrize(("status", "is_answer"), [(200, True), (500, True), (503, True),
                                                   (502, False), (504, False)])  # fmt: skip
def test_a_proxy_that_got_no_answer_is_no_answer(status, is_answer):
    assert answered(Fake(None).reply(None, status)) is is_answer


# -- the line to repeat ---------------------------------------------------------------------------


def sent_by(line):
    """The body that a shell would send."""
    maker, pipe, _ = line.partition(" | curl -sS")
    if pipe:
        return subprocess.run(["sh", "-c", maker], capture_output=True, check=True).stdout
    words = shlex.split(line)
    return words[words.index("--data-binary") + 1].encode()


def written(body):
    case = Case(body=body, content_type="text/csv")
    return shell_line.line(request(case), "http://127.0.0.1:8080")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'it\'s 100 % \\n \\0 $HOME `id` "q"\n',
        b"@file",
        bytes(range(256)),
        b"-",
        b"\x00",
        "äöü\u2028".encode(),
        b'{"instances": [[' + b"[" * 20_000 + b"'\\\x00",
        b'[{"a":' * 5_000 + b"1" + b"}]" * 5_000,
        bytes(range(256)) + b"9" * 5_000,
    ],
)
def test_the_shell_line_sends_the_very_bytes(body):
    line = written(body)
    assert "@BODY_OF_" not in line
    assert len(line) < 2000
    assert sent_by(line) == body


def test_a_body_that_cannot_be_written_shortly_is_described():
    body = b"".join(b"%d," % (n * n) for n in range(2000))
    assert re.search(rf"--data-binary @BODY_OF_{len(body)}_BYTES ", written(body))


def test_headers_are_part_of_the_line():
    case = Case(body=b"\xff", content_type="a/b; c='d'", headers=(("Accept", "x"),))
    words = shlex.split(shell_line.line(request(case), "http://h").partition(" | ")[2])
    assert "Content-Type: a/b; c='d'" in words
    assert "Accept: x" in words
    assert words[-3:] == ["--data-binary", "@-", "http://h/invocations"]

"""The pure parts of the shipped checks: bodies, JSON, processes, sizes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.settings import Payload
from contract_tests.test_invocations import json_problem, malformed
from contract_tests.test_payloads import padded, refused_for_size
from contract_tests.test_shutdown import model_process
from emulator.engines import Process
from emulator.http import Outcome, Reply, Request
from emulator.limits import Limits

JSON, CSV = "application/json", "text/csv"


def payload(body, content_type=JSON):
    return Payload(name="x", content_type=content_type, body=body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
BODIES = st.builds(
    lambda value, indent, after: (json.dumps(value, indent=indent) + after).encode(),
    st.lists(VALUES, max_size=4) | st.dictionaries(st.text(), VALUES, max_size=4),
    st.sampled_from([None, 2]),
    st.sampled_from(["", "\n", "  \r\n"]),
)
"""What callers of models send: an object or an array."""


# -- json_problem ---------------------------------------------------------------------------------


@given(VALUES)
def test_what_a_strict_encoder_writes_has_no_problem(value):
    assert json_problem(json.dumps(value, allow_nan=False).encode()) is None
    assert json_problem(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@given(st.lists(VALUES, max_size=3))
def test_python_constants_are_named_wherever_they_hide(number, around):
    problem = json_problem(json.dumps({"x": [*around, {"y": number}]}).encode())
    assert problem is not None
    assert "NaN" in problem or "Infinity" in problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"setosa,0.9",
        b"\xff\xfe\x00",
        b"{} {}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_has_a_problem_in_words(body):
    assert json_problem(body)


@pytest.mark.parametrize("body", [b"NaNny", b'"NaN"', b'{"Infinity": "-Infinity"}'])
def test_the_same_letters_in_a_text_are_no_constant(body):
    assert (json_problem(body) is None) == (body[:1] != b"N")


# -- malformed ------------------------------------------------------------------------------------


@given(BODIES)
def test_a_malformed_json_body_is_never_json(body):
    with pytest.raises(json.JSONDecodeError):
        json.loads(malformed(payload(body)))


@given(st.binary())
def test_a_malformed_body_of_another_type_is_no_text(body):
    with pytest.raises(UnicodeDecodeError):
        malformed(payload(body, CSV)).decode()


@pytest.mark.parametrize("body", [b"", b" \n", b"1"])
def test_an_empty_or_tiny_payload_still_gives_a_malformed_body(body):
    made = malformed(payload(body))
    assert made
    assert json_problem(made)


def test_without_a_payload_the_malformed_body_is_json_cut_off():
    assert json_problem(malformed(None))
    assert malformed(None).startswith(b'{"instances"')


# -- padded ---------------------------------------------------------------------------------------


@given(BODIES, st.integers(min_value=0, max_value=2000))
def test_padded_json_has_the_size_and_means_the_same(body, more):
    size = len(body) + more
    made = padded(payload(body), size)
    assert len(made) == size
    assert json.loads(made) == json.loads(body)


@given(st.binary(min_size=1, max_size=300), st.integers(min_value=1, max_value=3000))
def test_padded_bytes_have_the_size_and_begin_as_the_payload_does(body, size):
    made = padded(payload(body, CSV), size)
    assert len(made) == size
    assert made.startswith(body[:size])


@given(st.integers(min_value=20, max_value=3000))
def test_without_a_payload_a_padded_body_is_an_empty_json_request(size):
    made = padded(None, size)
    assert len(made) == size
    assert json.loads(made) == {"instances": []}


def test_the_sizes_that_are_tried_reach_the_platforms_limit():
    assert len(padded(payload(b"1,2\n", CSV), Limits().sure_payload_bytes)) == 4_000_000


# -- refused_for_size -----------------------------------------------------------------------------


def reply(status=None, outcome=Outcome.ANSWERED):
    request = Request(method="POST", path="/invocations")
    return Reply(request=request, outcome=outcome, seconds=0.0, status=status)


@pytest.mark.parametrize(
    ("large", "small", "refused"),
    [
        (reply(413), reply(200), True),
        (reply(413), reply(400), True),
        (reply(413), reply(outcome=Outcome.RESET), True),
        (reply(outcome=Outcome.RESET), reply(200), True),
        (reply(outcome=Outcome.RESET), reply(400), False),
        (reply(outcome=Outcome.RESET), reply(outcome=Outcome.RESET), False),
        (reply(outcome=Outcome.TIMEOUT), reply(200), False),
        (reply(200), reply(200), False),
        (reply(400), reply(200), False),
        (reply(500), reply(200), False),
    ],
)
def test_only_413_or_a_cut_connection_after_a_good_small_body_is_a_refusal(large, small, refused):
    assert refused_for_size(large, small) is refused


# -- model_process --------------------------------------------------------------------------------


def process(pid, parent, rss=1, *, zombie=False):
    return Process(pid=pid, parent=parent, rss_bytes=rss, command=f"p{pid}", zombie=zombie)


SHAPES = {
    "nothing runs": ([], None),
    "one process": ([process(1, 0)], None),
    "gunicorn: the larger worker": ([process(1, 0, 90), process(2, 1, 10), process(3, 1, 20)], 3),
    "a shell before it": ([process(1, 0), process(2, 1, 5), process(3, 2, 20)], 3),
    "nginx and gunicorn": (
        [
            process(1, 0, 50), process(2, 1, 5), process(3, 2, 5), process(4, 1, 20),
            process(5, 4, 80),
        ],
        5,
    ),
    "a zombie is dead already": ([process(1, 0), process(2, 1, 90, zombie=True)], None),
    "the main process seen from outside": ([process(4711, 4700, 90), process(4712, 4711, 3)], 4712),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_is_in_the_largest_process_without_children(shape):
    processes, pid = SHAPES[shape]
    found = model_process(processes)
    assert (found.pid if found else None) == pid


@st.composite
def trees(draw):
    """Process 1 and its descendants; each one's parent is an earlier one."""
    count = draw(st.integers(min_value=1, max_value=12))
    made = [process(1, 0, draw(st.integers(1, 100)))]
    for pid in range(2, count + 1):
        parent = draw(st.integers(min_value=1, max_value=pid - 1))
        made.append(process(pid, parent, draw(st.integers(1, 100)), zombie=draw(st.booleans())))
    return draw(st.permutations(made))


@given(trees())
def test_the_victim_is_alive_and_neither_the_main_process_nor_a_parent(processes):
    found = model_process(processes)
    if len(processes) == 1:
        assert found is None
    if found is not None:
        assert found.pid != 1
        assert not found.zombie
        assert found.pid not in {p.parent for p in processes}
    elif not any(p.zombie for p in processes):
        assert len(processes) == 1

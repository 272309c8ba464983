"""What counts as a difference between answers, and what sound containers may do."""

from __future__ import annotations

import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.comparing import accumulates, difference


def j(value):
    return json.dumps(value).encode()


PREDICTION = {"label": "setosa", "probabilities": {"setosa": 0.9946, "virginica": 0.0054}}

# -- growth ---------------------------------------------------------------------------------------

GROWS = {
    "a list of all rows": [j({"predictions": [PREDICTION] * n}) for n in (1, 2, 3)],
    "lines of CSV": [b"setosa,0.99,0.01\n" * n for n in (1, 2, 3)],
    "a conversation": [j({"text": "yes. " * n}) for n in (2, 4, 6)],
    "an array of floats": [b"\x93NUMPY\0" + bytes(128 + 64 * n) for n in (1, 2, 3)],
}


@pytest.mark.parametrize("name", GROWS)
def test_answers_that_repeat_what_came_before_accumulate(name):
    assert accumulates(GROWS[name], GROWS[name][0])


def _uuid(n):
    return str(uuid.UUID(int=random.Random(n).getrandbits(128)))


SOUND_SERIES = {
    "equal answers": lambda n: j(PREDICTION),
    "a counter": lambda n: j({**PREDICTION, "served": 10**n - 1}),
    "a clock": lambda n: j({**PREDICTION, "at": f"2026-11-25T19:14:0{n}.{n}Z", "s": 10.0**-n}),
    "an id": lambda n: j({**PREDICTION, "id": _uuid(n)}),
    "a first answer that says it was the first": lambda n: j({**PREDICTION, "cold": n == 0}),
    "a warning that comes once": lambda n: j({**PREDICTION, **({"note": "warm up"} if n else {})}),
}


@pytest.mark.parametrize("name", SOUND_SERIES)
def test_counters_clocks_and_ids_do_not_accumulate(name):
    bodies = [SOUND_SERIES[name](n) for n in range(3)]
    assert not accumulates(bodies, bodies[0])


@given(st.lists(st.binary(max_size=40), max_size=2), st.binary(max_size=40))
def test_two_answers_prove_no_growth(bodies, fresh):
    assert not accumulates(bodies, fresh)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3), st.binary(max_size=60))
def test_growth_needs_a_fresh_instance_that_begins_at_the_same_place(bodies, fresh):
    if accumulates(bodies, fresh):
        assert not accumulates(bodies, fresh + b" and, more")


# -- difference -----------------------------------------------------------------------------------

DIFFER = {
    "a probability": (j({"p": [0.2, 0.8]}), j({"p": [0.3, 0.7]}), "$.p[0]"),
    "a label": (j([{"label": "setosa"}]), j([{"label": "virginica"}]), "$[0].label"),
    "a class": (j({"class": 1}), j({"class": 2}), "$.class"),
    "a bare number": (b"0.25", b"0.5", "$"),
    "how many were found": (j({"boxes": [[1, 2]]}), j({"boxes": []}), "$.boxes"),
    "a number in CSV": (b"setosa,0.9\n", b"setosa,0.8\n", "line 1, value 2"),
    "a word in CSV": (b"a,1\nsetosa,0.9\n", b"a,1\nvirginica,0.9\n", "line 2, value 1"),
    "the order of a vector": (j([0.1, 0.9]), j([0.9, 0.1]), "$[0]"),
    "a sign": (j([-0.5]), j([0.5]), "$[0]"),
    "words of another alphabet": (j({"label": "катка"}), j({"label": "мышь"}), "$.label"),
}


@pytest.mark.parametrize("name", DIFFER)
def test_what_the_model_says_is_compared_and_the_place_told(name):
    one, other, where = DIFFER[name]
    for found in (difference(one, other), difference(other, one)):
        assert found is not None
        assert found.where == where
        assert where in str(found)


SAME = {
    "rounding": ({"p": 0.1234567}, {"p": 0.1234568}),
    "the order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "the order of a set": ({"classes": ["a", "b"]}, {"classes": ["b", "a"]}),
    "ties in another order": ([{"l": "a", "p": 1}, {"l": "b", "p": 1}],
                              [{"l": "b", "p": 1}, {"l": "a", "p": 1}]),
    "a time in a text": ({"x": "2026-11-25T19:14:06Z"}, {"x": "2026-11-25T19:14:07Z"}),
    "a time in seconds": ({"x": 1795634046.1}, {"x": 1795634099.7}),
    "a duration": ({"inference_time_ms": 3.1}, {"inference_time_ms": 4.9}),
    "loading": ({"model": {"load_seconds": 1.2}}, {"model": {"load_seconds": 3.4}}),
    "the host's name": ({"x": "ip-10-0-0-7"}, {"x": "ip-10-0-0-9"}),
    "a container's id": ({"x": "3f2a9c4b11aa"}, {"x": "9e107d9d372b"}),
    "an id": ({"x": str(uuid.uuid4())}, {"x": str(uuid.uuid4())}),
    "a process": ({"pid": 7}, {"pid": 19}),
    "a worker": ({"worker": 1}, {"worker": 2}),
    "a counter": ({"request_count": 1}, {"request_count": 4}),
    "a key that one has": ({"a": 1}, {"a": 1, "warning": "first request"}),
    "not a number": ([float("nan")], [1.0]),
    "null and a number": ({"a": None}, {"a": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_sound_instances_say_of_themselves_is_no_difference(name):
    one, other = map(j, SAME[name])
    assert difference(one, other) is None
    assert difference(other, one) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"\x93NUMPY\x01\x00abc", b"\x93NUMPY\x01\x00abd"),  # a form that is not known
        (b"\xff\xfe", b"text"),
        (b"one line", b"one line\nand another"),
        (b"a text of words", b"a text of many words"),
        (b"[" * 100_000, b"{" * 100_000),
    ],
)
def test_what_cannot_be_compared_is_not_judged(one, other):
    assert difference(one, other) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@given(json_values)
def test_an_answer_does_not_differ_from_itself_written_another_way(value):
    assert difference(j(value), json.dumps(value, indent=2).encode()) is None


@given(json_values, json_values)
def test_difference_is_the_same_seen_from_either_side(one, other):
    left, right = difference(j(one), j(other)), difference(j(other), j(one))
    assert (left is None) == (right is None)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_can_be_compared(one, other):
    assert difference(one, one) is None
    found = difference(one, other)
    assert found is None or str(found)

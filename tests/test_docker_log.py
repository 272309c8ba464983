"""Owns: the claims of emulator/engines/docker_log.py on the form of an engine's log."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engines import LogLine
from emulator.engines.docker_log import parsed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = int(NOON.timestamp()) * 10**9


def stamp(nanoseconds: int, zone: str = "Z") -> bytes:
    whole, rest = divmod(nanoseconds, 10**9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}{zone} ".encode()


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def test_a_frame_is_a_line_with_its_time() -> None:
    frames = [stamp(BASE + 1) + b"one\n", stamp(BASE + 5) + b"two\r\n"]
    assert parsed(frames) == [
        LogLine(nanoseconds=BASE + 1, text="one"),
        LogLine(nanoseconds=BASE + 5, text="two"),
    ]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"2026-03-01T12:00:00Z x\n", BASE),
        (b"2026-03-01T12:00:00.5Z x\n", BASE + 500_000_000),
        (b"2026-03-01T14:00:00.000000007+02:00 x\n", BASE + 7),
    ],
)
def test_a_time_is_read_with_any_fraction_and_zone(text: bytes, nanoseconds: int) -> None:
    assert parsed([text]) == [LogLine(nanoseconds=nanoseconds, text="x")]


def test_a_line_that_comes_in_several_frames_is_one_line() -> None:
    frames = [stamp(BASE) + b"a" * 16384, stamp(BASE + 1) + b"b\n", stamp(BASE + 2) + b"c\n"]
    assert texts(parsed(frames)) == ["a" * 16384 + "b", "c"]


def test_an_unfinished_last_line_is_not_lost() -> None:
    assert texts(parsed([stamp(BASE) + b"one\n", stamp(BASE + 1) + b"half"])) == ["one", "half"]


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    lines = parsed([stamp(BASE) + b"one\n", b"two\n", b"three\n"])
    assert texts(lines) == ["one", "two", "three"]
    assert [line.nanoseconds - BASE for line in lines] == [0, 1, 2]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert texts(parsed([stamp(BASE) + b"caf\xe9\n"])) == ["caf\N{REPLACEMENT CHARACTER}"]


def test_an_empty_line_is_a_line_and_nothing_is_none() -> None:
    assert texts(parsed([stamp(BASE) + b"\n"])) == [""]
    assert parsed([]) == []


written = st.lists(
    st.tuples(st.integers(0, 5), st.text(st.characters(exclude_characters="\r\n"), max_size=10)),
    max_size=20,
)


@given(written)
def test_every_line_is_told_once_whatever_the_times(lines: list[tuple[int, str]]) -> None:
    frames, at = [], BASE
    for step, text in lines:
        at += step
        frames.append(stamp(at) + text.encode("utf-8", "replace") + b"\n")
    found = parsed(frames)
    assert len(found) == len(lines)
    times = [line.nanoseconds for line in found]
    assert all(before < after for before, after in itertools.pairwise(times))


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_whatever_an_engine_sends_is_read(frames: list[bytes]) -> None:
    for line in parsed(frames):
        assert "\n" not in line.text
